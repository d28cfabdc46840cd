//! Holding refs against a ledger: what moved without an entry, and what a ledger remembered says of another.
//!
//! Nothing here reads a repository: the records are handed in, the newest first, and so are the refs. The same
//! function serves a server's administrator and whoever looks at a remote.

use std::collections::{BTreeMap, HashMap, HashSet};

use gix::bstr::BString;

use super::{
    Elsewhere, Finding, LedgerError, LeftOver, Report, Walked, finding::MAXIMUM_FINDINGS, settle::GRACE,
};
use crate::{object::ObjectId, policy::is_ledger};

/// A ref's value; `None` where it does not exist.
type Value = Option<ObjectId>;

/// The accepted updates that are not entered yet, by ref: the value before and the value after of each.
pub type UnderWay = HashMap<BString, Vec<(Value, Value)>>;

/// How much later than a push another may have been received that is entered before it, in seconds: they were judged at
/// the same time, and one took longer.
const OVERLAP: i64 = GRACE;

/// What refs and ledger are held against.
#[derive(Clone, Copy)]
pub struct Check<'a> {
    /// The refs that there are, symbolic ones left out.
    pub refs: &'a BTreeMap<BString, ObjectId>,
    /// The head of the ledger.
    pub head: Value,
    /// The head that the ledger had earlier, as somebody remembers it.
    pub remembered: Value,
    /// What is accepted and not entered yet.
    pub under_way: &'a UnderWay,
    /// What of that was left over long ago.
    pub left_over: Option<LeftOver>,
    /// Which refs are told of before the others, so that many of those hide none of these.
    pub comes_first: &'a dyn Fn(&BString) -> bool,
}

/// Hold the refs of `check` against the ledger. `walk` gives the records from a commit back to the first.
pub fn check<W: Iterator<Item = Result<Walked, LedgerError>>>(
    check: &Check<'_>,
    walk: impl Fn(ObjectId) -> W,
) -> Report {
    let mut report = Report::default();
    let Some(head) = check.head else {
        report.add(Finding::NoLedger { remembered: check.remembered });
        return report;
    };
    // What each ref has to hold after the entry that is read next, and by which entry.
    let mut expected: HashMap<BString, (Value, Option<u64>)> = HashMap::new();
    let mut moved: Vec<(BString, Value, Option<u64>)> = Vec::new();
    let mut is_known = check.remembered.is_none();
    let mut received = i64::MAX;
    let (mut gaps, mut lacking) = (Vec::new(), Vec::new());
    for walked in walk(head) {
        let Walked { commit, record } = match walked {
            Ok(walked) => walked,
            Err(error) => {
                report.add(Finding::Broken { reason: error.to_string() });
                return report;
            }
        };
        is_known |= check.remembered == Some(commit);
        let count = record.entries.len() as u64;
        report.entries += count;
        report.new_entries += if is_known { 0 } else { count };
        if let Some(acceptance) = record.occasion.acceptance() {
            report.certified += if acceptance.certificate.is_some() { count } else { 0 };
            let lacks = acceptance.certificate.is_none() && acceptance.claims_certificate();
            // One more than can be told, so that it is told that there are more.
            if lacks && lacking.len() <= MAXIMUM_FINDINGS {
                lacking.push(record.sequence);
            }
        }
        if matches!(record.occasion, super::Occasion::Recovered(_)) {
            // Entered long after it was received.
            report.recovered += count;
        } else {
            let is_late = record.occasion.received() > received.saturating_add(OVERLAP);
            report.clock_set_back += u64::from(is_late);
            received = record.occasion.received();
        }
        for (index, entry) in record.entries.iter().enumerate() {
            let sequence = record.sequence + index as u64;
            match expected.insert(entry.reference.clone(), (entry.old, Some(sequence))) {
                None => {
                    let holds = check.refs.get(&entry.reference).copied();
                    if holds != entry.new {
                        moved.push((entry.reference.clone(), entry.new, Some(sequence)));
                    }
                }
                // One more than can be told, so that it is told that there are more.
                Some((found, Some(later))) if found != entry.new && gaps.len() <= MAXIMUM_FINDINGS => {
                    gaps.push(Finding::Gap {
                        reference: entry.reference.clone(),
                        left: entry.new,
                        found,
                        sequence: later,
                    });
                }
                Some(_) => {}
            }
        }
    }
    if !is_known && let Some(remembered) = check.remembered {
        let mut before = walk(remembered).map_while(Result::ok);
        report.add(match before.any(|walked| walked.commit == head) {
            true => Finding::RolledBack { remembered },
            false => Finding::Forked { remembered },
        });
    }
    if let Some(left_over) = check.left_over {
        report.add(Finding::LeftOver(left_over));
    }
    let first = expected.iter().filter_map(|(name, (old, sequence))| Some((name, (*old)?, (*sequence)?)));
    let mut first: Vec<_> = first.collect();
    first.sort_by_key(|(_, _, sequence)| *sequence);
    let first = first.into_iter().map(|(name, old, sequence)| Finding::Gap {
        reference: name.clone(),
        left: None,
        found: Some(old),
        sequence,
    });
    gaps.extend(first);
    let unknown = check.refs.keys().filter(|name| !is_ledger(name) && !expected.contains_key(*name));
    moved.extend(unknown.map(|name| (name.clone(), None, None)));
    moved.sort_by_cached_key(|one| (!(check.comes_first)(&one.0), one.clone()));
    explain(check, moved, walk(head), &mut report);
    let lacking = lacking.into_iter().map(|sequence| Finding::NoCertificate { sequence });
    gaps.into_iter().chain(lacking).for_each(|finding| report.add(finding));
    report
}

