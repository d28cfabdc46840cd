//! What lies in a repository, stands in its configuration, or is typed about it; and what is told of that.

use std::ffi::OsString;

use countersign::{
    gpg::{
        self, Answer, Request, Signer,
        openpgp::{Claims, KeyAnswer, KeySigner, Level, Outcome},
        ssh_keygen::{self, SshRequest, is_ssh_dialect},
    },
    object::{assemble, carried, carry},
    policy::{PathPattern, Pattern, SubjectPattern, is_repository_id},
    remote::Mirrored,
    repository::{
        Configuration, GitVersion, ProofName, Scopes, folded, hash_of, system::OsStringExt as _, tree_names,
    },
    trust::{Pin, check_reference, path_in_tree},
    words::{escape, escape_bytes, shell_word},
};
use gix::bstr::ByteSlice as _;

use super::HASHES;

/// What git is said to have taken out of an object is exactly what is in it, and so is what a message carries.
pub fn assembled(data: &[u8]) {
    for envelope in carried(data) {
        assert!(data.contains_str(carry(&envelope).trim_end()), "it stands there as it is written");
    }
    let Some(at) = data.find("-----BEGIN ") else { return };
    let (payload, signature) = data.split_at(at);
    for hash in HASHES {
        let Some((_, object)) = assemble(hash, payload, signature) else { continue };
        assert!(object.len() >= payload.len() + signature.trim_end().len());
    }
}

/// What counts as the user's own is never the repository's.
pub fn configuration(data: &[u8]) {
    let _ = GitVersion::parse(&String::from_utf8_lossy(data));
    let Ok(configuration) = Configuration::parse(data) else { return };
    let mut text = Vec::new();
    for (scope, key, value) in configuration.settings() {
        text.extend([scope.name().as_bytes(), b"\0", key, b"\n", value, b"\0"].concat());
        let _ = Mirrored::parse("origin", value);
        let Ok(key) = key.to_str() else { continue };
        let own = configuration.get_all(key, Scopes::Protected);
        assert!(own.iter().all(|(scope, _)| scope.is_protected()));
        assert_eq!(configuration.get(key, Scopes::Protected), own.last().map(|(_, value)| *value));
        assert!(configuration.get(key, Scopes::Any).is_some());
        let _ = configuration.boolean(key, Scopes::Any);
        let section = key.split('.').next().unwrap_or_default();
        let any = configuration.subsections(section, Scopes::Any);
        let own = configuration.subsections(section, Scopes::Protected);
        assert!(own.iter().all(|name| any.contains(name)));
    }
    let again = Configuration::parse(&text).expect("it was written here");
    assert!(again.settings().eq(configuration.settings()));
}

/// A name that is taken is the one that would be written, and leads nowhere else.
pub fn names(data: &[u8]) {
    let bytes = folded(data.as_bstr());
    assert_eq!(folded(bytes.as_bstr()), bytes, "what is folded stays so");
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(pin) = Pin::parse(text) {
        assert_eq!(pin.to_string(), text);
        assert!(check_reference(&pin.reference).is_ok() && is_repository_id(&pin.repository));
    }
    if let Some(names) = path_in_tree(text) {
        assert_eq!(names.join("/"), text);
        assert!(!names.iter().any(|name| ["", ".", ".."].contains(name)));
    }
    let (first, second) = text.split_once('\n').unwrap_or((text, ""));
    if let Ok(pattern) = SubjectPattern::parse(first) {
        assert!(!pattern.is_exact() || pattern.matches(second) == (first == second));
    }
    if let Ok(pattern) = Pattern::parse(first) {
        assert_eq!(pattern.as_str(), first);
        assert!(pattern.covers(&pattern));
        if !first.contains('*') {
            assert_eq!(pattern.matches(second.as_bytes()), first == second);
        }
        if let Ok(other) = Pattern::parse(second)
            && pattern.covers(&other)
        {
            assert!(second.contains('*') || pattern.matches(second.as_bytes()));
        }
    }
    if let Ok(pattern) = PathPattern::parse(first) {
        assert_eq!(pattern.as_str(), first);
        // All that is below, and a file that stands in the place of a folder on the way.
        let below =
            |one: &str, other: &str| other.strip_prefix(one).is_some_and(|rest| rest.starts_with('/'));
        let is_meant = first == second || below(first, second) || below(second, first);
        if !first.contains('*') {
            assert_eq!(pattern.matches(second.as_bytes()), is_meant);
        }
    }
}

