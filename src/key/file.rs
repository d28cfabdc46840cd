//! A key in a PEM file: PKCS#8, protected by a passphrase or not, SEC 1 or PKCS#1.

use std::{fs, io::Read as _, num::NonZeroU32, path::Path};

use aws_lc_rs::{
    cipher::{AES_128, AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey},
    encoding::AsDer as _,
    iv::FixedLength,
    pbkdf2,
    rand::SystemRandom,
    rsa,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256},
};
use der::{Decode as _, pem};
use pkcs8::{
    EncryptedPrivateKeyInfo,
    pkcs5::{
        EncryptionScheme,
        pbes2::{self, Kdf, Pbkdf2Prf},
    },
};
use zeroize::Zeroizing;

use super::{KeyError, Keyholder, SigningKey};

/// The largest file that is read, in bytes.
const MAXIMUM_FILE_BYTES: u64 = 64 * 1024;
/// The most rounds of PBKDF2: some seconds.
const MAXIMUM_ROUNDS: u32 = 10_000_000;

/// The key in the file at `path`.
pub(super) fn open(path: &Path, keyholder: &dyn Keyholder) -> Result<Box<dyn SigningKey>, KeyError> {
    let name = path.display().to_string();
    from_pem(&read(path, &name)?, &name, keyholder)
}

/// The key in the text of the file `name`.
///
/// # Errors
/// [`KeyError`].
pub fn from_pem(text: &[u8], name: &str, keyholder: &dyn Keyholder) -> Result<Box<dyn SigningKey>, KeyError> {
    let missing = || KeyError::Missing(name.to_owned());
    let (label, der) = pem::decode_vec(text).map_err(|_| missing())?;
    let der = Zeroizing::new(der);
    match label {
        "ENCRYPTED PRIVATE KEY" => {
            let plain = decrypt(&der, name, || keyholder.passphrase(name))?;
            load(&plain)
        }
        "PRIVATE KEY" | "EC PRIVATE KEY" | "RSA PRIVATE KEY" => load(&der),
        _ => Err(missing()),
    }
}

fn load(der: &[u8]) -> Result<Box<dyn SigningKey>, KeyError> {
    if let Ok(key) = EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_ASN1_SIGNING, der) {
        return Ok(Box::new(key));
    }
    let key = rsa::KeyPair::from_pkcs8(der).or_else(|_| rsa::KeyPair::from_der(der));
    Ok(Box::new(RsaKey(key.map_err(|_| KeyError::Kind)?)))
}

/// An RSA key in memory. The cryptographic library wipes it when it is freed.
struct RsaKey(rsa::KeyPair);

impl SigningKey for RsaKey {
    fn spki(&self) -> Result<Vec<u8>, KeyError> {
        let public: aws_lc_rs::encoding::PublicKeyX509Der<'_> =
            self.0.public_key().as_der().map_err(|_| KeyError::Kind)?;
        Ok(public.as_ref().to_vec())
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| KeyError::Signature)?;
        Ok(signature)
    }
}

/// Take the protection off (PBES2, RFC 8018 §6.2): PBKDF2 and AES-CBC, as OpenSSL writes it.
fn decrypt(
    der: &[u8],
    name: &str,
    passphrase: impl FnOnce() -> std::io::Result<Zeroizing<String>>,
) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let protection = || KeyError::Protection(name.to_owned());
    let info = EncryptedPrivateKeyInfo::from_der(der).map_err(|_| protection())?;
    let EncryptionScheme::Pbes2(pbes2::Parameters { kdf: Kdf::Pbkdf2(kdf), encryption }) =
        &info.encryption_algorithm
    else {
        return Err(protection());
    };
    let digest = match kdf.prf {
        Pbkdf2Prf::HmacWithSha1 => pbkdf2::PBKDF2_HMAC_SHA1,
        Pbkdf2Prf::HmacWithSha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        Pbkdf2Prf::HmacWithSha384 => pbkdf2::PBKDF2_HMAC_SHA384,
        Pbkdf2Prf::HmacWithSha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        _ => return Err(protection()),
    };
    let (algorithm, length, iv) = match encryption {
        pbes2::EncryptionScheme::Aes128Cbc { iv } => (&AES_128, 16, **iv),
        pbes2::EncryptionScheme::Aes256Cbc { iv } => (&AES_256, 32, **iv),
        _ => return Err(protection()),
    };
    let rounds = NonZeroU32::new(kdf.iteration_count).filter(|rounds| rounds.get() <= MAXIMUM_ROUNDS);
    let rounds = rounds.ok_or_else(protection)?;
    let passphrase = passphrase().map_err(|error| KeyError::Person(name.to_owned(), error))?;
    let mut secret = Zeroizing::new(vec![0; length]);
    pbkdf2::derive(digest, rounds, kdf.salt, passphrase.as_bytes(), &mut secret);
    let mut plain = Zeroizing::new(info.encrypted_data.to_vec());
    let wrong = |_| KeyError::Passphrase(name.to_owned());
    let key = UnboundCipherKey::new(algorithm, &secret).map_err(wrong)?;
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).map_err(wrong)?;
    let context = DecryptionContext::Iv128(FixedLength::from(iv));
    let length = key.decrypt(&mut plain, context).map_err(wrong)?.len();
    plain.truncate(length);
    // Padding that happens to fit is no proof that the passphrase was right.
    pkcs8::PrivateKeyInfo::try_from(plain.as_slice()).map_err(|_| KeyError::Passphrase(name.to_owned()))?;
    Ok(plain)
}

fn read(path: &Path, name: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let failed = |error| KeyError::Read(name.to_owned(), error);
    let file = fs::File::open(path).map_err(failed)?;
    // Room for all of it at once: a buffer that grows would leave copies behind.
    let mut text = Zeroizing::new(Vec::with_capacity(MAXIMUM_FILE_BYTES as usize + 1));
    file.take(MAXIMUM_FILE_BYTES).read_to_end(&mut text).map_err(failed)?;
    Ok(text)
}
