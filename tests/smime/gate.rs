//! A policy that names X.509 subjects: at the gate, in `countersign verify` and `inspect`, and as git's program.

use crate::{
    message::Message,
    workshop::{ALWAYS, MAIL, MIDDLE_OF_2021, PROGRAM, ROOT, Workshop, YEAR_2021, words, write},
};

const RULES: &str = r#"
[[rule]]
name = "all"
refs = ["refs/**"]
commits = ["alice", "former"]
tags = ["alice"]
create = "allow"
"#;

/// A server with a policy that names alice by her address and a former colleague by his certificate.
fn server(test: &str) -> Option<(Workshop, String)> {
    let workshop = Workshop::new(test, &[])?;
    workshop.issue("bob", "middle", MAIL, ALWAYS);
    workshop.issue("former", "middle", MAIL, YEAR_2021);
    workshop.issue("stranger-root", "stranger-root", ROOT, ALWAYS);
    workshop.issue("stranger", "stranger-root", &MAIL.replace("NAME", "alice"), ALWAYS);
    std::fs::create_dir_all(workshop.path("policy/keys")).unwrap();
    write(&workshop.path("policy/keys"), "corp.pem", &workshop.pem(&["root"]));
    let former = ["x509", "-in", "former.pem", "-noout", "-fingerprint", "-sha256"];
    let former = workshop.run("openssl", &former);
    let former = former.trim().split_once('=').unwrap().1;
    let former = format!("certificate = \"{former}\"");
    let people = [("alice", "subject = \"alice@corp.example\""), ("former", former.as_str())];
    let text = crate::workshop::policy("keys/corp.pem", &people, RULES);
    let policy = write(&workshop.path("policy"), "policy.toml", &text);
    workshop.run("git", &["init", "-q", "--bare", "server.git"]);
    let policy = policy.to_str().unwrap().to_owned();
    workshop.run(PROGRAM, &["hook", "install", "--repository", "server.git", "--policy", &policy]);
    Some((workshop, policy))
}

fn signed(workshop: &Workshop, name: &str) -> String {
    workshop.commit(&workshop.openssl_sign(name, &["-certfile", "middle.pem"]))
}

fn push(workshop: &Workshop, id: &str, reference: &str) -> (bool, String) {
    // Git checks what is pushed as a whole, so that the empty tree has to be there.
    workshop.git(&["hash-object", "-t", "tree", "-w", "/dev/null"]);
    let mut git = workshop.command("git");
    git.current_dir(workshop.path("repository"));
    let output = git.args(["push", "-q", "../server.git", &format!("{id}:{reference}")]).output().unwrap();
    (output.status.success(), words(&output))
}

#[test]
fn the_gate_lets_in_whom_the_policy_names_by_address_or_certificate() {
    let Some((workshop, policy)) = server("S/MIME at the gate") else { return };
    let former = workshop.commit(&Message::by("former").armored(&workshop));
    for (index, id) in [signed(&workshop, "alice"), former].iter().enumerate() {
        let (accepted, words) = push(&workshop, id, &format!("refs/heads/{index}"));
        assert!(accepted, "{words}");
    }
    let late = Message::by("former").at(MIDDLE_OF_2021 + 365 * 86_400);
    for (id, cause) in [
        (
            signed(&workshop, "bob"),
            "have the policy's owner add { authority = \"corp\", subject = \"bob@corp.example\" }",
        ),
        // The address is right, the authority is another.
        (
            signed(&workshop, "stranger"),
            "no certificate authority that counts here issued the signer's certificate",
        ),
        (
            workshop.commit(&late.armored(&workshop)),
            "the key had expired by the time that the signature states",
        ),
        (workshop.commit(&workshop.openssl_sign("alice", &["-noattr"])), "cannot be told"),
    ] {
        let (accepted, words) = push(&workshop, &id, "refs/heads/refused");
        assert!(!accepted && words.contains(cause), "{cause}: {words}");
    }
    let check = workshop.run(PROGRAM, &["policy", "check", &policy]);
    assert!(check.contains("2 identities"), "{check}");
    let shim = std::fs::read_to_string(workshop.path("server.git/hooks/pre-receive")).unwrap();
    assert!(shim.contains("--certificate-authority 'corp="), "{shim}");
    let status = workshop.command(PROGRAM).args(["hook", "status", "--repository", "server.git"]).output();
    assert!(words(&status.unwrap()).contains("certificate authority 'corp': "));
    // The hook goes by the files that it was installed with.
    std::fs::remove_file(workshop.path("policy/keys/corp.pem")).unwrap();
    let (accepted, words) = push(&workshop, &signed(&workshop, "alice"), "refs/heads/later");
    assert!(!accepted && words.contains("corp.pem' cannot be read"), "{words}");
}

