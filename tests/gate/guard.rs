//! `--guard`: whatever moves a ref without a push is judged like one, in git's reference-transaction hook.

use std::fs;

use crate::{MAIN, REF, Run, Stage};

/// Branches that anybody may do anything with.
const TOPICS: &str = r#"
    [[rule]]
    name = "topics"
    refs = ["refs/heads/topic/*"]
    commits = "unsigned"
    create = "allow"
    rewind = "allow"
    delete = "allow"
"#;

fn guarded() -> Stage {
    Stage::with(&format!("{MAIN}{TOPICS}"), &["--guard"])
}

/// git as whoever works on the server runs it.
fn git<'s>(stage: &'s Stage, arguments: &[&str]) -> Run<'s> {
    stage.server().git(&[&["-c", "tag.gpgSign=false"], arguments].concat()).any_stdout().any_stderr()
}

#[track_caller]
fn done(stage: &Stage, arguments: &[&str]) {
    git(stage, arguments).check();
    let (status, words) = ledger(stage);
    assert_eq!(status, 0, "{arguments:?}: {words}");
}

#[track_caller]
fn refused(stage: &Stage, arguments: &[&str], part: &str) {
    let refs = |stage: &Stage| git(stage, &["for-each-ref"]).check().text();
    let before = refs(stage);
    let outcome = git(stage, arguments).any_status().check();
    assert!(outcome.status != 0 && outcome.words().contains(part), "{arguments:?}: {}", outcome.words());
    assert_eq!(refs(stage), before, "{arguments:?}");
}

fn ledger(stage: &Stage) -> (i32, String) {
    let run = stage.world.countersign(&["ledger", "verify", "--repository", "server.git"]);
    let outcome = run.any_status().any_stdout().any_stderr().check();
    (outcome.status, outcome.text() + &outcome.words())
}

fn entries(stage: &Stage, reference: &str) -> usize {
    let log = ["ledger", "log", "--repository", "server.git", "--json", reference];
    stage.world.countersign(&log).any_stdout().check().text().lines().count()
}

#[test]
fn what_moves_refs_without_a_push_is_judged_and_entered() {
    let stage = guarded();
    let one = stage.author().commit("one");
    stage.accepted(&[&format!("{one}:refs/heads/main")]);
    assert_eq!(entries(&stage, "refs/heads/main"), 1);
    let two = stage.author().commit("two");
    let unsigned = stage.unsigned("by nobody");
    stage.accepted(&[
        &format!("{two}:refs/heads/topic/two"),
        &format!("{unsigned}:refs/heads/topic/unsigned"),
    ]);
    done(&stage, &["for-each-ref"]);

    let not_signed = "it is not signed, where 'alice' has to sign";
    refused(&stage, &["update-ref", "refs/heads/main", &unsigned], not_signed);
    refused(&stage, &["branch", "release/1", &unsigned], not_signed);
    refused(&stage, &["tag", "v1", &one], "no rule names this ref");
    refused(&stage, &["tag", "-a", "-m", "v1", "v1", &one], "no rule names this ref");
    refused(&stage, &["update-ref", "-d", "refs/heads/main"], "refs/heads/main");
    refused(&stage, &["update-ref", "refs/countersign/ledger", &one], "refs/countersign/ledger");
    // One that may not is enough: the rest of the transaction does not happen either.
    let lines = format!("update refs/heads/topic/a {one}\nupdate refs/heads/main {unsigned}\n");
    let both = git(&stage, &["update-ref", "--stdin"]).input(lines).any_status().check();
    assert!(both.status != 0 && !stage.server().has("refs/heads/topic/a"), "{}", both.words());
    // What git was not told of what the ref holds is looked up.
    done(&stage, &["update-ref", "refs/heads/main", &two]);
    assert_eq!((stage.at("refs/heads/main"), entries(&stage, "refs/heads/main")), (two.clone(), 2));
    refused(&stage, &["update-ref", "refs/heads/main", &one], "refs/heads/main");
    done(&stage, &["branch", "release/1", &one]);
    done(&stage, &["branch", "-D", "topic/two"]);
    // Wherever git keeps refs.
    done(&stage, &["pack-refs", "--all"]);
    done(&stage, &["gc", "-q"]);
    refused(&stage, &["branch", "-D", "release/1"], "refs/heads/release/1");
    refused(&stage, &["update-ref", "-d", "refs/heads/main", &two], "refs/heads/main");
    done(&stage, &["update-ref", "-d", "refs/heads/topic/unsigned", &unsigned]);
    // By another name, and from elsewhere.
    let alias =
        git(&stage, &["symbolic-ref", "refs/heads/topic/alias", "refs/heads/main"]).any_status().check();
    if alias.status == 0 {
        refused(&stage, &["update-ref", "refs/heads/topic/alias", &unsigned], not_signed);
    } else {
        // Later ones (2.46) ask the hook of symbolic refs too.
        assert!(alias.words().contains("would become something else than an object"), "{}", alias.words());
    }
    let fetch = ["fetch", "-q", "../author", &format!("+{unsigned}:refs/heads/release/2")];
    refused(&stage, &fetch, not_signed);
    stage.accepted(&[&format!("{unsigned}:refs/heads/topic/b")]);
    stage.refused(&[&format!("{unsigned}:refs/heads/main")], &[not_signed]);
    let status = stage.status().any_status().any_stdout().check().text();
    assert!(
        status.contains("hooks/reference-transaction\n") && !status.contains("does not do its work"),
        "{status}"
    );
}

