//! The dialogue with git: what is listed, what is fetched, and what is refused.
//!
//! git moves a ref without asking for objects where it has them already (fetch-pack's "quickfetch"), so
//! whatever could be taken that way is judged before it is listed.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    io::{BufRead, Write},
    path::{Path, PathBuf},
    rc::Rc,
};

use gix::bstr::{BString, ByteSlice as _};

use super::{
    Advertisement, Basis, Head, Memory, MemoryError, Quarantine, Store, Transport, Work,
    judge::{self, Judge, Judged, Origin, RefusedRef, Remembered},
    protocol::{self, Command},
};
use crate::{
    hook::{Update, kept_proofs},
    object::ObjectId,
    policy::{Governing, Permission},
    repository::{ObjectReader, Objects, Repository, Shallow},
    words::{Failure, escape_bytes},
};

/// Everything that the helper acts on, as values.
pub struct Context<'a> {
    /// What starts git's own transports.
    pub transport: Transport,
    /// `GIT_DIR`; `ls-remote` may have none.
    pub git_dir: Option<PathBuf>,
    /// `GIT_OBJECT_DIRECTORY` is set.
    pub is_diverted: bool,
    /// The configuration says that objects are missing here on purpose.
    pub is_partial: bool,
    /// `GIT_ALTERNATE_OBJECT_DIRECTORIES`.
    pub alternates: Vec<PathBuf>,
    /// What the remote is judged by.
    pub origin: Origin<'a>,
    /// What is remembered.
    pub store: Store,
    /// A held ref ends every fetch.
    pub held_fails: bool,
    /// Seconds since 1970.
    pub now: i64,
}

/// Where git wants histories to be cut off.
#[derive(Clone, Debug, Default)]
struct Deepening {
    depth: Option<BString>,
    since: Option<BString>,
    not: Vec<BString>,
    is_relative: bool,
}

impl Deepening {
    fn set(&mut self, name: &str, value: &BString) {
        match name {
            "depth" => self.depth = Some(value.clone()),
            "deepen-since" => self.since = Some(value.clone()),
            "deepen-not" => self.not.push(value.clone()),
            _ => self.is_relative = value == "true",
        }
    }

    /// The options of `git fetch` that say the same; none where nothing is to be cut off.
    fn arguments(&self) -> Vec<OsString> {
        let depth = if self.is_relative { "--deepen=" } else { "--depth=" };
        let depth = self.depth.iter().map(|value| (depth, value));
        let since = self.since.iter().map(|value| ("--shallow-since=", value));
        let not = self.not.iter().map(|value| ("--shallow-exclude=", value));
        let all = depth.chain(since).chain(not);
        all.map(|(option, value)| [option.as_bytes(), value].concat().to_os_str_lossy().into_owned())
            .collect()
    }
}

/// Where histories end for a judgement, and whether it says anything of what lies behind.
struct Reach {
    shallow: Shallow,
    is_whole: bool,
}

/// What git has said about what comes after.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) progress: bool,
    pub(super) verbosity: i64,
    pub(super) object_format: bool,
    cloning: bool,
    deepening: Deepening,
    pub(super) family: Option<&'static str>,
    pub(super) push: super::push::PushOptions,
}

/// One run of the helper.
pub(super) struct Session<'a> {
    pub(super) context: &'a Context<'a>,
    /// What the remote is judged by, once that is known.
    basis: Option<Rc<Basis>>,
    pub(super) options: Options,
    pub(super) memory: Memory,
    /// The value that was listed for each ref.
    pub(super) listed: HashMap<BString, ObjectId>,
    /// What was accepted of histories that are cut off, which is not remembered: it says nothing of the rest.
    vouched: HashMap<BString, Option<ObjectId>>,
    /// The ref whose value a detached `HEAD` has.
    head: Option<BString>,
    pub(super) words: &'a mut dyn Write,
}

