//! Refresh tokens, in the keyring of the user's session and nowhere else (RFC 6749 §6).
//!
//! One entry of the keyring holds all of them. Each belongs to one purpose and one subject, is exchanged for an
//! identity token of that very subject or forgotten, and takes the place of the one before where the issuer rotates
//! them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use keyring_core::{Entry, Error};
use openidconnect::{Nonce, RefreshToken};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{
    Claims,
    provider::{LoginError, Provider, caller, exchange_error, id_token},
    token::Token,
};
use crate::service::http::{Http, Repeat};

/// What the entry is called in the keyring.
const SERVICE: &str = "countersign";
/// Whose the entry is there.
const USER: &str = "refresh-tokens";
/// How many are kept.
const MAXIMUM_KEPT: usize = 16;

/// Two writers would lose what one of them has written.
static WRITING: Mutex<()> = Mutex::new(());

/// Why the keyring is of no use. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// What is in the entry is nothing that was put there.
    #[error("the keyring holds something else under the name of '{SERVICE}'")]
    Foreign,
    /// The keyring's words.
    #[error("the keyring cannot be used: {0}")]
    System(String),
    /// There is none, or this build knows none.
    #[error("there is no keyring here: {0}")]
    Unavailable(String),
}

/// What a refresh token is kept for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Purpose {
    /// The issuer.
    pub issuer: String,
    /// Our client id there.
    pub client: String,
    /// The upstream provider.
    pub connector: Option<String>,
    /// The subject that the configuration names.
    pub identity: Option<String>,
}

/// A refresh token as it is kept.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    purpose: Purpose,
    subject: String,
    email: Option<String>,
    #[serde(with = "secret")]
    token: Zeroizing<String>,
}

/// A secret text in JSON.
mod secret {
    use serde::{Deserialize as _, Deserializer, Serializer};
    use zeroize::Zeroizing;

    pub(super) fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Zeroizing<String>, D::Error> {
        String::deserialize(deserializer).map(Zeroizing::new)
    }
}

/// The user's keyring.
#[derive(Debug)]
pub struct Keyring {
    entry: Entry,
}

impl Keyring {
    /// Opens the keyring of the user's session: the Secret Service, the keychain, or the credential manager.
    ///
    /// # Errors
    /// [`KeyringError::Unavailable`].
    pub fn open() -> Result<Self, KeyringError> {
        #[cfg(feature = "keyring")]
        if keyring_core::get_default_store().is_none()
            && let Err(error) = keyring::Entry::store_status()
        {
            return Err(KeyringError::Unavailable(error.to_string()));
        }
        if keyring_core::get_default_store().is_none() {
            return Err(KeyringError::Unavailable("this program was built without".to_owned()));
        }
        Ok(Self { entry: Entry::new(SERVICE, USER).map_err(system)? })
    }

    /// Keeps the refresh token that came with `token`, if one did, in the place of any for the same purpose.
    ///
    /// # Errors
    /// It cannot be kept.
    pub fn keep(&self, purpose: &Purpose, token: &Token) -> Result<(), KeyringError> {
        let Some(refresh) = token.refresh() else { return Ok(()) };
        let Claims { subject, email, .. } = token.claims().clone();
        let (_writing, mut all) = self.read()?;
        all.retain(|kept| kept.purpose != *purpose);
        if all.len() >= MAXIMUM_KEPT {
            all.remove(0);
        }
        let token = Zeroizing::new(refresh.to_owned());
        all.push(Kept { purpose: purpose.clone(), subject, email, token });
        self.write(&all)
    }

    /// Whether one is kept for `purpose`.
    ///
    /// # Errors
    /// The keyring cannot be read.
    pub fn has(&self, purpose: &Purpose) -> Result<bool, KeyringError> {
        Ok(self.read()?.1.iter().any(|kept| kept.purpose == *purpose))
    }

    /// Forgets the one for `purpose`.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn forget(&self, purpose: &Purpose) -> Result<(), KeyringError> {
        let (_writing, mut all) = self.read()?;
        all.retain(|kept| kept.purpose != *purpose);
        self.write(&all)
    }

    /// Forgets all of them; how many there were.
    ///
    /// # Errors
    /// They cannot be removed.
    pub fn clear(&self) -> Result<usize, KeyringError> {
        // What cannot be read goes too.
        let count = self.read().map_or(0, |(_, all)| all.len());
        match self.entry.delete_credential() {
            Ok(()) | Err(Error::NoEntry) => Ok(count),
            Err(error) => Err(system(error)),
        }
    }

    fn read(&self) -> Result<(MutexGuard<'static, ()>, Vec<Kept>), KeyringError> {
        let writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let secret = match self.entry.get_secret() {
            Ok(secret) => Zeroizing::new(secret),
            Err(Error::NoEntry) => return Ok((writing, Vec::new())),
            Err(error) => return Err(system(error)),
        };
        let all = serde_json::from_slice(&secret).map_err(|_| KeyringError::Foreign)?;
        Ok((writing, all))
    }

    fn write(&self, all: &[Kept]) -> Result<(), KeyringError> {
        if all.is_empty() {
            return match self.entry.delete_credential() {
                Ok(()) | Err(Error::NoEntry) => Ok(()),
                Err(error) => Err(system(error)),
            };
        }
        let json = Zeroizing::new(serde_json::to_vec(all).expect("texts serialise"));
        self.entry.set_secret(&json).map_err(system)
    }
}

