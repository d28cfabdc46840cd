//! Whose address stands in the headers of a commit: the signer's, where a rule says so.

use crate::Stage;

fn rules(more: &str) -> String {
    format!(
        "[[rule]]\nname = \"main\"\nrefs = [\"refs/heads/main\"]\ncommits = [\"alice\", \"bob\"]\n\
         create = \"allow\"\nrewind = \"allow\"\n{more}\n"
    )
}

/// A commit that `who` signed, with these addresses.
fn commit(stage: &Stage, who: &str, author: &str, committer: &str) {
    let token = stage.world.token(&format!("{who}@example.com"));
    let run = stage.work().git(&["commit", "-q", "--allow-empty", "-S", "-m", "x"]);
    let run = run.env("GIT_AUTHOR_EMAIL", author).env("GIT_COMMITTER_EMAIL", committer);
    run.env("SIGSTORE_ID_TOKEN", token).check();
}

#[test]
fn the_committer_or_the_author_has_to_be_the_signer() {
    let (alice, bob) = ("alice@example.com", "bob@example.com");
    let committer = "committer = \"signer\"";
    let stage = Stage::new(&rules(committer));
    let push = |who: &str, author: &str, committer: &str| {
        commit(&stage, who, author, committer);
        let pushed = stage.push("+HEAD", "refs/heads/main");
        stage.git(&["update-ref", "-d", "HEAD"]);
        pushed
    };
    push("alice", bob, alice).unwrap();
    let words = push("alice", alice, bob).unwrap_err();
    let wanted = "signed by 'alice', and its committer is 'bob@example.com', where the signer is \
                  'alice@example.com' (rule 'main')";
    assert!(words.contains(wanted), "{words}");
    assert!(words.contains("hint: set your address with 'git config user.email'"), "{words}");
    for other in ["Alice@example.com", "alice@EXAMPLE.com", "alice@example.com ", "", "alice"] {
        // Whatever git makes of it, it is not hers.
        commit(&stage, "alice", alice, alice);
        let text = stage.git(&["cat-file", "commit", "HEAD"]);
        let unsigned = text
            .split("gpgsig")
            .next()
            .unwrap()
            .replace("committer Alice <alice@example.com>", &format!("committer Alice <{other}>"));
        let token = stage.world.token(alice);
        stage.world.set("SIGSTORE_ID_TOKEN", &token);
        let commit = stage.work().store_signed_commit(format!("{unsigned}\nx\n").as_bytes());
        let words = stage.push(&format!("+{commit}"), "refs/heads/main").unwrap_err();
        assert!(words.contains(&format!("its committer is '{other}'")), "{words}");
        stage.git(&["update-ref", "-d", "HEAD"]);
    }

    stage.policy(&rules("author = \"signer\""));
    push("alice", alice, bob).unwrap();
    let words = push("alice", bob, alice).unwrap_err();
    assert!(
        words.contains("and its author is 'bob@example.com'") && words.contains("--reset-author"),
        "{words}"
    );
    // Somebody else whom the rule names is somebody else.
    push("bob", alice, alice).unwrap_err();

    let table = "subject = \"alice@example.com\" }]\n";
    let path = stage.policy(&rules(committer));
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace(table, &format!("{table}emails = [\"al@home.example\"]\n"))).unwrap();
    push("alice", bob, "al@home.example").unwrap();
    push("alice", bob, alice).unwrap();
    push("bob", bob, "al@home.example").unwrap_err();
}

#[test]
fn an_address_of_any_length_is_told_on_one_screen_and_nobodys() {
    let stage = Stage::new(&rules("committer = \"signer\""));
    let alice = "alice@example.com";
    commit(&stage, "alice", alice, alice);
    let text = stage.git(&["cat-file", "commit", "HEAD"]);
    let headers = text.split("gpgsig").next().unwrap();
    stage.world.set("SIGSTORE_ID_TOKEN", &stage.world.token(alice));
    for length in [1024, 1025, 1_000_000] {
        let address = format!("committer Alice <{}>", "x".repeat(length));
        let unsigned = headers.replace("committer Alice <alice@example.com>", &address);
        let commit = stage.work().store_signed_commit(format!("{unsigned}\nx\n").as_bytes());
        let words = stage.push(&format!("+{commit}"), "refs/heads/main").unwrap_err();
        assert!(words.contains("its committer is 'xxx") && words.len() < 4000, "{length}: {}", words.len());
        assert_eq!(words.contains("x (cut off)', where the signer is"), length > 1024);
    }
}
