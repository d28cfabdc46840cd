//! The emergency exit: an act on the server, for one update, once.

use std::fs;

use serde_json::Value;

use crate::{MAIN, REF, Run, Stage};

fn admit<'s>(stage: &'s Stage, arguments: &[&str]) -> Run<'s> {
    let admit = ["hook", "admit", "--repository", "server.git"];
    stage.world.countersign(&[&admit, arguments].concat())
}

#[test]
fn what_the_administrator_admits_gets_through_once_and_is_written_down() {
    let stage = Stage::new(MAIN);
    let one = stage.author().commit("one");
    stage.accepted(&[&format!("{one}:refs/heads/main")]);
    let fix = stage.unsigned("fix");
    let push = format!("{fix}:refs/heads/main");
    stage.refused(&[&push], &["it is not signed"]);

    let main = ["--ref", "refs/heads/main", "--new", &fix, "--reason", "the signing service is down"];
    let said = admit(&stage, &main).any_stdout().check().text();
    assert!(said.starts_with("admitted once: 'refs/heads/main' from "), "{said}");
    let status = stage.status().status(1).any_stdout().check().text();
    assert!(
        status.contains("warning: admitted once, whatever the policy says: 'refs/heads/main'"),
        "{status}"
    );
    let status = ["hook", "status", "--repository", "server.git", "--json"];
    let status = stage.world.countersign(&status).status(1).any_stdout().check().text();
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!((&status["version"], &status["installed"]), (&1.into(), &true.into()), "{status}");
    let admitted = status["findings"].as_array().unwrap().iter().find(|found| found["kind"] == "admitted");
    assert!(admitted.unwrap()["words"].as_str().unwrap().contains("'refs/heads/main'"), "{status}");
    assert!(
        status["beside"]["reference-transaction"].is_string() && status["guard"] == "possible",
        "{status}"
    );
    // For that update: not for another value, another ref, or anything else in the same push.
    let more = stage.unsigned("more");
    stage.refused(&[&format!("{more}:refs/heads/main")], &["it is not signed"]);
    stage.refused(&[&format!("{fix}:refs/heads/release/1")], &["it is not signed"]);
    stage.refused(
        &[&push, &format!("{more}:refs/heads/release/1")],
        &["refs/heads/release/1", "it is not signed"],
    );
    let said = stage.accepted(&[&push]);
    for words in [
        "warning: refs/heads/main: commit",
        "it is not signed",
        "admitted by the server's administrator: 'refs/heads/main'",
        "the signing service is down",
    ] {
        assert!(said.contains(words), "{said}");
    }
    assert!(!said.contains("hint: "), "there is nothing to mend: {said}");
    assert_eq!(stage.at("refs/heads/main"), fix);
    let used: Vec<_> =
        fs::read_dir(stage.world.path("server.git/countersign/admissions/used")).unwrap().collect();
    assert_eq!(used.len(), 1);
    let log = fs::read_to_string(stage.world.path("server.git/countersign/audit.jsonl")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let decisions: Vec<&str> = lines.iter().map(|line| line["decision"].as_str().unwrap()).collect();
    let [.., last] = &lines[..] else { panic!() };
    assert_eq!(decisions.iter().filter(|decision| **decision == "admission").count(), 1);
    assert_eq!(
        (&last["decision"], &last["reason"]),
        (&"admitted".into(), &"the signing service is down".into())
    );
    assert_eq!(last["causes"][0]["object"], fix.as_str());

    // The ledger says so too, to everybody who may fetch.
    let ledger = |arguments: &[&str]| {
        let ledger = [&["ledger", arguments[0], "--repository", "server.git"], &arguments[1..]].concat();
        stage.world.countersign(&ledger).any_stdout().check().text()
    };
    let newest = ledger(&["log", "-n", "1", "refs/heads/main"]);
    assert!(newest.contains(&fix[..12]), "{newest}");
    let admitted = "admitted by the administrator: 'refs/heads/main': the signing service is down";
    assert!(newest.ends_with(&format!("  push, {admitted}\n")), "{newest}");
    let json: Value = serde_json::from_str(&ledger(&["log", "--json", "-n", "1"])).unwrap();
    assert_eq!((&json["new"], &json["occasion"]), (&fix.as_str().into(), &"push".into()));
    assert_eq!(json["pusher"], admitted);
    ledger(&["verify"]);

    // Used up; and what came in so is no base of anything.
    stage.server().git(&["update-ref", "refs/heads/main", &one]).check();
    stage.refused(&[&push], &["it is not signed"]);
    stage.server().git(&["update-ref", "refs/heads/main", &fix]).check();
    let on_top = stage.author().commit("on top");
    stage.refused(&[&format!("{on_top}:refs/heads/release/2")], &[&fix[..12]]);
}

#[test]
fn what_is_pushed_on_top_of_what_was_admitted_is_no_base_where_the_ref_was_new_to_the_gate() {
    let stage = Stage::new(MAIN);
    // There before the gate was.
    let one = stage.author().commit("one");
    stage.world.run("rm", &[stage.world.path("server.git/hooks/pre-receive").to_str().unwrap()]).check();
    stage.accepted(&[&format!("{one}:refs/heads/main")]);
    stage.install(&stage.root, &[]).any_stdout().check();

    let fix = stage.unsigned("fix");
    admit(&stage, &["--ref", "refs/heads/main", "--new", &fix, "--reason", "x"]).any_stdout().check();
    stage.accepted(&[&format!("{fix}:refs/heads/main")]);
    let on_top = stage.author().commit("on top");
    stage.accepted(&[&format!("{on_top}:refs/heads/main")]);
    stage.refused(&[&format!("{on_top}:refs/heads/release/1")], &[&fix[..12], "it is not signed"]);
}

#[test]
fn what_could_not_be_judged_or_is_not_there_is_refused_though_it_was_admitted() {
    let stage = Stage::new(MAIN);
    let one = stage.author().commit("one");
    stage.accepted(&[&format!("{one}:refs/heads/main")]);
    let fix = stage.unsigned("fix");
    let main = ["--ref", "refs/heads/main", "--new", &fix, "--reason", "x"];
    admit(&stage, &main).any_stdout().check();
    let folder = stage.world.path("server.git/countersign/admissions");
    let is_held = || fs::read_dir(&folder).unwrap().any(|entry| entry.unwrap().path().is_file());

    stage.install(&stage.root, &["--time-limit", "0.000001"]).any_stdout().check();
    stage.refused(&[&format!("{fix}:refs/heads/main")], &["the time for judging the push was over"]);
    stage.install(&stage.root, &["--time-limit", "600"]).any_stdout().check();
    assert!(is_held(), "it was not used up");
    // With something else that is refused, nor where what else is admitted is refused.
    let more = stage.unsigned("more");
    let both = [format!("{fix}:refs/heads/main"), format!("{more}:refs/heads/release/1")];
    stage.refused(&both.each_ref().map(String::as_str), &["refs/heads/release/1"]);
    assert!(is_held(), "it was not used up");
    // Where it cannot be used up, or the decision not be written down, it is refused and held.
    let used = folder.join("used");
    fs::write(&used, "in the way").unwrap();
    stage.refused(&[&format!("{fix}:refs/heads/main")], &["its admission cannot be used up"]);
    fs::remove_file(&used).unwrap();
    let log = stage.world.path("nowhere/audit.jsonl");
    let audit = format!("file:{}", log.display());
    stage.install(&stage.root, &["--audit", &audit, "--audit-required"]).any_stdout().check();
    stage.refused(&[&format!("{fix}:refs/heads/main")], &["the decision cannot be written down"]);
    assert!(is_held(), "it was given back");
    fs::create_dir(stage.world.path("nowhere")).unwrap();
    stage.accepted(&[&format!("{fix}:refs/heads/main")]);
    assert!(!is_held());

    // An object that is missing is not what was admitted.
    let tree = stage.author().git(&["write-tree"]).any_stdout().check().text();
    let lost = "0123456789012345678901234567890123456789";
    let text = format!("tree {}parent {lost}\nauthor a <a> 1 +0000\ncommitter a <a> 1 +0000\n\nx\n", tree);
    let broken = stage.server().store("commit", text.as_bytes());
    admit(&stage, &["--ref", "refs/heads/main", "--new", &broken, "--reason", "x"]).any_stdout().check();
    let line = format!("{fix} {broken} refs/heads/main\n");
    let hook = stage.world.path("server.git/hooks/pre-receive");
    let run = stage.world.run(hook.to_str().unwrap(), &[]).directory(&stage.server().path);
    let said = run.input(line.as_bytes()).env("GIT_DIR", ".").any_status().any_stderr().any_stdout().check();
    assert_ne!(said.status, 0, "{}", said.words());
    assert!(said.words().contains(lost), "{}", said.words());
    assert!(is_held(), "it was not used up");
}

#[test]
fn an_admission_is_bounded_and_no_pusher_can_make_one() {
    let stage = Stage::new(MAIN);
    let one = stage.author().commit("one");
    stage.accepted(&[&format!("{one}:refs/heads/main")]);
    let fix = stage.unsigned("fix");
    let push = format!("{fix}:refs/heads/main");
    let main = ["--ref", "refs/heads/main", "--new", &fix, "--reason", "x"];
    let folder = stage.world.path("server.git/countersign/admissions");
    let file = || {
        let entries = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.is_file()).collect::<Vec<_>>()
    };

    // Its time is over; others could have written it; it is for a value that the ref had before; it is damaged.
    admit(&stage, &main).any_stdout().check();
    let path = file().pop().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let mut json: Value = serde_json::from_str(&text).unwrap();
    json["until"] = json["admitted"].clone();
    fs::write(&path, json.to_string()).unwrap();
    stage.refused(&[&push], &["it is not signed"]);
    fs::write(&path, &text).unwrap();
    let mode = |path: &std::path::Path, mode: u32| {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    mode(&path, 0o620);
    stage.refused(&[&push], &["it is not signed"]);
    mode(&path, 0o600);
    mode(&folder, 0o770);
    stage.refused(&[&push], &["it is not signed"]);
    mode(&folder, 0o700);
    fs::write(&path, text.replace("refs/heads/main", "refs/heads/other")).unwrap();
    stage.refused(&[&push], &["it is not signed"]);
    fs::write(&path, text.replace('}', ",\"more\":1}")).unwrap();
    stage.refused(&[&push], &["it is not signed"]);
    fs::write(&path, &text).unwrap();
    stage.server().git(&["config", "receive.advertisePushOptions", "true"]).check();
    let two = stage.author().git(&["commit-tree", "-S", "-m", "two", "-p", &one, &format!("{one}^{{tree}}")]);
    let two = two.any_stdout().check().text();
    stage.accepted(&[&format!("{}:refs/heads/main", two.trim_end())]);
    stage.refused(&["-o", "admit", &format!("+{push}")], &["does not descend from the current one"]);
    assert_eq!(file().len(), 1, "it was not used");

    // The gate's own refs, an alias, no reason, no value.
    let refused = |arguments: &[&str], status: i32, words: &str| {
        let run = admit(&stage, arguments).status(status).any_stderr().check();
        assert!(run.words().contains(words), "{}", run.words());
    };
    refused(&["--ref", REF, "--delete", "--reason", "x"], 3, "it holds what the gate itself goes by");
    refused(&["--ref", "refs/countersign/proofs", "--delete", "--reason", "x"], 3, "what the gate itself");
    refused(&["--ref", "refs/heads/main", "--new", &fix, "--reason", " "], 3, "no reason is given");
    refused(&["--ref", "main", "--new", &fix, "--reason", "x"], 3, "hint: write it as 'refs/heads/main'");
    refused(&["--ref", "refs/heads/main", "--reason", "x"], 64, "");
    refused(&["--ref", "refs/heads/main", "--new", "HEAD", "--reason", "x"], 64, "");
    refused(&["--ref", "refs/heads/main", "--delete", "--reason", "x", "--valid", "99999999"], 64, "");
    stage.server().git(&["symbolic-ref", "refs/heads/alias", "refs/heads/main"]).check();
    refused(&["--ref", "refs/heads/alias", "--delete", "--reason", "x"], 3, "'refs/heads/alias' stands for");
    stage.world.run("rm", &[stage.world.path("server.git/hooks/pre-receive").to_str().unwrap()]).check();
    refused(
        &["--ref", "refs/heads/main", "--delete", "--reason", "x"],
        3,
        "no hook of countersign is installed",
    );
}

#[test]
fn a_deletion_can_be_admitted_and_what_passes_by_itself_uses_nothing_up() {
    let stage = Stage::new(MAIN);
    let one = stage.author().commit("one");
    stage.accepted(&[&format!("{one}:refs/heads/main"), &format!("{one}:refs/heads/release/1")]);
    admit(&stage, &["--ref", "refs/heads/release/1", "--delete", "--reason", "gone"]).any_stdout().check();
    stage.accepted(&[":refs/heads/release/1"]);
    assert_eq!(stage.at("refs/heads/release/1"), "");
    let two = stage.author().commit("two");
    admit(&stage, &["--ref", "refs/heads/main", "--new", &two, "--reason", "just in case"])
        .any_stdout()
        .check();
    stage.accepted(&[&format!("{two}:refs/heads/main")]);
    let used = fs::read_dir(stage.world.path("server.git/countersign/admissions/used")).unwrap().count();
    assert_eq!(used, 1);
}
