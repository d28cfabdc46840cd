//! Rules that count persons: a ref that was seen some time ago is judged move by move, as its gate has judged it.
//!
//! Persons vouch for one move of a ref, from one value to another. Which moves led from the value that was accepted
//! last to the one that the remote has now is said by the ledger that it keeps, or follows from its approvals, each
//! of which names the value before and the tree after. Neither is believed: each move has to have its persons, and
//! there is no harm in whoever finds other moves that have them too.

use std::collections::{HashMap, HashSet, VecDeque};

use gix::bstr::{BStr, ByteSlice as _};

use super::{Address, Basis, PREFIX};
use crate::{
    hook::{Standing, Update},
    ledger::walk,
    object::{Commit, ObjectId, PushCertificate, Statement},
    policy::{Evidence, Pushing, ReceivedPush, Rule},
    repository::{Approvals, ObjectReader, ReferenceError, ReferenceValue, Shallow, new_commits},
};

/// Of how many trees it is asked for each value whether one is approved from there.
const MAXIMUM_ASKED: usize = 500;

/// How many moves of one ref are judged one by one.
const MAXIMUM_MOVES: usize = 10_000;

/// What tells how the refs of a remote came to be where they are.
pub(super) struct Moves<'a> {
    /// Where it is: a push certificate for another place says nothing of this one.
    pub(super) address: &'a Address,
    /// The head of its ledger, and what has the records.
    pub(super) ledger: Option<(ObjectReader, ObjectId)>,
}

/// One move of a ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) update: Update,
    /// The blob of the push certificate that the ledger has beside it.
    certificate: Option<ObjectId>,
}

impl Move {
    /// All that happened to the ref, as if it had happened at once.
    pub(super) fn whole(update: &Update) -> Vec<Self> {
        vec![Self { update: update.clone(), certificate: None }]
    }
}

/// What stands before one of several moves of a ref.
pub(super) struct Before<'a> {
    /// What stands before the first.
    pub(super) standing: &'a dyn Standing,
    /// The move.
    pub(super) update: &'a Update,
}

impl Standing for Before<'_> {
    fn value(&self, name: &BStr) -> Result<ReferenceValue, ReferenceError> {
        if name == self.update.reference.as_bstr() {
            return Ok(ReferenceValue { names: vec![name.to_owned()], id: self.update.claimed });
        }
        self.standing.value(name)
    }

    fn is_accepted(&self, digest: &[u8; 32], commit: ObjectId) -> bool {
        self.standing.is_accepted(digest, commit)
    }

    fn carries_its_past(&self, digest: &[u8; 32], name: &[u8]) -> bool {
        self.standing.carries_its_past(digest, name)
    }

    fn is_created(&self, name: &[u8]) -> bool {
        self.standing.is_created(name)
    }

    fn sees_each_move(&self) -> bool {
        true
    }
}

impl Moves<'_> {
    /// The moves that the ledger has of what happened to a ref; none where there is a gap between them.
    pub(super) fn by_ledger(&self, update: &Update) -> Option<Vec<Move>> {
        let (reader, head) = self.ledger.as_ref()?;
        let mut moves = Vec::new();
        let mut value = update.wanted;
        for walked in walk(reader, Some(*head), None) {
            let record = walked.ok()?.record;
            let entry = record.entries.iter().find(|entry| entry.reference == update.reference.as_bstr());
            let Some(entry) = entry else { continue };
            if entry.new != value || moves.len() >= MAXIMUM_MOVES {
                return None;
            }
            let certificate = record.occasion.acceptance().and_then(|acceptance| acceptance.certificate);
            let reference = update.reference.clone();
            let update_of_entry = Update { claimed: entry.old, wanted: entry.new, reference };
            moves.push(Move { update: update_of_entry, certificate });
            value = entry.old;
            if value == update.claimed {
                moves.reverse();
                return Some(moves);
            }
        }
        None
    }

    /// Who pushed a move, where a certificate beside it is for just that and counts for somebody under `rule`.
    pub(super) fn pushing(&self, basis: &Basis, rule: &Rule, made: &Move, now: i64) -> Pushing {
        let evidence = self.ledger.as_ref().zip(made.certificate).and_then(|((reader, _), id)| {
            let object = reader.read(id).ok()?;
            let certificate = PushCertificate::parse(reader.hash(), &object.bytes).ok()?;
            let value = |id: ObjectId| (!id.is_null()).then_some(id);
            let Update { claimed, wanted, reference } = &made.update;
            let is_for_it = certificate.commands.iter().any(|command| {
                (value(command.old), value(command.new)) == (*claimed, *wanted)
                    && command.reference == reference.as_slice()
            });
            let there = certificate.pushee.and_then(|pushee| pushee.to_str().ok());
            let there = there.map(|pushee| Address::parse(pushee.strip_prefix(PREFIX).unwrap_or(pushee)));
            let is_for_here =
                there.is_some_and(|there| there.is_ok_and(|there| there.key() == self.address.key()));
            let verdict = basis.verifier.verify_signed(&certificate.signed, now, &|_| Vec::new())?;
            (is_for_it && is_for_here).then_some(Evidence::Signed(verdict))
        });
        let Some(evidence) = evidence else { return Pushing::Nobody };
        let received = ReceivedPush { certificate: Some(Ok(evidence)), forge: None };
        let pushing = Pushing::Received(received);
        if basis.policy.certifier(rule, &pushing, now).is_some() { pushing } else { Pushing::Nobody }
    }
}

