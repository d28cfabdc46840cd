//! A push: judged here as the server's gate would judge it, and then sent by git itself.
//!
//! git's own `git push` does the sending, so that signed pushes, push options, leases, atomic pushes and
//! what the server says work as they do without a helper. What is pushed are the object ids that were
//! judged, whatever the names of their sources stand for by then.

use std::{
    collections::{BTreeMap, HashSet},
    io,
};

use gix::bstr::{BStr, BString, ByteSlice as _};

use super::{
    PushLine, Work,
    address::without_secrets,
    judge::{Judge, Judged, progress},
    session::{Session, unreachable},
    taking::Scene,
};
use crate::{
    hook::{Standing, Update},
    object::ObjectId,
    policy::Pushing,
    repository::{ReferenceError, ReferenceValue, Repository},
    words::{Failure, escape_bytes},
};

/// What git asks of a push.
#[derive(Clone, Debug, Default)]
pub(super) struct PushOptions {
    dry_run: bool,
    atomic: bool,
    force_if_includes: bool,
    signed: Option<String>,
    options: Vec<BString>,
    leases: Vec<BString>,
}

impl PushOptions {
    /// Take an option; git's answer to it.
    pub(super) fn set(&mut self, name: &str, value: &BString) -> &'static str {
        let is_true = value == "true";
        match name {
            "dry-run" => self.dry_run = is_true,
            "atomic" => self.atomic = is_true,
            "force-if-includes" => self.force_if_includes = is_true,
            "pushcert" if is_true || value == "if-asked" => self.signed = Some(value.to_string()),
            "pushcert" => self.signed = None,
            "push-option" => self.options.push(value.clone()),
            "cas" => self.leases.push(value.clone()),
            _ => return "unsupported\n",
        }
        "ok\n"
    }
}

impl PushOptions {
    /// Whether git will send a push certificate; `None` where the remote decides.
    fn is_signed(&self) -> Option<bool> {
        match self.signed.as_deref() {
            None => Some(false),
            Some("if-asked") => None,
            Some(_) => Some(true),
        }
    }
}

/// What the remote says that it has: the gate over there decides by its own refs, and counts them.
struct OverThere<'a> {
    refs: &'a std::collections::HashMap<BString, ObjectId>,
}

impl Standing for OverThere<'_> {
    fn value(&self, name: &BStr) -> Result<ReferenceValue, ReferenceError> {
        Ok(ReferenceValue { names: vec![name.to_owned()], id: self.refs.get(name).copied() })
    }

    fn is_accepted(&self, _digest: &[u8; 32], _commit: ObjectId) -> bool {
        true
    }

    /// Approvals may lie over there, and a signed push vouches too: the gate over there knows both.
    fn sees_each_move(&self) -> bool {
        false
    }
}

