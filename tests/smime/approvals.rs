//! An approval that a program for S/MIME has signed, gpgsm or this one with a certificate of one's own: verified like
//! any signature, and counted for the person whom the policy knows by that certificate.

use std::process::Output;

use crate::workshop::{ALWAYS, MAIL, PROGRAM, ROOT, Workshop, policy, words, write};

const MAIN: &str = "refs/heads/main";
const APPROVALS: &str = "refs/countersign/approvals";

const PEOPLE: [(&str, &str); 3] = [
    ("alice", "subject = \"alice@corp.example\""),
    ("bob", "subject = \"rsa@corp.example\""),
    ("carol", "subject = \"carol@corp.example\""),
];

const RULES: &str = r#"
[[rule]]
name = "main"
refs = ["refs/heads/main"]
commits = ["alice", "bob", "carol"]
create = "allow"
threshold = 3
[[rule]]
name = "approvals"
refs = ["refs/countersign/approvals"]
commits = "unsigned"
create = "allow"
"#;

/// Approve the creation of the branch with `id`, as the user's configuration says that git signs.
fn approve(workshop: &Workshop, id: &str, configuration: &str) -> Output {
    let policy = workshop.path("policy.toml");
    let text =
        format!("[countersign]\n policy = {}\n[gpg]\n format = x509\n{configuration}", policy.display());
    write(&workshop.path(""), ".gitconfig", &text);
    let mut program = workshop.command(PROGRAM);
    program.current_dir(workshop.path("repository"));
    program.args(["approve", "--ref", MAIN, "--create", id]).output().unwrap()
}

/// By gpgsm, with the certificate of `name`.
fn gpgsm(name: &str) -> String {
    format!("[gpg \"x509\"]\n program = gpgsm\n[user]\n signingKey = {name}@corp.example\n")
}

/// By this program, with the key and the certificate of `name`.
fn own(workshop: &Workshop, name: &str) -> String {
    let file = |name: &str| workshop.path(name).display().to_string();
    format!(
        "[gpg \"x509\"]\n program = {PROGRAM}\n[user]\n signingKey = file:{}\n\
         [countersign]\n signingCertificate = {}\n",
        file(&format!("{name}.key")),
        file(&format!("{name}-chain.pem")),
    )
}

fn push(workshop: &Workshop, refs: &[&str]) -> (bool, String) {
    let mut git = workshop.command("git");
    let output = git
        .current_dir(workshop.path("repository"))
        .args(["push", "-q", "../server.git"])
        .args(refs)
        .output();
    let output = output.unwrap();
    (output.status.success(), words(&output))
}

#[test]
fn who_approves_by_a_certificate_counts_once_and_only_as_whom_the_policy_knows() {
    let Some(workshop) = Workshop::new("approvals by S/MIME", &["gpgsm", "gpgconf"]) else { return };
    workshop.key_as("rsa", &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    workshop.key_as("odd", &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    workshop.issue("rsa", "middle", MAIL, ALWAYS);
    workshop.issue("odd", "middle", MAIL, ALWAYS);
    workshop.issue("carol", "middle", MAIL, ALWAYS);
    // Another authority says that somebody is Carol.
    workshop.issue("stranger-root", "stranger-root", ROOT, ALWAYS);
    workshop.issue("stranger", "stranger-root", &MAIL.replace("NAME", "carol"), ALWAYS);
    workshop.gnupg(&["root"], &["root", "middle", "rsa", "odd"], &["rsa", "odd"]);
    write(&workshop.path(""), "corp.pem", &workshop.pem(&["root"]));
    write(&workshop.path(""), "carol-chain.pem", &workshop.pem(&["carol", "middle"]));
    write(&workshop.path(""), "stranger-chain.pem", &workshop.pem(&["stranger", "stranger-root"]));
    let policy = write(&workshop.path(""), "policy.toml", &policy("corp.pem", &PEOPLE, RULES));
    workshop.run("git", &["init", "-q", "--bare", "server.git"]);
    let install = ["hook", "install", "--repository", "server.git", "--policy", policy.to_str().unwrap()];
    workshop.run(PROGRAM, &install);
    let id = workshop.commit(&workshop.openssl_sign("alice", &["-certfile", "middle.pem"]));
    workshop.git(&["hash-object", "-t", "tree", "-w", "/dev/null"]);
    let main = format!("{id}:{MAIN}");
    let refused = |refs: &[&str], part: &str| {
        let (accepted, words) = push(&workshop, refs);
        assert!(!accepted && words.contains(part), "no {part:?} in {words}");
    };
    refused(&[&main], "1 of 3 persons vouches for it ('alice')");

    // Who is known to gpgsm and not to the policy, or by another authority, approves nothing.
    for configuration in [gpgsm("odd"), own(&workshop, "stranger")] {
        let said = approve(&workshop, &id, &configuration);
        assert!(said.status.code() == Some(3), "{}", words(&said));
    }
    let mut git = workshop.command("git");
    let kept = git.current_dir(workshop.path("repository")).args(["rev-parse", "-q", "--verify", APPROVALS]);
    assert!(!kept.output().unwrap().status.success(), "nothing was kept");

    let approved = |configuration: &str, name: &str| {
        let said = approve(&workshop, &id, configuration);
        let text = words(&said);
        assert!(said.status.success() && text.contains(&format!("approved as '{name}': ")), "{text}");
    };
    approved(&gpgsm("rsa"), "bob");
    refused(&[&main, APPROVALS], "2 of 3 persons vouch for it ('alice', 'bob')");
    approved(&gpgsm("rsa"), "bob");
    refused(&[&main, APPROVALS], "2 of 3 persons vouch for it ('alice', 'bob')");
    approved(&own(&workshop, "carol"), "carol");
    let (accepted, words) = push(&workshop, &[&main, APPROVALS]);
    assert!(accepted, "{words}");
}
