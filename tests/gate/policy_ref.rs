//! The hook goes by the policy in a ref of the repository, and the ref itself is guarded.

use crate::{ALICE, BOB, Draft, MAIN, REF, Stage};

/// What lets anything in.
const RELAXED: &str = r#"
    [[rule]]
    name = "main"
    refs = ["refs/heads/main", "refs/heads/release/*"]
    commits = "unsigned"
    create = "allow"
    bases = ["refs/heads/main"]
"#;

fn main_to(id: &str) -> String {
    format!("{id}:refs/heads/main")
}

#[test]
fn the_policy_in_the_ref_decides_and_a_push_of_its_own_changes_it() {
    let stage = Stage::new(MAIN);
    let shown = stage.status().any_status().any_stdout().check().text();
    assert!(shown.contains(&format!("policy: ref '{REF}' from commit {}\n", stage.root)), "{shown}");
    let now = format!("policy now: commit {}, serial 1, which alice may change\n", stage.root);
    assert!(shown.contains(&now), "{shown}");

    let one = stage.author().commit("one");
    stage.accepted(&[&main_to(&one)]);
    let by_bob = stage.author().commit_as(BOB, "by bob");
    stage.refused(&[&main_to(&by_bob)], &["where only 'alice' may (rule 'main')"]);
    // Bob is let in by a policy that Alice publishes; only the push after it is judged by that.
    let second = Draft::new(2, &MAIN.replace("[\"alice\"]", "[\"alice\", \"bob\"]")).publish(&stage, ALICE);
    let policy = format!("{REF}:{REF}");
    stage.refused(&[&policy, &main_to(&by_bob)], &["where only 'alice' may (rule 'main')"]);
    assert_eq!((stage.at(REF), stage.at("refs/heads/main")), (stage.root.clone(), one));
    stage.accepted(&[&policy]);
    stage.accepted(&[&main_to(&by_bob)]);
    assert_eq!((stage.at(REF), stage.at("refs/heads/main")), (second, by_bob));
}

#[test]
fn a_policy_that_is_stricter_judges_from_the_next_push_on() {
    let stage = Stage::new(RELAXED);
    let unsigned = stage.unsigned("one");
    Draft::new(2, MAIN).publish(&stage, ALICE);
    // Both in one push: the old policy lets the commit in, and is not any more afterwards.
    stage.accepted(&[&format!("{REF}:{REF}"), &main_to(&unsigned)]);
    let two = stage.unsigned("two");
    stage.refused(&[&main_to(&two)], &["it is not signed, where 'alice' has to sign"]);
}

#[test]
fn whatever_its_rule_allows_the_ref_is_neither_deleted_nor_rewound_nor_written_by_others() {
    let stage = Stage::new(MAIN);
    Draft::new(2, MAIN).publish(&stage, ALICE);
    let second = stage.author().id(REF);
    stage.accepted(&[&format!("{REF}:{REF}")]);

    // The rule says delete, rewind and create, and nobody may.
    stage.refused(&[&format!(":{REF}")], &["the ref holds the policy, which is never deleted"]);
    let back = format!("+{}:{REF}", stage.root);
    stage.refused(&[&back], &["its new value does not follow the present one", "with a greater serial"]);
    // A history that begins anew, one with the same serial, one of another repository, one by somebody else.
    let author = stage.author();
    let text = Draft::new(3, MAIN).text(&stage.world);
    let step = |parents: &[&str], email: &str, text: &str| {
        let root = stage.world.authority().authority().trusted_root_json().to_owned();
        let entries = [("policy.toml", text.as_bytes()), ("sandbox.json", root.as_bytes())];
        let lines: String = entries
            .iter()
            .map(|(name, bytes)| format!("100644 blob {}\t{name}\n", author.store("blob", bytes)))
            .collect();
        let tree = author.git(&["mktree"]).input(lines.as_bytes()).any_stdout().check().text();
        let mut arguments = vec!["commit-tree", "-S", "-m", "step", tree.trim_end()];
        arguments.extend(parents.iter().flat_map(|parent| ["-p", parent]));
        let run = author.git(&arguments).env("SIGSTORE_ID_TOKEN", stage.world.token(email));
        format!("+{}:{REF}", run.any_stdout().check().text().trim_end())
    };
    stage.refused(&[&step(&[], ALICE, &text)], &["its new value does not follow the present one"]);
    let same = text.replace("serial = 3", "serial = 2");
    let said = ["has the serial 2, and the one before it has 2"];
    stage.refused(&[&step(&[&second], ALICE, &same)], &said);
    let other = text.replace("example.com/project", "example.com/other");
    stage.refused(&[&step(&[&second], ALICE, &other)], &["is for the repository 'example.com/other'"]);
    stage.refused(&[&step(&[&second], BOB, &text)], &["signed by 'bob@example.com'", "only 'alice' may"]);
    stage.refused(&[&step(&[&second, &stage.root], ALICE, &text)], &["is a merge"]);
    // What could not be used here would have every push refused from then on.
    let broken = text.replace("other_refs = \"refuse\"\n", "");
    stage.refused(&[&step(&[&second], ALICE, &broken)], &["'other_refs'"]);
    let rootless = text.replace("trusted_root = \"sandbox.json\"", "trusted_root = \"none.json\"");
    stage.refused(&[&step(&[&second], ALICE, &rootless)], &["none.json"]);
    // Under another name it is the same ref.
    let server = stage.server();
    server.git(&["symbolic-ref", "refs/heads/main", REF]).check();
    stage.refused(&[&format!("+{}:refs/heads/main", stage.root)], &["does not follow the present one"]);
    stage.refused(&[":refs/heads/main"], &["never deleted"]);
    assert_eq!(stage.at(REF), second);
}

