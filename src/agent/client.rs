//! The agent's client: it makes sure with whom it talks, and that no wait is without end.

use std::{io, os::unix::net::UnixStream, time::Duration};

use zeroize::Zeroizing;

use super::{
    peer,
    place::{Place, PlaceError},
    protocol::{Answer, MessageError, Question, Request, Secret, Terms},
    wire::Wire,
};
use crate::{identity::Token, key::socket};

pub use super::wire::WireError;

/// How long a connection may take to be taken up.
const CONNECTION: Duration = Duration::from_secs(2);
/// How long the agent may take to say that it has heard.
const HEARING: Duration = Duration::from_secs(10);
/// How long it may take to sign: as long as the services may take to answer.
const WORK: Duration = Duration::from_secs(300);

/// How many answers there may be to one request: one for each login that is waited for, and a few more.
const MAXIMUM_ANSWERS: usize = 64;

/// Why the agent is of no use. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The place is not one to talk at, or nobody is there.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// Whoever listens is somebody else.
    #[error("the agent belongs to the user {0}")]
    Stranger(u32),
    /// It was gone before it had heard anything.
    #[error("the agent has gone")]
    Unheard,
    /// It answers something else than was asked.
    #[error("the agent's answer makes no sense")]
    Unexpected,
    /// It speaks another version.
    #[error("the agent is of another version of countersign")]
    Version,
    /// The conversation broke off.
    #[error("the agent: {0}")]
    Wire(WireError),
}

impl ClientError {
    /// Whether no agent runs.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Place(PlaceError::Absent))
    }
}

impl From<WireError> for ClientError {
    fn from(error: WireError) -> Self {
        match error {
            WireError::Message(MessageError::Version(_)) => Self::Version,
            other => Self::Wire(other),
        }
    }
}

/// What whoever asks can do when the agent asks back.
pub trait Guest {
    /// Somebody else (this process, where it is known) is logging in, and that is waited for.
    fn waiting(&mut self, process: Option<u32>);

    /// Log in; `remaining` is how many seconds the old key has, if there is one.
    ///
    /// # Errors
    /// It came to nothing, for this reason.
    fn log_in(&mut self, remaining: Option<i64>) -> Result<Token, String>;
}

/// One conversation with the agent.
pub struct Client {
    wire: Wire,
}

impl Client {
    /// Talks to the agent at `place`, if it is this user's and nobody else can be in its place.
    ///
    /// # Errors
    /// [`ClientError::is_absent`] where none runs; else what is wrong with it.
    pub fn connect(place: &Place) -> Result<Self, ClientError> {
        place.check()?;
        let stream = connect(place)?;
        match peer::check(&stream).map_err(WireError::Socket)? {
            Ok(_) => Ok(Self { wire: Wire::new(stream)? }),
            Err(user) => Err(ClientError::Stranger(user)),
        }
    }

    /// Asks something that is answered at once.
    ///
    /// # Errors
    /// There is no answer.
    pub fn manage(mut self, request: &Request) -> Result<Answer, ClientError> {
        self.wire.send(request, &[])?;
        match self.wire.receive(HEARING)? {
            (Answer::Unsupported { .. }, _) => Err(ClientError::Version),
            (answer, _) => Ok(answer),
        }
    }

    /// Asks for a signature at a socket that was forwarded from elsewhere: [`Request::SignAfar`] with a payload. No
    /// login is begun, whatever is said there.
    ///
    /// # Errors
    /// There is no answer.
    pub fn ask_afar(mut self, request: &Request, payload: &[u8]) -> Result<(Answer, Vec<u8>), ClientError> {
        self.wire.send(request, payload)?;
        match self.wire.receive(HEARING)? {
            (Answer::Unsupported { .. }, _) => Err(ClientError::Version),
            (Answer::Working {}, _) => Ok(self.wire.receive(WORK)?),
            answer => Ok(answer),
        }
    }

