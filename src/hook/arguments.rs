//! `countersign hook …`: what is typed, and what it comes to.

use std::{
    ffi::{OsStr, OsString},
    io::{Read, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::repository::system::OsStrExt;

use clap::{Args, Subcommand};

use super::{
    AdmissionRequest, AuditSink, Context, GuardChoice, HookName, InstallOptions, LedgerContext, LogLine,
    PolicyChoice, PolicyPlace, PushEnvironment, Settings, Uninstalled,
    admission::MAXIMUM_SECONDS,
    admit,
    audit::write as write_audit,
    forge_context, install, install_for_all, install_pre_push, post_receive, pre_receive,
    program::gate_beside,
    reference_transaction,
    settings::{parse_address, parse_forge, parse_seconds},
    status,
    status::obstacle,
    uninstall, uninstall_for_all, uninstall_pre_push, unjudged, update,
};
use crate::{
    object::ObjectId,
    policy::Forge,
    trust::{POLICY_REF, Pin},
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
    /// Hands a line to the system's log.
    pub log_line: LogLine<'a>,
}

/// Refuse pushes that nobody vouches for
#[derive(Args, Debug)]
pub struct HookArguments {
    #[command(subcommand)]
    command: HookCommand,
}

/// Refuse pushes that nobody vouches for: what git runs, and nothing else
#[derive(Args, Debug)]
pub struct GitHookArguments {
    #[command(subcommand)]
    command: GitHookCommand,
}

impl GitHookArguments {
    /// Whether `name` is that of one of these commands.
    #[must_use]
    pub fn has(name: &str) -> bool {
        GitHookCommand::has_subcommand(name)
    }

    /// Whether it is about the hook of a developer's, which goes by what a developer configures.
    #[must_use]
    pub fn is_pre_push(&self) -> bool {
        matches!(self.command, GitHookCommand::PrePush(_))
    }
}

impl From<GitHookArguments> for HookArguments {
    fn from(GitHookArguments { command }: GitHookArguments) -> Self {
        Self { command: HookCommand::Git(command) }
    }
}

/// Say before anything is sent what the server would say of a push; git's pre-push hook runs this
#[derive(Args, Debug)]
pub struct PrePushArguments {
    /// The name of the remote, or its address where it has none
    #[arg(value_name = "REMOTE")]
    pub remote: String,
    /// The address that is pushed to
    #[arg(value_name = "URL")]
    pub url: String,
}

impl HookArguments {
    /// The arguments of `hook pre-push`, which goes by what a developer configures, and not by this room.
    #[must_use]
    pub fn pre_push(&self) -> Option<&PrePushArguments> {
        match &self.command {
            HookCommand::Git(GitHookCommand::PrePush(arguments)) => Some(arguments),
            _ => None,
        }
    }
}

/// What git runs, for every push and every ref that moves.
#[derive(Debug, Subcommand)]
enum GitHookCommand {
    PrePush(PrePushArguments),
    /// Judge a push; git's pre-receive hook runs this through the installed shim
    PreReceive {
        /// The repository for which the hook was installed
        #[arg(long, value_name = "DIR")]
        repository: PathBuf,
        /// The policy file
        #[arg(long, value_name = "FILE", required_unless_present = "policy_pin")]
        policy: Option<PathBuf>,
        /// The pin of a policy that the repository keeps in a ref: repository id, ref and commit
        #[arg(long, value_name = "PIN", conflicts_with = "policy", value_parser = Pin::parse)]
        policy_pin: Option<Pin>,
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
        /// Leave what is accepted for the ledger
        #[arg(long, value_name = "BOOLEAN", num_args = 0..=1, default_value_t = false, default_missing_value = "true")]
        ledger: bool,
        #[command(flatten)]
        settings: Box<SettingsArguments>,
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
    ReferenceTransaction {
        #[command(flatten)]
        place: LedgerPlace,
        /// Refs are about to move: print the updates that no push has had accepted; status 1 if there are any
        #[arg(long)]
        prepared: bool,
    },
}

#[derive(Debug, Subcommand)]
enum HookCommand {
    #[command(flatten)]
    Git(GitHookCommand),
    /// Install the server's hooks, keeping and chaining those that are there
    Install {
        /// The repository
        #[arg(long, value_name = "DIR", default_value = ".")]
        repository: PathBuf,
        /// One hook for every repository for which 'core.hooksPath' names this folder
        #[arg(long, value_name = "DIR", conflicts_with_all = ["repository", "policy_root"], requires = "state")]
        hooks_path: Option<PathBuf>,
        /// Have git run that hook by what this file of its configuration says, such as /etc/gitconfig, and not by 'core.hooksPath' (git 2.54)
        #[arg(long, value_name = "FILE", requires = "hooks_path")]
        config_file: Option<PathBuf>,
        /// Have git run the hooks by the repository's configuration, and leave its hooks folder alone (git 2.54)
        #[arg(long, conflicts_with_all = ["hooks_path", "pre_push"])]
        config_hooks: bool,
        /// The policy file, kept where pushers cannot write
        #[arg(long, value_name = "FILE", required_unless_present_any = ["policy_root", "pre_push"])]
        policy: Option<PathBuf>,
        /// Install the pre-push hook of a developer's repository instead; it goes by the configured policy
        #[arg(long, conflicts_with_all = ["policy", "policy_root", "state"])]
        pre_push: bool,
        /// Go by the policy that the repository keeps in a ref, from this commit on, which is believed as it is
        #[arg(long, value_name = "COMMIT", conflicts_with = "policy", value_parser = parse_id)]
        policy_root: Option<ObjectId>,
        /// The ref that holds it
        #[arg(long, value_name = "REF", requires = "policy_root", default_value = POLICY_REF)]
        policy_ref: String,
        /// The folder for what was accepted [default: 'countersign' in the repository]
        #[arg(long, value_name = "DIR")]
        state: Option<PathBuf>,
        /// The program that the hook runs [default: 'countersign-gate' beside this one, or else this one]
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
        /// Judge what moves a ref without a push, too, in the reference-transaction hook [default: at Gitea and Forgejo]
        #[arg(long, conflicts_with_all = ["no_ledger", "pre_push"])]
        guard: bool,
        /// Judge pushes alone, also at forges that move refs otherwise
        #[arg(long, conflicts_with_all = ["guard", "pre_push"])]
        no_guard: bool,
        /// The trusted root of an instance, instead of the one that the policy names
        #[arg(long = "trusted-root", value_name = "NAME=FILE", value_parser = named_path())]
        trusted_roots: Vec<(String, PathBuf)>,
        /// A file of OpenPGP certificates, instead of the one that the policy names so
        #[arg(long, value_name = "NAME=FILE", value_parser = named_path())]
        openpgp_certificates: Vec<(String, PathBuf)>,
        /// The file of a certificate authority, instead of the one that the policy names
        #[arg(long = "certificate-authority", value_name = "NAME=FILE", value_parser = named_path())]
        certificate_authorities: Vec<(String, PathBuf)>,
        #[command(flatten)]
        settings: SettingsArguments,
    },
    /// Remove the hook, and restore the one that was there before
    Uninstall {
        /// The repository
        #[arg(long, value_name = "DIR", default_value = ".")]
        repository: PathBuf,
        /// Remove the one hook for every repository from this folder
        #[arg(long, value_name = "DIR", conflicts_with_all = ["repository", "pre_push"])]
        hooks_path: Option<PathBuf>,
        /// The file of git's configuration that names it, if one does
        #[arg(long, value_name = "FILE", requires = "hooks_path")]
        config_file: Option<PathBuf>,
        /// The pre-push hook of a developer's repository instead
        #[arg(long)]
        pre_push: bool,
    },
    /// Let one update of a ref through once, whatever the policy says: an administrator's act in an emergency
    Admit {
        /// The repository
        #[arg(long, value_name = "DIR", default_value = ".")]
        repository: PathBuf,
        /// The full name of the ref
        #[arg(long = "ref", value_name = "REF")]
        reference: String,
        /// The full id of the value that it may get
        #[arg(long, value_name = "ID", value_parser = parse_id, required_unless_present = "delete")]
        new: Option<ObjectId>,
        /// Let it be deleted
        #[arg(long, conflicts_with = "new")]
        delete: bool,
        /// Why; it is written down
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// For how many seconds, at most a week
        #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAXIMUM_SECONDS)))]
        valid: u32,
    },
    /// Say what is installed, what it goes by, and who else could change that
    Status {
        /// The repository
        #[arg(long, value_name = "DIR", default_value = ".")]
        repository: PathBuf,
        /// Print a JSON object
        #[arg(long)]
        json: bool,
    },
}

/// How the gate goes about its work.
#[derive(Args, Debug)]
struct SettingsArguments {
    /// Refuse what cannot be judged in this time, such as 4 or 0.5
    #[arg(long, value_name = "SECONDS", value_parser = parse_seconds)]
    time_limit: Option<Duration>,
    /// Where decisions are written down: 'state', 'off', 'syslog', 'syslog:SOCKET' or 'file:PATH'
    #[arg(long, value_name = "WHERE", value_parser = audit_sink(), default_value = "state")]
    audit: AuditSink,
    /// Refuse a push whose decision cannot be written down
    #[arg(long, value_name = "BOOLEAN", num_args = 0..=1, default_value_t = false, default_missing_value = "true")]
    audit_required: bool,
    /// An address under which pushers know the repository, for push certificates; once for each
    #[arg(long = "address", value_name = "URL", value_parser = parse_address)]
    addresses: Vec<String>,
    /// The forge that calls the hook, whose word about who pushes counts, and its name in 'forge_users'
    #[arg(long, value_name = "KIND[=NAME]", value_parser = parse_forge)]
    forge: Option<Forge>,
}

impl From<SettingsArguments> for Settings {
    fn from(arguments: SettingsArguments) -> Self {
        let SettingsArguments { time_limit, audit, audit_required, addresses, forge } = arguments;
        Self { time_limit, audit, audit_required, addresses, forge, ledger: false }
    }
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

/// Run `countersign hook …` as git does; the exit status.
pub fn run_git_hook(
    GitHookArguments { command }: GitHookArguments,
    surroundings: &mut Surroundings<'_>,
) -> u8 {
    let Surroundings { directory, .. } = &*surroundings;
    let at = |path: PathBuf| directory.join(path);
    let roots = |roots: Vec<(String, PathBuf)>| {
        roots.into_iter().map(|(name, path)| (name, directory.join(path))).collect::<Vec<_>>()
    };
    match command {
        GitHookCommand::PreReceive {
            repository,
            policy,
            policy_pin,
            state,
            trusted_roots,
            openpgp_certificates,
            certificate_authorities,
            ledger,
            settings,
        } => {
            let settings = Settings::from(*settings);
            let variable = surroundings.variable;
            let context = Context {
                forge: settings.forge.as_ref().map(|forge| forge_context(forge, variable)),
                policy: match policy_pin {
                    Some(pin) => PolicyPlace::Reference(pin),
                    None => PolicyPlace::File(at(policy.unwrap_or_default())),
                },
                trusted_roots: roots(trusted_roots),
                openpgp_certificates: roots(openpgp_certificates),
                certificate_authorities: roots(certificate_authorities),
                state: at(state),
                repository: at(repository),
                environment: PushEnvironment::from_variables(surroundings.variable, directory),
                now: surroundings.now,
                settings: Settings { ledger, ..settings },
            };
            pre_receive(&context, surroundings.stdin, surroundings.stderr, surroundings.log_line).status()
        }
        GitHookCommand::Update { place, reference, old, new } => {
            let context = place.context(directory, surroundings.now);
            update(&context, reference.as_bytes(), &old, &new, surroundings.stderr)
        }
        GitHookCommand::PostReceive(place) => {
            let context = place.context(directory, surroundings.now);
            post_receive(&context, surroundings.stdin, surroundings.stderr)
        }
        GitHookCommand::ReferenceTransaction { place, prepared: true } => {
            let context = place.context(directory, surroundings.now);
            unjudged(&context, surroundings.stdin, surroundings.stdout, surroundings.stderr)
        }
        GitHookCommand::ReferenceTransaction { place, prepared: false } => {
            let context = place.context(directory, surroundings.now);
            reference_transaction(&context, surroundings.stdin, surroundings.stderr)
        }
        // The room above has run it.
        GitHookCommand::PrePush(_) => 3,
    }
}

/// Run `countersign hook …`; the exit status.
pub fn run_hook(arguments: HookArguments, surroundings: &mut Surroundings<'_>) -> u8 {
    let Surroundings { directory, .. } = &*surroundings;
    let at = |path: PathBuf| if path == Path::new(".") { directory.clone() } else { directory.join(path) };
    let roots = |roots: Vec<(String, PathBuf)>| {
        roots.into_iter().map(|(name, path)| (name, directory.join(path))).collect::<Vec<_>>()
    };
    let answer = match arguments.command {
        HookCommand::Git(command) => return run_git_hook(GitHookArguments { command }, surroundings),
        HookCommand::Install { repository, program, pre_push: true, .. } => {
            let program = program.map_or_else(|| surroundings.program.clone(), at);
            install_pre_push(&at(repository), &program)
                .map_err(Failure::from)
                .map(|(hook, before)| (installed_words(&hook, before.as_deref()), 0))
        }
        HookCommand::Install {
            pre_push: false,
            repository,
            hooks_path,
            config_file,
            config_hooks,
            policy,
            policy_root,
            policy_ref,
            state,
            program,
            hooks,
            no_ledger,
            guard,
            no_guard,
            trusted_roots,
            openpgp_certificates,
            certificate_authorities,
            settings,
        } => {
            let options = InstallOptions {
                repository: at(repository),
                policy: match policy_root {
                    Some(root) => PolicyChoice::Reference { reference: policy_ref, root },
                    None => PolicyChoice::File(at(policy.unwrap_or_default())),
                },
                state: state.map(at),
                program: program.map_or_else(|| gate_beside(&surroundings.program), at),
                hooks: if no_ledger { Vec::new() } else { hooks },
                configured: config_hooks,
                trusted_roots: roots(trusted_roots),
                openpgp_certificates: roots(openpgp_certificates),
                certificate_authorities: roots(certificate_authorities),
                settings: Settings { ledger: !no_ledger, ..settings.into() },
                guard: match (guard, no_guard) {
                    (true, _) => GuardChoice::Always,
                    (_, true) => GuardChoice::Never,
                    _ => GuardChoice::default(),
                },
                now: surroundings.now,
            };
            let (installed, is_for_all) = match hooks_path {
                Some(folder) => {
                    (install_for_all(&at(folder), config_file.map(at).as_deref(), &options), true)
                }
                None => (install(&options), false),
            };
            installed.map_err(Failure::from).map(|installed| {
                let mut words = installed_words(&installed.hook, installed.shim.before.as_deref());
                for (_, path) in &installed.companions {
                    words += &installed_words(path, None);
                }
                if let Some(file) = &installed.configuration {
                    words += &format!("git runs it by what '{}' says\n", escape(&file.display().to_string()));
                }
                for name in &installed.left_out {
                    words += &format!("not installed, for nothing here runs it for us: '{}'\n", name.name());
                }
                words += &installed.guard.line();
                for what in &installed.given_up {
                    words += &format!("warning: {}\n", escape(what));
                }
                if is_for_all && let Some(what) = barred(&installed.hook) {
                    words += &format!("warning: {}\n", escape(&what));
                }
                // It is installed; who is not bound by it is said at once, and what would keep git from running it.
                let status = (!is_for_all).then(|| status(&options.repository, options.now).ok()).flatten();
                for finding in status.into_iter().flat_map(|status| status.findings) {
                    if finding.is_about_writers() || finding.is_about_running() {
                        words += &format!("warning: {}\n", escape(&finding.to_string()));
                    }
                }
                (words, 0)
            })
        }
        HookCommand::Uninstall { repository, hooks_path, config_file, pre_push } => {
            let uninstalled = match (hooks_path, pre_push) {
                (Some(folder), _) => uninstall_for_all(&at(folder), config_file.map(at).as_deref()),
                (None, true) => uninstall_pre_push(&at(repository)),
                (None, false) => uninstall(&at(repository)),
            };
            uninstalled.map_err(Failure::from).map(|uninstalled| {
                let words = match uninstalled {
                    Uninstalled::Nothing => "no hook of countersign is installed\n",
                    Uninstalled::Removed => "removed the hooks\n",
                    Uninstalled::Restored => "removed the hooks, and restored those that were there before\n",
                };
                (words.to_owned(), 0)
            })
        }
        HookCommand::Admit { repository, reference, new, delete: _, reason, valid } => {
            let request = AdmissionRequest {
                repository: at(repository),
                reference,
                new,
                reason,
                seconds: valid,
                now: surroundings.now,
            };
            admit(&request).map(|(admission, shim)| {
                let line = serde_json::json!({
                    "time": jiff::Timestamp::from_second(admission.admitted).map(|time| time.to_string()).ok(),
                    "repository": escape(&shim.repository.display().to_string()),
                    "decision": "admission",
                    "admission": admission,
                });
                let log = surroundings.log_line;
                let written = write_audit(&shim.settings.audit, &shim.state, &[line.to_string()], log);
                let mut words = format!("admitted once: {}\n", admission.words());
                if let Err(error) = written {
                    words += &format!("warning: that cannot be written down: {}\n", escape(&error.to_string()));
                }
                (words, 0)
            })
        }
        HookCommand::Status { repository, json } => {
            status(&at(repository), surroundings.now).map_err(Failure::from).map(|status| {
                let told = if json { format!("{}\n", status.json()) } else { status.words() };
                (told, u8::from(!status.findings.is_empty()))
            })
        }
    };
    finish(answer, surroundings)
}

/// What keeps other users than this one from running the one hook for every repository.
fn barred(hook: &Path) -> Option<String> {
    // One that nobody is, and whom nobody has put into a group.
    let obstacle = obstacle(hook, u32::MAX - 1)?;
    Some(format!(
        "'{}' keeps other users than its owner from running the hook, and git passes over it then: pushes that come in as one of them are not judged",
        obstacle.display()
    ))
}

fn installed_words(hook: &Path, before: Option<&Path>) -> String {
    let shown = |path: &Path| escape(&path.display().to_string());
    let mut words = format!("installed '{}'\n", shown(hook));
    if let Some(before) = before {
        words += &format!("the hook that was there runs first, as '{}'\n", shown(before));
    }
    words
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

/// Reads what [`AuditSink::parse`] does.
fn audit_sink() -> impl clap::builder::TypedValueParser<Value = AuditSink> {
    use clap::builder::{OsStringValueParser, TypedValueParser as _};
    OsStringValueParser::new().try_map(|text| AuditSink::parse(&text))
}

/// Reads the full id of an object.
fn parse_id(text: &str) -> Result<ObjectId, &'static str> {
    let lower = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let id = ObjectId::from_hex(text.as_bytes()).ok().filter(|id| lower && !id.is_null());
    id.ok_or("it has to be a full object id in lower case")
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
