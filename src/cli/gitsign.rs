//! gitsign's settings and variables: which of them work here, and what stands in the place of the others.
//!
//! One table, for signing, `init` and `doctor`. A setting that decides about trust and does not work here
//! is refused, not passed over: whoever set it expects it to hold.

use std::{fs, io::Write as _, path::PathBuf};

use super::{Environment, World, settings};
use crate::{
    repository::{Configuration, Scope, Scopes},
    words::Failure,
};

/// A setting of gitsign's.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its key in git's configuration, where it has one.
    pub(super) key: Option<&'static str>,
    /// The variables that set it, the first one before the others.
    pub(super) variables: &'static [&'static str],
    pub(super) fate: Fate,
}

/// What becomes of a setting here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing depends on it here, and why.
    Needless(&'static str),
    /// It does not work here; what to do instead, and the setting which then goes before it.
    Refused {
        /// What to do instead.
        instead: &'static str,
        /// Where this is set, the old setting counts no more.
        unless: &'static str,
    },
    /// It works, and this is what it is called here.
    Works(&'static str),
}

/// What to do about roots of one's own.
const TRUSTED_ROOT: Fate = Fate::Refused {
    instead: "keep the authority's keys as an instance with 'countersign trust add', and set 'countersign.instance'",
    unless: "countersign.instance",
};

/// Every setting that gitsign has or had.
pub(super) const SETTINGS: [Entry; 24] = [
    works("gitsign.fulcio", &["GITSIGN_FULCIO_URL", "SIGSTORE_FULCIO_URL"], "countersign.fulcio"),
    Entry {
        key: Some("gitsign.fulcioRoot"),
        variables: &["GITSIGN_FULCIO_ROOT", "SIGSTORE_FULCIO_ROOT", "SIGSTORE_ROOT_FILE"],
        fate: TRUSTED_ROOT,
    },
    works("gitsign.rekor", &["GITSIGN_REKOR_URL", "SIGSTORE_REKOR_URL"], "countersign.rekor"),
    Entry {
        key: Some("gitsign.rekorMode"),
        variables: &["GITSIGN_REKOR_MODE"],
        fate: Fate::Needless("the log entry is always embedded, and verified without a network"),
    },
    works(
        "gitsign.rekorVersion",
        &["GITSIGN_REKOR_VERSION", "SIGSTORE_REKOR_VERSION"],
        "countersign.rekorVersion",
    ),
    Entry {
        key: Some("gitsign.enableSigstoreGo"),
        variables: &["GITSIGN_ENABLE_SIGSTORE_GO"],
        fate: Fate::Needless("it chooses a library inside gitsign; the signature is the same"),
    },
    works("gitsign.clientID", &["GITSIGN_OIDC_CLIENT_ID", "SIGSTORE_OIDC_CLIENT_ID"], "countersign.clientID"),
    works(
        "gitsign.clientSecretFile",
        &["GITSIGN_OIDC_CLIENT_SECRET_FILE", "SIGSTORE_OIDC_CLIENT_SECRET_FILE"],
        "countersign.clientSecretFile",
    ),
    works(
        "gitsign.redirectURL",
        &["GITSIGN_OIDC_REDIRECT_URL", "SIGSTORE_OIDC_REDIRECT_URL"],
        "countersign.redirectURL",
    ),
    works("gitsign.issuer", &["GITSIGN_OIDC_ISSUER", "SIGSTORE_OIDC_ISSUER"], "countersign.issuer"),
    works("gitsign.logPath", &["GITSIGN_LOG"], "countersign.logPath"),
    works(
        "gitsign.connectorID",
        &["GITSIGN_CONNECTOR_ID", "SIGSTORE_CONNECTOR_ID"],
        "countersign.connectorID",
    ),
    works(
        "gitsign.tokenProvider",
        &["GITSIGN_TOKEN_PROVIDER", "SIGSTORE_TOKEN_PROVIDER"],
        "countersign.ambient",
    ),
    works(
        "gitsign.timestampServerURL",
        &["GITSIGN_TIMESTAMP_SERVER_URL", "SIGSTORE_TIMESTAMP_SERVER_URL"],
        "countersign.timestampServerURL",
    ),
    Entry {
        key: Some("gitsign.timestampCertChain"),
        variables: &["GITSIGN_TIMESTAMP_CERT_CHAIN", "SIGSTORE_TIMESTAMP_CERT_CHAIN"],
        fate: TRUSTED_ROOT,
    },
    works("gitsign.matchCommitter", &[], "countersign.matchCommitter"),
    works("gitsign.autoclose", &["GITSIGN_AUTOCLOSE", "SIGSTORE_AUTOCLOSE"], "countersign.autoclose"),
    works(
        "gitsign.autocloseTimeout",
        &["GITSIGN_AUTOCLOSE_TIMEOUT", "SIGSTORE_AUTOCLOSE_TIMEOUT"],
        "countersign.autocloseTimeout",
    ),
    works("gitsign.urlOpener", &["GITSIGN_URL_OPENER", "SIGSTORE_URL_OPENER"], "countersign.urlOpener"),
    Entry {
        key: None,
        variables: &["GITSIGN_CREDENTIAL_CACHE"],
        fate: Fate::Needless("gitsign's cache hands out private keys; countersign does not ask it"),
    },
    Entry { key: None, variables: &["SIGSTORE_REKOR_PUBLIC_KEY"], fate: TRUSTED_ROOT },
    Entry { key: None, variables: &["SIGSTORE_CT_LOG_PUBLIC_KEY_FILE"], fate: TRUSTED_ROOT },
    Entry { key: None, variables: &["SIGSTORE_ID_TOKEN"], fate: Fate::Works("SIGSTORE_ID_TOKEN") },
    Entry {
        key: None,
        variables: &["SIGSTORE_NO_CACHE"],
        fate: Fate::Needless("trusted roots are kept by 'countersign trust'"),
    },
];

const fn works(key: &'static str, variables: &'static [&'static str], ours: &'static str) -> Entry {
    Entry { key: Some(key), variables, fate: Fate::Works(ours) }
}

/// A setting that is set, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The key or the variable.
    pub(super) name: &'static str,
    pub(super) value: String,
    /// Where it stands; `None` for a variable.
    pub(super) scope: Option<Scope>,
    pub(super) fate: Fate,
}

impl Found {
    /// Whether it decides anything: variables and protected settings do, a repository's own do not.
    pub(super) fn is_heard(&self) -> bool {
        self.scope.is_none_or(Scope::is_protected) || self.name == "gitsign.matchCommitter"
    }
}

/// Everything of gitsign's that is set, in the order of the table; of a key each scope's last value.
pub(super) fn found(environment: &Environment, configuration: &Configuration) -> Vec<Found> {
    let mut found = Vec::new();
    for entry in &SETTINGS {
        let mut settings: Vec<Found> = Vec::new();
        for (scope, value) in entry.key.map(|key| configuration.get_all(key, Scopes::Any)).unwrap_or_default()
        {
            settings.retain(|known| known.scope != Some(scope));
            settings.extend(entry.key.map(|name| Found {
                name,
                value: String::from_utf8_lossy(value).into_owned(),
                scope: Some(scope),
                fate: entry.fate,
            }));
        }
        found.extend(settings);
        found.extend(entry.variables.iter().filter_map(|name| {
            let value = environment.get(name)?.to_string_lossy().into_owned();
            Some(Found { name, value, scope: None, fate: entry.fate })
        }));
    }
    found
}

/// Refuse to sign where something of gitsign's would be passed over that its owner counts on.
pub(super) fn refuse(environment: &Environment, configuration: &Configuration) -> Result<(), Failure> {
    let is_set = |key: &str| configuration.get(key, Scopes::Protected).is_some_and(|value| !value.is_empty());
    for found in found(environment, configuration).into_iter().filter(Found::is_heard) {
        let Found { name, value, fate, .. } = found;
        match fate {
            Fate::Refused { instead, unless } if !value.is_empty() && !is_set(unless) => {
                return Err(Failure::new(format!("'{name}' of gitsign's does not work here"), instead));
            }
            Fate::Needless(_)
                if name.to_lowercase().replace('_', "").ends_with("rekormode")
                    && !["", "online", "offline"].contains(&value.as_str()) =>
            {
                return Err(Failure::new(
                    format!("'{name}' is '{value}', and gitsign knows 'online' and 'offline'"),
                    "unset it: the log entry is always embedded",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What gitsign's choice of a token provider comes to here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TokenProvider {
    /// A value of `countersign.ambient`.
    pub(super) ambient: &'static str,
    /// A value of `countersign.login`, where the provider is a person.
    pub(super) login: &'static str,
}

/// What `gitsign.tokenProvider` means.
pub(super) fn token_provider(value: &str) -> Result<TokenProvider, Failure> {
    let (ambient, login) = match value {
        "interactive" => ("none", "browser"),
        "device" => ("none", "device"),
        "google-workload-identity" | "google-impersonation" | "google-impersonate" => ("google", "none"),
        "github-actions" => ("github", "none"),
        "filesystem" => ("kubernetes", "none"),
        "buildkite-agent" => ("buildkite", "none"),
        "envvar" => ("variable:SIGSTORE_ID_TOKEN", "none"),
        "spiffe" => {
            return Err(Failure::new(
                "the token provider 'spiffe' speaks to SPIFFE's socket, which countersign does not",
                "have a SPIFFE helper write the JWT-SVID to a file, and set 'countersign.ambient' to 'spiffe:PATH'",
            ));
        }
        other => {
            return Err(Failure::new(
                format!("gitsign has no token provider '{other}'"),
                "set 'countersign.ambient', or 'countersign.login' to browser or device",
            ));
        }
    };
    Ok(TokenProvider { ambient, login })
}

/// Append `text` to the log that `countersign.logPath`, `GITSIGN_LOG` or `gitsign.logPath` names: where git
/// has no terminal it is the only place for words. That it cannot be written is no reason not to go on.
pub(super) fn log(world: &World<'_>, configuration: &Configuration, text: &str) {
    let setting = |key| settings::path(world, configuration, key).ok().flatten();
    let variable = || world.environment.get("GITSIGN_LOG").map(PathBuf::from);
    let path = setting("countersign.logPath").or_else(variable).or_else(|| setting("gitsign.logPath"));
    let Some(path) = path.map(|path| world.directory.join(path)) else { return };
    let opened = fs::OpenOptions::new().append(true).create(true).open(path);
    let _ = opened.and_then(|mut file| file.write_all(text.as_bytes()));
}
