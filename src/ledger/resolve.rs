//! What became of the accepted updates of one ref, by what it holds now and what the ledger says it held.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::object::ObjectId;

/// A ref's value; `None` where it does not exist.
type Value = Option<ObjectId>;

/// An accepted update of the ref that is not entered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The value before.
    pub old: Value,
    /// The value after.
    pub new: Value,
    /// Whoever was to do it does nothing more.
    pub is_over: bool,
}

/// What became of each, by its place in the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolution {
    /// What happened, in this order.
    pub entered: Vec<usize>,
    /// Of what it cannot be told any more.
    pub recovered: Vec<usize>,
    /// What did not happen.
    pub dropped: Vec<usize>,
}

/// Say what became of `pending`, the oldest first. The ledger says that the ref held `last` (`None` where it
/// says nothing) and it holds `now`; `happened` are those that somebody saw happen, in that order.
///
/// What leads from one value to the other has happened. Of the rest, what may still happen waits; what
/// begins at the present value, or is not needed to explain it, did not happen; and what is left where
/// nothing explains the present value may or may not have. Of two that are alike, and one of them still under
/// way, nobody can say yet which one it was.
#[must_use]
pub fn resolve(last: Option<Value>, now: Value, pending: &[Pending], happened: &[usize]) -> Resolution {
    let mut resolution = Resolution::default();
    let mut open: HashSet<usize> = (0..pending.len()).collect();
    // The gate accepts only what begins at the value that it finds.
    let mut at = last.or_else(|| pending.first().map(|first| first.old)).unwrap_or(now);
    for index in happened {
        open.remove(index);
    }
    for index in happened {
        let before = path(at, pending[*index].old, pending, &open).unwrap_or_default();
        for step in before.iter().chain([index]) {
            open.remove(step);
            resolution.entered.push(*step);
        }
        at = pending[*index].new;
    }
    let is_unclear = |step: &usize| {
        let alike = |other: &&usize| {
            pending[**other].old == pending[*step].old && pending[**other].new == pending[*step].new
        };
        let alike: Vec<&usize> = open.iter().filter(alike).collect();
        alike.len() > 1 && alike.iter().any(|other| !pending[**other].is_over)
    };
    let mut is_explained = true;
    if let Some(steps) = path(at, now, pending, &open) {
        if steps.iter().any(is_unclear) {
            return resolution;
        }
        open.retain(|index| !steps.contains(index));
        resolution.entered.extend(steps);
    } else if let Some(index) = (0..pending.len()).rev().find(|i| open.contains(i) && pending[*i].new == now)
    {
        if is_unclear(&index) {
            return resolution;
        }
        open.remove(&index);
        resolution.entered.push(index);
        is_explained = false;
    } else {
        is_explained = false;
    }
    let mut rest: Vec<usize> = open.into_iter().filter(|index| pending[*index].is_over).collect();
    rest.sort_unstable();
    for index in rest {
        if is_explained || pending[index].old == now {
            resolution.dropped.push(index);
        } else {
            resolution.recovered.push(index);
        }
    }
    resolution
}

