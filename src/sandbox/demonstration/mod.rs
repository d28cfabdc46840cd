//! The main job as a story that a newcomer can read: sign, push, and see what is turned away and why.
//!
//! Everything runs as git itself runs it: git and this program are started as they would be by hand, in a
//! folder with a home of its own. Each step says how it must end, and what the server must hold afterwards.

mod stage;

use std::{
    ffi::OsString,
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use stage::{Stage, quote};

use super::{
    authority::{Authority, AuthorityError, Options},
    certificate_authority::Identity,
    clock::SystemClock,
    server::{Running, ServeError},
    trust::RekorOffer,
};

/// Who may sign in the story.
const ALICE: &str = "alice@example.com";
/// Who may not, however well she proves who she is.
const MALLORY: &str = "mallory@example.com";

/// Why the demonstration is not as it should be. One cause, one variant.
#[derive(Debug, thiserror::Error)]
pub(super) enum DemonstrationError {
    /// The authority could not be set up.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A file or folder cannot be written.
    #[error("'{}' cannot be written: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// The folder holds something that is not the demonstration's to change.
    #[error("the folder '{}' is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// The story cannot be told.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
    /// A path cannot stand in a command or a configuration file.
    #[error("the path '{}' holds a quote or a control character, or is not UTF-8", .0.display())]
    Path(PathBuf),
    /// The authority could not serve.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A program could not be started.
    #[error("'{program}' cannot be run: {source}")]
    Start { program: String, source: io::Error },
    /// A step did not end as it has to.
    #[error("'{step}' did not end as expected: {found}")]
    Unexpected { step: String, found: String },
}

impl DemonstrationError {
    /// What to do next.
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::NotEmpty(_) => "name a folder that is empty or does not exist with '--directory'",
            Self::Path(_) => "name a folder with a plain path with '--directory'",
            Self::Start { .. } => "install git, and see that it is on the PATH",
            Self::Unexpected { .. } => "this is a fault of countersign or of this machine; please report it",
            Self::Authority(_) | Self::File { .. } | Self::Serve(_) => {
                "see that the folder can be written to, and that a port of 127.0.0.1 can be opened"
            }
            Self::Output(_) => "give it an output that can be written to",
        }
    }
}

/// Tells the whole story in `folder`, or in a fresh one that is kept; words go to `output`.
///
/// `program` is this program; `path` the value of `PATH`.
pub(super) fn demonstrate(
    folder: Option<&Path>,
    program: &Path,
    path: Option<OsString>,
    output: &mut dyn Write,
) -> Result<(), DemonstrationError> {
    let folder = prepare(folder)?;
    for path in [&*folder, program] {
        let text =
            path.to_str().filter(|text| !text.contains(|c: char| c.is_control() || c == '\'' || c == '"'));
        if text.is_none() {
            return Err(DemonstrationError::Path(path.to_owned()));
        }
    }
    let authority = authority(&folder.join("authority"))?;
    let mut story = Story { stage: Stage::new(&folder, program, path, output), url: authority.url() };
    story.set_up()?;
    story.sign_and_push()?;
    story.review()?;
    story.turn_away()?;
    story.end()
}

fn prepare(folder: Option<&Path>) -> Result<PathBuf, DemonstrationError> {
    let Some(folder) = folder else {
        let temporary = tempfile::Builder::new().prefix("countersign-demonstration-").tempdir();
        let failed = |source| DemonstrationError::File { path: std::env::temp_dir(), source };
        return Ok(temporary.map_err(failed)?.keep());
    };
    let failed = |source| DemonstrationError::File { path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(failed)?;
    let folder = folder.canonicalize().map_err(failed)?;
    if folder.read_dir().map_err(failed)?.next().is_some() {
        return Err(DemonstrationError::NotEmpty(folder));
    }
    Ok(folder)
}

fn authority(state: &Path) -> Result<Running, DemonstrationError> {
    let options = Options {
        state: Some(state.to_owned()),
        clock: Arc::new(SystemClock),
        rekor: RekorOffer::V1Only,
        auto_approve: Some(Identity::from(ALICE)),
    };
    Ok(Authority::new(options)?.serve(0)?)
}

/// What the server must hold under a name at the end of a step.
type Held<'a> = (&'a str, Option<&'a str>);

struct Story<'a> {
    stage: Stage<'a>,
    url: &'a str,
}

