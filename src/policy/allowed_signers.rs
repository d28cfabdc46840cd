//! git's `gpg.ssh.allowedSignersFile` (ssh-keygen(1), "ALLOWED SIGNERS"): who may sign with which SSH
//! key, as `ssh-keygen` reads it.
//!
//! Every name and every answer is `ssh-keygen`'s own; tests compare them. Times without `Z` are local,
//! so the time zone is a parameter.

use jiff::{civil, tz::TimeZone};

use crate::{
    signature::{
        FormatError,
        ssh::{self, PublicKey},
    },
    verify::Key,
};

/// Longer patterns match nothing (match.c).
const MAXIMUM_PATTERN_BYTES: usize = 1022;

/// A list of allowed signers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedSigners {
    lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    principals: String,
    is_authority: bool,
    /// `None` for a key of a kind or size that no signature is accepted from here.
    fingerprint: Option<String>,
    namespaces: Option<String>,
    valid_after: Option<i64>,
    valid_before: Option<i64>,
}

/// Why a line cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {cause}")]
pub struct AllowedSignersError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub cause: LineError,
}

/// What is wrong with a line. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    /// An option stands twice.
    #[error("an option stands twice")]
    DuplicateOption,
    /// The key cannot be read.
    #[error("{0}")]
    Key(FormatError),
    /// No key after principals and options.
    #[error("there is no key")]
    MissingKey,
    /// `valid-before` is not after `valid-after`.
    #[error("'valid-before' is not after 'valid-after'")]
    EmptyWindow,
    /// A value without its quotes, or quotes that do not end.
    #[error("a value is not in quotes, or its quotes do not end")]
    Quotes,
    /// A time that is not `YYYYMMDD[HHMM[SS]][Z]`.
    #[error("a time is not written as YYYYMMDD[HHMM[SS]][Z]")]
    Time,
    /// An option that means nothing here.
    #[error("an option is unknown")]
    UnknownOption,
}

impl AllowedSigners {
    /// Read a list of which every line is understood; `zone` is that of times without `Z`.
    ///
    /// # Errors
    /// The first line that is not.
    pub fn parse(text: &str, zone: &TimeZone) -> Result<Self, AllowedSignersError> {
        let (list, errors) = Self::parse_usable(text, zone);
        errors.into_iter().next().map_or(Ok(list), Err)
    }

    /// Read a list as `ssh-keygen` does: lines that are not understood name nobody.
    #[must_use]
    pub fn parse_usable(text: &str, zone: &TimeZone) -> (Self, Vec<AllowedSignersError>) {
        let (mut lines, mut errors) = (Vec::new(), Vec::new());
        for (index, line) in text.split('\n').enumerate() {
            match parse_line(line, zone) {
                Ok(line) => lines.extend(line),
                Err(cause) => errors.push(AllowedSignersError { line: index + 1, cause }),
            }
        }
        (Self { lines }, errors)
    }

    /// Whom the first line that holds one of `keys` at `time` names (`-Y find-principals`): the line's
    /// own words for a key, those principals of a certificate that it lets through.
    #[must_use]
    pub fn principals(&self, keys: &[Key], time: i64) -> Vec<String> {
        let mut valid = self.lines.iter().filter(|line| line.is_valid_at(time));
        valid.find_map(|line| Some(line.named(keys)).filter(|names| !names.is_empty())).unwrap_or_default()
    }

    /// Whether a line lets `principal` sign for `namespace` with one of `keys` at `time` (`-Y verify`).
    #[must_use]
    pub fn permits(&self, principal: &str, keys: &[Key], namespace: &str, time: i64) -> bool {
        self.lines.iter().any(|line| {
            matches_list(principal, &line.principals)
                && line.holds(keys, principal)
                && line.namespaces.as_ref().is_none_or(|namespaces| matches_list(namespace, namespaces))
                && line.is_valid_at(time)
        })
    }

    /// The name that git would show for the holder of one of `keys` at `time`.
    #[must_use]
    pub fn name(&self, keys: &[Key], time: i64) -> Option<String> {
        let namespace = crate::verify::SSH_NAMESPACE;
        self.principals(keys, time).into_iter().find(|name| self.permits(name, keys, namespace, time))
    }
}

impl Line {
    fn is_valid_at(&self, time: i64) -> bool {
        self.valid_after.is_none_or(|after| time >= after)
            && self.valid_before.is_none_or(|before| time <= before)
    }

