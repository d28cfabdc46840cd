//! The authority on the command line: `serve`, `token` and `demonstrate`.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{
    authority::{Authority, AuthorityError, Options},
    browse::{BrowseError, browse},
    certificate_authority::Identity,
    clock::SystemClock,
    demonstration::{DemonstrationError, demonstrate},
    server::{Running, ServeError},
    trust::{RekorOffer, environment},
};

/// The exit status of a command that could not run.
const COULD_NOT_RUN: u8 = 3;
/// The exit status of a demonstration that did not go as it should.
const NOT_AS_EXPECTED: u8 = 1;
/// The longest answer that `token` reads, in bytes.
const MAXIMUM_ANSWER: u64 = 64 * 1024;

/// Run an embedded Sigstore on this machine, for trials and tests
#[derive(Args, Debug)]
pub struct SandboxArguments {
    #[command(subcommand)]
    command: SandboxCommand,
}

#[derive(Debug, Subcommand)]
enum SandboxCommand {
    /// Serve a login, a certificate authority, transparency logs and timestamps on 127.0.0.1
    Serve(ServeArguments),
    /// Print an identity token of a sandbox, without a login
    Token(TokenArguments),
    /// Show the main job: sign, push, and see what a server turns away, in a folder of its own
    Demonstrate(DemonstrateArguments),
    /// Get a page of this machine, as the browser of the demonstration
    #[command(hide = true)]
    Browse {
        /// The page
        url: String,
    },
}

