//! Commits and tags of gitsign's online mode: looked up in the log once, kept in a ref, verified offline.

use std::sync::atomic::{AtomicUsize, Ordering};

use countersign::{
    hook::{Gate, MAXIMUM_LISTED, Pace, Update, Verdicts, kept_proofs},
    policy::Pushing,
    repository::{Approvals, Proofs},
    trust::{Beside, Trust},
    verify::Verifier,
};
use serde_json::Value;

use crate::{
    forge::{self, Signer, log_online, online_commit, online_tag, signer_of},
    standing::Nothing,
    support::{ALICE, BOB, Repository, World, now},
};

const REF: &str = "refs/countersign/proofs";

/// A world with Alice's name in the configuration, and a repository.
fn trusting(format: &str, test: impl FnOnce(&mut World, &str)) {
    let mut world = World::new();
    world.trust(ALICE);
    world.repository("r", format);
    test(&mut world, "r");
}

fn at<'w>(world: &'w World, name: &str) -> Repository<'w> {
    Repository::at(world, &world.path(name))
}

fn payload(repository: &Repository<'_>, parents: &[&str], message: &str) -> Vec<u8> {
    let tree = repository.store("tree", b"");
    let parents: String = parents.iter().map(|parent| format!("parent {parent}\n")).collect();
    let person = "Alice <alice@example.com> 1700000000 +0000";
    format!("tree {tree}\n{parents}author {person}\ncommitter {person}\n\n{message}\n").into_bytes()
}

/// A commit as gitsign makes it in online mode, and who signed it.
fn commit(repository: &Repository<'_>, email: &str, parents: &[&str], message: &str) -> (String, Signer) {
    let signer = signer_of(repository.world.authority().authority(), email);
    let payload = payload(repository, parents, message);
    let object = online_commit(&signer, repository.signature_header(), &payload);
    (repository.store("commit", &object), signer)
}

/// The same, entered into the log.
fn logged(repository: &Repository<'_>, email: &str, parents: &[&str], message: &str) -> String {
    let (id, signer) = commit(repository, email, parents, message);
    log_online(repository.world.authority().authority(), &signer, &id);
    id
}

/// The paths that the ref keeps.
fn kept(repository: &Repository<'_>) -> Vec<String> {
    let run = repository.git(&["ls-tree", "-r", "--name-only", REF]).any_stdout();
    run.check().text().lines().map(str::to_owned).collect()
}

const NOT_PROVEN: &str = "good signature, time not proven: its log entry is in the log alone";

