//! Which pin counts, and that a repository cannot pin itself.

use crate::{ALICE, BOB, Draft, ID, REF, following::step, pin, published, refused, verified, world};

#[test]
fn a_repository_does_not_pin_itself() {
    let world = world();
    let repository = published(&world, "sha1");
    let first = repository.id(REF);
    let value = format!("{ID} {REF} {first}");
    let path = world.path("draft/policy.toml");
    repository.git(&["config", "countersign.policyPin", &value]).check();
    repository.git(&["config", "countersign.policy", path.to_str().unwrap()]).check();
    assert_eq!(repository.grade("HEAD"), "U|alice@example.com|undefined");
    let (status, words) = verified(&repository);
    assert_eq!(status, 2);
    for wanted in [
        format!(
            "warning: the repository's own configuration says 'countersign.policyPin={value}', which is not heard\n"
        ),
        "hint: if that is what you want, run 'countersign policy pin'\n".to_owned(),
        format!("'countersign.policy={}', which is not heard\n", path.display()),
        "hint: if that is what you want, run 'git config --global countersign.policy FILE'\n".to_owned(),
        "warning: policy found, not pinned".to_owned(),
    ] {
        assert!(words.contains(&wanted), "{wanted}\n{words}");
    }
    // By the work tree's file neither; by the command line, which is the user's, they are.
    repository.git(&["config", "extensions.worktreeConfig", "true"]).check();
    repository.git(&["config", "--worktree", "countersign.policyPin", &value]).check();
    assert_eq!(repository.grade("HEAD"), "U|alice@example.com|undefined");
    let run = repository.countersign(&["verify", "--verbose"]).env("GIT_CONFIG_COUNT", "1");
    let run = run.env("GIT_CONFIG_KEY_0", "countersign.policyPin").env("GIT_CONFIG_VALUE_0", &value);
    run.any_stdout().stderr_holds(&["policy scope: command ("]).check();
}

#[test]
fn a_file_goes_before_every_pin() {
    let world = world();
    let repository = published(&world, "sha1");
    pin(&repository);
    let file = world.policy(&[("bob", BOB)]);
    world.configure(&format!("[countersign]\n policy = {}", file.display()));
    assert_eq!(repository.grade("HEAD"), "E|");
    let scope = "policy scope: global (file:[DIR]/home/.gitconfig)\n";
    let run = repository.countersign(&["verify", "--verbose"]).status(1).any_stdout();
    run.stderr_holds(&["identities: policy '", "policy.toml' sha256:", scope]).check();
    let run = repository.countersign(&["policy", "pin", "--yes"]).any_stdout();
    run.stderr_holds(&[
        "warning: 'countersign.policy' is set, and a file that it names goes before every pin",
    ])
    .check();
    let run = repository.countersign(&["verify", "--verbose", "--policy", "../draft/policy.toml"]);
    run.any_stdout().stderr_holds(&["policy scope: command line\n", "policy serial: 1\n"]).check();
}

#[test]
fn another_root_has_to_be_asked_for() {
    let world = world();
    let repository = published(&world, "sha1");
    pin(&repository);
    let first = repository.id(REF);
    let second = Draft { serial: 2, ..Draft::FIRST }.publish(&repository, ALICE);
    let arguments = ["policy", "pin", "--root", &second, "--yes"];
    let run = repository.countersign(&arguments).status(3);
    run.stderr_holds(&[&format!("is pinned already, by '{REF} {first}'"), "--replace"]).check();
    let list = |scope_and_root: &str| {
        let line = format!("{ID} {REF} {scope_and_root} (global)\n");
        world.countersign(&["policy", "pin", "--list"]).stdout(&line).check();
    };
    list(&first);
    // The same one again is no change.
    pin(&repository);
    list(&first);
    repository.countersign(&[&arguments[..], &["--replace"]].concat()).any_stdout().check();
    list(&second);
    assert_eq!(verified(&repository).0, 0);
    let json = repository.countersign(&["policy", "pin", "--yes", "--json", "--root", &second]);
    let json: serde_json::Value = serde_json::from_str(&json.any_stdout().check().text()).unwrap();
    assert_eq!((&json["root"], &json["serial"]), (&second.as_str().into(), &2.into()));
    let removed = format!("removed {ID} {REF} {second}\n");
    world.countersign(&["policy", "pin", "--remove", ID]).stdout(&removed).check();
    world.countersign(&["policy", "pin", "--list"]).check();
    let run = world.countersign(&["policy", "pin", "--remove", ID]).status(3);
    run.stderr_holds(&["no pin is for the repository"]).check();
    assert_eq!(verified(&repository).0, 2);
}

#[test]
fn what_does_not_follow_is_not_pinned() {
    let world = world();
    let repository = published(&world, "sha1");
    let first = repository.id(REF);
    let text = Draft { serial: 2, ..Draft::FIRST }.text(&world);
    let stranger = step(&repository, &first, BOB, &text);
    repository.git(&["update-ref", REF, &stranger]).check();
    let run = repository.countersign(&["policy", "pin", "--yes"]).status(3);
    run.stderr_holds(&["signed by 'bob@example.com'"]).check();
    let head = repository.id("HEAD");
    for root in [head.as_str(), "nothing"] {
        let run = repository.countersign(&["policy", "pin", "--yes", "--root", root]).status(3);
        run.stderr_holds(&["error: ", "hint: "]).check();
    }
    let absent = "1".repeat(40);
    let run = repository.countersign(&["policy", "pin", "--yes", "--root", &absent]).status(3);
    run.stderr_holds(&[&format!("fetch the ref: 'git fetch REMOTE {REF}:{REF}'")]).check();
    world.countersign(&["policy", "pin", "--list"]).check();
}

