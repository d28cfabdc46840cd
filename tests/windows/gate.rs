//! The gate judges by the time of receipt, whatever time a signature states.

use crate::{
    kinds::{Stage, each, moment, wait_for},
    support::{Repository, now},
};

/// A server with the hook, and alice's repository.
fn server(stage: &Stage) -> Repository<'_> {
    let policy = stage.policy("", "", &[]);
    stage.world.bare("server.git", "sha1");
    let install = ["hook", "install", "--repository", "server.git", "--policy", &policy];
    stage.world.countersign(&install).any_stdout().check();
    stage.world.repository("work", "sha1")
}

/// Push `commit` to a branch of the server; what it said, if it refused.
fn push(repository: &Repository<'_>, commit: &str, branch: &str) -> Result<(), String> {
    let target = format!("{commit}:refs/heads/{branch}");
    let run = repository.git(&["push", "-q", "../server.git", &target]).any_status().any_stderr().check();
    if run.status == 0 { Ok(()) } else { Err(run.words()) }
}

#[test]
fn who_is_retired_cannot_backdate_past_it() {
    each("backdating at the gate", |stage| {
        let kind = stage.kind;
        let work = server(stage);
        let name = kind.name;
        let early = stage.commit(&work, "early");
        push(&work, &early, "main").unwrap();
        let retired = now();
        wait_for(retired);

        stage.policy("", &format!("retired = {}", moment(retired + 1)), &[]);
        let late = stage.commit_at(&work, "late", retired - 3600);
        wait_for(retired + 1);
        let late = if kind.proves_time {
            // What it proves is when it was made.
            work.git(&["reset", "-q", "--hard", &early]).check();
            stage.commit_at(&work, "later", retired - 3600)
        } else {
            late
        };
        let words = push(&work, &late, "main").unwrap_err();
        assert!(words.contains("('alice'), who counted until"), "{name}: {words}");
        assert!(words.contains("hint: sign it again with a key that counts now"), "{name}: {words}");

        // A new branch answers for its whole history: without an anchor nothing shows how old it is.
        let alone = push(&work, &early, "again");
        assert_eq!(alone.is_ok(), kind.proves_time, "{name}: {alone:?}");
        let retirement = format!("retired = {}", moment(retired + 1));
        stage.policy("", &retirement, &[(&early, retired + 2)]);
        assert_eq!(push(&work, &early, "late-anchor").is_ok(), kind.proves_time, "{name}: of after");
        stage.policy("", &retirement, &[(&early, retired + 1)]);
        push(&work, &early, "anchored").unwrap();
        push(&work, &late, "main").unwrap_err();
    });
}

#[test]
fn what_is_compromised_counts_under_an_anchor_alone() {
    each("compromise at the gate", |stage| {
        let kind = stage.kind;
        let work = server(stage);
        let early = stage.commit(&work, "early");
        let moment_of = now() + 3600;
        let window = format!(", compromised = {}", moment(moment_of));
        stage.policy(&window, "", &[]);
        let words = push(&work, &early, "main").unwrap_err();
        assert!(words.contains("counts no longer: others may hold the key since"), "{}: {words}", kind.name);
        stage.policy(&window, "", &[(&early, moment_of)]);
        push(&work, &early, "main").unwrap();
        let late = stage.commit_at(&work, "late", moment_of - 7200);
        push(&work, &late, "main").unwrap_err();
    });
}

#[test]
fn nobody_counts_before_the_time_has_come() {
    each("before the window", |stage| {
        let kind = stage.kind;
        let work = server(stage);
        let commit = stage.commit(&work, "early");
        stage.policy(&format!(", from = {}", moment(now() + 3600)), "", &[]);
        let words = push(&work, &commit, "main").unwrap_err();
        assert!(words.contains("('alice'), who counts from"), "{}: {words}", kind.name);
        stage.policy(&format!(", from = {}", moment(now() - 3600)), "", &[]);
        push(&work, &commit, "main").unwrap();
        if !kind.proves_time {
            let early = stage.commit_at(&work, "states an earlier time", now() - 7200);
            let words = push(&work, &early, "main").unwrap_err();
            assert!(words.contains("and the object states"), "{}: {words}", kind.name);
        }
    });
}

#[test]
fn what_was_accepted_in_time_stays_a_base() {
    each("a base of before the end", |stage| {
        let work = server(stage);
        let end = now() + 8;
        stage.policy(&format!(", until = {}", moment(end)), "", &[]);
        let early = stage.commit(&work, "early");
        push(&work, &early, "main").unwrap();
        wait_for(end);
        push(&work, &early, "topic").unwrap();
        let late = stage.commit_at(&work, "late", end - 3600);
        push(&work, &late, "topic").unwrap_err();
    });
}
