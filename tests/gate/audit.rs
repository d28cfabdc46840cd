//! The line that an administrator finds about every decision, and where it goes.

use std::{fs, os::unix::net::UnixDatagram};

use serde_json::{Value, json};

use crate::{MAIN, REF, Stage};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn log(stage: &Stage) -> Vec<Value> {
    lines(&fs::read_to_string(stage.world.path("server.git/countersign/audit.jsonl")).unwrap())
}

#[test]
fn every_decision_leaves_a_line_for_each_ref() {
    let stage = Stage::new(MAIN);
    let one = stage.author().commit("one");
    stage.accepted(&[&format!("{one}:refs/heads/main"), &format!("{one}:refs/heads/release/1")]);
    let two = stage.unsigned("two");
    stage.refused(&[&format!("{two}:refs/heads/main"), ":refs/heads/release/1"], &["it is not signed"]);
    let log = log(&stage);
    let [first, second, third, fourth] = &log[..] else { panic!("{log:?}") };
    let name = |line: &Value| line["ref"].as_str().unwrap().to_owned();
    assert_eq!(
        (name(first), name(second)),
        ("refs/heads/main".to_owned(), "refs/heads/release/1".to_owned())
    );
    for line in [first, second] {
        assert_eq!(
            (&line["decision"], &line["old"], &line["new"]),
            (&json!("accepted"), &json!(null), &json!(one))
        );
        assert_eq!((&line["causes"], &line["policyCommit"]), (&json!([]), &json!(stage.root)));
        assert_eq!((&line["policy"].as_str().unwrap().len(), &line["push"]), (&64, &first["push"]));
        assert!(line["repository"].as_str().unwrap().ends_with("server.git"), "{line}");
        assert!(line["time"].as_str().unwrap().ends_with('Z') && line["user"].is_u64(), "{line}");
    }
    assert_ne!(third["push"], first["push"]);
    let of = |name: &str| [third, fourth].into_iter().find(|line| line["ref"] == name).unwrap();
    let main = of("refs/heads/main");
    assert_eq!(
        (&main["decision"], &main["old"], &main["new"]),
        (&json!("refused"), &json!(one), &json!(two))
    );
    let cause =
        json!([{ "object": two, "rule": "main", "cause": "it is not signed, where 'alice' has to sign" }]);
    assert_eq!((&main["causes"], &main["causeCount"]), (&cause, &json!(1)));
    let release = of("refs/heads/release/1");
    assert_eq!((&release["decision"], &release["new"]), (&json!("refused"), &json!(null)));
}

#[test]
fn whoever_is_refused_does_not_fill_the_disk_with_it() {
    let stage = Stage::new(MAIN);
    let (one, two) = (stage.author().commit("one"), stage.unsigned("two"));
    let name = |number: usize| format!("refs/heads/release/{number:04}");
    let create = |(number, id): (usize, &String)| format!("create {} {id}\n", name(number));
    let all: String = (0..1500).map(|number| (number, &one)).chain([(9999, &two)]).map(create).collect();
    stage.author().git(&["update-ref", "--stdin"]).input(all).check();
    let push = ["refs/heads/release/*:refs/heads/release/*"];
    stage.refused(&push, &["it is not signed"]);
    let log = log(&stage);
    assert_eq!(log.len(), 1001);
    assert_eq!((&log[0]["ref"], &log[0]["causeCount"]), (&json!(name(9999)), &json!(1)), "it comes first");
    assert_eq!((&log[1]["ref"], &log[1]["decision"]), (&json!(name(0)), &json!("refused")));
    let last = &log[1000];
    assert_eq!((&last["moreRefs"], &last["decision"]), (&json!(501), &json!("refused")));
    assert_eq!(last["push"], log[0]["push"]);
    // What is accepted is told in full.
    stage.author().git(&["update-ref", "-d", &name(9999)]).check();
    stage.accepted(&push);
    assert_eq!(self::log(&stage).len(), 1001 + 1500);
}