#[test]
fn tags_and_merged_tags_are_judged_too() {
    let Some((workshop, policy)) = server("S/MIME tags") else { return };
    let commit = signed(&workshop, "alice");
    let body =
        format!("object {commit}\ntype commit\ntag v1\ntagger A <a@example.org> 1600000000 +0000\n\nv1\n");
    write(&workshop.path(""), "payload", &body);
    let sign = ["cms", "-sign", "-binary", "-in", "payload", "-outform", "DER", "-certfile", "middle.pem"];
    let by = |name: &str| {
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        let signer = ["-signer", &certificate, "-inkey", &key];
        let armor = crate::workshop::armor(&workshop.bytes("openssl", &[&sign[..], &signer].concat()));
        let file = write(&workshop.path(""), "object", &format!("{body}{armor}"));
        workshop.git(&["hash-object", "-t", "tag", "-w", file.to_str().unwrap()]).trim().to_owned()
    };
    let verify = |id: &str| {
        let mut program = workshop.command(PROGRAM);
        program.current_dir(workshop.path("repository"));
        let output = program.args(["verify", "--policy", &policy, "--json", id]).output().unwrap();
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code().unwrap(), value)
    };
    let (code, value) = verify(&by("alice"));
    assert_eq!((code, value["status"].as_str(), value["name"].as_str()), (0, Some("good"), Some("alice")));
    assert_eq!(value["keys"][0], "X.509 alice@corp.example of corp");
    assert_eq!(value["signingKey"].as_str().map(str::len), Some(64));
    assert!(value["statedTime"].is_i64());
    let (code, value) = verify(&by("bob"));
    assert_eq!((code, value["status"].as_str()), (1, Some("refused")));
}

#[test]
fn people_and_machines_read_who_signed() {
    let Some((workshop, policy)) = server("S/MIME in reports") else { return };
    let run = |arguments: &[&str]| {
        let mut program = workshop.command(PROGRAM);
        let output = program.current_dir(workshop.path("repository")).args(arguments).output().unwrap();
        (output.status.code().unwrap(), words(&output))
    };
    let id = signed(&workshop, "alice");
    let stranger = signed(&workshop, "stranger");
    let former = workshop.commit(&Message::by("former").armored(&workshop));
    let (code, text) = run(&["verify", "--policy", &policy, &id]);
    assert!(code == 0 && text.contains("alice = X.509 alice@corp.example of corp"), "{text}");
    let (code, text) = run(&["verify", "--policy", &policy, &former]);
    assert!(code == 0 && text.contains("key expired since"), "{text}");
    for format in ["sarif", "junit"] {
        let (code, text) = run(&["verify", "--policy", &policy, "--format", format, &id, &stranger]);
        assert!(code == 2 && text.contains("no certificate authority that counts here"), "{format}: {text}");
    }
    let (code, text) = run(&["verify", &id]);
    assert!(code == 2 && text.contains("under '[[certificate_authority]]'"), "{text}");

    let setting = format!("countersign.policy={policy}");
    workshop.run("git", &["config", "--file", ".gitconfig", "countersign.policy", &policy]);
    let (code, text) = run(&["inspect", &id]);
    assert_eq!(code, 0, "{text}");
    for part in [
        "kind: S/MIME (CMS)\n",
        "(the content's)\n",
        "certificate for: CN=alice, O=Corp\n",
        "certificate issuer: CN=middle, O=Corp\n",
        "  x509 = [{ authority = \"corp\", subject = \"alice@corp.example\" }]\n",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (code, text) = run(&["inspect", &stranger]);
    assert!(code == 2 && !text.contains("x509 = "), "no policy line for what is not proven: {text}");

    // As git's program a policy decides alone.
    for (id, letter, accepted) in [
        (&id, "G", true),
        (&former, "Y", true),
        (&stranger, "E", false),
        (&signed(&workshop, "bob"), "E", false),
    ] {
        assert_eq!(workshop.log(PROGRAM, id, "%G?"), letter);
        let (taken, text) = workshop.verify(PROGRAM, id, &[&setting]);
        // Versions of git differ in whether a key that has expired since is enough.
        assert!(taken == accepted || letter == "Y", "{text}");
    }
}
