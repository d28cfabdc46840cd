//! Raw objects from a list of object databases, each proven to be what its id says.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use gix::objs::{Find as _, FindHeader as _, Kind};

use crate::object::{self, HashKind, MAXIMUM_OBJECT_BYTES, ObjectId};

/// Object databases, asked in order. Cheap to clone and shared between threads; each thread reads
/// through an [`ObjectReader`] of its own.
#[derive(Clone)]
pub struct Objects {
    hash: HashKind,
    stores: Arc<[Arc<gix::odb::Store>]>,
}

/// A thread's own view of [`Objects`], with its caches.
pub struct ObjectReader {
    hash: HashKind,
    /// They look at what was on disk when they were first used: a miss costs no look at the disk,
    /// which would otherwise be paid in the quarantine for each object that stands outside of it.
    handles: Vec<gix::odb::HandleArc>,
    /// They look again: packs may have been moved in the meantime.
    fresh: Vec<gix::odb::HandleArc>,
}

/// An object whose bytes hash to the id that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its id, recomputed.
    pub id: ObjectId,
    /// Its kind.
    pub kind: Kind,
    /// Its bytes, without git's header.
    pub bytes: Vec<u8>,
}

/// Why an object cannot be had. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectReadError {
    /// The bytes that are stored under this id are not the object that it names.
    #[error("what is stored as object '{0}' has another id")]
    Mismatch(ObjectId),
    /// No database has it.
    #[error("the object '{0}' is missing")]
    Missing(ObjectId),
    /// An object directory cannot be opened.
    #[error("the object directory '{}' cannot be opened: {reason}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// More than [`MAXIMUM_OBJECT_BYTES`].
    #[error("the object '{0}' is larger than {MAXIMUM_OBJECT_BYTES} bytes")]
    TooLarge(ObjectId),
    /// It is stored damaged.
    #[error("the object '{id}' cannot be read: {reason}")]
    Unreadable {
        /// The object.
        id: ObjectId,
        /// Why not.
        reason: String,
    },
}

impl Objects {
    /// Open the object databases in `directories`, each with the alternates that it names itself.
    ///
    /// # Errors
    /// One of them is no directory or cannot be read.
    pub fn open(hash: HashKind, directories: &[PathBuf]) -> Result<Self, ObjectReadError> {
        let mut seen = Vec::new();
        let mut stores = Vec::new();
        for directory in directories {
            let failed = |reason: String| ObjectReadError::Open { path: directory.clone(), reason };
            let canonical = directory.canonicalize().map_err(|error| failed(error.to_string()))?;
            if seen.contains(&canonical) {
                continue;
            }
            stores.push(Arc::new(store(hash, &canonical).map_err(|error| failed(error.to_string()))?));
            seen.push(canonical);
        }
        Ok(Self { hash, stores: stores.into() })
    }

    /// The hash that names the objects.
    #[must_use]
    pub fn hash(&self) -> HashKind {
        self.hash
    }

    /// The directories that the objects are in, but for the alternates that these name themselves.
    #[must_use]
    pub fn directories(&self) -> Vec<PathBuf> {
        self.stores.iter().map(|store| store.path().to_owned()).collect()
    }

    /// A reader for one thread.
    #[must_use]
    pub fn reader(&self) -> ObjectReader {
        let handles = self.stores.iter().map(|store| {
            let mut handle = store.to_cache_arc();
            handle.set_pack_cache(|| Box::new(gix::odb::pack::cache::lru::StaticLinkedList::<64>::default()));
            handle
        });
        let fresh: Vec<gix::odb::HandleArc> = handles.collect();
        let mut handles = fresh.clone();
        handles.iter_mut().for_each(|handle| handle.refresh_never());
        ObjectReader { hash: self.hash, handles, fresh }
    }
}

fn store(hash: HashKind, directory: &Path) -> std::io::Result<gix::odb::Store> {
    let options = gix::odb::store::init::Options {
        alloc_limit_bytes: Some(MAXIMUM_OBJECT_BYTES),
        current_dir: Some(directory.to_owned()),
        ..Default::default()
    };
    // No replacements: what `refs/replace/` says is nothing to a verifier.
    gix::odb::Store::at_opts(directory.to_owned(), hash, &mut std::iter::empty(), options)
}

impl ObjectReader {
    /// The hash that names the objects.
    #[must_use]
    pub fn hash(&self) -> HashKind {
        self.hash
    }

    /// Read an object and prove that it is the one that `id` names.
    ///
    /// # Errors
    /// See [`ObjectReadError`].
    pub fn read(&self, id: ObjectId) -> Result<Object, ObjectReadError> {
        self.ask(id, |handle| {
            let mut bytes = Vec::new();
            let found = match handle.try_find(&id, &mut bytes) {
                Ok(Some(found)) => found,
                Ok(None) => return Ok(None),
                // The store itself refuses to allocate more; its header tells whether that was it.
                Err(error) => {
                    let size = handle.try_header(&id).ok().flatten().map_or(0, |header| header.size);
                    return Err(match size > MAXIMUM_OBJECT_BYTES as u64 {
                        true => ObjectReadError::TooLarge(id),
                        false => ObjectReadError::Unreadable { id, reason: error.to_string() },
                    });
                }
            };
            let kind = found.kind;
            if object::object_id(self.hash, kind, found.data) != Some(id) {
                return Err(ObjectReadError::Mismatch(id));
            }
            Ok(Some(Object { id, kind, bytes }))
        })
    }

