//! Which commits a ref update adds: what is reachable from its tips and not from what already stands.
//!
//! The walk reads raw commits only: no commit-graph, replace ref or graft can shorten it. Where it
//! cannot be exact it answers with too many commits, never with too few.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
    path::Path,
};

use gix::objs::{CommitRefIter, Kind};

use super::{ObjectReadError, ObjectReader};
use crate::object::{Commit, HashKind, ObjectError, ObjectId};

/// How many more commits known to the hidden side are looked at, at most, once nothing else is left, for
/// histories whose dates lie (revision.c uses 5).
const SLOP: usize = 64;

/// How many of them for each commit found so far, so that one commit does not cost the reading of sixty others.
const SLOP_PER_FOUND: usize = 4;

/// After how many commits a walk asks again whether to go on.
const ASKED_EVERY: usize = 256;

/// After how many bytes of commits besides.
const ASKED_EVERY_BYTES: usize = 256 * 1024;

/// The commits at which a repository's history is cut off (gitformat-shallow).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shallow {
    commits: HashSet<ObjectId>,
    is_end: bool,
}

/// What a walk has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Every commit that is reachable from a tip and not from a hidden one, newest first.
    pub commits: Vec<ObjectId>,
    /// Those of the hidden ids that are a tip, or the parent of one of [`Self::commits`].
    ///
    /// With a single hidden id this says whether the tips descend from it: the path down to it
    /// cannot lead through anything that is hidden.
    pub reached: HashSet<ObjectId>,
}

/// What a walk has found, and what stands in the way of judging it whole.
#[derive(Debug, Default)]
pub struct Survey {
    /// What was found; everything in it can be judged, whatever else is said here.
    pub history: History,
    /// Those of the commits found at which the history is cut off: what lies behind them is not here.
    pub cut_off: HashSet<ObjectId>,
    /// What would have to be judged and is missing, damaged, malformed or no commit. A malformed commit
    /// is among the commits found too.
    pub failures: Vec<(ObjectId, HistoryError)>,
}

/// Why a history cannot be walked. One cause, one variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// A commit cannot be parsed.
    #[error("commit '{id}' is malformed: {cause}")]
    Malformed {
        /// The commit.
        id: ObjectId,
        /// What is wrong with it.
        cause: ObjectError,
    },
    /// Something that should be a commit is not.
    #[error("the object '{0}' is not a commit")]
    NotACommit(ObjectId),
    /// A commit cannot be had.
    #[error(transparent)]
    Object(#[from] ObjectReadError),
    /// History is cut off at this commit, so what lies behind it cannot be judged.
    #[error("history is cut off at commit '{0}'")]
    Shallow(ObjectId),
    /// The walk was stopped before its end.
    #[error("the history is long, and the time for reading it is over")]
    Stopped,
    /// The list of shallow commits is there and cannot be read.
    #[error("the list of shallow commits cannot be read: {0}")]
    ShallowList(String),
}

impl Shallow {
    /// Read a list of object ids, one a line; no file is an empty list.
    pub(super) fn read(hash: HashKind, path: &Path) -> Result<Self, HistoryError> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(HistoryError::ShallowList(error.to_string())),
        };
        let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| match ObjectId::from_hex(line) {
                Ok(id) if id.kind() == hash => Ok(id),
                _ => Err(HistoryError::ShallowList("it holds something that is no object id".to_owned())),
            })
            .collect::<Result<_, _>>()
            .map(|commits| Self { commits, is_end: false })
    }

    /// Whether history is cut off at `id`.
    pub(super) fn contains(&self, id: ObjectId) -> bool {
        self.commits.contains(&id)
    }

    /// Add what another list names.
    pub(super) fn extend(&mut self, other: Self) {
        self.commits.extend(other.commits);
    }

    /// The same for somebody who answers only for what is here: a history ends where it is cut off, and
    /// that is no error.
    #[must_use]
    pub fn as_end(self) -> Self {
        Self { is_end: true, ..self }
    }

    /// Whether nothing is cut off.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.commits.is_empty()
    }
}

