//! Signing through the agent, and logging in for it when it asks.

use std::time::Duration;

use super::{
    Opened, Through,
    afar::{self, Afar},
    place::{self, Idle},
};
use crate::{
    agent::{
        client::{ClientError, Guest},
        payload::Signable,
        protocol::{Answer, Ask, Cause, Refreshing, Request, Secret, Source, Wanted},
    },
    cli::{
        login::{self, Keeping, tell_terminal},
        signing::{Access, Settings, sign_failure},
    },
    identity::{Claims, Demands, Token},
    sign::SignError,
    words::{self, Failure},
};
use zeroize::Zeroizing;

/// How long somebody else's login is waited for, in seconds: as long as such a login may take.
const PATIENCE: u32 = 300;

/// Have the agent sign `payload`. Started where a person would have to log in; `found` is an identity that is
/// at hand without one, and goes through the agent only where the user wants that. `signable` is what the payload is,
/// if it is something that git has signed.
pub(in crate::cli) fn sign(
    settings: &Settings<'_, '_>,
    access: &mut Access,
    demands: &Demands,
    found: Option<&Token>,
    payload: &[u8],
    signable: Option<&Signable<'_>>,
) -> Result<Through, Failure> {
    let without = |token, warning| Ok(Through::Without { token, warning });
    match Keeping::read(settings)? {
        Keeping::Off => return without(None, None),
        Keeping::Auto if found.is_some() => return without(None, None),
        _ => {}
    }
    // What git would not have signed, nobody needs an agent for.
    let Some(signable) = signable else { return without(None, None) };
    // An identity that is at hand does not leave this machine.
    let mut earlier = None;
    if found.is_none() {
        match afar::sign(settings, access, demands, payload)? {
            Afar::Signed(armor) => return Ok(Through::Signed { armor, holder: None, warning: None }),
            Afar::Without(warning) => earlier = warning,
        }
    }
    let without = |token, warning: Option<Failure>| {
        Ok(Through::Without { token, warning: warning.or_else(|| earlier.clone()) })
    };
    let may_start = found.is_some() || access.options.login.is_some();
    let start = if may_start { Some(Idle::read(settings.configuration)?) } else { None };
    let place = match place::place(&settings.world.environment) {
        Ok(place) => place,
        Err(failure) => return without(None, Some(failure)),
    };
    let request = Request::Sign(ask(access, demands, found));
    let mut person = Person { settings, access, demands, address: Some(signable.address), outcome: None };
    let mut attempt = || {
        let client = place::connect(settings, &place, start)?;
        client.ask(&request, payload, Duration::from_secs(PATIENCE.into()), &mut person)
    };
    // One that was just ending is followed by the next.
    let answer = match attempt() {
        Err(ClientError::Unheard) => attempt(),
        outcome => outcome,
    };
    let outcome = person.outcome;
    match (answer, outcome) {
        (Ok((Answer::Signed { holder, announce }, armor)), _) => {
            if announce {
                let _ = tell_terminal(&format!(
                    "countersign: the login ends at {}; if more is to be signed, you will be asked for another one\n",
                    words::time(holder.not_after)
                ));
            }
            Ok(Through::Signed { armor, holder: Some(holder), warning: earlier })
        }
        // A person who has said no, or was not there, is not asked again.
        (_, Some(Err(failure))) => Err(failure),
        (Ok((Answer::Refused { cause, reason }, _)), outcome) => match cause {
            Cause::NoKey => without(None, None),
            Cause::Expired | Cause::Malformed | Cause::Payload | Cause::Restricted | Cause::Unavailable => {
                without(token(outcome), Some(passed_over(&reason)))
            }
            _ => Err(refusal(cause, &reason)),
        },
        (Ok(_), outcome) => without(token(outcome), Some(passed_over(&ClientError::Unexpected))),
        (Err(error), _) if error.is_absent() && !may_start => without(None, None),
        (Err(error), outcome) => without(token(outcome), Some(passed_over(&told(&error)))),
    }
}

/// Log in now, for the agent to keep.
pub(in crate::cli) fn open(
    settings: &Settings<'_, '_>,
    access: &mut Access,
    demands: &Demands,
    found: Option<&Token>,
) -> Result<Opened, Failure> {
    let keeping = Keeping::read(settings)?;
    if let (Some(found), Keeping::Auto | Keeping::Off) = (found, keeping) {
        return Ok(Opened::Needless(found.claims().name().to_owned()));
    }
    if keeping == Keeping::Off {
        return Err(Failure::new(
            "nothing would keep the login: 'countersign.agent' is off",
            "set it to auto with 'git config --global countersign.agent auto'",
        ));
    }
    if let Some(found) = found {
        settings.consider(access, demands, found.claims(), None)?;
    }
    let place = place::place(&settings.world.environment)?;
    let client = place::connect(settings, &place, Some(Idle::read(settings.configuration)?))
        .map_err(|error| unusable(&format!("the agent: {}", told(&error))))?;
    let request = Request::Open(ask(access, demands, found));
    let mut person = Person { settings, access, demands, address: None, outcome: None };
    let answer = client.ask(&request, &[], Duration::from_secs(PATIENCE.into()), &mut person);
    match (answer, person.outcome) {
        (Ok((Answer::Opened(holder), _)), _) => Ok(Opened::Kept(holder)),
        (_, Some(Err(failure))) => Err(failure),
        (Ok((Answer::Refused { cause: Cause::NoKey, .. }, _)), _) => {
            Err(login::no_identity(crate::identity::IdentityError::NoSource))
        }
        (Ok((Answer::Refused { cause, reason }, _)), _) => Err(refusal(cause, &reason)),
        (Ok(_), _) => Err(unusable(&ClientError::Unexpected)),
        (Err(error), _) => Err(unusable(&error)),
    }
}

