//! The manual pages: generated ones are what the program generates now, written ones are complete.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use super::{PROGRAM, TREE, files, oracle, read};

#[test]
fn the_pages_in_the_tree_are_those_of_this_program() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(PROGRAM).arg("manual").arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = |folder: &Path| -> BTreeSet<String> {
        let names =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(".1")).collect()
    };
    let there = Path::new(TREE).join("man");
    let hint = "run 'cargo run -- manual man', and remove pages of commands that are gone";
    assert_eq!(names(folder.path()), names(&there), "{hint}");
    for name in names(&there) {
        let page = |folder: &Path| fs::read_to_string(folder.join(&name)).unwrap();
        assert!(page(folder.path()) == page(&there), "man/{name} is out of date; {hint}");
    }
}

#[test]
fn every_command_has_sections_of_its_own() {
    for path in files("man", ".1") {
        let name = path.file_name().unwrap().to_str().unwrap();
        // These two say all that there is to say in their options.
        if ![
            "countersign-sandbox-serve.1",
            "countersign-sandbox-token.1",
            "countersign-sandbox-demonstrate.1",
        ]
        .contains(&name)
        {
            assert!(fs::read_to_string(&path).unwrap().contains(".SH EXIT STATUS\n"), "{name}");
        }
    }
}

#[test]
fn groff_and_man_find_nothing_wrong() {
    let test = "groff_and_man_find_nothing_wrong";
    let (Some(groff), Some(man)) = (oracle(test, "groff"), oracle(test, "man")) else { return };
    for path in files("man", "") {
        let groff = Command::new(&groff).args(["-man", "-Tutf8", "-ww"]).arg(&path).output().unwrap();
        let man = Command::new(&man)
            .args(["--warnings", "-l"])
            .arg(&path)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap();
        for output in [groff, man] {
            let complaints = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && complaints.is_empty(), "{}: {complaints}", path.display());
        }
    }
}

#[test]
fn every_key_of_a_policy_is_described() {
    let sources: String =
        files("src/policy/file", ".rs").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let tables = sources.split("KEYS: [&str; ").skip(1).map(|rest| rest.split("];").next().unwrap());
    let page = read("man/countersign-policy.5");
    let keys: Vec<&str> = tables.flat_map(literals).collect();
    assert!(keys.len() > 20, "{keys:?}");
    for key in keys {
        let headings = [format!(".B {key}"), format!(".B [[{key}]]"), format!(".B [{key}.\\fINAME\\fP]")];
        assert!(
            page.lines().any(|line| headings.iter().any(|heading| line == heading)),
            "'{key}' is not described"
        );
    }
    let source = read("src/policy/mod.rs");
    let reserved = source.split("RESERVED_NAMESPACES").nth(1).unwrap().split(';').nth(1).unwrap();
    for namespace in literals(reserved) {
        assert!(page.contains(namespace), "'{namespace}' is not described");
    }
}

