//! `countersign hook pre-push`: what the server would say of a push, before anything is sent.
//!
//! The gate itself judges, by a policy that is believed here: one for the remote's address, the one that is
//! configured, or the pinned one that the repository keeps in a ref as it was fetched. What only the server
//! knows is said to be so: who pushes, how many vouch by then, and everything where no policy is at hand.

use std::{collections::BTreeSet, io::Read as _};

use gix::bstr::{BStr, ByteSlice as _};

use super::{
    Outcome, World, exit, kept,
    remote::basis::{self, Named},
    settings,
};
use crate::{
    hook::{
        Gate, MAXIMUM_LISTED, Pace, PrePushArguments, Standing, Telling, Update, foreign_anchor,
        kept_approvals, not_used, parse_planned,
    },
    object::{APPROVALS, ObjectId},
    policy::{Cause, Pushing, Refusal},
    remote::{Address, Basis, PREFIX},
    repository::{Configuration, ObjectReader, ReferenceError, ReferenceValue, References, Repository},
    trust::tip,
    words::{Failure, escape, escape_bytes},
};

/// The most that is read from standard input, in bytes.
const MAXIMUM_INPUT: u64 = 64 * 1024 * 1024;

const LEAVE_OUT: &str = "'git push --no-verify' leaves this to the server alone";

/// What the remote has: git's word for what is pushed, and for the rest what was fetched of it last.
struct OverThere<'a> {
    updates: &'a [Update],
    references: &'a References,
    remote: &'a str,
}

impl Standing for OverThere<'_> {
    fn value(&self, name: &BStr) -> Result<ReferenceValue, ReferenceError> {
        let pushed = self.updates.iter().find(|update| update.reference == **name);
        let id = match (pushed, name.strip_prefix(b"refs/heads/")) {
            (Some(update), _) => update.claimed,
            (None, Some(branch)) => {
                let tracking = [b"refs/remotes/", self.remote.as_bytes(), b"/", branch].concat();
                self.references.read(tracking.as_bstr()).ok().and_then(|value| value.id)
            }
            (None, None) => None,
        };
        Ok(ReferenceValue { names: vec![name.to_owned()], id })
    }

    /// The gate over there decides by its own refs, and counts them.
    fn is_accepted(&self, _digest: &[u8; 32], _commit: ObjectId) -> bool {
        true
    }
}

/// Run `countersign hook pre-push`.
pub(super) fn run(world: &mut World<'_>, arguments: &PrePushArguments) -> Outcome {
    // The helper judges what goes through it, by what the remote itself says.
    if arguments.url.starts_with(PREFIX) {
        return Ok(exit::GOOD);
    }
    let mut lines = Vec::new();
    let read = (&mut *world.stdin).take(MAXIMUM_INPUT + 1).read_to_end(&mut lines);
    read.map_err(|error| failed(&format!("what git is about to push cannot be read: {error}")))?;
    if lines.len() as u64 > MAXIMUM_INPUT {
        return Err(failed(&"git is about to push too many refs"));
    }
    let configuration = settings::configuration(world)?;
    let repository = settings::discover(world).map_err(|error| failed(&error))?;
    let planned = parse_planned(repository.hash(), &lines).map_err(|error| failed(&error))?;
    let objects = repository.objects().map_err(|error| failed(&error))?;
    let reader = objects.reader();
    let address = shown(&arguments.url);
    let basis = basis_of(world, &configuration, &repository, &reader, &arguments.url)?;
    let Some(basis) = basis else {
        world.complain(&format!(
            "countersign: no policy is at hand for '{address}': only the server knows whether it takes this push\n"
        ));
        return Ok(exit::GOOD);
    };
    if let Some(what) = foreign_anchor(&basis.policy, repository.hash()) {
        return Err(failed(&what));
    }
    // Without the value over there nothing can be said of how the new one stands to it.
    let has = |id| reader.kind(id).is_ok();
    let (planned, unclear): (Vec<Update>, Vec<Update>) =
        planned.into_iter().partition(|update| update.wanted.is_none() || update.claimed.is_none_or(has));
    let (proofs, trouble) = kept::proofs(&repository, &reader);
    let references = repository.references();
    let approvals = kept_approvals(&objects, &references, &planned);
    let shallow = repository.shallow(None).map_err(|error| failed(&error))?;
    let gate = Gate {
        policy: &basis.policy,
        verifier: &basis.verifier,
        objects: &objects,
        standing: &OverThere { updates: &planned, references: &references, remote: &arguments.remote },
        shallow: &shallow,
        proofs: &proofs,
        pushing: &Pushing::Planned { is_signed: None },
        approvals: &approvals,
        now: world.now,
        maximum_listed: MAXIMUM_LISTED,
        pace: Pace::default(),
    };
    let finding = gate.judge(&planned, world.stderr);
    let (unmet, refusals): (Vec<Refusal>, Vec<Refusal>) = finding
        .refusals
        .into_iter()
        .partition(|refusal| matches!(refusal.cause, Cause::Threshold(_) | Cause::ForgeUnapproved { .. }));

    world.complain(&kept::warning(&trouble));
    world.complain(&not_used(APPROVALS, &approvals.trouble()));
    let telling =
        Telling { reader: &reader, shallow: &shallow, updates: &planned, is_own: true, go_on: &|| true };
    let mut text = telling.all("warning", &finding.warnings) + &telling.all("error", &refusals);
    if !refusals.is_empty() {
        text += &format!(
            "countersign: '{address}' would refuse this push, and nothing was sent\nhint: {LEAVE_OUT}\n"
        );
        world.complain(&text);
        return Ok(exit::BAD);
    }
    for refusal in &unmet {
        text += &format!(
            "countersign: {}: the server may have heard of more persons than are known here\n",
            refusal
        );
    }
    text += &left_to_the_server(&basis, &planned, &unclear);
    world.complain(&text);
    Ok(exit::GOOD)
}

