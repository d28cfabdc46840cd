//! Making one signature: from configuration to plan, from login to armor, checked before it is used.

use std::{ffi::OsStr, path::PathBuf, sync::Arc, time::Duration};

use super::{
    World,
    agent::{self, Through},
    consent,
    git_program::committer_address,
    gitsign,
    kept_certificate::Shelf,
    login, own_key, settings, transport,
    trust::roots,
};
use crate::{
    agent::{
        payload::{Kind, Signable},
        protocol::Holder,
    },
    identity::{self, BrowserOptions, CHOICES, Claims, Demands, Login, Opener, Provider, Token, Variables},
    object::Payload,
    repository::{Configuration, Scopes},
    service::{
        http::{Bounds, Http},
        tls::TlsFiles,
    },
    sign::{
        LogService, Logging, Objection, Preference, RekorVersion, SignError, Signer, SigningPlan,
        login_issuer, rekor_v1_urls as urls_of_rekor_v1,
    },
    sigstore::{
        certificate::SubjectKind,
        trusted_root::{Instance, PUBLIC_GOOD, STAGING},
    },
    verify::{Certified, Identity, Verdict, Verifier},
    words::{self, Failure},
};

/// A signature for git.
pub(super) struct Signed {
    /// The armor, one line feed at its end.
    pub(super) armor: Vec<u8>,
    /// Fingerprint of the certificate, upper-case hexadecimal.
    pub(super) fingerprint: String,
    /// What the person should hear besides.
    pub(super) warnings: Vec<Failure>,
}

/// Where to sign, and where and how to get an identity.
pub(super) struct Access {
    /// The instance's name.
    pub(super) instance: String,
    /// Its services.
    pub(super) plan: SigningPlan,
    /// The way to all of them.
    pub(super) http: Arc<Http>,
    /// By which files that goes.
    pub(super) tls: TlsFiles,
    /// Where to look for an identity, and how to log in.
    pub(super) options: identity::Options,
    /// What the environment says about identity.
    pub(super) environment: identity::Environment,
}

impl Access {
    /// An identity that is given or around, without asking anyone.
    pub(super) fn find(&self, now: i64) -> Result<Option<Token>, Failure> {
        identity::find(&self.http, &self.options, &self.environment, now).map_err(login::no_identity)
    }
}

