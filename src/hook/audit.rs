//! What an administrator can read of every decision: a line of JSON for each ref of a push.
//!
//! Whatever a pusher has chosen is escaped before it is written, and cut. A file gets all lines of a push in one
//! write at its end, and is opened anew each time, so it may be moved away at any time; the system's log gets one
//! message a line. Nothing here waits: a decision is not delayed for its record, nor is a refusal taken back.

use std::{
    collections::{HashMap, HashSet},
    fs::OpenOptions,
    io::{self, Write as _},
    path::Path,
};

use serde_json::{Value, json};

use super::{AuditSink, Context, Outcome, Update, admitting::Admitted};
use crate::{
    encoding::sha256,
    object::ObjectId,
    policy::{ForgeContext, Refusal, Subject},
    repository::system::{self, LastLink},
    words::{escape, escape_bytes},
};

/// The file in the state folder.
const FILE: &str = "audit.jsonl";

/// How many causes of one ref are told.
const MAXIMUM_CAUSES: usize = 8;

/// Of how many refs a push is told that leaves nothing else behind: whoever is refused chooses how many there are, as
/// often as they like, and must not be able to fill the disk with what is said of them.
const MAXIMUM_REFUSED: usize = 1000;

/// How many characters of anything are told.
const MAXIMUM_CHARACTERS: usize = 400;

/// Hands a line to the system's log behind a socket.
pub type LogLine<'a> = &'a dyn Fn(&Path, &str) -> io::Result<()>;

/// What is known of a push once it is decided about.
pub(super) struct Decision<'a> {
    pub(super) outcome: Outcome,
    /// Why the gate could not do its work.
    pub(super) error: Option<&'a str>,
    pub(super) updates: &'a [Update],
    pub(super) refusals: &'a [Refusal],
    pub(super) warnings: &'a [Refusal],
    /// What an administrator has admitted, and what would have been refused otherwise.
    pub(super) admitted: &'a [Admitted],
    /// Who has signed the push certificate, by the policy's names.
    pub(super) pushers: &'a [String],
    /// SHA-256 of the policy.
    pub(super) policy: Option<[u8; 32]>,
    /// The commit that holds it.
    pub(super) policy_commit: Option<ObjectId>,
}

fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(MAXIMUM_CHARACTERS).collect();
    if cut.len() < text.len() {
        cut += "...";
    }
    cut
}

fn causes<'a>(refusals: impl Iterator<Item = &'a Refusal>) -> (Vec<Value>, usize) {
    let mut causes = Vec::new();
    let mut count = 0;
    for refusal in refusals {
        count += 1;
        if causes.len() < MAXIMUM_CAUSES {
            let object = match refusal.subject {
                Subject::Commit(id) | Subject::Tag(id) => Some(id.to_string()),
                Subject::Reference => None,
            };
            let rule = refusal.rule.as_ref().map(|rule| cut(&escape(rule)));
            let cause = cut(&refusal.cause.to_string());
            causes.push(json!({ "object": object, "rule": rule, "cause": cause }));
        }
    }
    (causes, count)
}

/// Refusals by what they are about: a push may name many refs.
fn by_reference(refusals: &[Refusal]) -> HashMap<&[u8], Vec<&Refusal>> {
    let mut found: HashMap<&[u8], Vec<&Refusal>> = HashMap::new();
    for refusal in refusals {
        found.entry(refusal.reference.as_slice()).or_default().push(refusal);
    }
    found
}

/// Those among `refusals` that are about the ref of `update`.
fn its<'a>(
    refusals: &HashMap<&[u8], Vec<&'a Refusal>>,
    update: &Update,
) -> impl Iterator<Item = &'a Refusal> {
    refusals.get(update.reference.as_slice()).cloned().unwrap_or_default().into_iter()
}

