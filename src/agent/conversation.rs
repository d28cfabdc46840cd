//! One connection to the agent: one request, and what it takes to answer it.

use std::{
    io::Write as _,
    os::unix::net::UnixStream,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    forward::Grants,
    payload::Signable,
    peer::Peer,
    place::Place,
    protocol::{
        Answer, Ask, Cause, Holder, MAXIMUM_HEAD_BYTES, MessageError, Record, Request, Secret, Source,
        Status, Wanted,
    },
    state::{Held, Outcome, State, Step, Visitor},
    wire::{Wire, WireError},
};
use zeroize::Zeroizing;

use crate::{
    identity::{self, Claims, Keyring, KeyringError, Purpose, Token, with_keyring},
    service::{
        http::{Bounds, Http},
        tls::Tls,
    },
    sign::{Objection, Session, SignError, Signer},
};

/// How long a request may take to come.
const REQUEST: Duration = Duration::from_secs(10);
/// How long a login may take; whoever logs in has tighter bounds of its own.
const LOGIN: Duration = Duration::from_secs(330);
/// How long the end of the agent is waited for before it is announced.
const END: Duration = Duration::from_secs(2);
/// How often someone who waits is looked after.
pub(super) const LOOK: Duration = Duration::from_millis(500);
/// How long the keyring may take to say whether there is anything in it, or what: it may be locked.
const KEYRING: Duration = Duration::from_secs(10);
/// How long it may take when somebody logs out, who waits for less than ten seconds.
const LOGOUT: Duration = Duration::from_secs(5);
/// The longest name that is kept in a record, in characters.
pub(super) const MAXIMUM_NAME: usize = 200;
/// How many ways to servers are kept open, by the files that they go by.
const MAXIMUM_CLIENTS: usize = 8;

/// What all connections share.
pub(super) struct Shared {
    pub(super) state: Mutex<State<Session>>,
    pub(super) changed: Condvar,
    pub(super) clients: Mutex<Vec<Arc<Http>>>,
    /// What the keyring had against it when it was last needed.
    pub(super) keyring: Mutex<Option<String>>,
    pub(super) clock: fn() -> i64,
    pub(super) since: i64,
    pub(super) host: String,
    /// When something was last asked, in seconds since 1970.
    pub(super) heard: AtomicI64,
    pub(super) is_stopping: AtomicBool,
    /// Whether nobody can reach the agent any more.
    pub(super) is_withdrawn: AtomicBool,
    /// Wakes whoever listens.
    pub(super) bell: UnixStream,
    /// Where the agent is.
    pub(super) place: Place,
    /// The sockets for signatures that are asked for elsewhere.
    pub(super) grants: Grants,
}

/// Why there is no signature.
pub(super) enum Stop {
    /// Nobody is there any more to hear of it.
    Gone,
    Refused(Cause, String),
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State<Session>> {
        // What is kept stays whole between two statements; a thread that panicked has not torn it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> i64 {
        (self.clock)()
    }

    /// Take one request of the user's own and answer it.
    pub(super) fn converse(&self, wire: &mut Wire, peer: Peer) {
        let Some((request, body)) = receive(wire) else { return };
        let outcome = match request {
            Request::Sign(ask) => self.sign(wire, peer, ask, &body),
            Request::Open(ask) => self.open(wire, peer, ask),
            Request::Forward(terms) => self.forward(wire, terms),
            Request::Confirmed { .. } | Request::Failed { .. } | Request::Token { .. } => {
                Err(Stop::Refused(Cause::Malformed, "nothing of the kind was asked".to_owned()))
            }
            Request::SignAfar { .. } | Request::Terms {} => {
                Err(Stop::Refused(Cause::Malformed, "this socket is the user's own".to_owned()))
            }
            Request::Status {} => wire.send(&self.status(), &[]).map_err(Stop::from),
            Request::Lock { logout } => {
                // Before anything that can be waited for.
                let answer = self.lock();
                if logout {
                    self.remember(with_keyring(LOGOUT, Keyring::clear).err());
                }
                wire.send(&answer, &[]).map_err(Stop::from)
            }
            Request::Stop {} => wire.send(&self.stop(), &[]).map_err(Stop::from),
        };
        self.end(wire, outcome);
    }

