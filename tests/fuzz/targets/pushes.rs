//! What comes with a push, and what hooks have kept of earlier ones.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use countersign::{
    hook::{
        AuditSink, Companion, HookName, PolicyPlace, PushEnvironment, Settings, Shim, Verdicts,
        forge_context, happened, parse_address, parse_forge, parse_planned, parse_seconds, parse_updates,
    },
    ledger::Entry,
    object::ObjectId,
    policy::ForgeKind,
    repository::{
        parse_object_directories,
        system::{OsStrExt as _, OsStringExt as _},
    },
    trust::Pin,
    verify::Verdict,
};
use gix::bstr::ByteSlice as _;

use super::{HASHES, remotes::quoted};

/// Updates that are read are the bytes that were written, for every hook that hears of them.
pub fn ref_updates(data: &[u8]) {
    for hash in HASHES {
        let value = |id: Option<ObjectId>| id.unwrap_or_else(|| ObjectId::null(hash));
        let moved = happened(hash, data);
        assert!(moved.iter().all(|entry| entry.reference.starts_with(b"refs/")));
        if let Ok(updates) = parse_updates(hash, data) {
            let line = |update: &countersign::hook::Update| {
                let ids = format!("{} {} ", value(update.claimed), value(update.wanted));
                [ids.as_bytes(), &update.reference, b"\n"].concat()
            };
            assert_eq!(updates.iter().flat_map(line).collect::<Vec<u8>>(), data);
            let entries = updates.iter().filter(|update| {
                let says_something = update.claimed != update.wanted || update.claimed.is_none();
                update.reference.starts_with(b"refs/") && says_something
            });
            let entries = entries.map(|update| Entry {
                old: update.claimed,
                new: update.wanted,
                reference: update.reference.clone().into(),
            });
            assert!(entries.eq(moved), "what is judged is what is entered");
        }
        if let Ok(planned) = parse_planned(hash, data) {
            assert_eq!(planned.len(), data.iter().filter(|byte| **byte == b'\n').count());
            assert!(planned.iter().all(|update| !update.reference.contains(&b' ')));
        }
    }
}

/// What the environment of a hook says is taken as it stands, or not at all.
pub fn push_environment(data: &[u8]) {
    let variables: Vec<(&[u8], &[u8])> =
        data.split(|byte| *byte == 0).filter_map(|line| line.split_once_str("=")).collect();
    let variable = |name: &str| -> Option<OsString> {
        let found = variables.iter().find(|(known, _)| *known == name.as_bytes());
        found.map(|(_, value)| OsString::from_vec(value.to_vec()))
    };
    let environment = PushEnvironment::from_variables(variable, Path::new("/base"));
    for (number, option) in environment.push_options.iter().flatten().enumerate() {
        let value = variable(&format!("GIT_PUSH_OPTION_{number}")).expect("it was counted");
        assert_eq!(value.as_os_str().as_bytes(), option);
    }
    let lists = variable("GIT_ALTERNATE_OBJECT_DIRECTORIES");
    for list in lists.iter().map(|list| list.as_os_str().as_bytes()) {
        let folders = parse_object_directories(list, Path::new("/base"));
        assert!(folders.iter().all(|folder| folder.is_absolute()));
        assert!(environment.object_directories.ends_with(&folders));
        // Whatever stands in quotes is one folder, as another reader of git's quotes has it.
        let one = quoted(list);
        let (read, _) = gix::quote::ansi_c::undo(one.as_bstr()).expect("it was quoted here");
        assert_eq!(*read, list);
        if !list.is_empty() {
            let folder = Path::new("/base").join(OsString::from_vec(list.to_vec()));
            assert_eq!(parse_object_directories(&one, Path::new("/base")), [folder]);
        }
    }
    for kind in ForgeKind::words() {
        let forge = parse_forge(kind).expect("the word is known");
        let context = forge_context(&forge, variable);
        for word in [&context.user, &context.id, &context.repository].into_iter().flatten() {
            assert!(!word.is_empty() && !word.contains(char::is_control), "{word:?}");
        }
        let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        match forge.kind {
            ForgeKind::Http => assert!(is_set("REQUEST_METHOD") || context.user.is_none()),
            ForgeKind::Gitea => {
                let by_key = variable("GITEA_DEPLOY_KEY_ID").is_some_and(|id| !id.is_empty() && id != "0");
                assert!(!by_key || context.user.is_none(), "a deploy key is nobody");
            }
            ForgeKind::GitLab => {
                let by_key = context.id.as_ref().is_some_and(|id| id.starts_with("key-"));
                assert!(!by_key || context.user.is_none(), "a deploy key is nobody");
            }
            _ => {}
        }
    }
}

