//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Sign git commits and tags with who you are, and turn away what can't be vouched for
#[derive(Debug, Parser)]
#[command(
    name = "countersign",
    version,
    after_help = "git itself calls this program as 'gpg.x509.program'; 'countersign init' sets that up.\n\
                  Exit status: 0 good; 1 bad, unsigned or refused; 2 cannot tell; 3 could not run; 64 usage."
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What git runs as hooks alone: it starts one for every ref that moves, and describing all other commands takes
/// longer than what many of them have to do.
#[derive(Debug, Parser)]
#[command(name = "countersign", version)]
pub(super) struct GitHookOnly {
    #[command(subcommand)]
    pub(super) command: GitHookCommand,
}

/// Judge what is pushed: the program that the hooks of a server run, by the paths that are written into them
#[derive(Debug, Parser)]
#[command(
    name = "countersign-gate",
    version,
    after_help = "'countersign hook install' has git run it.\n\
                  Exit status: 0 accepted; 1 refused; 3 could not run; 64 usage."
)]
pub(super) struct GateArguments {
    #[command(subcommand)]
    pub(super) command: GitHookCommand,
}

#[derive(Debug, Subcommand)]
pub(super) enum GitHookCommand {
    Hook(crate::hook::GitHookArguments),
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say who vouches for commits and tags, and how that is proven
    Verify(VerifyArguments),
    Check(super::check::CheckArguments),
    /// Tell what is in a signature, and why it does or does not verify
    Inspect(InspectArguments),
    Doctor(super::doctor::DoctorArguments),
    /// Set git up to sign and verify with countersign
    Init(InitArguments),
    Login(super::login::LoginArguments),
    /// Forget every login that the agent keeps
    Logout,
    Agent(super::agent::AgentArguments),
    Hook(crate::hook::HookArguments),
    Policy(super::policy::PolicyArguments),
    Remote(super::remote::RemoteArguments),
    Fetch(super::remote::FetchArguments),
    Protect(super::remote::ProtectArguments),
    Approve(super::approve::ApproveArguments),
    Trust(super::trust::TrustArguments),
    Ledger(super::ledger::LedgerArguments),
    Proof(super::proof::ProofArguments),
    /// Print a completion script
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages of every command into a directory
    #[command(hide = true)]
    Manual {
        /// Where to
        directory: PathBuf,
    },
    #[cfg(feature = "sandbox")]
    Sandbox(crate::sandbox::command::SandboxArguments),
}

/// Which objects are meant
#[derive(Args, Debug)]
pub(super) struct Asked {
    /// Commits, tags or ranges A..B; HEAD if none is given
    #[arg(value_name = "REV|A..B")]
    pub(super) revisions: Vec<String>,
    /// Everything that is reachable from any ref: whole histories, and annotated tags
    #[arg(long, conflicts_with_all = ["revisions", "stdin"])]
    pub(super) all: bool,
    /// Read the revisions from standard input, one a line
    #[arg(long, conflicts_with = "revisions")]
    pub(super) stdin: bool,
    /// Take the history up to this commit as it is, and all that has come since
    #[arg(long, value_name = "COMMIT")]
    pub(super) since: Option<String>,
}

/// Say who vouches for commits and tags
#[derive(Args, Debug)]
pub(super) struct VerifyArguments {
    #[command(flatten)]
    pub(super) asked: Asked,
    /// Verify the push certificate in this file, as 'git cat-file blob' prints it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["revisions", "all", "stdin", "since"])]
    pub(super) push_certificate: Option<PathBuf>,
    /// The repository, if not the one around the current directory
    #[arg(long, value_name = "DIR")]
    pub(super) repository: Option<PathBuf>,
    /// The policy that names who counts, instead of the configured one
    #[arg(long, value_name = "FILE", conflicts_with = "identity")]
    pub(super) policy: Option<PathBuf>,
    /// The one subject that counts: an e-mail address, URI or user name
    #[arg(long, value_name = "SUBJECT", requires = "issuer")]
    pub(super) identity: Option<String>,
    /// The issuer that vouches for --identity
    #[arg(long, value_name = "URL", requires = "identity")]
    pub(super) issuer: Option<String>,
    /// The instance in which --identity counts
    #[arg(long, value_name = "NAME", default_value = "public-good")]
    pub(super) instance: String,
    /// A trusted root to use as the instance NAME, besides the configured ones
    #[arg(long, value_name = "NAME=FILE")]
    pub(super) trusted_root: Vec<String>,
    /// What to print
    #[arg(long, value_enum, default_value = "text")]
    pub(super) format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub(super) json: bool,
    /// Say also where the policy and the trusted roots come from
    #[arg(long, short)]
    pub(super) verbose: bool,
}

/// In which form the answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A line for each object, for people
    Text,
    /// A JSON object a line, as countersign-verify(1) describes it
    Json,
    /// What is not good, as SARIF 2.1.0
    Sarif,
    /// A test case for each object, as JUnit XML
    Junit,
}

/// Tell what is in a signature
#[derive(Args, Debug)]
pub(super) struct InspectArguments {
    /// The commit or tag, or the blob of a push certificate
    #[arg(value_name = "REV", default_value = "HEAD")]
    pub(super) revision: String,
    /// The push certificate in this file instead, as 'git cat-file blob' prints it
    #[arg(long, value_name = "FILE", conflicts_with = "revision")]
    pub(super) push_certificate: Option<PathBuf>,
    /// The repository, if not the one around the current directory
    #[arg(long, value_name = "DIR")]
    pub(super) repository: Option<PathBuf>,
}

/// Which configuration file `init` writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Scope {
    /// The user's own file.
    Global,
    /// This repository's file.
    Local,
    /// The machine's file.
    System,
}

impl Scope {
    /// The same in git's configuration.
    pub(super) fn of_git(self) -> crate::repository::Scope {
        match self {
            Self::Global => crate::repository::Scope::Global,
            Self::Local => crate::repository::Scope::Local,
            Self::System => crate::repository::Scope::System,
        }
    }
}

/// Set git up to sign and verify
#[derive(Args, Debug)]
pub(super) struct InitArguments {
    /// Whose configuration to write
    #[arg(long, value_enum, default_value = "global")]
    pub(super) scope: Scope,
    /// For this repository alone; the same as '--scope local'
    #[arg(long, conflicts_with = "scope")]
    pub(super) local: bool,
    /// Take this setting of the repository's own over as it is now; may be given several times
    #[arg(long, value_name = "KEY", requires = "local")]
    pub(super) allow: Vec<String>,
    /// The repository for '--local', if not the one around the current directory
    #[arg(long, value_name = "DIR")]
    pub(super) repository: Option<PathBuf>,
    /// Sign with this instance
    #[arg(long, value_name = "NAME")]
    pub(super) instance: Option<String>,
    /// The instance's trusted root
    #[arg(long, value_name = "FILE", requires = "instance")]
    pub(super) trusted_root: Option<PathBuf>,
    /// The instance's signing config
    #[arg(long, value_name = "FILE", requires = "instance")]
    pub(super) signing_config: Option<PathBuf>,
    /// The policy to verify by
    #[arg(long, value_name = "FILE")]
    pub(super) policy: Option<PathBuf>,
    /// Let git take submodules through 'verified::'
    #[arg(long)]
    pub(super) verified_submodules: bool,
    /// Only print the commands
    #[arg(long)]
    pub(super) dry_run: bool,
}
