//! git's signing program: `gpg.x509.program = countersign`.
//!
//! Standard output carries the signature, or status lines, and nothing else, written once, at the end.

use std::{
    ffi::OsStr,
    fs,
    io::{Read, Write},
    path::Path,
    process::Command,
};

use super::{
    World, anchored, exit, gitsign, gnupg, gpgsm, kept,
    settings::{self, Standing, Trust, Unclear},
    signing,
    trust::update,
    unheard,
};
use crate::{
    gpg::{
        self, Answer, Data, Request, Signer,
        openpgp::{Claims, KeyAnswer, KeySigner, Level, Outcome},
    },
    object::{Commit, HashKind, MAXIMUM_OBJECT_BYTES, Payload, PushCertificate, Tag, person_address},
    policy::SignedBy,
    repository::{Configuration, GitVersion, Scopes},
    signature::{
        armor::{self, MAXIMUM_ARMOR_BYTES},
        openpgp::Detached,
        smime,
    },
    verify::{CannotTell, Identity, Key, NotLogged, Proven, Stated, Verdict, Verifier, openpgp::KeyRing},
    words::{self, Failure},
};

/// The public-good issuers at which an e-mail address is one that the issuer itself has checked.
const MAIL_ISSUERS: [&str; 3] =
    ["https://github.com/login/oauth", "https://accounts.google.com", "https://login.microsoftonline.com"];

/// Answer one call in gpg's dialect.
pub(super) fn run(world: &mut World<'_>) -> u8 {
    match Request::parse(&world.arguments) {
        Ok(Request::Version) => {
            world.say(concat!("gpg (countersign) ", env!("CARGO_PKG_VERSION"), "\n"));
            exit::GOOD
        }
        // There are no keys to list, and that is no failure.
        Ok(Request::ListSecretKeys) => exit::GOOD,
        Ok(Request::Sign { key, status, data }) => sign(world, key.as_deref(), status, &data),
        Ok(Request::Verify { signature, data, status }) => verify(world, &signature, &data, status),
        Err(error) => {
            let failure = Failure::new(error, "git calls this program by itself; see 'countersign --help'");
            world.complain(&failure.to_string());
            exit::USAGE
        }
    }
}

fn sign(world: &mut World<'_>, key: Option<&OsStr>, status: Option<u32>, data: &Data) -> u8 {
    let configuration = settings::configuration(world);
    if let Ok(configuration) = &configuration
        && let Some(status) = pass_on(world, configuration)
    {
        return status;
    }
    let payload = read_data(world, data);
    let signed = payload.and_then(|payload| {
        let configuration = configuration.as_ref().map_err(Failure::clone)?;
        refuse_openpgp(world, configuration)?;
        signing::sign(world, configuration, &payload, key)
    });
    let configuration = configuration.unwrap_or_default();
    let signed = match signed {
        Ok(signed) => signed,
        Err(failure) => {
            let failure = unheard::remind(failure, &configuration);
            gitsign::log(world, &configuration, &failure.to_string());
            world.complain(&failure.to_string());
            if git_hides_words() {
                let _ = super::login::tell_terminal(&failure.to_string());
            }
            return exit::COULD_NOT_RUN;
        }
    };
    for warning in &signed.warnings {
        // git throws away what a signing program that succeeded had to say.
        let text = warning.to_string().replacen("error:", "warning:", 1);
        world.complain(&text);
        if !world.terminals.stderr {
            let _ = super::login::tell_terminal(&text);
        }
    }
    let lines = gpg::signed(world.now, &signed.fingerprint);
    let written = world.stdout.write_all(&signed.armor).and_then(|()| world.stdout.flush());
    let written = written.and_then(|()| write_status(world, status, &lines));
    match written {
        Ok(()) => {
            update::start_detached(world, &configuration, signing::instance_name(&configuration));
            exit::GOOD
        }
        Err(error) => {
            let failure = Failure::new(format!("the signature cannot be written: {error}"), "try again");
            world.complain(&failure.to_string());
            exit::COULD_NOT_RUN
        }
    }
}

/// git before 2.40 throws away what a signing program that failed had to say; asked only then.
fn git_hides_words() -> bool {
    GitVersion::ask().and_then(|version| version.numbers()).is_some_and(|numbers| numbers < (2, 40))
}

