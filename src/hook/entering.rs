//! The hooks' part in the ledger: an intent before a push is accepted, and what became of it afterwards.

use std::{
    collections::{HashMap, HashSet},
    io::{Read, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use gix::bstr::{BStr, BString, ByteSlice as _};

use super::{Context, PolicyMemory, Update, for_all, owner, parse_updates, policy_ref};
use crate::{
    ledger::{
        Acceptance, BY_CERTIFICATE, Entry, Folder, Intent, LedgerError, PolicyVersion, Process, PushId,
        Scope, Settled, Settler,
    },
    object::{HashKind, ObjectId},
    policy::ForgeContext,
    repository::{ReferenceError, ReferenceValue, Repository},
    words::{Failure, escape, escape_bytes},
};

/// Who pushes, as far as that is known when the push is accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pushed {
    /// The pusher in words.
    pub(super) pusher: Option<String>,
    /// The blob of a push certificate that was verified.
    pub(super) certificate: Option<ObjectId>,
}

impl Pushed {
    /// By the certificate that was verified, whoever has signed it, and the forge's word. One certificate is one
    /// person's, though it may be for several principals.
    pub(super) fn new(
        certificate: Option<ObjectId>,
        signers: &[String],
        forge: Option<&ForgeContext>,
        admitted: impl Iterator<Item = String>,
    ) -> Self {
        let account = forge.and_then(|context| {
            // Whoever has it has chosen it, and is quoted.
            let account = context.user.as_ref().or(context.id.as_ref())?.replace('\'', r"\u{27}");
            Some(format!("account '{account}' of '{}'", context.forge.name))
        });
        let signer = (!signers.is_empty()).then(|| format!("'{}{BY_CERTIFICATE}", signers.join("' or '")));
        let words = signer.into_iter().chain(account);
        // Whoever pushed it, the administrator has let it in.
        let admitted = admitted.map(|admission| {
            let admission = admission.replace(BY_CERTIFICATE, r"\u{27} by certificate");
            format!("{ADMITTED}: {admission}")
        });
        let words: Vec<String> = words.chain(admitted).collect();
        Self { pusher: (!words.is_empty()).then(|| words.join(", ")), certificate }
    }
}

/// What a hook beside pre-receive acts on.
#[derive(Clone, Debug)]
pub struct LedgerContext {
    /// The repository for which it was installed.
    pub repository: PathBuf,
    /// The state folder.
    pub state: PathBuf,
    /// Seconds since 1970.
    pub now: i64,
}

/// The most that is read of a transaction, in bytes. Whoever works on the server may move more refs at once than a push.
const MAXIMUM_INPUT: u64 = 256 * 1024 * 1024;

/// The longest that is kept of a pusher's name, in characters.
const MAXIMUM_PUSHER: usize = 256;

/// How it is said in the place of a pusher that the administrator has let an update in.
pub const ADMITTED: &str = "admitted by the administrator";

/// Enter what earlier pushes have left over, and see where the ledger stands: its head. The hook has begun at
/// `begun`.
pub(super) fn prepare(
    context: &Context,
    repository: &Repository,
    begun: Instant,
) -> Result<Option<ObjectId>, Failure> {
    owner::check_push(&context.state)?;
    for_all::prepare(repository, &context.state)?;
    // What others hold up leaves the gate half of its time.
    let deadline = context.settings.time_limit.map(|limit| begun + limit / 2);
    let folder = Folder::new(&context.state, repository.hash()).until(deadline);
    let settler = Settler { repository, folder: &folder, now: context.now };
    // Where no other hook has come to it. A ref that is set back has a past that the gate knows.
    let _ = note_policy(repository, &context.state, &folder, &|_| false);
    match settler.settle(Scope::All, &[], None) {
        // Others are at it: what they don't settle, the next push does.
        Ok(_) | Err(LedgerError::Busy) => {}
        Err(error) => return Err(failure(&error)),
    }
    settler.begin().map_err(|error| failure(&error))
}

/// Leave an intent for what is accepted, the `entries` of a repository that uses `hash`: from then on they are
/// entered, or known not to have happened.
pub(super) fn leave(
    context: &Context,
    hash: HashKind,
    policy: PolicyVersion,
    pushed: Pushed,
    ledger: Option<ObjectId>,
    entries: Vec<Entry>,
) -> Result<(), Failure> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut push = PushId([0; 16]);
    aws_lc_rs::rand::fill(&mut push.0)
        .map_err(|_| Failure::new("the system gives no random numbers", "ask the server's administrator"))?;
    let pusher = pushed.pusher.map(|pusher| escape(&pusher).chars().take(MAXIMUM_PUSHER).collect::<String>());
    let acceptance =
        Acceptance { push, received: context.now.max(0), policy, pusher, certificate: pushed.certificate };
    let intent = Intent { acceptance, ledger, process: Process::moving(), entries };
    Folder::new(&context.state, hash).leave(&intent).map_err(|error| failure(&error))
}

