//! A refusal in words that fit on a screen: grouped by cause, whose work it is, and the command that mends it.
//!
//! The hook and the remote helper say the same. Commands are only made from object ids and from names of
//! plain characters: what a reader is told to run was chosen by nobody else.

use std::collections::{HashMap, HashSet};

use gix::bstr::ByteSlice as _;

use super::{Update, anew, plan};
use crate::{
    object::{Commit, Tag},
    policy::{Cause, Event, Refusal, Subject},
    repository::{ObjectReader, Shallow},
    verify::CannotTell,
    words::{escape, escape_bytes},
};

/// How many causes are told.
const MAXIMUM_GROUPS: usize = 4;

/// How many objects are told of all causes together, one a line.
const MAXIMUM_LINES: usize = 8;

/// How many things to do are told of all causes together, where the refs that were refused for one differ in that.
const MAXIMUM_HINTS: usize = 4;

/// How many characters of a person's name or a subject are shown.
const MAXIMUM_CHARACTERS: usize = 60;

/// What is looked at to put refusals into words.
pub struct Telling<'a> {
    /// Reads what was refused.
    pub reader: &'a ObjectReader,
    /// Where history is cut off.
    pub shallow: &'a Shallow,
    /// What was asked for.
    pub updates: &'a [Update],
    /// Whether it is the reader's own work that was refused, and not somebody else's.
    pub is_own: bool,
    /// Whether there is time to find out which command mends it.
    pub go_on: &'a dyn Fn() -> bool,
}

/// Refusals for the same reason.
struct Group<'a> {
    cause: String,
    /// What to do about it: for the first ref, and for others where it is something else.
    hints: Vec<String>,
    refusals: Vec<&'a Refusal>,
}

impl Telling<'_> {
    /// [`Self::words`] of all of `refusals`.
    #[must_use]
    pub fn all(&self, prefix: &str, refusals: &[Refusal]) -> String {
        self.words(prefix, &refusals.iter().collect::<Vec<_>>())
    }

    /// `refusals` in words, each line ended by a line feed; `prefix` is `error` or `warning`.
    #[must_use]
    pub fn words(&self, prefix: &str, refusals: &[&Refusal]) -> String {
        let groups = groups(refusals);
        let shown = groups.len().min(MAXIMUM_GROUPS);
        let lines = MAXIMUM_LINES / shown.max(1);
        let mut commands = Commands { telling: self, refusals, known: HashMap::new() };
        let mut text = String::new();
        let mut waiting: Vec<String> = Vec::new();
        for group in &groups[..shown] {
            let mut hints = commands.hints(group);
            hints.truncate((MAXIMUM_HINTS / shown).max(2));
            // What is to be done about several causes is said once, behind the last of them.
            if !waiting.is_empty() && hints != waiting {
                self.hint(&mut text, &waiting);
            }
            self.group(&mut text, prefix, group, lines);
            waiting = hints;
        }
        self.hint(&mut text, &waiting);
        let told: usize = groups[..shown].iter().map(|group| group.refusals.len()).sum();
        if told < refusals.len() {
            let more = refusals.len() - told;
            text += &format!("{prefix}: and {more} more for other reasons\n");
        }
        text
    }

    fn hint(&self, text: &mut String, hints: &[String]) {
        for hint in hints {
            let whose = if self.is_own { "" } else { "where it was made: " };
            *text += &format!("hint: {whose}{hint}\n");
        }
    }

    fn group(&self, text: &mut String, prefix: &str, group: &Group<'_>, lines: usize) {
        let first = group.refusals[0];
        let mut references: Vec<&[u8]> = Vec::new();
        let mut seen = HashSet::new();
        for refusal in &group.refusals {
            if seen.insert(refusal.reference.as_slice()) {
                references.push(&refusal.reference);
            }
        }
        if group.refusals.len() == 1 {
            *text += &format!("{prefix}: {first}\n");
            if let Some(whose) = self.whose(first.subject) {
                *text += &format!("  by {whose}\n");
            }
            return;
        }
        let name = escape_bytes(references[0]);
        let place = match references.len() {
            1 => name,
            2 => format!("{name} and another ref"),
            more => format!("{name} and {} more refs", more - 1),
        };
        let count = group.refusals.len();
        let each = match first.subject {
            Subject::Commit(_) => format!(" each of {count} commits:"),
            Subject::Tag(_) => format!(" each of {count} tags:"),
            Subject::Reference => String::new(),
        };
        *text += &format!("{prefix}: {place}:{each} {}\n", group.cause);
        for refusal in group.refusals.iter().take(lines) {
            let mut line = match refusal.subject {
                Subject::Commit(id) | Subject::Tag(id) => id.to_hex_with_len(12).to_string(),
                Subject::Reference => String::new(),
            };
            if references.len() > 1 {
                let gap = if line.is_empty() { "" } else { " " };
                line += &format!("{gap}{}", escape_bytes(&refusal.reference));
            }
            if let Some(whose) = self.whose(refusal.subject) {
                line += &format!(" by {whose}");
            }
            if !line.is_empty() {
                *text += &format!("  {line}\n");
            }
        }
        if count > lines {
            *text += &format!("  and {} more\n", count - lines);
        }
    }

    /// Who has made an object by its own account, and what it is about; escaped.
    fn whose(&self, subject: Subject) -> Option<String> {
        let (Subject::Commit(id) | Subject::Tag(id)) = subject else { return None };
        let object = self.reader.read(id).ok()?;
        let (person, message) = match subject {
            Subject::Commit(_) => {
                let commit = Commit::parse(self.reader.hash(), &object.bytes).ok()?;
                (commit.author, commit.message)
            }
            _ => (Tag::parse(self.reader.hash(), &object.bytes).ok()?.tagger?, &b""[..]),
        };
        let name = &person[..person.rfind_byte(b'>').map_or(person.len(), |at| at + 1)];
        let subject = message.lines().next().unwrap_or_default();
        let whose = format!("'{}'", shortened(name));
        Some(if subject.is_empty() { whose } else { format!("{whose}: '{}'", shortened(subject)) })
    }
}

