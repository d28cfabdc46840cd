//! Properties of the ledger: what is written is read, what is read is written, and nothing is taken out of the
//! middle of it unnoticed.

use std::collections::{BTreeMap, HashMap};

use gix::{bstr::BString, objs::Kind};
use proptest::{collection::vec, option, prelude::*, sample::Index};

use super::{
    Acceptance, Check, Entry, Finding, Folder, Intent, LedgerError, Occasion, PolicyVersion, Previous,
    Process, PushId, Record, Report, UnderWay, Walked, check,
};
use crate::object::{HashKind, ObjectId, object_id};

const HASH: HashKind = HashKind::Sha1;

fn cases(number: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(number) }
}

fn id(digit: u8) -> ObjectId {
    ObjectId::from_bytes_or_panic(&[digit; 20])
}

/// A value of few, so that refs come back to what they held.
fn value() -> impl Strategy<Value = Option<ObjectId>> {
    option::of((1..4_u8).prop_map(id))
}

fn name() -> impl Strategy<Value = BString> {
    prop::sample::select(vec!["refs/heads/a", "refs/heads/b", "refs/tags/\u{e4}", "refs/x/\u{202e}y"])
        .prop_map(BString::from)
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let moves = prop::collection::btree_map(name(), (value(), value()), 1..4);
    let is_move = |entries: &Vec<Entry>| !entries.is_empty();
    let entries = moves.prop_map(|moves| {
        let entries = moves.into_iter().filter(|(_, (old, new))| old != new);
        entries.map(|(reference, (old, new))| Entry { old, new, reference }).collect::<Vec<_>>()
    });
    entries.prop_filter("something moves", is_move)
}

fn acceptance() -> impl Strategy<Value = Acceptance> {
    let policy = prop_oneof![
        any::<[u8; 32]>().prop_map(PolicyVersion::Digest),
        (1..9_u8).prop_map(|digit| PolicyVersion::Commit(id(digit))),
    ];
    // Names that read like the lines that follow.
    let hostile = format!("x {} {} refs/heads/a", id(1), id(2));
    let pusher = prop_oneof![
        "[!-~][ -~]{0,40}".boxed(),
        Just(hostile).boxed(),
        Just(format!("{} {} refs/heads/a", id(1), id(2))).boxed(),
    ];
    let certificate = option::of((1..9_u8).prop_map(id));
    (any::<[u8; 16]>(), 0..i64::MAX, policy, option::of(pusher), certificate).prop_map(
        |(push, received, policy, pusher, certificate)| Acceptance {
            push: PushId(push),
            received,
            policy,
            pusher,
            certificate,
        },
    )
}

