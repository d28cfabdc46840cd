//! The emergency exit: an administrator on the server admits one update of one ref, once and for a while.
//!
//! No pusher can ask for it. It names the ref with its value of now and the one that it may get, so nothing else
//! gets through with it; it is used up by the push that needs it, and what it was used for stays written down.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{InstallError, PolicyPlace, Shim, Update, for_all::Standing};
use crate::{
    encoding::sha256,
    object::ObjectId,
    repository::{Durability, Repository, system, write_whole},
    trust::ChainError,
    words::{Failure, escape},
};

/// The folder in the state folder.
const FOLDER: &str = "admissions";

/// The longest that an admission holds, in seconds.
pub const MAXIMUM_SECONDS: u32 = 7 * 24 * 60 * 60;

/// The largest file of ours, in bytes.
const MAXIMUM_BYTES: u64 = 64 * 1024;

/// How many admissions are looked at.
const MAXIMUM_ADMISSIONS: usize = 256;

/// One update that is let through whatever the policy says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Admission {
    /// The full name of the ref.
    pub reference: String,
    /// Its value when it was admitted; `None` if it did not exist.
    pub old: Option<String>,
    /// The value that it may get; `None` if it may be deleted.
    pub new: Option<String>,
    /// Why, in the administrator's words.
    pub reason: String,
    /// When it was admitted, in seconds since 1970.
    pub admitted: i64,
    /// Until when it holds, in seconds since 1970.
    pub until: i64,
    /// The number of the user who has admitted it.
    pub user: u32,
}

/// What an administrator wants.
#[derive(Clone, Debug)]
pub struct AdmissionRequest {
    /// The repository.
    pub repository: PathBuf,
    /// The full name of the ref.
    pub reference: String,
    /// The value that it may get; `None` if it may be deleted.
    pub new: Option<ObjectId>,
    /// Why.
    pub reason: String,
    /// For how long, in seconds.
    pub seconds: u32,
    /// The time, in seconds since 1970.
    pub now: i64,
}

impl Admission {
    /// Whether it is for exactly this update.
    #[must_use]
    pub fn admits(&self, update: &Update) -> bool {
        let text = |id: Option<ObjectId>| id.map(|id| id.to_string());
        self.reference.as_bytes() == update.reference
            && self.old == text(update.claimed)
            && self.new == text(update.wanted)
    }

    fn name(&self) -> String {
        let text = format!("{}\0{:?}\0{:?}", self.reference, self.old, self.new);
        hex::encode(sha256(&[text.as_bytes()]))
    }

    /// Of what it is and why, as the ledger keeps it: the values stand in its entry.
    #[must_use]
    pub fn reason_words(&self) -> String {
        format!("'{}': {}", escape(&self.reference), escape(&self.reason))
    }

    /// The time that is left, in words for people.
    #[must_use]
    pub fn words(&self) -> String {
        let value = |id: &Option<String>| id.clone().unwrap_or_else(|| "nothing".to_owned());
        format!(
            "'{}' from {} to {}, until {}: {}",
            escape(&self.reference),
            value(&self.old),
            value(&self.new),
            crate::words::time(self.until),
            escape(&self.reason)
        )
    }
}

/// An admission that is used up.
#[derive(Debug)]
pub(super) struct Taken {
    path: PathBuf,
    used: PathBuf,
}

impl Taken {
    /// Put it back, for the push is not accepted after all. Where that fails, a new one is needed.
    pub(super) fn give_back(self) {
        let _ = fs::rename(self.used, self.path);
    }
}

/// The admissions of one repository.
#[derive(Clone, Debug)]
pub struct Admissions {
    folder: PathBuf,
}

