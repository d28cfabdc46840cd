//! The server's hooks: the gate in pre-receive, those that keep its ledger, their installation, and what may
//! decide there.
//!
//! Policy and trusted roots come from the paths that were written into the shim at installation and
//! from nothing else: not from pushed content, repository configuration, environment or push options.
//! Anything unexpected is a refusal. This room holds no credentials; a server signs nothing here.

mod accepted;
mod added;
mod admission;
mod admitting;
mod anew;
mod answers;
mod approvals;
mod arguments;
mod audit;
mod certificate;
mod companion;
mod config_file;
mod configured;
mod created;
mod entering;
mod environment;
mod evidence;
mod finding;
mod folding;
mod for_all;
mod forge;
mod gate;
mod guard;
mod hiding;
mod install;
mod layout;
mod leftovers;
mod owner;
mod pace;
mod paths;
mod persons;
mod place;
mod plan;
mod policy_change;
mod policy_ref;
mod pre_push;
mod pre_receive;
mod proofs;
mod pushee;
mod settings;
mod shim;
mod snapshot;
mod standing;
mod status;
mod task;
mod telling;
mod template;
mod tips_file;
mod turn;
mod updates;
mod used_certificates;
mod verdicts;
mod vouching;

pub use accepted::AcceptedTips;
pub use added::not_used;
pub use admission::{Admission, AdmissionRequest, Admissions, admit};
pub use approvals::{counted_as, kept_approvals};
pub use arguments::{GitHookArguments, HookArguments, PrePushArguments, Surroundings, run_hook};
pub use audit::LogLine;
pub use certificate::ReceivedCertificate;
pub use companion::{Companion, HookName};
pub use configured::ConfiguredError;
pub use entering::{
    ADMITTED, LedgerContext, failure as ledger_failure, happened, post_receive, reference_transaction, update,
};
pub use environment::{CertificateEnvironment, PushEnvironment};
pub use finding::Finding;
pub use for_all::state_folder;
pub use forge::forge_context;
pub use gate::{Gate, MAXIMUM_LISTED};
pub use guard::unjudged;
pub use install::{
    GuardChoice, Guarded, InstallError, InstallOptions, Installed, PolicyChoice, Uninstalled, install,
    install_for_all, uninstall, uninstall_for_all,
};
pub use owner::check_administrator;
pub use pace::{PATIENCE, Pace};
pub use policy_change::judge_policy_change;
pub use policy_ref::PolicyMemory;
pub use pre_push::{install_pre_push, parse_planned, uninstall_pre_push};
pub use pre_receive::{Context, Outcome, Watch, foreign_anchor, pre_receive, pre_receive_by};
pub use proofs::kept as kept_proofs;
pub use pushee::{PusheeError, pushee_key};
pub use settings::{AuditSink, PolicyPlace, Settings, parse_address, parse_forge, parse_seconds};
pub use shim::{Shim, ShimError};
pub use standing::Standing;
pub use status::{Status, StatusFinding, installed_trust, status};
pub use telling::Telling;
pub use updates::{Update, UpdateError, parse_updates};
pub use used_certificates::{ClaimError, MAXIMUM_AGE, UsedCertificates};
pub use verdicts::{Verdicts, VerdictsError};
