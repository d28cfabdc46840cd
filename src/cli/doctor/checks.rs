//! What the facts mean: each check is a function of them, and says how to mend what it finds.

use std::path::Path;

use super::facts::{Facts, Origin, Probe};
use crate::{
    agent::protocol::ForwardStatus,
    cli::{
        consent,
        gitsign::{Fate, Found},
        remote::Looked,
        unheard::Unheard,
    },
    repository::{Configuration, Scopes},
    sign::{Logging, SigningPlan},
    words::{self, Failure},
};

/// How bad it is, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// As it should be.
    Well,
    /// Good to know; nothing is wrong.
    Note,
    /// It works, and something should be looked at.
    Warning,
    /// It does not work.
    Broken,
}

impl State {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Broken => "broken",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) check: &'static str,
    pub(super) state: State,
    pub(super) said: String,
    /// How to mend it.
    pub(super) hints: Vec<String>,
}

impl Finding {
    fn new(check: &'static str, state: State, said: impl Into<String>) -> Self {
        Self { check, state, said: said.into(), hints: Vec::new() }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    fn failure(check: &'static str, Failure { error, hints }: &Failure) -> Self {
        Self { check, state: State::Broken, said: error.clone(), hints: hints.clone() }
    }
}

/// The first version of git that calls an X.509 program for every format as this program expects.
const OLDEST_GIT: (u32, u32) = (2, 34);
/// The first version that shows what a signing program that failed had to say.
const SPEAKING_GIT: (u32, u32) = (2, 40);
/// The age in days from which a trusted root should be looked at.
const OLD_ROOT: i64 = 180;
/// How many seconds a clock may be off before it is worth a word: certificates are good for minutes.
const CLOCK_SLACK: i64 = 60;

pub(super) fn git(version: Option<&str>) -> Vec<Finding> {
    let Some(version) = version else {
        return vec![Finding::new("git", State::Broken, "git cannot be run").hint("install git")];
    };
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    let said = format!("version {version}");
    vec![match numbers.next().flatten().zip(numbers.next().flatten()) {
        Some(version) if version < OLDEST_GIT => Finding::new("git", State::Broken, said)
            .hint("install git 2.34 or newer: older ones do not verify what they sign in every case"),
        Some(version) if version < SPEAKING_GIT => Finding::new("git", State::Warning, said)
            .hint("git before 2.40 hides why a signature was not made; a newer one shows it"),
        Some(_) => Finding::new("git", State::Well, said),
        None => Finding::new("git", State::Warning, format!("it calls itself '{version}'"))
            .hint("check with 'git version' that it is 2.34 or newer"),
    }]
}

/// Whether git calls this program.
pub(super) fn configuration(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "configuration";
    let configuration = match &facts.configuration {
        Ok(configuration) => configuration,
        Err(failure) => return vec![Finding::failure(CHECK, failure)],
    };
    let text = |key| configuration.text(key, Scopes::Any).filter(|value| !value.is_empty());
    let is_us = |value: &str| Path::new(value).file_stem().is_some_and(|stem| *stem == *facts.program);
    let format = text("gpg.format").unwrap_or("openpgp");
    let program = text("gpg.x509.program").unwrap_or("gpgsm");
    if format != "x509" {
        let said = format!("git does not sign with countersign: 'gpg.format' is '{format}'");
        return vec![Finding::new(CHECK, State::Warning, said).hint(remedy(configuration, "gpg.format"))];
    }
    if !is_us(program) {
        let said = format!("git calls '{program}' to sign and verify: that is 'gpg.x509.program'");
        return vec![
            Finding::new(CHECK, State::Broken, said).hint(remedy(configuration, "gpg.x509.program")),
        ];
    }
    let signs = |key| configuration.boolean(key, Scopes::Any).ok().flatten().unwrap_or(false);
    let when = match (signs("commit.gpgSign"), signs("tag.gpgSign")) {
        (true, true) => "every commit and tag",
        (true, false) => "every commit, and tags on 'git tag -s'",
        (false, true) => "every tag, and commits on 'git commit -S'",
        (false, false) => "on 'git commit -S' and 'git tag -s'",
    };
    vec![Finding::new(CHECK, State::Well, format!("git calls this program, and signs {when}"))]
}

/// How to set up git where `key` is not what it should be.
fn remedy(configuration: &Configuration, key: &str) -> String {
    match configuration.get_all(key, Scopes::Any).last() {
        Some((scope, _)) if !scope.is_protected() => {
            "run 'countersign init --local' in this repository".to_owned()
        }
        _ => "run 'countersign init'".to_owned(),
    }
}

/// The repository's own settings that are passed over.
pub(super) fn unheard(unheard: &[Unheard]) -> Vec<Finding> {
    let told = unheard.iter().map(|unheard| {
        let said = format!("the repository's own '{}' is not heard ('{}')", unheard.key, unheard.value);
        let hint = format!("if you mean it, run '{}'", unheard.command());
        Finding::new("repository", State::Warning, said).hint(hint)
    });
    told.collect()
}

/// What is left of a gitsign set-up.
pub(super) fn gitsign(found: &[Found]) -> Vec<Finding> {
    let heard = found.iter().filter(|found| found.is_heard() && !found.value.is_empty());
    heard
        .filter_map(|Found { name, fate, .. }| match fate {
            Fate::Works(ours) if ours == name => None,
            Fate::Works(ours) => Some(Finding::new(
                "gitsign",
                State::Well,
                format!("'{name}' counts where '{ours}' is not set"),
            )),
            Fate::Needless(why) => {
                Some(Finding::new("gitsign", State::Note, format!("'{name}' is not needed: {why}")))
            }
            Fate::Refused { instead, unless } => Some(
                Finding::new("gitsign", State::Broken, format!("'{name}' does not work here"))
                    .hint(*instead)
                    .hint(format!("it is passed over where '{unless}' is set")),
            ),
        })
        .collect()
}

pub(super) fn policy(facts: &Facts) -> Vec<Finding> {
    vec![match &facts.policy {
        Ok(Some(source)) => Finding::new("policy", State::Well, format!("who counts is said by {source}")),
        Ok(None) if facts.is_unpinned => Finding::new(
            "policy",
            State::Note,
            "the repository brings a policy, which decides nothing until it is pinned",
        )
        .hint("look at it with 'countersign policy show', and pin it with 'countersign policy pin'"),
        Ok(None) => {
            Finding::new("policy", State::Note, "nobody is named: signatures are proven, and nobody counts")
                .hint(
                    "set 'countersign.policy' to a policy file; 'countersign policy init' writes a first one",
                )
        }
        Err(failure) => Finding::failure("policy", failure),
    }]
}

pub(super) fn trusted_root(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "trusted root";
    let name = &facts.instance;
    vec![match &facts.root {
        Err(failure) => Finding::failure(CHECK, failure),
        Ok(None) => Finding::new(CHECK, State::Broken, format!("the instance '{name}' has none"))
            .hint(format!("keep one with 'countersign trust add {name}'")),
        Ok(Some(root)) => {
            let said = format!("'{name}' is {}, {}", root.age(facts.now), root.origin());
            let days = root.days(facts.now);
            match facts.maximum_age {
                Some(maximum) if days > maximum => Finding::new(
                    CHECK,
                    State::Broken,
                    format!("{said}; 'countersign.trustMaxAge' is {maximum}"),
                )
                .hint(root.remedy()),
                None if days > OLD_ROOT => Finding::new(CHECK, State::Warning, said).hint(root.remedy()),
                _ => Finding::new(CHECK, State::Well, said),
            }
        }
    }]
}

/// Which servers a signature would be made with.
pub(super) fn servers(plan: &Result<SigningPlan, Failure>) -> Vec<Finding> {
    vec![match plan {
        Err(failure) => Finding::failure("servers", failure),
        Ok(SigningPlan { fulcio, logs, timestamps, logging }) => {
            let mut said = format!("certificates '{fulcio}'");
            let logs = logs.iter().map(|log| ("log", &log.url));
            for (what, url) in logs.chain(timestamps.iter().map(|url| ("timestamps", url))) {
                said.push_str(&format!(", {what} '{url}'"));
            }
            match logging {
                Logging::Required => Finding::new("servers", State::Well, said),
                Logging::WhereItAnswers | Logging::Never => {
                    let weaker = match logging {
                        Logging::Never => "signatures are in no log",
                        _ => "where the log does not answer, signatures are in none",
                    };
                    Finding::new("servers", State::Warning, format!("{said}; {weaker}")).hint(
                        "policies refuse such signatures unless they say otherwise; \
                         unset 'countersign.log' to have every signature in a log",
                    )
                }
            }
        }
    }]
}

/// The key of the user's own, where one signs.
pub(super) fn key(facts: &Facts) -> Vec<Finding> {
    match &facts.key {
        Ok(None) => Vec::new(),
        Ok(Some(said)) => vec![Finding::new("key", State::Well, said.clone())],
        Err(failure) => vec![Finding::failure("key", failure)],
    }
}

pub(super) fn identity(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "identity";
    vec![match &facts.identity {
        // Said already.
        Err(_) if facts.plan.is_err() => return Vec::new(),
        Err(failure) => Finding::failure(CHECK, failure),
        Ok(Origin::Token { place, name, remaining, .. }) => {
            let said = format!("'{name}', by {place}, good for {remaining} seconds more");
            Finding::new(CHECK, State::Well, said)
        }
        Ok(Origin::Provider(provider)) => {
            Finding::new(CHECK, State::Well, format!("{provider} will be asked for a token"))
        }
        Ok(Origin::Login(how)) => {
            Finding::new(CHECK, State::Well, format!("you will be asked to log in {how}"))
        }
        Ok(Origin::Nobody) => {
            let finding = Finding::new(CHECK, State::Broken, "there is no identity token, and nobody to ask")
                .hint("give a token in 'SIGSTORE_ID_TOKEN', or set 'countersign.ambient' or 'countersign.login'");
            match facts.missing {
                Some(missing) => finding.hint(missing),
                None => finding,
            }
        }
    }]
}

/// Whether who signs is who commits.
pub(super) fn committer(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "committer";
    let Ok(configuration) = &facts.configuration else { return Vec::new() };
    let Some(committer) = &facts.committer else {
        return vec![
            Finding::new(CHECK, State::Warning, "'user.email' is not set")
                .hint("run 'git config --global user.email ADDRESS' with the address you log in with"),
        ];
    };
    let wanted =
        configuration.text("countersign.identity", Scopes::Protected).filter(|text| !text.is_empty());
    let signer = match &facts.identity {
        Ok(Origin::Token { name, .. }) => Some(name.as_str()),
        _ => wanted,
    };
    if let (Some(wanted), Some(signer)) = (wanted, signer)
        && wanted != signer
    {
        let said = format!("the token is for '{signer}', and 'countersign.identity' is '{wanted}'");
        return vec![
            Finding::new(CHECK, State::Broken, said).hint("use a token for the wanted identity, or unset it"),
        ];
    }
    let must_match: Result<Vec<_>, _> = ["countersign.matchCommitter", "gitsign.matchCommitter"]
        .into_iter()
        .flat_map(|key| [Scopes::Protected, Scopes::Any].map(|scopes| configuration.boolean(key, scopes)))
        .collect();
    let must_match = match must_match {
        Ok(values) => values.contains(&Some(true)),
        Err(error) => {
            let said = error.to_string();
            return vec![Finding::new(CHECK, State::Broken, said).hint("say true or false there")];
        }
    };
    vec![match signer {
        Some(signer) if signer != committer && signer.contains('@') => {
            let state = if must_match { State::Broken } else { State::Warning };
            let said = format!("'{signer}' signs, and '{committer}' commits");
            Finding::new(CHECK, state, said)
                .hint(format!("set 'user.email' to '{signer}', or sign as '{committer}'"))
        }
        Some(signer) if signer == committer => {
            Finding::new(CHECK, State::Well, format!("'{committer}' signs and commits"))
        }
        _ => Finding::new(CHECK, State::Well, format!("'{committer}' commits")),
    }]
}

/// Whether a signature would ask first, because it publishes an address.
pub(super) fn consent(facts: &Facts) -> Vec<Finding> {
    let (Ok(configuration), Ok(plan)) = (&facts.configuration, &facts.plan) else { return Vec::new() };
    let address = match &facts.identity {
        Ok(Origin::Token { email, .. }) => email.as_ref(),
        Ok(Origin::Login(_)) => facts.committer.as_ref(),
        _ => None,
    };
    let Some(address) = address.filter(|_| consent::is_public(&facts.instance, plan)) else {
        return Vec::new();
    };
    if consent::is_given(configuration, address) {
        return vec![Finding::new("consent", State::Well, format!("'{address}' may be published"))];
    }
    let said = format!("a signature would put '{address}' into a public log, for good, and asks first");
    vec![
        Finding::new("consent", State::Note, said)
            .hint(format!("where nobody can be asked, run '{}' before", consent::command(address))),
    ]
}

/// Remotes whose addresses begin with `verified::`.
pub(super) fn remotes(looked: Option<&Looked>) -> Vec<Finding> {
    let Some(Looked { is_installed, in_submodules, remotes }) = looked else { return Vec::new() };
    let mut findings = Vec::new();
    if !is_installed {
        let said = "git finds no program 'git-remote-verified'";
        let hint = "install it beside countersign, and have its folder in PATH";
        findings.push(Finding::new("remote", State::Broken, said).hint(hint));
    }
    for remote in remotes {
        let address = &remote.address;
        findings.push(match &remote.is_judged {
            Err(failure) => Finding::failure("remote", failure),
            Ok(false) => {
                let said = format!("nothing that '{address}' serves is verified");
                Finding::new("remote", State::Warning, said).hint(format!(
                    "run 'countersign remote trust {}' or set a policy for it",
                    words::shell_word(address)
                ))
            }
            Ok(true) if remote.held > 0 => {
                let said = format!(
                    "{} of '{address}' held at what was accepted last",
                    words::counted(remote.held, "ref")
                );
                Finding::new("remote", State::Warning, said).hint("'countersign remote status' says why")
            }
            Ok(true) => Finding::new("remote", State::Well, format!("what '{address}' serves is judged")),
        });
    }
    if !in_submodules {
        let said = "git takes no address with 'verified::' from submodules";
        let hint = "if you want it to, run 'git config --global protocol.verified.allow always', as 'countersign init --verified-submodules' does; \
                    what stands behind 'verified::' is still held to git's rules";
        findings.push(Finding::new("remote", State::Note, said).hint(hint));
    }
    findings
}

pub(super) fn agent(kept: &Result<Option<usize>, Failure>) -> Vec<Finding> {
    vec![match kept {
        Ok(Some(logins)) => Finding::new("agent", State::Well, format!("it runs; logins kept: {logins}")),
        Ok(None) => Finding::new("agent", State::Well, "none runs; where one is needed a login starts it"),
        // Signing goes on without it.
        Err(Failure { error, hints }) => {
            Finding { hints: hints.clone(), ..Finding::new("agent", State::Warning, error) }
        }
    }]
}

/// An agent elsewhere that was forwarded to here.
pub(super) fn forwarded(forwarded: &Result<Option<ForwardStatus>, Failure>, now: i64) -> Vec<Finding> {
    const CHECK: &str = "agent";
    match forwarded {
        Ok(None) => Vec::new(),
        Ok(Some(terms)) => {
            let said = format!(
                "one is forwarded to here, for {} signatures more with '{}' until {}",
                terms.left,
                terms.instance,
                words::time(terms.until)
            );
            if terms.left > 0 && terms.until > now {
                return vec![Finding::new(CHECK, State::Well, said)];
            }
            vec![
                Finding::new(CHECK, State::Warning, said).hint(
                    "nothing more is signed through it: forward it again with 'countersign agent forward'",
                ),
            ]
        }
        Err(Failure { error, hints }) => {
            vec![Finding { hints: hints.clone(), ..Finding::new(CHECK, State::Warning, error) }]
        }
    }
}

pub(super) fn network(probes: Option<&[Probe]>) -> Vec<Finding> {
    let Some(probes) = probes else {
        return vec![Finding::new("network", State::Note, "not looked at: '--offline'")];
    };
    let told = probes.iter().map(|Probe { what, url, answer, .. }| match answer {
        Ok(_) => Finding::new("network", State::Well, format!("{what}: '{url}' answers")),
        Err(reason) => Finding::new("network", State::Broken, format!("{what}: {reason}"))
            .hint("check the network, and 'HTTPS_PROXY' where there is a proxy; verifying needs no network"),
    });
    told.collect()
}

/// How far the clock here is from the servers'.
pub(super) fn clock(probes: Option<&[Probe]>) -> Vec<Finding> {
    let mut offsets: Vec<i64> = probes
        .unwrap_or_default()
        .iter()
        .filter_map(|probe| Some(probe.now - probe.answer.as_ref().ok().copied().flatten()?))
        .collect();
    offsets.sort_unstable();
    let Some(offset) = offsets.get(offsets.len() / 2) else {
        return vec![Finding::new("clock", State::Note, "no server has said what time it is")];
    };
    let seconds = offset.unsigned_abs();
    vec![if seconds <= CLOCK_SLACK.unsigned_abs() {
        Finding::new("clock", State::Well, "as the servers' clocks")
    } else {
        let way = if *offset > 0 { "ahead of" } else { "behind" };
        let said = format!("{seconds} seconds {way} the servers: certificates last for minutes");
        Finding::new("clock", State::Warning, said)
            .hint("set the clock, or have it set by NTP ('timedatectl set-ntp true')")
    }]
}

/// What no setting changes.
pub(super) fn forges() -> Vec<Finding> {
    vec![
        Finding::new(
            "forges",
            State::Note,
            "GitHub and GitLab show keyless commits as 'Unverified': they look for the authority among those \
             of the system's own list, and whether the certificate is valid now instead of when it signed; \
             a rule there that requires signed commits refuses them",
        )
        .hint("have a required job run 'countersign verify', or a server of your own 'countersign hook install'"),
    ]
}

#[cfg(test)]
mod tests;
