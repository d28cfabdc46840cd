//! S/MIME as git's program: by the policy's authorities, or as a stand-in for gpgsm by the user's own GnuPG.
//!
//! Certificates are those that gpgsm has, exported by it if it is there; trusted are the roots that
//! `trustlist.txt` marks for S/MIME. Whether a certificate is revoked is not asked, so without a policy
//! nothing counts as trusted unless the user has told gpgsm not to ask either.

use std::path::Path;

use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use super::{
    World, anchored, gnupg,
    settings::{Standing, Trust},
};
use crate::{
    encoding::{name, x509::Slices},
    gpg::{
        Answer,
        gpgsm::{self, CertificateAnswer, CertificateSigner, Outcome},
    },
    object::Payload,
    signature::{
        armor,
        smime::{self, Smime},
    },
    sigstore::key::{Family, Hash, digest_hash, signature_hash},
    verify::{
        CannotTell, Verdict, Verifier,
        smime::{Authorities, CertificateAuthority},
    },
    words,
};

/// What the user's own GnuPG is called where a certificate authority needs a name.
const OWN: &str = "GnuPG";
/// Where a list of trusted roots lies that counts where the user has none (gpg-agent(1)).
const SYSTEM_TRUST_LIST: &str = "/etc/gnupg/trustlist.txt";
/// The most certificates of the user's that are taken.
const MAXIMUM_CERTIFICATES: usize = 4096;

/// The certificates of the user's own GnuPG, and its trusted roots as authority. Empty where there is none.
pub(super) fn authorities(world: &World<'_>) -> Authorities {
    let Some(home) = gnupg::home(world) else { return Authorities::default() };
    // What gpgsm answers is all that counts, and without it the file that it would read.
    let certificates: Vec<Vec<u8>> = match gnupg::program(world, "gpgsm") {
        Some(gpgsm) => {
            let pem = gnupg::ask(world, &gpgsm, ["--armor", "--export"]).unwrap_or_default();
            CertificateDer::pem_slice_iter(&pem).flatten().map(|der| der.to_vec()).collect()
        }
        None => {
            let keybox = gnupg::read(&home.join("pubring.kbx")).unwrap_or_default();
            gnupg::blobs(&keybox, gnupg::X509_BLOB).into_iter().map(<[u8]>::to_vec).collect()
        }
    };
    let trusted = trusted_roots(&home);
    let usable: Vec<Vec<u8>> = (certificates.into_iter())
        .filter(|certificate| Slices::parse(certificate).is_ok())
        .take(MAXIMUM_CERTIFICATES)
        .collect();
    let is_trusted = |certificate: &[u8]| trusted.contains(&fingerprint(certificate));
    match CertificateAuthority::from_certificates(OWN, usable.clone(), is_trusted) {
        Ok(authority) => Authorities::new(vec![authority]),
        Err(_) => Authorities::default().with_known(usable),
    }
}

/// The fingerprints that `trustlist.txt` marks as roots for S/MIME, in upper-case hexadecimal.
fn trusted_roots(home: &Path) -> Vec<String> {
    let read = |path: &Path| gnupg::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let own = read(&home.join("trustlist.txt"));
    let system = own
        .as_ref()
        .is_none_or(|text| text.lines().any(|line| line.trim() == "include-default"))
        .then(|| read(Path::new(SYSTEM_TRUST_LIST)))
        .flatten();
    let texts = own.into_iter().chain(system).collect::<Vec<_>>();
    // The first line about a root decides; one that begins with '!' says that it is not trusted.
    let mut seen = Vec::new();
    let mut trusted = Vec::new();
    for line in texts.iter().flat_map(|text| text.lines()) {
        let line = line.trim();
        let (line, is_refused) = line.strip_prefix('!').map_or((line, false), |rest| (rest.trim(), true));
        let mut words = line.split_whitespace();
        let Some(fingerprint) = words.next().map(|word| word.replace(':', "").to_ascii_uppercase()) else {
            continue;
        };
        let is_fingerprint = fingerprint.len() == 40 && fingerprint.bytes().all(|b| b.is_ascii_hexdigit());
        if !is_fingerprint || seen.contains(&fingerprint) {
            continue;
        }
        seen.push(fingerprint.clone());
        if !is_refused && matches!(words.next(), Some("S" | "*")) {
            trusted.push(fingerprint);
        }
    }
    trusted
}

/// Whether the user has told gpgsm not to ask for revocation lists.
fn asks_no_revocation(world: &World<'_>) -> bool {
    let options = gnupg::home(world).and_then(|home| gnupg::read(&home.join("gpgsm.conf")));
    let options = String::from_utf8_lossy(&options.unwrap_or_default()).into_owned();
    options.lines().any(|line| line.trim().trim_start_matches("--") == "disable-crl-checks")
}

