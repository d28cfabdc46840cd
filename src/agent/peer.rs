//! Who is on the other end of a socket: the same user, or nobody to talk to.

use std::{io, os::unix::net::UnixStream};

/// The other end, which is the same user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// Its process, where the system tells.
    pub(super) process: Option<u32>,
}

/// The user that this process acts as.
pub(super) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The peer of `stream`, as the system recorded it when it connected or began to listen; `Err` with the user's
/// number if it is somebody else's.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn check(stream: &UnixStream) -> io::Result<Result<Peer, u32>> {
    let credentials = rustix::net::sockopt::socket_peercred(stream)?;
    Ok(judge(credentials.uid.as_raw(), credentials.pid.as_raw_nonzero().get(), user()))
}

/// Elsewhere the system is not asked: the folder that nobody else may enter is what keeps others out.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn check(_: &UnixStream) -> io::Result<Result<Peer, u32>> {
    Ok(Ok(Peer { process: None }))
}

#[cfg(any(target_os = "linux", target_os = "android", test))]
fn judge(user: u32, process: i32, ours: u32) -> Result<Peer, u32> {
    if user == ours { Ok(Peer { process: u32::try_from(process).ok() }) } else { Err(user) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::{Peer, check, judge};

    #[test]
    fn the_same_user_is_a_peer_and_nobody_else_is() {
        let (near, _far) = UnixStream::pair().unwrap();
        let peer = check(&near).unwrap().unwrap();
        if cfg!(target_os = "linux") {
            assert_eq!(peer.process, Some(std::process::id()));
        }
        assert_eq!(judge(1000, 7, 1000), Ok(Peer { process: Some(7) }));
        assert_eq!(judge(1001, 7, 1000), Err(1001));
        assert_eq!(judge(0, 7, 1000), Err(0), "not even root's");
        assert_eq!(judge(1000, 7, 0), Err(1000));
    }
}