/// The commits reachable from `tips` and neither from `hidden` nor from `anchor`.
///
/// A superset is possible where commit dates lie; a subset is not. What cannot be read on the hidden
/// side only stops hiding there.
///
/// # Errors
/// A commit that has to be judged is missing, malformed, or cut off by `shallow`.
pub fn new_commits(
    objects: &ObjectReader,
    tips: &[ObjectId],
    hidden: &[ObjectId],
    anchor: Option<ObjectId>,
    shallow: &Shallow,
) -> Result<History, HistoryError> {
    new_commits_while(objects, tips, hidden, anchor, shallow, &|_| true)
}

/// As [`new_commits`], for as long as `go_on` says so, which is asked now and then with the number of commits
/// met so far.
///
/// # Errors
/// [`HistoryError::Stopped`] besides.
pub fn new_commits_while(
    objects: &ObjectReader,
    tips: &[ObjectId],
    hidden: &[ObjectId],
    anchor: Option<ObjectId>,
    shallow: &Shallow,
    go_on: &dyn Fn(usize) -> bool,
) -> Result<History, HistoryError> {
    let mut survey =
        survey_while(objects, tips, hidden, anchor, shallow, go_on).ok_or(HistoryError::Stopped)?;
    let mut cut_off = survey.history.commits.iter().filter(|id| survey.cut_off.contains(*id));
    if let Some(id) = cut_off.next().filter(|_| !shallow.is_end) {
        return Err(HistoryError::Shallow(*id));
    }
    match survey.failures.drain(..).next() {
        Some((_, error)) => Err(error),
        None => Ok(survey.history),
    }
}

/// As [`new_commits`], for a reader who judges what is here and says what is not.
#[must_use]
pub fn survey(
    objects: &ObjectReader,
    tips: &[ObjectId],
    hidden: &[ObjectId],
    anchor: Option<ObjectId>,
    shallow: &Shallow,
) -> Survey {
    survey_while(objects, tips, hidden, anchor, shallow, &|_| true).expect("nothing stops it")
}

fn survey_while(
    objects: &ObjectReader,
    tips: &[ObjectId],
    hidden: &[ObjectId],
    anchor: Option<ObjectId>,
    shallow: &Shallow,
    go_on: &dyn Fn(usize) -> bool,
) -> Option<Survey> {
    let mut walk = Walk::new(objects, shallow, go_on);
    for id in hidden.iter().copied().chain(anchor) {
        walk.note(id, true);
    }
    for id in tips {
        walk.note(*id, false);
    }
    let visited = walk.run()?;

    let hidden: HashSet<ObjectId> = hidden.iter().copied().collect();
    let mut survey = Survey::default();
    survey.history.reached.extend(tips.iter().filter(|id| hidden.contains(*id)));
    for id in visited {
        let Visit { hidden: false, parents, .. } = &walk.visits[&id] else { continue };
        if shallow.contains(id) {
            survey.cut_off.insert(id);
        }
        survey.history.reached.extend(parents.iter().filter(|id| hidden.contains(*id)));
        survey.history.commits.push(id);
    }
    let visits = &walk.visits;
    survey.failures.extend(walk.failures.into_iter().filter(|(id, _)| !visits[id].hidden));
    Some(survey)
}

/// What is known of a commit that the walk has met.
struct Visit {
    /// Reachable from the hidden side, for certain.
    hidden: bool,
    /// Still in the queue.
    queued: bool,
    parents: Box<[ObjectId]>,
}

/// What a commit says about its place in history.
struct Link {
    date: i64,
    parents: Box<[ObjectId]>,
    /// Why it may not be new.
    malformed: Option<HistoryError>,
}

