//! Which instances count where, what they are believed for, and how old their trusted roots may be.

use std::{fs, time::Duration, time::SystemTime};

use countersign::sandbox::{RekorOffer, Role};

use crate::{
    kept, proven, signed,
    support::{ALICE, World},
    unname,
};

/// Adds the world's own authority as `name`, by its trusted root.
fn add(world: &World, name: &str) {
    let file = world.path("authority/trusted_root.json").display().to_string();
    world.countersign(&["trust", "add", name, "--trusted-root", &file]).any_stdout().check();
}

/// Writes the authority's certificates and keys as PEM files; their paths.
pub(crate) fn files(world: &World) -> [String; 5] {
    let authority = world.authority().authority();
    let pem = |chain: &[&[u8]]| {
        let certificate = |der: &&[u8]| {
            let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
            format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n")
        };
        chain.iter().map(certificate).collect::<String>()
    };
    let key = |role| authority.signing_key(role).public_key_pem();
    let write = |name: &str, content: String| world.write(name, content).display().to_string();
    [
        write("fulcio.pem", pem(&authority.certificate_chain())),
        write("rekor.pub", key(Role::RekorV1)),
        write("rekor2.pub", key(Role::RekorV2)),
        write("ctfe.pub", key(Role::CertificateTransparencyLog)),
        write("tsa.pem", pem(&authority.timestamp_chain())),
    ]
}

#[test]
fn an_instance_may_be_made_of_certificate_and_key_files() {
    for offer in [RekorOffer::V1Only, RekorOffer::V2Only] {
        let world = World::offering(offer);
        let repository = signed(&world);
        assert_eq!(proven(&repository), None);
        let [fulcio, rekor, rekor2, ct, tsa] = files(&world);
        let rekor2 = format!("{}={rekor2}", world.url());
        let arguments = [
            "trust",
            "add",
            "corp",
            "--fulcio-root",
            &fulcio,
            "--rekor-key",
            &rekor,
            "--rekor-key",
            &rekor2,
            "--ct-key",
            &ct,
            "--timestamp-chain",
            &tsa,
        ];
        world.countersign(&arguments).stdout_holds(&["corp: added, sha256:"]).check();
        assert_eq!(proven(&repository).as_deref(), Some("corp"));
        let show = world.countersign(&["trust", "show", "corp"]).any_stdout().check().text();
        assert_eq!(show.matches("transparency log: ").count(), 2, "{show}");
        for part in [
            "source: made from key files\n",
            "CT log: ",
            "certificate authority: CN=",
            "timestamp authority: CN=",
        ] {
            assert!(show.contains(part), "{part}: {show}");
        }
    }
}

#[test]
fn files_that_make_no_trusted_root_are_refused() {
    let world = World::new();
    let [fulcio, rekor, rekor2, ct, tsa] = files(&world);
    let refused = |arguments: &[&str], words: &str| {
        let arguments = [&["trust", "add", "corp"], arguments].concat();
        world.countersign(&arguments).status(3).stderr_holds(&["error: ", words, "hint: "]).check();
        assert!(!kept(&world, "corp").exists());
    };
    refused(&[], "nothing says what to add");
    refused(&["--fulcio-root", &rekor, "--rekor-key", &rekor, "--ct-key", &ct], "holds no certificate");
    refused(&["--fulcio-root", &fulcio, "--rekor-key", &fulcio, "--ct-key", &ct], "holds no public key");
    refused(&["--fulcio-root", &fulcio, "--rekor-key", &rekor2, "--ct-key", &ct], "has no name");
    refused(&["--fulcio-root", &tsa, "--rekor-key", &rekor, "--ct-key", &ct], "does not hold together");
    let run = world.countersign(&["trust", "add", "corp", "--fulcio-root", &fulcio, "--rekor-key", &rekor]);
    run.status(64).stderr_holds(&["--ct-key"]).check();
    let garbage = world.write("garbage.json", "{").display().to_string();
    refused(&["--trusted-root", &garbage], "cannot be used");
}

#[test]
fn what_is_kept_is_replaced_only_when_that_is_said() {
    let (world, other) = (World::new(), World::new());
    let repository = signed(&world);
    add(&world, "corp");
    let theirs = world.write("other.json", other.authority().authority().trusted_root_json());
    let theirs = theirs.display().to_string();
    let arguments = ["trust", "add", "corp", "--trusted-root", &theirs];
    let run = world.countersign(&arguments).status(3);
    run.stderr_holds(&["there is an instance 'corp' already", "add '--replace'"]).check();
    assert_eq!(proven(&repository).as_deref(), Some("corp"));
    let garbage = world.write("garbage.json", "{").display().to_string();
    let run = world.countersign(&["trust", "add", "corp", "--replace", "--trusted-root", &garbage]);
    run.status(3).any_stderr().check();
    assert_eq!(proven(&repository).as_deref(), Some("corp"), "the old one stays");
    world.countersign(&[&arguments[..], &["--replace"]].concat()).any_stdout().check();
    assert_eq!(proven(&repository), None);
    world.countersign(&["trust", "remove", "corp"]).stdout("corp: removed\n").check();
    world.countersign(&["trust", "remove", "corp"]).status(3).any_stderr().check();
    let folder = fs::read_dir(kept(&world, "")).unwrap().count();
    assert_eq!(folder, 0, "nothing is left over");
}

