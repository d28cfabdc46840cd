//! `countersign approve`: vouch for what a ref would become, and look at and share what others have approved.
//!
//! Nothing is kept that would not count by the policy at hand.

mod list;
mod share;
mod signing;
mod target;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{Outcome, World, exit, settings, verify::tasks::unreadable};
use crate::{
    hook::counted_as,
    object::{APPROVALS, Approval, ObjectId, Statement},
    policy::Policy,
    repository::{Approvals, Author, Configuration, ObjectReader, Repository, Scopes},
    verify::Verifier,
    words::{Failure, escape},
};

/// Vouch for what a ref would become
#[derive(Args, Debug)]
pub struct ApproveArguments {
    /// What the ref would lead to: a commit, a tag or a tree
    #[arg(value_name = "COMMIT", default_value = "HEAD")]
    commit: String,
    /// The full name of the ref, if not the only one that the policy has approved
    #[arg(long = "ref", value_name = "REF")]
    reference: Option<String>,
    /// What the ref holds before, if not what is known here of its remote
    #[arg(long, value_name = "COMMIT")]
    base: Option<String>,
    /// The ref does not exist before
    #[arg(long, conflicts_with_all = ["base", "merged", "delete", "rewind"])]
    create: bool,
    /// The ref is deleted
    #[arg(long, conflicts_with_all = ["commit", "merged", "rewind"])]
    delete: bool,
    /// What merging COMMIT into the base yields, as a forge will do it
    #[arg(long, conflicts_with = "rewind")]
    merged: bool,
    /// COMMIT need not descend from the base
    #[arg(long)]
    rewind: bool,
    /// Only say what would be approved
    #[arg(long)]
    dry_run: bool,
    /// List what is approved, and by whom it counts
    #[arg(long, group = "instead", conflicts_with_all = SIGNING)]
    list: bool,
    /// Fetch the approvals that a remote keeps, beside those that are here
    #[arg(long, value_name = "REMOTE", num_args = 0..=1, default_missing_value = "origin", group = "instead", conflicts_with_all = SIGNING)]
    fetch: Option<String>,
    /// Push the approvals that are here, after those that a remote keeps were fetched
    #[arg(long, value_name = "REMOTE", num_args = 0..=1, default_missing_value = "origin", group = "instead", conflicts_with_all = SIGNING)]
    push: Option<String>,
    /// The repository, if not the one around the current directory
    #[arg(long, value_name = "DIR")]
    repository: Option<PathBuf>,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// What is of no use where nothing is signed.
const SIGNING: [&str; 7] = ["reference", "base", "create", "delete", "merged", "rewind", "dry_run"];

/// What every form of the command goes by.
struct Setting {
    configuration: Configuration,
    repository: Repository,
    reader: ObjectReader,
    policy: Policy,
    verifier: Verifier,
}

/// Run it.
pub(super) fn run(world: &mut World<'_>, arguments: &ApproveArguments) -> Outcome {
    let at = arguments.repository.as_deref();
    if let Some(remote) = &arguments.fetch {
        return share::fetch(world, at, remote, arguments.json);
    }
    if let Some(remote) = &arguments.push {
        return share::push(world, at, remote, arguments.json);
    }
    let setting = Setting::new(world, arguments)?;
    if arguments.list {
        list::run(world, &setting, arguments.json)
    } else {
        approve(world, &setting, arguments)
    }
}

impl Setting {
    fn new(world: &World<'_>, arguments: &ApproveArguments) -> Result<Self, Failure> {
        let configuration = settings::configuration(world)?;
        let repository = settings::repository(world, arguments.repository.as_deref())?;
        let mut trust = settings::trust(world, &configuration, Some(&repository))?;
        let policy = trust.policy.take().ok_or_else(|| {
            Failure::new(
                "no policy says which repository this is, and who may approve",
                "name a file with 'countersign.policy', or pin the policy of the repository with 'countersign policy pin'",
            )
        })?;
        if policy.repository().is_none() {
            return Err(Failure::new(
                "the policy does not say for which repository it is",
                "have its owner add 'repository = \"example.com/project\"' at its beginning",
            ));
        }
        let verifier = Verifier::new(std::mem::take(&mut trust.instances))
            .with_openpgp(std::mem::take(&mut trust.openpgp))
            .with_smime(std::mem::take(&mut trust.smime))
            .with_ssh_revocations(settings::ssh_revocations(world, &configuration)?);
        let reader = repository.objects().map_err(|error| unreadable(&error))?.reader();
        Ok(Self { configuration, repository, reader, policy, verifier })
    }

