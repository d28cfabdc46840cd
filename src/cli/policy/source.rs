//! Where the policy comes from that counts here: a file or a pin of protected configuration, or neither.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use super::memory::Memory;
use crate::{
    cli::{World, settings, trust::roots},
    object::ObjectId,
    policy::Limits,
    repository::{Configuration, ObjectReader, OpenError, Repository, Scope, Scopes},
    sigstore::trusted_root::Instance,
    trust::{
        ChainError, Followed, POLICY_REF, Pin, Reading, Trust as Snapshot, commits, find_pin, follow, tip,
    },
    verify::Identity,
    words::{Failure, escape},
};

/// The setting that names a policy file, and the one that holds pins.
pub(in crate::cli) const POLICY: &str = "countersign.policy";
pub(in crate::cli) const PIN: &str = "countersign.policyPin";

/// What is known of a policy in use besides what it says.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Source {
    place: SourcePlace,
    /// The setting that names it, and its value; `None` for the command line.
    setting: Option<(&'static str, String)>,
    scope: &'static str,
    digest: [u8; 32],
    repository: Option<String>,
    serial: Option<u64>,
}

#[derive(Clone, Debug)]
enum SourcePlace {
    File(String),
    Reference { name: String, commit: ObjectId, root: ObjectId, steps: usize },
}

/// A policy that the repository holds in this ref and that no pin vouches for: it decides nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Unpinned {
    /// The ref.
    pub(in crate::cli) reference: &'static str,
}

/// What the repository at hand holds of a policy.
pub(in crate::cli) enum Here {
    Nothing,
    Pinned(Box<(Followed, Source)>),
    Unpinned(Unpinned),
}

impl Source {
    /// The file `path` that the command line names.
    pub(in crate::cli) fn typed(path: &Path, snapshot: &Snapshot) -> Self {
        Self::file(path, snapshot, "command line", None)
    }

    /// The file `path` that `countersign.policy` names.
    pub(in crate::cli) fn configured(
        path: &Path,
        snapshot: &Snapshot,
        configuration: &Configuration,
    ) -> Self {
        let last = configuration.get_all(POLICY, Scopes::Protected).pop();
        let scope = last.map_or("unknown", |(scope, _)| scope.name());
        let value = last.map(|(_, value)| value.to_string()).unwrap_or_default();
        Self::file(path, snapshot, scope, Some((POLICY, value)))
    }

