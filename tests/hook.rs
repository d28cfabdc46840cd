//! Pushes through the installed hook, with git itself on both sides and the embedded authority signing.
#![cfg(feature = "sandbox")]
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods, reason = "tests stand in the world")]

use std::{
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, OnceLock},
    time::{SystemTime, UNIX_EPOCH},
};

use countersign::{
    identity::Token,
    sandbox::{Authority, Identity, Options, RekorOffer, Running},
    service::http::Http,
    sign::{Preference, Session, Signer, SigningPlan},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_countersign");

/// Who signs in a test.
#[derive(Clone, Copy, PartialEq)]
enum Who {
    Alice,
    /// Named by the policy, but not by the rule for `main`.
    Bob,
    /// A stranger.
    Eve,
    Nobody,
}

struct Signers {
    authority: Running,
    signer: Signer,
    sessions: [Session; 3],
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().try_into().unwrap()
}

/// One authority and one login each for the whole run.
fn signers() -> &'static Signers {
    static SIGNERS: OnceLock<Signers> = OnceLock::new();
    SIGNERS.get_or_init(|| {
        let options = Options { rekor: RekorOffer::V1Only, ..Options::default() };
        let authority = Authority::new(options).unwrap().serve(0).unwrap();
        let config = authority.authority().signing_config_json();
        let plan = SigningPlan::from_signing_config(&config, now(), Preference::Newest).unwrap();
        let signer = Signer::new(Arc::new(Http::default()), plan);
        let open = |who: &str| {
            let identity = Identity::Email(format!("{who}@example.org"));
            let token = Token::parse(authority.authority().issue_id_token(identity).unwrap()).unwrap();
            signer.open(&token, &|_| Ok(())).unwrap()
        };
        let sessions = [open("alice"), open("bob"), open("eve")];
        Signers { authority, signer, sessions }
    })
}

/// The armor over `payload`; `None` for nobody.
fn sign(who: Who, payload: &str) -> Option<String> {
    let Signers { signer, sessions, .. } = signers();
    let session = match who {
        Who::Alice => &sessions[0],
        Who::Bob => &sessions[1],
        Who::Eve => &sessions[2],
        Who::Nobody => return None,
    };
    let signature = signer.sign(session, payload.as_bytes(), now(), &|_, _| Ok(())).unwrap();
    Some(String::from_utf8(signature.armor).unwrap())
}

/// What a command came to.
#[derive(Debug)]
struct Said {
    status: i32,
    stdout: String,
    stderr: String,
}

/// The same before its exit status was looked at.
#[derive(Debug)]
#[must_use = "assert the exit status"]
struct Answer(Said);

impl Answer {
    #[track_caller]
    fn accepted(self) -> Said {
        assert_eq!(self.0.status, 0, "{self:?}");
        self.0
    }

    /// Refused, with each of `words` said to the pusher.
    #[track_caller]
    fn refused(self, words: &[&str]) -> Said {
        assert_ne!(self.0.status, 0, "{self:?}");
        for word in words {
            assert!(self.0.stderr.contains(word), "no {word:?} in {}", self.0.stderr);
        }
        self.0
    }
}

/// A server with the hook and a policy, and a pusher's repository, in a folder of their own.
struct World {
    folder: tempfile::TempDir,
    server: PathBuf,
}

const MAIN: &str = r#"
    [[rule]]
    name = "main"
    refs = ["refs/heads/main", "refs/heads/release/*"]
    commits = ["alice"]
    create = "allow"
    bases = ["refs/heads/main"]
    [[rule]]
    name = "tags"
    refs = ["refs/tags/*"]
    commits = ["alice"]
    tags = ["alice"]
    create = "allow"
    bases = ["refs/heads/main"]
    [[rule]]
    name = "wild"
    refs = ["refs/heads/wild/*"]
    commits = "unsigned"
    create = "allow"
    delete = "allow"
    rewind = "allow"
"#;

impl World {
    fn new() -> Self {
        Self::with("server.git", &[], MAIN)
    }

