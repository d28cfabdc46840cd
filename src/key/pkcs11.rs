//! A key on a PKCS#11 token: a smart card, a security key, an HSM.

use std::{fs, io::Read as _};

use aws_lc_rs::digest::{SHA256, digest};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    mechanism::Mechanism,
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    slot::{Slot, TokenInfo},
    types::AuthPin,
};
use der::{
    Decode as _,
    asn1::{ObjectIdentifier, OctetStringRef},
};
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

use super::{KeyError, Keyholder, Pkcs11Uri, SECP256R1, SigningKey, ecdsa_signature, p256_spki, rsa_spki};

/// The longest PIN in a file, in bytes.
const MAXIMUM_PIN_BYTES: u64 = 256;

/// A key on a token, with a session that is logged in.
pub(super) struct TokenKey {
    session: Mutex<Session>,
    private: ObjectHandle,
    public: Vec<u8>,
    is_rsa: bool,
    name: String,
}

impl TokenKey {
    pub(super) fn open(uri: &Pkcs11Uri, keyholder: &dyn Keyholder) -> Result<Self, KeyError> {
        let name = uri.name();
        let failed = |error: Error| failure(&name, &error);
        let module = Pkcs11::new(&uri.module).map_err(failed)?;
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(failed(error)),
        }
        let slots = module.get_slots_with_token().map_err(failed)?;
        let mut fitting = Vec::new();
        for slot in slots {
            let token = module.get_token_info(slot).map_err(failed)?;
            if token.token_initialized() && fits(uri, slot, &token) {
                fitting.push((slot, token));
            }
        }
        let (slot, token) = match fitting.len() {
            0 => return Err(KeyError::Missing(name)),
            1 => fitting.remove(0),
            several => return Err(KeyError::Ambiguous(several, name)),
        };
        let session = module.open_ro_session(slot).map_err(failed)?;
        if token.login_required() {
            log_in(uri, &session, &token, keyholder)?;
        }
        let private = only(&session, uri, ObjectClass::PRIVATE_KEY)?;
        let public = only(&session, uri, ObjectClass::PUBLIC_KEY)?;
        let (public, is_rsa) = public_key(&session, public).map_err(|error| match error {
            Some(error) => failure(&name, &error),
            None => KeyError::Kind,
        })?;
        Ok(Self { session: Mutex::new(session), private, public, is_rsa, name })
    }
}

impl SigningKey for TokenKey {
    fn spki(&self) -> Result<Vec<u8>, KeyError> {
        Ok(self.public.clone())
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |error: Error| failure(&self.name, &error);
        if self.is_rsa {
            return session.sign(&Mechanism::Sha256RsaPkcs, self.private, message).map_err(failed);
        }
        // Most tokens hash nothing themselves with ECDSA, and give both numbers at full length.
        let hashed = digest(&SHA256, message);
        let signature = session.sign(&Mechanism::Ecdsa, self.private, hashed.as_ref()).map_err(failed)?;
        let (r, s) = signature.split_at_checked(32).ok_or(KeyError::Signature)?;
        ecdsa_signature(r, s)
    }
}

fn fits(uri: &Pkcs11Uri, slot: Slot, token: &TokenInfo) -> bool {
    let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
    uri.slot.is_none_or(|wanted| wanted == slot.id())
        && is(&uri.token, token.label())
        && is(&uri.serial, token.serial_number())
        && is(&uri.manufacturer, token.manufacturer_id())
        && is(&uri.model, token.model())
}

fn log_in(
    uri: &Pkcs11Uri,
    session: &Session,
    token: &TokenInfo,
    keyholder: &dyn Keyholder,
) -> Result<(), KeyError> {
    let name = token.label().to_owned();
    // With few tries left, a wrong PIN in a file would lock the token.
    if token.user_pin_locked() {
        return Err(KeyError::Keeper { keeper: name, reason: "its PIN is locked".to_owned() });
    }
    let pin = match &uri.pin_file {
        // A keypad of the token's own.
        None if token.protected_authentication_path() => None,
        None => {
            let pin = keyholder.passphrase(&name).map_err(|error| KeyError::Person(name.clone(), error))?;
            Some(pin)
        }
        Some(_) if token.user_pin_final_try() => {
            let reason = "one more wrong PIN would lock it: log in with another program first".to_owned();
            return Err(KeyError::Keeper { keeper: name, reason });
        }
        Some(file) => {
            let failed = |error| KeyError::Read(file.display().to_string(), error);
            let mut text = Zeroizing::new(String::with_capacity(MAXIMUM_PIN_BYTES as usize + 1));
            let file = fs::File::open(file).map_err(failed)?;
            file.take(MAXIMUM_PIN_BYTES).read_to_string(&mut text).map_err(failed)?;
            let length = text.trim_end_matches(['\n', '\r']).len();
            text.truncate(length);
            Some(text)
        }
    };
    let pin = pin.map(|pin| AuthPin::new(pin.as_str().into()));
    match session.login(UserType::User, pin.as_ref()) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        Err(Error::Pkcs11(RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid, _)) => {
            Err(KeyError::Passphrase(name))
        }
        Err(error) => Err(failure(&name, &error)),
    }
}

/// The one object of `class` that the URI names.
fn only(session: &Session, uri: &Pkcs11Uri, class: ObjectClass) -> Result<ObjectHandle, KeyError> {
    let mut template = vec![Attribute::Class(class)];
    template.extend(uri.object.clone().map(Attribute::Label));
    template.extend(uri.id.clone().map(Attribute::Id));
    let found = session.find_objects(&template).map_err(|error| failure(&uri.name(), &error))?;
    match found.as_slice() {
        [object] => Ok(*object),
        [] => Err(KeyError::Missing(uri.name())),
        several => Err(KeyError::Ambiguous(several.len(), uri.name())),
    }
}

/// The SubjectPublicKeyInfo of a public key object, and whether it is RSA; no error where it is of another kind.
fn public_key(session: &Session, object: ObjectHandle) -> Result<(Vec<u8>, bool), Option<Error>> {
    let attributes = session.get_attributes(object, &[AttributeType::KeyType]).map_err(Some)?;
    let built = match attributes.first() {
        Some(Attribute::KeyType(KeyType::RSA)) => {
            let wanted = [AttributeType::Modulus, AttributeType::PublicExponent];
            match session.get_attributes(object, &wanted).map_err(Some)?.as_slice() {
                [Attribute::Modulus(modulus), Attribute::PublicExponent(exponent)] => {
                    rsa_spki(modulus, exponent).map(|spki| (spki, true))
                }
                _ => return Err(None),
            }
        }
        Some(Attribute::KeyType(KeyType::EC)) => {
            let wanted = [AttributeType::EcParams, AttributeType::EcPoint];
            match session.get_attributes(object, &wanted).map_err(Some)?.as_slice() {
                [Attribute::EcParams(curve), Attribute::EcPoint(point)]
                    if ObjectIdentifier::from_der(curve) == Ok(SECP256R1) =>
                {
                    // The standard wraps the point in an OCTET STRING; some tokens do not.
                    let inner =
                        OctetStringRef::from_der(point).map_or(point.as_slice(), |inner| inner.as_bytes());
                    p256_spki(inner).map(|spki| (spki, false))
                }
                _ => return Err(None),
            }
        }
        _ => return Err(None),
    };
    built.map_err(|_| None)
}

fn failure(name: &str, error: &Error) -> KeyError {
    KeyError::Keeper { keeper: format!("the token of '{name}'"), reason: error.to_string() }
}
