//! Path rules: who may change what stands where in the tree. Patterns match bytes.

use super::Wanted;

/// Who has to have signed each commit that changes one of some paths, besides what its rule asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRule {
    /// The paths that are meant.
    pub paths: Vec<PathPattern>,
    /// Those among them that are not.
    pub except: Vec<PathPattern>,
    /// Who may sign such commits.
    pub commits: Wanted,
}

/// A pattern over the whole paths of files, links and submodules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    tokens: Vec<Token>,
    /// How many tokens stand before the first `**`.
    plain: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// `*`: any run of bytes without `/`.
    Component,
    /// `**`: any run of bytes.
    Anything,
    /// What follows, `**/`, may stand for nothing.
    Perhaps,
}

/// Why a pattern is refused. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathPatternError {
    /// What is a wildcard elsewhere, and not here.
    #[error("it holds '{0}', which is no wildcard here; '*' can stand for it")]
    Character(char),
    /// No path holds this component.
    #[error(
        "it begins or ends with '/', or a name in it is empty, '.' or '..'; paths begin at the root, and 'a/**' is all below 'a'"
    )]
    Component,
    /// It matches nothing.
    #[error("it is empty")]
    Empty,
    /// What elsewhere takes back other patterns.
    #[error("it begins with '!'; what is not meant stands under 'except'")]
    Negated,
    /// Three stars in a row, or two that are not a whole name.
    #[error("two '*' in a row have to be a whole name between slashes")]
    Stars,
}

/// How far a path has come in each pattern of a path rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPlace {
    paths: Vec<Places>,
    except: Vec<Places>,
}

/// The tokens that may come next, in order; the number of all tokens stands for the end.
type Places = Vec<usize>;

impl PathPattern {
    /// Read a pattern.
    ///
    /// # Errors
    /// It can match no path, or might be meant as something that is no wildcard here.
    pub fn parse(text: &str) -> Result<Self, PathPatternError> {
        if text.is_empty() {
            return Err(PathPatternError::Empty);
        }
        if text.starts_with('!') {
            return Err(PathPatternError::Negated);
        }
        let foreign = |c: char| c.is_ascii_control() || matches!(c, '?' | '[' | ']' | '\\');
        if let Some(character) = text.chars().find(|c| foreign(*c)) {
            return Err(PathPatternError::Character(character));
        }
        let mut tokens = Vec::new();
        let mut plain = None;
        let names: Vec<&str> = text.split('/').collect();
        for (index, name) in names.iter().enumerate() {
            if index > 0 {
                tokens.push(Token::Byte(b'/'));
            }
            match *name {
                "" | "." | ".." => return Err(PathPatternError::Component),
                "**" => {
                    plain.get_or_insert(tokens.len());
                    if index + 1 < names.len() {
                        tokens.push(Token::Perhaps);
                    }
                    tokens.push(Token::Anything);
                }
                name if name.contains("**") => return Err(PathPatternError::Stars),
                name => tokens.extend(name.bytes().map(|byte| match byte {
                    b'*' => Token::Component,
                    byte => Token::Byte(byte),
                })),
            }
        }
        if !text.contains('*') {
            // Whoever names a folder means what is in it.
            plain = Some(tokens.len());
            tokens.extend([Token::Byte(b'/'), Token::Anything]);
        }
        let plain = plain.unwrap_or(tokens.len());
        Ok(Self { text: text.to_owned(), tokens, plain })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the file, link or submodule at `path` is meant: its path matches, or it stands in the place of
    /// a folder that the pattern names before its first `**`.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        self.ends(&self.go(&self.begin(), path))
    }

    fn begin(&self) -> Places {
        let mut places = Vec::new();
        self.add(&mut places, 0);
        places
    }

    /// `place`, and all that can be reached from there without a byte. A loop, for a policy has room for more `**/`
    /// than a stack.
    fn add(&self, places: &mut Places, mut place: usize) {
        let insert = |places: &mut Places, place: usize| {
            let at = places.binary_search(&place);
            at.map_err(|at| places.insert(at, place)).is_err()
        };
        while insert(places, place) {
            match self.tokens.get(place) {
                Some(Token::Component | Token::Anything) => place += 1,
                Some(Token::Perhaps) => {
                    // The `**`, and the slash behind it.
                    insert(places, place + 1);
                    insert(places, place + 2);
                    place += 3;
                }
                Some(Token::Byte(_)) | None => return,
            }
        }
    }