impl Admissions {
    /// Those in the state folder `state`.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { folder: state.join(FOLDER) }
    }

    /// Those that hold at `now`, in seconds since 1970. What cannot be read, or others than the folder's owner can
    /// write, admits nothing.
    #[must_use]
    pub fn holding(&self, now: i64) -> Vec<Admission> {
        let own = system::is_own_or_administrators;
        if !fs::symlink_metadata(&self.folder).is_ok_and(|metadata| metadata.is_dir() && own(&metadata)) {
            return Vec::new();
        }
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let read = |entry: fs::DirEntry| {
            let metadata = entry.metadata().ok()?;
            let fits = metadata.is_file() && own(&metadata) && metadata.len() <= MAXIMUM_BYTES;
            let text = fits.then(|| fs::read(entry.path()).ok()).flatten()?;
            let admission: Admission = serde_json::from_slice(&text).ok()?;
            // Its name says what it is for, so one for the same update takes the place of the one before.
            let is_its = entry.file_name() == admission.name().as_str();
            (is_its && admission.admitted <= now && now < admission.until).then_some(admission)
        };
        entries.filter_map(read).take(MAXIMUM_ADMISSIONS).collect()
    }

    /// Use an admission up; only one push can.
    ///
    /// # Errors
    /// It is gone, or cannot be moved away.
    pub(super) fn take(&self, admission: &Admission, now: i64) -> io::Result<Taken> {
        let name = admission.name();
        let used = self.folder.join("used");
        system::make_own_folder(&used)?;
        let (path, used) = (self.folder.join(&name), used.join(format!("{now}-{name}")));
        fs::rename(&path, &used)?;
        Ok(Taken { path, used })
    }

    /// Put an admission down.
    fn put(&self, admission: &Admission) -> io::Result<()> {
        let owner = fs::metadata(self.folder.parent().expect("it lies in the state folder"))?;
        system::make_own_folder(&self.folder)?;
        let path = self.folder.join(admission.name());
        write_whole(&path, &serde_json::to_vec(admission)?, Durability::Disk)?;
        // The hook runs as the owner of the state folder, and has to move it away.
        for path in [&self.folder, &path] {
            system::give_like(path, &owner)?;
        }
        Ok(())
    }

    /// Take away what does not hold any more.
    fn tidy(&self, now: i64) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let text = fs::read(entry.path()).unwrap_or_default();
            if serde_json::from_slice(&text).is_ok_and(|admission: Admission| admission.until <= now) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Admit one update of a ref, once.
///
/// # Errors
/// The hook is not installed, the ref is one of ours, or it cannot be written down.
pub fn admit(request: &AdmissionRequest) -> Result<(Admission, Shim), Failure> {
    let repository = Repository::open(&request.repository).map_err(InstallError::from)?;
    let standing = Standing::of(&repository);
    let text = fs::read(&standing.hook).unwrap_or_default();
    if !Shim::is_shim(&text) {
        return Err(Failure::new(
            format!("no hook of countersign is installed in '{}'", repository.common_dir().display()),
            "name the repository with '--repository'",
        ));
    }
    let shim = Shim::parse(&text).map_err(InstallError::from)?;
    let shim = standing.shim.unwrap_or(shim);
    let is_policy = matches!(&shim.policy, PolicyPlace::Reference(pin) if pin.reference == request.reference);
    if is_policy || request.reference.starts_with("refs/countersign/") {
        return Err(Failure::new(
            format!(
                "'{}' is not admitted: it holds what the gate itself goes by",
                escape(&request.reference)
            ),
            "change it on the server; a policy is pinned again with 'countersign hook install --policy-root'",
        ));
    }
    if !request.reference.starts_with("refs/") {
        return Err(Failure::new(
            format!("'{}' is no full name of a ref", escape(&request.reference)),
            "write it as 'refs/heads/main'",
        ));
    }
    let reason = request.reason.trim();
    if reason.is_empty() {
        return Err(Failure::new("no reason is given", "say why with '--reason'; it is written down"));
    }
    let value = repository.references().read(request.reference.as_str().into()).map_err(ChainError::from)?;
    if value.names.len() > 1 {
        let target = value.names.last().map(ToString::to_string).unwrap_or_default();
        return Err(Failure::new(
            format!("'{}' stands for '{}'", escape(&request.reference), escape(&target)),
            "name the ref itself, and have it pushed by that name",
        ));
    }
    let admission = Admission {
        reference: request.reference.clone(),
        old: value.id.map(|id| id.to_string()),
        new: request.new.map(|id| id.to_string()),
        reason: reason.to_owned(),
        admitted: request.now,
        until: request.now.saturating_add(request.seconds.into()),
        user: system::real_user(),
    };
    let admissions = Admissions::new(&shim.state);
    admissions.tidy(request.now);
    admissions.put(&admission).map_err(|error| {
        Failure::new(
            format!("'{}' cannot be written: {error}", admissions.folder.display()),
            "run this as the user as whom the hook runs, or as root",
        )
    })?;
    Ok((admission, shim))
}
