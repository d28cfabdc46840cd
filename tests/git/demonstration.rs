//! The demonstration: how each command of it ends, what each ref is afterwards, and how to go on by hand.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    process::{Child, Command, Stdio},
};

use crate::support::{PROGRAM, Repository, World};

/// The commands that were shown, each with the exit status that it ended with.
fn commands(story: &str) -> Vec<(&str, i32)> {
    let mut commands: Vec<(&str, i32)> = Vec::new();
    for line in story.lines() {
        if let Some((directory, command)) = line.split_once("$ ")
            && ["", "alice ", "reviewer "].contains(&directory)
        {
            commands.push((command, 0));
        } else if let Some(status) = line.strip_prefix("  [exit status: ") {
            commands.last_mut().unwrap().1 = status.trim_end_matches(']').parse().unwrap();
        }
    }
    commands
}

/// What the story says from the title `title` to the next one.
fn chapter<'a>(story: &'a str, title: &str) -> &'a str {
    let begin = story.find(&format!("== {title} ==")).unwrap_or_else(|| panic!("{title}"));
    let rest = &story[begin + title.len() + 6..];
    &rest[..rest.find("\n== ").unwrap_or(rest.len())]
}

#[test]
fn every_command_ends_as_it_has_to_and_every_ref_is_as_it_has_to_be() {
    let world = World::new();
    let folder = world.path("demonstration");
    let arguments = ["sandbox", "demonstrate", "--directory", folder.to_str().unwrap()];
    let story = world.countersign(&arguments).any_stdout().check().text();

    let refused: Vec<_> = commands(&story).into_iter().filter(|(_, status)| *status != 0).collect();
    assert_eq!(
        refused,
        [
            ("git push origin main", 1),
            ("git push origin main", 1),
            ("git push origin main", 1),
            ("git push origin v1:refs/tags/v2", 1),
        ]
    );
    for command in [
        "countersign hook install --repository server.git --policy policy.toml",
        "git commit --quiet --message 'pay Bob 10'",
        "git tag --message 'version 1' v1",
        "git push origin main v1",
        "git verify-commit HEAD",
        "git verify-tag v1",
        "git log --show-signature -1",
        "countersign verify HEAD v1",
    ] {
        assert_eq!(commands(&story).iter().find(|(shown, _)| *shown == command), Some(&(command, 0)));
    }
    for (title, words) in [
        ("What a reviewer sees", "known as 'alice'"),
        ("An unsigned commit", "remote: error: refs/heads/main: commit "),
        ("An unsigned commit", "it is not signed, where 'alice' has to sign (rule 'branches')"),
        ("A commit changed after signing", "the content was changed after signing (rule 'branches')"),
        ("A commit signed by somebody else", "signed by 'mallory@example.com'"),
        ("A commit signed by somebody else", "whom the policy does not name (rule 'branches')"),
        ("An old tag under a new name", "the tag object was signed under the name 'v1' (rule 'tags')"),
    ] {
        assert!(chapter(&story, title).contains(words), "{words:?} is not in {title}");
    }

    let at = |name: &str| Repository::at(&world, &folder.join(name));
    let (alice, server) = (at("alice"), at("server.git"));
    let (main, tag) = (alice.id("main"), alice.id("v1"));
    let refs = server
        .git(&["for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags"])
        .any_stdout()
        .check();
    assert_eq!(refs.text(), format!("refs/heads/main {main}\nrefs/tags/v1 {tag}\n"));
    assert_eq!(alice.id("origin/main"), main);
    assert!(server.object("commit", &main).starts_with(b"tree "));
    let made = alice.git(&["reflog", "--format=%H", "main"]).any_stdout().check().text();
    let turned_away: Vec<_> = made.lines().filter(|id| *id != main).collect();
    assert!(turned_away.len() >= 3, "{made}");
    for id in turned_away {
        assert!(!server.has(&format!("{id}^{{commit}}")), "{id} has come through");
    }
    go_on_by_hand(&world, &story);
    let main = alice.id("main");
    assert_eq!(server.id("refs/heads/main"), main);
    assert!(alice.git(&["log", "-1", "--format=%s"]).any_stdout().check().text().starts_with("more"));
}

/// An authority that ends with the test.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Does what the end of the story says.
fn go_on_by_hand(world: &World, story: &str) {
    let hand = chapter(story, "Go on by hand");
    let mut lines = hand.lines().skip_while(|line| !line.starts_with("  . ")).map(str::trim);
    let (source, serve) = (lines.next().unwrap(), lines.next().unwrap());
    let (change, commit) = (lines.next().unwrap(), lines.next().unwrap());
    let serve = serve.strip_suffix(" &").unwrap();
    let served = Command::new("sh")
        .args(["-c", &format!("{source} && exec {serve}")])
        .current_dir(world.path(""))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut served = Served(served);
    // It prints the environment for other clients once it listens.
    let mut lines = BufReader::new(served.0.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("cosign")));
    let script = format!("{source} && {change} && {commit}");
    let run = world.run("sh", &["-c", &script]).stdout_holds(&["more"]);
    run.stderr_holds(&["main -> main"]).check();
}

#[test]
fn without_a_folder_it_plays_in_a_new_one_that_is_kept() {
    let world = World::new();
    let story = world.countersign(&["sandbox", "demonstrate"]).any_stdout().check().text();
    let left: Vec<_> = fs::read_dir(world.path("tmp")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(story.contains(&format!("Everything was left in '{}'", left[0].display())));
    assert!(left[0].join("server.git/hooks/pre-receive").is_file());
}

#[test]
fn a_folder_that_is_in_use_is_left_alone() {
    let world = World::new();
    world.write("tmp/mine", "precious");
    let folder = world.path("tmp");
    let run = world.countersign(&["sandbox", "demonstrate", "--directory", folder.to_str().unwrap()]);
    let words = "error: the folder '[DIR]/tmp' is not empty\n\
                 hint: name a folder that is empty or does not exist with '--directory'\n";
    run.status(3).stderr(words).check();
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    let run = world.countersign(&["sandbox", "demonstrate", "--directory", "it's"]);
    run.status(3).stderr_holds(&["error: the path '[DIR]/it's' holds a quote"]).check();
}

#[test]
fn what_does_not_end_as_expected_ends_the_demonstration_badly() {
    let world = World::new();
    let git = world.write("tmp/git", "#!/bin/sh\nexit 7\n");
    fs::set_permissions(git, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let demonstrate = ["sandbox", "demonstrate", "--directory", "one"];
    let run = world.countersign(&demonstrate).env("PATH", format!("{}:{path}", world.path("tmp").display()));
    let run = run.status(1).any_stdout();
    run.stderr_holds(&["did not end as expected: exit status: 7 instead of exit status 0", "hint: "]).check();
    let run = world.countersign(&["sandbox", "demonstrate", "--directory", "two"]).env("PATH", "/nowhere");
    run.status(3).any_stdout().stderr_holds(&["error: ", "cannot be run", "hint: install git"]).check();
}

#[test]
fn the_browser_of_the_demonstration_goes_nowhere_else() {
    let world = World::new();
    for url in ["http://example.com/", "https://127.0.0.1/", "file:///etc/passwd"] {
        let run = world.countersign(&["sandbox", "browse", url]).status(3);
        run.stderr_holds(&["is not an address of this machine"]).check();
    }
    let help = world.countersign(&["sandbox", "--help"]).any_stdout().check().text();
    assert!(help.contains("demonstrate") && !help.contains("browse"), "{help} of {PROGRAM}");
}
