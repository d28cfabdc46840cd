//! The messages between the program that git calls and the agent, version 1.
//!
//! ```text
//! message = length of head (4 bytes, big-endian) · length of body (4 bytes, big-endian) · head · body
//! head    = {"version": 1, "message": {NAME: {…}}}       JSON, unknown names refused
//! body    = a payload, an armor, or nothing
//! ```
//!
//! The frame is the same in every version, so that each side can tell the other that it speaks another one.
//! No message carries a digest to sign, and none carries a key, or a token out of the agent.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::payload::Kind;
use crate::{
    identity::{Claims, Demands, MAXIMUM_TOKEN_BYTES},
    object::MAXIMUM_OBJECT_BYTES,
    service::tls::TlsFiles,
    sign::SigningPlan,
};

/// The version spoken here.
pub const VERSION: u32 = 1;
/// The largest head, in bytes: a token, and a few names and URLs; or the list of what was signed.
pub const MAXIMUM_HEAD_BYTES: usize = 4 * MAXIMUM_TOKEN_BYTES;
/// The largest body, in bytes.
pub const MAXIMUM_BODY_BYTES: usize = MAXIMUM_OBJECT_BYTES;
/// How many bytes stand before a head.
pub const PREFIX_BYTES: usize = 8;

/// Why bytes are no message. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// It is of no kind that is known, or not what its kind says.
    #[error("the message cannot be read: {0}")]
    Malformed(String),
    /// Longer than any message is.
    #[error("the message is too long")]
    TooLong,
    /// Of another version.
    #[error("the message is of version {0}, and version {VERSION} is spoken here")]
    Version(u32),
}

/// How long the two parts of a message are, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The head.
    pub head: usize,
    /// The body.
    pub body: usize,
}

impl Prefix {
    /// Reads what stands before a head.
    ///
    /// # Errors
    /// [`MessageError::TooLong`].
    pub fn parse(bytes: [u8; PREFIX_BYTES]) -> Result<Self, MessageError> {
        let (head, body) = bytes.split_at(PREFIX_BYTES / 2);
        let length = |bytes: &[u8], limit: usize| {
            let length = u32::from_be_bytes(bytes.try_into().expect("it is half of eight bytes"));
            usize::try_from(length).ok().filter(|length| *length <= limit).ok_or(MessageError::TooLong)
        };
        Ok(Self { head: length(head, MAXIMUM_HEAD_BYTES)?, body: length(body, MAXIMUM_BODY_BYTES)? })
    }
}

/// A secret on its way to the agent. Wiped from memory when dropped, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Zeroizing<String>);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

/// What a key is kept for. Two wishes share a key if nothing in them differs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The instance's name.
    pub instance: String,
    /// Its services.
    pub plan: SigningPlan,
    /// By which files they are reached.
    #[serde(default)]
    pub tls: TlsFiles,
    /// Where the identity comes from.
    pub source: Source,
    /// The subject that the configuration names.
    pub identity: Option<String>,
}

/// Where an identity comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Source {
    /// A person who logs in.
    Login {
        /// The issuer.
        issuer: String,
        /// Our client id there.
        client: String,
        /// The upstream provider.
        connector: Option<String>,
    },
    /// A token that was given, of this subject.
    Token {
        /// The issuer.
        issuer: String,
        /// The issuer's name for the subject.
        subject: String,
        /// [`crate::identity::Token::binding`] in hexadecimal: jobs of one subject may differ in what else is
        /// said of them, and all of it stands in the certificate.
        claims: String,
    },
}

/// The terms on which a socket is opened for signatures that are asked for elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Where they are asked for, as the user calls it.
    pub host: String,
    /// The one key that signs; whoever asks there has no say in it.
    pub wanted: Wanted,
    /// Whose signatures are wanted, besides what whoever asks demands.
    pub demands: Demands,
    /// How many signatures may be asked for.
    pub signatures: u32,
    /// For how many seconds.
    pub seconds: u32,
    /// Whether the user is asked before each of them, by [`Answer::Confirm`].
    pub asks: bool,
}

/// What the user is asked before a signature. Hostile text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Where it is asked for.
    pub host: String,
    /// Of what.
    pub kind: Kind,
    /// The tree of a commit, the name of a tag, the refs of a push and where it goes.
    pub about: String,
    /// The address of its committer, tagger or pusher.
    pub address: String,
    /// The first line of its message, or of the updates of a push.
    pub title: String,
}