/// Answer git's commands until it has no more; the exit status.
pub fn run(
    context: &Context<'_>,
    input: &mut dyn BufRead,
    output: &mut dyn Write,
    words: &mut dyn Write,
) -> u8 {
    let memory = Memory::new(context.transport.address.key());
    let (options, listed) = (Options::default(), HashMap::new());
    let mut session =
        Session { context, basis: None, options, memory, listed, vouched: HashMap::new(), head: None, words };
    match session.converse(input, output) {
        Ok(()) => 0,
        Err(failure) => {
            let _ = write!(session.words, "{failure}");
            let _ = session.words.flush();
            // As git's own programs end when they die.
            128
        }
    }
}

/// Get the policy that the remote keeps in `reference`, which is not judged: its commit, and a reader that
/// has it.
///
/// # Errors
/// The remote cannot be had, or has no such ref.
pub fn fetch_policy(
    context: &Context<'_>,
    reference: &BString,
    words: &mut dyn Write,
) -> Result<(ObjectReader, ObjectId), Failure> {
    let memory = Memory::new(context.transport.address.key());
    let (options, listed) = (Options::default(), HashMap::new());
    let mut session =
        Session { context, basis: None, options, memory, listed, vouched: HashMap::new(), head: None, words };
    let advertised = session.advertisement()?;
    session.policy_in(reference, &advertised)
}