    fn with(server: &str, init: &[&str], rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = folder.path().join(server);
        let world = Self { folder, server };
        let server = world.server.to_str().unwrap();
        world.git(&[&["init", "-q", "--bare", "-b", "main"], init, &[server]].concat()).accepted();
        world.git(&[&["init", "-q", "-b", "main"], init, &["work"]].concat()).accepted();
        std::fs::write(world.path("root.json"), signers().authority.authority().trusted_root_json()).unwrap();
        world.policy(rules);
        world.countersign(&["hook", "install", "--repository", server, "--policy", "policy.toml"]).accepted();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn policy(&self, rules: &str) {
        let issuer = signers().authority.url();
        let keyless = |who: &str| {
            format!(
                "[identity.{who}]\nkeyless = [{{ instance = \"sandbox\", issuer = \"{issuer}\", kind = \"email\", subject = \"{who}@example.org\" }}]\n"
            )
        };
        let policy = format!(
            "version = 1\nother_refs = \"refuse\"\n[[instance]]\nname = \"sandbox\"\ntrusted_root = \"root.json\"\n{}{}{rules}",
            keyless("alice"),
            keyless("bob")
        );
        std::fs::write(self.path("policy.toml"), policy).unwrap();
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.folder.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0");
        command
    }

    fn run(&self, mut command: Command, input: &[u8]) -> Answer {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A program that does not read is no failure of the test.
        let _ = stdin.write_all(input);
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        Answer(Said {
            status: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap().trim_end().to_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn git(&self, arguments: &[&str]) -> Answer {
        let mut command = self.command("git");
        command.args(arguments);
        self.run(command, b"")
    }

    fn countersign(&self, arguments: &[&str]) -> Answer {
        let mut command = self.command(PROGRAM);
        command.args(arguments);
        self.run(command, b"")
    }

    /// git in the pusher's repository.
    fn work(&self, arguments: &[&str]) -> String {
        self.git(&[&["-C", "work"], arguments].concat()).accepted().stdout
    }

    /// git in the server's repository, as its administrator.
    fn on_server(&self, arguments: &[&str]) -> Answer {
        self.git(&[&["--git-dir", self.server.to_str().unwrap()], arguments].concat())
    }

    fn push(&self, refs: &[&str]) -> Answer {
        self.git(&[&["-C", "work", "push", "-q", self.server.to_str().unwrap()], refs].concat())
    }

    /// What a ref of the server holds; empty if it does not exist.
    fn at(&self, reference: &str) -> String {
        self.on_server(&["rev-parse", "-q", "--verify", reference]).0.stdout
    }

    fn store(&self, kind: &str, object: &str) -> String {
        let mut command = self.command("git");
        command.args(["-C", "work", "hash-object", "-t", kind, "-w", "--stdin", "--literally"]);
        self.run(command, object.as_bytes()).accepted().stdout
    }

    /// A commit with the empty tree, signed by `who`.
    fn commit(&self, who: Who, parents: &[&str], message: &str) -> String {
        self.commit_with(who, parents, message, |object| object)
    }

    /// The same, changed after signing.
    fn commit_with(
        &self,
        who: Who,
        parents: &[&str],
        message: &str,
        change: impl FnOnce(String) -> String,
    ) -> String {
        let tree = self.store("tree", "");
        let parents: String = parents.iter().map(|parent| format!("parent {parent}\n")).collect();
        let person = "A <a@example.org> 1700000000 +0000";
        let headers = format!("tree {tree}\n{parents}author {person}\ncommitter {person}\n");
        let header = if tree.len() == 64 { "gpgsig-sha256" } else { "gpgsig" };
        let signature = sign(who, &format!("{headers}\n{message}\n"))
            .map(|armor| format!("{header} {}\n", armor.trim_end().replace('\n', "\n ")))
            .unwrap_or_default();
        self.store("commit", &change(format!("{headers}{signature}\n{message}\n")))
    }

    fn tag(&self, who: Who, kind: &str, target: &str, name: &str) -> String {
        let payload = format!(
            "object {target}\ntype {kind}\ntag {name}\ntagger A <a@example.org> 1700000000 +0000\n\n{name}\n"
        );
        let signature = sign(who, &payload).unwrap_or_default();
        self.store("tag", &format!("{payload}{signature}"))
    }

    /// Run the hook by hand, with what receive-pack would never write.
    fn hook(&self, variables: &[(&str, &str)], input: &str) -> Answer {
        let mut command = self.command(self.server.join("hooks/pre-receive").to_str().unwrap());
        command.current_dir(&self.server).env("GIT_DIR", ".").envs(variables.iter().copied());
        self.run(command, input.as_bytes())
    }
}

const ZERO: &str = "0000000000000000000000000000000000000000";

#[test]
fn what_the_policy_asks_for_is_accepted_and_nothing_else() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    let tag = world.tag(Who::Alice, "commit", &one, "v1");
    world.push(&[&format!("{tag}:refs/tags/v1")]).accepted();
    assert_eq!((world.at("refs/heads/main"), world.at("refs/tags/v1")), (one.clone(), tag.clone()));

    let unsigned = world.commit(Who::Nobody, &[&one], "two");
    world.push(&[&format!("{unsigned}:refs/heads/main")]).refused(&[
        "error: refs/heads/main: commit ",
        &unsigned[..12],
        "it is not signed, where 'alice' has to sign (rule 'main')",
        "hint: sign it",
    ]);
    let tampered = world.commit_with(Who::Alice, &[&one], "two", |object| object.replace("two", "owt"));
    world.push(&[&format!("{tampered}:refs/heads/main")]).refused(&[
        &tampered[..12],
        "the content was changed after signing",
        "(rule 'main')",
    ]);
    let stranger = world.commit(Who::Eve, &[&one], "two");
    world.push(&[&format!("{stranger}:refs/heads/main")]).refused(&[
        "signed by 'eve@example.org' of 'http",
        "whom the policy does not name (rule 'main')",
        "subject = \"eve@example.org\"",
    ]);
    let other = world.commit(Who::Bob, &[&one], "two");
    world
        .push(&[&format!("{other}:refs/heads/main")])
        .refused(&["signed by 'bob@example.org'", "('bob'), where only 'alice' may"]);
    let hidden = world.commit(Who::Alice, &[&unsigned], "three");
    world.push(&[&format!("{hidden}:refs/heads/main")]).refused(&[&unsigned[..12]]);
    let merge = world.commit(Who::Alice, &[&one, &unsigned], "merge");
    world.push(&[&format!("{merge}:refs/heads/main")]).refused(&[&unsigned[..12]]);
    assert_eq!(world.at("refs/heads/main"), one);

    let two = world.commit(Who::Alice, &[&one], "two");
    world.push(&[&format!("{two}:refs/heads/main")]).accepted();
    assert_eq!(world.at("refs/heads/main"), two);
}

#[test]
fn a_bypass_via_an_unprotected_branch_is_refused() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    let smuggled = world.commit(Who::Nobody, &[&one], "smuggled");
    world.push(&[&format!("{smuggled}:refs/heads/wild/x")]).accepted();
    world.push(&[&format!("{smuggled}:refs/heads/main")]).refused(&[&smuggled[..12], "rule 'main'"]);
    world.push(&[&format!("{smuggled}:refs/heads/release/1")]).refused(&[&smuggled[..12]]);
    let on_top = world.commit(Who::Alice, &[&smuggled], "on top");
    world.push(&[&format!("{on_top}:refs/heads/main")]).refused(&[&smuggled[..12]]);
    let tag = world.tag(Who::Alice, "commit", &smuggled, "v1");
    world.push(&[&format!("{tag}:refs/tags/v1")]).refused(&[&smuggled[..12], "rule 'tags'"]);
    assert_eq!(world.at("refs/heads/main"), one);
}

#[test]
fn a_tag_teleport_is_refused() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    let tag = world.tag(Who::Alice, "commit", &one, "v1");
    world.push(&[&format!("{one}:refs/heads/main"), &format!("{tag}:refs/tags/v1")]).accepted();
    world.push(&[&format!("{tag}:refs/tags/v9")]).refused(&[
        "refs/tags/v9: tag ",
        "the tag object was signed under the name 'v1' (rule 'tags')",
        "hint: push it as 'refs/tags/v1'",
    ]);
    assert_eq!(world.at("refs/tags/v9"), "");
}

#[test]
fn tags_are_judged_object_by_object() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    let push = |id: &str, name: &str| world.push(&[&format!("{id}:refs/tags/{name}")]);
    push(&one, "light").refused(&["the tag is lightweight"]);
    push(&world.tag(Who::Nobody, "commit", &one, "a"), "a").refused(&["it is not signed"]);
    push(&world.tag(Who::Bob, "commit", &one, "b"), "b").refused(&["where only 'alice' may"]);
    let inner = world.tag(Who::Nobody, "commit", &one, "inner");
    push(&world.tag(Who::Alice, "tag", &inner, "c"), "c")
        .refused(&["the tag names another tag", &format!("tag {}: it is not signed", &inner[..12])]);
    let tree = world.store("tree", "");
    push(&world.tag(Who::Alice, "tree", &tree, "d"), "d").refused(&["does not lead to a commit"]);
    let signed = world.tag(Who::Alice, "commit", &one, "e");
    push(&signed, "e").accepted();
    let two = world.commit(Who::Alice, &[&one], "two");
    let again = world.tag(Who::Alice, "commit", &two, "e");
    world.push(&[&format!("+{again}:refs/tags/e")]).refused(&["the tag exists and may not be replaced"]);
    assert_eq!(world.at("refs/tags/e"), signed);
    world.push(&[":refs/tags/e"]).refused(&["may not be deleted"]);

    world.policy(&MAIN.replace(
        "tags = [\"alice\"]",
        "tags = [\"alice\"]\nnested_tags = \"allow\"\nlightweight_tags = \"allow\"\nmisnamed_tags = \"allow\"\ntags_of_trees_and_blobs = \"allow\"",
    ));
    push(&one, "light").accepted();
    push(&signed, "f").accepted();
    push(&world.tag(Who::Alice, "tree", &tree, "d"), "d").accepted();
    push(&world.tag(Who::Alice, "tag", &inner, "c"), "c").refused(&["it is not signed"]);
    push(&world.tag(Who::Alice, "tag", &signed, "g"), "g").accepted();
}