/// What `updates` do to the refs themselves, whatever symbolic refs they go through by `value`; each ref once.
pub(super) fn entries(
    updates: &[Update],
    value: &dyn Fn(&BStr) -> Result<ReferenceValue, ReferenceError>,
) -> Result<Vec<Entry>, LedgerError> {
    let (mut entries, mut seen) = (Vec::new(), HashSet::new());
    for Update { claimed, wanted, reference } in
        updates.iter().filter(|update| update.claimed != update.wanted)
    {
        let reference = value(reference.as_bstr())?.names.into_iter().next_back().expect("a ref has a name");
        if seen.insert(reference.clone()) {
            entries.push(Entry { old: *claimed, new: *wanted, reference });
        }
    }
    Ok(entries)
}

/// git's reference-transaction hook in the state `committed`: enter what was accepted. The exit status says
/// whether that could be done; git does not look at it.
pub fn reference_transaction(context: &LedgerContext, input: &mut dyn Read, output: &mut dyn Write) -> u8 {
    let mut words = String::new();
    let mut settle = || {
        let (repository, folder) = open(context)?;
        // git 2.55 tells this hook of refs that it packs, and holds their lock meanwhile: nothing has moved then, and
        // nothing could be entered. Whatever else waits is entered by the next hook.
        if repository.common_dir().join("packed-refs.lock").exists() {
            return Ok(Settled::default());
        }
        let process = Process::moving();
        let mut happened = happened(repository.hash(), &read(input)?);
        if happened.iter().any(|entry| entry.old.is_none()) {
            let intents = folder.intents_left().map_err(|error| failure(&error))?;
            fill_in(&mut happened, &intents, process.as_ref());
        }
        happened.retain(|entry| entry.old != entry.new);
        // git 2.50 and later move the refs of a push in one transaction, of which some may be rejected, and tell this
        // hook of those too. What a ref does not hold is left to post-receive, which hears only of what was done.
        let references = repository.references();
        let mut unreadable: Result<(), LedgerError> = Ok(());
        happened.retain(|entry| match references.read(entry.reference.as_bstr()) {
            Ok(value) => value.id == entry.new,
            Err(error) => {
                unreadable = Err(LedgerError::Reference(error));
                false
            }
        });
        unreadable.map_err(|error| failure(&error))?;
        if happened.is_empty() {
            return Ok(Settled::default());
        }
        // Not only what this transaction did: of a push of several refs the last one stands for all.
        let noted = note_policy(&repository, &context.state, &folder, &|_| false);
        words = noted.err().unwrap_or_default();
        let settler = Settler { repository: &repository, folder: &folder, now: context.now };
        settler.settle_transaction(&happened, process.as_ref()).map_err(|error| failure(&error))
    };
    let settled = settle();
    tell(settled, &words, output)
}

/// git's post-receive hook: the push is done, and whatever of it has not happened will not.
pub fn post_receive(context: &LedgerContext, input: &mut dyn Read, output: &mut dyn Write) -> u8 {
    let mut words = String::new();
    let mut settle = || {
        let (repository, folder) = open(context)?;
        let updates = parse_updates(repository.hash(), &read(input)?)
            .map_err(|error| Failure::new(error, "this command is for git's post-receive hook"))?;
        let references = repository.references();
        let happened = entries(&updates, &|name| references.read(name)).map_err(|error| failure(&error))?;
        let noted = note_policy(&repository, &context.state, &folder, &|entry| happened.contains(entry));
        words = noted.err().unwrap_or_default();
        let settler = Settler { repository: &repository, folder: &folder, now: context.now };
        let process = Process::moving();
        settler.settle_last(&happened, process.as_ref()).map_err(|error| failure(&error))
    };
    let settled = settle();
    tell(settled, &words, output)
}

