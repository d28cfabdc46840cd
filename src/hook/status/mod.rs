//! What stands between a repository and its pushers, and who else could change it.

mod finding;
mod parts;
mod policy;
mod reach;
pub(super) mod unmet;
mod words;
mod writers;

use std::path::{Path, PathBuf};

use gix::objs::Kind;

use super::{
    Admissions, Guarded, HookName, InstallError, PolicyPlace, Shim,
    configured::{Configured, Fault},
    for_all::Standing,
    layout::{Layout, configuration, hook_path, hooks_path},
    pre_receive::{foreign_anchor, same_place},
};
use crate::{
    object::ObjectId,
    policy::{Policy, Rule},
    repository::{ConfigurationError, Repository},
};

pub use finding::StatusFinding;
use parts::Installation;
pub use policy::installed_trust;
use policy::{follow, look_at_file};
pub(super) use reach::obstacle;
pub(super) use writers::user_name;

/// What is installed in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where the hook is looked for.
    pub hook: PathBuf,
    /// The file of git's configuration by which git runs it, if it does by one.
    pub configuration: Option<PathBuf>,
    /// The shim, if the hook is one.
    pub shim: Option<Shim>,
    /// The hooks beside it, and where they are.
    pub companions: Vec<(HookName, PathBuf)>,
    /// Whether what moves refs without a push is judged.
    pub guard: Guarded,
    /// Of a policy in a ref: where it stands now, in words.
    pub followed: Option<String>,
    /// What is wrong or should be looked at.
    pub findings: Vec<StatusFinding>,
}

/// Look at the installation in `repository`.
///
/// # Errors
/// The repository cannot be opened.
pub fn status(repository: &Path, now: i64) -> Result<Status, InstallError> {
    let repository = Repository::open(repository)?;
    let mut findings = Vec::new();
    let (mut followed, mut companions, mut guard) = (None, Vec::new(), Guarded::NotHere);
    let configured = Configured::read(repository.git_dir()).map_err(ConfigurationError::Git)?;
    let (hook, is_configured) = find(&repository, &configured, &mut findings)?;
    let standing = Standing::at(&repository, hook.clone());
    let shim = match std::fs::read(&hook) {
        Ok(text) if Shim::is_shim(&text) => match Shim::parse(&text) {
            Ok(_) => standing.shim.clone(),
            Err(error) => {
                findings.push(StatusFinding::Unreadable(format!(
                    "{error}; run 'countersign hook install' again"
                )));
                None
            }
        },
        Ok(_) => {
            findings.push(StatusFinding::Open("another hook is in place".to_owned()));
            None
        }
        Err(_) => {
            findings.push(StatusFinding::Open("no hook is installed".to_owned()));
            None
        }
    };
    if let Some(shim) = &shim {
        let configuration = configuration(&repository)?;
        let installation = Installation {
            shim,
            standing: &standing,
            repository: &repository,
            configuration: &configuration,
            configured: &configured,
            is_configured,
        };
        installation.look_whether_it_runs(&mut findings);
        let policy = match &shim.policy {
            PolicyPlace::File(path) => look_at_file(shim, path, &mut findings),
            PolicyPlace::Reference(pin) => match follow(shim, pin, &repository, now) {
                Ok((policy, words)) => {
                    followed = Some(words);
                    Some(policy)
                }
                Err(failure) => {
                    findings.push(StatusFinding::Broken(failure.error));
                    None
                }
            },
        };
        unmet::look(shim, policy.as_ref(), &configuration, &mut findings);
        if let Some(policy) = policy {
            let all = policy.check().into_iter().chain(policy.check_at(now));
            findings.extend(all.map(StatusFinding::Policy));
            let forge = shim.settings.forge.as_ref();
            let at_forge =
                forge.map_or_else(|| policy.check_without_forge(), |forge| policy.check_for(forge));
            findings.extend(at_forge.into_iter().map(StatusFinding::Policy));
            let needs_certificate = policy.rules().iter().find(|rule| rule.pusher.needs_certificate);
            if let Some(rule) = needs_certificate.filter(|_| shim.settings.addresses.is_empty()) {
                findings.push(StatusFinding::NoAddresses { rule: rule.name.clone() });
            }
            findings.extend(foreign_anchor(&policy, repository.hash()).map(StatusFinding::Broken));
            // A policy for every repository names what only one of them has.
            if standing.for_all.is_none() {
                findings.extend(missing_anchors(&policy, &repository));
            }
        }
        installation.look_at_what_decides(&mut findings);
        (companions, guard) = installation.look_beside(&mut findings);
        let holding = Admissions::new(&shim.state).holding(now);
        findings.extend(holding.into_iter().map(|admission| StatusFinding::Admitted(admission.words())));
        if standing.for_all.is_none() && !same_place(&shim.repository, repository.common_dir()) {
            let what = format!("the hook was installed for the repository '{}'", shim.repository.display());
            findings.push(StatusFinding::Broken(what));
        }
    }
    let configuration = configured.file(HookName::PreReceive).filter(|_| is_configured).map(Path::to_owned);
    Ok(Status { hook, configuration, shim, companions, guard, followed, findings })
}

