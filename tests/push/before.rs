//! The hook on the developer's side: the gate's answer before anything is sent.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::{ALICE, Outcome, Repository, Stage, accepted, refused, support::World};

/// A server that takes everything, and a developer whose repository has the hook.
struct Side {
    world: World,
}

const RULE: &str = "[[rule]]\nname = \"main\"\nrefs = [\"refs/heads/**\"]\ncommits = [\"alice\"]\n\
                    create = \"allow\"\nbases = [\"refs/heads/main\"]\n";

impl Side {
    fn new() -> Self {
        let world = World::new();
        world.bare("server.git", "sha1");
        let work = world.repository("work", "sha1");
        work.git(&["remote", "add", "origin", "../server.git"]).check();
        work.countersign(&["hook", "install", "--pre-push"]).any_stdout().check();
        Self { world }
    }

    fn policy(&self, rules: &str, more: &str) -> String {
        let text = format!(
            "version = 1\nother_refs = \"refuse\"\n{more}[[instance]]\nname = \"sandbox\"\n\
             trusted_root = \"authority/trusted_root.json\"\n[identity.alice]\n\
             keyless = [{{ instance = \"sandbox\", issuer = \"{}\", kind = \"email\", subject = \"{ALICE}\" }}]\n\
             {rules}",
            self.world.url()
        );
        self.world.write("policy.toml", text).to_str().unwrap().to_owned()
    }

    fn work(&self) -> Repository<'_> {
        Repository::at(&self.world, &self.world.path("work"))
    }

    fn server(&self) -> Repository<'_> {
        Repository::at(&self.world, &self.world.path("server.git"))
    }

    fn unsigned(&self, message: &str) -> String {
        self.work().git(&["commit", "-q", "--no-gpg-sign", "--allow-empty", "-m", message]).check();
        self.work().id("HEAD")
    }

    fn push(&self, arguments: &[&str]) -> Outcome {
        let arguments = [&["push", "-q"], arguments].concat();
        self.work().git(&arguments).any_stdout().any_stderr().any_status().check()
    }
}

#[test]
fn a_push_that_would_be_refused_is_stopped_before_anything_is_sent() {
    let side = Side::new();
    let policy = side.policy(RULE, "");
    side.world.configure(&format!("[countersign]\n policy = {policy}"));
    let first = side.work().commit("first");
    let outcome = side.push(&["origin", "main"]);
    accepted(&outcome);
    assert_eq!(outcome.words(), "");
    assert_eq!(side.server().id("refs/heads/main"), first);

    let unsigned = side.unsigned("second");
    let push = |arguments: &[&str]| {
        let outcome = side.push(arguments);
        refused(
            &outcome,
            &[
                "error: refs/heads/main: commit ",
                &unsigned[..12],
                "it is not signed, where 'alice' has to sign (rule 'main')",
                "countersign: '../server.git' would refuse this push, and nothing was sent",
                "hint: 'git push --no-verify' leaves this to the server alone",
            ],
        );
    };
    push(&["origin", "main"]);
    push(&["../server.git", "HEAD:refs/heads/main"]);
    let object = side.server().git(&["cat-file", "-e", &unsigned]).any_stderr().any_status().check();
    assert_ne!(object.status, 0, "no object was sent");
    refused(&side.push(&["origin", ":main"]), &["refs/heads/main: the ref may not be deleted"]);
    refused(&side.push(&["origin", "main:refs/other/x"]), &["no rule names this ref"]);
    // A new branch takes its history from what was fetched of the base.
    side.work().git(&["reset", "-q", "--hard", &first]).check();
    let topic = side.work().commit("topic");
    accepted(&side.push(&["origin", "HEAD:topic"]));
    assert_eq!(side.server().id("refs/heads/topic"), topic);
    accepted(&side.push(&["--no-verify", "origin", &format!("{unsigned}:main")]));
    assert_eq!(side.server().id("refs/heads/main"), unsigned);
}

#[test]
fn what_only_the_server_knows_is_said_to_be_so() {
    let side = Side::new();
    let unsigned = side.unsigned("first");
    let unknown = "countersign: no policy is at hand for '../server.git': only the server knows";
    let outcome = side.push(&["origin", "main"]);
    accepted(&outcome);
    assert!(outcome.words().contains(unknown), "{}", outcome.words());
    // What the repository itself says is no policy.
    let policy = side.policy(RULE, "");
    side.work().git(&["config", "countersign.policy", &policy]).check();
    let outcome = side.push(&["origin", "main:topic"]);
    accepted(&outcome);
    assert!(outcome.words().contains(unknown), "{}", outcome.words());

    // Somebody else has pushed in the meantime.
    side.world.configure(&format!("[countersign]\n policy = {policy}"));
    side.world.run("git", &["clone", "-q", "server.git", "other"]).check();
    let other = Repository::at(&side.world, &side.world.path("other"));
    other.commit("elsewhere");
    other.git(&["push", "-q", "--no-verify", "origin", "main"]).check();
    side.work().commit("signed");
    let outcome = side.push(&["--force", "origin", "main"]);
    accepted(&outcome);
    assert!(
        outcome
            .words()
            .contains("refs/heads/main: what the remote has there is not here, so only the server"),
        "{}",
        outcome.words()
    );
    assert_ne!(side.server().id("refs/heads/main"), unsigned);

    let asks = RULE
        .replace("bases", "rewind = \"allow\"\npushers = [\"alice\"]\npush_certificate = \"require\"\nbases");
    side.policy(&asks.replace("commits = [\"alice\"]", "commits = \"unsigned\""), "");
    side.unsigned("third");
    let outcome = side.push(&["origin", "main"]);
    accepted(&outcome);
    assert_eq!(
        outcome.words(),
        "countersign: who pushes is for the server to judge (rule 'main'); push with '--signed'\n"
    );
}