    /// What is kept here.
    fn kept(&self) -> Result<Approvals, Failure> {
        let tip = self.repository.references().read(APPROVALS.into()).map_err(|error| unreadable(&error))?.id;
        Ok(Approvals::open(&self.reader, &tip.into_iter().collect::<Vec<ObjectId>>()))
    }
}

fn approve(world: &mut World<'_>, setting: &Setting, arguments: &ApproveArguments) -> Outcome {
    let Setting { configuration, repository, policy, verifier, .. } = setting;
    let statement = target::statement(setting, arguments)?;
    if arguments.dry_run {
        world.say(&line("would approve", &statement, None, arguments.json));
        return Ok(exit::GOOD);
    }
    let hash = repository.hash();
    let key = statement.key(hash).ok_or_else(|| {
        Failure::new(
            "the id of what is approved cannot be told from another",
            "use a repository with SHA-256",
        )
    })?;
    let payload = statement.to_be_signed(hash);
    let (armor, warnings) = signing::sign(world, configuration, &payload)?;
    let envelope = statement.envelope(hash, &armor);
    let approval = Approval::parse(hash, &envelope)
        .map_err(|error| Failure::new(error, "look at the program that signs"))?;
    let name = counted_as(policy, verifier, &approval, (world.clock)())
        .map_err(|fault| Failure::new(format!("nothing was kept: the approval {fault}"), fault.hint()))?;
    let known = self_approved(setting, &statement, &name, world.now)?;
    if !known {
        let author = author(world, configuration);
        repository.add_approvals(&[(key, envelope)], &author).map_err(|error| {
            Failure::new(error, "see that the repository can be written to, and try again")
        })?;
    }
    for warning in warnings {
        world.complain(&warning.to_string().replacen("error: ", "warning: ", 1));
    }
    let word = if known { "already approved" } else { "approved" };
    world.say(&line(word, &statement, Some(&name), arguments.json));
    if !arguments.json {
        world.say("hint: push it with 'countersign approve --push', or with what it is about\n");
    }
    Ok(exit::GOOD)
}

/// Whether the person called `name` has approved `statement` before, in a way that still counts.
fn self_approved(setting: &Setting, statement: &Statement, name: &str, now: i64) -> Result<bool, Failure> {
    let is_own = |(approval, _): (Approval, Vec<u8>)| {
        counted_as(&setting.policy, &setting.verifier, &approval, now).is_ok_and(|other| other == name)
    };
    Ok(setting.kept()?.of(&setting.reader, statement).flatten().any(is_own))
}

/// One line about `statement`, or one JSON object.
fn line(word: &str, statement: &Statement, name: Option<&str>, json: bool) -> String {
    if json {
        let mut value = as_json(statement);
        value["status"] = word.replace(' ', "-").into();
        if let Some(name) = name {
            value["name"] = name.into();
        }
        return format!("{value}\n");
    }
    let name = name.map(|name| format!(" as '{}'", escape(name))).unwrap_or_default();
    format!("{word}{name}: {}\n", as_words(statement))
}

fn as_json(statement: &Statement) -> Value {
    let text = |id: Option<ObjectId>| id.map(|id| id.to_string());
    json!({
        "version": 1,
        "repository": statement.repository,
        "ref": statement.reference,
        "base": text(statement.base),
        "tree": text(statement.tree),
    })
}

fn as_words(statement: &Statement) -> String {
    let short = |id: &ObjectId| id.to_hex_with_len(12).to_string();
    let from =
        statement.base.as_ref().map_or_else(|| "creation".to_owned(), |id| format!("from {}", short(id)));
    let to =
        statement.tree.as_ref().map_or_else(|| "deletion".to_owned(), |id| format!("to tree {}", short(id)));
    format!("{} of '{}', {from}, {to}", escape(&statement.reference), escape(&statement.repository))
}

/// Whose commits those of the ref are: whoever runs this, as git knows them.
fn author(world: &World<'_>, configuration: &Configuration) -> Author {
    let text = |key: &str| configuration.text(key, Scopes::Any).unwrap_or("countersign").to_owned();
    Author { name: text("user.name"), email: text("user.email"), time: world.now }
}