#[test]
fn what_could_not_be_judged_is_written_down_too_and_hostile_text_is_text() {
    let stage = Stage::new(MAIN);
    let one = stage.unsigned("one");
    let hostile = "refs/heads/\u{202e}\u{1f600}\"},{\"decision\"=\"accepted\u{200b}";
    stage.refused(&[&format!("{one}:{hostile}")], &["no rule names this ref"]);
    stage.server().git(&["update-ref", "-d", REF]).check();
    stage.refused(&[&format!("{one}:refs/heads/main")], &["there is no ref"]);
    let hook = stage.world.path("server.git/hooks/pre-receive");
    let run = stage.world.run(hook.to_str().unwrap(), &[]).directory(&stage.world.path("server.git"));
    run.env("GIT_DIR", ".").input("garbage\n").status(3).any_stderr().check();
    let log = log(&stage);
    assert_eq!(log.len(), 3);
    assert_eq!(log[0]["ref"], "refs/heads/\\u{202e}\u{1f600}\"},{\"decision\"=\"accepted\\u{200b}");
    assert_eq!((&log[0]["decision"], &log[1]["decision"]), (&json!("refused"), &json!("not_judged")));
    assert!(log[1]["error"].as_str().unwrap().contains("there is no ref"), "{}", log[1]);
    assert_eq!((&log[2]["decision"], &log[2]["ref"]), (&json!("not_judged"), &json!(null)));
}

#[test]
fn a_file_is_added_to_wherever_it_was_moved_and_whatever_lies_in_its_place_is_not_waited_for() {
    let stage = Stage::new(MAIN);
    let world = &stage.world;
    let path = world.path("audit log.jsonl");
    let sink = format!("file:{}", path.display());
    stage.install(&stage.root, &["--audit", &sink]).any_stdout().check();
    let one = stage.author().commit("one");
    stage.accepted(&[&format!("{one}:refs/heads/main")]);
    fs::rename(&path, world.path("rotated")).unwrap();
    let two = stage.author().commit("two");
    stage.accepted(&[&format!("{two}:refs/heads/main")]);
    assert_eq!(lines(&fs::read_to_string(&path).unwrap())[0]["new"], two.as_str());
    assert_eq!(lines(&fs::read_to_string(world.path("rotated")).unwrap())[0]["new"], one.as_str());

    // A pipe that nobody reads, a folder, and a device that takes everything.
    fs::remove_file(&path).unwrap();
    world.run("mkfifo", &[path.to_str().unwrap()]).check();
    let three = stage.author().commit("three");
    let push = format!("{three}:refs/heads/main");
    let said = stage.accepted(&[&push]);
    assert!(said.contains("warning: the decision cannot be written down: "), "{said}");
    // Where it is asked for, that is a refusal; and a refusal stays one.
    stage.install(&stage.root, &["--audit", &sink, "--audit-required"]).any_stdout().check();
    let shown = stage.status().any_status().any_stdout().check().text();
    assert!(shown.contains(&format!("audit: {sink}\naudit required: true\n")), "{shown}");
    let four = stage.author().commit("four");
    let push = format!("{four}:refs/heads/main");
    stage.refused(&[&push], &["error: the decision cannot be written down: "]);
    let unsigned = stage.unsigned("five");
    stage.refused(&[&format!("{unsigned}:refs/heads/main")], &["cannot be written down", "it is not signed"]);
    assert_eq!(stage.at("refs/heads/main"), three);
    stage.install(&stage.root, &["--audit", "file:/dev/null", "--audit-required"]).any_stdout().check();
    stage.refused(&[&push], &["it is no regular file"]);
    fs::remove_file(&path).unwrap();
    stage.install(&stage.root, &["--audit", &sink, "--audit-required"]).any_stdout().check();
    stage.accepted(&[&push]);
}

#[test]
fn the_systems_log_gets_a_message_and_is_not_waited_for() {
    let stage = Stage::new(MAIN);
    let path = stage.world.path("log");
    let socket = UnixDatagram::bind(&path).unwrap();
    let sink = format!("syslog:{}", path.display());
    stage.install(&stage.root, &["--audit", &sink, "--audit-required"]).any_stdout().check();
    let one = stage.author().commit("one");
    stage.accepted(&[&format!("{one}:refs/heads/main")]);
    let mut message = vec![0; 65536];
    let length = socket.recv(&mut message).unwrap();
    let text = std::str::from_utf8(&message[..length]).unwrap();
    let line = text.strip_prefix("<85>countersign: ").unwrap();
    assert_eq!(lines(line)[0]["decision"], "accepted");
    // A log that reads nothing fills up, and then it is as if there were none.
    let two = stage.author().commit("two");
    let flood = UnixDatagram::unbound().unwrap();
    flood.set_nonblocking(true).unwrap();
    while flood.send_to(&[0; 1000], &path).is_ok() {}
    let push = format!("{two}:refs/heads/main");
    stage.refused(&[&push], &["the decision cannot be written down"]);
    drop(socket);
    stage.refused(&[&push], &["the decision cannot be written down"]);
    stage.install(&stage.root, &["--audit", "off"]).any_stdout().check();
    stage.accepted(&[&push]);
    assert!(!stage.world.path("server.git/countersign/audit.jsonl").exists());
}