/// What nobody can tell here, in words.
fn left_to_the_server(basis: &Basis, planned: &[Update], unclear: &[Update]) -> String {
    let mut text = String::new();
    for update in unclear {
        text += &format!(
            "countersign: {}: what the remote has there is not here, so only the server can judge it\n\
             hint: fetch, and push again\n",
            escape_bytes(&update.reference)
        );
    }
    let rules = || planned.iter().filter_map(|update| basis.policy.rule_for(&update.reference));
    let asking: BTreeSet<(&str, bool)> = rules()
        .filter(|rule| rule.pusher.asks())
        .map(|rule| (rule.name.as_str(), rule.pusher.needs_certificate))
        .collect();
    for (rule, needs_certificate) in asking {
        let how = if needs_certificate { "; push with '--signed'" } else { "" };
        text +=
            &format!("countersign: who pushes is for the server to judge (rule '{}'){how}\n", escape(rule));
    }
    let by_way: BTreeSet<&str> =
        rules().filter(|rule| rule.way.asks()).map(|rule| rule.name.as_str()).collect();
    for rule in by_way {
        let words = "by which way the push comes is for the server to judge";
        text += &format!("countersign: {words} (rule '{}')\n", escape(rule));
    }
    text
}

/// What the push is judged by; nothing where no policy that is believed here is at hand.
fn basis_of(
    world: &World<'_>,
    configuration: &Configuration,
    repository: &Repository,
    reader: &ObjectReader,
    url: &str,
) -> Result<Option<Basis>, Failure> {
    if let Ok(address) = Address::parse(url) {
        match basis::named(world, configuration, &address)? {
            Some(Named::File(file)) => return basis::by_file(world, configuration, &file).map(Some),
            Some(Named::Pin(scope, pin)) => {
                // As it was fetched last; where it never was, only the server has it.
                let Ok(tip) = tip(&repository.references(), &pin.reference) else { return Ok(None) };
                return basis::by_pin(world, configuration, reader, (scope, &pin), tip).map(Some);
            }
            None => {}
        }
    }
    let trust = settings::trust(world, configuration, Some(repository))?;
    if trust.policy.is_none() {
        return Ok(None);
    }
    basis::basis(world, configuration, trust, &|_| Vec::new()).map(Some)
}

/// An address for people, without credentials.
fn shown(url: &str) -> String {
    let plain = match url.split_once("://") {
        Some((scheme, rest)) => {
            let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
            format!("{scheme}://{place}{path}")
        }
        None => url.to_owned(),
    };
    escape(&plain)
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(error, LEAVE_OUT)
}
