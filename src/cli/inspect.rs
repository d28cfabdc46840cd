//! `countersign inspect`: what is in a signature, and why it does or does not verify.
//!
//! Claims are shown as claims; the policy line is offered for a proven signature only.

mod ssh;

use std::fmt::Write as _;

use gix::objs::Kind;

use super::{
    Outcome, World,
    arguments::InspectArguments,
    exit, gnupg,
    settings::{self, Standing, Unclear},
};
use crate::{
    encoding::x509::Slices,
    object::{Commit, Payload, Tag},
    policy::{Cause, Covered, NO_ENTRY, Receipt, policy_entry},
    repository::Revision,
    signature::{
        armor,
        keyless::{EmbeddedEntry, Keyless},
        openpgp::Detached,
    },
    sigstore::{
        certificate::SigningCertificate, checkpoint::Checkpoint, log_entry::TransparencyLogEntry,
        timestamp::TimestampToken,
    },
    verify::{Key, Verdict, Verifier},
    words::{self, Failure},
};

/// Describe the signature of one commit or tag.
pub(super) fn run(world: &mut World<'_>, arguments: &InspectArguments) -> Outcome {
    let configuration = settings::configuration(world)?;
    let repository = settings::repository(world, arguments.repository.as_deref())?;
    let hint = "name one commit or tag that is in this repository";
    let resolved = repository.resolve(&arguments.revision).map_err(|error| Failure::new(error, hint))?;
    let Revision::Single(id) = resolved else {
        return Err(Failure::new(format!("'{}' is a range", arguments.revision), hint));
    };
    let objects = repository.objects().map_err(|error| Failure::new(error, "run 'git fsck'"))?;
    let object = objects.reader().read(id).map_err(|error| Failure::new(error, "run 'git fsck'"))?;
    let parsed = match object.kind {
        Kind::Commit => Commit::parse(repository.hash(), &object.bytes).map(|commit| commit.signed),
        Kind::Tag => Tag::parse(repository.hash(), &object.bytes).map(|tag| tag.signed),
        kind => return Err(Failure::new(format!("'{id}' is a {kind}, which carries no signature"), hint)),
    };
    let mut text = format!("{} {id}\n", object.kind);
    let signed = match parsed {
        Ok(signed) => signed,
        Err(error) => {
            line(&mut text, "malformed", &error);
            world.say(&text);
            return Ok(exit::BAD);
        }
    };
    let Some(signature) = &signed.signature else {
        text.push_str("there is no signature\n");
        world.say(&text);
        return Ok(exit::BAD);
    };
    text.push_str("claims, none of them proven:\n");
    if let Err(reason) = claims(&mut text, &signed.payload, signature) {
        line(&mut text, "  unreadable", &reason);
    }
    let mut trust = settings::trust(world, &configuration)?;
    let mut ring = std::mem::take(&mut trust.openpgp);
    if trust.policy.is_none() && armor::kind(signature) == Some(armor::Kind::OpenPgp) {
        ring.extend(gnupg::ring(world, None));
    }
    let verifier = Verifier::new(std::mem::take(&mut trust.instances))
        .with_openpgp(ring)
        .with_ssh_revocations(settings::ssh_revocations(world, &configuration)?);
    let shallow = repository.shallow(None).map_err(|error| Failure::new(error, "run 'git fsck'"))?;
    let coverage = std::cell::OnceCell::new();
    let coverage = || coverage.get_or_init(|| trust.coverage(&objects, shallow.clone()));
    let covered = |moment| Covered::from(coverage().covers(id, moment));
    let receipt = Receipt { now: world.now, covered: &covered };
    let status = match verifier.verify(&signed.payload, signature, world.now) {
        Verdict::Good(proven) => {
            if let Some(stale) = trust.stale(&proven, world.now) {
                unclear(&mut text, &stale);
                world.say(&text);
                return Ok(exit::CANNOT_TELL);
            }
            text.push_str("proven:\n");
            let identity = proven.identity();
            line(&mut text, "  instance", &identity.instance);
            line(&mut text, "  issuer", &identity.issuer);
            line(&mut text, &format!("  {}", identity.kind.name()), &identity.subject);
            for time in proven.times() {
                line(&mut text, "  time", &words::time(time.seconds()));
            }
            let entry = proven.entry();
            line(&mut text, "  log", &format!("{} index {}", entry.log, entry.index));
            for (claim, said) in proven.claims().iter() {
                line(&mut text, &format!("  {}", claim.name()), &said);
            }
            let standing = trust.standing(&proven, &receipt);
            if standing == Standing::NotBelieved {
                text.push_str("proven, but the instance is not believed for such an identity here\n");
                world.say(&text);
                return Ok(exit::BAD);
            }
            if let Standing::Refused(cause) = standing {
                let status = refused(&mut text, &cause);
                world.say(&text);
                return Ok(status);
            }
            match policy_entry(identity, proven.claims()) {
                Some(entry) => {
                    text.push_str("if you know this to be the right person, name it in a policy:\n");
                    writeln!(text, "  keyless = [{entry}]").expect("a string takes everything");
                }
                None => line(&mut text, "no policy can name it", &NO_ENTRY),
            }
            exit::GOOD
        }
        Verdict::Stated(stated) => {
            text.push_str("good, by the key (its time is stated, not proven):\n");
            for key in stated.keys() {
                line(&mut text, "  key", key);
            }
            if let Some(time) = stated.time() {
                line(&mut text, "  stated time", &words::time(time));
            }
            if stated.key_expired() {
                text.push_str("  the key has expired since\n");
            }
            if let Standing::Refused(cause) = trust.standing_of_stated(&stated, &receipt) {
                let status = refused(&mut text, &cause);
                world.say(&text);
                return Ok(status);
            }
            for key in stated.keys() {
                if let Key::OpenPgp { fingerprint } = key {
                    for user_id in verifier.openpgp().user_ids(fingerprint) {
                        line(&mut text, "  user id", &user_id);
                    }
                    text.push_str("if you know this to be the right person, name it in a policy:\n");
                    writeln!(text, "  openpgp = [\"{fingerprint}\"]").expect("a string takes everything");
                }
            }
            if let Some(entry) = ssh::policy_line(signature) {
                text.push_str("if you know this to be the right person, name it in a policy:\n");
                writeln!(text, "  {entry}").expect("a string takes everything");
            }
            exit::GOOD
        }
        Verdict::Bad(bad) => {
            line(&mut text, "bad", &bad);
            exit::BAD
        }
        Verdict::CannotTell(cause) => {
            unclear(&mut text, &trust.unclear(&cause, world.now));
            exit::CANNOT_TELL
        }
    };
    world.say(&text);
    Ok(status)
}

