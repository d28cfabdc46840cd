//! The answers of `countersign verify` as people and programs read them, in one of four forms.
//!
//! Every form is written as the answers come: none keeps them. What came from outside is escaped by
//! `words` for people, and besides by each form's own rules.

mod json;
mod junit;
mod sarif;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use gix::objs::Kind;

use super::{
    World,
    arguments::Format,
    exit,
    kept::FETCH_HINT,
    settings::{self, Standing, Unclear},
};
use crate::{
    object::ObjectId,
    verify::{Identity, NotLogged, Proven, Stated, TimeNotProven},
    words::{self, Failure},
};

/// One object's answer.
pub(super) enum Answer {
    Good {
        proven: Box<Proven>,
        standing: Standing,
    },
    Stated {
        stated: Box<Stated>,
        standing: Standing,
    },
    /// Good, at a time that a timestamp authority proves, and in no log that it shows.
    NotLogged {
        signed: Box<NotLogged>,
        standing: Standing,
        /// Whether the configuration lets such signatures count.
        counts: bool,
    },
    /// Good but for its time: its log entry is in the log alone.
    TimeNotProven {
        signed: Box<TimeNotProven>,
        standing: Standing,
    },
    /// Changed after signing, or malformed.
    Bad(String),
    CannotTell(Unclear),
    /// Not signed at all.
    Unsigned,
    /// The tag calls itself by another name than its ref.
    Misnamed {
        tag: String,
        reference: String,
    },
    /// The object cannot be had.
    Failed(String),
}

/// How an object has come to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It was named.
    Named,
    /// It belongs to a history that was named.
    History,
    /// It does, and the history is cut off there.
    CutOff,
    /// A merge commit holds it.
    Merged,
}

/// One object with its answer.
pub(super) struct Line {
    pub(super) id: ObjectId,
    pub(super) kind: Kind,
    /// A commit's subject or a tag's name, escaped.
    pub(super) title: String,
    pub(super) place: Place,
    pub(super) answer: Answer,
    /// The signed tags that a merge commit holds.
    pub(super) merged: Vec<Line>,
}

impl Answer {
    /// A key would help that another key ring may have.
    pub(super) fn lacks_key(&self) -> bool {
        matches!(self, Self::CannotTell(Unclear { unknown_key: true, .. }))
    }
}

/// What a status word says, in the words of the manual; also the order in which they are counted.
const STATUSES: [(&str, &str); 7] = [
    ("good", "proven, and named"),
    ("bad", "content or signature were changed, or some evidence contradicts its key"),
    ("refused", "proven by somebody who is not named, or a tag under another name than its own"),
    ("unsigned", "there is no signature"),
    ("cannot-tell", "something needed is missing, unknown or unreadable"),
    ("proven", "proven, and neither a policy nor '--identity' names anyone"),
    ("error", "the object is missing, damaged, or of a kind that carries no signature"),
];

/// What is said of a commit at which the history is cut off.
const CUT_OFF: &str = "the history is cut off here";

impl Line {
    /// A key would help that another key ring may have, for it or for a tag that it holds.
    pub(super) fn lacks_key(&self) -> bool {
        self.answer.lacks_key() || self.merged.iter().any(Self::lacks_key)
    }

    /// The exit status that this object alone would lead to.
    pub(super) fn exit(&self) -> u8 {
        if self.place == Place::CutOff {
            return exit::COULD_NOT_RUN;
        }
        match &self.answer {
            Answer::Good { standing: Standing::Named(_), .. }
            | Answer::NotLogged { standing: Standing::Named(_), counts: true, .. }
            | Answer::Stated { standing: Standing::Named(_), .. } => exit::GOOD,
            Answer::Good { standing: Standing::NoPolicy, .. }
            | Answer::Stated { standing: Standing::NoPolicy, .. }
            | Answer::NotLogged { standing: Standing::Named(_) | Standing::NoPolicy, .. }
            | Answer::TimeNotProven { standing: Standing::Named(_) | Standing::NoPolicy, .. }
            | Answer::CannotTell(_) => exit::CANNOT_TELL,
            Answer::Good { .. }
            | Answer::NotLogged { .. }
            | Answer::Stated { .. }
            | Answer::TimeNotProven { .. }
            | Answer::Bad(_)
            | Answer::Unsigned
            | Answer::Misnamed { .. } => exit::BAD,
            Answer::Failed(_) => exit::COULD_NOT_RUN,
        }
    }