    /// [`Self::read`] an object of at most `maximum` bytes; a larger one is not read at all.
    ///
    /// # Errors
    /// See [`ObjectReadError`].
    pub fn read_at_most(&self, id: ObjectId, maximum: usize) -> Result<Object, ObjectReadError> {
        let size = self.ask(id, |handle| match handle.try_header(&id) {
            Ok(header) => Ok(header.map(|header| header.size)),
            Err(error) => Err(ObjectReadError::Unreadable { id, reason: error.to_string() }),
        })?;
        if size > maximum as u64 {
            return Err(ObjectReadError::TooLarge(id));
        }
        let object = self.read(id)?;
        // What the header says is the storage's word alone.
        if object.bytes.len() > maximum { Err(ObjectReadError::TooLarge(id)) } else { Ok(object) }
    }

    /// The kind of an object, without reading it: for trees and blobs, whose content is not judged.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn kind(&self, id: ObjectId) -> Result<Kind, ObjectReadError> {
        self.header(id).map(|(kind, _)| kind)
    }

    /// The kind and the size in bytes of an object, as stored and without reading it.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn header(&self, id: ObjectId) -> Result<(Kind, u64), ObjectReadError> {
        self.ask(id, |handle| match handle.try_header(&id) {
            Ok(header) => Ok(header.map(|header| (header.kind, header.size))),
            Err(error) => Err(ObjectReadError::Unreadable { id, reason: error.to_string() }),
        })
    }

    /// The first answer of all databases in order, and once more with a new look at the disk.
    fn ask<T>(
        &self,
        id: ObjectId,
        question: impl Fn(&gix::odb::HandleArc) -> Result<Option<T>, ObjectReadError>,
    ) -> Result<T, ObjectReadError> {
        for handle in &self.handles {
            match question(handle) {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => {}
                Err(ObjectReadError::Unreadable { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        for handle in &self.fresh {
            if let Some(answer) = question(handle)? {
                return Ok(answer);
            }
        }
        Err(ObjectReadError::Missing(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::tests::Scratch;

    fn loose(scratch: &Scratch, id: ObjectId) -> PathBuf {
        let hex = id.to_string();
        scratch.path().join(".git/objects").join(&hex[..2]).join(&hex[2..])
    }

    #[test]
    fn loose_and_packed_objects_are_read_from_every_database() {
        let first = Scratch::new(&[]);
        let second = Scratch::new(&[]);
        let one = first.commit("one");
        let two = second.commit("two");
        second.git(&["repack", "-adq"]);
        let directories = [first.path().join(".git/objects"), second.path().join(".git/objects")];
        let reader = Objects::open(HashKind::Sha1, &directories).unwrap().reader();
        assert_eq!(reader.read(one).unwrap().kind, Kind::Commit);
        assert!(reader.read(two).unwrap().bytes.ends_with(b"two\n"));
        assert_eq!(reader.kind(two).unwrap(), Kind::Commit);
    }

    #[test]
    fn a_missing_object_has_its_own_error() {
        let scratch = Scratch::new(&[]);
        let id = scratch.commit("one");
        std::fs::remove_file(loose(&scratch, id)).unwrap();
        let reader = scratch.open().objects().unwrap().reader();
        assert!(matches!(reader.read(id), Err(ObjectReadError::Missing(missing)) if missing == id));
    }

    #[test]
    fn an_object_stored_under_another_id_is_refused() {
        let scratch = Scratch::new(&[]);
        let one = scratch.commit("one");
        let two = scratch.commit("two");
        std::fs::remove_file(loose(&scratch, two)).unwrap();
        std::fs::copy(loose(&scratch, one), loose(&scratch, two)).unwrap();
        let reader = scratch.open().objects().unwrap().reader();
        assert!(matches!(reader.read(two), Err(ObjectReadError::Mismatch(id)) if id == two));
    }

    #[test]
    fn an_object_larger_than_the_cap_is_refused_loose_and_packed() {
        let scratch = Scratch::new(&[]);
        let big = scratch.path().join("big");
        std::fs::write(&big, vec![b'x'; MAXIMUM_OBJECT_BYTES + 1]).unwrap();
        let id: ObjectId = scratch.git(&["hash-object", "-w", "big"]).parse().unwrap();
        let read = || scratch.open().objects().unwrap().reader().read(id);
        assert!(matches!(read(), Err(ObjectReadError::TooLarge(_))), "{:?}", read().err());
        scratch.git(&["add", "big"]);
        scratch.commit("big");
        scratch.git(&["repack", "-adq"]);
        assert!(matches!(read(), Err(ObjectReadError::TooLarge(_))), "{:?}", read().err());
    }

    #[test]
    fn packs_that_are_moved_or_added_meanwhile_are_found() {
        let scratch = Scratch::new(&[]);
        let one = scratch.commit("one");
        let reader = scratch.open().objects().unwrap().reader();
        reader.read(one).unwrap();
        scratch.commit("two");
        scratch.git(&["repack", "-adq"]);
        scratch.git(&["prune-packed"]);
        assert_eq!(reader.read(one).unwrap().kind, Kind::Commit);
        let three = scratch.commit("three");
        scratch.git(&["repack", "-adfq"]);
        assert_eq!(reader.read(three).unwrap().kind, Kind::Commit);
        assert_eq!(reader.kind(one).unwrap(), Kind::Commit);
    }

    #[test]
    fn replace_refs_change_nothing() {
        let scratch = Scratch::new(&[]);
        let one = scratch.commit("one");
        let two = scratch.commit("two");
        scratch.git(&["replace", &two.to_string(), &one.to_string()]);
        assert!(scratch.open().objects().unwrap().reader().read(two).unwrap().bytes.ends_with(b"two\n"));
    }
}