/// Say why the policy does not count a signer whom it knows; the exit status.
fn refused(text: &mut String, cause: &Cause) -> u8 {
    line(text, "refused by the policy", cause);
    line(text, "hint", &cause.hint());
    if cause.is_unclear() { exit::CANNOT_TELL } else { exit::BAD }
}

fn unclear(text: &mut String, unclear: &Unclear) {
    line(text, "cannot tell", &unclear.cause);
    if let Some(hint) = &unclear.hint {
        line(text, "hint", hint);
    }
}

fn line(text: &mut String, name: &str, value: &dyn std::fmt::Display) {
    writeln!(text, "{name}: {}", words::escape(&value.to_string())).expect("a string takes everything");
}

/// What an OpenPGP signature says of itself.
fn openpgp_claims(text: &mut String, signature: &[u8]) -> Result<(), String> {
    let claimed = Detached::parse(signature).map_err(|error| error.to_string())?;
    let issuer = claimed.issuer();
    line(text, "  key", &hex::encode_upper(issuer.fingerprint.unwrap_or(&issuer.key_id)));
    line(text, "  made", &words::time(claimed.created()));
    if let Some(expires) = claimed.expires() {
        line(text, "  expires", &words::time(expires));
    }
    let (version, algorithm) = (claimed.version(), claimed.public_key_algorithm());
    let hash = claimed.hash_algorithm();
    line(text, "  version", &format!("{version}, public-key algorithm {algorithm}, digest algorithm {hash}"));
    Ok(())
}

