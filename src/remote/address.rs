//! The addresses that may stand behind `verified::`, read strictly.
//!
//! Responsible for what is let through to git's own transports, and for the one name under which a
//! repository is remembered however its address is written. The address itself is never rewritten.

use std::fmt;

/// What git calls this helper by.
pub const PREFIX: &str = "verified::";

/// The longest address, in bytes.
const MAXIMUM_BYTES: usize = 4096;

/// The address of a repository, as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    written: String,
    key: String,
}

/// A beginning of addresses, as it stands in a setting: a whole address, or one that ends earlier at a `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressPattern {
    key: String,
}

/// Why an address is refused. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// A character that stands in no plain address, or that programs read differently.
    #[error("the address holds {0:?}, which no plain address does")]
    Character(char),
    /// `.` or `..` between slashes.
    #[error("the address holds '.' or '..' as a part of its path")]
    Dots,
    /// A part that begins with `-` would be an option to some program.
    #[error("a part of the address begins with '-'")]
    Dash,
    /// There is none.
    #[error("the address is empty")]
    Empty,
    /// `x::y`, which would start a helper of that name.
    #[error("the address names another remote helper")]
    Helper,
    /// The host is missing or is no name.
    #[error("the address names no host")]
    Host,
    /// Credentials and objects would travel in the clear.
    #[error("'http' is for this machine only; take 'https'")]
    InTheClear,
    /// More than 4096 bytes.
    #[error("the address is too long")]
    Long,
    /// No path behind the host.
    #[error("the address names no path")]
    Path,
    /// The port is no number.
    #[error("the port of the address is no number")]
    Port,
    /// It depends on the directory at hand which repository is meant.
    #[error("the address depends on where it is used from; write the whole path")]
    Relative,
    /// A transport that is not handed on.
    #[error("the transport '{0}' is not handed on; https, ssh, git, file and paths are")]
    Scheme(String),
    /// An escape such as `%2f`, which programs read differently.
    #[error("the address holds an escape with '%'")]
    Escape,
}

impl Address {
    /// Read what stands behind [`PREFIX`].
    ///
    /// # Errors
    /// Anything that is not plainly the address of one repository.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let key = key(text, false)?;
        Ok(Self { written: text.to_owned(), key })
    }

    /// The address for git, byte for byte as it was written.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Whether git speaks its own protocol with it, on whatever it is carried, rather than http.
    #[must_use]
    pub(super) fn is_gits_own(&self) -> bool {
        !["http://", "https://"].iter().any(|scheme| self.key.starts_with(scheme))
    }

    /// The name under which the repository is remembered: without user (but where its path begins in a
    /// home), default port, final `/` and `.git`.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for Address {
    /// The address for people: without the secrets that it may hold.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&without_secrets(&self.written))
    }
}

/// `text` without the password of an address; over http, where a token may stand for the user's name,
/// without that too (transport.c, `transport_anonymize_url`).
#[must_use]
pub fn without_secrets(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let Some((user, place)) = authority.rsplit_once('@') else { return text.to_owned() };
    let is_web =
        scheme.to_ascii_lowercase().ends_with("http") || scheme.to_ascii_lowercase().ends_with("https");
    match user.split_once(':').map_or(user, |(name, _)| name) {
        name if !is_web && !name.is_empty() => format!("{scheme}://{name}@{place}{path}"),
        _ => format!("{scheme}://{place}{path}"),
    }
}

impl AddressPattern {
    /// Read the beginning of an address.
    ///
    /// # Errors
    /// As for [`Address::parse`], but that there may be no path behind the host.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        Ok(Self { key: key(text, true)? })
    }

    /// Whether the pattern is `address`, or a part of it that ends where one of its `/` stands.
    #[must_use]
    pub fn covers(&self, address: &Address) -> bool {
        address
            .key
            .strip_prefix(self.key.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The longer of two patterns that cover an address says more of it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.key.len()
    }

    /// Never: a pattern names a transport at least.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.key.is_empty()
    }
}

fn key(text: &str, is_pattern: bool) -> Result<String, AddressError> {
    if text.is_empty() {
        return Err(AddressError::Empty);
    }
    if text.len() > MAXIMUM_BYTES {
        return Err(AddressError::Long);
    }
    if let Some(character) = text.chars().find(|character| character.is_control()) {
        return Err(AddressError::Character(character));
    }
    if text.starts_with('-') {
        return Err(AddressError::Dash);
    }
    if names_a_helper(text) {
        return Err(AddressError::Helper);
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return url_key(scheme, rest, is_pattern);
    }
    if text.starts_with('/') {
        return Ok(format!("file://{}", path_key(text)?));
    }
    match text.split_once(':') {
        Some((host, path)) if !host.contains('/') => scp_key(host, path),
        _ => Err(AddressError::Relative),
    }
}

