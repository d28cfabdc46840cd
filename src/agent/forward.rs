//! Forwarding: a second socket for signatures that are asked for elsewhere, for whoever is at the far end of it.
//!
//! What can be asked there is one signature at a time, with the one key that the user has chosen when opening it,
//! so many times and for so long, and only where the user agrees if they want to be asked. Of approvals there is
//! none: what is approved has to be looked at, and not where whoever has made it may be. No login can be begun,
//! no server be named and nothing be managed there; what is said at the far end can only make the check of whose
//! signature it is stricter. The socket lasts no longer than the conversation in which it was opened.

use std::{
    os::unix::net::{UnixListener, UnixStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, Scope},
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec};

use super::{
    conversation::{LOOK, MAXIMUM_NAME, Shared, Stop, cause, receive},
    payload::{Kind, Signable},
    peer,
    place::Place,
    protocol::{Answer, Cause, ForwardStatus, Question, Request, Terms},
    wire::{Wire, WireError},
};
use crate::identity::Demands;

/// The most signatures that one socket is opened for.
pub const MAXIMUM_SIGNATURES: u32 = 1000;
/// The longest that one is open, in seconds.
pub const MAXIMUM_SECONDS: u32 = 12 * 3600;
/// How many are open at a time.
const MAXIMUM_GRANTS: usize = 8;
/// How many connections of one are served at a time.
const MAXIMUM_CONNECTIONS: usize = 8;
/// How long the user may think about a question, and the questions before it.
const THOUGHT: Duration = Duration::from_secs(150);
/// How often it is looked whether a socket is still wanted.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

/// The sockets that are open.
#[derive(Default)]
pub(super) struct Grants(Mutex<Opened>);

#[derive(Default)]
struct Opened {
    next: u64,
    grants: Vec<(u64, Arc<Grant>)>,
}

/// One socket, and what may still be asked on it.
struct Grant {
    terms: Terms,
    until: i64,
    left: AtomicU32,
    made: AtomicU32,
    connections: AtomicUsize,
    is_over: AtomicBool,
    questions: Mutex<mpsc::Sender<Asked>>,
}

/// A question to the user, from someone who waits for the answer.
struct Asked {
    question: Question,
    /// Gone with whoever waits.
    waits: Weak<()>,
    answer: mpsc::Sender<bool>,
}

impl Grants {
    fn lock(&self) -> MutexGuard<'_, Opened> {
        // What is kept stays whole between two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing more is signed by what is open, and it is closed.
    pub(super) fn end(&self) {
        for (_, grant) in &self.lock().grants {
            grant.is_over.store(true, Ordering::SeqCst);
        }
    }

    /// What is open.
    pub(super) fn status(&self) -> Vec<ForwardStatus> {
        self.lock().grants.iter().map(|(_, grant)| grant.status()).collect()
    }
}

impl Grant {
    fn status(&self) -> ForwardStatus {
        ForwardStatus {
            host: self.terms.host.clone(),
            instance: self.terms.wanted.instance.clone(),
            left: self.left.load(Ordering::SeqCst),
            made: self.made.load(Ordering::SeqCst),
            until: self.until,
            asks: self.terms.asks,
        }
    }

    /// Take one of the signatures that are left.
    fn take(&self, now: i64) -> Result<(), Stop> {
        let refused = |reason: &str| Err(Stop::Refused(Cause::Restricted, reason.to_owned()));
        if now >= self.until || self.is_over.load(Ordering::SeqCst) {
            return refused("it was forwarded for a time, and that is over");
        }
        let less = |left: u32| left.checked_sub(1);
        match self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less) {
            Ok(_) => Ok(()),
            Err(_) => refused("it was forwarded for a number of signatures, and they have been asked for"),
        }
    }

    /// Ask the user, if they want to be asked.
    fn confirm(&self, wire: &Wire, signable: &Signable<'_>, payload: &[u8]) -> Result<(), Stop> {
        if !self.terms.asks {
            return Ok(());
        }
        // What cannot be shown nobody can agree to.
        if signable.unnamed > 0 {
            return Err(Stop::Refused(
                Cause::Restricted,
                "it is a push of more refs than the user can be shown".to_owned(),
            ));
        }
        let denied = |reason: &str| Stop::Refused(Cause::Denied, reason.to_owned());
        let waits = Arc::new(());
        let (answer, answered) = mpsc::channel();
        let question = question(&self.terms.host, signable, payload);
        let asked = Asked { question, waits: Arc::downgrade(&waits), answer };
        let questions = self.questions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        questions.send(asked).map_err(|_| denied("nobody is there any more to be asked"))?;
        let deadline = Instant::now() + THOUGHT;
        loop {
            match answered.recv_timeout(LOOK) {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(denied("the user was asked, and said no")),
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(denied("nobody is there any more to be asked"));
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            if Instant::now() >= deadline {
                return Err(denied("the user was asked, and did not answer"));
            }
            if wire.is_closed() {
                return Err(Stop::Gone);
            }
        }
    }
}

