//! The rules of `src/lib.rs`, read out of the sources: which room may name which, and what the pure
//! rooms may not touch. Comments, texts and test modules do not count.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Which rooms each room may name.
const ARROWS: [(&str, &[&str]); 20] = [
    ("words", &[]),
    ("encoding", &[]),
    ("object", &["encoding"]),
    ("signature", &["encoding"]),
    ("sigstore", &["encoding"]),
    ("verify", &["encoding", "object", "signature", "sigstore"]),
    ("policy", &["encoding", "object", "signature", "sigstore", "verify", "words"]),
    ("repository", &["object", "words"]),
    ("key", &["signature", "sigstore"]),
    ("service", &["encoding", "key", "signature", "sigstore"]),
    ("identity", &["service"]),
    ("sign", &["encoding", "identity", "key", "service", "signature", "sigstore"]),
    ("agent", &["identity", "key", "object", "service", "sign"]),
    ("trust", &["encoding", "object", "policy", "repository", "signature", "sigstore", "verify", "words"]),
    ("ledger", &["encoding", "object", "policy", "repository", "words"]),
    (
        "hook",
        &["encoding", "ledger", "object", "policy", "repository", "sigstore", "trust", "verify", "words"],
    ),
    ("remote", &["encoding", "hook", "ledger", "object", "policy", "repository", "verify", "words"]),
    ("gpg", &["words"]),
    ("manual", &[]),
    // An authority of its own, built from the formats anew: it is evidence only while it shares no code.
    ("sandbox", &[]),
];

/// Where everything comes together.
const TOP: [&str; 5] = ["cli", "gate_main", "lib", "main", "remote_main"];

/// What is there on one family of systems only, by the word that stands in `#[cfg(...)]` before what names it.
const OF_ONE_SYSTEM: [(&str, &[&str]); 2] = [
    (
        "unix",
        &[
            "rustix",
            "std::os::android",
            "std::os::fd",
            "std::os::linux",
            "std::os::macos",
            "std::os::unix",
            "tokio::net::UnixListener",
            "tokio::net::UnixStream",
            "tokio::signal::unix",
        ],
    ),
    ("windows", &["std::os::windows"]),
];

/// Rooms that are functions of their arguments.
const PURE: [&str; 6] = ["encoding", "object", "signature", "sigstore", "verify", "policy"];

/// What a pure room may not name.
const IMPURE: [&str; 16] = [
    "std::env",
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "directories",
    "jiff::Timestamp::now",
    "jiff::Zoned::now",
    "rustls",
    "tempfile",
    "tokio",
    "ureq",
    "webbrowser",
];

/// What opens sockets.
const SOCKETS: [&str; 5] = ["std::net", "tokio::net", "ureq", "axum", "std::os::unix::net"];

/// Rooms that open sockets: outward, for a login's answer, the agent's own, an ssh-agent's, and the authority on loopback.
const ON_THE_NETWORK: [&str; 5] = ["service", "identity", "agent", "key", "sandbox"];

/// Macros that print.
const PRINTING: [&str; 5] = ["print", "println", "eprint", "eprintln", "dbg"];

/// One source file.
struct Source {
    path: PathBuf,
    room: String,
    text: String,
    tokens: Vec<String>,
    paths: BTreeSet<String>,
}

impl Source {
    fn names(&self, prefix: &str) -> bool {
        self.paths.iter().any(|path| path == prefix || path.starts_with(&format!("{prefix}::")))
    }
}

/// Every source that is not a test.
fn sources() -> Vec<Source> {
    sources_without(&[])
}

/// Every source that is not a test, without what stands under `#[cfg(word)]` for one of `words`.
fn sources_without(words: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let mut tests = BTreeSet::new();
    let mut sources = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let (mut tokens, mut modules) = without(tokens(&text), "test");
        for word in words {
            let (kept, more) = without(tokens, word);
            tokens = kept;
            modules.extend(more);
        }
        let folder = match file.file_stem().unwrap().to_str().unwrap() {
            "mod" | "lib" | "main" => file.parent().unwrap().to_path_buf(),
            stem => file.with_file_name(stem),
        };
        for module in modules {
            let path = folder.join(&module);
            tests.extend([path.with_extension("rs"), path]);
        }
        let path = file.strip_prefix(&root).unwrap().to_path_buf();
        let room = path.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        let depth = path.iter().count() - usize::from(path.ends_with("mod.rs"));
        let paths = paths(&tokens, depth);
        sources.push(Source { path: file, room, text, tokens, paths });
    }
    // A module in a file, and one in a folder with all that lies there.
    sources.retain(|source| source.path.ancestors().all(|path| !tests.contains(path)));
    assert!(sources.len() > 40, "the sources were found");
    sources
}

