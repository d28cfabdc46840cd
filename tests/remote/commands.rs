//! `countersign remote` and `countersign protect`.

use super::{
    RULES, address, author, clone, fetch, served, stage,
    support::{PROGRAM, Repository},
    unsigned, upload,
};

#[test]
fn a_clone_is_protected_and_set_free_again() {
    let world = stage(RULES);
    world.run("git", &["clone", "-q", "served.git", "ours"]).check();
    let ours = Repository::at(&world, &world.path("ours"));
    let plain = ours.git(&["config", "remote.origin.url"]).any_stdout().check().text().trim_end().to_owned();
    let shown = world.redact(&plain);
    ours.countersign(&["protect"]).stdout(format!("remote.origin.url: verified::{shown}\n")).check();
    ours.countersign(&["protect", "origin"]).stdout("nothing to change\n").check();
    fetch(&ours, &[]).check();
    let evil = unsigned(&author(&world), "unsigned");
    upload(&author(&world), &["main"]);
    fetch(&ours, &[]).status(128).stderr_holds(&["it is not signed"]).check();
    assert!(!super::holds(&ours, &evil));
    ours.countersign(&["protect", "--undo"]).stdout(format!("remote.origin.url: {shown}\n")).check();
    fetch(&ours, &[]).check();
    assert_eq!(ours.id("origin/main"), evil);
    ours.countersign(&["protect", "nowhere"])
        .status(3)
        .stderr_holds(&["there is no remote 'nowhere'"])
        .check();
}

#[test]
fn a_protected_clone_answers_for_what_it_has() {
    let world = stage(RULES);
    unsigned(&author(&world), "unsigned");
    upload(&author(&world), &["main"]);
    world.run("git", &["clone", "-q", "served.git", "ours"]).check();
    let ours = Repository::at(&world, &world.path("ours"));
    ours.countersign(&["protect"]).any_stdout().check();
    fetch(&ours, &[]).status(128).stderr_holds(&["it is not signed"]).check();
}

#[test]
fn a_protected_clone_keeps_what_it_has_when_git_prunes() {
    let world = stage(RULES);
    world.run("git", &["clone", "-q", "served.git", "ours"]).check();
    let (author, ours) = (author(&world), Repository::at(&world, &world.path("ours")));
    let first = author.id("main");
    let short = first[..12].to_owned();
    ours.countersign(&["protect"]).any_stdout().check();
    unsigned(&author, "unsigned");
    upload(&author, &["main"]);
    fetch(&ours, &["--prune"]).status(128).stderr_holds(&["it is not signed"]).check();
    // Nothing was accepted so far, and what is here is judged in its place.
    let held = format!("'refs/heads/main' is held at {short}, the remote says ");
    for _ in 0..2 {
        fetch(&ours, &["--prune"]).stderr_holds(&[&held]).check();
        assert_eq!(
            (ours.id("origin/main"), super::fetch_head(&ours).contains(&first)),
            (first.clone(), true)
        );
    }
    // From then on it counts like anything that was accepted.
    author.git(&["checkout", "-q", "--orphan", "other"]).check();
    author.commit("another history");
    upload(&author, &["other:main"]);
    fetch(&ours, &[]).status(128).stderr_holds(&["its history was replaced"]).check();

    // What the policy refuses is listed by nobody, whoever has it.
    world.run("git", &["clone", "-q", "served.git", "bad"]).check();
    let bad = Repository::at(&world, &world.path("bad"));
    world.countersign(&["remote", "forget", &address(&world)]).any_stdout().check();
    bad.git(&["checkout", "-q", "main"]).any_stderr().check();
    let evil = unsigned(&bad, "unsigned");
    bad.git(&["update-ref", "refs/remotes/origin/main", &evil]).check();
    unsigned(&author, "more of it");
    upload(&author, &["other:main"]);
    bad.countersign(&["protect"]).any_stdout().check();
    fetch(&bad, &[]).status(128).any_stderr().check();
    let list = bad.git(&["ls-remote", "-q"]).any_status().any_stderr().any_stdout().check();
    assert!(!list.text().contains(&evil), "{}", list.text());
}

#[test]
fn a_remote_with_several_addresses_is_protected_whole_and_one_of_elsewhere_is_not() {
    let world = stage(RULES);
    let ours = clone(&world, "ours");
    let other = world.bare("other.git", "sha1").path.display().to_string();
    ours.countersign(&["protect", "--undo"]).any_stdout().check();
    ours.git(&["remote", "set-url", "--add", "origin", &other]).check();
    let urls = || ours.git(&["config", "--get-all", "remote.origin.url"]).any_stdout().check().text();
    let plain = urls();
    ours.countersign(&["protect"]).any_stdout().check();
    let protected: String = plain.lines().map(|line| format!("verified::{line}\n")).collect();
    assert_eq!(urls(), protected);
    ours.countersign(&["protect", "--undo"]).any_stdout().check();
    assert_eq!(urls(), plain);
    // git would go to the other file's address first.
    world.configure(&format!("[remote \"shared\"]\n url = {other}"));
    ours.countersign(&["protect", "shared"])
        .status(3)
        .stderr_holds(&["'remote.shared.url' is set in the global configuration", "hint: "])
        .check();
    assert_eq!(
        ours.git(&["config", "--get-all", "remote.shared.url"]).any_stdout().check().text(),
        format!("{other}\n")
    );
}

