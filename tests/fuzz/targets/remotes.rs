//! What remotes and their addresses say, and what is remembered of them.

use countersign::{
    hook::{parse_address, pushee_key},
    object::{HashKind, ObjectId},
    remote::{Address, AddressPattern, Advertisement, Command, Head, Memory, PushLine, next_command},
};
use gix::bstr::{BString, ByteSlice as _};

/// An address that is read names one repository, and shows nobody its password.
pub fn address(data: &[u8]) {
    if let Ok(key) = pushee_key(data) {
        // One `.git` goes, and what a URL cannot say is said by a path alone.
        let is_plain = !key.ends_with(".git") && !key.contains([' ', '\\']) && key != "file://";
        assert!(!is_plain || pushee_key(key.as_bytes()).as_ref() == Ok(&key), "'{key}' is another address");
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert_eq!(parse_address(text).is_ok(), pushee_key(data).is_ok());
    let pattern = AddressPattern::parse(text);
    let Ok(address) = Address::parse(text) else { return };
    assert_eq!(address.written(), text);
    assert!(pattern.is_ok_and(|pattern| pattern.covers(&address)), "a part of itself");
    let shown = address.to_string();
    if let Some((_, rest)) = shown.split_once("://") {
        let authority = rest.split('/').next().unwrap_or_default();
        assert!(!authority.split_once('@').is_some_and(|(user, _)| user.contains(':')), "{shown}");
    }
    let path = match text.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or(text.len(), |at| text.len() - rest.len() + at),
        None => text.find(if text.starts_with('/') { '/' } else { ':' }).unwrap_or_default() + 1,
    };
    let is_web = address.key().starts_with("http");
    let mut other = text.as_bytes().to_vec();
    // One letter of the path in the other case is another repository, but for the digits of an escape on the web.
    let at = path + data.iter().map(|byte| usize::from(*byte)).sum::<usize>() % (text.len() - path).max(1);
    let is_escape = is_web && (text[..at.min(text.len())].chars().rev().take(2).any(|before| before == '%'));
    if let Some(byte) = other.get_mut(at).filter(|byte| byte.is_ascii_alphabetic() && !is_escape) {
        *byte ^= 0x20;
        let other = String::from_utf8(other).expect("a letter became a letter");
        if let Ok(other) = Address::parse(&other) {
            assert_ne!(other.key(), address.key(), "{text} and {other}");
        }
    }
    // So is the same path in somebody else's home.
    if !text.contains("://")
        && !text.starts_with('/')
        && let Some((place, path)) = text.split_once(':')
        && !path.starts_with(['/', '~'])
        && !place.starts_with("other@")
    {
        let host = place.rsplit_once('@').map_or(place, |(_, host)| host);
        let other = Address::parse(&format!("other@{host}:{path}")).expect("it is another user's");
        assert_ne!(other.key(), address.key());
    }
}

/// A list of refs that is read says the same when it is written again, and each ref once.
pub fn advertisement(data: &[u8]) {
    let Ok(found) = Advertisement::parse(data) else { return };
    assert!(found.refs.values().all(|id| Some(id.kind()) == found.hash() && !id.is_null()));
    for (name, id) in &found.refs {
        assert!(name.starts_with(b"refs/") && gix::validate::reference::name(name.as_bstr()).is_ok());
        if let Some(target) = found.target(name) {
            assert_eq!(found.refs.get(target), Some(id), "'{target}' has another value than '{name}'");
            assert!(found.target(target).is_none(), "'{target}' is no ref of its own");
        }
    }
    let direct = found.direct();
    assert!(direct.iter().all(|(name, id)| found.refs.get(name) == Some(id)));
    let mut text = Vec::new();
    let mut line = |value: &dyn std::fmt::Display, name: &[u8]| {
        text.extend([value.to_string().as_bytes(), b"\t", name, b"\n"].concat());
    };
    match &found.head {
        Some(Head::Detached(id)) => line(id, b"HEAD"),
        Some(Head::Symbolic(target)) => line(&format!("ref: {target}"), b"HEAD"),
        None => {}
    }
    found.refs.iter().for_each(|(name, id)| line(id, name));
    found.peeled.iter().for_each(|(name, id)| line(id, &[name.as_slice(), b"^{}"].concat()));
    let mut again = Advertisement::parse(&text).expect("it was written here");
    // Names need not be text.
    again.invalid.clone_from(&found.invalid);
    again.symbolic.clone_from(&found.symbolic);
    if !matches!(&found.head, Some(Head::Symbolic(target)) if target.to_str().is_err()) {
        assert_eq!(again, found);
        assert_eq!(again.digest(), found.digest());
    }
}

/// Commands that are read are read alike when they are written again.
pub fn remote_command(data: &[u8]) {
    let mut input = data;
    while let Ok(Some(command)) = next_command(&mut input) {
        let text = written(&command);
        let again = next_command(&mut text.as_slice()).expect("it was written here");
        assert_eq!(again, Some(command));
    }
}

/// A command as git writes it (gitremote-helpers).
fn written(command: &Command) -> Vec<u8> {
    let mut text = Vec::new();
    match command {
        Command::Capabilities => text.extend(b"capabilities\n"),
        Command::List(for_push) => {
            text.extend(if *for_push { &b"list for-push\n"[..] } else { b"list\n" });
        }
        Command::Option { name, value } => {
            text.extend(format!("option {name} ").into_bytes());
            text.extend(quoted(value));
            text.push(b'\n');
        }
        Command::Fetch(wanted) => {
            for (id, name) in wanted {
                text.extend([format!("fetch {id} ").as_bytes(), name, b"\n"].concat());
            }
            text.push(b'\n');
        }
        Command::Push(lines) => {
            for PushLine { force, source, destination } in lines {
                let force: &[u8] = if *force { b"+" } else { b"" };
                text.extend([b"push ", force, source, b":", destination, b"\n"].concat());
            }
            text.push(b'\n');
        }
    }
    text
}

/// `text` in git's quotes (quote.c, `quote_c_style`), whether it needs them or not.
pub fn quoted(text: &[u8]) -> Vec<u8> {
    let mut quoted = b"\"".to_vec();
    for byte in text {
        match byte {
            b'"' | b'\\' => quoted.extend([b'\\', *byte]),
            b' '..=b'~' => quoted.push(*byte),
            byte => quoted.extend(format!("\\{byte:03o}").bytes()),
        }
    }
    quoted.push(b'"');
    quoted
}

/// A memory that is read holds what it held when it was written again.
pub fn remote_memory(data: &[u8]) {
    let Ok(memory) = Memory::parse(data) else { return };
    // Words of refusals are made fit for a terminal when they are written.
    let once = Memory::parse(&memory.text()).expect("it was written here");
    assert_eq!((&once.accepted, &once.seen, once.serial), (&memory.accepted, &memory.seen, memory.serial));
    assert_eq!((once.ledger, once.agreed, &once.key), (memory.ledger, memory.agreed, &memory.key));
    assert_eq!((&once.head, &once.glimpsed), (&memory.head, &memory.glimpsed));
    assert!(once.held.keys().eq(memory.held.keys()));
    assert_eq!(Memory::parse(&once.text()).as_ref(), Ok(&once));
    let mut changed = once;
    let name = BString::from("refs/heads/main");
    changed.accept(&name, Some(ObjectId::empty_tree(HashKind::Sha1)));
    assert!(!changed.is_created(&name) && !changed.held.contains_key(&name));
}