impl Session<'_> {
    fn converse(&mut self, input: &mut dyn BufRead, output: &mut dyn Write) -> Result<(), Failure> {
        self.memory = self.context.store.load(self.key()).map_err(forgettable)?;
        loop {
            let command = protocol::next(input).map_err(|error| {
                Failure::new(error, "the version of git at hand may be too new or too old for this program")
            })?;
            let answer = match command {
                None => return Ok(()),
                Some(Command::Capabilities) => protocol::CAPABILITIES.as_bytes().to_vec(),
                Some(Command::Option { name, value }) => self.option(&name, &value)?.as_bytes().to_vec(),
                Some(Command::List(for_push)) => self.list(for_push)?,
                Some(Command::Fetch(wanted)) => {
                    self.fetch(&wanted)?;
                    b"\n".to_vec()
                }
                Some(Command::Push(lines)) => self.push(&lines)?,
            };
            output.write_all(&answer).and_then(|()| output.flush()).map_err(|error| {
                Failure::new(format!("git cannot be answered: {error}"), "see what has ended git")
            })?;
        }
    }

    pub(super) fn key(&self) -> &str {
        self.context.transport.address.key()
    }

    fn option(&mut self, name: &str, value: &BString) -> Result<&'static str, Failure> {
        let is_true = value == "true";
        match name {
            "progress" => self.options.progress = is_true,
            "verbosity" => {
                self.options.verbosity = value.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or(1);
            }
            "object-format" => self.options.object_format = is_true,
            "family" if value == "ipv4" => self.options.family = Some("--ipv4"),
            "family" if value == "ipv6" => self.options.family = Some("--ipv6"),
            "family" if value == "all" => self.options.family = None,
            // Tags are asked for by name where git wants them.
            "followtags" => {}
            "cloning" => self.options.cloning = is_true,
            "depth" | "deepen-since" | "deepen-not" | "deepen-relative" => {
                self.options.deepening.set(name, value);
            }
            "filter" | "from-promisor" | "no-dependents" => {
                return Err(Failure::new(
                    "a clone without all of its objects cannot be judged through 'verified::'",
                    "leave out '--filter'",
                ));
            }
            _ => return Ok(self.options.push.set(name, value)),
        }
        Ok("ok\n")
    }

    /// The repository at hand.
    pub(super) fn repository(&self) -> Result<Option<Repository>, Failure> {
        let Some(git_dir) = &self.context.git_dir else { return Ok(None) };
        Repository::at(git_dir).map(Some).map_err(|error| {
            Failure::new(
                error,
                "through 'verified::' only repositories that can be read whole are fetched into",
            )
        })
    }

    /// What the remote says of its refs.
    fn advertisement(&mut self) -> Result<Advertisement, Failure> {
        let family = self.options.family;
        let arguments = |name: &str| {
            let options = ["ls-remote", "-q", "--symref"].into_iter().chain(family);
            options.chain(["--", name]).map(Into::into).collect()
        };
        let answer =
            self.context.transport.run(arguments, Work::default(), self.words).map_err(unreachable)?;
        let text = answer.good("read the refs of").map_err(unreachable)?;
        Advertisement::parse(&text)
            .map_err(|error| Failure::new(error, "see whether the address names a git repository"))
    }

    fn list(&mut self, for_push: bool) -> Result<Vec<u8>, Failure> {
        let advertised = self.advertisement()?;
        let hash = advertised.hash();
        self.basis = self.read_basis(&advertised)?;
        self.listed = match self.basis.clone() {
            Some(basis) if !for_push => self.choose(&basis, &advertised)?,
            _ => advertised.refs.iter().map(|(name, id)| (name.clone(), *id)).collect(),
        };
        let mut answer = Vec::new();
        if let Some(hash) = hash.filter(|_| self.options.object_format) {
            answer.extend(format!(":object-format {hash}\n").into_bytes());
        }
        let mut listed: Vec<(&BString, &ObjectId)> = self.listed.iter().collect();
        listed.sort();
        self.head = None;
        match &advertised.head {
            Some(Head::Symbolic(target)) if self.listed.contains_key(target) => {
                answer.extend([b"@", target.as_slice(), b" HEAD\n"].concat());
            }
            Some(Head::Detached(id)) => {
                // No rule can name it; it is what a ref is, or nothing.
                if let Some((name, _)) = listed.iter().find(|(_, value)| *value == id) {
                    self.head = Some((*name).clone());
                    answer.extend(format!("{id} HEAD\n").into_bytes());
                }
            }
            _ => {}
        }
        for (name, id) in listed {
            answer.extend([format!("{id} ").as_bytes(), name, b"\n"].concat());
            let is_as_advertised = advertised.refs.get(name) == Some(id);
            if let Some(peeled) = advertised.peeled.get(name).filter(|_| is_as_advertised) {
                answer.extend([format!("{peeled} ").as_bytes(), name, b"^{}\n"].concat());
            }
        }
        answer.push(b'\n');
        Ok(answer)
    }

    /// The value of each ref that git may hear of.
    fn choose(
        &mut self,
        basis: &Basis,
        advertised: &Advertisement,
    ) -> Result<HashMap<BString, ObjectId>, Failure> {
        self.memory = self.context.store.load(self.key()).map_err(forgettable)?;
        self.see(advertised)?;
        let is_same_hash =
            |repository: &Repository| advertised.hash().is_none_or(|hash| hash == repository.hash());
        let repository = self.repository()?.filter(is_same_hash);
        let objects = repository.as_ref().map(|repository| self.objects(repository, None)).transpose()?;
        let reader = objects.as_ref().map(Objects::reader);
        let has = |id: ObjectId| reader.as_ref().is_some_and(|reader| reader.kind(id).is_ok());

        // Judging takes its time, and what was not here may have come meanwhile.
        loop {
            let sorted = self.sort(basis, advertised, &has);
            let Some((repository, objects)) =
                repository.as_ref().zip(objects.as_ref()).filter(|_| !sorted.to_judge.is_empty())
            else {
                if sorted.left_out > 0 && (self.options.verbosity > 1 || sorted.listed.is_empty()) {
                    let left_out = sorted.left_out;
                    let _ = writeln!(self.words, "note: {left_out} refs that no rule allows are left out");
                }
                self.tidy(&sorted, advertised)?;
                self.tell_held(&sorted.held, advertised)?;
                if sorted.listed.is_empty() && !sorted.held.is_empty() {
                    return Err(Failure::new(
                        "nothing that the remote has is accepted",
                        "tell whoever keeps the remote; 'countersign remote status' shows what is held",
                    ));
                }
                return Ok(sorted.listed);
            };
            let reach = reach(repository)?;
            self.take(basis, repository, objects, sorted.to_judge, reach, |_| ())?;
        }
    }

    /// Sort refs by what git may hear of them.
    fn sort(&self, basis: &Basis, advertised: &Advertisement, has: &dyn Fn(ObjectId) -> bool) -> Sorted {
        let mut sorted = Sorted { left_out: advertised.invalid.len(), ..Sorted::default() };
        let gone = self.memory.accepted.keys().filter(|name| !advertised.refs.contains_key(*name));
        let values = advertised.refs.iter().map(|(name, id)| (name, Some(*id)));
        for (name, value) in values.chain(gone.map(|name| (name, None))) {
            let accepted = self.memory.accepted.get(name).copied();
            match basis.policy.governing(name) {
                Governing::Accepted => {
                    sorted.list(name, value);
                    continue;
                }
                Governing::Refused | Governing::Reserved => {
                    sorted.left_out += usize::from(value.is_some());
                    continue;
                }
                // A ref that may go is gone, and so is one of which nothing is here.
                Governing::Rule(rule) if value.is_none() => {
                    if rule.permissions.delete == Permission::Allow {
                        sorted.gone.push(name.clone());
                        continue;
                    }
                    if !accepted.is_some_and(has) {
                        continue;
                    }
                }
                Governing::Rule(_) => {}
            }
            let held = self.memory.held.get(name);
            if value == accepted || self.vouched.get(name) == Some(&value) {
                sorted.list(name, value);
            } else if held.is_some_and(|held| held.value == value && held.digest == basis.digest) {
                sorted.list(name, accepted);
                sorted.held.push(name.clone());
            } else if value.is_none_or(has) {
                let reference = name.to_vec();
                sorted.to_judge.push(Update { claimed: accepted, wanted: value, reference });
            } else {
                sorted.list(name, value);
            }
        }
        sorted
    }

    /// Judge `updates`, let `change` have its say, and write down what came of it.
    ///
    /// # Errors
    /// Something is refused.
    fn take(
        &mut self,
        basis: &Basis,
        repository: &Repository,
        objects: &Objects,
        updates: Vec<Update>,
        Reach { shallow, is_whole }: Reach,
        change: impl FnOnce(&mut Judged),
    ) -> Result<(), Failure> {
        let tips = self.context.store.tips(self.key());
        let standing = &Remembered { memory: &self.memory, tips: &tips };
        let proofs = kept_proofs(objects, &repository.references(), &updates);
        let judge = Judge { basis, objects, standing, shallow, proofs, now: self.context.now };
        let mut judged = judge.part(updates, self.words);
        if !judged.refused.is_empty() {
            judge.tell(&judged.refused, self.words);
        }
        judge::warn(&judged.warnings, self.words);
        change(&mut judged);
        if !is_whole {
            let vouched = judged.accepted.drain(..);
            self.vouched.extend(vouched.map(|update| (update.reference.into(), update.wanted)));
            judged.tips.clear();
        }
        self.remember(basis, &judged)?;
        refusal(&judged.refused).map_or(Ok(()), Err)
    }

    /// Take out of the memory what is over: refs that are gone with leave, and refusals of what the remote
    /// does not say any more.
    fn tidy(&mut self, sorted: &Sorted, advertised: &Advertisement) -> Result<(), Failure> {
        let held = self.memory.held.keys();
        let is_over = |name: &&BString| advertised.refs.get(*name) == self.memory.accepted.get(*name);
        let over: Vec<BString> = held.filter(is_over).chain(&sorted.gone).cloned().collect();
        if over.is_empty() {
            return Ok(());
        }
        let before = self.memory.accepted.clone();
        let change = |memory: &mut Memory| {
            for name in &over {
                memory.held.remove(name);
                // Unless somebody has accepted another value in the meantime.
                if sorted.gone.contains(name) && memory.accepted.get(name) == before.get(name) {
                    memory.accepted.remove(name);
                }
            }
            Ok(())
        };
        self.memory = self.context.store.update(self.key(), change).map_err(forgettable)?;
        Ok(())
    }

    /// One line for each ref that is held.
    fn tell_held(&mut self, held: &[BString], advertised: &Advertisement) -> Result<(), Failure> {
        for name in held {
            let short = |id: Option<&ObjectId>| {
                id.map_or_else(|| "nothing".to_owned(), |id| id.to_hex_with_len(12).to_string())
            };
            let (here, there) = (short(self.memory.accepted.get(name)), short(advertised.refs.get(name)));
            let why = self.memory.held.get(name).map_or("", |held| held.words.as_str());
            let name = escape_bytes(name);
            let _ =
                writeln!(self.words, "warning: '{name}' is held at {here}, the remote says {there}: {why}");
        }
        if !held.is_empty() && self.context.held_fails {
            return Err(Failure::new(
                format!("{} refs are held, and 'countersign.held' is 'fail'", held.len()),
                "run 'countersign remote status' to see what is refused and why",
            ));
        }
        Ok(())
    }

    /// At first sight of a remote its refs are merely there; those that come later were created.
    fn see(&mut self, advertised: &Advertisement) -> Result<(), Failure> {
        if self.memory.is_known || advertised.refs.is_empty() {
            return Ok(());
        }
        let seen = |memory: &mut Memory| {
            if !memory.is_known {
                memory.is_known = true;
                let accepted = &memory.accepted;
                let names = advertised.refs.keys().filter(|name| !accepted.contains_key(*name));
                memory.seen = names.cloned().collect();
            }
            Ok(())
        };
        self.memory = self.context.store.update(self.key(), seen).map_err(forgettable)?;
        Ok(())
    }

    fn objects(&self, repository: &Repository, quarantine: Option<&Path>) -> Result<Objects, Failure> {
        repository
            .objects_with(quarantine, &self.context.alternates)
            .map_err(|error| Failure::new(error, "see to the path and its permissions"))
    }

    /// Download what is wanted, judge it, and carry it over if all of it is accepted.
    fn fetch(&mut self, wanted: &[(ObjectId, BString)]) -> Result<(), Failure> {
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

    /// What the remote is judged by; nothing where the user takes whatever it serves.
    pub(super) fn basis(&self) -> Result<Option<Rc<Basis>>, Failure> {
        match (&self.context.origin, &self.basis) {
            (Origin::Nobody, _) => Ok(None),
            (_, Some(basis)) => Ok(Some(Rc::clone(basis))),
            (_, None) => Err(Failure::new(
                "git has not asked for the refs before it takes or sends any",
                "the version of git at hand may be too new or too old for this program",
            )),
        }
    }

    /// What the remote is judged by, got from the remote where it is kept there.
    fn read_basis(&mut self, advertised: &Advertisement) -> Result<Option<Rc<Basis>>, Failure> {
        let kept = match &self.context.origin {
            Origin::Nobody => return Ok(None),
            Origin::Given(basis) => return Ok(Some(Rc::clone(basis))),
            Origin::InRef(kept) => kept,
        };
        let (reader, tip) = self.policy_in(&kept.reference, advertised)?;
        (kept.read)(&reader, tip).map(|basis| Some(Rc::new(basis)))
    }

    /// The commit that the remote keeps its policy in, and a reader that has it.
    fn policy_in(
        &mut self,
        reference: &BString,
        advertised: &Advertisement,
    ) -> Result<(ObjectReader, ObjectId), Failure> {
        let tip = *advertised.refs.get(reference).ok_or_else(|| {
            Failure::new(
                format!("the remote has no ref '{}', where its policy has to be", escape_bytes(reference)),
                "ask whoever keeps the remote; nothing is taken without its policy",
            )
        })?;
        let unusable = |error: &dyn std::fmt::Display| {
            let hint = "see to the state folder and its permissions";
            Failure::new(format!("the policy of the remote cannot be kept: {error}"), hint)
        };
        let made = self.context.store.policy_repository(self.key(), tip.kind());
        let git_dir = made.map_err(|error| unusable(&error))?;
        let objects = git_dir.join("objects");
        let open =
            || Objects::open(tip.kind(), std::slice::from_ref(&objects)).map_err(|error| unusable(&error));
        if open()?.reader().kind(tip).is_err() {
            self.download(vec![tip], &git_dir, objects.clone(), Vec::new())?;
            if git_dir.join("shallow").exists() {
                return Err(cut_off_over_there());
            }
        }
        Ok((open()?.reader(), tip))
    }

    /// Have git fetch the wanted objects, by their ids and into no ref.
    fn download(
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

    /// Write down what was judged, if what it was judged by still stands.
    pub(super) fn remember(&mut self, basis: &Basis, judged: &Judged) -> Result<(), Failure> {
        let tips = self.context.store.tips(self.key());
        let key = self.key().to_owned();
        let change = |memory: &mut Memory| {
            let both = judged.accepted.iter().chain(judged.refused.values().map(|refused| &refused.update));
            for update in both {
                let now = memory.accepted.get(update.reference.as_bstr()).copied();
                if now != update.claimed && now != update.wanted {
                    return Err(MemoryError::Changed(key));
                }
            }
            for update in &judged.accepted {
                memory.accept(&update.reference.clone().into(), update.wanted);
            }
            for (name, refused) in &judged.refused {
                let words = refused.refusals.first().map(ToString::to_string).unwrap_or_default();
                let held = super::Held { value: refused.update.wanted, digest: basis.digest, words };
                memory.held.insert(name.clone(), held);
            }
            Ok(())
        };
        self.memory = self.context.store.update(self.key(), change).map_err(forgettable)?;
        for (digest, tip) in &judged.tips {
            if let Err(error) = tips.insert(digest, *tip) {
                let _ = writeln!(self.words, "warning: what was accepted cannot be noted: {error}");
                break;
            }
        }
        Ok(())
    }
}

/// Refs by what git may hear of them.
#[derive(Default)]
struct Sorted {
    /// What git hears.
    listed: HashMap<BString, ObjectId>,
    /// What was refused before; git hears what was accepted last.
    held: Vec<BString>,
    /// What may go, and is gone.
    gone: Vec<BString>,
    /// What git could take without asking.
    to_judge: Vec<Update>,
    /// How many refs git does not hear of.
    left_out: usize,
}

impl Sorted {
    fn list(&mut self, name: &BString, value: Option<ObjectId>) {
        self.listed.extend(value.map(|value| (name.clone(), value)));
    }
}

/// How far the histories of `repository` reach: what is cut off is answered for as far as it is here.
fn reach(repository: &Repository) -> Result<Reach, Failure> {
    let shallow = repository
        .shallow(None)
        .map_err(|error| Failure::new(error, "see to the repository's file 'shallow'"))?;
    Ok(Reach { is_whole: shallow.is_empty(), shallow: shallow.as_end() })
}

fn cut_off_over_there() -> Failure {
    Failure::new(
        "the history on the remote is cut off, and cannot be judged",
        "have whoever keeps the remote make it whole",
    )
}

/// Why a fetch ends at refs that were refused just now, if any were.
fn refusal(refused: &BTreeMap<BString, RefusedRef>) -> Option<Failure> {
    let names: Vec<String> = refused.keys().take(3).map(|name| format!("'{}'", escape_bytes(name))).collect();
    let more = refused.len() - names.len();
    let names = names.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() };
    (!refused.is_empty()).then(|| {
        Failure::new(
            format!("nothing was taken: the policy refuses {names}"),
            "fetch again to take the rest, with these held at what was accepted last",
        )
        .hint("tell whoever keeps the remote; 'countersign remote status' shows what is held")
    })
}

/// What to do where the remote cannot be had.
pub(super) fn unreachable(error: super::TransportError) -> Failure {
    Failure::new(error, "see what git says above, and whether the plain address works")
}

/// What to do where the memory cannot be had.
pub(super) fn forgettable(error: MemoryError) -> Failure {
    let hint = match error {
        MemoryError::Changed(_) => "fetch again",
        MemoryError::Locked { .. } => {
            "wait for the other fetch; if there is none, remove the '.lock' file beside it"
        }
        _ => {
            "see to the file; 'countersign remote forget' begins anew, and takes what the remote then says as first sight"
        }
    };
    Failure::new(error, hint)
}
