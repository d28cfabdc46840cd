//! Every command, found by what the program itself knows of its commands: how it fails, that what it prints for
//! programs can be told apart later, and that half an answer is never taken for the whole.

use clap::CommandFactory as _;
use serde_json::Value;

use crate::support::{ALICE, BOB, PROGRAM, Repository, World};

/// The id of the repository of the story.
const ID: &str = "example.com/project";

/// What lets somebody run each command that takes `--repository` and is not for git alone.
const WORDED: &[&[&str]] = &[
    &["approve", "--ref", "refs/heads/main"],
    &["check", "--ref", "refs/heads/main"],
    &["hook", "admit", "--ref", "refs/heads/main", "--delete", "--reason", "x"],
    &["hook", "install", "--policy", "policy.toml"],
    &["hook", "status"],
    &["hook", "uninstall"],
    &["init"],
    &["inspect"],
    &["ledger", "enter", "--reason", "x"],
    &["ledger", "log"],
    &["ledger", "settle"],
    &["ledger", "show", "1"],
    &["ledger", "verify"],
    &["policy", "explain", "refs/heads/main"],
    &["policy", "pin"],
    &["policy", "publish", "policy.toml"],
    &["policy", "show"],
    &["policy", "test", "--against", "HEAD"],
    &["proof", "fetch"],
    &["proof", "merge", "HEAD"],
    &["protect"],
    &["verify"],
];

/// Every command without commands of its own, with what is typed for it.
fn commands() -> Vec<(Vec<String>, clap::Command)> {
    fn walk(command: &clap::Command, typed: &[String], found: &mut Vec<(Vec<String>, clap::Command)>) {
        for below in command.get_subcommands() {
            let typed = [typed, &[below.get_name().to_owned()]].concat();
            match below.has_subcommands() {
                true => walk(below, &typed, found),
                false => found.push((typed, below.clone())),
            }
        }
    }
    let mut found = Vec::new();
    walk(&countersign::cli::Arguments::command(), &[], &mut found);
    assert!(found.len() > 50, "{}", found.len());
    found
}

/// Those that take the option `name`.
fn with_option(name: &str) -> Vec<String> {
    let takes = |command: &clap::Command| command.get_arguments().any(|one| one.get_long() == Some(name));
    let found = commands().into_iter().filter(|(_, command)| takes(command));
    found.map(|(typed, _)| typed.join(" ")).collect()
}

/// Whether git itself gives the command its arguments, and a person never does.
fn is_for_git(typed: &str) -> bool {
    ["pre-push", "pre-receive", "update", "post-receive", "reference-transaction"]
        .iter()
        .any(|hook| typed == format!("hook {hook}"))
}

#[test]
fn whatever_is_typed_wrongly_is_told_as_usage() {
    let world = World::new();
    for (typed, _) in commands() {
        let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
        let run = world.countersign(&[&typed[..], &["--no-such-option"]].concat()).any_status();
        let outcome = run.any_stderr().check();
        // What follows 'fetch' is git's.
        let status = if typed == ["fetch"] { 3 } else { 64 };
        let words = outcome.words();
        assert_eq!(outcome.status, status, "{typed:?}: {words}");
        assert!(words.starts_with("error: ") || typed == ["fetch"], "{typed:?}: {words}");
    }
    for group in ["agent", "hook", "ledger", "policy", "proof", "remote", "sandbox", "trust"] {
        world.countersign(&[group]).status(64).stderr_holds(&["Usage: countersign "]).check();
        let wrong = world.countersign(&[group, "nothing"]).status(64);
        wrong.stderr_begins("error: unrecognized subcommand 'nothing'").check();
    }
    world.countersign(&[]).status(64).stderr_holds(&["Usage: countersign "]).check();
}

