//! Push certificates for `countersign verify` and `inspect`: from a file or a blob, and in words.
//!
//! What is told is who signed which commands. That a certificate was for a push that came, with a nonce
//! of the server's and for the first time, only the hook could see.

use std::{fmt::Write as _, fs, io::Read as _, path::Path};

use gix::objs::Kind;

use crate::{
    object::{HashKind, MAXIMUM_OBJECT_BYTES, PushCertificate, object_id},
    repository::Object,
    words::{Failure, escape_bytes},
};

/// How many commands and options are told.
const MAXIMUM_TOLD: usize = 64;

/// The certificate in a file, as git would store it.
pub(super) fn from_file(hash: HashKind, path: &Path) -> Result<Object, Failure> {
    let failed = |reason: &dyn std::fmt::Display| {
        Failure::new(
            format!("the push certificate '{}' cannot be read: {reason}", path.display()),
            "name a file with what 'git cat-file blob' prints of a certificate",
        )
    };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| failed(&error))?;
    file.take(MAXIMUM_OBJECT_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if bytes.len() > MAXIMUM_OBJECT_BYTES {
        return Err(failed(&format!("it is larger than {MAXIMUM_OBJECT_BYTES} bytes")));
    }
    if !PushCertificate::is_meant(&bytes) {
        return Err(failed(&"it does not begin as one does"));
    }
    let id =
        object_id(hash, Kind::Blob, &bytes).ok_or_else(|| failed(&"it is made to collide with another"))?;
    Ok(Object { id, kind: Kind::Blob, bytes })
}

/// What a certificate is for, in a few words.
pub(super) fn title(certificate: &PushCertificate<'_>) -> String {
    let name = escape_bytes(certificate.commands[0].reference);
    match certificate.commands.len() {
        1 => format!("push certificate for '{name}'"),
        count => format!("push certificate for '{name}' and {} more", count - 1),
    }
}

/// What stands in a certificate, all of it the signer's word.
pub(super) fn describe(text: &mut String, certificate: &PushCertificate<'_>) {
    let mut line = |name: &str, value: &str| {
        writeln!(text, "{name}: {value}").expect("a string takes everything");
    };
    line("pusher", &escape_bytes(certificate.pusher));
    line("pushee", &certificate.pushee.map_or_else(|| "none".to_owned(), escape_bytes));
    line("nonce", &certificate.nonce.map_or_else(|| "none".to_owned(), escape_bytes));
    for option in certificate.push_options.iter().take(MAXIMUM_TOLD) {
        line("push option", &escape_bytes(option));
    }
    for command in certificate.commands.iter().take(MAXIMUM_TOLD) {
        let name = escape_bytes(command.reference);
        line("command", &format!("{} {} {name}", command.old, command.new));
    }
    if let Some(more @ 1..) = certificate.commands.len().checked_sub(MAXIMUM_TOLD) {
        line("command", &format!("and {more} more"));
    }
}
