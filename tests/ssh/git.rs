//! git itself with `gpg.ssh.program`, beside the same git with `ssh-keygen`.

use std::os::unix::fs::symlink;

use crate::{
    software::Token,
    workshop::{PROGRAM, STATED, Workshop},
};

/// What git knows of a signature.
const FORMAT: &str = "--format=%G?|%GS|%GK|%GF|%GP";

/// Commits by several signers, their ids in order: key a, b (ECDSA), c (RSA), a certificate of d for alice
/// and bob that is valid in 2023 alone, e whom nobody names, nobody, a changed one, one by a security key
/// that somebody touched.
fn history(workshop: &Workshop) -> Vec<String> {
    workshop.repository();
    for (key, kind) in [
        ("a", &["ed25519"][..]),
        ("b", &["ecdsa", "-b", "256"]),
        ("c", &["rsa", "-b", "2048"]),
        ("d", &["ed25519"]),
        ("e", &["ed25519"]),
        ("ca", &["ed25519"]),
    ] {
        workshop.key(key, kind);
    }
    let validity = "20230101000000Z:20240101000000Z";
    workshop.certify("ca", "d", &["-I", "i", "-n", "alice,bob@example.org", "-V", validity]);
    let mut ids = Vec::new();
    let mut commit = |key: &str, date: i64| {
        let sign = if key.is_empty() { "--no-gpg-sign".to_owned() } else { format!("-S{key}") };
        let date = format!("{date} +0300");
        let mut command = workshop.command("git");
        command.env("GIT_COMMITTER_DATE", &date).env("GIT_AUTHOR_DATE", &date);
        command.args(["-C", "r", "commit", "-q", "--allow-empty", "-m", "message", &sign]);
        workshop.run_command(command, b"").good();
        ids.push(workshop.git(&["rev-parse", "HEAD"]).good().trim_end().to_owned());
    };
    let path = |name: &str| workshop.path(name).to_str().unwrap().to_owned();
    for key in ["a", "b", "c", "d-cert.pub", "e"] {
        commit(&path(key), STATED);
    }
    commit("", STATED);
    commit(&path("d-cert.pub"), STATED + 20_000_000);
    commit(&path("a"), STATED + 20_000_000);

    let store = |object: &[u8]| {
        let arguments = ["-C", "r", "hash-object", "-w", "-t", "commit", "--stdin"];
        workshop.run("git", &arguments, object).good().trim_end().to_owned()
    };
    let raw = workshop.git(&["cat-file", "commit", &ids[0]]).good();
    ids.push(store(format!("{raw}and more\n").as_bytes()));
    let bare = workshop.git(&["cat-file", "commit", &ids[5]]).good();
    for token in Token::both() {
        workshop.write(&format!("{}.pub", token.name()), token.line());
        let armor = String::from_utf8(token.armor(token.blob(), bare.as_bytes(), 1)).unwrap();
        let header = format!("gpgsig {}\n\n", armor.trim_end().replace('\n', "\n "));
        ids.push(store(bare.replacen("\n\n", &format!("\n{header}"), 1).as_bytes()));
    }
    ids
}

