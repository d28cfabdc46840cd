//! Text from outside, made fit for a terminal.

/// `text` with everything escaped that could move the cursor, change the order of reading or hide
/// something: control characters, line ends, invisible and bidirectional format characters, and
/// bytes that are not UTF-8.
#[must_use]
pub fn escape(text: &[u8]) -> String {
    let mut safe = String::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\\' => safe.push_str("\\\\"),
                _ if is_deceptive(character) => safe.extend(character.escape_unicode()),
                _ => safe.push(character),
            }
        }
        for byte in chunk.invalid() {
            safe.push_str(&format!("\\x{byte:02x}"));
        }
    }
    safe
}

/// Unicode's control and format characters (Cc, and those of Cf and the separators that render as
/// nothing or reorder what stands around them).
fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(u32::from(character),
            0xad | 0x34f | 0x61c | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f
            | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f
            | 0xfeff | 0xffa0 | 0xfff0..=0xfffb | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a
            | 0xe0000..=0xe0fff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_deceive_is_escaped() {
        assert_eq!(escape("a\u{1b}[31m\n".as_bytes()), "a\\u{1b}[31m\\u{a}");
        assert_eq!(escape("\u{202e}gnp.exe".as_bytes()), "\\u{202e}gnp.exe");
        assert_eq!(escape("\u{200b}\u{feff}\u{9b}".as_bytes()), "\\u{200b}\\u{feff}\\u{9b}");
        assert_eq!(escape(b"\xff\xfe"), "\\xff\\xfe");
        assert_eq!(escape(b"\\x41"), "\\\\x41", "no two texts look alike");
        assert_eq!(escape("zoë@例え.jp".as_bytes()), "zoë@例え.jp");
    }
}
