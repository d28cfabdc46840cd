//! Identity tokens: JWTs (RFC 7519) signed with ES256, minted and checked.

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
        UnparsedPublicKey,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    certificate_authority::{BuildClaims, Identity},
    key::{KeyError, SigningKey, sha256},
};

/// How long a token is valid, in seconds.
pub const TOKEN_LIFETIME: i64 = 600;
/// The audience of the tokens, and the only client id: Sigstore's.
pub const AUDIENCE: &str = "sigstore";
/// How far a token's time of issue may lie in the future, in seconds.
const CLOCK_SKEW: i64 = 60;
/// The longest token that is looked at, in bytes.
const MAXIMUM_TOKEN: usize = 16 * 1024;

/// A token is not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TokenError {
    /// The token is for somebody else.
    #[error("the identity token is for another audience")]
    Audience,
    /// The token says itself that the e-mail address was not verified.
    #[error("the e-mail address of the identity token is not verified")]
    EmailUnverified,
    /// The token's time is over.
    #[error("the identity token has expired")]
    Expired,
    /// The token names another issuer.
    #[error("the identity token is from another issuer")]
    Issuer,
    /// Not a JWT with the claims that are needed.
    #[error("the identity token could not be read")]
    Malformed,
    /// The token's time has not come.
    #[error("the identity token is from the future")]
    NotYetValid,
    /// The signature is not the issuer's.
    #[error("the signature of the identity token does not verify")]
    Signature,
}

/// Mints and checks tokens.
#[derive(Debug)]
pub(super) struct TokenKey {
    pair: EcdsaKeyPair,
    key_id: String,
}

/// What a token says, as far as the authority reads it.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: i64,
    iat: i64,
    email: Option<String>,
    email_verified: Option<bool>,
    #[serde(flatten)]
    build: Build,
}

/// What GitHub Actions says in a token of the build that asks for it, as far as it goes into certificates.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Build {
    /// `owner/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Outlives a change of name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository_id: Option<String>,
    /// The ref that is built, in full.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// `owner/name/path@ref` of the workflow that began it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow_ref: Option<String>,
    /// What began it, such as `push`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

/// The claims of a token, in the order in which they are written.
#[derive(Serialize)]
struct Minted<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    exp: i64,
    iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_verified: Option<bool>,
    #[serde(flatten)]
    build: &'a Build,
}

impl Build {
    /// As Fulcio writes them for GitHub, the extensions of old among them.
    fn claims(&self) -> BuildClaims {
        let url = |path: &String| format!("https://github.com/{path}");
        [
            (2, self.event_name.clone()),
            (5, self.repository.clone()),
            (6, self.reference.clone()),
            (12, self.repository.as_ref().map(url)),
            (14, self.reference.clone()),
            (15, self.repository_id.clone()),
            (18, self.workflow_ref.as_ref().map(url)),
            (20, self.event_name.clone()),
        ]
        .into_iter()
        .filter_map(|(number, text)| Some((number, text?)))
        .collect()
    }
}

