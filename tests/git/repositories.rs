//! Repositories as people have them: what leads other programs astray leads this one nowhere.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::support::{ALICE, Repository, World};

/// A repository of four commits, of which the second is not signed.
fn history<'w>(world: &'w World, format: &str) -> Repository<'w> {
    world.trust(ALICE);
    let repository = world.repository("r", format);
    fs::write(repository.path.join("file"), "content").unwrap();
    repository.git(&["add", "file"]).check();
    repository.commit("first");
    repository.git(&["commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", "second"]).check();
    repository.commit("third");
    repository.commit("fourth");
    repository
}

/// All four commits are found, and the second is unsigned.
#[track_caller]
fn assert_whole(repository: &Repository<'_>, arguments: &[&str]) {
    let arguments = [&["verify", "--format=text"], arguments].concat();
    let run = repository.countersign(&arguments).status(1).any_stdout().any_stderr();
    let outcome = run.check();
    for title in ["first", "second", "third", "fourth"] {
        let found = outcome.text().lines().filter(|line| line.ends_with(title)).count();
        assert_eq!(found, 1, "{arguments:?} {title}: {}{}", outcome.text(), outcome.words());
    }
    assert!(outcome.text().lines().any(|line| line.starts_with("unsigned") && line.ends_with("second")));
}

#[test]
fn clones_and_work_trees_of_every_kind_are_read_whole() {
    for format in ["sha1", "sha256"] {
        let world = World::new();
        let repository = history(&world, format);
        assert_whole(&repository, &["--all"]);
        let path = repository.path.to_str().unwrap();
        let url = format!("file://{path}");
        repository.git(&["config", "uploadpack.allowFilter", "true"]).check();
        repository.git(&["worktree", "add", "-q", "--detach", "../linked"]).check();
        let linked = Repository::at(&world, &world.path("linked"));
        assert_whole(&linked, &["--all"]);
        for (name, options) in [
            ("bare.git", &["--bare"][..]),
            ("mirror.git", &["--mirror"]),
            ("shared", &["--shared"]),
            ("referenced", &["--reference", path]),
            ("blobless", &["--filter=blob:none", "--no-checkout"]),
            ("treeless", &["--filter=tree:0", "--no-checkout"]),
            ("separate", &["--separate-git-dir=separate.git"]),
        ] {
            let source = if name == "shared" { path } else { &url };
            world.run("git", &[&["clone", "-q"], options, &[source, name]].concat()).any_stderr().check();
            let clone = Repository::at(&world, &world.path(name));
            assert_whole(&clone, &["--all"]);
            clone.git(&["repack", "-adq"]).any_stderr().check();
            assert_whole(&clone, &["--all"]);
        }
        let partial = Repository::at(&world, &world.path("treeless"));
        let missing = partial.git(&["rev-list", "--objects", "--all", "--missing=print"]).any_stdout();
        assert!(missing.check().text().contains("\n?"), "nothing is fetched to verify commits");
    }
}

#[test]
fn a_missing_commit_of_a_partial_clone_is_said_and_not_fetched() {
    let world = World::new();
    let repository = history(&world, "sha1");
    repository.git(&["config", "uploadpack.allowFilter", "true"]).check();
    repository.git(&["config", "uploadpack.allowAnySHA1InWant", "true"]).check();
    let url = format!("file://{}", repository.path.display());
    world.run("git", &["clone", "-q", "--filter=tree:0", "--no-checkout", &url, "partial"]).check();
    let partial = Repository::at(&world, &world.path("partial"));
    let (second, first) = (partial.id("HEAD~2"), partial.id("HEAD~3"));
    // The second commit goes, as if the clone had been promised it.
    let packs = partial.path.join(".git/objects/pack");
    fs::rename(&packs, world.path("packs")).unwrap();
    fs::create_dir(&packs).unwrap();
    for pack in fs::read_dir(world.path("packs")).unwrap().map(|entry| entry.unwrap().path()) {
        if pack.extension().is_some_and(|extension| extension == "pack") {
            partial.git(&["unpack-objects", "-q"]).input(fs::read(pack).unwrap()).check();
        }
    }
    let loose = partial.path.join(format!(".git/objects/{}/{}", &second[..2], &second[2..]));
    fs::remove_file(&loose).unwrap();
    let called = world.path("called");
    let program = format!("touch '{}'; git-upload-pack", called.display());
    partial.git(&["config", "remote.origin.uploadpack", &program]).check();

    let missing = format!("the object '{second}' is missing");
    for arguments in [&["--all"][..], &["HEAD~1..HEAD", "HEAD~2"], &["--since", "HEAD"], &[&second]] {
        let arguments = [&["verify"], arguments].concat();
        let run = partial.countersign(&arguments).any_status().any_stdout().any_stderr();
        let outcome = run.check();
        let expected = if arguments.contains(&"--since") { 0 } else { 3 };
        assert_eq!(outcome.status, expected, "{arguments:?}: {}{}", outcome.text(), outcome.words());
        let told = format!("{}{}", outcome.text(), outcome.words());
        let is_said = told.contains("missing") || told.contains("cannot be resolved: ");
        assert!(expected == 0 || is_said, "{arguments:?}: {told}");
    }
    let run =
        partial.countersign(&["verify", "--all"]).status(3).stdout_holds(&["error ", &missing, "third"]);
    run.stderr_holds(&[&format!("error: {missing}\n")]).check();
    let range = format!("{first}..HEAD");
    let run = partial.countersign(&["verify", &range]).status(3).stdout_holds(&[&missing, "third", "fourth"]);
    run.any_stderr().check();
    partial.countersign(&["inspect", &second]).status(3).stderr_holds(&["error: "]).check();
    assert!(!loose.exists() && !called.exists(), "nobody was asked for it");
    // git itself asks, and then it is there.
    partial.git(&["cat-file", "commit", &second]).any_stdout().any_stderr().check();
    assert!(called.exists(), "the trap is set");
    assert_whole(&partial, &["--all"]);
}