/// Whether git would start a helper for it (transport.c, `transport_get`): letters and digits before `::`.
fn names_a_helper(text: &str) -> bool {
    let name = text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(byte)).count();
    text[name..].starts_with("::")
}

fn url_key(scheme: &str, rest: &str, is_pattern: bool) -> Result<String, AddressError> {
    let scheme_name = scheme.to_ascii_lowercase();
    let (port, is_web) = match scheme_name.as_str() {
        "https" => ("443", true),
        "http" => ("80", true),
        "ssh" => ("22", false),
        "git" => ("9418", false),
        "file" => ("", false),
        _ => return Err(AddressError::Scheme(scheme.to_owned())),
    };
    let is_plain = |character: char| {
        character.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/[]".contains(character) || character == '%'
    };
    if let Some(character) = rest.chars().find(|character| !is_plain(*character)) {
        return Err(AddressError::Character(character));
    }
    // What http leaves as it is, the other transports resolve.
    if rest.contains('%') && !is_web {
        return Err(AddressError::Escape);
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if !is_pattern && matches!(path, "" | "/") {
        return Err(AddressError::Path);
    }
    // Only on the web is '%' more than itself.
    let path = upper_case_escapes(&path_key(path)?);
    if scheme_name == "file" {
        return match authority {
            "" | "localhost" => Ok(format!("file://{path}")),
            _ => Err(AddressError::Host),
        };
    }
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, authority),
    };
    if authority.contains('%') {
        return Err(AddressError::Escape);
    }
    if user.is_some_and(|user| user.starts_with('-')) {
        return Err(AddressError::Dash);
    }
    let (host, written_port) = host_and_port(place)?;
    if scheme_name == "http" && !is_loopback(&host) {
        return Err(AddressError::InTheClear);
    }
    let place = match written_port {
        Some(other) if other != port => format!("{host}:{other}"),
        _ => host,
    };
    Ok(match home_user(&scheme_name, user, &path) {
        Some(user) => format!("{scheme_name}://{user}@{place}{path}"),
        None => format!("{scheme_name}://{place}{path}"),
    })
}

/// `host:path` or `user@host:path`; a path that does not begin at the root begins in a home.
fn scp_key(place: &str, path: &str) -> Result<String, AddressError> {
    if path.is_empty() {
        return Err(AddressError::Path);
    }
    if path.starts_with('-') {
        return Err(AddressError::Dash);
    }
    let (user, host) = match place.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, place),
    };
    if user.is_some_and(|user| user.starts_with('-')) {
        return Err(AddressError::Dash);
    }
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-._+".contains(character);
    if let Some(character) = user.into_iter().flat_map(str::chars).find(|character| !is_plain(*character)) {
        return Err(AddressError::Character(character));
    }
    let (host, port) = host_and_port(host)?;
    if port.is_some() {
        return Err(AddressError::Port);
    }
    let path = match path.starts_with(['/', '~']) {
        true if path.starts_with('~') => format!("/{path}"),
        true => path.to_owned(),
        false => format!("/~/{path}"),
    };
    let path = path_key(&path)?;
    Ok(match home_user("ssh", user, &path) {
        Some(user) => format!("ssh://{user}@{host}{path}"),
        None => format!("ssh://{host}{path}"),
    })
}

/// The user, where it is part of which repository is meant.
fn home_user<'a>(scheme: &str, user: Option<&'a str>, path: &str) -> Option<&'a str> {
    let name = user.map(|user| user.split_once(':').map_or(user, |(name, _)| name));
    name.filter(|_| scheme == "ssh" && (path == "/~" || path.starts_with("/~/")))
}

/// A host in lower case, and the port if one is written.
fn host_and_port(text: &str) -> Result<(String, Option<String>), AddressError> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']').ok_or(AddressError::Host)?;
            let is_address = host.parse::<core::net::Ipv6Addr>().is_ok();
            let port = if behind.is_empty() { None } else { Some(behind.strip_prefix(':')) };
            if !is_address || port == Some(None) {
                return Err(AddressError::Host);
            }
            (format!("[{}]", host.to_ascii_lowercase()), port.flatten())
        }
        None => {
            let (host, port) = match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            };
            if host.starts_with('-') {
                return Err(AddressError::Dash);
            }
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            if host.is_empty() || !host.bytes().all(is_name) {
                return Err(AddressError::Host);
            }
            (host.to_ascii_lowercase(), port)
        }
    };
    let Some(port) = port else { return Ok((host, None)) };
    let number: u16 = port.parse().map_err(|_| AddressError::Port)?;
    if !port.bytes().all(|byte| byte.is_ascii_digit()) || number == 0 {
        return Err(AddressError::Port);
    }
    Ok((host, Some(number.to_string())))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host == "[::1]"
        || host.parse::<core::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// A path with single slashes, and without a final `/`, `/.git` or `.git`.
