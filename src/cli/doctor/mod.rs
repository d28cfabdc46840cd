//! `countersign doctor`: what would keep git from signing or verifying here, and how to mend it.
//!
//! Facts are gathered first, each within bounds; what they mean is said by functions of them alone. A
//! check of its own is a function in [`checks`], a fact in [`facts`] and a line in [`run`]. Nothing is
//! signed, nobody is asked to log in, and no token leaves this machine.

mod checks;
mod facts;

use clap::Args;

use super::{Outcome, World, exit};
use crate::words;
use checks::{Finding, State};

/// Check that git can sign and verify here, and say how to mend what is wrong
#[derive(Args, Debug)]
pub(super) struct DoctorArguments {
    /// Open no network connection
    #[arg(long)]
    offline: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

/// Look at everything, and say what it comes to.
pub(super) fn run(world: &mut World<'_>, arguments: &DoctorArguments) -> Outcome {
    let facts = facts::gather(world, arguments.offline);
    let findings: Vec<Finding> = [
        checks::git(facts.git.as_deref()),
        checks::configuration(&facts),
        checks::unheard(&facts.unheard),
        checks::gitsign(&facts.gitsign),
        checks::policy(&facts),
        checks::trusted_root(&facts),
        checks::servers(&facts.plan),
        checks::key(&facts),
        checks::identity(&facts),
        checks::committer(&facts),
        checks::consent(&facts),
        checks::agent(&facts.agent),
        checks::forwarded(&facts.forwarded, world.now),
        checks::remotes(facts.remotes.as_ref()),
        checks::network(facts.probes.as_deref()),
        checks::clock(facts.probes.as_deref()),
        checks::forges(),
    ]
    .into_iter()
    .flatten()
    .collect();
    world.say(&if arguments.json { json(&findings) } else { text(&findings) });
    Ok(match worst(&findings) {
        State::Broken => exit::BAD,
        State::Warning => exit::CANNOT_TELL,
        State::Note | State::Well => exit::GOOD,
    })
}

fn worst(findings: &[Finding]) -> State {
    findings.iter().map(|finding| finding.state).max().unwrap_or(State::Well)
}

fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { check, state, said, hints } in findings {
        text += &format!("{:<8} {check}: {}\n", state.word(), words::escape(said));
        for hint in hints {
            text += &format!("{:<8} hint: {}\n", "", words::escape(hint));
        }
    }
    text
}

fn json(findings: &[Finding]) -> String {
    let checks: Vec<serde_json::Value> = findings
        .iter()
        .map(|Finding { check, state, said, hints }| {
            serde_json::json!({"check": check, "state": state.word(), "said": said, "hints": hints})
        })
        .collect();
    let state = match worst(findings) {
        State::Note => State::Well,
        other => other,
    };
    format!("{}\n", serde_json::json!({"version": 1, "state": state.word(), "checks": checks}))
}