#[test]
fn it_is_looked_up_once_and_found_offline_by_everything() {
    for format in ["sha1", "sha256"] {
        trusting(format, |world, name| {
            let repository = at(world, name);
            let one = logged(&repository, ALICE, &[], "one");
            let two = logged(&repository, ALICE, &[&one], "two");
            repository.git(&["update-ref", "refs/heads/main", &two]).check();
            let signer = signer_of(world.authority().authority(), ALICE);
            let tag = format!("object {two}\ntype commit\ntag v1\ntagger A <a@example.com> 1 +0000\n\nv1\n");
            let tag = repository.store("tag", &online_tag(&signer, tag.as_bytes()));
            log_online(world.authority().authority(), &signer, &tag);
            repository.git(&["update-ref", "refs/tags/v1", &tag]).check();

            // Before: everybody says who it would be, and nobody that it is.
            let run = repository.countersign(&["verify", "main"]).status(2);
            let run = run.stdout_holds(&["cannot-tell", ALICE, "(certificate of ", NOT_PROVEN]);
            run.stderr_holds(&["hint: run 'countersign proof fetch'"]).check();
            let run = repository.countersign(&["verify", "--json", "main"]).status(2).any_stdout();
            let value: Value = serde_json::from_str(&run.any_stderr().check().text()).unwrap();
            assert_eq!(value["status"], "cannot-tell");
            assert_eq!(value["timeNotProven"], true);
            assert_eq!(value["identity"]["subject"], ALICE);
            assert!(value["certificateWindow"]["to"].as_i64() > value["certificateWindow"]["from"].as_i64());
            assert_eq!(value.get("times"), None);
            for (form, parts) in [
                ("sarif", ["\"timeNotProven\":true", ALICE]),
                ("junit", ["<error type=\"cannot-tell\"", ALICE]),
            ] {
                let run = repository.countersign(&["verify", "--format", form, "main"]).status(2);
                run.stdout_holds(&parts).any_stderr().check();
            }
            let run = repository.git(&["verify-commit", "--raw", "main"]).status(1);
            run.stderr_holds(&["[GNUPG:] ERRSIG "]).check();
            let run = repository.git(&["verify-commit", "main"]).status(1);
            run.stderr_holds(&["by the certificate of 'alice@example.com'", NOT_PROVEN, "proof fetch"])
                .check();
            assert_eq!(repository.grade("main"), "E|");
            let run = repository.countersign(&["inspect", "main"]).status(2);
            run.stdout_holds(&[
                "no log entry",
                "good but for its time",
                "hint: run 'countersign proof fetch'",
            ])
            .check();

            // One question for each, and what is found is kept.
            let run = repository.countersign(&["proof", "fetch", "--all"]).any_stdout();
            let run = run.stderr(
                "3 signatures need an entry of the log: 3 kept now, 0 already kept, 0 not in the log, 0 refused\n",
            );
            let text = run.check().text();
            assert_eq!(text.lines().filter(|line| line.starts_with("kept       ")).count(), 3, "{text}");
            let paths = kept(&repository);
            assert_eq!(paths.len(), 3);
            assert!(paths.iter().any(|path| path.starts_with(&format!("{}/{}.", &two[..2], &two[2..]))));
            repository.git(&["fsck", "--strict"]).any_stderr().check();
            let before = repository.id(REF);
            let run = repository.countersign(&["proof", "fetch", "--json", "main"]).any_stderr().any_stdout();
            let value: Value = serde_json::from_str(&run.check().text()).unwrap();
            assert_eq!((&value["status"], &value["object"]), (&"already".into(), &two.as_str().into()));
            assert_eq!(repository.id(REF), before, "nothing new, no commit");

            // Afterwards: proven, offline.
            world.stop_authority();
            let repository = at(world, name);
            let run = repository.countersign(&["verify", "--all"]).stdout_holds(&["good", ALICE]);
            run.stderr("verified 3 objects: 3 good\n").check();
            let run = repository.countersign(&["verify", "--json", "main"]).any_stdout();
            let value: Value = serde_json::from_str(&run.check().text()).unwrap();
            assert_eq!(value["log"]["embedded"], false);
            assert_eq!(value["log"]["signedEntryTimestamp"], true);
            let run = repository.git(&["verify-commit", "main"]);
            run.stderr_holds(&["good signature by 'alice@example.com'", "known as"]).check();
            repository.git(&["verify-tag", "v1"]).stderr_holds(&["good signature by 'alice@"]).check();
            assert_eq!(repository.grade("main"), format!("G|{ALICE}|fully"));
            repository
                .countersign(&["inspect", "v1"])
                .stdout_holds(&["the entry is not in the signature"])
                .check();
            // Packed, in a linked work tree, it is the same.
            repository.git(&["gc", "-q"]).any_stderr().check();
            repository.git(&["worktree", "add", "-q", "--detach", "../linked"]).any_stderr().check();
            let linked = Repository::at(world, &world.path("linked"));
            linked.git(&["verify-commit", "HEAD"]).stderr_holds(&["good signature by"]).check();
        });
    }
}

#[test]
fn what_the_log_does_not_have_is_said() {
    trusting("sha1", |world, name| {
        let repository = at(world, name);
        let (id, _) = commit(&repository, ALICE, &[], "never logged");
        let embedded = repository.commit("with its entry");
        let run = repository.countersign(&["proof", "fetch", &id, &embedded]).status(2);
        let run = run.stdout(format!("not-in-log {}\n", &id[..12]));
        run.stderr(
            "1 signature needs an entry of the log: 0 kept now, 0 already kept, 1 not in the log, 0 refused\n",
        )
        .check();
        assert!(!repository.has(REF));
        // An object that cannot be read is not passed over.
        let (broken, _) = commit(&repository, ALICE, &[], "broken");
        let file = repository.path.join(format!(".git/objects/{}/{}", &broken[..2], &broken[2..]));
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, "damaged").unwrap();
        let run = repository.countersign(&["proof", "fetch", &broken]).any_stderr();
        run.status(3).stdout_holds(&["unreadable "]).check();
        // Bob's entry about Alice's commit is none that a search for her certificate finds.
        let bob = signer_of(world.authority().authority(), BOB);
        log_online(world.authority().authority(), &bob, &id);
        repository
            .countersign(&["proof", "fetch", &id])
            .status(2)
            .stdout_holds(&["not-in-log"])
            .any_stderr()
            .check();
        world.stop_authority();
        let repository = at(world, name);
        let run = repository.countersign(&["proof", "fetch", &id]).status(3);
        run.stderr_holds(&["the log at '", "cannot be asked", "what was found is kept"]).check();
    });
}