/// Whoever reads the lines with a program finds each key, and each word that a decision can be, in the manual.
#[test]
fn what_stands_in_a_line_is_described() {
    let warn = format!(
        "{MAIN}\n[[rule]]\nname = \"warned\"\nrefs = [\"refs/heads/warned\"]\nmode = \"warn\"\n\
                        create = \"allow\"\ncommits = [\"alice\"]\n"
    );
    let stage = Stage::new(&warn);
    let unsigned = stage.unsigned("unsigned");
    stage.accepted(&[&format!("{unsigned}:refs/heads/warned")]);
    let push = format!("{unsigned}:refs/heads/main");
    stage.refused(&[&push], &["it is not signed"]);
    let reason = ["--ref", "refs/heads/main", "--new", &unsigned, "--reason", "why"];
    let admit = [&["hook", "admit", "--repository", "server.git"][..], &reason].concat();
    stage.world.countersign(&admit).any_stdout().check();
    stage.accepted(&[&push]);
    stage.server().git(&["update-ref", "-d", REF]).check();
    let next = stage.unsigned("next");
    stage.refused(&[&format!("{next}:refs/heads/main")], &["there is no ref"]);

    let manual = concat!(env!("CARGO_MANIFEST_DIR"), "/man/countersign-hook.1");
    let manual = fs::read_to_string(manual).unwrap().replace("\\-", "-");
    let described: std::collections::HashSet<&str> = manual
        .lines()
        .filter(|line| line.starts_with(".B") || line.starts_with(".RB"))
        .flat_map(|line| line.split([' ', ',', '"', '(', ')', ';']))
        .collect();
    let log = log(&stage);
    for (key, value) in log.iter().flat_map(|line| line.as_object().unwrap()) {
        assert!(described.contains(&**key), "{key}");
        if key == "decision" {
            assert!(described.contains(value.as_str().unwrap()), "{value}");
        }
    }
    let decisions: Vec<&str> = log.iter().map(|line| line["decision"].as_str().unwrap()).collect();
    assert_eq!(decisions, ["accepted", "refused", "admission", "admitted", "not_judged"]);
    assert!(log[0]["warnings"][0]["cause"].is_string(), "{}", log[0]);
}

#[test]
fn an_installation_that_cannot_write_decisions_down_and_one_that_gives_something_up_say_so() {
    let stage = Stage::new(MAIN);
    let nowhere = format!("file:{}", stage.world.path("nowhere/audit.jsonl").display());
    let unwritten = format!("decisions cannot be written down, by '--audit {nowhere}': No such file");
    let install = |options: &[&str]| stage.install(&stage.root, options).any_stdout().check().text();
    let said = install(&["--audit", &nowhere]);
    assert!(said.contains(&format!("warning: {unwritten}")), "{said}");
    let said = install(&["--audit", &nowhere, "--audit-required", "--time-limit", "4"]);
    assert!(said.contains(&format!("warning: every push is refused: {unwritten}")), "{said}");
    stage.status().status(1).stdout_holds(&["every push is refused: decisions cannot"]).check();
    let said = install(&["--audit", &nowhere]);
    for option in ["--time-limit 4", "--audit-required"] {
        let words = format!("warning: '{option}' held before and does not any more");
        assert!(said.contains(&words), "no {words:?} in {said}");
    }
    fs::create_dir(stage.world.path("nowhere")).unwrap();
    let said = install(&["--audit", &nowhere]);
    assert!(!said.contains("decisions") && !said.contains("held before"), "{said}");
    fs::create_dir(stage.world.path("nowhere/audit.jsonl")).unwrap();
    stage.status().status(1).stdout_holds(&["it is no regular file"]).check();
}