#[test]
fn what_is_remembered_is_told_and_forgotten() {
    let world = stage(RULES);
    let address = address(&world);
    world.countersign(&["remote", "status"]).stdout("nothing is remembered\n").check();
    clone(&world, "ours");
    world.countersign(&["remote", "status"]).stdout("file://[DIR]/served: 1 ref accepted\n").check();
    world
        .countersign(&["remote", "status", &format!("{address}/")])
        .stdout_holds(&["1 ref accepted"])
        .check();
    world.countersign(&["remote", "forget", &address, "refs/heads/none"]).status(3).any_stderr().check();
    world.countersign(&["remote", "forget", &address]).any_stdout().check();
    world.countersign(&["remote", "status"]).stdout("nothing is remembered\n").check();
    // What is written in another way than meant is not called forgotten.
    world
        .countersign(&["remote", "forget", &address])
        .status(3)
        .stderr_holds(&["nothing is known of 'verified::[DIR]/served.git'"])
        .check();
    world.countersign(&["remote", "allow-unverified", &address]).any_stdout().check();
    world.countersign(&["remote", "status"]).stdout_holds(&["taken unverified"]).check();
    world.countersign(&["remote", "allow-unverified", "--undo", &address]).any_stdout().check();
    world
        .countersign(&["remote", "forget", "ext::x"])
        .status(3)
        .stderr_holds(&["names another remote helper"])
        .check();
    drop(served(&world));
}

#[test]
fn the_memory_is_private_and_a_damaged_one_ends_the_fetch() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = stage(RULES);
    let ours = clone(&world, "ours");
    let folder = world.path("home/.local/state/countersign/remotes");
    let entry = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    assert_eq!(std::fs::metadata(&entry).unwrap().permissions().mode() & 0o077, 0);
    std::fs::write(entry.join("memory"), "garbage\n").unwrap();
    fetch(&ours, &[]).status(128).stderr_holds(&["is not understood", "hint: "]).check();
}

#[test]
fn the_helper_is_for_git() {
    let world = stage(RULES);
    world.run(super::HELPER, &[]).status(128).stderr_holds(&["this program is for git"]).check();
    let nonsense = world.run(super::HELPER, &["origin", "/x"]).input("make me a sandwich\n");
    nonsense
        .status(128)
        .stderr_holds(&["error: git said 'make me a sandwich', which is not understood"])
        .check();
}

#[test]
fn a_repository_whose_refs_are_elsewhere_is_not_fetched_into() {
    let world = stage(RULES);
    let repository = world.repository("r", "sha1");
    let config = repository.path.join(".git/config");
    let text = std::fs::read_to_string(&config).unwrap().replace("version = 0", "version = 1");
    std::fs::write(&config, format!("{text}[extensions]\n refStorage = reftable\n")).unwrap();
    let plain = world.path("served.git").display().to_string();
    let run = world.run(super::HELPER, &["origin", &plain]).env("GIT_DIR", config.parent().unwrap());
    let words =
        ["the repository keeps its refs as 'reftable'", "hint: have git keep them in files: clone with"];
    run.input("list\n").status(128).stderr_holds(&words).check();
}

#[test]
fn fetching_twice_takes_the_rest_and_says_that_something_is_held() {
    let world = stage(RULES);
    let ours = clone(&world, "ours");
    ours.countersign(&["fetch", "-q"]).check();
    let author = author(&world);
    let first = author.id("HEAD");
    unsigned(&author, "unsigned");
    upload(&author, &["main", &format!("{first}:refs/heads/topic")]);
    ours.countersign(&["fetch", "-q"]).status(1).stderr_holds(&["it is not signed", "is held at"]).check();
    assert!(ours.has("origin/topic"));
    ours.countersign(&["fetch", "-q", "origin", "main"]).status(1).stderr_holds(&["is held at"]).check();
    ours.countersign(&["fetch", "-q", "nowhere"]).status(3).any_stderr().check();
}

