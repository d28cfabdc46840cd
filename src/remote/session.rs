//! The dialogue with git: what is listed, what is fetched, and what is refused.

use std::{
    collections::HashMap,
    fs,
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
    rc::Rc,
};

use gix::bstr::{BStr, BString, ByteSlice as _};

use super::{
    Advertisement, Basis, Head, Memory, MemoryError, Mirrored, Quarantine, Store, Transport, Work,
    fetch::{Deepening, cut_off_over_there},
    judge::{Origin, warned},
    protocol::{self, Command},
};
use crate::{
    ledger::LEDGER,
    object::{APPROVALS, ObjectId},
    policy::Refusal,
    repository::{
        Durability, FormatError, ObjectReader, Objects, OpenError, Repository, write_whole_through,
    },
    words::{Failure, escape, escape_bytes, shell_word},
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
    /// Which refs of the repository mirror those of the remote.
    pub mirrored: Vec<Mirrored>,
    /// A held ref ends every fetch.
    pub held_fails: bool,
    /// Seconds since 1970.
    pub now: i64,
}

/// What git has said about what comes after.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) progress: bool,
    pub(super) verbosity: i64,
    pub(super) object_format: bool,
    pub(super) cloning: bool,
    pub(super) refetch: bool,
    pub(super) check_connectivity: bool,
    /// git takes every tag that it has the object of in the end, and does not ask for those that came by the way.
    pub(super) follow_tags: bool,
    /// Which objects git does not want.
    pub(super) filter: Option<BString>,
    pub(super) deepening: Deepening,
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
    pub(super) vouched: HashMap<BString, Option<ObjectId>>,
    /// What the clone has had before, and may be listed where the remote's value may not.
    pub(super) present: HashMap<BString, ObjectId>,
    /// The ref whose value a detached `HEAD` has.
    pub(super) head: Option<BString>,
    /// What the remote keeps of ledger and approvals, by the names of their refs.
    pub(super) beside: HashMap<&'static str, ObjectId>,
    pub(super) words: &'a mut dyn Write,
}

/// Answer git's commands until it has no more; the exit status.
pub fn run(
    context: &Context<'_>,
    input: &mut dyn BufRead,
    output: &mut dyn Write,
    words: &mut dyn Write,
) -> u8 {
    let mut session = Session::new(context, words);
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
    let mut session = Session::new(context, words);
    let advertised = session.advertisement()?;
    session.policy_in(reference, &advertised)
}

/// What a remote says of its refs, and of the ledger that it keeps.
#[derive(Debug)]
pub struct Told {
    /// The refs.
    pub advertised: Advertisement,
    /// The ledger's head, and the object directory that has its records: nothing of it is checked.
    pub ledger: Option<(ObjectId, PathBuf)>,
}

/// Ask the remote for its refs, and get the ledger that it keeps, which is not judged, into the state folder.
///
/// # Errors
/// The remote cannot be had.
pub fn fetch_ledger(context: &Context<'_>, words: &mut dyn Write) -> Result<Told, Failure> {
    let mut session = Session::new(context, words);
    let advertised = session.advertisement()?;
    let ledger = match advertised.refs.get(&BString::from(LEDGER)).copied() {
        None => None,
        Some(head) => {
            session.kept_in(head, "ledger")?;
            Some((head, session.kept(head)?.join("objects")))
        }
    };
    Ok(Told { advertised, ledger })
}

impl<'a> Session<'a> {
    fn new(context: &'a Context<'a>, words: &'a mut dyn Write) -> Self {
        Self {
            context,
            basis: None,
            options: Options::default(),
            memory: Memory::new(context.transport.address.key()),
            listed: HashMap::new(),
            vouched: HashMap::new(),
            present: HashMap::new(),
            head: None,
            beside: HashMap::new(),
            words,
        }
    }
}

