//! Making one signature: from configuration to plan, from login to armor, checked before it is used.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Write as _},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{World, git_program::committer_address, settings, trust::roots};
use crate::{
    identity::{self, BrowserOptions, Claims, GitHubActions, Login, Notice, Opener, Prompter, Provider},
    object::Payload,
    repository::{Configuration, Scopes},
    service::http::Http,
    sign::{
        LogPlan, Objection, Preference, SignError, Signer, SigningPlan, login_issuer,
        rekor_v1_urls as urls_of_rekor_v1,
    },
    sigstore::{
        certificate::SubjectKind,
        trusted_root::{Instance, PUBLIC_GOOD, STAGING},
    },
    verify::{Identity, Verdict, Verifier},
    words::{self, Failure},
};

/// A signature for git.
pub(super) struct Signed {
    /// The armor, one line feed at its end.
    pub(super) armor: Vec<u8>,
    /// Fingerprint of the certificate, upper-case hexadecimal.
    pub(super) fingerprint: String,
}

/// Sign `payload` as configured. Nothing is returned that has not been verified.
pub(super) fn sign(
    world: &World<'_>,
    configuration: &Configuration,
    payload: &[u8],
) -> Result<Signed, Failure> {
    let settings = Settings { world, configuration };
    let begun = Instant::now();
    let name = instance_name(configuration);
    let instance = settings.instance(name)?;
    let (plan, issuer) = settings.plan(name)?;
    let http = Arc::new(Http::default());
    let options = settings.identity_options(issuer)?;
    let token = identity::obtain(&http, &options, &settings.identity_environment(), &Terminal, world.now)
        .map_err(|error| {
            Failure::new(error, "log in where a browser can open, or give a token in 'SIGSTORE_ID_TOKEN'")
        })?;

    // A person may have taken minutes to log in.
    let waited = i64::try_from(begun.elapsed().as_secs()).unwrap_or(i64::MAX);
    let now = world.now.saturating_add(waited);
    let signer = Signer::new(http, plan);
    let admit = |claims: &Claims| settings.admit(claims, payload);
    let session = signer.open(&token, &admit).map_err(sign_failure)?;
    let verifier = Verifier::new(vec![instance]);
    let check = |payload: &[u8], armor: &[u8]| -> Result<(), Objection> {
        match verifier.verify(&Payload::whole(payload), armor, now) {
            Verdict::Good(proven) => is_who_logged_in(proven.identity(), session.claims()),
            Verdict::Stated(_) | Verdict::TimeNotProven(_) => Err("it proves no time".into()),
            Verdict::Bad(bad) => Err(bad.to_string().into()),
            Verdict::CannotTell(cause) => Err(cause.to_string().into()),
        }
    };
    let signature = signer.sign(&session, payload, now, &check).map_err(sign_failure)?;
    let digest = crate::encoding::sha256(&[&session.certificate().leaf]);
    Ok(Signed { armor: signature.armor, fingerprint: hex::encode_upper(digest) })
}

