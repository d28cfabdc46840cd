//! `countersign policy publish`: a policy file, and what it names, as a signed commit on the policy's ref.
//!
//! The commit is judged as everybody else will judge it before the ref moves.

use std::{collections::BTreeMap, path::Path};

use super::{
    Outcome, World,
    arguments::PublishArguments,
    exit,
    git::{git, git_word},
    memory::Memory,
    settings,
    source::{pins, with_reading},
};
use crate::{
    object::{APPROVALS, MAXIMUM_CARRIED, ObjectId, Statement, carry},
    repository::{Approvals, ObjectReader, References, Repository},
    trust::{
        Beside, ChainError, Followed, InCommit, POLICY_FILE, Pin, PolicySource as _, Reading, Trust,
        check_reference, commits, find_pin, follow, named_files, path_in_tree, read_policy, tip,
    },
    words::{Failure, escape},
};

/// The file `policy.toml` and all that it names, by path in the tree.
type Files = BTreeMap<String, Vec<u8>>;

/// Publish a policy, the first one or the next.
pub(super) fn run(world: &mut World<'_>, arguments: &PublishArguments) -> Outcome {
    let reference = arguments.reference.as_str();
    check_reference(reference).map_err(|error| Failure::new(error, "name the ref by its whole name"))?;
    let configuration = settings::configuration(world)?;
    let repository = settings::repository(world, arguments.repository.as_deref())?;
    let objects = repository.objects().map_err(|error| Failure::new(error, "run 'git fsck'"))?;
    let reader = objects.reader();
    let (trust, files) = read(&world.directory.join(&arguments.file))?;
    let (id, serial) = check(&trust, reference)?;

    let pins: Vec<Pin> = pins(&configuration)?.into_iter().map(|(_, pin)| pin).collect();
    let present = with_reading(world, &configuration, |reading| {
        present(&reader, &repository.references(), reference, &pins, reading)
    })?;
    if let Some(present) = &present {
        check_against(present, &id, serial)?;
    }

    let at = arguments.repository.as_deref();
    let tree = write_tree(world, at, &files)?;
    let mut message = match &arguments.message {
        Some(message) => message.clone(),
        None => format!("policy of {id}, serial {serial}"),
    };
    if let Some(present) = &present {
        message += &with_reading(world, &configuration, |reading| {
            approvals(&repository, present, &tree, &reading.of_new_steps())
        })?;
    }
    let parent = present.as_ref().map(|present| present.commit().to_string());
    let mut commit_tree = vec!["commit-tree", "-S", "-F", "-", &tree];
    commit_tree.extend(parent.iter().flat_map(|parent| ["-p", parent]));
    let message = format!("{}\n", message.trim_end());
    let commit = git_word(world, at, &commit_tree, message.as_bytes(), true)?;
    let commit: ObjectId = commit.parse().map_err(|_| {
        Failure::new(format!("git answered '{commit}', which is no commit"), "look at the versions of git")
    })?;

    let is_first = present.is_none();
    let warning = with_reading(world, &configuration, |reading| match present {
        Some(present) => {
            let next = present.advance(&reader, commit, &reading.of_new_steps());
            next.map(|_| None).map_err(unpublished)
        }
        None => {
            let pin = Pin { repository: id.clone(), reference: reference.to_owned(), root: commit };
            let begun = Followed::begin(&reader, &pin).map_err(unpublished)?;
            Ok(begun.judge_own_signer(&reader, reading).err())
        }
    })?;
    let old = parent.unwrap_or_else(|| ObjectId::null(repository.hash()).to_string());
    let new = commit.to_string();
    let reason = ["update-ref", "--no-deref", "-m", "countersign policy publish", reference, &new, &old];
    git(world, at, &reason, b"", false)?;

    world.say(&format!("published commit {commit}: policy of '{}', serial {serial}\n", escape(&id)));
    if let Some(warning) = warning {
        let words = format!(
            "warning: whoever signed this first policy could not change it: {}\n\
             hint: publish again as one of them, or pin a later commit\n",
            escape(&warning.to_string())
        );
        world.complain(&words);
    }
    world.say(&format!("hint: push it with 'git push REMOTE {reference}'\n"));
    if is_first {
        world.say(&format!(
            "hint: tell whoever verifies this repository, by another way, to run 'countersign policy pin --root {commit}'\n"
        ));
    }
    Ok(exit::GOOD)
}

/// The policy in `path` with all that it names, proven to be usable, as it will stand in the tree.
fn read(path: &Path) -> Result<(Trust, Files), Failure> {
    let source = Beside::new(path);
    let trust = Trust::load(&source)?;
    let (policy, content) = read_policy(&source)?;
    let mut files = Files::from([(POLICY_FILE.to_owned(), content.bytes)]);
    for named in named_files(&policy) {
        let Some(name) = named.path() else { continue };
        if path_in_tree(name).is_none() || name == POLICY_FILE {
            return Err(Failure::new(
                format!("'{name}', which the policy names, cannot be kept beside it in a commit"),
                "name a file that lies beside the policy or in a folder there",
            ));
        }
        if let Some(content) = source.file(&named)? {
            files.insert(name.to_owned(), content.bytes);
        }
    }
    Ok((trust, files))
}