#[derive(Args, Debug)]
struct ServeArguments {
    /// Keep keys and log entries in this folder [default: in memory]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Listen on this port [default: that of the last run, or any that is free]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// Offer these versions of the transparency log in the signing config
    #[arg(long, value_enum, value_name = "VERSION", default_value_t = RekorVersions::One)]
    rekor: RekorVersions,
    /// Approve every login at once for this e-mail address
    #[arg(long, value_name = "EMAIL")]
    auto_approve: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RekorVersions {
    #[value(name = "1")]
    One,
    #[value(name = "2")]
    Two,
    Both,
}

#[derive(Args, Debug)]
struct TokenArguments {
    /// The address that `serve` printed
    #[arg(long)]
    url: String,
    /// The e-mail address, or the URI, that the token is for
    email: String,
}

#[derive(Args, Debug)]
struct DemonstrateArguments {
    /// Play it in this folder, which must be empty [default: a new one that is kept]
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// A command of the sandbox could not run.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("the sandbox at '{url}' did not give a token: {cause}")]
    Answer { url: String, cause: String },
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    Browse(#[from] BrowseError),
    #[error(transparent)]
    Demonstration(#[from] DemonstrationError),
    #[error("'{url}' is not an address of this machine")]
    Elsewhere { url: String },
    #[error("'{}' could not be written: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Serve(#[from] ServeError),
}

impl CommandError {
    /// What to do next.
    fn hint(&self) -> &'static str {
        match self {
            Self::Answer { .. } => {
                "see that 'countersign sandbox serve' is running and the address is its own"
            }
            Self::Authority(AuthorityError::Identity(_)) => {
                "give --auto-approve an address like you@example.com"
            }
            Self::Authority(_) => "name another folder with --state, or leave it out",
            Self::Browse(_) => "see that the address is one of 'countersign sandbox serve'",
            Self::Demonstration(error) => error.hint(),
            Self::Elsewhere { .. } => "use the address that 'countersign sandbox serve' printed",
            Self::File { .. } => "see that the folder can be written to",
            Self::Serve(_) => "stop what listens on the port, or name another with --port",
        }
    }
}

/// Runs a command of the sandbox; `serve` goes on until it is interrupted. What went wrong with `output` is for whoever
/// gave it to tell.
pub fn run(arguments: SandboxArguments, output: &mut dyn Write) -> u8 {
    let mut say = |text: String| {
        let _ = writeln!(output, "{text}").and_then(|()| output.flush());
    };
    let result = match arguments.command {
        SandboxCommand::Serve(arguments) => serve(&arguments),
        SandboxCommand::Token(arguments) => token(&arguments).map(&mut say),
        SandboxCommand::Demonstrate(arguments) => show(&arguments),
        SandboxCommand::Browse { url } => browse(&url).map(&mut say).map_err(CommandError::from),
    };
    match result {
        Ok(()) => 0,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            anstream::eprintln!("hint: {}", error.hint());
            match error {
                CommandError::Demonstration(DemonstrationError::Unexpected { .. }) => NOT_AS_EXPECTED,
                _ => COULD_NOT_RUN,
            }
        }
    }
}

/// An authority that serves, and where its files are.
struct Started {
    running: Running,
    folder: PathBuf,
    environment: String,
    /// Kept to the end: the folder of an authority that keeps its state in memory.
    _temporary: Option<tempfile::TempDir>,
}

fn serve(arguments: &ServeArguments) -> Result<(), CommandError> {
    let started = start(arguments)?;
    anstream::eprintln!("warning: this is for trials and tests, not for production: it vouches for anybody");
    anstream::eprintln!(
        "Listening on {}; its files are in '{}'",
        started.running.url(),
        started.folder.display()
    );
    anstream::eprintln!("hint: stop it with Ctrl-C");
    // Whoever waits for the text through a pipe gets it now; if nobody does, the server goes on.
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(started.environment.as_bytes()).and_then(|()| stdout.flush());
    drop(stdout);
    loop {
        std::thread::park();
    }
}

fn start(arguments: &ServeArguments) -> Result<Started, CommandError> {
    let options = Options {
        state: arguments.state.clone(),
        clock: Arc::new(SystemClock),
        rekor: match arguments.rekor {
            RekorVersions::One => RekorOffer::V1Only,
            RekorVersions::Two => RekorOffer::V2Only,
            RekorVersions::Both => RekorOffer::V2First,
        },
        auto_approve: arguments.auto_approve.as_deref().map(Identity::from),
    };
    let authority = Authority::new(options)?;
    for log in authority.torn_logs() {
        anstream::eprintln!("warning: the unfinished last line of '{}' was taken away", log.display());
    }
    let running = authority.serve(arguments.port)?;
    let temporary = match &arguments.state {
        Some(_) => None,
        None => Some(temporary_folder()?),
    };
    let folder = match (&arguments.state, &temporary) {
        (Some(folder), _) => folder.as_path(),
        (None, Some(temporary)) => temporary.path(),
        (None, None) => unreachable!("without a state there is a temporary folder"),
    };
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let environment = publish(&running, &folder)?;
    Ok(Started { running, folder, environment, _temporary: temporary })
}

/// Writes the environment, and the trust files where the authority did not write them itself.
fn publish(running: &Running, folder: &Path) -> Result<String, CommandError> {
    let text = environment(running.url(), folder);
    let mut files = running.authority().trust_files();
    files.push(("environment", text.clone()));
    for (name, content) in files {
        let path = folder.join(name);
        std::fs::write(&path, content).map_err(|source| CommandError::File { path, source })?;
    }
    Ok(text)
}

fn temporary_folder() -> Result<tempfile::TempDir, CommandError> {
    let file_error = |source| CommandError::File { path: std::env::temp_dir(), source };
    tempfile::Builder::new().prefix("countersign-sandbox-").tempdir().map_err(file_error)
}

#[expect(clippy::disallowed_methods, reason = "the demonstration starts programs as a shell would")]
fn show(arguments: &DemonstrateArguments) -> Result<(), CommandError> {
    let program = std::env::current_exe()
        .map_err(|source| DemonstrationError::Start { program: "countersign".to_owned(), source })?;
    let mut stdout = std::io::stdout().lock();
    demonstrate(arguments.directory.as_deref(), &program, std::env::var_os("PATH"), &mut stdout)?;
    Ok(())
}

fn token(arguments: &TokenArguments) -> Result<String, CommandError> {
    let url = arguments.url.trim_end_matches('/');
    // An identity is not sent to a machine that has no business with it.
    let parsed = url::Url::parse(url).ok();
    let host = parsed.as_ref().filter(|url| url.scheme() == "http").and_then(url::Url::host_str);
    if !matches!(host, Some("127.0.0.1" | "localhost")) {
        return Err(CommandError::Elsewhere { url: arguments.url.clone() });
    }
    let answer = |cause: String| CommandError::Answer { url: url.to_owned(), cause };
    let body = match Identity::from(arguments.email.as_str()) {
        Identity::Email(email) => json!({"email": email}),
        Identity::Uri(subject) => json!({"subject": subject}),
    };
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut response = agent
        .post(format!("{url}/sandbox/token"))
        .content_type("application/json")
        .send(body.to_string())
        .map_err(|error| answer(error.to_string()))?;
    let text = response
        .body_mut()
        .with_config()
        .limit(MAXIMUM_ANSWER)
        .read_to_string()
        .map_err(|error| answer(error.to_string()))?;
    let value: Value = serde_json::from_str(&text).map_err(|error| answer(error.to_string()))?;
    match (value["token"].as_str(), value["error"].as_str()) {
        (Some(token), _) => Ok(token.to_owned()),
        (None, Some(error)) => Err(answer(error.to_owned())),
        (None, None) => Err(answer(format!("status {}", response.status()))),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser};

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        sandbox: SandboxArguments,
    }