    fn go(&self, places: &Places, bytes: &[u8]) -> Places {
        let mut places = places.clone();
        for byte in bytes {
            let mut next = Vec::with_capacity(places.len() + 2);
            for place in places {
                match self.tokens.get(place) {
                    Some(Token::Byte(wanted)) if wanted == byte => self.add(&mut next, place + 1),
                    Some(Token::Component) if *byte != b'/' => self.add(&mut next, place),
                    Some(Token::Anything) => self.add(&mut next, place),
                    _ => {}
                }
            }
            places = next;
        }
        places
    }

    fn ends(&self, places: &Places) -> bool {
        let is_folder =
            |place: &usize| *place <= self.plain && self.tokens.get(*place) == Some(&Token::Byte(b'/'));
        places.iter().any(|place| *place == self.tokens.len() || is_folder(place))
    }
}

impl PathRule {
    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> PathPlace {
        let begin = |patterns: &[PathPattern]| patterns.iter().map(PathPattern::begin).collect();
        PathPlace { paths: begin(&self.paths), except: begin(&self.except) }
    }

    /// The folder `name` in `place`; `None` if nothing below can be meant.
    #[must_use]
    pub fn enter(&self, place: &PathPlace, name: &[u8]) -> Option<PathPlace> {
        let enter = |patterns: &[PathPattern], places: &[Places]| -> Vec<Places> {
            let each = patterns.iter().zip(places);
            each.map(|(pattern, places)| pattern.go(&pattern.go(places, name), b"/")).collect()
        };
        let paths = enter(&self.paths, &place.paths);
        paths
            .iter()
            .any(|places| !places.is_empty())
            .then(|| PathPlace { paths, except: enter(&self.except, &place.except) })
    }

    /// Whether the file, link or submodule `name` in the folder `place` is meant.
    #[must_use]
    pub fn means(&self, place: &PathPlace, name: &[u8]) -> bool {
        let matches = |patterns: &[PathPattern], places: &[Places]| {
            let mut each = patterns.iter().zip(places);
            each.any(|(pattern, places)| pattern.ends(&pattern.go(places, name)))
        };
        matches(&self.paths, &place.paths) && !matches(&self.except, &place.except)
    }

