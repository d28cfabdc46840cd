//! Signing with a key of the user's own: which one, who is asked for its passphrase, and by which certificate.

use std::{ffi::OsStr, io, sync::Arc};

use zeroize::Zeroizing;

use super::{
    World, settings,
    signing::{Settings, Signed},
};
use crate::{
    encoding::sha256,
    key::{self, KeyError, Keyholder, Reference, SigningKey},
    repository::{Configuration, Scopes},
    sign::sign_certified,
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
    /// Sign by the certificate that is there already; `None` where there is none.
    pub(super) fn sign(&self, world: &World<'_>, payload: &[u8]) -> Result<Option<Signed>, Failure> {
        let Some(chain) = &self.chain else { return Ok(None) };
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

impl Keyholder for Terminal {
    #[cfg(unix)]
    fn passphrase(&self, what: &str) -> io::Result<Zeroizing<String>> {
        use std::io::{Read as _, Write as _};

        use rustix::{
            event::{PollFd, PollFlags, Timespec, poll},
            termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr},
        };
        /// How long a person may take, in seconds.
        const PATIENCE: i64 = 120;
        let mut terminal = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty")?;
        let before = tcgetattr(&terminal)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        let prompt = format!("countersign: passphrase or PIN for '{}': ", crate::words::escape(what));
        terminal.write_all(prompt.as_bytes())?;
        tcsetattr(&terminal, OptionalActions::Now, &silent)?;
        let answer = (|| {
            let timeout = Timespec { tv_sec: PATIENCE, tv_nsec: 0 };
            let ready = poll(&mut [PollFd::new(&terminal, PollFlags::IN)], Some(&timeout))?;
            if ready == 0 {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "nobody answered in time"));
            }
            // The terminal hands over a line at a time.
            let mut line = Zeroizing::new(vec![0; 1024]);
            let length = terminal.read(&mut line)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let text = std::str::from_utf8(&line[..length]).map_err(io::Error::other)?;
            Ok(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned()))
        })();
        tcsetattr(&terminal, OptionalActions::Now, &before)?;
        terminal.write_all(b"\n")?;
        answer
    }

    #[cfg(not(unix))]
    fn passphrase(&self, _what: &str) -> io::Result<Zeroizing<String>> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "there is no terminal to ask on here"))
    }
}