    fn serve_arguments(words: &[&str]) -> ServeArguments {
        let words = ["program", "serve"].iter().chain(words);
        match Program::try_parse_from(words).unwrap().sandbox.command {
            SandboxCommand::Serve(arguments) => arguments,
            _ => panic!("not the command that was typed"),
        }
    }

    #[test]
    fn the_arguments_are_consistent() {
        Program::command().debug_assert();
        assert!(Program::try_parse_from(["program", "serve", "--rekor", "3"]).is_err());
        assert!(Program::try_parse_from(["program", "token", "ada@example.com"]).is_err());
    }

    #[test]
    fn serving_leaves_the_files_that_the_environment_names() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("a folder's name");
        let words = ["--state", folder.to_str().unwrap(), "--rekor", "both"];
        for words in [&words[..], &[]] {
            let started = start(&serve_arguments(words)).unwrap();
            let url = started.running.url();
            assert!(started.environment.contains(&format!("export GITSIGN_REKOR_URL='{url}'\n")));
            let written = std::fs::read_to_string(started.folder.join("environment")).unwrap();
            assert_eq!(written, started.environment);
            for name in
                ["trusted_root.json", "signing_config.json", "fulcio.pem", "tsa.pem", "rekor.pub", "ctfe.pub"]
            {
                assert!(started.folder.join(name).is_file(), "'{name}' is written");
            }
            let config = std::fs::read_to_string(started.folder.join("signing_config.json")).unwrap();
            let config: Value = serde_json::from_str(&config).unwrap();
            let logs = config["rekorTlogUrls"].as_array().unwrap();
            let versions: Vec<_> = logs.iter().map(|log| log["majorApiVersion"].as_u64().unwrap()).collect();
            assert_eq!(versions, if words.is_empty() { vec![1] } else { vec![2, 1] });
        }
    }

    #[test]
    fn a_token_comes_from_a_sandbox_on_this_machine_only() {
        let started = start(&serve_arguments(&[])).unwrap();
        let ask =
            |url: &str, email: &str| token(&TokenArguments { url: url.to_owned(), email: email.to_owned() });
        let url = format!("{}/", started.running.url());
        let given = ask(&url, "ada@example.com").unwrap();
        let identity = started.running.authority().check_id_token(&given).unwrap();
        assert_eq!(identity, Identity::Email("ada@example.com".to_owned()));
        assert!(matches!(ask(&url, "nobody"), Err(CommandError::Answer { .. })));
        for elsewhere in ["http://example.com", "https://127.0.0.1", "file:///etc", "localhost", ""] {
            let refused = ask(elsewhere, "ada@example.com");
            assert!(matches!(refused, Err(CommandError::Elsewhere { .. })), "{elsewhere}");
        }
    }

    #[test]
    fn a_port_that_is_taken_is_reported() {
        let started = start(&serve_arguments(&[])).unwrap();
        let port = started.running.url().rsplit_once(':').unwrap().1;
        let Err(error) = start(&serve_arguments(&["--port", port])) else { panic!("two on one port") };
        assert!(matches!(error, CommandError::Serve(ServeError::Bind { .. })), "{error}");
    }
}