/// With only `gpg.program` set, git would store our signature as OpenPGP's and could not verify it.
fn refuse_openpgp(world: &World<'_>, configuration: &Configuration) -> Result<(), Failure> {
    if signs_openpgp(world, configuration) {
        return Err(Failure::new(
            "git is set up to call countersign as its OpenPGP program, and could not verify what it would sign",
            "run 'countersign init', which sets 'gpg.format' and 'gpg.x509.program', or name the program that holds your OpenPGP key with 'git config --global countersign.openpgpProgram gpg'",
        ));
    }
    Ok(())
}

/// Whether git asks for an OpenPGP signature.
fn signs_openpgp(world: &World<'_>, configuration: &Configuration) -> bool {
    let format = configuration.text("gpg.format", Scopes::Any).unwrap_or("openpgp");
    let names_us = |key: &str| {
        configuration
            .text(key, Scopes::Any)
            .is_some_and(|value| Path::new(value).file_stem() == world.program.file_stem())
    };
    format == "openpgp" && (names_us("gpg.program") || names_us("gpg.openpgp.program"))
}

/// Hand a request for an OpenPGP signature to the program that holds the key, as it came: nothing has
/// been read from standard input yet. `None` where the user has named no such program.
fn pass_on(world: &mut World<'_>, configuration: &Configuration) -> Option<u8> {
    if !signs_openpgp(world, configuration) {
        return None;
    }
    let named = configuration.text("countersign.openpgpProgram", Scopes::Protected)?;
    let program = if named.starts_with("~/") {
        settings::path(world, configuration, "countersign.openpgpProgram").ok()??
    } else {
        named.into()
    };
    let run = gnupg::program(world, &program.to_string_lossy())
        .ok_or_else(|| "there is no such program".to_owned())
        .and_then(|program| {
            Command::new(program)
                .args(&world.arguments)
                .env_clear()
                .envs(world.environment.iter())
                .current_dir(&world.directory)
                .status()
                .map_err(|error| error.to_string())
        });
    match run {
        Ok(status) => {
            Some(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(exit::COULD_NOT_RUN))
        }
        Err(reason) => {
            let failure = Failure::new(
                format!("'{}', which should sign, cannot be run: {reason}", words::escape(named)),
                "set 'countersign.openpgpProgram' to the program that holds your key, not to countersign",
            );
            world.complain(&failure.to_string());
            Some(exit::COULD_NOT_RUN)
        }
    }
}

fn verify(world: &mut World<'_>, signature: &Path, data: &Data, status: Option<u32>) -> u8 {
    // The payload is read to its end whatever happens, else git may see a broken pipe.
    let judged = read_data(world, data).and_then(|payload| {
        let signature = read_signature(&world.directory.join(signature))?;
        let configuration = settings::configuration(world)?;
        judge(world, &configuration, &payload, &signature)
    });
    let (answer, note, ran) = match judged {
        Ok((answer, note)) => (answer, note, true),
        Err(failure) => (Answer::Unknown, failure.to_string(), false),
    };
    let (lines, exit) = gpg::verified(&answer);
    world.complain(&note);
    match write_status(world, status, &lines) {
        Ok(()) if ran => exit,
        _ => exit::COULD_NOT_RUN,
    }
}

