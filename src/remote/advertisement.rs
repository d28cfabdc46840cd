//! The refs that a remote says it has, as `git ls-remote --symref` prints them.

use std::collections::{BTreeMap, HashMap, HashSet};

use gix::bstr::{BStr, BString, ByteSlice as _};

use crate::object::{HashKind, ObjectId};

/// What a remote says of its refs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advertisement {
    /// Every ref below `refs/`, by its name.
    pub refs: BTreeMap<BString, ObjectId>,
    /// What annotated tags lead to, as the remote says.
    pub peeled: HashMap<BString, ObjectId>,
    /// What `HEAD` is, if there is one.
    pub head: Option<Head>,
    /// Refs that are other names for refs.
    pub symbolic: HashSet<BString>,
    /// Names that no ref may have.
    pub invalid: Vec<BString>,
}

/// What the remote's `HEAD` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// A value of its own.
    Detached(ObjectId),
    /// Another name for this ref.
    Symbolic(BString),
}

/// Why it cannot be read. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdvertisementError {
    /// A line of another form.
    #[error("line {0} of the remote's refs is not '<id> <ref>'")]
    Line(usize),
    /// Object ids of two hashes.
    #[error("the remote names objects by two kinds of hash")]
    Hash,
}

impl Advertisement {
    /// Read what `git ls-remote --symref` printed.
    ///
    /// # Errors
    /// It is nothing that git prints.
    pub fn parse(text: &[u8]) -> Result<Self, AdvertisementError> {
        let mut found = Self::default();
        let mut hash = None;
        for (index, line) in text.lines().enumerate() {
            let malformed = || AdvertisementError::Line(index + 1);
            let (value, name) = line.split_once_str("\t").ok_or_else(malformed)?;
            if let Some(target) = value.strip_prefix(b"ref: ") {
                if name == b"HEAD" && is_name(target.as_bstr()) {
                    found.head = Some(Head::Symbolic(target.into()));
                } else if name != b"HEAD" {
                    found.symbolic.insert(name.into());
                }
                continue;
            }
            let id = ObjectId::from_hex(value).ok().filter(|id| !id.is_null()).ok_or_else(malformed)?;
            if *hash.get_or_insert(id.kind()) != id.kind() {
                return Err(AdvertisementError::Hash);
            }
            match name.strip_suffix(b"^{}") {
                Some(name) => drop(found.peeled.insert(name.into(), id)),
                None if name == b"HEAD" => drop(found.head.get_or_insert(Head::Detached(id))),
                None if is_name(name.as_bstr()) => drop(found.refs.insert(name.into(), id)),
                None => found.invalid.push(name.into()),
            }
        }
        Ok(found)
    }

    /// The hash by which the remote names objects, where it names any.
    #[must_use]
    pub fn hash(&self) -> Option<HashKind> {
        self.refs.values().next().map(|id| id.kind())
    }
}

/// Whether `name` is a full ref name that stands in a line of the helper's protocol as it is.
fn is_name(name: &BStr) -> bool {
    name.starts_with(b"refs/") && gix::validate::reference::name(name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_peeled_tags_and_head_are_told_apart() {
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        let text = format!(
            "ref: refs/heads/main\tHEAD\n{one}\tHEAD\n{one}\trefs/heads/main\nref: refs/heads/main\trefs/heads/alias\n\
             {one}\trefs/heads/alias\n{two}\trefs/tags/v1\n{one}\trefs/tags/v1^{{}}\n{one}\trefs/heads/a b\n"
        );
        let found = Advertisement::parse(text.as_bytes()).unwrap();
        let names: Vec<&str> = found.refs.keys().map(|name| name.to_str().unwrap()).collect();
        assert_eq!(names, ["refs/heads/alias", "refs/heads/main", "refs/tags/v1"]);
        assert_eq!(found.head, Some(Head::Symbolic("refs/heads/main".into())));
        assert_eq!(found.peeled[BStr::new("refs/tags/v1")].to_string(), one);
        assert!(found.symbolic.contains(BStr::new("refs/heads/alias")) && found.symbolic.len() == 1);
        assert_eq!(found.invalid, ["refs/heads/a b"]);
        assert_eq!(found.hash(), Some(HashKind::Sha1));
        let detached = Advertisement::parse(format!("{one}\tHEAD\n").as_bytes()).unwrap();
        assert!(matches!(detached.head, Some(Head::Detached(_))));
    }

    #[test]
    fn nonsense_is_refused() {
        let (one, long) = ("1".repeat(40), "1".repeat(64));
        for text in ["x\n".to_owned(), format!("{one} refs/heads/a\n"), format!("{}\tHEAD\n", "0".repeat(40))]
        {
            assert_eq!(Advertisement::parse(text.as_bytes()), Err(AdvertisementError::Line(1)), "{text}");
        }
        let mixed = format!("{one}\trefs/heads/a\n{long}\trefs/heads/b\n");
        assert_eq!(Advertisement::parse(mixed.as_bytes()), Err(AdvertisementError::Hash));
    }
}
