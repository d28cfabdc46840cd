//! What `doctor` looks at: gathered from git, the configuration, the environment and the servers.

use std::{thread, time::Duration};

use crate::{
    agent::protocol::ForwardStatus,
    cli::{
        World, agent,
        gitsign::{self, Found},
        own_key, remote, settings,
        signing::{self, Settings},
        transport,
        trust::roots,
        unheard::{self, Unheard},
    },
    identity::{self, Login, Source, Token},
    repository::{Configuration, GitVersion, Scopes},
    service::{
        http::{Bounds, join},
        tls::TlsFiles,
    },
    sign::{RekorVersion, SigningPlan},
    words::Failure,
};

/// The most that one server is waited for.
const BOUNDS: Bounds = Bounds {
    connect: Duration::from_secs(5),
    attempt: Duration::from_secs(8),
    body: 1 << 20,
    attempts: 1,
    backoff: Duration::ZERO,
    idle: Duration::ZERO,
};

/// Everything that is looked at.
#[derive(Debug)]
pub(super) struct Facts {
    /// What `git version` says, if git can be run.
    pub(super) git: Option<String>,
    /// The configuration, or why there is none.
    pub(super) configuration: Result<Configuration, Failure>,
    /// What this program is called.
    pub(super) program: String,
    pub(super) unheard: Vec<Unheard>,
    pub(super) gitsign: Vec<Found>,
    /// Where names come from, if from anywhere.
    pub(super) policy: Result<Option<String>, Failure>,
    /// The repository brings a policy that nobody has pinned.
    pub(super) is_unpinned: bool,
    /// The instance to sign with, and its trusted root.
    pub(super) instance: String,
    pub(super) root: Result<Option<roots::Facts>, Failure>,
    /// The age in days at which the configuration calls a root too old.
    pub(super) maximum_age: Option<i64>,
    pub(super) plan: Result<SigningPlan, Failure>,
    /// The key of the user's own that signs, if one does.
    pub(super) key: Result<Option<String>, Failure>,
    /// Where an identity would come from.
    pub(super) identity: Result<Origin, Failure>,
    /// How many logins the agent keeps, if one runs.
    pub(super) agent: Result<Option<usize>, Failure>,
    /// On what terms an agent was forwarded to here, if one was.
    pub(super) forwarded: Result<Option<ForwardStatus>, Failure>,
    /// The remotes that go through the helper, where there are any.
    pub(super) remotes: Option<remote::Looked>,
    /// What a job that has no identity is missing.
    pub(super) missing: Option<&'static str>,
    /// The address that git would write as the committer's.
    pub(super) committer: Option<String>,
    /// What the servers said; `None` where they were not to be asked.
    pub(super) probes: Option<Vec<Probe>>,
    pub(super) now: i64,
}

/// Where an identity would come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Of a token that is already here: whose it is, and for how many seconds more.
    Token { place: String, name: String, email: Option<String>, remaining: i64 },
    /// Of a provider that would be asked.
    Provider(String),
    /// Of a person, in this way.
    Login(&'static str),
    /// Of nobody.
    Nobody,
}

/// What one server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    /// What the server is for.
    pub(super) what: &'static str,
    pub(super) url: String,
    /// Its own clock in seconds since 1970, if it says; or why it could not be reached.
    pub(super) answer: Result<Option<i64>, String>,
    /// This machine's clock when the answer came.
    pub(super) now: i64,
}

/// Look at everything; servers only where not `offline`.
pub(super) fn gather(world: &World<'_>, offline: bool) -> Facts {
    let configuration = settings::configuration(world);
    let nothing = Configuration::default();
    let known = configuration.as_ref().unwrap_or(&nothing);
    let policy = settings::trust(world, known, None);
    let is_unpinned = policy.as_ref().is_ok_and(|trust| trust.unpinned.is_some());
    let policy = policy.map(|trust| trust.source);
    let instance = signing::instance_name(known).to_owned();
    let root = roots::resolve(world, known, &instance).map(|root| root.map(|root| root.facts));
    let access = Settings { world, configuration: known }.access(&instance);
    let environment = signing::identity_environment(world);
    let identity =
        access.as_ref().map_err(Failure::clone).and_then(|access| origin(access, &environment, world.now));
    let issuer = access.as_ref().ok().map(|access| access.options.provider.issuer.clone());
    let tls = access.as_ref().map(|access| access.tls.clone()).unwrap_or_default();
    let plan = access.map(|access| access.plan);
    let asks_a_person = matches!(identity, Ok(Origin::Login(_)));
    let servers =
        plan.as_ref().map(|plan| servers(plan, issuer.filter(|_| asks_a_person))).unwrap_or_default();
    let committer = world.environment.text("GIT_COMMITTER_EMAIL").map(str::to_owned).or_else(|| {
        let setting = |key| known.text(key, Scopes::Any).filter(|value| !value.is_empty());
        setting("committer.email").or_else(|| setting("user.email")).map(str::to_owned)
    });
    Facts {
        git: GitVersion::ask().map(|version| version.to_string()),
        program: world.program.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        unheard: unheard::unheard(known),
        gitsign: gitsign::found(&world.environment, known),
        policy,
        is_unpinned,
        instance,
        root,
        maximum_age: roots::maximum_age(known).ok().flatten(),
        plan,
        key: own_key::look(world, known),
        identity,
        agent: agent::kept(world),
        forwarded: agent::terms(world),
        remotes: remote::look(world, known),
        missing: identity::missing(&environment.variables),
        committer,
        probes: (!offline).then(|| probe(servers, &tls, world.now)),
        now: world.now,
        configuration,
    }
}