/// The anchors of rules that no commit of `repository` is, though one could be.
fn missing_anchors(policy: &Policy, repository: &Repository) -> Vec<StatusFinding> {
    let Ok(objects) = repository.objects() else { return Vec::new() };
    let reader = objects.reader();
    let is_here = |anchor: ObjectId| reader.kind(anchor).is_ok_and(|kind| kind == Kind::Commit);
    let missing = |rule: &Rule| {
        let anchor = rule.anchor.filter(|anchor| anchor.kind() == repository.hash() && !is_here(*anchor))?;
        Some(StatusFinding::NoAnchor { rule: rule.name.clone(), anchor: anchor.to_string() })
    };
    policy.rules().iter().filter_map(missing).collect()
}

/// Which hook stands before a push: what git's configuration names, or what lies where hooks are looked for. And
/// whether it is the former.
pub(super) fn find(
    repository: &Repository,
    configured: &Configured,
    findings: &mut Vec<StatusFinding>,
) -> Result<(PathBuf, bool), InstallError> {
    const NAME: HookName = HookName::PreReceive;
    let is_shim = |path: &Path| std::fs::read(path).is_ok_and(|text| Shim::is_shim(&text));
    let own = hook_path(repository, NAME);
    let meant = match own.starts_with(Layout::configured(repository.common_dir())) {
        true => Some(own.clone()),
        false => configured.shim(NAME).filter(|path| is_shim(path)),
    };
    let mut elsewhere = None;
    let found = match hooks_path(repository)? {
        None => Some(own.clone()).filter(|own| meant.as_ref() != Some(own) && is_shim(own)),
        // One for every repository may be there.
        Some(path) => {
            let shared = Path::new(&path).join(NAME.name());
            let shim = std::fs::read(&shared).ok().and_then(|text| Shim::parse_any(&text).ok());
            let found = shim.filter(|shim| shim.repository.as_os_str().is_empty()).map(|_| shared);
            elsewhere = found.is_none().then_some(path);
            found
        }
    };
    let fault = meant.as_ref().and_then(|meant| configured.fault(NAME, meant));
    match (meant, fault, found) {
        (Some(meant), None, found) => {
            let twice = found.map(|found| StatusFinding::Twice { configured: meant.clone(), found });
            findings.extend(twice);
            Ok((meant, true))
        }
        (Some(_), Some(Fault::Broken(what)), Some(found)) => {
            findings.push(StatusFinding::Broken(what));
            Ok((found, false))
        }
        (_, _, Some(found)) => Ok((found, false)),
        (Some(meant), Some(fault), None) => {
            findings.push(match fault {
                Fault::Broken(what) => StatusFinding::Broken(what),
                Fault::Idle(what) => StatusFinding::Open(what),
            });
            Ok((meant, true))
        }
        (None, _, None) => {
            let elsewhere =
                elsewhere.map(|path| StatusFinding::Open(format!("'core.hooksPath' is set to '{path}'")));
            findings.extend(elsewhere);
            Ok((own, false))
        }
    }
}

#[cfg(test)]
mod tests;
