//! `countersign policy test`: what each rule would have refused of a history, before a policy is enforced.

use std::{collections::BTreeMap, path::Path};

use gix::bstr::{BStr, BString};
use serde_json::json;

use super::{Outcome, World, arguments::TestArguments, exit, settings};
use crate::{
    cli::{kept, remote::basis},
    hook::{Gate, MAXIMUM_LISTED, Pace, Standing, Update, foreign_anchor, kept_approvals},
    object::ObjectId,
    policy::{Cause, Pushing, Refusal, Subject},
    remote::Basis,
    repository::{Configuration, ReferenceError, ReferenceValue, Repository, Revision},
    words::{Failure, counted, escape, escape_bytes},
};

/// How many objects of a group are told in words.
const MAXIMUM_TOLD: usize = 5;

/// How many objects of a group are told to programs.
const MAXIMUM_LISTED_OBJECTS: usize = 10_000;

/// The ref as it was, and nothing else; that it is there is no question.
pub(super) struct AsItWas {
    pub(super) reference: BString,
    pub(super) value: Option<ObjectId>,
}

impl Standing for AsItWas {
    fn value(&self, name: &BStr) -> Result<ReferenceValue, ReferenceError> {
        let id = self.value.filter(|_| self.reference == name);
        Ok(ReferenceValue { names: vec![name.to_owned()], id })
    }

    fn is_accepted(&self, _digest: &[u8; 32], _commit: ObjectId) -> bool {
        false
    }

    fn is_created(&self, _name: &[u8]) -> bool {
        false
    }

    fn sees_each_move(&self) -> bool {
        false
    }
}

/// What one rule refuses for one cause.
struct Group<'r> {
    rule: Option<&'r str>,
    cause: String,
    hint: String,
    objects: Vec<&'r Refusal>,
}

/// 0 if nothing would be refused, 1 if something would.
pub(super) fn run(world: &mut World<'_>, arguments: &TestArguments) -> Outcome {
    let configuration = settings::configuration(world)?;
    let repository = settings::repository(world, arguments.repository.as_deref())?;
    let basis = basis_of(world, &configuration, &repository, arguments.policy.as_deref())?;
    let (base, tip) = range(&repository, &arguments.against)?;
    let reference = match &arguments.reference {
        Some(reference) => full_name(reference)?,
        None => current_branch(&repository)?,
    };
    let update = Update { claimed: base, wanted: Some(tip), reference: reference.clone().into_bytes() };
    let standing = AsItWas { reference: reference.as_str().into(), value: base };
    let finding = judging(world, &repository, &basis, &standing, |gate, progress| {
        gate.judge(std::slice::from_ref(&update), progress)
    })?;

    let refusals: Vec<&Refusal> = finding.refusals.iter().chain(&finding.warnings).collect();
    let groups = groups(&refusals);
    let judged = finding.judged.len();
    let governing = basis.policy.rule_for(reference.as_bytes()).map(|rule| rule.name.as_str());
    if arguments.json {
        world.say(&format!("{}\n", as_json(&reference, governing, judged, &groups)));
    } else {
        let mut text = words(&reference, governing, judged, &groups);
        let of_commits = refusals.iter().any(|refusal| matches!(refusal.subject, Subject::Commit(_)));
        let resolver = repository.resolver().ok().filter(|_| of_commits);
        let commit = resolver.and_then(|resolver| resolver.commit(tip).ok());
        if let (Some(rule), Some(commit)) = (governing, commit) {
            text += &format!(
                "hint: rule '{}' takes all of this as it is with 'anchor = \"{commit}\"'\n",
                escape(rule)
            );
        }
        world.say(&text);
    }
    Ok(if refusals.is_empty() { exit::GOOD } else { exit::BAD })
}

/// Have a gate with `standing` judge by `basis` what `run` asks it.
pub(super) fn judging<T>(
    world: &mut World<'_>,
    repository: &Repository,
    basis: &Basis,
    standing: &dyn Standing,
    run: impl FnOnce(&Gate<'_>, &mut dyn std::io::Write) -> T,
) -> Result<T, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(error, "run 'git fsck'");
    if let Some(what) = foreign_anchor(&basis.policy, repository.hash()) {
        return Err(Failure::new(what, "have the policy's owner mend it"));
    }
    let objects = repository.objects().map_err(|error| failed(&error))?;
    let shallow = repository.shallow(None).map_err(|error| failed(&error))?;
    let (proofs, trouble) = kept::proofs(repository, &objects.reader());
    world.complain(&kept::warning(&trouble));
    let gate = Gate {
        policy: &basis.policy,
        verifier: &basis.verifier,
        objects: &objects,
        standing,
        shallow: &shallow,
        proofs: &proofs,
        pushing: &Pushing::Nobody,
        approvals: &kept_approvals(&objects, &repository.references(), &[]),
        now: world.now,
        maximum_listed: MAXIMUM_LISTED,
        pace: Pace::default(),
    };
    Ok(run(&gate, world.stderr))
}