#[test]
fn the_pinned_policy_that_the_repository_keeps_counts() {
    let side = Side::new();
    let keeps = format!(
        "{RULE}[[rule]]\nname = \"policy\"\nrefs = [\"refs/countersign/policy\"]\ncommits = [\"alice\"]\n\
         create = \"allow\"\n"
    );
    let policy = side.policy(&keeps, "repository = \"example.com/r\"\nserial = 1\n");
    side.work().countersign(&["policy", "publish", &policy]).any_stdout().any_stderr().check();
    let root = side.work().id("refs/countersign/policy");
    let first = side.unsigned("first");
    let outcome = side.push(&["origin", "main"]);
    accepted(&outcome);
    assert!(outcome.words().contains("only the server knows"), "what nobody vouches for decides nothing");
    side.work().countersign(&["policy", "pin", "--root", &root, "--yes"]).any_stdout().any_stderr().check();
    let second = side.unsigned("second");
    refused(&side.push(&["origin", "main"]), &[&second[..12], "it is not signed", "(rule 'main')"]);
    assert_eq!(side.server().id("refs/heads/main"), first);
}

#[test]
fn a_hook_that_was_there_is_kept_chained_and_restored() {
    let side = Side::new();
    side.work().countersign(&["hook", "uninstall", "--pre-push"]).stdout("removed the hooks\n").check();
    let path = side.world.path("work/.git/hooks/pre-push");
    assert!(!path.exists());
    let text = b"#!/bin/sh\necho \"$@\" >said\ncat >>said\n# \xff\n";
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
    for _ in 0..2 {
        let install = side.work().countersign(&["hook", "install", "--pre-push"]);
        install.stdout_holds(&["runs first, as '[DIR]/work/.git/hooks/pre-push.before-countersign'"]).check();
    }
    let policy = side.policy(RULE, "");
    side.world.configure(&format!("[countersign]\n policy = {policy}"));
    let unsigned = side.unsigned("first");
    refused(&side.push(&["origin", "main"]), &["it is not signed"]);
    let said = fs::read_to_string(side.world.path("work/said")).unwrap();
    let line =
        format!("origin ../server.git\nrefs/heads/main {unsigned} refs/heads/main {}\n", "0".repeat(40));
    assert_eq!(said, line);
    fs::write(side.world.path("work/.git/hooks/pre-push.before-countersign"), "#!/bin/sh\nexit 1\n").unwrap();
    side.work().git(&["reset", "-q", "--soft", "HEAD"]).check();
    side.work().git(&["commit", "-q", "--amend", "--allow-empty", "-S", "-m", "signed"]).check();
    let outcome = side.push(&["origin", "main"]);
    refused(&outcome, &["failed to push some refs"]);
    assert!(!side.server().has("refs/heads/main"), "what was there still has its say");
    fs::write(side.world.path("work/.git/hooks/pre-push.before-countersign"), text).unwrap();
    accepted(&side.push(&["origin", "main"]));
    let uninstall = side.work().countersign(&["hook", "uninstall", "--pre-push"]);
    uninstall.stdout("removed the hooks, and restored those that were there before\n").check();
    assert_eq!(fs::read(&path).unwrap(), text);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o750);
    side.work().git(&["config", "core.hooksPath", "/elsewhere"]).check();
    let run = side.work().countersign(&["hook", "install", "--pre-push"]).status(3);
    run.stderr_holds(&["'core.hooksPath' is set to '/elsewhere'"]).check();
}

#[test]
fn a_policy_that_cannot_be_used_stops_the_push_with_words() {
    let side = Side::new();
    side.work().commit("first");
    side.world.configure("[countersign]\n policy = /nowhere/policy.toml");
    refused(&side.push(&["origin", "main"]), &["'/nowhere/policy.toml'"]);
    assert!(!side.server().has("refs/heads/main"));
}

#[test]
fn here_and_there_say_the_same() {
    let stage = Stage::new("");
    stage.policy("", "");
    let rules = fs::read_to_string(stage.world.path("policy.toml")).unwrap();
    let rules = rules.replace("commits = \"unsigned\"", "commits = [\"alice\"]");
    stage.world.write("policy.toml", rules);
    stage.commit("unsigned");
    let there = stage.push(&["main"]);
    refused(&there, &["it is not signed"]);
    stage.work().countersign(&["hook", "install", "--pre-push"]).any_stdout().check();
    let policy = stage.world.path("policy.toml");
    stage.world.configure(&format!("[countersign]\n policy = {}", policy.display()));
    let here = stage.push(&["main"]);
    let told = |outcome: &Outcome| {
        let words = outcome.words().replace("remote: ", "");
        let line = words.lines().find(|line| line.starts_with("error: refs/heads/main: ")).unwrap();
        line.trim_end().to_owned()
    };
    assert_eq!(told(&here), told(&there));
}

#[test]
fn what_no_push_of_gits_can_be_is_said_before_and_the_rest_is_the_servers() {
    let side = Side::new();
    let with = |ways: &str| {
        let policy = side.policy(&format!("{RULE}ways = [{ways}]\n"), "");
        side.world.configure(&format!("[countersign]\n policy = {policy}"));
    };
    side.work().commit("first");
    with("\"web\"");
    refused(
        &side.push(&["origin", "main"]),
        &["pushed by git, where only what is made on the forge's pages is taken", "nothing was sent"],
    );
    with("\"ssh\"");
    let outcome = side.push(&["origin", "main"]);
    accepted(&outcome);
    let words = outcome.words();
    assert!(
        words.contains("by which way the push comes is for the server to judge (rule 'main')"),
        "{words}"
    );
}
