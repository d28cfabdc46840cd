//! The push certificate that git names to a hook, judged by its own bytes.
//!
//! Of what git says about a certificate only the nonce is taken from it, for git alone can recompute that:
//! it knows under which path it was called. Who signed is verified here; what `GIT_PUSH_CERT_STATUS`,
//! `_SIGNER` and `_KEY` say is not even read. A certificate counts if it holds the very commands that git
//! carries out, in their order, and the push options; if its nonce is the server's own and fresh; if it is for
//! one of the server's own addresses; and if it has not been used before.

use gix::objs::Kind;

use super::{
    CertificateEnvironment, ClaimError, MAXIMUM_AGE, Update, UsedCertificates, pace::TimeIsOver, pushee_key,
};
use crate::{
    object::{HashKind, ObjectId, Payload, PushCertificate, object_id},
    policy::{CertificateFault, Evidence},
    repository::ObjectReader,
    verify::{Verdict, Verifier},
};

/// The certificate of a push, with what is known of it.
#[derive(Clone, Debug)]
pub struct ReceivedCertificate {
    /// The blob that git has stored.
    pub id: ObjectId,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What its signature comes to, if it is for this very push; or why it is not.
    pub judged: Result<Evidence, CertificateFault>,
}

impl ReceivedCertificate {
    /// The blob, if it is for this very push and its signature is good.
    #[must_use]
    pub fn verified(&self) -> Option<ObjectId> {
        let is_good = match &self.judged {
            Ok(Evidence::Signed(verdict)) => !matches!(verdict, Verdict::Bad(_) | Verdict::CannotTell(_)),
            Ok(_) | Err(_) => false,
        };
        is_good.then_some(self.id)
    }
}

/// What a certificate is held against.
pub(super) struct Surrounding<'a> {
    pub(super) environment: &'a CertificateEnvironment,
    /// The push options, as git hands them over.
    pub(super) push_options: Option<&'a [Vec<u8>]>,
    pub(super) updates: &'a [Update],
    /// The server's own addresses.
    pub(super) addresses: &'a [String],
    pub(super) used: &'a UsedCertificates,
    pub(super) verifier: &'a Verifier,
    /// The time of receipt, in seconds since 1970.
    pub(super) now: i64,
    /// Whether the time for judging is over.
    pub(super) is_over: &'a dyn Fn() -> bool,
}

/// Read and judge the certificate that git names, if it names one. A good one is used up by that.
///
/// # Errors
/// The time was over before that; then it is not used up.
pub(super) fn receive(
    surrounding: &Surrounding<'_>,
    reader: &ObjectReader,
) -> Result<Option<Result<ReceivedCertificate, CertificateFault>>, TimeIsOver> {
    let Some(name) = surrounding.environment.id.as_ref() else { return Ok(None) };
    if (surrounding.is_over)() {
        return Err(TimeIsOver);
    }
    let unreadable = |reason: String| Ok(Some(Err(CertificateFault::Unreadable(reason))));
    let id =
        ObjectId::from_hex(name.as_bytes()).ok().filter(|id| id.kind() == reader.hash() && !id.is_null());
    let Some(id) = id else { return unreadable(format!("'{name}' is no object id")) };
    let object = match reader.read(id) {
        Ok(object) if object.kind == Kind::Blob => object,
        Ok(object) => return unreadable(format!("'{id}' is a {}", object.kind)),
        Err(error) => return unreadable(error.to_string()),
    };
    let judged = match judge(surrounding, reader.hash(), &object.bytes) {
        Ok(evidence) => Ok(evidence),
        Err(Stop::Fault(fault)) => Err(fault),
        Err(Stop::OutOfTime) => return Err(TimeIsOver),
    };
    Ok(Some(Ok(ReceivedCertificate { id, bytes: object.bytes, judged })))
}

/// How much is told of where a certificate says that the push goes, in bytes: it is told for each of its refs.
const MAXIMUM_TOLD: usize = 400;

/// Why a certificate counts for nothing.
enum Stop {
    Fault(CertificateFault),
    OutOfTime,
}

impl From<CertificateFault> for Stop {
    fn from(fault: CertificateFault) -> Self {
        Self::Fault(fault)
    }
}

