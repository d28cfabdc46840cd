//! A policy that the repository keeps in a ref of its own, as the gate goes by it.
//!
//! The administrator pins a commit that is believed as it is; from there on each commit is judged by the
//! one before. Which commit the ref was last found at is kept in the state folder, with the pin: a ref that
//! was set back behind the gate's back is noticed, and a step that was good when it came does not have to be
//! good for ever. A pin of its own begins anew.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::judge_policy_change;
use crate::{
    object::ObjectId,
    policy::Cause,
    repository::{Durability, ObjectReader, References, system, write_whole},
    sigstore::trusted_root::{Instance, MAXIMUM_ROOT_BYTES},
    trust::{ChainError, Followed, Pin, Reading, Trust, TrustError, commits_while, tip},
    words::{Failure, escape},
};

/// The longest file of ours, in bytes: a pin, an object id, and what is between.
const MAXIMUM_BYTES: u64 = 4096;

/// Where it is kept at which commit the policy was found last.
#[derive(Clone, Debug)]
pub struct PolicyMemory {
    path: PathBuf,
}

impl PolicyMemory {
    /// What the state folder `state` says.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { path: state.join("policy") }
    }

    /// The commit at which the policy of `pin` was found last; `None` if it never was.
    ///
    /// # Errors
    /// The note is there and cannot be read.
    pub fn recall(&self, pin: &Pin) -> Result<Option<ObjectId>, Failure> {
        // What another pin began says nothing about this one.
        Ok(self.read()?.and_then(|(known, commit)| (known == *pin).then_some(commit)))
    }

    fn read(&self) -> Result<Option<(Pin, ObjectId)>, Failure> {
        let failed = |reason: String| {
            let path = self.path.display();
            Failure::new(
                format!("'{path}', which says at which commit the policy was found last, {reason}"),
                "mend it, or take it away and install the hook again with a commit that you believe",
            )
        };
        let mut text = String::new();
        match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file
                .and_then(|file| file.take(MAXIMUM_BYTES).read_to_string(&mut text))
                .map_err(|error| failed(format!("cannot be read: {error}")))?,
        };
        let parse = || {
            let (known, commit) = text.strip_suffix('\n')?.rsplit_once(' ')?;
            let known = Pin::parse(known).ok()?;
            let commit = ObjectId::from_hex(commit.as_bytes()).ok()?;
            (commit.kind() == known.root.kind()).then_some((known, commit))
        };
        parse().map(Some).ok_or_else(|| failed("is damaged".to_owned()))
    }

    /// The pin for which something is noted, and the commit; `None` if nothing is, or it cannot be read.
    pub(super) fn noted(&self) -> Option<(Pin, ObjectId)> {
        self.read().ok().flatten()
    }

    /// Note that the ref of `pin` was found at `commit`, which follows from what was noted before.
    ///
    /// # Errors
    /// It cannot be written; what was noted before still is.
    pub fn note(&self, pin: &Pin, commit: ObjectId) -> io::Result<()> {
        let _lock = self.lock()?;
        self.write(pin, commit)
    }

    /// [`Self::note`], where nothing else than `before` is noted: of several who find the ref at different places
    /// the one who looked first says the least.
    ///
    /// # Errors
    /// It cannot be written; what was noted before still is.
    pub(super) fn note_after(&self, pin: &Pin, before: Option<ObjectId>, commit: ObjectId) -> io::Result<()> {
        let _lock = self.lock()?;
        // What cannot be read is not written over.
        let noted = self.recall(pin).map_err(|failure| io::Error::other(failure.error))?;
        if noted == before { self.write(pin, commit) } else { Ok(()) }
    }

    /// Held while it is looked at what is noted, and that is changed: a lock of the folder, for a file of root's
    /// would keep the hook out.
    fn lock(&self) -> io::Result<File> {
        let folder = File::open(self.path.parent().expect("the path ends in a file name"))?;
        // Where folders cannot be locked, two that come at the very same time may say less than they could.
        let _ = system::lock(&folder);
        Ok(folder)
    }

    fn write(&self, pin: &Pin, commit: ObjectId) -> io::Result<()> {
        write_whole(&self.path, format!("{pin} {commit}\n").as_bytes(), Durability::Disk)
    }
}

/// What reads a policy in a ref: the instances that it leaves to whoever reads it are those whose trusted
/// root was pinned at installation, and the built-in ones.
pub(super) fn server_instance(
    trusted_roots: &[(String, PathBuf)],
    name: &str,
) -> Result<Option<Instance>, Failure> {
    let Some((_, path)) = trusted_roots.iter().rfind(|(pinned, _)| pinned == name) else {
        let built_in = Instance::built_in(name).transpose();
        return built_in.map_err(|cause| TrustError::BuiltIn { name: name.to_owned(), cause }.into());
    };
    let failed = |reason: &dyn std::fmt::Display| {
        Failure::new(
            format!("the trusted root of '{name}', '{}', cannot be used: {reason}", path.display()),
            "every push is refused until this is mended; ask the server's administrator",
        )
    };
    let mut text = String::new();
    let file = File::open(path).map_err(|error| failed(&error))?;
    file.take(MAXIMUM_ROOT_BYTES as u64 + 1).read_to_string(&mut text).map_err(|error| failed(&error))?;
    Instance::from_json(name, &text).map(Some).map_err(|error| failed(&error))
}

