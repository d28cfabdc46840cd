//! `countersign policy explain`: which rule decides about a ref, who may do what by it, and what it says of a
//! commit.

use serde_json::{Value, json};

use super::{
    Outcome, World,
    arguments::ExplainArguments,
    exit, settings,
    trial::{AsItWas, basis_of, full_name, judging},
};
use crate::{
    cli::remote::basis,
    object::ObjectId,
    policy::{Governing, Mode, Permission, Policy, Refusal, Rule, Signers, Wanted, WayDemand, Whose},
    repository::Repository,
    words::{Failure, escape},
};

/// 0, or for a commit what it would come to: 1 if it would be refused, 2 if that cannot be told.
pub(super) fn run(world: &mut World<'_>, arguments: &ExplainArguments) -> Outcome {
    let configuration = settings::configuration(world)?;
    let reference = full_name(&arguments.reference)?;
    let (basis, repository) = match (&arguments.policy, &arguments.commit, &arguments.repository) {
        // A file can be explained wherever it lies.
        (Some(file), None, None) => {
            (basis::by_file(world, &configuration, &world.directory.join(file))?, None)
        }
        (file, _, repository) => {
            let repository = settings::repository(world, repository.as_deref())?;
            (basis_of(world, &configuration, &repository, file.as_deref())?, Some(repository))
        }
    };
    let governing = basis.policy.governing(reference.as_bytes());
    let (mut commit, mut refusals) = (None, Vec::new());
    if let (Some(revision), Some(repository)) = (&arguments.commit, &repository) {
        let id = find(repository, revision)?;
        let standing = AsItWas { reference: reference.as_str().into(), value: None };
        refusals = judging(world, repository, &basis, &standing, |gate, progress| {
            let finding = gate.judge_commit(reference.as_bytes(), id, progress);
            [finding.refusals, finding.warnings].concat()
        })?;
        commit = Some(id);
    }
    if arguments.json {
        let mut value = as_json(&basis.policy, &reference, governing);
        if let Some(commit) = commit {
            let told = refusals
                .iter()
                .map(|refusal| json!({ "cause": refusal.cause.to_string(), "hint": refusal.hint() }));
            value["commit"] = json!({ "id": commit.to_string(), "refusals": told.collect::<Vec<_>>() });
        }
        world.say(&format!("{value}\n"));
    } else {
        let mut text = words(&basis.policy, &reference, governing);
        if let Some(commit) = commit {
            text += &of_commit(commit, &refusals);
        }
        world.say(&text);
    }
    Ok(match &refusals[..] {
        [] => exit::GOOD,
        refusals if refusals.iter().all(|refusal| refusal.cause.is_unclear()) => exit::CANNOT_TELL,
        _ => exit::BAD,
    })
}

fn find(repository: &Repository, revision: &str) -> Result<ObjectId, Failure> {
    let commit = repository.resolver().and_then(|resolver| resolver.single_commit(revision));
    commit.map_err(|error| Failure::new(error, "name a commit that is in this repository"))
}

fn of_commit(commit: ObjectId, refusals: &[Refusal]) -> String {
    if refusals.is_empty() {
        return format!("commit {commit}: accepted\n");
    }
    let told = refusals
        .iter()
        .map(|refusal| format!("commit {commit}: refused: {}\nhint: {}\n", refusal.cause, refusal.hint()));
    told.collect()
}

/// The pattern by which a rule decides about the ref.
fn deciding<'p>(policy: &'p Policy, reference: &str) -> Option<&'p str> {
    policy.deciding(reference.as_bytes()).map(|(_, pattern)| pattern.as_str())
}

