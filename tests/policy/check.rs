//! `countersign check`: what a build at a forge without hooks says of a change.

use std::path::Path;

use serde_json::Value;

use crate::{
    ALICE, BOB, Draft, ID, REF,
    following::step_on,
    published,
    support::{Repository, Run, World},
    world,
};

const MAIN: &str = "refs/heads/main";

/// What `countersign check` says of main going from `base` to `head`, by the pinned policy.
fn check<'w>(repository: &Repository<'w>, base: &str, head: &str, more: &[&str]) -> Run<'w> {
    let pin = format!("{ID} {REF} {}", first(repository));
    let arguments = ["check", "--pin", &pin, "--ref", MAIN, "--base", base, "--head", head];
    repository.countersign(&[&arguments, more].concat())
}

/// The first commit of the policy.
fn first(repository: &Repository<'_>) -> String {
    let list = repository.git(&["rev-list", "--max-parents=0", REF]).any_stdout().check().text();
    list.trim().to_owned()
}

#[test]
fn a_change_is_judged_as_the_gate_would() {
    let world = world();
    let repository = published(&world, "sha1");
    let base = repository.id("HEAD");
    let good = repository.commit("by alice too");
    check(&repository, &base, &good, &[]).stdout("refs/heads/main: accepted\n").check();
    let bad = repository.commit_as(BOB, "by bob");
    let words = [&format!("error: refs/heads/main: commit {}: signed by '{BOB}'", &bad[..12]), "\nhint: "];
    check(&repository, &base, &bad, &[]).status(1).stdout_holds(&words).check();
    repository.git(&["commit", "-q", "--allow-empty", "--no-gpg-sign", "-m", "by nobody"]).check();
    let unsigned = repository.id("HEAD");
    check(&repository, &bad, &unsigned, &[]).status(1).stdout_holds(&["is not signed"]).check();
    check(&repository, &unsigned, &good, &[]).status(1).stdout_holds(&["does not descend"]).check();
    let zeros = "0".repeat(40);
    check(&repository, &zeros, &good, &[]).status(1).stdout_holds(&["may not be created"]).check();
    check(&repository, "", &good, &[]).status(1).stdout_holds(&["may not be created"]).check();
    check(&repository, &"1".repeat(40), &good, &[]).status(3).stderr_holds(&["error: ", "unshallow"]).check();
}

#[test]
fn every_form_tells_every_refusal_and_nothing_breaks_out_of_it() {
    let world = world();
    let repository = published(&world, "sha1");
    let base = repository.id("HEAD");
    let bad = repository.commit_as(BOB, "by bob");
    let with = |format: &str| {
        let run = check(&repository, &base, &bad, &["--format", format]).status(1).any_stdout();
        run.check().text()
    };
    let json: Value = serde_json::from_str(&with("json")).unwrap();
    assert_eq!((&json["accepted"], &json["findings"][0]["object"]), (&false.into(), &bad.as_str().into()));
    assert_eq!(json["findings"][0]["rule"], "everything");
    let github = with("github");
    let begins = format!("::error title=countersign commit {}::refs/heads/main: commit ", &bad[..12]);
    assert!(
        github.starts_with(&begins) && github.lines().count() == 1 && github.contains("%0Ahint: "),
        "{github}"
    );
    let sarif: Value = serde_json::from_str(&with("sarif")).unwrap();
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["locations"][0]["logicalLocations"][0]["name"], bad.as_str());
    assert_eq!(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], MAIN);
    let gitlab: Value = serde_json::from_str(&with("gitlab")).unwrap();
    assert_eq!(
        (&gitlab[0]["severity"], &gitlab[0]["location"]["path"]),
        (&"blocker".into(), &bad.as_str().into())
    );

    // A ref's name is the pusher's to choose.
    let pin = format!("{ID} {REF} {}", first(&repository));
    let hostile = "refs/heads/%0A##[error]";
    let arguments = ["check", "--pin", &pin, "--ref", hostile, "--head", &bad, "--format", "github"];
    let run = repository.countersign(&arguments).status(3).stderr_holds(&["is no full name of a ref"]);
    run.check();
    let hostile = "refs/heads/%0A::error";
    let run = repository.countersign(&["check", "--pin", &pin, "--ref", hostile]).status(3);
    run.any_stderr().check();
    let hostile = "refs/heads/%0Aerror,title=x";
    let run = repository.countersign(&["check", "--pin", &pin, "--ref", hostile, "--format", "github"]);
    let text = run.status(1).any_stdout().check().text();
    assert!(text.lines().all(|line| line.starts_with("::error title=countersign ")), "{text}");
    assert!(text.contains("%250Aerror%2Ctitle=x::") && !text.contains("%0Aerror"), "{text}");

    let output = ["--format", "json", "--output", "report.json"];
    let run = check(&repository, &base, &bad, &output).status(1).stderr_holds(&["error: refs/heads/main"]);
    run.check();
    let report: Value =
        serde_json::from_slice(&std::fs::read(repository.path.join("report.json")).unwrap()).unwrap();
    assert_eq!(report, json);
}

