//! Where the agent is, and starting it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::DEFAULT_IDLE;
use crate::{
    agent::{
        client::{Client, ClientError},
        place::Place,
    },
    cli::{Environment, World, settings, signing::Settings},
    repository::{Configuration, Scopes},
    words::Failure,
};

/// How long an agent may take to start.
const START: Duration = Duration::from_secs(10);

/// What an agent takes over from the environment of whoever starts it: where it lies, and the way to the servers and
/// to the user's keyring. No token, and nothing else of the session or job in which it happens to be started.
const INHERITED: [&str; 15] = [
    "DBUS_SESSION_BUS_ADDRESS",
    "HOME",
    "XDG_RUNTIME_DIR",
    "XDG_CACHE_HOME",
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "TMPDIR",
];

/// The user's runtime folder where the system has made one, else the cache folder.
pub(super) fn place(environment: &Environment) -> Result<Place, Failure> {
    let runtime = environment.get("XDG_RUNTIME_DIR").map(Path::new).filter(|path| path.is_absolute());
    let folder = match runtime.filter(|path| path.is_dir()) {
        Some(runtime) => runtime.join("countersign"),
        None => cache(environment).ok_or_else(|| {
            Failure::new("there is no folder for the agent's socket", "set 'XDG_RUNTIME_DIR' or 'HOME'")
        })?,
    };
    Ok(Place::new(folder))
}

/// The folder of the agent's socket, made and private to the user; `None` where that cannot be had.
pub(in crate::cli) fn private_folder(environment: &Environment) -> Option<PathBuf> {
    let place = place(environment).ok()?;
    place.prepare().ok()?;
    place.socket().parent().map(Path::to_owned)
}

fn cache(environment: &Environment) -> Option<PathBuf> {
    let named = |name: &str| environment.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = named("XDG_CACHE_HOME").or_else(|| {
        let home = settings::home(environment).filter(|path| path.is_absolute());
        home.map(|home| home.join(".cache"))
    })?;
    Some(cache.join("countersign/agent"))
}

/// How many seconds an agent stays when it keeps no login and nothing is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idle(u64);

impl Idle {
    /// What `countersign.agentIdle` says.
    pub(super) fn read(configuration: &Configuration) -> Result<Self, Failure> {
        let text = configuration.text("countersign.agentIdle", Scopes::Protected);
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Self(DEFAULT_IDLE)) };
        text.parse().map(Self).map_err(|_| {
            Failure::new(
                format!("'countersign.agentIdle' is '{text}', which is no number of seconds"),
                format!("set it to one, or unset it for {DEFAULT_IDLE}"),
            )
        })
    }
}

/// Talk to the agent, and where none runs start one that stays for so long.
pub(super) fn connect(
    settings: &Settings<'_, '_>,
    place: &Place,
    start: Option<Idle>,
) -> Result<Client, ClientError> {
    let first = Client::connect(place);
    let idle = match (&first, start) {
        (Err(error), Some(idle)) if error.is_absent() => idle,
        _ => return first,
    };
    let Ok(mut agent) = command(settings, idle).spawn() else { return first };
    let deadline = Instant::now() + START;
    loop {
        // One that ends well has found another agent, which may be about to listen.
        let has_failed = match agent.try_wait() {
            Ok(status) => status.is_some_and(|status| !status.success()),
            Err(_) => true,
        };
        let outcome = Client::connect(place);
        match &outcome {
            Err(error) if error.is_absent() && !has_failed && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(5));
            }
            _ => return outcome,
        }
    }
}

/// An agent in a process of its own, which holds nothing of ours: git reads our outputs to their end.
fn command(settings: &Settings<'_, '_>, Idle(idle): Idle) -> Command {
    let world: &World<'_> = settings.world;
    let mut command = Command::new(&world.program);
    command.args(["agent", "run", "--idle", &idle.to_string()]);
    command.env_clear();
    for name in INHERITED {
        if let Some(value) = world.environment.get(name) {
            command.env(name, value);
        }
    }
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::{DEFAULT_IDLE, Idle};
    use crate::repository::Configuration;

    #[test]
    fn how_long_an_agent_stays_is_a_number_of_seconds() {
        let read = |text: &str| Idle::read(&Configuration::parse(text.as_bytes()).unwrap());
        assert_eq!(read("").unwrap().0, DEFAULT_IDLE);
        assert_eq!(read("global\0countersign.agentidle\n60\0").unwrap().0, 60);
        assert_eq!(read("local\0countersign.agentidle\n60\0").unwrap().0, DEFAULT_IDLE);
        for wrong in ["15m", "-1", "soon"] {
            let failure = read(&format!("global\0countersign.agentidle\n{wrong}\0")).unwrap_err();
            assert!(failure.error.contains(&format!("is '{wrong}', which is no number")), "{failure}");
        }
    }
}