#[test]
fn help_is_plain_text_on_any_terminal() {
    let world = World::new();
    for (typed, _) in commands() {
        let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
        let run = world.countersign(&[&typed[..], &["--help"]].concat()).env("COLUMNS", "40");
        let text = run.env("NO_COLOR", "1").any_stdout().check().text();
        assert!(text.contains("Usage: ") && !text.contains('\u{1b}'), "{typed:?}: {text}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn what_cannot_be_printed_is_no_success() {
    let world = World::new();
    let full = |arguments: &[&str]| {
        let line = ["-c", "exec \"$@\" >/dev/full", "sh", PROGRAM];
        world.run("sh", &[&line[..], arguments].concat())
    };
    let words = "error: standard output cannot be written: no storage space\n\
                 hint: see where it goes to; what was to be done is done, and what was said of it is not whole\n";
    for (typed, _) in commands() {
        let typed: Vec<&str> = typed.iter().map(String::as_str).collect();
        full(&[&typed[..], &["--help"]].concat()).status(3).stderr(words).check();
    }
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    let path = repository.path.to_str().unwrap();
    world.trust(ALICE);
    for arguments in [
        &["verify", "--repository", path][..],
        &["verify", "--json", "--repository", path],
        &["verify", "--format", "junit", "--repository", path],
        &["verify", "--format", "sarif", "--repository", path],
        &["inspect", "--repository", path],
        &["hook", "status", "--repository", path],
        &["hook", "status", "--json", "--repository", path],
        &["trust", "list", "--json"],
        &["doctor", "--offline", "--json"],
        &["completions", "bash"],
        &["sandbox", "token", "--url", world.url(), ALICE],
    ] {
        full(arguments).status(3).stderr_holds(&[words]).check();
    }
    // A reader that has had enough is no failure.
    let line = "\"$0\" completions bash | head -c 1 >/dev/null; exit \"${PIPESTATUS[0]}\"";
    world.run("bash", &["-c", line, PROGRAM]).check();
}

#[test]
fn no_command_takes_something_else_for_a_repository() {
    let world = World::new();
    world.policy(&[("alice", ALICE)]);
    world.write("file", "no repository\n");
    let worded: Vec<String> = WORDED.iter().map(|words| words.join(" ")).collect();
    for typed in with_option("repository").iter().filter(|typed| !is_for_git(typed)) {
        assert!(worded.iter().any(|words| words.starts_with(typed.as_str())), "'{typed}' is not walked");
    }
    for (place, said) in
        [("nowhere", "[DIR]/nowhere"), ("file", "[DIR]/file"), ("authority", "[DIR]/authority")]
    {
        for words in WORDED {
            let run = world.countersign(&[words, &["--repository", place][..]].concat()).status(3);
            let words = run.any_stderr().check().words();
            let relative = said.trim_start_matches("[DIR]/");
            let named = world.redact(&words);
            let is_named = [said, relative]
                .iter()
                .any(|said| named.starts_with(&format!("error: '{said}' is not a git repository\nhint: ")));
            assert!(is_named, "{place}: {named}");
        }
    }
    // Nor where none is named and none is around.
    for words in WORDED.iter().filter(|words| words[0] != "init") {
        let words = world.countersign(words).status(3).any_stderr().check().words();
        assert!(words.starts_with("error: ") && words.contains("git repository"), "{words}");
        assert!(words.contains("\nhint: ") && !words.contains("/.'"), "{words}");
    }
}

/// A server that keeps a ledger, and a repository with approvals to make.
fn stage(world: &World) -> (Repository<'_>, Repository<'_>) {
    let signer = |email: &str| {
        let issuer = world.url();
        format!(
            "{{ instance = \"sandbox\", issuer = \"{issuer}\", kind = \"email\", subject = \"{email}\" }}"
        )
    };
    world.write(
        "policy.toml",
        format!(
            "version = 1\nrepository = \"{ID}\"\nserial = 1\nother_refs = \"refuse\"\n\
             [[instance]]\nname = \"sandbox\"\ntrusted_root = \"authority/trusted_root.json\"\n\
             [identity.alice]\nkeyless = [{}]\n[identity.bob]\nkeyless = [{}]\n\
             [[rule]]\nname = \"policy\"\nrefs = [\"refs/countersign/policy\"]\ncommits = [\"alice\"]\n\
             [[rule]]\nname = \"main\"\nrefs = [\"refs/heads/main\"]\ncommits = [\"alice\"]\nthreshold = 2\n\
             approvers = [\"bob\"]\n\
             [[rule]]\nname = \"topics\"\nrefs = [\"refs/heads/topic/*\"]\ncommits = [\"alice\"]\ncreate = \"allow\"\n\
             [[rule]]\nname = \"approvals\"\nrefs = [\"refs/countersign/approvals\"]\ncommits = \"unsigned\"\n\
             create = \"allow\"\n",
            signer(ALICE),
            signer(BOB),
        ),
    );
    let (server, work) = (world.bare("server.git", "sha1"), world.repository("work", "sha1"));
    work.git(&["remote", "add", "origin", server.path.to_str().unwrap()]).check();
    work.commit("first");
    work.git(&["push", "-q", "origin", "main"]).check();
    let install =
        ["hook", "install", "--repository", server.path.to_str().unwrap(), "--policy", "policy.toml"];
    world.countersign(&install).any_stdout().any_stderr().any_status().check();
    work.git(&["push", "-q", "origin", "main:refs/heads/topic/a"]).any_stderr().check();
    work.git(&["fetch", "-q"]).check();
    work.commit("second");
    (server, work)
}

#[test]
fn every_object_for_programs_says_its_version() {
    let world = World::new();
    let (server, work) = stage(&world);
    let (policy, server) = (world.path("policy.toml"), server.path.to_str().unwrap().to_owned());
    let policy = policy.to_str().unwrap();
    work.countersign(&["policy", "publish", policy]).any_stdout().check();
    let root = work.id("refs/countersign/policy");
    let at_server = ["--repository", &server];
    // What was moved past the hook, to be entered.
    let first = work.id("main^");
    let moved = || {
        world
            .run("git", &["-C", &server, "-c", "core.hooksPath=/dev/null", "branch", "moved", &first])
            .check();
    };
    let mut said = Vec::new();
    let mut tell = |typed: &[&str], more: &[&str]| {
        let token = world.token(if typed == ["approve"] { BOB } else { ALICE });
        let run = work.countersign(&[typed, &["--json"], more].concat()).env("SIGSTORE_ID_TOKEN", token);
        let outcome = run.any_status().any_stdout().any_stderr().check();
        let (text, typed) = (outcome.text(), typed.join(" "));
        // These speak of signatures that need the log alone, which are not made here.
        assert!(!text.is_empty() || typed.starts_with("proof "), "{typed}: {}", outcome.words());
        for line in text.lines() {
            let value: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{typed}: {line}"));
            assert_eq!(value["version"], 1, "{typed}: {line}");
        }
        said.push(typed);
    };
    tell(&["policy", "show"], &[]);
    tell(&["policy", "pin"], &["--root", &root, "--yes"]);
    tell(&["policy", "pin"], &["--list"]);
    tell(&["policy", "show"], &[]);
    tell(&["verify"], &["--all"]);
    tell(&["policy", "check"], &[policy]);
    tell(&["policy", "explain"], &["refs/heads/main", "HEAD"]);
    tell(&["policy", "explain"], &["refs/other/x"]);
    tell(&["policy", "test"], &["--against", "HEAD"]);
    tell(&["approve"], &["--dry-run"]);
    tell(&["approve"], &[]);
    tell(&["approve"], &["--list"]);
    tell(&["approve"], &["--push"]);
    tell(&["approve"], &["--fetch"]);
    tell(&["doctor"], &["--offline"]);
    tell(&["trust", "list"], &[]);
    tell(&["trust", "show"], &["sandbox"]);
    tell(&["hook", "status"], &[]);
    tell(&["hook", "status"], &at_server);
    tell(&["ledger", "log"], &at_server);
    tell(&["ledger", "show"], &["1", at_server[0], at_server[1]]);
    tell(&["ledger", "settle"], &at_server);
    moved();
    tell(&["ledger", "verify"], &at_server);
    tell(&["ledger", "enter"], &["--reason", "by hand", at_server[0], at_server[1]]);
    tell(&["ledger", "verify"], &["--remote", "origin"]);
    tell(&["proof", "fetch"], &[]);
    tell(&["proof", "merge"], &["HEAD"]);
    tell(&["agent", "status"], &[]);
    tell(&["policy", "pin"], &["--remove", ID]);
    for typed in with_option("json") {
        assert!(said.contains(&typed), "what '{typed} --json' prints is not looked at");
    }
    // What would be believed is not shown there, so nobody is asked to.
    let unasked = work.countersign(&["policy", "pin", "--json"]).status(3);
    unasked.stderr_begins("error: nothing was pinned\nhint: ").check();
}

#[test]
fn errors_leave_the_output_for_programs_empty() {
    let world = World::new();
    let repository = world.repository("r", "sha1");
    for typed in with_option("json") {
        let words = WORDED.iter().find(|words| words.join(" ").starts_with(&typed));
        let Some(words) = words.filter(|words| words[0] != "hook") else { continue };
        let run = repository.countersign(&[words, &["--json", "--repository", "nowhere"][..]].concat());
        run.status(3).stderr_holds(&["error: ", "nowhere' is not a git repository", "hint: "]).check();
    }
}

#[test]
fn what_is_set_up_can_be_used() {
    let world = World::new();
    let before = std::fs::read_to_string(world.path("home/.gitconfig")).unwrap();
    world.write("broken.toml", "version = 2\n");
    world.write("broken.json", "{}\n");
    for (arguments, said) in [
        (&["--policy", "broken.toml"][..], "error: the policy '[DIR]/broken.toml' cannot be used"),
        (&["--policy", "authority"], "error: there is no file '[DIR]/authority'"),
        (
            &["--instance", "own", "--trusted-root", "broken.json"],
            "error: the trusted root '[DIR]/broken.json' of instance 'own'",
        ),
    ] {
        let run = world.countersign(&[&["init"], arguments].concat()).status(3);
        run.stderr_begins(said).check();
    }
    assert_eq!(std::fs::read_to_string(world.path("home/.gitconfig")).unwrap(), before);
}

#[test]
fn what_is_no_push_certificate_is_told_as_such() {
    let world = World::new();
    let repository = world.repository("r", "sha1");
    let file = world.write("file", "garbage\n").display().to_string();
    for command in ["verify", "inspect"] {
        let run = repository.countersign(&[command, "--push-certificate", &file]).status(3);
        run.stderr(
            "error: the push certificate '[DIR]/file' cannot be read: it does not begin as one does\n\
             hint: name a file with what 'git cat-file blob' prints of a certificate\n",
        )
        .check();
    }
}
