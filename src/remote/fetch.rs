//! A fetch: into the quarantine, judged there, and carried over whole or not at all.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use gix::bstr::{BString, ByteSlice as _};

use super::{
    Quarantine, Work,
    session::{Session, unreachable},
    taking::reach,
};
use crate::{hook::Update, object::ObjectId, policy::Governing, repository::Repository, words::Failure};

/// Where git wants histories to be cut off.
#[derive(Clone, Debug, Default)]
pub(super) struct Deepening {
    depth: Option<BString>,
    since: Option<BString>,
    not: Vec<BString>,
    is_relative: bool,
}

impl Deepening {
    pub(super) fn set(&mut self, name: &str, value: &BString) {
        match name {
            "depth" => self.depth = Some(value.clone()),
            "deepen-since" => self.since = Some(value.clone()),
            "deepen-not" => self.not.push(value.clone()),
            _ => self.is_relative = value == "true",
        }
    }

    /// The options of `git fetch` that say the same; none where nothing is to be cut off.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let depth = if self.is_relative { "--deepen=" } else { "--depth=" };
        let depth = self.depth.iter().map(|value| (depth, value));
        let since = self.since.iter().map(|value| ("--shallow-since=", value));
        let not = self.not.iter().map(|value| ("--shallow-exclude=", value));
        let all = depth.chain(since).chain(not);
        all.map(|(option, value)| [option.as_bytes(), value].concat().to_os_str_lossy().into_owned())
            .collect()
    }
}

impl Session<'_> {
    /// Download what is wanted, judge it, and carry it over if all of it is accepted.
    pub(super) fn fetch(&mut self, wanted: &[(ObjectId, BString)]) -> Result<(), Failure> {
        if self.context.is_diverted || self.context.is_partial {
            return Err(Failure::new(
                "this repository keeps its objects elsewhere or not at all, and nothing can be kept apart in it",
                "fetch into a clone that has all of its objects, and without 'GIT_OBJECT_DIRECTORY'",
            ));
        }
        let repository = self.repository()?.ok_or_else(|| {
            Failure::new("there is no repository to fetch into", "run git inside of a repository")
        })?;
        let updates = self.updates(wanted)?;
        let quarantine = Quarantine::new(&repository).map_err(|error| {
            Failure::new(
                format!("nothing can be kept apart here: {error}"),
                "see to the repository's permissions",
            )
        })?;
        let ids = wanted.iter().map(|(id, _)| *id).collect();
        let deepening = self.options.deepening.arguments();
        let is_same = deepening.is_empty();
        self.download(ids, quarantine.git_dir(), quarantine.objects(), deepening)?;
        if is_same && !quarantine.is_cut_off_as_before() {
            return Err(cut_off_over_there());
        }
        if let Some(basis) = self.basis()? {
            let objects = self.objects(&repository, Some(&quarantine.objects()))?;
            let there = Repository::at(quarantine.git_dir());
            let there = there.map_err(|error| Failure::new(error, "fetch again"))?;
            self.take(&basis, &repository, &objects, updates, reach(&there)?, |judged| {
                // Nothing is taken of a fetch of which something is refused, so nothing is accepted either.
                if !judged.refused.is_empty() {
                    judged.accepted.clear();
                    judged.tips.clear();
                }
            })?;
        }
        quarantine.migrate().map_err(|error| {
            Failure::new(
                format!("what was fetched cannot be stored: {error}"),
                "see to the repository, and fetch again",
            )
        })
    }

    /// What is to be judged so that `wanted` may be taken.
    fn updates(&self, wanted: &[(ObjectId, BString)]) -> Result<Vec<Update>, Failure> {
        let basis = self.basis()?;
        let mut updates = BTreeMap::new();
        for (id, name) in wanted {
            let name = self.head.as_ref().filter(|_| name == "HEAD").unwrap_or(name);
            if self.listed.get(name) != Some(id) {
                return Err(Failure::new(
                    format!(
                        "the object {id} is asked for by no ref that the remote has, and no rule can judge it"
                    ),
                    "fetch a branch or tag by its name",
                ));
            }
            let claimed = self.memory.accepted.get(name).copied();
            let is_free = basis
                .as_ref()
                .is_none_or(|basis| matches!(basis.policy.governing(name), Governing::Accepted));
            if claimed != Some(*id) && !is_free {
                let update = Update { claimed, wanted: Some(*id), reference: name.to_vec() };
                updates.insert(name.clone(), update);
            }
        }
        Ok(updates.into_values().collect())
    }

    /// Have git fetch the wanted objects, by their ids and into no ref.
    pub(super) fn download(
        &mut self,
        mut wanted: Vec<ObjectId>,
        git_dir: &Path,
        objects: PathBuf,
        deepening: Vec<OsString>,
    ) -> Result<(), Failure> {
        wanted.sort();
        wanted.dedup();
        let input: String = wanted.iter().map(|id| format!("{id}\n")).collect();
        let progress: &[&str] = if self.options.progress { &["--progress"] } else { &["--quiet"] };
        let family = self.options.family;
        // As git clones.
        let whole_packs: &[&str] = if self.options.cloning { &["-c", "fetch.unpackLimit=1"] } else { &[] };
        let arguments = |name: &str| {
            let options = [
                "fetch",
                "--no-tags",
                "--no-write-fetch-head",
                "--no-auto-maintenance",
                "--no-recurse-submodules",
                "--no-write-commit-graph",
                "--stdin",
            ];
            let options = options.into_iter().chain(progress.iter().copied()).chain(family);
            let options = whole_packs.iter().copied().chain(options).map(OsString::from);
            options.chain(deepening).chain(["--".into(), name.into()]).collect()
        };
        let work = Work {
            git_dir: Some(git_dir),
            input: input.into_bytes(),
            grows: Some(objects),
            // It is told by the git that asks.
            unsaid: &["From ", " * branch "],
        };
        let answer = self.context.transport.run(arguments, work, self.words).map_err(unreachable)?;
        answer.good("fetch from").map_err(unreachable)?;
        Ok(())
    }
}

pub(super) fn cut_off_over_there() -> Failure {
    Failure::new(
        "the history on the remote is cut off, and cannot be judged",
        "have whoever keeps the remote make it whole",
    )
}