/// The answer for git, and a line for people.
fn judge(
    world: &World<'_>,
    configuration: &Configuration,
    payload: &[u8],
    signature: &[u8],
) -> Result<(Answer, String), Failure> {
    let mut trust = settings::trust(world, configuration, None)?;
    let ring = std::mem::take(&mut trust.openpgp);
    if armor::kind(signature) == Some(armor::Kind::OpenPgp) {
        return Ok(judge_openpgp(world, &trust, ring, payload, signature));
    }
    if smime::is_smime(signature) {
        let authorities = std::mem::take(&mut trust.smime);
        return Ok(gpgsm::judge(world, &trust, authorities, payload, signature));
    }
    let mut verifier = Verifier::new(std::mem::take(&mut trust.instances));
    if armor::kind(signature) == Some(armor::Kind::Ssh) {
        verifier = verifier.with_ssh_revocations(settings::ssh_revocations(world, configuration)?);
    }
    Ok(match kept::judge(world, &verifier, payload, signature) {
        Verdict::Good(proven) => match trust.stale(&proven, world.now) {
            Some(stale) => unclear(&stale),
            None => good(world, &trust, &Keyless::from(&*proven), payload, signature),
        },
        Verdict::NotLogged(signed) => match trust.stale_for(signed.identity(), world.now) {
            Some(stale) => unclear(&stale),
            None if trust.not_logged_counts => {
                good(world, &trust, &Keyless::from(&*signed), payload, signature)
            }
            None => not_proven(signed.identity(), &signed, settings::NOT_LOGGED_HINT),
        },
        Verdict::TimeNotProven(signed) => match trust.stale_for(signed.identity(), world.now) {
            Some(stale) => unclear(&stale),
            None => not_proven(signed.identity(), &signed, kept::FETCH_HINT),
        },
        Verdict::Stated(stated) => stated_answer(world, &trust, &stated, payload, signature),
        Verdict::Bad(bad) => (Answer::Bad, format!("countersign: bad signature: {bad}\n")),
        Verdict::CannotTell(cause) => unclear(&trust.unclear(&cause, world.now)),
    })
}

/// The answer to an OpenPGP signature: by the policy's certificates, or without a policy by those of the
/// user's own GnuPG, and then with the trust that gpg has in them.
fn judge_openpgp(
    world: &World<'_>,
    trust: &Trust,
    mut ring: KeyRing,
    payload: &[u8],
    signature: &[u8],
) -> (Answer, String) {
    let claimed = match Detached::parse(signature) {
        Ok(claimed) => claimed,
        Err(error) => {
            return (Answer::Unknown, format!("countersign: the signature cannot be read: {error}\n"));
        }
    };
    let key_id = hex::encode_upper(claimed.issuer().key_id);
    if trust.policy.is_none() {
        ring.extend(gnupg::ring(world, Some(&key_id)));
    }
    let verifier = Verifier::new(Vec::new()).with_openpgp(ring);
    let verdict = verifier.verify(&Payload::whole(payload), signature, world.now);
    let primary = match &verdict {
        Verdict::Stated(stated) => stated.keys().iter().find_map(|key| match key {
            Key::OpenPgp { fingerprint } => Some(fingerprint.as_str()),
            _ => None,
        }),
        _ => None,
    };
    let signer = verifier.openpgp().known(&claimed.issuer(), primary, world.now).map(|known| KeySigner {
        user_id: known.user_id,
        fingerprint: known.fingerprint,
        primary_fingerprint: known.primary_fingerprint,
    });
    let by = signer.as_ref().map_or_else(
        || format!("key {key_id}"),
        |signer| format!("'{}' (OpenPGP {})", words::escape(&signer.user_id), signer.primary_fingerprint),
    );
    let (outcome, note) = match verdict {
        Verdict::Stated(stated) => {
            let (standing, level) = match &trust.policy {
                Some(_) => (
                    anchored::standing(world, trust, payload, signature, |receipt| {
                        trust.standing_of_keys(stated.keys(), stated.time(), receipt)
                    }),
                    Level::Fully,
                ),
                None => {
                    let level =
                        signer.as_ref().map(|signer| gnupg::level(world, &signer.primary_fingerprint));
                    (Standing::NoPolicy, level.unwrap_or(Level::Undefined))
                }
            };
            let expired = if stated.key_expired() { "; the key has expired since" } else { "" };
            let outcome = if stated.key_expired() { Outcome::KeyExpired(true) } else { Outcome::Good(level) };
            match standing {
                Standing::Named(name) => {
                    let name = words::escape(&name);
                    (outcome, format!("good signature by {by}, known as '{name}'{expired}"))
                }
                Standing::NoPolicy => {
                    (outcome, format!("good signature by {by}; {}{expired}", trust.nobody()))
                }
                Standing::Refused(cause) => (Outcome::NotNamed, cause.to_string()),
                // A key belongs to no instance, so its limits cannot be what is wrong.
                Standing::Unnamed | Standing::NotBelieved => {
                    (Outcome::NotNamed, format!("signed by {by}, whom the policy does not name"))
                }
            }
        }
        Verdict::Bad(bad) => (Outcome::Bad, format!("bad signature by {by}: {bad}")),
        Verdict::CannotTell(cause) => {
            let outcome = match cause {
                CannotTell::UnknownKey => Outcome::NoKey,
                CannotTell::KeyExpired => Outcome::KeyExpired(false),
                CannotTell::KeyRevoked => Outcome::KeyRevoked,
                CannotTell::SignatureExpired => Outcome::SignatureExpired,
                _ => Outcome::Unfit,
            };
            (outcome, format!("cannot accept the signature by {by}: {cause}"))
        }
        Verdict::Good(_) | Verdict::NotLogged(_) | Verdict::TimeNotProven(_) => {
            (Outcome::Unfit, "an OpenPGP signature proves no time".to_owned())
        }
    };
    let claims = Claims {
        key_id,
        created: claimed.created(),
        expires: claimed.expires(),
        version: claimed.version(),
        public_key_algorithm: claimed.public_key_algorithm(),
        hash_algorithm: claimed.hash_algorithm(),
    };
    (Answer::OpenPgp(Box::new(KeyAnswer { outcome, claims, signer })), format!("countersign: {note}\n"))
}

