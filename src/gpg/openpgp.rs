//! Status lines for OpenPGP signatures: the words that gpg itself uses, so that `%G?` is gpg's.
//!
//! | outcome | line | `%G?` | exit |
//! |---|---|---|---|
//! | good | GOODSIG, VALIDSIG, TRUST_… | G or U | 0 |
//! | the key has expired since | EXPKEYSIG, VALIDSIG | Y | 0 |
//! | the key had expired already | EXPKEYSIG | Y | 1 |
//! | the key is revoked | REVKEYSIG | R | 1 |
//! | the signature has expired | EXPSIG | X | 1 |
//! | wrong bytes | BADSIG | B | 1 |
//! | no key, an unfit key, a weak digest, not named by the policy | ERRSIG, NO_PUBKEY | E | 1 |
//!
//! gpg exits with 0 for EXPKEYSIG also where the signature was made after the key's end, and with 0
//! for REVKEYSIG; nothing that git accepts is refused by it but signatures after the key's end by
//! git 2.54 and later, which takes EXPKEYSIG for valid.

use std::fmt::Write as _;

/// What is to be told of an OpenPGP signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAnswer {
    /// What it came to.
    pub outcome: Outcome,
    /// What the signature says.
    pub claims: Claims,
    /// The key, if it is known.
    pub signer: Option<KeySigner>,
}

/// What an OpenPGP signature came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The bytes or the signature were changed.
    Bad,
    /// Good, with this trust in whose the key is.
    Good(Level),
    /// The key has expired: since then (`true`), or before the signature states that it was made.
    KeyExpired(bool),
    /// The key is revoked.
    KeyRevoked,
    /// The key is not known.
    NoKey,
    /// The policy does not name the key.
    NotNamed,
    /// The signature has expired.
    SignatureExpired,
    /// The key may not sign, or something is too weak to count.
    Unfit,
}

/// How far a key is known to be its owner's, in gpg's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// By the user's word, or the policy's.
    Fully,
    /// Somewhat.
    Marginal,
    /// It is known not to be.
    Never,
    /// One's own key.
    Ultimate,
    /// Nothing is known.
    Undefined,
}

/// What a signature says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// 16 digits, upper case.
    pub key_id: String,
    /// Seconds since 1970.
    pub created: i64,
    /// Seconds since 1970.
    pub expires: Option<i64>,
    /// The packet's version.
    pub version: u8,
    /// RFC 9580 §9.1.
    pub public_key_algorithm: u8,
    /// RFC 9580 §9.5.
    pub hash_algorithm: u8,
}

/// Whose key it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySigner {
    /// The user id, for `%GS`; never empty.
    pub user_id: String,
    /// Fingerprint of the key that signed, for `%GF`.
    pub fingerprint: String,
    /// Fingerprint of the primary key, for `%GP`.
    pub primary_fingerprint: String,
}

/// Append the lines for `answer`; the exit status.
pub(super) fn write(lines: &mut String, answer: &KeyAnswer) -> u8 {
    let (word, exit) = match answer.outcome {
        Outcome::Good(_) => ("GOODSIG", 0),
        Outcome::KeyExpired(since) => ("EXPKEYSIG", u8::from(!since)),
        Outcome::KeyRevoked => ("REVKEYSIG", 1),
        Outcome::SignatureExpired => ("EXPSIG", 1),
        Outcome::Bad => ("BADSIG", 1),
        Outcome::NoKey => return error(lines, &answer.claims, 9),
        Outcome::NotNamed | Outcome::Unfit => return error(lines, &answer.claims, 53),
    };
    let Claims { key_id, created, expires, version, public_key_algorithm, hash_algorithm } = &answer.claims;
    // A status line ends at a line feed; nothing of a name may end it early, and it is never empty.
    let name = answer.signer.as_ref().map(|signer| crate::words::escape(&percent_encoded(&signer.user_id)));
    let name = name.filter(|name| !name.trim().is_empty()).unwrap_or_else(|| "unknown".to_owned());
    writeln!(lines, "[GNUPG:] {word} {key_id} {name}").expect("writing to a string cannot fail");
    if let (Some(signer), false) = (&answer.signer, answer.outcome == Outcome::Bad) {
        let date = crate::words::time(*created);
        let date = date.split(' ').next().unwrap_or_default();
        writeln!(
            lines,
            "[GNUPG:] VALIDSIG {} {date} {created} {} {version} 0 {public_key_algorithm} {hash_algorithm} 00 {}",
            signer.fingerprint,
            expires.unwrap_or(0),
            signer.primary_fingerprint
        )
        .expect("writing to a string cannot fail");
    }
    if let Outcome::Good(level) = answer.outcome {
        let level = match level {
            Level::Fully => "TRUST_FULLY",
            Level::Marginal => "TRUST_MARGINAL",
            Level::Never => "TRUST_NEVER",
            Level::Ultimate => "TRUST_ULTIMATE",
            Level::Undefined => "TRUST_UNDEFINED",
        };
        writeln!(lines, "[GNUPG:] {level} 0 shell").expect("writing to a string cannot fail");
    }
    exit
}