#[test]
fn creation_deletion_and_rewind_are_the_policys_to_decide() {
    let world = World::with("server.git", &[], &MAIN.replacen("create = \"allow\"", "", 1));
    let one = world.commit(Who::Alice, &[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).refused(&["the ref may not be created (rule 'main')"]);
    world.policy(MAIN);
    world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    let other = world.commit(Who::Alice, &[], "other");
    world.push(&[&format!("+{other}:refs/heads/main")]).refused(&["does not descend from the current one"]);
    world.push(&[":refs/heads/main"]).refused(&["the ref may not be deleted (rule 'main')"]);
    assert_eq!(world.at("refs/heads/main"), one);
    let unsigned = world.commit(Who::Nobody, &[], "unsigned");
    world.policy(&MAIN.replacen("create = \"allow\"", "rewind = \"allow\"", 1));
    world.push(&[&format!("+{unsigned}:refs/heads/main")]).refused(&["it is not signed"]);
    world.push(&[&format!("+{other}:refs/heads/main")]).accepted();
    world.push(&[&format!("{one}:refs/heads/elsewhere")]).refused(&["no rule names this ref"]);
}

#[test]
fn a_push_that_only_deletes_has_no_quarantine_and_is_judged_all_the_same() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    world.push(&[&format!("{one}:refs/heads/main"), &format!("{one}:refs/heads/wild/x")]).accepted();
    world.push(&[":refs/heads/wild/x"]).accepted();
    assert_eq!(world.at("refs/heads/wild/x"), "");
    world.push(&[":refs/heads/main"]).refused(&["may not be deleted"]);
    assert_eq!(world.at("refs/heads/main"), one);
}

#[test]
fn a_lying_old_value_is_refused() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    let unsigned = world.commit(Who::Nobody, &[&one], "two");
    let three = world.commit(Who::Alice, &[&unsigned], "three");
    let refs = [&format!("{one}:refs/heads/main")[..], &format!("{three}:refs/heads/wild/x")];
    world.push(&refs).accepted();
    for old in [&unsigned[..], ZERO] {
        let lie = format!("{old} {three} refs/heads/main\n");
        world.hook(&[], &lie).refused(&[&format!("the ref is at {} here", &one[..12])]);
    }
    world.hook(&[], &format!("{one} {three} refs/heads/main\n")).refused(&[&unsigned[..12]]);
    world
        .hook(&[], &format!("{one} {ZERO} refs/heads/wild/none\n"))
        .refused(&["the ref does not exist here, and the push says that it is at"]);
}

#[test]
fn a_symbolic_ref_is_judged_under_both_names() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    world.on_server(&["symbolic-ref", "refs/heads/wild/alias", "refs/heads/main"]).accepted();
    let unsigned = world.commit(Who::Nobody, &[&one], "two");
    world.push(&[&format!("{unsigned}:refs/heads/wild/alias")]).refused(&[
        "refs/heads/main: commit",
        &unsigned[..12],
        "rule 'main'",
    ]);
    assert_eq!(world.at("refs/heads/main"), one);
    let two = world.commit(Who::Alice, &[&one], "two");
    world.push(&[&format!("{two}:refs/heads/wild/alias")]).accepted();
    assert_eq!(world.at("refs/heads/main"), two);
}

#[test]
fn sha_256_repositories_with_their_64_digit_ids() {
    let world = World::with("server.git", &["--object-format=sha256"], MAIN);
    let one = world.commit(Who::Alice, &[], "one");
    assert_eq!(one.len(), 64);
    let tag = world.tag(Who::Alice, "commit", &one, "v1");
    world.push(&[&format!("{one}:refs/heads/main"), &format!("{tag}:refs/tags/v1")]).accepted();
    world.push(&[&format!("{one}:refs/heads/wild/x")]).accepted();
    world.push(&[":refs/heads/wild/x"]).accepted();
    world.push(&[":refs/heads/main"]).refused(&["may not be deleted"]);
    let unsigned = world.commit(Who::Nobody, &[&one], "two");
    world.push(&[&format!("{unsigned}:refs/heads/main")]).refused(&["it is not signed"]);
    world.hook(&[], &format!("{ZERO} {ZERO} refs/heads/main\n")).refused(&["another hash"]);
}

#[test]
fn replace_refs_and_notes_are_refused_whatever_else_is_accepted() {
    let world = World::new();
    let one = world.commit(Who::Nobody, &[], "one");
    world.policy(
        "[[rule]]\nname = \"all\"\nrefs = [\"refs/**\"]\ncommits = \"unsigned\"\ncreate = \"allow\"\n",
    );
    // What would stand in the place of such a namespace keeps everything out of it.
    let places = ["refs/notes", "refs/replace", "refs/countersign"];
    for name in
        [&format!("refs/replace/{one}")[..], "refs/notes/commits", "refs/countersign/x"].iter().chain(&places)
    {
        world.push(&[&format!("{one}:{name}")]).refused(&["this namespace is reserved"]);
    }
    world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    world.policy(
        "[[rule]]\nname = \"n\"\nrefs = [\"refs/notes/*\"]\ncommits = \"unsigned\"\ncreate = \"allow\"\n",
    );
    world.push(&[&format!("{one}:refs/notes/commits")]).accepted();
}

#[test]
fn grafts_and_replace_refs_of_the_server_hide_nothing() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    let unsigned = world.commit(Who::Nobody, &[&one], "two");
    let three = world.commit(Who::Alice, &[&unsigned], "three");
    let twin = world.commit(Who::Alice, &[&one], "twin");
    world.push(&[&format!("{unsigned}:refs/heads/wild/x"), &format!("{twin}:refs/heads/wild/y")]).accepted();
    std::fs::create_dir_all(world.server.join("info")).unwrap();
    std::fs::write(world.server.join("info/grafts"), format!("{three} {one}\n")).unwrap();
    world.on_server(&["replace", &unsigned, &twin]).accepted();
    world.push(&[&format!("{three}:refs/heads/main")]).refused(&[&unsigned[..12]]);
}

#[test]
fn names_that_the_file_system_takes_for_one_are_refused() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    let bad = world.commit(Who::Nobody, &[&one], "nobody's");
    let open =
        "[[rule]]\nname = \"rest\"\nrefs = [\"refs/**\"]\ncommits = \"unsigned\"\ncreate = \"allow\"\n";
    world.policy(&format!("{MAIN}{open}"));
    world.push(&[&format!("{one}:refs/heads/main"), &format!("{one}:refs/heads/release/1")]).accepted();
    // As git notes it where a repository is made on such a file system.
    world.on_server(&["config", "core.ignorecase", "true"]).accepted();
    let alike = |name: &str| {
        let words = "the server's file system cannot tell this name from";
        world.push(&[&format!("{bad}:{name}")]).refused(&[words, "hint: "]);
        assert_eq!(world.at(name), "", "{name}");
    };
    alike("refs/heads/Main");
    alike("refs/heads/Release/2");
    alike("refs/Heads/topic");
    // What only whole case folding takes for one, and what is not drawn at all.
    alike("refs/heads/relea\u{17f}e/2");
    alike("refs/heads/ma\u{200d}in");
    world.push(&[&format!("{one}:refs/heads/x"), &format!("{bad}:refs/heads/X")]).refused(&["cannot tell"]);
    let by_the_rules = |name: &str| {
        let words = "the policy decides otherwise by another one";
        world.push(&[&format!("{bad}:{name}")]).refused(&[words, "hint: "]);
    };
    by_the_rules("refs/Replace/1");
    by_the_rules("refs/Notes");
    alike("refs/Countersign/policy");
    // Letters that are one only there: the long s, and one that is drawn as nothing.
    alike("refs/counter\u{17f}ign/policy");
    alike("refs/heads/ma\u{200d}in");
    by_the_rules("refs/rep\u{200d}lace/1");
    world.push(&[&format!("{bad}:refs/heads/JIRA-1")]).accepted();
    world.on_server(&["update-ref", "-d", "refs/heads/main"]).accepted();
    by_the_rules("refs/heads/MAIN");
    world.on_server(&["config", "core.ignorecase", "false"]).accepted();
    world.push(&[&format!("{bad}:refs/heads/MAIN")]).accepted();
}