/// The answer for git to an S/MIME signature, and a line for people.
pub(super) fn judge(
    world: &World<'_>,
    trust: &Trust,
    authorities: Authorities,
    payload: &[u8],
    signature: &[u8],
) -> (Answer, String) {
    let authorities = if trust.policy.is_some() { authorities } else { self::authorities(world) };
    let verifier = Verifier::new(Vec::new()).with_smime(authorities);
    let verdict = verifier.verify(&Payload::whole(payload), signature, world.now);
    let bytes = armor::decode(signature).unwrap_or_default();
    let der = smime::normalised(&bytes).unwrap_or_default();
    let claimed = Smime::parse(&der).ok();
    let certificate = claimed.as_ref().and_then(|smime| verifier.smime().certificate(smime).ok().flatten());
    let signer = certificate.and_then(signer);
    let by = signer.as_ref().map_or_else(
        || "an unknown certificate".to_owned(),
        |signer| format!("'{}'", words::escape(&signer.name)),
    );
    let (outcome, note) = match verdict {
        Verdict::Stated(stated) => {
            let since = if stated.key_expired() { "; the certificate has expired since" } else { "" };
            let standing = match &trust.policy {
                Some(_) => anchored::standing(world, trust, payload, signature, |receipt| {
                    trust.standing_of_keys(stated.keys(), stated.time(), receipt)
                }),
                None => Standing::NoPolicy,
            };
            let good = |is_trusted| match stated.key_expired() {
                true => Outcome::ExpiredSince(is_trusted),
                false => Outcome::Good(is_trusted),
            };
            match standing {
                Standing::Named(name) => {
                    let name = words::escape(&name);
                    (good(true), format!("good signature by {by}, known as '{name}'{since}"))
                }
                Standing::NoPolicy if asks_no_revocation(world) => {
                    (good(true), format!("good signature by {by}, under a root that GnuPG trusts{since}"))
                }
                Standing::NoPolicy => (
                    good(false),
                    format!(
                        "good signature by {by}, under a root that GnuPG trusts; not asked whether it is revoked{since}"
                    ),
                ),
                Standing::Refused(cause) => (Outcome::Refused, cause.to_string()),
                Standing::NotBelieved | Standing::Unnamed => {
                    (Outcome::Refused, format!("signed by {by}, whom the policy does not name"))
                }
            }
        }
        Verdict::Bad(bad) => (Outcome::Bad, format!("bad signature by {by}: {bad}")),
        Verdict::CannotTell(cause) => {
            let outcome = match cause {
                CannotTell::KeyExpired => Outcome::Expired,
                // The signature has been checked by then; a policy wants more than that.
                CannotTell::UnknownCertificateAuthority if trust.policy.is_none() => Outcome::Untrusted,
                _ => Outcome::Refused,
            };
            (outcome, format!("cannot accept the signature by {by}: {cause}"))
        }
        Verdict::Good(_) | Verdict::NotLogged(_) | Verdict::TimeNotProven(_) => {
            (Outcome::Refused, "an S/MIME signature is not keyless".to_owned())
        }
    };
    let algorithms = claimed.as_ref().map(|smime| {
        let hash = digest_hash(&smime.digest_algorithm);
        (signature_hash(&smime.signature_algorithm, hash).map(|(family, _)| family), hash)
    });
    let (family, hash) = algorithms.unwrap_or_default();
    let answer = CertificateAnswer {
        outcome,
        signer,
        created: claimed.as_ref().and_then(|smime| smime.signing_time),
        public_key_algorithm: match family {
            Some(Family::Rsa) => 1,
            Some(Family::Ecdsa) => 301,
            Some(Family::Ed25519) => 303,
            None => 0,
        },
        hash_algorithm: match hash {
            Some(Hash::Sha256) => 8,
            Some(Hash::Sha384) => 9,
            Some(Hash::Sha512) => 10,
            None => 0,
        },
    };
    (Answer::Certificate(Box::new(answer)), format!("countersign: {note}\n"))
}

fn signer(certificate: &[u8]) -> Option<CertificateSigner> {
    let slices = Slices::parse(certificate).ok()?;
    let fingerprint = fingerprint(certificate);
    let name = name::attributes(slices.subject).map(|attributes| gpgsm::subject(&attributes));
    Some(CertificateSigner {
        name: name.ok().filter(|name| !name.is_empty()).unwrap_or_else(|| fingerprint.clone()),
        fingerprint,
        expires: slices.not_after,
    })
}

/// What GnuPG calls a certificate by: its SHA-1 digest, a name and no proof.
fn fingerprint(certificate: &[u8]) -> String {
    use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
    hex::encode_upper(digest(&SHA1_FOR_LEGACY_USE_ONLY, certificate))
}