impl Decision<'_> {
    /// The lines, without their line feeds.
    fn lines(&self, context: &Context) -> Vec<String> {
        let time = jiff::Timestamp::from_second(context.now).map(|time| time.to_string()).ok();
        let id = |id: Option<ObjectId>| id.map(|id| id.to_string());
        let mut seed = format!("{} {}", context.now, std::process::id());
        for update in self.updates {
            seed += &format!(" {:?} {:?}", update.reference, update.wanted);
        }
        let push = hex::encode(&sha256(&[seed.as_bytes()])[..8]);
        let forge = context.forge.as_ref();
        let told = |text: Option<&String>| text.map(|text| cut(&escape(text)));
        let base = json!({
            "time": time,
            "push": push,
            "repository": escape(&context.repository.display().to_string()),
            "policy": self.policy.map(hex::encode),
            "policyCommit": id(self.policy_commit),
            "pusher": match self.pushers {
                [] => None,
                names => Some(cut(&escape(&names.join(", ")))),
            },
            "forgeUser": told(forge.and_then(|forge| forge.user.as_ref())),
            "forgeUserId": told(forge.and_then(|forge| forge.id.as_ref())),
            "forgeRepository": told(forge.and_then(|forge| forge.repository.as_ref())),
            "forgeWay": forge.map(ForgeContext::way_words),
            "user": system::user(),
        });
        let with = |more: Value| {
            let mut line = base.clone();
            if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
                line.extend(more);
            }
            line.to_string()
        };
        if self.updates.is_empty() {
            let error = self.error.map(|error| cut(&escape(error)));
            return vec![with(json!({ "decision": self.outcome.name(), "error": error }))];
        }
        let (refusals, warnings) = (by_reference(self.refusals), by_reference(self.warnings));
        let line = |update: &Update| {
            let admitted = self.admitted.iter().find(|one| one.admission.admits(update));
            let accepted = self.outcome == Outcome::Accepted;
            let waived = admitted.map(|one| one.waived.as_slice()).unwrap_or_default();
            let (causes, count) = causes(its(&refusals, update).chain(waived));
            let (warnings, _) = self::causes(its(&warnings, update));
            let mut more = json!({
                "ref": cut(&escape_bytes(&update.reference)),
                "old": id(update.claimed),
                "new": id(update.wanted),
                "decision": match admitted {
                    Some(_) if accepted => "admitted",
                    _ => self.outcome.name(),
                },
                "causes": causes,
                "causeCount": count,
            });
            if !warnings.is_empty() {
                more["warnings"] = warnings.into();
            }
            if let Some(Admitted { admission, .. }) = admitted {
                more["reason"] = cut(&escape(&admission.reason)).into();
                more["admittedBy"] = admission.user.into();
            }
            if let Some(error) = self.error {
                more["error"] = cut(&escape(error)).into();
            }
            with(more)
        };
        // What an alias stands for is judged under its own name, which no update may name.
        let (told, more) = self.told(&refusals);
        let mut lines: Vec<String> = told.into_iter().map(line).collect();
        if more > 0 {
            lines.push(with(json!({ "decision": self.outcome.name(), "moreRefs": more })));
        }
        let named: HashSet<&[u8]> = self.updates.iter().map(|update| update.reference.as_slice()).collect();
        let is_other = |refusal: &&Refusal| !named.contains(refusal.reference.as_slice());
        let (others, count) = causes(self.refusals.iter().filter(is_other));
        if count > 0 {
            let decision = self.outcome.name();
            lines.push(with(json!({ "decision": decision, "causes": others, "causeCount": count })));
        }
        lines
    }

    /// The updates that get a line, and how many get none: of a push that is not accepted those first for which it
    /// is refused.
    fn told(&self, refusals: &HashMap<&[u8], Vec<&Refusal>>) -> (Vec<&Update>, usize) {
        if self.outcome == Outcome::Accepted || self.updates.len() <= MAXIMUM_REFUSED {
            return (self.updates.iter().collect(), 0);
        }
        let is_refused = |update: &&Update| refusals.contains_key(update.reference.as_slice());
        let (refused, others): (Vec<&Update>, Vec<&Update>) = self.updates.iter().partition(is_refused);
        let told = refused.into_iter().chain(others).take(MAXIMUM_REFUSED).collect();
        (told, self.updates.len() - MAXIMUM_REFUSED)
    }

    /// Write the decision down where `context` says.
    ///
    /// # Errors
    /// That could not be done.
    pub(super) fn write(&self, context: &Context, log_line: LogLine<'_>) -> io::Result<()> {
        write(&context.settings.audit, &context.state, &self.lines(context), log_line)
    }
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::CouldNotRun => "not_judged",
        }
    }
}

/// Write `lines` to a sink.
pub(super) fn write(
    sink: &AuditSink,
    state: &Path,
    lines: &[String],
    log_line: LogLine<'_>,
) -> io::Result<()> {
    match sink {
        AuditSink::Off => Ok(()),
        AuditSink::State => append(&state.join(FILE), lines),
        AuditSink::File(path) => append(path, lines),
        AuditSink::Syslog(socket) => lines.iter().try_for_each(|line| log_line(socket, line)),
    }
}

fn append(path: &Path, lines: &[String]) -> io::Result<()> {
    // A pipe that nobody reads would be waited for, and what is written to a device is gone.
    let mut options = OpenOptions::new();
    let mut file = system::open_warily(options.append(true).create(true), path, LastLink::Followed)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let text: String = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    file.write_all(text.as_bytes())
}