#[test]
fn a_repositorys_own_configuration_names_no_log() {
    trusting("sha1", |world, name| {
        let repository = at(world, name);
        let id = logged(&repository, ALICE, &[], "one");
        for (key, value) in
            [("countersign.rekor", "https://evil.example"), ("countersign.sandbox.signingConfig", "/nowhere")]
        {
            repository.git(&["config", key, value]).check();
        }
        repository
            .countersign(&["proof", "fetch", &id])
            .stdout_holds(&["kept", "([URL], index 0)"])
            .any_stderr()
            .check();
    });
}

#[test]
fn somebody_elses_proofs_are_taken_in_by_what_they_prove() {
    trusting("sha1", |world, name| {
        let repository = at(world, name);
        let one = logged(&repository, ALICE, &[], "one");
        let two = logged(&repository, ALICE, &[&one], "two");
        repository.git(&["update-ref", "refs/heads/main", &two]).check();
        world.run("git", &["clone", "-q", "r", "theirs"]).any_stderr().check();
        let theirs = at(world, "theirs");
        repository.countersign(&["proof", "fetch", &one]).any_stdout().any_stderr().check();
        theirs.countersign(&["proof", "fetch", &two]).any_stdout().any_stderr().check();
        repository.git(&["fetch", "-q", "../theirs", REF]).any_stderr().check();
        let run =
            repository.countersign(&["proof", "merge", "FETCH_HEAD"]).stdout_holds(&["kept", &two[..12]]);
        run.stderr("1 kept now, 0 refused\n").check();
        assert_eq!(kept(&repository).len(), 2);
        repository.countersign(&["verify", &one, &two]).any_stdout().check();
        // Nothing more to take.
        repository.git(&["fetch", "-q", "../theirs", REF]).any_stderr().check();
        repository.countersign(&["proof", "merge", "FETCH_HEAD"]).stderr("0 kept now, 0 refused\n").check();
        repository.countersign(&["proof", "merge", "main"]).stderr_holds(&["0 kept now"]).check();
    });
}