#[test]
fn two_pins_that_fit_are_refused_and_a_foreign_one_is_nothing() {
    let world = world();
    let repository = published(&world, "sha1");
    pin(&repository);
    let first = repository.id(REF);
    let second = Draft { serial: 2, ..Draft::FIRST }.publish(&repository, ALICE);
    let foreign = "1".repeat(40);
    world.configure(&format!("[countersign]\n policyPin = example.com/elsewhere {REF} {foreign}"));
    assert_eq!(verified(&repository).0, 0);
    // The root of a fork's origin is here too, and does not lead to what the ref holds.
    let side = step(&repository, &first, ALICE, &Draft { serial: 5, ..Draft::FIRST }.text(&world));
    world.configure(&format!("[countersign]\n policyPin = {ID} {REF} {side}"));
    assert_eq!(verified(&repository).0, 0);
    world.configure(&format!("[countersign]\n policyPin = {ID} {REF} {second}"));
    refused(&repository, "more than one 'countersign.policyPin' fits this repository");
}

#[test]
fn a_pin_is_written_in_one_way() {
    let world = world();
    let repository = published(&world, "sha1");
    let first = repository.id(REF);
    let upper = first.to_uppercase();
    let configuration = std::fs::read_to_string(world.path("home/.gitconfig")).unwrap();
    for value in [
        "true".to_owned(),
        format!("{ID} {REF}"),
        format!("{ID} {REF} {first} x"),
        format!("{ID}  {REF} {first}"),
        format!("{ID} refs/heads/policy {first}"),
        format!("{ID} refs/countersign/a..b {first}"),
        format!("{ID} {REF} {}", &first[..20]),
        format!("{ID} {REF} {upper}"),
        format!("{ID} {REF} {}", "0".repeat(40)),
        format!("-x {REF} {first}"),
    ] {
        world.write("home/.gitconfig", format!("{configuration}[countersign]\n policyPin = {value}\n"));
        let (status, words) = verified(&repository);
        assert_eq!(status, 3, "{value}");
        assert!(words.contains("which is no pin: "), "{words}");
        assert_eq!(repository.grade("HEAD"), "E|");
    }
    // Of another repository's hash, and of no repository that is here.
    world.write(
        "home/.gitconfig",
        format!("{configuration}[countersign]\n policyPin = {ID} {REF} {}\n", "1".repeat(64)),
    );
    assert_eq!(verified(&repository).0, 2);
}

#[test]
fn the_pinned_repository_is_the_one_that_its_root_names() {
    let world = world();
    let repository = published(&world, "sha1");
    let first = repository.id(REF);
    world.configure(&format!("[countersign]\n policyPin = example.com/other {REF} {first}"));
    refused(
        &repository,
        "is for the repository 'example.com/project', where it has to be for 'example.com/other'",
    );
}

#[test]
fn outside_of_a_repository_a_pin_is_nothing() {
    let world = world();
    let repository = published(&world, "sha1");
    pin(&repository);
    let run = world.countersign(&["policy", "show"]).status(3).any_stdout();
    run.stderr_holds(&["there is no git repository"]).check();
    let other = world.repository("other", "sha1");
    other.commit("by alice");
    assert_eq!(other.grade("HEAD"), "U|alice@example.com|undefined");
    other
        .countersign(&["policy", "show"])
        .status(2)
        .stderr_holds(&["warning: no policy counts here"])
        .check();
}

#[test]
fn the_policy_of_another_pinned_repository_is_not_slipped_in() {
    let world = world();
    let repository = published(&world, "sha1");
    pin(&repository);
    let own = repository.id(REF);
    let other = world.repository("other", "sha1");
    let theirs =
        Draft { repository: "example.com/other", owners: &["bob"], signers: &["bob"], ..Draft::FIRST };
    theirs.publish(&other, BOB);
    pin(&other);
    assert_eq!(verified(&repository).0, 0);
    let source = format!("file://{}", other.path.display());
    repository.git(&["fetch", "-q", &source, &format!("+{REF}:{REF}")]).check();
    refused(&repository, "was judged by the policy of 'example.com/project'");
    repository.git(&["update-ref", REF, &own]).check();
    assert_eq!(verified(&repository).0, 0);
    // Another repository has taken its place, and somebody says so.
    repository.git(&["fetch", "-q", &source, &format!("+{REF}:{REF}")]).check();
    repository.countersign(&["policy", "pin", "--yes"]).any_stdout().check();
    assert_eq!(verified(&repository).0, 1, "their policy does not name alice");
    repository.git(&["update-ref", REF, &own]).check();
    world.countersign(&["policy", "pin", "--remove", "example.com/other"]).any_stdout().check();
    assert_eq!(verified(&repository).0, 0, "what is not pinned any more is no rival");
}

#[test]
fn a_clone_is_not_judged_without_the_policy_that_it_had() {
    let world = world();
    let repository = published(&world, "sha1");
    pin(&repository);
    assert_eq!(verified(&repository).0, 0);
    // Neither the ref nor the commit that the pin names is left.
    repository.git(&["update-ref", "-d", REF]).check();
    repository.git(&["reflog", "expire", "--expire=now", "--all"]).check();
    repository.git(&["prune", "--expire=now"]).check();
    refused(&repository, "that policy is not here any more");
    repository.countersign(&["policy", "pin", "--forget-here"]).stdout("forgotten\n").check();
    let grade = repository.grade("HEAD");
    assert!(grade.starts_with("U|"), "another repository, of which no policy speaks: {grade}");
}
