//! Where a push certificate says that the push goes, compared with the server's own addresses.
//!
//! git writes the address as the pusher typed it, without credentials (send-pack.c), so one repository is
//! written in many ways. Two addresses are the same here if they agree in transport, host, port and path
//! once these are folded: helper prefixes, user and password are dropped; `host:path` is
//! `ssh://host/path`; transport and host are in lower case; the transport's own port is no port; slashes are
//! single; a final `/`, `/.git` or `.git` is dropped. Nothing else is folded, and what could mean several
//! repositories is refused.

/// The longest address that is read, in bytes.
const MAXIMUM_BYTES: usize = 4096;

/// How many helpers may stand before an address.
const MAXIMUM_HELPERS: usize = 4;

/// Why an address cannot be compared. One cause, one variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PusheeError {
    /// A control character, or a space or backslash in a URL.
    #[error("it holds a character that no address has")]
    Character,
    /// A path with `.` or `..`.
    #[error("its path holds '.' or '..'")]
    Dots,
    /// There is none.
    #[error("it is empty")]
    Empty,
    /// The host is missing or is no name.
    #[error("it names no host")]
    Host,
    /// More than 4096 bytes.
    #[error("it is too long")]
    Long,
    /// No path behind the host.
    #[error("it names no path")]
    Path,
    /// The port is no number.
    #[error("its port is no number")]
    Port,
    /// It depends on the directory at hand which repository is meant.
    #[error("it depends on where it was used from")]
    Relative,
    /// A transport that git has not.
    #[error("its transport is none of git's")]
    Transport,
    /// Not UTF-8.
    #[error("it is no text")]
    Text,
}

/// The form in which `address` is compared.
///
/// # Errors
/// It is not plainly the address of one repository.
pub fn pushee_key(address: &[u8]) -> Result<String, PusheeError> {
    if address.len() > MAXIMUM_BYTES {
        return Err(PusheeError::Long);
    }
    let mut text = std::str::from_utf8(address).map_err(|_| PusheeError::Text)?;
    if text.chars().any(char::is_control) {
        return Err(PusheeError::Character);
    }
    for _ in 0..MAXIMUM_HELPERS {
        text = behind_helper(text).unwrap_or(text);
    }
    if text.is_empty() {
        return Err(PusheeError::Empty);
    }
    if let Some((transport, rest)) = text.split_once("://") {
        return url_key(transport, rest);
    }
    if text.starts_with('/') {
        return Ok(format!("file://{}", path_key(text)?));
    }
    // `host:path`, `[::1]:path` and `[host:port]:path` (connect.c, `parse_connect_url`).
    let (place, path) = match text.rfind("]:") {
        Some(at) if !text[..at].contains('/') => (&text[..=at], &text[at + 2..]),
        _ => text.split_once(':').ok_or(PusheeError::Relative)?,
    };
    if place.contains('/') {
        return Err(PusheeError::Relative);
    }
    let place = match place.strip_prefix('[').and_then(|place| place.strip_suffix(']')) {
        Some(inner) if inner.parse::<core::net::Ipv6Addr>().is_err() => inner,
        _ => place,
    };
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    let place = place_key(place, "22")?;
    let path = path_key(&format!("/{path}"))?;
    if path.is_empty() { Err(PusheeError::Path) } else { Ok(format!("ssh://{place}{path}")) }
}

/// What stands behind `<helper>::`, for which git would start a program (transport.c, `transport_get`).
fn behind_helper(text: &str) -> Option<&str> {
    let (name, rest) = text.split_once("::")?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
    (!name.is_empty() && name.bytes().all(is_name)).then_some(rest)
}

fn url_key(transport: &str, rest: &str) -> Result<String, PusheeError> {
    // Programs differ in what a backslash is.
    if rest.contains([' ', '\\']) {
        return Err(PusheeError::Character);
    }
    let lower = transport.to_ascii_lowercase();
    let (transport, port) = match lower.as_str() {
        "https" => ("https", "443"),
        "http" => ("http", "80"),
        "ssh" | "git+ssh" | "ssh+git" => ("ssh", "22"),
        "git" => ("git", "9418"),
        "file" => ("file", ""),
        _ => return Err(PusheeError::Transport),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = path_key(path)?;
    if path.is_empty() {
        return Err(PusheeError::Path);
    }
    if transport == "file" {
        return match authority {
            "" | "localhost" => Ok(format!("file://{path}")),
            _ => Err(PusheeError::Host),
        };
    }
    let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    Ok(format!("{transport}://{}{path}", place_key(place, port)?))
}

/// A host in lower case, and its port if it is not `usual`.
fn place_key(place: &str, usual: &str) -> Result<String, PusheeError> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']').ok_or(PusheeError::Host)?;
            host.parse::<core::net::Ipv6Addr>().map_err(|_| PusheeError::Host)?;
            let port = if behind.is_empty() { None } else { behind.strip_prefix(':') };
            if port.is_none() && !behind.is_empty() {
                return Err(PusheeError::Port);
            }
            (format!("[{}]", host.to_ascii_lowercase()), port)
        }
        None => {
            let (host, port) = match place.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (place, None),
            };
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            if host.is_empty() || host.starts_with('-') || !host.bytes().all(is_name) {
                return Err(PusheeError::Host);
            }
            (host.to_ascii_lowercase(), port)
        }
    };
    // `ssh://host:/path` has no port for git.
    let Some(port) = port.filter(|port| !port.is_empty()) else { return Ok(host) };
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    let number: u16 = port.parse().ok().filter(|_| is_number).ok_or(PusheeError::Port)?;
    Ok(if port == usual { host } else { format!("{host}:{number}") })
}