fn judge(surrounding: &Surrounding<'_>, hash: HashKind, bytes: &[u8]) -> Result<Evidence, Stop> {
    let goes_on = || if (surrounding.is_over)() { Err(Stop::OutOfTime) } else { Ok(()) };
    let certificate = PushCertificate::parse(hash, bytes).map_err(CertificateFault::Malformed)?;
    is_this_push(&certificate, surrounding)?;
    // It may hold as many commands as a push does.
    goes_on()?;
    let Some(signature) = &certificate.signed.signature else { return Ok(Evidence::Unsigned) };
    let payload = certificate.signed.payload;
    let verdict = surrounding.verifier.verify(&payload, signature, surrounding.now);
    // Whatever it says, nobody has said it.
    if let Verdict::Bad(_) | Verdict::CannotTell(_) = verdict {
        return Ok(Evidence::Signed(verdict));
    }
    is_for_this_server(&certificate, surrounding.addresses)?;
    let issued = check_nonce(&certificate, surrounding.environment, surrounding.now)?;
    let digest = digest(&payload).ok_or(CertificateFault::Replayed)?;
    // A push that is refused all the same uses nothing up.
    goes_on()?;
    surrounding.used.claim(&digest, issued, surrounding.now).map_err(|error| match error {
        ClaimError::Used => CertificateFault::Replayed,
        ClaimError::Forgotten { path, until } => {
            CertificateFault::Forgotten { file: path.display().to_string(), until }
        }
        error @ ClaimError::Io { .. } => CertificateFault::Unnoted(error.to_string()),
    })?;
    Ok(Evidence::Signed(verdict))
}

/// SHA-256 of what was signed, in hexadecimal.
fn digest(payload: &Payload<'_>) -> Option<String> {
    object_id(HashKind::Sha256, Kind::Blob, &payload.to_vec()).map(|id| id.to_string())
}

/// Whether the certificate holds exactly what git carries out.
fn is_this_push(
    certificate: &PushCertificate<'_>,
    surrounding: &Surrounding<'_>,
) -> Result<(), CertificateFault> {
    let (certified, pushed) = (certificate.commands.len(), surrounding.updates.len());
    let differs = |(index, update): (usize, &Update)| {
        let command = &certificate.commands[index];
        let value = |id: ObjectId| (!id.is_null()).then_some(id);
        let is_same = value(command.old) == update.claimed
            && value(command.new) == update.wanted
            && command.reference == update.reference.as_slice();
        !is_same
    };
    if let Some(index) = surrounding.updates.iter().take(certified).enumerate().position(differs) {
        return Err(CertificateFault::Command(index + 1));
    }
    if certified != pushed {
        return Err(CertificateFault::Commands { certified, pushed });
    }
    match surrounding.push_options {
        Some(options) if certificate.push_options.iter().eq(options) => Ok(()),
        _ => Err(CertificateFault::PushOptions),
    }
}

fn is_for_this_server(
    certificate: &PushCertificate<'_>,
    addresses: &[String],
) -> Result<(), CertificateFault> {
    if addresses.is_empty() {
        return Err(CertificateFault::NoAddresses);
    }
    let pushee = certificate.pushee.ok_or(CertificateFault::NoPushee)?;
    let written = || String::from_utf8_lossy(&pushee[..pushee.len().min(MAXIMUM_TOLD)]).into_owned();
    let key = pushee_key(pushee)
        .map_err(|error| CertificateFault::UnclearPushee { pushee: written(), reason: error.to_string() })?;
    let is_own = |address: &String| pushee_key(address.as_bytes()).as_ref() == Ok(&key);
    if addresses.iter().any(is_own) { Ok(()) } else { Err(CertificateFault::ForeignPushee(written())) }
}

