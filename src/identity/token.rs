//! An identity token (OpenID Connect ID token) as we hold it: the secret text and its own claims.
//!
//! The claims are read without checking any signature: they serve to choose, to refuse early and to make
//! the proof of possession. The certificate authority is the one that verifies the token.

use std::{collections::BTreeMap, fmt};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use zeroize::{Zeroize as _, Zeroizing};

/// The longest token that is taken, in bytes.
pub const MAXIMUM_TOKEN_BYTES: usize = 64 * 1024;

/// How many seconds a token must still be good for: enough to be sent and judged.
const LEAST_REMAINING: i64 = 5;

/// Why a token is of no use. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It is meant for someone else.
    #[error("the identity token is for the audience '{found}', not for '{wanted}'")]
    Audience {
        /// The audiences in the token, separated by commas.
        found: String,
        /// The audience needed.
        wanted: String,
    },
    /// It is no longer good, or only for seconds.
    #[error("the identity token has expired")]
    Expired,
    /// It is not a JSON web token with the claims of an ID token.
    #[error("this is not an identity token")]
    Malformed,
    /// Longer than any identity token is.
    #[error("the identity token is too long")]
    TooLong,
}

/// What a token says of itself. Unverified, and hostile text until someone has verified it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// `iss`: who issued it.
    pub issuer: String,
    /// `sub`: the issuer's name for the subject.
    pub subject: String,
    /// `email`, where there is one.
    pub email: Option<String>,
    /// `aud`: whom it is meant for.
    pub audience: Vec<String>,
    /// `exp`: when it expires, in seconds since 1970.
    pub expires: i64,
}

impl Claims {
    /// What the subject is called: the e-mail address where there is one, else `sub`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.email.as_deref().unwrap_or(&self.subject)
    }
}

/// An identity token: a secret until it expires. Wiped from memory when dropped, never shown.
#[derive(Clone)]
pub struct Token {
    secret: Zeroizing<String>,
    claims: Claims,
    refresh: Option<Zeroizing<String>>,
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Token").field("claims", &self.claims).finish_non_exhaustive()
    }
}

impl Token {
    /// Takes `text`, white space around it aside.
    ///
    /// # Errors
    /// [`TokenError::Malformed`], [`TokenError::TooLong`].
    pub fn parse(mut text: String) -> Result<Self, TokenError> {
        let secret = Zeroizing::new(text.trim().to_owned());
        text.zeroize();
        if secret.len() > MAXIMUM_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let claims = read_claims(&secret)?;
        Ok(Self { secret, claims, refresh: None })
    }

    /// The token itself, to be sent to the certificate authority and to no one else.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The same with the refresh token that came with it (RFC 6749 §1.5), if one did.
    #[must_use]
    pub fn with_refresh(mut self, refresh: Option<String>) -> Self {
        self.refresh = refresh.map(Zeroizing::new);
        self
    }

    /// The refresh token that came with it, for the issuer and no one else.
    #[must_use]
    pub fn refresh(&self) -> Option<&str> {
        self.refresh.as_ref().map(|refresh| refresh.as_str())
    }