#[test]
fn refs_that_are_kept_elsewhere_are_refused_in_words() {
    let world = World::new();
    let repository = history(&world, "sha1");
    let aside = world.repository("aside", "sha1");
    let config = repository.path.join(".git/config");
    let text = fs::read_to_string(&config)
        .unwrap()
        .replace("repositoryformatversion = 0", "repositoryformatversion = 1");
    assert!(text.contains("repositoryformatversion = 1"));
    fs::write(&config, format!("{text}[extensions]\n refStorage = reftable\n")).unwrap();
    // A git that knows such refs goes on where others stop, as if it stood elsewhere.
    let path = std::env::var("PATH").unwrap();
    let git =
        std::env::split_paths(&path).map(|folder| folder.join("git")).find(|git| git.is_file()).unwrap();
    fs::create_dir(world.path("bin")).unwrap();
    let script = format!("#!/bin/sh\ncd '{}' && exec '{}' \"$@\"\n", aside.path.display(), git.display());
    let script = world.write("bin/git", script);
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
    let newer = format!("{}:{path}", world.path("bin").display());
    let place = repository.path.to_str().unwrap();
    for arguments in [
        &["verify", "--all"][..],
        &["verify"],
        &["inspect", "HEAD"],
        &["hook", "install", "--repository", place, "--policy", "/nowhere"],
    ] {
        let run = repository.countersign(arguments).env("PATH", &newer).status(3);
        let run = run.stderr_holds(&[
            "error: ",
            "the repository keeps its refs as 'reftable', which is not supported",
        ]);
        run.check();
        // With the git at hand, whether it knows of them or not.
        let outcome = repository.countersign(arguments).status(3).any_stderr().check();
        assert!(outcome.words().to_lowercase().contains("ref"), "{}", outcome.words());
    }
}

#[test]
fn alternates_of_alternates_are_found_and_their_absence_is_said() {
    let world = World::new();
    let repository = history(&world, "sha1");
    world.run("git", &["clone", "-q", "--shared", "r", "second"]).check();
    world.run("git", &["clone", "-q", "--shared", "second", "third"]).check();
    let third = Repository::at(&world, &world.path("third"));
    assert_whole(&third, &["--all"]);
    fs::rename(&repository.path, world.path("gone")).unwrap();
    let run = third.countersign(&["verify", "--all"]).status(3).any_stdout();
    run.stderr_holds(&["error: "]).check();
}

#[test]
fn replace_refs_and_grafts_hide_nothing() {
    let world = World::new();
    let repository = history(&world, "sha1");
    let ids = ["HEAD~3", "HEAD~2", "HEAD~1", "HEAD"].map(|revision| repository.id(revision));
    fs::create_dir_all(repository.path.join(".git/info")).unwrap();
    fs::write(repository.path.join(".git/info/grafts"), format!("{} {}\n", ids[2], ids[0])).unwrap();
    assert_eq!(
        repository.git(&["rev-list", "HEAD"]).any_stdout().any_stderr().check().text().lines().count(),
        3
    );
    assert_whole(&repository, &["--all"]);
    fs::remove_file(repository.path.join(".git/info/grafts")).unwrap();
    repository.git(&["replace", &ids[1], &ids[0]]).check();
    assert_whole(&repository, &["--all"]);
    let run = repository.countersign(&["verify", "HEAD~2"]).status(1);
    run.stdout_holds(&["unsigned", "second"]).check();
}