/// Whether the certificate is for the e-mail address that the token is for. The authority was trusted with
/// the token, not with the choice of whose signature this becomes; how it names workflows and machines is
/// not known here.
fn is_who_logged_in(identity: &Identity, claims: &Claims) -> Result<(), Objection> {
    if identity.kind == SubjectKind::Email && claims.email.as_ref() != Some(&identity.subject) {
        return Err(format!(
            "it is by '{}', and the login is for '{}'",
            words::escape(&identity.subject),
            words::escape(claims.name())
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

/// The instance that is signed with.
pub(super) fn instance_name(configuration: &Configuration) -> &str {
    let name = configuration.text("countersign.instance", Scopes::Protected);
    name.filter(|name| !name.is_empty()).unwrap_or(PUBLIC_GOOD)
}

fn sign_failure(error: SignError) -> Failure {
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

/// Configuration and environment, asked in gitsign's order: our key, then the environment, then gitsign's key.
struct Settings<'a, 'w> {
    world: &'a World<'w>,
    configuration: &'a Configuration,
}

impl Settings<'_, '_> {
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

    fn setting(&self, key: &str, keys: &[&str]) -> Option<String> {
        self.either(key, &[], keys)
    }

    fn file(&self, key: &str, keys: &[&str]) -> Result<Option<PathBuf>, Failure> {
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
        let (mut plan, offered) = match (fulcio, rekor) {
            (Some(fulcio), Some(rekor)) => {
                let log = match version.as_deref() {
                    None | Some("1") => LogPlan::RekorV1 { rekor, timestamp: None },
                    _ => LogPlan::RekorV2 {
                        rekor,
                        timestamp: timestamp.clone().ok_or_else(|| {
                            Failure::new(
                                "Rekor v2 proves no time, and no timestamp authority is configured",
                                "set 'countersign.timestampServerURL'",
                            )
                        })?,
                    },
                };
                (SigningPlan { fulcio, log }, None)
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
                let plan = SigningPlan::from_signing_config(&json, self.world.now, preference);
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
            plan = plan.with_timestamp(url);
        }
        Ok((plan, issuer.or(offered)))
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

    fn identity_environment(&self) -> identity::Environment {
        let environment = &self.world.environment;
        let text = |name: &str| environment.text(name).map(str::to_owned);
        identity::Environment {
            sigstore_id_token: text("SIGSTORE_ID_TOKEN"),
            github_actions: text("ACTIONS_ID_TOKEN_REQUEST_URL")
                .zip(text("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
                .map(|(request_url, request_token)| GitHubActions { request_url, request_token }),
            browser: text("BROWSER"),
        }
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
        if let Some(file) = self.file("countersign.clientSecretFile", &["gitsign.clientSecretFile"])? {
            let secret = settings::read(&file, "client secret")?;
            provider.client_secret = Some(secret.trim().to_owned().into());
        }
        provider.connector_id = self.either(
            "countersign.connectorID",
            &["GITSIGN_CONNECTOR_ID", "SIGSTORE_CONNECTOR_ID"],
            &["gitsign.connectorID"],
        );
        provider.login_hint = self.setting("countersign.identity", &[]);
        let mut options = identity::Options::new(provider);
        options.token_file = self.file("countersign.tokenFile", &[])?;
        options.login = if issuer.is_some() { self.login()? } else { None };
        Ok(options)
    }

    /// How a person would log in here, if one is here.
    fn login(&self) -> Result<Option<Login>, Failure> {
        let opener = self.either(
            "countersign.urlOpener",
            &["GITSIGN_URL_OPENER", "SIGSTORE_URL_OPENER"],
            &["gitsign.urlOpener"],
        );
        let browser = |opener: Opener| -> Result<Option<Login>, Failure> {
            let mut options = BrowserOptions { opener, ..BrowserOptions::default() };
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
        match self.setting("countersign.login", &[]).as_deref() {
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
        if has_desktop { browser(Opener::Desktop) } else { Ok(Terminal::open().is_ok().then_some(device)) }
    }

    /// Whether the identity about to be used is the wanted one; asked before anything exists of it.
    fn admit(&self, claims: &Claims, payload: &[u8]) -> Result<(), Objection> {
        if let Some(wanted) = self.setting("countersign.identity", &[])
            && wanted != claims.name()
        {
            return Err(format!(
                "the login is for '{}', and 'countersign.identity' is '{wanted}'",
                words::escape(claims.name())
            )
            .into());
        }
        // Making the check stricter is open to every scope; taking it back is not.
        let mut match_committer = false;
        for key in ["countersign.matchCommitter", "gitsign.matchCommitter"] {
            for scopes in [Scopes::Protected, Scopes::Any] {
                match_committer |= self.configuration.boolean(key, scopes)?.unwrap_or(false);
            }
        }
        if match_committer {
            let committer = committer_address(payload).unwrap_or_default();
            if committer != claims.name().as_bytes() {
                return Err(format!(
                    "the login is for '{}', and the committer is '{}'",
                    words::escape(claims.name()),
                    words::escape_bytes(&committer)
                )
                .into());
            }
        }
        Ok(())
    }
}

/// The person's own terminal: git reads both of our output streams.
struct Terminal;

impl Terminal {
    fn open() -> io::Result<fs::File> {
        fs::OpenOptions::new().write(true).open("/dev/tty")
    }
}

/// Tell the person at the terminal something that nobody else would.
pub(super) fn tell_terminal(text: &str) -> io::Result<()> {
    Terminal::open()?.write_all(text.as_bytes())
}

impl Prompter for Terminal {
    fn show(&self, notice: Notice<'_>) -> io::Result<()> {
        let text = match notice {
            Notice::Browser { url } => {
                format!(
                    "countersign: log in with your browser; if none opens, go to\n  {}\n",
                    words::escape(url.as_str())
                )
            }
            Notice::Device { url, code, complete } => {
                let link = complete.map(|link| format!(" (or {})", words::escape(link))).unwrap_or_default();
                format!(
                    "countersign: to log in, go to\n  {}{link}\nand enter the code {}\n",
                    words::escape(url),
                    words::escape(code)
                )
            }
        };
        Self::open()?.write_all(text.as_bytes())
    }
}