    /// Say why there is nothing, and remember that somebody was here.
    pub(super) fn end(&self, wire: &mut Wire, outcome: Result<(), Stop>) {
        if let Err(Stop::Refused(cause, reason)) = outcome {
            let _ = wire.send(&Answer::Refused { cause, reason }, &[]);
        }
        self.heard.store(self.now(), Ordering::SeqCst);
    }

    /// Forgets everything, and answers when the next agent can be started.
    fn stop(&self) -> Answer {
        self.is_stopping.store(true, Ordering::SeqCst);
        let answer = self.lock();
        self.changed.notify_all();
        self.ring();
        let deadline = Instant::now() + END;
        while !self.is_withdrawn.load(Ordering::SeqCst) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
        answer
    }

    /// Wake whoever listens.
    pub(super) fn ring(&self) {
        let _ = (&self.bell).write(&[1]);
    }

    /// Remember what the keyring had against what was wanted of it. That there is none here is nothing.
    fn remember(&self, error: Option<KeyringError>) {
        let said = error.filter(|error| !matches!(error, KeyringError::Unavailable(_)));
        *self.keyring.lock().unwrap_or_else(PoisonError::into_inner) = said.map(|error| error.to_string());
    }

    /// Forgets every key, and ends what was opened for others and who is waited for.
    fn lock(&self) -> Answer {
        let forgotten = self.state().lock();
        self.grants.end();
        self.changed.notify_all();
        Answer::Done { forgotten: u32::try_from(forgotten).unwrap_or(u32::MAX) }
    }

    fn status(&self) -> Answer {
        let mut state = self.state();
        state.forget_ended(self.now());
        let (signatures, mut signed) = state.records();
        let keys = state.keys();
        drop(state);
        loop {
            let status = Status {
                process: std::process::id(),
                host: self.host.clone(),
                since: self.since,
                keyring: self.keyring.lock().unwrap_or_else(PoisonError::into_inner).clone(),
                keys: keys.clone(),
                forwards: self.grants.status(),
                signatures,
                signed: signed.clone(),
            };
            let answer = Answer::Status(Box::new(status));
            // Names may be long; the latest signatures are what is asked for.
            let fits = serde_json::to_vec(&answer).is_ok_and(|json| json.len() + 64 < MAXIMUM_HEAD_BYTES);
            if fits || signed.is_empty() {
                return answer;
            }
            signed.drain(..signed.len().div_ceil(2));
        }
    }

    fn sign(&self, wire: &mut Wire, peer: Peer, ask: Ask, payload: &[u8]) -> Result<(), Stop> {
        let signable =
            Signable::parse(payload).map_err(|error| Stop::Refused(Cause::Payload, error.to_string()))?;
        wire.send(&Answer::Working {}, &[])?;
        let signer = self.signer(&ask.wanted)?;
        let visit = Visit { shared: self, peer, signer: &signer, ask: &ask, address: Some(&signable) };
        let (mut held, mut announce) = visit.key(wire, false)?;
        let mut retried = false;
        let signature = loop {
            ask.demands
                .admit(held.key.claims(), signable.address)
                .map_err(|error| Stop::Refused(Cause::Identity, error.to_string()))?;
            match signer.sign(&held.key, payload, self.now(), &|_, _| Ok(())) {
                Err(SignError::Expired) if !retried => {
                    retried = true;
                    (held, announce) = visit.key(wire, false)?;
                }
                outcome => break outcome.map_err(|error| Stop::Refused(cause(&error), error.to_string()))?,
            }
        };
        self.note(&ask.wanted, &held.holder, signable, self.host.clone(), peer.process);
        Ok(wire.send(&Answer::Signed { holder: held.holder, announce }, &signature.armor)?)
    }