#[test]
fn the_configured_file_goes_before_what_is_kept() {
    let (world, other) = (World::new(), World::new());
    let repository = signed(&world);
    add(&world, "corp");
    let theirs = world.write("other.json", other.authority().authority().trusted_root_json());
    world.configure(&format!("[countersign \"corp\"]\n trustedRoot = {}", theirs.display()));
    assert_eq!(proven(&repository), None);
    let list = world.countersign(&["trust", "list"]).any_stdout().check().text();
    assert!(list.contains(&format!("file '{}'", theirs.display())), "{list}");
}

#[test]
fn a_damaged_root_is_an_error_and_never_another_root() {
    let world = World::new();
    let repository = signed(&world);
    let file = world.path("authority/trusted_root.json").display().to_string();
    world.countersign(&["trust", "add", "public-good", "--trusted-root", &file]).any_stdout().check();
    assert_eq!(proven(&repository).as_deref(), Some("public-good"));
    fs::write(kept(&world, "public-good/trusted_root.json"), "{").unwrap();
    let run = repository.countersign(&["verify"]).status(3);
    run.stderr_holds(&["error: the accepted trusted root", "hint: run 'countersign trust remove"]).check();
    assert_eq!(repository.grade("HEAD"), "E|");
}

#[test]
fn staging_and_sandbox_count_only_where_they_are_named() {
    let world = World::new();
    let repository = signed(&world);
    let names = || {
        let lines = world.countersign(&["trust", "list", "--json"]).any_stdout().check().text();
        let name = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["instance"].as_str().unwrap().to_owned()
        };
        lines.lines().map(name).collect::<Vec<_>>()
    };
    add(&world, "sandbox");
    add(&world, "staging");
    assert_eq!(names(), ["public-good"]);
    assert_eq!(proven(&repository), None);
    // The repository's own file names nothing.
    repository.git(&["config", "countersign.sandbox.issuer", world.url()]).check();
    repository.git(&["config", "countersign.instance", "staging"]).check();
    assert_eq!(proven(&repository), None);

    let identity = ["verify", "--identity", ALICE, "--issuer", world.url(), "--instance"];
    for name in ["sandbox", "staging"] {
        repository.countersign(&[&identity[..], &[name]].concat()).any_stdout().check();
    }
    repository
        .countersign(&[&identity[..], &["public-good"]].concat())
        .status(2)
        .any_stdout()
        .any_stderr()
        .check();
    world.trust(ALICE);
    assert_eq!(names(), ["public-good", "sandbox"]);
    assert_eq!(repository.grade("HEAD"), format!("G|{ALICE}|fully"));
    unname(&world);
    world.configure("[countersign]\n instance = staging");
    assert_eq!(names(), ["public-good", "staging"]);
    assert_eq!(proven(&repository).as_deref(), Some("staging"));
    unname(&world);
    let policy = "version = 1\nother_refs = \"refuse\"\n[[instance]]\nname = \"staging\"\n";
    let policy = world.write("policy.toml", policy).display().to_string();
    let run = repository.countersign(&["verify", "--policy", &policy]).status(1).any_stderr();
    run.stdout_holds(&["staging", "the signer is not named"]).check();
    world
        .countersign(&["trust", "show", "staging"])
        .stdout_holds(&["counts: only where it is named"])
        .check();
}

#[test]
fn an_instance_is_believed_for_its_issuers_and_subjects_only() {
    let world = World::new();
    let repository = signed(&world);
    add(&world, "corp");
    let limited = |key: &str, value: &str| {
        unname(&world);
        let (url, named) = (world.url(), "[countersign]\n trustedIdentity = corp");
        world.configure(&format!("{named} {url} email {ALICE}\n[countersign \"corp\"]\n {key} = {value}"));
        repository.grade("HEAD")
    };
    let good = format!("G|{ALICE}|fully");
    assert_eq!(limited("issuer", world.url()), good);
    assert_eq!(limited("subject", ALICE), good);
    assert_eq!(limited("subject", "*@example.com"), good);
    for (key, value) in [("issuer", "https://other"), ("subject", "*"), ("subject", "*@other.com")] {
        assert_eq!(limited(key, value), "E|", "{key} {value}");
        let run = repository.countersign(&["verify"]).status(1);
        run.stdout_holds(&["refused", "for whom the instance is not believed here"]).check();
        let run = repository.git(&["verify-commit", "HEAD"]).status(1);
        run.stderr_holds(&["for whom the instance is not believed here"]).check();
        repository.countersign(&["inspect"]).status(1).stdout_holds(&["not believed"]).check();
    }
    // Several values: one of them has to fit.
    assert_eq!(limited("issuer", &format!("https://other\n issuer = {}", world.url())), good);
    for wrong in ["issuer = https://*", "subject = *@*", "issuer ="] {
        let (key, value) = wrong.split_once(" =").unwrap();
        assert_eq!(limited(key, value), "E|", "{wrong}");
        let run = repository.countersign(&["verify"]).status(3);
        run.stderr_holds(&["error: the limits of instance 'corp'"]).check();
    }
    // Nobody is named, and still the limit holds; the repository's own file sets none.
    unname(&world);
    world.configure("[countersign \"corp\"]\n issuer = https://other");
    assert_eq!(repository.grade("HEAD"), "E|");
    unname(&world);
    repository.git(&["config", "countersign.corp.issuer", "https://other"]).check();
    assert_eq!(repository.grade("HEAD"), format!("U|{ALICE}|undefined"));
}

