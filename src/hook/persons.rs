//! The addresses in the headers of new commits, where a rule asks whose they are.

use std::collections::HashMap;

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::{answers::FEW, pace::OUT_OF_TIME};
use crate::{
    object::{Commit, ObjectId},
    policy::{Cause, Persons},
    repository::{ObjectReader, Objects},
};

/// Who stands in each commit of which somebody asks that, or why it cannot be told.
pub(super) type People = HashMap<ObjectId, Result<Persons, Cause>>;

/// Who stands in the commits `ids`; `is_over` says whether the time for looking is.
pub(super) fn people(objects: &Objects, ids: &[ObjectId], is_over: &(dyn Fn() -> bool + Sync)) -> People {
    let look = |reader: &mut ObjectReader, id: &ObjectId| {
        let persons = if is_over() { Err(OUT_OF_TIME) } else { persons(reader, *id) };
        (*id, persons)
    };
    if ids.len() <= FEW {
        let mut reader = objects.reader();
        return ids.iter().map(|id| look(&mut reader, id)).collect();
    }
    ids.par_iter().map_init(|| objects.reader(), look).collect()
}

fn persons(reader: &ObjectReader, id: ObjectId) -> Result<Persons, Cause> {
    let object = reader.read(id).map_err(|error| Cause::Unexpected(error.to_string()))?;
    let commit = Commit::parse(reader.hash(), &object.bytes).map_err(Cause::Malformed)?;
    Ok(Persons::of(&commit))
}