/// The policy in a ref, as a gate sees it.
pub(super) struct PolicyRef<'a> {
    pub(super) pin: &'a Pin,
    pub(super) trusted_roots: &'a [(String, PathBuf)],
    pub(super) now: i64,
    /// Whether to go on along the policy's history; see [`Reading::go_on`].
    pub(super) go_on: &'a dyn Fn(usize, usize) -> bool,
}

impl PolicyRef<'_> {
    fn reading<T>(&self, read: impl FnOnce(&Reading<'_>) -> T) -> T {
        read(&Reading {
            now: self.now,
            instance: &|name| server_instance(self.trusted_roots, name),
            // What an instance is believed for, the policy says itself; a server has no wishes of its own.
            believes: &|_| true,
            ssh_revocations: &Default::default(),
            go_on: self.go_on,
            is_new: false,
        })
    }

    /// The policy at the commit that the ref names now. `seen` is where it was found last, asked for before
    /// the ref is read: pushes that run side by side then take each other for no rewind.
    ///
    /// # Errors
    /// There is no such ref, it was set back, or the policy does not follow.
    pub(super) fn read(
        &self,
        reader: &ObjectReader,
        references: &References,
        seen: Option<ObjectId>,
    ) -> Result<Followed, ChainError> {
        let tip = tip(references, &self.pin.reference)?;
        let from = seen.unwrap_or(self.pin.root);
        let chain = match commits_while(reader, tip, Some(from), &|read| (self.go_on)(read, 0)) {
            Err(ChainError::OtherRoot { .. }) if let Some(seen) = seen => {
                return Err(ChainError::Rewound { reference: self.pin.reference.clone(), seen });
            }
            chain => chain?,
        };
        let begun = Followed::begin(reader, &Pin { root: from, ..self.pin.clone() })?;
        self.reading(|reading| begun.advance_along(reader, &chain, reading))
    }

    /// Whether a push may give the ref the value `wanted`, where `present` is the commit that decides now.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn judge_change(
        &self,
        reader: &ObjectReader,
        present: ObjectId,
        wanted: Option<ObjectId>,
    ) -> Result<(), Cause> {
        self.reading(|reading| judge_policy_change(reader, self.pin, present, wanted, reading))
    }

    /// Take out the instances by which a push is judged.
    ///
    /// # Errors
    /// One of them has no trusted root here.
    pub(super) fn take_instances(&self, trust: &mut Trust) -> Result<Vec<Instance>, Failure> {
        let mut instances: Vec<Instance> = trust.roots.drain(..).map(|(instance, _)| instance).collect();
        for name in trust.rootless.drain(..) {
            let found = server_instance(self.trusted_roots, &name)?;
            instances.push(found.ok_or(TrustError::NotPinned(name))?);
        }
        Ok(instances)
    }
}

/// Note where the policy was found, after `before`; if that fails, a rewind may not be noticed, and no push is
/// refused for it.
pub(super) fn remember(
    memory: &PolicyMemory,
    pin: &Pin,
    before: Option<ObjectId>,
    found: ObjectId,
    words: &mut String,
) {
    if let Err(error) = memory.note_after(pin, before, found) {
        *words += &format!(
            "warning: '{}' cannot be written: {error}\n\
             hint: if the policy's ref is set back, that is not noticed\n",
            escape(&memory.path.display().to_string())
        );
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_note_counts_for_its_own_pin_and_only_whole() {
        let state = tempfile::tempdir().unwrap();
        let memory = PolicyMemory::new(state.path());
        let id = |digit: u8| ObjectId::from_hex(&[digit; 40]).unwrap();
        let pin = Pin {
            repository: "example.com/a".to_owned(),
            reference: "refs/countersign/policy".to_owned(),
            root: id(b'1'),
        };
        assert_eq!(memory.recall(&pin), Ok(None));
        memory.note(&pin, id(b'2')).unwrap();
        assert_eq!(memory.recall(&pin), Ok(Some(id(b'2'))));
        assert_eq!(memory.recall(&Pin { root: id(b'3'), ..pin.clone() }), Ok(None));
        assert_eq!(memory.noted(), Some((pin.clone(), id(b'2'))));
        // Somebody who has looked before another one came further takes nothing back.
        memory.note_after(&pin, Some(id(b'1')), id(b'4')).unwrap();
        memory.note_after(&pin, None, id(b'4')).unwrap();
        assert_eq!(memory.recall(&pin), Ok(Some(id(b'2'))));
        memory.note_after(&pin, Some(id(b'2')), id(b'4')).unwrap();
        assert_eq!(memory.recall(&pin), Ok(Some(id(b'4'))));
        memory.note(&pin, id(b'2')).unwrap();
        let text = fs::read_to_string(state.path().join("policy")).unwrap();
        for damaged in ["", "x", text.trim_end(), &text[..text.len() - 2], &format!("{text}{text}")] {
            fs::write(state.path().join("policy"), damaged).unwrap();
            assert!(memory.recall(&pin).is_err(), "{damaged:?}");
        }
        assert!(PolicyMemory::new(&state.path().join("none")).note(&pin, id(b'2')).is_err());
    }
}
