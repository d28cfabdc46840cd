//! Signing with a key of the user's own: which one, who is asked for its passphrase, and by which certificate.

use std::{ffi::OsStr, io, sync::Arc, time::Duration};

use zeroize::Zeroizing;

use super::{
    World, settings,
    signing::{Settings, Signed},
    terminal,
};
use crate::{
    encoding::{sha256, x509::Slices},
    identity::{Claims, Demands},
    key::{self, KeyError, Keyholder, Reference, SigningKey},
    repository::{Configuration, Scopes},
    sign::sign_certified,
    verify::smime::addresses,
    words::Failure,
};

/// The largest certificate file, in certificates.
const MAXIMUM_CHAIN: usize = 8;

/// A key of the user's own.
pub(super) struct OwnKey {
    pub(super) key: Arc<dyn SigningKey>,
    /// Its certificates, its own first, where it has some that are not Fulcio's.
    chain: Option<Vec<Vec<u8>>>,
}

/// The key that protected configuration names, if it names one of the user's own; `asked` is what git asks for.
///
/// A key is a file that is read, a program that is run or a library that is loaded, so a repository names none.
pub(super) fn named(
    configuration: &Configuration,
    asked: Option<&OsStr>,
) -> Result<Option<Reference>, Failure> {
    let parse = |text: &str| {
        Reference::parse(text).map_err(|error| {
            Failure::new(error, "see 'user.signingKey' in countersign(1) for how a key is named")
        })
    };
    let configured = configuration.text("user.signingKey", Scopes::Protected).unwrap_or_default();
    let asked = asked.and_then(OsStr::to_str).unwrap_or(configured);
    let reference = parse(configured)?;
    if asked != configured && (reference.is_some() || !matches!(parse(asked), Ok(None))) {
        return Err(Failure::new(
            "git asks for another signing key than your own configuration names, and one of them is a key of your own",
            "a repository cannot name one: set 'user.signingKey' with 'git config --global', \
             and unset it in the repository",
        ));
    }
    Ok(reference)
}

/// Get hold of the key.
pub(super) fn open(
    world: &World<'_>,
    configuration: &Configuration,
    reference: &Reference,
) -> Result<OwnKey, Failure> {
    let settings = Settings { world, configuration };
    let chain = match settings.file("countersign.signingCertificate", &[])? {
        None => None,
        Some(file) => Some(certificates(&settings::read(&file, "certificate")?).ok_or_else(|| {
            Failure::new(
                format!("'{}' holds no certificates, or too many", file.display()),
                "put the key's certificate into it, in PEM, and those of its authorities behind it",
            )
        })?),
    };
    let key = key::open(reference, &environment(world), &Terminal).map_err(|error| failure(&error))?;
    Ok(OwnKey { key: key.into(), chain })
}

impl OwnKey {
    /// Sign by the certificate that is there already, if that is for whom `demands` want, for a payload of the
    /// committer at `address`; `None` where there is none.
    pub(super) fn sign(
        &self,
        world: &World<'_>,
        payload: &[u8],
        demands: &Demands,
        address: Option<&[u8]>,
    ) -> Result<Option<Signed>, Failure> {
        let Some(chain) = &self.chain else { return Ok(None) };
        admit(&chain[0], demands, address)?;
        let armor = sign_certified(&*self.key, chain, payload, (world.clock)()).map_err(|error| {
            Failure::new(
                error,
                "nothing was written; check 'user.signingKey' and 'countersign.signingCertificate'",
            )
        })?;
        let fingerprint = hex::encode_upper(sha256(&[&chain[0]]));
        Ok(Some(Signed { armor, fingerprint, warnings: Vec::new() }))
    }
}

