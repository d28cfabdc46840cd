//! How we speak to people: one law for every message.
//!
//! Messages follow git: `error: …`, `warning: …`, `hint: …`; lower case, no final period, values in
//! single quotes. Everything that came from outside (names, subjects, refs, servers' answers) is
//! escaped by [`escape`] before a terminal sees it.

use std::fmt::{self, Write as _};

/// A failure as people are told it: what is wrong, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What is wrong; one line without prefix.
    pub error: String,
    /// What to do next; one line each.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure with one hint.
    pub fn new(error: impl fmt::Display, hint: impl fmt::Display) -> Self {
        Self { error: error.to_string(), hints: vec![hint.to_string()] }
    }

    /// One more thing to do.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hints.push(hint.to_string());
        self
    }
}

impl fmt::Display for Failure {
    /// The `error:` and `hint:` lines, each ended by a line feed.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "error: {}", escape(&self.error))?;
        for hint in &self.hints {
            writeln!(formatter, "hint: {}", escape(hint))?;
        }
        Ok(())
    }
}

/// `text` with everything escaped that could move a cursor, hide or reorder what is shown: control
/// characters, bidirectional and zero-width marks, whatever is drawn as nothing, line separators.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_deceptive(character) {
            write!(escaped, "\\u{{{:x}}}", u32::from(character)).expect("writing to a string cannot fail");
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// `count` things that are called `one`.
#[must_use]
pub fn counted(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// [`escape`] for bytes that should be UTF-8; other bytes are shown as `\xNN`.
#[must_use]
pub fn escape_bytes(bytes: &[u8]) -> String {
    let mut escaped = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        escaped.push_str(&escape(chunk.valid()));
        for byte in chunk.invalid() {
            write!(escaped, "\\x{byte:02x}").expect("writing to a string cannot fail");
        }
    }
    escaped
}

/// `text` as one word of a POSIX shell, quoted where it has to be: for commands that people copy.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=@+".contains(character);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// Whether a character could move a cursor, hide or reorder what is shown, or is drawn as nothing.
#[must_use]
pub fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Unicode's Default_Ignorable_Code_Point, the line separators and the blank letters.
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
                | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Seconds since 1970 as `2024-05-06 07:08:09 UTC`.
#[must_use]
pub fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(
        |_| format!("second {seconds}"),
        |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_is_shown_and_not_obeyed() {
        assert_eq!(escape("a\u{1b}[31m\n\u{202e}b"), "a\\u{1b}[31m\\u{a}\\u{202e}b");
        assert_eq!(escape("Zoë 日本"), "Zoë 日本");
        // Two names that look the same are not shown the same.
        for invisible in ['\u{34f}', '\u{115f}', '\u{2800}', '\u{3164}', '\u{fe0f}', '\u{e0100}', '\u{9b}'] {
            let shown = escape(&format!("alice{invisible}"));
            assert_eq!(shown, format!("alice\\u{{{:x}}}", u32::from(invisible)));
        }
        assert_eq!(escape_bytes(b"a\xff\0"), "a\\xff\\u{0}");
    }

    #[test]
    fn a_copied_word_stays_one_word() {
        assert_eq!(shell_word("a@b.example"), "a@b.example");
        assert_eq!(shell_word(""), "''");
        assert_eq!(shell_word("x;rm -r ~"), "'x;rm -r ~'");
        assert_eq!(shell_word("it's $(id)"), r"'it'\''s $(id)'");
    }

    #[test]
    fn a_failure_says_what_to_do() {
        let failure = Failure::new("no 'x\n'", "make one").hint("or two");
        assert_eq!(failure.to_string(), "error: no 'x\\u{a}'\nhint: make one\nhint: or two\n");
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(time(0), "1970-01-01 00:00:00 UTC");
    }
}