#[test]
fn a_commit_graph_that_lies_hides_nothing() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    let bad = world.commit(Who::Nobody, &[&one], "nobody's");
    world.push(&[&format!("{bad}:refs/heads/wild/x")]).accepted();
    let top = world.commit(Who::Alice, &[&bad], "on top");
    world.push(&[&format!("{top}:refs/heads/wild/x")]).accepted();
    // A graph in which the parents of the tip are those of another commit.
    world.on_server(&["commit-graph", "write", "--reachable"]).accepted();
    let graph = world.server.join("objects/info/commit-graph");
    let mut bytes = std::fs::read(&graph).unwrap();
    let position = |name: &[u8], bytes: &[u8]| {
        let at = bytes.windows(4).position(|four| four == name).unwrap();
        usize::try_from(u64::from_be_bytes(bytes[at + 4..at + 12].try_into().unwrap())).unwrap()
    };
    let (lookup, data) = (position(b"OIDL", &bytes), position(b"CDAT", &bytes));
    let ids: Vec<String> = bytes[lookup..data].chunks_exact(20).map(hex::encode).collect();
    let place = |id: &String| ids.iter().position(|other| other == id).unwrap();
    let parent = data + place(&top) * 36 + 20;
    let first = u32::try_from(place(&one)).unwrap();
    bytes[parent..parent + 4].copy_from_slice(&first.to_be_bytes());
    std::fs::set_permissions(&graph, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&graph, bytes).unwrap();
    let listed = world.on_server(&["rev-list", &top]).accepted().stdout;
    assert!(!listed.contains(&bad), "git believes the graph: {listed}");
    world.push(&[&format!("{top}:refs/heads/main")]).refused(&[&bad[..12], "is not signed"]);
    assert_eq!(world.at("refs/heads/main"), one);
}

#[test]
fn what_is_nested_merged_or_dangling_is_judged() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    let bad = world.commit(Who::Nobody, &[&one], "nobody's");
    world.push(&[&format!("{bad}:refs/heads/wild/x")]).accepted();
    let inner = world.tag(Who::Alice, "commit", &bad, "inner");
    let outer = world.tag(Who::Alice, "tag", &inner, "outer");
    world.push(&[&format!("{outer}:refs/tags/outer")]).refused(&["the tag names another tag", &bad[..12]]);
    let merge = world.commit(Who::Alice, &[&one, &bad], "merge");
    world.push(&[&format!("{merge}:refs/heads/main")]).refused(&[&bad[..12]]);
    world.push(&[&format!("{merge}:refs/heads/release/1")]).refused(&[&bad[..12]]);
    // Nothing names it any more, and it lies in the server's object store all the same.
    world.push(&[":refs/heads/wild/x"]).accepted();
    assert_eq!(world.on_server(&["cat-file", "-t", &bad]).accepted().stdout, "commit");
    world.push(&[&format!("{bad}:refs/heads/main")]).refused(&[&bad[..12], "rule 'main'"]);
    world.push(&[&format!("{bad}:refs/heads/release/1")]).refused(&[&bad[..12]]);
    assert_eq!((world.at("refs/heads/main"), world.at("refs/heads/release/1")), (one, String::new()));
}

#[test]
fn a_fork_that_shares_objects_vouches_for_nothing() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    let fork = world.path("fork.git");
    world.git(&["init", "-q", "--bare", fork.to_str().unwrap()]).accepted();
    let alternates = world.server.join("objects/info/alternates");
    std::fs::write(alternates, format!("{}\n", fork.join("objects").display())).unwrap();
    let bad = world.commit(Who::Nobody, &[&one], "nobody's");
    let to_fork = [&format!("{bad}:refs/heads/main")[..]];
    world.git(&[&["-C", "work", "push", "-q", fork.to_str().unwrap()], &to_fork[..]].concat()).accepted();
    let top = world.commit(Who::Alice, &[&bad], "on top");
    for id in [&bad, &top] {
        world.push(&[&format!("{id}:refs/heads/main")]).refused(&[&bad[..12]]);
    }
    assert_eq!(world.at("refs/heads/main"), one);
}

#[test]
fn a_push_to_a_namespace_or_a_hidden_ref_is_no_way_in() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    let bad = world.commit(Who::Nobody, &[&one], "nobody's");
    let mut command = world.command("git");
    command.args([
        "-C",
        "work",
        "push",
        "-q",
        world.server.to_str().unwrap(),
        &format!("{bad}:refs/heads/main"),
    ]);
    command.env("GIT_NAMESPACE", "foo");
    world.run(command, b"").refused(&["namespaces are not supported"]);
    world.on_server(&["config", "receive.hideRefs", "refs/heads/main"]).accepted();
    let two = world.commit(Who::Alice, &[&one], "two");
    for id in [&bad, &two] {
        world.push(&[&format!("{id}:refs/heads/main")]).refused(&["deny updating a hidden ref"]);
    }
    assert_eq!(world.at("refs/heads/main"), one);
}

#[test]
fn a_push_in_which_one_ref_fails_later_leaves_the_others_judged() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    let two = world.commit(Who::Alice, &[&one], "two");
    // Somebody else is writing this ref: git fails for it after the hook has accepted the push.
    std::fs::create_dir_all(world.server.join("refs/heads/release")).unwrap();
    let lock = world.server.join("refs/heads/release/1.lock");
    std::fs::write(&lock, "").unwrap();
    world
        .push(&[&format!("{two}:refs/heads/main"), &format!("{two}:refs/heads/release/1")])
        .refused(&["release/1"]);
    assert_eq!((world.at("refs/heads/main"), world.at("refs/heads/release/1")), (two.clone(), String::new()));
    std::fs::remove_file(lock).unwrap();
    let bad = world.commit(Who::Nobody, &[&two], "nobody's");
    world
        .push(&[&format!("{two}:refs/heads/release/1"), &format!("{bad}:refs/heads/main")])
        .refused(&[&bad[..12]]);
    assert_eq!((world.at("refs/heads/main"), world.at("refs/heads/release/1")), (two, String::new()));
}

