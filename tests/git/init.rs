//! Setting git up for one repository, without its own file deciding anything about trust.

use crate::support::{ALICE, BOB, PROGRAM, World};

/// A world whose user has set up nothing but a name.
fn world() -> World {
    let world = World::new();
    world.write("home/.gitconfig", format!("[user]\n name = Alice\n email = {ALICE}\n"));
    world
}

#[test]
fn for_one_repository_trust_is_kept_in_the_users_own_configuration() {
    let world = world();
    let (one, other) = (world.repository("o[n]e *", "sha1"), world.repository("other", "sha1"));
    let root = world.path("authority/trusted_root.json").display().to_string();
    let config = world.path("authority/signing_config.json").display().to_string();
    let policy = world.policy(&[("alice", ALICE)]).display().to_string();
    let arguments = [
        "init",
        "--local",
        "--instance",
        "sandbox",
        "--trusted-root",
        &root,
        "--signing-config",
        &config,
        "--policy",
        &policy,
    ];
    let dry = one.countersign(&[&arguments[..], &["--dry-run"]].concat()).any_stdout().check().text();
    assert!(!world.path("home/.config").exists());
    let printed = one.countersign(&arguments).any_stdout().check().text();
    assert_eq!(dry, printed);
    let lines: Vec<String> = world.redact(&printed).lines().map(str::to_owned).collect();
    assert!(
        lines[0].starts_with(r"git config --global 'includeIf.gitdir:[DIR]/o\[n\]e \*/.git.path' [DIR]/home/.config/countersign/repository-"),
        "{printed}"
    );
    assert!(lines[1].contains(r"/o\[n\]e \*/.git/worktrees/.path' [DIR]"), "{printed}");
    assert_eq!(lines[2], "git config --local gpg.format x509");
    assert!(
        lines[6].starts_with("git config --file [DIR]/home/.config/countersign/repository-"),
        "{printed}"
    );
    assert!(lines[6].ends_with(".gitconfig countersign.instance sandbox"), "{printed}");
    assert_eq!(lines.len(), 10);
    one.commit("first");
    assert_eq!(one.grade("HEAD"), "G|alice@example.com|fully");
    // Linked work trees are the same repository, and another one is another.
    one.git(&["worktree", "add", "-q", "../linked"]).any_stderr().check();
    let linked = crate::support::Repository::at(&world, &world.path("linked"));
    linked.commit("second");
    assert_eq!(linked.grade("HEAD"), "G|alice@example.com|fully");
    other.git(&["config", "countersign.instance"]).status(1).check();
    other.git(&["config", "gpg.format"]).status(1).check();
    // Once more changes nothing, and says nothing of the file again.
    let again = one.countersign(&arguments).any_stdout().check().text();
    assert_eq!(again.lines().count(), 8);
}

#[test]
fn what_a_repository_sets_is_taken_over_only_by_name_and_as_it_is_now() {
    let world = world();
    let repository = world.repository("r", "sha1");
    let token = world.write("token", world.token(BOB)).display().to_string();
    let root = world.path("authority/trusted_root.json").display().to_string();
    let config = world.path("authority/signing_config.json").display().to_string();
    for (key, value) in [
        ("countersign.instance", "sandbox"),
        ("countersign.sandbox.trustedRoot", &root),
        ("countersign.sandbox.signingConfig", &config),
        ("countersign.tokenFile", &token),
    ] {
        repository.git(&["config", key, value]).check();
    }
    let run = repository.countersign(&["init", "--local"]).any_stdout();
    let words = run.any_stderr().check().words();
    for key in ["instance", "sandbox.trustedroot", "sandbox.signingconfig", "tokenfile"] {
        let told = format!(
            "warning: the repository's own 'countersign.{key}' is not heard\n\
             hint: if you mean it, run 'countersign init --local --allow countersign.{key}'\n"
        );
        assert!(words.contains(&told), "{words}");
    }
    assert!(!world.path("home/.config").exists(), "nothing of it was taken over");
    let arguments = [
        "init",
        "--local",
        "--allow",
        "countersign.instance",
        "--allow",
        "countersign.sandbox.trustedRoot",
        "--allow",
        "countersign.sandbox.signingConfig",
    ];
    let run = repository.countersign(&arguments).any_stdout();
    run.stderr(
        "warning: the repository's own 'countersign.tokenfile' is not heard\n\
         hint: if you mean it, run 'countersign init --local --allow countersign.tokenfile'\n",
    )
    .check();
    repository.commit("first");
    assert_eq!(repository.grade("HEAD"), "U|alice@example.com|undefined");
    // A later change of the repository's is not heard again.
    repository.git(&["config", "countersign.instance", "evil"]).check();
    repository.commit("second");
    let run = repository.countersign(&["init", "--local", "--allow", "gitsign.fulcio"]).status(3);
    run.stderr_holds(&["error: the repository sets no 'gitsign.fulcio' that is not heard"]).check();
    world.countersign(&["init", "--allow", "gitsign.fulcio"]).status(64).any_stderr().check();
}

#[test]
fn a_repository_that_goes_its_own_way_is_pointed_at() {
    let world = world();
    let repository = world.repository("r", "sha1");
    repository.git(&["config", "gpg.x509.program", "gitsign"]).check();
    let run = repository.countersign(&["init"]).any_stdout();
    run.stderr(
        "countersign takes the place of 'gitsign'\n\
         warning: in this repository 'gpg.x509.program' is 'gitsign', which goes before\n\
         hint: run 'countersign init --local' here\n",
    )
    .check();
    repository.countersign(&["init", "--local"]).any_stdout().any_stderr().check();
    repository.git(&["config", "gpg.x509.program"]).stdout(format!("{PROGRAM}\n")).check();
}
