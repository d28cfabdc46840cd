//! The authority as a library: all servants of one Sigstore instance, their keys, and issuing without HTTP.

use std::{fmt, path::PathBuf, sync::Arc};

use super::{
    certificate_authority::{
        BuildClaims, CertificateAuthority, Identity, IdentityError, IssueError, LeafProfile,
    },
    clock::{Clock, SystemClock},
    identity_token::{Build, TokenError, TokenKey},
    key::{KeyAlgorithm, SigningKey},
    log_entry::HashedRekord,
    login::LoginDesk,
    pem,
    rekor_v1::{RekorV1, RekorV1Entry, RekorV1Error},
    rekor_v2::{RekorV2, RekorV2Entry, RekorV2Error},
    state::{State, StateError},
    timestamp::{TimestampAuthority, TimestampError},
    trust::{self, Published, RekorOffer},
};

/// How an authority is set up.
pub struct Options {
    /// The folder that keeps keys and entries; without one they are gone at the end.
    pub state: Option<PathBuf>,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Which logs the signing config offers; both are always there.
    pub rekor: RekorOffer,
    /// The identity for which every login is approved at once, without a page.
    pub auto_approve: Option<Identity>,
}

impl Default for Options {
    fn default() -> Self {
        Self { state: None, clock: Arc::new(SystemClock), rekor: RekorOffer::default(), auto_approve: None }
    }
}

