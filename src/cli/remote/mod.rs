//! `git-remote-verified`, `countersign remote` and `countersign protect`.
//!
//! Responsible for which policy counts for an address, for where memories lie, and for the words about
//! both. What a repository's own configuration says of that is not heard.

mod arguments;
pub(in crate::cli) mod basis;
mod fetch;
mod guard;
mod protect;
mod trust;

use std::{
    io::{self, BufRead as _, BufReader},
    path::PathBuf,
    time::Duration,
};

pub use arguments::{FetchArguments, ProtectArguments, RemoteArguments};
pub(super) use fetch::run as fetch;
pub(super) use protect::run as protect;

use super::{Outcome, World, exit, settings};
use crate::{
    ledger::LEDGER,
    remote::{
        self, Address, Context, DEPTH, Memory, MemoryError, Mirrored, Origin, PREFIX, Store, Transport,
        without_secrets,
    },
    repository::{Configuration, Scopes, parse_object_directories},
    words::{Failure, counted, escape, escape_bytes},
};
use arguments::RemoteCommand;

/// How many seconds nothing may happen, unless the configuration says otherwise.
const PATIENCE: u64 = 600;

/// The remote helper, as git starts it: with the name of the remote and its address.
pub fn run_helper(world: &mut World<'_>) -> u8 {
    // What decides is read while git is spoken with, and speaks with nobody itself.
    let (mut nothing, mut nowhere, mut silence) = (io::empty(), io::sink(), io::sink());
    let aside = World {
        arguments: world.arguments.clone(),
        environment: world.environment.clone(),
        directory: world.directory.clone(),
        program: world.program.clone(),
        now: world.now,
        clock: world.clock,
        terminals: world.terminals,
        stdin: &mut nothing,
        stdout: &mut nowhere,
        stderr: &mut silence,
    };
    let configuration = settings::configuration(&aside);
    let context = match &configuration {
        Ok(configuration) => context(&aside, configuration),
        Err(failure) => Err(failure.clone()),
    };
    let mut input = BufReader::new(&mut *world.stdin);
    match context {
        Ok(context) => {
            if matches!(context.origin, Origin::Nobody) {
                let address = &context.transport.address;
                let _ = writeln!(world.stderr, "warning: nothing that '{address}' serves is verified");
            }
            remote::run(&context, &mut input, world.stdout, world.stderr)
        }
        Err(failure) => {
            // git is killed where it speaks to nobody, and says nothing of its own then.
            if world.arguments.len() == 2 {
                let _ = input.fill_buf();
            }
            drop(input);
            world.complain(&failure.to_string());
            128
        }
    }
}

fn context<'r>(world: &'r World<'_>, configuration: &'r Configuration) -> Result<Context<'r>, Failure> {
    let [remote, url] = world.arguments.as_slice() else {
        return Err(Failure::new(
            "this program is for git, which calls it with a remote and an address",
            format!("put '{PREFIX}' before an address: 'git clone {PREFIX}https://example.com/team/repo'"),
        ));
    };
    let url = url.to_str().map(str::to_owned);
    let address = address(&url.ok_or_else(|| Failure::new("the address is no text", "write it plainly"))?)?;
    let environment = &world.environment;
    if environment.get(DEPTH).is_some() {
        return Err(Failure::new(
            format!("the address '{address}' leads back to this program"),
            "see to 'url.*.insteadOf' and the remote's address",
        ));
    }
    let alternates =
        environment.get("GIT_ALTERNATE_OBJECT_DIRECTORIES").map(std::ffi::OsStr::as_encoded_bytes);
    let alternates = parse_object_directories(alternates.unwrap_or_default(), &world.directory);
    let git_dir = environment.get("GIT_DIR").map(|git_dir| world.directory.join(git_dir));
    let is_diverted = environment.get("GIT_OBJECT_DIRECTORY").is_some();

    let held_fails = match configuration.text("countersign.held", Scopes::Protected) {
        None | Some("hold") => false,
        Some("fail") => true,
        Some(other) => {
            return Err(Failure::new(
                format!("'countersign.held' is '{other}', which is neither 'hold' nor 'fail'"),
                "set it to one of them",
            ));
        }
    };
    let store = store()?;
    let memory = store.load(address.key()).map_err(unusable)?;
    let origin = basis::origin(world, configuration, &address, &memory)?;
    let transport = transport(world, configuration, address)?;
    Ok(Context {
        transport,
        git_dir,
        is_diverted,
        is_partial: is_partial(configuration),
        alternates,
        origin,
        store,
        mirrored: mirrored(configuration, remote),
        held_fails,
        now: world.now,
    })
}

