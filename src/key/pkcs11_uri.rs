//! PKCS#11 URIs (RFC 7512): which key on which token, by which module.

use std::path::PathBuf;

/// The longest URI that is read, in bytes.
const MAXIMUM_URI_BYTES: usize = 4096;

/// Why it is none. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// An attribute stands twice.
    #[error("an attribute stands twice")]
    Duplicate,
    /// A percent sign without two hexadecimal digits, or bytes that are no text.
    #[error("a value is not percent-encoded as it should be")]
    Encoding,
    /// There is no module, or not by its whole path.
    #[error("'module-path' has to name the module by its whole path")]
    Module,
    /// Nothing says which key.
    #[error("neither 'object' nor 'id' says which key")]
    Nameless,
    /// Longer than any is.
    #[error("it is too long")]
    TooLong,
    /// It is for something else than a private key.
    #[error("'type' is not 'private'")]
    Type,
    /// An attribute that is not known.
    #[error("it has an attribute that is not known")]
    Unknown,
}

/// A key on a token. What is not given is not asked of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pkcs11Uri {
    /// The module: a shared object.
    pub module: PathBuf,
    /// The token's label.
    pub token: Option<String>,
    /// The token's serial number.
    pub serial: Option<String>,
    /// Who made the token.
    pub manufacturer: Option<String>,
    /// The token's model.
    pub model: Option<String>,
    /// The number of the slot.
    pub slot: Option<u64>,
    /// The key's label (CKA_LABEL).
    pub object: Option<Vec<u8>>,
    /// The key's id (CKA_ID).
    pub id: Option<Vec<u8>>,
    /// A file with the PIN.
    pub pin_file: Option<PathBuf>,
}

impl Pkcs11Uri {
    /// Reads a URI. A PIN in it (`pin-value`) is not known: every program's arguments can be seen.
    ///
    /// # Errors
    /// [`UriError`].
    pub fn parse(text: &str) -> Result<Self, UriError> {
        if text.len() > MAXIMUM_URI_BYTES {
            return Err(UriError::TooLong);
        }
        let body = text.strip_prefix("pkcs11:").ok_or(UriError::Unknown)?;
        let (path, query) = body.split_once('?').unwrap_or((body, ""));
        let mut uri = Self::default();
        let mut seen = Vec::new();
        let attributes = path.split(';').chain(query.split('&')).filter(|part| !part.is_empty());
        for attribute in attributes {
            let (name, value) = attribute.split_once('=').ok_or(UriError::Encoding)?;
            if seen.contains(&name) {
                return Err(UriError::Duplicate);
            }
            seen.push(name);
            let bytes = decode(value)?;
            let text = || String::from_utf8(bytes.clone()).map_err(|_| UriError::Encoding);
            match name {
                "token" => uri.token = Some(text()?),
                "serial" => uri.serial = Some(text()?),
                "manufacturer" => uri.manufacturer = Some(text()?),
                "model" => uri.model = Some(text()?),
                "slot-id" => uri.slot = Some(text()?.parse().map_err(|_| UriError::Encoding)?),
                "object" => uri.object = Some(bytes),
                "id" => uri.id = Some(bytes),
                "type" if bytes == b"private" => {}
                "type" => return Err(UriError::Type),
                "module-path" => uri.module = PathBuf::from(text()?),
                "pin-source" => {
                    let text = text()?;
                    let path = text.strip_prefix("file:").unwrap_or(&text);
                    let path = PathBuf::from(path.strip_prefix("//").unwrap_or(path));
                    // RFC 7512 lets it be a command too ('|…'); none is run here.
                    uri.pin_file = Some(path).filter(|path| path.is_absolute());
                    uri.pin_file.as_ref().ok_or(UriError::Encoding)?;
                }
                // Vendors' own attributes say nothing that would have to be understood.
                _ if name.starts_with("x-") => {}
                _ => return Err(UriError::Unknown),
            }
        }
        if !uri.module.is_absolute() {
            return Err(UriError::Module);
        }
        if uri.object.is_none() && uri.id.is_none() {
            return Err(UriError::Nameless);
        }
        Ok(uri)
    }

    /// What the key is called, for people.
    #[must_use]
    pub fn name(&self) -> String {
        match (&self.object, &self.id) {
            (Some(object), _) => String::from_utf8_lossy(object).into_owned(),
            (None, Some(id)) => hex::encode(id),
            (None, None) => String::new(),
        }
    }
}

fn decode(value: &str) -> Result<Vec<u8>, UriError> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        if *first == b'%' {
            let digits = behind.get(..2).ok_or(UriError::Encoding)?;
            let mut byte = [0];
            hex::decode_to_slice(digits, &mut byte).map_err(|_| UriError::Encoding)?;
            bytes.push(byte[0]);
            rest = &behind[2..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_as_rfc_7512_has_it() {
        let uri = Pkcs11Uri::parse(
            "pkcs11:token=My%20token;object=git;type=private;id=%01%ab;serial=9;x-ours=1\
             ?module-path=/usr/lib/softhsm.so&pin-source=file:///run/pin",
        )
        .unwrap();
        assert_eq!(uri.token.as_deref(), Some("My token"));
        assert_eq!((uri.object.as_deref(), uri.id.as_deref()), (Some(&b"git"[..]), Some(&b"\x01\xab"[..])));
        assert_eq!(uri.module, PathBuf::from("/usr/lib/softhsm.so"));
        assert_eq!(uri.pin_file, Some(PathBuf::from("/run/pin")));
        assert_eq!(uri.name(), "git");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (text, cause) in [
            ("pkcs11:object=a", UriError::Module),
            ("pkcs11:object=a?module-path=lib.so", UriError::Module),
            ("pkcs11:token=a?module-path=/m", UriError::Nameless),
            ("pkcs11:object=a;object=b?module-path=/m", UriError::Duplicate),
            ("pkcs11:object=%4?module-path=/m", UriError::Encoding),
            ("pkcs11:object=%zz?module-path=/m", UriError::Encoding),
            ("pkcs11:object?module-path=/m", UriError::Encoding),
            ("pkcs11:object=a;type=public?module-path=/m", UriError::Type),
            ("pkcs11:object=a?module-path=/m&pin-value=1234", UriError::Unknown),
            ("pkcs11:object=a?module-path=/m&module-name=x", UriError::Unknown),
            ("pkcs11:object=a?module-path=/m&pin-source=|/bin/pin", UriError::Encoding),
            ("pkcs11:object=a?module-path=/m&pin-source=pin", UriError::Encoding),
        ] {
            assert_eq!(Pkcs11Uri::parse(text), Err(cause), "{text}");
        }
        assert_eq!(Pkcs11Uri::parse(&format!("pkcs11:object={}", "a".repeat(5000))), Err(UriError::TooLong));
    }
}