/// The commit-graph file with the first parent of `commit` changed to `parent`, as a consistent file.
fn forge_commit_graph(repository: &Repository<'_>, commit: &str, parent: &str) {
    repository.git(&["commit-graph", "write", "--reachable"]).any_stderr().check();
    let path = repository.path.join(".git/objects/info/commit-graph");
    let mut file = fs::read(&path).unwrap();
    let chunk = |name: &[u8]| {
        let row = (8..).step_by(12).find(|row| &file[*row..row + 4] == name).unwrap();
        usize::try_from(u64::from_be_bytes(file[row + 4..row + 12].try_into().unwrap())).unwrap()
    };
    let (names, data) = (chunk(b"OIDL"), chunk(b"CDAT"));
    let position = |id: &str| {
        let id = hex::decode(id).unwrap();
        (0..).find(|index| file[names + index * 20..][..20] == id).unwrap()
    };
    let (row, parent) = (data + position(commit) * 36 + 20, position(parent) as u32);
    file[row..row + 4].copy_from_slice(&parent.to_be_bytes());
    let end = file.len() - 20;
    let checksum = digest(&SHA1_FOR_LEGACY_USE_ONLY, &file[..end]);
    file[end..].copy_from_slice(checksum.as_ref());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, file).unwrap();
}

#[test]
fn a_commit_graph_file_is_not_believed() {
    let world = World::new();
    let repository = history(&world, "sha1");
    let ids = ["HEAD~3", "HEAD~2", "HEAD~1", "HEAD"].map(|revision| repository.id(revision));
    forge_commit_graph(&repository, &ids[2], &ids[0]);
    let listed = repository.git(&["rev-list", "HEAD"]).any_stdout().check().text();
    assert_eq!(listed.lines().count(), 3, "git itself believes it: {listed}");
    assert_whole(&repository, &["--all"]);
    let run = repository.countersign(&["verify", "HEAD~2"]).status(1);
    run.stdout_holds(&["unsigned", "second"]).check();
    let range = format!("{}..HEAD", ids[0]);
    let run = repository.countersign(&["verify", &range]).status(1).any_stderr();
    run.stdout_holds(&["unsigned", "second"]).check();
    let run = repository.countersign(&["verify", "--since", "HEAD~3"]).status(1).any_stderr();
    run.stdout_holds(&["unsigned", "second"]).check();
}

/// Give everything in `path` to somebody else; whether that can be done here.
fn give_away(path: &Path) -> bool {
    let mut entries = vec![path.to_owned()];
    while let Some(entry) = entries.pop() {
        if std::os::unix::fs::lchown(&entry, Some(54_321), None).is_err() {
            eprintln!("SKIPPED: only root can give files away");
            return false;
        }
        if entry.is_dir() && !entry.is_symlink() {
            entries.extend(fs::read_dir(&entry).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    true
}

#[test]
fn somebody_elses_repository_is_refused_unless_the_user_names_it() {
    let world = World::new();
    let repository = history(&world, "sha1");
    world.run("git", &["clone", "-q", "--bare", "r", "bare.git"]).check();
    for path in [repository.path.clone(), world.path("bare.git")] {
        if !give_away(&path) {
            return;
        }
        let place = path.to_str().unwrap();
        let there = Repository::at(&world, &path);
        let fourth = ["verify", "main"];
        let refused = |run: crate::support::Run<'_>| {
            let run = run.status(3);
            let words = run.stderr_begins("error: git does not use the repository '[DIR]/").check().words();
            assert!(words.contains("dubious ownership"), "{words}");
            let hint = format!(
                "hint: if you trust whoever owns it, run 'git config --global --add safe.directory {place}'\n"
            );
            assert!(words.ends_with(&hint), "{words}");
        };
        refused(there.countersign(&fourth));
        refused(there.countersign(&["inspect", "main"]));
        refused(world.countersign(&["verify", "--repository", place, "main"]));
        // Its own configuration has no say.
        let config = if path.join(".git").exists() { path.join(".git/config") } else { path.join("config") };
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, format!("{text}[safe]\n directory = *\n")).unwrap();
        refused(there.countersign(&fourth));
        // Who names it in the user's configuration, on the command line of git, or by GIT_DIR, may.
        let git_dir = if path.join(".git").exists() { path.join(".git") } else { path.clone() };
        there.countersign(&fourth).env("GIT_DIR", &git_dir).stdout_holds(&["good ", "fourth"]).check();
        world.configure(&format!("[safe]\n directory = {place}"));
        there.countersign(&fourth).stdout_holds(&["good ", "fourth"]).check();
        world.countersign(&["verify", "--repository", place, "main"]).stdout_holds(&["good "]).check();
    }
}
