//! A policy in a ref that several persons change together.

use crate::{
    ALICE, BOB, CAROL, ID, REF,
    support::{Repository, World},
};

/// The ref that the policy is kept in.
pub const POLICY: &str = "refs/countersign/policy";

/// A policy of this `serial` that as many persons as `threshold` says may change, written as a file; its path.
pub fn draft(world: &World, serial: u32, threshold: &str) -> String {
    let mut text = format!(
        "version = 1\nrepository = \"{ID}\"\nserial = {serial}\nother_refs = \"refuse\"\n\
         [[instance]]\nname = \"sandbox\"\ntrusted_root = \"sandbox.json\"\n"
    );
    for (name, email) in [("alice", ALICE), ("bob", BOB), ("carol", CAROL)] {
        text += &format!(
            "[identity.{name}]\nkeyless = [{{ instance = \"sandbox\", issuer = \"{}\", kind = \"email\", subject = \"{email}\" }}]\n",
            world.url()
        );
    }
    let names = "[\"alice\", \"bob\", \"carol\"]";
    text += &format!(
        "[[rule]]\nname = \"policy\"\nrefs = [\"{POLICY}\"]\ncommits = {names}\n{threshold}\
         [[rule]]\nname = \"approvals\"\nrefs = [\"{REF}\"]\ncommits = \"unsigned\"\ncreate = \"allow\"\n\
         [[rule]]\nname = \"rest\"\nrefs = [\"refs/heads/**\"]\ncommits = {names}\ncreate = \"allow\"\n"
    );
    std::fs::create_dir_all(world.path("draft")).unwrap();
    world.write("draft/sandbox.json", world.authority().authority().trusted_root_json());
    world.write("draft/policy.toml", text).to_str().unwrap().to_owned()
}

pub const TWO: &str = "threshold = 2\n";

/// Publish the draft as `email`.
pub fn publish(repository: &Repository<'_>, email: &str, path: &str) -> (i32, String) {
    let run = repository.countersign(&["policy", "publish", path]);
    let run = run.env("SIGSTORE_ID_TOKEN", repository.world.token(email));
    let run = run.any_status().any_stdout().any_stderr().check();
    (run.status, run.words())
}

#[track_caller]
pub fn approve(repository: &Repository<'_>, email: &str, base: &str, commit: &str) {
    let run = repository.countersign(&["approve", "--ref", POLICY, "--base", base, commit]);
    run.env("SIGSTORE_ID_TOKEN", repository.world.token(email)).any_stdout().check();
}

/// The commit that a refused publication has left behind.
pub fn proposed(words: &str) -> String {
    let (_, rest) = words.split_once("countersign approve --ref refs/countersign/policy --base ").unwrap();
    rest.split(['\'', ' ']).nth(1).unwrap().to_owned()
}

/// A repository whose first policy is published and pinned.
fn begun(world: &World) -> (Repository<'_>, String) {
    let repository = world.repository("r", "sha1");
    let (status, words) = publish(&repository, ALICE, &draft(world, 1, TWO));
    assert_eq!((status, words.as_str()), (0, ""), "the first one is believed as it is");
    let pinned = repository.countersign(&["policy", "pin", "--yes"]).any_stdout().check().text();
    assert!(
        pinned.contains("who may change it: alice, bob, carol (2 persons have to vouch for each change)"),
        "{pinned}"
    );
    let root = repository.id(POLICY);
    (repository, root)
}

#[test]
fn a_change_takes_as_many_as_the_old_policy_says() {
    let world = World::new();
    let (repository, root) = begun(&world);
    // Even a change that would have one person do.
    let path = draft(&world, 2, "");
    let (status, words) = publish(&repository, ALICE, &path);
    assert_eq!(status, 3);
    for part in [
        "nothing was published",
        "1 of 2 persons vouches for it ('alice')",
        "hint: have 'bob' or 'carol' run",
        "publish the same again",
    ] {
        assert!(words.contains(part), "no {part:?} in {words}");
    }
    assert_eq!(repository.id(POLICY), root);
    let proposal = proposed(&words);
    approve(&repository, ALICE, &root, &proposal);
    assert!(publish(&repository, ALICE, &path).1.contains("1 of 2 persons vouches for it ('alice')"));
    // Alice's in more spellings than a commit carries: nobody else's is lost behind them.
    let kept = repository.git(&["ls-tree", "-r", REF]).any_stdout().check().text();
    let (blob, path_in_tree) =
        kept.trim_end().split_once(' ').unwrap().1.split_once(' ').unwrap().1.split_once('\t').unwrap();
    let envelope = repository.git(&["cat-file", "blob", blob]).any_stdout().check().stdout;
    let (key, _) = path_in_tree.split_once('.').unwrap();
    let mut stream =
        format!("commit {REF}\ncommitter C <c@example.com> 1700000000 +0000\ndata 1\n.\nfrom {REF}^0\n");
    for spaces in 1..100 {
        let spelling = [envelope.as_slice(), " ".repeat(spaces).as_bytes()].concat();
        let blob = repository.store("blob", &spelling);
        stream += &format!("M 100644 {blob} {key}.{blob}\n");
    }
    repository.git(&["fast-import", "--quiet", "--force"]).input(stream).any_stdout().any_stderr().check();
    approve(&repository, BOB, &root, &proposal);
    let (status, words) = publish(&repository, ALICE, &path);
    assert_eq!(status, 0, "{words}");
    let second = repository.id(POLICY);

    // It follows wherever it is read, without another ref.
    repository.git(&["update-ref", "-d", REF]).check();
    let shown = repository.countersign(&["policy", "show"]).any_stdout().check().text();
    assert!(shown.contains("policy serial: 2") && shown.contains("1 change since"), "{shown}");
    repository.git(&["fsck", "--strict"]).any_stdout().any_stderr().check();
    // And by the second one is enough.
    assert_eq!(publish(&repository, BOB, &draft(&world, 3, TWO)).0, 0);
    assert_ne!(repository.id(POLICY), second);
}

