//! Refresh tokens in the keyring of the user's session, and nowhere else.
//!
//! One entry of the keyring holds all of them. The keyring may be locked, and then asks its user first, for as long
//! as that takes: whoever cannot wait for that asks it by [`with_keyring`].

use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use keyring_core::{Entry, Error};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Claims, token::Token};

/// What the entry is called in the keyring.
const SERVICE: &str = "countersign";
/// Whose the entry is there.
const USER: &str = "refresh-tokens";
/// How many are kept.
const MAXIMUM_KEPT: usize = 16;

/// Two writers would lose what one of them has written.
static WRITING: Mutex<()> = Mutex::new(());

/// How often all of them were forgotten by this process.
static FORGOTTEN: AtomicU64 = AtomicU64::new(0);

/// Whether the keyring is being asked something by [`with_keyring`].
static ASKED: (Mutex<Asked>, Condvar) = (Mutex::new(Asked::Nothing), Condvar::new());

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Nothing.
    Nothing,
    /// Something, and whoever asked waits for the answer.
    Now,
    /// Something, and whoever asked has given up.
    InVain,
}

/// Why the keyring is of no use. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// What is in the entry is nothing that was put there.
    #[error("the keyring holds something else under the name of '{SERVICE}'")]
    Foreign,
    /// It does not answer; it may be locked.
    #[error("the keyring does not answer; it may be locked, and ask for its password")]
    Silent,
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
pub(super) struct Kept {
    purpose: Purpose,
    pub(super) subject: String,
    pub(super) email: Option<String>,
    #[serde(with = "secret")]
    pub(super) token: Zeroizing<String>,
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
            && let Err(error) = ::keyring::Entry::store_status()
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

    /// The one that is kept for `purpose`.
    pub(super) fn kept(&self, purpose: &Purpose) -> Result<Option<Kept>, KeyringError> {
        Ok(self.read()?.1.into_iter().find(|kept| kept.purpose == *purpose))
    }

    /// [`Self::keep`], unless all have been forgotten since [`forgotten`] was this.
    pub(super) fn keep_since(
        &self,
        purpose: &Purpose,
        token: &Token,
        since: u64,
    ) -> Result<(), KeyringError> {
        if forgotten() == since { self.keep(purpose, token) } else { Ok(()) }
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
        FORGOTTEN.fetch_add(1, Ordering::SeqCst);
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

/// How often all refresh tokens were forgotten by this process.
pub(super) fn forgotten() -> u64 {
    FORGOTTEN.load(Ordering::SeqCst)
}

/// Opens the keyring and has `work` done with it, and waits for that no longer than `patience`. What was asked for in
/// vain goes on where nobody waits for it, and until it has ended nothing more is asked.
///
/// # Errors
/// [`KeyringError::Silent`]; or what `work` has come to.
pub fn with_keyring<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce(&Keyring) -> Result<T, KeyringError> + Send + 'static,
) -> Result<T, KeyringError> {
    fn asked() -> MutexGuard<'static, Asked> {
        // A word is never half written.
        ASKED.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Nothing is asked any more when this is dropped.
    struct Done;
    impl Drop for Done {
        fn drop(&mut self) {
            *asked() = Asked::Nothing;
            ASKED.1.notify_one();
        }
    }
    let deadline = Instant::now() + patience;
    let mut state = asked();
    while *state != Asked::Nothing {
        let left = deadline.saturating_duration_since(Instant::now());
        if *state == Asked::InVain || left.is_zero() {
            return Err(KeyringError::Silent);
        }
        state = ASKED.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    *state = Asked::Now;
    drop(state);
    let done = Done;
    let (sender, receiver) = mpsc::channel();
    let worker = thread::Builder::new().name("keyring".to_owned()).spawn(move || {
        let outcome = Keyring::open().and_then(|keyring| work(&keyring));
        // Whoever asked may have given up.
        let _ = sender.send(outcome);
        drop(done);
    });
    worker.map_err(|error| KeyringError::System(error.to_string()))?;
    match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        Ok(outcome) => outcome,
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            Err(KeyringError::System("it has failed in a way that it should not".to_owned()))
        }
        Err(mpsc::RecvTimeoutError::Timeout) => {
            let mut state = asked();
            // It may have answered just now, to nobody any more.
            if receiver.try_recv().is_err() && *state == Asked::Now {
                *state = Asked::InVain;
            }
            Err(KeyringError::Silent)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc,
        thread,
        time::{Duration, Instant},
    };

    use super::{Keyring, KeyringError, Purpose, forgotten, with_keyring};
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
        // What was forgotten does not come back with what was under way.
        let since = forgotten();
        keyring.keep_since(&purpose(6), &brought(Some("kept")), since).unwrap();
        assert_eq!(keyring.clear(), Ok(1));
        keyring.keep_since(&purpose(6), &brought(Some("late")), since).unwrap();
        assert_eq!(keyring.has(&purpose(6)), Ok(false));

        a_keyring_that_is_locked_is_waited_for_once_and_not_for_long();
        crate::identity::refresh::tests::only_what_the_issuer_says_of_a_refresh_token_has_it_forgotten(
            &keyring,
        );
    }

    fn a_keyring_that_is_locked_is_waited_for_once_and_not_for_long() {
        const SHORT: Duration = Duration::from_millis(300);
        let (unlock, locked) = mpsc::channel::<()>();
        let begun = Instant::now();
        let outcome = with_keyring(SHORT, move |_| {
            let _ = locked.recv();
            Ok(())
        });
        assert_eq!(outcome, Err(KeyringError::Silent));
        assert!(begun.elapsed() < Duration::from_secs(5));
        // Nobody after that waits at all, and no thread more is caught in there.
        let begun = Instant::now();
        for _ in 0..20 {
            let outcome = with_keyring(Duration::from_secs(60), |_| Ok(()));
            assert_eq!(outcome, Err(KeyringError::Silent));
        }
        assert!(begun.elapsed() < Duration::from_secs(5));
        drop(unlock);
        let begun = Instant::now();
        while with_keyring(SHORT, |_| Ok(())).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "it is asked again when it has answered");
        }
        // Those who ask at once are served one after the other.
        thread::scope(|scope| {
            let asked: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        with_keyring(Duration::from_secs(20), |_| {
                            thread::sleep(Duration::from_millis(20));
                            Ok(())
                        })
                    })
                })
                .collect();
            assert!(asked.into_iter().all(|asked| asked.join().unwrap().is_ok()));
        });
        let panicking = with_keyring(SHORT, |_| -> Result<(), KeyringError> { panic!("as a driver might") });
        assert!(matches!(panicking, Err(KeyringError::System(_))));
        assert_eq!(with_keyring(SHORT, |_| Ok(())), Ok(()));
    }
}
