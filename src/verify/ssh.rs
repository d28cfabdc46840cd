//! SSH signatures: the key signed these bytes for git, and its certificate, if it has one, was valid.
//!
//! Nothing in such a signature says when it was made. What counts for a certificate's validity is the
//! time that the object itself states, as git passes it to `ssh-keygen`; it proves nothing.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey,
    VerificationAlgorithm,
};

use super::{Bad, CannotTell, FUTURE_SKEW, Failure, Key, Stated, Verdict};
use crate::{
    encoding::sha256,
    object::Payload,
    signature::{
        FormatError,
        ssh::{
            self, Certificate, Curve, KeyKind, Material, PublicKey, Revocations, SignatureAlgorithm,
            SignatureBlob, SshSignature,
        },
    },
};

/// What git's signatures are made for (gpg-interface.c).
pub const NAMESPACE: &str = "git";

/// Judge an armored signature over `payload`. `now` in seconds since 1970 stands in where the payload
/// states no time, as git has it for push certificates.
pub(super) fn judge(
    payload: &Payload<'_>,
    armor: &[u8],
    now: i64,
    revocations: &Revocations,
) -> Result<Stated, Failure> {
    let bytes = ssh::decode(armor)?;
    let signature = SshSignature::parse(&bytes)?;
    check(payload, &signature)?;
    if revocations.revokes(&signature) {
        return Err(CannotTell::KeyRevoked.into());
    }
    let time = stated_time(payload);
    let keys = ssh_keys(&signature, time.unwrap_or(now))?;
    // A time that has not come cannot be when it was signed.
    let latest = seconds(now.saturating_add(FUTURE_SKEW));
    if signature.certificate.as_ref().is_some_and(|certificate| certificate.valid_after > latest) {
        return Err(CannotTell::SshCertificateWindow.into());
    }
    let expired = |certificate: &Certificate<'_>| certificate.valid_before <= seconds(now);
    let until = match (&signature.certificate, time) {
        (None, _) => None,
        // The time at hand stood in for one that is stated, and whom the certificate names hangs on it.
        (Some(_), None) => Some(now),
        (Some(certificate), Some(_)) if expired(certificate) => None,
        (Some(certificate), Some(_)) => i64::try_from(certificate.valid_before).ok(),
    };
    Ok(Stated {
        keys,
        signing_key: signature.key.fingerprint(),
        time,
        key_expired: signature.certificate.as_ref().is_some_and(expired),
        until,
    })
}

/// Whether the key made `signature` over `payload` for git, and its certificate is by the authority
/// that it names. Says nothing of validity: for that, ask [`ssh_keys`].
///
/// # Errors
/// [`Verdict::Bad`] or [`Verdict::CannotTell`].
pub fn check_ssh(payload: &Payload<'_>, signature: &SshSignature<'_>) -> Result<(), Verdict> {
    check(payload, signature).map_err(|failure| match failure {
        Failure::Bad(bad) => Verdict::Bad(bad),
        Failure::CannotTell(cause) => Verdict::CannotTell(cause),
    })
}

/// The names under which the signer may be known at `time`, in seconds since 1970: the key itself, or
/// the principals of its certificate.
///
/// # Errors
/// A certificate that was not valid, is not for people, names nobody, or wants what nobody can meet.
pub fn ssh_keys(signature: &SshSignature<'_>, time: i64) -> Result<Vec<Key>, CannotTell> {
    let Some(certificate) = &signature.certificate else {
        return Ok(vec![Key::Ssh { fingerprint: signature.key.fingerprint() }]);
    };
    if !certificate.is_for_user || certificate.principals.is_empty() {
        return Err(CannotTell::SshCertificatePrincipals);
    }
    let time = seconds(time);
    if time < certificate.valid_after || time >= certificate.valid_before {
        return Err(CannotTell::SshCertificateWindow);
    }
    let met = |(name, data): &(&str, &[u8])| {
        *name == "verify-required"
            && data.is_empty()
            && signature.signature.presence.is_some_and(ssh::Presence::is_verified)
    };
    if !certificate.critical_options.iter().all(met) {
        return Err(CannotTell::SshCriticalOption);
    }
    let authority = certificate.authority.fingerprint();
    let key = |principal: &&str| Key::SshCertificate {
        authority: authority.clone(),
        principal: (*principal).to_owned(),
    };
    Ok(certificate.principals.iter().map(key).collect())
}