/// What may happen to the ref, by the keys of the file, and what not.
fn permissions(rule: &Rule) -> [(&'static str, Permission); 8] {
    let is = &rule.permissions;
    [
        ("create", is.create),
        ("delete", is.delete),
        ("rewind", is.rewind),
        ("replace_tags", is.replace_tags),
        ("lightweight_tags", is.lightweight_tags),
        ("nested_tags", is.nested_tags),
        ("misnamed_tags", is.misnamed_tags),
        ("tags_of_trees_and_blobs", is.tags_of_trees_and_blobs),
    ]
}

fn words(policy: &Policy, reference: &str, governing: Governing<'_>) -> String {
    let rule = match governing {
        Governing::Accepted => {
            return format!("{reference}: no rule names it, and such refs may be anything\n");
        }
        Governing::Refused => {
            return format!("{reference}: no rule names it, and nothing may happen to such refs\n");
        }
        Governing::Reserved => {
            return format!("{reference}: reserved, and no rule names it; nothing may happen to it\n");
        }
        Governing::Rule(rule) => rule,
    };
    let signers = |signers: &Signers| match signers {
        Signers::Named(wanted) => format!("signed by one of: {}", wanted.summary()),
        Signers::Unsigned => "signatures are not looked at".to_owned(),
    };
    let mut lines = vec![
        format!(
            "{reference}: rule '{}', by '{}'",
            rule.name,
            deciding(policy, reference).unwrap_or_default()
        ),
        format!("commits: {}", signers(&rule.commits)),
        format!("tags: {}", rule.tags.as_ref().map_or_else(|| "there may be none".to_owned(), signers)),
    ];
    for path in &rule.paths {
        let list = |patterns: &[crate::policy::PathPattern]| {
            patterns.iter().map(crate::policy::PathPattern::as_str).collect::<Vec<_>>().join(" ")
        };
        let except = match &path.except[..] {
            [] => String::new(),
            except => format!(" except {}", list(except)),
        };
        lines.push(format!("{}{except}: changed by one of: {}", list(&path.paths), path.commits.summary()));
    }
    for (header, whose) in [("committer", rule.committer), ("author", rule.author)] {
        if whose == Whose::Signer {
            lines.push(format!("{header}: the signer"));
        }
    }
    lines.extend(demands(rule));
    lines.extend(vouching(policy, rule));
    let allowed = |wanted: Permission| {
        let names = permissions(rule).into_iter().filter(|(_, permission)| *permission == wanted);
        names.map(|(name, _)| name).collect::<Vec<_>>().join(", ")
    };
    lines.push(format!("allowed: {}", allowed(Permission::Allow)));
    lines.push(format!("refused: {}", allowed(Permission::Refuse)));
    if !rule.bases.is_empty() {
        lines.push(format!("bases: {}", rule.bases.join(" ")));
    }
    if let Some(anchor) = rule.anchor {
        lines.push(format!("taken as it is: all up to commit {anchor}"));
    }
    if rule.mode == Mode::Warn {
        lines.push("it only warns".to_owned());
    }
    lines.into_iter().map(|line| escape(&line) + "\n").collect()
}

fn demands(rule: &Rule) -> Vec<String> {
    let demands = &rule.demands;
    let mut lines = Vec::new();
    if let Some(proof) = demands.proof {
        lines.push(format!("proof: {}", proof.name()));
    }
    for (name, permission) in
        [("not_logged", demands.not_logged), ("time_not_proven", demands.time_not_proven)]
    {
        if permission == Permission::Allow {
            lines.push(format!("{name}: allowed"));
        }
    }
    let lists = [
        ("instances", &demands.instances),
        ("logs", &demands.logs),
        ("timestamp authorities", &demands.timestamp_authorities),
    ];
    let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
    lines.extend(lists.map(|(what, list)| format!("{what}: only {}", list.join(", "))));
    lines
}

/// Who has to vouch besides, and who pushes.
fn vouching(policy: &Policy, rule: &Rule) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(threshold) = rule.vouching.threshold {
        lines.push(format!("persons that have to vouch: {threshold}"));
    }
    if rule.vouching.hears_approvals() {
        lines.push(format!(
            "approved by: {}",
            policy.approvers(rule).into_iter().collect::<Vec<_>>().join(", ")
        ));
    }
    if rule.vouching.forge_merges == Permission::Allow {
        lines.push("merges that a forge has signed: taken where they are what merging yields".to_owned());
    }
    if !rule.vouching.trusted_forges.is_empty() {
        lines.push(format!("signed by whoever is logged in at: {}", rule.vouching.trusted_forges.join(", ")));
    }
    if let Some(pushers) = &rule.pusher.pushers {
        lines.push(format!("pushed by one of: {}", pushers.summary()));
    }
    if rule.pusher.needs_certificate {
        lines.push("pushed with a certificate ('git push --signed')".to_owned());
    }
    if let Some(ways) = words_of(&rule.way) {
        lines.push(format!("pushed by: {}", ways.join(", ")));
    }
    if rule.way.asks() {
        let merges = if rule.way.takes_merges() { "taken" } else { "refused" };
        lines.push(format!("merges on the forge's pages: {merges}"));
    }
    lines
}