    /// The status as a word for machines, and its cause where there is one.
    fn status(&self) -> (&'static str, Option<String>) {
        match &self.answer {
            Answer::Good { standing: Standing::Named(_), .. }
            | Answer::Stated { standing: Standing::Named(_), .. } => ("good", None),
            Answer::NotLogged { signed, standing: Standing::Named(_), counts: true } => {
                ("good", Some(signed.to_string()))
            }
            Answer::NotLogged {
                signed,
                standing: Standing::Named(_) | Standing::NoPolicy,
                counts: false,
            } => ("cannot-tell", Some(signed.to_string())),
            Answer::Good { standing: Standing::NoPolicy, .. }
            | Answer::NotLogged { standing: Standing::NoPolicy, .. }
            | Answer::Stated { standing: Standing::NoPolicy, .. } => {
                ("proven", Some("neither a policy nor '--identity' names anyone".to_owned()))
            }
            Answer::TimeNotProven { signed, standing: Standing::Named(_) | Standing::NoPolicy } => {
                ("cannot-tell", Some(signed.to_string()))
            }
            Answer::Good { standing: Standing::Refused(cause), .. }
            | Answer::NotLogged { standing: Standing::Refused(cause), .. }
            | Answer::Stated { standing: Standing::Refused(cause), .. }
            | Answer::TimeNotProven { standing: Standing::Refused(cause), .. } => {
                ("refused", Some(cause.to_string()))
            }
            Answer::Good { standing: Standing::NotBelieved, .. }
            | Answer::NotLogged { standing: Standing::NotBelieved, .. }
            | Answer::TimeNotProven { standing: Standing::NotBelieved, .. } => {
                ("refused", Some(format!("the signer is one {}", settings::NOT_BELIEVED)))
            }
            Answer::Good { standing: Standing::Unnamed, .. }
            | Answer::NotLogged { standing: Standing::Unnamed, .. }
            | Answer::TimeNotProven { standing: Standing::Unnamed, .. }
            | Answer::Stated { standing: Standing::NotBelieved | Standing::Unnamed, .. } => {
                ("refused", Some("the signer is not named".to_owned()))
            }
            Answer::Bad(cause) => ("bad", Some(cause.clone())),
            Answer::CannotTell(unclear) => ("cannot-tell", Some(unclear.cause.clone())),
            Answer::Unsigned => ("unsigned", Some("there is no signature".to_owned())),
            Answer::Misnamed { tag, reference } => {
                ("refused", Some(format!("'{reference}' holds a tag that calls itself '{tag}'")))
            }
            Answer::Failed(cause) => ("error", Some(cause.clone())),
        }
    }

    /// Who has signed, for people and escaped; empty where that is not known.
    fn signer(&self) -> String {
        match &self.answer {
            Answer::Good { proven, standing } => person(proven.identity(), standing),
            Answer::NotLogged { signed, standing, .. } => person(signed.identity(), standing),
            Answer::TimeNotProven { signed, standing } => person(signed.identity(), standing),
            Answer::Stated { stated, standing } => {
                let keys: Vec<String> =
                    stated.keys().iter().map(|key| words::escape(&key.to_string())).collect();
                match standing {
                    Standing::Named(name) => format!("{} = {}", words::escape(name), keys.join(", ")),
                    _ => keys.join(", "),
                }
            }
            _ => String::new(),
        }
    }

