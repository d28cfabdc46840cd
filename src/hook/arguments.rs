//! `countersign hook …`: what is typed, and what it comes to.

use std::{
    ffi::{OsStr, OsString},
    io::{Read, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};

use super::{
    Context, InstallOptions, PushEnvironment, Uninstalled, forge_context, install, pre_receive, status,
    uninstall,
};
use crate::{
    policy::{Forge, ForgeKind},
    words::{Failure, escape},
};

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
        /// The trusted root of an instance that the policy names
        #[arg(long = "trusted-root", value_name = "NAME=FILE", value_parser = named_path())]
        trusted_roots: Vec<(String, PathBuf)>,
        /// A file of OpenPGP certificates, by its name in the policy
        #[arg(long, value_name = "NAME=FILE", value_parser = named_path())]
        openpgp_certificates: Vec<(String, PathBuf)>,
        /// The file of a certificate authority, by its name in the policy
        #[arg(long = "certificate-authority", value_name = "NAME=FILE", value_parser = named_path())]
        certificate_authorities: Vec<(String, PathBuf)>,
        /// An address of the repository on this server
        #[arg(long = "address", value_name = "URL")]
        addresses: Vec<String>,
        /// The forge whose word about who pushes counts
        #[arg(long, value_name = "KIND[=NAME]", value_parser = parse_forge)]
        forge: Option<Forge>,
    },
    /// Install the pre-receive hook, keeping and chaining one that is there
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
        /// The trusted root of an instance, instead of the one that the policy names
        #[arg(long = "trusted-root", value_name = "NAME=FILE", value_parser = named_path())]
        trusted_roots: Vec<(String, PathBuf)>,
        /// A file of OpenPGP certificates, instead of the one that the policy names so
        #[arg(long, value_name = "NAME=FILE", value_parser = named_path())]
        openpgp_certificates: Vec<(String, PathBuf)>,
        /// The file of a certificate authority, instead of the one that the policy names
        #[arg(long = "certificate-authority", value_name = "NAME=FILE", value_parser = named_path())]
        certificate_authorities: Vec<(String, PathBuf)>,
        /// An address under which pushers know the repository, for push certificates; once for each
        #[arg(long = "address", value_name = "URL")]
        addresses: Vec<String>,
        /// The forge that calls the hook, whose word about who pushes counts, and its name in 'forge_users'
        #[arg(long, value_name = "KIND[=NAME]", value_parser = parse_forge)]
        forge: Option<Forge>,
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
            trusted_roots,
            openpgp_certificates,
            certificate_authorities,
            addresses,
            forge,
        } => {
            let variable = surroundings.variable;
            let context = Context {
                addresses,
                forge: forge.map(|forge| forge_context(&forge, variable)),
                policy: at(policy),
                trusted_roots: roots(trusted_roots),
                openpgp_certificates: roots(openpgp_certificates),
                certificate_authorities: roots(certificate_authorities),
                state: at(state),
                repository: at(repository),
                environment: PushEnvironment::from_variables(surroundings.variable, directory),
                now: surroundings.now,
            };
            return pre_receive(&context, surroundings.stdin, surroundings.stderr).status();
        }
        HookCommand::Install {
            repository,
            policy,
            state,
            program,
            trusted_roots,
            openpgp_certificates,
            certificate_authorities,
            addresses,
            forge,
        } => {
            let options = InstallOptions {
                addresses,
                forge,
                repository: at(repository),
                policy: at(policy),
                state: state.map(at),
                program: program.map_or_else(|| surroundings.program.clone(), at),
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
                (words, 0)
            })
        }
        HookCommand::Uninstall { repository } => {
            uninstall(&at(repository)).map_err(Failure::from).map(|uninstalled| {
                let words = match uninstalled {
                    Uninstalled::Nothing => "no hook of countersign is installed\n",
                    Uninstalled::Removed => "removed the hook\n",
                    Uninstalled::Restored => "removed the hook, and restored the one that was there before\n",
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
        for address in &shim.addresses {
            words += &format!("address: {}\n", escape(address));
        }
        if let Some(forge) = &shim.forge {
            words += &format!("forge: {} as '{}'\n", forge.kind.word(), escape(&forge.name));
        }
    }
    for finding in &status.findings {
        words += &format!("warning: {}\n", escape(&finding.to_string()));
    }
    (words, u8::from(!status.findings.is_empty()))
}

/// Reads `KIND` or `KIND=NAME`; a forge without a name of its own goes by its kind.
pub fn parse_forge(text: &str) -> Result<Forge, String> {
    let (word, name) = text.split_once('=').unwrap_or((text, text));
    let kind = ForgeKind::from_word(word).ok_or_else(|| {
        let words: Vec<&str> = ForgeKind::words().collect();
        format!("there is no such forge; known are {}", words.join(", "))
    })?;
    if name.is_empty() || escape(name) != name {
        return Err("its name cannot be used".to_owned());
    }
    Ok(Forge { kind, name: name.to_owned() })
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
