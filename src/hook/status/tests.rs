//! Each thing that is not as it should be, and what is said of it.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::{
    hook::{Companion, InstallOptions, PolicyChoice, install, install::tests::options, parse_forge},
    policy::FIRST_POLICY,
    repository::tests::Scratch,
};

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A repository that only its owner can write, whatever the umask, and what is to be installed in it.
fn prepared() -> (Scratch, InstallOptions) {
    let scratch = Scratch::new(&["--bare"]);
    let options = options(&scratch);
    let status = std::process::Command::new("chmod").args(["-R", "go-w"]).arg(scratch.path()).status();
    assert!(status.unwrap().success());
    (scratch, options)
}

fn findings(scratch: &Scratch) -> Vec<StatusFinding> {
    status(scratch.path(), 0).unwrap().findings
}

#[test]
fn objects_that_others_can_write_are_told_also_where_they_come_from_elsewhere() {
    let (scratch, options) = prepared();
    install(&options).unwrap();
    assert_eq!(findings(&scratch), []);
    let (fork, far) = (Scratch::new(&["--bare"]), Scratch::new(&["--bare"]));
    let objects = |of: &Scratch| of.path().canonicalize().unwrap().join("objects");
    let names = |of: &Scratch, other: &Scratch| {
        std::fs::write(
            of.path().join("objects/info/alternates"),
            objects(other).as_os_str().as_encoded_bytes(),
        )
        .unwrap();
    };
    names(&scratch, &fork);
    names(&fork, &far);
    for of in [&fork, &far] {
        mode(&objects(of), 0o755);
    }
    assert_eq!(findings(&scratch), []);
    mode(&objects(&far), 0o777);
    assert_eq!(findings(&scratch), [StatusFinding::Writable(objects(&far))]);
}

#[test]
fn a_folder_of_a_forges_that_no_script_runs_is_no_gate() {
    let (scratch, mut options) = prepared();
    options.settings.forge = Some(parse_forge("gitea").unwrap());
    let script = scratch.path().join("hooks/pre-receive");
    for (text, permissions, is_run) in [
        (None, 0, false),
        (Some("#!/bin/sh\nexit 0\n"), 0o755, false),
        (Some("#!/bin/sh\nfor hook in $GIT_DIR/hooks/pre-receive.d/*; do :; done\n"), 0o644, false),
        (Some("#!/bin/sh\nfor hook in $GIT_DIR/hooks/pre-receive.d/*; do :; done\n"), 0o755, true),
    ] {
        let _ = std::fs::remove_file(&script);
        if let Some(text) = text {
            std::fs::create_dir_all(script.parent().unwrap()).unwrap();
            std::fs::write(&script, text).unwrap();
            mode(&script, permissions);
        }
        let installed = install(&options);
        assert_eq!(installed.is_ok(), is_run, "{text:?}");
        assert!(is_run || matches!(installed, Err(InstallError::NobodyRuns(_))), "{text:?}");
    }
    let about_running =
        || findings(&scratch).into_iter().filter(StatusFinding::is_about_running).collect::<Vec<_>>();
    assert_eq!(about_running(), []);
    // The forge, or somebody, has put something else there since.
    std::fs::write(&script, "#!/bin/sh\nexit 0\n").unwrap();
    assert!(matches!(&about_running()[..], [StatusFinding::Open(what)] if what.contains("does not run")));
    std::fs::remove_file(&script).unwrap();
    assert!(matches!(&about_running()[..], [StatusFinding::Open(_)]));
}

#[test]
fn an_anchor_that_is_not_here_is_told() {
    let (scratch, options) = prepared();
    install(&options).unwrap();
    let PolicyChoice::File(path) = &options.policy else { panic!("{options:?}") };
    let text = std::fs::read_to_string(path).unwrap();
    let tree = scratch.git_with(&["hash-object", "-t", "tree", "-w", "--stdin"], b"");
    let commit =
        scratch.git(&["-c", "user.name=A", "-c", "user.email=a@b.c", "commit-tree", "-m", "one", &tree]);
    let absent = "1".repeat(40);
    let told = |anchor: &str| {
        let rule =
            "[[rule]]\nname = \"anchored\"\nrefs = [\"refs/heads/anchored\"]\ncommits = \"unsigned\"\n";
        std::fs::write(path, format!("{text}{rule}anchor = \"{anchor}\"\n")).unwrap();
        let found = findings(&scratch);
        found
            .into_iter()
            .filter(|finding| matches!(finding, StatusFinding::NoAnchor { .. }))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&commit), []);
    let of =
        |anchor: &str| StatusFinding::NoAnchor { rule: "anchored".to_owned(), anchor: anchor.to_owned() };
    assert_eq!(told(&absent), [of(&absent)]);
    assert_eq!(told(&tree), [of(&tree)], "a tree is no commit");
    assert!(of(&absent).is_about_running(), "it is said at installation");
    // What no repository of this kind could have is more than that.
    assert_eq!(told(&"1".repeat(64)), []);
}

#[test]
fn a_gate_of_another_version_or_of_another_users_repository_is_told() {
    let (scratch, options) = prepared();
    install(&options).unwrap();
    let hook = scratch.path().join("hooks/pre-receive");
    let text = std::fs::read(&hook).unwrap();
    std::fs::write(&hook, [text.as_slice(), b"# of later\n"].concat()).unwrap();
    let found = findings(&scratch);
    assert!(
        matches!(&found[..], [finding @ StatusFinding::Unreadable(_)] if finding.is_about_running()),
        "{found:?}"
    );
    std::fs::write(&hook, text).unwrap();
    // Only the machine's administrator can give a repository away.
    if std::os::unix::fs::chown(scratch.path(), Some(54_321), None).is_err() {
        eprintln!(
            "SKIPPED: a_gate_of_another_version_or_of_another_users_repository_is_told: root not found"
        );
        return;
    }
    mode(scratch.path(), 0o755);
    let is_told = |part: &str| findings(&scratch).iter().any(|finding| finding.to_string().contains(part));
    assert!(is_told("run 'countersign hook status' as '54321' too"));
    assert!(!is_told("from running the hook"));
    mode(&scratch.path().join("hooks"), 0o700);
    assert!(is_told("keeps '54321', whose the repository is, from running the hook"));
    std::os::unix::fs::chown(scratch.path(), Some(0), None).unwrap();
}

