//! Which objects were there at which moment, by anchors that somebody vouches for: everything that is
//! reachable from one was there when it was.
//!
//! Like every walk here it believes raw objects alone. It keeps a few bytes for each object that is reachable.

use std::collections::HashMap;

use super::{ObjectReader, Reachable, Shallow};
use crate::object::ObjectId;

/// The objects that anchors cover, each with the earliest moment.
#[derive(Debug, Default)]
pub struct Coverage {
    received: HashMap<ObjectId, i64>,
    /// The earliest moment of an anchor of which not everything is at hand.
    gap: Option<i64>,
}

impl Coverage {
    /// Walk from `anchors`, each with its moment.
    #[must_use]
    pub fn new(objects: ObjectReader, shallow: Shallow, anchors: &[(ObjectId, i64)]) -> Self {
        Self::new_while(objects, shallow, anchors, &|| true)
    }

    /// The same for as long as `go_on` says so; what was not reached by then is not at hand.
    #[must_use]
    pub fn new_while(
        objects: ObjectReader,
        shallow: Shallow,
        anchors: &[(ObjectId, i64)],
        go_on: &dyn Fn() -> bool,
    ) -> Self {
        let mut coverage = Self::default();
        let hash = objects.hash();
        let mut anchors: Vec<_> = anchors.iter().filter(|(id, _)| id.kind() == hash).collect();
        // The oldest first: what it reaches was there then, whoever else reaches it.
        anchors.sort_by_key(|(_, moment)| *moment);
        let mut walk = Reachable::new(objects, shallow, []);
        for (anchor, moment) in anchors {
            walk.also(*anchor);
            for found in &mut walk {
                if !go_on() {
                    coverage.gap.get_or_insert(*moment);
                    return coverage;
                }
                coverage.received.insert(found.id, *moment);
                if found.cut_off || found.object.is_err() {
                    coverage.gap.get_or_insert(*moment);
                }
            }
        }
        coverage
    }

    /// Whether an anchor of `moment` or before covers `object`; `None` where not enough is at hand to say.
    #[must_use]
    pub fn covers(&self, object: ObjectId, moment: i64) -> Option<bool> {
        if self.received.get(&object).is_some_and(|received| *received <= moment) {
            return Some(true);
        }
        self.gap.is_none_or(|gap| gap > moment).then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::tests::Scratch;

    fn coverage(scratch: &Scratch, anchors: &[(ObjectId, i64)]) -> Coverage {
        let repository = scratch.open();
        let reader = repository.objects().unwrap().reader();
        Coverage::new(reader, repository.shallow(None).unwrap(), anchors)
    }

    #[test]
    fn what_an_anchor_reaches_is_covered_from_its_moment_on() {
        let scratch = Scratch::new(&[]);
        let [one, two, three] = ["one", "two", "three"].map(|message| scratch.commit(message));
        scratch.git(&["tag", "-m", "tag", "tag", "HEAD~1"]);
        let tag = scratch.id("tag^{tag}");
        let coverage = coverage(&scratch, &[(tag, 20), (one, 10)]);
        let at = |object, moment| coverage.covers(object, moment);
        assert_eq!((at(one, 9), at(one, 10), at(one, 20)), (Some(false), Some(true), Some(true)));
        assert_eq!((at(two, 19), at(two, 20)), (Some(false), Some(true)));
        assert_eq!((at(tag, 19), at(tag, 20)), (Some(false), Some(true)), "the anchor itself");
        assert_eq!(at(three, 100), Some(false));
    }

    #[test]
    fn what_is_not_at_hand_is_neither_covered_nor_not() {
        let scratch = Scratch::new(&[]);
        let [one, two, three] = ["one", "two", "three"].map(|message| scratch.commit(message));
        let gone = ObjectId::from_hex(&[b'1'; 40]).unwrap();
        let found = coverage(&scratch, &[(one, 10), (gone, 20)]);
        assert_eq!(
            (found.covers(one, 20), found.covers(two, 19), found.covers(two, 20)),
            (Some(true), Some(false), None)
        );
        std::fs::write(scratch.path().join(".git/shallow"), format!("{two}\n")).unwrap();
        let found = coverage(&scratch, &[(three, 10)]);
        assert_eq!((found.covers(three, 10), found.covers(two, 10)), (Some(true), Some(true)));
        assert_eq!((found.covers(one, 10), found.covers(one, 9)), (None, Some(false)));
        let foreign = ObjectId::from_hex(&[b'1'; 64]).unwrap();
        assert_eq!(coverage(&scratch, &[(foreign, 10)]).covers(one, 10), Some(false));
    }
}