impl TokenKey {
    /// Takes the P-256 key that signs the tokens.
    pub(super) fn new(key: &SigningKey) -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.pkcs8_der())
            .map_err(|_| KeyError::Malformed)?;
        Ok(Self { pair, key_id: hex::encode(&key.key_id()[..8]) })
    }

    /// The public key as a JSON Web Key Set (RFC 7517).
    pub(super) fn key_set(&self) -> Value {
        // X9.62 uncompressed point: 0x04, then x and y of 32 bytes each.
        let point = self.pair.public_key().as_ref();
        json!({"keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.key_id,
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..65]),
        }]})
    }

    /// Makes a token for `identity`; `now` in seconds since 1970.
    pub(super) fn mint(&self, issuer: &str, identity: &Identity, nonce: Option<&str>, now: i64) -> String {
        self.mint_for(issuer, identity, &Build::default(), nonce, now)
    }

    /// Makes a token for `identity` in a `build`.
    pub(super) fn mint_for(
        &self,
        issuer: &str,
        identity: &Identity,
        build: &Build,
        nonce: Option<&str>,
        now: i64,
    ) -> String {
        // An issuer's subject for a person is opaque: who signs it in place of the address shall notice here.
        let subject = match identity {
            Identity::Email(email) => {
                hex::encode(&sha256(format!("countersign sandbox subject\n{email}").as_bytes())[..16])
            }
            Identity::Uri(uri) => uri.clone(),
        };
        let email = match identity {
            Identity::Email(email) => Some(email.as_str()),
            Identity::Uri(_) => None,
        };
        let claims = Minted {
            iss: issuer,
            sub: &subject,
            aud: AUDIENCE,
            exp: now + TOKEN_LIFETIME,
            iat: now,
            nonce,
            email,
            email_verified: email.map(|_| true),
            build,
        };
        let header = json!({"alg": "ES256", "kid": self.key_id, "typ": "JWT"}).to_string();
        let claims = serde_json::to_string(&claims).expect("texts and numbers serialise");
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = self
            .pair
            .sign(&SystemRandom::new(), signed.as_bytes())
            .expect("signing with a valid key fails only when the system has no random numbers");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    /// Checks a token and returns whom it is for, and what it says of a build; `now` in seconds since 1970.
    pub(super) fn check(
        &self,
        token: &str,
        issuer: &str,
        now: i64,
    ) -> Result<(Identity, BuildClaims), TokenError> {
        if token.len() > MAXIMUM_TOKEN {
            return Err(TokenError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| TokenError::Malformed)?;
        if header.alg != "ES256" {
            return Err(TokenError::Signature);
        }
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key().as_ref())
            .verify(signed.as_bytes(), &decode(signature)?)
            .map_err(|_| TokenError::Signature)?;
        let claims: Claims = serde_json::from_slice(&decode(claims)?).map_err(|_| TokenError::Malformed)?;
        if claims.iss != issuer {
            return Err(TokenError::Issuer);
        }
        let for_us = match &claims.aud {
            Audience::One(audience) => audience == AUDIENCE,
            Audience::Several(audiences) => audiences.iter().any(|audience| audience == AUDIENCE),
        };
        if !for_us {
            return Err(TokenError::Audience);
        }
        if claims.exp <= now {
            return Err(TokenError::Expired);
        }
        if claims.iat > now.saturating_add(CLOCK_SKEW) {
            return Err(TokenError::NotYetValid);
        }
        let identity = match claims.email {
            Some(email) if claims.email_verified == Some(true) => Identity::Email(email),
            Some(_) => return Err(TokenError::EmailUnverified),
            None => Identity::Uri(claims.sub),
        };
        Ok((identity, claims.build.claims()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::key::KeyAlgorithm;

    const ISSUER: &str = "http://127.0.0.1:1";
    const NOW: i64 = 1_700_000_000;

    fn key() -> TokenKey {
        TokenKey::new(&SigningKey::generate(KeyAlgorithm::EcdsaP256).unwrap()).unwrap()
    }

    #[test]
    fn a_token_names_whom_it_was_minted_for() {
        let key = key();
        for identity in [Identity::from("ada@example.com"), Identity::from("https://ci.example.com/build")] {
            let token = key.mint(ISSUER, &identity, Some("nonce"), NOW);
            assert_eq!(key.check(&token, ISSUER, NOW), Ok((identity, vec![])));
        }
    }

    #[test]
    fn time_issuer_and_signature_are_checked() {
        let key = key();
        let token = key.mint(ISSUER, &Identity::from("ada@example.com"), None, NOW);
        assert_eq!(key.check(&token, ISSUER, NOW + TOKEN_LIFETIME), Err(TokenError::Expired));
        assert_eq!(key.check(&token, ISSUER, NOW - CLOCK_SKEW - 1), Err(TokenError::NotYetValid));
        assert_eq!(key.check(&token, "http://127.0.0.1:2", NOW), Err(TokenError::Issuer));
        assert_eq!(super::tests::key().check(&token, ISSUER, NOW), Err(TokenError::Signature));
        for part in ["", ".", "..", "a.b.c"] {
            assert!(key.check(part, ISSUER, NOW).is_err());
        }
        let (_, rest) = token.split_once('.').unwrap();
        let none = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#));
        assert_eq!(key.check(&none, ISSUER, NOW), Err(TokenError::Signature));
    }
}
