//! Which head of a remote's ledger this user saw last, whichever clone they looked from.
//!
//! ```text
//! <state>/countersign/ledgers/<sha-256 of the address>    three lines: what it is, the address, the head
//! ```

use std::{fs, io, path::PathBuf};

use crate::{
    encoding::sha256,
    object::ObjectId,
    repository::{Durability, write_whole},
    words::Failure,
};

const FIRST_LINE: &str = "countersign ledger head 1";

/// What is remembered of ledgers.
pub(super) struct Heads {
    folder: PathBuf,
}

impl Heads {
    /// Those of the user who runs this.
    pub(super) fn of_user() -> Result<Self, Failure> {
        let directories = directories::ProjectDirs::from("", "", "countersign");
        let folder = directories.map(|directories| {
            directories.state_dir().unwrap_or_else(|| directories.data_local_dir()).join("ledgers")
        });
        let none = || Failure::new("there is no home, and so no state folder", "set 'HOME' to your home");
        Ok(Self { folder: folder.ok_or_else(none)? })
    }

    /// The head that was seen last at this address. What cannot be read is an error, never nothing.
    pub(super) fn load(&self, address: &str) -> Result<Option<ObjectId>, Failure> {
        let path = self.path(address);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|error| self.unusable(address, &error))?,
        };
        let head = text.strip_prefix(&format!("{FIRST_LINE}\naddress {address}\nhead "));
        let head = head.and_then(|rest| rest.strip_suffix('\n')).and_then(|hex| hex.parse().ok());
        head.map(Some).ok_or_else(|| self.unusable(address, &"it was not written by this program"))
    }

    pub(super) fn save(&self, address: &str, head: ObjectId) -> Result<(), Failure> {
        let write = || {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true);
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(&self.folder)?;
            let text = format!("{FIRST_LINE}\naddress {address}\nhead {head}\n");
            write_whole(&self.path(address), text.as_bytes(), Durability::Disk)
        };
        write().map_err(|error| self.unusable(address, &error))
    }

    fn path(&self, address: &str) -> PathBuf {
        self.folder.join(hex::encode(sha256(&[address.as_bytes()])))
    }

    fn unusable(&self, address: &str, error: &dyn std::fmt::Display) -> Failure {
        let path = self.path(address);
        Failure::new(
            format!(
                "what was seen of the ledger of '{address}' cannot be used: '{}': {error}",
                path.display()
            ),
            "see to the file; without it the remote's next ledger is taken as the first one seen",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_remembered_by_address_and_damage_is_no_first_sight() {
        let folder = tempfile::tempdir().unwrap();
        let heads = Heads { folder: folder.path().join("ledgers") };
        let head: ObjectId = "a".repeat(40).parse().unwrap();
        assert_eq!(heads.load("https://a").unwrap(), None);
        heads.save("https://a", head).unwrap();
        assert_eq!(heads.load("https://a").unwrap(), Some(head));
        assert_eq!(heads.load("https://b").unwrap(), None);
        for damaged in ["", "countersign ledger head 1\naddress https://b\nhead aa\n"] {
            fs::write(heads.path("https://a"), damaged).unwrap();
            assert!(heads.load("https://a").is_err());
        }
    }
}
