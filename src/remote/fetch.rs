//! A fetch: into the quarantine, judged there, and carried over whole or not at all.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ffi::OsString,
    path::PathBuf,
};

use gix::{
    bstr::{BString, ByteSlice as _},
    objs::Kind,
};

use super::{
    Basis, Quarantine, Work,
    address::without_secrets,
    arrived,
    session::{Session, unreachable},
    taking::{Scene, reach},
};
use crate::{
    hook::Update,
    object::{HashKind, ObjectId},
    policy::Governing,
    repository::{ObjectReader, Objects, Repository, Shallow},
    words::{Failure, escape_bytes, shell_word},
};

/// How many bytes "from" has in any language.
const MAXIMUM_FROM: usize = 40;

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
        // git says 0 where it asks for more of a fetch that was cut off.
        let depth = self.depth.iter().filter(|value| *value != "0").map(|value| (depth, value));
        let since = self.since.iter().map(|value| ("--shallow-since=", value));
        let not = self.not.iter().map(|value| ("--shallow-exclude=", value));
        let all = depth.chain(since).chain(not);
        all.map(|(option, value)| [option.as_bytes(), value].concat().to_os_str_lossy().into_owned())
            .collect()
    }
}

impl Session<'_> {
    /// Download what is wanted, judge it, and carry it over if all of it is accepted; the `.keep` of the pack, where
    /// git asks how things hang together and it is one.
    pub(super) fn fetch(&mut self, wanted: &[(ObjectId, BString)]) -> Result<Option<PathBuf>, Failure> {
        if self.context.is_diverted {
            return Err(Failure::new(
                "'GIT_OBJECT_DIRECTORY' is set, and nothing can be kept apart there",
                "fetch without it",
            ));
        }
        let repository = self.repository()?.ok_or_else(|| {
            Failure::new("there is no repository to fetch into", "run git inside of a repository")
        })?;
        let (mut updates, by_id) = self.updates(wanted)?;
        let is_partial = self.context.is_partial || self.options.filter.is_some();
        let quarantine = Quarantine::new(&repository, is_partial).map_err(|error| {
            Failure::new(
                format!("nothing can be kept apart here: {error}"),
                "see to the repository's permissions",
            )
        })?;
        let ids: Vec<ObjectId> = wanted.iter().map(|(id, _)| *id).collect();
        let mut arguments = self.options.deepening.arguments();
        let is_same = arguments.is_empty();
        let filter = self.options.filter.iter();
        arguments.extend(
            filter.map(|filter| [b"--filter=", filter.as_slice()].concat().to_os_str_lossy().into_owned()),
        );
        arguments.extend(self.options.refetch.then(|| "--refetch".into()));
        // As git clones: whether all of it hangs together is looked at on the way.
        let is_plain = self.options.cloning && arguments.is_empty() && !is_partial;
        if !(is_plain && self.download_for_clone(&ids, &quarantine)?) {
            self.download(&ids, &quarantine, arguments)?;
        }
        if is_same && !quarantine.is_cut_off_as_before() {
            return Err(cut_off_over_there());
        }
        if let Some(basis) = self.basis()? {
            let objects = self.objects(&repository, Some(&quarantine.objects()))?;
            let there = Repository::at(quarantine.git_dir());
            let there = there.map_err(|error| Failure::new(error, "fetch again"))?;
            let scene = Scene { basis: &basis, repository: &repository, objects: &objects };
            if self.options.follow_tags {
                let following = self.following(scene, &updates);
                updates.extend(following);
            }
            let (folder, hash) = (quarantine.objects(), repository.hash());
            // The pack is looked through while what it is for is judged.
            let (judged, arrived) = std::thread::scope(|scope| {
                let looking = scope.spawn(|| arrived::commits_and_tags(&folder, hash, &objects.reader()));
                let mut judged = HashSet::new();
                for id in by_id {
                    let shallow = reach(&there)?.shallow;
                    judged.extend(self.by_id(scene, id, shallow)?);
                }
                judged.extend(self.take(scene, updates, reach(&there)?, |judged| {
                    // Nothing is taken of a fetch of which something is refused, so nothing is accepted either.
                    if !judged.refused.is_empty() {
                        judged.accepted.clear();
                        judged.tips.clear();
                        judged.begun.clear();
                    }
                })?);
                let arrived = looking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                Ok::<_, Failure>((judged, arrived))
            })?;
            let arrived = arrived.map_err(|error| {
                Failure::new(format!("what was fetched cannot be looked through: {error}"), "fetch again")
            })?;
            self.refuse_unasked(scene, &ids, (&arrived, &judged))?;
        }
        let stored = match self.options.check_connectivity {
            // The child has looked at all of it: git need not do that again for what is in this pack.
            true => quarantine.migrate_and_keep(),
            false => quarantine.migrate().map(|()| None),
        };
        stored.map_err(|error| {
            Failure::new(
                format!("what was fetched cannot be stored: {error}"),
                "see to the repository, and fetch again",
            )
        })
    }

    /// What is to be judged so that `wanted` may be taken: updates of refs, and objects that are asked for by
    /// their ids alone.
    fn updates(&self, wanted: &[(ObjectId, BString)]) -> Result<(Vec<Update>, Vec<ObjectId>), Failure> {
        let basis = self.basis()?;
        let (mut updates, mut by_id) = (BTreeMap::new(), Vec::new());
        for (id, name) in wanted {
            let mut name = self.head.as_ref().filter(|_| name == "HEAD").unwrap_or(name);
            if *name == id.to_string() {
                // By the name of a ref it counts for that one.
                match self.name_of(*id, basis.as_deref()) {
                    Some(listed) => name = listed,
                    None => {
                        by_id.push(*id);
                        continue;
                    }
                }
            }
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
        Ok((updates.into_values().collect(), by_id))
    }

    /// The tags that git takes without asking once this fetch is done, for it has what they are then: unless they
    /// are among `asked` they were never judged.
    fn following(&self, Scene { basis, objects, .. }: Scene<'_>, asked: &[Update]) -> Vec<Update> {
        let reader = objects.reader();
        let asked: HashSet<&[u8]> = asked.iter().map(|update| update.reference.as_slice()).collect();
        let is_taken = |(name, id): &(&BString, &ObjectId)| {
            name.starts_with(b"refs/tags/")
                && !asked.contains(name.as_slice())
                && is_governed(basis, name)
                && self.memory.accepted.get(*name) != Some(id)
                && self.vouched.get(*name) != Some(&Some(**id))
                && reader.kind(**id).is_ok()
        };
        let mut taken: Vec<(&BString, &ObjectId)> = self.listed.iter().filter(is_taken).collect();
        taken.sort();
        let update = |(name, id): (&BString, &ObjectId)| Update {
            claimed: self.memory.accepted.get(name).copied(),
            wanted: Some(*id),
            reference: name.to_vec(),
        };
        taken.into_iter().map(update).collect()
    }

    /// A ref that was listed with this value. The remote can have it be the value of many: one that a rule
    /// governs goes before one that is taken by no rule.
    pub(super) fn name_of(&self, id: ObjectId, basis: Option<&Basis>) -> Option<&BString> {
        let is_free = |name: &BString| basis.is_some_and(|basis| !is_governed(basis, name));
        let named = self.listed.iter().filter(|(_, value)| **value == id).map(|(name, _)| name);
        named.min_by_key(|name| (is_free(name), *name))
    }

    /// Judge an object that is asked for by its id alone, which git does for what is missing in a partial
    /// clone. Trees and blobs are what accepted commits name by their hashes, and stand for nothing else.
    fn by_id(
        &mut self,
        scene: Scene<'_>,
        id: ObjectId,
        shallow: Shallow,
    ) -> Result<HashSet<ObjectId>, Failure> {
        let missing = |error| Failure::new(error, "see whether the remote has it");
        match scene.objects.reader().kind(id).map_err(missing)? {
            Kind::Tree | Kind::Blob => Ok(HashSet::new()),
            Kind::Commit => {
                // The remote says what its `HEAD` is, and would choose the rule by it each time anew.
                let branch = self.memory.head.clone().ok_or_else(|| {
                    Failure::new(
                        format!(
                            "the object {id} is asked for by no ref, and 'HEAD' of the remote is no branch that a \
                             rule governs, to judge it by"
                        ),
                        "fetch a branch or tag by its name",
                    )
                })?;
                if !self.listed.contains_key(&branch) || !is_governed(scene.basis, &branch) {
                    let key = shell_word(self.key());
                    return Err(Failure::new(
                        format!(
                            "the object {id} is asked for by no ref, and '{}', which 'HEAD' of the remote was when \
                             it was seen first, is no branch any more to judge it by",
                            escape_bytes(&branch)
                        ),
                        "fetch a branch or tag by its name",
                    )
                    .hint(format!(
                        "if the branch has another name now, 'countersign remote forget {key} HEAD' takes what \
                         'HEAD' is then"
                    )));
                }
                self.take_by_id(scene, (&branch, id), shallow)
            }
            Kind::Tag => Err(Failure::new(
                format!("the tag {id} is asked for by no ref that the remote has, and no rule can judge it"),
                "fetch the tag by its name",
            )),
        }
    }

    /// Refuse a fetch that has brought commits or tags which nobody asked for and nothing has judged.
    fn refuse_unasked(
        &self,
        Scene { repository, objects, .. }: Scene<'_>,
        wanted: &[ObjectId],
        (arrived, judged): (&HashSet<ObjectId>, &HashSet<ObjectId>),
    ) -> Result<(), Failure> {
        let before = self.objects(repository, None)?.reader();
        match arrived::unasked(arrived, judged, wanted, &objects.reader(), &before) {
            None => Ok(()),
            Some(id) => Err(Failure::new(
                format!(
                    "nothing was taken: the remote has sent '{id}', to which nothing leads that was asked for"
                ),
                "tell whoever keeps the remote",
            )
            .hint(
                "a web server that hands out files ('dumb' http) sends whole packs: have it speak git's own protocol \
                 ('git http-backend'), or use another address of the repository",
            )),
        }
    }

    /// Have git get the wanted objects as it does for a clone of its own, where it speaks its own protocol: the pack
    /// is looked through while it comes for whether all of it hangs together, so that nobody walks it again for
    /// that. Whether it does, and all that is wanted is in it.
    fn download_for_clone(&mut self, wanted: &[ObjectId], quarantine: &Quarantine) -> Result<bool, Failure> {
        let transport = &self.context.transport;
        if !transport.address.is_gits_own() || self.options.family.is_some() {
            return Ok(false);
        }
        let address = transport.address.written();
        let silent: &[&str] = if self.options.progress { &[] } else { &["--quiet", "--no-progress"] };
        // It is no address to be replaced: this program of git's takes it as it is.
        let arguments = |_: &str| {
            let options =
                ["fetch-pack", "--stdin", "--keep", "--cloning", "--check-self-contained-and-connected"];
            let options = options.into_iter().chain(silent.iter().copied()).chain([address]);
            options.map(OsString::from).collect()
        };
        let answer =
            transport.run(arguments, quarantined(wanted, quarantine), self.words).map_err(unreachable)?;
        let text = answer.good("fetch from").map_err(unreachable)?;
        quarantine.let_go().map_err(|error| Failure::new(error, "fetch again"))?;
        let reader = self.apart(quarantine, wanted)?;
        let is_connected = text.lines().any(|line| line == b"connectivity-ok");
        Ok(is_connected && wanted.iter().all(|id| reader.kind(*id).is_ok()))
    }

    /// A reader for what is in the quarantine.
    fn apart(&self, quarantine: &Quarantine, wanted: &[ObjectId]) -> Result<ObjectReader, Failure> {
        let hash = wanted.first().map_or(HashKind::Sha1, |id| id.kind());
        let objects = Objects::open(hash, &[quarantine.objects()]);
        objects.map(|objects| objects.reader()).map_err(|error| Failure::new(error, "fetch again"))
    }

    /// Have git fetch the wanted objects, by their ids and into no ref.
    pub(super) fn download(
        &mut self,
        wanted: &[ObjectId],
        quarantine: &Quarantine,
        more: Vec<OsString>,
    ) -> Result<(), Failure> {
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
            options.chain(more).chain(["--".into(), name.into()]).collect()
        };
        let address = without_secrets(self.context.transport.address.written());
        let is_told_by_git = |line: &[u8]| is_told_by_git(line, address.as_bytes());
        let work = Work { unsaid: Some(&is_told_by_git), ..quarantined(wanted, quarantine) };
        let answer = self.context.transport.run(arguments, work, self.words).map_err(unreachable)?;
        answer.good("fetch from").map_err(unreachable)?;
        Ok(())
    }
}

