//! `countersign proof merge`: what somebody else's ref keeps, taken into our own.

use gix::objs::Kind;
use rayon::prelude::*;

use super::{Became, MergeArguments, Tally, author, refused};
use crate::{
    cli::{Outcome, World, settings, verify::tasks::unreadable},
    object::{Commit, Tag},
    repository::{ObjectReader, PROOFS, ProofChange, ProofName, proof_changes, read_blob},
    verify::{ProofError, Verifier},
    words::{self, Failure},
};

/// How many other things of a tree are told.
const MAXIMUM_TOLD: usize = 16;

pub(super) fn run(world: &mut World<'_>, arguments: &MergeArguments) -> Outcome {
    let configuration = settings::configuration(world)?;
    let repository = settings::repository(world, arguments.common.repository.as_deref())?;
    let mut trust = settings::trust(world, &configuration, Some(&repository))?;
    let verifier = Verifier::new(std::mem::take(&mut trust.instances));
    let hint = "name a commit of somebody else's 'refs/countersign/proofs', such as FETCH_HEAD";
    let theirs = repository.resolve_single(&arguments.commit).map_err(|error| Failure::new(error, hint))?;
    let own = repository.references().read(PROOFS.into()).map_err(|error| unreadable(&error))?.id;
    let objects = repository.objects().map_err(|error| unreadable(&error))?;
    let changes =
        proof_changes(&objects.reader(), own, theirs, &|| true).map_err(|error| Failure::new(error, hint))?;
    let Some(changes) = changes else {
        return Err(Failure::new("it keeps too many entries for one merge", hint));
    };
    let mut names = Vec::new();
    let mut strange = 0;
    for change in changes {
        match change {
            ProofChange::Added(name) => names.push(name),
            // We keep it, they don't. How much a server takes is for the server to say.
            ProofChange::Removed(_) | ProofChange::Full(_) => {}
            ProofChange::Strange(path) => {
                strange += 1;
                if strange <= MAXIMUM_TOLD {
                    let path = words::escape_bytes(&path);
                    world.complain(&format!(
                        "warning: '{path}' is no entry under its own name, and left out\n"
                    ));
                }
            }
        }
    }
    let now = world.now;
    let checked: Vec<(ProofName, Became, Option<Vec<u8>>)> = names
        .into_par_iter()
        .map_init(|| objects.reader(), |reader, name| check(reader, &verifier, now, name))
        .collect();
    let mut tally = Tally::default();
    let mut new = Vec::new();
    let mut text = String::new();
    for (name, became, bytes) in checked {
        tally.count(&became);
        text.push_str(&became.line(name.object, arguments.common.json));
        new.extend(bytes.map(|bytes| (name.object, bytes)));
    }
    if !new.is_empty() {
        repository.add_proofs(&new, &author(world, &configuration)).map_err(|error| {
            Failure::new(error, "see that the repository can be written to, and try again")
        })?;
    }
    world.say(&text);
    world.complain(&format!("{} kept now, {} refused\n", tally.kept, tally.refused));
    Ok(tally.exit())
}

/// Whether the entry proves something of an object that is here.
fn check(
    reader: &ObjectReader,
    verifier: &Verifier,
    now: i64,
    name: ProofName,
) -> (ProofName, Became, Option<Vec<u8>>) {
    let unreadable = |reason: String| (name, Became::Refused(reason), None);
    let object = match reader.read(name.object) {
        Ok(object) => object,
        Err(error) => return unreadable(error.to_string()),
    };
    let bytes = match read_blob(reader, name.blob) {
        Ok(bytes) => bytes,
        Err(error) => return unreadable(error.to_string()),
    };
    let parsed = match object.kind {
        Kind::Commit => Commit::parse(reader.hash(), &object.bytes).map(|commit| commit.signed),
        Kind::Tag => Tag::parse(reader.hash(), &object.bytes).map(|tag| tag.signed),
        Kind::Tree | Kind::Blob => return (name, refused(ProofError::NotNeeded), None),
    };
    match parsed.map(|signed| verifier.check_proof(&signed, &bytes, now)) {
        Ok(Ok(proven)) => (name, Became::Kept(Box::new(proven)), Some(bytes)),
        Ok(Err(error)) => (name, refused(error), None),
        Err(error) => unreadable(error.to_string()),
    }
}
