//! S/MIME signatures by openssl, as the corpus holds only one: one signature a commit, one leaf-by-root a
//! distinct certificate.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use aws_lc_rs::{digest, signature::RSA_PKCS1_2048_8192_SHA256};
use countersign::{
    encoding::{sha256, x509::Slices},
    object::{Commit, HashKind, ObjectId},
    repository::Objects,
    signature::{armor, smime::Smime},
};

use super::bare::{Bare, Check, Message};

/// How many commits, and how many share a certificate.
const COMMITS: usize = 200;
const SHARED: usize = 10;

/// A repository of such commits.
pub struct Made {
    pub objects: Objects,
    pub ids: Vec<ObjectId>,
    /// The root, PEM.
    pub root: Vec<u8>,
    directory: tempfile::TempDir,
}

/// `None`, with a line that says so, without openssl.
pub fn make() -> Option<Made> {
    if Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_err() {
        println!("S/MIME is not measured: openssl is not there");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path();
    run(folder, "git", &["init", "-q", "--bare", "repository.git"], b"");
    let root = ["-x509", "-subj", "/CN=root", "-days", "3650", "-keyout", "root.key", "-out", "root.pem"];
    let new = ["req", "-newkey", "rsa:2048", "-nodes"];
    let authority = ["-addext", "keyUsage=critical,keyCertSign"];
    run(folder, "openssl", &[&new[..], &root, &authority].concat(), b"");
    let extensions = "basicConstraints=critical,CA:FALSE\nkeyUsage=digitalSignature\n\
                      extendedKeyUsage=emailProtection\nsubjectAltName=email:alice@example.com\n";
    fs::write(folder.join("extensions"), extensions).unwrap();
    let mut ids = Vec::new();
    for number in 0..COMMITS {
        if number % SHARED == 0 {
            let request = ["-subj", "/CN=alice", "-keyout", "leaf.key", "-out", "leaf.csr"];
            run(folder, "openssl", &[&new[..], &request].concat(), b"");
            let issue = ["x509", "-req", "-in", "leaf.csr", "-CA", "root.pem", "-CAkey", "root.key"];
            let rest = ["-CAcreateserial", "-days", "3650", "-extfile", "extensions", "-out", "leaf.pem"];
            run(folder, "openssl", &[&issue[..], &rest].concat(), b"");
        }
        let person = "Alice <alice@example.com> 1790000000 +0000";
        let tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
        let head = format!("tree {tree}\nauthor {person}\ncommitter {person}\n");
        let message = format!("\nnumber {number}\n\nWhat was done and why, in somebody's words.\n");
        let sign =
            ["cms", "-sign", "-binary", "-outform", "DER", "-signer", "leaf.pem", "-inkey", "leaf.key"];
        let der = run(folder, "openssl", &sign, format!("{head}{message}").as_bytes());
        let armor = String::from_utf8(armor::encode(&der)).unwrap();
        let folded = armor.trim_end().replace('\n', "\n ");
        let object = format!("{head}gpgsig {folded}\n{message}");
        let store = ["-C", "repository.git", "hash-object", "-t", "commit", "-w", "--stdin"];
        let id = String::from_utf8(run(folder, "git", &store, object.as_bytes())).unwrap();
        ids.push(ObjectId::from_hex(id.trim().as_bytes()).unwrap());
    }
    // In one pack, as the corpus is.
    let list: String = ids.iter().map(|id| format!("{id}\n")).collect();
    run(folder, "git", &["-C", "repository.git", "pack-objects", "-q", "objects/pack/pack"], list.as_bytes());
    run(folder, "git", &["-C", "repository.git", "prune-packed", "-q"], b"");
    let objects = Objects::open(HashKind::Sha1, &[folder.join("repository.git/objects")]).unwrap();
    let root = fs::read(folder.join("root.pem")).unwrap();
    Some(Made { objects, ids, root, directory })
}

impl Made {
    /// The check of each commit, prepared.
    pub fn bare(&self) -> Vec<Bare> {
        let root =
            run(self.directory.path(), "openssl", &["x509", "-in", "root.pem", "-outform", "DER"], b"");
        let root = Slices::parse(&root).unwrap();
        let reader = self.objects.reader();
        let mut certificates = std::collections::HashSet::new();
        let check = |spki: &[u8], message: &[u8], signature: &[u8]| {
            let message = Message::Digest(digest::digest(&digest::SHA256, message));
            Check::new(&RSA_PKCS1_2048_8192_SHA256, spki, message, signature)
        };
        let one = |id: &ObjectId| {
            let object = reader.read(*id).unwrap();
            let commit = Commit::parse(HashKind::Sha1, &object.bytes).unwrap();
            let der = armor::decode(commit.signed.signature.as_deref().unwrap()).unwrap();
            let smime = Smime::parse(&der).unwrap();
            let certificate = smime.certificate().unwrap().unwrap();
            let leaf = Slices::parse(certificate).unwrap();
            let mut bare = Bare::default();
            bare.checks.push(check(leaf.spki, &smime.signed_attributes, smime.signature));
            if certificates.insert(sha256(&[certificate])) {
                bare.checks.push(check(root.spki, leaf.tbs, leaf.signature));
                bare.hash(leaf.tbs.to_vec());
            }
            bare.hash(commit.signed.payload.to_vec());
            bare.hash(smime.signed_attributes);
            bare
        };
        self.ids.iter().map(one).collect()
    }
}

/// What a program prints that is given `input`; it must succeed.
fn run(folder: &Path, program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("HOME", folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}");
    output.stdout
}