#[test]
fn a_ref_that_is_made_again_does_not_go_back() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    let two = world.commit(Who::Alice, &[&one], "two");
    world.push(&[&format!("{two}:refs/heads/main")]).accepted();
    world.push(&[&format!("+{one}:refs/heads/main")]).refused(&["does not descend"]);
    world.push(&[":refs/heads/main"]).refused(&["may not be deleted"]);
    assert_eq!(world.at("refs/heads/main"), two);
}

#[test]
fn a_ref_that_may_be_deleted_is_judged_anew_where_it_was_before() {
    let rules = MAIN.replacen("create", "delete = \"allow\"\ncreate", 1);
    let both = rules.replace("commits = [\"alice\"]", "commits = [\"alice\", \"bob\"]");
    let world = World::with("server.git", &[], &both);
    let one = world.commit(Who::Alice, &[], "one");
    let two = world.commit(Who::Bob, &[&one], "two");
    world.push(&[&format!("{two}:refs/heads/release/1")]).accepted();
    let three = world.commit(Who::Alice, &[&two], "three");
    // Bob is no longer one of them: what stood there counts for no ref that is made anew.
    world.policy(&rules);
    world.push(&[":refs/heads/release/1"]).accepted();
    for id in [&two, &three] {
        world.push(&[&format!("{id}:refs/heads/release/1")]).refused(&[&two[..12], "where only 'alice' may"]);
    }
    assert_eq!(world.at("refs/heads/release/1"), "");
    world.push(&[&format!("{one}:refs/heads/release/1")]).accepted();
    let server = world.server.to_str().unwrap();
    let log = ["ledger", "log", "--repository", server, "refs/heads/release/1"];
    assert_eq!(world.countersign(&log).accepted().stdout.lines().count(), 3, "each move stays to be seen");
}

#[test]
fn alternates_are_c_quoted_where_the_path_asks_for_it() {
    let world = World::with("a:b\"c ä.git", &[], MAIN);
    let one = world.commit(Who::Alice, &[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    let two = world.commit(Who::Alice, &[&one], "two");
    world.push(&[&format!("{two}:refs/heads/main")]).accepted();
    world.push(&[&format!("{one}:refs/heads/release/1")]).accepted();
    let unsigned = world.commit(Who::Nobody, &[&two], "three");
    world.push(&[&format!("{unsigned}:refs/heads/main")]).refused(&["it is not signed"]);
}

#[test]
fn objects_of_an_alternate_are_found() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    let pool = world.path("pool.git");
    world.git(&["init", "-q", "--bare", pool.to_str().unwrap()]).accepted();
    world
        .git(&["-C", "work", "push", "-q", pool.to_str().unwrap(), &format!("{one}:refs/heads/x")])
        .accepted();
    std::fs::write(world.server.join("objects/info/alternates"), format!("{}/objects\n", pool.display()))
        .unwrap();
    world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    let unsigned = world.commit(Who::Nobody, &[&one], "two");
    world
        .git(&["-C", "work", "push", "-q", pool.to_str().unwrap(), &format!("{unsigned}:refs/heads/y")])
        .accepted();
    world.push(&[&format!("{unsigned}:refs/heads/main")]).refused(&[&unsigned[..12]]);
}

#[test]
fn a_shallow_push_fails_closed() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    let two = world.commit(Who::Alice, &[&one], "two");
    world.work(&["update-ref", "refs/heads/main", &two]);
    let work = format!("file://{}", world.path("work").display());
    world.git(&["clone", "-q", "--bare", "--depth=1", &work, "shallow.git"]).accepted();
    world.on_server(&["config", "receive.shallowUpdate", "true"]).accepted();
    let server = world.server.to_str().unwrap();
    let push = |refs: &str| world.git(&["-C", "shallow.git", "push", "-q", server, refs]);
    push("main:refs/heads/main").refused(&["history is cut off at commit"]);
    assert_eq!(world.at("refs/heads/main"), "");
}

/// The hook is handed what git will not carry out as well, such as an update that would cut history off.
#[test]
fn a_command_that_git_has_given_up_is_judged_with_the_others() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    let two = world.commit(Who::Alice, &[&one], "two");
    world.work(&["update-ref", "refs/heads/main", &two]);
    let work = format!("file://{}", world.path("work").display());
    world.git(&["clone", "-q", "--bare", "--depth=1", &work, "shallow.git"]).accepted();
    let whole = world.commit(Who::Alice, &[], "whole");
    world.work(&["push", "-q", "../shallow.git", &format!("{whole}:refs/heads/whole")]);
    let server = world.server.to_str().unwrap();
    let push = || {
        let refs = ["main:refs/heads/main", "whole:refs/heads/wild/x"];
        world.git(&[&["-C", "shallow.git", "push", "-q", server], &refs[..]].concat())
    };
    // What it stands on is not there, and nothing else of the push gets in beside it.
    push().refused(&["error: refs/heads/main: ", "it cannot be judged", &one]);
    assert_eq!((world.at("refs/heads/main"), world.at("refs/heads/wild/x")), (String::new(), String::new()));
    // It is there: all of it may pass, and git leaves that one out.
    world.push(&[&format!("{one}:refs/heads/wild/y")]).accepted();
    push().refused(&["shallow update not allowed"]);
    assert_eq!((world.at("refs/heads/main"), world.at("refs/heads/wild/x")), (String::new(), whole));
    world.countersign(&["ledger", "verify", "--repository", server]).accepted();
    let entries = world.countersign(&["ledger", "log", "--repository", server]).accepted().stdout;
    assert!(!entries.contains("refs/heads/main"), "{entries}");
}

#[test]
fn a_duplicate_or_foreign_signature_header_is_refused() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    for (header, words) in [
        ("gpgsig x\n", "the header 'gpgsig' stands twice"),
        ("gpgsig-sha256 x\n", "a foreign 'gpgsig' header"),
        ("gpgsig2 x\n", "a foreign 'gpgsig' header"),
    ] {
        let commit = world.commit_with(Who::Alice, &[&one], "two", |object| {
            object.replacen("\n\n", &format!("\n{header}\n"), 1)
        });
        world.push(&[&format!("{commit}:refs/heads/main")]).refused(&[
            &commit[..12],
            "it is malformed",
            words,
        ]);
    }
}

#[test]
fn a_missing_object_is_a_refusal() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    let missing = "1".repeat(40);
    world
        .hook(&[], &format!("{one} {missing} refs/heads/main\n"))
        .refused(&["it cannot be judged", &format!("the object '{missing}' is missing")]);
    world.hook(&[], &format!("{ZERO} {missing} refs/heads/wild/x\n")).refused(&["is missing"]);
    let gap = world.commit(Who::Alice, &[&missing], "gap");
    let object = world.work(&["cat-file", "commit", &gap]);
    std::fs::write(world.path("gap"), format!("{object}\n")).unwrap();
    let gap_file = world.path("gap");
    let hash = ["hash-object", "-t", "commit", "-w", gap_file.to_str().unwrap()];
    assert_eq!(world.on_server(&hash).accepted().stdout, gap);
    world.hook(&[], &format!("{ZERO} {gap} refs/heads/release/1\n")).refused(&["is missing"]);
    world.hook(&[], &format!("{one} {gap} refs/heads/main\n")).refused(&["is missing"]);
}

