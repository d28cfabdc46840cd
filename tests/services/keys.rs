//! Keys of the user's own: in a file, a KMS, an ssh-agent or a token, with Fulcio's certificate or another.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Child, Command, Stdio},
};

use countersign::{
    encoding::{cms::SignedData, x509::Slices},
    object::{Commit, HashKind},
    sandbox::{Identity, Options},
    signature::armor,
};

use crate::{
    front::certificates,
    support::{ALICE, Repository, World, skipped},
};

/// A world in which Alice counts, with a P-256 and an RSA key in files, and a repository.
fn world(test: &str, programs: &[&str]) -> Option<World> {
    if ["openssl"].iter().chain(programs).any(|program| skipped(test, program)) {
        return None;
    }
    let world = World::new();
    world.trust(ALICE);
    let make = |algorithm: &[&str], name: &str| {
        let arguments = [&["genpkey"], algorithm, &["-out", name]].concat();
        world.run("openssl", &arguments).any_stdout().any_stderr().check();
    };
    make(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], "ec.pem");
    make(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], "rsa.pem");
    world.repository("r", "sha1");
    Some(world)
}

fn at(world: &World) -> Repository<'_> {
    Repository::at(world, &world.path("r"))
}

fn use_key(world: &World, key: &str) {
    world.run("git", &["config", "--global", "user.signingKey", key]).check();
}

/// The SubjectPublicKeyInfo of a key file.
fn public(world: &World, key: &str) -> Vec<u8> {
    let arguments = ["pkey", "-in", key, "-passin", "pass:secret", "-pubout", "-outform", "DER"];
    world.run("openssl", &arguments).any_stdout().any_stderr().check().stdout
}

/// The key in the certificate that HEAD was signed by.
fn signer(repository: &Repository<'_>) -> Vec<u8> {
    let object = repository.object("commit", "HEAD");
    let commit = Commit::parse(HashKind::Sha1, &object).unwrap();
    let der = armor::decode(&commit.signed.signature.unwrap()).unwrap();
    let parsed = SignedData::parse(&der).unwrap();
    Slices::parse(parsed.certificates[0]).unwrap().spki.to_vec()
}

/// A commit is signed by the key in the file `key`, which Fulcio has certified, and counts.
#[track_caller]
fn signs(world: &World, key: &str) {
    let repository = at(world);
    repository.commit("message");
    assert!(signer(&repository) == public(world, key), "signed by another key than {key}");
    let run = repository.countersign(&["verify", "HEAD"]).any_stdout().any_stderr().any_status();
    let outcome = run.check();
    assert_eq!(outcome.status, 0, "{} {}", outcome.text(), outcome.words());
    assert!(repository.git(&["verify-commit", "HEAD"]).any_stderr().check().words().contains("known as"));
}

