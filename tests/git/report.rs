//! `countersign verify` over many objects: what is looked at, in which form it is told, and how it ends.

use std::fs;

use serde_json::Value;

use crate::support::{ALICE, BOB, PROGRAM, Repository, World, skipped};

/// The ids in the order in which `text` has them, as JSON lines.
fn objects(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| line["object"].as_str().unwrap().to_owned()).collect()
}

/// [`objects`], sorted.
fn sorted(text: &str) -> Vec<String> {
    let mut ids = objects(text);
    ids.sort();
    ids
}

/// Every commit and annotated tag that git itself finds, sorted.
fn signable(repository: &Repository<'_>) -> Vec<String> {
    let arguments = ["--no-replace-objects", "cat-file", "--batch-all-objects", "--batch-check"];
    let text = repository.git(&arguments).any_stdout().check().text();
    let mut ids: Vec<String> = text
        .lines()
        .filter(|line| line.contains(" commit ") || line.contains(" tag "))
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

/// Two branches that meet, tags of tags, of a tree and of a blob, a detached work tree, and one commit that
/// nobody has signed.
fn wide(repository: &Repository<'_>) -> String {
    repository.commit("root");
    repository.git(&["checkout", "-q", "-b", "side"]).check();
    repository.git(&["commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", "unsigned <&> \u{1b}"]).check();
    let unsigned = repository.id("HEAD");
    repository.git(&["checkout", "-q", "main"]).check();
    repository.commit_as(BOB, "bob's");
    repository.git(&["merge", "-q", "--no-ff", "-m", "merge", "side"]).any_stdout().any_stderr().check();
    repository.git(&["tag", "-m", "one", "v1"]).check();
    repository.git(&["-c", "advice.nestedTag=false", "tag", "-m", "two", "v2", "v1"]).check();
    repository.git(&["tag", "-m", "tree", "tree", "HEAD^{tree}"]).check();
    let blob = repository.store("blob", b"text");
    repository.git(&["update-ref", "refs/tags/light", &blob]).check();
    repository.git(&["worktree", "add", "-q", "--detach", "../elsewhere"]).check();
    Repository::at(repository.world, &repository.world.path("elsewhere")).commit("elsewhere");
    unsigned
}

fn trusting(format: &str, test: impl Fn(&World, &Repository<'_>)) {
    let world = World::new();
    world.trust(ALICE);
    let repository = world.repository("r", format);
    test(&world, &repository);
}

#[test]
fn all_is_every_commit_and_tag_of_every_ref_once() {
    for format in ["sha1", "sha256"] {
        trusting(format, |world, repository| {
            wide(repository);
            let run = repository.countersign(&["verify", "--all", "--json"]).status(1);
            let run = run.stderr("verified 8 objects: 6 good, 1 refused, 1 unsigned\n").any_stdout();
            assert_eq!(sorted(&run.check().text()), signable(repository));
            // From the other work tree, and packed, it is the same.
            repository.git(&["gc", "-q"]).any_stderr().check();
            let elsewhere = Repository::at(world, &world.path("elsewhere"));
            let run = elsewhere.countersign(&["verify", "--all", "--json"]).status(1).any_stderr();
            assert_eq!(sorted(&run.any_stdout().check().text()), signable(repository));
            // What no ref leads to is not asked for.
            repository.git(&["worktree", "remove", "../elsewhere"]).check();
            let run = repository.countersign(&["verify", "--all"]).status(1).any_stdout();
            run.stderr("verified 7 objects: 5 good, 1 refused, 1 unsigned\n").check();
        });
    }
}

#[test]
fn all_of_nothing_is_nothing() {
    trusting("sha1", |_, repository| {
        repository.countersign(&["verify", "--all"]).stderr("verified 0 objects\n").check();
    });
}

#[test]
fn all_refuses_a_tag_under_another_name() {
    trusting("sha1", |_, repository| {
        repository.commit("first");
        repository.git(&["tag", "-m", "one", "v1"]).check();
        repository.countersign(&["verify", "--all"]).any_stdout().any_stderr().check();
        repository.git(&["update-ref", "refs/tags/v9", &repository.id("v1")]).check();
        let run = repository.countersign(&["verify", "--all"]).status(1).any_stderr();
        run.stdout_holds(&["['refs/tags/v9' holds a tag that calls itself 'v1']"]).check();
    });
}

#[test]
fn a_list_on_standard_input_holds_revisions_of_every_kind() {
    trusting("sha1", |_, repository| {
        let unsigned = wide(repository);
        let root = repository.id("main~2");
        let list = format!("{root}\nv2\n\nmain~2..side\n");
        let run = repository.countersign(&["verify", "--stdin", "--json"]).input(list).status(1);
        let run = run.stderr("verified 3 objects: 2 good, 1 unsigned\n").any_stdout();
        assert_eq!(objects(&run.check().text()), [root, repository.id("v2^{tag}"), unsigned]);
        let none = repository.countersign(&["verify", "--stdin"]).input("");
        none.stderr("verified 0 objects\n").check();
        // What a program of git's lists can be taken as it comes.
        let list = repository.git(&["rev-list", "main"]).any_stdout().check().text();
        let run =
            repository.countersign(&["verify", "--stdin", "--json"]).input(&list).status(1).any_stderr();
        assert_eq!(objects(&run.any_stdout().check().text()), list.lines().collect::<Vec<_>>());
        // A name that leads nowhere ends it, after what came before has been judged.
        let run = repository.countersign(&["verify", "--stdin"]).input("main\nnothing\nside\n").status(3);
        let run = run.stdout_holds(&["good ", "merge\n"]);
        run.stderr_holds(&["error: 'nothing' cannot be resolved", "verified 1 object: 1 good"]).check();
        let gone = "1".repeat(40);
        let run = repository.countersign(&["verify", "--stdin"]).input(format!("{gone}\nmain\n")).status(3);
        run.stdout_holds(&["error ", "is missing", "merge\n"]).any_stderr().check();
    });
}

#[test]
fn since_takes_what_an_anchor_reaches_as_it_is() {
    trusting("sha1", |_, repository| {
        let unsigned = wide(repository);
        let anchor = repository.id("main");
        repository.countersign(&["verify", "--since", &anchor]).stderr("verified 0 objects\n").check();
        repository.commit("after");
        let run = repository.countersign(&["verify", "--since", &anchor, "main"]);
        let run = run.stdout_holds(&["good ", "after\n"]);
        run.stderr("verified 1 object: 1 good\n").check();
        // The anchor may be named by a tag; other tags are no history, and are judged.
        let run = repository.countersign(&["verify", "--all", "--since", "v2", "--json"]);
        let found = sorted(&run.any_stdout().any_stderr().check().text());
        let mut expected =
            ["main", "v1^{tag}", "v2^{tag}", "tree^{tag}"].map(|name| repository.id(name)).to_vec();
        let elsewhere = Repository::at(repository.world, &repository.world.path("elsewhere"));
        expected.push(elsewhere.id("HEAD"));
        expected.sort();
        assert_eq!(found, expected);
        // What is not behind the anchor stays to be judged.
        let root = repository.id("main~3");
        let run = repository.countersign(&["verify", "--since", &root, "side", "--json"]).status(1);
        assert_eq!(objects(&run.any_stdout().any_stderr().check().text()), [unsigned]);
        for odd in ["nothing", "main..side", "main^{tree}"] {
            let run = repository.countersign(&["verify", "--since", odd]).status(3);
            run.stderr_holds(&["error: ", "hint: name a commit"]).check();
        }
    });
}

#[test]
fn options_that_contradict_each_other_are_a_wrong_command_line() {
    let world = World::new();
    for arguments in [
        &["verify", "--all", "HEAD"][..],
        &["verify", "--stdin", "HEAD"],
        &["verify", "--all", "--stdin"],
        &["verify", "--json", "--format", "sarif"],
        &["verify", "--format", "xml"],
    ] {
        world.countersign(arguments).status(64).stderr_holds(&["error: "]).check();
    }
}

#[test]
fn a_long_history_is_read_in_one_run() {
    trusting("sha1", |_, repository| {
        repository.commit("signed");
        // More than a batch, quickly: nobody has signed these.
        let stream: String = (0..2500)
            .map(|number| {
                let from = if number == 0 { "from refs/heads/main^0\n" } else { "" };
                format!("commit refs/heads/main\ncommitter A <a@b.c> {number} +0000\ndata 2\nm\n{from}\n")
            })
            .collect();
        repository.git(&["fast-import", "--quiet"]).input(stream).any_stdout().any_stderr().check();
        for arguments in [&["verify", "--all", "--json"][..], &["verify", "--json", "main~2500..main"]] {
            let run = repository.countersign(arguments).status(1).any_stdout().any_stderr();
            let outcome = run.check();
            let listed = repository.git(&["rev-list", "main"]).any_stdout().check().text();
            let mut listed: Vec<&str> = listed.lines().collect();
            listed.truncate(objects(&outcome.text()).len());
            assert_eq!(objects(&outcome.text()), listed, "newest first");
            assert!(listed.len() >= 2500);
            assert!(outcome.words().contains("2500 unsigned"), "{}", outcome.words());
        }
    });
}

#[test]
fn a_shallow_clone_says_where_it_ends_in_every_form() {
    trusting("sha1", |world, repository| {
        for message in ["first", "second", "third"] {
            repository.commit(message);
        }
        let url = format!("file://{}", repository.path.display());
        world.run("git", &["clone", "-q", "--depth=2", &url, "shallow"]).check();
        let shallow = Repository::at(world, &world.path("shallow"));
        let boundary = shallow.id("HEAD~1");
        let words = format!(
            "error: history is cut off at commit '{boundary}'\n\
             hint: run 'git fetch --unshallow' to have what lies behind it\n\
             verified 2 objects: 2 good\n"
        );
        let verify = |format: &str| {
            let run = shallow.countersign(&["verify", "--all", "--format", format]).status(3);
            run.stderr(&words).any_stdout().check().text()
        };
        assert!(verify("text").contains("[the history is cut off here] second\n"));
        let lines: Vec<Value> =
            verify("json").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["exit"], &lines[0].get("cutOff")), (&0.into(), &None));
        assert_eq!((&lines[1]["status"], &lines[1]["exit"]), (&"good".into(), &3.into()));
        assert_eq!((&lines[1]["cutOff"], &lines[1]["object"]), (&true.into(), &boundary.into()));
        let sarif: Value = serde_json::from_str(&verify("sarif")).unwrap();
        assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "cut-off");
        assert_eq!(sarif["runs"][0]["invocations"][0]["executionSuccessful"], false);
        assert!(verify("junit").contains("<error type=\"good\" message=\"the history is cut off here\">"));
        // The root of a history that is whole is no cut.
        shallow.git(&["fetch", "-q", "--unshallow"]).any_stderr().check();
        shallow.countersign(&["verify", "--all"]).any_stdout().stderr("verified 3 objects: 3 good\n").check();
    });
}

