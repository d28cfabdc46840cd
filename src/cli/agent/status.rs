//! Being the agent, and looking after it.

use std::{os::fd::AsFd as _, time::Duration};

use super::{afar, place};
use crate::{
    agent::{
        client::{Client, ClientError},
        place::PlaceError,
        protocol::{Answer, ForwardStatus, Request, Status},
        server::{self, Options, ServeError},
    },
    cli::{Outcome, World, exit, settings, signing},
    identity::{Keyring, KeyringError, with_keyring},
    words::{self, Failure},
};

/// What is said where none runs.
const NONE: &str = "no agent is running\n";

/// How long the user may take to unlock the keyring, where there may be something in it.
const UNLOCKING: Duration = Duration::from_secs(60);
/// How long a keyring is waited for in which nothing should be.
const LOOKING: Duration = Duration::from_secs(5);

/// Be the agent.
pub(super) fn serve(world: &mut World<'_>, idle: u64, socket_activated: bool) -> Outcome {
    server::withdraw();
    let place = place::place(&world.environment)?;
    let inherited = if socket_activated {
        // The one descriptor that can be taken over without trusting its number.
        let socket = std::io::stdin().as_fd().try_clone_to_owned();
        Some(socket.map_err(|error| unable(&ServeError::Inherited(error)))?)
    } else {
        None
    };
    let options = Options { idle: Duration::from_secs(idle), clock: world.clock };
    match server::serve(&place, inherited, options) {
        Ok(()) => Ok(exit::GOOD),
        Err(ServeError::Place(PlaceError::Busy)) => {
            world.complain("another agent is running\n");
            Ok(exit::GOOD)
        }
        Err(error) => Err(unable(&error)),
    }
}

fn unable(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        error,
        "the folder of its socket has to be yours alone: 'chmod go-rwx' it, or remove it and try again",
    )
}

/// Ask the agent something; `None` where none runs.
fn ask(world: &World<'_>, request: &Request) -> Result<Option<Answer>, Failure> {
    let place = place::place(&world.environment)?;
    match Client::connect(&place).and_then(|client| client.manage(request)) {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error @ ClientError::Place(_)) => Err(unable(&error)),
        Err(error) => Err(Failure::new(error, "end it with 'countersign agent stop', or by its process")),
    }
}

/// How many logins the agent keeps; `None` where none runs.
pub(in crate::cli) fn kept(world: &World<'_>) -> Result<Option<usize>, Failure> {
    match ask(world, &Request::Status {})? {
        None => Ok(None),
        Some(Answer::Status(status)) => Ok(Some(status.keys.len())),
        Some(_) => Err(unexpected()),
    }
}

fn unexpected() -> Failure {
    Failure::new(ClientError::Unexpected, "end it with 'countersign agent stop', or by its process")
}

/// Say what is kept and what was signed.
pub(super) fn show(world: &mut World<'_>, json: bool) -> Outcome {
    let status = match ask(world, &Request::Status {})? {
        None => {
            let forwarded = afar::terms(world);
            if json {
                let forwarded = forwarded.as_ref().ok().and_then(Option::as_ref);
                let json = serde_json::json!({ "version": 1, "running": false, "forwarded": forwarded });
                world.say(&format!("{json}\n"));
            } else {
                world.say(NONE);
            }
            return match forwarded? {
                Some(_) if json => Ok(exit::GOOD),
                Some(forward) => {
                    world.say(&format!("one is forwarded to here {}\n", terms(&forward)));
                    Ok(exit::GOOD)
                }
                None => Ok(exit::BAD),
            };
        }
        Some(Answer::Status(status)) => status,
        Some(_) => return Err(unexpected()),
    };
    let text = if json { as_json(&status) } else { as_text(&status) };
    world.say(&text);
    Ok(exit::GOOD)
}