/// Why the agent's answer is no, in words.
pub(super) fn refusal(cause: Cause, reason: &str) -> Failure {
    match cause {
        Cause::Identity => sign_failure(SignError::Identity(reason.into()))
            .hint("the agent keeps the login until it ends, or until 'countersign logout'"),
        Cause::Login => Failure::new(
            format!("the login that another process had begun came to nothing: {reason}"),
            "nothing was written; run 'countersign login', and try again",
        ),
        Cause::ServicesPassing => Failure::new(reason, "nothing was written; try again in a moment"),
        Cause::Services => {
            Failure::new(reason, "nothing was written; check 'countersign.instance' and the network")
        }
        _ => unusable(&reason),
    }
}

fn token(outcome: Option<Result<Token, Failure>>) -> Option<Token> {
    outcome.and_then(Result::ok)
}

/// What a key is wanted for.
pub(super) fn wanted(access: &Access, demands: &Demands, found: Option<&Token>) -> Wanted {
    let provider = &access.options.provider;
    let source = match found {
        Some(token) => {
            let Claims { issuer, subject, .. } = token.claims().clone();
            Source::Token { issuer, subject, claims: hex::encode(token.binding()) }
        }
        None => Source::Login {
            issuer: provider.issuer.clone(),
            client: provider.client_id.clone(),
            connector: provider.connector_id.clone(),
        },
    };
    Wanted {
        instance: access.instance.clone(),
        plan: access.plan.clone(),
        tls: access.tls.clone(),
        source,
        identity: demands.identity.clone(),
    }
}

fn ask(access: &Access, demands: &Demands, found: Option<&Token>) -> Ask {
    let provider = &access.options.provider;
    Ask {
        wanted: wanted(access, demands, found),
        demands: demands.clone(),
        may_log_in: found.is_none() && access.options.login.is_some(),
        token: found.map(|token| Secret(Zeroizing::new(token.secret().to_owned()))),
        patience: PATIENCE,
        refreshing: provider
            .offline
            .then(|| Refreshing { client_secret: provider.client_secret.clone().map(Secret) }),
    }
}

fn passed_over(error: &dyn std::fmt::Display) -> Failure {
    let mut failure = unusable(error);
    failure.error = format!("the agent is passed over: {}", failure.error);
    failure
}

/// Why there is no talking to the agent, in words.
pub(super) fn told(error: &ClientError) -> String {
    if error.is_absent() {
        "it does not start; see 'countersign agent run'".to_owned()
    } else {
        error.to_string()
    }
}

pub(super) fn unusable(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        error,
        "see 'countersign agent status'; 'git config --global countersign.agent off' does without it",
    )
}

/// The person at this process's terminal.
struct Person<'a, 'w> {
    settings: &'a Settings<'a, 'w>,
    access: &'a mut Access,
    demands: &'a Demands,
    /// The committer's address, where something is to be signed.
    address: Option<Option<&'a [u8]>>,
    outcome: Option<Result<Token, Failure>>,
}

impl Guest for Person<'_, '_> {
    fn waiting(&mut self, process: Option<u32>) {
        let whose = process.map(|process| format!(" of process {process}")).unwrap_or_default();
        let _ = tell_terminal(&format!(
            "countersign: waiting for the login{whose}, for {PATIENCE} seconds at most\n"
        ));
    }

    fn log_in(&mut self, remaining: Option<i64>) -> Result<Token, String> {
        if self.outcome.is_some() {
            return Err("the person was asked already".to_owned());
        }
        if let Some(remaining) = remaining {
            let _ = tell_terminal(&format!(
                "countersign: the login ends in {remaining} seconds; log in once more, so that signing goes on\n"
            ));
        }
        // Nothing exists of the identity yet: no certificate, no log entry.
        let outcome = login::log_in(self.settings.world, self.access).and_then(|token| {
            self.settings.consider(self.access, self.demands, token.claims(), self.address)?;
            Ok(token)
        });
        self.outcome = Some(outcome.clone());
        outcome.map_err(|failure| failure.error)
    }
}