/// Let the ref hold `files` (path and blob), besides what it holds.
fn put(repository: &Repository<'_>, files: &[(&str, &[u8])]) {
    let index = repository.world.path("index");
    let _ = std::fs::remove_file(&index);
    let git = |arguments: &[&str]| {
        repository
            .git(arguments)
            .env("GIT_INDEX_FILE", &index)
            .any_stdout()
            .check()
            .text()
            .trim_end()
            .to_owned()
    };
    if repository.has(REF) {
        git(&["read-tree", REF]);
    }
    for (path, bytes) in files {
        let blob = repository.store("blob", bytes);
        git(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")]);
    }
    let tree = git(&["write-tree"]);
    let parent = repository.has(REF).then(|| repository.id(REF));
    let parents: Vec<&str> = parent.iter().flat_map(|parent| ["-p", parent]).collect();
    let arguments = [&["commit-tree", "--no-gpg-sign", "-m", "x", &tree], &parents[..]].concat();
    let commit = git(&arguments);
    git(&["update-ref", REF, &commit]);
}

/// The path under which `bytes` are kept for `id`.
fn path(repository: &Repository<'_>, id: &str, bytes: &[u8]) -> String {
    format!("{}/{}.{}", &id[..2], &id[2..], repository.store("blob", bytes))
}

#[test]
fn whatever_else_stands_in_the_ref_hides_nothing_and_breaks_nothing() {
    trusting("sha1", |world, name| {
        let repository = at(world, name);
        let one = logged(&repository, ALICE, &[], "one");
        let (two, signer) = commit(&repository, ALICE, &[&one], "two");
        let other = log_online(world.authority().authority(), &signer, &two);
        repository.git(&["update-ref", "refs/heads/main", &two]).check();
        let huge = vec![b' '; 20 << 20];
        let plain = format!("{}/{}", &one[..2], &one[2..]);
        let misnamed = format!("{}/{}.{}", &one[..2], &one[2..], "1".repeat(40));
        put(
            &repository,
            &[
                (&path(&repository, &one, b"{"), b"{"),
                (&path(&repository, &one, &other), &other),
                (&path(&repository, &one, &huge), &huge),
                (&plain, b"under a plain name"),
                (&misnamed, b"under another's name"),
                ("README", b"hello"),
                ("zz/x", b"x"),
                ("a/b/c/d", b"x"),
            ],
        );
        let run = repository.countersign(&["verify", &one]).status(2);
        let cause = "what is kept of it does not count: ";
        run.stdout_holds(&[NOT_PROVEN, cause]).any_stderr().check();
        let before = kept(&repository);
        let run = repository.countersign(&["proof", "fetch", &one]).any_stderr();
        run.stdout_holds(&["kept"]).check();
        repository.countersign(&["verify", &one]).stdout_holds(&["good"]).check();
        let after = kept(&repository);
        assert!(before.iter().all(|path| after.contains(path)), "nothing is taken away");
        assert_eq!(after.len(), before.len() + 1);
        // In the other's place it proves nothing of the one, and in its own nobody has put it.
        repository.countersign(&["verify", &two]).status(2).stdout_holds(&[NOT_PROVEN]).any_stderr().check();

        // A ref that leads to no tree of ours at all.
        for value in [repository.store("blob", b"x"), repository.store("tree", b"")] {
            repository.git(&["update-ref", "--no-deref", REF, &value]).any_stderr().check();
            let run = repository.countersign(&["verify", &one]).status(2).any_stdout();
            run.stderr_holds(&["warning: what 'refs/countersign/proofs' keeps is not used"]).check();
            repository.git(&["verify-commit", &one]).status(1).any_stderr().check();
            repository.countersign(&["proof", "fetch", &one]).status(3).any_stderr().check();
        }
        repository.git(&["symbolic-ref", REF, "refs/heads/main"]).check();
        let run = repository.countersign(&["proof", "fetch", &one]).status(3);
        run.stderr_holds(&["is a symbolic ref"]).check();
        assert_eq!(repository.id("main"), two);
    });
}

/// A server whose policy is `rules`, and a repository that pushes to it.
fn served(rules: &str, test: impl FnOnce(&World, &Repository<'_>, &dyn Fn(&str))) {
    let world = World::new();
    world.trust(ALICE);
    let policy = |rules: &str| {
        let path = world.policy(&[("alice", ALICE)]);
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.split("[[rule]]").next().unwrap().to_owned() + rules;
        std::fs::write(path, text).unwrap();
    };
    policy(rules);
    world.bare("server.git", "sha1");
    let install = ["hook", "install", "--repository", "server.git", "--policy", "policy.toml"];
    world.countersign(&install).any_stdout().any_stderr().check();
    let repository = world.repository("r", "sha1");
    test(&world, &repository, &policy);
}

const MAIN: &str =
    "[[rule]]\nname = \"main\"\nrefs = [\"refs/heads/main\"]\ncommits = [\"alice\"]\ncreate = \"allow\"\n";
const PROOFS: &str = "[[rule]]\nname = \"proofs\"\nrefs = [\"refs/countersign/proofs\"]\ncommits = \"unsigned\"\n\
                      create = \"allow\"\nrewind = \"allow\"\n";

const WILD: &str =
    "[[rule]]\nname = \"wild\"\nrefs = [\"refs/heads/wild\"]\ncommits = \"unsigned\"\ncreate = \"allow\"\n";

fn push(repository: &Repository<'_>, refs: &[&str], refused: &[&str]) {
    let run = repository.git(&[&["push", "-q", "../server.git"], refs].concat());
    if refused.is_empty() {
        run.any_stderr().check();
    } else {
        run.status(1).stderr_holds(refused).check();
    }
}

#[test]
fn a_push_brings_its_proofs_along() {
    served(&format!("{MAIN}{PROOFS}{WILD}"), |world, repository, _| {
        let one = logged(repository, ALICE, &[], "one");
        let main = format!("{one}:refs/heads/main");
        push(
            repository,
            &[&main],
            &["refs/heads/main: commit", ALICE, NOT_PROVEN, "countersign proof fetch"],
        );
        repository.countersign(&["proof", "fetch", &one]).any_stdout().any_stderr().check();
        push(repository, &[&main], &[NOT_PROVEN]);
        push(repository, &[&main, &format!("{REF}:{REF}")], &[]);
        // The server keeps them: the next one needs to bring its own alone.
        let two = logged(repository, ALICE, &[&one], "two");
        repository.countersign(&["proof", "fetch", &two]).any_stdout().any_stderr().check();
        push(repository, &[&format!("{two}:refs/heads/main"), &format!("{REF}:{REF}")], &[]);
        // Or the server has looked it up itself.
        let three = logged(repository, ALICE, &[&two], "three");
        push(repository, &[&format!("{three}:refs/heads/main")], &[NOT_PROVEN]);
        push(repository, &[&format!("{three}:refs/heads/wild")], &[]);
        let fetch = ["proof", "fetch", "--repository", "server.git", "refs/heads/wild"];
        world.countersign(&fetch).stdout_holds(&["kept"]).any_stderr().check();
        push(repository, &[&format!("{three}:refs/heads/main")], &[]);
        assert_eq!(kept(&at(world, "server.git")).len(), 3);
    });
}

#[test]
fn what_a_push_brought_that_ran_out_of_time_proves_nothing_later() {
    served(MAIN, |world, repository, _| {
        let one = logged(repository, ALICE, &[], "one");
        repository.countersign(&["proof", "fetch", &one]).any_stdout().any_stderr().check();
        let opened = countersign::repository::Repository::open(&repository.path).unwrap();
        let (objects, references) = (opened.objects().unwrap(), opened.references());
        let wanted = Some(one.parse().unwrap());
        let update = Update { claimed: None, wanted, reference: b"refs/heads/main".to_vec() };
        // Time for about so many looks at the clock; whether it was accepted, or else too late.
        let judge = |proofs: &Proofs, looks: usize| {
            let mut trust = Trust::load(&Beside::new(&world.path("policy.toml"))).unwrap();
            let instances = trust.take_instances().unwrap();
            let verdicts = Verdicts::open(&world.path("state"), &trust, &instances, now()).unwrap();
            let looked = AtomicUsize::new(0);
            let is_over = || looked.fetch_add(1, Ordering::Relaxed) >= looks;
            let gate = Gate {
                policy: &trust.policy,
                verifier: &Verifier::new(instances),
                objects: &objects,
                standing: &Nothing,
                shallow: &opened.shallow(None).unwrap(),
                proofs,
                pushing: &Pushing::Nobody,
                approvals: &Approvals::default(),
                now: now(),
                maximum_listed: MAXIMUM_LISTED,
                pace: Pace { is_over: &is_over, verdicts: Some(&verdicts), ..Pace::default() },
            };
            let finding = gate.judge(std::slice::from_ref(&update), &mut std::io::sink());
            let is_accepted = finding.refusals.is_empty();
            if is_accepted || finding.is_out_of_time {
                verdicts.keep(is_accepted).unwrap();
            }
            (is_accepted, finding.is_out_of_time)
        };
        let (brought, none) = (kept_proofs(&objects, &references, &[]), Proofs::default());
        let mut looks = 0;
        while judge(&brought, looks) == (false, true) {
            assert_eq!(judge(&none, usize::MAX), (false, false), "after {looks} looks at the clock");
            looks += 1;
        }
        assert!((2..50).contains(&looks), "{looks}");
        // Once it is accepted it is known.
        assert_eq!(judge(&none, usize::MAX), (true, false));
    });
}

#[test]
fn a_proof_of_anothers_or_nobodys_lets_nothing_pass() {
    served(&format!("{MAIN}{PROOFS}"), |world, repository, _| {
        let (one, _) = commit(repository, ALICE, &[], "one");
        let (_, signer) = commit(repository, ALICE, &[], "other");
        let proof = log_online(world.authority().authority(), &signer, &one);
        put(repository, &[(&path(repository, &one, &proof), &proof)]);
        let refused =
            ["refs/countersign/proofs: it adds an entry that proves nothing about", "another certificate"];
        push(repository, &[&format!("{one}:refs/heads/main"), &format!("{REF}:{REF}")], &refused);
    });
}

#[test]
fn what_the_server_keeps_only_grows_and_by_proofs_alone() {
    served(&format!("{MAIN}{PROOFS}"), |world, repository, _| {
        let one = logged(repository, ALICE, &[], "one");
        repository.countersign(&["proof", "fetch", &one]).any_stdout().any_stderr().check();
        let good = repository.id(REF);
        push(repository, &[&format!("{one}:refs/heads/main"), &format!("{REF}:{REF}")], &[]);
        let force = format!("+{REF}:{REF}");
        let refused = |words: &[&str]| {
            push(repository, &[&force], &[&["refs/countersign/proofs: "], words].concat());
            repository.git(&["update-ref", REF, &good]).check();
        };
        put(repository, &[("README", b"hello")]);
        refused(&["it adds 'README', which is no entry under its own name"]);
        put(repository, &[(&path(repository, &one, b"{"), b"{")]);
        refused(&["proves nothing about", "no hashedrekord entry"]);
        let nowhere = "12".repeat(20);
        put(repository, &[(&path(repository, &nowhere, b"{"), b"{")]);
        refused(&["about '1212121212121212121212121212121212121212', which is not here"]);
        let huge = vec![b' '; 1 << 20];
        put(repository, &[(&path(repository, &one, &huge), &huge)]);
        refused(&["cannot be read"]);
        // All of them are proofs, and no seventeenth is ever read: one is kept already.
        let run =
            repository.git(&["cat-file", "-p", &format!("{good}:{}", kept(repository)[0])]).any_stdout();
        let proof = run.check().text();
        let spellings: Vec<String> =
            (1..=16).map(|spaces| format!("{proof}{}", " ".repeat(spaces))).collect();
        let files: Vec<(String, &[u8])> = (spellings.iter())
            .map(|text| (path(repository, &one, text.as_bytes()), text.as_bytes()))
            .collect();
        let files: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes)| (path.as_str(), *bytes)).collect();
        put(repository, &files);
        refused(&[&format!("it adds an entry about '{one}', of which as many are kept as are read")]);
        repository.git(&["update-ref", "-d", REF]).check();
        let (two, signer) = commit(repository, ALICE, &[&one], "two");
        let proof = log_online(world.authority().authority(), &signer, &two);
        put(repository, &[(&path(repository, &two, &proof), &proof)]);
        refused(&["it takes away or changes"]);
        push(repository, &[&format!(":{REF}")], &["the ref may not be deleted"]);
        assert_eq!(at(world, "server.git").id(REF), good);
    });
}