fn system(error: Error) -> KeyringError {
    KeyringError::System(error.to_string())
}

/// Gets an identity token for `purpose` with what the keyring keeps, and nobody is asked. The token is for the same
/// subject as the one before. A refresh token that the issuer takes no more is forgotten.
///
/// # Errors
/// There is none, or it brings nothing; in words.
pub fn renew(
    http: &Http,
    keyring: &Keyring,
    purpose: &Purpose,
    client_secret: Option<Zeroizing<String>>,
) -> Result<Token, String> {
    let (writing, all) = keyring.read().map_err(|error| error.to_string())?;
    drop(writing);
    let kept = all.iter().find(|kept| kept.purpose == *purpose).ok_or("no refresh token is kept")?;
    let mut provider = Provider::new(purpose.issuer.clone());
    provider.client_id.clone_from(&purpose.client);
    provider.client_secret = client_secret;
    let exchange = || -> Result<Token, LoginError> {
        let client = provider.discover(http)?.client;
        let refresh = RefreshToken::new(kept.token.to_string());
        let response = client
            .exchange_refresh_token(&refresh)
            .map_err(|_| LoginError::Exchange("it has no token endpoint".to_owned()))?
            .request(&caller(http, Repeat::Unheard))
            .map_err(exchange_error)?;
        let token = id_token(&client, &response, |_: Option<&Nonce>| Ok(()))?;
        let claims = token.claims();
        if (&claims.issuer, &claims.subject, &claims.email) != (&purpose.issuer, &kept.subject, &kept.email) {
            return Err(LoginError::IdToken("it is for somebody else than before".to_owned()));
        }
        Ok(token)
    };
    match exchange() {
        Ok(token) => {
            // What was not rotated stays; what cannot be kept is lost, and the next login is a person's.
            let _ = keyring.keep(purpose, &token);
            Ok(token)
        }
        Err(error) => {
            if !matches!(error, LoginError::Http(_)) {
                let _ = keyring.forget(purpose);
            }
            Err(error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Keyring, KeyringError, Purpose};
    use crate::identity::token::{Token, tests::token};

    #[test]
    fn refresh_tokens_are_kept_by_purpose_and_forgotten_together() {
        assert!(matches!(Keyring::open(), Err(KeyringError::Unavailable(_))));
        keyring_core::set_default_store(keyring_core::mock::Store::new().unwrap());
        let keyring = Keyring::open().unwrap();
        let purpose = |number: usize| Purpose {
            issuer: format!("https://issuer{number}.example"),
            client: "sigstore".to_owned(),
            connector: None,
            identity: None,
        };
        let claims = serde_json::json!({"iss": "i", "sub": "s", "aud": "sigstore", "exp": 1});
        let brought = |refresh: Option<&str>| {
            Token::parse(token(&claims)).unwrap().with_refresh(refresh.map(str::to_owned))
        };
        assert_eq!(keyring.has(&purpose(0)), Ok(false));
        keyring.keep(&purpose(0), &brought(None)).unwrap();
        assert_eq!(keyring.has(&purpose(0)), Ok(false));
        for number in 0..20 {
            keyring.keep(&purpose(number), &brought(Some("secret"))).unwrap();
            keyring.keep(&purpose(number), &brought(Some("rotated"))).unwrap();
        }
        assert_eq!((keyring.has(&purpose(3)), keyring.has(&purpose(4))), (Ok(false), Ok(true)));
        keyring.forget(&purpose(4)).unwrap();
        assert_eq!(keyring.has(&purpose(4)), Ok(false));
        assert_eq!((keyring.clear(), keyring.clear()), (Ok(15), Ok(0)));
        keyring.entry.set_secret(b"of somebody else's").unwrap();
        assert_eq!(keyring.has(&purpose(5)), Err(KeyringError::Foreign));
        assert_eq!(keyring.keep(&purpose(5), &brought(Some("x"))), Err(KeyringError::Foreign));
        assert_eq!(keyring.clear(), Ok(0));
    }
}
