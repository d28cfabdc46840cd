//! The refs that a remote says it has, as `git ls-remote --symref` prints them.

use std::collections::{BTreeMap, HashMap};

use gix::bstr::{BStr, BString, ByteSlice as _};

use crate::{
    encoding::sha256,
    object::{HashKind, ObjectId},
};

/// How many symbolic refs may stand behind each other (refs.c, `SYMREF_MAXDEPTH`).
const MAXIMUM_HOPS: usize = 5;

/// What a remote says of its refs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advertisement {
    /// Every ref below `refs/`, by its name.
    pub refs: BTreeMap<BString, ObjectId>,
    /// What annotated tags lead to, as the remote says.
    pub peeled: HashMap<BString, ObjectId>,
    /// What `HEAD` is, if there is one.
    pub head: Option<Head>,
    /// Refs that are said to be other names for refs, and for which: see [`Self::target`].
    pub symbolic: HashMap<BString, BString>,
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
    /// The last line has no end.
    #[error("the list of the remote's refs is cut off")]
    CutOff,
    /// Object ids of two hashes.
    #[error("the remote names objects by two kinds of hash")]
    Hash,
    /// A ref that has two values.
    #[error("line {0} of the remote's refs names a ref that was named before")]
    Twice(usize),
}

impl Advertisement {
    /// Read what `git ls-remote --symref` printed.
    ///
    /// # Errors
    /// It is nothing that git prints.
    pub fn parse(text: &[u8]) -> Result<Self, AdvertisementError> {
        let mut found = Self::default();
        let mut hash = None;
        if !text.is_empty() && !text.ends_with(b"\n") {
            return Err(AdvertisementError::CutOff);
        }
        // A carriage return is part of a name, and no ref has one.
        for (index, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let malformed = || AdvertisementError::Line(index + 1);
            let (value, name) = line.split_once_str("\t").ok_or_else(malformed)?;
            if let Some(target) = value.strip_prefix(b"ref: ") {
                if name == b"HEAD" && is_name(target.as_bstr()) {
                    found.head = Some(Head::Symbolic(target.into()));
                } else if name != b"HEAD" && is_name(target.as_bstr()) {
                    found.symbolic.insert(name.into(), target.into());
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
                None if is_name(name.as_bstr()) => {
                    if found.refs.insert(name.into(), id).is_some() {
                        return Err(AdvertisementError::Twice(index + 1));
                    }
                }
                None => found.invalid.push(name.into()),
            }
        }
        Ok(found)
    }

    /// The ref itself for which `name` is another name. The remote says which refs are symbolic: it is believed only
    /// as far as both have the same value, for a name that has one of its own is a ref of its own.
    #[must_use]
    pub fn target(&self, name: &BString) -> Option<&BString> {
        let value = self.refs.get(name)?;
        let mut target = self.symbolic.get(name)?;
        for _ in 0..MAXIMUM_HOPS {
            if self.refs.get(target) != Some(value) {
                return None;
            }
            let Some(next) = self.symbolic.get(target) else { return Some(target) };
            target = next;
        }
        None
    }

    /// The refs that have values of their own.
    #[must_use]
    pub fn direct(&self) -> BTreeMap<BString, ObjectId> {
        let direct = self.refs.iter().filter(|(name, _)| self.target(name).is_none());
        direct.map(|(name, id)| (name.clone(), *id)).collect()
    }

    /// SHA-256 over every ref, its value, and for which ref it is said to be another name.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut text = Vec::with_capacity(self.refs.len() * 96);
        for (name, id) in &self.refs {
            text.extend_from_slice(id.as_bytes());
            text.extend_from_slice(name);
            // No name holds a NUL.
            text.push(0);
            text.extend_from_slice(self.symbolic.get(name).map_or(b"", |target| target.as_slice()));
            text.push(0);
        }
        sha256(&[&text])
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
        assert_eq!(found.symbolic, HashMap::from([("refs/heads/alias".into(), "refs/heads/main".into())]));
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
        let twice = format!("{one}\trefs/heads/a\n{}\trefs/heads/a\n", "2".repeat(40));
        assert_eq!(Advertisement::parse(twice.as_bytes()), Err(AdvertisementError::Twice(2)));
        let mixed = format!("{one}\trefs/heads/a\n{long}\trefs/heads/b\n");
        assert_eq!(Advertisement::parse(mixed.as_bytes()), Err(AdvertisementError::Hash));
        for text in [format!("{one}\trefs/heads/a\n{one}\trefs/heads/ma"), format!("{one}\trefs/heads/a")] {
            assert_eq!(Advertisement::parse(text.as_bytes()), Err(AdvertisementError::CutOff));
        }
        assert_eq!(Advertisement::parse(b""), Ok(Advertisement::default()));
        let returned = format!("{one}\trefs/heads/a\r\n");
        assert_eq!(Advertisement::parse(returned.as_bytes()).unwrap().invalid, ["refs/heads/a\r"]);
    }

    #[test]
    fn a_ref_is_another_name_only_with_the_value_of_what_it_names() {
        let line = |name: &str, digit: &str, target: Option<&str>| {
            let symbolic = target.map_or_else(String::new, |target| format!("ref: {target}\t{name}\n"));
            format!("{symbolic}{}\t{name}\n", digit.repeat(40))
        };
        let text = [
            line("refs/heads/main", "1", None),
            line("refs/heads/alias", "1", Some("refs/heads/main")),
            line("refs/heads/second", "1", Some("refs/heads/alias")),
            line("refs/heads/release", "2", Some("refs/heads/main")),
            line("refs/heads/hidden", "1", Some("refs/hidden/main")),
            line("refs/heads/itself", "1", Some("refs/heads/itself")),
        ]
        .concat();
        let found = Advertisement::parse(text.as_bytes()).unwrap();
        for name in ["refs/heads/alias", "refs/heads/second"] {
            assert_eq!(found.target(&name.into()), Some(&"refs/heads/main".into()), "{name}");
        }
        let direct: Vec<BString> = found.direct().into_keys().collect();
        assert_eq!(
            direct,
            ["refs/heads/hidden", "refs/heads/itself", "refs/heads/main", "refs/heads/release"]
        );
        // Each part of it counts.
        for (before, after) in
            [("1\trefs/heads/main", "2\trefs/heads/main"), ("ref: refs/heads/alias", "ref: refs/heads/main")]
        {
            let other = Advertisement::parse(text.replace(before, after).as_bytes()).unwrap();
            assert_ne!(other.digest(), found.digest(), "{before}");
        }
    }
}
