//! A line for the system's log, through its local socket, which only Unix has.

use std::{io, path::Path};

/// Facility `authpriv`, severity `notice` (RFC 3164, section 4.1.1): 10 * 8 + 5.
#[cfg(unix)]
const PRIORITY: u8 = 85;

/// Hand `line` to the log behind `socket` under our name. Waits for nobody: a log that takes nothing is an error.
///
/// # Errors
/// There is no such socket, or it takes nothing now.
#[cfg(unix)]
pub fn log_line(socket: &Path, line: &str) -> io::Result<()> {
    let own = std::os::unix::net::UnixDatagram::unbound()?;
    own.set_nonblocking(true)?;
    own.send_to(format!("<{PRIORITY}>countersign: {line}").as_bytes(), socket).map(drop)
}

/// Hand a line to nobody.
///
/// # Errors
/// Always.
#[cfg(not(unix))]
pub fn log_line(_: &Path, _: &str) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}
