//! Where other forges look for hooks, and the environment in which they run them, as they describe it.

use crate::{commits, content, script, world};

/// Gitaly's way: the project's hooks in a folder of their own, one after the other, in an environment that it
/// makes itself, without the variables of the quarantine's path and of push certificates.
const GITALY: &str = r#"#!/bin/sh
updates=$(cat)
for hook in custom_hooks/pre-receive.d/*; do
    test -x "$hook" || continue
    printf '%s\n' "$updates" | env -i PATH="$PATH" GIT_DIR="$PWD" GIT_OBJECT_DIRECTORY="$GIT_OBJECT_DIRECTORY" \
        GIT_ALTERNATE_OBJECT_DIRECTORIES="$GIT_ALTERNATE_OBJECT_DIRECTORIES" \
        GL_ID=user-1 GL_USERNAME=alice GL_PROTOCOL=ssh GL_PROJECT_PATH=team/project "$hook" || exit 1
done
"#;

/// Gitea's way: what it writes itself runs everything in a folder beside, each with the same input.
const GITEA: &str = r#"#!/bin/sh
updates=$(cat)
for hook in "${GIT_DIR:-.}"/hooks/pre-receive.d/*; do
    test -x "$hook" && test -f "$hook" || continue
    printf '%s\n' "$updates" | "$hook" || exit $?
done
"#;

#[test]
fn gitlab_and_gitea_find_the_hook_where_they_look_for_it() {
    for (forge, text, place) in [
        ("gitlab", GITALY, "custom_hooks/pre-receive.d"),
        ("gitea", GITEA, "hooks/pre-receive.d"),
        ("forgejo", GITEA, "hooks/pre-receive.d"),
    ] {
        let world = world();
        let server = world.bare("server", "sha1");
        let path = server.path.to_str().unwrap();
        // Theirs, which nobody else may put anything in the place of.
        script(&world, "server/hooks/pre-receive", text);
        let before = content(&server.path.join("hooks"));
        let forge = format!("{forge}=git.example.com");
        let install = ["hook", "install", "--repository", path, "--policy", "policy.toml", "--forge", &forge];
        let run = world.countersign(&install).directory(&world.path(""));
        run.stdout_holds(&[&format!("{place}/countersign'")]).check();
        let kept =
            |hooks: Vec<(String, Vec<u8>)>| hooks.into_iter().filter(|(name, _)| !name.ends_with(".d"));
        let own = |hooks| kept(hooks).find(|(name, _)| name == "pre-receive");
        assert_eq!(own(content(&server.path.join("hooks"))), own(before.clone()), "{forge}");

        let (work, good, bad) = commits(&world);
        let push = |commit: &str| {
            let run = work.git(&["push", "-q", path, &format!("{commit}:refs/heads/main")]);
            run.any_status().any_stdout().any_stderr().check()
        };
        let refused = push(&bad);
        assert_ne!(refused.status, 0, "{forge}");
        assert!(refused.words().contains("it is not signed"), "{forge}: {}", refused.words());
        if forge.starts_with("gitlab") {
            // On its pages GitLab shows nothing else of a refusal.
            script(&world, "server/hooks/pre-receive", &text.replace("GL_PROTOCOL=ssh", "GL_PROTOCOL=web"));
            let shown = push(&bad).words();
            let words = refused.words();
            let told: Vec<&str> = words.lines().filter(|line| line.starts_with("remote: ")).collect();
            assert!(told.len() > 1, "{shown}");
            for line in told {
                let line = line.replacen("remote: ", "remote: GL-HOOK-ERR: ", 1);
                assert!(shown.contains(line.trim_end()), "{line}: {shown}");
            }
            script(&world, "server/hooks/pre-receive", text);
        }
        let accepted = push(&good);
        assert_eq!(accepted.status, 0, "{forge}: {}", accepted.words());
        let status = world.countersign(&["hook", "status", "--repository", path]).any_status().any_stdout();
        let status = status.check().text();
        assert!(status.contains(place), "{forge}: {status}");
        world.countersign(&["hook", "uninstall", "--repository", path]).any_stdout().check();
        assert_eq!(
            kept(content(&server.path.join("hooks"))).collect::<Vec<_>>(),
            kept(before).collect::<Vec<_>>()
        );
        assert_eq!(content(&server.path.join(place)), [], "{forge}");
    }
}

#[test]
fn one_hook_stands_before_every_repository_of_a_server() {
    let world = world();
    let hooks = world.path("hooks");
    let folder = hooks.to_str().unwrap();
    std::fs::create_dir(&hooks).unwrap();
    let own = "#!/bin/sh\necho asked first >&2\n";
    script(&world, "hooks/pre-receive", own);
    let install = ["hook", "install", "--hooks-path", folder, "--policy", "policy.toml", "--state", "state"];
    world.countersign(&install).directory(&world.path("")).any_stdout().check();
    let (work, good, bad) = commits(&world);
    for name in ["one", "two"] {
        let server = world.bare(name, "sha1");
        let path = server.path.to_str().unwrap();
        server.git(&["config", "core.hooksPath", folder]).check();
        let status = world.countersign(&["hook", "status", "--repository", path]).any_status().any_stdout();
        let status = status.check().text();
        assert!(
            status.contains(&format!("{folder}/pre-receive")) && !status.contains("core.hooksPath"),
            "{status}"
        );
        let push = |commit: &str| {
            let run = work.git(&["push", "-q", path, &format!("{commit}:refs/heads/main")]);
            run.any_status().any_stdout().any_stderr().check()
        };
        let refused = push(&bad);
        assert!(refused.status != 0 && refused.words().contains("it is not signed"), "{}", refused.words());
        let accepted = push(&good);
        assert!(accepted.status == 0 && accepted.words().contains("asked first"), "{}", accepted.words());
        let state = world.path(&format!("state{}", server.path.canonicalize().unwrap().display()));
        assert!(state.is_dir(), "its own state");
        // Hooks of its own git does not run there.
        let install = ["hook", "install", "--repository", path, "--policy", "policy.toml"];
        let run = world.countersign(&install).directory(&world.path("")).status(3);
        run.stderr_holds(&["'core.hooksPath' is set to", "--hooks-path"]).check();
    }
    let without = ["hook", "install", "--hooks-path", folder, "--policy", "policy.toml"];
    world.countersign(&without).directory(&world.path("")).status(64).any_stderr().check();
    world.countersign(&["hook", "uninstall", "--hooks-path", folder]).any_stdout().check();
    assert_eq!(content(&hooks), [("pre-receive".to_owned(), own.as_bytes().to_vec())]);
}

#[test]
fn one_hook_for_all_is_looked_at_and_let_through_for_each_repository_by_itself() {
    let world = world();
    std::fs::create_dir(world.path("hooks")).unwrap();
    let folder = world.path("hooks");
    let folder = folder.to_str().unwrap();
    let install = ["hook", "install", "--hooks-path", folder, "--policy", "policy.toml", "--state", "state"];
    world.countersign(&install).directory(&world.path("")).any_stdout().check();
    let (work, good, bad) = commits(&world);
    let server = world.bare("one", "sha1");
    world.bare("two", "sha1").git(&["config", "core.hooksPath", "../hooks"]).check();
    // As git takes it in a push: in the repository.
    server.git(&["config", "core.hooksPath", "../hooks"]).check();
    let push = |repository: &str, commit: &str| {
        let path = world.path(repository);
        let run = work.git(&["push", "-q", path.to_str().unwrap(), &format!("{commit}:refs/heads/main")]);
        run.any_status().any_stdout().any_stderr().check().status
    };
    assert_eq!(push("one", &good), 0);
    assert_eq!(push("two", &good), 0);
    assert_ne!(push("one", &bad), 0);

    let hook = |command: &[&str]| {
        let run = world.countersign(&[&["hook"], command].concat()).directory(&world.path(""));
        run.any_status().any_stdout().any_stderr().check()
    };
    let admit = ["admit", "--ref", "refs/heads/main", "--new", &bad, "--reason", "x", "--repository", "one"];
    let admitted = hook(&admit);
    assert_eq!(admitted.status, 0, "{}", admitted.words());
    let status = |repository: &str| hook(&["status", "--repository", repository]).text();
    assert!(status("one").contains("warning: admitted once, whatever the policy says"), "{}", status("one"));
    assert!(!status("two").contains("admitted once"), "{}", status("two"));
    assert_ne!(push("two", &bad), 0, "it is for the other one");
    assert_eq!(push("one", &bad), 0);

    // The folder that counts is this repository's own.
    let state = world.path(&format!("state{}", server.path.canonicalize().unwrap().display()));
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o770);
    std::fs::set_permissions(state.join("verdicts"), open).unwrap();
    let words = format!("warning: '{}' can be changed by others", state.join("verdicts").display());
    assert!(status("one").contains(&words), "{}", status("one"));
    assert!(!status("two").contains(&words), "{}", status("two"));
}

/// What git may not look at it passes over, and the push is accepted: so the folder is open to whoever pushes.
#[test]
fn a_folder_for_all_is_found_by_whoever_pushes_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = world();
    let command = format!(
        "umask 077; exec '{}' hook install --hooks-path new/hooks --policy policy.toml --state state --no-ledger",
        crate::PROGRAM
    );
    // A folder above that is nobody else's is said.
    std::fs::set_permissions(world.path(""), std::fs::Permissions::from_mode(0o700)).unwrap();
    let said = world.run("sh", &["-c", &command]).directory(&world.path("")).any_stdout().check().text();
    for part in ["new", "new/hooks", "new/hooks/pre-receive"] {
        let mode = world.path(part).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755, "{part}");
    }
    assert!(said.contains("keeps other users than its owner from running the hook"), "{said}");
    std::fs::set_permissions(world.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
    let said = world.run("sh", &["-c", &command]).directory(&world.path("")).any_stdout().check().text();
    assert!(!said.contains("from running the hook"), "{said}");
}

/// Who may set 'core.hooksPath' decides whether anybody is asked.
#[test]
fn a_file_of_gits_configuration_that_others_can_write_is_told() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = world();
    let server = world.bare("server", "sha1");
    let path = server.path.to_str().unwrap();
    let install = ["hook", "install", "--repository", path, "--policy", "policy.toml"];
    world.countersign(&install).directory(&world.path("")).any_stdout().check();
    let file = world.path("home/.gitconfig");
    let status = || {
        let run = world.countersign(&["hook", "status", "--repository", path]);
        run.any_status().any_stdout().check().text()
    };
    let words = format!("'{}' can be changed by others", file.canonicalize().unwrap().display());
    assert!(!status().contains(&words), "{}", status());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert!(status().contains(&words), "{}", status());
}

/// Where nothing may be executed git passes over the hook, and the push is accepted: that is told.
#[test]
fn a_hook_where_nothing_may_be_executed_is_told() {
    const TEST: &str = "a_hook_where_nothing_may_be_executed_is_told";
    let world = world();
    let (_, _, bad) = commits(&world);
    let mounted = "mkdir mounted && mount -t tmpfs -o noexec none mounted";
    let may_mount =
        world.run("unshare", &["-rm", "sh", "-c", &format!("{mounted} && rmdir mounted || rm -r mounted")]);
    let may_mount = may_mount.directory(&world.path("tmp")).any_status().any_stdout().any_stderr().check();
    if may_mount.words().contains("permitted")
        || may_mount.words().contains("denied")
        || crate::skipped(TEST, "unshare")
    {
        println!("NOTE: {TEST}: nobody but root may mount anything here");
        return;
    }
    let program = crate::PROGRAM;
    let script = format!(
        "{mounted} && git init -q --bare mounted/server && \
         '{program}' hook install --repository mounted/server --policy policy.toml && \
         git -C work push -q ../mounted/server {bad}:refs/heads/main && echo accepted && \
         '{program}' hook status --repository mounted/server"
    );
    let run = world.run("unshare", &["-rm", "sh", "-c", &script]).directory(&world.path(""));
    let text = run.status(1).any_stdout().any_stderr().check().text();
    assert!(text.contains("accepted\n"), "{text}");
    let told = "warning: pushes are not judged: the hook may not be executed, and git passes over it";
    assert_eq!(text.matches(told).count(), 2, "at installation, and by status: {text}");
}