#[test]
fn a_branch_under_another_name_is_refused_or_told_by_the_ledger() {
    let stage = guarded();
    let one = stage.author().commit("one");
    stage.accepted(&[&format!("{one}:refs/heads/main")]);
    let unsigned = stage.unsigned("by nobody");
    stage.accepted(&[&format!("{unsigned}:refs/heads/topic/a")]);
    refused(&stage, &["branch", "-m", "main", "topic/b"], "refs/heads/main");
    // git asks about the old name, and moves the new one without a word.
    let renamed = git(&stage, &["branch", "-m", "topic/a", "release/1"]).any_status().check();
    let (status, words) = ledger(&stage);
    assert!(renamed.status != 0 || (status == 1 && words.contains("refs/heads/release/1")), "{words}");
}

#[test]
fn hooks_that_were_there_see_what_they_have_seen_before() {
    let stage = Stage::new(&format!("{MAIN}{TOPICS}"));
    let hooks = stage.world.path("server.git/hooks");
    stage.world.countersign(&["hook", "uninstall", "--repository", "server.git"]).any_stdout().check();
    for name in ["pre-receive", "reference-transaction"] {
        let path = hooks.join(name);
        let seen = stage.world.path(name);
        let text = format!("#!/bin/sh\necho \"$0 $*\" >>'{0}'\ncat >>'{0}'\n", seen.display());
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let seen = |name: &str| fs::read_to_string(stage.world.path(name)).unwrap_or_default();
    stage.install(&stage.root, &["--guard"]).any_stdout().check();
    let one = stage.author().commit("one");
    stage.accepted(&[&format!("{one}:refs/heads/main")]);
    let pushes = seen("pre-receive");
    assert!(pushes.contains("refs/heads/main"), "{pushes}");
    done(&stage, &["branch", "topic/a", &one]);
    refused(&stage, &["tag", "v1", &one], "no rule names this ref");
    assert_eq!(seen("pre-receive"), pushes, "no push");
    let transactions = seen("reference-transaction");
    for part in ["prepared", "committed", "aborted", "refs/heads/topic/a", "refs/tags/v1"] {
        assert!(transactions.contains(part), "{transactions}");
    }
    // It decides too.
    fs::write(hooks.join("reference-transaction.before-countersign"), "#!/bin/sh\nexit 1\n").unwrap();
    refused(&stage, &["branch", "topic/b", &one], "");
}

#[test]
fn nothing_is_moved_where_the_gate_cannot_do_its_work() {
    let stage = guarded();
    let one = stage.author().commit("one");
    stage.accepted(&[&format!("{one}:refs/heads/main")]);
    let gate = stage.world.path("server.git/hooks/pre-receive");
    let text = fs::read(&gate).unwrap();
    fs::remove_file(&gate).unwrap();
    refused(&stage, &["branch", "topic/a", &one], "");
    let status = stage.status().status(1).any_stdout().check().text();
    assert!(status.contains("no hook is installed"), "{status}");
    fs::write(&gate, text).unwrap();
    fs::set_permissions(&gate, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    done(&stage, &["branch", "topic/a", &one]);
    let intents = stage.world.path("server.git/countersign/intents");
    fs::write(intents.join("00000000000000000001-00000000000000000000000000000000.intent"), "damaged")
        .unwrap();
    refused(&stage, &["branch", "topic/b", &one], "intent");
    fs::remove_dir_all(&intents).unwrap();
    // What an older git passes over, a newer one reads other refs by.
    let run = git(&stage, &["branch", "topic/b", &one]).env("GIT_REFERENCE_BACKEND", "files");
    let outcome = run.any_status().check();
    assert!(outcome.status != 0 && !stage.server().has("refs/heads/topic/b"), "{}", outcome.words());
    done(&stage, &["branch", "topic/b", &one]);
}

#[test]
fn a_guard_that_nobody_would_run_is_not_installed() {
    let stage = Stage::new(MAIN);
    for (options, status, words) in [
        (&["--guard", "--no-ledger"][..], 64, "--no-ledger"),
        (&["--guard", "--hooks", "post-receive"], 3, "nothing would run the reference-transaction hook"),
        (&["--guard", "--forge", "gitlab=git.example.com"], 3, "leave '--guard' out"),
    ] {
        stage.install(&stage.root, options).status(status).stderr_holds(&[words]).check();
    }
    assert!(stage.server().has(REF));
    // Without it nothing else is asked.
    done(&stage, &["for-each-ref"]);
    let one = stage.author().commit("one");
    stage.accepted(&[&format!("{one}:refs/heads/main")]);
    git(&stage, &["tag", "v1", &one]).check();
    assert_eq!(ledger(&stage).0, 1);
}
