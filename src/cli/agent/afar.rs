//! Signing through an agent elsewhere, whose socket ssh has brought here; and where such a socket belongs.
//!
//! Nothing but the payload, the name of the instance and what is demanded of the identity goes there: no token,
//! no server, and no login is begun because somebody there asks for it. What comes back is verified here as if
//! it had been made here.

use std::path::Path;

use super::{asking, place};
use crate::{
    agent::{
        client::{Client, ClientError},
        place::{Place, PlaceError},
        protocol::{Answer, Cause, ForwardStatus, Request},
    },
    cli::{
        Environment, Outcome, World, exit,
        signing::{Access, Settings},
    },
    identity::Demands,
    words::Failure,
};

/// The variable that names a forwarded socket.
const SOCKET: &str = "COUNTERSIGN_AGENT_SOCKET";

/// What became of asking elsewhere.
pub(super) enum Afar {
    /// It has signed; nobody has checked that yet.
    Signed(Vec<u8>),
    /// It has not; why, where there is something to say.
    Without(Option<Failure>),
}

/// Have an agent elsewhere sign `payload`, if one was forwarded to here.
pub(super) fn sign(
    settings: &Settings<'_, '_>,
    access: &Access,
    demands: &Demands,
    payload: &[u8],
) -> Result<Afar, Failure> {
    let client = match connect(&settings.world.environment) {
        Ok(Some((client, _))) => client,
        Ok(None) => return Ok(Afar::Without(None)),
        Err(failure) => return Ok(Afar::Without(Some(failure))),
    };
    let request = Request::SignAfar { instance: access.instance.clone(), demands: demands.clone() };
    Ok(match client.ask_afar(&request, payload) {
        Ok((Answer::Signed { .. }, armor)) => Afar::Signed(armor),
        Ok((Answer::Refused { cause: Cause::Denied, reason }, _)) => {
            return Err(Failure::new(
                format!("the forwarded agent does not sign: {reason}"),
                "nothing was written",
            ));
        }
        Ok((Answer::Refused { cause: Cause::NoKey, reason }, _)) => Afar::Without(Some(Failure::new(
            format!("the forwarded agent is passed over: {reason}"),
            "run 'countersign login' on the machine from which it is forwarded",
        ))),
        Ok((
            Answer::Refused {
                cause: cause @ (Cause::Identity | Cause::Services | Cause::ServicesPassing),
                reason,
            },
            _,
        )) => {
            return Err(asking::refusal(cause, &reason));
        }
        Ok((Answer::Refused { reason, .. }, _)) => Afar::Without(Some(passed_over(&reason))),
        Ok(_) => Afar::Without(Some(passed_over(&ClientError::Unexpected))),
        Err(error) => Afar::Without(Some(passed_over(&error))),
    })
}

fn passed_over(reason: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        format!("the forwarded agent is passed over: {reason}"),
        "see 'countersign agent status' on the machine from which it is forwarded",
    )
}

/// The socket that was forwarded to here: the one that the environment names, else one in the agent's folder.
fn connect(environment: &Environment) -> Result<Option<(Client, Place)>, Failure> {
    let unusable = |path: &Path, error: &dyn std::fmt::Display| {
        Failure::new(
            format!("the forwarded agent at '{}' is passed over: {error}", path.display()),
            format!("forward it again with 'countersign agent forward', or unset '{SOCKET}'"),
        )
    };
    if let Some(path) = environment.get(SOCKET).map(Path::new) {
        let place = Place::at(path).ok_or_else(|| unusable(path, &"the path is not absolute"))?;
        let client = Client::connect(&place).map_err(|error| unusable(path, &error))?;
        return Ok(Some((client, place)));
    }
    for place in place::place(environment)?.forwarded() {
        match Client::connect(&place) {
            Ok(client) => return Ok(Some((client, place))),
            Err(error) if error.is_absent() => {}
            Err(error) => return Err(unusable(&place.socket(), &error)),
        }
    }
    Ok(None)
}

/// On what terms signatures may be asked for through a socket that was forwarded to here; `None` where none was.
pub(in crate::cli) fn terms(world: &World<'_>) -> Result<Option<ForwardStatus>, Failure> {
    let Some((client, place)) = connect(&world.environment)? else { return Ok(None) };
    let unusable = |error: &dyn std::fmt::Display| {
        Failure::new(
            format!("the forwarded agent at '{}' cannot be asked: {error}", place.socket().display()),
            "forward it again with 'countersign agent forward'",
        )
    };
    match client.ask_afar(&Request::Terms {}, &[]) {
        Ok((Answer::Terms(status), _)) => Ok(Some(status)),
        Ok(_) => Err(unusable(&ClientError::Unexpected)),
        Err(error) => Err(unusable(&error)),
    }
}

/// Say where a socket belongs that is being forwarded to here, and make room for it.
pub(super) fn show_place(world: &mut World<'_>) -> Outcome {
    let unusable = |error: PlaceError| {
        Failure::new(error, "the folder has to be yours alone: 'chmod go-rwx' it, or remove it and try again")
    };
    let place = place::place(&world.environment)?;
    place.prepare().map_err(unusable)?;
    for place in place.forwarded() {
        match Client::connect(&place) {
            Err(error) if error.is_absent() => {
                // What an earlier session has left behind is in ssh's way.
                place.clear().map_err(unusable)?;
                world.say(&format!("{}\n", place.socket().display()));
                return Ok(exit::GOOD);
            }
            _ => {}
        }
    }
    Err(Failure::new(
        "there are as many forwarded agents here as can be",
        "end one of the sessions that carry them",
    ))
}
