//! `countersign approve --list`: what is approved, and as whose each approval counts.

use super::{Setting, as_json, as_words};
use crate::{
    cli::{Outcome, World, exit},
    hook::counted_as,
    object::APPROVALS,
    words::escape,
};

/// A line for each approval that is kept here.
pub(super) fn run(world: &mut World<'_>, setting: &Setting, json: bool) -> Outcome {
    let approvals = setting.kept()?;
    let mut text = String::new();
    for (blob, approval) in approvals.all(&setting.reader) {
        let counted = counted_as(&setting.policy, &setting.verifier, &approval, world.now);
        if json {
            let mut value = as_json(&approval.statement);
            value["approval"] = blob.to_string().into();
            value["status"] = if counted.is_ok() { "counts" } else { "refused" }.into();
            match &counted {
                Ok(name) => value["name"] = name.as_str().into(),
                Err(fault) => value["cause"] = fault.to_string().into(),
            }
            text += &format!("{value}\n");
            continue;
        }
        let words = as_words(&approval.statement);
        text += &match counted {
            Ok(name) => format!("counts  '{}': {words}\n", escape(&name)),
            Err(fault) => format!("refused {words}: it {fault}\n"),
        };
    }
    world.say(&text);
    for reason in approvals.trouble() {
        world.complain(&format!(
            "warning: not all approvals can be read: {}\nhint: look at '{APPROVALS}' with 'git fsck'\n",
            escape(&reason)
        ));
    }
    Ok(exit::GOOD)
}