/// The ways that are taken, where not all are.
fn words_of(demand: &WayDemand) -> Option<Vec<&'static str>> {
    demand.ways.as_ref().map(|ways| ways.iter().map(|way| way.word()).collect())
}

fn as_json(policy: &Policy, reference: &str, governing: Governing<'_>) -> Value {
    let signers = |signers: &Signers| match signers {
        Signers::Named(wanted) => who(wanted),
        Signers::Unsigned => "unsigned".into(),
    };
    let decision = match governing {
        Governing::Accepted => "accepted",
        Governing::Refused => "refused",
        Governing::Reserved => "reserved",
        Governing::Rule(_) => "rule",
    };
    let mut value = json!({ "version": 1, "ref": reference, "decided": decision });
    let Governing::Rule(rule) = governing else { return value };
    let texts = |patterns: &[crate::policy::PathPattern]| -> Vec<String> {
        patterns.iter().map(|pattern| pattern.as_str().to_owned()).collect()
    };
    let paths = rule.paths.iter().map(|path| {
        json!({ "paths": texts(&path.paths), "except": texts(&path.except), "commits": who(&path.commits) })
    });
    value["rule"] = json!({
        "name": rule.name,
        "pattern": deciding(policy, reference),
        "commits": signers(&rule.commits),
        "tags": rule.tags.as_ref().map(signers),
        "paths": paths.collect::<Vec<_>>(),
        "committer": if rule.committer == Whose::Signer { "signer" } else { "anyone" },
        "author": if rule.author == Whose::Signer { "signer" } else { "anyone" },
        "proof": rule.demands.proof.map(crate::policy::Proof::name),
        "not_logged": rule.demands.not_logged == Permission::Allow,
        "time_not_proven": rule.demands.time_not_proven == Permission::Allow,
        "instances": rule.demands.instances,
        "logs": rule.demands.logs,
        "timestamp_authorities": rule.demands.timestamp_authorities,
        "threshold": rule.vouching.threshold,
        "approvers": rule.vouching.hears_approvals().then(|| policy.approvers(rule).into_iter().collect::<Vec<_>>()),
        "pushers": rule.pusher.pushers.as_ref().map(who),
        "push_certificate": rule.pusher.needs_certificate,
        "ways": words_of(&rule.way),
        "web_merges": rule.way.takes_merges(),
        "forge_merges": rule.vouching.forge_merges == Permission::Allow,
        "trust_forge": rule.vouching.trusted_forges,
        "bases": rule.bases,
        "anchor": rule.anchor.map(|anchor| anchor.to_string()),
        "mode": if rule.mode == Mode::Warn { "warn" } else { "enforce" },
    });
    for (name, permission) in permissions(rule) {
        value["rule"][name] = (permission == Permission::Allow).into();
    }
    value
}

/// Identities, and the groups by which they are meant.
fn who(wanted: &Wanted) -> Value {
    let groups = wanted.written().iter().filter_map(|word| match word {
        crate::policy::WantedName::Group(name, _) => Some(name.as_str()),
        crate::policy::WantedName::Identity(_) => None,
    });
    json!({ "identities": wanted.identities(), "groups": groups.collect::<Vec<_>>() })
}