struct Walk<'a> {
    objects: &'a ObjectReader,
    shallow: &'a Shallow,
    visits: HashMap<ObjectId, Visit>,
    /// What could not be read while it was not known to be hidden; it may turn out to be.
    failures: Vec<(ObjectId, HistoryError)>,
    /// By date, the newest first; among equals the first that came.
    queue: BinaryHeap<(i64, Reverse<u64>, ObjectId)>,
    noted: u64,
    /// How many entries of the queue are not known to be hidden.
    waiting: usize,
    /// Asked with the number of commits met.
    go_on: &'a dyn Fn(usize) -> bool,
    met: usize,
    /// How many commits and bytes were read since it was asked.
    read: (usize, usize),
    is_stopped: bool,
}

impl<'a> Walk<'a> {
    fn new(objects: &'a ObjectReader, shallow: &'a Shallow, go_on: &'a dyn Fn(usize) -> bool) -> Self {
        Self {
            go_on,
            met: 0,
            // Asked at the first.
            read: (ASKED_EVERY, 0),
            is_stopped: false,
            objects,
            shallow,
            visits: HashMap::new(),
            failures: Vec::new(),
            queue: BinaryHeap::new(),
            noted: 0,
            waiting: 0,
        }
    }

    /// Walk until nothing is left that could be new; what was met that way, some of it hidden later. `None`
    /// where it was stopped.
    fn run(&mut self) -> Option<Vec<ObjectId>> {
        let mut visited = Vec::new();
        let mut oldest = i64::MAX;
        let mut beyond = 0;
        while let Some((date, _, id)) = self.queue.pop() {
            if self.is_stopped {
                return None;
            }
            self.met += 1;
            let visit = self.visits.get_mut(&id).expect("everything in the queue was noted");
            visit.queued = false;
            let (hidden, parents) = (visit.hidden, visit.parents.clone());
            if !hidden {
                self.waiting -= 1;
                visited.push(id);
                oldest = oldest.min(date);
            }
            // What lies behind a cut is not here; it is no failure besides the cut.
            if hidden || !self.shallow.contains(id) {
                for parent in parents {
                    self.note(parent, hidden);
                }
            }
            if self.waiting == 0 {
                let older = self.queue.peek().is_none_or(|(next, ..)| *next < oldest);
                beyond = if older { beyond + 1 } else { 0 };
                if beyond >= SLOP.min(SLOP_PER_FOUND * visited.len().max(1)) {
                    break;
                }
            }
        }
        (!self.is_stopped).then_some(visited)
    }

    /// Take note of `id` and put it into the queue if it is new; nothing more once it was stopped, for a single
    /// commit may have very many parents.
    fn note(&mut self, id: ObjectId, hidden: bool) {
        if let Some(visit) = self.visits.get(&id) {
            if hidden && !visit.hidden {
                self.hide(id);
            }
            return;
        }
        let (commits, bytes) = self.read;
        if commits >= ASKED_EVERY || bytes >= ASKED_EVERY_BYTES {
            self.read = (0, 0);
            self.is_stopped = self.is_stopped || !(self.go_on)(self.met);
        }
        if self.is_stopped {
            return;
        }
        let read = match self.read(id) {
            Ok(Link { date, parents, malformed }) => {
                self.failures.extend(malformed.filter(|_| !hidden).map(|error| (id, error)));
                Some((date, parents))
            }
            Err(error) if hidden => {
                drop(error);
                None
            }
            Err(error) => {
                self.failures.push((id, error));
                None
            }
        };
        let queued = read.is_some();
        let (date, parents) = read.unwrap_or_default();
        self.visits.insert(id, Visit { hidden, queued, parents });
        if queued {
            self.queue.push((date, Reverse(self.noted), id));
            self.noted += 1;
            self.waiting += usize::from(!hidden);
        }
    }

    /// Hide `id` and all of its ancestors that were noted so far.
    fn hide(&mut self, id: ObjectId) {
        let mut stack = vec![id];
        while let Some(id) = stack.pop() {
            let Some(visit) = self.visits.get_mut(&id) else { continue };
            if !std::mem::replace(&mut visit.hidden, true) {
                self.waiting -= usize::from(visit.queued);
                stack.extend(visit.parents.iter().copied());
            }
        }
    }