/// What git says with `program`: the fields and the status of verify-commit for each commit.
fn answers(workshop: &Workshop, program: &str, ids: &[String], more: &[&str]) -> Vec<(String, i32)> {
    let program = format!("gpg.ssh.program={program}");
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let ask = |arguments: &[&str]| workshop.git(&[&["-c", &program], more, arguments].concat());
    let log = |format: &str, ids: &[&str]| {
        let text = ask(&[&["log", "--no-walk=unsorted", format], ids].concat()).good();
        text.lines().map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let fields = log(FORMAT, &ids);
    assert_eq!(fields.len(), ids.len());
    // git aborts where it is asked for a trust level that nobody has named.
    let good = ids.iter().zip(&fields).filter(|(_, fields)| fields.starts_with(['G', 'U']));
    let good: Vec<&str> = good.map(|(id, _)| *id).collect();
    let mut levels = if good.is_empty() { Vec::new() } else { log("--format=%GT", &good) }.into_iter();
    let answer = |(id, fields): (&&str, String)| {
        let level = if fields.starts_with(['G', 'U']) { levels.next().unwrap() } else { String::new() };
        (format!("{fields}|{level}"), ask(&["verify-commit", id]).status)
    };
    ids.iter().zip(fields).map(answer).collect()
}

#[test]
fn git_shows_what_it_shows_with_ssh_keygen() {
    for zone in ["UTC", "Asia/Kolkata"] {
        let Some(workshop) = Workshop::open("git with ssh") else { return };
        let workshop = workshop.in_zone(zone);
        let mut ids = history(&workshop);
        let key = |name: &str| workshop.public(name);
        let all = format!(
            "a@example.org {}\nb@example.org,second {}\n\"c c\" {}\n*@example.org,ali* cert-authority {}\nsk1 {}\nsk2 {}\n",
            key("a"),
            key("b"),
            key("c"),
            key("ca"),
            key("sk-ssh-ed25519@openssh.com"),
            key("sk-ecdsa-sha2-nistp256@openssh.com"),
        );
        // 2023-11-14 22:13:20 UTC is the stated time; a bound half an hour off shows whose time zone counts.
        let lists = [
            all.clone(),
            String::new(),
            format!("x namespaces=\"file\" {}\ny {}\n", key("a"), key("a")),
            format!("x valid-before=\"20231114224320\" {}\n", key("a")),
            format!("x valid-before=\"20231115034320\" {}\n", key("a")),
            format!("x valid-before=\"20231114214320Z\" {}\ny {}\n", key("a"), key("a")),
            format!("x valid-after=\"20231114224320Z\" {}\n", key("a")),
            format!("x cert-authority {}\nz {}\n", key("a"), key("d")),
            format!("x bogus {}\ny what {}\nalice cert-authority {}\n", key("a"), key("b"), key("ca")),
            format!("# {}\n\n*,!a* {}\n?b {}\n", key("a"), key("a"), key("b")),
        ];
        // Only times depend on the zone, and the first commit is the one that they are about.
        let lists = if zone == "UTC" { &lists[..] } else { &lists[3..7] };
        if zone != "UTC" {
            ids.truncate(1);
        }
        let revoked = format!(
            "gpg.ssh.revocationFile={}",
            workshop.write("revoked", format!("{}\n{}\n", key("b"), key("e")))
        );
        for (index, list) in lists.iter().enumerate() {
            let option = format!("gpg.ssh.allowedSignersFile={}", workshop.write("allowed", list));
            let with_revoked = ["-c", &option, "-c", &revoked];
            let options: [&[&str]; 2] = [&with_revoked[..2], &with_revoked];
            for more in &options[..if index == 0 { 2 } else { 1 }] {
                let theirs = answers(&workshop, "ssh-keygen", &ids, more);
                assert_eq!(answers(&workshop, PROGRAM, &ids, more), theirs, "{zone} {index} {more:?}");
                if *list == all {
                    let letters: String = theirs.iter().map(|(fields, _)| &fields[..1]).collect();
                    assert_eq!(letters, if more.len() == 2 { "GGGGUNUGBGG" } else { "GBGGUNUGBGG" });
                    assert!(theirs[3].0.starts_with("G|bob@example.org|SHA256:"), "{theirs:?}");
                }
            }
        }
    }
}

#[test]
fn tags_and_minimal_trust_are_as_with_ssh_keygen() {
    let Some(workshop) = Workshop::open("git tags with ssh") else { return };
    let ids = history(&workshop);
    let allowed = workshop.write("allowed", format!("a {}\n", workshop.public("a")));
    let tag = |name: &str, key: &str| {
        let key = workshop.path(key);
        workshop.git(&["tag", "-s", "-u", key.to_str().unwrap(), "-m", "m", name, &ids[0]]).good();
    };
    tag("by-a", "a");
    tag("by-e", "e");
    let option = format!("gpg.ssh.allowedSignersFile={allowed}");
    for level in ["undefined", "fully", "ultimate"] {
        let minimum = format!("gpg.minTrustLevel={level}");
        let ask = |program: &str, name: &str| {
            let program = format!("gpg.ssh.program={program}");
            workshop.git(&["-c", &option, "-c", &minimum, "-c", &program, "verify-tag", name]).status
        };
        for name in ["by-a", "by-e"] {
            assert_eq!(ask(PROGRAM, name), ask("ssh-keygen", name), "{level} {name}");
        }
    }
}

#[test]
fn a_policy_can_only_refuse_more() {
    let Some(workshop) = Workshop::open("git with ssh and a policy") else { return };
    let ids = history(&workshop);
    let allowed =
        workshop.write("allowed", format!("a {}\nb {}\n", workshop.public("a"), workshop.public("b")));
    workshop.configure(&format!("[gpg \"ssh\"]\n allowedSignersFile = {allowed}\n"));
    let letters = |more: &[&str]| -> String {
        answers(&workshop, PROGRAM, &ids[..3], more).iter().map(|(fields, _)| &fields[..1]).collect()
    };
    assert_eq!(letters(&[]), "GGU");
    let policy = |keys: &[&str]| {
        let keys: Vec<_> = keys.iter().map(|key| format!("\"{}\"", workshop.public(key))).collect();
        let text =
            format!("version = 1\nother_refs = \"refuse\"\n[identity.x]\nssh = [{}]\n", keys.join(", "));
        workshop.write("policy.toml", text)
    };
    let named = policy(&["a", "c"]);
    // The repository's own word does not count.
    workshop.git(&["config", "countersign.policy", &named]).good();
    assert_eq!(letters(&[]), "GGU");
    workshop.configure(&format!("[countersign]\n policy = {named}\n"));
    assert_eq!(letters(&[]), "GUU", "b is not in the policy, c not in git's list");
    let said = workshop.git(&["-c", &format!("gpg.ssh.program={PROGRAM}"), "verify-commit", &ids[1]]);
    assert!(said.status == 1 && said.stderr.contains("whom the policy does not name"), "{said:?}");
    workshop.write("policy.toml", "nonsense");
    assert_eq!(letters(&[]), "UUU");

    // Of a certificate's principals the policy has to name the one that git's list gives.
    workshop.write("allowed", format!("* cert-authority {}\n", workshop.public("ca")));
    let certified = |principals: &[&str]| {
        let entries: Vec<_> = principals
            .iter()
            .map(|name| format!("{{ authority = \"{}\", principal = \"{name}\" }}", workshop.public("ca")))
            .collect();
        let identity = format!("[identity.x]\nssh_certificates = [{}]\n", entries.join(", "));
        workshop.write("policy.toml", format!("version = 1\nother_refs = \"refuse\"\n{identity}"));
        answers(&workshop, PROGRAM, &ids[3..4], &[]).remove(0).0
    };
    assert!(certified(&["bob@example.org"]).starts_with("G|bob@example.org|"));
    workshop.write("allowed", format!("al* cert-authority {}\n", workshop.public("ca")));
    assert!(certified(&["alice"]).starts_with("G|alice|"));
    let other = certified(&["bob@example.org"]);
    assert!(other.starts_with("U|") && !other.contains("alice"), "{other}");
}

#[test]
fn the_repository_takes_back_no_revocation_of_the_users() {
    let Some(workshop) = Workshop::open("git with ssh and revoked keys") else { return };
    let ids = history(&workshop);
    let allowed = workshop.write("allowed", format!("a {}\n", workshop.public("a")));
    let revoked = workshop.write("revoked", workshop.public("a"));
    let nothing = workshop.write("nothing", "");
    workshop
        .configure(&format!("[gpg \"ssh\"]\n allowedSignersFile = {allowed}\n revocationFile = {revoked}\n"));
    let letter = || answers(&workshop, PROGRAM, &ids[..1], &[])[0].0[..1].to_owned();
    assert_eq!(letter(), "B");
    workshop.git(&["config", "gpg.ssh.revocationFile", &nothing]).good();
    assert_eq!(letter(), "B");
}

#[test]
fn signing_goes_on_to_the_program_that_holds_the_key() {
    let Some(workshop) = Workshop::open("git signs with ssh") else { return };
    workshop.repository();
    workshop.key("a", &["ed25519"]);
    let key = workshop.path("a");
    workshop.configure(&format!(
        "[gpg \"ssh\"]\n program = {PROGRAM}\n[user]\n signingKey = {}\n[commit]\n gpgSign = true\n",
        key.display()
    ));
    let commit = ["-C", "r", "commit", "-q", "--allow-empty", "-m", "m"];
    workshop.run("git", &commit, b"").good();
    let said = workshop.countersign(&["inspect"]);
    assert!(said.status == 0 && said.stdout.contains(&workshop.fingerprint("a")), "{said:?}");
    assert!(said.stdout.contains(&format!("ssh = [\"{}\"]", workshop.public("a"))), "{said:?}");

    // This very program under the other's name is passed over.
    std::fs::create_dir(workshop.path("bin")).unwrap();
    symlink(PROGRAM, workshop.path("bin/ssh-keygen")).unwrap();
    let before = format!("{}:{}", workshop.path("bin").display(), std::env::var("PATH").unwrap());
    let mut command = workshop.command("git");
    command.args(commit).env("PATH", before);
    workshop.run_command(command, b"").good();

    let mut command = workshop.command(PROGRAM);
    command.args(["-Y", "sign", "-n", "git", "-f", "a", "payload"]).env("PATH", workshop.path("bin"));
    let said = workshop.run_command(command, b"");
    assert!(
        said.status == 3 && said.stderr.starts_with("error: 'ssh-keygen' is not in the PATH"),
        "{said:?}"
    );
}

#[test]
fn verify_goes_by_the_policy_or_gits_own_list() {
    let Some(workshop) = Workshop::open("countersign verify with ssh") else { return };
    let ids = history(&workshop);
    let verify = |more: &[&str], id: &str| {
        let said = workshop.countersign(&[&["verify"], more, &[id]].concat());
        (said.status, said.stdout.split(' ').next().unwrap_or_default().to_owned(), said.stdout, said.stderr)
    };
    assert_eq!((verify(&[], &ids[0]).0, verify(&[], &ids[0]).1), (2, "proven".to_owned()));
    assert_eq!(verify(&[], &ids[8]).0, 1, "changed");

    let list = format!(
        "a@example.org {}\nb valid-before=\"20200101Z\" {}\nal* cert-authority {}\n",
        workshop.public("a"),
        workshop.public("b"),
        workshop.public("ca")
    );
    let allowed = workshop.write("allowed", list);
    workshop.git(&["config", "gpg.ssh.allowedSignersFile", &allowed]).good();
    assert_eq!(verify(&[], &ids[0]).0, 2, "the repository's own list counts for nothing");
    workshop.configure(&format!("[gpg \"ssh\"]\n allowedSignersFile = {allowed}\n"));
    let statuses: Vec<i32> = ids[..7].iter().map(|id| verify(&[], id).0).collect();
    assert_eq!(statuses, [0, 1, 1, 0, 1, 1, 2]);
    assert!(verify(&[], &ids[0]).2.contains("a@example.org = SSH SHA256:"));
    assert!(verify(&[], &ids[3]).2.contains(" alice = SSH principal alice of SHA256:"));
    assert!(verify(&["--verbose"], &ids[0]).3.contains("SSH signers: allowed signers '"));
    let json: serde_json::Value = serde_json::from_str(&verify(&["--json"], &ids[3]).2).unwrap();
    assert_eq!((json["statedTime"].as_i64(), json["name"].as_str()), (Some(STATED), Some("alice")));
    assert_eq!(json["keyExpired"], true);

    let policy = format!(
        "version = 1\nother_refs = \"refuse\"\n[identity.carol]\nssh = [\"{}\"]\n[identity.dave]\n\
         ssh_certificates = [{{ authority = \"{}\", principal = \"bob@example.org\" }}]\n",
        workshop.public("c"),
        workshop.public("ca")
    );
    let policy = workshop.write("policy.toml", policy);
    let with_policy = ["--policy", &policy];
    let statuses: Vec<i32> = ids[..7].iter().map(|id| verify(&with_policy, id).0).collect();
    assert_eq!(statuses, [1, 1, 0, 0, 1, 1, 2], "git's list counts only where there is no policy");
    assert!(verify(&with_policy, &ids[3]).2.contains(" dave = "));

    let revoked = workshop.write("revoked", workshop.public("c"));
    workshop.configure(&format!("[gpg \"ssh\"]\n revocationFile = {revoked}\n"));
    let answer = verify(&with_policy, &ids[2]);
    assert!(answer.0 == 2 && answer.2.contains("the key is revoked"), "{answer:?}");
    workshop.write("revoked", "nonsense");
    assert_eq!(verify(&with_policy, &ids[2]).0, 3, "nobody knows what is revoked");
    workshop.write("revoked", "");
    workshop.write("allowed", "a bogus key\n");
    let answer = verify(&[], &ids[0]);
    assert!(answer.0 == 3 && answer.3.contains("line 1: "), "{answer:?}");
}