/// The policy in `file`, or else the one that counts here.
pub(super) fn basis_of(
    world: &World<'_>,
    configuration: &Configuration,
    repository: &Repository,
    file: Option<&Path>,
) -> Result<Basis, Failure> {
    if let Some(file) = file {
        return basis::by_file(world, configuration, &world.directory.join(file));
    }
    basis::configured(world, configuration, repository, || {
        let hint = "name one with '--policy FILE', or pin the one that the repository keeps";
        Failure::new("no policy counts here", hint)
    })
}

/// The full name of a ref.
pub(super) fn full_name(reference: &str) -> Result<String, Failure> {
    let is_name = reference.starts_with("refs/") && gix::validate::reference::name(reference.into()).is_ok();
    if is_name {
        return Ok(reference.to_owned());
    }
    let words = format!("'{}' is no full name of a ref", escape(reference));
    Err(Failure::new(words, "write it as 'refs/heads/main'"))
}

fn current_branch(repository: &Repository) -> Result<String, Failure> {
    let head = repository.references().read("HEAD".into());
    let names = head.map(|value| value.names).unwrap_or_default();
    let branch = names.iter().rev().find(|name| name.starts_with(b"refs/heads/"));
    branch.and_then(|name| std::str::from_utf8(name).ok().map(str::to_owned)).ok_or_else(|| {
        Failure::new("HEAD is at no branch", "say with '--ref' for which ref the policy is to be tried")
    })
}

/// Where the history begins, if anywhere, and where it ends.
fn range(repository: &Repository, text: &str) -> Result<(Option<ObjectId>, ObjectId), Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(error, "name a range 'A..B', or one commit for all that leads to it")
    };
    let resolver = repository.resolver().map_err(|error| failed(&error))?;
    Ok(match resolver.resolve(text).map_err(|error| failed(&error))? {
        Revision::Single(id) => (None, id),
        Revision::Range { exclude, include } => (Some(exclude), include),
    })
}

/// What `refusals` come to, the most frequent first.
fn groups<'r>(refusals: &[&'r Refusal]) -> Vec<Group<'r>> {
    let mut groups: BTreeMap<(Option<&str>, String), Group<'r>> = BTreeMap::new();
    for refusal in refusals {
        // Which path it was is no cause of its own.
        let cause = match &refusal.cause {
            Cause::Path { cause, .. } => format!("it changes what only some may change, and {cause}"),
            cause => cause.to_string(),
        };
        let rule = refusal.rule.as_deref();
        let group = groups.entry((rule, cause.clone())).or_insert_with(|| Group {
            rule,
            cause,
            hint: refusal.hint(),
            objects: Vec::new(),
        });
        group.objects.push(refusal);
    }
    let mut groups: Vec<Group<'r>> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.objects.len()));
    groups
}

fn words(reference: &str, rule: Option<&str>, judged: usize, groups: &[Group<'_>]) -> String {
    let named = rule.map_or_else(String::new, |rule| format!(", by rule '{}'", escape(rule)));
    let mut text = format!("{}: {} judged{named}\n", escape(reference), counted(judged, "object"));
    for Group { rule, cause, hint, objects } in groups {
        let rule = rule.map_or_else(String::new, |rule| format!(" (rule '{}')", escape(rule)));
        text += &format!("{}: {cause}{rule}\n", counted(objects.len(), "refusal"));
        for refusal in objects.iter().take(MAXIMUM_TOLD) {
            let what = match refusal.subject {
                Subject::Commit(id) => format!("commit {id}"),
                Subject::Tag(id) => format!("tag {id}"),
                Subject::Reference => "the ref".to_owned(),
            };
            text += &format!("  {what}{}\n", path(refusal));
        }
        if objects.len() > MAXIMUM_TOLD {
            text += &format!("  and {} more\n", objects.len() - MAXIMUM_TOLD);
        }
        text += &format!("  hint: {hint}\n");
    }
    if groups.is_empty() {
        text += "nothing would be refused\n";
    }
    text
}

/// The path that is the reason, if one is.
fn path(refusal: &Refusal) -> String {
    match &refusal.cause {
        Cause::Path { path, .. } => format!(", '{}'", escape_bytes(path)),
        _ => String::new(),
    }
}

fn as_json(reference: &str, rule: Option<&str>, judged: usize, groups: &[Group<'_>]) -> serde_json::Value {
    let group = |group: &Group<'_>| {
        let ids = group.objects.iter().filter_map(|refusal| match refusal.subject {
            Subject::Commit(id) | Subject::Tag(id) => Some(id.to_string()),
            Subject::Reference => None,
        });
        json!({
            "rule": group.rule,
            "cause": group.cause,
            "hint": group.hint,
            "count": group.objects.len(),
            "objects": ids.take(MAXIMUM_LISTED_OBJECTS).collect::<Vec<_>>(),
        })
    };
    json!({
        "version": 1,
        "ref": reference,
        "rule": rule,
        "judged": judged,
        "refusals": groups.iter().map(group).collect::<Vec<_>>(),
    })
}