#[test]
fn what_is_missing_is_said_and_the_rest_is_judged() {
    trusting("sha1", |_, repository| {
        let first = repository.commit("first");
        let second = repository.commit("second");
        repository.commit("third");
        fs::remove_file(repository.path.join(format!(".git/objects/{}/{}", &second[..2], &second[2..])))
            .unwrap();
        let words = format!(
            "error: the object '{second}' is missing\n\
             hint: run 'git fsck' to see what is missing or damaged\n\
             verified 2 objects: 1 good, 1 error\n"
        );
        for arguments in [&["verify", "--all"][..], &["verify", "--since", &first, "HEAD"]] {
            let run = repository.countersign(arguments).status(3);
            run.stdout_holds(&["good ", "third\n", "error "]).stderr(&words).check();
        }
    });
}

#[test]
fn sarif_tells_what_is_not_good() {
    trusting("sha1", |_, repository| {
        let unsigned = wide(repository);
        let run = repository.countersign(&["verify", "--all", "--format", "sarif"]).status(1).any_stderr();
        let sarif: Value = serde_json::from_str(&run.any_stdout().check().text()).unwrap();
        assert_eq!(sarif["version"], "2.1.0");
        let run = &sarif["runs"][0];
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        let results = run["results"].as_array().unwrap();
        assert_eq!(results.len(), 2);
        for result in results {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            assert_eq!(result["level"], "error");
        }
        let result = results.iter().find(|result| result["ruleId"] == "unsigned").unwrap();
        assert_eq!(result["message"]["text"], format!("commit {unsigned}: there is no signature"));
        let place = &result["locations"][0]["logicalLocations"][0];
        assert_eq!(place["fullyQualifiedName"], format!("commit/{unsigned}"));
        assert_eq!(result["properties"]["verification"]["status"], "unsigned");
        assert_eq!(result["properties"]["title"], "unsigned <&> \\u{1b}");
        let refused = results.iter().find(|result| result["ruleId"] == "refused").unwrap();
        assert!(refused["message"]["text"].as_str().unwrap().contains("signed by bob@example.com ("));
        assert_eq!(run["properties"]["objects"], 8);
        assert_eq!(run["invocations"][0]["exitCode"], 1);
        assert_eq!(run["invocations"][0]["executionSuccessful"], true);
        // All good is a document too, and so is what could not be looked at.
        let run = repository.countersign(&["verify", "--format=sarif", "HEAD"]).any_stdout();
        let sarif: Value = serde_json::from_str(&run.check().text()).unwrap();
        assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 0);
        let run = repository.countersign(&["verify", "--format=sarif", "nothing"]).status(3).any_stderr();
        let sarif: Value = serde_json::from_str(&run.any_stdout().check().text()).unwrap();
        let invocation = &sarif["runs"][0]["invocations"][0];
        assert_eq!(invocation["executionSuccessful"], false);
        let words = invocation["toolExecutionNotifications"][0]["message"]["text"].as_str().unwrap();
        assert!(words.contains("'nothing' cannot be resolved"), "{words}");
    });
}