    /// Has the agent open a socket for signatures that are asked for elsewhere; its path.
    ///
    /// # Errors
    /// It does not, for this reason or another.
    pub fn forward(mut self, terms: Terms) -> Result<Result<(String, Forwarding), String>, ClientError> {
        let patience = Duration::from_secs(u64::from(terms.seconds)) + HEARING;
        self.wire.send(&Request::Forward(terms), &[])?;
        match self.wire.receive(HEARING)? {
            (Answer::Unsupported { .. }, _) => Err(ClientError::Version),
            (Answer::Forwarded { socket }, _) => Ok(Ok((socket, Forwarding { wire: self.wire, patience }))),
            (Answer::Refused { reason, .. }, _) => Ok(Err(reason)),
            _ => Err(ClientError::Unexpected),
        }
    }

    /// Asks something that may take a login: [`Request::Sign`] with a payload, or [`Request::Open`]. The answer
    /// is the last one, with its body.
    ///
    /// # Errors
    /// There is none.
    pub fn ask(
        mut self,
        request: &Request,
        payload: &[u8],
        patience: Duration,
        guest: &mut dyn Guest,
    ) -> Result<(Answer, Vec<u8>), ClientError> {
        let unheard = |error| match error {
            WireError::Closed => ClientError::Unheard,
            other => other.into(),
        };
        let keeps_refresh_tokens = match request {
            Request::Sign(ask) | Request::Open(ask) => ask.refreshing.is_some(),
            _ => false,
        };
        self.wire.send(request, payload).map_err(unheard)?;
        let mut received = self.wire.receive(HEARING).map_err(unheard)?;
        for _ in 0..MAXIMUM_ANSWERS {
            let next = match received {
                (Answer::Unsupported { .. }, _) => return Err(ClientError::Version),
                (Answer::Working {}, _) => WORK,
                (Answer::Waiting { process }, _) => {
                    guest.waiting(process);
                    patience + WORK
                }
                (Answer::LogIn { remaining }, _) => {
                    let answer = match guest.log_in(remaining) {
                        Ok(token) => {
                            let secret = |text: &str| Secret(Zeroizing::new(text.to_owned()));
                            // Where none is to be kept, none is handed over.
                            let refresh = token.refresh().filter(|_| keeps_refresh_tokens).map(secret);
                            Request::Token { token: secret(token.secret()), refresh }
                        }
                        Err(reason) => Request::Failed { reason },
                    };
                    self.wire.send(&answer, &[])?;
                    WORK
                }
                (answer, body) => return Ok((answer, body)),
            };
            received = self.wire.receive(next)?;
        }
        Err(ClientError::Unexpected)
    }
}

/// A socket for signatures that are asked for elsewhere; it is closed when this is dropped.
pub struct Forwarding {
    wire: Wire,
    patience: Duration,
}

impl Forwarding {
    /// Has `ask` answer what the user is to be asked, until the socket is closed; why it is.
    ///
    /// # Errors
    /// The agent is gone.
    pub fn attend(mut self, mut ask: impl FnMut(&Question) -> bool) -> Result<String, ClientError> {
        loop {
            match self.wire.receive(self.patience)? {
                (Answer::Confirm(question), _) => {
                    let yes = ask(&question);
                    self.wire.send(&Request::Confirmed { yes }, &[])?;
                }
                (Answer::Ended { reason }, _) => return Ok(reason),
                _ => return Err(ClientError::Unexpected),
            }
        }
    }
}

/// Connects without waiting for long: an agent that is stopped takes up nothing.
fn connect(place: &Place) -> Result<UnixStream, ClientError> {
    let socket = place.socket();
    socket::connect(&socket, CONNECTION).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => PlaceError::Absent.into(),
        io::ErrorKind::TimedOut => WireError::Socket(error).into(),
        _ => PlaceError::System { path: socket.clone(), reason: error }.into(),
    })
}