    /// Remember a signature.
    pub(super) fn note(
        &self,
        wanted: &Wanted,
        holder: &Holder,
        signable: Signable<'_>,
        host: String,
        process: Option<u32>,
    ) {
        let short = |text: &str| text.chars().take(MAXIMUM_NAME).collect();
        let record = Record {
            time: self.now(),
            kind: signable.kind,
            about: signable.about,
            identity: short(holder.name()),
            instance: short(&wanted.instance),
            host,
            process,
        };
        self.state().note(wanted, record);
    }

    /// A signer for what is wanted; its connections last as long as the files that they go by.
    pub(super) fn signer(&self, wanted: &Wanted) -> Result<Signer, Stop> {
        let tls =
            Tls::load(&wanted.tls).map_err(|error| Stop::Refused(Cause::Services, error.to_string()))?;
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let http = match clients.iter().find(|client| *client.tls() == tls) {
            Some(client) => Arc::clone(client),
            None => {
                if clients.len() >= MAXIMUM_CLIENTS {
                    clients.remove(0);
                }
                let client = Arc::new(Http::with_tls(Bounds::lasting(), tls));
                clients.push(Arc::clone(&client));
                client
            }
        };
        Ok(Signer::new(http, wanted.plan.clone()))
    }

    fn open(&self, wire: &mut Wire, peer: Peer, ask: Ask) -> Result<(), Stop> {
        wire.send(&Answer::Working {}, &[])?;
        let signer = self.signer(&ask.wanted)?;
        let visit = Visit { shared: self, peer, signer: &signer, ask: &ask, address: None };
        let (held, _) = visit.key(wire, true)?;
        if self.state().look(&ask.wanted, self.now()).is_none() {
            let reason = "the agent was locked meanwhile, and keeps no login";
            return Err(Stop::Refused(Cause::Unavailable, reason.to_owned()));
        }
        Ok(wire.send(&Answer::Opened(held.holder), &[])?)
    }
}

/// Someone who wants a key.
struct Visit<'a> {
    shared: &'a Shared,
    peer: Peer,
    signer: &'a Signer,
    ask: &'a Ask,
    address: Option<&'a Signable<'a>>,
}