#[test]
fn junit_is_xml_with_a_case_for_each_object() {
    trusting("sha1", |world, repository| {
        wide(repository);
        let junit = |arguments: &[&str], status| {
            let run = repository.countersign(&[&["verify", "--format=junit"], arguments].concat());
            run.status(status).any_stderr().any_stdout().check().text()
        };
        let text = junit(&["--all"], 1);
        assert!(
            text.contains("<testsuite name=\"countersign verify\" tests=\"8\" failures=\"2\" errors=\"0\"")
        );
        assert!(text.contains("unsigned &lt;&amp;&gt; \\u{1b}\">"), "{text}");
        assert!(text.contains("<failure type=\"unsigned\" message=\"there is no signature\">"));
        let failed = junit(&["nothing"], 3);
        assert!(failed.contains("tests=\"1\" failures=\"0\" errors=\"1\""), "{failed}");
        if skipped("junit_is_xml_with_a_case_for_each_object", "python3") {
            return;
        }
        // Another program's reading of it.
        let script = "import sys, xml.etree.ElementTree as tree\n\
                      root = tree.fromstring(sys.stdin.buffer.read())\n\
                      print(len(root.findall('.//testcase')), len(root.findall('.//failure')), root.get('tests'))";
        for (text, expected) in [(text, "8 2 8\n"), (failed, "1 0 1\n"), (junit(&["HEAD"], 0), "1 0 1\n")] {
            world.run("python3", &["-c", script]).input(text).stdout(expected).check();
        }
    });
}