    fn file(
        path: &Path,
        snapshot: &Snapshot,
        scope: &'static str,
        setting: Option<(&'static str, String)>,
    ) -> Self {
        Self {
            place: SourcePlace::File(path.display().to_string()),
            setting,
            scope,
            digest: snapshot.digest,
            repository: snapshot.policy.repository().map(str::to_owned),
            serial: snapshot.policy.serial(),
        }
    }

    fn followed(followed: &Followed, scope: &'static str, pin: &Pin) -> Self {
        Self {
            place: SourcePlace::Reference {
                name: followed.reference().to_owned(),
                commit: followed.commit(),
                root: followed.root(),
                steps: followed.steps(),
            },
            setting: Some((PIN, pin.to_string())),
            scope,
            digest: followed.trust().digest,
            repository: Some(followed.repository().to_owned()),
            serial: Some(followed.serial()),
        }
    }

    /// `policy '<file>' sha256:<digest>`, or the ref with its commit in the place of the file; to be escaped.
    pub(in crate::cli) fn words(&self) -> String {
        let digest = hex::encode(self.digest);
        match &self.place {
            SourcePlace::File(path) => format!("policy '{path}' sha256:{digest}"),
            SourcePlace::Reference { name, commit, .. } => {
                format!("policy '{name}' at commit {commit} sha256:{digest}")
            }
        }
    }

    /// What else is to be said of it, a line each, escaped.
    pub(in crate::cli) fn details(&self, world: &World<'_>) -> String {
        let mut text = match self.origin(world) {
            Some(origin) => format!("policy scope: {} ({})\n", self.scope, escape(&origin)),
            None => format!("policy scope: {}\n", self.scope),
        };
        if let Some(repository) = &self.repository {
            text += &format!("policy repository: {}\n", escape(repository));
        }
        if let Some(serial) = self.serial {
            text += &format!("policy serial: {serial}\n");
        }
        if let SourcePlace::Reference { root, steps, .. } = &self.place {
            let changes = if *steps == 1 { "1 change".to_owned() } else { format!("{steps} changes") };
            text += &format!("policy root: {root}, {changes} since\n");
        }
        text
    }

    /// The same for programs.
    pub(in crate::cli) fn json(&self) -> Value {
        let mut value = json!({ "sha256": hex::encode(self.digest), "scope": self.scope });
        match &self.place {
            SourcePlace::File(path) => value["file"] = path.as_str().into(),
            SourcePlace::Reference { name, commit, root, .. } => {
                value["ref"] = name.as_str().into();
                value["commit"] = commit.to_string().into();
                value["root"] = root.to_string().into();
            }
        }
        if let Some(repository) = &self.repository {
            value["repository"] = repository.as_str().into();
        }
        if let Some(serial) = self.serial {
            value["serial"] = serial.into();
        }
        value
    }

    /// Where git found the setting, as `git config --show-origin` says it.
    fn origin(&self, world: &World<'_>) -> Option<String> {
        let (key, value) = self.setting.as_ref()?;
        let mut git = Command::new("git");
        git.current_dir(&world.directory).env_clear().envs(world.environment.iter());
        git.args(["config", "--show-origin", "--show-scope", "-z", "--get-all", key]);
        let answer = git.output().ok()?;
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        let fields: Vec<&str> = text.split('\0').collect();
        let found = fields.chunks_exact(3).rfind(|entry| entry[0] == self.scope && entry[2] == value)?;
        Some(found[1].to_owned())
    }
}

/// Every pin of protected configuration, with its scope.
pub(in crate::cli) fn pins(configuration: &Configuration) -> Result<Vec<(Scope, Pin)>, Failure> {
    let values = configuration.get_all(PIN, Scopes::Protected).into_iter();
    let parse = |(scope, value): (Scope, &gix::bstr::BStr)| {
        let text = value.to_string();
        Pin::parse(&text).map(|pin| (scope, pin)).map_err(|error| {
            Failure::new(
                format!("'{PIN}' is '{text}', which is no pin: {error}"),
                "let 'countersign policy pin' write it, and take this one out with 'git config --unset'",
            )
        })
    };
    values.map(parse).collect()
}

/// What the repository around the world's directory, or `repository`, holds of a policy, and whether
/// protected configuration vouches for it.
pub(in crate::cli) fn here(
    world: &World<'_>,
    configuration: &Configuration,
    repository: Option<&Repository>,
) -> Result<Here, Failure> {
    let pins = pins(configuration)?;
    let opened = match repository {
        Some(repository) => Ok(repository.clone()),
        None => settings::discover(world),
    };
    let repository = match opened {
        Ok(repository) => repository,
        Err(OpenError::NotFound { .. }) => return Ok(Here::Nothing),
        // Nothing that such a repository holds would count.
        Err(_) if pins.is_empty() => return Ok(Here::Nothing),
        Err(error) => {
            return Err(Failure::new(error, format!("whether one of '{PIN}' is for it cannot be told")));
        }
    };
    let references = repository.references();
    let reader = match repository.objects() {
        Ok(objects) => objects.reader(),
        Err(_) if pins.is_empty() => return Ok(Here::Nothing),
        Err(error) => return Err(Failure::new(error, "run 'git fsck'")),
    };
    let plain: Vec<Pin> = pins.iter().map(|(_, pin)| pin.clone()).collect();
    let memory = Memory::open();
    let pin = find_pin(&reader, &references, &plain)?;
    refuse_another(&memory, &repository, pin, &plain)?;
    if let Some(pin) = pin {
        let seen = memory.recall(pin)?;
        let followed = with_reading(world, configuration, |reading| {
            Ok(follow(&reader, &references, pin, seen, reading)?)
        })?;
        memory.note(pin, followed.commit());
        memory.note_repository(repository.common_dir(), pin);
        let scope = pins.iter().find(|(_, other)| other == pin).map_or("unknown", |(scope, _)| scope.name());
        let source = Source::followed(&followed, scope, pin);
        return Ok(Here::Pinned(Box::new((followed, source))));
    }
    let found = references.read(POLICY_REF.into()).is_ok_and(|value| value.id.is_some());
    Ok(if found { Here::Unpinned(Unpinned { reference: POLICY_REF }) } else { Here::Nothing })
}

/// Refuse `pin`, or none, where `repository` was judged by the policy of another one that is pinned still:
/// whoever can move its ref must not choose among policies that are believed elsewhere, nor do away with it.
fn refuse_another(
    memory: &Memory,
    repository: &Repository,
    pin: Option<&Pin>,
    pins: &[Pin],
) -> Result<(), Failure> {
    let Some(before) = memory.recall_repository(repository.common_dir())? else { return Ok(()) };
    if pin.is_some_and(|pin| pin.repository == before) || !pins.iter().any(|other| other.repository == before)
    {
        return Ok(());
    }
    let now = match pin {
        Some(pin) => {
            format!("'{}' holds that of '{}' now", escape(&pin.reference), pin.repository)
        }
        None => "that policy is not here any more".to_owned(),
    };
    let next = match pin {
        Some(_) => "countersign policy pin",
        None => "countersign policy pin --forget-here",
    };
    Err(Failure::new(
        format!("this repository was judged by the policy of '{before}', and {now}"),
        format!("fetch the right policy; if another repository has taken this place, run '{next}'"),
    ))
}

/// The pin of protected configuration that is meant for `repository`, if a policy in a ref is what counts in it.
pub(in crate::cli) fn pin_of(
    world: &World<'_>,
    configuration: &Configuration,
    repository: &Repository,
) -> Result<Option<(Scope, Pin)>, Failure> {
    let pins = pins(configuration)?;
    if pins.is_empty() || settings::path(world, configuration, POLICY)?.is_some() {
        return Ok(None);
    }
    let objects = repository.objects().map_err(|error| Failure::new(error, "run 'git fsck'"))?;
    let plain: Vec<Pin> = pins.iter().map(|(_, pin)| pin.clone()).collect();
    let found = find_pin(&objects.reader(), &repository.references(), &plain)?.cloned();
    Ok(found.and_then(|found| pins.into_iter().find(|(_, pin)| *pin == found)))
}

/// The policy that follows from `pin` where its ref is at `tip`, in whatever repository that is.
pub(in crate::cli) fn followed_to(
    world: &World<'_>,
    configuration: &Configuration,
    reader: &ObjectReader,
    (scope, pin): (Scope, &Pin),
    tip: ObjectId,
) -> Result<(Followed, Source), Failure> {
    let memory = Memory::open();
    let seen = memory.recall(pin)?;
    let followed = with_reading(world, configuration, |reading| {
        let chain = commits(reader, tip, Some(pin.root))?;
        if let Some(seen) = seen.filter(|seen| !chain.contains(seen)) {
            return Err(ChainError::Rewound { reference: pin.reference.clone(), seen }.into());
        }
        Ok(Followed::begin(reader, pin)?.advance_to(reader, tip, reading)?)
    })?;
    memory.note(pin, followed.commit());
    let source = Source::followed(&followed, scope.name(), pin);
    Ok((followed, source))
}

impl Unpinned {
    /// What is to be said of it.
    pub(in crate::cli) fn warning(&self, repository: &Repository) -> Failure {
        let found = format!("policy found, not pinned: '{}' decides nothing here", self.reference);
        match self.command(repository) {
            Ok(command) => {
                Failure::new(found, "look at it with 'countersign policy show', and at who may change it")
                    .hint(format!("if you know it to be the right one: {command}"))
            }
            Err(failure) => {
                Failure { error: format!("{found}, and cannot be pinned: {}", failure.error), ..failure }
            }
        }
    }

