//! Policies and their files from beside and from pinned paths.

use std::path::{Path, PathBuf};

use super::*;
use crate::words::Failure;

fn policy(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("policy.toml");
    std::fs::write(&path, text).unwrap();
    (directory, path)
}

fn pinned(policy: &Path, trusted_roots: &[(String, PathBuf)]) -> Result<Trust, TrustError> {
    Trust::load(&Pinned { policy, trusted_roots, openpgp_certificates: &[], certificate_authorities: &[] })
}

const SANDBOX: &str =
    "version = 1\nother_refs = \"refuse\"\n[[instance]]\nname = \"s\"\ntrusted_root = \"r.json\"\n";

#[test]
fn public_good_and_staging_are_built_in() {
    for (more, expected) in
        [("", &[PUBLIC_GOOD][..]), ("[[instance]]\nname = \"staging\"\n", &["staging", PUBLIC_GOOD])]
    {
        let (_directory, path) = policy(&format!("version = 1\nother_refs = \"refuse\"\n{more}"));
        for mut trust in [pinned(&path, &[]).unwrap(), Trust::load(&Beside::new(&path)).unwrap()] {
            let instances = trust.take_instances().unwrap();
            let names: Vec<&str> = instances.iter().map(Instance::name).collect();
            assert_eq!(names, expected);
        }
    }
}

#[test]
fn no_policy_says_which_command_writes_one() {
    let failure = Failure::from(pinned(Path::new("/nowhere/policy.toml"), &[]).unwrap_err());
    assert_eq!(failure.error, "there is no policy at '/nowhere/policy.toml'");
    assert_eq!(failure.hints, ["write one with 'countersign policy init /nowhere/policy.toml'"]);
}

#[test]
fn a_hooks_trusted_roots_come_from_their_pinned_paths_alone() {
    let (directory, path) = policy(SANDBOX);
    let root = directory.path().join("r.json");
    std::fs::write(&root, "{}").unwrap();
    assert!(
        matches!(pinned(&path, &[]), Err(TrustError::NotPinned(name)) if name == "s"),
        "the policy's own path is not followed"
    );
    let missing = [("s".to_owned(), directory.path().join("missing.json"))];
    assert!(matches!(pinned(&path, &missing), Err(TrustError::Unreadable { .. })));
    std::fs::write(&root, "garbage").unwrap();
    assert!(matches!(pinned(&path, &[("s".to_owned(), root)]), Err(TrustError::TrustedRoot { .. })));
    assert!(matches!(Trust::load(&Beside::new(&path)), Err(TrustError::TrustedRoot { .. })));
}

#[test]
fn what_cannot_be_a_policy_is_refused() {
    let (_directory, path) = policy("version = 1\n");
    assert!(matches!(pinned(&path, &[]), Err(TrustError::Policy { .. })));
    std::fs::write(&path, b"version = \"\xff\"").unwrap();
    assert!(matches!(pinned(&path, &[]), Err(TrustError::NotText(_))));
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(MAXIMUM_POLICY_BYTES as u64 + 1).unwrap();
    assert!(matches!(pinned(&path, &[]), Err(TrustError::TooLarge { .. })));
}

#[test]
fn many_files_are_bounded_together() {
    let files: String = (0..5).map(|n| format!("[[openpgp_certificates]]\nfile = \"{n}\"\n")).collect();
    let (directory, path) = policy(&format!("version = 1\nother_refs = \"refuse\"\n{files}"));
    for n in 0..5 {
        let file = std::fs::File::create(directory.path().join(n.to_string())).unwrap();
        file.set_len(30 * 1024 * 1024).unwrap();
    }
    assert!(matches!(Trust::load(&Beside::new(&path)), Err(TrustError::TooMuch { .. })));
}

#[test]
fn a_path_in_a_tree_leads_nowhere_else() {
    for path in ["policy.toml", "a/b", "a b", ".x", "..a"] {
        assert!(path_in_tree(path).is_some(), "{path}");
    }
    for path in ["", "/a", "a/", "a//b", ".", "../a", "a/../b", "a/./b", "a\\b", "a\0b", &"a/".repeat(20)] {
        assert!(path_in_tree(path).is_none(), "{path}");
    }
}

proptest::proptest! {
    #[test]
    fn a_pin_is_written_in_one_way(text in "[a-z~ ]{0,3} ?(example.com/a)? (refs/countersign/[a-z./]{0,9})? [0-9a-fA-F]{38,42}|\\PC{0,99}") {
        if let Ok(pin) = Pin::parse(&text) {
            proptest::prop_assert_eq!(pin.to_string(), text);
        }
    }
}