fn as_json(status: &Status) -> String {
    let keys: Vec<_> = status
        .keys
        .iter()
        .map(|key| {
            serde_json::json!({
                "instance": key.instance,
                "identity": key.holder.name(),
                "issuer": key.holder.issuer,
                "until": key.holder.not_after,
                "signatures": key.signatures,
            })
        })
        .collect();
    let signed = &status.signed;
    let json = serde_json::json!({
        "version": 1,
        "running": true,
        "process": status.process,
        "host": status.host,
        "since": status.since,
        "keyring": status.keyring,
        "logins": keys,
        "forwards": status.forwards,
        "signatures": status.signatures,
        "signed": signed,
    });
    format!("{json}\n")
}

/// On what terms it is forwarded.
fn terms(forward: &ForwardStatus) -> String {
    let asks = if forward.asks { ", each asked for" } else { "" };
    format!(
        "with '{}' until {}; signatures: {}, and {} more{asks}",
        words::escape(&forward.instance),
        words::time(forward.until),
        forward.made,
        forward.left
    )
}

fn as_text(status: &Status) -> String {
    let mut text = format!(
        "agent on '{}', process {}, since {}\n",
        words::escape(&status.host),
        status.process,
        words::time(status.since)
    );
    if let Some(reason) = &status.keyring {
        text += &format!("no refresh token is used: {}\n", words::escape(reason));
    }
    if status.keys.is_empty() {
        text += "it keeps no login\n";
    }
    for key in &status.keys {
        text += &format!(
            "login of '{}' (issuer '{}', instance '{}') until {}; signatures: {}\n",
            words::escape(key.holder.name()),
            words::escape(&key.holder.issuer),
            words::escape(&key.instance),
            words::time(key.holder.not_after),
            key.signatures,
        );
    }
    for forward in &status.forwards {
        text += &format!("forwarded to '{}' {}\n", words::escape(&forward.host), terms(forward));
    }
    for record in &status.signed {
        let process = record.process.map(|process| format!(", process {process}")).unwrap_or_default();
        text += &format!(
            "{} {} {} by '{}' with '{}' for '{}'{process}\n",
            words::time(record.time),
            record.kind.name(),
            words::escape(&record.about),
            words::escape(&record.identity),
            words::escape(&record.instance),
            words::escape(&record.host),
        );
    }
    text
}

/// Forget every login; `logout` forgets the refresh tokens in the keyring too.
pub(in crate::cli) fn lock(world: &mut World<'_>, logout: bool) -> Outcome {
    let text = match ask(world, &Request::Lock { logout })? {
        None => NONE.to_owned(),
        Some(Answer::Done { forgotten }) => format!("logins forgotten: {forgotten}\n"),
        Some(_) => return Err(unexpected()),
    };
    world.say(&text);
    if logout {
        forget_refresh_tokens(world)?;
    }
    Ok(exit::GOOD)
}

/// Remove the refresh tokens, also where no agent runs. Where none are wanted, a keyring that cannot be asked is no
/// failure.
fn forget_refresh_tokens(world: &World<'_>) -> Result<(), Failure> {
    let configuration = settings::configuration(world)?;
    let are_kept = signing::keeps_refresh_tokens(&configuration)?;
    let Err(error) = with_keyring(if are_kept { UNLOCKING } else { LOOKING }, Keyring::clear) else {
        return Ok(());
    };
    if !are_kept || matches!(error, KeyringError::Unavailable(_)) {
        return Ok(());
    }
    Err(Failure::new(
        format!("the refresh tokens cannot be removed: {error}"),
        "remove what is called 'countersign' from the keyring by hand",
    ))
}

/// Forget every login, and end the agent.
pub(super) fn stop(world: &mut World<'_>) -> Outcome {
    let text = match ask(world, &Request::Stop {})? {
        None => NONE.to_owned(),
        Some(Answer::Done { .. }) => "the agent has ended\n".to_owned(),
        Some(_) => return Err(unexpected()),
    };
    world.say(&text);
    Ok(exit::GOOD)
}