/// Whatever stands on a command line is understood, or refused in words.
pub fn program_arguments(data: &[u8]) {
    let words = data.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec()));
    let words: Vec<OsString> = words.collect();
    if let Err(error) = Request::parse(&words) {
        assert!(!error.to_string().is_empty());
    }
    let is_text = words.first().is_some_and(|first| first.to_str().is_some());
    assert!(!is_ssh_dialect(&words) || gpg::is_dialect(&words) || !is_text);
    if let Ok(SshRequest::Verify { signer: Some(signer), .. }) = SshRequest::parse(&words) {
        assert!(data.contains_str(&signer.principal));
    }
}

/// A repository's configuration file is understood, or refused.
pub fn repository_format(data: &[u8]) {
    if let Ok(hash) = hash_of(data) {
        assert!(HASHES.contains(&hash));
    }
}

/// No name adds a line, or a word before its own, to what git reads.
pub fn status_lines(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let told = |name: &str| {
        let signer = Signer {
            name: name.to_owned(),
            fingerprint: "AB".repeat(32),
            primary_fingerprint: "CD".repeat(20),
            time: 1_600_000_000,
        };
        let answer = |outcome| {
            let claims = Claims {
                key_id: "0123456789ABCDEF".to_owned(),
                created: 1_600_000_000,
                expires: None,
                version: 4,
                public_key_algorithm: 22,
                hash_algorithm: 8,
            };
            let signer = KeySigner {
                user_id: name.to_owned(),
                fingerprint: "AB".repeat(20),
                primary_fingerprint: "CD".repeat(20),
            };
            Answer::OpenPgp(Box::new(KeyAnswer { outcome, claims, signer: Some(signer) }))
        };
        let answers = [
            Answer::Trusted(signer.clone()),
            Answer::Undefined(signer.clone()),
            Answer::Unnamed(signer),
            answer(Outcome::Good(Level::Fully)),
            answer(Outcome::KeyRevoked),
            answer(Outcome::Bad),
        ];
        answers.map(|answer| {
            let (lines, exit) = gpg::verified(&answer);
            // git looks for words behind each line feed, and terminals for more.
            let words = |line: &str| line.split(' ').take(2).map(str::to_owned).collect::<Vec<_>>();
            assert!(!lines.contains(|character: char| character.is_control() && character != '\n'));
            (lines.split('\n').map(words).collect::<Vec<_>>(), exit)
        })
    };
    assert_eq!(told(&text), told("A U Thor"));
    let line = ssh_keygen::good("git", Some(&text), "ED25519", "SHA256:x");
    assert_eq!(line.matches('\n').count(), 1);
    assert!(line.starts_with("Good \"git\" signature for ") && line.ends_with(" key SHA256:x\n"));
}

/// A tree that is read is read in one way, and so is what its entries are called.
pub fn tree(data: &[u8]) {
    for hash in HASHES {
        let Ok(names) = tree_names(hash, data) else { continue };
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "each name once");
        assert!(!names.iter().any(|name| name.is_empty() || [&b"."[..], b".."].contains(name)));
        let entries: Vec<_> =
            gix::objs::TreeRefIter::from_bytes(data, hash).map(|entry| entry.expect("it was read")).collect();
        assert_eq!(entries.len(), names.len());
        for entry in entries {
            let name: &[u8] = entry.filename;
            let folder = &name[..name.len().min(2)];
            let blob = entry.oid.to_owned();
            let found = ProofName::parse(hash, folder.as_bstr(), entry.filename, entry.mode, blob);
            if let Some(found) = found {
                assert_eq!(found.path().as_bytes(), [folder, b"/", name].concat());
                assert_eq!((found.blob, found.object.kind()), (blob, hash));
            }
        }
    }
}

/// What is told cannot move a cursor, hide anything or run.
pub fn words(data: &[u8]) {
    let told = escape_bytes(data);
    assert!(!told.contains(char::is_control) && !told.contains(['\u{202e}', '\u{200b}', '\u{feff}']));
    assert_eq!(escape(&told), told);
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert_eq!(escape(text), told);
    let word = shell_word(text);
    match word.strip_prefix('\'').and_then(|word| word.strip_suffix('\'')) {
        // Between two quotes nothing has a meaning but the quote.
        Some(inner) => {
            assert!(inner.split(r"'\''").all(|part| !part.contains('\'')));
            assert_eq!(inner.replace(r"'\''", "'"), text);
        }
        None => assert!(word == text && !text.is_empty() && !text.contains([' ', '$', '`', '\'', ';', '\n'])),
    }
}
