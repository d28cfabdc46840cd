//! gitolite owns the update hook and leaves pre-receive alone.

use std::{cell::OnceCell, fs, path::Path};

use crate::{
    PROGRAM, commits, content, script, skipped,
    support::{Outcome, Repository, World},
    world,
};

/// What says that gitolite is the forge, and which policy counts.
const FORGE: [&str; 4] = ["--policy", "policy.toml", "--forge", "gitolite=git.example.com"];

/// A gitolite with alice's key, whose repository `testing` everybody may push to.
struct Site<'w> {
    world: &'w World,
    home: String,
    work: OnceCell<Work<'w>>,
}

/// Who pushes: by what sshd would run, a commit of alice's and one that nobody signed.
struct Work<'w> {
    shell: String,
    repository: Repository<'w>,
    good: String,
    bad: String,
}

impl<'w> Site<'w> {
    /// None where `test` could not run for want of a program.
    fn new(test: &str, world: &'w World) -> Option<Self> {
        if ["gitolite", "ssh-keygen"].into_iter().any(|tool| skipped(test, tool)) {
            return None;
        }
        let home = world.path("gitolite");
        fs::create_dir(&home).unwrap();
        world.run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", "alice"]).check();
        let site = Self { world, home: home.to_str().unwrap().to_owned(), work: OnceCell::new() };
        site.gitolite(&["setup", "-pk", "alice.pub"]);
        Some(site)
    }

    fn gitolite(&self, arguments: &[&str]) -> Outcome {
        let run = self.world.run("gitolite", arguments).env("HOME", &self.home);
        run.any_stdout().any_stderr().check()
    }

    fn server(&self) -> String {
        format!("{}/repositories/testing.git", self.home)
    }

    fn work(&self) -> &Work<'w> {
        self.work.get_or_init(|| {
            // What sshd would run for alice's key.
            let shell = script(
                self.world,
                "ssh",
                "#!/bin/sh\nshift\nexport HOME=\"$GITOLITE_HOME\" SSH_ORIGINAL_COMMAND=\"$*\" \
                 SSH_CONNECTION='127.0.0.1 1 127.0.0.1 22'\nexec /usr/share/gitolite3/gitolite-shell alice\n",
            );
            let (repository, good, bad) = commits(self.world);
            Work { shell, repository, good, bad }
        })
    }

    fn push(&self, commit: &str) -> Outcome {
        let refs = format!("{commit}:refs/heads/main");
        let run = self.work().repository.git(&["push", "-q", "git@git.example.com:testing", &refs]);
        let run = run.env("GIT_SSH_COMMAND", &self.work().shell).env("GIT_SSH_VARIANT", "simple");
        run.env("GITOLITE_HOME", &self.home).any_status().any_stdout().any_stderr().check()
    }

    /// Pushes what nobody signed, which is refused.
    #[track_caller]
    fn refuses(&self) {
        let refused = self.push(&self.work().bad);
        let words = refused.words();
        assert!(
            refused.status != 0 && words.contains("it is not signed, where 'alice' has to sign"),
            "{words}"
        );
    }

    /// Pushes what alice signed, which is accepted; what was said.
    #[track_caller]
    fn accepts(&self) -> String {
        let accepted = self.push(&self.work().good);
        assert_eq!(accepted.status, 0, "{}", accepted.words());
        accepted.words()
    }

    fn status(&self) -> String {
        let run = self.world.countersign(&["hook", "status", "--repository", &self.server()]);
        run.any_status().any_stdout().check().text()
    }
}

#[test]
fn gitolite_asks_the_gate_and_keeps_its_own_hooks() {
    let world = world();
    let Some(site) = Site::new("gitolite_asks_the_gate_and_keeps_its_own_hooks", &world) else { return };
    let server = site.server();
    let hooks = format!("{server}/hooks");
    let before = content(hooks.as_ref());
    let install = [&["hook", "install", "--repository", &server][..], &FORGE].concat();
    world.countersign(&install).any_stdout().check();
    site.refuses();
    site.accepts();
    // It sets its repositories up anew at every change of its own.
    site.gitolite(&["setup"]);
    site.refuses();
    assert!(site.status().contains(PROGRAM));
    world.countersign(&["hook", "uninstall", "--repository", &server]).any_stdout().check();
    assert_eq!(content(hooks.as_ref()), before);
    assert_eq!(site.push(&site.work().bad).status, 0, "nobody asks any more");
}

#[test]
fn a_hook_that_gitolite_links_is_installed_where_it_takes_it_from() {
    let world = world();
    let test = "a_hook_that_gitolite_links_is_installed_where_it_takes_it_from";
    let Some(site) = Site::new(test, &world) else { return };
    // The site's own code, with a hook for every repository.
    let settings = world.path("gitolite/.gitolite.rc");
    let text = fs::read_to_string(&settings).unwrap();
    assert!(text.contains("%RC = ("));
    let local = "%RC = (\n    LOCAL_CODE => \"$ENV{HOME}/local\",";
    fs::write(&settings, text.replacen("%RC = (", local, 1)).unwrap();
    let common = world.path("gitolite/local/hooks/common");
    fs::create_dir_all(&common).unwrap();
    script(&world, "gitolite/local/hooks/common/pre-receive", "#!/bin/sh\necho theirs >&2\n");
    site.gitolite(&["setup"]);
    let server = site.server();
    assert!(Path::new(&server).join("hooks/pre-receive").is_symlink());

    // 'gitolite setup' would put its link in the place of one of ours.
    let install = [&["hook", "install", "--repository", &server][..], &FORGE].concat();
    let words = ["is gitolite's link to '", "--hooks-path", "gitolite setup"];
    world.countersign(&install).status(3).stderr_holds(&words).check();
    let place = ["--hooks-path", common.to_str().unwrap(), "--state", "state"];
    let install = [&["hook", "install"][..], &place, &FORGE].concat();
    world.countersign(&install).any_stdout().check();
    site.gitolite(&["setup"]);
    site.refuses();
    let words = site.accepts();
    assert!(words.contains("theirs"), "{words}");
    site.gitolite(&["setup"]);
    site.refuses();
    let text = site.status();
    assert!(text.contains("hooks/pre-receive\n") && !text.contains("not judged:"), "{text}");
    let verify = ["ledger", "verify", "--repository", &server];
    world.countersign(&verify).any_stdout().any_stderr().check();
}
