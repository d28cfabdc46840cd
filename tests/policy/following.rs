//! Everything that a policy's history may not be, each with its cause.

use crate::{
    ALICE, BOB, Draft, ID, REF, pin, published, refused,
    support::{Repository, World},
    verified, world,
};

/// What stands in the tree of a step.
enum Entry<'a> {
    File(&'a str, Vec<u8>),
    Raw(&'a str, String),
}

/// A commit on top of `parents` with `entries` in its tree, signed by `email` with git alone; its id.
fn commit(
    repository: &Repository<'_>,
    parents: &[&str],
    email: Option<&str>,
    entries: &[Entry<'_>],
) -> String {
    let world = repository.world;
    let root = repository.store("blob", world.authority().authority().trusted_root_json().as_bytes());
    let line = |text: &str| {
        let run = repository.git(&["mktree"]).input(text.as_bytes());
        run.any_stdout().check().text().trim_end().to_owned()
    };
    let mut lines = format!("040000 tree {}\troots\n", line(&format!("100644 blob {root}\tsandbox.json\n")));
    for entry in entries {
        lines += &match entry {
            Entry::File(name, bytes) => format!("100644 blob {}\t{name}\n", repository.store("blob", bytes)),
            Entry::Raw(name, entry) => format!("{entry}\t{name}\n"),
        };
    }
    let tree = line(&lines);
    let mut arguments = vec!["commit-tree", "-m", "step", &tree];
    arguments.extend(parents.iter().flat_map(|parent| ["-p", parent]));
    let mut run = repository.git(&arguments);
    if let Some(email) = email {
        arguments.insert(1, "-S");
        run = repository.git(&arguments).env("SIGSTORE_ID_TOKEN", world.token(email));
    }
    run.any_stdout().check().text().trim_end().to_owned()
}

/// A commit on `parent` that holds the policy `text`, signed by `email`.
pub fn step(repository: &Repository<'_>, parent: &str, email: &str, text: &str) -> String {
    step_on(repository, &[parent], email, text)
}

/// The same on several parents, or none.
pub fn step_on(repository: &Repository<'_>, parents: &[&str], email: &str, text: &str) -> String {
    commit(repository, parents, Some(email), &[Entry::File("policy.toml", text.into())])
}

/// A repository whose policy is pinned at its first commit, and that commit.
fn pinned(world: &World) -> (Repository<'_>, String) {
    let repository = published(world, "sha1");
    pin(&repository);
    let first = repository.id(REF);
    (repository, first)
}

/// Point the policy's ref to `commit`, see it refused for `reason`, and put it back.
#[track_caller]
fn refused_at(repository: &Repository<'_>, commit: &str, reason: &str) {
    let before = repository.id(REF);
    repository.git(&["update-ref", REF, commit]).check();
    refused(repository, reason);
    repository.git(&["update-ref", REF, &before]).check();
    assert_eq!(verified(repository).0, 0);
}

#[test]
fn each_step_is_signed_and_says_more_than_the_one_before() {
    let world = world();
    let (repository, first) = pinned(&world);
    let text = |serial| Draft { serial, ..Draft::FIRST }.text(&world);
    let file = |text: String| [Entry::File("policy.toml", text.into_bytes())];

    let unsigned = commit(&repository, &[&first], None, &file(text(2)));
    refused_at(&repository, &unsigned, "it is not signed, where 'alice' has to sign");
    let stranger = commit(&repository, &[&first], Some(BOB), &file(text(2)));
    refused_at(&repository, &stranger, "signed by 'bob@example.com'");
    let same = step(&repository, &first, ALICE, &text(1));
    refused_at(&repository, &same, "has the serial 1, and the one before it has 1");
    let none = step(&repository, &first, ALICE, &text(2).replace("serial = 2\n", ""));
    refused_at(&repository, &none, "does not say 'serial'");
    let nobodys = step(&repository, &first, ALICE, &text(2).replace(&format!("repository = \"{ID}\"\n"), ""));
    refused_at(&repository, &nobodys, "does not say 'repository'");
    let other = step(&repository, &first, ALICE, &text(2).replace(ID, "example.com/other"));
    refused_at(&repository, &other, "is for the repository 'example.com/other'");
    let broken = step(&repository, &first, ALICE, &text(2).replace("other_refs", "other_ref"));
    refused_at(&repository, &broken, "unknown key 'other_ref'");

    // A broken step in the middle is not healed by a good one behind it.
    let healed = step(&repository, &broken, ALICE, &text(3));
    refused_at(&repository, &healed, "unknown key 'other_ref'");
    let healed = step(&repository, &unsigned, ALICE, &text(3));
    refused_at(&repository, &healed, "it is not signed");

    // A changed byte in a good step.
    let good = step(&repository, &first, ALICE, &text(2));
    let bytes = repository.object("commit", &good);
    let changed = String::from_utf8(bytes).unwrap().replace("\nstep", "\nstop");
    let changed = repository.store("commit", changed.as_bytes());
    refused_at(&repository, &changed, "the signature is bad");
}

#[test]
fn a_history_without_merges_that_begins_where_it_is_believed() {
    let world = world();
    let (repository, first) = pinned(&world);
    let text = |serial| Draft { serial, ..Draft::FIRST }.text(&world);
    let left = step(&repository, &first, ALICE, &text(2));
    let right = step(&repository, &first, ALICE, &text(3));
    let file = [Entry::File("policy.toml", text(4).into_bytes())];
    let merge = commit(&repository, &[&left, &right], Some(ALICE), &file);
    refused_at(&repository, &merge, &format!("the policy's commit {merge} is a merge"));
    let after = step(&repository, &merge, ALICE, &text(5));
    refused_at(&repository, &after, "is a merge");

    let rootless = commit(&repository, &[], Some(ALICE), &file);
    refused_at(&repository, &rootless, &format!("its history begins with commit {rootless}"));
    // What is behind the root is nobody's business, and what is before it is not the root.
    let head = repository.id("HEAD");
    refused_at(&repository, &head, "its history begins with commit");
    let tag = repository.store("blob", b"no commit");
    repository.git(&["update-ref", "-d", REF]).check();
    std::fs::write(repository.path.join(".git").join(REF), format!("{tag}\n")).unwrap();
    refused(&repository, "is a blob, where a commit should be");
    repository.git(&["update-ref", "-d", REF]).check();
    refused(&repository, &format!("there is no ref '{REF}'"));
}

#[test]
fn the_ref_neither_goes_back_nor_aside() {
    let world = world();
    let (repository, first) = pinned(&world);
    let text = |serial| Draft { serial, ..Draft::FIRST }.text(&world);
    let second = step(&repository, &first, ALICE, &text(2));
    repository.git(&["update-ref", REF, &second]).check();
    assert_eq!(verified(&repository).0, 0);
    refused_at(&repository, &first, &format!("commit {second}, which was seen there before"));
    let aside = step(&repository, &first, ALICE, &text(9));
    refused_at(&repository, &aside, "was rewound or is out of date");
    // Whoever knows why pins it again.
    repository.git(&["update-ref", REF, &aside]).check();
    refused(&repository, "was rewound");
    pin(&repository);
    assert_eq!(verified(&repository).0, 0);
    // What is not to be read does not count as not being there.
    let memory = world.path("home/.local/share/countersign/policy");
    for entry in std::fs::read_dir(memory).unwrap() {
        std::fs::write(entry.unwrap().path(), "garbage").unwrap();
    }
    refused(&repository, "it holds no object id");
}

#[test]
fn what_should_be_the_policy_is_a_regular_file_of_some_size() {
    let world = world();
    let (repository, first) = pinned(&world);
    let text = Draft { serial: 2, ..Draft::FIRST }.text(&world);
    let blob = repository.store("blob", text.as_bytes());
    let link = repository.store("blob", b"real.toml");
    let raw = |entry: String| {
        let entries =
            [Entry::Raw("policy.toml", entry), Entry::Raw("real.toml", format!("100644 blob {blob}"))];
        commit(&repository, &[&first], Some(ALICE), &entries)
    };
    refused_at(&repository, &raw(format!("120000 blob {link}")), "it is a symbolic link");
    refused_at(&repository, &raw(format!("160000 commit {first}")), "it is a submodule");
    let tree = repository.id(&format!("{first}^{{tree}}"));
    refused_at(&repository, &raw(format!("040000 tree {tree}")), "it is a folder");
    let twice = [
        Entry::File("policy.toml", text.clone().into()),
        Entry::Raw("policy.toml", format!("100644 blob {link}")),
    ];
    refused_at(
        &repository,
        &commit(&repository, &[&first], Some(ALICE), &twice),
        "its name stands twice in the tree",
    );
    let missing = commit(&repository, &[&first], Some(ALICE), &[]);
    refused_at(&repository, &missing, &format!("there is no policy at '{missing}:policy.toml'"));
    let huge = [text.as_bytes(), "\n# x".repeat(1_200_000).as_bytes()].concat();
    let huge = commit(&repository, &[&first], Some(ALICE), &[Entry::File("policy.toml", huge)]);
    refused_at(&repository, &huge, "it is larger than 4194304 bytes");

    for (path, reason) in [
        ("roots/none.json", "there is no file"),
        ("../sandbox.json", "its path leads out of the tree"),
        ("/etc/passwd", "its path leads out of the tree"),
        ("policy.toml/x", "its path leads through a file"),
        ("roots", "it is a folder"),
    ] {
        let commit = step(&repository, &first, ALICE, &text.replace("roots/sandbox.json", path));
        refused_at(&repository, &commit, reason);
    }
    // An executable file is a file.
    let good = raw(format!("100755 blob {blob}"));
    repository.git(&["update-ref", REF, &good]).check();
    assert_eq!(verified(&repository).0, 0);
}

#[test]
fn a_policy_that_lets_nobody_change_it_stays() {
    let world = world();
    let (repository, first) = pinned(&world);
    let text = Draft { serial: 2, ..Draft::FIRST }.text(&world);
    let closed = text.replace(&format!("refs = [\"{REF}\"]"), "refs = [\"refs/countersign/other\"]");
    let closed = step(&repository, &first, ALICE, &closed);
    repository.git(&["update-ref", REF, &closed]).check();
    assert_eq!(verified(&repository).0, 0);
    let next = step(&repository, &closed, ALICE, &text.replace("serial = 2", "serial = 3"));
    refused_at(&repository, &next, &format!("has no rule for '{REF}'"));

    let open = text.replace("serial = 2", "serial = 3").replace(
        "commits = [\"alice\"]\n[[rule]]\nname = \"everything\"",
        "commits = \"unsigned\"\n[[rule]]\nname = \"everything\"",
    );
    assert!(open.contains("unsigned"));
    repository.git(&["update-ref", REF, &first]).check();
    pin(&repository);
    let open = step(&repository, &first, ALICE, &open);
    repository.git(&["update-ref", REF, &open]).check();
    assert_eq!(verified(&repository).0, 0);
    let next = step(&repository, &open, ALICE, &text.replace("serial = 2", "serial = 4"));
    refused_at(&repository, &next, "names nobody who may change it");
}

#[test]
fn a_rule_that_only_warns_does_not_let_strangers_change_the_policy() {
    let world = world();
    let repository = world.repository("r", "sha1");
    let warns = |serial| {
        let text = Draft { serial, ..Draft::FIRST }.text(&world);
        text.replacen("commits = [\"alice\"]", "commits = [\"alice\"]\nmode = \"warn\"", 1)
    };
    let first = commit(&repository, &[], Some(ALICE), &[Entry::File("policy.toml", warns(1).into_bytes())]);
    repository.git(&["update-ref", REF, &first]).check();
    repository.commit("by alice");
    pin(&repository);
    let second = step(&repository, &first, BOB, &warns(2));
    refused_at(&repository, &second, "whom the policy does not name");
}

#[test]
fn symbolic_and_replace_refs_change_nothing() {
    let world = world();
    let (repository, first) = pinned(&world);
    let hostile = Draft { serial: 2, signers: &["bob"], ..Draft::FIRST }.text(&world);
    let fake =
        commit(&repository, &[], Some(BOB), &[Entry::File("policy.toml", hostile.clone().into_bytes())]);
    repository.git(&["replace", &first, &fake]).check();
    assert_eq!(verified(&repository).0, 0);
    let [blob, other] = [format!("{first}:policy.toml"), format!("{fake}:policy.toml")].map(|name| {
        repository.git(&["--no-replace-objects", "rev-parse", &name]).any_stdout().check().text()
    });
    repository.git(&["replace", blob.trim_end(), other.trim_end()]).check();
    assert_eq!(verified(&repository).0, 0);
    repository.git(&["update-ref", "refs/countersign/other", &first]).check();
    repository.git(&["symbolic-ref", REF, "refs/countersign/other"]).check();
    refused(&repository, "is a symbolic ref");
}

#[test]
fn a_clone_without_the_root_says_so() {
    let world = world();
    let (origin, first) = pinned(&world);
    Draft { serial: 2, ..Draft::FIRST }.publish(&origin, ALICE);
    let url = format!("file://{}", origin.path.display());
    world.run("git", &["clone", "-q", "--depth=1", &url, "shallow"]).check();
    let shallow = Repository::at(&world, &world.path("shallow"));
    shallow.git(&["fetch", "-q", "--depth=1", "origin", &format!("{REF}:{REF}")]).check();
    refused(&shallow, &format!("the commit {first} that 'countersign.policyPin' believes"));
    // Unpinned it would not be found where it begins either.
    world.countersign(&["policy", "pin", "--remove", ID]).any_stdout().check();
    let (status, words) = verified(&shallow);
    assert_eq!(status, 2);
    assert!(words.contains("cannot be pinned: the policy's history is cut off at commit"), "{words}");
    shallow.git(&["fetch", "-q", "--unshallow", "origin"]).check();
    shallow.git(&["fetch", "-q", "origin", &format!("{REF}:{REF}")]).check();
    pin(&shallow);
    assert_eq!(verified(&shallow).0, 0);
}