/// Identifiers, `::`, and punctuation; no comments, and texts only as `"`.
fn tokens(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let at = |index: usize| characters.get(index).copied().unwrap_or('\0');
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let mut tokens = Vec::new();
    let mut index = 0;
    while index < characters.len() {
        match (at(index), at(index + 1)) {
            ('/', '/') => {
                while index < characters.len() && at(index) != '\n' {
                    index += 1;
                }
            }
            ('/', '*') => {
                let mut depth = 0;
                loop {
                    match (at(index), at(index + 1)) {
                        ('/', '*') => (depth, index) = (depth + 1, index + 2),
                        ('*', '/') => (depth, index) = (depth - 1, index + 2),
                        _ => index += 1,
                    }
                    if depth == 0 || index >= characters.len() {
                        break;
                    }
                }
            }
            ('"', _) => {
                index += 1;
                while index < characters.len() && at(index) != '"' {
                    index += 1 + usize::from(at(index) == '\\');
                }
                index += 1;
                tokens.push("\"".to_owned());
            }
            // A character, not a lifetime.
            ('\'', '\\') => {
                index += 3;
                while at(index) != '\'' {
                    index += 1;
                }
                index += 1;
            }
            ('\'', _) if at(index + 2) == '\'' => index += 3,
            (':', ':') => {
                tokens.push("::".to_owned());
                index += 2;
            }
            (first, _) if is_word(first) => {
                let start = index;
                while is_word(at(index)) {
                    index += 1;
                }
                let word: String = characters[start..index].iter().collect();
                let hashes = characters[index..].iter().take_while(|character| **character == '#').count();
                if ["r", "br", "cr"].contains(&word.as_str()) && at(index + hashes) == '"' {
                    let end: Vec<char> =
                        std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                    index += hashes + 1;
                    while !characters[index..].starts_with(&end) {
                        index += 1;
                    }
                    index += end.len();
                    tokens.push("\"".to_owned());
                } else {
                    tokens.push(word);
                }
            }
            (character, _) => {
                if !character.is_whitespace() {
                    tokens.push(character.to_string());
                }
                index += 1;
            }
        }
    }
    tokens
}

/// The tokens without what stands under `#[cfg(word)]`, an item, a statement or an arm, and the modules among it
/// that stand in files of their own.
fn without(tokens: Vec<String>, word: &str) -> (Vec<String>, Vec<String>) {
    let attribute = ["#", "[", "cfg", "(", word, ")", "]"];
    let mut kept = Vec::new();
    let mut modules = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        if !tokens[index..].iter().map(String::as_str).take(attribute.len()).eq(attribute) {
            kept.push(tokens[index].clone());
            index += 1;
            continue;
        }
        index += attribute.len();
        let mut depth = 0;
        let ends = |token: &String| {
            match token.as_str() {
                "(" | "[" => depth += 1,
                ")" | "]" => depth -= 1,
                _ => {}
            }
            token == ";" || token == "{" || token == "," && depth == 0
        };
        let end = index + tokens[index..].iter().position(ends).unwrap();
        if tokens[end] != "{" {
            if let Some(module) = tokens[index..end].iter().position(|token| token == "mod") {
                modules.push(tokens[index + module + 1].clone());
            }
            index = end + 1;
        } else {
            index = closing(&tokens, end) + 1;
        }
    }
    (kept, modules)
}

/// Where the brace that opens at `open` is closed.
fn closing(tokens: &[String], open: usize) -> usize {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(open) {
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index;
        }
    }
    panic!("braces are balanced");
}

/// Every path that is named, groups spelled out; what `super` reaches out of a room begins with `crate`.
fn paths(tokens: &[String], depth: usize) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for index in 0..tokens.len() {
        let begins = index == 0 || tokens[index - 1] != "::";
        if begins && tokens.get(index + 1).is_some_and(|next| next == "::") {
            spell(tokens, index, String::new(), &mut paths);
        }
    }
    let out = format!("{}::", vec!["super"; depth].join("::"));
    let reaching: Vec<String> =
        paths.iter().filter_map(|path| Some(format!("crate::{}", path.strip_prefix(&out)?))).collect();
    paths.extend(reaching);
    // `use std::fs;` makes `fs::read` of `std::fs::read`.
    let imported: Vec<(String, String)> =
        paths.iter().filter_map(|path| Some((path.rsplit("::").next()?.to_owned(), path.clone()))).collect();
    let through: Vec<String> = paths
        .iter()
        .filter_map(|path| path.split_once("::"))
        .flat_map(|(first, rest)| {
            imported
                .iter()
                .filter(move |(name, _)| name == first)
                .map(move |(_, path)| format!("{path}::{rest}"))
        })
        .collect();
    paths.extend(through);
    paths
}