/// Sign `payload` as configured, where git asks for the signing key `key`. Nothing is returned that has not been verified.
pub(super) fn sign(
    world: &World<'_>,
    configuration: &Configuration,
    payload: &[u8],
    key: Option<&OsStr>,
) -> Result<Signed, Failure> {
    let settings = Settings { world, configuration };
    gitsign::refuse(&world.environment, configuration)?;
    let mut demands = settings.demands()?;
    let signable = Signable::parse(payload).ok();
    // Nobody commits an approval.
    demands.committer &= !signable.as_ref().is_some_and(|signable| signable.kind == Kind::Approval);
    // What no agent signs may still say whose it is.
    let named = if signable.is_none() { committer_address(payload) } else { None };
    let address = signable.as_ref().and_then(|signable| signable.address).or(named.as_deref());
    let own = match own_key::named(configuration, key)? {
        Some(reference) => Some(own_key::open(world, configuration, &reference)?),
        None => None,
    };
    if let Some(own) = &own
        && let Some(signed) = own.sign(world, payload, &demands, address)?
    {
        return Ok(signed);
    }
    let name = instance_name(configuration);
    let instance = settings.instance(name)?;
    let mut access = settings.access(name)?;
    let verifier = Verifier::new(vec![instance]);
    let may_be_unlogged = access.plan.logging != Logging::Required;
    let check = |payload: &[u8], armor: &[u8], login: Option<&Claims>| -> Result<_, Objection> {
        match verifier.verify(&Payload::whole(payload), armor, (world.clock)()) {
            Verdict::Good(proven) => {
                is_who_logged_in(proven.identity(), login)?;
                Ok(Found::new(&proven, proven.time(), true))
            }
            Verdict::NotLogged(signed) if may_be_unlogged => {
                is_who_logged_in(signed.identity(), login)?;
                Ok(Found::new(&signed, signed.time(), false))
            }
            Verdict::NotLogged(_) => Err("it is in no log".into()),
            Verdict::Stated(_) | Verdict::TimeNotProven(_) => Err("it proves no time".into()),
            Verdict::Bad(bad) => Err(bad.to_string().into()),
            Verdict::CannotTell(cause) => Err(cause.to_string().into()),
        }
    };

    let found = access.find(world.now)?;
    if let Some(token) = &found {
        settings.consider(&access, &demands, token.claims(), Some(address))?;
    }
    // The agent keeps fresh keys; one of the user's own has a keeper already.
    let through = match &own {
        Some(_) => Through::Without { token: None, warning: None },
        None => agent::sign(&settings, &mut access, &demands, found.as_ref(), payload, signable.as_ref())?,
    };
    let (token, warning) = match through {
        Through::Signed { armor, holder, warning } => {
            // Where a token is at hand, whose signature it is is not the agent's to say.
            let login = found.map(|token| token.claims().clone()).or_else(|| holder.map(Holder::into_claims));
            let found = check(payload, &armor, login.as_ref())
                .map_err(|objection| sign_failure(SignError::Check(objection)))?;
            let admitted = demands.admit(&found.claims(login), address);
            admitted.map_err(|error| sign_failure(SignError::Identity(error.into())))?;
            let warnings = warning.into_iter().chain(found.warnings(&access.plan, (world.clock)())).collect();
            return Ok(Signed { armor, fingerprint: hex::encode_upper(found.fingerprint), warnings });
        }
        Through::Without { token, warning } => (found.or(token), warning),
    };
    let shelf = match &own {
        Some(own) if token.is_none() => Shelf::new(world, &access, &demands, &*own.key),
        _ => None,
    };
    let kept = own.as_ref().zip(shelf.as_ref()).and_then(|(own, shelf)| shelf.take(&own.key, world.now));
    if let Some(kept) = &kept {
        settings.consider(&access, &demands, kept.claims(), Some(address))?;
    }
    let log_in = |access: &mut Access| -> Result<Token, Failure> {
        // What an agent had against it may be all that there is to mend.
        let token = login::log_in(world, access).map_err(|failure| match &warning {
            Some(warning) => warning.hints.iter().fold(failure.hint(&warning.error), Failure::hint),
            None => failure,
        })?;
        settings.consider(access, &demands, token.claims(), Some(address))?;
        Ok(token)
    };
    let token = match token {
        None if kept.is_none() => Some(log_in(&mut access)?),
        token => token,
    };
    let signer = Signer::new(Arc::clone(&access.http), access.plan.clone());
    let admit = |claims: &Claims| Ok(demands.admit(claims, address)?);
    let session = match (kept, &token, &own) {
        (Some(kept), ..) => kept,
        (None, Some(token), Some(own)) => {
            let session = signer.open_with(Arc::clone(&own.key), token, &admit).map_err(sign_failure)?;
            if let Some(shelf) = &shelf {
                shelf.put(&session);
            }
            session
        }
        (None, Some(token), None) => signer.open(token, &admit).map_err(sign_failure)?,
        (None, None, _) => unreachable!("whoever keeps nothing has logged in"),
    };
    let claims = session.claims();
    let proven = std::cell::OnceCell::new();
    let check = |payload: &[u8], armor: &[u8]| -> Result<(), Objection> {
        let found = check(payload, armor, Some(claims))?;
        proven.set(found).map_err(|_| "it was made twice".into())
    };
    // A person may have taken minutes to log in.
    let signature = signer.sign(&session, payload, (world.clock)(), &check).map_err(sign_failure)?;
    let found = proven.into_inner().expect("what was signed has been checked");
    let warnings = warning.into_iter().chain(found.warnings(&access.plan, (world.clock)())).collect();
    Ok(Signed { armor: signature.armor, fingerprint: hex::encode_upper(found.fingerprint), warnings })
}

/// What a new signature comes to.
#[derive(Debug)]
struct Found {
    /// SHA-256 of the certificate.
    fingerprint: [u8; 32],
    /// Whom the certificate is for.
    identity: Identity,
    /// The proven time.
    time: i64,
    is_logged: bool,
}