    /// The command that pins it.
    pub(in crate::cli) fn command(&self, repository: &Repository) -> Result<String, Failure> {
        let objects = repository.objects().map_err(|error| Failure::new(error, "run 'git fsck'"))?;
        let tip = tip(&repository.references(), self.reference)?;
        let chain = commits(&objects.reader(), tip, None)?;
        let first = chain.last().map(ToString::to_string).unwrap_or_default();
        Ok(format!("countersign policy pin --root {first}"))
    }
}

/// Call `run` with what the user's own configuration brings to judging the steps of a policy.
pub(in crate::cli) fn with_reading<T>(
    world: &World<'_>,
    configuration: &Configuration,
    run: impl FnOnce(&Reading<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let limits: Vec<(String, Limits)> = roots::limits(configuration)?;
    let maximum_age = roots::maximum_age(configuration)?;
    let revocations = settings::ssh_revocations(world, configuration)?;
    let instance = |name: &str| -> Result<Option<Instance>, Failure> {
        let Some(root) = roots::resolve(world, configuration, name)? else { return Ok(None) };
        match maximum_age.filter(|maximum| root.facts.days(world.now) > *maximum) {
            Some(maximum) => Err(Failure::new(
                format!(
                    "the policy cannot be followed: the trusted root of '{name}' is {}, and 'countersign.trustMaxAge' is {maximum}",
                    root.facts.age(world.now)
                ),
                root.facts.remedy(),
            )),
            None => Ok(Some(root.instance)),
        }
    };
    let believes = |identity: &Identity| {
        limits.iter().all(|(name, limits)| *name != identity.instance || limits.believe(identity))
    };
    run(&Reading {
        now: world.now,
        instance: &instance,
        believes: &believes,
        ssh_revocations: &revocations,
        go_on: &|_, _| true,
        is_new: false,
    })
}

/// What a repository's own configuration says of the policy, which is not heard.
pub(in crate::cli) fn unheard(configuration: &Configuration) -> Vec<Failure> {
    let remedies = [
        (POLICY, "if that is what you want, run 'git config --global countersign.policy FILE'"),
        (PIN, "if that is what you want, run 'countersign policy pin'"),
    ];
    let mut warnings = Vec::new();
    for (key, remedy) in remedies {
        let unheard = configuration.get_all(key, Scopes::Any);
        if let Some((_, value)) = unheard.iter().find(|(scope, _)| !scope.is_protected()) {
            let words =
                format!("the repository's own configuration says '{key}={value}', which is not heard");
            warnings.push(Failure::new(words, remedy));
        }
    }
    warnings
}

/// `failure` as a warning, fit for a terminal.
pub(in crate::cli) fn as_warning(failure: &Failure) -> String {
    failure.to_string().replacen("error: ", "warning: ", 1)
}