    /// Whether the file, link or submodule at `path` is meant.
    #[must_use]
    pub fn means_path(&self, path: &[u8]) -> bool {
        self.means(&self.root(), path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> PathPattern {
        PathPattern::parse(text).unwrap()
    }

    #[test]
    fn patterns_match_whole_paths_from_the_root() {
        for (text, path, expected) in [
            ("infra/**", "infra/a", true),
            ("infra/**", "infra/a/b", true),
            ("infra/**", "infrastructure/a", false),
            ("infra/**", "x/infra/a", false),
            ("infra/**", "Infra/a", false),
            ("**/infra/**", "infra/a", true),
            ("**/infra/**", "x/y/infra/a", true),
            ("**/Makefile", "Makefile", true),
            ("**/Makefile", "a/b/Makefile", true),
            ("**/Makefile", "a/xMakefile", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "ab", false),
            ("src/*.rs", "src/a.rs", true),
            ("src/*.rs", "src/a/b.rs", false),
            ("**", "anything/at all", true),
            ("*", "a", true),
            ("*", "a/b", false),
            ("infra", "infra", true),
            ("infra", "infra/a/b", true),
            ("infra", "infra2", false),
            (".github/workflows/*", ".github/workflows/x.yml", true),
        ] {
            assert_eq!(pattern(text).matches(path.as_bytes()), expected, "{text} {path}");
        }
        assert!(pattern("a/*").matches(b"a/\xff\xfe"), "names are bytes");
    }

    #[test]
    fn what_stands_in_the_place_of_a_folder_is_meant() {
        for (text, path, expected) in [
            ("infra/**", "infra", true),
            ("infra/x/**", "infra", true),
            ("infra/*/secret", "infra/x", true),
            ("infra/*/secret", "infra", true),
            ("infra/*/secret", "infra/x/y", false),
            ("infra/**/secret", "infra", true),
            ("infra/**/secret", "infra/x", false),
            ("**/secret", "x", false),
            ("infra", "infra", true),
            ("a/b", "a", true),
            ("a*/b", "ab", true),
            ("a/*.rs", "b", false),
        ] {
            assert_eq!(pattern(text).matches(path.as_bytes()), expected, "{text} {path}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (text, cause) in [
            ("", PathPatternError::Empty),
            ("/infra", PathPatternError::Component),
            ("infra/", PathPatternError::Component),
            ("a//b", PathPatternError::Component),
            ("../a", PathPatternError::Component),
            ("a/./b", PathPatternError::Component),
            ("a**", PathPatternError::Stars),
            ("***", PathPatternError::Stars),
            ("**.rs", PathPatternError::Stars),
            ("a?", PathPatternError::Character('?')),
            ("[ab]", PathPatternError::Character('[')),
            ("a\\b", PathPatternError::Character('\\')),
            ("!a", PathPatternError::Negated),
        ] {
            assert_eq!(PathPattern::parse(text), Err(cause), "{text}");
        }
    }

    #[test]
    fn many_stars_take_no_long_time() {
        let many = pattern(&"*a".repeat(200));
        assert!(!many.matches(&[vec![b'a'; 4000], b"b".to_vec()].concat()));
    }

    #[test]
    fn what_is_excepted_is_not_meant() {
        let rule = PathRule {
            paths: vec![pattern("**")],
            except: vec![pattern("docs/**"), pattern("*.md")],
            commits: Wanted::default(),
        };
        let means = |path: &str| rule.means_path(path.as_bytes());
        assert!(means("src/a.rs") && means("src/x.md") && !means("README.md") && !means("docs/a/b"));
        assert!(rule.enter(&rule.root(), b"docs").is_some(), "what is excepted is looked at");
        let narrow = PathRule { paths: vec![pattern("infra/**")], except: vec![], ..rule };
        let infra = narrow.enter(&narrow.root(), b"infra").unwrap();
        assert!(narrow.means(&infra, b"x") && narrow.enter(&narrow.root(), b"docs").is_none());
    }

    /// The definition, slow and plain: on names, not on bytes.
    fn plain(pattern: &[&str], path: &[&str]) -> bool {
        fn name(pattern: &[u8], text: &[u8]) -> bool {
            match pattern {
                [] => text.is_empty(),
                [b'*', rest @ ..] => (0..=text.len()).any(|end| name(rest, &text[end..])),
                [byte, rest @ ..] => text.first() == Some(byte) && name(rest, &text[1..]),
            }
        }
        match (pattern, path) {
            (["**"], _) => !path.is_empty(),
            (["**", rest @ ..], _) => (0..=path.len()).any(|end| plain(rest, &path[end..])),
            // Something else than a folder where the pattern has one, before any `**`.
            ([first, ..], [one]) if pattern.len() > 1 => name(first.as_bytes(), one.as_bytes()),
            ([first, rest @ ..], [one, others @ ..]) => {
                name(first.as_bytes(), one.as_bytes()) && plain(rest, others)
            }
            ([], _) => path.is_empty(),
            (_, []) => false,
        }
    }

    #[test]
    fn a_pattern_may_be_as_long_as_a_policy() {
        let pattern = pattern(&format!("{}a", "**/".repeat(200_000)));
        assert!(pattern.matches(b"a") && !pattern.matches(b"b"));
    }

    proptest::proptest! {
        #[test]
        fn as_defined(pattern in "\\*\\*|[ab*]/\\*\\*|([ab]|a\\*|\\*b|\\*)(/([ab]|a\\*|\\*))*", path in "[ab]{1,2}(/[ab]{1,2}){0,3}") {
            let parsed = PathPattern::parse(&pattern);
            proptest::prop_assume!(parsed.is_ok() && pattern.contains('*'));
            let names: Vec<&str> = pattern.split('/').collect();
            let path_names: Vec<&str> = path.split('/').collect();
            proptest::prop_assert_eq!(parsed.unwrap().matches(path.as_bytes()), plain(&names, &path_names), "{} {}", pattern, path);
        }

        #[test]
        fn a_walk_by_folders_answers_as_the_whole_path(
            pattern in "([ab*]|a\\*|\\*\\*)(/([ab*]|\\*\\*)){0,3}", path in "[ab]{1,2}(/[ab]{1,2}){0,3}"
        ) {
            let rule = PathRule {
                paths: vec![self::pattern(&pattern)], except: vec![], commits: Wanted::default(),
            };
            let (folders, name) = path.rsplit_once('/').map_or((None, path.as_str()), |(f, n)| (Some(f), n));
            let mut place = Some(rule.root());
            for folder in folders.into_iter().flat_map(|folders| folders.split('/')) {
                place = place.and_then(|place| rule.enter(&place, folder.as_bytes()));
            }
            let walked = place.is_some_and(|place| rule.means(&place, name.as_bytes()));
            proptest::prop_assert_eq!(walked, rule.means_path(path.as_bytes()));
        }
    }
}