fn shortened(text: &[u8]) -> String {
    let text = escape_bytes(text);
    let mut short: String = text.chars().take(MAXIMUM_CHARACTERS).collect();
    if short.len() < text.len() {
        short += "...";
    }
    short
}

fn groups<'a>(refusals: &[&'a Refusal]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut places = HashMap::new();
    for refusal in refusals {
        let mut cause = refusal.cause.to_string();
        if let Some(rule) = &refusal.rule {
            cause += &format!(" (rule '{}')", escape(rule));
        }
        let kind = std::mem::discriminant(&refusal.subject);
        let place = *places.entry((kind, cause.clone())).or_insert_with(|| {
            groups.push(Group { cause, hints: Vec::new(), refusals: Vec::new() });
            groups.len() - 1
        });
        let group = &mut groups[place];
        let is_another = group.refusals.last().is_none_or(|last| last.reference != refusal.reference);
        if is_another && group.hints.len() < MAXIMUM_HINTS {
            let hint = refusal.hint();
            if !group.hints.contains(&hint) {
                group.hints.push(hint);
            }
        }
        group.refusals.push(refusal);
    }
    groups
}

/// The commands that mend what was refused.
struct Commands<'a> {
    telling: &'a Telling<'a>,
    refusals: &'a [&'a Refusal],
    /// For each ref, the one that signs its refused commits again.
    known: HashMap<&'a [u8], Option<String>>,
}