impl Visit<'_> {
    /// A key for what is wanted, `anew` or one that is kept; and whether its end is to be announced.
    fn key(&self, wire: &mut Wire, anew: bool) -> Result<(Held<Session>, bool), Stop> {
        let patience = Duration::from_secs(self.ask.patience.into()).min(LOGIN);
        let deadline = Instant::now() + patience;
        let mut visitor = Visitor {
            process: self.peer.process,
            may_log_in: self.ask.may_log_in,
            has_token: self.ask.token.is_some(),
            awaited: None,
        };
        loop {
            if self.shared.is_stopping.load(Ordering::SeqCst) {
                return Err(Stop::Refused(Cause::Unavailable, "the agent is ending".to_owned()));
            }
            // Asked for is asked for: a person logs in.
            let is_refreshable = !anew && self.is_refreshable();
            visitor.has_token = self.ask.token.is_some() || is_refreshable;
            let step = {
                let mut state = self.shared.state();
                let may = visitor.may_log_in || visitor.has_token;
                // Once another login has been waited for, its key is as new as any.
                let begun = if anew && may && visitor.awaited.is_none() {
                    state.begin_anew(&self.ask.wanted, visitor.process)
                } else {
                    None
                };
                match begun {
                    Some(number) => Step::LogIn { number, instead: None },
                    None => state.step(&self.ask.wanted, visitor, self.shared.now()),
                }
            };
            match step {
                Step::Use { held, announce } => return Ok((held, announce)),
                Step::Failed(reason) => return Err(Stop::Refused(Cause::Login, reason)),
                Step::NoKey => return Err(Stop::Refused(Cause::NoKey, "there is no key".to_owned())),
                Step::LogIn { number, instead } => {
                    let flight = Flight { shared: self.shared, number };
                    let remaining = instead.as_ref().map(|(_, remaining)| *remaining);
                    return match (self.log_in(wire, flight, remaining, is_refreshable), instead) {
                        (Ok(held), _) => Ok((held, false)),
                        (Err(Stop::Refused(..)), Some((held, _))) => Ok((held, false)),
                        (Err(stop), _) => Err(stop),
                    };
                }
                Step::Wait { number, process } => {
                    if visitor.awaited != Some(number) {
                        wire.send(&Answer::Waiting { process }, &[])?;
                        visitor.awaited = Some(number);
                    }
                    self.wait(wire, number, deadline, patience)?;
                }
            }
        }
    }

    /// Waits until the login `number` has ended.
    fn wait(&self, wire: &Wire, number: u64, deadline: Instant, patience: Duration) -> Result<(), Stop> {
        let mut state = self.shared.state();
        while state.is_running(number) && !self.shared.is_stopping.load(Ordering::SeqCst) {
            if Instant::now() >= deadline {
                let reason = format!("nobody logged in within {} seconds", patience.as_secs());
                return Err(Stop::Refused(Cause::Login, reason));
            }
            if wire.is_closed() {
                return Err(Stop::Gone);
            }
            let waited = self.shared.changed.wait_timeout(state, LOOK);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Gets a key with the token that was brought, or with one that is asked for.
    fn log_in(
        &self,
        wire: &mut Wire,
        flight: Flight<'_>,
        remaining: Option<i64>,
        is_refreshable: bool,
    ) -> Result<Held<Session>, Stop> {
        if is_refreshable {
            match self.refresh() {
                Ok(held) => {
                    flight.end(Outcome::Opened(held.clone()));
                    return Ok(held);
                }
                Err(stop) if !self.ask.may_log_in => {
                    let Stop::Refused(cause, reason) = stop else { return Err(stop) };
                    return Err(flight.failed(cause, reason));
                }
                // The person is asked as if there had been nothing.
                Err(_) => {}
            }
        }
        let mut refresh = None;
        let token = match &self.ask.token {
            Some(token) => token.clone(),
            None => {
                wire.send(&Answer::LogIn { remaining }, &[])?;
                match wire.receive::<Request>(LOGIN)? {
                    (Request::Token { token, refresh: brought }, _) => {
                        refresh = brought;
                        token
                    }
                    (Request::Failed { reason }, _) => {
                        return Err(flight.failed(Cause::Login, reason));
                    }
                    _ => return Err(Stop::Refused(Cause::Malformed, "a login was asked for".to_owned())),
                }
            }
        };
        let token = match Token::parse((*token.0).clone()) {
            Ok(token) => token.with_refresh(refresh.map(|Secret(refresh)| (*refresh).clone())),
            Err(error) => return Err(flight.failed(Cause::Login, error.to_string())),
        };
        match self.certify(&token) {
            Ok(held) => {
                let is_awaited = flight.end(Outcome::Opened(held.clone()));
                if let Some((purpose, _)) = self.refreshing().filter(|_| is_awaited) {
                    let kept = with_keyring(KEYRING, move |keyring| keyring.keep(&purpose, &token));
                    self.shared.remember(kept.err());
                }
                Ok(held)
            }
            Err((cause, reason)) => Err(flight.failed(cause, reason)),
        }
    }

    /// What a refresh token would be kept for, where the user wants one kept.
    fn refreshing(&self) -> Option<(Purpose, Option<Zeroizing<String>>)> {
        let refreshing = self.ask.refreshing.as_ref()?;
        let Source::Login { issuer, client, connector } = &self.ask.wanted.source else { return None };
        let purpose = Purpose {
            issuer: issuer.clone(),
            client: client.clone(),
            connector: connector.clone(),
            identity: self.ask.wanted.identity.clone(),
        };
        Some((purpose, refreshing.client_secret.as_ref().map(|Secret(secret)| secret.clone())))
    }

    /// Whether a key is needed, or will be before long, and a refresh token kept that brings one: then nobody is told
    /// of its end or asked for another login. The keyring is asked only then, and once for each key.
    fn is_refreshable(&self) -> bool {
        let Some((purpose, _)) = self.refreshing() else { return false };
        let known = self.shared.state().refreshable(&self.ask.wanted, self.shared.now());
        if let Some(known) = known {
            return known;
        }
        let has = with_keyring(KEYRING, move |keyring| keyring.has(&purpose)).unwrap_or_else(|error| {
            self.shared.remember(Some(error));
            false
        });
        self.shared.state().remember_refreshable(&self.ask.wanted, has);
        has
    }

    /// Gets a key by the refresh token.
    fn refresh(&self) -> Result<Held<Session>, Stop> {
        let failed = |reason: String| Stop::Refused(Cause::Login, reason);
        let (purpose, secret) = self.refreshing().ok_or_else(|| failed("nothing is refreshed".to_owned()))?;
        let token = identity::renew(self.signer.http(), KEYRING, &purpose, secret);
        let token = token.map_err(|error| failed(error.to_string()))?;
        let now = self.shared.now();
        token.check(&purpose.client, now).map_err(|error| failed(error.to_string()))?;
        self.certify(&token).map_err(|(cause, reason)| Stop::Refused(cause, reason))
    }

    fn certify(&self, token: &Token) -> Result<Held<Session>, (Cause, String)> {
        let address = self.address.and_then(|signable| signable.address);
        let admit = |claims: &Claims| -> Result<(), Objection> {
            // Where nothing is signed yet, nobody has committed anything.
            let mut demands = self.ask.demands.clone();
            demands.committer &= self.address.is_some();
            Ok(demands.admit(claims, address)?)
        };
        let session = self.signer.open(token, &admit).map_err(|error| (cause(&error), error.to_string()))?;
        let holder = Holder::new(session.claims(), session.certificate().not_after);
        Ok(Held { key: Arc::new(session), holder })
    }
}

/// A login that somebody has to end; it is abandoned if nobody does.
struct Flight<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Flight<'_> {
    /// Whether it was still awaited: nobody has locked the agent meanwhile.
    fn end(&self, outcome: Outcome<Session>) -> bool {
        let is_awaited = self.shared.state().end_login(self.number, outcome);
        self.shared.changed.notify_all();
        is_awaited
    }

    fn failed(&self, cause: Cause, reason: String) -> Stop {
        self.end(Outcome::Failed(reason.clone()));
        Stop::Refused(cause, reason)
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        // Of one that has ended nothing is known any more.
        self.end(Outcome::Abandoned);
    }
}

/// Takes a request; whoever does not speak as they should is told so.
pub(super) fn receive(wire: &mut Wire) -> Option<(Request, Vec<u8>)> {
    match wire.receive::<Request>(REQUEST) {
        Ok(received) => Some(received),
        Err(WireError::Message(error)) => {
            let _ = match error {
                MessageError::Version(_) => {
                    wire.send(&Answer::Unsupported { versions: vec![super::protocol::VERSION] }, &[])
                }
                other => wire.send(&refused(Cause::Malformed, other), &[]),
            };
            None
        }
        Err(_) => None,
    }
}

fn refused(cause: Cause, reason: impl ToString) -> Answer {
    Answer::Refused { cause, reason: reason.to_string() }
}

pub(super) fn cause(error: &SignError) -> Cause {
    match error {
        SignError::Identity(_) => Cause::Identity,
        SignError::Expired => Cause::Expired,
        _ if error.retryable() => Cause::ServicesPassing,
        _ => Cause::Services,
    }
}
