//! Signed notes (C2SP signed-note) and the checkpoints of transparency logs in them.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::key::{KeyAlgorithm, SigningKey, sha256};

/// One line of note signature: who signs, and with what.
pub(super) struct NoteSigner<'a> {
    /// The name on the signature line.
    pub(super) name: &'a str,
    /// The key.
    pub(super) key: &'a SigningKey,
}

impl NoteSigner<'_> {
    /// The id of the key, of which a signature line carries the first four bytes.
    ///
    /// Ed25519: SHA-256 over name, LF, 0x01 and the raw key (C2SP signed-note). ECDSA: SHA-256 of the
    /// SubjectPublicKeyInfo, as Rekor v1 has it.
    pub(super) fn key_id(&self) -> [u8; 32] {
        match self.key.algorithm() {
            KeyAlgorithm::Ed25519 => {
                let spki = self.key.spki_der();
                // RFC 8410: the SubjectPublicKeyInfo of Ed25519 ends with the 32 bytes of the key.
                let raw = &spki[spki.len() - 32..];
                sha256(&[self.name.as_bytes(), b"\n\x01", raw].concat())
            }
            KeyAlgorithm::EcdsaP256 | KeyAlgorithm::EcdsaP384 => self.key.key_id(),
        }
    }

    /// The checkpoint (C2SP tlog-checkpoint) of a tree, signed.
    pub(super) fn checkpoint(&self, origin: &str, size: u64, root: &[u8; 32]) -> String {
        let text = format!("{origin}\n{size}\n{}\n", STANDARD.encode(root));
        let signature = [&self.key_id()[..4], &self.key.sign(text.as_bytes())].concat();
        format!("{text}\n\u{2014} {} {}\n", self.name, STANDARD.encode(signature))
    }
}