#[test]
fn the_examples_of_policies_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("work")).unwrap();
    let authority = countersign::sandbox::Authority::new(countersign::sandbox::Options::default()).unwrap();
    fs::write(folder.path().join("work/trusted_root.json"), authority.trusted_root_json()).unwrap();
    let page = read("man/countersign-policy.5");
    let examples = page.split(".SH EXAMPLES\n").nth(1).unwrap();
    let examples: Vec<&str> =
        examples.split(".nf\n.RS 4\n").skip(1).map(|rest| rest.split(".RE\n").next().unwrap()).collect();
    assert_eq!(examples.len(), 2);
    for example in examples {
        let path = folder.path().join("policy.toml");
        fs::write(&path, example.replace("\\-", "-")).unwrap();
        let output = Command::new(PROGRAM).args(["policy", "check"]).arg(&path).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert_eq!(output.status.code(), Some(0), "{}\n{example}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn every_setting_and_variable_is_described() {
    let page = read("man/countersign.1");
    let mut used = BTreeSet::new();
    for path in files("src/cli", ".rs") {
        let source = fs::read_to_string(path).unwrap();
        for literal in literals(&source) {
            let is_name = |text: &str| {
                !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            };
            let is_setting = ["countersign.", "gitsign."]
                .iter()
                .any(|section| literal.strip_prefix(section).is_some_and(is_name));
            let is_variable = ["GITSIGN_", "SIGSTORE_ID", "ACTIONS_", "CIRCLE"]
                .iter()
                .any(|prefix| literal.starts_with(prefix));
            if is_setting || is_variable && is_name(literal) {
                used.insert(literal.to_owned());
            }
        }
    }
    used.extend(countersign::identity::VARIABLES.iter().map(|name| (*name).to_owned()));
    assert!(used.len() > 60, "{used:?}");
    for name in &used {
        assert!(page.contains(name.as_str()), "'{name}' is not in countersign(1)");
    }
    // And nothing is described that nobody reads.
    let described = page.split([' ', '\n', ',', ';', '"']).map(|word| word.trim_end_matches(['.', ':']));
    for name in described.filter(|word| word.starts_with("gitsign.") || word.starts_with("countersign.")) {
        let read = used.contains(name) || name == "countersign.";
        assert!(read, "'{name}' is described and not read");
    }
}

#[test]
fn every_key_of_the_doctors_json_is_described() {
    let page = read("man/countersign-doctor.1");
    let described = page.split(".SH JSON OUTPUT").nth(1).unwrap();
    let source = read("src/cli/doctor/mod.rs");
    let json = source.split("fn json(").nth(1).unwrap();
    let keys: BTreeSet<&str> =
        json.split('"').skip(1).step_by(2).filter(|text| !text.contains('{')).collect();
    assert_eq!(
        keys.into_iter().collect::<Vec<_>>(),
        ["check", "checks", "hints", "said", "state", "version"]
    );
    for key in ["check", "checks", "hints", "said", "state", "version"] {
        assert!(described.contains(&format!(".B {key}\n")), "'{key}' is not described");
    }
}

#[test]
fn every_page_of_a_command_that_prints_json_says_its_version() {
    let with_json = files("man", ".1").into_iter().filter_map(|path| {
        let page = fs::read_to_string(&path).unwrap();
        let is_option = page.split(".SH OPTIONS").nth(1)?.contains("\\-\\-json\\fR");
        is_option.then_some((path, page))
    });
    let with_json: Vec<_> = with_json.collect();
    assert!(with_json.len() >= 19, "{with_json:?}");
    for (path, page) in with_json {
        let is_told = [".B version\n", ".BR version \" (1)", ".BR version \" 1"]
            .iter()
            .any(|heading| page.contains(heading));
        assert!(is_told, "{}", path.display());
    }
}

#[test]
fn every_key_of_a_trusted_roots_json_is_described() {
    let page = read("man/countersign-trust-show.1");
    let described = page.split(".SH JSON OUTPUT").nth(1).unwrap().replace("\\-", "-");
    let source = read("src/cli/trust/show.rs");
    let json = source.split("fn json(").nth(1).unwrap();
    let keys: BTreeSet<&str> = literals(json).into_iter().filter(|text| text.len() > 1).collect();
    assert!(keys.contains("onlyWhereNamed") && keys.contains("configured-file"), "{keys:?}");
    for key in keys {
        let mut words = described.split([' ', '\n', ',', '"']);
        assert!(words.any(|word| word == key), "'{key}' is not described");
    }
}

#[test]
fn every_choice_of_an_ambient_identity_is_described() {
    let page = read("man/countersign.1").replace("\\-", "-");
    let described = page.split(".SH AMBIENT IDENTITIES").nth(1).unwrap().split(".SH ").next().unwrap();
    for choice in countersign::identity::CHOICES.split([',', ' ']).filter(|word| !["", "or"].contains(word)) {
        let name = choice.split([':', '[']).next().unwrap();
        assert!(
            described.contains(&format!(".B {name}\n"))
                || described.contains(&format!("{name}:"))
                || described.contains(&format!(".BR {name} ")),
            "'{choice}' is not described"
        );
    }
}

#[test]
fn every_key_of_the_json_is_described() {
    let source = read("src/cli/report/mod.rs");
    let json = read("src/cli/report/json.rs");
    let page = read("man/countersign-verify.1");
    let described = page.split(".SH JSON OUTPUT").nth(1).unwrap();
    let keys: BTreeSet<&str> = literals(&json)
        .into_iter()
        .filter(|text| text.len() > 1 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        .collect();
    assert!(keys.contains("trustedRootSha256") && keys.contains("signedEntryTimestamp"), "{keys:?}");
    for key in keys.into_iter().filter(|key| !["sha256", "sha1"].contains(key)) {
        let words = described.split([' ', '\n', ',', '"']);
        assert!(words.into_iter().any(|word| word == key), "'{key}' is not described: {described}");
    }
    let status = source.split("fn status(&self)").nth(1).unwrap().split("fn signer(").next().unwrap();
    let page = page.replace("\\-", "-");
    let words: Vec<&str> = status
        .split(" (\"")
        .skip(1)
        .filter_map(|part| part.split_once('"').filter(|(_, rest)| rest.starts_with(", ")))
        .map(|(word, _)| word)
        .collect();
    assert!(words.len() >= 7, "{words:?}");
    for word in words {
        assert!(page.contains(&format!(".B {word}\n")), "the status '{word}' is not described");
    }
}

/// What stands between double quotes; a source without escaped quotes is expected.
fn literals(source: &str) -> Vec<&str> {
    source.split('"').skip(1).step_by(2).collect()
}