/// What every policy that is kept in a ref has to say: its repository and serial.
fn check(trust: &Trust, reference: &str) -> Result<(String, u64), Failure> {
    let lacks = |what: &str, line: &str| {
        Failure::new(format!("the policy does not say {what}"), format!("add '{line}' at its beginning"))
    };
    let policy = &trust.policy;
    let id = policy
        .repository()
        .ok_or_else(|| lacks("for which repository it is", "repository = \"example.com/project\""))?;
    let serial = policy.serial().ok_or_else(|| lacks("how new it is", "serial = 1"))?;
    let names_somebody = policy
        .rule_for(reference.as_bytes())
        .is_some_and(|rule| rule.commits != crate::policy::Signers::Unsigned);
    if !names_somebody {
        return Err(Failure::new(
            format!(
                "the policy does not say who may change it: no rule names who signs commits of '{reference}'"
            ),
            format!("add a rule with 'refs = [\"{reference}\"]' and the identities that may"),
        ));
    }
    Ok((id.to_owned(), serial))
}

/// The policy that the ref holds now: from its pin where it has one, else from its own first commit.
fn present(
    reader: &ObjectReader,
    references: &References,
    reference: &str,
    pins: &[Pin],
    reading: &Reading<'_>,
) -> Result<Option<Followed>, Failure> {
    let tip = match tip(references, reference) {
        Err(ChainError::NoReference(_)) => return Ok(None),
        tip => tip?,
    };
    let (pin, seen) = match find_pin(reader, references, pins)?.filter(|pin| pin.reference == reference) {
        Some(pin) => (pin.clone(), Memory::open().recall(pin)?),
        None => {
            let root = commits(reader, tip, None)?.last().copied().unwrap_or(tip);
            let (policy, _) = read_policy(&InCommit::new(reader, root)?)?;
            let repository = policy.repository().ok_or(ChainError::NoRepository(root))?.to_owned();
            (Pin { repository, reference: reference.to_owned(), root }, None)
        }
    };
    Ok(Some(follow(reader, references, &pin, seen, reading)?))
}

/// The approvals that are kept of going from `present` to `tree`, as its commit carries them.
fn approvals(
    repository: &Repository,
    present: &Followed,
    tree: &str,
    reading: &Reading<'_>,
) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(error, "run 'git fsck'");
    let tip = repository.references().read(APPROVALS.into()).map_err(|error| failed(&error))?.id;
    // What git has just written is there for whoever looks now.
    let reader = repository.objects().map_err(|error| failed(&error))?.reader();
    let approvals = Approvals::open(&reader, &tip.into_iter().collect::<Vec<ObjectId>>());
    let statement = Statement {
        repository: present.repository().to_owned(),
        reference: present.reference().to_owned(),
        base: Some(present.commit()),
        tree: tree.parse().ok(),
    };
    let kept = approvals.of(&reader, &statement).flatten().map(|(_, envelope)| envelope).collect();
    let kept = present.each_person_first(&reader, &statement, kept, reading)?;
    let lines: String = kept.iter().take(MAXIMUM_CARRIED).map(|bytes| carry(bytes)).collect();
    Ok(if lines.is_empty() { lines } else { format!("\n\n{lines}") })
}

/// What can be told before anybody has signed.
fn check_against(present: &Followed, id: &str, serial: u64) -> Result<(), Failure> {
    if present.repository() != id {
        return Err(Failure::new(
            format!(
                "the present policy is for the repository '{}', and this one for '{id}'",
                present.repository()
            ),
            "the id of a repository does not change",
        ));
    }
    if present.serial() >= serial {
        return Err(Failure::new(
            format!("the present policy has the serial {}, and this one {serial}", present.serial()),
            format!("write 'serial = {}'", present.serial().saturating_add(1)),
        ));
    }
    Ok(())
}

fn unpublished(error: ChainError) -> Failure {
    let failure = Failure::from(error);
    Failure { error: format!("nothing was published: {}", failure.error), ..failure }
}

/// Store `files`; the id of their tree.
fn write_tree(world: &World<'_>, at: Option<&Path>, files: &Files) -> Result<String, Failure> {
    let mut lines = String::new();
    let mut folders: BTreeMap<&str, Files> = BTreeMap::new();
    for (path, bytes) in files {
        match path.split_once('/') {
            Some((folder, rest)) => {
                folders.entry(folder).or_default().insert(rest.to_owned(), bytes.clone());
            }
            None => {
                let blob = git_word(world, at, &["hash-object", "-w", "--stdin"], bytes, false)?;
                lines += &format!("100644 blob {blob}\t{path}\0");
            }
        }
    }
    for (folder, files) in folders {
        let tree = write_tree(world, at, &files)?;
        lines += &format!("040000 tree {tree}\t{folder}\0");
    }
    git_word(world, at, &["mktree", "-z"], lines.as_bytes(), false)
}