#[test]
fn a_rule_may_allow_in_so_many_words_that_no_time_is_proven() {
    served(&format!("{MAIN}time_not_proven = \"refuse\"\n"), |world, repository, policy| {
        let (one, _) = commit(repository, ALICE, &[], "one");
        let (two, _) = commit(repository, BOB, &[&one], "two");
        let main = format!("{one}:refs/heads/main");
        push(repository, &[&main], &[NOT_PROVEN]);
        policy(&format!("{MAIN}time_not_proven = \"allow\"\n"));
        let check = world.countersign(&["policy", "check", "policy.toml"]);
        check.status(1).stdout_holds(&["rule 'main' allows signatures whose time nothing proves"]).check();
        push(repository, &[&main], &[]);
        push(repository, &[&format!("{two}:refs/heads/main")], &[BOB, "whom the policy does not name"]);
        push(repository, &[&format!("{one}:{REF}")], &["this namespace is reserved"]);
    });
}

#[test]
fn the_forged_signer_is_a_signer() {
    // What the others here rely on: with its entry inside, the same certificate verifies as ever.
    let world = forge::World::new();
    let signer = signer_of(&world.authority, ALICE);
    assert!(matches!(world.judge(&world.signed_by(&signer)), countersign::verify::Verdict::Good(_)));
}