#[test]
fn an_object_that_is_not_what_its_id_says_is_a_refusal() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    let unsigned = world.commit(Who::Nobody, &[&one], "two");
    world.push(&[&format!("{unsigned}:refs/heads/wild/x")]).accepted();
    let loose = |id: &str| world.server.join("objects").join(&id[..2]).join(&id[2..]);
    let signed = world.commit(Who::Alice, &[&one], "good");
    world.push(&[&format!("{signed}:refs/heads/wild/y")]).accepted();
    std::fs::remove_file(loose(&unsigned)).unwrap();
    std::fs::copy(loose(&signed), loose(&unsigned)).unwrap();
    world.hook(&[], &format!("{one} {unsigned} refs/heads/main\n")).refused(&["has another id"]);
}

#[test]
fn an_unknown_extension_or_reftable_is_a_refusal() {
    let world = World::new();
    let input = format!("{ZERO} {} refs/heads/main\n", "1".repeat(40));
    let config = std::fs::read_to_string(world.server.join("config")).unwrap();
    let config = config.replace("repositoryformatversion = 0", "repositoryformatversion = 1");
    for (extension, words) in [
        ("future = true", "the extension 'future', which is not understood"),
        ("refStorage = reftable", "keeps its refs as 'reftable', which is not supported"),
    ] {
        std::fs::write(world.server.join("config"), format!("{config}[extensions]\n\t{extension}\n"))
            .unwrap();
        let answer = world.hook(&[], &input).refused(&[words]);
        assert_eq!(answer.status, 3);
    }
}

#[test]
fn without_policy_or_trusted_root_every_push_is_refused() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    let push = || world.push(&[&format!("{one}:refs/heads/main")]);
    let policy = world.path("policy.toml");
    let text = std::fs::read(&policy).unwrap();
    std::fs::remove_file(&policy).unwrap();
    push().refused(&["there is no policy at", "countersign policy init", "ask the server's administrator"]);
    std::fs::write(&policy, "version = 1\n").unwrap();
    push().refused(&["does not say what happens to 'other_refs'"]);
    std::fs::write(&policy, [&text[..], b"\ncomits = 1\n"].concat()).unwrap();
    push().refused(&["unknown key 'comits'", "did you mean 'commits'?"]);
    std::fs::write(&policy, &text).unwrap();
    std::fs::write(world.path("root.json"), "{").unwrap();
    push().refused(&["trusted root"]);
    std::fs::remove_file(world.path("root.json")).unwrap();
    push().refused(&["cannot be read"]);
    assert_eq!(world.at("refs/heads/main"), "");
}

#[test]
fn nothing_around_the_push_changes_what_decides() {
    let world = World::new();
    let unsigned = world.commit(Who::Nobody, &[], "one");
    world.git(&["config", "--global", "countersign.policy", "/nowhere"]).accepted();
    world.on_server(&["config", "countersign.policy", "/nowhere"]).accepted();
    world.on_server(&["config", "receive.advertisePushOptions", "true"]).accepted();
    let mut command = world.command("git");
    command
        .args(["-C", "work", "push", "-q", "-o", "policy=/nowhere", world.server.to_str().unwrap()])
        .arg(format!("{unsigned}:refs/heads/main"))
        .env("COUNTERSIGN_POLICY", "/nowhere")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "countersign.policy")
        .env("GIT_CONFIG_VALUE_0", "/nowhere")
        .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", "/nowhere");
    world.run(command, b"").refused(&["it is not signed, where 'alice' has to sign"]);
    world
        .hook(&[("GIT_NAMESPACE", "foo")], &format!("{ZERO} {unsigned} refs/heads/wild/x\n"))
        .refused(&["namespace"]);
    // Where git keeps refs elsewhere, what stands in the repository's own folder is no answer.
    let line = format!("{ZERO} {unsigned} refs/heads/wild/x\n");
    world
        .hook(&[("GIT_REFERENCE_BACKEND", "reftable:///elsewhere")], &line)
        .refused(&["keeps its refs as 'reftable:///elsewhere', which is not supported"]);
    world.hook(&[("GIT_REFERENCE_BACKEND", "files")], &line).refused(&["refs/heads/wild/x"]);
}

