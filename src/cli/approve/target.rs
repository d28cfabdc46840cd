//! What is approved: which ref, from which value, to which tree.

use gix::{bstr::ByteSlice as _, objs::Kind};

use super::{ApproveArguments, Setting};
use crate::{
    cli::verify::tasks::unreadable,
    object::{Commit, ObjectId, Statement},
    repository::{merged_tree, new_commits, tagged},
    words::{Failure, escape},
};

const BRANCHES: &str = "refs/heads/";

/// What `arguments` ask to approve.
pub(super) fn statement(setting: &Setting, arguments: &ApproveArguments) -> Result<Statement, Failure> {
    let repository = setting.policy.repository().unwrap_or_default().to_owned();
    let reference = reference(setting, arguments.reference.as_deref())?;
    let base = match (&arguments.base, arguments.create) {
        (_, true) => None,
        (Some(base), _) => Some(resolve(setting, base)?),
        (None, _) => Some(known_value(setting, &reference)?),
    };
    let tree = match base {
        _ if arguments.delete => None,
        Some(base) if arguments.merged => Some(merged(setting, base, &arguments.commit)?),
        base => Some(tree(setting, base.filter(|_| !arguments.rewind), &arguments.commit)?),
    };
    Ok(Statement { repository, reference, base, tree })
}

/// The ref that is meant: the one that was typed, else the only one that the policy has approved. The
/// repository's own configuration has no say in what somebody vouches for.
fn reference(setting: &Setting, typed: Option<&str>) -> Result<String, Failure> {
    let hears = |name: &str| {
        setting.policy.rule_for(name.as_bytes()).is_some_and(|rule| rule.vouching.hears_approvals())
    };
    if let Some(name) = typed {
        let is_name = name.starts_with("refs/") && gix::validate::reference::name(name.into()).is_ok();
        if !is_name {
            return Err(Failure::new(
                format!("'{}' is not the full name of a ref", escape(name)),
                "write it as 'refs/heads/main'",
            ));
        }
        if !hears(name) {
            return Err(Failure::new(
                format!("nothing is approved of '{}' by the policy", escape(name)),
                "have 'threshold' or 'approvers' added to its rule",
            ));
        }
        return Ok(name.to_owned());
    }
    let rules = setting.policy.rules().iter();
    let patterns = rules.filter(|rule| rule.vouching.hears_approvals()).flat_map(|rule| &rule.patterns);
    let names: Vec<&str> = patterns.map(|pattern| pattern.as_str()).collect();
    match names.as_slice() {
        [] => Err(Failure::new(
            "nothing is approved by the policy",
            "have 'threshold' or 'approvers' added to a rule",
        )),
        [name] if !name.contains('*') && hears(name) => Ok((*name).to_owned()),
        _ => Err(Failure::new("the policy has more than one ref approved", "say which with '--ref'")),
    }
}

fn resolve(setting: &Setting, revision: &str) -> Result<ObjectId, Failure> {
    setting
        .repository
        .resolve_single(revision)
        .map_err(|error| Failure::new(error, "name a commit that is in this repository, best by its full id"))
}

/// What is known here of the present value of `reference`: for a branch what its one remote held when it was
/// fetched, for everything else the value here.
fn known_value(setting: &Setting, reference: &str) -> Result<ObjectId, Failure> {
    let none = || {
        Failure::new(
            format!("what '{}' holds is not known here", escape(reference)),
            "fetch it, or say it with '--base', or that it does not exist with '--create'",
        )
    };
    let references = setting.repository.references();
    let Some(branch) = reference.strip_prefix(BRANCHES) else {
        let value = references.read(reference.as_bytes().as_bstr()).map_err(|error| unreadable(&error))?;
        return value.id.ok_or_else(none);
    };
    let all = references.all().map_err(|error| unreadable(&error))?;
    let mut found: Vec<ObjectId> = all
        .into_iter()
        .filter(|(name, _)| {
            let rest =
                name.strip_prefix(b"refs/remotes/").and_then(|rest| rest.strip_suffix(branch.as_bytes()));
            rest.is_some_and(|remote| remote.ends_with(b"/") && !remote[..remote.len() - 1].contains(&b'/'))
        })
        .filter_map(|(_, id)| id)
        .collect();
    found.sort_unstable();
    found.dedup();
    match found.as_slice() {
        [id] => Ok(*id),
        [] => Err(none()),
        _ => Err(Failure::new(
            format!("remotes differ about what '{}' holds", escape(reference)),
            "say it with '--base'",
        )),
    }
}

/// The tree of what `revision` names, which has to stand on `base` if there is one.
fn tree(setting: &Setting, base: Option<ObjectId>, revision: &str) -> Result<ObjectId, Failure> {
    let id = resolve(setting, revision)?;
    let reader = &setting.reader;
    let commit = match tagged(reader, id) {
        (_, Some(commit)) => commit,
        (tags, None) if tags.is_empty() && reader.kind(id).is_ok_and(|kind| kind == Kind::Tree) => {
            return Ok(id);
        }
        _ => {
            return Err(Failure::new(
                format!("'{}' leads to no commit and is no tree", escape(revision)),
                "name a commit, a tag of one, or a tree",
            ));
        }
    };
    if let Some(base) = base.and_then(|base| tagged(reader, base).1).filter(|base| *base != commit) {
        let shallow = setting.repository.shallow(None).map_err(|error| unreadable(&error))?;
        let history = new_commits(reader, &[commit], &[base], None, &shallow);
        let history = history.map_err(|error| Failure::new(error, "fetch the whole history"))?;
        if !history.reached.contains(&base) {
            return Err(Failure::new(
                format!("'{}' does not stand on the base {base}", escape(revision)),
                "rebase it, approve what merging it yields with '--merged', or that it replaces the base with '--rewind'",
            ));
        }
    }
    let object = reader.read(commit).map_err(|error| unreadable(&error))?;
    let commit = Commit::parse(reader.hash(), &object.bytes).map_err(|error| unreadable(&error))?;
    Ok(commit.tree)
}

/// The one tree that merging what `revision` names into `base` yields.
fn merged(setting: &Setting, base: ObjectId, revision: &str) -> Result<ObjectId, Failure> {
    let commit = tagged(&setting.reader, resolve(setting, revision)?)
        .1
        .ok_or_else(|| Failure::new(format!("'{}' leads to no commit", escape(revision)), "name a commit"))?;
    let objects = setting.repository.objects().map_err(|error| unreadable(&error))?;
    let hint = "merge it by hand and approve the merge";
    match merged_tree(&objects, base, commit).map_err(|error| Failure::new(error, hint))?.as_slice() {
        [tree] => Ok(*tree),
        _ => Err(Failure::new("forges would not agree on what merging the two yields", hint)),
    }
}
