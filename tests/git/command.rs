//! `countersign verify`: its words, its JSON and its exit statuses.

use std::fs;

use serde_json::Value;

use crate::support::{ALICE, BOB, PROGRAM, Repository, World};

const NOBODY: &str = "warning: signatures are proven, but neither a policy nor '--identity' says who should sign\n\
     hint: name one signer with '--identity SUBJECT --issuer URL', or a policy with '--policy FILE'\n\
     hint: 'countersign policy init FILE' writes a first policy\n";

/// A commit that nobody has signed; its id.
fn unsigned(repository: &Repository<'_>) -> String {
    repository.git(&["commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", "unsigned"]).check();
    repository.id("HEAD")
}

fn line(status: &str, id: &str, rest: &str) -> String {
    format!("{status:<11} {}{rest}\n", &id[..12])
}

fn good(id: &str, title: &str) -> String {
    line("good", id, &format!(" alice@example.com ([URL], sandbox) [TIME] {title}"))
}

#[test]
fn exit_0_all_are_good() {
    let world = World::new();
    world.trust(ALICE);
    let repository = world.repository("r", "sha1");
    let first = repository.commit("first");
    repository.git(&["tag", "-m", "one", "v1"]).check();
    let second = repository.commit("second");
    let tag = repository.id("v1");
    repository.countersign(&["verify"]).stdout(good(&second, "second")).check();
    let lines = format!("{}{}", good(&tag, "v1"), good(&first, "first"));
    repository.countersign(&["verify", "v1", "HEAD~1"]).stdout(lines).check();
    for revision in ["refs/tags/v1", "tags/v1", &tag] {
        repository.countersign(&["verify", revision]).stdout(good(&tag, "v1")).check();
    }
    repository.countersign(&["verify", "v1..main"]).stdout(good(&second, "second")).check();
    // From elsewhere, with and without git's own variable.
    let path = repository.path.to_str().unwrap();
    world.countersign(&["verify", "--repository", path]).stdout(good(&second, "second")).check();
    let git_dir = repository.path.join(".git");
    world.countersign(&["verify"]).env("GIT_DIR", git_dir).stdout(good(&second, "second")).check();
    fs::create_dir(repository.path.join("sub")).unwrap();
    let sub = repository.path.join("sub");
    world.countersign(&["verify"]).directory(&sub).stdout(good(&second, "second")).check();
}

#[test]
fn exit_1_bad_unsigned_or_refused() {
    let world = World::new();
    world.trust(ALICE);
    let repository = world.repository("r", "sha1");
    let first = repository.commit("first");
    let tampered = [repository.object("commit", &first), b"more\n".to_vec()].concat();
    let tampered = repository.store("commit", &tampered);
    let cause = " [the content was changed after signing] first";
    repository.countersign(&["verify", &tampered]).status(1).stdout(line("bad", &tampered, cause)).check();
    let bare = unsigned(&repository);
    repository.countersign(&["verify"]).status(1).stdout(line("unsigned", &bare, " unsigned")).check();
    let bob = repository.commit_as(BOB, "bob's");
    let rest = " bob@example.com ([URL], sandbox) [TIME] [the signer is not named] bob's";
    repository.countersign(&["verify"]).status(1).stdout(line("refused", &bob, rest)).check();
}

#[test]
fn exit_2_cannot_tell_also_for_want_of_a_policy() {
    let world = World::new();
    let repository = world.repository("r", "sha1");
    let first = repository.commit("first");
    let rest = " alice@example.com ([URL], sandbox) [TIME] \
                [neither a policy nor '--identity' names anyone] first";
    let run = repository.countersign(&["verify"]).status(2);
    run.stdout(line("proven", &first, rest)).stderr(NOBODY).check();

    let other = World::new();
    world.write("authority/trusted_root.json", other.authority().authority().trusted_root_json());
    let rest = " [no trusted root in use knows the certificate's authority \
                ('public-good' is [AGE], 'sandbox' is [AGE])] first";
    let run = repository.countersign(&["verify"]).status(2);
    let hint = "hint: run 'countersign trust update public-good', \
                or get the trusted root of 'sandbox' again from whoever runs the instance\n";
    run.stdout(line("cannot-tell", &first, rest)).stderr(hint).check();
}

