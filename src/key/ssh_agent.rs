//! A key in an ssh-agent (draft-ietf-sshm-ssh-agent): asked for signatures, never for the key.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    Environment, KeyError, SigningKey, ecdsa_signature, p256_spki, rsa_spki,
    socket::{connect, fill},
};
use crate::signature::{
    FormatError,
    ssh::{
        Curve, Material, PublicKey, line_blob,
        wire::{Reader, write_string},
    },
};

/// SSH_AGENTC_REQUEST_IDENTITIES
const LIST: u8 = 11;
/// SSH_AGENT_IDENTITIES_ANSWER
const LISTED: u8 = 12;
/// SSH_AGENTC_SIGN_REQUEST
const SIGN: u8 = 13;
/// SSH_AGENT_SIGN_RESPONSE
const SIGNED: u8 = 14;
/// SSH_AGENT_RSA_SHA2_256
const RSA_SHA2_256: u32 = 2;
/// The largest answer, in bytes.
const MAXIMUM_ANSWER: usize = 256 * 1024;
/// The most keys that are looked through.
const MAXIMUM_KEYS: u32 = 1024;
/// How long it may take to take up a connection.
const CONNECTION: Duration = Duration::from_secs(10);
/// How long an answer may take: a person may have to confirm.
const PATIENCE: Duration = Duration::from_secs(120);

/// A key that an agent keeps.
pub(super) struct AgentKey {
    socket: PathBuf,
    blob: Vec<u8>,
    public: Vec<u8>,
    algorithm: Algorithm,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    P256,
    Rsa,
}

impl AgentKey {
    /// `name` is the path of a public key, or its fingerprint.
    pub(super) fn open(environment: &Environment, name: &str) -> Result<Self, KeyError> {
        let socket = environment.ssh_agent.clone().filter(|socket| socket.is_absolute());
        let socket = socket.ok_or_else(|| failure("there is none: 'SSH_AUTH_SOCK' is not set"))?;
        let blob = if name.starts_with("SHA256:") { listed(&socket, name)? } else { read(Path::new(name))? };
        let key = PublicKey::parse(&blob).map_err(|_| KeyError::Kind)?;
        let (public, algorithm) = match key.material {
            _ if key.kind.is_security_key() => return Err(KeyError::Kind),
            Material::Point(Curve::P256, point) => (p256_spki(point)?, Algorithm::P256),
            Material::Rsa { exponent, modulus } => (rsa_spki(modulus, exponent)?, Algorithm::Rsa),
            _ => return Err(KeyError::Kind),
        };
        Ok(Self { socket, blob, public, algorithm })
    }
}

impl SigningKey for AgentKey {
    fn spki(&self) -> Result<Vec<u8>, KeyError> {
        Ok(self.public.clone())
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mut request = vec![SIGN];
        write_string(&mut request, &self.blob);
        write_string(&mut request, message);
        let flags = if self.algorithm == Algorithm::Rsa { RSA_SHA2_256 } else { 0 };
        request.extend_from_slice(&flags.to_be_bytes());
        let answer = ask(&self.socket, &request)?;
        let mut fields = Reader::new(&answer, FormatError::Ssh);
        let unreadable = |_| KeyError::Signature;
        if fields.byte().map_err(unreadable)? != SIGNED {
            return Err(failure("it does not sign with the key; see 'ssh-add -l'"));
        }
        let signature = fields.string().map_err(unreadable)?;
        fields.finish().map_err(unreadable)?;
        let mut fields = Reader::new(signature, FormatError::Ssh);
        let name = fields.name().map_err(unreadable)?;
        let value = fields.string().map_err(unreadable)?;
        fields.finish().map_err(unreadable)?;
        match (self.algorithm, name) {
            (Algorithm::P256, "ecdsa-sha2-nistp256") => {
                let mut numbers = Reader::new(value, FormatError::Ssh);
                let r = numbers.positive().map_err(unreadable)?;
                let s = numbers.positive().map_err(unreadable)?;
                numbers.finish().map_err(unreadable)?;
                ecdsa_signature(r, s)
            }
            (Algorithm::Rsa, "rsa-sha2-256") => Ok(value.to_vec()),
            // An old agent overlooks the flag and signs with SHA-1.
            _ => Err(KeyError::Signature),
        }
    }
}

/// The blob of the key with this fingerprint, if the agent has it.
fn listed(socket: &Path, fingerprint: &str) -> Result<Vec<u8>, KeyError> {
    let answer = ask(socket, &[LIST])?;
    let mut fields = Reader::new(&answer, FormatError::Ssh);
    let unreadable = |_| failure("its answer cannot be read");
    if fields.byte().map_err(unreadable)? != LISTED {
        return Err(failure("it does not say which keys it has"));
    }
    let count = fields.uint32().map_err(unreadable)?.min(MAXIMUM_KEYS);
    for _ in 0..count {
        let blob = fields.string().map_err(unreadable)?;
        let _comment = fields.string().map_err(unreadable)?;
        if PublicKey::parse(blob).is_ok_and(|key| key.fingerprint() == fingerprint) {
            return Ok(blob.to_vec());
        }
    }
    Err(KeyError::Missing(fingerprint.to_owned()))
}

fn read(path: &Path) -> Result<Vec<u8>, KeyError> {
    let name = path.display().to_string();
    if !path.is_absolute() {
        return Err(KeyError::Missing(name));
    }
    let text = fs::read_to_string(path).map_err(|error| KeyError::Read(name.clone(), error))?;
    line_blob(text.trim_end()).map_err(|_| KeyError::Missing(name))
}

/// Send one request; its answer.
fn ask(socket: &Path, request: &[u8]) -> Result<Vec<u8>, KeyError> {
    let exchange = || -> std::io::Result<Vec<u8>> {
        let mut stream = connect(socket, CONNECTION)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let deadline = Instant::now() + PATIENCE;
        let mut message = Vec::with_capacity(4 + request.len());
        write_string(&mut message, request);
        stream.write_all(&message)?;
        let mut length = [0; 4];
        fill(&stream, &mut length, deadline)?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > MAXIMUM_ANSWER {
            return Err(std::io::Error::other("its answer is too long"));
        }
        let mut answer = vec![0; length];
        fill(&stream, &mut answer, deadline)?;
        Ok(answer)
    };
    exchange().map_err(|error| failure(error.to_string()))
}

fn failure(reason: impl Into<String>) -> KeyError {
    KeyError::Keeper { keeper: "the ssh-agent".to_owned(), reason: reason.into() }
}
