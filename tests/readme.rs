//! The README is executed: each of its commands, with real git and the embedded authority.
//!
//! In the README a comment before a block says what becomes of it:
//!
//! * `<!-- run: STORY -->` before a `sh` block: it is run, after the story's blocks before it and in
//!   the same shell as far as anybody can tell; with `, exit N` the exit status is N and not 0.
//! * `<!-- shows -->` before a `text` block: each of its lines is printed by the last block that was
//!   run; `…` stands for anything within a line.
//! * `# refused: "WORDS"` behind a command: they are printed.
//! * `<!-- by hand: THING -->`: here a reader does something with an editor, and this test does it.

#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "tests stand in the world")]

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_countersign");
const TREE: &str = env!("CARGO_MANIFEST_DIR");
const README: &str = include_str!("../README.md");
const WHO: &str = "alice@example.com";

/// Something that the README asks for.
#[derive(Debug)]
enum Step {
    Run { line: usize, story: String, status: i32, script: String },
    Shows { line: usize, lines: Vec<String> },
    ByHand(String),
}

#[test]
fn every_command_runs_and_prints_what_is_shown() {
    let world = World::new();
    let mut printed = String::new();
    let mut stories = BTreeMap::new();
    for step in steps() {
        match step {
            Step::Run { line, story, status, script } => {
                let (code, output) = world.run(&story, &script);
                assert_eq!(code, status, "README.md line {line}:\n{script}\n{output}");
                *stories.entry(story).or_insert(0) += 1;
                // What the README says in a remark about a refusal.
                for remark in script.lines().filter_map(|line| line.split_once("# refused: \"")) {
                    let words = remark.1.trim_end_matches('"');
                    assert!(output.contains(words), "README.md line {line}: '{words}' is not in\n{output}");
                }
                printed = output;
            }
            Step::Shows { line, lines } => {
                for wanted in lines {
                    let found = printed.lines().any(|printed| matches(&wanted, printed.trim()));
                    assert!(found, "README.md line {line}: '{wanted}' is not in\n{printed}");
                }
            }
            Step::ByHand(thing) => world.by_hand(&thing),
        }
    }
    let ran: Vec<_> = stories.iter().map(|(story, blocks)| (story.as_str(), *blocks)).collect();
    assert_eq!(ran, [("demonstration", 1), ("guard", 2), ("install", 1), ("people", 4)]);
}

#[test]
fn no_command_is_left_out() {
    let blocks: Vec<&str> =
        README.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let run = steps().into_iter().filter(|step| matches!(step, Step::Run { .. })).count();
    assert_eq!(blocks.len(), run + 1, "all but one");
    assert!(blocks.contains(&"cargo test\n"), "which is this test itself");
}

#[test]
fn it_is_short() {
    let lines = README.lines().count();
    assert!(lines < 200, "the README has {lines} lines");
}

/// Every `countersign …` in it, with its commands and options, is one that `--help` knows.
#[test]
fn every_command_and_option_exists() {
    let mut checked = 0;
    for text in code() {
        for command in text.split("countersign ").skip(1) {
            let mut path: Vec<&str> = Vec::new();
            let mut help = help(&path);
            for word in command
                .split([' ', '\n', '|', ';', ')', '"'])
                .take_while(|word| !word.starts_with('#'))
                .filter(|word| !word.is_empty())
            {
                let commands = help.split("Commands:\n").nth(1).unwrap_or_default();
                let commands = commands.split("\n\n").next().unwrap_or_default();
                let is_command =
                    |word| commands.lines().any(|line| line.split_whitespace().next() == Some(word));
                if word.starts_with("--") {
                    let option = word.split('=').next().unwrap();
                    let known = help.split([' ', '\n', ',']).any(|known| known == option);
                    assert!(known, "'countersign {}' has no option '{option}'", path.join(" "));
                    checked += 1;
                } else if is_command(word) {
                    path.push(word);
                    help = self::help(&path);
                    checked += 1;
                } else {
                    assert!(!path.is_empty(), "there is no command '{word}' (in '{command}')");
                    assert!(commands.is_empty(), "'countersign {}' has no command '{word}'", path.join(" "));
                }
            }
        }
    }
    assert!(checked > 30, "only {checked} were found");
}

