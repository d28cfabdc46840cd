//! One table: how gpgsm and countersign judge the same commit, each as git's program for X.509.

use std::os::unix::fs::symlink;

use crate::{
    message::{Message, message_digest},
    workshop::{ALWAYS, MAIL, MIDDLE_OF_2021, PROGRAM, ROOT, Workshop, YEAR_2021, words, write},
};

/// What git prints of a commit with gpgsm and with countersign.
fn letters(workshop: &Workshop, id: &str) -> (String, String) {
    (workshop.log("gpgsm", id, "%G?"), workshop.log(PROGRAM, id, "%G?"))
}

fn workshop(test: &str) -> Option<Workshop> {
    let workshop = Workshop::new(test, &["gpgsm", "gpgconf"])?;
    workshop.issue_for(
        "titled",
        "/O=Corp/CN=Title Holder/emailAddress=titled@corp.example",
        "middle",
        MAIL,
        ALWAYS,
    );
    workshop.key_as("rsa", &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
    workshop.issue("rsa", "middle", MAIL, ALWAYS);
    workshop.issue("stranger-root", "stranger-root", ROOT, ALWAYS);
    workshop.issue("stranger", "stranger-root", MAIL, ALWAYS);
    workshop.issue("former", "middle", MAIL, YEAR_2021);
    workshop.issue("unheard-of", "middle", MAIL, ALWAYS);
    workshop.issue("server", "middle", &MAIL.replace("emailProtection", "serverAuth"), ALWAYS);
    workshop.gnupg(&["root"], &["root", "middle", "alice", "former"], &["rsa"]);
    Some(workshop)
}

#[test]
fn git_reads_the_same_of_both() {
    let Some(workshop) = workshop("gpgsm beside countersign") else { return };
    let by_hand = |message: Message| message.armored(&workshop);
    let chain = ["-certfile", "middle.pem"];
    let tampered = by_hand(Message::by("alice").with(|m| m.command = vec!["dgst", "-sha384", "-sign"]));
    let other_content = by_hand(Message::by("alice").with(|m| m.attributes[2] = message_digest(&[7; 32])));
    for (what, armor, expected) in [
        ("gpgsm's own", workshop.gpgsm_sign("rsa", None), "G"),
        ("gpgsm's own of another time", workshop.gpgsm_sign("rsa", Some(MIDDLE_OF_2021)), "G"),
        ("openssl's", workshop.openssl_sign("alice", &chain), "G"),
        (
            "openssl's with SHA-384",
            workshop.openssl_sign("rsa", &[&chain[..], &["-md", "sha384"]].concat()),
            "G",
        ),
        ("without the intermediate authority", workshop.openssl_sign("alice", &[]), "G"),
        ("without any certificate", workshop.openssl_sign("alice", &["-nocerts"]), "G"),
        ("with an address in its name", workshop.openssl_sign("titled", &chain), "G"),
        ("in BER", crate::workshop::armor(&Message::by("alice").ber(&workshop)), "G"),
        ("a certificate that has expired since", by_hand(Message::by("former")), "Y"),
        ("an unknown authority", workshop.openssl_sign("stranger", &[]), "U"),
        ("a wrong signature", tampered, "B"),
        ("other content", other_content, "B"),
    ] {
        let id = workshop.commit(&armor);
        if what == "in BER" && workshop.log("gpgsm", &id, "%G?") != expected {
            continue; // gpgsm takes no signature in pieces
        }
        assert_eq!(letters(&workshop, &id), (expected.to_owned(), expected.to_owned()), "{what}");
        // git has no word for the trust in a bad signature, and stops.
        let format = if expected == "B" { "%GK|%GF|%GP|%GS" } else { "%GK|%GF|%GP|%GS|%GT" };
        assert_eq!(workshop.log("gpgsm", &id, format), workshop.log(PROGRAM, &id, format), "{what}");
        let [theirs, ours] = ["gpgsm", PROGRAM].map(|program| workshop.verify(program, &id, &[]));
        assert_eq!(theirs.0, ours.0, "{what}: {} {}", theirs.1, ours.1);
        let lines = |text: &str| -> Vec<String> {
            let status = text.lines().filter(|line| line.starts_with("[GNUPG:]"));
            // The number of gpgsm's error says why a chain is not trusted.
            let line = |line: &str| line.split("UNDEFINED").next().unwrap_or_default().to_owned();
            status.filter(|line| !line.contains(" PROGRESS ")).map(line).collect()
        };
        assert_eq!(lines(&theirs.1), lines(&ours.1), "{what}");
    }
}

#[test]
fn a_root_that_is_not_marked_is_not_trusted() {
    let Some(workshop) = workshop("trustlist.txt") else { return };
    let id = workshop.commit(&workshop.openssl_sign("alice", &["-certfile", "middle.pem"]));
    let list = workshop.path("gnupg");
    let fingerprint = workshop.sha1("root");
    let plain = fingerprint.replace(':', "");
    for (text, expected) in [
        (format!("{fingerprint} S\n"), "G"),
        (format!("# mine\n{plain} *\n"), "G"),
        (format!("{} S relax\n", plain.to_lowercase()), "G"),
        (format!("!{plain} S\n"), "U"),
        (format!("# {plain} S\n"), "U"),
        (format!("{} S\n", workshop.sha1("middle")), "U"),
    ] {
        write(&list, "trustlist.txt", &text);
        let _ = workshop.command("gpgconf").args(["--kill", "gpg-agent"]).output();
        assert_eq!(letters(&workshop, &id), (expected.to_owned(), expected.to_owned()), "{text}");
        let accepted = expected == "G";
        assert_eq!(workshop.verify(PROGRAM, &id, &[]).0, accepted, "{text}");
    }
    // gpg-agent(1) has this mark for OpenPGP alone, and gpgsm 2.2 takes it all the same.
    write(&list, "trustlist.txt", &format!("{plain} P\n"));
    assert_eq!(workshop.log(PROGRAM, &id, "%G?"), "U");
}

#[test]
fn without_a_policy_reports_name_nobody_and_say_what_gnupg_knows() {
    let Some(workshop) = workshop("S/MIME without a policy") else { return };
    let id = workshop.commit(&workshop.openssl_sign("alice", &["-nocerts"]));
    let run = |arguments: &[&str]| {
        let mut program = workshop.command(PROGRAM);
        let output = program.current_dir(workshop.path("repository")).args(arguments).output().unwrap();
        (output.status.code().unwrap(), words(&output))
    };
    let (code, text) = run(&["verify", &id]);
    assert!(code == 2 && text.contains("X.509 alice@corp.example of GnuPG"), "{text}");
    let (code, text) = run(&["inspect", &id]);
    assert_eq!(code, 0, "{text}");
    for part in [
        "certificates in it: 0\n",
        "certificate for: CN=alice, O=Corp\n",
        "  x509 = [{ authority = \"GnuPG\", subject = \"alice@corp.example\" }]\n",
        "[[certificate_authority]]",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn without_gpgsm_its_files_are_read() {
    let Some(workshop) = workshop("GnuPG's files without gpgsm") else { return };
    let id = workshop.commit(&workshop.openssl_sign("alice", &["-nocerts"]));
    let folder = workshop.path("programs");
    std::fs::create_dir(&folder).unwrap();
    let git = workshop.run("sh", &["-c", "command -v git"]);
    symlink(git.trim(), folder.join("git")).unwrap();
    let mut git = workshop.command("git");
    git.env("PATH", &folder).current_dir(workshop.path("repository"));
    let program = format!("gpg.x509.program={PROGRAM}");
    let output = git.args(["-c", &program, "log", "-1", "--format=%G?", &id]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "G");
}

#[test]
fn where_gpgsm_would_ask_for_revocation_nothing_is_trusted() {
    let Some(workshop) = workshop("revocation with gpgsm") else { return };
    let id = workshop.commit(&workshop.openssl_sign("alice", &["-certfile", "middle.pem"]));
    assert_eq!(workshop.log(PROGRAM, &id, "%G? %GT"), "G fully");
    write(&workshop.path("gnupg"), "gpgsm.conf", "# disable-crl-checks\n");
    assert_eq!(workshop.log(PROGRAM, &id, "%G? %GT"), "U undefined");
    let (accepted, words) = workshop.verify(PROGRAM, &id, &[]);
    assert!(accepted && words.contains("GOODSIG"), "{words}");
    let (accepted, _) = workshop.verify(PROGRAM, &id, &["gpg.minTrustLevel=marginal"]);
    assert!(!accepted);
}

#[test]
fn what_gpgsm_takes_and_should_not_is_refused() {
    let Some(workshop) = workshop("stricter than gpgsm") else { return };
    let chain = ["-certfile", "middle.pem"];
    let former_later = Message::by("former").at(MIDDLE_OF_2021 + 365 * 86_400);
    for (what, armor, theirs, ours) in [
        ("SHA-1", workshop.openssl_sign("alice", &[&chain[..], &["-md", "sha1"]].concat()), "G", "E"),
        ("a certificate for servers", workshop.openssl_sign("server", &chain), "G", "E"),
        (
            "no signed attributes",
            workshop.openssl_sign("alice", &[&chain[..], &["-noattr"]].concat()),
            "G",
            "E",
        ),
        // git says that nothing is signed where gpgsm does not have the certificate.
        ("an unknown certificate", workshop.openssl_sign("unheard-of", &["-nocerts"]), "N", "E"),
        ("signed after the certificate's end", former_later.armored(&workshop), "Y", "Y"),
    ] {
        let id = workshop.commit(&armor);
        assert_eq!(letters(&workshop, &id), (theirs.to_owned(), ours.to_owned()), "{what}");
        assert!(!workshop.verify(PROGRAM, &id, &[]).0, "{what}");
    }
}

#[test]
fn a_repository_cannot_choose_what_is_trusted() {
    let Some(workshop) = workshop("a repository's own settings") else { return };
    let id = workshop.commit(&workshop.openssl_sign("stranger", &[]));
    let policy = "version = 1\nother_refs = \"refuse\"\n\
        [[certificate_authority]]\nname = \"own\"\nfile = \"own.pem\"\n\
        [identity.stranger]\nx509 = [{ authority = \"own\", subject = \"stranger@corp.example\" }]\n";
    let repository = workshop.path("repository");
    write(&repository, "own.pem", &workshop.pem(&["stranger-root"]));
    let policy = write(&repository, "policy.toml", policy);
    workshop.git(&["config", "countersign.policy", policy.to_str().unwrap()]);
    assert_eq!(workshop.log(PROGRAM, &id, "%G?"), "U", "local configuration names no policy");
    let setting = format!("countersign.policy={}", policy.display());
    let (accepted, words) = workshop.verify(PROGRAM, &id, &[&setting]);
    assert!(accepted && words.contains("TRUST_FULLY"), "the command line does: {words}");
}