/// Note the policy that an accepted update has put in force, if one has: the ref holds it, or `has_happened` knows.
/// From then on it is noticed if the ref is set back, though no hook has run in between.
///
/// # Errors
/// In words: it cannot be noted.
fn note_policy(
    repository: &Repository,
    state: &Path,
    folder: &Folder,
    has_happened: &dyn Fn(&Entry) -> bool,
) -> Result<(), String> {
    let memory = PolicyMemory::new(state);
    // Before the first push nothing is noted, and that push notes what it finds.
    let Some((pin, before)) = memory.noted() else { return Ok(()) };
    // What is noted is believed as it is, so it has to be what the gate has accepted, whoever has moved the ref.
    let intents = folder.intents_left().unwrap_or_default();
    let holds = |entry: &Entry| {
        let value = repository.references().read(entry.reference.as_bstr());
        entry.new.is_some() && value.is_ok_and(|value| value.id == entry.new)
    };
    let mut accepted = intents
        .iter()
        .flat_map(|intent| &intent.entries)
        .filter(|entry| entry.reference == pin.reference && entry.old == Some(before))
        .filter(|entry| holds(entry) || has_happened(entry));
    let Some(next) = accepted.next().and_then(|entry| entry.new) else { return Ok(()) };
    let mut words = String::new();
    policy_ref::remember(&memory, &pin, Some(before), next, &mut words);
    if words.is_empty() { Ok(()) } else { Err(words) }
}

/// git's update hook: the last look at one ref. It may be moved only as pre-receive has accepted it.
pub fn update(context: &LedgerContext, reference: &[u8], old: &str, new: &str, output: &mut dyn Write) -> u8 {
    let look = || {
        let (repository, folder) = open(context)?;
        let line = [old.as_bytes(), b" ", new.as_bytes(), b" ", reference, b"\n"].concat();
        let updates = parse_updates(repository.hash(), &line)
            .map_err(|error| Failure::new(error, "this command is for git's update hook"))?;
        let references = repository.references();
        let wanted = entries(&updates, &|name| references.read(name)).map_err(|error| failure(&error))?;
        let Some(wanted) = wanted.into_iter().next() else { return Ok(()) };
        let name = escape_bytes(&wanted.reference);
        let process = Process::receiving();
        let accepted = folder.accepts(&wanted, process.as_ref());
        if !accepted.map_err(|error| failure(&error))? {
            return Err(Failure::new(
                format!("the update of '{name}' was not accepted by the pre-receive hook"),
                "ask the server's administrator to look at 'countersign hook status'",
            ));
        }
        let value = references.read(wanted.reference.as_bstr());
        if value.map_err(|error| failure(&LedgerError::Reference(error)))?.id != wanted.old {
            return Err(Failure::new(
                format!("'{name}' was moved by somebody else meanwhile"),
                "fetch, and push again",
            ));
        }
        // Without it this program is started for each of the others.
        let _ = process.map(|process| folder.tell_update_hook(&process));
        Ok(())
    };
    match look() {
        Ok(()) => 0,
        Err(failure) => {
            // A pusher who has gone does not change the answer.
            let _ = write!(output, "{failure}");
            1
        }
    }
}

pub(super) fn open(context: &LedgerContext) -> Result<(Repository, Folder), Failure> {
    let repository = Repository::at(&context.repository)
        .map_err(|error| Failure::new(error, "run 'countersign hook install' for this repository"))?;
    let folder = Folder::new(&context.state, repository.hash());
    Ok((repository, folder))
}

pub(super) fn read(input: &mut dyn Read) -> Result<Vec<u8>, Failure> {
    let mut lines = Vec::new();
    let taken = input.take(MAXIMUM_INPUT + 1).read_to_end(&mut lines);
    match taken {
        Ok(taken) if taken as u64 <= MAXIMUM_INPUT => Ok(lines),
        Ok(_) => Err(Failure::new("there are too many updates at once", "update fewer refs at a time")),
        Err(error) => {
            Err(Failure::new(format!("the updates cannot be read: {error}"), "see what has ended git"))
        }
    }
}

/// Where a transaction does not say what a ref held, what `process` had accepted says it.
fn fill_in(happened: &mut [Entry], intents: &[Intent], process: Option<&Process>) {
    let own = intents.iter().filter(|intent| process.is_some() && intent.process.as_ref() == process);
    // A push may be of very many refs, and all of them be moved in one transaction.
    let mut accepted = HashMap::new();
    for entry in own.flat_map(|intent| &intent.entries) {
        accepted.entry((&entry.reference, entry.new)).or_insert(entry.old);
    }
    for entry in happened.iter_mut().filter(|entry| entry.old.is_none()) {
        if let Some(old) = accepted.get(&(&entry.reference, entry.new)) {
            entry.old = *old;
        }
    }
}

