//! The corpus of real signatures that lies beside the project, not in it.
//!
//! Where the folder is missing, a test says so in a line of its own and is over.

#![allow(dead_code, clippy::unwrap_used)] // each test file uses its part

use std::path::{Path, PathBuf};

use countersign::object::{Commit, HashKind, ObjectId, Signed, Tag};
use gix::prelude::FindExt as _;

/// A time after the last signature of the corpus: 2026-11-18.
pub const NOW: i64 = 1_795_000_000;

/// One line of the index.
pub struct Row {
    pub id: ObjectId,
    /// `commit` or `tag`.
    pub kind: String,
    /// `gitsign-embedded`, `openpgp`, …
    pub signature: String,
    /// What independent programs said: `good`, `unknown-key`, …
    pub expect: String,
    /// Subject and issuer, as independent programs found them.
    pub signer: String,
}

/// The corpus, opened.
pub struct Corpus {
    pub rows: Vec<Row>,
    objects: gix::odb::Handle,
    directory: tempfile::TempDir,
}

/// One object as git stores it.
pub struct Object {
    pub kind: gix::objs::Kind,
    pub data: Vec<u8>,
}

impl Object {
    /// The object's payload and signature; the corpus is of SHA-1 repositories.
    pub fn signed(&self) -> Signed<'_> {
        match self.kind {
            gix::objs::Kind::Tag => Tag::parse(HashKind::Sha1, &self.data).unwrap().signed,
            _ => Commit::parse(HashKind::Sha1, &self.data).unwrap().signed,
        }
    }
}

impl Corpus {
    /// The corpus beside the project, or `None` with a line that says so.
    pub fn open(test: &str) -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.join("shared/corpus");
        let Ok(index) = std::fs::read_to_string(folder.join("index.tsv")) else {
            println!("NOTE: {test}: the corpus folder is not there");
            return None;
        };
        let rows = index.lines().skip(1).map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            Row {
                id: ObjectId::from_hex(columns[0].as_bytes()).unwrap(),
                kind: columns[1].to_owned(),
                signature: columns[2].to_owned(),
                expect: columns[5].to_owned(),
                signer: columns[6].to_owned(),
            }
        });
        let directory = tempfile::tempdir().unwrap();
        copy_pack(&folder, &directory.path().join("pack"));
        let objects = gix::odb::at(directory.path().to_owned(), HashKind::Sha1).unwrap();
        Some(Self { rows: rows.collect(), objects, directory })
    }

    /// A file of the corpus besides its objects.
    pub fn file(&self, name: &str) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("shared/corpus");
        std::fs::read(folder.join(name)).unwrap()
    }

    /// The folder that holds the objects: a git object database.
    pub fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    /// The rows whose signatures carry their log entry.
    pub fn embedded(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.signature == "gitsign-embedded")
    }

    /// The object of a row.
    pub fn object(&self, id: &ObjectId) -> Object {
        let mut data = Vec::new();
        let kind = self.objects.find(id, &mut data).unwrap().kind;
        Object { kind, data }
    }

    /// The object whose id begins with `prefix`.
    pub fn object_called(&self, prefix: &str) -> Object {
        let row = self.rows.iter().find(|row| row.id.to_string().starts_with(prefix));
        self.object(&row.expect("the index names it").id)
    }
}

fn copy_pack(folder: &Path, pack: &Path) {
    std::fs::create_dir(pack).unwrap();
    for extension in ["pack", "idx"] {
        let target = pack.join(format!("pack-real.{extension}"));
        std::fs::copy(folder.join(format!("real.{extension}")), target).unwrap();
    }
}