/// The work of a child that gets the objects `wanted` into the quarantine, and reads their ids.
fn quarantined<'w>(wanted: &[ObjectId], quarantine: &'w Quarantine) -> Work<'w> {
    let wanted: BTreeSet<&ObjectId> = wanted.iter().collect();
    let input: String = wanted.iter().map(|id| format!("{id}\n")).collect();
    Work {
        git_dir: Some(quarantine.git_dir()),
        input: input.into_bytes(),
        grows: Some(quarantine.objects()),
        ..Work::default()
    }
}

/// Whether the git that asks for a fetch says the same: from where objects came, and what became of which ref. The
/// words are in the user's language, and only their form is the same in all.
fn is_told_by_git(line: &[u8], address: &[u8]) -> bool {
    if line.starts_with(b"remote: ") {
        return false;
    }
    let address = address.trim_end_with(|character| character == '/');
    let address = address.strip_suffix(b".git").unwrap_or(address);
    let names_it_alone = line.split_once_str(address).is_some_and(|(before, after)| {
        let is_apart =
            (before.is_empty() || before.ends_with(b" ")) && (after.is_empty() || after.starts_with(b" "));
        is_apart && before.len() + after.len() <= MAXIMUM_FROM
    });
    names_it_alone || line.contains_str("-> FETCH_HEAD")
}