/// Seconds since 1970 as certificates count them; nothing was valid before.
fn seconds(time: i64) -> u64 {
    u64::try_from(time).unwrap_or(0)
}

fn check(payload: &Payload<'_>, signature: &SshSignature<'_>) -> Result<(), Failure> {
    if signature.namespace != NAMESPACE {
        return Err(FormatError::Namespace.into());
    }
    let signed = signature.signed_data(&payload.segments());
    if !verifies(&signature.key, &signature.signature, &signed)? {
        return Err(Bad::Signature.into());
    }
    if let Some(certificate) = &signature.certificate
        && !verifies(&certificate.authority, &certificate.signature, certificate.signed)?
    {
        return Err(Bad::CertificateSignature.into());
    }
    match signature.signature.presence {
        Some(presence) if !presence.is_present() => Err(CannotTell::NoUserPresence.into()),
        _ => Ok(()),
    }
}

/// Whether `signature` over `message` is by `key`.
fn verifies(key: &PublicKey<'_>, signature: &SignatureBlob<'_>, message: &[u8]) -> Result<bool, Failure> {
    let fits = match signature.algorithm {
        SignatureAlgorithm::OfKey(kind) => kind == key.kind,
        SignatureAlgorithm::RsaSha256 | SignatureAlgorithm::RsaSha512 => key.kind == KeyKind::Rsa,
    };
    if !fits {
        return Err(FormatError::Algorithm.into());
    }
    let application = key.application.zip(signature.presence);
    let enveloped = application.map(|(application, presence)| {
        // PROTOCOL.u2f: what a security key signs in the message's stead.
        let mut data = sha256(&[application]).to_vec();
        data.push(presence.flags);
        data.extend_from_slice(&presence.counter.to_be_bytes());
        data.extend_from_slice(&sha256(&[message]));
        data
    });
    let message = enveloped.as_deref().unwrap_or(message);
    Ok(match key.material {
        Material::Edwards(bytes) => {
            UnparsedPublicKey::new(&ED25519, bytes).verify(message, signature.bytes).is_ok()
        }
        Material::Point(curve, point) => {
            let algorithm: &dyn VerificationAlgorithm = match curve {
                Curve::P256 => &ECDSA_P256_SHA256_FIXED,
                Curve::P384 => &ECDSA_P384_SHA384_FIXED,
                Curve::P521 => &ECDSA_P521_SHA512_FIXED,
            };
            let fixed = signature.fixed_ecdsa(curve)?;
            algorithm.verify_sig(point, message, &fixed).is_ok()
        }
        Material::Rsa { exponent, modulus } => {
            let parameters = match signature.algorithm {
                SignatureAlgorithm::RsaSha512 => &RSA_PKCS1_2048_8192_SHA512,
                _ => &RSA_PKCS1_2048_8192_SHA256,
            };
            // Some agents leave leading zeros out, and OpenSSH puts them back (ssh-rsa.c).
            let Some(filling) = modulus.len().checked_sub(signature.bytes.len()) else { return Ok(false) };
            let mut filled = vec![0; filling];
            filled.extend_from_slice(signature.bytes);
            let key = RsaPublicKeyComponents { n: modulus, e: exponent };
            key.verify(parameters, message, &filled).is_ok()
        }
    })
}

/// The time in the `committer` or `tagger` line among the headers, in seconds since 1970.
fn stated_time(payload: &Payload<'_>) -> Option<i64> {
    let [before, after] = payload.segments();
    // A signature is cut out between two lines, so that each segment holds whole ones.
    for line in
        before.split_inclusive(|byte| *byte == b'\n').chain(after.split_inclusive(|byte| *byte == b'\n'))
    {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.is_empty() {
            return None;
        }
        let person = line.strip_prefix(b"committer ").or_else(|| line.strip_prefix(b"tagger "));
        if let Some(person) = person {
            let end = person.iter().rposition(|byte| *byte == b'>')?;
            let text = std::str::from_utf8(&person[end + 1..]).ok()?;
            let digits = text.split(' ').find(|word| !word.is_empty())?;
            return digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?;
        }
    }
    None
}