fn occasion() -> impl Strategy<Value = Occasion> {
    prop_oneof![
        acceptance().prop_map(Occasion::Push),
        acceptance().prop_map(Occasion::Recovered),
        (0..i64::MAX).prop_map(|received| Occasion::Standing { received }),
        (0..i64::MAX, "[ -~]{1,40}")
            .prop_map(|(received, reason)| Occasion::Administrator { received, reason }),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    let previous = option::of((1..9_u8, any::<[u8; 32]>()));
    (2..u64::MAX / 2, previous, occasion(), entries()).prop_map(|(sequence, previous, occasion, entries)| {
        let previous = previous.map(|(commit, digest)| Previous { commit: id(commit), digest });
        let sequence = if previous.is_some() { sequence } else { 1 };
        Record { sequence, previous, occasion, entries }
    })
}

/// The records of a ledger by their commits, and its head.
#[derive(Default)]
struct Chain {
    records: HashMap<ObjectId, Record>,
    heads: Vec<ObjectId>,
}

impl Chain {
    /// One record for each of `pushes`, as they would be written.
    fn of(pushes: &[Vec<Entry>]) -> Self {
        let mut chain = Self::default();
        let (mut sequence, mut previous) = (1, None);
        for entries in pushes {
            let occasion = Occasion::Standing { received: 1 };
            let record = Record { sequence, previous, occasion, entries: entries.clone() };
            let bytes = record.commit(HASH);
            let record = Record::parse(HASH, &bytes).unwrap();
            let commit = object_id(HASH, Kind::Commit, &bytes).unwrap();
            (sequence, previous) =
                (record.next_sequence().unwrap(), Some(Record::previous_for_next(commit, &bytes)));
            chain.records.insert(commit, record);
            chain.heads.push(commit);
        }
        chain
    }

    fn walk(&self, from: ObjectId) -> impl Iterator<Item = Result<Walked, LedgerError>> {
        let mut next = Some(from);
        std::iter::from_fn(move || {
            let commit = next?;
            let record = self.records[&commit].clone();
            next = record.previous.map(|previous| previous.commit);
            Some(Ok(Walked { commit, record }))
        })
    }

    /// What the check finds where the refs are `refs`.
    fn report(&self, refs: &BTreeMap<BString, ObjectId>, remembered: Option<ObjectId>) -> Report {
        let under_way = UnderWay::new();
        let held_against = Check {
            refs,
            head: self.heads.last().copied(),
            remembered,
            under_way: &under_way,
            left_over: None,
            comes_first: &|_| false,
        };
        check(&held_against, |from| self.walk(from))
    }
}

/// Pushes that follow from each other, and what the refs hold after each.
fn story(wanted: Vec<Vec<(BString, Option<ObjectId>)>>) -> Vec<(Vec<Entry>, BTreeMap<BString, ObjectId>)> {
    let mut refs: BTreeMap<BString, ObjectId> = BTreeMap::new();
    let mut story = Vec::new();
    for push in wanted {
        let mut entries: Vec<Entry> = Vec::new();
        for (reference, new) in push {
            let old = refs.get(&reference).copied();
            if old == new || entries.iter().any(|entry| entry.reference == reference) {
                continue;
            }
            match new {
                Some(new) => drop(refs.insert(reference.clone(), new)),
                None => drop(refs.remove(&reference)),
            }
            entries.push(Entry { old, new, reference });
        }
        if !entries.is_empty() {
            story.push((entries, refs.clone()));
        }
    }
    story
}

fn about(finding: &Finding) -> Option<&BString> {
    match finding {
        Finding::Gap { reference, .. } | Finding::Moved { reference, .. } => Some(reference),
        _ => None,
    }
}

fn process() -> impl Strategy<Value = Process> {
    (1..3_u32).prop_map(|number| Process::parse(&format!("{number} 5 6")).unwrap())
}

fn intent() -> impl Strategy<Value = Intent> {
    (acceptance(), option::of((1..9_u8).prop_map(id)), option::of(process()), entries())
        .prop_map(|(acceptance, ledger, process, entries)| Intent { acceptance, ledger, process, entries })
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn any_record_is_read_as_it_was_written(record in record()) {
        prop_assert_eq!(Record::parse(HASH, &record.commit(HASH)), Ok(record));
    }

    #[test]
    fn a_record_that_was_changed_is_another_or_none(record in record(), at in any::<Index>(), byte: u8) {
        let mut bytes = record.commit(HASH);
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        if let Ok(other) = Record::parse(HASH, &bytes) {
            prop_assert_ne!(&other, &record);
            prop_assert_eq!(other.commit(HASH), bytes);
        }
    }

    #[test]
    fn any_intent_is_read_as_it_was_written(intent in intent()) {
        prop_assert_eq!(Intent::parse(HASH, &intent.bytes(HASH)), Ok(intent));
    }

    #[test]
    fn refs_are_as_a_ledger_says_that_saw_each_move(
        wanted in vec(vec((name(), value()), 1..4), 1..8), at in any::<Index>(), change in (name(), value()),
    ) {
        let story = story(wanted);
        prop_assume!(!story.is_empty());
        let pushes: Vec<Vec<Entry>> = story.iter().map(|(entries, _)| entries.clone()).collect();
        let chain = Chain::of(&pushes);
        let mut refs = story.last().unwrap().1.clone();
        let count = pushes.iter().map(Vec::len).sum::<usize>() as u64;

        let seen = at.index(pushes.len());
        let report = chain.report(&refs, Some(chain.heads[seen]));
        prop_assert_eq!(&report.findings, &[]);
        let new = pushes[seen + 1..].iter().map(Vec::len).sum::<usize>() as u64;
        prop_assert_eq!((report.entries, report.new_entries), (count, new));

        // What moves without an entry is found, whatever it is.
        let (reference, value) = change;
        let before = refs.get(&reference).copied();
        match value {
            Some(value) => drop(refs.insert(reference.clone(), value)),
            None => drop(refs.remove(&reference)),
        }
        let report = chain.report(&refs, None);
        let told: Vec<&BString> = report.findings.iter().filter_map(about).collect();
        let expected: Vec<&BString> = Some(&reference).filter(|_| before != value).into_iter().collect();
        prop_assert_eq!(told, expected);
    }

    #[test]
    fn nothing_is_taken_out_of_the_middle_unnoticed(
        wanted in vec(vec((name(), value()), 1..4), 2..8), at in any::<Index>(),
    ) {
        let story = story(wanted);
        prop_assume!(story.len() > 1);
        let mut pushes: Vec<Vec<Entry>> = story.iter().map(|(entries, _)| entries.clone()).collect();
        let whole = Chain::of(&pushes);
        let refs = &story.last().unwrap().1;
        let gone = pushes.remove(at.index(pushes.len()));
        let chain = Chain::of(&pushes);
        let report = chain.report(refs, None);
        for entry in gone {
            prop_assert!(report.findings.iter().any(|finding| about(finding) == Some(&entry.reference)));
        }
        // Whoever remembers the head notices the rest besides.
        let mut both = Chain { records: whole.records, heads: chain.heads };
        both.records.extend(chain.records);
        let remembered = whole.heads.last().copied();
        let is_other = |finding: &Finding| matches!(
            finding, Finding::Forked { .. } | Finding::RolledBack { .. }
        );
        prop_assert!(both.report(refs, remembered).findings.iter().any(is_other));
    }
}

proptest! {
    #![proptest_config(cases(60))]

    /// The search for one line and the reading of all agree, whatever pushers are called.
    #[test]
    fn an_entry_is_accepted_exactly_if_an_intent_holds_it(
        intents in vec(intent(), 0..4), entries in entries(), asks in option::of(process()),
    ) {
        let state = tempfile::tempdir().unwrap();
        let folder = Folder::new(state.path(), HASH);
        for intent in &intents {
            folder.leave(intent).unwrap();
        }
        let accepted = folder.accepted(asks.as_ref()).unwrap();
        for entry in entries.iter().chain(intents.iter().flat_map(|intent| &intent.entries)) {
            let accepts = folder.accepts(entry, asks.as_ref()).unwrap();
            prop_assert_eq!(accepts, accepted.contains(entry), "{:?}", entry);
        }
    }
}