#[test]
fn every_path_exists() {
    let mut checked = 0;
    let links = README.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
    let mut paths: Vec<String> =
        links.filter(|link| !link.starts_with("https://")).map(ToOwned::to_owned).collect();
    let tops = ["src/", "tests/", "man/", "hooks/", "installers/", ".ci/"];
    for text in code() {
        let words = text.split_whitespace().filter(|word| tops.iter().any(|top| word.starts_with(top)));
        paths.extend(words.map(ToOwned::to_owned));
    }
    for path in paths {
        assert!(Path::new(TREE).join(&path).exists(), "there is no '{path}'");
        checked += 1;
    }
    assert!(checked > 6, "only {checked} were found");
}

/// What stands between backticks, inline or in a block of commands.
fn code() -> Vec<String> {
    let mut code = Vec::new();
    for (index, part) in README.split("```").enumerate() {
        match (index % 2, part.strip_prefix("sh\n")) {
            (1, Some(commands)) => code.push(commands.to_owned()),
            (1, None) => {}
            _ => code.extend(
                part.split('`')
                    .skip(1)
                    .step_by(2)
                    .map(|span| span.split_whitespace().collect::<Vec<_>>().join(" ")),
            ),
        }
    }
    code
}

fn help(path: &[&str]) -> String {
    let output = Command::new(PROGRAM).args(path).arg("--help").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{path:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn steps() -> Vec<Step> {
    let mut steps = Vec::new();
    let lines: Vec<&str> = README.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let Some(comment) = line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->")) else {
            continue;
        };
        let block = |kind: &str| -> Vec<String> {
            assert_eq!(lines[index + 1], format!("```{kind}"), "README.md line {}", index + 2);
            let body = lines[index + 2..].iter().take_while(|line| **line != "```");
            body.map(|line| (*line).to_owned()).collect()
        };
        if let Some(story) = comment.strip_prefix("run: ") {
            let (story, status) = story.split_once(", exit ").unwrap_or((story, "0"));
            let script = block("sh").join("\n");
            let (story, status) = (story.to_owned(), status.parse().unwrap());
            steps.push(Step::Run { line: index + 1, story, status, script });
        } else if comment == "shows" {
            steps.push(Step::Shows { line: index + 1, lines: block("text") });
        } else if let Some(thing) = comment.strip_prefix("by hand: ") {
            steps.push(Step::ByHand(thing.to_owned()));
        } else {
            assert_eq!(comment, "figures", "a comment that means nothing");
        }
    }
    steps
}

