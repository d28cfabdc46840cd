//! `countersign hook …`: what is typed, and what it comes to.

use std::{
    ffi::{OsStr, OsString},
    io::{Read, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};

use super::{
    Context, HookName, InstallOptions, LedgerContext, PushEnvironment, Uninstalled, install, post_receive,
    pre_receive, reference_transaction, status, uninstall, update,
};
use crate::words::{Failure, escape};

/// What the commands of this room take from the world, as values.
pub struct Surroundings<'a> {
    /// The environment; only `hook pre-receive` looks at it, and only at what describes the push.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// The current directory.
    pub directory: PathBuf,
    /// This program's own path.
    pub program: PathBuf,
    /// Seconds since 1970.
    pub now: i64,
    /// Standard input.
    pub stdin: &'a mut dyn Read,
    /// Standard output.
    pub stdout: &'a mut dyn Write,
    /// Standard error.
    pub stderr: &'a mut dyn Write,
}

/// Refuse pushes that nobody vouches for
#[derive(Args, Debug)]
pub struct HookArguments {
    #[command(subcommand)]
    command: HookCommand,
}

#[derive(Debug, Subcommand)]
enum HookCommand {
    /// Judge a push; git's pre-receive hook runs this through the installed shim
    PreReceive {
        /// The repository for which the hook was installed
        #[arg(long, value_name = "DIR")]
        repository: PathBuf,
        /// The policy file
        #[arg(long, value_name = "FILE")]
        policy: PathBuf,
        /// The folder for what was accepted
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        /// Leave what is accepted for the ledger
        #[arg(long)]
        ledger: bool,
        /// The trusted root of an instance that the policy names
        #[arg(long = "trusted-root", value_name = "NAME=FILE", value_parser = named_path())]
        trusted_roots: Vec<(String, PathBuf)>,
        /// A file of OpenPGP certificates, by its name in the policy
        #[arg(long, value_name = "NAME=FILE", value_parser = named_path())]
        openpgp_certificates: Vec<(String, PathBuf)>,
        /// The file of a certificate authority, by its name in the policy
        #[arg(long = "certificate-authority", value_name = "NAME=FILE", value_parser = named_path())]
        certificate_authorities: Vec<(String, PathBuf)>,
    },
    /// Let a ref be moved only as it was accepted; git's update hook runs this
    Update {
        #[command(flatten)]
        place: LedgerPlace,
        /// The full name of the ref
        #[arg(value_name = "REF")]
        reference: OsString,
        /// Its value before
        old: String,
        /// Its value after
        new: String,
    },
    /// Enter into the ledger what was accepted and has happened; git's post-receive hook runs this
    PostReceive(LedgerPlace),
    /// The same as soon as refs have moved; git's reference-transaction hook runs this
    ReferenceTransaction(LedgerPlace),
    /// Install the server's hooks, keeping and chaining those that are there
    Install {
        /// The repository
        #[arg(long, value_name = "DIR", default_value = ".")]
        repository: PathBuf,
        /// The policy file, kept where pushers cannot write
        #[arg(long, value_name = "FILE")]
        policy: PathBuf,
        /// The folder for what was accepted [default: 'countersign' in the repository]
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
        /// The program that the hook runs [default: this one]
        #[arg(long, value_name = "FILE")]
        program: Option<PathBuf>,
        /// Which hooks; pre-receive is always one of them
        #[arg(
            long,
            value_enum,
            value_delimiter = ',',
            value_name = "NAME,...",
            default_value = "pre-receive,post-receive,reference-transaction"
        )]
        hooks: Vec<HookName>,
        /// Keep no ledger of what is accepted
        #[arg(long, conflicts_with = "hooks")]
        no_ledger: bool,
        /// The trusted root of an instance, instead of the one that the policy names
        #[arg(long = "trusted-root", value_name = "NAME=FILE", value_parser = named_path())]
        trusted_roots: Vec<(String, PathBuf)>,
        /// A file of OpenPGP certificates, instead of the one that the policy names so
        #[arg(long, value_name = "NAME=FILE", value_parser = named_path())]
        openpgp_certificates: Vec<(String, PathBuf)>,
        /// The file of a certificate authority, instead of the one that the policy names
        #[arg(long = "certificate-authority", value_name = "NAME=FILE", value_parser = named_path())]
        certificate_authorities: Vec<(String, PathBuf)>,
    },
    /// Remove the hook, and restore the one that was there before
    Uninstall {
        /// The repository
        #[arg(long, value_name = "DIR", default_value = ".")]
        repository: PathBuf,
    },
    /// Say what is installed, what it goes by, and who else could change that
    Status {
        /// The repository
        #[arg(long, value_name = "DIR", default_value = ".")]
        repository: PathBuf,
    },
}

/// Where a hook finds the ledger
#[derive(Args, Debug)]
struct LedgerPlace {
    /// The repository for which the hook was installed
    #[arg(long, value_name = "DIR")]
    repository: PathBuf,
    /// The folder for what was accepted
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
}

impl LedgerPlace {
    fn context(self, directory: &Path, now: i64) -> LedgerContext {
        LedgerContext { repository: directory.join(self.repository), state: directory.join(self.state), now }
    }
}

