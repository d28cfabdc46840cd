//! `countersign policy init` and `check`: a file, and whether it can be used.

use std::{fs, io, io::Write as _, path::Path};

use serde_json::json;

use super::{Outcome, World, exit};
use crate::{
    policy::{FIRST_POLICY, Forge, PUBLIC_GOOD},
    sigstore::trusted_root::Instance,
    trust::{Beside, Trust, TrustError},
    words::{Failure, escape, shell_word},
};

/// Write a first policy where there is none.
pub(super) fn init(world: &mut World<'_>, path: &Path) -> Outcome {
    let path = &world.directory.join(path);
    let failed = |error: io::Error| {
        let hint = match error.kind() {
            io::ErrorKind::AlreadyExists => "it was left as it is; name another path",
            _ => "name a path that can be written",
        };
        Failure::new(format!("'{}' cannot be written: {error}", path.display()), hint)
    };
    let mut file = fs::File::create_new(path).map_err(failed)?;
    file.write_all(FIRST_POLICY.as_bytes()).map_err(failed)?;
    world.say(&format!(
        "wrote '{}'\nhint: put your own identities and refs into it, then run 'countersign policy check {}'\n",
        escape(&path.display().to_string()),
        escape(&shell_word(&path.display().to_string()))
    ));
    Ok(exit::GOOD)
}

/// 0 for a policy that can be used as it is, 1 with something to look at, 3 if it cannot be used.
pub(super) fn check(world: &mut World<'_>, path: &Path, forge: Option<&Forge>, is_json: bool) -> Outcome {
    let path = &world.directory.join(path);
    let mut trust = Trust::load(&Beside::new(path)).map_err(|error| match &error {
        // That it is to be looked at with this command is what everybody else is told.
        TrustError::Policy { cause, .. } => Failure::new(&error, cause.hint()),
        _ => error.into(),
    })?;
    let instances = trust.take_instances()?;
    let policy = &trust.policy;
    let mut findings = policy.check();
    let logs = instances.iter().flat_map(Instance::log_urls).collect();
    let authorities = instances.iter().flat_map(Instance::timestamp_authority_urls).collect();
    findings.extend(policy.check_servers(&logs, &authorities));
    findings.extend(policy.check_at(world.now));
    findings.extend(forge.into_iter().flat_map(|forge| policy.check_for(forge)));
    let code = if findings.is_empty() { exit::GOOD } else { exit::BAD };
    if is_json {
        let told =
            findings.iter().map(|finding| json!({ "words": finding.to_string(), "hint": finding.hint() }));
        let value = json!({
            "version": 1,
            "repository": policy.repository(),
            "rules": policy.rules().len(),
            "identities": policy.identities().len(),
            "findings": told.collect::<Vec<_>>(),
        });
        world.say(&format!("{value}\n"));
        return Ok(code);
    }
    let mut words = String::new();
    for finding in &findings {
        words += &format!("warning: {finding}\nhint: {}\n", finding.hint());
    }
    if findings.is_empty() {
        let count = |count: usize, one: &str, more: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {more}"),
        };
        let repository = policy.repository().map(|name| format!("for '{}', ", escape(name)));
        words = format!(
            "{}: {}{}, {}, {} besides 'public-good'\n",
            escape(&path.display().to_string()),
            repository.unwrap_or_default(),
            count(policy.rules().len(), "rule", "rules"),
            count(policy.identities().len(), "identity", "identities"),
            count(
                policy.instances().iter().filter(|entry| entry.name != PUBLIC_GOOD).count(),
                "trusted root",
                "trusted roots",
            ),
        );
    }
    world.say(&words);
    Ok(code)
}
