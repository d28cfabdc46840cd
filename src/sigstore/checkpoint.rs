//! A log's checkpoint: a signed note (C2SP signed-note, tlog-checkpoint) over tree size and root.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The largest checkpoint that is read, in bytes.
pub const MAXIMUM_CHECKPOINT_BYTES: usize = 16 * 1024;
const MAXIMUM_SIGNATURES: usize = 16;
const SEPARATOR: &str = "\n\n";

/// The text is no checkpoint in its one spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a checkpoint in its one spelling")]
pub struct CheckpointError;

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature<'a> {
    /// The signer's name.
    pub name: &'a str,
    /// The first four bytes of the signer's key id.
    pub key_hint: [u8; 4],
    /// The signature value.
    pub signature: Vec<u8>,
}

/// A checkpoint, nothing of it verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint<'a> {
    /// What the signatures cover: the text up to and with the line feed before the blank line.
    pub text: &'a str,
    /// The first line: which log and tree.
    pub origin: &'a str,
    /// How many leaves.
    pub tree_size: u64,
    /// The root hash.
    pub root_hash: [u8; 32],
    /// The signature lines, in order.
    pub signatures: Vec<NoteSignature<'a>>,
}

impl<'a> Checkpoint<'a> {
    /// Parse `note`.
    ///
    /// # Errors
    /// [`CheckpointError`] for anything but the one spelling.
    pub fn parse(note: &'a str) -> Result<Self, CheckpointError> {
        if note.len() > MAXIMUM_CHECKPOINT_BYTES {
            return Err(CheckpointError);
        }
        let split = note.find(SEPARATOR).ok_or(CheckpointError)?;
        let text = &note[..=split];
        let signature_lines = &note[split + SEPARATOR.len()..];
        if signature_lines.contains(SEPARATOR) {
            return Err(CheckpointError);
        }
        let mut lines = text.split('\n');
        let origin = lines.next().filter(|origin| !origin.is_empty()).ok_or(CheckpointError)?;
        let size = lines.next().ok_or(CheckpointError)?;
        let tree_size: u64 = size.parse().map_err(|_| CheckpointError)?;
        let root = lines.next().ok_or(CheckpointError)?;
        let root_hash =
            STANDARD.decode(root).ok().and_then(|root| root.try_into().ok()).ok_or(CheckpointError)?;
        if tree_size.to_string() != size {
            return Err(CheckpointError);
        }
        let signatures = signature_lines
            .strip_suffix('\n')
            .ok_or(CheckpointError)?
            .split('\n')
            .map(signature_line)
            .collect::<Result<Vec<_>, _>>()?;
        let repeated = |(index, line): (usize, &NoteSignature<'_>)| {
            signatures[..index].iter().any(|other| (other.name, other.key_hint) == (line.name, line.key_hint))
        };
        if signatures.len() > MAXIMUM_SIGNATURES || signatures.iter().enumerate().any(repeated) {
            return Err(CheckpointError);
        }
        Ok(Self { text, origin, tree_size, root_hash, signatures })
    }

    /// The name under which the log itself signs: its origin, without Rekor v1's tree id.
    #[must_use]
    pub fn log_name(&self) -> &'a str {
        self.origin.split_once(" - ").map_or(self.origin, |(name, _)| name)
    }
}

fn signature_line(line: &str) -> Result<NoteSignature<'_>, CheckpointError> {
    let rest = line.strip_prefix("\u{2014} ").ok_or(CheckpointError)?;
    let (name, encoded) = rest.split_once(' ').ok_or(CheckpointError)?;
    let bytes = STANDARD.decode(encoded).map_err(|_| CheckpointError)?;
    let (key_hint, signature) = bytes.split_first_chunk::<4>().ok_or(CheckpointError)?;
    if name.is_empty() || signature.is_empty() || name.contains('+') {
        return Err(CheckpointError);
    }
    Ok(NoteSignature { name, key_hint: *key_hint, signature: signature.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTE: &str = "log.example - 7\n12\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nTimestamp: 1\n\n\
                        \u{2014} log.example AQIDBAU=\n";

    #[test]
    fn a_checkpoint_has_one_spelling() {
        let checkpoint = Checkpoint::parse(NOTE).unwrap();
        assert_eq!((checkpoint.tree_size, checkpoint.root_hash), (12, [0; 32]));
        assert_eq!(checkpoint.log_name(), "log.example");
        assert_eq!(checkpoint.signatures[0].key_hint, [1, 2, 3, 4]);
        assert!(checkpoint.text.ends_with("Timestamp: 1\n"));
        for (from, to) in [
            ("\n12\n", "\n012\n"),
            ("\n12\n", "\n+12\n"),
            ("AAA=\n", "AAB=\n"),
            ("AAA=\n", "AAA\n"),
            ("BAU=\n", "BAU="),
            ("BAU=\n", "BAU=\n\n"),
            ("\u{2014} ", "- "),
            ("AQIDBAU=", "AQIDBA=="),
            ("log.example - 7", ""),
            ("BAU=\n", "BAU=\n\u{2014} log.example AQIDBAU=\n"),
        ] {
            let changed = NOTE.replacen(from, to, 1);
            assert_ne!(changed, NOTE);
            assert_eq!(Checkpoint::parse(&changed), Err(CheckpointError), "{from:?} to {to:?}");
        }
    }
}