/// Whether `line` is `wanted`, in which `…` stands for anything.
fn matches(wanted: &str, line: &str) -> bool {
    let mut parts = wanted.split('…');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut open = false;
    for part in parts {
        open = part.is_empty();
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty() || open
}

/// One machine: a home, an authority that serves, a place for the server's files and one for the people's.
struct World {
    folder: tempfile::TempDir,
    authority: Child,
    url: String,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("countersign-readme-").tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["home", "bin", "state", "site", "tmp"] {
            fs::create_dir(path(name)).unwrap();
        }
        symlink(PROGRAM, path("bin/countersign")).unwrap();
        // Inside 'cargo test' there is no building: this stands for what cargo would do.
        let cargo = format!(
            "#!/bin/sh\ncase $1 in\nrun) shift 2; exec '{PROGRAM}' \"$@\";;\n\
             install) while [ $# -gt 1 ]; do [ \"$1\" = --root ] && root=$2; shift; done\n\
             mkdir -p \"$root/bin\" && cp '{PROGRAM}' \"$root/bin/\";;\n*) exit 1;;\nesac\n"
        );
        fs::write(path("bin/cargo"), cargo).unwrap();
        fs::set_permissions(path("bin/cargo"), fs::Permissions::from_mode(0o755)).unwrap();

        let mut authority = Command::new(PROGRAM)
            .args(["sandbox", "serve", "--state"])
            .arg(path("authority"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(authority.stdout.take().unwrap()).lines();
        let mut urls = lines.filter_map(|line| {
            line.unwrap()
                .strip_prefix("export GITSIGN_FULCIO_URL='")
                .map(|url| url.trim_end_matches('\'').to_owned())
        });
        let url = urls.next().expect("the authority says where it is");
        let world = Self { folder, authority, url };

        // What a reader has before the README begins: a name, a repository, and here another instance
        // than the public one.
        let root = world.path("authority");
        world.must("guard", "git init -q --bare project.git && git init -q project");
        world.must(
            "people",
            &format!(
                "git config --global user.name Alice && git config --global user.email {WHO}\n\
                 git config --global countersign.instance sandbox\n\
                 git config --global countersign.sandbox.trustedRoot '{0}/trusted_root.json'\n\
                 git config --global countersign.sandbox.signingConfig '{0}/signing_config.json'\n\
                 SIGSTORE_ID_TOKEN=$(countersign sandbox token --url '{1}' {WHO})\n\
                 JOB_TOKEN=$SIGSTORE_ID_TOKEN WHO={WHO} ISSUER='{1}' INSTANCE=sandbox\n\
                 export SIGSTORE_ID_TOKEN JOB_TOKEN WHO ISSUER INSTANCE\n\
                 countersign policy init policy.toml",
                root.display(),
                world.url
            ),
        );
        world.edit_policy("site/project/policy.toml");
        world.by_hand("change");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `script` where the story is; the exit status, and what it printed on both streams. What it
    /// does to the shell's variables and directory holds for the next script of the story.
    fn run(&self, story: &str, script: &str) -> (i32, String) {
        let start = match story {
            "guard" => self.path("site"),
            "people" => self.path("site/project"),
            "install" | "demonstration" => PathBuf::from(TREE),
            other => panic!("nobody knows where the story '{other}' plays"),
        };
        let state = self.path("state").join(story);
        let script = format!(
            "exec 2>&1\n[ -f '{state}' ] && . '{state}'\n\
             trap 'status=$?; {{ export -p; echo \"cd \\\"$PWD\\\"\"; }} >'\"'{state}'\"'; exit $status' EXIT\n\
             set -e\n{script}\n",
            state = state.display()
        );
        let output = Command::new("sh")
            .arg("-c")
            .arg(script)
            .current_dir(start)
            .env_clear()
            .env("PATH", format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap()))
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "init.defaultBranch")
            .env("GIT_CONFIG_VALUE_0", "main")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn must(&self, story: &str, script: &str) {
        let (status, output) = self.run(story, script);
        assert_eq!(status, 0, "{script}\n{output}");
    }

    fn by_hand(&self, thing: &str) {
        match thing {
            "change" => self.must("people", "echo change >>file && git add file"),
            "policy" => self.edit_policy("site/policy.toml"),
            other => panic!("nobody knows how to do '{other}'"),
        }
    }

    /// Puts this world's people and trusted root into a first policy.
    fn edit_policy(&self, name: &str) {
        let path = self.path(name);
        let text = fs::read_to_string(&path).unwrap();
        let signer = "instance = \"public-good\", issuer = \"https://github.com/login/oauth\"";
        assert!(text.contains(signer) && text.contains(WHO), "the first policy has another example now");
        let text = text.replace(signer, &format!("instance = \"sandbox\", issuer = \"{}\"", self.url));
        let root = self.path("authority/trusted_root.json");
        let instance = format!("\n[[instance]]\nname = \"sandbox\"\ntrusted_root = \"{}\"\n", root.display());
        fs::write(path, text + &instance).unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.authority.kill();
        let _ = self.authority.wait();
    }
}
