//! What two commits have in common, by raw commits alone.

use gix::{
    hash::oid,
    objs::{Data, Find},
    revision::plumbing::{Graph, merge_base},
};

use super::{ObjectReadError, ObjectReader, changes::Allowance};
use crate::object::ObjectId;

/// Every best common ancestor of two commits, or more; none where their histories are not related.
///
/// What is missing behind a cut is as if it were not: fewer ancestors are common then.
///
/// # Errors
/// In words, if a commit is damaged or more would be read than `allowance` lets.
pub(super) fn merge_bases(
    reader: &ObjectReader,
    allowance: &Allowance<'_>,
    one: ObjectId,
    two: ObjectId,
) -> Result<Vec<ObjectId>, String> {
    let mut graph = Graph::new(Proven { reader, allowance }, None);
    let bases = merge_base(one, &[two], &mut graph).map_err(|error| error.to_string())?;
    Ok(bases.into_iter().flatten().collect())
}

/// Commits as [`ObjectReader`] proves them.
struct Proven<'a> {
    reader: &'a ObjectReader,
    allowance: &'a Allowance<'a>,
}

impl Find for Proven<'_> {
    fn try_find<'a>(&self, id: &oid, buffer: &'a mut Vec<u8>) -> gix::error::Result<Option<Data<'a>>> {
        let object = match self.reader.read(id.to_owned()) {
            Ok(object) => object,
            Err(ObjectReadError::Missing(_)) => return Ok(None),
            Err(error) => return Err(gix::error::Error::from_error(error)),
        };
        self.allowance.spend(object.bytes.len()).map_err(gix::error::Error::from_error)?;
        *buffer = object.bytes;
        Ok(Some(Data { kind: object.kind, object_hash: self.reader.hash(), data: buffer }))
    }
}
