//! Status lines for S/MIME signatures: the words that gpgsm itself uses, so that `%G?` is gpgsm's.
//!
//! | outcome | line | `%G?` | exit |
//! |---|---|---|---|
//! | good, trusted | GOODSIG, VALIDSIG, TRUST_FULLY | G | 0 |
//! | good, revocation not looked at | GOODSIG, VALIDSIG, TRUST_UNDEFINED | U | 0 |
//! | the chain leads to no trusted root | GOODSIG, VALIDSIG, TRUST_UNDEFINED | U | 1 |
//! | the certificate has expired since | EXPKEYSIG, VALIDSIG, TRUST_… | Y | 0 |
//! | it had expired already | EXPKEYSIG, VALIDSIG, TRUST_UNDEFINED | Y | 1 |
//! | wrong bytes | BADSIG | B | 1 |
//! | no certificate, an unfit one, a weak digest, not named by the policy | ERRSIG, NO_PUBKEY | E | 1 |
//!
//! gpgsm exits with 0 also for a signature made after the certificate's end, takes SHA-1, certificates for
//! servers alone, and signatures that state no time; these are refused here. Where it does not have the
//! certificate it writes no line about a signature, and git says `N`.

use std::fmt::Write as _;

/// What is to be told of an S/MIME signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateAnswer {
    /// What it came to.
    pub outcome: Outcome,
    /// The certificate, if there is one.
    pub signer: Option<CertificateSigner>,
    /// When the signature states that it was made, in seconds since 1970.
    pub created: Option<i64>,
    /// As Libgcrypt numbers it: 1 for RSA, 301 for ECDSA, 303 for EdDSA; 0 for none of these.
    pub public_key_algorithm: u16,
    /// RFC 9580 §9.5; 0 for another.
    pub hash_algorithm: u8,
}

/// What an S/MIME signature came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The bytes or the signature were changed.
    Bad,
    /// The certificate has expired before the signature states that it was made.
    Expired,
    /// Good, by a certificate that has expired since; the rest as for [`Self::Good`].
    ExpiredSince(bool),
    /// Good, by a certificate that counts; `false` where nobody has looked whether it is revoked.
    Good(bool),
    /// Anything else that cannot be accepted.
    Refused,
    /// The bytes are right, and no root that is trusted stands behind the certificate.
    Untrusted,
}

/// Whose certificate it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSigner {
    /// The subject, for `%GS`; see [`subject`].
    pub name: String,
    /// SHA-1 fingerprint, upper-case hexadecimal, for `%GF` and `%GK`: a name and no proof.
    pub fingerprint: String,
    /// When the certificate ends, in seconds since 1970.
    pub expires: i64,
}

const FULLY: &str = "TRUST_FULLY 0 shell";
const UNDEFINED: &str = "TRUST_UNDEFINED 0 shell";

/// The attributes of a distinguished name as gpgsm writes them: `/CN=Alice Example/O=Corp`.
#[must_use]
pub fn subject(attributes: &[(String, String)]) -> String {
    const FIRST: [&str; 8] = ["CN", "OU", "O", "STREET", "L", "ST", "C", "EMail"];
    let of_kind = |kind: &'static str| attributes.iter().filter(move |(own, _)| own == kind);
    let others = attributes.iter().filter(|(kind, _)| !FIRST.contains(&kind.as_str()));
    let all = FIRST.into_iter().flat_map(of_kind).chain(others);
    all.map(|(kind, value)| format!("/{kind}={value}")).collect()
}