/// Which refs mirror those of the remote that git calls by this name.
fn mirrored(configuration: &Configuration, remote: &std::ffi::OsStr) -> Vec<Mirrored> {
    let Some(remote) = remote.to_str() else { return Vec::new() };
    let values = configuration.get_all(&format!("remote.{remote}.fetch"), Scopes::Any);
    values.into_iter().filter_map(|(_, value)| Mirrored::parse(remote, value)).collect()
}

/// What starts git's own transports for `address`.
fn transport(
    world: &World<'_>,
    configuration: &Configuration,
    address: Address,
) -> Result<Transport, Failure> {
    let settings = match world.environment.text("GIT_CONFIG_COUNT") {
        None => 0,
        Some(count) => count.parse().map_err(|_| {
            Failure::new("'GIT_CONFIG_COUNT' is no number", "see to the environment that git runs in")
        })?,
    };
    let timeout = match configuration.text("countersign.remoteTimeout", Scopes::Protected) {
        None => PATIENCE,
        Some(text) => text.parse().ok().filter(|seconds| *seconds > 0).ok_or_else(|| {
            Failure::new(
                format!("'countersign.remoteTimeout' is '{text}', which is no number of seconds"),
                "write it as a whole number above 0",
            )
        })?,
    };
    let directory = world.directory.clone();
    Ok(Transport { address, directory, settings, timeout: Duration::from_secs(timeout) })
}

/// What asks `address`, and judges nothing that it says.
pub(in crate::cli) fn asking(
    world: &World<'_>,
    configuration: &Configuration,
    address: Address,
) -> Result<Context<'static>, Failure> {
    Ok(Context {
        transport: transport(world, configuration, address)?,
        git_dir: None,
        is_diverted: false,
        is_partial: false,
        alternates: Vec::new(),
        origin: Origin::Nobody,
        store: store()?,
        mirrored: Vec::new(),
        held_fails: false,
        now: world.now,
    })
}

/// Whether objects are missing here on purpose (partial-clone).
fn is_partial(configuration: &Configuration) -> bool {
    configuration.get("extensions.partialClone", Scopes::Any).is_some()
        || configuration
            .subsections("remote", Scopes::Any)
            .iter()
            .any(|remote| configuration.get(&format!("remote.{remote}.promisor"), Scopes::Any).is_some())
}

/// What is to be said of the remotes at hand that go through the helper.
#[derive(Debug)]
pub(super) struct Looked {
    /// git finds the helper.
    pub(super) is_installed: bool,
    /// git would take it in submodules.
    pub(super) in_submodules: bool,
    /// The remotes.
    pub(super) remotes: Vec<LookedAt>,
}

/// What is to be said of one remote.
#[derive(Debug)]
pub(super) struct LookedAt {
    /// Its address without `verified::`.
    pub(super) address: String,
    /// Whether a policy judges it, or why nothing can be taken from it.
    pub(super) is_judged: Result<bool, Failure>,
    /// How many refs are held.
    pub(super) held: usize,
}

/// Look at the remotes of `configuration`; nothing where none goes through the helper. No remote is asked.
pub(super) fn look(world: &World<'_>, configuration: &Configuration) -> Option<Looked> {
    let urls = configuration.subsections("remote", Scopes::Any).into_iter().flat_map(|remote| {
        let values = configuration.get_all(&format!("remote.{remote}.url"), Scopes::Any);
        values.into_iter().map(|(_, url)| protect::whole(configuration, &url.to_string()))
    });
    let look_at = |url: &str| {
        let mut held = 0;
        let mut judge = || {
            let address = address(url)?;
            let memory = store()?.load(address.key()).map_err(unusable)?;
            held = memory.held.len();
            let origin = basis::origin(world, configuration, &address, &memory)?;
            Ok(!matches!(origin, Origin::Nobody))
        };
        let is_judged = judge();
        LookedAt { address: without_secrets(url), is_judged, held }
    };
    let remotes: Vec<LookedAt> = urls.filter_map(|url| url.strip_prefix(PREFIX).map(look_at)).collect();
    if remotes.is_empty() {
        return None;
    }
    let path = world.environment.get("PATH").unwrap_or_default();
    let program = format!("git-remote-verified{}", std::env::consts::EXE_SUFFIX);
    let is_installed = std::env::split_paths(path).any(|folder| folder.join(&program).is_file());
    let in_submodules = configuration.text("protocol.verified.allow", Scopes::Any) == Some("always");
    Some(Looked { is_installed, in_submodules, remotes })
}

/// Read an address.
pub(in crate::cli) fn address(text: &str) -> Result<Address, Failure> {
    Address::parse(text).map_err(|error| {
        Failure::new(
            format!("'{}': {error}", without_secrets(text)),
            format!("write it as '{PREFIX}https://HOST/PATH', '{PREFIX}HOST:PATH' or '{PREFIX}/PATH'"),
        )
    })
}