impl Story<'_> {
    fn set_up(&mut self) -> Result<(), DemonstrationError> {
        let Self { stage, url } = self;
        stage.title("An authority, a server, a policy")?;
        stage.say(&format!(
            "An authority of our own serves on {url}: a login, a certificate authority, a transparency\n\
             log. It stands in for Sigstore. Everything is in '{}'.",
            stage.folder().display()
        ))?;
        stage.make_folder("home")?;
        stage.write("environment", &environment(stage.folder(), stage.program()))?;
        stage.write("policy.toml", &policy(url))?;
        stage.say("The server's policy: who may sign what. Nobody else's signature counts there.")?;
        stage.show_file("policy.toml")?;
        stage.run("", &["countersign", "policy", "check", "policy.toml"])?;
        stage.say("A bare repository for the team, with the hook that goes by this policy.")?;
        stage.run("", &["git", "init", "--quiet", "--bare", "--initial-branch=main", "server.git"])?;
        let install = ["hook", "install", "--repository", "server.git", "--policy", "policy.toml"];
        stage.run("", &[&["countersign"][..], &install].concat())?;

        stage
            .say("Alice sets up git, once. The browser with which she logs in is played by this program.")?;
        for (key, value) in
            [("user.name", "Alice"), ("user.email", ALICE), ("init.defaultBranch", "main"), ("gc.auto", "0")]
        {
            stage.run("", &["git", "config", "--global", key, value])?;
        }
        let browser = format!("\"{}\" sandbox browse", stage.program().display());
        stage.run("", &["git", "config", "--global", "countersign.urlOpener", &browser])?;
        let init = ["init", "--instance", "sandbox", "--trusted-root", "authority/trusted_root.json"];
        let rest = ["--signing-config", "authority/signing_config.json", "--policy", "policy.toml"];
        stage.run("", &[&["countersign"][..], &init, &rest].concat())
    }

    fn sign_and_push(&mut self) -> Result<(), DemonstrationError> {
        let stage = &mut self.stage;
        stage.title("Signing without a key of one's own")?;
        stage.say(
            "For each signature Alice logs in; the authority certifies a key that lives for one signature,\n\
             and the log notes it. Nothing has to be kept secret afterwards.",
        )?;
        stage.run("", &["git", "init", "--quiet", "alice"])?;
        stage.run("alice", &["git", "remote", "add", "origin", "../server.git"])?;
        stage.write("alice/README", "Pay Bob 10.\n")?;
        stage.run("alice", &["git", "add", "README"])?;
        stage.run("alice", &["git", "commit", "--quiet", "--message", "pay Bob 10"])?;
        stage.run("alice", &["git", "tag", "--message", "version 1", "v1"])?;
        stage.say("Commit and tag are what the policy wants: the server takes both.")?;
        stage.run("alice", &["git", "push", "origin", "main", "v1"])?;
        let (main, tag) = (stage.id("alice", "refs/heads/main")?, stage.id("alice", "refs/tags/v1")?);
        self.must_hold(&[("refs/heads/main", main.as_deref()), ("refs/tags/v1", tag.as_deref())])
    }

    fn review(&mut self) -> Result<(), DemonstrationError> {
        let stage = &mut self.stage;
        stage.title("What a reviewer sees")?;
        stage
            .say("Anyone with the trusted root can tell who signed, with git alone and without a network.")?;
        stage.run("", &["git", "clone", "--quiet", "server.git", "reviewer"])?;
        for (command, words) in [
            (&["git", "verify-commit", "HEAD"][..], "good signature by 'alice@example.com'"),
            (&["git", "verify-tag", "v1"], "good signature by 'alice@example.com'"),
            (&["git", "log", "--show-signature", "-1"], "known as 'alice'"),
            (&["git", "log", "-1", "--format=%G? %GS %GT"], "G alice@example.com fully"),
            (&["countersign", "verify", "HEAD", "v1"], "good "),
        ] {
            let said = stage.run_for("reviewer", command, 0)?;
            stage.must(command, said.contains(words), &said)?;
        }
        Ok(())
    }

    fn turn_away(&mut self) -> Result<(), DemonstrationError> {
        let held = self.stage.id("alice", "refs/remotes/origin/main")?;

        self.stage.title("An unsigned commit")?;
        let commit = ["commit", "--quiet", "--allow-empty", "--message", "trust me"];
        self.stage.run("alice", &[&["git"][..], &commit, &["--no-gpg-sign"]].concat())?;
        self.refused(&["main"], "it is not signed", held.as_deref())?;

        self.stage.title("A commit changed after signing")?;
        self.stage.say("Alice signs; somebody changes the text of the commit and keeps her signature.")?;
        let commit = ["git", "commit", "--quiet", "--allow-empty", "--message", "pay Mallory nothing"];
        self.stage.run("alice", &commit)?;
        let forge = "git cat-file commit HEAD | sed 's/Mallory nothing/Mallory 1000/' | \
                     git hash-object -t commit -w --stdin | xargs git reset --quiet --hard";
        self.stage.run_script("alice", forge)?;
        self.stage.run("alice", &["git", "log", "-1", "--format=%h %G? %s"])?;
        self.refused(&["main"], "the content was changed after signing", held.as_deref())?;

        self.stage.title("A commit signed by somebody else")?;
        self.stage
            .say("Mallory logs in as herself. Her signature is good, and the policy does not name her.")?;
        let token = ["countersign", "sandbox", "token", "--url", self.url, MALLORY];
        self.stage.export("alice", "SIGSTORE_ID_TOKEN", &token)?;
        let commit = ["git", "commit", "--quiet", "--allow-empty", "--message", "let me in"];
        self.stage.run("alice", &commit)?;
        self.stage.unset("alice", "SIGSTORE_ID_TOKEN")?;
        self.refused(&["main"], "whom the policy does not name", held.as_deref())?;

        self.stage.title("An old tag under a new name")?;
        self.stage.say("The tag of version 1 is good; pushed as version 2 it would pass off old for new.")?;
        self.refused(&["v1:refs/tags/v2"], "the tag object was signed under the name 'v1'", held.as_deref())
    }

    /// Pushes `refs`, which the server must refuse with `words`, and takes back what was made.
    fn refused(&mut self, refs: &[&str], words: &str, held: Option<&str>) -> Result<(), DemonstrationError> {
        let push = [&["git", "push", "origin"][..], refs].concat();
        let said = self.stage.run_for("alice", &push, 1)?;
        self.stage.must(&push, said.contains(words), &said)?;
        self.must_hold(&[("refs/heads/main", held), ("refs/tags/v2", None)])?;
        self.stage.run_quietly("alice", &["git", "reset", "--quiet", "--hard", "origin/main"])
    }

    /// Looks at what the server holds, behind the scenes.
    fn must_hold(&mut self, held: &[Held<'_>]) -> Result<(), DemonstrationError> {
        for (name, wanted) in held {
            let found = self.stage.id("server.git", name)?;
            let words = format!("the server holds {found:?} as '{name}', not {wanted:?}");
            self.stage.must(&["git", "push"], found.as_deref() == *wanted, &words)?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), DemonstrationError> {
        let stage = &mut self.stage;
        stage.title("What the server holds")?;
        stage.run("", &["git", "ls-remote", "server.git"])?;
        stage.title("Go on by hand")?;
        let folder = stage.folder().to_owned();
        let quoted = |name: &str| quote(&folder.join(name).display().to_string());
        stage.say(&format!(
            "Everything was left in '{}':\n\
             \x20 alice        the repository of Alice\n\
             \x20 server.git   the server's, with the hook in 'hooks/pre-receive'\n\
             \x20 policy.toml  who may sign; after a change 'countersign policy check policy.toml'\n\
             \x20 authority    the authority's keys and log, trusted root and signing config\n\
             \x20 home         the home with the configuration of git\n\
             The authority has ended with this program. To go on, in a shell of its own:",
            folder.display()
        ))?;
        stage.say(&format!(
            "  . {}\n  countersign sandbox serve --state {} --auto-approve {ALICE} &\n  cd {}\n\
             \x20 git commit --allow-empty -m more && git push origin main",
            quoted("environment"),
            quoted("authority"),
            quoted("alice")
        ))?;
        stage.say("This authority vouches for anybody: it is for trials and tests, not for production.")
    }
}

/// What a shell sources to be where the story played.
fn environment(folder: &Path, program: &Path) -> String {
    let programs = program.parent().unwrap_or(Path::new("/")).display().to_string();
    format!(
        "# Source this in a shell of its own: the home becomes that of the demonstration.\n\
         export HOME={}\nexport GIT_CONFIG_NOSYSTEM=1\nexport PATH={}:\"$PATH\"\n\
         unset XDG_CONFIG_HOME GIT_CONFIG_GLOBAL GIT_DIR SIGSTORE_ID_TOKEN\n",
        quote(&folder.join("home").display().to_string()),
        quote(&programs),
    )
}

fn policy(url: &str) -> String {
    format!(
        r#"version = 1
other_refs = "refuse"

[[instance]]
name = "sandbox"
trusted_root = "authority/trusted_root.json"

[identity.alice]
keyless = [
    {{ instance = "sandbox", issuer = "{url}", kind = "email", subject = "{ALICE}" }},
]

[[rule]]
name = "branches"
refs = ["refs/heads/**"]
commits = ["alice"]
create = "allow"
delete = "refuse"
rewind = "refuse"
bases = ["refs/heads/main"]
mode = "enforce"

[[rule]]
name = "tags"
refs = ["refs/tags/**"]
commits = ["alice"]
tags = ["alice"]
create = "allow"
delete = "refuse"
replace_tags = "refuse"
lightweight_tags = "refuse"
nested_tags = "refuse"
misnamed_tags = "refuse"
tags_of_trees_and_blobs = "refuse"
bases = ["refs/heads/main"]
mode = "enforce"
"#
    )
}