/// The authority could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A certificate is damaged, or could not be made.
    #[error("a certificate of the authority: {0}")]
    Certificate(#[from] der::Error),
    /// The identity to approve is none.
    #[error("the identity to approve: {0}")]
    Identity(#[from] IdentityError),
    /// The state could not be read or written.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Whose key it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// Signs identity tokens; P-256.
    IdentityProvider,
    /// Signs the intermediate certificate; P-384.
    CertificateRoot,
    /// Signs the leaves; P-384.
    CertificateIntermediate,
    /// Signs certificate timestamps; P-256.
    CertificateTransparencyLog,
    /// Signs entry timestamps and checkpoints of the Rekor v1 log; P-256.
    RekorV1,
    /// Signs checkpoints of the Rekor v2 log; Ed25519.
    RekorV2,
    /// Signs the timestamp authority's leaf; P-384.
    TimestampRoot,
    /// Signs timestamp tokens; P-256.
    TimestampAuthority,
}

/// An embedded Sigstore. For trials and tests, never for production.
pub struct Authority {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) state: State,
    pub(super) url: String,
    pub(super) identity_key: SigningKey,
    pub(super) tokens: TokenKey,
    pub(super) certificates: CertificateAuthority,
    pub(super) rekor_v1: RekorV1,
    pub(super) rekor_v2: RekorV2,
    pub(super) timestamps: TimestampAuthority,
    pub(super) login: LoginDesk,
    rekor: RekorOffer,
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Authority").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Authority {
    /// Sets up an authority, new or on the state of an earlier one.
    ///
    /// Until it serves, its URL is `http://127.0.0.1`, with the port of the earlier run if there was one.
    pub fn new(options: Options) -> Result<Self, AuthorityError> {
        let now = options.clock.now();
        if let Some(identity) = &options.auto_approve {
            identity.check()?;
        }
        let mut state = State::open(options.state.as_deref(), now)?;
        let created = state.settings.created;

        let identity_key = state.key("identity-provider", KeyAlgorithm::EcdsaP256)?;
        let tokens = TokenKey::new(&identity_key)
            .map_err(|source| StateError::Key { name: "identity-provider".to_owned(), source })?;

        let root = state.key("certificate-root", KeyAlgorithm::EcdsaP384)?;
        let intermediate = state.key("certificate-intermediate", KeyAlgorithm::EcdsaP384)?;
        let [root_certificate, intermediate_certificate] =
            chain(&state, ["certificate-root", "certificate-intermediate"], || {
                CertificateAuthority::certify(&root, &intermediate, created)
            })?;
        let timestamp_log = state.key("certificate-transparency-log", KeyAlgorithm::EcdsaP256)?;
        let certificates = CertificateAuthority::new(
            root,
            intermediate,
            timestamp_log,
            root_certificate,
            intermediate_certificate,
        )?;

        let root = state.key("timestamp-root", KeyAlgorithm::EcdsaP384)?;
        let leaf = state.key("timestamp-authority", KeyAlgorithm::EcdsaP256)?;
        let [root_certificate, leaf_certificate] =
            chain(&state, ["timestamp-root", "timestamp-authority"], || {
                TimestampAuthority::certify(&root, &leaf, created)
            })?;
        let timestamps = TimestampAuthority::new(root, leaf, root_certificate, leaf_certificate)?;

        let key = state.key("rekor-v1", KeyAlgorithm::EcdsaP256)?;
        let (entries, file) = state.log("rekor-v1")?;
        let rekor_v1 = RekorV1::new(key, state.settings.tree_id, entries, file);
        let key = state.key("rekor-v2", KeyAlgorithm::Ed25519)?;
        let (entries, file) = state.log("rekor-v2")?;
        let rekor_v2 = RekorV2::new(key, entries, file);

        state.write_settings()?;

        let url = match state.settings.port {
            Some(port) => format!("http://127.0.0.1:{port}"),
            None => "http://127.0.0.1".to_owned(),
        };
        Ok(Self {
            clock: options.clock,
            state,
            url,
            identity_key,
            tokens,
            certificates,
            rekor_v1,
            rekor_v2,
            timestamps,
            login: LoginDesk::new(options.auto_approve),
            rekor: options.rekor,
        })
    }

    /// The address of every service, and the issuer of the tokens; no slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Logs of which the last, unfinished entry was taken away when the state was opened.
    pub fn torn_logs(&self) -> &[PathBuf] {
        &self.state.torn
    }

    /// Mints an identity token, as a login would end.
    pub fn issue_id_token(&self, identity: impl Into<Identity>) -> Result<String, IdentityError> {
        let identity = identity.into();
        identity.check()?;
        Ok(self.tokens.mint(&self.url, &identity, None, self.clock.now()))
    }

    /// Mints an identity token for a build, as a CI service would.
    pub fn issue_build_token(
        &self,
        identity: impl Into<Identity>,
        build: &Build,
    ) -> Result<String, IdentityError> {
        let identity = identity.into();
        identity.check()?;
        Ok(self.tokens.mint_for(&self.url, &identity, build, None, self.clock.now()))
    }

    /// Checks an identity token of this authority and returns whom it is for.
    pub fn check_id_token(&self, token: &str) -> Result<Identity, TokenError> {
        self.check_build_token(token).map(|(identity, _)| identity)
    }

    /// Checks an identity token and returns besides what it says of a build.
    pub(super) fn check_build_token(&self, token: &str) -> Result<(Identity, BuildClaims), TokenError> {
        self.tokens.check(token, &self.url, self.clock.now())
    }

    /// Issues a certificate for the key `spki` to a build.
    pub(super) fn issue_build_certificate(
        &self,
        identity: Identity,
        claims: BuildClaims,
        spki: &[u8],
    ) -> Result<Vec<Vec<u8>>, IssueError> {
        let profile = LeafProfile::new(identity, &self.url, self.clock.now());
        self.issue_certificate_as(spki, &LeafProfile { claims, ..profile })
    }

    /// Issues a certificate for the key `spki` (DER SubjectPublicKeyInfo), as Fulcio would now.
    ///
    /// Returns leaf, intermediate and root, each DER.
    pub fn issue_certificate(
        &self,
        identity: impl Into<Identity>,
        spki: &[u8],
    ) -> Result<Vec<Vec<u8>>, IssueError> {
        self.issue_certificate_as(spki, &LeafProfile::new(identity.into(), &self.url, self.clock.now()))
    }

    /// Issues a certificate of any shape, for tests of those who have to refuse it.
    pub fn issue_certificate_as(
        &self,
        spki: &[u8],
        profile: &LeafProfile,
    ) -> Result<Vec<Vec<u8>>, IssueError> {
        self.certificates.issue(spki, profile)
    }

    /// The intermediate and the root of the certificate authority, each DER.
    pub fn certificate_chain(&self) -> [&[u8]; 2] {
        [&self.certificates.intermediate, &self.certificates.root]
    }

    /// The leaf and the root of the timestamp authority, each DER.
    pub fn timestamp_chain(&self) -> [&[u8]; 2] {
        [&self.timestamps.leaf, &self.timestamps.root]
    }

    /// Logs an entry in the Rekor v1 log.
    pub fn rekor_v1_add(&self, rekord: &HashedRekord) -> Result<RekorV1Entry, RekorV1Error> {
        self.rekor_v1.add(rekord, self.clock.now())
    }

    /// The entry of the Rekor v1 log at an index, proven in the tree as it is now.
    pub fn rekor_v1_entry(&self, index: u64) -> Option<RekorV1Entry> {
        self.rekor_v1.entry_at(index)
    }

    /// Logs an entry in the Rekor v2 log.
    pub fn rekor_v2_add(&self, rekord: &HashedRekord) -> Result<RekorV2Entry, RekorV2Error> {
        self.rekor_v2.add(rekord, self.clock.now())
    }

    /// Answers a TimeStampReq (DER) with a TimeStampResp (DER).
    pub fn timestamp(&self, request: &[u8]) -> Result<Vec<u8>, TimestampError> {
        self.timestamps.answer(request, self.clock.now())
    }

    /// A timestamp token (DER ContentInfo) over SHA-256 of `message`.
    pub fn timestamp_token(&self, message: &[u8]) -> Result<Vec<u8>, TimestampError> {
        self.timestamps.token_over(message, self.clock.now())
    }

    /// The private key of a role, to make evidence that is wrong on purpose.
    pub fn signing_key(&self, role: Role) -> &SigningKey {
        match role {
            Role::IdentityProvider => &self.identity_key,
            Role::CertificateRoot => &self.certificates.root_key,
            Role::CertificateIntermediate => &self.certificates.intermediate_key,
            Role::CertificateTransparencyLog => &self.certificates.timestamp_log_key,
            Role::RekorV1 => &self.rekor_v1.key,
            Role::RekorV2 => &self.rekor_v2.key,
            Role::TimestampRoot => &self.timestamps.root_key,
            Role::TimestampAuthority => &self.timestamps.key,
        }
    }

    /// The trusted root as JSON.
    pub fn trusted_root_json(&self) -> String {
        format!("{:#}\n", self.published().trusted_root())
    }

    /// The signing config as JSON.
    pub fn signing_config_json(&self) -> String {
        format!("{:#}\n", self.published().signing_config(self.rekor))
    }

    /// Files that let others trust the authority: name and content.
    pub(super) fn trust_files(&self) -> Vec<(&'static str, String)> {
        let chain = |chain: [&[u8]; 2]| chain.map(|der| pem::encode("CERTIFICATE", der)).concat();
        vec![
            ("trusted_root.json", self.trusted_root_json()),
            ("signing_config.json", self.signing_config_json()),
            (trust::FULCIO_ROOT_FILE, chain(self.certificate_chain())),
            (trust::TIMESTAMP_CHAIN_FILE, chain(self.timestamp_chain())),
            (trust::REKOR_KEY_FILE, self.rekor_v1.key.public_key_pem()),
            (trust::TIMESTAMP_LOG_KEY_FILE, self.certificates.timestamp_log_key.public_key_pem()),
        ]
    }

    fn published(&self) -> Published<'_> {
        Published {
            url: &self.url,
            since: self.state.settings.created,
            rekor_v1: &self.rekor_v1.key,
            rekor_v2: &self.rekor_v2.key,
            rekor_v2_id: self.rekor_v2.log_id(),
            timestamp_log: &self.certificates.timestamp_log_key,
            certificate_authority: self.certificate_chain(),
            timestamp_authority: self.timestamp_chain(),
        }
    }
}

/// The kept certificates of these names, or new ones.
fn chain(
    state: &State,
    names: [&str; 2],
    make: impl FnOnce() -> der::Result<[Vec<u8>; 2]>,
) -> Result<[Vec<u8>; 2], AuthorityError> {
    if let (Some(first), Some(second)) = (state.certificate(names[0])?, state.certificate(names[1])?) {
        return Ok([first, second]);
    }
    let made = make()?;
    for (name, der) in names.iter().zip(&made) {
        state.keep_certificate(name, der)?;
    }
    Ok(made)
}