/// Run `countersign hook …`; the exit status.
pub fn run_hook(arguments: HookArguments, surroundings: &mut Surroundings<'_>) -> u8 {
    let Surroundings { directory, .. } = &*surroundings;
    let at = |path: PathBuf| directory.join(path);
    let roots = |roots: Vec<(String, PathBuf)>| {
        roots.into_iter().map(|(name, path)| (name, directory.join(path))).collect::<Vec<_>>()
    };
    let answer = match arguments.command {
        HookCommand::PreReceive {
            repository,
            policy,
            state,
            ledger,
            trusted_roots,
            openpgp_certificates,
            certificate_authorities,
        } => {
            let context = Context {
                policy: at(policy),
                trusted_roots: roots(trusted_roots),
                openpgp_certificates: roots(openpgp_certificates),
                certificate_authorities: roots(certificate_authorities),
                state: at(state),
                ledger,
                repository: at(repository),
                environment: PushEnvironment::from_variables(surroundings.variable, directory),
                now: surroundings.now,
            };
            return pre_receive(&context, surroundings.stdin, surroundings.stderr).status();
        }
        HookCommand::Update { place, reference, old, new } => {
            let context = place.context(directory, surroundings.now);
            return update(&context, reference.as_bytes(), &old, &new, surroundings.stderr);
        }
        HookCommand::PostReceive(place) => {
            let context = place.context(directory, surroundings.now);
            return post_receive(&context, surroundings.stdin, surroundings.stderr);
        }
        HookCommand::ReferenceTransaction(place) => {
            let context = place.context(directory, surroundings.now);
            return reference_transaction(&context, surroundings.stdin, surroundings.stderr);
        }
        HookCommand::Install {
            repository,
            policy,
            state,
            program,
            hooks,
            no_ledger,
            trusted_roots,
            openpgp_certificates,
            certificate_authorities,
        } => {
            let options = InstallOptions {
                repository: at(repository),
                policy: at(policy),
                state: state.map(at),
                program: program.map_or_else(|| surroundings.program.clone(), at),
                hooks: if no_ledger { Vec::new() } else { hooks },
                ledger: !no_ledger,
                now: surroundings.now,
                trusted_roots: roots(trusted_roots),
                openpgp_certificates: roots(openpgp_certificates),
                certificate_authorities: roots(certificate_authorities),
            };
            install(&options).map_err(Failure::from).map(|installed| {
                let shown = |path: &Path| escape(&path.display().to_string());
                let mut words = format!("installed '{}'\n", shown(&installed.hook));
                if let Some(before) = &installed.shim.before {
                    words += &format!("the hook that was there runs first, as '{}'\n", shown(before));
                }
                for (_, path) in &installed.companions {
                    words += &format!("installed '{}'\n", shown(path));
                }
                (words, 0)
            })
        }
        HookCommand::Uninstall { repository } => {
            uninstall(&at(repository)).map_err(Failure::from).map(|uninstalled| {
                let words = match uninstalled {
                    Uninstalled::Nothing => "no hook of countersign is installed\n",
                    Uninstalled::Removed => "removed the hooks\n",
                    Uninstalled::Restored => "removed the hooks, and restored those that were there before\n",
                };
                (words.to_owned(), 0)
            })
        }
        HookCommand::Status { repository } => {
            status(&at(repository)).map_err(Failure::from).map(|status| describe(&status))
        }
    };
    finish(answer, surroundings)
}

/// Words for standard output and an exit status, or a failure for standard error.
type Answer = Result<(String, u8), Failure>;

fn finish(answer: Answer, surroundings: &mut Surroundings<'_>) -> u8 {
    // A reader that has gone does not change what was done.
    match answer {
        Ok((words, status)) => {
            let _ =
                surroundings.stdout.write_all(words.as_bytes()).and_then(|()| surroundings.stdout.flush());
            status
        }
        Err(failure) => {
            let _ = write!(surroundings.stderr, "{failure}");
            3
        }
    }
}

fn describe(status: &super::Status) -> (String, u8) {
    let mut words = String::new();
    if let Some(shim) = &status.shim {
        let mut line = |name: &str, path: &Path| {
            words += &format!("{name}: {}\n", escape(&path.display().to_string()));
        };
        line("hook", &status.hook);
        line("program", &shim.program);
        line("policy", &shim.policy);
        line("state", &shim.state);
        for (name, path) in &shim.trusted_roots {
            line(&format!("trusted root of '{name}'"), path);
        }
        for (name, path) in &shim.openpgp_certificates {
            line(&format!("OpenPGP certificates '{name}'"), path);
        }
        for (name, path) in &shim.certificate_authorities {
            line(&format!("certificate authority '{name}'"), path);
        }
        if let Some(before) = &shim.before {
            line("runs first", before);
        }
    }
    for finding in &status.findings {
        words += &format!("warning: {}\n", escape(&finding.to_string()));
    }
    (words, u8::from(!status.findings.is_empty()))
}

/// Reads `NAME=FILE`.
fn named_path() -> impl clap::builder::TypedValueParser<Value = (String, PathBuf)> {
    use clap::builder::{OsStringValueParser, TypedValueParser as _};
    OsStringValueParser::new().try_map(|text| {
        let bytes = text.as_bytes();
        let at = bytes.iter().position(|byte| *byte == b'=').filter(|at| *at > 0 && at + 1 < bytes.len());
        let at = at.ok_or("it has to be NAME=FILE")?;
        let name = std::str::from_utf8(&bytes[..at]).map_err(|_| "its name is not text")?;
        Ok::<_, &'static str>((name.to_owned(), PathBuf::from(OsStr::from_bytes(&bytes[at + 1..]))))
    })
}
