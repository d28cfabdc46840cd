//! What the policy says of each object that a push adds.
//!
//! Evidence is gathered and judged some thousands of objects at a time and then let go, so that what is held
//! does not grow with what is judged: of an object that passes no more is kept than that, and who has signed it
//! where persons are counted.

use std::{
    collections::HashMap,
    io::Write,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use rayon::iter::{IndexedParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _};

use super::{
    evidence::{Gathering, Known, TOGETHER},
    gate::Gate,
    paths::Touched,
    persons,
    task::Task,
};
use crate::{
    object::ObjectId,
    policy::{Cause, Covered, Evidence, Persons, Policy, Receipt, Rule, Signers},
    repository::{Coverage, Shallow},
};

/// How many objects' evidence is held at once.
const BATCH: usize = 4096;

/// So few objects are judged before threads would have begun to.
pub(super) const FEW: usize = 4;

/// What is said of one object.
#[derive(Default)]
pub(super) enum Answer {
    /// It was not judged.
    #[default]
    Missing,
    Passes,
    Refused(Box<Refused>),
}

/// Why an object is refused: by the rule itself, and by its path rules.
pub(super) struct Refused {
    rule: Result<(), Cause>,
    paths: Result<(), Cause>,
}

impl Answer {
    fn new(rule: Result<(), Cause>, paths: Result<(), Cause>) -> Self {
        if rule.is_ok() && paths.is_ok() {
            Self::Passes
        } else {
            Self::Refused(Box::new(Refused { rule, paths }))
        }
    }

    /// What the rule itself says of `id`, of which this is the answer.
    pub(super) fn by_rule(&self, id: ObjectId) -> Result<(), Cause> {
        match self {
            Self::Passes => Ok(()),
            Self::Refused(refused) => refused.rule.clone(),
            Self::Missing => Err(Cause::Unexpected(format!("the object '{id}' was not judged"))),
        }
    }

    /// What the rule's path rules say.
    pub(super) fn by_paths(&self, id: ObjectId) -> Result<(), Cause> {
        match self {
            Self::Refused(refused) => refused.paths.clone(),
            Self::Passes | Self::Missing => self.by_rule(id),
        }
    }
}

/// What is said of the objects of one task.
#[derive(Default)]
pub(super) struct Answers {
    /// Of its tags, as they stand there.
    pub(super) tags: Vec<Answer>,
    /// Of its commits, as they stand there.
    pub(super) commits: Vec<Answer>,
    /// Who has signed which object, as far as that counts and somebody asks.
    pub(super) persons: HashMap<ObjectId, Arc<str>>,
}

impl Answers {
    /// Take down what was said to `question`.
    fn take(&mut self, question: &Question, Said { answer, person }: Said) {
        match (question.place, answer) {
            (Place::Tag(place), Some(answer)) => self.tags[place] = answer,
            (Place::Commit(place), Some(answer)) => self.commits[place] = answer,
            _ => {}
        }
        self.persons.extend(person.map(|person| (question.id, person)));
    }
}

/// Which of a task's objects is asked about.
#[derive(Clone, Copy)]
enum Place {
    Tag(usize),
    Commit(usize),
    /// What the ref leads to: only its signer is asked for.
    Tip,
}

impl Place {
    /// Where it stands among those of its task.
    fn number(self) -> usize {
        match self {
            Self::Tag(place) | Self::Commit(place) => place,
            Self::Tip => 0,
        }
    }
}

struct Question {
    id: ObjectId,
    task: usize,
    place: Place,
}

/// What is said to one question.
struct Said {
    /// Nothing of what only the signer is asked for.
    answer: Option<Answer>,
    /// Who has signed the object, where that counts.
    person: Option<Arc<str>>,
}

/// Whose signature matters in `tasks`. Nothing is asked about commits that nobody has to sign.
fn questions(tasks: &[Task<'_>], touched: &Touched<'_>) -> (Vec<Question>, Vec<Answers>) {
    let mut questions = Vec::new();
    let mut answers = Vec::new();
    for (task, asked) in tasks.iter().enumerate() {
        let mut said = Answers::default();
        said.tags.resize_with(asked.tags.len(), Answer::default);
        questions.extend(asked.tags.iter().enumerate().map(|(place, id)| Question {
            id: *id,
            task,
            place: Place::Tag(place),
        }));
        let rule = asked.rule;
        let is_signed = rule.commits != Signers::Unsigned;
        for (place, id) in asked.commits.iter().enumerate() {
            if is_signed || touched.contains_key(&(rule.name.as_str(), *id)) {
                said.commits.push(Answer::Missing);
                questions.push(Question { id: *id, task, place: Place::Commit(place) });
            } else {
                // The walk has parsed it strictly already.
                said.commits.push(Answer::Passes);
            }
        }
        // Whoever has signed what the ref leads to is counted, new or not.
        let counts = rule.vouching.threshold.is_some() && is_signed;
        questions.extend(asked.tip.filter(|_| counts).map(|id| Question { id, task, place: Place::Tip }));
        answers.push(said);
    }
    // Equal ones stand together, the one that was asked first before the others.
    questions.sort_by_key(|question| question.id);
    (questions, answers)
}

/// What the policy says of every object of `tasks` that matters, in their order, telling `progress` when it takes
/// long; and how many objects those are. Where time runs out: how many of how many were judged.
pub(super) fn answers<'a>(
    gate: &Gate<'a>,
    tasks: &[Task<'a>],
    touched: &Touched<'a>,
    progress: &mut dyn Write,
) -> Result<(Vec<Answers>, usize), (usize, usize)> {
    let (questions, mut answers) = questions(tasks, touched);
    let of = questions.chunk_by(|one, other| one.id == other.id).count();
    let done = AtomicUsize::new(0);
    let judging = Judging {
        gathering: Gathering::new(gate, &done),
        policy: gate.policy,
        shallow: gate.shallow,
        tasks,
        touched,
    };
    let mut work = || judging.answer(&questions, &mut answers);
    let words = || format!("judged {} of {of} objects", done.load(Ordering::Relaxed));
    let is_whole = if of <= FEW { work() } else { gate.pace.told(progress, &words, work) };
    if is_whole { Ok((answers, of)) } else { Err((done.load(Ordering::Relaxed), of)) }
}

/// What is looked at while objects are judged, as far as threads may share it.
struct Judging<'g, 'a> {
    gathering: Gathering<'g>,
    policy: &'g Policy,
    shallow: &'g Shallow,
    tasks: &'g [Task<'a>],
    touched: &'g Touched<'a>,
}

impl Judging<'_, '_> {
    /// Answer all of `questions`, which stand in the order of their ids; whether there was time to.
    fn answer(&self, questions: &[Question], answers: &mut [Answers]) -> bool {
        let coverage = OnceLock::new();
        let mut judge = |batch: &[&[Question]], known: &Known| {
            let asks = |question: &&Question| {
                matches!(question.place, Place::Commit(_))
                    && !self.tasks[question.task].rule.own_headers().is_empty()
            };
            let headed = batch.iter().filter_map(|equal| equal.iter().find(asks));
            let headed: Vec<ObjectId> = headed.map(|question| question.id).collect();
            let people = persons::people(self.gathering.objects, &headed, self.gathering.is_over);
            let say = |equal: &&[Question]| -> Vec<Said> {
                let said = |question: &Question| {
                    self.said(question, &known[&question.id], people.get(&question.id), &coverage)
                };
                equal.iter().map(said).collect()
            };
            let said: Vec<Vec<Said>> = if batch.len() <= FEW {
                batch.iter().map(say).collect()
            } else {
                batch.par_iter().with_min_len(TOGETHER).map(say).collect()
            };
            for (question, said) in batch.iter().copied().flatten().zip(said.into_iter().flatten()) {
                answers[question.task].take(question, said);
            }
        };
        let ids =
            |batch: &[&[Question]]| -> Vec<ObjectId> { batch.iter().map(|equal| equal[0].id).collect() };
        let mut left: Vec<&[Question]> = questions.chunk_by(|one, other| one.id == other.id).collect();
        // What is remembered of objects whose ids are near each other lies in few files.
        if self.gathering.remembers() {
            let mut unknown = Vec::new();
            for batch in left.chunks(BATCH) {
                let known = self.gathering.recall(&ids(batch));
                let is_known = |equal: &&[Question]| known.contains_key(&equal[0].id);
                let batch = batch.iter().copied();
                let (found, others): (Vec<&[Question]>, Vec<&[Question]>) = batch.partition(is_known);
                judge(&found, &known);
                unknown.extend(others);
            }
            left = unknown;
        }
        // Objects are read fastest as the history has them, for it was packed so.
        left.sort_by_key(|equal| (equal[0].task, equal[0].place.number()));
        for batch in left.chunks(BATCH) {
            let known = self.gathering.gather(&ids(batch));
            if known.len() < batch.len() {
                return false;
            }
            judge(batch, &known);
        }
        true
    }

    fn said(
        &self,
        &Question { id, task, place }: &Question,
        evidence: &Result<Evidence, Cause>,
        people: Option<&Result<Persons, Cause>>,
        coverage: &OnceLock<Coverage>,
    ) -> Said {
        let rule = self.tasks[task].rule;
        // The walk is made only for whom a window asks for it.
        let covered = |moment| Covered::from(coverage.get_or_init(|| self.coverage()).covers(id, moment));
        let receipt = Receipt { now: self.gathering.now, covered: &covered };
        let judge = |signers: &Signers| match evidence {
            Ok(evidence) => self.policy.judge(signers, &rule.demands, evidence, &receipt),
            Err(cause) => Err(cause.clone()),
        };
        let answer = match place {
            Place::Tag(_) => {
                let judged = rule.tags.as_ref().map_or(Err(Cause::TagsNotNamed), judge);
                Some(Answer::new(judged, Ok(())))
            }
            Place::Commit(_) => {
                let by_rule = || {
                    judge(&rule.commits)?;
                    if rule.own_headers().is_empty() {
                        return Ok(());
                    }
                    let missing = || Cause::Unexpected(format!("nobody has looked who stands in '{id}'"));
                    let persons = people.ok_or_else(missing)?.as_ref().map_err(Clone::clone)?;
                    let evidence = evidence.as_ref().map_err(Clone::clone)?;
                    self.policy.judge_persons(rule, evidence, &receipt, persons)
                };
                Some(Answer::new(by_rule(), self.by_paths(rule, id, &judge)))
            }
            Place::Tip => None,
        };
        let counted = evidence.as_ref().ok().filter(|_| rule.vouching.threshold.is_some());
        let person = counted.and_then(|evidence| self.policy.person(rule, evidence, &receipt));
        Said { answer, person: person.map(Into::into) }
    }

    fn by_paths(
        &self,
        rule: &Rule,
        id: ObjectId,
        judge: &dyn Fn(&Signers) -> Result<(), Cause>,
    ) -> Result<(), Cause> {
        let Some(found) = self.touched.get(&(rule.name.as_str(), id)) else { return Ok(()) };
        found.as_ref().map_err(Clone::clone)?.iter().try_for_each(|(place, path)| {
            judge(&Signers::Named(rule.paths[*place].commits.clone()))
                .map_err(|cause| Cause::Path { path: path.clone(), cause: Box::new(cause) })
        })
    }

    /// What the policy's anchors cover.
    fn coverage(&self) -> Coverage {
        let anchors: Vec<(ObjectId, i64)> =
            self.policy.anchors().iter().map(|anchor| (anchor.object, anchor.received)).collect();
        let go_on = || !(self.gathering.is_over)();
        Coverage::new_while(self.gathering.objects.reader(), self.shallow.clone(), &anchors, &go_on)
    }
}