#[test]
fn a_topic_is_judged_by_what_it_adds() {
    let world = world();
    let repository = published(&world, "sha1");
    let fork = repository.id("HEAD");
    let topic = repository.commit("topic");
    repository.git(&["reset", "-q", "--hard", &fork]).check();
    let main = repository.commit("main went on");
    check(&repository, &main, &topic, &[]).status(1).stdout_holds(&["does not descend"]).check();
    let run = check(&repository, &main, &topic, &["--topic"]);
    run.stdout_holds(&["warning: the topic has not all that the ref has", "refs/heads/main: accepted\n"])
        .check();
    check(&repository, &fork, &topic, &["--topic"]).stdout("refs/heads/main: accepted\n").check();
    repository.git(&["checkout", "-q", &topic]).any_stderr().check();
    let bad = repository.commit_as(BOB, "by bob");
    check(&repository, &main, &bad, &["--topic"]).status(1).stdout_holds(&[&bad[..12]]).check();
}

#[test]
fn approvals_that_cannot_be_read_are_told() {
    let world = world();
    let repository = published(&world, "sha1");
    let base = repository.id("HEAD");
    let good = repository.commit("good");
    let blob = repository.store("blob", b"no commit");
    repository.git(&["update-ref", "refs/countersign/approvals", &blob]).check();
    let run = check(&repository, &base, &good, &[]).stdout("refs/heads/main: accepted\n");
    run.stderr_holds(&["warning: what 'refs/countersign/approvals' keeps is not used: "]).check();
}

#[test]
fn a_change_brings_no_policy_along() {
    let world = world();
    let repository = published(&world, "sha1");
    let base = repository.id("HEAD");
    let bad = repository.commit_as(BOB, "by bob");
    let arguments = ["check", "--ref", MAIN, "--base", &base, "--head", &bad];
    let draft = Draft { owners: &["bob"], signers: &["bob"], ..Draft::FIRST };
    let theirs = draft.write(&world);
    repository.git(&["config", "countersign.policy", &theirs]).check();
    let run = repository.countersign(&arguments).status(3);
    run.stderr_holds(&["no policy says what counts here", "--pin"]).check();
    // The ref itself may have been moved by whoever serves it: the pin says what follows from it.
    let pinned = first(&repository);
    let other = world.repository("other", "sha1");
    draft.publish(&other, BOB);
    repository.git(&["fetch", "-q", "../other", &format!("+{REF}:{REF}")]).any_stderr().check();
    let pin = format!("{ID} {REF} {pinned}");
    let run = repository.countersign(&[&arguments[..], &["--pin", &pin]].concat()).status(3);
    run.any_stdout().stderr_holds(&["error: "]).check();
}

