//! Messages over a socket, each within a time.

use std::{
    io::{self, Write as _},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use rustix::net::RecvFlags;
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::protocol::{self, MessageError, PREFIX_BYTES, Prefix};
use crate::key::socket;

/// How long the other side may take to take a message.
const SENDING: Duration = Duration::from_secs(10);
/// How many bytes are read at a time: a length that is only claimed costs no memory.
const PIECE: usize = 64 * 1024;

/// Why there is no message. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The other side has gone.
    #[error("the connection was closed")]
    Closed,
    /// What came is no message.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The system's words.
    #[error("the connection failed: {0}")]
    Socket(io::Error),
    /// Nothing whole came in time.
    #[error("nothing was heard within {} seconds", .0.as_secs())]
    Timeout(Duration),
}

/// One end of a connection.
pub(super) struct Wire {
    stream: UnixStream,
}

impl Wire {
    pub(super) fn new(stream: UnixStream) -> Result<Self, WireError> {
        stream.set_nonblocking(false).map_err(WireError::Socket)?;
        stream.set_write_timeout(Some(SENDING)).map_err(WireError::Socket)?;
        Ok(Self { stream })
    }

    /// Sends one message.
    pub(super) fn send(&mut self, message: &impl Serialize, body: &[u8]) -> Result<(), WireError> {
        let bytes = protocol::encode(message, body)?;
        self.stream.write_all(&bytes).map_err(|error| failed(error, SENDING))
    }

    /// Receives one message with its body, whole within `patience`.
    pub(super) fn receive<T: DeserializeOwned>(
        &mut self,
        patience: Duration,
    ) -> Result<(T, Vec<u8>), WireError> {
        let deadline = Instant::now() + patience;
        let mut prefix = [0; PREFIX_BYTES];
        self.fill(&mut prefix, deadline, patience)?;
        let prefix = Prefix::parse(prefix)?;
        // All of its room at once: a buffer that grows would leave copies of a token behind.
        let mut head = Zeroizing::new(vec![0; prefix.head]);
        self.fill(&mut head, deadline, patience)?;
        let mut body = Vec::new();
        while body.len() < prefix.body {
            let start = body.len();
            body.resize(prefix.body.min(start + PIECE), 0);
            self.fill(&mut body[start..], deadline, patience)?;
        }
        Ok((protocol::decode(&head)?, body))
    }

    fn fill(&mut self, room: &mut [u8], deadline: Instant, patience: Duration) -> Result<(), WireError> {
        socket::fill(&self.stream, room, deadline).map_err(|error| failed(error, patience))
    }

    /// Whether the other side has gone; asked while it has nothing to say.
    pub(super) fn is_closed(&self) -> bool {
        let mut room = [0; 1];
        match rustix::net::recv(&self.stream, &mut room, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Ok((count, _)) => count == 0,
            Err(error) => error != rustix::io::Errno::AGAIN && error != rustix::io::Errno::INTR,
        }
    }
}

fn failed(error: io::Error, patience: Duration) -> WireError {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, TimedOut, UnexpectedEof, WouldBlock};
    match error.kind() {
        WouldBlock | TimedOut => WireError::Timeout(patience),
        BrokenPipe | ConnectionReset | UnexpectedEof => WireError::Closed,
        _ => WireError::Socket(error),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        os::unix::net::UnixStream,
        thread,
        time::{Duration, Instant},
    };

    use super::{Wire, WireError};
    use crate::agent::protocol::{MessageError, Request};

    const SHORT: Duration = Duration::from_millis(200);

    fn pair() -> (UnixStream, Wire) {
        let (near, far) = UnixStream::pair().unwrap();
        (near, Wire::new(far).unwrap())
    }

    #[test]
    fn a_message_comes_with_its_body_and_the_end_is_noticed() {
        let (near, mut wire) = pair();
        let mut near = Wire::new(near).unwrap();
        let body = vec![7; 300_000];
        let sent = body.clone();
        let sender = thread::spawn(move || {
            near.send(&Request::Lock { logout: false }, &sent).unwrap();
            near
        });
        let (request, received) = wire.receive::<Request>(Duration::from_secs(5)).unwrap();
        assert_eq!((request, received), (Request::Lock { logout: false }, body));
        let near = sender.join().unwrap();
        assert!(!wire.is_closed());
        drop(near);
        assert!(wire.is_closed());
        assert!(matches!(wire.receive::<Request>(SHORT), Err(WireError::Closed)));
    }

    #[test]
    fn what_is_too_long_truncated_or_slow_ends_in_time() {
        let (mut near, mut wire) = pair();
        near.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let outcome = wire.receive::<Request>(SHORT);
        assert!(matches!(outcome, Err(WireError::Message(MessageError::TooLong))));

        let (mut near, mut wire) = pair();
        near.write_all(&[0, 0, 0, 9, 0, 0, 0, 0, b'{']).unwrap();
        drop(near);
        assert!(matches!(wire.receive::<Request>(SHORT), Err(WireError::Closed)));

        // A byte now and then does not buy more time.
        let (mut near, mut wire) = pair();
        let drip = thread::spawn(move || {
            for _ in 0..50 {
                if near.write_all(&[0]).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(60));
            }
        });
        let begun = Instant::now();
        assert!(matches!(wire.receive::<Request>(SHORT), Err(WireError::Timeout(_))));
        assert!(begun.elapsed() < Duration::from_secs(2));
        drop(wire);
        drip.join().unwrap();
    }
}