    fn named(&self, keys: &[Key]) -> Vec<String> {
        let words = self.principals.split(',').take_while(|word| !word.is_empty());
        if !self.is_authority {
            let held = keys.iter().any(|key| matches!(key, Key::Ssh { fingerprint } if self.is(fingerprint)));
            return if held { words.map(ToOwned::to_owned).collect() } else { Vec::new() };
        }
        let certified = |word: &str| {
            let matching = keys.iter().filter_map(move |key| match key {
                Key::SshCertificate { authority, principal } if self.is(authority) => Some(principal),
                _ => None,
            });
            let word = word.to_owned();
            matching.filter(move |principal| matches(principal.as_bytes(), word.as_bytes())).cloned()
        };
        words.flat_map(certified).collect()
    }

    fn holds(&self, keys: &[Key], wanted: &str) -> bool {
        keys.iter().any(|key| match key {
            Key::Ssh { fingerprint } => !self.is_authority && self.is(fingerprint),
            Key::SshCertificate { authority, principal } => {
                self.is_authority && self.is(authority) && principal == wanted
            }
            Key::OpenPgp { .. } | Key::X509 { .. } | Key::X509Certificate { .. } => false,
        })
    }

    fn is(&self, fingerprint: &str) -> bool {
        self.fingerprint.as_deref() == Some(fingerprint)
    }
}

/// One line; `None` for blank lines and comments.
fn parse_line(line: &str, zone: &TimeZone) -> Result<Option<Line>, LineError> {
    let line = line.trim_start_matches([' ', '\t']).trim_end_matches('\r');
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (principals, rest) = first_word(line)?;
    let (options, key) = if is_key(rest) { ("", rest) } else { split_options(rest)? };
    let mut parsed = Line {
        principals,
        is_authority: false,
        fingerprint: None,
        namespaces: None,
        valid_after: None,
        valid_before: None,
    };
    parse_options(options, &mut parsed, zone)?;
    if key.is_empty() {
        return Err(LineError::MissingKey);
    }
    let blob = ssh::line_blob(key).map_err(LineError::Key)?;
    parsed.fingerprint = match PublicKey::parse(&blob) {
        Ok(key) => Some(key.fingerprint()),
        // OpenSSH reads these, and no signature of theirs is accepted here.
        Err(FormatError::KeySize) => None,
        Err(_) if key.starts_with("ssh-dss ") => None,
        Err(cause) => return Err(LineError::Key(cause)),
    };
    Ok(Some(parsed))
}

/// Whether `text` begins with a key rather than with options.
fn is_key(text: &str) -> bool {
    let word = text.split([' ', '\t']).next().unwrap_or_default();
    ["ssh-", "ecdsa-", "sk-"].iter().any(|prefix| word.starts_with(prefix))
}

/// The first word, out of its quotes, and what follows it (misc.c, `strdelimw`).
fn first_word(line: &str) -> Result<(String, &str), LineError> {
    let blank = [' ', '\t', '\r'];
    let end = line.find(|character| blank.contains(&character) || character == '"');
    let (word, rest) = line.split_at(end.unwrap_or(line.len()));
    if let Some(quoted) = rest.strip_prefix('"') {
        let (inside, rest) = quoted.split_once('"').ok_or(LineError::Quotes)?;
        return Ok((format!("{word}{inside}"), rest.trim_start_matches(blank)));
    }
    Ok((word.to_owned(), rest.trim_start_matches(blank)))
}

/// Options up to the first blank outside quotes, and the key after them.
fn split_options(text: &str) -> Result<(&str, &str), LineError> {
    let (mut quoted, mut escaped) = (false, false);
    for (position, character) in text.char_indices() {
        match character {
            ' ' | '\t' if !quoted => {
                return Ok((&text[..position], text[position..].trim_start_matches([' ', '\t'])));
            }
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = character == '\\' && !escaped;
    }
    if quoted { Err(LineError::Quotes) } else { Ok((text, "")) }
}

fn parse_options(mut options: &str, line: &mut Line, zone: &TimeZone) -> Result<(), LineError> {
    while !options.is_empty() {
        if let Some(rest) = strip_word(options, "cert-authority") {
            line.is_authority = true;
            options = rest;
        } else if let Some(rest) = strip_word(options, "namespaces=") {
            let (value, rest) = quoted(rest)?;
            set(&mut line.namespaces, value)?;
            options = rest;
        } else if let Some(rest) = strip_word(options, "valid-after=") {
            let (value, rest) = quoted(rest)?;
            set(&mut line.valid_after, parse_time(&value, zone).ok_or(LineError::Time)?)?;
            options = rest;
        } else if let Some(rest) = strip_word(options, "valid-before=") {
            let (value, rest) = quoted(rest)?;
            set(&mut line.valid_before, parse_time(&value, zone).ok_or(LineError::Time)?)?;
            options = rest;
        }
        options = match options.strip_prefix(',') {
            Some(rest) if !rest.is_empty() => rest,
            None if options.is_empty() => options,
            _ => return Err(LineError::UnknownOption),
        };
    }
    match (line.valid_after, line.valid_before) {
        (Some(after), Some(before)) if before <= after => Err(LineError::EmptyWindow),
        _ => Ok(()),
    }
}

/// What follows `word`, whose case does not matter.
fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (begin, rest) = text.split_at_checked(word.len())?;
    begin.eq_ignore_ascii_case(word).then_some(rest)
}