fn path_key(path: &str) -> Result<String, AddressError> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    // Some servers and clients take an escaped dot for a dot.
    let is_dots = |part: &&str| matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if parts.iter().any(is_dots) {
        return Err(AddressError::Dots);
    }
    let joined: String = parts.iter().flat_map(|part| ["/", part]).collect();
    let plain = joined.strip_suffix("/.git").or_else(|| joined.strip_suffix(".git")).unwrap_or(&joined);
    // `..git` and `...git` without their ending.
    if plain.rsplit('/').next().is_some_and(|last| is_dots(&last)) {
        return Err(AddressError::Dots);
    }
    Ok(plain.to_owned())
}

/// `%2f` and `%2F` are one.
fn upper_case_escapes(text: &str) -> String {
    // The escape's digits are the two characters behind each '%'.
    let mut result = String::with_capacity(text.len());
    let mut digits = 0;
    for character in text.chars() {
        result.push(if digits > 0 { character.to_ascii_uppercase() } else { character });
        digits = if character == '%' { 2 } else { digits - usize::from(digits > 0) };
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> String {
        Address::parse(text).unwrap_or_else(|error| panic!("{text}: {error}")).key().to_owned()
    }

    #[test]
    fn one_repository_has_one_name_however_it_is_written() {
        for (same, expected) in [
            (
                &[
                    "https://example.com/team/repo",
                    "https://example.com/team/repo.git",
                    "https://example.com:443/team/repo/",
                    "HTTPS://user:secret@Example.COM//team/repo.git/",
                ][..],
                "https://example.com/team/repo",
            ),
            (
                &[
                    "ssh://git@example.com/team/repo",
                    "git@example.com:/team/repo.git",
                    "example.com:/team/repo",
                ],
                "ssh://example.com/team/repo",
            ),
            (
                &[
                    "git@example.com:team/repo",
                    "ssh://git@example.com/~/team/repo",
                    "ssh://git:secret@example.com/~/team/repo",
                ],
                "ssh://git@example.com/~/team/repo",
            ),
            (
                &["/srv/repo", "/srv/repo/.git", "file:///srv/repo.git", "file://localhost/srv//repo"],
                "file:///srv/repo",
            ),
            (&["git://127.0.0.1:9418/r", "git://127.0.0.1/r"], "git://127.0.0.1/r"),
            (&["http://localhost:8080/r%2fs"], "http://localhost:8080/r%2Fs"),
        ] {
            for text in same {
                assert_eq!(key(text), expected, "{text}");
                assert_eq!(Address::parse(text).unwrap().written(), *text);
            }
        }
        assert_ne!(key("https://example.com/a"), key("https://example.com:8443/a"));
    }

    #[test]
    fn what_are_two_repositories_has_two_names() {
        for [one, other] in [
            // Whoever's home itself is a repository.
            ["alice@example.com:~", "bob@example.com:~"],
            ["alice@example.com:.git", "bob@example.com:.git"],
            ["ssh://alice@example.com/~/", "ssh://bob@example.com/~/"],
            // Only on the web does '%' stand for more than itself.
            ["/srv/a%2fb", "/srv/a%2Fb"],
            ["example.com:a%2fb", "example.com:a%2Fb"],
        ] {
            assert_ne!(key(one), key(other), "{one} and {other}");
        }
    }

    #[test]
    fn what_is_not_plainly_one_repository_is_refused() {
        for (text, expected) in [
            ("", AddressError::Empty),
            ("ext::sh -c id", AddressError::Helper),
            ("verified::https://example.com/r", AddressError::Helper),
            ("::x", AddressError::Helper),
            ("ext://x", AddressError::Scheme("ext".to_owned())),
            ("fd://3", AddressError::Scheme("fd".to_owned())),
            ("-oProxyCommand=id:x", AddressError::Dash),
            ("ssh://-oProxyCommand=id/x", AddressError::Dash),
            ("ssh://-x@host/x", AddressError::Dash),
            ("host:-x", AddressError::Dash),
            ("https://example.com/a\nb", AddressError::Character('\n')),
            ("https://example.com/a b", AddressError::Character(' ')),
            ("https://example.com\\@evil/a", AddressError::Character('\\')),
            ("https://example.com/a?b", AddressError::Character('?')),
            ("https://example.com/a#b", AddressError::Character('#')),
            ("http://example.com/a", AddressError::InTheClear),
            ("https://example.com", AddressError::Path),
            ("https://example.com/", AddressError::Path),
            ("https:///a", AddressError::Host),
            ("https://example.com:x/a", AddressError::Port),
            ("https://exa%6dple.com/a", AddressError::Escape),
            ("ssh://host/a%2fb", AddressError::Escape),
            ("https://example.com/a/../b", AddressError::Dots),
            ("/srv/../etc", AddressError::Dots),
            ("/srv/..git", AddressError::Dots),
            ("https://example.com/a/.%2e.git/", AddressError::Dots),
            ("https://example.com/a/.%2E/b", AddressError::Dots),
            ("../repo", AddressError::Relative),
            ("repo", AddressError::Relative),
            ("file://other/srv/r", AddressError::Host),
            ("host:", AddressError::Path),
        ] {
            assert_eq!(Address::parse(text).unwrap_err(), expected, "{text:?}");
        }
        assert_eq!(Address::parse(&format!("/{}", "a".repeat(5000))).unwrap_err(), AddressError::Long);
    }

    #[test]
    fn secrets_are_for_the_transport_only() {
        for (written, shown) in [
            ("https://alice:secret@example.com/r@s", "https://example.com/r@s"),
            ("https://token@example.com/r", "https://example.com/r"),
            ("ssh://git:secret@example.com/r", "ssh://git@example.com/r"),
            ("git@example.com:r", "git@example.com:r"),
            ("/srv/a@b:c", "/srv/a@b:c"),
        ] {
            let address = Address::parse(written).unwrap();
            assert_eq!((address.to_string().as_str(), address.written()), (shown, written));
        }
        assert_eq!(without_secrets("verified::https://a:b@c d/e"), "verified::https://c d/e");
    }

    #[test]
    fn a_pattern_covers_whole_parts_of_a_path() {
        let address = Address::parse("https://example.com/team/repo.git").unwrap();
        for (pattern, covers) in [
            ("https://example.com", true),
            ("https://example.com/team/", true),
            ("https://EXAMPLE.com:443/team/repo", true),
            ("https://example.com/te", false),
            ("https://example.com/team/repository", false),
            ("https://example.co", false),
            ("ssh://example.com/team", false),
        ] {
            assert_eq!(AddressPattern::parse(pattern).unwrap().covers(&address), covers, "{pattern}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_address_panics(text in ".{0,60}") {
            let _ = Address::parse(&text);
        }

        #[test]
        fn a_name_holds_what_tells_repositories_apart_and_nothing_else(
            scheme in "(https|ssh|git)", user in "([a-z]{1,3}@)?", host in "[a-z]{1,4}(\\.[a-z]{2})?", port in "(:[1-9][0-9]{0,3})?",
            path in "(/[a-zA-Z0-9_+~%]{1,4}){1,3}", end in "(/|\\.git|\\.git/|/\\.git|)"
        ) {
            let text = format!("{scheme}://{user}{host}{port}{path}");
            let Ok(plain) = Address::parse(&text) else { return Ok(()) };
            let Ok(written) = Address::parse(&(text.clone() + &end)) else { panic!("{text}{end}") };
            proptest::prop_assert_eq!(written.key(), plain.key());
            // Who asks is no part of it, but where the path begins in a home.
            let is_home = scheme == "ssh" && (path == "/~" || path.starts_with("/~/"));
            let other = Address::parse(&format!("{scheme}://other@{host}{port}{path}")).unwrap();
            proptest::prop_assert_eq!(other.key() == plain.key(), !is_home);
            // Host and transport are the same in any case, and a path is not.
            let (scheme_name, host_name) = (scheme.to_uppercase(), host.to_uppercase());
            let upper = Address::parse(&format!("{scheme_name}://{user}{host_name}{port}{path}")).unwrap();
            proptest::prop_assert_eq!(upper.key(), plain.key());
            let swapped: String = path.chars().map(|letter| {
                if letter.is_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
            }).collect();
            if swapped != path && !path.contains('%') {
                let other = Address::parse(&format!("{scheme}://{user}{host}{port}{swapped}")).unwrap();
                proptest::prop_assert_ne!(other.key(), plain.key());
            }
            proptest::prop_assert!(AddressPattern::parse(&text).unwrap().covers(&written));
        }

        #[test]
        fn a_pattern_ends_at_a_slash(path in "(/[a-z]{1,2}){1,3}", more in "[a-z/]{0,4}") {
            let whole = format!("https://example.com{path}{more}");
            let pattern = AddressPattern::parse(&format!("https://example.com{path}")).unwrap();
            let Ok(address) = Address::parse(&whole) else { return Ok(()) };
            let ends = more.is_empty() || more.starts_with('/');
            proptest::prop_assert_eq!(pattern.covers(&address), ends, "{}", whole);
        }
    }
}