/// Whether the nonce is the server's own and fresh; when it was given out.
///
/// git says `OK` of a nonce that it has just given out and, over smart HTTP, of one that it gave out within
/// `receive.certNonceSlop`; `SLOP` only of one that lies beyond that (receive-pack.c, `check_nonce`).
fn check_nonce(
    certificate: &PushCertificate<'_>,
    environment: &CertificateEnvironment,
    now: i64,
) -> Result<i64, CertificateFault> {
    let nonce = certificate.nonce.ok_or(CertificateFault::NoNonce)?;
    match environment.nonce_status.as_deref() {
        None => return Err(CertificateFault::NoNonce),
        Some("OK") => {}
        Some("SLOP") => {
            return Err(CertificateFault::Slop(environment.nonce_slop.clone().unwrap_or_default()));
        }
        Some(other) => return Err(CertificateFault::NonceStatus(other.to_owned())),
    }
    if environment.nonce.as_deref().map(str::as_bytes) != Some(nonce) {
        return Err(CertificateFault::NonceStatus("another one".to_owned()));
    }
    let issued = issued(nonce).ok_or(CertificateFault::NonceForm)?;
    if issued.abs_diff(now) > MAXIMUM_AGE.unsigned_abs() {
        return Err(CertificateFault::Age { issued, now });
    }
    Ok(issued)
}

