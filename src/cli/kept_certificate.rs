//! The certificate of a key of the user's own, kept for its few minutes: one login serves a whole rebase.
//!
//! Nothing of it is secret, for the key stays with its keeper; and nothing of it is believed, for whatever is
//! signed with it is verified as ever. Whom it is for is considered anew each time.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::{World, agent, signing::Access};
use crate::{
    encoding::sha256,
    identity::{Claims, Demands},
    key::SigningKey,
    repository::{Durability, write_whole},
    service::fulcio::IssuedCertificate,
    sign::Session,
    sigstore::certificate::{SigningCertificate, SubjectKind},
};

/// The largest file that is read, in bytes.
const MAXIMUM_FILE_BYTES: u64 = 64 * 1024;

/// What is kept.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    issuer: String,
    subject: String,
    email: Option<String>,
    /// Base64 of the leaf's DER.
    leaf: String,
}

/// The place of one certificate: of a key, for the services and the login that it was got with.
pub(super) struct Shelf {
    file: PathBuf,
}

impl Shelf {
    /// The place in the user's private folder; `None` where there is none.
    pub(super) fn new(
        world: &World<'_>,
        access: &Access,
        demands: &Demands,
        key: &dyn SigningKey,
    ) -> Option<Self> {
        let folder = agent::private_folder(&world.environment)?;
        let provider = &access.options.provider;
        let about = serde_json::json!({
            "instance": access.instance, "plan": access.plan, "identity": demands.identity,
            "issuer": provider.issuer, "client": provider.client_id, "connector": provider.connector_id,
        });
        let digest = sha256(&[&sha256(&[&key.spki().ok()?]), about.to_string().as_bytes()]);
        Some(Self { file: folder.join(format!("certificate-{}.json", hex::encode(&digest[..16]))) })
    }

    /// What is kept, if it can still sign at `now`.
    pub(super) fn take(&self, key: &Arc<dyn SigningKey>, now: i64) -> Option<Session> {
        let kept: Kept = serde_json::from_slice(&read(&self.file)?).ok()?;
        let leaf = STANDARD.decode(&kept.leaf).ok()?;
        let certificate = IssuedCertificate::read(&leaf, &key.spki().ok()?).ok()?;
        // Said before there is a log entry: the certificate is for the address that the login was for.
        let signer = SigningCertificate::parse(&leaf).ok()?;
        if signer.kind == SubjectKind::Email && kept.email.as_deref() != Some(signer.subject.as_str()) {
            return None;
        }
        let claims = Claims {
            issuer: kept.issuer,
            subject: kept.subject,
            email: kept.email,
            audience: Vec::new(),
            expires: certificate.not_after,
        };
        let session = Session::resume(Arc::clone(key), certificate, claims);
        if session.is_usable(now) {
            return Some(session);
        }
        let _ = fs::remove_file(&self.file);
        None
    }

    /// Keep what `session` has. What cannot be kept costs another login and nothing else.
    pub(super) fn put(&self, session: &Session) {
        let Claims { issuer, subject, email, .. } = session.claims().clone();
        let kept = Kept { issuer, subject, email, leaf: STANDARD.encode(&session.certificate().leaf) };
        if let Ok(json) = serde_json::to_vec(&kept) {
            let _ = write_whole(&self.file, &json, Durability::System);
        }
    }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(MAXIMUM_FILE_BYTES).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