    /// When it was signed, for people; empty where that is not known.
    fn time(&self) -> String {
        match &self.answer {
            Answer::Good { proven, .. } => words::time(proven.time()),
            Answer::NotLogged { signed, .. } => {
                format!("{} (timestamp, in no log)", words::time(signed.time()))
            }
            Answer::TimeNotProven { signed, .. } => {
                format!("(certificate of {})", words::time(signed.window().0))
            }
            Answer::Stated { stated, .. } => {
                let since = if stated.key_expired() { " (key expired since)" } else { "" };
                let states = |time| format!("(states {}){since}", words::time(time));
                stated.time().map_or_else(String::new, states)
            }
            _ => String::new(),
        }
    }
}

/// A keyless signer, for people and escaped.
fn person(identity: &Identity, standing: &Standing) -> String {
    let name = match standing {
        Standing::Named(name) if *name != identity.subject => format!("{} = ", words::escape(name)),
        _ => String::new(),
    };
    format!(
        "{name}{} ({}, {})",
        words::escape(&identity.subject),
        words::escape(&identity.issuer),
        words::escape(&identity.instance),
    )
}

/// How many objects there were of each status.
#[derive(Default)]
pub(super) struct Tally {
    counts: BTreeMap<&'static str, u64>,
    total: u64,
    worst: u8,
    /// Somebody is proven, and nobody is named.
    pub(super) unnamed: bool,
    /// The first commit at which a history is cut off, and how many there are.
    cut_off: Option<(ObjectId, u64)>,
    /// Why the first object of a history that cannot be had cannot be had, and how many there are.
    missing: Option<(String, u64)>,
    hints: BTreeSet<String>,
}

impl Tally {
    pub(super) fn count(&mut self, line: &Line) {
        let (status, _) = line.status();
        *self.counts.entry(status).or_default() += 1;
        self.total += 1;
        self.worst = worse(self.worst, line.exit());
        self.unnamed |= status == "proven";
        match &line.answer {
            Answer::CannotTell(Unclear { hint: Some(hint), .. }) => {
                self.hints.insert(hint.clone());
            }
            Answer::Good { standing: Standing::Refused(cause), .. }
            | Answer::NotLogged { standing: Standing::Refused(cause), .. }
            | Answer::Stated { standing: Standing::Refused(cause), .. }
            | Answer::TimeNotProven { standing: Standing::Refused(cause), .. } => {
                self.hints.insert(cause.hint());
            }
            _ => {}
        }
        if matches!(line.answer, Answer::NotLogged { counts: false, .. }) {
            self.hints.insert(settings::NOT_LOGGED_HINT.to_owned());
        }
        if matches!(line.answer, Answer::TimeNotProven { .. }) {
            self.hints.insert(FETCH_HINT.to_owned());
        }
        if line.place == Place::CutOff {
            self.cut_off.get_or_insert((line.id, 0)).1 += 1;
        }
        if let (Answer::Failed(cause), Place::History | Place::CutOff) = (&line.answer, line.place) {
            self.missing.get_or_insert_with(|| (cause.clone(), 0)).1 += 1;
        }
    }

    /// What to do about answers that could not be given, each thing once.
    pub(super) fn hints(&self) -> impl Iterator<Item = &str> {
        self.hints.iter().map(String::as_str)
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The worst exit status of all.
    pub(super) fn exit(&self) -> u8 {
        self.worst
    }

    fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        STATUSES.iter().filter_map(|(status, _)| Some((*status, *self.counts.get(status)?)))
    }

    /// One line that says how many there were of each.
    pub(super) fn summary(&self) -> String {
        let objects = if self.total == 1 { "object" } else { "objects" };
        let counts: Vec<String> = self.counts().map(|(status, count)| format!("{count} {status}")).collect();
        let colon = if counts.is_empty() { "" } else { ": " };
        format!("verified {} {objects}{colon}{}\n", self.total, counts.join(", "))
    }

    /// What stood in the way of judging all that was asked for.
    pub(super) fn gaps(&self) -> Vec<Failure> {
        let more = |count: &u64| match count {
            1 => String::new(),
            count => format!(", and {} more like it", count - 1),
        };
        let cut_off = self.cut_off.iter().map(|(id, count)| {
            Failure::new(
                format!("history is cut off at commit '{id}'{}", more(count)),
                "run 'git fetch --unshallow' to have what lies behind it",
            )
        });
        let missing = self.missing.iter().map(|(cause, count)| {
            Failure::new(
                format!("{cause}{}", more(count)),
                "run 'git fsck' to see what is missing or damaged",
            )
        });
        cut_off.chain(missing).collect()
    }
}

