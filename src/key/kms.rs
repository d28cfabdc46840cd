//! A key in a KMS, by a program of Sigstore's plugin protocol, version 1 (`sigstore-kms-SCHEME`).
//!
//! The program gets the protocol's version and one JSON object as arguments and the message on standard input,
//! and answers with one JSON object. Its exit status means nothing; its words are its own.

use std::{path::PathBuf, process::Command, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Environment, KeyError, SigningKey, program};

/// The version of the protocol.
const VERSION: &str = "1";
/// Go's number for SHA-256 (`crypto.SHA256`).
const SHA256: u32 = 5;
/// The largest answer, in bytes.
const MAXIMUM_ANSWER: u64 = 1 << 20;
/// How long the program may take: a person may have to approve.
const PATIENCE: Duration = Duration::from_secs(120);

/// A key that a program keeps.
pub(super) struct KmsKey {
    program: PathBuf,
    key: String,
    public: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    error_message: Option<String>,
    public_key: Option<PublicKey>,
    sign_message: Option<Signature>,
}

#[derive(Deserialize)]
struct PublicKey {
    // Programs of older libraries write it with a capital letter.
    #[serde(rename = "publicKeyPEM", alias = "PublicKeyPEM")]
    pem: String,
}

#[derive(Deserialize)]
struct Signature {
    signature: String,
}

impl KmsKey {
    pub(super) fn open(environment: &Environment, scheme: &str, key: &str) -> Result<Self, KeyError> {
        let program = find(environment, scheme)?;
        let mut kms = Self { program, key: key.to_owned(), public: Vec::new() };
        let answer = kms.ask("publicKey", json!({"publicKeyOptions": {"rpcOptions": {}}}), &[])?;
        let nothing = || kms.failure("it gave no public key");
        let pem = STANDARD.decode(answer.public_key.ok_or_else(nothing)?.pem).map_err(|_| nothing())?;
        let (label, public) = der::pem::decode_vec(&pem).map_err(|_| nothing())?;
        if label != "PUBLIC KEY" {
            return Err(nothing());
        }
        kms.public = public;
        Ok(kms)
    }

    fn failure(&self, reason: impl Into<String>) -> KeyError {
        let keeper = self.program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        KeyError::Keeper { keeper, reason: reason.into() }
    }

    /// Call one method.
    fn ask(&self, method: &str, arguments: Value, message: &[u8]) -> Result<Answer, KeyError> {
        let mut request = json!({
            "initOptions": {"protocolVersion": VERSION, "keyResourceID": self.key, "hashFunc": SHA256},
            "methodName": method,
        });
        request[method] = arguments;
        let mut command = Command::new(&self.program);
        command.args([VERSION, &request.to_string()]);
        let said = program::listen(command, message.to_vec(), MAXIMUM_ANSWER, PATIENCE)
            .map_err(|error| self.failure(error.to_string()))?;
        let answer: Answer = serde_json::from_slice(&said.text)
            .map_err(|error| self.failure(format!("its answer cannot be read: {error}")))?;
        match &answer.error_message {
            Some(words) if !words.is_empty() => Err(self.failure(words.clone())),
            _ => Ok(answer),
        }
    }
}

impl SigningKey for KmsKey {
    fn spki(&self) -> Result<Vec<u8>, KeyError> {
        Ok(self.public.clone())
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let options = json!({"signOptions": {"rpcOptions": {}, "messageOptions": {"hashFunc": SHA256}}});
        let answer = self.ask("signMessage", options, message)?;
        let signature = answer.sign_message.and_then(|signed| STANDARD.decode(signed.signature).ok());
        signature.ok_or_else(|| self.failure("it gave no signature"))
    }
}

/// The program for `scheme`. Folders that depend on where git runs are passed over.
pub(super) fn find(environment: &Environment, scheme: &str) -> Result<PathBuf, KeyError> {
    let name = format!("sigstore-kms-{scheme}");
    let found = program::find(environment.path.as_deref().unwrap_or_default(), &name);
    found
        .ok_or_else(|| KeyError::Keeper { keeper: name, reason: "there is no such program in 'PATH'".into() })
}