impl<'a> Commands<'a> {
    /// What to do about a group: a command where one would mend it.
    fn hints(&mut self, group: &Group<'a>) -> Vec<String> {
        let mut general = group.hints.clone();
        if !self.telling.is_own {
            return general;
        }
        let first = group.refusals[0];
        // What carries no signature was not signed before, perhaps because git was never set up to.
        let is_new = matches!(first.cause, Cause::Unsigned { .. } | Cause::Event(Event::LightweightTag));
        let set_up = is_new.then(|| "if git does not sign yet, 'countersign init' sets it up to".to_owned());
        general.extend(set_up.clone());
        let mut references: Vec<&'a [u8]> = Vec::new();
        for refusal in &group.refusals {
            if !references.contains(&refusal.reference.as_slice()) {
                references.push(&refusal.reference);
            }
            if references.len() > 2 {
                return general;
            }
        }
        let commands: Vec<String> = match (first.subject, &first.cause) {
            (Subject::Commit(_), cause) if may_be_signed_again(cause) => {
                references.into_iter().filter_map(|reference| self.sign_again(reference)).collect()
            }
            (Subject::Tag(_), cause) if may_be_signed_again(cause) => self.tag_again(group),
            (Subject::Reference, Cause::Event(Event::LightweightTag)) => self.tag_again(group),
            (Subject::Tag(_), Cause::Event(Event::NestedTag)) => self.tag_again(group),
            _ => Vec::new(),
        };
        if commands.is_empty() {
            return general;
        }
        let what = if group.refusals.len() == 1 { "it" } else { "them" };
        let place =
            if matches!(first.subject, Subject::Commit(_)) { ", on the branch that you push" } else { "" };
        let commands = commands.into_iter();
        if is_by_somebody(&first.cause) {
            let as_who = format!("or sign {what} as somebody whom the rule names{place}: ");
            return general
                .into_iter()
                .chain(commands.map(|command| format!("{as_who}'{command}'")))
                .collect();
        }
        if matches!(first.cause, Cause::Event(Event::NestedTag)) {
            return commands.map(|command| format!("tag the commit itself: '{command}'")).collect();
        }
        let once_more = if is_new { "" } else { " again" };
        let sign = commands.map(|command| format!("sign {what}{once_more}{place}: '{command}'"));
        sign.chain(set_up).collect()
    }

    /// The command that signs the refused commits of a branch again, and no others but those on top of them.
    fn sign_again(&mut self, reference: &'a [u8]) -> Option<String> {
        if let Some(known) = self.known.get(reference) {
            return known.clone();
        }
        let command = anew::command(self.telling, self.refusals, reference);
        self.known.insert(reference, command.clone());
        command
    }

    /// The commands that make tags again.
    fn tag_again(&self, group: &Group<'_>) -> Vec<String> {
        let Telling { reader, updates, .. } = self.telling;
        let command = |refusal: &&Refusal| {
            let update = updates.iter().find(|update| update.reference == refusal.reference)?;
            let wanted = update.wanted?;
            let name = refusal.reference.strip_prefix(b"refs/tags/").filter(|name| is_plain(name))?;
            let target = match (refusal.subject, &refusal.cause) {
                (_, Cause::Event(Event::NestedTag)) => plan::commit_behind(reader, wanted)?,
                (Subject::Tag(id), _) if id == wanted => {
                    Tag::parse(reader.hash(), &reader.read(id).ok()?.bytes).ok()?.target
                }
                (Subject::Reference, _) => wanted,
                _ => return None,
            };
            Some(format!("git tag -s -f {} {target}", name.to_str().ok()?))
        };
        group.refusals.iter().filter_map(command).collect()
    }
}

/// Whether a shell takes the name of a ref as it stands.
fn is_plain(name: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._/+@-".contains(byte);
    !name.starts_with(b"-") && name.iter().all(plain)
}

/// Whether the same work with a new signature may be accepted.
fn may_be_signed_again(cause: &Cause) -> bool {
    match cause {
        Cause::CannotTell(cause) => !matches!(
            cause,
            CannotTell::UnknownAuthority | CannotTell::UnknownLog | CannotTell::UnknownCertificateAuthority
        ),
        Cause::Unsigned { .. } | Cause::Bad(_) => true,
        cause => is_by_somebody(cause),
    }
}

/// Whether it was signed by somebody, who does not count here.
fn is_by_somebody(cause: &Cause) -> bool {
    matches!(
        cause,
        Cause::NotInTheRule { .. }
            | Cause::KeyNotInTheRule { .. }
            | Cause::NotInThePolicy(..)
            | Cause::KeyNotInThePolicy(_)
            | Cause::Lapsed { .. }
    )
}