/// A shim that is read is the one that would be written, and what is written into one is read back.
pub fn hook_shim(data: &[u8]) {
    if let Ok(shim) = Shim::parse(data) {
        assert_eq!(shim.render().as_deref(), Ok(data));
    }
    for hook in HookName::COMPANIONS {
        if let Ok(companion) = Companion::parse(hook, data) {
            assert_eq!(companion.render().as_deref(), Ok(data));
        }
    }
    if let Some((shim, companions)) = shims(data) {
        if let Ok(text) = shim.render() {
            assert!(Shim::is_shim(&text));
            assert_eq!(Shim::parse(&text), Ok(shim));
        }
        for companion in companions {
            let Ok(text) = companion.render() else { continue };
            assert!(companion.hook.is_shim(&text) && !Shim::is_shim(&text));
            assert_eq!(Companion::parse(companion.hook, &text), Ok(companion));
        }
    }
}

/// A shim, and those beside it, of the words between zero bytes; none if there are not enough.
pub fn shims(data: &[u8]) -> Option<(Shim, [Companion; 3])> {
    let mut words = data.split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec()));
    let mut path = || words.next().map(PathBuf::from);
    let (program, repository, state, before) = (path()?, path()?, path()?, path()?);
    let (policy, file) = (path()?, path()?);
    let mut text = || words.next().map(|word| word.to_string_lossy().into_owned());
    let (name, limit, address, forge) = (text()?, text()?, text()?, text()?);
    let before = (!before.as_os_str().is_empty()).then_some(before);
    // A name of a file ends where its path begins, and a policy that could be a pin is one.
    let is_plain = |name: &str| !name.contains(['=', '\n']);
    let policy = match policy.to_str().and_then(|text| Pin::parse(text).ok()) {
        Some(pin) => PolicyPlace::Reference(pin),
        None => PolicyPlace::File(policy),
    };
    let settings = Settings {
        time_limit: parse_seconds(&limit).ok(),
        audit: AuditSink::parse(file.as_os_str()).unwrap_or_default(),
        audit_required: data.len().is_multiple_of(2),
        addresses: parse_address(&address).into_iter().collect(),
        forge: parse_forge(&forge).ok(),
        ledger: data.len().is_multiple_of(3),
    };
    assert!(settings.time_limit.is_none_or(|limit| limit > Duration::ZERO));
    let files: Vec<(String, PathBuf)> =
        Some((name, file)).into_iter().filter(|(name, _)| is_plain(name)).collect();
    let companions = HookName::COMPANIONS.map(|hook| Companion {
        hook,
        program: program.clone(),
        repository: repository.clone(),
        state: state.clone(),
        before: before.clone(),
        gate: before.clone().filter(|_| hook == HookName::ReferenceTransaction),
    });
    let shim = Shim {
        program,
        repository,
        policy,
        state,
        before,
        trusted_roots: files.clone(),
        openpgp_certificates: files.clone(),
        certificate_authorities: files,
        settings,
    };
    Some((shim, companions))
}

/// A verdict that is read is the one that would be written.
pub fn verdict_record(data: &[u8]) {
    let Some(verdict) = Verdict::from_record(data) else { return };
    assert!(matches!(verdict, Verdict::Good(_) | Verdict::Stated(_)));
    let Some((material, bytes)) = verdict.record() else { return };
    let again = Verdict::from_record(&bytes).expect("it was written here");
    assert_eq!(again, verdict);
    assert_eq!(again.record(), Some((material, bytes)));
}

/// Records that are whole are found again when nothing damaged stands between them.
pub fn verdict_cache(data: &[u8]) {
    let records: Vec<&[u8]> = Verdicts::whole_records(data).collect();
    let joined = records.concat();
    assert!(joined.len() <= data.len());
    assert!(Verdicts::whole_records(&joined).eq(records));
}
