//! Consent before an e-mail address is published for good.
//!
//! A certificate with an e-mail address in it stands in a public log for ever, and nobody can take it out
//! again. So the person is told and asked once, and the answer is kept in the user's own configuration.
//! Private instances and identities without an address need none.

use std::{
    ffi::OsStr,
    fs,
    io::{self, BufRead as _, Write as _},
    sync::mpsc,
    thread,
    time::Duration,
};

use super::{World, git_config};
use crate::{
    identity::Claims,
    repository::{Configuration, Scopes},
    sign::SigningPlan,
    sigstore::trusted_root::{PUBLIC_GOOD, STAGING},
    words::{self, Failure},
};

/// The addresses that may be published, one a value.
const KEY: &str = "countersign.publish";

/// How long a person may think about a question.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whether what `instance` with `plan` records can be read by everyone.
pub(super) fn is_public(instance: &str, plan: &SigningPlan) -> bool {
    let host = |url: &str| {
        url.split("://").nth(1).unwrap_or_default().split(['/', ':']).next().unwrap_or_default().to_owned()
    };
    // The authority publishes its certificates too.
    [PUBLIC_GOOD, STAGING].contains(&instance)
        || plan.recorders().any(|url| host(url).ends_with(".sigstore.dev"))
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
    format!("git config --global --add {KEY} {}", words::escape(address))
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

/// Ask the person at the terminal, whatever the streams of this program are; yes only in so many words.
///
/// # Errors
/// There is no terminal, or no answer within `patience`.
pub(super) fn ask(question: &str, patience: Duration) -> io::Result<bool> {
    let mut terminal = fs::OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    terminal.write_all(question.as_bytes())?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let read = io::BufReader::new(terminal).read_line(&mut line);
        // Whoever asked may have given up.
        let _ = sender.send(read.map(|_| line));
    });
    let line = receiver.recv_timeout(patience).map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    Ok(["y", "yes"].contains(&line.trim().to_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::{SigningPlan, is_public};
    use crate::sign::{LogService, Logging, RekorVersion};

    #[test]
    fn what_is_public() {
        for (instance, rekor, expected) in [
            ("public-good", "https://rekor.example", true),
            ("staging", "http://127.0.0.1:1", true),
            ("work", "https://rekor.example", false),
            ("work", "https://log2025-1.rekor.sigstore.dev/api", true),
            ("work", "https://rekor.sigstore.dev:443", true),
            ("work", "https://rekor.sigstore.dev.example", false),
            ("sandbox", "http://127.0.0.1:4000", false),
        ] {
            let logs = vec![LogService { url: rekor.to_owned(), version: RekorVersion::V1 }];
            let (fulcio, timestamps) = (String::new(), Vec::new());
            let plan = SigningPlan { fulcio, logs, timestamps, logging: Logging::Required };
            assert_eq!(is_public(instance, &plan), expected, "{instance} {rekor}");
        }
    }
}