/// What the user is asked.
fn question(host: &str, signable: &Signable<'_>, payload: &[u8]) -> Question {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(MAXIMUM_NAME).collect();
    let body = payload.windows(2).position(|pair| pair == b"\n\n").map(|at| &payload[at + 2..]);
    let title = body.unwrap_or_default().split(|byte| *byte == b'\n').next().unwrap_or_default();
    Question {
        host: host.to_owned(),
        kind: signable.kind,
        about: signable.about.clone(),
        address: text(signable.address.unwrap_or_default()),
        title: text(title),
    }
}

/// One connection more, until this is dropped, however that comes.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A socket that is open until this is dropped.
struct Open<'a> {
    grants: &'a Grants,
    number: u64,
    grant: Arc<Grant>,
    place: Place,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.grant.is_over.store(true, Ordering::SeqCst);
        let _ = self.place.clear();
        self.grants.lock().grants.retain(|(number, _)| *number != self.number);
    }
}

impl Shared {
    /// Opens a socket on `terms` and attends to it until it is over or whoever has opened it is gone.
    pub(super) fn forward(&self, wire: &mut Wire, mut terms: Terms) -> Result<(), Stop> {
        terms.signatures = terms.signatures.min(MAXIMUM_SIGNATURES);
        terms.seconds = terms.seconds.min(MAXIMUM_SECONDS);
        terms.host = terms.host.chars().take(MAXIMUM_NAME).collect();
        let (questions, asked) = mpsc::channel();
        let grant = Arc::new(Grant {
            until: self.now().saturating_add(terms.seconds.into()),
            left: AtomicU32::new(terms.signatures),
            made: AtomicU32::new(0),
            connections: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            questions: Mutex::new(questions),
            terms,
        });
        let unavailable = |reason: &dyn ToString| Stop::Refused(Cause::Unavailable, reason.to_string());
        let number = {
            let mut opened = self.grants.lock();
            if opened.grants.len() >= MAXIMUM_GRANTS {
                return Err(unavailable(&"it is forwarded to as many places as it can be"));
            }
            opened.next += 1;
            let number = opened.next;
            opened.grants.push((number, Arc::clone(&grant)));
            number
        };
        let place = self.place.restricted(number);
        let open = Open { grants: &self.grants, number, grant, place };
        // Until it is its own a socket is for everyone who can enter the folder.
        open.place.prepare().map_err(|error| unavailable(&error))?;
        let listener = open.place.bind().map_err(|error| unavailable(&error))?;
        listener.set_nonblocking(true).map_err(|error| unavailable(&error))?;
        let socket = open.place.socket();
        let socket = socket.to_str().ok_or_else(|| unavailable(&"its folder has no name in UTF-8"))?;
        thread::scope(|scope| {
            let admission = thread::Builder::new().name("forwarded".to_owned());
            let admission = admission.spawn_scoped(scope, || self.admit(scope, &listener, &open.grant));
            let reason = admission.map_err(|error| unavailable(&error)).and_then(|_| {
                wire.send(&Answer::Forwarded { socket: socket.to_owned() }, &[])?;
                self.attend(wire, &open.grant, &asked)
            });
            open.grant.is_over.store(true, Ordering::SeqCst);
            // Whoever still waits for an answer gets none.
            drop(asked);
            wire.send(&Answer::Ended { reason: reason? }, &[])?;
            Ok(())
        })
    }

    /// Asks the user what is to be asked, until the socket is over; why it is.
    fn attend(&self, wire: &mut Wire, grant: &Grant, asked: &mpsc::Receiver<Asked>) -> Result<String, Stop> {
        loop {
            if self.is_stopping.load(Ordering::SeqCst) {
                return Ok("the agent is ending".to_owned());
            }
            if grant.is_over.load(Ordering::SeqCst) {
                return Ok("the agent was locked".to_owned());
            }
            if self.now() >= grant.until {
                return Ok("the time for which it was forwarded is over".to_owned());
            }
            let is_quiet = grant.connections.load(Ordering::SeqCst) == 0;
            if is_quiet && grant.left.load(Ordering::SeqCst) == 0 {
                return Ok("all the signatures for which it was forwarded have been asked for".to_owned());
            }
            if wire.is_closed() {
                return Err(Stop::Gone);
            }
            let Ok(Asked { question, waits, answer }) = asked.recv_timeout(LOOK) else { continue };
            if waits.upgrade().is_none() {
                continue;
            }
            wire.send(&Answer::Confirm(question), &[])?;
            match wire.receive::<Request>(THOUGHT)? {
                (Request::Confirmed { yes }, _) => drop(answer.send(yes)),
                _ => return Err(Stop::Refused(Cause::Malformed, "a question was asked".to_owned())),
            }
        }
    }

