//! Talking to whoever keeps keys at a socket, without waiting for longer than was meant.

use std::{
    io::{self, Read as _},
    os::unix::net::UnixStream,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketType},
};

/// Connects to the socket at `path`, and waits for it to be taken up no longer than `patience`: one whose owner is
/// stopped takes up nothing.
///
/// # Errors
/// The system's words, or [`io::ErrorKind::TimedOut`].
pub fn connect(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let address = SocketAddrUnix::new(path)?;
    let stream: UnixStream = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?.into();
    rustix::io::fcntl_setfd(&stream, rustix::io::FdFlags::CLOEXEC)?;
    stream.set_nonblocking(true)?;
    let deadline = Instant::now() + patience;
    loop {
        match rustix::net::connect(&stream, &address) {
            Ok(()) => break,
            Err(Errno::AGAIN | Errno::INTR) if Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) => return Err(error.into()),
        }
    }
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// Fills all of `room` from `stream` before `deadline`: a byte now and then buys no more time.
///
/// # Errors
/// The system's words; [`io::ErrorKind::TimedOut`], or [`io::ErrorKind::UnexpectedEof`] where the other side has gone.
pub fn fill(mut stream: &UnixStream, mut room: &mut [u8], deadline: Instant) -> io::Result<()> {
    while !room.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(room) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => room = &mut room[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, os::unix::net::UnixListener};

    use super::*;

    #[test]
    fn whoever_takes_up_nothing_or_says_a_byte_now_and_then_is_not_waited_for() {
        const SHORT: Duration = Duration::from_millis(300);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        assert_eq!(connect(&path, SHORT).unwrap_err().kind(), io::ErrorKind::NotFound);
        let listener = UnixListener::bind(&path).unwrap();
        let stream = connect(&path, SHORT).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let drip = thread::spawn(move || {
            for _ in 0..100 {
                if far.write_all(b"x").is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(60));
            }
        });
        let begun = Instant::now();
        let error = fill(&stream, &mut [0; 90], begun + SHORT).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < Duration::from_secs(3));
        drop(stream);
        drip.join().unwrap();
        // As many as wait to be taken up, and then one more.
        let begun = Instant::now();
        let mut waiting = Vec::new();
        let error = loop {
            match connect(&path, SHORT) {
                Ok(stream) => waiting.push(stream),
                Err(error) => break error,
            }
            assert!(waiting.len() < 100_000);
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}
