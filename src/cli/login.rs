//! `countersign login`, and how a person logs in whenever a signature needs it: browser, then device code.
//!
//! git reads both of our output streams: words for the person go to the terminal itself.

use std::{
    fs,
    io::{self, Write as _},
    time::Duration,
};

use clap::Args;

use super::{
    Outcome, World, agent, exit, settings,
    signing::{self, Access, Settings},
};
use crate::{
    identity::{self, AmbientError, CHOICES, IdentityError, Login, LoginError, Notice, Prompter, Token},
    service::http::{Http, HttpError},
    sign::{Logging, SigningPlan},
    words::{self, Failure},
};

/// How long a device code is waited for.
const DEVICE: Duration = Duration::from_secs(300);

/// Log in now, so that signatures of the next minutes need no login
#[derive(Args, Debug)]
pub struct LoginArguments {
    /// The instance to sign with, if not the configured one
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// With a code to type on any device, instead of a browser here
    #[arg(long)]
    device: bool,
}

/// Log in, and let the agent keep it.
pub(super) fn run(world: &mut World<'_>, arguments: &LoginArguments) -> Outcome {
    let configuration = settings::configuration(world)?;
    let settings = Settings { world, configuration: &configuration };
    let name = arguments.instance.as_deref().unwrap_or_else(|| signing::instance_name(&configuration));
    let mut access = settings.access(name)?;
    if arguments.device && access.options.login.is_some() {
        access.options.login = Some(Login::Device { wait: DEVICE });
    }
    let found = access.find(world.now)?;
    let demands = settings.demands()?;
    let text = match agent::open(&settings, &mut access, &demands, found.as_ref())? {
        agent::Opened::Needless(name) => {
            format!("nobody has to log in: the identity here is '{}'\n", words::escape(&name))
        }
        agent::Opened::Kept(holder) => format!(
            "logged in as '{}' (issuer '{}', instance '{}') until {}\n",
            words::escape(holder.name()),
            words::escape(&holder.issuer),
            words::escape(name),
            words::time(holder.not_after),
        ),
    };
    world.say(&text);
    Ok(exit::GOOD)
}

/// Why nobody can be signed as, in words.
pub(super) fn no_identity(error: IdentityError) -> Failure {
    let hint = match &error {
        IdentityError::Ambient(AmbientError::Ambiguous { .. }) => {
            format!("set 'countersign.ambient' to one of {CHOICES}")
        }
        IdentityError::Ambient(_) => {
            "or do without the surroundings: set 'countersign.ambient' to none".to_owned()
        }
        _ => "log in where a browser can open, or give a token in 'SIGSTORE_ID_TOKEN'".to_owned(),
    };
    Failure::new(error, hint)
}

/// Have a person log in: in a browser, and where none comes up with a device code. Nobody is asked before
/// the servers have answered at all.
pub(super) fn log_in(world: &World<'_>, access: &mut Access) -> Result<Token, Failure> {
    let wait = match &access.options.login {
        None => {
            let failure = no_identity(IdentityError::NoSource);
            let missing = identity::missing(&access.environment.variables);
            return Err(missing.into_iter().fold(failure, Failure::hint));
        }
        Some(Login::Browser(browser)) => browser.wait,
        Some(Login::Device { wait }) => *wait,
    };
    check_network(&access.http, &access.plan)?;
    let attempt = |access: &Access, wait| {
        let Access { http, options, environment, .. } = access;
        identity::log_in(http, options, environment, &Terminal { wait }, (world.clock)())
    };
    let first = attempt(access, wait);
    let Err(IdentityError::Login(LoginError::NoWayToAsk(_) | LoginError::Listener(_))) = &first else {
        return first.map_err(no_identity);
    };
    if !has_terminal() {
        return first.map_err(no_identity);
    }
    // No browser here: one anywhere will do, or else this one by hand.
    let browser = access.options.login.replace(Login::Device { wait: DEVICE });
    match attempt(access, DEVICE) {
        Err(IdentityError::Login(LoginError::DeviceUnsupported(_))) => {}
        outcome => return outcome.map_err(no_identity),
    }
    access.options.login = browser;
    if let Some(Login::Browser(browser)) = &mut access.options.login {
        browser.may_be_opened_by_hand = true;
    }
    attempt(access, wait).map_err(no_identity)
}

/// Whether authority and logs answer at all: a login that leads nowhere would be for nothing.
fn check_network(http: &Http, plan: &SigningPlan) -> Result<(), Failure> {
    let reach = |url: &str| -> Result<(), HttpError> { http.get(url).map(drop) };
    let logs = if plan.logging == Logging::Required { plan.logs.as_slice() } else { &[] };
    let reached = std::thread::scope(|scope| {
        let asked: Vec<_> = logs.iter().map(|log| scope.spawn(|| reach(&log.url))).collect();
        let authority = reach(&plan.fulcio);
        let answer = |asked: std::thread::ScopedJoinHandle<'_, _>| {
            asked.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        let logs: Result<(), HttpError> = asked.into_iter().try_for_each(answer);
        authority.and(logs)
    });
    reached.map_err(|error| {
        Failure::new(
            format!("nobody was asked to log in, for nothing could be signed: {error}"),
            "nothing was written; check 'countersign.instance' and the network",
        )
    })
}

/// How the user wants logins to be kept.
#[cfg(unix)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeping {
    /// Every identity goes through the agent, a given token too.
    Always,
    /// A person's login does.
    Auto,
    /// None does.
    Off,
}

#[cfg(unix)]
impl Keeping {
    /// What `countersign.agent` says.
    pub(super) fn read(settings: &Settings<'_, '_>) -> Result<Self, Failure> {
        match settings.configuration.text("countersign.agent", crate::repository::Scopes::Protected) {
            None | Some("" | "auto") => Ok(Self::Auto),
            Some("always") => Ok(Self::Always),
            Some("off") => Ok(Self::Off),
            Some(other) => Err(Failure::new(
                format!("'countersign.agent' is '{other}', which it cannot be"),
                "set it to auto, always or off",
            )),
        }
    }
}

/// The person's own terminal.
struct Terminal {
    /// How long the person is waited for.
    wait: Duration,
}

fn open_terminal() -> io::Result<fs::File> {
    fs::OpenOptions::new().write(true).open("/dev/tty")
}

/// Whether there is a terminal to tell somebody something on.
pub(super) fn has_terminal() -> bool {
    open_terminal().is_ok()
}

/// Tell the person at the terminal something that nobody else would.
pub(super) fn tell_terminal(text: &str) -> io::Result<()> {
    open_terminal()?.write_all(text.as_bytes())
}

impl Prompter for Terminal {
    fn show(&self, notice: Notice<'_>) -> io::Result<()> {
        let seconds = self.wait.as_secs();
        tell_terminal(&match notice {
            Notice::Browser { url } => {
                format!(
                    "countersign: log in with your browser within {seconds} seconds; if none opens, go to\n  {}\n",
                    words::escape(url.as_str())
                )
            }
            Notice::Device { url, code, complete } => {
                let link = complete.map(|link| format!(" (or {})", words::escape(link))).unwrap_or_default();
                format!(
                    "countersign: to log in within {seconds} seconds, go to\n  {}{link}\nand enter the code {}\n",
                    words::escape(url),
                    words::escape(code)
                )
            }
        })
    }
}