#[test]
fn columns_stand_below_each_other() {
    trusting("sha1", |world, repository| {
        wide(repository);
        let run = repository.countersign(&["verify", "--all"]).status(1).any_stderr().any_stdout();
        let text = world.redact(&run.check().text());
        let titles: Vec<Option<usize>> = text
            .lines()
            .filter(|line| line.starts_with("good ") || line.starts_with("unsigned "))
            .map(|line| {
                ["root", "merge", "elsewhere", "unsigned <", "v1", "v2", "tree"]
                    .iter()
                    .find_map(|title| line.find(title))
            })
            .collect();
        let first = titles[0];
        assert!(first.is_some() && titles.len() == 7, "{text}");
        // '[TIME]' stands for 23 characters that a line without time leaves blank.
        for (title, line) in titles.iter().zip(text.lines().filter(|line| !line.starts_with("refused"))) {
            let shift =
                if line.contains("[TIME]") { 0 } else { "2024-05-06 07:08:09 UTC".len() - "[TIME]".len() };
            let redacted = repository.world.url().len() - "[URL]".len();
            let shift = if shift > 0 { shift + redacted } else { 0 };
            assert_eq!(title.map(|column| column - shift), first, "{text}");
        }
    });
}

#[test]
fn a_terminal_gets_colours_and_a_pipe_does_not() {
    trusting("sha1", |world, repository| {
        repository.commit("first");
        let plain = repository.countersign(&["verify"]).any_stdout().check().text();
        assert!(plain.starts_with("good ") && !plain.contains('\u{1b}'));
        if skipped("a_terminal_gets_colours_and_a_pipe_does_not", "script") {
            return;
        }
        let command = format!("'{PROGRAM}' verify");
        let on_terminal = |name: &str, value: &str| {
            let arguments = ["-q", "-e", "-c", &command, "/dev/null"];
            let run = world.run("script", &arguments).directory(&repository.path).env("TERM", "xterm");
            run.env(name, value).any_stdout().any_stderr().check().text().replace('\r', "")
        };
        let coloured = on_terminal("UNUSED", "1");
        assert!(coloured.contains("\u{1b}[1m\u{1b}[32mgood\u{1b}[0m        "), "{coloured:?}");
        assert_eq!(anstream_free(&coloured), plain);
        assert_eq!(on_terminal("NO_COLOR", "1"), plain);
    });
}

/// `text` without its escape sequences.
fn anstream_free(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once('m').unwrap().1)
}