#[test]
fn two_steps_at_once_are_both_judged_by_the_policy_that_decides() {
    let stage = Stage::new(MAIN);
    Draft { owners: &["bob"], ..Draft::new(2, MAIN) }.publish(&stage, ALICE);
    let second = stage.author().id(REF);
    Draft { owners: &["bob"], ..Draft::new(3, MAIN) }.publish(&stage, BOB);
    // By the chain alone it would do; but Bob has no say yet.
    stage.refused(&[&format!("{REF}:{REF}")], &["where only 'alice' may (rule 'policy')"]);
    stage.accepted(&[&format!("{second}:{REF}")]);
    stage.accepted(&[&format!("{REF}:{REF}")]);
}

#[test]
fn a_rewind_behind_the_hooks_back_refuses_every_push_until_the_administrator_pins_again() {
    let stage = Stage::new(MAIN);
    Draft::new(2, MAIN).publish(&stage, ALICE);
    let second = stage.author().id(REF);
    stage.accepted(&[&format!("{REF}:{REF}")]);
    let one = stage.author().commit("one");
    stage.accepted(&[&main_to(&one)]);

    stage.server().git(&["update-ref", REF, &stage.root]).check();
    let two = stage.author().commit("two");
    let words = ["was rewound or is out of date", &second];
    stage.refused(&[&main_to(&two)], &words);
    let status = stage.status().status(1).any_stdout().check().text();
    assert!(status.contains("every push is refused") && status.contains("was rewound"), "{status}");
    // The same pin installed once more does not forget what was seen.
    let mended = format!("hint: set it right with 'git update-ref {REF} {second}'");
    stage.install(&stage.root, &[]).status(3).stderr_holds(&["was rewound", &mended]).check();
    stage.refused(&[&main_to(&two)], &words);
    // Gone altogether is no better.
    stage.server().git(&["update-ref", "-d", REF]).check();
    stage.refused(&[&main_to(&two)], &["there is no ref"]);
    // Forward again, as it was.
    stage.server().git(&["update-ref", REF, &second]).check();
    stage.accepted(&[&main_to(&two)]);
    // Or the administrator believes the older one, and says so.
    stage.server().git(&["update-ref", REF, &stage.root]).check();
    let other = stage.install(&second, &[]).status(3).any_stdout().any_stderr().check().words();
    assert!(other.contains("does not follow from commit"), "{other}");
    stage.server().git(&["update-ref", REF, &second]).check();
    stage.install(&second, &[]).any_stdout().check();
    let three = stage.author().commit("three");
    stage.accepted(&[&main_to(&three)]);
}

#[test]
fn the_note_of_what_was_seen_is_never_guessed() {
    let stage = Stage::new(MAIN);
    let note = stage.world.path("server.git/countersign/policy");
    let text = std::fs::read_to_string(&note).unwrap();
    assert_eq!(text, format!("example.com/project {REF} {0} {0}\n", stage.root));
    let one = stage.author().commit("one");
    for damaged in ["", "x\n", &text[..30]] {
        std::fs::write(&note, damaged).unwrap();
        stage.refused(
            &[&main_to(&one)],
            &["which says at which commit the policy was found last, is damaged"],
        );
    }
    std::fs::remove_file(&note).unwrap();
    stage.accepted(&[&main_to(&one)]);
    assert_eq!(std::fs::read_to_string(&note).unwrap(), text, "found anew from the pin");
}