#[test]
fn a_change_of_the_policy_itself_is_judged_by_the_one_before() {
    let world = world();
    let repository = published(&world, "sha1");
    let base = repository.id(REF);
    let check = |base: &str, head: &str, more: &[&str]| {
        let pin = format!("{ID} {REF} {}", first(&repository));
        let arguments = ["check", "--pin", &pin, "--ref", REF, "--base", base, "--head", head];
        repository.countersign(&[&arguments, more].concat())
    };
    let good = Draft { serial: 2, ..Draft::FIRST }.publish(&repository, ALICE);
    let accepted = format!("{REF}: accepted\n");
    check(&base, &good, &[]).stdout(&accepted).check();
    // Whoever the change names has no say in it, wherever the ref stands here.
    let own = Draft { serial: 3, owners: &["alice", "bob"], signers: &["alice"], ..Draft::FIRST };
    let third = own.publish(&repository, ALICE);
    let fourth = Draft { serial: 4, ..own }.publish(&repository, BOB);
    check(&good, &fourth, &[]).status(1).stdout_holds(&[BOB, "whom the policy does not name"]).check();
    check(&third, &fourth, &[]).stdout(&accepted).check();
    let refused = |base: &str, head: &str, words: &str| {
        let run = check(base, head, &[]).status(1).stdout_holds(&[words]);
        run.check();
    };
    refused(&third, &good, "its new value does not follow the present one");
    // A merge, the same serial, and a policy that could not be used.
    let step = |parents: &[&str], text: &str| step_on(&repository, parents, ALICE, text);
    let text = own.text(&world);
    refused(&third, &step(&[&third], &text), "has the serial 3, and the one before it has 3");
    let next = text.replace("serial = 3", "serial = 5");
    check(&third, &step(&[&third], &next), &[]).stdout(&accepted).check();
    refused(&third, &step(&[&third, &good], &next), "is a merge");
    let broken = next.replace("other_refs = \"refuse\"\n", "");
    refused(&third, &step(&[&third], &broken), "'other_refs'");
    let instance = "[[instance]]\nname = \"sandbox\"\ntrusted_root = \"roots/sandbox.json\"\n";
    let rootless = next.replace(instance, "");
    refused(&third, &step(&[&third], &rootless), "the policy may not be changed so: ");
    // What it named before has to be said.
    let run = check("", &good, &[]).status(3);
    run.stderr_holds(&["holds the policy, and what it named before is not said", "--base"]).check();
    let run = check(&good, &third, &[]).status(3);
    run.stderr_holds(&["was rewound", &third]).check();
    // A pin that is configured says the same.
    let pinned = ["policy", "pin", "--yes"];
    repository.countersign(&pinned).any_stdout().check();
    let configured = ["check", "--ref", REF, "--base", &fourth, "--head", &third];
    let run = repository.countersign(&configured).status(1);
    run.stdout_holds(&["its new value does not follow the present one"]).check();
}

/// The script of the last step in a file for a forge.
fn script(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("installers/ci").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let (_, script) = text.rsplit_once("- |\n").or_else(|| text.rsplit_once("run: |\n")).unwrap();
    let indent = script.len() - script.trim_start().len();
    let lines = script.lines().take_while(|line| line.len() - line.trim_start().len() >= indent);
    lines.map(|line| format!("{}\n", &line[indent..])).collect()
}

/// The command in a file for a forge that installs the program.
fn installation(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("installers/ci").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find(|line| line.contains("cargo install")).unwrap();
    let line = line.trim_start();
    line.strip_prefix("run: ").or_else(|| line.strip_prefix("- ")).unwrap().to_owned()
}

#[test]
fn nothing_of_a_topic_runs_when_the_ready_files_install_the_program() {
    let world = world();
    let checkout = world.repository("r", "sha1");
    std::fs::create_dir(checkout.path.join(".cargo")).unwrap();
    std::fs::write(checkout.path.join("rust-toolchain.toml"), "[toolchain]\npath = \"evil\"\n").unwrap();
    std::fs::write(checkout.path.join(".cargo/config.toml"), "[build]\nrustc-wrapper = \"evil\"\n").unwrap();
    // It looks for what says how it runs where rustup's proxy and cargo look.
    let folder = world.path("tmp/bin");
    std::fs::create_dir(&folder).unwrap();
    let cargo = "#!/bin/sh\necho \"$@\" >>\"$HOME/called\"\nat=$PWD\nwhile :; do\n\
                 for name in rust-toolchain rust-toolchain.toml .cargo/config .cargo/config.toml; do\n\
                 [ ! -e \"${at%/}/$name\" ] || exit 66\ndone\n[ \"$at\" != / ] || exit 0\nat=$(dirname \"$at\")\ndone\n";
    std::fs::write(folder.join("cargo"), cargo).unwrap();
    world.run("chmod", &["+x", "tmp/bin/cargo"]).check();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let run = |command: &str| {
        world.run("bash", &["-eu", "-c", command]).directory(&checkout.path).env("PATH", &path)
    };
    run("cargo install countersign").status(66).check();
    for file in ["github.yml", "gitlab.yml"] {
        run(&installation(file)).check();
    }
    let wanted = concat!("install --locked --version ", env!("CARGO_PKG_VERSION"), " countersign");
    let called = std::fs::read_to_string(world.path("home/called")).unwrap();
    assert_eq!(called.lines().skip(1).collect::<Vec<_>>(), [wanted; 2]);
}