#[test]
fn many_fetches_at_once_agree() {
    let world = stage(RULES);
    let (address, next) = (address(&world), {
        clone(&world, "ours");
        let next = author(&world).commit("next");
        upload(&author(&world), &["main"]);
        next
    });
    let ours = Repository::at(&world, &world.path("ours"));
    // The environment of a run is taken here; the runs themselves go on side by side.
    let path = std::env::var("PATH").unwrap();
    let folder = std::path::Path::new(super::HELPER).parent().unwrap().display().to_string();
    let children: Vec<_> = (0..6)
        .map(|number| {
            let mut command = std::process::Command::new("git");
            match number % 2 {
                0 => command.args(["-C", ours.path.to_str().unwrap(), "fetch", "-q"]),
                _ => command.args([
                    "clone",
                    "-q",
                    &address,
                    world.path(&format!("c{number}")).to_str().unwrap(),
                ]),
            };
            command.env_clear().env("PATH", format!("{folder}:{path}")).env("HOME", world.path("home"));
            command.env("GIT_CONFIG_NOSYSTEM", "1").stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut good = 0;
    for child in children {
        let output = child.wait_with_output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        // git itself lets only one of several fetches write a ref.
        assert!(output.status.success() || words.contains("cannot lock ref"), "{words}");
        good += usize::from(output.status.success());
    }
    assert!(good >= 4);
    assert_eq!(ours.id("origin/main"), next);
    world.countersign(&["remote", "status"]).stdout("file://[DIR]/served: 1 ref accepted\n").check();
}

#[test]
fn the_doctor_looks_at_remotes_behind_the_helper() {
    let world = stage(RULES);
    let ours = clone(&world, "ours");
    let doctor = || ours.countersign(&["doctor", "--offline"]).any_status().any_stderr();
    doctor()
        .stdout_holds(&[
            "well     remote: what '[DIR]/served.git' serves is judged\n",
            "protocol.verified.allow",
        ])
        .check();
    unsigned(&author(&world), "unsigned");
    upload(&author(&world), &["main"]);
    fetch(&ours, &[]).status(128).any_stderr().check();
    doctor().stdout_holds(&["warning  remote: 1 ref of '[DIR]/served.git' held"]).check();
    let without = doctor().env("PATH", "/usr/bin:/bin");
    without.stdout_holds(&["broken   remote: git finds no program 'git-remote-verified'\n"]).check();
}

#[test]
fn secrets_of_an_address_are_told_nobody() {
    let world = stage(RULES);
    let secret = "verified::https://alice:secret@127.0.0.1:1/r";
    let ours = clone(&world, "ours");
    ours.git(&["remote", "add", "other", secret]).check();
    for run in [
        ours.git(&["fetch", "-q", "other"]),
        ours.countersign(&["doctor", "--offline"]),
        ours.countersign(&["protect", "--undo", "other"]),
        ours.countersign(&["protect", "other"]),
        world.run(super::HELPER, &["other", "https://alice:secret@/r"]),
        world.countersign(&["remote", "allow-unverified", secret]),
        world.countersign(&["remote", "forget", secret]),
        world.countersign(&["remote", "allow-unverified", "ssh://alice:secret@127.0.0.1/~/r"]),
        world.countersign(&["remote", "status"]),
    ] {
        let outcome = run.any_status().any_stdout().any_stderr().check();
        let said = outcome.text() + &outcome.words();
        assert!(!said.contains("secret"), "{said}");
        assert!(said.contains("127.0.0.1") || said.contains("https:///r"), "{said}");
    }
    let kept = ours.git(&["config", "remote.other.url"]).any_stdout().check().text();
    assert_eq!(kept, format!("{secret}\n"));
}

#[test]
fn submodules_are_let_through_the_helper_where_that_is_asked_for() {
    let world = stage(RULES);
    let set = "git config --global protocol.verified.allow always";
    let plain = world.countersign(&["init", "--dry-run"]).any_stdout().any_stderr().check();
    assert!(!plain.text().contains("protocol"), "{}", plain.text());
    let run = world.countersign(&["init", "--verified-submodules"]).any_stderr();
    run.stdout_holds(&[set]).check();
    let allowed = world.run("git", &["config", "--global", "protocol.verified.allow"]).any_stdout().check();
    assert_eq!(allowed.text(), "always\n");
    let ours = clone(&world, "ours");
    let doctor = ours.countersign(&["doctor", "--offline"]).any_status().any_stderr().any_stdout().check();
    assert!(!doctor.text().contains("from submodules"), "{}", doctor.text());
}

#[test]
#[cfg(target_os = "linux")]
fn at_a_terminal_submodules_are_asked_about_until_that_is_set() {
    let world = stage(RULES);
    let question = "Let git take submodules through 'verified::'";
    let init = |dialogue: &[(&str, &str)]| {
        let command = format!("'{PROGRAM}' init");
        world.run("script", &["-q", "-e", "-c", &command, "/dev/null"]).converse("", dialogue).text()
    };
    let set = || {
        let run = world.run("git", &["config", "--global", "protocol.verified.allow"]);
        run.any_status().any_stdout().check().text()
    };
    for refusal in ["n\n", "\n", "no way\n"] {
        init(&[(question, refusal)]);
        assert_eq!(set(), "", "{refusal:?}");
    }
    init(&[(question, "y\n")]);
    assert_eq!(set(), "always\n");
    // Whoever has said something of it is asked no more.
    for value in ["always", "never"] {
        world.run("git", &["config", "--global", "protocol.verified.allow", value]).check();
        assert!(!init(&[]).contains(question), "{value}");
        assert_eq!(set(), format!("{value}\n"));
    }
}