    /// Its claims, unverified.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// SHA-256 of everything that it says but for its own times and number (`iat`, `nbf`, `exp`, `jti`): the
    /// same for two tokens exactly if they say the same of whoever bears them.
    #[must_use]
    pub fn binding(&self) -> [u8; 32] {
        let mut claims = payload(&self.secret)
            .and_then(|bytes| serde_json::from_slice::<BTreeMap<String, serde_json::Value>>(&bytes).ok())
            .expect("its claims were read when it was made");
        claims.retain(|name, _| !["iat", "nbf", "exp", "jti"].contains(&name.as_str()));
        let json = Zeroizing::new(serde_json::to_vec(&claims).expect("it was JSON before"));
        digest(&SHA256, &json).as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    /// Whether it is meant for `audience` and still good at `now` (seconds since 1970).
    ///
    /// # Errors
    /// [`TokenError::Audience`], [`TokenError::Expired`].
    pub fn check(&self, audience: &str, now: i64) -> Result<(), TokenError> {
        if !self.claims.audience.iter().any(|meant| meant == audience) {
            return Err(TokenError::Audience {
                found: self.claims.audience.join(", "),
                wanted: audience.to_owned(),
            });
        }
        if self.claims.expires.saturating_sub(now) < LEAST_REMAINING {
            return Err(TokenError::Expired);
        }
        Ok(())
    }
}

/// The second part of a JSON web token.
fn payload(token: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut parts = token.split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    URL_SAFE_NO_PAD.decode(payload).ok().map(Zeroizing::new)
}

fn read_claims(token: &str) -> Result<Claims, TokenError> {
    #[derive(Deserialize)]
    struct Wire {
        iss: String,
        sub: String,
        email: Option<String>,
        aud: Audience,
        exp: serde_json::Number,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Many(Vec<String>),
    }
    let payload = payload(token).ok_or(TokenError::Malformed)?;
    // All of it has to be readable, for [`Token::binding`]: serde passes over more than it could read.
    let _: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(&payload).map_err(|_| TokenError::Malformed)?;
    let wire: Wire = serde_json::from_slice(&payload).map_err(|_| TokenError::Malformed)?;
    // NumericDate (RFC 7519) may have a fraction; cut towards the past.
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, which is what a time needs")]
    let expires = wire.exp.as_i64().or_else(|| wire.exp.as_f64().map(|seconds| seconds as i64));
    Ok(Claims {
        issuer: wire.iss,
        subject: wire.sub,
        email: wire.email.filter(|email| !email.is_empty()),
        audience: match wire.aud {
            Audience::One(audience) => vec![audience],
            Audience::Many(audience) => audience,
        },
        expires: expires.ok_or(TokenError::Malformed)?,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::{Token, TokenError};

    /// A token with these claims and a meaningless signature.
    pub(crate) fn token(claims: &serde_json::Value) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(r#"{"alg":"none"}"#), part(&claims.to_string()), part("signature"))
    }

    #[test]
    fn claims_are_read_and_the_secret_is_not_shown() {
        let text = token(&serde_json::json!({
            "iss": "https://issuer.example", "sub": "17", "email": "a@example.org", "aud": "sigstore", "exp": 1000,
        }));
        let parsed = Token::parse(format!(" {text}\n")).unwrap();
        assert_eq!(parsed.secret(), text);
        assert_eq!(parsed.claims().name(), "a@example.org");
        assert!(!format!("{parsed:?}").contains(&text[20..]));
        assert_eq!(parsed.check("sigstore", 995), Ok(()));
        assert_eq!(parsed.check("sigstore", 996), Err(TokenError::Expired));
        assert!(matches!(parsed.check("other", 0), Err(TokenError::Audience { .. })));
    }

    #[test]
    fn audiences_may_be_many_and_a_subject_stands_in_for_an_absent_or_empty_address() {
        let claims = serde_json::json!({
            "iss": "i", "sub": "repo:a/b", "email": "", "aud": ["x", "sigstore"], "exp": 1000.9,
        });
        let parsed = Token::parse(token(&claims)).unwrap();
        assert_eq!(parsed.claims().name(), "repo:a/b");
        assert_eq!(parsed.claims().expires, 1000);
        assert_eq!(parsed.check("sigstore", 1), Ok(()));
    }

    #[test]
    fn two_tokens_are_bound_alike_exactly_if_they_say_the_same_of_their_bearer() {
        let claims = serde_json::json!({
            "iss": "i", "sub": "repo:a/b", "aud": "sigstore", "exp": 1000, "iat": 1, "jti": "x", "ref": "refs/heads/main",
        });
        let binding = |name: &str, value: serde_json::Value| {
            let mut claims = claims.clone();
            claims[name] = value;
            Token::parse(token(&claims)).unwrap().binding()
        };
        let first = Token::parse(token(&claims)).unwrap().binding();
        for own in ["iat", "nbf", "exp"] {
            assert_eq!(binding(own, 2000.into()), first, "{own}");
        }
        assert_eq!(binding("jti", "y".into()), first);
        for (name, value) in
            [("ref", "refs/heads/evil"), ("job_workflow_ref", "w"), ("sub", "s"), ("aud", "b")]
        {
            assert_ne!(binding(name, value.into()), first, "{name}");
        }
    }

    #[test]
    fn a_token_that_is_taken_can_be_bound() {
        let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
        for other in [deep.as_str(), "1e999", r#""\ud800""#] {
            let claims = format!(r#"{{"iss":"i","sub":"s","aud":"sigstore","exp":1000,"other":{other}}}"#);
            let text = format!("a.{}.c", URL_SAFE_NO_PAD.encode(claims));
            assert_eq!(
                Token::parse(text).map(|token| token.binding()),
                Err(TokenError::Malformed),
                "{other}"
            );
        }
    }

    #[test]
    fn what_is_no_identity_token_is_refused() {
        let no_expiry = token(&serde_json::json!({"iss": "i", "sub": "s", "aud": "sigstore"}));
        for text in ["", "a.b", "a.b.c", "a.b.c.d", "ya29.opaque", &no_expiry] {
            assert_eq!(Token::parse(text.to_owned()).unwrap_err(), TokenError::Malformed, "{text}");
        }
        assert_eq!(Token::parse("x".repeat(70_000)).unwrap_err(), TokenError::TooLong);
    }
}