#[test]
fn nothing_is_installed_with_a_root_that_is_none() {
    let stage = Stage::new(MAIN);
    let one = stage.author().commit("one");
    stage.accepted(&[&main_to(&one)]);
    stage.install(&one, &[]).status(3).any_stderr().check();
    stage
        .install(&"1".repeat(40), &[])
        .status(3)
        .stderr_holds(&["is not in the repository", "hint: push it there first"])
        .check();
    stage.install("HEAD", &[]).status(64).any_stderr().check();
    stage.install(&stage.root, &["--policy", "x"]).status(64).any_stderr().check();
    stage.install(&stage.root, &["--policy-ref", "refs/heads/policy"]).status(3).any_stderr().check();
}

#[test]
fn a_policy_relaxed_and_restored_between_two_pushes_lets_nothing_be_built_on() {
    let stage = Stage::new(MAIN);
    let one = stage.author().commit("one");
    stage.accepted(&[&main_to(&one)]);
    stage.accepted(&[&format!("{one}:refs/heads/release/1")]);
    let policy = format!("{REF}:{REF}");
    Draft::new(2, RELAXED).publish(&stage, ALICE);
    stage.accepted(&[&policy]);
    let smuggled = stage.unsigned("smuggled");
    stage.accepted(&[&main_to(&smuggled)]);
    Draft::new(3, MAIN).publish(&stage, ALICE);
    stage.accepted(&[&policy]);

    // What the relaxed policy let into main is there; it is no base of anything by the strict one.
    let is_refused = |id: &str, name: &str| {
        stage.refused(&[&format!("{id}:refs/heads/release/{name}")], &[&smuggled[..12], "it is not signed"]);
    };
    is_refused(&smuggled, "2");
    let on_top = stage.author().commit("on top");
    is_refused(&on_top, "3");
    // Nor does it become one by a signed commit that main takes on top of it.
    stage.accepted(&[&main_to(&on_top)]);
    is_refused(&on_top, "4");
    let more = stage.author().commit("more");
    stage.accepted(&[&main_to(&more)]);
    is_refused(&more, "5");
    // What stood before is one still.
    stage.accepted(&[&format!("{one}:refs/heads/release/6")]);
}

#[test]
fn a_policy_file_on_the_server_is_restored_without_a_trace_too() {
    let stage = Stage::new(MAIN);
    let world = &stage.world;
    let write = |rules: &str| world.write("draft/file.toml", Draft::new(1, rules).text(world));
    write(MAIN);
    let install = ["hook", "install", "--repository", "server.git", "--policy", "draft/file.toml"];
    world.countersign(&install).any_stdout().check();
    let one = stage.author().commit("one");
    stage.accepted(&[&main_to(&one)]);
    write(RELAXED);
    let smuggled = stage.unsigned("smuggled");
    stage.accepted(&[&main_to(&smuggled)]);
    write(MAIN);
    let on_top = stage.author().commit("on top");
    stage.accepted(&[&main_to(&on_top)]);
    let release = format!("{on_top}:refs/heads/release/1");
    stage.refused(&[&release], &[&smuggled[..12], "it is not signed"]);
}

#[test]
fn the_objects_of_a_push_have_no_part_in_the_policy_that_judges_it() {
    let stage = Stage::new(MAIN);
    // A commit whose tree holds a policy that allows everything, pushed to another ref.
    Draft::new(2, RELAXED).publish(&stage, ALICE);
    let hostile = stage.author().id(REF);
    stage.refused(&[&format!("{hostile}:refs/countersign/other")], &["this namespace is reserved"]);
    let unsigned = stage.unsigned("one");
    stage.refused(&[&main_to(&unsigned)], &["it is not signed"]);
    // Repository configuration and push options have none either.
    stage.server().git(&["config", "countersign.policyPin", "x"]).check();
    stage.server().git(&["config", "receive.advertisePushOptions", "true"]).check();
    stage.refused(&["-o", "policy=x", &main_to(&unsigned)], &["it is not signed"]);
}

/// Where no hook beside the gate hears of what has happened, nobody notes a new policy before the next push.
#[test]
fn a_gate_alone_notes_a_change_of_the_policy_late_and_says_so() {
    let stage = Stage::new(MAIN);
    let says_so = |options: &[&str]| {
        stage.install(&stage.root, options).any_stdout().check();
        stage.status().any_status().any_stdout().check().text().contains("is noted by the next push only")
    };
    assert!(!says_so(&[]));
    assert!(!says_so(&["--hooks", "post-receive"]));
    assert!(says_so(&["--hooks", "pre-receive"]));
    assert!(says_so(&["--no-ledger"]));
}