/// A socket for signatures that are asked for elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ForwardStatus {
    /// Where they are asked for.
    pub host: String,
    /// The instance's name.
    pub instance: String,
    /// How many may still be asked for.
    pub left: u32,
    /// How many were made.
    pub made: u32,
    /// Until when, in seconds since 1970.
    pub until: i64,
    /// Whether the user is asked before each of them.
    pub asks: bool,
}

/// What the agent is asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Request {
    /// The answer to [`Answer::Confirm`].
    Confirmed {
        /// Whether it may be signed.
        yes: bool,
    },
    /// The login that was asked for has not come to anything.
    Failed {
        /// Why.
        reason: String,
    },
    /// Open a socket for signatures that are asked for elsewhere; it lasts as long as this conversation, at most.
    Forward(Terms),
    /// Forget every key, and where somebody logs out the refresh tokens too.
    Lock {
        /// Whether somebody logs out.
        logout: bool,
    },
    /// Get a key now, a new one even where there is one.
    Open(Ask),
    /// Sign the body, a payload.
    Sign(Ask),
    /// Sign the body, a payload, on a socket that is for signatures from elsewhere.
    SignAfar {
        /// The name of the instance that it has to be with.
        instance: String,
        /// Whose it has to be.
        demands: Demands,
    },
    /// Tell what is kept and what was signed.
    Status {},
    /// End.
    Stop {},
    /// On what terms signatures may be asked for on this socket.
    Terms {},
    /// The token of the login that was asked for.
    Token {
        /// The token.
        token: Secret,
        /// The refresh token that came with it, to be kept in the keyring.
        refresh: Option<Secret>,
    },
}

/// What a key is asked for with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// What the key has to be for.
    pub wanted: Wanted,
    /// Whose it has to be.
    pub demands: Demands,
    /// Whether whoever asks can log in.
    pub may_log_in: bool,
    /// A token to get a key with where there is none.
    pub token: Option<Secret>,
    /// How many seconds to wait for someone else's login.
    pub patience: u32,
    /// What it takes to keep and use refresh tokens, where the user wants that.
    pub refreshing: Option<Refreshing>,
}

/// What it takes to use a refresh token.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Refreshing {
    /// Our client secret, where the issuer gave us one.
    pub client_secret: Option<Secret>,
}

/// What the agent answers. [`Answer::Working`], [`Answer::Waiting`] and [`Answer::LogIn`] are followed by others.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Answer {
    /// Ask the user, and send [`Request::Confirmed`].
    Confirm(Question),
    /// It is done.
    Done {
        /// How many keys were forgotten.
        forgotten: u32,
    },
    /// The socket that was opened is closed.
    Ended {
        /// Why.
        reason: String,
    },
    /// A socket is open; what follows are [`Answer::Confirm`] and [`Answer::Ended`].
    Forwarded {
        /// Its path.
        socket: String,
    },
    /// Log in, and send [`Request::Token`] or [`Request::Failed`].
    LogIn {
        /// How many seconds the key that is there still has, if one is.
        remaining: Option<i64>,
    },
    /// There is a key.
    Opened(Holder),
    /// It is not done.
    Refused {
        /// Why.
        cause: Cause,
        /// Why, in words. Hostile text where a server had its say.
        reason: String,
    },
    /// The body is the signature of the payload.
    Signed {
        /// Whose it is.
        holder: Holder,
        /// Whether the end of the key is near enough to be announced.
        announce: bool,
    },
    /// What is kept and what was signed.
    Status(Box<Status>),
    /// On what terms signatures may be asked for on this socket.
    Terms(ForwardStatus),
    /// Another version was spoken.
    Unsupported {
        /// The versions that are spoken here.
        versions: Vec<u32>,
    },
    /// Somebody else is logging in, and that is waited for.
    Waiting {
        /// The process that does, where it is known.
        process: Option<u32>,
    },
    /// The request was heard.
    Working {},
}

/// Why something is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The user was asked, and it was not allowed.
    Denied,
    /// The key ended before it could sign.
    Expired,
    /// The identity is not the wanted one.
    Identity,
    /// A login came to nothing.
    Login,
    /// The request makes no sense at this point.
    Malformed,
    /// There is no key, and nobody to log in.
    NoKey,
    /// The payload is nothing that git has signed.
    Payload,
    /// Such things may not be asked for on this connection.
    Restricted,
    /// A service said no.
    Services,
    /// A service did not answer; the same may succeed a little later.
    ServicesPassing,
    /// The agent is ending, or has too much to do.
    Unavailable,
}