    /// Date and parents of a commit. A commit that is malformed still tells its parents, so that old
    /// history which holds what is refused today can hide its ancestors.
    fn read(&mut self, id: ObjectId) -> Result<Link, HistoryError> {
        self.read.0 += 1;
        let object = self.objects.read(id)?;
        self.read.1 += object.bytes.len();
        if object.kind != Kind::Commit {
            return Err(HistoryError::NotACommit(id));
        }
        let hash = self.objects.hash();
        match Commit::parse(hash, &object.bytes) {
            Ok(commit) => {
                Ok(Link { date: seconds(commit.committer), parents: commit.parents.into(), malformed: None })
            }
            Err(cause) => Ok(Link {
                date: 0,
                parents: CommitRefIter::from_bytes(&object.bytes, hash).parent_ids().collect(),
                malformed: Some(HistoryError::Malformed { id, cause }),
            }),
        }
    }
}

/// The time in a `committer` value, which only orders the walk; 0 where there is none.
fn seconds(person: &[u8]) -> i64 {
    let behind = person.rsplit(|byte| *byte == b'>').next().unwrap_or_default();
    let number = behind.split(|byte| *byte == b' ').find(|word| !word.is_empty());
    number.and_then(|word| std::str::from_utf8(word).ok()?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::tests::Scratch;

    fn walk(scratch: &Scratch, tips: &[ObjectId], hidden: &[ObjectId]) -> Result<History, HistoryError> {
        let repository = scratch.open();
        let shallow = repository.shallow(None).unwrap();
        new_commits(&repository.objects().unwrap().reader(), tips, hidden, None, &shallow)
    }

    /// A commit with the empty tree, written as git's own plumbing would.
    fn commit(scratch: &Scratch, parents: &[ObjectId], date: i64, extra: &str) -> ObjectId {
        let tree = scratch.git_with(&["hash-object", "-t", "tree", "-w", "--stdin"], b"");
        let parents: String = parents.iter().map(|parent| format!("parent {parent}\n")).collect();
        let object = format!(
            "tree {tree}\n{parents}author A <a@b.c> {date} +0000\ncommitter A <a@b.c> {date} +0000\n{extra}\nm\n"
        );
        let arguments = ["hash-object", "-t", "commit", "-w", "--stdin", "--literally"];
        scratch.git_with(&arguments, object.as_bytes()).parse().unwrap()
    }

    #[test]
    fn what_the_hidden_side_reaches_is_left_out() {
        let scratch = Scratch::new(&[]);
        let base = commit(&scratch, &[], 100, "");
        let left = commit(&scratch, &[base], 200, "");
        let right = commit(&scratch, &[base], 300, "");
        let merge = commit(&scratch, &[left, right], 400, "");
        assert_eq!(walk(&scratch, &[merge], &[left]).unwrap().commits, [merge, right]);
        assert_eq!(walk(&scratch, &[merge], &[]).unwrap().commits, [merge, right, left, base]);
        assert!(walk(&scratch, &[base], &[merge]).unwrap().commits.is_empty());
    }

    #[test]
    fn it_is_asked_whether_to_go_on_by_bytes_and_parents_too() {
        let scratch = Scratch::new(&[]);
        let large = format!("large {}\n", "x".repeat(ASKED_EVERY_BYTES));
        let mut tip = commit(&scratch, &[], 100, "");
        for date in 0..5 {
            tip = commit(&scratch, &[tip], 101 + date, &large);
        }
        let roots: Vec<ObjectId> = (0..600).map(|date| commit(&scratch, &[], 1000 + date, "")).collect();
        let octopus = commit(&scratch, &roots, 5000, "");
        let repository = scratch.open();
        let (reader, shallow) = (repository.objects().unwrap().reader(), Shallow::default());
        let asked = |tip: ObjectId, until: usize| {
            let asked = std::cell::Cell::new(0);
            let go_on = |_| {
                asked.set(asked.get() + 1);
                asked.get() < until
            };
            let walked = new_commits_while(&reader, &[tip], &[], None, &shallow, &go_on);
            assert_eq!(matches!(walked, Err(HistoryError::Stopped)), until <= 5, "{walked:?}");
            asked.get()
        };
        // At the first, and behind each commit that is large.
        assert_eq!(asked(tip, usize::MAX), 6);
        for until in 1..5 {
            assert_eq!(asked(tip, until), until);
        }
        // The parents of a single commit are many.
        assert!(asked(octopus, usize::MAX) >= 3);
        assert_eq!(asked(octopus, 2), 2);
    }

    #[test]
    fn lying_dates_never_make_it_less() {
        let scratch = Scratch::new(&[]);
        let root = commit(&scratch, &[], 1_000, "");
        let old = commit(&scratch, &[root], 5, "");
        let new = commit(&scratch, &[old], 1, "");
        let future = commit(&scratch, &[new], 9_000_000_000, "");
        let side = commit(&scratch, &[root], 7, "");
        let merge = commit(&scratch, &[future, side], 3, "");
        let history = walk(&scratch, &[merge], &[old]).unwrap();
        let commits: HashSet<_> = history.commits.iter().copied().collect();
        assert_eq!(commits, HashSet::from([merge, future, side, new]), "exact, root is hidden after all");
    }

    #[test]
    fn a_descendant_reaches_what_it_descends_from() {
        let scratch = Scratch::new(&[]);
        let base = commit(&scratch, &[], 100, "");
        let left = commit(&scratch, &[base], 50, "");
        let right = commit(&scratch, &[base], 300, "");
        let far = commit(&scratch, &[left], 10, "");
        let reached = |tip, hidden| walk(&scratch, &[tip], &[hidden]).unwrap().reached.contains(&hidden);
        assert!(reached(far, base) && reached(far, left) && reached(base, base));
        assert!(!reached(right, left), "a rewind");
        assert!(!reached(base, far));
    }

    #[test]
    fn a_missing_commit_is_an_error_only_where_it_has_to_be_judged() {
        let scratch = Scratch::new(&[]);
        let missing = ObjectId::from_hex(&[b'1'; 40]).unwrap();
        let gap = commit(&scratch, &[missing], 100, "");
        let tip = commit(&scratch, &[gap], 200, "");
        assert!(matches!(
            walk(&scratch, &[tip], &[]),
            Err(HistoryError::Object(ObjectReadError::Missing(id))) if id == missing
        ));
        assert_eq!(walk(&scratch, &[tip], &[gap]).unwrap().commits, [tip]);
        assert_eq!(walk(&scratch, &[tip], &[missing]).unwrap().commits, [tip, gap]);
    }

    #[test]
    fn a_malformed_commit_is_an_error_only_where_it_has_to_be_judged() {
        let scratch = Scratch::new(&[]);
        let root = commit(&scratch, &[], 100, "");
        let malformed = commit(&scratch, &[root], 200, "gpgsig a\ngpgsig b\n");
        let tip = commit(&scratch, &[malformed], 300, "");
        let side = commit(&scratch, &[tip, root], 400, "");
        let merge = commit(&scratch, &[side, malformed], 500, "");
        assert!(matches!(
            walk(&scratch, &[tip], &[]),
            Err(HistoryError::Malformed { id, cause: ObjectError::DuplicateHeader("gpgsig") }) if id == malformed
        ));
        assert_eq!(walk(&scratch, &[merge], &[tip]).unwrap().commits, [merge, side]);
    }

    #[test]
    fn a_tree_is_no_commit() {
        let scratch = Scratch::new(&[]);
        let tip = commit(&scratch, &[], 1, "");
        let tree = scratch.id(&format!("{tip}^{{tree}}"));
        assert!(matches!(walk(&scratch, &[tree], &[]), Err(HistoryError::NotACommit(_))));
    }

    #[test]
    fn a_shallow_boundary_fails_closed() {
        let scratch = Scratch::new(&[]);
        let root = commit(&scratch, &[], 1, "");
        let cut = commit(&scratch, &[root], 2, "");
        let tip = commit(&scratch, &[cut], 3, "");
        std::fs::write(scratch.path().join(".git/shallow"), format!("{cut}\n")).unwrap();
        assert!(matches!(walk(&scratch, &[tip], &[]), Err(HistoryError::Shallow(id)) if id == cut));
        assert_eq!(walk(&scratch, &[tip], &[cut]).unwrap().commits, [tip]);
        let repository = scratch.open();
        let reader = repository.objects().unwrap().reader();
        let survey = survey(&reader, &[tip], &[], None, &repository.shallow(None).unwrap());
        assert_eq!(survey.history.commits, [tip, cut], "what is here can be judged");
        assert_eq!(survey.cut_off, HashSet::from([cut]));
        assert!(survey.failures.is_empty(), "{:?}", survey.failures);
        std::fs::write(scratch.path().join(".git/shallow"), "garbage\n").unwrap();
        assert!(matches!(scratch.open().shallow(None), Err(HistoryError::ShallowList(_))));
    }

    #[test]
    fn grafts_and_replace_refs_change_nothing() {
        let scratch = Scratch::new(&[]);
        let root = commit(&scratch, &[], 1, "");
        let middle = commit(&scratch, &[root], 2, "");
        let tip = commit(&scratch, &[middle], 3, "");
        std::fs::create_dir_all(scratch.path().join(".git/info")).unwrap();
        std::fs::write(scratch.path().join(".git/info/grafts"), format!("{tip}\n")).unwrap();
        scratch.git(&["replace", "--graft", &middle.to_string()]);
        assert_eq!(walk(&scratch, &[tip], &[]).unwrap().commits, [tip, middle, root]);
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config { cases: 24, ..Default::default() })]

        /// Against the definition, on random histories with random dates.
        #[test]
        fn never_less_than_the_definition(
            shape in proptest::collection::vec(
                (proptest::collection::vec(0usize..100, 0..3), 0i64..50), 1..14),
            tip in 0usize..100,
            hidden in proptest::collection::vec(0usize..100, 0..3),
        ) {
            let scratch = Scratch::new(&[]);
            let mut ids: Vec<ObjectId> = Vec::new();
            let mut ancestors: Vec<HashSet<ObjectId>> = Vec::new();
            for (index, (parents, date)) in shape.iter().enumerate() {
                let parents: Vec<usize> =
                    parents.iter().filter(|_| index > 0).map(|parent| parent % index.max(1)).collect();
                let parent_ids: Vec<ObjectId> = parents.iter().map(|parent| ids[*parent]).collect();
                let id = commit(&scratch, &parent_ids, *date, &format!("nonce {index}\n"));
                let mut own: HashSet<ObjectId> =
                    parents.iter().flat_map(|parent| ancestors[*parent].clone()).collect();
                own.insert(id);
                ids.push(id);
                ancestors.push(own);
            }
            let tip = tip % ids.len();
            let hidden: Vec<usize> = hidden.iter().map(|hidden| hidden % ids.len()).collect();
            let hidden_ids: Vec<ObjectId> = hidden.iter().map(|hidden| ids[*hidden]).collect();
            let behind: HashSet<ObjectId> =
                hidden.iter().flat_map(|hidden| ancestors[*hidden].clone()).collect();
            let expected: HashSet<ObjectId> = ancestors[tip].difference(&behind).copied().collect();
            let found: HashSet<ObjectId> =
                walk(&scratch, &[ids[tip]], &hidden_ids).unwrap().commits.into_iter().collect();
            proptest::prop_assert_eq!(found, expected);
        }
    }
}