/// A path with single slashes, and without a final `/`, `/.git` or `.git`.
fn path_key(path: &str) -> Result<String, PusheeError> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.iter().any(|part| matches!(*part, "." | "..")) {
        return Err(PusheeError::Dots);
    }
    let joined: String = parts.iter().flat_map(|part| ["/", part]).collect();
    let plain = joined.strip_suffix("/.git").or_else(|| joined.strip_suffix(".git")).unwrap_or(&joined);
    // `..git` and `...git` without their ending.
    if plain.ends_with("/.") || plain.ends_with("/..") {
        return Err(PusheeError::Dots);
    }
    Ok(plain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> String {
        pushee_key(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn one_repository_however_it_is_written() {
        for (expected, same) in [
            (
                "https://example.com/team/repo",
                &[
                    "https://example.com/team/repo.git",
                    "HTTPS://alice:secret@Example.COM:443//team/repo/",
                    "verified::https://example.com/team/repo",
                    "verified::verified::https://example.com/team/repo/.git",
                ][..],
            ),
            (
                "ssh://example.com/team/repo",
                &[
                    "example.com:team/repo.git",
                    "git@example.com:/team/repo",
                    "ssh://git@example.com:22/team/repo",
                    "git+ssh://example.com:/team/repo",
                    "[git@example.com:22]:team/repo",
                    "[example.com]:team/repo",
                ],
            ),
            ("ssh://example.com:2222/r", &["ssh://example.com:2222/r", "[example.com:2222]:r"]),
            ("ssh://[::1]/r", &["[::1]:r", "ssh://[::1]/r", "git@[::1]:/r.git"]),
            ("git://example.com/r", &["git://example.com:9418/r"]),
            ("http://example.com/r", &["http://example.com/r", "http://example.com:80/r.git"]),
            ("file:///srv/r", &["/srv/r.git", "/srv/r/.git", "file:///srv//r", "file://localhost/srv/r"]),
        ] {
            for text in same {
                assert_eq!(key(text), expected, "{text}");
            }
        }
    }

    #[test]
    fn what_differs_stays_different() {
        let all = [
            "https://example.com/team/repo",
            "http://example.com/team/repo",
            "https://example.com:8443/team/repo",
            "https://example.com.evil/team/repo",
            "https://example.com/Team/repo",
            "https://example.com/team/repo2",
            "https://example.com/team/repo.git.git",
            "ssh://example.com/~/team/repo",
            "ssh://example.com/team/repo",
            "https://example.com/team/repo?x",
            "https://example.com/team%2Frepo",
        ];
        for (index, one) in all.iter().enumerate() {
            for other in &all[index + 1..] {
                assert_ne!(key(one), key(other));
            }
        }
    }

    #[test]
    fn what_is_not_plainly_one_repository_is_refused() {
        for (text, expected) in [
            ("", PusheeError::Empty),
            ("verified::", PusheeError::Empty),
            ("../server.git", PusheeError::Relative),
            ("server.git", PusheeError::Relative),
            ("./a:b", PusheeError::Relative),
            ("ext::sh -c id", PusheeError::Relative),
            ("ftp://example.com/r", PusheeError::Transport),
            ("https://example.com", PusheeError::Path),
            ("https://example.com/.git", PusheeError::Path),
            ("https:///r", PusheeError::Host),
            ("https://a@/r", PusheeError::Host),
            ("https://-x/r", PusheeError::Host),
            ("https://example.com\\@evil/r", PusheeError::Character),
            ("https://example.com:x/r", PusheeError::Port),
            ("https://example.com:0443/r", PusheeError::Port),
            ("https://example.com:99999/r", PusheeError::Port),
            ("https://[::1]x/r", PusheeError::Port),
            ("https://example.com/a/../r", PusheeError::Dots),
            ("/srv/./r", PusheeError::Dots),
            ("/srv/...git", PusheeError::Dots),
            ("https://example.com/a b", PusheeError::Character),
            ("https://example.com/a\0b", PusheeError::Character),
            ("file://other/srv/r", PusheeError::Host),
            ("host:", PusheeError::Path),
        ] {
            assert_eq!(pushee_key(text.as_bytes()), Err(expected), "{text:?}");
        }
        assert_eq!(pushee_key(b"/\xff"), Err(PusheeError::Text));
        assert_eq!(pushee_key(&[b'/'; 5000]), Err(PusheeError::Long));
    }

    proptest::proptest! {
        #[test]
        fn a_key_is_its_own_key(text in "(https://|ssh://|)?[a-z]{1,5}(:[0-9]{1,3})?[:/][a-z./]{0,9}") {
            if let Ok(key) = pushee_key(text.as_bytes()) {
                // A second ending is part of the name, and would be dropped by another round.
                proptest::prop_assume!(!key.ends_with(".git"));
                proptest::prop_assert_eq!(pushee_key(key.as_bytes()), Ok(key));
            }
        }
    }
}