impl Session<'_> {
    /// Judge a push, and have git send it; git's answer for each ref.
    pub(super) fn push(&mut self, lines: &[PushLine]) -> Result<Vec<u8>, Failure> {
        let repository = self.repository()?.ok_or_else(|| {
            Failure::new("there is no repository to push from", "run git inside of a repository")
        })?;
        let objects = self.objects(&repository, None)?;
        let mut told = BTreeMap::new();
        let mut sent = Vec::new();
        for line in lines {
            let update = self.update(&repository, line)?;
            // Without the value over there nothing can be said of how the new one stands to it.
            let has = |id| objects.reader().kind(id).is_ok();
            if !line.force && update.wanted.is_some() && !update.claimed.is_none_or(has) {
                told.insert(line.destination.clone(), Fate::Refused("fetch first".to_owned()));
            } else {
                sent.push((line, update));
            }
        }
        if self.options.push.atomic && !told.is_empty() {
            let others = sent.drain(..);
            told.extend(
                others.map(|(line, _)| {
                    (line.destination.clone(), Fate::Refused("atomic push failed".to_owned()))
                }),
            );
        }
        let (context, basis) = (self.context, self.basis()?);
        let updates: Vec<Update> = sent.iter().map(|(_, update)| update.clone()).collect();
        let mut judged = Judged { accepted: updates.clone(), ..Judged::default() };
        if let Some(basis) = &basis {
            let there = OverThere { refs: &self.listed };
            let shallow = repository.shallow(None);
            let shallow =
                shallow.map_err(|error| Failure::new(error, "see to the repository's file 'shallow'"))?;
            let pushing = Pushing::Planned { is_signed: self.options.push.is_signed() };
            let judge = Judge::new(
                (basis, context.now),
                (&objects, &repository.references()),
                &there,
                shallow,
                pushing,
                &updates,
            );
            judged = judge.part(updates, progress(self.options.progress, self.words, &mut io::sink()));
            if !judged.refused.is_empty() {
                judge.tell(&judged.refused, true, self.words);
                // As a server's hook refuses a push: as a whole.
                for (line, _) in sent.drain(..) {
                    let why = match judged.refused.contains_key(&line.destination) {
                        true => "refused by the policy",
                        false => "not sent, for the policy refuses another ref",
                    };
                    told.insert(line.destination.clone(), Fate::Refused(why.to_owned()));
                }
            }
        }
        self.warn_of(&judged.warnings);
        if !sent.is_empty() {
            told.append(&mut self.send(&sent)?);
            if let Some(basis) = basis.as_ref().filter(|_| !self.options.push.dry_run) {
                let written = Fate::Written(Vec::new());
                let is_pushed = |update: &Update| told.get(update.reference.as_bstr()) == Some(&written);
                let pushed = judged.accepted.into_iter().filter(is_pushed).collect();
                let scene = Scene { basis, repository: &repository, objects: &objects };
                if let Err(failure) = self.take_pushed(scene, pushed) {
                    let _ = write!(self.words, "{failure}");
                }
            }
        }
        let mut answer = Vec::new();
        for line in lines {
            let name = line.destination.as_slice();
            match told.get(&line.destination) {
                Some(Fate::Written(reports)) => {
                    let nothing = [Report::default()];
                    for report in if reports.is_empty() { &nothing[..] } else { reports } {
                        answer.extend([b"ok ", name, b"\n"].concat());
                        answer.extend(report.options());
                    }
                }
                Some(Fate::Refused(why)) => {
                    answer.extend([b"error ", name, b" ", why.as_bytes(), b"\n"].concat());
                }
                None => answer.extend([b"error ", name, b" the remote said nothing of it\n"].concat()),
            }
        }
        answer.push(b'\n');
        Ok(answer)
    }

    fn update(&self, repository: &Repository, line: &PushLine) -> Result<Update, Failure> {
        let unclear = |reason: String| -> Failure {
            let source = escape_bytes(&line.source);
            Failure::new(format!("'{source}' cannot be pushed: {reason}"), "push a branch or tag by its name")
        };
        let wanted = match line.source.as_slice() {
            b"" => None,
            source => match ObjectId::from_hex(source) {
                Ok(id) if id.kind() == repository.hash() => Some(id),
                // git itself says what it has read it as.
                _ => Some(self.resolve(source).map_err(unclear)?),
            },
        };
        let claimed = self.listed.get(&line.destination).copied();
        Ok(Update { claimed, wanted, reference: line.destination.to_vec() })
    }

    /// What git takes `source` for.
    fn resolve(&self, source: &[u8]) -> Result<ObjectId, String> {
        let mut git = std::process::Command::new("git");
        git.current_dir(&self.context.transport.directory);
        git.args(["rev-parse", "--verify", "--quiet", "--end-of-options"]);
        git.arg(source.to_os_str_lossy());
        let answer = git.output().map_err(|error| format!("git cannot be run: {error}"))?;
        let id = ObjectId::from_hex(answer.stdout.trim_ascii());
        id.ok().filter(|_| answer.status.success()).ok_or_else(|| "it names no object".to_owned())
    }

    /// Have git push; what became of each ref.
    fn send(&mut self, sent: &[(&PushLine, Update)]) -> Result<BTreeMap<BString, Fate>, Failure> {
        let options = self.options.clone();
        let asked = &options.push;
        // What became of a ref is told with whole ids.
        let whole =
            format!("core.abbrev={}", self.listed.values().next().map_or(40, |id| id.kind().len_in_hex()));
        let mut arguments: Vec<BString> = ["-c", "push.pushOption=", "-c", &whole]
            .into_iter()
            .chain(["push", "--porcelain", "--no-verify"])
            .chain(["--no-follow-tags", "--no-recurse-submodules"])
            .map(BString::from)
            .collect();
        let signed = asked.signed.as_deref().unwrap_or("false");
        arguments.push(format!("--signed={signed}").into());
        // It is the only sign of life that there is; who has not asked for it does not hear it.
        arguments.push("--progress".into());
        arguments.push(if asked.atomic { "--atomic" } else { "--no-atomic" }.into());
        if asked.dry_run {
            arguments.push("--dry-run".into());
        }
        if asked.force_if_includes {
            arguments.push("--force-if-includes".into());
        }
        arguments.extend(options.family.map(BString::from));
        arguments.extend(
            asked.options.iter().map(|option| [b"--push-option=", option.as_slice()].concat().into()),
        );
        let lease = |lease: &BString| BString::from([b"--force-with-lease=", lease.as_slice()].concat());
        arguments.extend(asked.leases.iter().map(lease));
        let sources = sources(sent.iter().map(|(_, update)| update));
        let specs = sent.iter().zip(&sources).map(|((line, update), source)| {
            let force = if line.force { "+" } else { "" };
            BString::from([format!("{force}{source}:").as_bytes(), &update.reference].concat())
        });
        let specs: Vec<BString> = specs.collect();
        let arguments = |name: &str| {
            let all = arguments.into_iter().chain(["--".into(), name.into()]).chain(specs);
            all.map(|argument| argument.to_os_str_lossy().into_owned()).collect()
        };
        // That it has failed is told by the git that asks, in whatever language.
        let end = format!("{}'", without_secrets(self.context.transport.address.written()));
        let is_own = |line: &[u8]| OWN_PROGRESS.iter().any(|own| line.starts_with(own.as_bytes()));
        let is_told = |line: &[u8]| !line.starts_with(b"remote: ") && line.ends_with(end.as_bytes());
        let unsaid = |line: &[u8]| is_told(line) || (!options.progress && is_own(line));
        let is_english = !options.progress;
        let work = Work { unsaid: Some(&unsaid), is_telling: true, is_english, ..Work::default() };
        let answer = self.context.transport.run(arguments, work, self.words).map_err(unreachable)?;
        let names: Vec<&BString> = sent.iter().map(|(line, _)| &line.destination).collect();
        let (is_good, told) = (answer.is_good(), told(&answer.text, &names, &sources));
        // Where git could not even begin it tells of no ref.
        if !is_good && told.is_empty() {
            answer.good("push to").map_err(unreachable)?;
        }
        Ok(told)
    }
}