/// A clone as a build has it, and the pin that its administrator set.
fn build<'w>(world: &'w World, origin: &Repository<'w>) -> (Repository<'w>, String) {
    world.run("git", &["clone", "-q", "r", "build"]).directory(&world.path("")).any_stderr().check();
    let program = Path::new(crate::support::PROGRAM).parent().unwrap().display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    world.set("PATH", &format!("{program}:{path}"));
    (Repository::at(world, &world.path("build")), format!("{ID} {REF} {}", first(origin)))
}

#[test]
fn the_ready_file_for_github_judges_pushes_and_pull_requests() {
    let world = world();
    let origin = published(&world, "sha1");
    let base = origin.id("HEAD");
    let good = origin.commit("good");
    let bad = origin.commit_as(BOB, "by bob");
    origin.git(&["update-ref", "refs/pull/7/head", &bad]).check();
    let (build, pin) = build(&world, &origin);
    let script = script("github.yml");
    let run = |event: &str, after: &str| {
        let run = world.run("bash", &["-eu", "-c", &script]).directory(&build.path);
        run.env("PIN", &pin)
            .env("EVENT", event)
            .env("PUSHED_REF", MAIN)
            .env("PUSHED_BEFORE", &base)
            .env("PUSHED_AFTER", after)
            .env("TOPIC_NUMBER", "7")
            .env("TOPIC_HEAD", &bad)
            .env("TARGET_REF", "main")
            .env("TARGET", &good)
    };
    run("push", &good).stdout("::notice title=countersign::refs/heads/main: accepted\n").check();
    run("push", &bad).status(1).stdout_holds(&["::error title=countersign commit "]).check();
    // A tag is an object of its own, which the checkout need not have; and what is deleted is no commit.
    origin.git(&["tag", "-m", "one", "v1"]).check();
    let tag = origin.id("refs/tags/v1");
    let of_tag = |after: &str, base: &str| {
        run("push", after).env("PUSHED_REF", "refs/tags/v1").env("PUSHED_BEFORE", base).status(1)
    };
    let has_tag = || build.git(&["cat-file", "-e", &tag]).any_status().any_stderr().check().status == 0;
    assert!(!has_tag());
    of_tag(&tag, &"0".repeat(40)).stdout_holds(&["refs/tags/v1", "may not be created"]).check();
    assert!(has_tag());
    of_tag(&"0".repeat(40), &tag).stdout_holds(&["refs/tags/v1", "may not be deleted"]).check();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("installers/ci/github.yml");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(
        text.contains("PUSHED_AFTER: ${{ github.event.after }}") && !text.contains("github.sha"),
        "{text}"
    );
    run("pull_request_target", "").status(1).stdout_holds(&["::error title=countersign commit "]).check();
}

#[test]
fn the_ready_file_for_gitlab_judges_pushes_and_merge_requests() {
    let world = world();
    let origin = published(&world, "sha1");
    let base = origin.id("HEAD");
    let bad = origin.commit_as(BOB, "by bob");
    let (build, pin) = build(&world, &origin);
    let script = script("gitlab.yml");
    let run = |variables: &[(&str, &str)]| {
        let run = world.run("bash", &["-eu", "-c", &script]).directory(&build.path);
        let run = run.env("COUNTERSIGN_PIN", &pin).env("CI_COMMIT_SHA", &bad);
        variables.iter().fold(run, |run, (name, value)| run.env(name, value))
    };
    let refused = |variables: &[(&str, &str)]| run(variables).status(1);
    let words = [BOB];
    refused(&[("CI_COMMIT_BRANCH", "main"), ("CI_COMMIT_BEFORE_SHA", &base)]).stderr_holds(&words).check();
    let request = [
        ("CI_MERGE_REQUEST_IID", "1"),
        ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main"),
        ("CI_MERGE_REQUEST_DIFF_BASE_SHA", &base),
    ];
    refused(&request).stderr_holds(&words).check();
    // Where the merge is built, the topic is judged all the same.
    origin.git(&["checkout", "-q", "-b", "topic", &base]).check();
    let good = origin.commit("good");
    build.git(&["fetch", "-q", "origin", "topic"]).any_stderr().check();
    let merged = [&request[..], &[("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", &good)]].concat();
    run(&merged).any_stderr().check();
    refused(&[&request[..], &[("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", &bad)]].concat())
        .stderr_holds(&words)
        .check();
    refused(&request).stderr_holds(&words).check();
    let report = std::fs::read(build.path.join("gl-code-quality-report.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&report).unwrap().as_array().unwrap().len(), 1);
}