/// The fewest of the `open` updates that lead from one value to another, the newer of two alike.
fn path(from: Value, to: Value, pending: &[Pending], open: &HashSet<usize>) -> Option<Vec<usize>> {
    let mut from_value: HashMap<Value, Vec<usize>> = HashMap::new();
    for (index, update) in pending.iter().enumerate().rev().filter(|(index, _)| open.contains(index)) {
        from_value.entry(update.old).or_default().push(index);
    }
    let mut came_by: HashMap<Value, Option<usize>> = HashMap::from([(from, None)]);
    let mut next = VecDeque::from([from]);
    while let Some(value) = next.pop_front() {
        if value == to {
            let mut steps = Vec::new();
            let mut value = value;
            while let Some(Some(index)) = came_by.get(&value) {
                steps.push(*index);
                value = pending[*index].old;
            }
            steps.reverse();
            return Some(steps);
        }
        for index in from_value.remove(&value).unwrap_or_default() {
            let new = pending[index].new;
            came_by.entry(new).or_insert_with(|| {
                next.push_back(new);
                Some(index)
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(letter: char) -> Value {
        (letter != '-').then(|| ObjectId::from_hex(letter.to_string().repeat(40).as_bytes()).unwrap())
    }

    /// Updates such as `ab`, which are over, or `ab~`, which are not.
    fn became(last: &str, now: char, pending: &[&str], happened: &[usize]) -> Resolution {
        let update = |text: &&str| {
            let letters: Vec<char> = text.chars().collect();
            Pending { old: value(letters[0]), new: value(letters[1]), is_over: letters.len() == 2 }
        };
        let pending: Vec<Pending> = pending.iter().map(update).collect();
        resolve(last.chars().next().map(value), value(now), &pending, happened)
    }

    fn resolution(entered: &[usize], recovered: &[usize], dropped: &[usize]) -> Resolution {
        Resolution { entered: entered.into(), recovered: recovered.into(), dropped: dropped.into() }
    }

    #[test]
    fn what_the_ref_holds_says_what_happened() {
        for (last, now, pending, happened, expected) in [
            ("a", 'b', &["ab"][..], &[][..], resolution(&[0], &[], &[])),
            ("", 'b', &["ab"], &[], resolution(&[0], &[], &[])),
            ("a", 'a', &["ab"], &[], resolution(&[], &[], &[0])),
            ("a", 'c', &["ab"], &[], resolution(&[], &[0], &[])),
            // Nothing is said of what may still happen.
            ("a", 'a', &["ab~"], &[], resolution(&[], &[], &[])),
            ("a", 'c', &["ab~"], &[], resolution(&[], &[], &[])),
            // It has, whoever was to do it.
            ("a", 'b', &["ab~"], &[], resolution(&[0], &[], &[])),
            // Made, and gone again.
            ("-", 'a', &["-a"], &[], resolution(&[0], &[], &[])),
            ("a", '-', &["a-"], &[], resolution(&[0], &[], &[])),
            // Entered before a crash, and left over.
            ("b", 'b', &["ab"], &[], resolution(&[], &[], &[0])),
            // Of two that began at one value one was too late.
            ("a", 'c', &["ab", "ac"], &[], resolution(&[1], &[], &[0])),
            ("a", 'c', &["ab~", "ac"], &[], resolution(&[1], &[], &[])),
            // The same twice: only one can have been the one.
            ("a", 'b', &["ab", "ab"], &[], resolution(&[1], &[], &[0])),
            ("a", 'b', &["ab", "ab~"], &[0], resolution(&[0], &[], &[])),
            ("a", 'b', &["ab~", "ab"], &[], resolution(&[], &[], &[])),
            ("c", 'b', &["ab~", "ab"], &[], resolution(&[], &[], &[])),
            // In whatever order they are entered, they happened in this one.
            ("a", 'c', &["bc", "ab"], &[], resolution(&[1, 0], &[], &[])),
            ("a", 'c', &["ab~", "bc~"], &[1], resolution(&[0, 1], &[], &[])),
            // Somebody has moved it on since.
            ("a", 'd', &["ab~"], &[0], resolution(&[0], &[], &[])),
            ("a", 'd', &["ab", "ac"], &[0], resolution(&[0], &[1], &[])),
            // There and back again.
            ("a", 'a', &["ab~", "ba~"], &[1], resolution(&[0, 1], &[], &[])),
            // Moved behind the gate's back, and then by a push.
            ("a", 'f', &["ef"], &[], resolution(&[0], &[], &[])),
            ("a", 'f', &["ab", "ef"], &[], resolution(&[1], &[0], &[])),
        ] {
            assert_eq!(
                became(last, now, pending, happened),
                expected,
                "{last:?} {now} {pending:?} {happened:?}"
            );
        }
    }

    proptest::proptest! {
        /// Each update is entered, recovered, dropped or waits, and never two of them.
        #[test]
        fn nothing_is_counted_twice(
            last in "[abc-]?", now in "[abc-]",
            pending in proptest::collection::vec("[abc-][abc-]~?", 0..8),
            happened in proptest::sample::subsequence((0..8).collect::<Vec<usize>>(), 0..4),
        ) {
            let pending: Vec<&str> = pending.iter().map(String::as_str).collect();
            let happened: Vec<usize> =
                happened.into_iter().filter(|index| *index < pending.len()).collect();
            let found = became(&last, now.chars().next().unwrap(), &pending, &happened);
            let mut all = [found.entered.clone(), found.recovered.clone(), found.dropped.clone()].concat();
            proptest::prop_assert!(happened.iter().all(|index| found.entered.contains(index)));
            for index in found.recovered.iter().chain(&found.dropped) {
                proptest::prop_assert!(!pending[*index].ends_with('~'));
            }
            let count = all.len();
            all.sort_unstable();
            all.dedup();
            proptest::prop_assert_eq!(all.len(), count);
        }
    }
}