/// When a nonce was given out: `<seconds>-<hexadecimal digits of an HMAC>`.
fn issued(nonce: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(nonce).ok()?;
    let (seconds, code) = text.split_once('-')?;
    let is_number = seconds.bytes().all(|byte| byte.is_ascii_digit()) && !seconds.starts_with('0');
    let is_code =
        matches!(code.len(), 40 | 64) && code.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    seconds.parse().ok().filter(|_| is_number && is_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_790_000_000;
    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    struct Case {
        certificate: String,
        environment: CertificateEnvironment,
        push_options: Option<Vec<Vec<u8>>>,
        updates: Vec<Update>,
        addresses: Vec<String>,
        now: i64,
    }

    fn id(hex: &str) -> ObjectId {
        ObjectId::from_hex(hex.as_bytes()).unwrap()
    }

    fn nonce() -> String {
        format!("{NOW}-{}", "a".repeat(40))
    }

    impl Case {
        /// One that is right but for its signature.
        fn new() -> Self {
            let zero = "0".repeat(40);
            let certificate = format!(
                "certificate version 0.1\npusher A <a@b.c> {NOW} +0000\npushee https://example.com/r\nnonce {}\n\
                 push-option one\n\n{ONE} {TWO} refs/heads/main\n{zero} {ONE} refs/tags/v1\n\
                 -----BEGIN SSH SIGNATURE-----\n",
                nonce()
            );
            let update = |claimed, wanted, reference: &str| Update {
                claimed,
                wanted: Some(wanted),
                reference: reference.into(),
            };
            Self {
                certificate,
                environment: CertificateEnvironment {
                    id: None,
                    nonce: Some(nonce()),
                    nonce_status: Some("OK".to_owned()),
                    nonce_slop: None,
                },
                push_options: Some(vec![b"one".to_vec()]),
                updates: vec![
                    update(Some(id(ONE)), id(TWO), "refs/heads/main"),
                    update(None, id(ONE), "refs/tags/v1"),
                ],
                addresses: vec!["ssh://other".to_owned(), "https://example.com/r.git".to_owned()],
                now: NOW + 5,
            }
        }

        fn check(&self) -> Result<i64, CertificateFault> {
            let state = tempfile::tempdir().unwrap();
            let surrounding = Surrounding {
                environment: &self.environment,
                push_options: self.push_options.as_deref(),
                updates: &self.updates,
                addresses: &self.addresses,
                used: &UsedCertificates::new(state.path()),
                verifier: &Verifier::new(Vec::new()),
                now: self.now,
                is_over: &|| false,
            };
            let bytes = self.certificate.as_bytes();
            let certificate =
                PushCertificate::parse(HashKind::Sha1, bytes).map_err(CertificateFault::Malformed)?;
            is_this_push(&certificate, &surrounding)?;
            is_for_this_server(&certificate, &self.addresses)?;
            check_nonce(&certificate, &self.environment, self.now)
        }
    }

    fn with(change: impl FnOnce(&mut Case)) -> Result<i64, CertificateFault> {
        let mut case = Case::new();
        change(&mut case);
        case.check()
    }

    fn replaced(from: &str, to: &str) -> Result<i64, CertificateFault> {
        with(|case| {
            assert!(case.certificate.contains(from), "{from}");
            case.certificate = case.certificate.replacen(from, to, 1);
        })
    }

    #[test]
    fn a_certificate_for_this_push_counts() {
        assert_eq!(Case::new().check(), Ok(NOW));
    }

    #[test]
    fn one_fault_is_enough() {
        use CertificateFault as Fault;
        for (judged, expected) in [
            (replaced("refs/heads/main", "refs/heads/prod"), Fault::Command(1)),
            (replaced(&format!("{ONE} {TWO}"), &format!("{TWO} {TWO}")), Fault::Command(1)),
            (replaced(&format!("{ONE} refs/tags"), &format!("{TWO} refs/tags")), Fault::Command(2)),
            (replaced("refs/tags/v1", "refs/tags/v1\0x"), Fault::Command(2)),
            (with(|case| case.updates.reverse()), Fault::Command(1)),
            (with(|case| drop(case.updates.pop())), Fault::Commands { certified: 2, pushed: 1 }),
            (
                with(|case| case.updates.push(case.updates[0].clone())),
                Fault::Commands { certified: 2, pushed: 3 },
            ),
            (with(|case| case.push_options = Some(vec![])), Fault::PushOptions),
            (with(|case| case.push_options = Some(vec![b"one".into(), b"two".into()])), Fault::PushOptions),
            (with(|case| case.push_options = Some(vec![b"onE".into()])), Fault::PushOptions),
            (with(|case| case.push_options = None), Fault::PushOptions),
            (
                replaced("example.com/r", "example.com/s"),
                Fault::ForeignPushee("https://example.com/s".into()),
            ),
            (replaced("pushee https://example.com/r\n", ""), Fault::NoPushee),
            (with(|case| case.addresses.clear()), Fault::NoAddresses),
            (with(|case| case.environment.nonce_status = None), Fault::NoNonce),
            (
                with(|case| case.environment.nonce_status = Some("UNSOLICITED".into())),
                Fault::NonceStatus("UNSOLICITED".into()),
            ),
            (
                with(|case| {
                    case.environment.nonce_status = Some("SLOP".into());
                    case.environment.nonce_slop = Some("7".into());
                }),
                Fault::Slop("7".into()),
            ),
            (with(|case| case.environment.nonce = None), Fault::NonceStatus("another one".into())),
            (
                with(|case| case.environment.nonce = Some(nonce().replace('a', "b"))),
                Fault::NonceStatus("another one".into()),
            ),
            (
                with(|case| case.now = NOW + MAXIMUM_AGE + 1),
                Fault::Age { issued: NOW, now: NOW + MAXIMUM_AGE + 1 },
            ),
            (
                with(|case| case.now = NOW - MAXIMUM_AGE - 1),
                Fault::Age { issued: NOW, now: NOW - MAXIMUM_AGE - 1 },
            ),
        ] {
            assert_eq!(judged, Err(expected));
        }
        let relative = replaced("https://example.com/r", "../r");
        assert!(matches!(relative, Err(Fault::UnclearPushee { .. })));
        let other_form = with(|case| {
            case.certificate = case.certificate.replace(&nonce(), "never");
            case.environment.nonce = Some("never".into());
        });
        assert_eq!(other_form, Err(Fault::NonceForm));
        for (from, to) in [
            ("pusher A", "pusher B <b@b.c> 1 +0000\npusher A"),
            ("nonce ", "nonce 1-a\nnonce "),
            ("pushee", "x y\npushee"),
            ("version 0.1", "version 0.1\n more"),
            ("A <a", "A\0 <a"),
            ("\n\n", "\n"),
            ("-----BEGIN", "junk\n-----BEGIN"),
            (ONE, "1"),
        ] {
            assert!(matches!(replaced(from, to), Err(Fault::Malformed(_))), "{from:?} {to:?}");
        }
    }

    #[test]
    fn only_gits_own_form_of_a_nonce_is_read() {
        assert_eq!(issued(nonce().as_bytes()), Some(NOW));
        assert_eq!(issued(format!("5-{}", "0".repeat(64)).as_bytes()), Some(5));
        let code = "a".repeat(40);
        for text in ["", "5", "5-", "-5-ab", &format!("05-{code}"), &format!("5-{}", "A".repeat(40))] {
            assert_eq!(issued(text.as_bytes()), None, "{text}");
        }
        for text in [format!("+5-{code}"), format!("99999999999999999999-{code}"), format!("5-{code} ")] {
            assert_eq!(issued(text.as_bytes()), None, "{text}");
        }
    }
}
