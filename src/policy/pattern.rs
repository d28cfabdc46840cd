//! Ref patterns: bytes, with `*` that stays inside one path component and `**` that does not.

/// A pattern over full ref names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    tokens: Vec<Token>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// `*`: any run of bytes without `/`.
    Component,
    /// `**`: any run of bytes.
    Anything,
}

/// Why a pattern is refused. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// It names what only the server writes.
    #[error("only the server itself writes the ledger, and no rule can name it")]
    Ledger,
    /// It could only match something that is no ref.
    #[error("it does not begin with 'refs/'")]
    NotARef,
    /// No ref can have such a name, so that it would decide about nothing.
    #[error(
        "no ref's name looks so: it ends with '/', or holds '..', '//', '@{{' or a name that begins with '.' or ends with '.' or '.lock'"
    )]
    NoName,
    /// Three stars in a row.
    #[error("more than two '*' stand in a row")]
    Stars,
    /// Something that no ref name can hold, or that other tools read as a wildcard.
    #[error("it holds '{0}', which no ref name can hold")]
    Character(char),
}

impl Pattern {
    /// Read a pattern.
    ///
    /// # Errors
    /// It can match no ref, or might be meant as something that is no wildcard here.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if !text.starts_with("refs/") {
            return Err(PatternError::NotARef);
        }
        if super::is_ledger(text.as_bytes()) {
            return Err(PatternError::Ledger);
        }
        if text.contains("***") {
            return Err(PatternError::Stars);
        }
        let foreign = |c: char| c.is_ascii_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '[' | '\\');
        if let Some(character) = text.chars().find(|c| foreign(*c)) {
            return Err(PatternError::Character(character));
        }
        // What is wrong with the rest stays wrong whatever a star stands for.
        let example = text.replace("**", "*").replace('*', "x");
        if gix::validate::reference::name(example.as_str().into()).is_err() {
            return Err(PatternError::NoName);
        }
        let mut tokens = Vec::new();
        let mut bytes = text.bytes().peekable();
        while let Some(byte) = bytes.next() {
            tokens.push(match byte {
                b'*' if bytes.next_if_eq(&b'*').is_some() => Token::Anything,
                b'*' => Token::Component,
                byte => Token::Byte(byte),
            });
        }
        Ok(Self { text: text.to_owned(), tokens })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole of `name` matches.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> bool {
        let name: Vec<Token> = name.iter().map(|byte| Token::Byte(*byte)).collect();
        self.covers_tokens(&name)
    }

    /// Whether every name that `other` matches is matched by `self` too. "No" may be too modest.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.covers_tokens(&other.tokens)
    }

    /// One step a token of `name`, remembering every place in the pattern that can be reached: time
    /// is the product of both lengths whatever the stars.
    fn covers_tokens(&self, name: &[Token]) -> bool {
        let mut reachable = vec![false; self.tokens.len() + 1];
        reachable[0] = true;
        self.skip_stars(&mut reachable);
        for token in name {
            let mut next = vec![false; reachable.len()];
            for (place, pattern) in self.tokens.iter().enumerate().filter(|(place, _)| reachable[*place]) {
                match pattern {
                    Token::Byte(_) => next[place + 1] |= pattern == token,
                    Token::Component => next[place] |= !matches!(token, Token::Byte(b'/') | Token::Anything),
                    Token::Anything => next[place] = true,
                }
            }
            reachable = next;
            self.skip_stars(&mut reachable);
        }
        reachable[self.tokens.len()]
    }

    /// A star may stand for nothing.
    fn skip_stars(&self, reachable: &mut [bool]) {
        for (place, pattern) in self.tokens.iter().enumerate() {
            if reachable[place] && !matches!(pattern, Token::Byte(_)) {
                reachable[place + 1] = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn one_star_stays_inside_a_component_and_two_do_not() {
        for (text, name, expected) in [
            ("refs/heads/main", "refs/heads/main", true),
            ("refs/heads/main", "refs/heads/main2", false),
            ("refs/heads/main", "refs/heads/Main", false),
            ("refs/heads/*", "refs/heads/x", true),
            ("refs/heads/*", "refs/heads/x/y", false),
            ("refs/heads/**", "refs/heads/x/y", true),
            ("refs/heads/**", "refs/tags/x", false),
            ("refs/heads/release-*", "refs/heads/release-1.0", true),
            ("refs/*/main", "refs/heads/main", true),
            ("refs/**/main", "refs/a/b/main", true),
            ("refs/heads/*-*x", "refs/heads/a-b-x", true),
            ("refs/heads/*.*", "refs/heads/a", false),
        ] {
            assert_eq!(pattern(text).matches(name.as_bytes()), expected, "{text} {name}");
        }
        assert!(pattern("refs/heads/*").matches(b"refs/heads/\xff"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (text, cause) in [
            ("main", PatternError::NotARef),
            ("**", PatternError::NotARef),
            ("refs/heads/***", PatternError::Stars),
            ("refs/heads/?", PatternError::Character('?')),
            ("refs/heads/[ab]", PatternError::Character('[')),
            ("refs/heads/a b", PatternError::Character(' ')),
            ("refs/heads/^main", PatternError::Character('^')),
            ("refs/heads/", PatternError::NoName),
            ("refs/**/", PatternError::NoName),
            ("refs//main", PatternError::NoName),
            ("refs/heads/../main", PatternError::NoName),
            ("refs/heads/*..*", PatternError::NoName),
            ("refs/heads/.x", PatternError::NoName),
            ("refs/heads/*.lock", PatternError::NoName),
            ("refs/heads/main.", PatternError::NoName),
            ("refs/heads/@{1}", PatternError::NoName),
        ] {
            assert_eq!(Pattern::parse(text).unwrap_err(), cause, "{text}");
        }
    }

    #[test]
    fn what_can_be_a_name_is_read() {
        for text in [
            "refs/*",
            "refs/heads/a.*",
            "refs/heads/*.x",
            "refs/heads/@*",
            "refs/heads/**/-x",
            "refs/heads/*.*.*",
        ] {
            assert!(Pattern::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn covering_is_never_claimed_in_vain() {
        for (earlier, later, expected) in [
            ("refs/heads/**", "refs/heads/*", true),
            ("refs/heads/*", "refs/heads/**", false),
            ("refs/heads/*", "refs/heads/main", true),
            ("refs/heads/*", "refs/heads/release/*", false),
            ("refs/**", "refs/heads/a*b", true),
            ("refs/heads/a*", "refs/heads/ab*", true),
            ("refs/heads/ab*", "refs/heads/a*", false),
        ] {
            assert_eq!(pattern(earlier).covers(&pattern(later)), expected, "{earlier} {later}");
        }
    }

    #[test]
    fn many_stars_take_no_long_time() {
        let many = pattern(&format!("refs/{}", "*a".repeat(200)));
        assert!(!many.matches(&[b"refs/".as_slice(), &[b'a'; 4000], b"b"].concat()));
    }

    /// The definition, slow and plain.
    fn plain(pattern: &[u8], name: &[u8]) -> bool {
        match pattern {
            [] => name.is_empty(),
            [b'*', b'*', rest @ ..] => (0..=name.len()).any(|end| plain(rest, &name[end..])),
            [b'*', rest @ ..] => (0..=name.len())
                .take_while(|end| !name[..*end].contains(&b'/'))
                .any(|end| plain(rest, &name[end..])),
            [byte, rest @ ..] => name.first() == Some(byte) && plain(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn as_defined(tail in "[ab/*]{0,8}", name in "[ab/]{0,8}") {
            let text = format!("refs/{tail}");
            prop_assume!(Pattern::parse(&text).is_ok());
            let name = format!("refs/{name}");
            prop_assert_eq!(
                pattern(&text).matches(name.as_bytes()),
                plain(text.as_bytes(), name.as_bytes())
            );
        }

        #[test]
        fn covered_names_match(earlier in "[a/*]{0,6}", later in "[a/*]{0,6}", name in "[a/]{0,6}") {
            let parse = |tail: &str| Pattern::parse(&format!("refs/{tail}"));
            let (Ok(earlier), Ok(later)) = (parse(&earlier), parse(&later)) else { return Ok(()) };
            let name = format!("refs/{name}");
            if earlier.covers(&later) && later.matches(name.as_bytes()) {
                prop_assert!(earlier.matches(name.as_bytes()));
            }
        }
    }
}