/// What git says of its own progress, before the numbers.
const OWN_PROGRESS: [&str; 6] = [
    "Enumerating objects: ",
    "Counting objects: ",
    "Compressing objects: ",
    "Writing objects: ",
    "Delta compression using up to ",
    "Total ",
];

/// What became of a ref that was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// It was written, or what the remote wrote in its place.
    Written(Vec<Report>),
    /// Why it was not.
    Refused(String),
}

/// What a remote wrote in the place of a ref that was pushed (gitprotocol-pack, `option-line` of a report).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Report {
    reference: BString,
    old: Option<ObjectId>,
    new: Option<ObjectId>,
    is_forced: bool,
}

impl Report {
    /// As the helper's protocol says it, behind `ok <ref>`.
    fn options(&self) -> Vec<u8> {
        let mut text = Vec::new();
        if !self.reference.is_empty() {
            text.extend([b"option refname ", self.reference.as_slice(), b"\n"].concat());
        }
        let ids = [("old-oid", self.old), ("new-oid", self.new)];
        for (name, id) in ids.into_iter().filter_map(|(name, id)| Some((name, id?))) {
            text.extend(format!("option {name} {id}\n").into_bytes());
        }
        if self.is_forced {
            text.extend(b"option forced-update\n");
        }
        text
    }
}

/// How the source of each update is written. Where a server may write another ref in its place no two are
/// written alike, so that its report can be told to belong to one of them.
fn sources<'a>(updates: impl Iterator<Item = &'a Update>) -> Vec<String> {
    let (mut written, mut known) = (Vec::new(), HashSet::new());
    for update in updates {
        let mut source = update.wanted.map_or_else(String::new, |id| id.to_string());
        let is_plain =
            [&b"refs/heads/"[..], b"refs/tags/"].iter().any(|start| update.reference.starts_with(start));
        while !is_plain && !source.is_empty() && known.contains(&source) {
            source.push_str("^{object}");
        }
        known.insert(source.clone());
        written.push(source);
    }
    written
}