/// Whether the certificate `leaf` (DER) is for an e-mail address that `demands` admit.
fn admit(leaf: &[u8], demands: &Demands, address: Option<&[u8]>) -> Result<(), Failure> {
    if *demands == Demands::default() {
        return Ok(());
    }
    // One that cannot be read is for nobody; whoever signs says more about it.
    let addresses = Slices::parse(leaf).ok().and_then(|leaf| addresses(&leaf).ok()).unwrap_or_default();
    let is_admitted = |name: &String| {
        let email = Some(name.clone());
        let subject = name.clone();
        let claims = Claims { issuer: String::new(), subject, email, audience: Vec::new(), expires: 0 };
        demands.admit(&claims, address).is_ok()
    };
    if addresses.iter().any(is_admitted) {
        return Ok(());
    }
    let found = match addresses.as_slice() {
        [] => "no e-mail address".to_owned(),
        addresses => format!("'{}'", addresses.join("', '")),
    };
    let mut wanted = Vec::new();
    if let Some(identity) = &demands.identity {
        wanted.push(format!("'countersign.identity' is '{identity}'"));
    }
    if demands.committer {
        wanted.push(format!("the committer is '{}'", String::from_utf8_lossy(address.unwrap_or_default())));
    }
    Err(Failure::new(
        format!(
            "the certificate in 'countersign.signingCertificate' is for {found}, and {}",
            wanted.join(", ")
        ),
        "commit as whom the certificate is for, or name another one; \
         'countersign.identity' and 'countersign.matchCommitter' hold for it too",
    ))
}

fn environment(world: &World<'_>) -> key::Environment {
    key::Environment {
        path: world.environment.get("PATH").map(OsStr::to_owned),
        ssh_agent: world.environment.get("SSH_AUTH_SOCK").map(Into::into),
    }
}

/// What a signature would be made with, in words, as far as that can be told without asking anybody; `None` for a
/// fresh key.
pub(super) fn look(world: &World<'_>, configuration: &Configuration) -> Result<Option<String>, Failure> {
    let Some(reference) = named(configuration, None)? else { return Ok(None) };
    key::look(&reference, &environment(world)).map_err(|error| failure(&error))?;
    let certificate = Settings { world, configuration }.file("countersign.signingCertificate", &[])?;
    let by = match certificate {
        Some(file) => format!("the certificate in '{}'", file.display()),
        None => "a certificate of the instance".to_owned(),
    };
    Ok(Some(format!("{reference} signs, by {by}")))
}

/// Why a key cannot be used, in words.
pub(super) fn failure(error: &KeyError) -> Failure {
    let hint = match error {
        KeyError::Person(..) => {
            "sign where there is a terminal, or name a 'pin-source', or a key without a passphrase"
        }
        KeyError::Protection(_) => {
            "write it again with 'openssl pkcs8 -topk8 -v2 aes-256-cbc -v2prf hmacWithSHA256'"
        }
        _ => "nothing was written; see 'user.signingKey' in countersign(1)",
    };
    Failure::new(error, hint)
}

fn certificates(pem: &str) -> Option<Vec<Vec<u8>>> {
    let mut chain = Vec::new();
    let mut rest = pem;
    const END: &str = "-----END CERTIFICATE-----";
    while let Some(begin) = rest.find("-----BEGIN CERTIFICATE-----") {
        let end = begin + rest[begin..].find(END)? + END.len();
        let (_, der) = der::pem::decode_vec(&rest.as_bytes()[begin..end]).ok()?;
        chain.push(der);
        rest = &rest[end..];
    }
    (1..=MAXIMUM_CHAIN).contains(&chain.len()).then_some(chain)
}

/// The person's own terminal: standard input is git's.
struct Terminal;

/// How long a person may take for a passphrase.
const PATIENCE: Duration = Duration::from_secs(120);

impl Keyholder for Terminal {
    fn passphrase(&self, what: &str) -> io::Result<Zeroizing<String>> {
        let question = format!("countersign: passphrase or PIN for '{}': ", crate::words::escape(what));
        terminal::ask(&question, terminal::Echo::Off, PATIENCE)
    }
}