#[test]
fn a_policys_limits_hold_for_what_the_user_names_besides() {
    let world = World::new();
    let repository = signed(&world);
    let policy = |issuer: &str| {
        let text = format!(
            "version = 1\nother_refs = \"refuse\"\n[[instance]]\nname = \"corp\"\n\
             trusted_root = \"authority/trusted_root.json\"\nissuers = [\"{issuer}\"]\n"
        );
        let path = world.write("policy.toml", text);
        unname(&world);
        let (url, path) = (world.url(), path.display());
        world.configure(&format!(
            "[countersign]\n policy = {path}\n trustedIdentity = corp {url} email {ALICE}"
        ));
        repository.grade("HEAD")
    };
    assert_eq!(policy(world.url()), format!("G|{ALICE}|fully"));
    assert_eq!(policy("https://other"), "E|");
}

#[test]
fn a_root_that_is_too_old_tells_nothing() {
    let world = World::new();
    let repository = signed(&world);
    let root = world.path("authority/trusted_root.json");
    let configured = |more: &str| {
        unname(&world);
        world.configure(&format!("[countersign \"corp\"]\n trustedRoot = {}\n{more}", root.display()));
    };
    configured("");
    let age = |days: u64| {
        let time = SystemTime::now() - Duration::from_secs(days * 86_400 + 60);
        fs::File::options().write(true).open(&root).unwrap().set_modified(time).unwrap();
    };
    age(40);
    repository.git(&["config", "countersign.trustMaxAge", "1"]).check();
    assert_eq!(proven(&repository).as_deref(), Some("corp"), "the repository's own file says nothing");
    configured("[countersign]\n trustMaxAge = 40");
    assert_eq!(proven(&repository).as_deref(), Some("corp"));
    age(41);
    assert_eq!(proven(&repository), None);
    let cause = "the trusted root of 'corp' is [AGE], and 'countersign.trustMaxAge' is 40";
    let remedy = "hint: get the trusted root of 'corp' again from whoever runs the instance\n";
    repository
        .countersign(&["verify"])
        .status(2)
        .stdout_holds(&["cannot-tell", cause])
        .stderr(remedy)
        .check();
    repository.countersign(&["inspect"]).status(2).stdout_holds(&[cause]).check();
    let words = format!("countersign: cannot tell who signed: {cause}\n{remedy}");
    repository.git(&["verify-commit", "HEAD"]).status(1).stderr(words).check();
    assert_eq!(repository.grade("HEAD"), "E|");
    for wrong in ["soon", "-1", ""] {
        configured(&format!("[countersign]\n trustMaxAge = {wrong}"));
        let run = repository.countersign(&["verify"]).status(3);
        run.stderr_holds(&["which is no number of days"]).check();
    }
}

#[test]
fn what_a_root_does_not_know_is_said_with_its_age() {
    let world = World::new();
    let repository = signed(&world);
    let mut root: serde_json::Value =
        serde_json::from_str(&world.authority().authority().trusted_root_json()).unwrap();
    for part in ["logId", "publicKey"] {
        root["tlogs"][0][part] = root["ctlogs"][0][part].clone();
    }
    let file = world.write("root.json", root.to_string()).display().to_string();
    world.countersign(&["trust", "add", "corp", "--trusted-root", &file]).any_stdout().check();
    let cause =
        "the entry is in a log that the trusted root does not know ('corp' is [AGE], 'public-good' is [AGE])";
    let hint = "hint: get the trusted root of 'corp' again from whoever runs the instance, \
                or run 'countersign trust update public-good'\n";
    repository.countersign(&["verify"]).status(2).stdout_holds(&["cannot-tell", cause]).stderr(hint).check();
    let words = format!("countersign: cannot tell who signed: {cause}\n{hint}");
    repository.git(&["verify-commit", "HEAD"]).status(1).stderr(words).check();
    let run = repository.countersign(&["verify", "--verbose"]).status(2).any_stdout();
    run.stderr_holds(&[
        "trusted root: public-good sha256:",
        " (built in, [AGE])\n",
        "(added from a file, [AGE])",
    ])
    .check();
}