/// What `git push --porcelain` says of each of `names`, pushed from `sources`.
fn told(text: &[u8], names: &[&BString], sources: &[String]) -> BTreeMap<BString, Fate> {
    let mut told = BTreeMap::new();
    let sent: HashSet<&[u8]> = names.iter().map(|name| name.as_slice()).collect();
    for line in text.lines() {
        let mut fields = line.splitn_str(3, "\t");
        let (Some(flag), Some(spec), Some(summary)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let Some((source, name)) = spec.rsplit_once_str(":") else { continue };
        if sent.contains(name) {
            let fate = match flag {
                b"!" => Fate::Refused(reason(summary)),
                b" " | b"+" | b"-" | b"*" | b"=" => Fate::Written(Vec::new()),
                _ => continue,
            };
            told.insert(name.into(), fate);
            continue;
        }
        // Another ref in the place of the one that was pushed.
        let Some(at) = sources.iter().position(|other| !source.is_empty() && other.as_bytes() == source)
        else {
            continue;
        };
        let range = summary.split_str(" ").next().unwrap_or_default();
        let (old, new) =
            range.split_once_str("...").or_else(|| range.split_once_str("..")).unwrap_or_default();
        let (old, new) = (ObjectId::from_hex(old).ok(), ObjectId::from_hex(new).ok());
        let report = Report { reference: name.into(), old, new, is_forced: flag == b"+" };
        if let Fate::Written(reports) =
            told.entry(names[at].clone()).or_insert_with(|| Fate::Written(Vec::new()))
        {
            reports.push(report);
        }
    }
    told
}

/// What stands in brackets behind `[rejected]` and its like, as git's helper protocol says it.
fn reason(summary: &[u8]) -> String {
    let inner = summary.split_once_str(" (").and_then(|(_, rest)| rest.strip_suffix(b")"));
    match inner.unwrap_or(summary) {
        b"non-fast-forward" => "non-fast forward".to_owned(),
        other => escape_bytes(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_of_each_ref_is_understood() {
        let text = "To /srv/r\n \tabc:refs/heads/a\t1..2\n*\tabc:refs/heads/b\t[new branch]\n\
                    -\t:refs/heads/c\t[deleted]\n=\tabc:refs/heads/d\t[up to date]\n\
                    !\tabc:refs/heads/e\t[rejected] (non-fast-forward)\n\
                    !\tabc:refs/heads/f\t[remote rejected] (pre-receive hook declined)\nDone\n";
        let names = ["a", "b", "c", "d", "e", "f"].map(|name| BString::from(format!("refs/heads/{name}")));
        let names: Vec<&BString> = names.iter().collect();
        let told = told(text.as_bytes(), &names, &vec!["abc".to_owned(); 6]);
        for name in &names[..4] {
            assert_eq!(told[*name], Fate::Written(Vec::new()));
        }
        let refused = |why: &str| Fate::Refused(why.to_owned());
        assert_eq!(told[names[4]], refused("non-fast forward"));
        assert_eq!(told[names[5]], refused("pre-receive hook declined"));
        assert_eq!(told.len(), 6);
    }

    #[test]
    fn what_a_server_wrote_in_the_place_of_a_ref_belongs_to_that_ref() {
        let id = |digit: &str| digit.repeat(40).parse::<ObjectId>().unwrap();
        let update = |name: &str| Update { claimed: None, wanted: Some(id("1")), reference: name.into() };
        let updates = [update("refs/for/a"), update("refs/heads/b"), update("refs/for/c")];
        let sources = sources(updates.iter());
        assert_eq!(sources, [id("1").to_string(), id("1").to_string(), format!("{}^{{object}}", id("1"))]);
        let text = format!(
            "+\t{}:refs/changes/c\t{}...{} (forced update)\n*\t{}:refs/changes/a\t[new reference]\n",
            sources[2],
            id("2"),
            id("3"),
            sources[0]
        );
        let names: Vec<BString> = updates.iter().map(|update| update.reference.clone().into()).collect();
        let names: Vec<&BString> = names.iter().collect();
        let told = told(text.as_bytes(), &names, &sources);
        let Fate::Written(reports) = &told[names[2]] else { panic!("{told:?}") };
        assert_eq!(
            reports[0].options().to_str().unwrap(),
            format!(
                "option refname refs/changes/c\noption old-oid {}\noption new-oid {}\noption forced-update\n",
                id("2"),
                id("3")
            )
        );
        assert_eq!(told.len(), 2);
    }
}
