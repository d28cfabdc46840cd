//! What pre-receive leaves before it accepts a push: everything that the ledger will say of it.
//!
//! ```text
//! countersign intent 1
//! received <seconds since 1970>
//! push <32 digits>
//! policy sha256:<digest> | commit:<id>
//! pusher <words>                                  optional
//! certificate <id of the blob>                    optional
//! ledger <the head of the ledger at that time>    or 'none'
//! process <pid> <start> <namespace>               receive-pack; optional
//!
//! <old> <new> <ref>                               once or more
//! ```

use super::{
    Acceptance, Entry, Process,
    fields::{self, Lines},
};
use crate::object::{HashKind, ObjectId};

pub(super) const FIRST_LINE: &[u8] = b"countersign intent 1";

/// An accepted push of which it is not entered yet what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The push.
    pub acceptance: Acceptance,
    /// The head of the ledger before the push was judged.
    pub ledger: Option<ObjectId>,
    /// Who moves the refs.
    pub process: Option<Process>,
    /// What is to happen, in the order in which it was pushed.
    pub entries: Vec<Entry>,
}

/// Why bytes are no intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the intent is cut short or was not written by this program")]
pub struct IntentError;

impl Intent {
    /// Read an intent of a repository that uses `hash`.
    ///
    /// # Errors
    /// It is not exactly what [`Self::bytes`] writes.
    pub fn parse(hash: HashKind, bytes: &[u8]) -> Result<Self, IntentError> {
        let read = || {
            let mut lines = Lines(bytes);
            if lines.line()? != FIRST_LINE {
                return None;
            }
            let acceptance = fields::acceptance(hash, &mut lines)?;
            let ledger = match lines.value("ledger")? {
                b"none" => None,
                head => Some(fields::id(hash, head)?),
            };
            let process = match lines.text("process") {
                Some(text) => Some(Process::parse(text)?),
                None => None,
            };
            if lines.line()? != b"" {
                return None;
            }
            let mut entries = Vec::new();
            while !lines.0.is_empty() {
                entries.push(fields::entry(hash, lines.line()?)?);
            }
            Some(Self { acceptance, ledger, process, entries })
        };
        read().filter(|intent| intent.bytes(hash) == bytes && !intent.entries.is_empty()).ok_or(IntentError)
    }

    /// The process that the bytes of an intent name, if they name one; `None` where they have no end of what comes
    /// before the entries, or something else stands in its place.
    pub(super) fn process_of(bytes: &[u8]) -> Option<Option<Process>> {
        let mut lines = Lines(bytes);
        loop {
            if let Some(text) = lines.text("process") {
                return Process::parse(text).map(Some);
            }
            if lines.line()?.is_empty() {
                return Some(None);
            }
        }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self, hash: HashKind) -> Vec<u8> {
        let mut text = [FIRST_LINE, b"\n"].concat();
        fields::write_acceptance(&self.acceptance, &mut text);
        let head = self.ledger.map_or_else(|| "none".to_owned(), |head| head.to_string());
        text.extend(format!("ledger {head}\n").into_bytes());
        if let Some(process) = &self.process {
            text.extend(format!("process {process}\n").into_bytes());
        }
        text.push(b'\n');
        for entry in &self.entries {
            fields::write_entry(hash, entry, &mut text);
        }
        text
    }
}
