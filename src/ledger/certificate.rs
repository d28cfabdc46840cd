//! Holding the push certificates of records against what the records say of their pushes.
//!
//! Whether the signature is good is asked elsewhere. Here it is asked whether the certificate is for the
//! updates that stand beside it, and whether it stands for one push only: whoever can write the ledger could
//! else put anybody's certificate beside anything.

use std::collections::{HashMap, HashSet};

use gix::bstr::{BStr, BString, ByteSlice as _};

use super::{PushId, Record};
use crate::{
    encoding::sha256,
    object::{ObjectId, PushCertificate},
};

/// What is known of the certificates of the records that came before, the newest first. It grows with the number
/// of pushes that have one, by less than a hundred bytes each.
#[derive(Debug, Default)]
pub struct Certificates {
    /// By the digest of what was signed: signatures can be encoded in more ways than one.
    seen: HashMap<[u8; 32], (PushId, u64)>,
}

/// Why a certificate does not vouch for the entries that name it. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// It is for the same update of a ref of another name, which may be an alias on the server.
    #[error("it is for '{certified}', of which only the server can say that it stood for '{reference}'")]
    OtherName {
        /// The ref of the entry.
        reference: BString,
        /// That of the certificate.
        certified: BString,
    },
    /// It is for other updates.
    #[error("it is not for the update of '{reference}'")]
    OtherUpdate {
        /// The ref of the entry.
        reference: BString,
    },
    /// It stands for another push as well.
    #[error("it stands beside the push of entry {sequence} as well, and is good for one")]
    Reused {
        /// The number of the first entry of a record of that push.
        sequence: u64,
    },
}

impl CertificateError {
    /// Whether somebody who knows the server may say that nothing is wrong.
    #[must_use]
    pub fn is_unclear(&self) -> bool {
        matches!(self, Self::OtherName { .. })
    }
}

impl Certificates {
    /// Hold `certificate` against the `record` that names it. `stands_for` says whether a ref is an alias of
    /// another.
    ///
    /// # Errors
    /// It does not vouch for what the record says.
    pub fn hold(
        &mut self,
        record: &Record,
        certificate: &PushCertificate<'_>,
        stands_for: &dyn Fn(&BStr, &BStr) -> bool,
    ) -> Result<(), CertificateError> {
        let push = record.occasion.acceptance().map(|acceptance| acceptance.push);
        let digest = sha256(&certificate.signed.payload.segments());
        if let Some(push) = push {
            let (known, sequence) = *self.seen.entry(digest).or_insert((push, record.sequence));
            if known != push {
                return Err(CertificateError::Reused { sequence });
            }
        }
        let value = |id: ObjectId| (!id.is_null()).then_some(id);
        let certified: HashSet<(Option<ObjectId>, Option<ObjectId>, &[u8])> = certificate
            .commands
            .iter()
            .map(|command| (value(command.old), value(command.new), command.reference))
            .collect();
        for entry in &record.entries {
            if certified.contains(&(entry.old, entry.new, entry.reference.as_slice())) {
                continue;
            }
            let mut alike = certificate
                .commands
                .iter()
                .filter(|command| (value(command.old), value(command.new)) == (entry.old, entry.new));
            let is_alias = |name: &[u8]| stands_for(name.as_bstr(), entry.reference.as_bstr());
            if alike.clone().any(|command| is_alias(command.reference)) {
                continue;
            }
            let reference = entry.reference.clone();
            return Err(match alike.next() {
                Some(command) => {
                    CertificateError::OtherName { reference, certified: command.reference.into() }
                }
                None => CertificateError::OtherUpdate { reference },
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::{Acceptance, Entry, Occasion, PolicyVersion},
        object::HashKind,
    };

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    fn record(push: u8, sequence: u64, entries: &[(&str, &str, &str)]) -> Record {
        let acceptance = Acceptance {
            push: PushId([push; 16]),
            received: 1,
            policy: PolicyVersion::Digest([0; 32]),
            pusher: None,
            certificate: None,
        };
        let value = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
        let entry = |(old, new, name): &(&str, &str, &str)| Entry {
            old: value(old),
            new: value(new),
            reference: (*name).into(),
        };
        Record {
            sequence,
            previous: None,
            occasion: Occasion::Push(acceptance),
            entries: entries.iter().map(entry).collect(),
        }
    }

    fn certificate(commands: &[(&str, &str, &str)]) -> String {
        let zero = "0".repeat(40);
        let value = |text: &str| if text.is_empty() { zero.clone() } else { text.to_owned() };
        let lines: String = commands
            .iter()
            .map(|(old, new, name)| format!("{} {} {name}\n", value(old), value(new)))
            .collect();
        format!("certificate version 0.1\npusher a\n\n{lines}-----BEGIN SSH SIGNATURE-----\n")
    }

    #[test]
    fn a_certificate_is_for_its_updates_and_for_one_push() {
        let text = certificate(&[("", ONE, "refs/heads/a"), (ONE, TWO, "refs/heads/b")]);
        let parsed = PushCertificate::parse(HashKind::Sha1, text.as_bytes()).unwrap();
        let nothing: &dyn Fn(&BStr, &BStr) -> bool = &|_, _| false;
        let hold = |record: &Record, stands_for| Certificates::default().hold(record, &parsed, stands_for);
        // What did not happen of it may be missing.
        let good = record(1, 5, &[(ONE, TWO, "refs/heads/b")]);
        assert_eq!(hold(&good, nothing), Ok(()));
        assert_eq!(
            hold(&record(1, 5, &[("", ONE, "refs/heads/a"), (ONE, TWO, "refs/heads/b")]), nothing),
            Ok(())
        );
        for wrong in [
            ("", TWO, "refs/heads/a"),
            (ONE, ONE, "refs/heads/b"),
            (ONE, "", "refs/heads/b"),
            (TWO, ONE, "refs/heads/b"),
        ] {
            let other = CertificateError::OtherUpdate { reference: wrong.2.into() };
            assert_eq!(hold(&record(1, 5, &[wrong]), nothing), Err(other));
        }
        let moved = record(1, 5, &[(ONE, TWO, "refs/heads/main")]);
        let unclear = hold(&moved, nothing).unwrap_err();
        assert!(unclear.is_unclear() && unclear.to_string().contains("'refs/heads/b'"), "{unclear}");
        let aliased: &dyn Fn(&BStr, &BStr) -> bool =
            &|name, reference| name == "refs/heads/b" && reference == "refs/heads/main";
        assert_eq!(hold(&moved, aliased), Ok(()));

        let mut all = Certificates::default();
        assert_eq!(all.hold(&record(1, 9, &[("", ONE, "refs/heads/a")]), &parsed, nothing), Ok(()));
        // Another record of the same push, and another push.
        assert_eq!(all.hold(&good, &parsed, nothing), Ok(()));
        let again = all.hold(&record(2, 1, &[("", ONE, "refs/heads/a")]), &parsed, nothing);
        assert_eq!(again, Err(CertificateError::Reused { sequence: 9 }));
    }
}