    /// Takes in connections, each on a thread of its own.
    fn admit<'s>(&'s self, scope: &'s Scope<'s, '_>, listener: &UnixListener, grant: &'s Grant) {
        while !grant.is_over.load(Ordering::SeqCst) {
            let mut descriptors = [PollFd::new(listener, PollFlags::IN)];
            let _ = rustix::event::poll(&mut descriptors, Some(&TICK));
            let Ok((stream, _)) = listener.accept() else {
                thread::sleep(Duration::from_millis(1));
                continue;
            };
            if grant.connections.load(Ordering::SeqCst) >= MAXIMUM_CONNECTIONS {
                continue;
            }
            let counted = Counted::new(&grant.connections);
            // Where there is no thread for it, it is closed and counts no more.
            let _ = thread::Builder::new().name("from elsewhere".to_owned()).spawn_scoped(scope, move || {
                let _counted = counted;
                self.converse_afar(stream, grant);
            });
        }
    }

    /// Take one request from elsewhere and answer it.
    fn converse_afar(&self, stream: UnixStream, grant: &Grant) {
        // It is whoever carries the connection there.
        let Ok(Ok(_)) = peer::check(&stream) else { return };
        let Ok(mut wire) = Wire::new(stream) else { return };
        let Some((request, body)) = receive(&mut wire) else { return };
        let outcome = match request {
            Request::SignAfar { instance, demands } => {
                self.sign_afar(&mut wire, grant, &instance, &demands, &body)
            }
            Request::Terms {} => wire.send(&Answer::Terms(grant.status()), &[]).map_err(Stop::from),
            _ => Err(Stop::Refused(Cause::Restricted, "this socket is for signing only".to_owned())),
        };
        self.end(&mut wire, outcome);
    }

    fn sign_afar(
        &self,
        wire: &mut Wire,
        grant: &Grant,
        instance: &str,
        demands: &Demands,
        payload: &[u8],
    ) -> Result<(), Stop> {
        let signable =
            Signable::parse(payload).map_err(|error| Stop::Refused(Cause::Payload, error.to_string()))?;
        if signable.kind == Kind::Approval {
            let reason = "approvals are given where the agent runs, and not from elsewhere";
            return Err(Stop::Refused(Cause::Restricted, reason.to_owned()));
        }
        wire.send(&Answer::Working {}, &[])?;
        let wanted = &grant.terms.wanted;
        if instance != wanted.instance {
            let reason = format!("it was forwarded for the instance '{}'", wanted.instance);
            return Err(Stop::Refused(Cause::NoKey, reason));
        }
        let no_key = || Stop::Refused(Cause::NoKey, "there is no login where the agent runs".to_owned());
        let admitted = || -> Result<_, Stop> {
            let held = self.state().look(wanted, self.now()).ok_or_else(no_key)?;
            for demands in [&grant.terms.demands, demands] {
                demands
                    .admit(held.key.claims(), signable.address)
                    .map_err(|error| Stop::Refused(Cause::Identity, error.to_string()))?;
            }
            Ok(held)
        };
        admitted()?;
        // What is refused counts too: nobody is asked without end.
        grant.take(self.now())?;
        grant.confirm(wire, &signable, payload)?;
        if wire.is_closed() || grant.is_over.load(Ordering::SeqCst) {
            return Err(Stop::Gone);
        }
        // The user may have thought about it for minutes, or have locked the agent meanwhile.
        let held = admitted()?;
        let signer = self.signer(wanted)?;
        let signature = signer
            .sign(&held.key, payload, self.now(), &|_, _| Ok(()))
            .map_err(|error| Stop::Refused(cause(&error), error.to_string()))?;
        grant.made.fetch_add(1, Ordering::SeqCst);
        self.note(wanted, &held.holder, signable, grant.terms.host.clone(), None);
        let answer = Answer::Signed { holder: held.holder, announce: false };
        Ok(wire.send(&answer, &signature.armor)?)
    }
}

impl From<WireError> for Stop {
    fn from(_: WireError) -> Self {
        Self::Gone
    }
}

#[cfg(test)]
mod tests;