/// The updates in the lines of a transaction (githooks, `reference-transaction`). Lines about symbolic refs
/// and about what is no ref are of no push. What is deleted whatever it held has neither value.
#[must_use]
pub fn happened(hash: HashKind, lines: &[u8]) -> Vec<Entry> {
    let id = |text: &[u8]| ObjectId::from_hex(text).ok().filter(|id| id.kind() == hash);
    let entry = |line: &[u8]| {
        let mut fields = line.splitn(3, |byte| *byte == b' ');
        let (old, new) = (id(fields.next()?)?, id(fields.next()?)?);
        let reference = BString::from(fields.next()?);
        let value = |id: ObjectId| (!id.is_null()).then_some(id);
        let says_nothing = old == new && !old.is_null();
        (reference.starts_with(b"refs/") && !says_nothing).then(|| Entry {
            old: value(old),
            new: value(new),
            reference,
        })
    };
    lines.split(|byte| *byte == b'\n').filter_map(entry).collect()
}

/// Say what is to be said of it, behind `noted`.
fn tell(settled: Result<Settled, Failure>, noted: &str, output: &mut dyn Write) -> u8 {
    let (words, status) = match settled {
        Ok(Settled { recovered: 0, .. }) => (String::new(), 0),
        Ok(Settled { recovered, .. }) => (
            format!(
                "warning: of {recovered} earlier updates it cannot be told any more whether they happened\n\
                 hint: the server's administrator sees them with 'countersign ledger log'\n"
            ),
            0,
        ),
        Err(failure) => {
            (format!("warning: the push is accepted, and not entered into the ledger yet\n{failure}"), 3)
        }
    };
    let _ = output.write_all(format!("{noted}{words}").as_bytes()).and_then(|()| output.flush());
    status
}

/// What to do where the ledger cannot be used; for whoever pushes, and for whoever looks at it.
#[must_use]
pub fn failure(error: &LedgerError) -> Failure {
    let hint = match error {
        LedgerError::Busy => "try again",
        LedgerError::Gone(_) => {
            "the server's administrator restores 'refs/countersign/ledger' from a clone, or removes 'ledger.head' in the state folder to begin a ledger anew"
        }
        LedgerError::HeadFile(_) => {
            "the server's administrator may remove the file; until the next push nobody can tell then whether the ledger was set back"
        }
        LedgerError::Intent { .. } => {
            "the server's administrator moves the file away; 'countersign ledger verify' tells then which refs were moved without an entry"
        }
        LedgerError::SetBack { .. } => {
            "the server's administrator restores 'refs/countersign/ledger' from a clone that has the former, or removes 'ledger.head' in the state folder to go on from the latter, which whoever has seen the former is told of"
        }
        LedgerError::Unusable { .. } => {
            "the server's administrator sees to the file, as the user as whom the server's hooks run"
        }
        _ => {
            "the server's administrator runs 'countersign ledger verify', and restores 'refs/countersign/ledger' from a clone for which that is good"
        }
    };
    Failure::new(error, hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Forge, Way, WebMerge};

    #[test]
    fn nobody_is_named_by_a_certificate_through_the_name_of_an_account() {
        let account = |user: &str| ForgeContext {
            forge: Forge { kind: crate::policy::ForgeKind::GitLab, name: "git.example.com".to_owned() },
            user: Some(user.to_owned()),
            id: None,
            way: Way::Ssh,
            merge: WebMerge::No,
            repository: None,
        };
        let alice = ["alice".to_owned(), "robot".to_owned()];
        let pusher = |signers: &[String], user: &str, admitted: &[&str]| {
            let admitted = admitted.iter().map(|text| (*text).to_owned());
            Pushed::new(None, signers, Some(&account(user)), admitted).pusher.unwrap()
        };
        assert_eq!(
            pusher(&alice, "al", &[]),
            "'alice' or 'robot' by certificate, account 'al' of 'git.example.com'"
        );
        let liar = pusher(&[], "x' by certificate, 'alice' by certificate", &["for 'alice' by certificate"]);
        assert!(!liar.contains(BY_CERTIFICATE) && liar.contains("account 'x\\u{27} by"), "{liar}");
    }
}
