//! What the policy or the installation asks for, and the server as it stands does not give.

use std::{io, path::Path};

use super::StatusFinding;
use crate::{
    hook::{AuditSink, Settings, Shim},
    policy::Policy,
    repository::{Configuration, Scopes},
};

/// Look at what `shim` and `policy` ask of the server, by its `configuration` and its files.
pub(in crate::hook) fn look(
    shim: &Shim,
    policy: Option<&Policy>,
    configuration: &Configuration,
    findings: &mut Vec<StatusFinding>,
) {
    let forge = shim.settings.forge.as_ref();
    let rules = policy.into_iter().flat_map(Policy::rules);
    let mut certified = rules.filter(|rule| rule.pusher.needs_certificate);
    // Where a forge hands no certificates on, that is said of the policy.
    let may_be_met = forge.is_none_or(|forge| forge.kind.gives_no_certificates().is_none());
    let gives_nonces = configuration.get("receive.certNonceSeed", Scopes::Any).is_some();
    if let Some(rule) = certified.next().filter(|_| may_be_met && !gives_nonces) {
        findings.push(StatusFinding::Unmet(format!(
            "rule '{}' asks for a push certificate, and git takes none here: set 'receive.certNonceSeed' to a secret of this repository's own",
            rule.name
        )));
    }
    if let Err(error) = is_there(&shim.settings.audit) {
        let sink = shim.settings.audit.text();
        let what =
            format!("decisions cannot be written down, by '--audit {}': {error}", sink.to_string_lossy());
        findings.push(match shim.settings.audit_required {
            true => StatusFinding::Broken(what),
            false => StatusFinding::Unmet(what),
        });
    }
}

/// That what decisions are written to may be what is needed; whether the hook may write it is seen once it does.
fn is_there(sink: &AuditSink) -> io::Result<()> {
    match sink {
        AuditSink::Off | AuditSink::State => Ok(()),
        AuditSink::Syslog(socket) => socket.metadata().map(drop),
        AuditSink::File(path) => match path.metadata() {
            Ok(metadata) if metadata.is_file() => Ok(()),
            Ok(_) => Err(io::Error::other("it is no regular file")),
            // The first line makes it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(Path::new("/"));
                folder.metadata().map(drop)
            }
            Err(error) => Err(error),
        },
    }
}

/// What an installation with the settings `before` did and one with `now` does not, in words.
pub(in crate::hook) fn given_up(before: &Settings, now: &Settings) -> Vec<String> {
    let (before, now) = (before.options(), now.options());
    let others = before.iter().filter(|(name, _)| *name != "--ledger");
    let gone = others.filter(|(name, value)| match *name {
        "--address" => !now.iter().any(|(_, other)| other == value),
        _ => now.iter().all(|(other, _)| other != name),
    });
    gone.map(|(name, value)| {
        let value = value.to_string_lossy();
        let option = if value == "true" { (*name).to_owned() } else { format!("{name} {value}") };
        format!("'{option}' held before and does not any more, for it was not given again")
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_not_given_again_is_told() {
        let all = Settings {
            time_limit: Some(Duration::from_secs(4)),
            audit: AuditSink::Off,
            audit_required: true,
            addresses: vec!["ssh://a/b".to_owned(), "https://a/b".to_owned()],
            ..Settings::default()
        };
        assert_eq!(given_up(&all, &all), Vec::<String>::new());
        assert_eq!(given_up(&Settings::default(), &all), Vec::<String>::new());
        let other = Settings {
            time_limit: Some(Duration::from_secs(5)),
            audit: AuditSink::Off,
            addresses: vec!["https://a/b".to_owned()],
            ..Settings::default()
        };
        let words = given_up(&all, &other);
        assert_eq!(words.len(), 2, "{words:?}");
        assert!(words[0].starts_with("'--audit-required' held before and does not any more"), "{words:?}");
        assert!(words[1].starts_with("'--address ssh://a/b' held before"), "{words:?}");
        assert_eq!(given_up(&all, &Settings::default()).len(), 5);
    }
}
