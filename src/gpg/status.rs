//! Status lines (GnuPG `doc/DETAILS`) as git and jj read them, and the exit status beside them.
//!
//! One table. NEWSIG comes first, for git wants a line feed before GOODSIG. GOODSIG is written only
//! for [`Answer::Trusted`] and [`Answer::Undefined`], and with the whole answer in hand. ERRSIG always
//! has its arguments (without them git reads "unsigned") and NO_PUBKEY beside it, for jj.

use std::fmt::Write as _;

use super::{
    gpgsm::{self, CertificateAnswer},
    openpgp::{self, KeyAnswer},
};

/// Who a signature is proven to be by, as far as status lines say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The identity, for `%GS`; never empty.
    pub name: String,
    /// Fingerprint of the certificate, upper-case hexadecimal, for `%GF`.
    pub fingerprint: String,
    /// Fingerprint of the identity, which outlives its certificates, for `%GP`.
    pub primary_fingerprint: String,
    /// The proven time, seconds since 1970.
    pub time: i64,
}

impl Signer {
    /// The last 16 digits of the fingerprint, as gpg's long key id is formed.
    fn key_id(&self) -> &str {
        &self.fingerprint[self.fingerprint.len().saturating_sub(16)..]
    }
}

/// git's answer to one signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Proven, and named by the policy or the user's own configuration.
    Trusted(Signer),
    /// Proven, and there is no policy.
    Undefined(Signer),
    /// Proven, and the policy does not name it.
    Unnamed(Signer),
    /// Content or signature were changed.
    Bad,
    /// An OpenPGP signature, in gpg's own words.
    OpenPgp(Box<KeyAnswer>),
    /// An S/MIME signature, in gpgsm's own words.
    Certificate(Box<CertificateAnswer>),
    /// Cannot tell, or could not run.
    Unknown,
}

/// ECDSA and SHA-256 as gpg numbers them (RFC 9580 §9.1, §9.5).
const ECDSA: u8 = 19;
const SHA256: u8 = 8;
/// The key id where none is known.
const NO_KEY: &str = "0000000000000000";

/// The status lines and the exit status for a verification.
#[must_use]
pub fn verified(answer: &Answer) -> (String, u8) {
    let mut lines = String::from("[GNUPG:] NEWSIG\n");
    let exit = match answer {
        Answer::Trusted(signer) => {
            good(&mut lines, signer, "TRUST_FULLY");
            0
        }
        Answer::Undefined(signer) => {
            good(&mut lines, signer, "TRUST_UNDEFINED");
            0
        }
        Answer::Unnamed(signer) => {
            error(&mut lines, signer.key_id(), signer.time);
            1
        }
        Answer::Bad => {
            lines.push_str("[GNUPG:] BADSIG 0000000000000000 unknown\n");
            1
        }
        Answer::OpenPgp(answer) => openpgp::write(&mut lines, answer),
        Answer::Certificate(answer) => gpgsm::write(&mut lines, answer),
        Answer::Unknown => {
            error(&mut lines, NO_KEY, 0);
            1
        }
    };
    (lines, exit)
}

fn good(lines: &mut String, signer: &Signer, trust: &str) {
    let Signer { name, fingerprint, primary_fingerprint, time } = signer;
    // A status line ends at a line feed; nothing of a name may end it early.
    let name = crate::words::escape(name);
    let key_id = signer.key_id();
    let date = crate::words::time(*time);
    let date = date.split(' ').next().unwrap_or_default();
    write!(
        lines,
        "[GNUPG:] GOODSIG {key_id} {name}\n\
         [GNUPG:] VALIDSIG {fingerprint} {date} {time} 0 4 0 {ECDSA} {SHA256} 00 {primary_fingerprint}\n\
         [GNUPG:] {trust} 0 shell\n"
    )
    .expect("writing to a string cannot fail");
}

/// Return code 9 is "missing public key" in gpg's ERRSIG.
fn error(lines: &mut String, key_id: &str, time: i64) {
    write!(lines, "[GNUPG:] ERRSIG {key_id} {ECDSA} {SHA256} 00 {time} 9\n[GNUPG:] NO_PUBKEY {key_id}\n")
        .expect("writing to a string cannot fail");
}

/// The status lines for a signature that was made. Old versions of git want a line before SIG_CREATED.
#[must_use]
pub fn signed(time: i64, fingerprint: &str) -> String {
    format!(
        "\n[GNUPG:] BEGIN_SIGNING H{SHA256}\n[GNUPG:] SIG_CREATED D {ECDSA} {SHA256} 00 {time} {fingerprint}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(name: &str) -> Signer {
        Signer {
            name: name.into(),
            fingerprint: "AB".repeat(32),
            primary_fingerprint: "CD".repeat(32),
            time: 86_400,
        }
    }

    #[test]
    fn goodsig_stands_only_where_the_table_says_and_never_first() {
        for (answer, good, exit) in [
            (Answer::Trusted(signer("a")), true, 0),
            (Answer::Undefined(signer("a")), true, 0),
            (Answer::Unnamed(signer("a")), false, 1),
            (Answer::Bad, false, 1),
            (Answer::Unknown, false, 1),
        ] {
            let (lines, status) = verified(&answer);
            assert_eq!(status, exit, "{answer:?}");
            assert_eq!(lines.contains("\n[GNUPG:] GOODSIG "), good, "{answer:?}");
            assert!(lines.starts_with("[GNUPG:] NEWSIG\n") && lines.ends_with('\n'));
        }
        let (lines, _) = verified(&Answer::Trusted(signer("a@b.c")));
        assert!(
            lines.contains("VALIDSIG ABAB")
                && lines.contains(" 1970-01-02 86400 ")
                && lines.contains("TRUST_FULLY")
        );
    }

    #[test]
    fn a_name_cannot_write_a_status_line() {
        let (lines, _) = verified(&Answer::Undefined(signer("a\n[GNUPG:] TRUST_ULTIMATE 0 shell")));
        assert!(!lines.contains("\n[GNUPG:] TRUST_ULTIMATE"), "{lines}");
    }
}