/// Append the lines for `answer`; the exit status.
pub(super) fn write(lines: &mut String, answer: &CertificateAnswer) -> u8 {
    let CertificateAnswer { outcome, signer, created, public_key_algorithm, hash_algorithm } = answer;
    let (word, trust, exit) = match outcome {
        Outcome::Good(true) => ("GOODSIG", FULLY, 0),
        Outcome::Good(false) => ("GOODSIG", UNDEFINED, 0),
        // 98 is gpgsm's "not trusted".
        Outcome::Untrusted => ("GOODSIG", "TRUST_UNDEFINED 98", 1),
        Outcome::ExpiredSince(true) => ("EXPKEYSIG", FULLY, 0),
        Outcome::ExpiredSince(false) => ("EXPKEYSIG", UNDEFINED, 0),
        Outcome::Expired => ("EXPKEYSIG", UNDEFINED, 1),
        Outcome::Bad => ("BADSIG", "", 1),
        Outcome::Refused => ("ERRSIG", "", 1),
    };
    let key = signer.as_ref().map_or("0000000000000000", |signer| signer.fingerprint.as_str());
    let (Some(signer), false) = (signer, *outcome == Outcome::Refused) else {
        let created = created.unwrap_or(0);
        write!(
            lines,
            "[GNUPG:] ERRSIG {key} {public_key_algorithm} {hash_algorithm} 00 {created} 9\n\
             [GNUPG:] NO_PUBKEY {key}\n"
        )
        .expect("writing to a string cannot fail");
        return 1;
    };
    // A status line ends at a line feed; nothing of a name may end it early, and it is never empty.
    let name = crate::words::escape(&signer.name);
    let name = Some(name).filter(|name| !name.trim().is_empty()).unwrap_or_else(|| "unknown".to_owned());
    writeln!(lines, "[GNUPG:] {word} {key} {name}").expect("writing to a string cannot fail");
    if *outcome == Outcome::Bad {
        return exit;
    }
    let text = created.map(crate::words::time);
    let date = text.as_deref().and_then(|text| text.split(' ').next()).unwrap_or("none");
    let created = created.map_or_else(|| "0".to_owned(), compact);
    let expires = compact(signer.expires);
    writeln!(
        lines,
        "[GNUPG:] VALIDSIG {key} {date} {created} {expires} 0 0 {public_key_algorithm} {hash_algorithm} 00"
    )
    .expect("writing to a string cannot fail");
    writeln!(lines, "[GNUPG:] {trust}").expect("writing to a string cannot fail");
    exit
}

/// A time as `20261122T152459`.
fn compact(seconds: i64) -> String {
    let text = crate::words::time(seconds);
    let mut digits: String = text.chars().filter(char::is_ascii_digit).take(14).collect();
    if digits.len() == 14 {
        digits.insert(8, 'T');
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpg::{Answer, verified};

    fn lines(outcome: Outcome, name: &str) -> (String, u8) {
        let (name, fingerprint) = (name.to_owned(), "AB".repeat(20));
        verified(&Answer::Certificate(Box::new(CertificateAnswer {
            outcome,
            signer: Some(CertificateSigner { name, fingerprint, expires: 172_800 }),
            created: Some(86_400),
            public_key_algorithm: 1,
            hash_algorithm: 8,
        })))
    }

    #[test]
    fn each_outcome_has_the_word_of_gpgsm() {
        for (outcome, word, trust, exit) in [
            (Outcome::Good(true), "GOODSIG", "TRUST_FULLY 0 shell", 0),
            (Outcome::Good(false), "GOODSIG", "TRUST_UNDEFINED 0 shell", 0),
            (Outcome::Untrusted, "GOODSIG", "TRUST_UNDEFINED 98", 1),
            (Outcome::ExpiredSince(true), "EXPKEYSIG", "TRUST_FULLY 0 shell", 0),
            (Outcome::ExpiredSince(false), "EXPKEYSIG", "TRUST_UNDEFINED 0 shell", 0),
            (Outcome::Expired, "EXPKEYSIG", "TRUST_UNDEFINED 0 shell", 1),
            (Outcome::Bad, "BADSIG", "/CN=a", 1),
            (Outcome::Refused, "ERRSIG", &"AB".repeat(20), 1),
        ] {
            let (lines, status) = lines(outcome, "/CN=a");
            assert_eq!(status, exit, "{outcome:?}");
            let first = format!("[GNUPG:] NEWSIG\n[GNUPG:] {word} {} ", "AB".repeat(20));
            assert!(lines.starts_with(&first), "{lines}");
            assert!(lines.trim_end().ends_with(trust), "{outcome:?}: {lines}");
            let valid = !matches!(outcome, Outcome::Bad | Outcome::Refused);
            let fields = "1970-01-02 19700102T000000 19700103T000000 0 0 1 8 00\n";
            assert_eq!(lines.contains(fields), valid, "{lines}");
        }
    }

    #[test]
    fn a_subject_cannot_write_a_status_line_nor_be_empty() {
        let (text, _) = lines(Outcome::Good(false), "a\n[GNUPG:] TRUST_ULTIMATE 0 shell");
        assert!(!text.contains("\n[GNUPG:] TRUST_ULTIMATE"), "{text}");
        assert!(lines(Outcome::Good(false), "").0.contains(" unknown\n"));
    }

    #[test]
    fn a_subject_is_written_in_the_order_of_gpgsm() {
        let attributes = [("T", "x"), ("O", "Corp"), ("CN", "Alice")];
        let attributes = attributes.map(|(kind, value)| (kind.to_owned(), value.to_owned()));
        assert_eq!(subject(&attributes), "/CN=Alice/O=Corp/T=x");
    }
}