/// The worse of two exit statuses: 3, then 1, then 2, then 0.
fn worse(one: u8, other: u8) -> u8 {
    let rank = |status| match status {
        exit::COULD_NOT_RUN => 3,
        exit::BAD => 2,
        exit::CANNOT_TELL => 1,
        _ => 0,
    };
    if rank(one) >= rank(other) { one } else { other }
}

/// A report that is being written.
pub(super) enum Report {
    Text {
        colours: bool,
    },
    /// With where the policy comes from.
    Json(Option<serde_json::Value>),
    Sarif(sarif::Sarif),
    Junit(junit::Junit),
}

impl Report {
    pub(super) fn new(format: Format, colours: bool, policy: Option<serde_json::Value>) -> Self {
        match format {
            Format::Text => Self::Text { colours },
            Format::Json => Self::Json(policy),
            Format::Sarif => Self::Sarif(sarif::Sarif::default()),
            Format::Junit => Self::Junit(junit::Junit::new()),
        }
    }

    /// What is to be printed for `lines`.
    pub(super) fn lines(&mut self, lines: &[Line]) -> Result<String, Failure> {
        Ok(match self {
            Self::Text { colours } => text::table(lines, *colours),
            Self::Json(policy) => {
                lines.iter().map(|line| format!("{}\n", json::line(line, policy.as_ref()))).collect()
            }
            Self::Sarif(sarif) => sarif.results(lines),
            Self::Junit(junit) => {
                junit.keep(lines)?;
                String::new()
            }
        })
    }

    /// Print what ends the report. `failure` is why not everything was looked at, if so.
    pub(super) fn finish(
        self,
        world: &mut World<'_>,
        tally: &Tally,
        failure: Option<&Failure>,
    ) -> Result<(), Failure> {
        match self {
            Self::Text { .. } | Self::Json(_) => Ok(()),
            Self::Sarif(sarif) => {
                world.say(&sarif.end(tally, failure));
                Ok(())
            }
            Self::Junit(junit) => junit.write(world, tally, failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: u8, place: Place, answer: Answer) -> Line {
        let id = ObjectId::from_bytes_or_panic(&[id; 20]);
        Line { id, kind: Kind::Commit, title: "t".to_owned(), place, answer, merged: Vec::new() }
    }

    fn unclear() -> Answer {
        Answer::CannotTell(Unclear { cause: "x".to_owned(), hint: None, unknown_key: false })
    }

    #[test]
    fn the_worst_counts_in_the_order_3_1_2_0() {
        let mut tally = Tally::default();
        assert_eq!((tally.exit(), tally.summary().as_str()), (0, "verified 0 objects\n"));
        tally.count(&line(1, Place::Named, unclear()));
        assert_eq!((tally.exit(), tally.summary().as_str()), (2, "verified 1 object: 1 cannot-tell\n"));
        tally.count(&line(2, Place::History, Answer::Unsigned));
        assert_eq!(tally.exit(), 1);
        tally.count(&line(3, Place::Named, unclear()));
        assert_eq!((tally.exit(), tally.gaps().len()), (1, 0));
        tally.count(&line(4, Place::CutOff, Answer::Unsigned));
        tally.count(&line(5, Place::CutOff, Answer::Unsigned));
        tally.count(&line(6, Place::History, Answer::Failed("gone".to_owned())));
        assert_eq!(tally.exit(), 3);
        assert_eq!(tally.summary(), "verified 6 objects: 3 unsigned, 2 cannot-tell, 1 error\n");
        let gaps: Vec<String> = tally.gaps().into_iter().map(|gap| gap.error).collect();
        let first = "04".repeat(20);
        assert_eq!(
            gaps,
            [format!("history is cut off at commit '{first}', and 1 more like it"), "gone".to_owned()]
        );
    }
}
