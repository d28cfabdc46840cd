//! PEM (RFC 7468): strict when writing, as lenient as Go's reader when reading, for that is what customers send.

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Writes one block: 64 columns, LF, a final LF.
pub(super) fn encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// Reads exactly one block and returns its label and content; other text around it is refused.
pub(super) fn decode(text: &[u8]) -> Option<(String, Vec<u8>)> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let rest = text.strip_prefix("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let body = rest.strip_suffix(&format!("-----END {label}-----"))?;
    let body: String = body.chars().filter(|character| !character.is_ascii_whitespace()).collect();
    Some((label.to_owned(), STANDARD.decode(body).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for length in [1, 47, 48, 49, 96, 700] {
            let der: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let text = encode("CERTIFICATE", &der);
            assert!(text.lines().all(|line| line.len() <= 64), "lines are at most 64 columns");
            assert_eq!(decode(text.as_bytes()), Some(("CERTIFICATE".to_owned(), der)));
        }
    }

    #[test]
    fn carriage_returns_pass_and_two_blocks_do_not() {
        let text = encode("PUBLIC KEY", b"some content");
        assert!(decode(text.replace('\n', "\r\n").as_bytes()).is_some());
        assert_eq!(decode(format!("{text}{text}").as_bytes()), None);
        assert_eq!(decode(b"-----BEGIN X-----"), None);
        assert_eq!(decode(b""), None);
    }
}