#[test]
fn a_hook_beside_the_gate_that_is_for_another_repository_does_not_do_its_work() {
    let (scratch, options) = prepared();
    install(&options).unwrap();
    let path = scratch.path().join("hooks/post-receive");
    let shim = Companion::parse(HookName::PostReceive, &std::fs::read(&path).unwrap()).unwrap();
    let other = Companion { repository: "/elsewhere".into(), ..shim };
    std::fs::write(&path, other.render().unwrap()).unwrap();
    assert!(
        matches!(&findings(&scratch)[..], [StatusFinding::Ledger(what)] if what.contains("post-receive"))
    );
}

#[test]
fn what_is_open_broken_or_writable_is_said() {
    let (scratch, options) = prepared();
    let findings = || findings(&scratch);
    assert!(matches!(&findings()[..], [StatusFinding::Open(_)]));
    let PolicyChoice::File(policy) = options.policy.clone() else { panic!() };
    install(&options).unwrap();
    assert_eq!(findings(), []);

    mode(&policy, 0o664);
    assert_eq!(findings(), [StatusFinding::Writable(policy.clone())]);
    mode(&policy, 0o644);
    mode(&scratch.path().join("countersign"), 0o777);
    assert_eq!(findings(), [StatusFinding::Writable(scratch.path().join("countersign"))]);
    mode(&scratch.path().join("countersign"), 0o700);

    std::fs::write(&policy, "version = 1\n").unwrap();
    assert!(matches!(&findings()[..], [StatusFinding::Broken(_)]));
    std::fs::write(&policy, FIRST_POLICY).unwrap();

    let shim = |change: &dyn Fn(&mut Shim)| {
        let hook = scratch.path().join("hooks/pre-receive");
        let mut shim = Shim::parse(&std::fs::read(&hook).unwrap()).unwrap();
        change(&mut shim);
        std::fs::write(&hook, shim.render().unwrap()).unwrap();
    };
    shim(&|shim| shim.repository = "/elsewhere".into());
    assert!(matches!(&findings()[..], [StatusFinding::Broken(what)] if what.contains("'/elsewhere'")));
    shim(&|shim| shim.repository = scratch.path().to_owned());
    shim(&|shim| shim.before = Some("/nowhere/before".into()));
    assert!(matches!(&findings()[..], [StatusFinding::Broken(what)] if what.contains("/nowhere/before")));
    shim(&|shim| shim.before = None);
    let anchor = format!(
        "[[rule]]\nname = \"a\"\nrefs = [\"refs/a\"]\ncommits = \"unsigned\"\nanchor = \"{}\"\n",
        "1".repeat(64)
    );
    std::fs::write(&policy, format!("version = 1\nother_refs = \"refuse\"\n{anchor}")).unwrap();
    assert!(matches!(&findings()[..], [StatusFinding::Broken(what)] if what.contains("of another hash")));
    std::fs::write(&policy, FIRST_POLICY).unwrap();
    let open = scratch.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::rename(&policy, open.join("policy.toml")).unwrap();
    mode(&open, 0o777);
    std::os::unix::fs::symlink(open.join("policy.toml"), &policy).unwrap();
    assert_eq!(findings(), [StatusFinding::Writable(open.canonicalize().unwrap())]);
    mode(&open, 0o755);
    std::fs::create_dir(scratch.path().join("countersign/accepted")).unwrap();
    mode(&scratch.path().join("countersign/accepted"), 0o777);
    assert_eq!(findings(), [StatusFinding::Writable(scratch.path().join("countersign/accepted"))]);
    mode(&scratch.path().join("countersign/accepted"), 0o700);

    let text = std::fs::read(scratch.path().join("config")).unwrap();
    scratch.git(&["config", "transfer.hideRefs", "refs/countersign"]);
    assert!(matches!(&findings()[..], [StatusFinding::Ledger(what)] if what.contains("those who fetch")));
    scratch.git(&["config", "transfer.hideRefs", "!refs/countersign"]);
    scratch.git(&["config", "--unset", "receive.hideRefs"]);
    assert!(matches!(&findings()[..], [StatusFinding::Ledger(what)] if what.contains("offers the ledger")));
    std::fs::write(scratch.path().join("config"), text).unwrap();
    for (name, path) in status(scratch.path(), 0).unwrap().companions {
        mode(&path, 0o644);
        assert!(matches!(&findings()[..], [StatusFinding::Ledger(what)] if what.contains(name.name())));
        mode(&path, 0o755);
        mode(&path, 0o775);
        assert_eq!(findings(), [StatusFinding::Writable(path.clone())]);
        mode(&path, 0o755);
    }
    scratch.git(&["config", "core.hooksPath", "/x"]);
    assert!(matches!(&findings()[..], [StatusFinding::Open(_)]));
    scratch.git(&["config", "--unset", "core.hooksPath"]);
    let hook = scratch.path().join("hooks/pre-receive");
    mode(&hook, 0o644);
    assert!(matches!(&findings()[..], [StatusFinding::Open(_)]));
    std::fs::write(&hook, "#!/bin/sh\n").unwrap();
    assert!(matches!(&findings()[..], [StatusFinding::Open(_)]));
}