fn unclear(unclear: &Unclear) -> (Answer, String) {
    let hint = unclear.hint.as_ref().map(|hint| format!("hint: {}\n", words::escape(hint)));
    let cause = words::escape(&unclear.cause);
    let note = format!("countersign: cannot tell who signed: {cause}\n{}", hint.unwrap_or_default());
    (Answer::Unknown, note)
}

/// To git no answer at all: too little is proven of what a certificate's owner may have signed.
fn not_proven(identity: &Identity, signed: &dyn std::fmt::Display, hint: &str) -> (Answer, String) {
    let note = format!(
        "countersign: by the certificate of '{}' (issuer '{}', instance '{}'): {signed}\nhint: {hint}\n",
        words::escape(&identity.subject),
        words::escape(&identity.issuer),
        words::escape(&identity.instance),
    );
    (Answer::Unknown, note)
}

/// A keyless signature whose time is proven.
struct Keyless<'a> {
    signed_by: SignedBy<'a>,
    identity: &'a Identity,
    signer: Signer,
    /// What is said besides.
    remark: &'static str,
}

impl<'a> From<&'a Proven> for Keyless<'a> {
    fn from(proven: &'a Proven) -> Self {
        let signer = settings::signer(proven.identity(), proven.certificate_digest(), proven.time());
        let is_kept_apart = !proven.entry().embedded;
        let remark = if is_kept_apart { " (by the log's entry in 'refs/countersign/proofs')" } else { "" };
        Self { signed_by: proven.into(), identity: proven.identity(), signer, remark }
    }
}

impl<'a> From<&'a NotLogged> for Keyless<'a> {
    fn from(signed: &'a NotLogged) -> Self {
        let signer = settings::signer(signed.identity(), signed.certificate_digest(), signed.time());
        let remark = " (by a timestamp authority alone: in no transparency log)";
        Self { signed_by: signed.into(), identity: signed.identity(), signer, remark }
    }
}

fn good(
    world: &World<'_>,
    trust: &Trust,
    keyless: &Keyless<'_>,
    payload: &[u8],
    signature: &[u8],
) -> (Answer, String) {
    let Keyless { signed_by, identity, signer, remark: besides } = keyless;
    let signer = signer.clone();
    let by = format!(
        "by '{}' (issuer '{}', instance '{}') at {}",
        words::escape(&identity.subject),
        words::escape(&identity.issuer),
        words::escape(&identity.instance),
        words::time(signer.time),
    ) + besides;
    match anchored::standing(world, trust, payload, signature, |receipt| trust.standing(*signed_by, receipt))
    {
        Standing::Named(name) => {
            let name = words::escape(&name);
            (Answer::Trusted(signer), format!("countersign: good signature {by}, known as '{name}'\n"))
        }
        Standing::NoPolicy => {
            let remark = remark(identity, payload);
            (
                Answer::Undefined(signer),
                format!("countersign: good signature {by}; {}{remark}\n", trust.nobody()),
            )
        }
        Standing::Refused(cause) => (Answer::Unnamed(signer), format!("countersign: {cause}\n")),
        Standing::NotBelieved => {
            (Answer::Unnamed(signer), format!("countersign: signed {by}, {}\n", settings::NOT_BELIEVED))
        }
        Standing::Unnamed => {
            (Answer::Unnamed(signer), format!("countersign: signed {by}, whom the policy does not name\n"))
        }
    }
}