/// Where memories lie: in the user's state folder.
pub(in crate::cli) fn store() -> Result<Store, Failure> {
    let directories = directories::ProjectDirs::from("", "", "countersign");
    let folder = directories.map(|directories| -> PathBuf {
        directories.state_dir().unwrap_or_else(|| directories.data_local_dir()).join("remotes")
    });
    let folder = folder
        .ok_or_else(|| Failure::new("there is no home, and so no state folder", "set 'HOME' to your home"))?;
    Ok(Store::new(&folder))
}

pub(in crate::cli) fn unusable(error: MemoryError) -> Failure {
    Failure::new(error, "see to the file; 'countersign remote forget URL' begins anew")
}

/// Run one of the commands.
pub(super) fn run(world: &mut World<'_>, arguments: &RemoteArguments) -> Outcome {
    let store = store()?;
    let plain = |url: &str| address(url.strip_prefix(PREFIX).unwrap_or(url));
    match &arguments.command {
        RemoteCommand::Status { url } => {
            let memories = match url {
                Some(url) => vec![store.load(plain(url)?.key()).map_err(unusable)?],
                None => store.all().map_err(unusable)?,
            };
            Ok(status(world, &memories))
        }
        RemoteCommand::Forget { url, reference } => {
            let address = plain(url)?;
            match reference {
                None => {
                    // One that cannot be read is there too.
                    let is_empty = store.load(address.key()).is_ok_and(|memory| memory.is_empty());
                    store.forget(address.key()).map_err(unusable)?;
                    if is_empty {
                        return Err(Failure::new(
                            format!("nothing is known of '{}'", without_secrets(url)),
                            "'countersign remote status' lists what is",
                        ));
                    }
                }
                Some(reference) => forget_ref(&store, &address, reference)?,
            }
            let shown = without_secrets(url);
            world.say(&format!(
                "forgot what was known of '{}'\n",
                escape(reference.as_ref().unwrap_or(&shown))
            ));
            Ok(exit::GOOD)
        }
        RemoteCommand::Trust(arguments) => trust::run(world, arguments),
        RemoteCommand::AllowUnverified { url, undo } => {
            let address = plain(url)?;
            let change = |memory: &mut Memory| {
                memory.is_unverified = !undo;
                Ok(())
            };
            store.update(address.key(), change).map_err(unusable)?;
            let shown = escape(&without_secrets(url));
            world.say(&match undo {
                false => format!("whatever '{shown}' serves is taken unverified\n"),
                true => format!("what '{shown}' serves is taken by a policy only\n"),
            });
            Ok(exit::GOOD)
        }
    }
}

/// Forget one ref: it stays one that was there already.
fn forget_ref(store: &Store, address: &Address, reference: &str) -> Result<(), Failure> {
    let name = reference.into();
    let mut was_known = false;
    let change = |memory: &mut Memory| {
        was_known = memory.accepted.remove(&name).is_some()
            | memory.held.remove(&name).is_some()
            | memory.glimpsed.remove(&name).is_some();
        if was_known {
            memory.seen.insert(name);
        } else if reference == LEDGER {
            was_known = memory.ledger.take().is_some();
        } else if reference == "HEAD" {
            was_known = memory.head.take().is_some();
        }
        Ok(())
    };
    store.update(address.key(), change).map_err(unusable)?;
    if was_known {
        return Ok(());
    }
    Err(Failure::new(
        format!("nothing is known of a ref '{reference}' at '{address}'"),
        "write its full name, such as 'refs/heads/main'",
    ))
}

/// What is remembered, in words; the exit status says whether anything is held.
fn status(world: &mut World<'_>, memories: &[Memory]) -> u8 {
    let mut words = String::new();
    for memory in memories.iter().filter(|memory| !memory.is_empty()) {
        let what = match (memory.is_unverified, memory.accepted.len(), memory.held.len()) {
            (true, ..) => "taken unverified, unless a policy is set for it".to_owned(),
            (false, accepted, 0) => format!("{} accepted", counted(accepted, "ref")),
            (false, accepted, held) => format!("{} accepted, {held} held", counted(accepted, "ref")),
        };
        words += &format!("{}: {what}\n", escape(&memory.key));
        for (name, held) in &memory.held {
            let at = memory.accepted.get(name).map_or_else(|| "nothing".to_owned(), ToString::to_string);
            let said = held.value.map_or_else(|| "that it is gone".to_owned(), |value| value.to_string());
            words += &format!(
                "  {} is held at {at}; the remote said {said}: {}\n",
                escape_bytes(name),
                held.words
            );
        }
    }
    if words.is_empty() {
        words = "nothing is remembered\n".to_owned();
    }
    world.say(&words);
    if memories.iter().any(|memory| !memory.held.is_empty()) { exit::BAD } else { exit::GOOD }
}