impl Found {
    fn new(signed: &Certified, time: i64, is_logged: bool) -> Self {
        let (fingerprint, identity) = (*signed.certificate_digest(), signed.identity().clone());
        Self { fingerprint, identity, time, is_logged }
    }

    /// Whose signature it is: by the certificate, and only where that has no e-mail address by the `login` that is
    /// known to be behind it, for how authorities name workflows and machines is not known here.
    fn claims(&self, login: Option<Claims>) -> Claims {
        let Identity { issuer, subject, kind, .. } = self.identity.clone();
        let email = (kind == SubjectKind::Email).then(|| subject.clone());
        match login.filter(|_| email.is_none()) {
            Some(login) => login,
            None => Claims { issuer, subject, email, audience: Vec::new(), expires: 0 },
        }
    }

    /// What the person should hear, now that it is `now`.
    fn warnings(&self, plan: &SigningPlan, now: i64) -> Vec<Failure> {
        // Whoever wants no log has said so; whoever wants one hears each time that there is none.
        let unlogged = (!self.is_logged && plan.logging == Logging::WhereItAnswers).then(|| {
            Failure::new(
                "the transparency log does not answer: the signature has a timestamp alone, and is in no log",
                "policies refuse such signatures unless they say otherwise; sign it again when the log answers",
            )
        });
        unlogged.into_iter().chain(clock_warning(self.time, now)).collect()
    }
}

/// How many seconds this machine's clock may be off before that is said.
const CLOCK_TOLERANCE: i64 = 120;

/// What is to be said of this machine's clock, which shows `now`, where others have proven `time` just now.
fn clock_warning(time: i64, now: i64) -> Option<Failure> {
    let off = now.saturating_sub(time);
    let direction = if off > 0 { "ahead of" } else { "behind" };
    (off.abs() > CLOCK_TOLERANCE).then(|| {
        Failure::new(
            format!("this machine's clock is {} seconds {direction} the one that proves the time", off.abs()),
            "set it right: certificates last for minutes only",
        )
    })
}

/// Whether the certificate is for the e-mail address that the token of a `login` that is known is for. The authority
/// was trusted with the token, not with the choice of whose signature this becomes; how it names workflows and
/// machines is not known here.
fn is_who_logged_in(identity: &Identity, login: Option<&Claims>) -> Result<(), Objection> {
    let Some(login) = login else { return Ok(()) };
    if identity.kind == SubjectKind::Email && login.email.as_ref() != Some(&identity.subject) {
        return Err(format!(
            "it is by '{}', and the login is for '{}'",
            words::escape(&identity.subject),
            words::escape(login.name())
        )
        .into());
    }
    Ok(())
}

/// Where the logs of `instance` are that can be searched: a log that the configuration names for the instance
/// that is signed with, else those of its signing config, else all of its trusted root. Never the
/// repository's own word.
pub(super) fn rekor_v1_urls(
    world: &World<'_>,
    configuration: &Configuration,
    instance: &Instance,
) -> Result<Vec<String>, Failure> {
    let settings = Settings { world, configuration };
    let named = settings.either(
        "countersign.rekor",
        &["GITSIGN_REKOR_URL", "SIGSTORE_REKOR_URL"],
        &["gitsign.rekor"],
    );
    if let Some(url) = named.filter(|_| instance.name() == instance_name(configuration)) {
        return Ok(vec![url]);
    }
    let offered = settings.offered_signing_config(instance.name())?;
    let offered = offered.map(|json| urls_of_rekor_v1(&json)).transpose().map_err(|error| {
        Failure::new(
            format!("instance '{}': {error}", instance.name()),
            "get the signing config again from whoever runs the instance",
        )
    })?;
    if let Some(urls) = offered.filter(|urls| !urls.is_empty()) {
        return Ok(urls);
    }
    let mut urls: Vec<String> = instance.logs.iter().map(|log| log.base_url.clone()).collect();
    urls.retain(|url| url.starts_with("https://") || url.starts_with("http://"));
    urls.dedup();
    Ok(urls)
}

/// Whether refresh tokens are asked for and kept.
pub(super) fn keeps_refresh_tokens(configuration: &Configuration) -> Result<bool, Failure> {
    let value = configuration.boolean("countersign.refreshToken", Scopes::Protected);
    Ok(value.map_err(|error| Failure::new(error, "set it to true or false"))?.unwrap_or(false))
}