fn stated_answer(
    world: &World<'_>,
    trust: &Trust,
    stated: &Stated,
    payload: &[u8],
    signature: &[u8],
) -> (Answer, String) {
    let signer = settings::key_signer(stated);
    let by = format!("by {}", words::escape(&signer.name));
    let standing = anchored::standing(world, trust, payload, signature, |receipt| {
        trust.standing_of_keys(stated.keys(), stated.time(), receipt)
    });
    match standing {
        Standing::Named(name) => {
            let name = words::escape(&name);
            (Answer::Trusted(signer), format!("countersign: good signature {by}, known as '{name}'\n"))
        }
        Standing::NoPolicy => {
            (Answer::Undefined(signer), format!("countersign: good signature {by}; {}\n", trust.nobody()))
        }
        Standing::Refused(cause) => (Answer::Unnamed(signer), format!("countersign: {cause}\n")),
        Standing::NotBelieved | Standing::Unnamed => {
            (Answer::Unnamed(signer), format!("countersign: signed {by}, whom the policy does not name\n"))
        }
    }
}

/// Whether an e-mail subject is the payload's committer. A remark, never trust: the committer line is
/// the signer's to write.
fn remark(identity: &Identity, payload: &[u8]) -> &'static str {
    if !settings::is_checked_mail(identity, &MAIL_ISSUERS) {
        return "";
    }
    match committer_address(payload) {
        Some(address) if address == identity.subject.as_bytes() => "; the committer line agrees",
        Some(_) => "; the committer line names someone else",
        None => "",
    }
}

/// The address in the line of a commit, tag or push certificate that says who made it.
pub(super) fn committer_address(payload: &[u8]) -> Option<Vec<u8>> {
    let person = |hash| {
        Commit::parse(hash, payload)
            .map(|commit| commit.committer)
            .ok()
            .or_else(|| Tag::parse(hash, payload).ok().and_then(|tag| tag.tagger))
            .or_else(|| PushCertificate::parse(hash, payload).ok().map(|certificate| certificate.pusher))
    };
    let person = person(HashKind::Sha1).or_else(|| person(HashKind::Sha256))?;
    person_address(person).map(<[u8]>::to_vec)
}

pub(super) fn read_data(world: &mut World<'_>, data: &Data) -> Result<Vec<u8>, Failure> {
    let failed = |reason: String| {
        Failure::new(format!("what is signed cannot be read: {reason}"), "try the git command again")
    };
    let mut bytes = Vec::new();
    let read = match data {
        Data::Standard => world.stdin.take(MAXIMUM_OBJECT_BYTES as u64 + 1).read_to_end(&mut bytes),
        Data::File(path) => fs::File::open(world.directory.join(path))
            .and_then(|file| file.take(MAXIMUM_OBJECT_BYTES as u64 + 1).read_to_end(&mut bytes)),
    };
    read.map_err(|error| failed(error.to_string()))?;
    if bytes.len() > MAXIMUM_OBJECT_BYTES {
        if *data == Data::Standard {
            let _ = std::io::copy(&mut world.stdin, &mut std::io::sink());
        }
        return Err(failed(format!("it is larger than {MAXIMUM_OBJECT_BYTES} bytes")));
    }
    Ok(bytes)
}

pub(super) fn read_signature(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAXIMUM_ARMOR_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| {
        Failure::new(
            format!("the signature in '{}' cannot be read: {error}", path.display()),
            "try the git command again",
        )
    })?;
    Ok(bytes)
}

/// Write status lines to the descriptor that the caller named; none means nowhere.
fn write_status(world: &mut World<'_>, status: Option<u32>, lines: &str) -> std::io::Result<()> {
    match status {
        None => Ok(()),
        Some(1) => world.stdout.write_all(lines.as_bytes()).and_then(|()| world.stdout.flush()),
        Some(2) => world.stderr.write_all(lines.as_bytes()).and_then(|()| world.stderr.flush()),
        Some(other) => fs::OpenOptions::new()
            .write(true)
            .open(format!("/dev/fd/{other}"))
            .and_then(|mut file| file.write_all(lines.as_bytes())),
    }
}