#[test]
fn an_approval_by_somebody_for_whom_the_instance_is_not_believed_here_counts_nowhere() {
    // Logged, and where the policy lets that count in no log.
    for (threshold, log) in [(TWO, "required"), ("threshold = 2\nnot_logged = \"allow\"\n", "never")] {
        let world = World::new();
        let repository = world.repository("r", "sha1");
        assert_eq!(publish(&repository, ALICE, &draft(&world, 1, threshold)).0, 0);
        repository.countersign(&["policy", "pin", "--yes"]).any_stdout().check();
        let root = repository.id(POLICY);
        let path = draft(&world, 2, threshold);
        let proposal = proposed(&publish(&repository, ALICE, &path).1);
        world.run("git", &["config", "--global", "countersign.log", log]).check();
        approve(&repository, BOB, &root, &proposal);
        world.run("git", &["config", "--global", "countersign.log", "required"]).check();
        let set = |value: &str| {
            let run = world.run("git", &["config", "--global", "countersign.sandbox.subject", value]);
            run.check();
        };
        set(ALICE);
        let (status, words) = publish(&repository, ALICE, &path);
        assert_eq!(status, 3, "{log}: {words}");
        for part in
            ["1 of 2 persons vouches for it ('alice')", BOB, "for whom the instance is not believed here"]
        {
            assert!(words.contains(part), "{log}: no {part:?} in {words}");
        }
        set("*@example.com");
        let (status, words) = publish(&repository, ALICE, &path);
        assert_eq!(status, 0, "{log}: {words}");
    }
}

#[test]
fn approvals_of_another_change_do_not_carry_over() {
    let world = World::new();
    let (repository, root) = begun(&world);
    let words = publish(&repository, ALICE, &draft(&world, 2, TWO)).1;
    let proposal = proposed(&words);
    approve(&repository, BOB, &root, &proposal);
    // Whoever signs what carries the approval cannot make it that of something else.
    let tip = repository.id(POLICY);
    let refused = |message: &str, tree: &str, reason: &str| {
        let run = repository.git(&["commit-tree", "-S", "-F", "-", "-p", &root, tree]).input(message);
        let commit = run.any_stdout().check().text().trim_end().to_owned();
        repository.git(&["update-ref", POLICY, &commit]).check();
        let run = repository.countersign(&["policy", "show"]).status(3).any_stderr().check();
        assert!(run.words().contains(reason), "{}", run.words());
        repository.git(&["update-ref", POLICY, &tip]).check();
    };
    assert_eq!(publish(&repository, ALICE, &draft(&world, 2, TWO)).0, 0);
    let second = repository.id(POLICY);
    let message = repository.git(&["log", "-1", "--format=%B", &second]).any_stdout().check().text();
    assert!(message.contains("\nApproval: "), "{message}");
    repository.git(&["update-ref", POLICY, &tip]).check();
    let tree = |serial: u32, more: &str| {
        draft(&world, serial, more);
        let blob = |name: &str| {
            let bytes = std::fs::read(world.path("draft").join(name)).unwrap();
            repository.store("blob", &bytes)
        };
        let lines = format!(
            "100644 blob {}\tpolicy.toml\n100644 blob {}\tsandbox.json\n",
            blob("policy.toml"),
            blob("sandbox.json")
        );
        repository.git(&["mktree"]).input(lines).any_stdout().check().text().trim_end().to_owned()
    };
    let other = tree(3, "");
    refused(&message, &other, "1 of 2 persons vouches for it ('alice'); an approval is for another tree");
    refused("none", &other, "1 of 2 persons vouches for it ('alice')");
    refused("Approval: eA==\n", &other, "an approval cannot be read: it is no DSSE envelope");
}

#[test]
fn the_gate_counts_the_same_and_says_what_to_do() {
    let world = World::new();
    let (repository, root) = begun(&world);
    let server = world.bare("server.git", "sha1");
    let at = server.path.to_str().unwrap();
    repository.git(&["push", "-q", at, POLICY]).check();
    let install = ["hook", "install", "--repository", at, "--policy-root", &root];
    world.countersign(&install).any_stdout().any_stderr().any_status().check();
    let words = publish(&repository, ALICE, &draft(&world, 2, "")).1;
    let proposal = proposed(&words);
    let push = |what: &str| {
        let run = repository.git(&["push", "-q", at, what]).any_status().any_stderr().check();
        (run.status, run.words())
    };
    let (status, words) = push(&format!("{proposal}:{POLICY}"));
    assert_ne!(status, 0);
    assert!(words.contains("1 of 2 persons vouches for it ('alice')"), "{words}");
    assert!(
        words.contains(&format!("countersign approve --ref {POLICY} --base {root} {proposal}")),
        "{words}"
    );
    approve(&repository, BOB, &root, &proposal);
    assert_eq!(publish(&repository, ALICE, &draft(&world, 2, "")).0, 0);
    // The approvals need not lie on the server: the commit carries them.
    let (status, words) = push(POLICY);
    assert_eq!(status, 0, "{words}");
    assert_eq!(server.id(POLICY), repository.id(POLICY));
}