/// `text` as gpg writes it (GnuPG `g10/cpr.c`): readers decode it, so what it holds must not decode to more.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '%' || character.is_ascii_control() {
            write!(encoded, "%{:02X}", u32::from(character)).expect("writing to a string cannot fail");
        } else {
            encoded.push(character);
        }
    }
    encoded
}

/// `reason` as gpg numbers it: 9 for a missing key, 53 for one that cannot be used.
fn error(lines: &mut String, claims: &Claims, reason: u8) -> u8 {
    let Claims { key_id, created, public_key_algorithm, hash_algorithm, .. } = claims;
    write!(
        lines,
        "[GNUPG:] ERRSIG {key_id} {public_key_algorithm} {hash_algorithm} 00 {created} {reason}\n\
         [GNUPG:] NO_PUBKEY {key_id}\n"
    )
    .expect("writing to a string cannot fail");
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpg::{Answer, verified};

    fn lines(outcome: Outcome, user_id: &str) -> (String, u8) {
        let claims = Claims {
            key_id: "00AA".repeat(4),
            created: 86_400,
            expires: None,
            version: 4,
            public_key_algorithm: 22,
            hash_algorithm: 10,
        };
        let fingerprint = "AB".repeat(20);
        let primary_fingerprint = "CD".repeat(20);
        let signer = Some(KeySigner { user_id: user_id.to_owned(), fingerprint, primary_fingerprint });
        verified(&Answer::OpenPgp(Box::new(KeyAnswer { outcome, claims, signer })))
    }

    #[test]
    fn each_outcome_has_the_word_of_gpg_and_only_good_ones_exit_with_0() {
        for (outcome, word, exit) in [
            (Outcome::Good(Level::Fully), "GOODSIG 00AA00AA00AA00AA a\n", 0),
            (Outcome::KeyExpired(true), "EXPKEYSIG 00AA00AA00AA00AA a\n", 0),
            (Outcome::KeyExpired(false), "EXPKEYSIG 00AA00AA00AA00AA a\n", 1),
            (Outcome::KeyRevoked, "REVKEYSIG 00AA00AA00AA00AA a\n", 1),
            (Outcome::SignatureExpired, "EXPSIG 00AA00AA00AA00AA a\n", 1),
            (Outcome::Bad, "BADSIG 00AA00AA00AA00AA a\n", 1),
            (Outcome::NoKey, "ERRSIG 00AA00AA00AA00AA 22 10 00 86400 9\n", 1),
            (Outcome::NotNamed, "ERRSIG 00AA00AA00AA00AA 22 10 00 86400 53\n", 1),
            (Outcome::Unfit, "ERRSIG 00AA00AA00AA00AA 22 10 00 86400 53\n", 1),
        ] {
            let (lines, status) = lines(outcome, "a");
            assert_eq!(status, exit, "{outcome:?}");
            assert!(lines.starts_with(&format!("[GNUPG:] NEWSIG\n[GNUPG:] {word}")), "{outcome:?}: {lines}");
            let good = matches!(outcome, Outcome::Good(_));
            assert_eq!(lines.contains("GOODSIG") || lines.contains("TRUST_"), good, "{outcome:?}");
            let valid =
                !matches!(outcome, Outcome::Bad | Outcome::NoKey | Outcome::NotNamed | Outcome::Unfit);
            assert_eq!(lines.contains("VALIDSIG"), valid, "{outcome:?}");
        }
        let (lines, _) = lines(Outcome::Good(Level::Undefined), "a");
        let fields = format!("{} 1970-01-02 86400 0 4 0 22 10 00 {}", "AB".repeat(20), "CD".repeat(20));
        assert!(lines.contains(&fields) && lines.ends_with("[GNUPG:] TRUST_UNDEFINED 0 shell\n"), "{lines}");
    }

    #[test]
    fn a_user_id_cannot_write_a_status_line_nor_be_empty() {
        let (text, _) = lines(Outcome::Good(Level::Undefined), "a\n[GNUPG:] TRUST_ULTIMATE 0 shell");
        assert!(!text.contains("\n[GNUPG:] TRUST_ULTIMATE"), "{text}");
        let (text, _) = lines(Outcome::Good(Level::Undefined), "a%0A[GNUPG:] \r\u{202e}");
        assert!(text.contains(" a%250A[GNUPG:] %0D\\u{202e}\n"), "readers decode it: {text}");
        assert!(lines(Outcome::Good(Level::Undefined), "").0.contains("GOODSIG 00AA00AA00AA00AA unknown\n"));
    }
}
