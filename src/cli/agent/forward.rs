//! `countersign agent forward`: signatures that are asked for on another machine, over ssh.
//!
//! Two calls of ssh: one asks the far end where the socket belongs, the other carries it and the user's session.
//! What the far end says becomes part of ssh's command line, so of all paths only plain ones are taken.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use super::{
    asking,
    place::{self, Idle},
};
use crate::{
    agent::protocol::{Question, Terms},
    cli::{
        Outcome, World, consent, exit, settings,
        signing::{self, Settings},
    },
    key::program::{self, ProgramError},
    words::{self, Failure},
};

/// How long the user may think about a question.
const THOUGHT: Duration = Duration::from_secs(120);
/// The longest path that a socket may have, in bytes (`sun_path`, less the zero at its end).
const MAXIMUM_PATH: usize = 103;
/// The most that the far end may say when it is asked where the socket belongs, in bytes.
const MAXIMUM_WORDS: u64 = 64 * 1024;
/// How long it may take to say so; a person may have to give a password first.
const ANSWER: Duration = Duration::from_secs(300);
/// What ssh(1) exits with where it is ssh that has failed.
const SSH_FAILED: i32 = 255;

/// Have another machine ask for signatures over ssh, so many and for so long
#[derive(Args, Debug)]
#[cfg_attr(not(unix), allow(dead_code, reason = "they can be typed everywhere"))]
pub struct ForwardArguments {
    /// How many signatures may be asked for there
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    signatures: u32,
    /// For how many minutes
    #[arg(long, value_name = "NUMBER", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=720))]
    minutes: u32,
    /// Ask here before each signature
    #[arg(long)]
    ask: bool,
    /// The instance to sign with, if not the configured one
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// Run nothing there
    #[arg(short = 'N', long)]
    no_command: bool,
    /// The socket's path there, so that nobody is asked for it
    #[arg(long, value_name = "PATH")]
    socket: Option<String>,
    /// An option of ssh's, as in ssh_config(5)
    #[arg(short = 'o', value_name = "OPTION")]
    options: Vec<OsString>,
    /// ssh's configuration file
    #[arg(short = 'F', value_name = "FILE")]
    file: Option<OsString>,
    /// The machine, as ssh knows it
    host: String,
    /// What to run there instead of a shell
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, conflicts_with = "no_command")]
    command: Vec<OsString>,
}

/// How the user is asked.
enum Asking {
    /// Nobody is.
    Not,
    /// By a program of the kind of ssh-askpass(1).
    Program(PathBuf),
    /// At the terminal, which nobody else uses.
    Terminal,
}

/// Forward, until the session there ends.
pub(super) fn run(world: &mut World<'_>, arguments: &ForwardArguments) -> Outcome {
    if arguments.host.starts_with('-') || arguments.host.is_empty() {
        return Err(Failure::new(format!("'{}' is no machine", arguments.host), "name it as ssh knows it"));
    }
    let configuration = settings::configuration(world)?;
    let asking = asking(world, &configuration, arguments)?;
    let settings = Settings { world, configuration: &configuration };
    let name = arguments.instance.as_deref().unwrap_or_else(|| signing::instance_name(&configuration));
    let access = settings.access(name)?;
    let demands = settings.demands()?;
    let terms = Terms {
        host: arguments.host.clone(),
        wanted: asking::wanted(&access, &demands, None),
        demands,
        signatures: arguments.signatures,
        seconds: arguments.minutes.saturating_mul(60),
        asks: arguments.ask,
    };
    let far = match &arguments.socket {
        Some(path) => path.clone(),
        None => ask_for_place(world, arguments)?,
    };
    let far = plain(&far, "the other machine's socket")?;
    let place = place::place(&world.environment)?;
    let client = place::connect(&settings, &place, Some(Idle::read(&configuration)?))
        .map_err(|error| asking::unusable(&format!("the agent: {}", asking::told(&error))))?;
    let opened = client.forward(terms).map_err(|error| asking::unusable(&error))?;
    let (near, forwarding) = opened.map_err(|reason| {
        Failure::new(format!("the agent does not forward: {reason}"), "see 'countersign agent status'")
    })?;
    let near = plain(&near, "the agent's socket")?;
    // The agent closes the socket when this process ends, however it does.
    thread::spawn(move || {
        let ended = forwarding.attend(|question| ask(&asking, question));
        let reason = ended.unwrap_or_else(|error| error.to_string());
        // The session there goes on; ssh may have made the terminal raw.
        eprint!(
            "\r\ncountersign: nothing more is signed for the other machine: {}\r\n",
            words::escape(&reason)
        );
    });
    let mut ssh = ssh(world, arguments)?;
    ssh.arg("-R").arg(format!("{far}:{near}")).args(["-o", "ExitOnForwardFailure=yes"]);
    if arguments.no_command {
        ssh.arg("-N");
    }
    ssh.arg("--").arg(&arguments.host).args(&arguments.command);
    let status = ssh.status().map_err(|error| no_ssh(&error))?;
    match status.code() {
        Some(0) => Ok(exit::GOOD),
        Some(SSH_FAILED) | None => Err(Failure::new(
            "ssh has not carried the socket",
            "its words stand above; the other machine's sshd has to allow 'AllowStreamLocalForwarding'",
        )),
        // What was run there has the word.
        Some(code) => Ok(u8::try_from(code).unwrap_or(exit::COULD_NOT_RUN)),
    }
}

