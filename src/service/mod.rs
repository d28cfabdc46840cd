//! Synchronous clients of the servers that vouch: Fulcio, Rekor v1 and v2, a timestamp authority, TUF; and of
//! the system's log.
//!
//! Responsible for asking, for bounding what an answer may cost (time, bytes, attempts) and for checking
//! that an answer is the answer to our question. Whether it can be trusted is the `verify` room's to say.

pub mod fulcio;
pub mod http;
pub mod rekor_v1;
pub mod rekor_v2;
pub mod syslog;
pub mod timestamp;
pub mod tls;
pub mod tuf;

use self::http::Response;
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// A server's answer that is not the one asked for: its status and what it said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server answered {status}: {said}")]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The server's own words, cut to a few hundred characters. Hostile text: escape it before showing it.
    pub said: String,
}

impl Refusal {
    /// Reads the reason out of `response`: the `message`, `error_description` or `error` of a JSON body,
    /// else the beginning of whatever it is.
    #[must_use]
    pub fn of(response: &Response) -> Self {
        Self { status: response.status().as_u16(), said: said(response.body()) }
    }

    /// Whether the same request may succeed a little later.
    #[must_use]
    pub fn retryable(&self) -> bool {
        http::is_passing(self.status)
    }
}

/// Standard base64 of `bytes`.
pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes of standard base64 `text`.
pub(crate) fn unbase64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

fn said(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Words {
        message: Option<String>,
        error_description: Option<String>,
        error: Option<String>,
    }
    let words = serde_json::from_slice::<Words>(body)
        .ok()
        .and_then(|words| words.message.or(words.error_description).or(words.error));
    let text = words.unwrap_or_else(|| String::from_utf8_lossy(&body[..body.len().min(4096)]).into_owned());
    let text = text.trim();
    if text.is_empty() {
        return "nothing".to_owned();
    }
    match text.char_indices().nth(SAID_LIMIT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// How many characters of a server's words are kept.
const SAID_LIMIT: usize = 300;

#[cfg(test)]
mod http_tests;
#[cfg(test)]
pub(crate) mod test_server;

#[cfg(test)]
mod tests {
    use super::{SAID_LIMIT, said};

    #[test]
    fn the_reason_is_taken_from_json_and_cut_from_anything_else() {
        assert_eq!(said(br#"{"code":3,"message":"bad proof"}"#), "bad proof");
        assert_eq!(said(br#"{"error":"invalid_grant","error_description":"code used"}"#), "code used");
        assert_eq!(said(b" \n"), "nothing");
        let page = format!("<html>{}</html>", "é".repeat(5000));
        assert_eq!(said(page.as_bytes()).chars().count(), SAID_LIMIT + 1);
    }
}