/// Add the path that begins at `index` behind `prefix`; the answer is where it ends.
fn spell(tokens: &[String], mut index: usize, mut prefix: String, paths: &mut BTreeSet<String>) -> usize {
    loop {
        match tokens.get(index).map(String::as_str) {
            Some("{") => {
                index += 1;
                while tokens[index] != "}" {
                    if tokens[index] == "," {
                        index += 1;
                    } else {
                        index = spell(tokens, index, prefix.clone(), paths);
                    }
                }
                return index + 1;
            }
            Some("self") if !prefix.is_empty() => {
                paths.insert(prefix);
                return skip_alias(tokens, index + 1);
            }
            Some(name) => {
                if !prefix.is_empty() {
                    prefix.push_str("::");
                }
                prefix.push_str(name);
                index += 1;
            }
            None => return index,
        }
        if tokens.get(index).is_some_and(|next| next == "::") {
            index += 1;
        } else {
            paths.insert(prefix);
            return skip_alias(tokens, index);
        }
    }
}

fn skip_alias(tokens: &[String], index: usize) -> usize {
    if tokens.get(index).is_some_and(|next| next == "as") { index + 2 } else { index }
}

/// The rooms that a source names, without its own.
fn rooms_named(source: &Source) -> BTreeSet<String> {
    source
        .paths
        .iter()
        .filter_map(|path| path.strip_prefix("crate::").or_else(|| path.strip_prefix("countersign::")))
        .filter_map(|path| path.split("::").next())
        .filter(|room| *room != source.room)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_reader_sees_what_it_has_to() {
    let text = r##"
        //! crate::comment::x
        use std::{env, fs::{self, File}, time::Duration as Second};
        use crate::{a::{B, c::D as E}, f};
        fn g<'a>(x: &'a str) { let q = '"'; super::super::h::i(r#"crate::text::x"#, "crate::more::x", b'\''); }
        fn j() { env::var("K"); }
        #[cfg(test)]
        mod tests { use crate::only::tests; }
        #[cfg(test)]
        mod elsewhere;
        #[cfg(unix)]
        use only::one_system::{X, Y};
        fn k() { match l() { #[cfg(unix)] M(n, o) => only::one_system(n, o), #[cfg(not(unix))] M(..) => crate::p::q() } }
    "##;
    let all = tokens(text);
    assert!(paths(&all, 2).contains("only::one_system::X"));
    let (tokens, _) = without(all, "unix");
    let (tokens, modules) = without(tokens, "test");
    let found = paths(&tokens, 2);
    for path in [
        "std::env",
        "std::env::var",
        "std::fs",
        "std::fs::File",
        "std::time::Duration",
        "crate::a::B",
        "crate::a::c::D",
        "crate::f",
        "crate::h::i",
        "crate::p::q",
    ] {
        assert!(found.contains(path), "{path} in {found:?}");
    }
    assert!(!found.iter().any(|path| ["comment", "text", "more", "only"].iter().any(|no| path.contains(no))));
    assert_eq!(modules, ["elsewhere"]);
}

#[test]
fn arrows_between_rooms_point_down_only() {
    for source in sources() {
        let Some((_, allowed)) = ARROWS.iter().find(|(room, _)| *room == source.room) else {
            assert!(TOP.contains(&source.room.as_str()), "{}: a room without arrows", source.path.display());
            continue;
        };
        for named in rooms_named(&source) {
            assert!(allowed.contains(&named.as_str()), "{} names {named}", source.path.display());
        }
    }
}

#[test]
fn no_arrow_closes_a_circle() {
    let allowed = |room: &str| ARROWS.iter().find(|(name, _)| *name == room).map_or(&[][..], |(_, to)| *to);
    for (room, _) in ARROWS {
        let mut reached = BTreeSet::new();
        let mut open = vec![room];
        while let Some(next) = open.pop() {
            open.extend(allowed(next).iter().filter(|to| reached.insert(**to)));
        }
        assert!(!reached.contains(room), "{room} reaches itself");
        // Who verifies does not sign, and a server's hook holds nothing to sign with.
        let apart: &[&str] = match room {
            "verify" | "hook" | "remote" => &["sign", "service", "identity", "sandbox"],
            "sign" => &["verify", "policy", "object", "repository"],
            _ => &[],
        };
        assert!(apart.iter().all(|other| !reached.contains(other)), "{room} reaches {reached:?}");
    }
}

#[test]
fn policy_knows_verdicts_and_not_how_they_come_about() {
    for source in sources().iter().filter(|source| source.room == "policy") {
        for path in source.paths.iter().filter(|path| path.starts_with("crate::sigstore")) {
            let is_name = ["crate::sigstore::certificate::SubjectKind", "crate::sigstore::claims"];
            assert!(is_name.iter().any(|name| path.starts_with(name)), "{path}");
        }
        for path in source.paths.iter().filter(|path| path.starts_with("crate::verify::")) {
            assert!(!path.contains("Verifier"), "{path}");
        }
    }
}

#[test]
fn pure_rooms_read_no_clock_file_process_socket_or_environment() {
    for source in sources().iter().filter(|source| PURE.contains(&source.room.as_str())) {
        for impure in IMPURE {
            assert!(!source.names(impure), "{} names {impure}", source.path.display());
        }
        for path in source.paths.iter().filter(|path| path.starts_with("gix::")) {
            let is_plain =
                ["gix::hash", "gix::objs", "gix::validate"].iter().any(|plain| path.starts_with(plain));
            assert!(is_plain, "{} names {path}", source.path.display());
        }
        let prints = |pair: &[String]| PRINTING.contains(&pair[0].as_str()) && pair[1] == "!";
        assert!(!source.tokens.windows(2).any(prints), "{} prints", source.path.display());
    }
}

#[test]
fn cve_2023_47122_no_key_comes_from_the_network() {
    // What verifies takes its keys from a trusted root that it is given, and could not fetch any.
    for source in sources().iter().filter(|source| !ON_THE_NETWORK.contains(&source.room.as_str())) {
        for sockets in SOCKETS {
            assert!(!source.names(sockets), "{} names {sockets}", source.path.display());
        }
    }
}

#[test]
fn the_agent_listens_to_its_own_user_only() {
    for source in sources().iter().filter(|source| source.room == "agent") {
        for network in ["std::net", "tokio", "ureq", "rustls"] {
            assert!(!source.names(network), "{} names {network}", source.path.display());
        }
        // What is said, what may be signed and who logs in can be tested without a socket.
        if ["payload", "protocol", "state"].iter().any(|pure| source.path.ends_with(format!("{pure}.rs"))) {
            for impure in IMPURE.iter().chain(&["rustix"]) {
                assert!(!source.names(impure), "{} names {impure}", source.path.display());
            }
        }
    }
}

#[test]
fn what_a_ledger_says_is_a_function_of_its_bytes() {
    let pure = ["check", "finding", "fields", "intent", "record", "resolve", "work"];
    for source in sources().iter().filter(|source| source.room == "ledger") {
        if pure.iter().any(|name| source.path.ends_with(format!("ledger/{name}.rs"))) {
            for impure in IMPURE.iter().chain(&["rustix"]) {
                assert!(!source.names(impure), "{} names {impure}", source.path.display());
            }
        }
    }
}

#[test]
fn what_one_system_alone_has_is_named_for_that_system_only() {
    for (word, names) in OF_ONE_SYSTEM {
        for source in sources_without(&[word]) {
            for name in names {
                assert!(
                    !source.names(name),
                    "{} names {name} without '#[cfg({word})]'; 'repository::system' has what differs",
                    source.path.display()
                );
            }
        }
    }
}

#[test]
fn only_the_program_reads_clock_and_environment() {
    for source in sources() {
        let may = ["main", "sandbox"].contains(&source.room.as_str());
        for reading in ["std::env::var", "std::env::vars", "std::env::args", "std::time::SystemTime::now"] {
            let reads = source.paths.iter().any(|path| path.starts_with(reading));
            assert!(may || !reads, "{} names {reading}", source.path.display());
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_none_is_unsafe() {
    for source in sources() {
        assert!(source.text.starts_with("//!"), "{} opens without a word", source.path.display());
        assert!(!source.tokens.iter().any(|token| token == "unsafe"), "{}", source.path.display());
    }
}
