//! What a fetch has brought: each commit and tag of it has to be one that was asked for.
//!
//! What is judged is what the wanted values lead to. A pack can hold more than that, and whatever is
//! carried over stays in the object store, where its id finds it. Trees and blobs are let pass: they stand
//! for nothing until a commit or a tag leads to them.

use std::{collections::HashSet, fs, io, path::Path};

use gix::{
    objs::{CommitRefIter, Kind, TagRefIter},
    odb::pack::{
        data::{self, entry::Header},
        index,
    },
};

use crate::{
    object::{HashKind, ObjectId},
    repository::ObjectReader,
};

/// The commits and tags in the object directory `objects`, alternates left aside.
///
/// # Errors
/// A file cannot be read, or is not what git writes.
pub(super) fn commits_and_tags(
    objects: &Path,
    hash: HashKind,
    reader: &ObjectReader,
) -> io::Result<HashSet<ObjectId>> {
    let mut found = HashSet::new();
    for folder in fs::read_dir(objects)? {
        let folder = folder?;
        let name = folder.file_name();
        let Some(name) = name.to_str() else { continue };
        if name == "pack" {
            for file in fs::read_dir(folder.path())? {
                let path = file?.path();
                if path.extension().is_some_and(|extension| extension == "idx") {
                    in_pack(&path, hash, reader, &mut found)?;
                }
            }
        } else if name.len() == 2 {
            for file in fs::read_dir(folder.path())? {
                let rest = file?.file_name();
                let id = [name.as_bytes(), rest.as_encoded_bytes()].concat();
                let Ok(id) = ObjectId::from_hex(&id) else { continue };
                if !matches!(reader.kind(id).map_err(io::Error::other)?, Kind::Tree | Kind::Blob) {
                    found.insert(id);
                }
            }
        }
    }
    Ok(found)
}

/// Those in the pack whose index is at `path`. Kinds stand in the pack itself but for deltas, which have that
/// of their base.
fn in_pack(
    path: &Path,
    hash: HashKind,
    reader: &ObjectReader,
    found: &mut HashSet<ObjectId>,
) -> io::Result<()> {
    let index = index::File::at(path, hash).map_err(io::Error::other)?;
    let pack = data::File::at(path.with_extension("pack"), hash).map_err(io::Error::other)?;
    let mut entries: Vec<(u64, ObjectId)> =
        index.iter().map(|entry| (entry.pack_offset, entry.oid)).collect();
    entries.sort_unstable();
    // What a delta at an offset is made from stands before it.
    let mut kinds: Vec<Kind> = Vec::with_capacity(entries.len());
    for (offset, id) in &entries {
        let entry = pack.entry(*offset).map_err(io::Error::other)?;
        let kind = match entry.header {
            Header::Commit => Kind::Commit,
            Header::Tree => Kind::Tree,
            Header::Blob => Kind::Blob,
            Header::Tag => Kind::Tag,
            Header::OfsDelta { base_distance } => {
                let base = entry.checked_base_pack_offset(base_distance);
                let known =
                    base.and_then(|base| entries.binary_search_by_key(&base, |(offset, _)| *offset).ok());
                let known = known.and_then(|known| kinds.get(known).copied());
                known.map_or_else(|| reader.kind(*id).map_err(io::Error::other), Ok)?
            }
            Header::RefDelta { .. } => reader.kind(*id).map_err(io::Error::other)?,
        };
        if matches!(kind, Kind::Commit | Kind::Tag) {
            found.insert(*id);
        }
        kinds.push(kind);
    }
    Ok(())
}

/// One of those that `arrived` to which none of `wanted` leads, and which was not here `before` either.
pub(super) fn unasked(
    arrived: &HashSet<ObjectId>,
    judged: &HashSet<ObjectId>,
    wanted: &[ObjectId],
    all: &ObjectReader,
    before: &ObjectReader,
) -> Option<ObjectId> {
    let mut left: HashSet<ObjectId> = arrived.difference(judged).copied().collect();
    // In most fetches everything that came hangs together.
    walk(all, wanted, &mut left, |id| arrived.contains(&id));
    left.retain(|id| before.kind(*id).is_err());
    walk(all, wanted, &mut left, |_| true);
    left.into_iter().min()
}

/// Take out of `left` whatever `tips` lead to, by way of what `passes`.
fn walk(
    reader: &ObjectReader,
    tips: &[ObjectId],
    left: &mut HashSet<ObjectId>,
    passes: impl Fn(ObjectId) -> bool,
) {
    let mut seen = HashSet::new();
    let mut next = tips.to_vec();
    while let Some(id) = next.pop() {
        if left.is_empty() {
            return;
        }
        if !passes(id) || !seen.insert(id) {
            continue;
        }
        left.remove(&id);
        let Ok(object) = reader.read(id) else { continue };
        match object.kind {
            Kind::Commit => next.extend(CommitRefIter::from_bytes(&object.bytes, reader.hash()).parent_ids()),
            Kind::Tag => next.extend(TagRefIter::from_bytes(&object.bytes, reader.hash()).target_id()),
            Kind::Tree | Kind::Blob => {}
        }
    }
}
