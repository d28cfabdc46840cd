//! The agent itself: it listens, gives each connection a thread, and ends when nobody needs it any more.

use std::{
    io,
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    process::{Resource, Rlimit},
};

use super::{
    conversation::Shared,
    forward::Grants,
    peer,
    place::{Place, PlaceError},
    state::State,
    wire::Wire,
};

/// How many connections are served at a time.
const MAXIMUM_CONNECTIONS: usize = 256;
/// How often the agent looks whether it is still needed.
const LOOK: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
/// How long the agent waits at its end for what is being done.
const LAST_WAIT: Duration = Duration::from_secs(10);

/// Why the agent does not run. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The socket that was handed over is none that listens.
    #[error("standard input is no socket to listen on: {0}")]
    Inherited(io::Error),
    /// Its place cannot be used.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The system's words.
    #[error("the agent cannot listen: {0}")]
    System(#[from] io::Error),
}

/// How an agent runs.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How long it stays without a key when nothing is asked.
    pub idle: Duration,
    /// The clock: seconds since 1970.
    pub clock: fn() -> i64,
}

/// Take this process out of the caller's session, and its memory out of reach of core dumps and, where the
/// system can, of debuggers. What cannot be had is done without.
pub fn withdraw() {
    let _ = rustix::process::setsid();
    let _ = rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Serve at `place`, or on `inherited`, a socket that listens already, until nobody needs the agent.
///
/// # Errors
/// It cannot listen, or another agent is there.
pub fn serve(place: &Place, inherited: Option<OwnedFd>, options: Options) -> Result<(), ServeError> {
    let (listener, claim) = match inherited {
        Some(socket) => {
            let listener = UnixListener::from(socket);
            listener.local_addr().map_err(ServeError::Inherited)?;
            // Whoever made the socket need not have looked whose its folder is.
            place.prepare()?;
            (listener, None)
        }
        None => {
            let claim = place.claim()?;
            (place.listen(&claim)?, Some(claim))
        }
    };
    let mark = place.mark();
    listener.set_nonblocking(true)?;
    let (rung, bell) = UnixStream::pair()?;
    rung.set_nonblocking(true)?;
    bell.set_nonblocking(true)?;
    let now = (options.clock)();
    let shared = Arc::new(Shared {
        state: Mutex::new(State::default()),
        changed: Condvar::new(),
        clients: Mutex::default(),
        keyring: Mutex::default(),
        clock: options.clock,
        since: now,
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        heard: AtomicI64::new(now),
        is_stopping: AtomicBool::new(false),
        is_withdrawn: AtomicBool::new(false),
        bell,
        place: place.clone(),
        grants: Grants::default(),
    });
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        wait(&listener, &rung)?;
        if shared.is_stopping.load(Ordering::SeqCst) {
            break;
        }
        let accepted = listener.accept();
        match accepted {
            Ok((stream, _)) => visit(&shared, &open, stream),
            // It does not listen, and never will: a supervisor has handed over something else.
            Err(error)
                if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) =>
            {
                return Err(ServeError::Inherited(error));
            }
            // Also where this process has no descriptors left; it will.
            Err(_) => thread::sleep(Duration::from_millis(1)),
        }
        // A connection that came in first is served first.
        let is_idle = open.load(Ordering::SeqCst) == 0 && is_idle(&shared, options);
        let is_cut_off = claim.is_some() && place.mark() != mark;
        if is_idle || is_cut_off && open.load(Ordering::SeqCst) == 0 {
            break;
        }
    }
    if claim.is_some() && place.mark() == mark {
        let _ = std::fs::remove_file(place.socket());
    }
    drop(listener);
    // The next agent may come before the last work of this one is done.
    drop(claim);
    shared.is_withdrawn.store(true, Ordering::SeqCst);
    let deadline = Instant::now() + LAST_WAIT;
    while open.load(Ordering::SeqCst) > 0 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    shared.state().lock();
    Ok(())
}

/// Waits for a connection, for the bell, or for a while.
fn wait(listener: &UnixListener, rung: &UnixStream) -> io::Result<()> {
    let mut descriptors = [PollFd::new(listener, PollFlags::IN), PollFd::new(rung, PollFlags::IN)];
    match rustix::event::poll(&mut descriptors, Some(&LOOK)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let mut rings = [0; 64];
    let _ = io::Read::read(&mut &*rung, &mut rings);
    Ok(())
}

fn is_idle(shared: &Shared, options: Options) -> bool {
    let now = (options.clock)();
    let quiet = now.saturating_sub(shared.heard.load(Ordering::SeqCst));
    let mut state = shared.state();
    state.forget_ended(now);
    state.is_empty() && u64::try_from(quiet).is_ok_and(|quiet| quiet >= options.idle.as_secs())
}

/// Serves one connection in a thread of its own, if it is this user's.
fn visit(shared: &Arc<Shared>, open: &Arc<AtomicUsize>, stream: UnixStream) {
    let Ok(Ok(peer)) = peer::check(&stream) else { return };
    if open.load(Ordering::SeqCst) >= MAXIMUM_CONNECTIONS {
        return;
    }
    let Ok(mut wire) = Wire::new(stream) else { return };
    let guest = Guest::new(Arc::clone(open), Arc::clone(shared));
    let _ = thread::Builder::new().name("connection".to_owned()).spawn(move || {
        guest.shared.converse(&mut wire, peer);
    });
}

/// Counts a connection, and rings when it has ended.
struct Guest {
    open: Arc<AtomicUsize>,
    shared: Arc<Shared>,
}

impl Guest {
    fn new(open: Arc<AtomicUsize>, shared: Arc<Shared>) -> Self {
        open.fetch_add(1, Ordering::SeqCst);
        Self { open, shared }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
        self.shared.ring();
    }
}