/// Where an identity would come from. Nobody is asked for one.
fn origin(
    access: &signing::Access,
    environment: &identity::Environment,
    now: i64,
) -> Result<Origin, Failure> {
    let options = &access.options;
    let failed = |error: &dyn std::fmt::Display| Failure::new(error, "get a new token, or take it away");
    let here = |place: String, token: &Token| {
        token.check(&options.audience, now).map_err(|error| failed(&error))?;
        let claims = token.claims();
        let remaining = claims.expires.saturating_sub(now);
        Ok(Origin::Token { place, name: claims.name().to_owned(), email: claims.email.clone(), remaining })
    };
    // A file or a variable is here already: the client has nothing to do.
    let http = transport::client(&access.tls, BOUNDS)?;
    if let Some(path) = &options.token_file {
        let source = Source::File(path.clone());
        let token = source.token(&http, &options.audience).map_err(|error| failed(&error))?;
        return here(source.to_string(), &token);
    }
    if let Some(text) = environment.sigstore_id_token.as_ref().filter(|token| !token.trim().is_empty()) {
        let token = Token::parse(text.clone()).map_err(|error| failed(&error))?;
        return here("the variable 'SIGSTORE_ID_TOKEN'".to_owned(), &token);
    }
    let source = Source::select(&options.ambient, &environment.variables, &options.audience);
    let source =
        source.map_err(|error| Failure::new(error, "set 'countersign.ambient' to the one that is meant"))?;
    match &source {
        Some(source @ (Source::File(_) | Source::Variable { .. })) => {
            let token = source.token(&http, &options.audience).map_err(|error| failed(&error))?;
            return here(source.to_string(), &token);
        }
        Some(source) => return Ok(Origin::Provider(source.to_string())),
        None => {}
    }
    Ok(match &options.login {
        Some(Login::Browser(_)) => Origin::Login("in a browser"),
        Some(Login::Device { .. }) => Origin::Login("with a code to type elsewhere"),
        None => Origin::Nobody,
    })
}

/// The servers of `plan`, and the issuer where a person would log in there.
fn servers(plan: &SigningPlan, issuer: Option<String>) -> Vec<(&'static str, String)> {
    let mut servers = vec![("certificate authority", join(&plan.fulcio, "/api/v2/configuration"))];
    servers.extend(plan.logs.iter().map(|log| {
        let path = match log.version {
            RekorVersion::V1 => "/api/v1/log",
            RekorVersion::V2 => "/api/v2/checkpoint",
        };
        ("transparency log", join(&log.url, path))
    }));
    servers.extend(plan.timestamps.iter().map(|url| ("timestamp authority", url.clone())));
    servers.extend(issuer.map(|issuer| ("login", join(&issuer, "/.well-known/openid-configuration"))));
    servers
}

/// Ask every server at once. Any answer will do: it is there.
fn probe(servers: Vec<(&'static str, String)>, tls: &TlsFiles, now: i64) -> Vec<Probe> {
    // Files that cannot be used are why there is no plan, and then no server either.
    let http = transport::client(tls, BOUNDS).unwrap_or_default();
    let begun = std::time::Instant::now();
    let ask = |url: &str| http.clock(url).map_err(|error| error.to_string());
    thread::scope(|scope| {
        let ask = &ask;
        let asked: Vec<_> = servers
            .into_iter()
            .map(|(what, url)| {
                scope.spawn(move || {
                    let answer = ask(&url);
                    let waited = i64::try_from(begun.elapsed().as_secs()).unwrap_or(i64::MAX);
                    Probe { what, url, answer, now: now.saturating_add(waited) }
                })
            })
            .collect();
        let joined = asked.into_iter().map(|asked| asked.join());
        joined.map(|probe| probe.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}