/// Whether a rule decides about the ref.
fn is_governed(basis: &Basis, name: &BString) -> bool {
    matches!(basis.policy.governing(name), Governing::Rule(_))
}

pub(super) fn cut_off_over_there() -> Failure {
    Failure::new(
        "the history on the remote is cut off, and cannot be judged",
        "have whoever keeps the remote make it whole",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_itself_is_known_in_every_language() {
        let address = "https://example.com/team/repo.git/";
        for line in [
            "From https://example.com/team/repo",
            "Von https://example.com/team/repo",
            "https://example.com/team/repo から",
            " * branch            1111111111111111111111111111111111111111 -> FETCH_HEAD",
            " * Branch            1111111111111111111111111111111111111111 -> FETCH_HEAD",
        ] {
            assert!(is_told_by_git(line.as_bytes(), address.as_bytes()), "{line}");
        }
        for line in [
            "fatal: unable to access 'https://example.com/team/repo.git/': Could not resolve host",
            "fatal: repository 'https://example.com/team/repo' not found",
            "remote: From https://example.com/team/repo",
            "remote: x -> FETCH_HEAD",
            "warning: redirecting to https://example.com/team/repository",
            "Receiving objects: 100% (3/3), done.",
        ] {
            assert!(!is_told_by_git(line.as_bytes(), address.as_bytes()), "{line}");
        }
    }
}