/// Say of each ref that holds something else where its value is known from.
fn explain(
    check: &Check<'_>,
    moved: Vec<(BString, Value, Option<u64>)>,
    records: impl Iterator<Item = Result<Walked, LedgerError>>,
    report: &mut Report,
) {
    let holds = |name: &BString| check.refs.get(name).copied();
    let wanted: HashSet<ObjectId> = moved.iter().filter_map(|(name, _, _)| holds(name)).collect();
    let mut known: HashMap<ObjectId, Vec<(BString, u64)>> = HashMap::new();
    if !wanted.is_empty() {
        for Walked { record, .. } in records.map_while(Result::ok) {
            for (entry, sequence) in record.entries.into_iter().zip(record.sequence..) {
                let value = entry.new.filter(|value| wanted.contains(value));
                if let Some(places) = value.map(|value| known.entry(value).or_default())
                    // One of each ref says enough.
                    && places.len() < MAXIMUM_FINDINGS
                    && places.iter().all(|(name, _)| *name != entry.reference)
                {
                    places.push((entry.reference, sequence));
                }
            }
        }
    }
    for (reference, entered, sequence) in moved {
        let holds = holds(&reference);
        let places = holds.and_then(|value| known.get(&value)).map(Vec::as_slice).unwrap_or_default();
        let elsewhere = match places.iter().find(|(name, _)| *name == reference).or(places.first()) {
            None => Elsewhere::Nowhere,
            Some((name, sequence)) if *name == reference => Elsewhere::Earlier { sequence: *sequence },
            Some((name, sequence)) => Elsewhere::OtherRef { reference: name.clone(), sequence: *sequence },
        };
        // It has happened; or it was entered after the refs were looked at. Whatever else the ref holds was
        // not accepted, and nobody hides it behind an update that is.
        let is_under_way = |(old, new): &(Value, Value)| *new == holds || (*old, *new) == (holds, entered);
        report.add(if check.under_way.get(&reference).is_some_and(|all| all.iter().any(is_under_way)) {
            Finding::UnderWay { reference }
        } else {
            Finding::Moved { reference, entered, sequence, holds, elsewhere }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::{Acceptance, Entry, Occasion, PolicyVersion, PushId, Record},
        object::{HashKind, object_id},
    };

    fn id(letter: char) -> Value {
        (letter != '-').then(|| ObjectId::from_hex(letter.to_string().repeat(40).as_bytes()).unwrap())
    }

    /// A ledger in memory: each text is a record such as `m-a t-b`, refs with their values.
    struct Chain(Vec<(ObjectId, Vec<u8>)>);

    impl Chain {
        fn new(records: &[&str]) -> Self {
            let mut chain = Self(Vec::new());
            records.iter().for_each(|record| chain.add(record));
            chain
        }

        fn add(&mut self, text: &str) {
            self.add_at(1000, false, text);
        }

        fn add_at(&mut self, received: i64, is_recovered: bool, text: &str) {
            let entry = |text: &str| {
                let letters: Vec<char> = text.chars().collect();
                let reference = format!("refs/heads/{}", letters[0]).into();
                Entry { old: id(letters[1]), new: id(letters[2]), reference }
            };
            let previous = self.0.last().map(|(commit, bytes)| Record::previous_for_next(*commit, bytes));
            let sequence = self.0.last().map_or(1, |(_, bytes)| {
                Record::parse(HashKind::Sha1, bytes).unwrap().next_sequence().unwrap()
            });
            let acceptance = Acceptance {
                push: PushId([1; 16]),
                received,
                policy: PolicyVersion::Digest([2; 32]),
                pusher: None,
                certificate: None,
            };
            let entries = text.split(' ').map(entry).collect();
            let occasion = match is_recovered {
                true => Occasion::Recovered(acceptance),
                false => Occasion::Push(acceptance),
            };
            let record = Record { sequence, previous, occasion, entries };
            let bytes = record.commit(HashKind::Sha1);
            let commit = object_id(HashKind::Sha1, gix::objs::Kind::Commit, &bytes).unwrap();
            self.0.push((commit, bytes));
        }

        fn head(&self) -> ObjectId {
            self.0.last().unwrap().0
        }

        fn walk(&self, from: ObjectId) -> impl Iterator<Item = Result<Walked, LedgerError>> {
            let at = self.0.iter().position(|(commit, _)| *commit == from);
            let records = self.0[..at.map_or(0, |at| at + 1)].iter().rev();
            records.map(|(commit, bytes)| {
                Ok(Walked { commit: *commit, record: Record::parse(HashKind::Sha1, bytes).unwrap() })
            })
        }

        fn check(&self, refs: &[&str], remembered: Value) -> Report {
            let of = |text: &&str| {
                let letters: Vec<char> = text.chars().collect();
                (format!("refs/heads/{}", letters[0]).into(), id(letters[1]).unwrap())
            };
            let refs = refs.iter().map(of).collect();
            let under_way = HashMap::from([
                ("refs/heads/u".into(), vec![(None, id('a')), (id('a'), id('b'))]),
                ("refs/heads/v".into(), vec![(id('a'), id('b'))]),
            ]);
            let head = Some(self.head());
            let comes_first = &|_: &BString| true;
            let given =
                Check { refs: &refs, head, remembered, under_way: &under_way, left_over: None, comes_first };
            check(&given, |from| self.walk(from))
        }
    }

    fn moved(name: char, entered: char, sequence: u64, holds: char, elsewhere: Elsewhere) -> Finding {
        Finding::Moved {
            reference: format!("refs/heads/{name}").into(),
            entered: id(entered),
            sequence: (sequence > 0).then_some(sequence),
            holds: id(holds),
            elsewhere,
        }
    }

    #[test]
    fn refs_are_held_against_their_last_entries() {
        let chain = Chain::new(&["m-a t-1", "mab", "x-c", "xc-"]);
        let good = chain.check(&["mb", "t1"], None);
        let of =
            |name, sequence| Elsewhere::OtherRef { reference: format!("refs/heads/{name}").into(), sequence };
        assert_eq!((good.entries, good.findings), (5, vec![]));
        for (refs, finding) in [
            (&["ma", "t1"][..], moved('m', 'b', 3, 'a', Elsewhere::Earlier { sequence: 1 })),
            (
                &["m1", "t1"],
                moved(
                    'm',
                    'b',
                    3,
                    '1',
                    Elsewhere::OtherRef { reference: "refs/heads/t".into(), sequence: 2 },
                ),
            ),
            (&["md", "t1"], moved('m', 'b', 3, 'd', Elsewhere::Nowhere)),
            (&["t1"], moved('m', 'b', 3, '-', Elsewhere::Nowhere)),
            (&["mb", "t1", "xc"], moved('x', '-', 5, 'c', Elsewhere::Earlier { sequence: 4 })),
            (
                &["mb", "t1", "ya"],
                moved(
                    'y',
                    '-',
                    0,
                    'a',
                    Elsewhere::OtherRef { reference: "refs/heads/m".into(), sequence: 1 },
                ),
            ),
            (&["mb", "t1", "ua"], Finding::UnderWay { reference: "refs/heads/u".into() }),
            (&["mb", "t1", "ub"], Finding::UnderWay { reference: "refs/heads/u".into() }),
            // An update that is under way explains what it does, and nothing else.
            (&["mb", "t1", "uc"], moved('u', '-', 0, 'c', of('x', 4))),
            (&["mb", "t1", "va"], moved('v', '-', 0, 'a', of('m', 1))),
        ] {
            assert_eq!(chain.check(refs, None).findings, [finding], "{refs:?}");
        }
    }

    #[test]
    fn what_was_entered_while_refs_were_read_is_under_way() {
        let chain = Chain::new(&["m-a", "mab"]);
        let name = BString::from("refs/heads/m");
        for (under_way, expected) in [
            (vec![(id('a'), id('b'))], Finding::UnderWay { reference: name.clone() }),
            (vec![(id('a'), id('c'))], moved('m', 'b', 2, 'a', Elsewhere::Earlier { sequence: 1 })),
            (vec![], moved('m', 'b', 2, 'a', Elsewhere::Earlier { sequence: 1 })),
        ] {
            let given = Check {
                refs: &[(name.clone(), id('a').unwrap())].into(),
                head: Some(chain.head()),
                remembered: None,
                under_way: &[(name.clone(), under_way)].into(),
                left_over: None,
                comes_first: &|_| true,
            };
            assert_eq!(check(&given, |from| chain.walk(from)).findings, std::slice::from_ref(&expected));
            let left_over = LeftOver { updates: 2, since: 7 };
            let given = Check { left_over: Some(left_over), ..given };
            let findings = check(&given, |from| chain.walk(from)).findings;
            assert_eq!(findings, [Finding::LeftOver(left_over), expected]);
        }
    }

    #[test]
    fn what_moved_between_two_entries_is_a_gap() {
        let gap = |left, found, sequence| Finding::Gap {
            reference: "refs/heads/m".into(),
            left: id(left),
            found: id(found),
            sequence,
        };
        assert_eq!(Chain::new(&["m-a", "mbc"]).check(&["mc"], None).findings, [gap('a', 'b', 2)]);
        assert_eq!(
            Chain::new(&["m-a", "t-a", "m-c"]).check(&["mc", "ta"], None).findings,
            [gap('a', '-', 3)]
        );
        assert_eq!(Chain::new(&["mab"]).check(&["mb"], None).findings, [gap('-', 'a', 1)]);
    }

    #[test]
    fn a_head_that_is_remembered_tells_rollback_and_fork() {
        let old = Chain::new(&["m-a"]);
        let mut new = Chain::new(&["m-a", "mab t-a"]);
        let grown = new.check(&["mb", "ta"], Some(old.head()));
        assert_eq!((grown.new_entries, grown.findings), (2, vec![]));
        let remembered = new.head();
        assert_eq!(new.check(&["mb", "ta"], Some(remembered)).new_entries, 0);
        // The one who remembers has the records that are remembered.
        let cut = Check {
            refs: &[("refs/heads/m".into(), id('a').unwrap())].into(),
            head: Some(old.head()),
            remembered: Some(remembered),
            under_way: &UnderWay::new(),
            left_over: None,
            comes_first: &|_| true,
        };
        let report = check(&cut, |from| new.walk(from));
        assert_eq!(report.findings, [Finding::RolledBack { remembered }]);
        new.0.truncate(1);
        new.add("mac");
        let report = new.check(&["mc"], Some(remembered));
        assert_eq!(report.findings, [Finding::Forked { remembered }]);
        let none = check(&Check { head: None, ..cut }, |from| new.walk(from));
        assert_eq!(none.findings, [Finding::NoLedger { remembered: Some(remembered) }]);
    }

    #[test]
    fn pushes_that_were_judged_at_the_same_time_set_no_clock_back() {
        for (received, recovered, expected) in [
            (&[1000, 1000, 1001][..], None, 0),
            // The second was received first, and took longer.
            (&[10_000, 10_000 - OVERLAP], None, 0),
            (&[10_000, 9_999 - OVERLAP], None, 1),
            (&[100_000, 1, 100_000, 2], None, 2),
            // What cannot be told any more is entered when that is known.
            (&[100_000, 1, 100_001], Some(1), 0),
        ] {
            let mut chain = Chain::new(&[]);
            for (number, received) in received.iter().enumerate() {
                let is_recovered = recovered == Some(number);
                chain.add_at(*received, is_recovered, ["m-a", "mab", "mba", "mab"][number]);
            }
            assert_eq!(chain.check(&["ma"], None).clock_set_back, expected, "{received:?}");
        }
    }

    #[test]
    fn what_comes_first_is_hidden_behind_nothing() {
        let chain = Chain::new(&["z-a"]);
        let others = (0..MAXIMUM_FINDINGS).map(|number| format!("refs/heads/n{number}"));
        let names = others.chain(["refs/heads/z".to_owned()]);
        let check = |comes_first: &dyn Fn(&BString) -> bool| {
            let given = Check {
                refs: &names.clone().map(|name| (name.into(), id('b').unwrap())).collect(),
                head: Some(chain.head()),
                remembered: None,
                under_way: &UnderWay::new(),
                left_over: None,
                comes_first,
            };
            super::check(&given, |from| chain.walk(from))
        };
        let expected = moved('z', 'a', 1, 'b', Elsewhere::Nowhere);
        let report = check(&|name| name == "refs/heads/z");
        assert!(report.is_cut_short && report.findings[0] == expected);
        assert!(!check(&|_| true).findings.contains(&expected));
    }

    #[test]
    fn many_gaps_hide_neither_a_fork_nor_a_ref_that_was_moved() {
        let honest = Chain::new(&["m-a"]);
        let records: Vec<&str> = ["m-b"].into_iter().cycle().take(MAXIMUM_FINDINGS + 100).collect();
        let report = Chain::new(&records).check(&["mc"], Some(honest.head()));
        assert!(report.is_cut_short && report.findings.len() == MAXIMUM_FINDINGS);
        assert_eq!(report.findings[0], Finding::Forked { remembered: honest.head() });
        let sequence = records.len() as u64;
        assert_eq!(report.findings[1], moved('m', 'b', sequence, 'c', Elsewhere::Nowhere));
        assert!(matches!(report.findings.last(), Some(Finding::Gap { .. })));
    }
}