fn ssh(world: &World<'_>, arguments: &ForwardArguments) -> Result<Command, Failure> {
    let program = program::find(world.environment.get("PATH").unwrap_or_default(), "ssh");
    let mut ssh = Command::new(program.ok_or_else(|| no_ssh(&"there is none in the folders of 'PATH'"))?);
    if let Some(file) = &arguments.file {
        ssh.arg("-F").arg(file);
    }
    for option in &arguments.options {
        ssh.arg("-o").arg(option);
    }
    Ok(ssh)
}

fn no_ssh(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("ssh cannot be run: {error}"), "install OpenSSH's client, or put it into PATH")
}

/// Ask the far end where the socket belongs.
fn ask_for_place(world: &World<'_>, arguments: &ForwardArguments) -> Result<String, Failure> {
    let mut ssh = ssh(world, arguments)?;
    // What it reads is nothing; a password it asks for at the terminal.
    ssh.arg("-T").arg("--").arg(&arguments.host).arg("countersign agent place").stderr(Stdio::inherit());
    let silent = |reason: &dyn std::fmt::Display| {
        Failure::new(
            format!("'{}' does not say where the socket belongs{reason}", arguments.host),
            "see what ssh says above; countersign has to be installed there and be found in PATH, or name a path in \
             a folder of yours alone there with '--socket'",
        )
    };
    let said = program::listen(ssh, Vec::new(), MAXIMUM_WORDS, ANSWER).map_err(|error| match error {
        ProgramError::System(error) => no_ssh(&error),
        other => silent(&format!(": {other}")),
    })?;
    if !said.is_success {
        return Err(silent(&""));
    }
    // Whatever a shell's start-up has printed stands before.
    let text = String::from_utf8_lossy(&said.text);
    Ok(text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned())
}

/// A path that means nothing else to ssh: absolute, short, and of plain characters.
fn plain(path: &str, what: &str) -> Result<String, Failure> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@".contains(&byte);
    let is_good = path.starts_with('/') && path.len() <= MAXIMUM_PATH && path.bytes().all(is_plain);
    if is_good && !Path::new(path).components().any(|part| part.as_os_str() == "..") {
        return Ok(path.to_owned());
    }
    let shown: String = path.chars().take(2 * MAXIMUM_PATH).collect();
    Err(Failure::new(
        format!("'{shown}' is no path for {what} that ssh can be given"),
        format!("it has to be absolute, of at most {MAXIMUM_PATH} letters, digits and '/._-+@'"),
    ))
}

/// How to ask, where that is wanted.
fn asking(
    world: &World<'_>,
    configuration: &crate::repository::Configuration,
    arguments: &ForwardArguments,
) -> Result<Asking, Failure> {
    if !arguments.ask {
        return Ok(Asking::Not);
    }
    if let Some(program) = settings::path(world, configuration, "countersign.askPass")? {
        return Ok(Asking::Program(program));
    }
    let path = world.environment.get("PATH").unwrap_or_default();
    if let Some(named) = world.environment.get("SSH_ASKPASS").map(Path::new) {
        // As ssh has it: a name alone is looked for. A path that begins where this runs could be anybody's.
        let found = match named.to_str() {
            Some(name) if named.components().count() == 1 && !named.is_absolute() => {
                program::find(path, name)
            }
            _ => Some(named.to_owned()).filter(|program| program.is_absolute()),
        };
        return found.map(Asking::Program).ok_or_else(|| {
            Failure::new(
                format!("'{}' in 'SSH_ASKPASS' is no program to ask with", named.display()),
                "name its whole path there, or in 'countersign.askPass'",
            )
        });
    }
    if arguments.no_command && crate::cli::login::has_terminal() {
        return Ok(Asking::Terminal);
    }
    match program::find(path, "ssh-askpass") {
        Some(program) => Ok(Asking::Program(program)),
        None => Err(Failure::new(
            "there is no way to ask: the session on the other machine has the terminal",
            "name a program such as ssh-askpass in 'countersign.askPass', or give '-N' and have the session elsewhere",
        )),
    }
}

/// Ask the user; yes only in so many words, or as a program's success.
fn ask(asking: &Asking, question: &Question) -> bool {
    let Question { host, kind, about, address, title } = question;
    let text = format!(
        "'{}' asks for a signature of the {} {} by '{}': {}",
        words::escape(host),
        kind.name(),
        words::escape(about),
        words::escape(address),
        words::escape(title),
    );
    match asking {
        Asking::Not => false,
        Asking::Terminal => {
            consent::ask(&format!("countersign: {text}\ncountersign: sign it? [y/N] "), THOUGHT)
                .unwrap_or(false)
        }
        Asking::Program(program) => confirmed_by(program, &format!("{text}\n\nSign it?")).unwrap_or(false),
    }
}

/// What a program of the kind of ssh-askpass(1) says to a question that it is told to be one (ssh-add(1), `-c`).
fn confirmed_by(program: &Path, text: &str) -> std::io::Result<bool> {
    let mut command = Command::new(program);
    command.arg(text).env("SSH_ASKPASS_PROMPT", "confirm");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let deadline = Instant::now() + THOUGHT;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn no_path_of_the_other_machine_means_anything_else_to_ssh() {
        for good in ["/run/user/1000/countersign/forwarded-0.sock", "/home/a.b/.cache/c+d@e_f/x.sock"] {
            assert_eq!(plain(good, "it").unwrap(), good);
        }
        let long = format!("/{}", "x".repeat(103));
        for bad in [
            "",
            "relative/x.sock",
            "8080:localhost:22",
            "/x:localhost:22",
            "/x.sock /etc/passwd",
            "/x\n-oProxyCommand=evil",
            "-oProxyCommand=evil",
            "/run/../etc/x",
            "/run/%r",
            "/run/$HOME",
            long.as_str(),
        ] {
            assert!(plain(bad, "it").is_err(), "{bad:?}");
        }
    }
}