/// The instance that is signed with.
pub(super) fn instance_name(configuration: &Configuration) -> &str {
    let name = configuration.text("countersign.instance", Scopes::Protected);
    name.filter(|name| !name.is_empty()).unwrap_or(PUBLIC_GOOD)
}

pub(super) fn sign_failure(error: SignError) -> Failure {
    let hint = match &error {
        SignError::Identity(_) => {
            "log in as the committer, or set 'user.email' to the address you log in with"
        }
        SignError::Check(_) => {
            "nothing was written; the trusted root does not fit the servers: \
             check 'countersign.instance' and its trusted root"
        }
        _ if error.retryable() => "nothing was written; try again in a moment",
        _ => "nothing was written; check 'countersign.instance' and the network",
    };
    Failure::new(error, hint)
}

/// What the environment says about identity.
pub(super) fn identity_environment(world: &World<'_>) -> identity::Environment {
    let environment = &world.environment;
    let text = |name: &str| environment.text(name).map(str::to_owned);
    let variables = environment.iter().filter_map(|(name, value)| name.to_str().zip(value.to_str()));
    identity::Environment {
        sigstore_id_token: text("SIGSTORE_ID_TOKEN"),
        variables: Variables::new(variables.map(|(name, value)| (name.to_owned(), value.to_owned()))),
        browser: text("BROWSER"),
    }
}

/// Configuration and environment, asked in gitsign's order: our key, then the environment, then gitsign's key.
pub(super) struct Settings<'a, 'w> {
    pub(super) world: &'a World<'w>,
    pub(super) configuration: &'a Configuration,
}

impl Settings<'_, '_> {
    /// Where to sign with the instance `name`, and where and how to get an identity.
    pub(super) fn access(&self, name: &str) -> Result<Access, Failure> {
        gitsign::refuse(&self.world.environment, self.configuration)?;
        let (plan, issuer) = self.plan(name)?;
        let tls = transport::files(self.world, self.configuration, name)?;
        Ok(Access {
            instance: name.to_owned(),
            plan,
            http: Arc::new(transport::client(&tls, Bounds::default())?),
            tls,
            options: self.identity_options(issuer)?,
            environment: identity_environment(self.world),
        })
    }

    /// Whether to sign as who `claims` name, for a payload of the committer at `address`, or for none yet, and
    /// whether what that publishes may be published. Asked before there is a certificate or a log entry,
    /// whichever way the identity came and wherever it goes.
    pub(super) fn consider(
        &self,
        access: &Access,
        demands: &Demands,
        claims: &Claims,
        address: Option<Option<&[u8]>>,
    ) -> Result<(), Failure> {
        let mut demands = demands.clone();
        // Where nothing is signed yet, nobody has committed anything.
        demands.committer &= address.is_some();
        let admitted = demands.admit(claims, address.flatten());
        admitted.map_err(|error| sign_failure(SignError::Identity(error.into())))?;
        if consent::is_public(&access.instance, &access.plan) {
            consent::require(self.world, self.configuration, claims)?;
        }
        Ok(())
    }

    /// Whose signatures are wanted.
    pub(super) fn demands(&self) -> Result<Demands, Failure> {
        // Making the check stricter is open to every scope; taking it back is not.
        let mut committer = false;
        for key in ["countersign.matchCommitter", "gitsign.matchCommitter"] {
            for scopes in [Scopes::Protected, Scopes::Any] {
                let value = self.configuration.boolean(key, scopes);
                let value = value.map_err(|error| Failure::new(error, "set it to true or false"))?;
                committer |= value.unwrap_or(false);
            }
        }
        Ok(Demands { identity: self.setting("countersign.identity", &[]), committer })
    }