#[test]
fn a_hook_needs_no_folder_but_those_that_it_names() {
    let world = World::new();
    let folder = world.path("gone tomorrow");
    std::fs::create_dir(&folder).unwrap();
    let mut install = world.command(PROGRAM);
    install.current_dir(&folder).args(["hook", "install", "--repository", "../server.git"]);
    install.args(["--policy", "../policy.toml", "--state", "../state", "--audit", "file:../audit.jsonl"]);
    world.run(install, b"").accepted();
    std::fs::remove_dir(&folder).unwrap();
    let one = world.commit(Who::Alice, &[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    assert!(world.path("audit.jsonl").is_file());
    let status = world.countersign(&["hook", "status", "--repository", "server.git"]).0;
    assert!(!status.stdout.contains("..") && !status.stdout.contains("gone"), "{status:?}");
}

#[test]
fn a_hook_that_was_copied_to_another_repository_judges_nothing() {
    let world = World::new();
    let copy = world.path("copy.git");
    world.git(&["init", "-q", "--bare", copy.to_str().unwrap()]).accepted();
    std::fs::create_dir_all(copy.join("hooks")).unwrap();
    std::fs::copy(world.server.join("hooks/pre-receive"), copy.join("hooks/pre-receive")).unwrap();
    let one = world.commit(Who::Alice, &[], "one");
    world
        .git(&["-C", "work", "push", "-q", copy.to_str().unwrap(), &format!("{one}:refs/heads/wild/x")])
        .refused(&["this hook was installed for the repository"]);
}

#[test]
fn a_hook_that_was_installed_from_a_linked_work_tree_outlives_it() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    let linked = world.path("linked");
    let linked = linked.to_str().unwrap();
    world.on_server(&["worktree", "add", "-q", "--detach", linked, "main"]).accepted();
    let install = ["hook", "install", "--repository", linked, "--policy", "policy.toml"];
    let answer = world.countersign(&install).accepted();
    // It is the same hook with the same state.
    let said = format!("{answer:?}");
    assert!(!said.contains("..") && !said.contains("counts no more"), "{said}");
    world.on_server(&["worktree", "remove", linked]).accepted();
    let two = world.commit(Who::Alice, &[&one], "two");
    world.push(&[&format!("{two}:refs/heads/main")]).accepted();
    world.push(&[&format!("{two}:refs/heads/release/1")]).accepted();
}

#[test]
fn the_hook_that_was_there_before_runs_first_and_comes_back() {
    let world = World::new();
    let server = world.server.to_str().unwrap();
    world.countersign(&["hook", "uninstall", "--repository", server]).accepted();
    let hook = world.server.join("hooks/pre-receive");
    assert!(!hook.exists());
    let text = "#!/bin/sh\ncat >seen\nif grep -q forbidden seen; then echo no such ref; exit 7; fi\n";
    std::fs::write(&hook, text).unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let install = ["hook", "install", "--repository", server, "--policy", "policy.toml"];
    for _ in 0..2 {
        let answer = world.countersign(&install).accepted();
        assert!(answer.stdout.contains("runs first"), "{answer:?}");
    }
    let one = world.commit(Who::Nobody, &[], "one");
    world.push(&[&format!("{one}:refs/heads/wild/forbidden")]).refused(&["no such ref"]);
    world.push(&[&format!("{one}:refs/heads/main")]).refused(&["it is not signed"]);
    world.push(&[&format!("{one}:refs/heads/wild/x")]).accepted();
    assert_eq!(
        std::fs::read_to_string(world.server.join("seen")).unwrap(),
        format!("{ZERO} {one} refs/heads/wild/x\n")
    );
    let status = world.countersign(&["hook", "status", "--repository", server]).0;
    assert!(status.stdout.contains("runs first: "), "{status:?}");
    world.countersign(&["hook", "uninstall", "--repository", server]).accepted();
    assert_eq!(std::fs::read_to_string(&hook).unwrap(), text);
}

#[test]
fn new_refs_build_on_bases_that_the_gate_has_accepted() {
    let world = World::new();
    // What was there before the gate has no signatures.
    let old = world.commit(Who::Nobody, &[], "old");
    world.push(&[&format!("{old}:refs/heads/wild/old")]).accepted();
    world.on_server(&["update-ref", "refs/heads/main", &old]).accepted();
    world.push(&[&format!("{old}:refs/heads/release/1")]).refused(&[&old[..12], "rule 'main'"]);

    let one = world.commit(Who::Alice, &[&old], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    let two = world.commit(Who::Alice, &[&one], "two");
    world.push(&[&format!("{two}:refs/heads/release/1")]).accepted();
    let tag = world.tag(Who::Alice, "commit", &two, "v1");
    world.push(&[&format!("{tag}:refs/tags/v1")]).accepted();
    let unsigned = world.commit(Who::Nobody, &[&one], "three");
    world.push(&[&format!("{unsigned}:refs/heads/release/2")]).refused(&[&unsigned[..12]]);

    // A rule that asks for somebody else has accepted nothing yet.
    world.policy(&MAIN.replace("commits = [\"alice\"]", "commits = [\"alice\", \"bob\"]"));
    world.push(&[&format!("{two}:refs/heads/release/3")]).refused(&[&old[..12]]);
    world.policy(MAIN);
    // Nor has the gate accepted what an administrator put there.
    let moved = world.commit(Who::Alice, &[&one], "moved");
    world.push(&[&format!("{moved}:refs/heads/wild/moved")]).accepted();
    world.on_server(&["update-ref", "refs/heads/main", &moved]).accepted();
    world.push(&[&format!("{moved}:refs/heads/release/4")]).refused(&[&old[..12]]);
    world.on_server(&["update-ref", "refs/heads/main", &one]).accepted();
    world.push(&[&format!("{two}:refs/heads/release/4")]).accepted();
    // Nor anything at all when its notes are gone.
    std::fs::remove_dir_all(world.server.join("countersign")).unwrap();
    world.push(&[&format!("{two}:refs/heads/release/5")]).refused(&[&old[..12]]);
}

#[test]
fn a_base_is_not_made_accepted_by_pushing_what_it_holds_already() {
    let world =
        World::with("server.git", &[], &MAIN.replacen("create = ", "rewind = \"allow\"\ncreate = ", 1));
    let old = world.commit(Who::Nobody, &[], "old");
    let moved = world.commit(Who::Nobody, &[&old], "moved");
    world.push(&[&format!("{moved}:refs/heads/wild/x")]).accepted();
    // What an administrator put there, or what an earlier policy let in.
    world.on_server(&["update-ref", "refs/heads/main", &moved]).accepted();
    world.hook(&[], &format!("{moved} {moved} refs/heads/main\n")).accepted();
    world.push(&[&format!("{moved}:refs/heads/release/1")]).refused(&[&old[..12], &moved[..12]]);
    // Nor by going back in it.
    world.push(&[&format!("+{old}:refs/heads/main")]).accepted();
    world.push(&[&format!("{old}:refs/heads/release/1")]).refused(&[&old[..12]]);
    assert!(!world.server.join("countersign/accepted").exists());
}

#[test]
fn a_ref_outside_of_tags_and_branches_does_not_rewind_into_a_tree() {
    let world = World::with(
        "server.git",
        &[],
        "[[rule]]\nname = \"other\"\nrefs = [\"refs/other/*\"]\ncommits = [\"alice\"]\ntags = \"unsigned\"\n\
         create = \"allow\"\ntags_of_trees_and_blobs = \"allow\"\n",
    );
    let one = world.commit(Who::Alice, &[], "one");
    world.push(&[&format!("{one}:refs/other/x")]).accepted();
    let tree = world.tag(Who::Nobody, "tree", &world.store("tree", ""), "x");
    world
        .push(&[&format!("+{tree}:refs/other/x")])
        .refused(&["the new value does not descend from the current one (rule 'other')"]);
    assert_eq!(world.at("refs/other/x"), one);
}

/// Each would cost minutes if every ref had its history walked by itself, or every refusal its name looked for.
#[test]
fn many_refs_with_one_long_bad_history_are_refused_soon() {
    let world = World::new();
    let mut import = String::new();
    for n in 1..=8000 {
        import +=
            &format!("commit refs/heads/long\nmark :{n}\ncommitter A <a@example.org> {n} +0000\ndata 1\nx\n");
    }
    let mut command = world.command("git");
    command.args(["-C", "work", "fast-import", "--quiet"]);
    world.run(command, import.as_bytes()).accepted();
    let long = world.work(&["rev-parse", "refs/heads/long"]);
    // A root with a second author line, under the same long history.
    let bad = world.commit_with(Who::Nobody, &[], "bad", |object| {
        object.replacen("committer", "author A <a@example.org> 1 +0000\ncommitter", 1)
    });
    let broken = world.commit(Who::Nobody, &[&long, &bad], "broken");
    let begun = std::time::Instant::now();
    for (tip, words) in [(&long, "it is not signed"), (&broken, "it is malformed")] {
        let create: String = (0..2000).map(|n| format!("create refs/heads/release/{n} {tip}\n")).collect();
        let mut command = world.command("git");
        command.args(["-C", "work", "update-ref", "--stdin"]);
        world.run(command, create.as_bytes()).accepted();
        world.push(&["refs/heads/release/*:refs/heads/release/*"]).refused(&[words]);
        let delete: String = (0..2000).map(|n| format!("delete refs/heads/release/{n}\n")).collect();
        let mut command = world.command("git");
        command.args(["-C", "work", "update-ref", "--stdin"]);
        world.run(command, delete.as_bytes()).accepted();
    }
    assert!(begun.elapsed().as_secs() < 150, "{:?}", begun.elapsed());
}

#[test]
fn an_anchor_takes_history_as_it_is() {
    let world = World::new();
    let root = world.commit(Who::Nobody, &[], "root");
    let old = world.commit(Who::Nobody, &[&root], "old");
    let one = world.commit(Who::Alice, &[&old], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).refused(&[&root[..12], &old[..12]]);
    world.policy(&MAIN.replacen("create", &format!("anchor = \"{old}\"\ncreate"), 1));
    world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    let side = world.commit(Who::Nobody, &[&root], "side");
    let merge = world.commit(Who::Alice, &[&one, &side], "merge");
    world.push(&[&format!("{merge}:refs/heads/main")]).refused(&[&side[..12]]);
}

#[test]
fn a_rule_in_warning_mode_warns_and_nothing_under_it_counts_as_accepted() {
    let world = World::with("server.git", &[], &MAIN.replacen("create", "mode = \"warn\"\ncreate", 1));
    let one = world.commit(Who::Nobody, &[], "one");
    let answer = world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    assert!(answer.stderr.contains("warning: refs/heads/main: commit"), "{answer:?}");
    let malformed = world.commit_with(Who::Nobody, &[&one], "two", |object| {
        object.replacen("\n\n", "\ngpgsig a\ngpgsig b\n\n", 1)
    });
    world.push(&[&format!("{malformed}:refs/heads/main")]).refused(&["it is malformed"]);
    assert!(!world.server.join("countersign/accepted").exists());
    world.policy(MAIN);
    world.push(&[&format!("{one}:refs/heads/release/1")]).refused(&[&one[..12]]);
}

#[test]
fn a_branch_names_commits_only() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    let tag = world.tag(Who::Alice, "commit", &one, "v1");
    world.push(&[&format!("{one}:refs/heads/main"), &format!("{tag}:refs/tags/v1")]).accepted();
    world.hook(&[], &format!("{one} {tag} refs/heads/main\n")).refused(&["this ref cannot name a tag"]);
    let tree = world.at(&format!("{one}^{{tree}}"));
    world.hook(&[], &format!("{ZERO} {tree} refs/heads/wild/t\n")).refused(&["this ref cannot name a tree"]);
}

#[test]
fn garbage_on_standard_input_is_a_refusal() {
    let world = World::new();
    for input in
        ["", "garbage\n", &format!("{ZERO} {ZERO} HEAD\n"), &format!("{ZERO} {ZERO} refs/heads/..\n")]
    {
        world.hook(&[], input).refused(&["error: "]);
    }
}

#[test]
fn three_thousand_refs_at_once() {
    let world = World::new();
    let one = world.commit(Who::Alice, &[], "one");
    let unsigned = world.commit(Who::Nobody, &[&one], "two");
    let create: String = (0..3000).map(|n| format!("create refs/heads/release/{n} {one}\n")).collect();
    let mut command = world.command("git");
    command.args(["-C", "work", "update-ref", "--stdin"]);
    world.run(command, create.as_bytes()).accepted();
    world.work(&["update-ref", "refs/heads/release/2999", &unsigned]);
    let push = || world.push(&["refs/heads/release/*:refs/heads/release/*"]);
    push().refused(&["refs/heads/release/2999: commit", &unsigned[..12]]);
    world.work(&["update-ref", "refs/heads/release/2999", &one]);
    push().accepted();
    assert_eq!(world.at("refs/heads/release/2999"), one);
    for n in 0..30 {
        let bad = world.commit(Who::Nobody, &[&one], &format!("bad {n}"));
        world.work(&["update-ref", &format!("refs/heads/release/{n}"), &bad]);
    }
    push().refused(&["and 29 more refs: each of 30 commits: it is not signed", "  and 22 more"]);
}

#[test]
fn a_first_policy_is_written_once_and_checked() {
    let world = World::new();
    let init = ["policy", "init", "first.toml"];
    world.countersign(&init).accepted();
    let again = world.countersign(&init).refused(&["error: ", "hint: it was left as it is"]);
    assert_eq!(again.status, 3);
    world.countersign(&["policy", "check", "first.toml"]).accepted();
    let told = world.countersign(&["policy", "check", "policy.toml"]).refused(&[]).stdout;
    let json = world.countersign(&["policy", "check", "policy.toml", "--json"]).refused(&[]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let findings = json["findings"].as_array().unwrap().iter();
    let lines = findings.map(|found| {
        let text = |key: &str| found[key].as_str().unwrap().to_owned();
        format!("warning: {}\nhint: {}\n", text("words"), text("hint"))
    });
    assert_eq!((&json["version"], lines.collect::<String>()), (&1.into(), told + "\n"));
    std::fs::write(world.path("first.toml"), "version = 1\n").unwrap();
    let unusable = world.countersign(&["policy", "check", "first.toml"]).refused(&["error: ", "\nhint: "]);
    assert_eq!((unusable.status, unusable.stderr.contains("policy check")), (3, false), "{unusable:?}");
    // What is told can be copied into a shell.
    let path = world.path("my policy.toml");
    let absent =
        world.countersign(&["policy", "check", path.to_str().unwrap()]).refused(&["there is no policy"]);
    let command = absent.stderr.split_once("with '").unwrap().1.trim_end().strip_suffix('\'').unwrap();
    let shell = |command: &str| {
        let mut shell = world.command("sh");
        let program = Path::new(PROGRAM).parent().unwrap().display().to_string();
        let path = format!("{program}:{}", std::env::var("PATH").unwrap());
        shell.args(["-c", command]).env("PATH", path);
        world.run(shell, b"").accepted().stdout
    };
    let written = shell(command);
    let command = written.split_once("then run '").unwrap().1.strip_suffix('\'').unwrap();
    assert!(shell(command).contains("2 rules"), "{written}");
}

/// The path of the shim is the repository's own, and the shim passes on nothing of the environment.
#[test]
fn the_shim_passes_on_only_what_describes_the_push() {
    let world = World::new();
    let spy = world.path("spy");
    std::fs::write(
        &spy,
        format!("#!/bin/sh\n/usr/bin/env >'{}'\ncat >/dev/null\n", world.path("env").display()),
    )
    .unwrap();
    std::fs::set_permissions(&spy, std::fs::Permissions::from_mode(0o755)).unwrap();
    let server = world.server.to_str().unwrap();
    let install = [
        "hook",
        "install",
        "--repository",
        server,
        "--policy",
        "policy.toml",
        "--program",
        spy.to_str().unwrap(),
    ];
    world.countersign(&install).accepted();
    let one = world.commit(Who::Nobody, &[], "one");
    world.push(&[&format!("{one}:refs/heads/main")]).accepted();
    let seen = std::fs::read_to_string(world.path("env")).unwrap();
    let mut names: Vec<&str> =
        seen.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    names.retain(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name));
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "GIT_ALTERNATE_OBJECT_DIRECTORIES",
            "GIT_DIR",
            "GIT_NAMESPACE",
            "GIT_OBJECT_DIRECTORY",
            "GIT_PUSH_CERT",
            "GIT_PUSH_CERT_NONCE",
            "GIT_PUSH_CERT_NONCE_SLOP",
            "GIT_PUSH_CERT_NONCE_STATUS",
            "GIT_PUSH_OPTION_COUNT",
            "GIT_QUARANTINE_PATH",
            "GIT_REFERENCE_BACKEND",
            "GIT_SHALLOW_FILE"
        ]
    );
    assert!(
        Path::new(seen.lines().find_map(|line| line.strip_prefix("GIT_QUARANTINE_PATH=")).unwrap())
            .starts_with(world.server.canonicalize().unwrap().join("objects"))
    );
}