/// No commit is made, and why is said.
#[track_caller]
fn refused(world: &World, parts: &[&str]) {
    let (repository, entries) = (at(world), world.log_size());
    let key = world.run("git", &["config", "--global", "user.signingKey"]).any_stdout().check().text();
    let run = repository.countersign(&["--status-fd=2", "-bsau", key.trim_end()]);
    let outcome =
        run.input(b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\nx\n").status(3).any_stderr().check();
    for part in parts {
        assert!(outcome.words().contains(part), "no {part:?} in {}", outcome.words());
    }
    assert_eq!(world.log_size(), entries, "and nothing was logged");
}

#[test]
fn a_key_in_a_file_signs_with_fulcios_certificate() {
    let Some(world) = world("a_key_in_a_file_signs_with_fulcios_certificate", &[]) else { return };
    for key in ["ec.pem", "rsa.pem"] {
        use_key(&world, &format!("file:{}", world.path(key).display()));
        signs(&world, key);
    }
    // SEC 1 and PKCS#1, as OpenSSL wrote them of old.
    for (kind, key) in [("ec", "ec.pem"), ("rsa", "rsa.pem")] {
        let arguments = [kind, "-in", key, "-out", "old.pem"];
        let run = match kind {
            "rsa" => world.run("openssl", &[&arguments[..], &["-traditional"]].concat()),
            _ => world.run("openssl", &arguments),
        };
        run.any_stderr().check();
        assert!(!fs::read_to_string(world.path("old.pem")).unwrap().contains("BEGIN PRIVATE"));
        use_key(&world, &format!("file:{}", world.path("old.pem").display()));
        signs(&world, key);
    }
}

#[test]
fn a_passphrase_is_asked_for_at_the_terminal() {
    let test = "a_passphrase_is_asked_for_at_the_terminal";
    let Some(world) = world(test, &["script", "setsid"]) else { return };
    let protect = ["pkcs8", "-topk8", "-in", "ec.pem", "-passout", "pass:secret", "-out", "locked.pem"];
    world.run("openssl", &protect).any_stderr().check();
    use_key(&world, &format!("file:{}", world.path("locked.pem").display()));
    let repository = at(&world);
    let at_terminal = |ahead: &str, command: &str, answer: &str| {
        let run = world.run("script", &["-qec", command, "/dev/null"]).directory(&repository.path);
        run.any_status().converse(ahead, &[("passphrase or PIN for", answer)])
    };
    let commit = "git commit -q --allow-empty -m message";
    // What was typed before is no answer, and no answer is shown.
    let said = at_terminal("wrong\n", &format!("sleep 1; {commit}"), "secret\n");
    assert_eq!(said.status, 0, "{}", said.text());
    assert!(!said.text().contains("secret"), "{}", said.text());
    assert!(signer(&repository) == public(&world, "ec.pem"));
    let said = at_terminal("", commit, "wrong\n");
    assert!(said.status != 0 && said.text().contains("is wrong"), "{} {}", said.status, said.text());
    // Ctrl-C is no, at once, and the terminal shows again what is typed.
    let said = at_terminal("", &format!("{commit}; stty -a"), "sec\u{3}");
    let text = said.text();
    assert!(text.contains("it was broken off") && !text.contains("sec\r"), "{text}");
    assert!(text.contains(" echo ") && text.contains("\nisig ") && text.contains(" eol = <undef>"), "{text}");
    // Without a terminal nobody is asked, and nothing hangs.
    let key = world.path("locked.pem");
    let script =
        format!("setsid -w '{}' --status-fd=2 -bsau file:{}", crate::support::PROGRAM, key.display());
    let run = world.run("sh", &["-c", &script]).input("x").status(3).any_stdout().any_stderr();
    let words = run.check().words();
    assert!(words.contains("wants a passphrase, and there is nobody to ask"), "{words}");
    // What aws-lc has no part in is said to be so, with what mends it.
    let protect =
        ["pkcs8", "-topk8", "-scrypt", "-in", "ec.pem", "-passout", "pass:secret", "-out", "locked.pem"];
    world.run("openssl", &protect).any_stderr().check();
    refused(&world, &["is protected in a way that is not used here", "openssl pkcs8 -topk8"]);
}

#[test]
fn a_repository_names_no_key() {
    let Some(world) = world("a_repository_names_no_key", &[]) else { return };
    let repository = at(&world);
    let marker = world.path("ran");
    let program = world.path("tmp/sigstore-kms-evil");
    fs::write(&program, format!("#!/bin/sh\ntouch '{}'\n", marker.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", world.path("tmp").display(), std::env::var("PATH").unwrap());
    let file = format!("file:{}", world.path("rsa.pem").display());
    for key in
        ["evil://x", "pkcs11:object=x?module-path=/tmp/evil.so", "pkcs11:", "ssh-agent:SHA256:x", &file]
    {
        repository.git(&["config", "--local", "user.signingKey", key]).check();
        let run = repository.git(&["commit", "-q", "--allow-empty", "-m", "m"]).env("PATH", &path);
        let outcome = run.any_status().any_stderr().any_stdout().check();
        assert_ne!(outcome.status, 0, "{key}");
        let run = repository.countersign(&["--status-fd=2", "-bsau", key]).env("PATH", &path);
        let words = run.input("x").status(3).any_stderr().check().words();
        assert!(
            words.contains("git asks for another signing key") || words.contains("PKCS#11 URI"),
            "{words}"
        );
    }
    assert!(!marker.exists(), "the program was run");
    // Nor can it take the user's own key away.
    use_key(&world, &format!("file:{}", world.path("ec.pem").display()));
    repository.git(&["config", "--local", "user.signingKey", "alice"]).check();
    let run = repository.git(&["commit", "-q", "--allow-empty", "-m", "m"]).any_status().any_stderr();
    assert_ne!(run.check().status, 0);
    // Names that git has for other formats are passed over, as ever.
    world.run("git", &["config", "--global", "--unset", "user.signingKey"]).check();
    for name in ["alice", "~/.ssh/id_ed25519.pub", "key::ssh-ed25519 AAAA"] {
        repository.git(&["config", "--local", "user.signingKey", name]).check();
        repository.commit("keyless");
    }
}

#[test]
fn one_login_serves_a_whole_rebase() {
    let test = "one_login_serves_a_whole_rebase";
    if skipped(test, "openssl") {
        return;
    }
    let auto_approve = Some(Identity::Email(ALICE.to_owned()));
    let world = World::with(Options { auto_approve, ..Options::default() });
    world.unset("SIGSTORE_ID_TOKEN");
    world.trust(ALICE);
    let opener = world.write("browser", include_str!("../support/browser.sh"));
    fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(world.path("run")).unwrap();
    fs::set_permissions(world.path("run"), fs::Permissions::from_mode(0o700)).unwrap();
    world.set("XDG_RUNTIME_DIR", world.path("run").to_str().unwrap());
    world.configure(&format!(
        "[countersign]\n urlOpener = '{}'\n issuer = {}",
        opener.display(),
        world.url()
    ));
    for key in ["ec.pem", "other.pem"] {
        let arguments = ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key];
        world.run("openssl", &arguments).any_stdout().any_stderr().check();
    }
    world.repository("r", "sha1");
    let logins = || fs::read_to_string(world.path("opened")).map_or(0, |opened| opened.lines().count());
    use_key(&world, &format!("file:{}", world.path("ec.pem").display()));
    for _ in 0..3 {
        signs(&world, "ec.pem");
    }
    assert_eq!(logins(), 1);
    // What is kept is no secret, and private all the same; and of no use for another key.
    let kept: Vec<_> =
        fs::read_dir(world.path("run/countersign")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [kept] = kept.as_slice() else { panic!("{kept:?}") };
    assert_eq!(fs::metadata(kept).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(kept).unwrap();
    use_key(&world, &format!("file:{}", world.path("other.pem").display()));
    signs(&world, "other.pem");
    assert_eq!(logins(), 2);
    // Nonsense costs a login and nothing else; whom it is for is considered anew.
    use_key(&world, &format!("file:{}", world.path("ec.pem").display()));
    fs::write(kept, "nonsense").unwrap();
    signs(&world, "ec.pem");
    assert_eq!(logins(), 3);
    fs::write(kept, String::from_utf8(before).unwrap().replace(ALICE, "eve@example.com")).unwrap();
    signs(&world, "ec.pem");
    assert_eq!(logins(), 4);
}

#[test]
fn the_doctor_says_which_key_signs() {
    let Some(world) = world("the_doctor_says_which_key_signs", &[]) else { return };
    let looked =
        || world.countersign(&["doctor", "--offline"]).any_status().any_stderr().any_stdout().check().text();
    assert!(!looked().contains("key "), "{}", looked());
    use_key(&world, &format!("file:{}", world.path("ec.pem").display()));
    assert!(looked().contains("ec.pem' signs, by a certificate of the instance"), "{}", looked());
    use_key(&world, "nobody://k");
    assert!(looked().contains("sigstore-kms-nobody: there is no such program"), "{}", looked());
}

#[test]
fn keys_of_no_use_are_said_to_be() {
    let Some(world) = world("keys_of_no_use_are_said_to_be", &[]) else { return };
    let make = |algorithm: &[&str], name: &str| {
        let arguments = [&["genpkey"], algorithm, &["-out", name]].concat();
        world.run("openssl", &arguments).any_stdout().any_stderr().check();
    };
    make(&["-algorithm", "ED25519"], "ed.pem");
    make(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"], "p384.pem");
    make(&["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"], "small.pem");
    world.write("nothing.pem", "nothing");
    for (file, words) in [
        ("ed.pem", "of a kind that is not used here"),
        ("p384.pem", "of a kind that is not used here"),
        ("small.pem", "of a kind that is not used here"),
        ("nothing.pem", "there is no key"),
        ("nowhere.pem", "cannot be read"),
    ] {
        use_key(&world, &format!("file:{}", world.path(file).display()));
        refused(&world, &[words, "hint: "]);
    }
    // Rekor v2 says which keys it takes; nothing is certified for another.
    use_key(&world, &format!("file:{}", world.path("rsa.pem").display()));
    let path = world.path("authority/signing_config.json");
    let mut config: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    config["rekorTlogUrls"][0]["majorApiVersion"] = 2.into();
    fs::write(path, config.to_string()).unwrap();
    refused(&world, &["takes P-256 keys only (Rekor v2)"]);
    use_key(&world, &format!("file:{}", world.path("ec.pem").display()));
    signs(&world, "ec.pem");
}

/// A program of Sigstore's plugin protocol, which keeps `key` and notes how it was called.
fn plugin(world: &World, key: &str, sign: &str) {
    let folder = world.path("home/bin");
    fs::create_dir_all(&folder).unwrap();
    let script = format!(
        "#!/bin/sh\nset -e\nprintf '%s %s\\n' \"$1\" \"$2\" >> '{log}'\ncase \"$2\" in\n\
         *'\"methodName\":\"publicKey\"'*)\n pem=$(openssl pkey -in '{key}' -pubout | openssl base64 -A)\n\
         printf '{{\"publicKey\":{{\"publicKeyPEM\":\"%s\"}}}}' \"$pem\" ;;\n\
         *'\"methodName\":\"signMessage\"'*)\n {sign} ;;\nesac\nexit 7\n",
        log = world.path("calls").display(),
        key = world.path(key).display(),
    );
    let program = folder.join("sigstore-kms-fake");
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    world.set("PATH", &format!("{}:{}", folder.display(), std::env::var("PATH").unwrap()));
}

fn signing(world: &World, key: &str) -> String {
    format!(
        "signature=$(openssl dgst -sha256 -sign '{}' | openssl base64 -A)\n \
         printf '{{\"signMessage\":{{\"signature\":\"%s\"}}}}' \"$signature\"",
        world.path(key).display()
    )
}

#[test]
fn a_kms_signs_by_sigstores_plugin_protocol() {
    let Some(world) = world("a_kms_signs_by_sigstores_plugin_protocol", &[]) else { return };
    use_key(&world, "fake://projects/p/keys/k");
    refused(&world, &["sigstore-kms-fake", "there is no such program in 'PATH'"]);
    for key in ["ec.pem", "rsa.pem"] {
        plugin(&world, key, &signing(&world, key));
        signs(&world, key);
    }
    let calls = fs::read_to_string(world.path("calls")).unwrap();
    let call: serde_json::Value =
        serde_json::from_str(calls.lines().next().unwrap().strip_prefix("1 ").unwrap()).unwrap();
    assert_eq!(call["initOptions"]["protocolVersion"], "1");
    assert_eq!(call["initOptions"]["keyResourceID"], "projects/p/keys/k");
    assert_eq!(call["initOptions"]["hashFunc"], 5, "Go's number for SHA-256");
    assert_eq!(call["methodName"], "publicKey");
    // What the program says, what it should not say, and what it does not say.
    plugin(&world, "ec.pem", "printf '{\"errorMessage\":\"no \\\\u001b[31m quota\"}'");
    refused(&world, &["sigstore-kms-fake: no \\u{1b}[31m quota"]);
    plugin(&world, "ec.pem", &signing(&world, "rsa.pem"));
    refused(&world, &["no signature by that key"]);
    plugin(&world, "ec.pem", "echo nonsense");
    refused(&world, &["its answer cannot be read"]);
    plugin(&world, "ec.pem", "head -c 2000000 /dev/zero");
    refused(&world, &["its answer is too long"]);
    plugin(&world, "ec.pem", "printf '{}'");
    refused(&world, &["it gave no signature"]);
    // A folder of the repository is no place for programs.
    fs::copy(world.path("home/bin/sigstore-kms-fake"), world.path("r/sigstore-kms-fake")).unwrap();
    world.set("PATH", &format!(".:{}", std::env::var("PATH").unwrap()));
    refused(&world, &["there is no such program in 'PATH'"]);
}

/// An ssh-agent that ends with the test.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_key_in_an_ssh_agent_signs() {
    let Some(world) = world("a_key_in_an_ssh_agent_signs", &["ssh-agent", "ssh-add", "ssh-keygen"]) else {
        return;
    };
    let socket = world.path("tmp/agent");
    let agent =
        Command::new("ssh-agent").args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn().unwrap();
    let _agent = Agent(agent);
    while !socket.exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    use_key(&world, "ssh-agent:SHA256:x");
    refused(&world, &["'SSH_AUTH_SOCK' is not set"]);
    world.set("SSH_AUTH_SOCK", socket.to_str().unwrap());
    refused(&world, &["there is no key 'SHA256:x'"]);
    for (kind, bits) in [("ecdsa", "256"), ("rsa", "2048"), ("ed25519", "256")] {
        let file = format!("id_{kind}");
        let arguments = ["-q", "-t", kind, "-b", bits, "-m", "PKCS8", "-N", "", "-f", &file];
        world.run("ssh-keygen", &arguments).any_stderr().any_stdout().check();
        world.run("ssh-add", &["-q", &file]).any_stderr().check();
        let listed = world.run("ssh-keygen", &["-lf", &file]).any_stdout().check().text();
        let fingerprint = listed.split(' ').nth(1).unwrap();
        for key in
            [format!("ssh-agent:{fingerprint}"), format!("ssh-agent:{}.pub", world.path(&file).display())]
        {
            use_key(&world, &key);
            if kind == "ed25519" {
                refused(&world, &["of a kind that is not used here"]);
            } else {
                signs(&world, &file);
            }
        }
    }
    use_key(&world, &format!("ssh-agent:{}.pub", world.path("id_rsa").display()));
    world.run("ssh-add", &["-q", "-D"]).any_stderr().check();
    refused(&world, &["the ssh-agent: it does not sign with the key"]);
}

#[cfg(feature = "pkcs11")]
#[test]
fn a_key_on_a_token_signs() {
    let Some(world) = world("a_key_on_a_token_signs", &["softhsm2-util"]) else { return };
    let modules = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"];
    let Some(module) = modules.into_iter().find(|module| fs::exists(module).unwrap()) else {
        eprintln!("SKIPPED: a_key_on_a_token_signs: libsofthsm2.so not found");
        return;
    };
    fs::create_dir(world.path("tokens")).unwrap();
    let configuration =
        format!("directories.tokendir = {}\nlog.level = ERROR\n", world.path("tokens").display());
    world.set("SOFTHSM2_CONF", world.write("softhsm2.conf", configuration).to_str().unwrap());
    let softhsm = |arguments: &[&str]| {
        world.run("softhsm2-util", arguments).any_stdout().any_stderr().check();
    };
    softhsm(&["--init-token", "--free", "--label", "my token", "--so-pin", "12345678", "--pin", "1234"]);
    for (key, label, id) in [("ec.pem", "ec", "01"), ("rsa.pem", "rsa", "02"), ("ec.pem", "twin", "03")] {
        softhsm(&["--import", key, "--token", "my token", "--label", label, "--id", id, "--pin", "1234"]);
    }
    world.write("pin", "1234\n");
    let uri = |what: &str, pin: &str| {
        let pin = world.path(pin);
        format!("pkcs11:token=my%20token;{what}?module-path={module}&pin-source=file:{}", pin.display())
    };
    for (what, key) in
        [("object=ec", "ec.pem"), ("id=%02", "rsa.pem"), ("object=rsa;id=%02;type=private", "rsa.pem")]
    {
        use_key(&world, &uri(what, "pin"));
        signs(&world, key);
    }
    use_key(&world, &uri("object=nothing", "pin"));
    refused(&world, &["there is no key 'nothing'"]);
    use_key(&world, &uri("object=ec;id=%02", "pin"));
    refused(&world, &["there is no key 'ec'"]);
    softhsm(&[
        "--import", "rsa.pem", "--token", "my token", "--label", "twin", "--id", "04", "--pin", "1234",
    ]);
    use_key(&world, &uri("object=twin", "pin"));
    refused(&world, &["2 keys fit 'twin'"]);
    world.write("wrong", "9999\n");
    use_key(&world, &uri("object=ec", "wrong"));
    refused(&world, &["the passphrase for 'my token' is wrong"]);
    use_key(&world, &uri("object=ec", "pin").replace("my%20token", "other"));
    refused(&world, &["there is no key 'ec'"]);
    use_key(&world, "pkcs11:object=ec?module-path=/nowhere.so");
    refused(&world, &["/nowhere.so"]);
}

#[test]
fn a_certificate_of_ones_own_takes_the_place_of_sigstore() {
    let Some(world) = world("a_certificate_of_ones_own_takes_the_place_of_sigstore", &[]) else { return };
    certificates(&world);
    world.write(
        "mail.cnf",
        format!(
            "[req]\ndistinguished_name = name\nprompt = no\n[name]\nCN = Alice\n[mail]\n\
             basicConstraints = critical,CA:FALSE\nkeyUsage = critical,digitalSignature\n\
             extendedKeyUsage = emailProtection\nsubjectAltName = email:{ALICE}\n"
        ),
    );
    let certify = |key: &str, name: &str| {
        let arguments = [
            "req",
            "-x509",
            "-key",
            key,
            "-config",
            "mail.cnf",
            "-extensions",
            "mail",
            "-days",
            "2",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-out",
            name,
        ];
        world.run("openssl", &arguments).any_stdout().any_stderr().check();
    };
    let policy = format!(
        "version = 1\nother_refs = \"refuse\"\n[[certificate_authority]]\nname = \"corp\"\nfile = \"ca.pem\"\n\
         [identity.alice]\nx509 = [{{ authority = \"corp\", subject = \"{ALICE}\" }}]\n\
         [[rule]]\nname = \"all\"\nrefs = [\"refs/**\"]\ncommits = [\"alice\"]\ntags = [\"alice\"]\n"
    );
    let policy = world.write("corp.toml", policy);
    let repository = at(&world);
    let (requests, name) = (world.requests(), "countersign.signingCertificate");
    for key in ["ec.pem", "rsa.pem"] {
        certify(key, "alice.pem");
        use_key(&world, &format!("file:{}", world.path(key).display()));
        world.run("git", &["config", "--global", name, world.path("alice.pem").to_str().unwrap()]).check();
        repository.commit("message");
        assert!(signer(&repository) == public(&world, key));
        let verify = ["verify", "--policy", policy.to_str().unwrap(), "HEAD"];
        repository.countersign(&verify).stdout_holds(&["good", "alice"]).any_stderr().check();
        // Whoever reads S/MIME reads it.
        let object = repository.object("commit", "HEAD");
        let commit = Commit::parse(HashKind::Sha1, &object).unwrap();
        world.write("signature.der", armor::decode(commit.signed.signature.as_ref().unwrap()).unwrap());
        world.write("payload", commit.signed.payload.segments().concat());
        let arguments = [
            "cms",
            "-verify",
            "-binary",
            "-inform",
            "DER",
            "-in",
            "signature.der",
            "-content",
            "payload",
            "-CAfile",
            "ca.pem",
            "-purpose",
            "smimesign",
        ];
        world.run("openssl", &arguments).any_stdout().any_stderr().check();
    }
    // Whose signatures are wanted holds for it as well.
    let set = |key: &str, value: &str| world.run("git", &["config", "--global", key, value]).check();
    let unset = |key: &str| world.run("git", &["config", "--global", "--unset", key]).check();
    let by = |committer: &str, status: i32| {
        let people = format!("author A <{ALICE}> 1 +0000\ncommitter C <{committer}> 1 +0000\n");
        let payload = format!("tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n{people}\nx\n");
        let key = format!("file:{}", world.path("rsa.pem").display());
        let run = repository.countersign(&["--status-fd=2", "-bsau", &key]).input(payload).status(status);
        run.any_stdout().any_stderr().check().words()
    };
    by("bob@example.com", 0);
    set("countersign.matchCommitter", "true");
    by(ALICE, 0);
    let words = by("bob@example.com", 3);
    assert!(words.contains("is for 'alice@example.com', and the committer is 'bob@example.com'"), "{words}");
    set("countersign.identity", "bob@example.com");
    let words = by(ALICE, 3);
    assert!(words.contains("is for 'alice@example.com', and 'countersign.identity' is 'bob@"), "{words}");
    unset("countersign.identity");
    unset("countersign.matchCommitter");
    set("gitsign.fulcioRoot", "/root.pem");
    unset("countersign.instance");
    refused(&world, &["'gitsign.fulcioRoot' of gitsign's does not work here"]);
    set("countersign.instance", "sandbox");
    unset("gitsign.fulcioRoot");
    assert_eq!(world.requests(), requests, "nobody was asked for anything");
    use_key(&world, &format!("file:{}", world.path("ec.pem").display()));
    refused(&world, &["the certificate is for another key"]);
    world.write("alice.pem", "nothing");
    refused(&world, &["holds no certificates"]);
    // A repository cannot have another certificate shown.
    world.run("git", &["config", "--global", "--unset", name]).check();
    certify("ec.pem", "alice.pem");
    repository.git(&["config", "--local", name, world.path("alice.pem").to_str().unwrap()]).check();
    signs(&world, "ec.pem");
}
