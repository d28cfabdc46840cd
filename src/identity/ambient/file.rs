//! A token in a file that someone else keeps fresh: a projected Kubernetes token, a JWT-SVID of SPIFFE.
//!
//! Kubernetes projects a service account's token for an audience of one's choice into a volume
//! (`serviceAccountToken`); a SPIFFE helper writes a JWT-SVID to a file. SPIFFE's Workload API itself is
//! gRPC, and is not spoken here.

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
};

use zeroize::Zeroizing;

use super::{AmbientError, Token};
use crate::identity::token::MAXIMUM_TOKEN_BYTES;

/// The token in the file at `path`, read anew each time.
pub(super) fn token(path: &Path) -> Result<Token, AmbientError> {
    let text = read(path).map_err(|reason| AmbientError::File { path: path.to_owned(), reason })?;
    Ok(Token::parse(text)?)
}

/// The text of a token file, whatever it is, cut where no token is as long.
pub(in crate::identity) fn read(path: &Path) -> io::Result<String> {
    // Nothing that could keep us waiting, such as a pipe.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut text = Zeroizing::new(String::new());
    // One byte more than a token may have, so that a longer one is refused rather than cut.
    let limit = MAXIMUM_TOKEN_BYTES as u64 + 1;
    fs::File::open(path)?.take(limit).read_to_string(&mut text)?;
    Ok(std::mem::take(&mut text))
}