/// What the parts of the signature say of themselves.
fn claims(text: &mut String, payload: &Payload<'_>, signature: &[u8]) -> Result<(), String> {
    let words = |error: &dyn std::error::Error| error.to_string();
    match armor::kind(signature) {
        Some(armor::Kind::Cms) => line(text, "  kind", &"CMS ('SIGNED MESSAGE')"),
        Some(armor::Kind::OpenPgp) => {
            line(text, "  kind", &"OpenPGP");
            return openpgp_claims(text, signature);
        }
        Some(armor::Kind::Ssh) => return ssh::claims(text, signature),
        None => return Err("it begins like no signature that git knows".to_owned()),
    }
    let der = armor::decode(signature).map_err(|error| words(&error))?;
    let cms = Keyless::parse(&der).map_err(|error| words(&error))?;
    let matches = crate::encoding::sha256(&payload.segments()) == cms.message_digest;
    line(
        text,
        "  signed digest",
        &format!(
            "{} ({})",
            hex::encode(cms.message_digest),
            if matches { "the content's" } else { "not the content's" }
        ),
    );
    match SigningCertificate::parse(cms.certificate) {
        Ok(leaf) => {
            line(text, "  certificate for", &format!("{} '{}'", leaf.kind.name(), leaf.subject));
            line(text, "  certificate issuer", &leaf.issuer);
            let slices = &leaf.slices;
            let (from, to) = (words::time(slices.not_before), words::time(slices.not_after));
            line(text, "  certificate valid", &format!("{from} to {to}"));
        }
        Err(error) => {
            line(text, "  certificate", &format!("not fit for keyless signing: {error}"));
            if let Ok(slices) = Slices::parse(cms.certificate) {
                let (from, to) = (words::time(slices.not_before), words::time(slices.not_after));
                line(text, "  certificate valid", &format!("{from} to {to}"));
            }
        }
    }
    let entry = match &cms.log_entry {
        None => {
            text.push_str("  no log entry\n");
            None
        }
        Some(EmbeddedEntry::Encoded(bytes)) => Some(TransparencyLogEntry::parse(bytes)),
        Some(EmbeddedEntry::Prototype(fields)) => Some(TransparencyLogEntry::from_prototype(fields)),
    };
    if let Some(entry) = entry {
        let entry = entry.map_err(|error| words(&error))?;
        let version = entry.kind_version.as_ref().map_or("", |kind| kind.version.as_str());
        line(text, "  log entry", &format!("hashedrekord {version}, index {}", entry.log_index));
        if entry.signed_entry_timestamp().is_some() {
            line(text, "  entered into the log", &words::time(entry.integrated_time));
        }
        if let Some(envelope) = entry.inclusion_proof.as_ref().and_then(|proof| proof.checkpoint.as_ref()) {
            match Checkpoint::parse(&envelope.envelope) {
                Ok(checkpoint) => {
                    let size = checkpoint.tree_size;
                    line(text, "  checkpoint", &format!("'{}' of {size} entries", checkpoint.origin));
                }
                Err(error) => line(text, "  checkpoint", &error),
            }
        }
    }
    for token in &cms.timestamp_tokens {
        match TimestampToken::parse(token) {
            Ok(token) => line(text, "  timestamp", &words::time(token.time)),
            Err(error) => line(text, "  timestamp", &error),
        }
    }
    Ok(())
}