/// Whom a key is for, and how long.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// The issuer of the login.
    pub issuer: String,
    /// The issuer's name for the subject.
    pub subject: String,
    /// Its e-mail address, where it has one.
    pub email: Option<String>,
    /// Last second of the certificate, since 1970.
    pub not_after: i64,
}

impl Holder {
    /// The holder by a token's claims.
    #[must_use]
    pub fn new(claims: &Claims, not_after: i64) -> Self {
        let Claims { issuer, subject, email, .. } = claims.clone();
        Self { issuer, subject, email, not_after }
    }

    /// The claims that it was made of, as far as it keeps them.
    #[must_use]
    pub fn into_claims(self) -> Claims {
        let Self { issuer, subject, email, not_after } = self;
        Claims { issuer, subject, email, audience: Vec::new(), expires: not_after }
    }

    /// What the subject is called: the e-mail address where there is one.
    #[must_use]
    pub fn name(&self) -> &str {
        self.email.as_deref().unwrap_or(&self.subject)
    }
}

/// What is kept and what was signed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// The agent's process.
    pub process: u32,
    /// Its machine.
    pub host: String,
    /// When it began, in seconds since 1970.
    pub since: i64,
    /// What the keyring had against it when it was last needed.
    pub keyring: Option<String>,
    /// The keys, by what they are for.
    pub keys: Vec<KeyStatus>,
    /// The sockets for signatures that are asked for elsewhere.
    pub forwards: Vec<ForwardStatus>,
    /// How many signatures were made in all.
    pub signatures: u64,
    /// The last of them, oldest first.
    pub signed: Vec<Record>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeyStatus {
    /// The instance's name.
    pub instance: String,
    /// Whose it is, and how long.
    pub holder: Holder,
    /// How many signatures it has made.
    pub signatures: u64,
}

/// One signature that was made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// When, in seconds since 1970.
    pub time: i64,
    /// Of what.
    pub kind: Kind,
    /// The tree of a commit, the name of a tag, the refs of a push and where it goes, the ref of an approval. Hostile
    /// text.
    pub about: String,
    /// As whom.
    pub identity: String,
    /// With which instance.
    pub instance: String,
    /// The machine that asked.
    pub host: String,
    /// The process that asked, where it is known.
    pub process: Option<u32>,
}

/// A message as it is sent; the buffer is wiped, for a token may be in it.
///
/// # Errors
/// [`MessageError::TooLong`].
pub fn encode(message: &impl Serialize, body: &[u8]) -> Result<Zeroizing<Vec<u8>>, MessageError> {
    #[derive(Serialize)]
    struct Sent<'a, T> {
        version: u32,
        message: &'a T,
    }
    // Room for all of it at once: a buffer that grows would leave copies behind.
    let mut bytes =
        Zeroizing::new(Vec::with_capacity(PREFIX_BYTES + MAXIMUM_TOKEN_BYTES + 8192 + body.len()));
    bytes.extend([0; PREFIX_BYTES]);
    serde_json::to_writer(&mut *bytes, &Sent { version: VERSION, message })
        .map_err(|error| MessageError::Malformed(error.to_string()))?;
    let head = bytes.len() - PREFIX_BYTES;
    if head > MAXIMUM_HEAD_BYTES || body.len() > MAXIMUM_BODY_BYTES {
        return Err(MessageError::TooLong);
    }
    let [head, length] = [head, body.len()].map(|length| u32::try_from(length).expect("it is bounded"));
    bytes[..4].copy_from_slice(&head.to_be_bytes());
    bytes[4..PREFIX_BYTES].copy_from_slice(&length.to_be_bytes());
    bytes.extend(body);
    Ok(bytes)
}

/// Reads the head of a message.
///
/// # Errors
/// It is none, or of another version.
pub fn decode<T: DeserializeOwned>(head: &[u8]) -> Result<T, MessageError> {
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Received<T> {
        #[serde(rename = "version")]
        _version: u32,
        message: T,
    }
    // The library's words might quote a token.
    let malformed = |error: serde_json::Error| {
        MessageError::Malformed(format!("at line {}, column {}", error.line(), error.column()))
    };
    let Version { version } = serde_json::from_slice(head).map_err(malformed)?;
    if version != VERSION {
        return Err(MessageError::Version(version));
    }
    serde_json::from_slice(head).map(|received: Received<T>| received.message).map_err(malformed)
}

#[cfg(test)]
mod tests;