impl Session<'_> {
    fn converse(&mut self, input: &mut dyn BufRead, output: &mut dyn Write) -> Result<(), Failure> {
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
                    let keep = self.fetch(&wanted)?;
                    let is_asked = std::mem::take(&mut self.options.check_connectivity);
                    fetched(keep.as_deref(), is_asked)
                }
                Some(Command::Push(lines)) => self.push(&lines)?,
            };
            output.write_all(&answer).and_then(|()| output.flush()).map_err(|error| {
                Failure::new(format!("git cannot be answered: {error}"), "see what has ended git")
            })?;
        }
    }

    /// One line of warning. It says which remote it is about: git may be fetching from several.
    pub(super) fn warn(&mut self, what: std::fmt::Arguments<'_>) {
        let address = escape(&self.context.transport.address.to_string());
        // Whoever does not listen changes nothing.
        let _ = writeln!(self.words, "warning: '{address}': {what}");
    }

    /// What rules in warning mode would have refused.
    pub(super) fn warn_of(&mut self, warnings: &[Refusal]) {
        for warning in warned(warnings) {
            self.warn(format_args!("{warning}"));
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
            "followtags" => self.options.follow_tags = is_true,
            "cloning" => self.options.cloning = is_true,
            "depth" | "deepen-since" | "deepen-not" | "deepen-relative" => {
                self.options.deepening.set(name, value);
            }
            "filter" => self.options.filter = Some(value.clone()),
            // What is said by the filter.
            "from-promisor" | "no-dependents" => {}
            "check-connectivity" => self.options.check_connectivity = is_true,
            "refetch" => self.options.refetch = is_true,
            _ => return Ok(self.options.push.set(name, value)),
        }
        Ok("ok\n")
    }

    /// The repository at hand.
    pub(super) fn repository(&self) -> Result<Option<Repository>, Failure> {
        let Some(git_dir) = &self.context.git_dir else { return Ok(None) };
        Repository::at(git_dir).map(Some).map_err(|error| {
            let remedy = match &error {
                OpenError::Format(FormatError::RefStorage(_)) => {
                    "have git keep them in files: clone with '--ref-format=files', or run 'git refs migrate \
                     --ref-format=files' in a repository that is there"
                }
                _ => "through 'verified::' only repositories that can be read whole are fetched into",
            };
            Failure::new(error, remedy)
        })
    }

    /// What to do where the memory cannot be had.
    pub(super) fn forgettable(&self, error: MemoryError) -> Failure {
        let forget = format!("'countersign remote forget {}'", shell_word(self.key()));
        let hint = match error {
            MemoryError::Changed(_) => "fetch again".to_owned(),
            MemoryError::OtherRepository { .. } | MemoryError::OlderPolicy { .. } => {
                format!("get the right policy; if another repository has taken this place, run {forget}")
            }
            MemoryError::Locked { .. } => {
                "wait for the other fetch; if there is none, remove the '.lock' file beside it".to_owned()
            }
            _ => format!(
                "see to the file; {forget} begins anew, and takes what the remote then says as first sight"
            ),
        };
        Failure::new(error, hint)
    }

    /// What the remote says of its refs.
    fn advertisement(&mut self) -> Result<Advertisement, Failure> {
        // It takes no '--ipv4' and '--ipv6'.
        let arguments = |name: &str| ["ls-remote", "-q", "--symref", "--", name].map(Into::into).into();
        let answer =
            self.context.transport.run(arguments, Work::default(), self.words).map_err(unreachable)?;
        let text = answer.good("read the refs of").map_err(unreachable)?;
        Advertisement::parse(&text)
            .map_err(|error| Failure::new(error, "see whether the address names a git repository"))
    }

    fn list(&mut self, for_push: bool) -> Result<Vec<u8>, Failure> {
        let advertised = self.advertisement()?;
        let hash = advertised.hash();
        self.memory = self.context.store.load(self.key()).map_err(|error| self.forgettable(error))?;
        self.basis = self.read_basis(&advertised)?;
        if let Some(basis) = self.basis.clone() {
            let memory = std::mem::take(&mut self.memory);
            let judged = self.context.store.judged_by(memory, basis.repository.as_deref(), basis.serial);
            self.memory = judged.map_err(|error| self.forgettable(error))?;
        }
        let tip = |name| Some((name, *advertised.refs.get(BStr::new(name))?));
        self.beside = [APPROVALS, LEDGER].into_iter().filter_map(tip).collect();
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
                if let Some(name) = self.name_of(*id, self.basis.as_deref()).cloned() {
                    self.head = Some(name);
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

    pub(super) fn objects(
        &self,
        repository: &Repository,
        quarantine: Option<&Path>,
    ) -> Result<Objects, Failure> {
        repository
            .objects_with(quarantine, &self.context.alternates)
            .map_err(|error| Failure::new(error, "see to the path and its permissions"))
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
        self.kept_in(tip, "policy").map(|reader| (reader, tip))
    }

    /// A reader that has the commit `tip` of what the remote itself keeps, got from there if it is new. The next
    /// download under the same name begins where this one ended.
    pub(super) fn kept_in(&mut self, tip: ObjectId, name: &str) -> Result<ObjectReader, Failure> {
        let git_dir = self.kept(tip)?;
        let objects = git_dir.join("objects");
        let open =
            || Objects::open(tip.kind(), std::slice::from_ref(&objects)).map_err(|error| unusable(&error));
        if open()?.reader().kind(tip).is_err() {
            // Whole or not at all: what is there once is not asked for again.
            let repository = Repository::at(&git_dir).map_err(|error| unusable(&error))?;
            // It comes from where the rest comes from, and the same way.
            let on_the_way = self.context.git_dir.as_ref().and_then(|git_dir| Repository::at(git_dir).ok());
            let quarantine = Quarantine::on_the_way_of(&repository, on_the_way.as_ref())
                .map_err(|error| unusable(&error))?;
            self.download(&[tip], &quarantine, Vec::new())?;
            if !quarantine.is_cut_off_as_before() {
                return Err(cut_off_over_there());
            }
            quarantine.migrate().map_err(|error| unusable(&error))?;
            write_ref(&git_dir, name, tip).map_err(|error| unusable(&error))?;
        }
        Ok(open()?.reader())
    }

    /// The repository for what the remote itself keeps.
    pub(super) fn kept(&self, tip: ObjectId) -> Result<PathBuf, Failure> {
        let made = self.context.store.policy_repository(self.key(), tip.kind());
        made.map_err(|error| unusable(&error))
    }
}

/// The answer to a fetch that was done (gitremote-helpers, `fetch`). Where git asks, the child has looked whether
/// everything hangs together.
fn fetched(keep: Option<&Path>, is_asked: bool) -> Vec<u8> {
    let mut answer = Vec::new();
    let keep = keep.and_then(|keep| gix::path::into_bstr(keep).ok());
    if let Some(keep) = keep.filter(|keep| !keep.contains(&b'\n')) {
        answer.extend([b"lock ", keep.as_bytes(), b"\n"].concat());
    }
    if is_asked {
        answer.extend(b"connectivity-ok\n");
    }
    answer.push(b'\n');
    answer
}

fn unusable(error: &dyn std::fmt::Display) -> Failure {
    let hint = "see to the state folder and its permissions";
    Failure::new(format!("what the remote keeps for itself cannot be kept here: {error}"), hint)
}

/// Have the branch `name` of a repository that is nobody else's be `tip`: git offers its value to the remote, so
/// that only what is new is sent.
fn write_ref(git_dir: &Path, name: &str, tip: ObjectId) -> io::Result<()> {
    let folder = git_dir.join("refs/heads");
    fs::create_dir_all(&folder)?;
    write_whole_through(git_dir, &folder.join(name), format!("{tip}\n").as_bytes(), Durability::System)
}

/// What to do where the remote cannot be had.
pub(super) fn unreachable(error: super::TransportError) -> Failure {
    Failure::new(error, "see what git says above, and whether the plain address works")
}
