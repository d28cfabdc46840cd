//! The state folder: what was there stays, and damage is noticed.

use std::{fs, path::Path};

use countersign::sandbox::{Authority, AuthorityError, Options, RekorV1Error, Role, StateError};
use sigstore_merkle::verify_consistency_proof;
use sigstore_types::Sha256Hash;

use crate::{Signed, get};

fn open(folder: &Path) -> Result<Authority, AuthorityError> {
    Authority::new(Options { state: Some(folder.to_owned()), ..Options::default() })
}

/// Logs one entry in each log.
fn log(authority: &Authority, number: u8) {
    let signed = Signed::new(authority, "ada@example.com", &[number]);
    authority.rekor_v1_add(&signed.rekord()).unwrap();
    authority.rekor_v2_add(&signed.rekord()).unwrap();
}

#[test]
fn a_second_run_goes_on_where_the_first_one_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let (url, root, trusted, signed, entry) = {
        let running = open(&state).unwrap().serve(0).unwrap();
        for number in 0..5 {
            log(running.authority(), number);
        }
        let signed = Signed::new(running.authority(), "ada@example.com", b"the last one");
        let entry = running.authority().rekor_v1_add(&signed.rekord()).unwrap();
        let root = running.authority().certificate_chain()[1].to_vec();
        (running.url().to_owned(), root, running.authority().trusted_root_json(), signed, entry)
    };
    assert_eq!(fs::read_to_string(state.join("trusted_root.json")).unwrap(), trusted);

    let running = open(&state).unwrap().serve(0).unwrap();
    assert_eq!(running.url(), url, "the address is the issuer, and the issuer stays");
    assert_eq!(running.authority().trusted_root_json(), trusted);
    assert_eq!(running.authority().certificate_chain()[1], root);
    let again = running.authority().rekor_v1_entry(5).unwrap();
    assert_eq!((&again.uuid, &again.body), (&entry.uuid, &entry.body));
    assert_eq!(again.integrated_time, entry.integrated_time);
    let duplicate = running.authority().rekor_v1_add(&signed.rekord());
    assert!(matches!(duplicate, Err(RekorV1Error::Duplicate { uuid }) if uuid == entry.uuid));

    log(running.authority(), 7);
    let proof = get(&running, "/api/v1/log/proof?firstSize=6&lastSize=7").json(200);
    let hash = |text: &serde_json::Value| Sha256Hash::from_hex(text.as_str().unwrap()).unwrap();
    let path: Vec<Sha256Hash> = proof["hashes"].as_array().unwrap().iter().map(hash).collect();
    let old = Sha256Hash::new(entry.inclusion_proof.root_hash);
    verify_consistency_proof(6, 7, &path, &old, &hash(&proof["rootHash"])).unwrap();
    assert!(get(&running, "/api/v2/checkpoint").text().starts_with("127.0.0.1\n6\n"));
}

#[cfg(unix)]
#[test]
fn keys_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    drop(open(&state).unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    assert_eq!(mode(&state.join("keys")), 0o700);
    let keys: Vec<_> = fs::read_dir(state.join("keys")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(keys.len(), 8);
    for key in keys {
        assert_eq!(mode(&key), 0o600, "{}", key.display());
    }
}

#[test]
fn an_unfinished_entry_is_taken_away_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let authority = open(folder.path()).unwrap();
    log(&authority, 0);
    log(&authority, 1);
    drop(authority);
    let path = folder.path().join("rekor-v1.jsonl");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 10]).unwrap();

    let authority = open(folder.path()).unwrap();
    assert_eq!(authority.torn_logs(), [path.as_path()]);
    assert!(authority.rekor_v1_entry(0).is_some() && authority.rekor_v1_entry(1).is_none());
    log(&authority, 2);
    drop(authority);
    let authority = open(folder.path()).unwrap();
    assert!(authority.torn_logs().is_empty());
    assert!(authority.rekor_v1_entry(1).is_some());
}

#[test]
fn damage_and_strangers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let authority = open(folder.path()).unwrap();
    log(&authority, 0);
    log(&authority, 1);

    // Somebody else writes into the log of a living authority.
    let path = folder.path().join("rekor-v2.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}{text}")).unwrap();
    let signed = Signed::new(&authority, "ada@example.com", b"unheard");
    let refused = authority.rekor_v2_add(&signed.rekord());
    assert!(refused.is_err_and(|error| error.to_string().contains("changed by somebody else")));
    drop(authority);
    fs::write(&path, text).unwrap();

    let path = folder.path().join("rekor-v1.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("x{text}")).unwrap();
    let damaged = open(folder.path());
    assert!(matches!(damaged, Err(AuthorityError::State(StateError::Entry { line: 1, .. }))), "{damaged:?}");
    fs::write(&path, text).unwrap();

    let key = folder.path().join("keys/rekor-v1.p8");
    let content = fs::read(&key).unwrap();
    fs::write(&key, b"no key").unwrap();
    assert!(matches!(open(folder.path()), Err(AuthorityError::State(StateError::Key { .. }))));
    fs::remove_file(&key).unwrap();
    assert!(matches!(open(folder.path()), Err(AuthorityError::State(StateError::Missing { .. }))));
    fs::write(&key, content).unwrap();
    let root = folder.path().join("certificates/certificate-root.der");
    let content = fs::read(&root).unwrap();
    fs::remove_file(&root).unwrap();
    assert!(matches!(open(folder.path()), Err(AuthorityError::State(StateError::Missing { .. }))));
    fs::write(&root, content).unwrap();
    assert_eq!(open(folder.path()).unwrap().signing_key(Role::RekorV1).spki_der().len(), 91);

    let foreign = tempfile::tempdir().unwrap();
    fs::write(foreign.path().join("thesis.txt"), "precious").unwrap();
    assert!(matches!(open(foreign.path()), Err(AuthorityError::State(StateError::Foreign { .. }))));
    assert_eq!(fs::read_dir(foreign.path()).unwrap().count(), 1, "nothing was written");
}
