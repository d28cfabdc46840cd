//! The addresses in the headers of new commits, where a rule asks whose they are.

use std::collections::{HashMap, HashSet};

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::{
    Pace,
    gate::{Gate, Task},
};
use crate::{
    object::{Commit, ObjectId},
    policy::{Cause, Persons},
    repository::ObjectReader,
};

/// Who stands in each commit of which somebody asks that, or why it cannot be told.
pub(super) type People = HashMap<ObjectId, Result<Persons, Cause>>;

/// The people of the new commits of `tasks`.
pub(super) fn people(gate: &Gate<'_>, tasks: &[Task<'_>]) -> People {
    let &Gate { objects, pace: Pace { is_over, .. }, .. } = gate;
    let mut seen = HashSet::new();
    let asked = tasks.iter().filter(|task| !task.rule.own_headers().is_empty());
    let ids: Vec<ObjectId> =
        asked.flat_map(|task| &task.commits).copied().filter(|id| seen.insert(*id)).collect();
    let look = |reader: &mut ObjectReader, id: &ObjectId| {
        let persons =
            if is_over() { Err(Cause::OutOfTime { judged: 0, of: 0 }) } else { persons(reader, *id) };
        (*id, persons)
    };
    ids.par_iter().map_init(|| objects.reader(), look).collect()
}

fn persons(reader: &ObjectReader, id: ObjectId) -> Result<Persons, Cause> {
    let object = reader.read(id).map_err(|error| Cause::Unexpected(error.to_string()))?;
    let commit = Commit::parse(reader.hash(), &object.bytes).map_err(Cause::Malformed)?;
    Ok(Persons::of(&commit))
}