/// A value in double quotes, in which `\"` is a quote, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), LineError> {
    let inside = text.strip_prefix('"').ok_or(LineError::Quotes)?;
    let (mut value, mut escaped) = (String::new(), false);
    for (position, character) in inside.char_indices() {
        match character {
            '"' if escaped => {
                value.pop();
                value.push('"');
            }
            '"' => return Ok((value, &inside[position + 1..])),
            other => value.push(other),
        }
        escaped = character == '\\';
    }
    Err(LineError::Quotes)
}

fn set<T>(place: &mut Option<T>, value: T) -> Result<(), LineError> {
    if place.replace(value).is_some() { Err(LineError::DuplicateOption) } else { Ok(()) }
}

/// `YYYYMMDD[HHMM[SS]][Z]` in seconds since 1970; without `Z` in `zone` (misc.c, `parse_absolute_time`).
#[must_use]
pub fn parse_time(text: &str, zone: &TimeZone) -> Option<i64> {
    let digits = text.strip_suffix(['Z', 'z']);
    let zone = if digits.is_some() { &TimeZone::UTC } else { zone };
    let digits = digits.unwrap_or(text);
    if !matches!(digits.len(), 8 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number =
        |from: usize, to: usize| digits.get(from..to).map_or(Some(0), |text| text.parse::<i8>().ok());
    let year = digits[..4].parse().ok()?;
    let (month, day) = (number(4, 6)?, number(6, 8)?);
    let (hour, minute, second) = (number(8, 10)?, number(10, 12)?, number(12, 14)?);
    let time = civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    let seconds = time.to_zoned(zone.clone()).ok()?.timestamp().as_second();
    (seconds > 0).then_some(seconds)
}

/// Whether one pattern of a list separated by commas matches and none behind a `!` does (match.c).
fn matches_list(text: &str, list: &str) -> bool {
    let mut found = false;
    for pattern in list.split(',') {
        let (negated, pattern) = match pattern.strip_prefix('!') {
            Some(pattern) => (true, pattern),
            None => (false, pattern),
        };
        if pattern.len() > MAXIMUM_PATTERN_BYTES {
            return false;
        }
        if matches(text.as_bytes(), pattern.as_bytes()) {
            if negated {
                return false;
            }
            found = true;
        }
    }
    found
}

/// `*` is any bytes, `?` one byte. Goes back to the last star alone, so the time is bounded.
fn matches(text: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut in_pattern) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while at < text.len() {
        match pattern.get(in_pattern) {
            Some(b'*') => {
                star = Some((at, in_pattern));
                in_pattern += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[at] => {
                at += 1;
                in_pattern += 1;
            }
            _ => match star {
                Some((from, position)) => {
                    star = Some((from + 1, position));
                    at = from + 1;
                    in_pattern = position + 1;
                }
                None => return false,
            },
        }
    }
    pattern[in_pattern..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";

    fn key() -> Vec<Key> {
        vec![Key::Ssh { fingerprint: ssh::line_fingerprint(KEY).unwrap() }]
    }

    fn certificate(principals: &[&str]) -> Vec<Key> {
        let authority = ssh::line_fingerprint(KEY).unwrap();
        let key = |principal: &&str| Key::SshCertificate {
            authority: authority.clone(),
            principal: (*principal).to_owned(),
        };
        principals.iter().map(key).collect()
    }

    fn list(lines: &str) -> AllowedSigners {
        AllowedSigners::parse(&lines.replace("KEY", KEY), &TimeZone::UTC).unwrap()
    }

    fn refused(line: &str) -> LineError {
        AllowedSigners::parse(&line.replace("KEY", KEY), &TimeZone::UTC).unwrap_err().cause
    }

    #[test]
    fn a_key_has_the_names_of_its_first_valid_line() {
        let signers = list("# team\n\n  a,b KEY comment\r\nc KEY");
        assert_eq!(signers.principals(&key(), 0), ["a", "b"]);
        assert_eq!(signers.name(&key(), 0).as_deref(), Some("a"));
        assert!(signers.permits("c", &key(), "git", 0) && !signers.permits("d", &key(), "git", 0));
        assert!(signers.principals(&certificate(&["a"]), 0).is_empty(), "a certificate is not its key");
        assert_eq!(list("\"a b\" KEY").principals(&key(), 0), ["a b"]);
        assert_eq!(list("x\"a b\" KEY").principals(&key(), 0), ["xa b"]);
        let negated = list("!a,* KEY");
        assert!(!negated.permits("a", &key(), "git", 0) && negated.permits("b", &key(), "git", 0));
    }

    #[test]
    fn an_authority_lets_through_the_principals_that_match() {
        let signers = list("z*,al* cert-authority KEY");
        assert_eq!(signers.principals(&certificate(&["bob", "alice", "zoe"]), 0), ["zoe", "alice"]);
        assert!(signers.permits("alice", &certificate(&["bob", "alice"]), "git", 0));
        assert!(!signers.permits("alfred", &certificate(&["bob", "alice"]), "git", 0));
        assert!(signers.principals(&key(), 0).is_empty(), "the authority's key is no signer's");
    }

    #[test]
    fn options_bound_time_and_purpose() {
        let signers = list("a valid-after=\"19700102\",Valid-Before=\"197001030000Z\" KEY\nb KEY");
        assert_eq!(signers.principals(&key(), 86_399), ["b"]);
        assert_eq!(signers.principals(&key(), 86_400), ["a"]);
        assert_eq!(signers.principals(&key(), 172_800), ["a"]);
        assert_eq!(signers.principals(&key(), 172_801), ["b"]);
        let files = list("a namespaces=\"file,mail\" KEY");
        assert_eq!(files.principals(&key(), 0), ["a"], "ssh-keygen does not ask here what for");
        assert_eq!(files.name(&key(), 0), None);
        assert!(files.permits("a", &key(), "file", 0));
        assert!(list("a namespaces=\"g*\" KEY").permits("a", &key(), "git", 0));
    }

    #[test]
    fn times_are_local_unless_they_say_otherwise() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(parse_time("19700101030000", &zone), Some(3600));
        assert_eq!(parse_time("19700101030000Z", &zone), Some(3 * 3600));
        for text in ["", "1970", "19701301", "1970010103", "1970010103000", "1970010103000é", "19700101"] {
            assert_eq!(parse_time(text, &TimeZone::UTC), None, "{text}");
        }
    }

    #[test]
    fn a_line_that_is_not_understood_is_an_error_and_names_nobody() {
        for (line, cause) in [
            ("a", LineError::MissingKey),
            ("a bogus KEY", LineError::UnknownOption),
            ("a cert-authority, KEY", LineError::UnknownOption),
            ("a cert-authorityx KEY", LineError::UnknownOption),
            ("a namespaces=git KEY", LineError::Quotes),
            ("a namespaces=\"git KEY", LineError::Quotes),
            ("\"a KEY", LineError::Quotes),
            ("a namespaces=\"a\",namespaces=\"b\" KEY", LineError::DuplicateOption),
            ("a valid-after=\"soon\" KEY", LineError::Time),
            ("a valid-after=\"20200102\",valid-before=\"20200101\" KEY", LineError::EmptyWindow),
            ("a ssh-ed25519 AAAA", LineError::Key(FormatError::SshKey)),
            ("a cert-authority ssh-rsa AAAAC3NzaC1lZDI1NTE5", LineError::Key(FormatError::SshKey)),
        ] {
            assert_eq!(refused(line), cause, "{line}");
            let text = format!("{line}\nb KEY").replace("KEY", KEY);
            let (usable, errors) = AllowedSigners::parse_usable(&text, &TimeZone::UTC);
            assert_eq!((errors.len(), errors[0].line), (1, 1));
            assert_eq!(usable.principals(&key(), 0), ["b"]);
        }
        assert_eq!(list("a ssh-dss AAAAB3NzaC1kc3M=").lines[0].fingerprint, None);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[a \\t\",=!*?\\\\zZé\\-]{0,60}(namespaces=\"[^\"]{0,9}\")?[ -~]{0,40}") {
            let _ = AllowedSigners::parse_usable(&text, &TimeZone::UTC);
            let _ = AllowedSigners::parse(&format!("{text} {KEY}"), &TimeZone::UTC);
        }

        #[test]
        fn patterns_match_as_their_definition_says(text in "[ab]{0,7}", pattern in "[ab*?]{0,7}") {
            fn defined(text: &[u8], pattern: &[u8]) -> bool {
                match pattern {
                    [] => text.is_empty(),
                    [b'*', rest @ ..] => (0..=text.len()).any(|skipped| defined(&text[skipped..], rest)),
                    [b'?', rest @ ..] => !text.is_empty() && defined(&text[1..], rest),
                    [byte, rest @ ..] => text.first() == Some(byte) && defined(&text[1..], rest),
                }
            }
            proptest::prop_assert_eq!(
                matches(text.as_bytes(), pattern.as_bytes()),
                defined(text.as_bytes(), pattern.as_bytes())
            );
        }
    }
}