#[test]
fn exit_3_could_not_run() {
    let world = World::new();
    world.trust(ALICE);
    let repository = world.repository("r", "sha1");
    let first = repository.commit("first");
    let second = repository.commit("second");
    let run = repository.countersign(&["verify", "nothing"]).status(3);
    run.stderr_holds(&["error: 'nothing' cannot be resolved: ", "hint: name a commit"]).check();
    for odd in ["main...HEAD", "^main", "HEAD^{/x}"] {
        repository.countersign(&["verify", odd]).status(3).stderr_holds(&["error: ", "hint: "]).check();
    }
    let words = "error: there is no git repository in '[DIR]' or above it\n\
                 hint: run this inside a repository, or name one with '--repository'\n";
    world.countersign(&["verify"]).status(3).stderr(words).check();
    repository.countersign(&["verify", "--policy", "/nowhere"]).status(3).stderr_holds(&["/nowhere"]).check();
    for root in ["x", "sandbox=/nowhere", "sandbox=/dev/null"] {
        let run = repository.countersign(&["verify", "--trusted-root", root]).status(3);
        run.stderr_holds(&["error: ", "hint: "]).check();
    }
    // An object that is missing, in the middle of a range and by its name.
    let object = |id: &str| repository.path.join(format!(".git/objects/{}/{}", &id[..2], &id[2..]));
    repository.commit("third");
    fs::remove_file(object(&second)).unwrap();
    let run = repository.countersign(&["verify", &format!("{first}..HEAD")]).status(3);
    run.stderr_holds(&["error: ", &second, "hint: run 'git fsck'"]).any_stdout().check();
    repository.countersign(&["verify", &second]).status(3).any_stdout().any_stderr().check();
    // One whose bytes are not what its name says.
    fs::set_permissions(object(&first), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    fs::copy(object(&repository.id("HEAD")), object(&first)).unwrap();
    let outcome = repository.countersign(&["verify", &first]).status(3).any_stdout().any_stderr().check();
    assert!(!outcome.text().starts_with("good"), "{}", outcome.text());
}

#[test]
fn exit_3_unknown_extensions_and_formats() {
    for (key, value) in [
        ("extensions.future", "1"),
        ("extensions.refStorage", "reftable"),
        ("extensions.objectFormat", "sha512"),
        ("core.repositoryFormatVersion", "2"),
    ] {
        let world = World::new();
        world.trust(ALICE);
        let repository = world.repository("r", "sha1");
        repository.commit("first");
        let file = repository.path.join(".git/config");
        world.run("git", &["config", "--file", file.to_str().unwrap(), key, value]).check();
        let run = repository.countersign(&["verify"]).status(3);
        run.stderr_holds(&["error: ", "hint: "]).check();
    }
}

#[test]
fn exit_64_usage() {
    let world = World::new();
    for arguments in [
        &["verify", "--identity", ALICE][..],
        &["verify", "--issuer", "https://x"],
        &["verify", "--policy", "p", "--identity", "x", "--issuer", "y"],
        &["verify", "--nonsense"],
        &["nonsense"],
    ] {
        world.countersign(arguments).status(64).stderr_holds(&["error: ", "Usage: "]).check();
    }
}

#[test]
fn a_range_ends_with_the_worst_of_its_objects() {
    let (world, stranger) = (World::new(), World::new());
    world.trust(ALICE);
    let repository = world.repository("r", "sha1");
    let root = repository.commit("root");
    let good = repository.commit("good");
    // Signed with an instance that is not in use here: cannot tell.
    let config = format!(
        "countersign.sandbox.signingConfig={}",
        stranger.path("authority/signing_config.json").display()
    );
    let trust =
        format!("countersign.sandbox.trustedRoot={}", stranger.path("authority/trusted_root.json").display());
    let commit = ["-c", &config, "-c", &trust, "commit", "-q", "--allow-empty", "-m", "strange"];
    repository.git(&commit).env("SIGSTORE_ID_TOKEN", stranger.token(ALICE)).check();
    let strange = repository.id("HEAD");
    let bare = unsigned(&repository);
    let range = |from: &str, to: &str| format!("{from}..{to}");
    for (arguments, status) in [
        (vec![range(&root, &good)], 0),
        (vec![range(&root, &root)], 0),
        (vec![range(&root, &strange)], 2),
        (vec![range(&root, &bare)], 1),
        (vec![good.clone(), strange.clone()], 2),
        (vec![strange.clone(), good.clone()], 2),
        (vec![bare.clone(), strange.clone()], 1),
        (vec![strange.clone(), bare.clone(), good.clone()], 1),
    ] {
        let arguments: Vec<_> = ["verify"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
        let outcome = repository.countersign(&arguments).any_status().any_stdout().any_stderr().check();
        assert_eq!(outcome.status, status, "{arguments:?}: {}", outcome.text());
    }
    let shown = repository.countersign(&["verify", &range(&root, &bare)]).status(1).any_stdout();
    let shown = shown
        .stderr_holds(&[
            "hint: run 'countersign trust update",
            "verified 3 objects: 1 good, 1 unsigned, 1 cannot-tell",
        ])
        .check();
    let statuses: Vec<_> =
        shown.text().lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(statuses, ["unsigned", "cannot-tell", "good"], "newest first");
}

#[test]
fn one_signer_may_be_named_on_the_command_line() {
    let world = World::new();
    world.trust(BOB);
    let repository = world.repository("r", "sha1");
    let first = repository.commit("first");
    let verify = |identity: &str, issuer: &str, instance: &str, status: i32| {
        let arguments = ["verify", "--identity", identity, "--issuer", issuer, "--instance", instance];
        repository.countersign(&arguments).status(status).any_stdout().check().text()
    };
    assert_eq!(world.redact(&verify(ALICE, world.url(), "sandbox", 0)), good(&first, "first"));
    for (identity, issuer, instance) in [
        (BOB, world.url(), "sandbox"),
        (ALICE, "https://accounts.google.com", "sandbox"),
        (ALICE, world.url(), "public-good"),
    ] {
        verify(identity, issuer, instance, 1);
    }
    // Nothing is configured: the trusted root comes along too.
    world.write("home/.gitconfig", "");
    let root = format!("theirs={}", world.path("authority/trusted_root.json").display());
    let arguments = [
        "verify",
        "--identity",
        ALICE,
        "--issuer",
        world.url(),
        "--instance",
        "theirs",
        "--trusted-root",
        &root,
    ];
    repository.countersign(&arguments).any_stdout().check();
}

#[test]
fn a_policy_may_be_named_on_the_command_line() {
    let world = World::new();
    let repository = world.repository("r", "sha1");
    let first = repository.commit("first");
    let policy = world.policy(&[("alice", ALICE)]).display().to_string();
    let verify = ["verify", "--policy", &policy];
    let known = line("good", &first, " alice = alice@example.com ([URL], sandbox) [TIME] first");
    repository.countersign(&verify).stdout(known).check();
    repository.commit_as(BOB, "second");
    let run = repository.countersign(&verify).status(1);
    run.stdout_holds(&["refused", "[the signer is not named]"]).check();
    // The policy on the command line is the one that counts, not the configured names besides.
    world.trust(BOB);
    repository.countersign(&verify).status(1).stdout_holds(&["refused"]).check();
    repository.countersign(&["verify"]).stdout_holds(&["good"]).check();
}

#[test]
fn json_is_one_object_a_line_with_everything_that_is_proven() {
    let world = World::new();
    world.trust(ALICE);
    let repository = world.repository("r", "sha256");
    let first = repository.commit("first");
    repository.git(&["tag", "-m", "one", "v1"]).check();
    let bare = unsigned(&repository);
    let run = repository.countersign(&["verify", "--json", &first, "v1", &bare]).status(1);
    let text = run.any_stdout().check().text();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        keys(&lines[0]),
        [
            "certificateSha256",
            "exit",
            "hash",
            "identity",
            "log",
            "name",
            "object",
            "status",
            "times",
            "trustedRootSha256",
            "type",
            "version",
        ]
    );
    let commit = &lines[0];
    assert_eq!((&commit["version"], &commit["exit"]), (&1.into(), &0.into()));
    assert_eq!(commit["object"], first);
    assert_eq!(
        (&commit["hash"], &commit["type"], &commit["status"]),
        (&"sha256".into(), &"commit".into(), &"good".into())
    );
    let identity = &commit["identity"];
    assert_eq!(
        (&identity["instance"], &identity["issuer"], &identity["kind"], &identity["subject"]),
        (&"sandbox".into(), &world.url().into(), &"email".into(), &ALICE.into())
    );
    let log = &commit["log"];
    assert_eq!(
        (&log["index"], &log["signedEntryTimestamp"], &log["inclusionProof"]),
        (&0.into(), &true.into(), &true.into())
    );
    assert_eq!(commit["times"][0]["by"], "log");
    assert_eq!(lines[1]["type"], "tag");
    assert_eq!(keys(&lines[2]), ["cause", "exit", "hash", "object", "status", "type", "version"]);
    assert_eq!((&lines[2]["status"], &lines[2]["exit"]), (&"unsigned".into(), &1.into()));
}

#[test]
fn gitsign_fault_13_tag_teleport_is_refused() {
    for format in ["sha1", "sha256"] {
        let world = World::new();
        world.trust(ALICE);
        let repository = world.repository("r", format);
        repository.commit("first");
        repository.git(&["tag", "-m", "one", "v1"]).check();
        let tag = repository.id("v1");
        repository.git(&["update-ref", "refs/tags/v9", &tag]).check();
        // git itself is content with it.
        repository.git(&["verify-tag", "v9"]).any_stderr().check();
        let cause = " ['refs/tags/v9' holds a tag that calls itself 'v1'] v1";
        for name in ["v9", "tags/v9", "refs/tags/v9"] {
            let run = repository.countersign(&["verify", name]).status(1);
            run.stdout(line("refused", &tag, cause)).check();
        }
        repository.countersign(&["verify", "v1"]).any_stdout().check();
        // Nor however else the ref is asked for, nor by a ref that git looks for before tags.
        repository.git(&["update-ref", "refs/v8", &tag]).check();
        for name in ["v9^{tag}", "refs/tags/v9^{tag}", "v8", "refs/v8"] {
            repository.countersign(&["verify", name]).status(1).any_stdout().check();
        }
        for name in ["v1^{tag}", &tag, "refs/tags/v1"] {
            repository.countersign(&["verify", name]).any_stdout().check();
        }
        repository.git(&["tag", "-m", "one", "package@1.0"]).check();
        repository.countersign(&["verify", "package@1.0"]).any_stdout().check();
    }
}

#[test]
fn a_ref_that_is_called_like_a_commit_does_not_stand_for_it() {
    for format in ["sha1", "sha256"] {
        let world = World::new();
        world.trust(ALICE);
        let repository = world.repository("r", format);
        let good = repository.commit("good");
        let bad = unsigned(&repository);
        for name in ["refs/tags", "refs/heads", "refs"] {
            repository.git(&["update-ref", &format!("{name}/{bad}"), &good]).check();
        }
        repository.countersign(&["verify", &bad]).status(1).stdout_holds(&[&bad[..12]]).check();
    }
}

#[test]
fn gitsign_fault_12_linked_work_trees_bare_repositories_and_alternates_are_read() {
    for format in ["sha1", "sha256"] {
        let world = World::new();
        world.trust(ALICE);
        let repository = world.repository("r", format);
        repository.commit("first");
        repository.git(&["worktree", "add", "-q", "--detach", "../linked"]).check();
        let linked = Repository::at(&world, &world.path("linked"));
        let second = linked.commit("second");
        linked.countersign(&["verify"]).stdout(good(&second, "second")).check();
        world.run("git", &["clone", "-q", "--bare", "r", "bare.git"]).check();
        let bare = Repository::at(&world, &world.path("bare.git"));
        bare.countersign(&["verify", "main"]).stdout_holds(&["good "]).check();
        world.run("git", &["clone", "-q", "--shared", "r", "shared"]).check();
        let shared = Repository::at(&world, &world.path("shared"));
        shared.countersign(&["verify"]).stdout_holds(&["good "]).check();
        repository.git(&["gc", "-q", "--prune=now"]).any_stderr().check();
        repository.countersign(&["verify"]).stdout_holds(&["good "]).check();
    }
}

#[test]
fn a_shallow_boundary_is_said_and_not_passed_over() {
    let world = World::new();
    world.trust(ALICE);
    let repository = world.repository("r", "sha1");
    let first = repository.commit("first");
    for message in ["second", "third", "fourth"] {
        repository.commit(message);
    }
    let url = format!("file://{}", repository.path.display());
    world.run("git", &["clone", "-q", "--depth=2", &url, "shallow"]).check();
    let shallow = Repository::at(&world, &world.path("shallow"));
    shallow.countersign(&["verify"]).stdout_holds(&["good "]).check();
    shallow.countersign(&["verify", "HEAD~1..HEAD"]).stdout_holds(&["good "]).check();
    let boundary = shallow.id("HEAD~1");
    shallow.git(&["fetch", "-q", "--depth=1", "origin", &first]).any_stderr().check();
    let run = shallow.countersign(&["verify", &format!("{first}..HEAD")]).status(3);
    // What is here is judged all the same.
    let fourth = shallow.id("HEAD");
    let cut_off = " alice@example.com ([URL], sandbox) [TIME] [the history is cut off here] third";
    let run = run.stdout(format!("{}{}", good(&fourth, "fourth"), line("good", &boundary, cut_off)));
    let words = format!(
        "error: history is cut off at commit '{boundary}'\n\
         hint: run 'git fetch --unshallow' to have what lies behind it\n\
         verified 2 objects: 2 good\n"
    );
    run.stderr(words).check();
}

#[test]
fn text_from_outside_is_escaped() {
    let world = World::new();
    world.trust(ALICE);
    let repository = world.repository("r", "sha1");
    let id = repository.commit("red \u{1b}[31m and \u{202e}backwards");
    let title = "red \\u{1b}[31m and \\u{202e}backwards";
    repository.countersign(&["verify"]).stdout(good(&id, title)).check();
}

#[test]
fn an_answer_that_cannot_be_written_is_never_a_good_one() {
    // An output that cannot be written.
    if !std::path::Path::new("/dev/full").exists() {
        println!(
            "NOTE: an_answer_that_cannot_be_written_is_never_a_good_one: this machine has no '/dev/full'"
        );
        return;
    }
    let world = World::new();
    world.trust(ALICE);
    let repository = world.repository("r", "sha1");
    repository.commit("first");
    let script = format!("'{PROGRAM}' --status-fd=1 --verify /dev/null - >/dev/full");
    world.run("sh", &["-c", &script]).input("x").status(3).any_stderr().check();
    let script = format!("'{PROGRAM}' --status-fd=2 -bsau key >/dev/full");
    let run = world.run("sh", &["-c", &script]).input("x").status(3);
    let words = run.any_stderr().check().words();
    assert!(words.starts_with("error: the signature cannot be written") && !words.contains("SIG_CREATED"));
}