    /// The value of our own `key`, else of the first of `variables`, else of the first of `keys`.
    fn either(&self, key: &str, variables: &[&str], keys: &[&str]) -> Option<String> {
        let configured = |key: &str| {
            self.configuration.text(key, Scopes::Protected).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        configured(key)
            .or_else(|| {
                variables.iter().find_map(|name| self.world.environment.text(name).map(str::to_owned))
            })
            .or_else(|| keys.iter().find_map(|key| configured(key)))
    }

    pub(super) fn setting(&self, key: &str, keys: &[&str]) -> Option<String> {
        self.either(key, &[], keys)
    }

    pub(super) fn file(&self, key: &str, keys: &[&str]) -> Result<Option<PathBuf>, Failure> {
        for key in std::iter::once(&key).chain(keys) {
            if let Some(path) = settings::path(self.world, self.configuration, key)? {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    fn instance(&self, name: &str) -> Result<Instance, Failure> {
        match roots::resolve(self.world, self.configuration, name)? {
            Some(root) => Ok(root.instance),
            None => Err(Failure::new(
                format!("the instance '{name}' has no trusted root"),
                format!(
                    "set 'countersign.{name}.trustedRoot' to the path of its trusted_root.json \
                     with 'git config --global'"
                ),
            )
            .hint(format!("or keep it with 'countersign trust add {name}'"))),
        }
    }

    /// Where to sign, and where to log in.
    fn plan(&self, name: &str) -> Result<(SigningPlan, Option<String>), Failure> {
        let issuer = self.either(
            "countersign.issuer",
            &["GITSIGN_OIDC_ISSUER", "SIGSTORE_OIDC_ISSUER"],
            &["gitsign.issuer"],
        );
        let fulcio = self.either(
            "countersign.fulcio",
            &["GITSIGN_FULCIO_URL", "SIGSTORE_FULCIO_URL"],
            &["gitsign.fulcio"],
        );
        let rekor = self.either(
            "countersign.rekor",
            &["GITSIGN_REKOR_URL", "SIGSTORE_REKOR_URL"],
            &["gitsign.rekor"],
        );
        let timestamp = self.either(
            "countersign.timestampServerURL",
            &["GITSIGN_TIMESTAMP_SERVER_URL", "SIGSTORE_TIMESTAMP_SERVER_URL"],
            &["gitsign.timestampServerURL"],
        );
        let version = self.either(
            "countersign.rekorVersion",
            &["GITSIGN_REKOR_VERSION", "SIGSTORE_REKOR_VERSION"],
            &["gitsign.rekorVersion"],
        );
        let logging = self.logging()?;
        let (mut plan, offered) = match (fulcio, rekor) {
            (Some(fulcio), rekor) if rekor.is_some() || logging == Logging::Never => {
                let version = match version.as_deref() {
                    None | Some("1") => RekorVersion::V1,
                    _ => RekorVersion::V2,
                };
                let rekor = rekor.filter(|_| logging != Logging::Never);
                let logs: Vec<_> = rekor.into_iter().map(|url| LogService { url, version }).collect();
                if timestamp.is_none() && (logging != Logging::Required || version == RekorVersion::V2) {
                    let cause = match logging {
                        Logging::Required => "Rekor v2 proves no time",
                        _ => "without a log nothing proves the time",
                    };
                    return Err(Failure::new(
                        format!("{cause}, and no timestamp authority is configured"),
                        "set 'countersign.timestampServerURL'",
                    ));
                }
                (SigningPlan { fulcio, logs, timestamps: Vec::new(), logging }, None)
            }
            (None, None) => {
                let preference = match version.as_deref() {
                    None => Preference::Interoperable,
                    Some("1") => Preference::RekorV1,
                    Some("2") => Preference::RekorV2,
                    Some(other) => {
                        return Err(Failure::new(
                            format!("there is no Rekor version '{other}'"),
                            "set 'countersign.rekorVersion' to 1 or 2",
                        ));
                    }
                };
                let json = self.signing_config(name)?;
                let failed = |error| {
                    Failure::new(
                        format!("instance '{name}': {error}"),
                        "get the signing config again from whoever runs the instance",
                    )
                };
                let plan = SigningPlan::select(&json, self.world.now, preference, logging);
                (plan.map_err(failed)?, login_issuer(&json, self.world.now).map_err(failed)?)
            }
            _ => {
                return Err(Failure::new(
                    "of certificate authority and log only one is configured",
                    "set both 'countersign.fulcio' and 'countersign.rekor', or neither",
                ));
            }
        };
        if let Some(url) = timestamp {
            if plan.timestamps.len() > 1 {
                return Err(Failure::new(
                    format!(
                        "the signing config asks for {} timestamps, and one is configured",
                        plan.timestamps.len()
                    ),
                    "unset 'countersign.timestampServerURL'",
                ));
            }
            plan.timestamps = vec![url];
        }
        Ok((plan, issuer.or(offered)))
    }

    /// Whether a signature has to be in a log.
    fn logging(&self) -> Result<Logging, Failure> {
        match self.setting("countersign.log", &[]).as_deref() {
            None | Some("required") => Ok(Logging::Required),
            Some("optional") => Ok(Logging::WhereItAnswers),
            Some("never") => Ok(Logging::Never),
            Some(other) => Err(Failure::new(
                format!("'countersign.log' is '{other}', which it cannot be"),
                "set it to required, optional or never",
            )),
        }
    }

    fn signing_config(&self, name: &str) -> Result<String, Failure> {
        self.offered_signing_config(name)?.ok_or_else(|| {
            Failure::new(
                format!("the instance '{name}' has no signing config"),
                format!(
                    "set 'countersign.{name}.signingConfig' to the path of its signing_config.json with \
                     'git config --global'"
                ),
            )
        })
    }

    fn offered_signing_config(&self, name: &str) -> Result<Option<String>, Failure> {
        let key = format!("countersign.{name}.signingConfig");
        Ok(match settings::path(self.world, self.configuration, &key)? {
            Some(file) => Some(settings::read(&file, "signing config")?),
            None if name == PUBLIC_GOOD => {
                Some(sigstore_trust_root::SIGSTORE_PRODUCTION_SIGNING_CONFIG.to_owned())
            }
            None if name == STAGING => Some(sigstore_trust_root::SIGSTORE_STAGING_SIGNING_CONFIG.to_owned()),
            None => None,
        })
    }

    fn identity_options(&self, issuer: Option<String>) -> Result<identity::Options, Failure> {
        let mut provider = Provider::new(issuer.clone().unwrap_or_default());
        if let Some(client) = self.either(
            "countersign.clientID",
            &["GITSIGN_OIDC_CLIENT_ID", "SIGSTORE_OIDC_CLIENT_ID"],
            &["gitsign.clientID"],
        ) {
            provider.client_id = client;
        }
        let secret_file = match self.file("countersign.clientSecretFile", &[])? {
            Some(file) => Some(file),
            None => ["GITSIGN_OIDC_CLIENT_SECRET_FILE", "SIGSTORE_OIDC_CLIENT_SECRET_FILE"]
                .iter()
                .find_map(|name| self.world.environment.get(name))
                .map(|file| self.world.directory.join(file))
                .map_or_else(|| self.file("gitsign.clientSecretFile", &[]), |file| Ok(Some(file)))?,
        };
        if let Some(file) = secret_file {
            let secret = settings::read(&file, "client secret")?;
            provider.client_secret = Some(secret.trim().to_owned().into());
        }
        provider.connector_id = self.either(
            "countersign.connectorID",
            &["GITSIGN_CONNECTOR_ID", "SIGSTORE_CONNECTOR_ID"],
            &["gitsign.connectorID"],
        );
        provider.login_hint = self.setting("countersign.identity", &[]);
        provider.offline = keeps_refresh_tokens(self.configuration)?;
        let mut options = identity::Options::new(provider);
        options.token_file = self.file("countersign.tokenFile", &[])?;
        let choice = self.setting("countersign.ambient", &[]);
        if let Some(choice) = choice.or(self.token_provider()?.map(|provider| provider.ambient.to_owned())) {
            options.ambient = choice.parse().map_err(|error| {
                Failure::new(format!("'countersign.ambient': {error}"), format!("set it to {CHOICES}"))
            })?;
        }
        if let Some(audience) = self.setting("countersign.audience", &[]) {
            options.audience = audience;
        }
        options.login = if issuer.is_some() { self.login()? } else { None };
        Ok(options)
    }

    /// What gitsign's choice of a provider comes to, where it has been made.
    fn token_provider(&self) -> Result<Option<gitsign::TokenProvider>, Failure> {
        let variables = ["GITSIGN_TOKEN_PROVIDER", "SIGSTORE_TOKEN_PROVIDER"];
        let variable = variables.iter().find_map(|name| self.world.environment.text(name).map(str::to_owned));
        let chosen = variable.or_else(|| self.setting("gitsign.tokenProvider", &[]));
        let meant = chosen.map(|chosen| gitsign::token_provider(&chosen)).transpose();
        // What takes its place is set already.
        let is_replaced =
            ["countersign.ambient", "countersign.login"].iter().any(|key| self.setting(key, &[]).is_some());
        if is_replaced { Ok(meant.unwrap_or_default()) } else { meant }
    }

    /// After how long the page at the end of a login closes itself.
    fn close_after(&self) -> Result<Option<Duration>, Failure> {
        let closes = self.either(
            "countersign.autoclose",
            &["GITSIGN_AUTOCLOSE", "SIGSTORE_AUTOCLOSE"],
            &["gitsign.autoclose"],
        );
        if closes.is_some_and(|closes| ["false", "no", "off", "0"].contains(&closes.to_lowercase().as_str()))
        {
            return Ok(None);
        }
        let seconds = self.either(
            "countersign.autocloseTimeout",
            &["GITSIGN_AUTOCLOSE_TIMEOUT", "SIGSTORE_AUTOCLOSE_TIMEOUT"],
            &["gitsign.autocloseTimeout"],
        );
        let Some(seconds) = seconds else { return Ok(BrowserOptions::default().close_after) };
        let wait = seconds.parse::<u16>().ok().filter(|seconds| *seconds > 0).ok_or_else(|| {
            Failure::new(
                format!("'countersign.autocloseTimeout' or gitsign's is '{seconds}'"),
                "set it to a number of seconds, or 'countersign.autoclose' to false",
            )
        })?;
        Ok(Some(Duration::from_secs(wait.into())))
    }

    /// How a person would log in here, if one is here.
    fn login(&self) -> Result<Option<Login>, Failure> {
        let opener = self.either(
            "countersign.urlOpener",
            &["GITSIGN_URL_OPENER", "SIGSTORE_URL_OPENER"],
            &["gitsign.urlOpener"],
        );
        let browser = |opener: Opener| -> Result<Option<Login>, Failure> {
            let close_after = self.close_after()?;
            // Whoever has not asked for a browser gets a device code where none comes up.
            let may_be_opened_by_hand = self.setting("countersign.login", &[]).is_some();
            let mut options =
                BrowserOptions { opener, close_after, may_be_opened_by_hand, ..BrowserOptions::default() };
            if let Some(url) = self.either(
                "countersign.redirectURL",
                &["GITSIGN_OIDC_REDIRECT_URL", "SIGSTORE_OIDC_REDIRECT_URL"],
                &["gitsign.redirectURL"],
            ) {
                let parsed = url.parse().map_err(|error| {
                    Failure::new(
                        format!("the redirect URL '{url}': {error}"),
                        "write it as 'http://localhost:PORT/auth/callback'",
                    )
                })?;
                options.redirect_url = Some(parsed);
            }
            Ok(Some(Login::Browser(options)))
        };
        let device = Login::Device { wait: Duration::from_secs(300) };
        // A provider that is not a person is the only one that gitsign would ask.
        let named = self.setting("countersign.login", &[]);
        let theirs = self.token_provider()?.map(|provider| provider.login.to_owned());
        match named.or(theirs).as_deref() {
            Some("none") => return Ok(None),
            Some("device") => return Ok(Some(device)),
            None | Some("browser") => {}
            Some(other) => {
                return Err(Failure::new(
                    format!("there is no way to log in called '{other}'"),
                    "set 'countersign.login' to browser, device or none",
                ));
            }
        }
        if let Some(line) = opener {
            let opener = Opener::command(&line).map_err(|error| {
                Failure::new(error, "set 'countersign.urlOpener' to a program and its arguments")
            })?;
            return browser(opener);
        }
        let has_desktop = cfg!(any(target_os = "macos", windows))
            || ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER"]
                .iter()
                .any(|name| self.world.environment.get(name).is_some_and(|value| value != OsStr::new("")));
        if has_desktop { browser(Opener::Desktop) } else { Ok(login::has_terminal().then_some(device)) }
    }
}