/// Moves of a branch that were approved one after the other; none where no such line leads from what was accepted
/// last to the new value. Whether an approval counts is asked later.
pub(super) fn by_approvals(
    (approvals, reader): (&Approvals, &ObjectReader),
    repository: &str,
    shallow: &Shallow,
    update: &Update,
) -> Option<Vec<Move>> {
    let wanted = update.wanted?;
    let reference = std::str::from_utf8(&update.reference).ok()?;
    let before: Vec<ObjectId> = update.claimed.into_iter().collect();
    let history = new_commits(reader, &[wanted], &before, None, shallow).ok()?;
    let mut by_tree: HashMap<ObjectId, Vec<ObjectId>> = HashMap::new();
    for id in history.commits {
        let object = reader.read(id).ok()?;
        by_tree.entry(Commit::parse(reader.hash(), &object.bytes).ok()?.tree).or_default().push(id);
    }
    let mut approved: HashMap<Option<ObjectId>, HashSet<ObjectId>> = HashMap::new();
    // Of long histories only as many approvals as are ever looked through.
    let is_long = by_tree.len() > MAXIMUM_ASKED;
    let listed = if is_long { approvals.statements(reader, &|| true) } else { &[] };
    for statement in listed.iter().filter(|statement| statement.reference == reference) {
        if let Some(tree) = statement.tree {
            approved.entry(statement.base).or_default().insert(tree);
        }
    }
    let trees_from = |from: Option<ObjectId>, by_tree: &HashMap<ObjectId, Vec<ObjectId>>| {
        if is_long {
            return approved.get(&from).into_iter().flatten().copied().collect();
        }
        let is_approved = |tree: &ObjectId| {
            let (repository, reference) = (repository.to_owned(), reference.to_owned());
            let key = Statement { repository, reference, base: from, tree: Some(*tree) }.key(reader.hash());
            key.is_some_and(|key| !approvals.names_of(reader, &key).is_empty())
        };
        by_tree.keys().copied().filter(is_approved).collect::<Vec<ObjectId>>()
    };
    // The fewest moves, so that nobody makes it longer than it is.
    let mut came_from: HashMap<ObjectId, Option<ObjectId>> = HashMap::new();
    let mut next = VecDeque::from([update.claimed]);
    while let Some(from) = next.pop_front() {
        for tree in trees_from(from, &by_tree) {
            // Whatever has this tree is met now, and not again.
            for to in by_tree.remove(&tree).unwrap_or_default() {
                came_from.entry(to).or_insert(from);
                next.push_back(Some(to));
            }
        }
    }
    let mut moves = Vec::new();
    let mut value = Some(wanted);
    while value != update.claimed {
        let claimed = *came_from.get(&value?)?;
        moves.push(Move {
            update: Update { claimed, wanted: value, reference: update.reference.clone() },
            certificate: None,
        });
        value = claimed;
    }
    if moves.len() > MAXIMUM_MOVES {
        return None;
    }
    moves.reverse();
    Some(moves)
}
