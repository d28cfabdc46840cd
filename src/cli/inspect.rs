//! `countersign inspect`: what is in a signature, and why it does or does not verify.
//!
//! Claims are shown as claims; the policy line is offered for a proven signature only.

mod smime;
mod ssh;

use std::{cell::OnceCell, fmt::Write as _};

use gix::objs::Kind;

use super::{
    Outcome, World,
    arguments::InspectArguments,
    certificate, exit, gnupg, gpgsm,
    kept::{self, Kept},
    settings::{self, Standing, Trust, Unclear},
    verify::merged,
};
use crate::{
    encoding::x509::Slices,
    object::{Commit, ObjectId, Payload, PushCertificate, Signed, Tag},
    policy::{Cause, Covered, NO_ENTRY, Receipt, policy_entry, x509_entry},
    repository::{Configuration, Coverage, Objects, PROOFS, Repository, Shallow},
    signature::{
        armor,
        keyless::{EmbeddedEntry, Keyless},
        openpgp::Detached,
        smime::is_smime,
    },
    sigstore::{
        certificate::SigningCertificate, checkpoint::Checkpoint, log_entry::TransparencyLogEntry,
        timestamp::TimestampToken,
    },
    verify::{Key, TimeNotProven, Verdict, Verifier, smime::Authorities},
    words::{self, Failure},
};

/// Describe the signature of one commit or tag.
pub(super) fn run(world: &mut World<'_>, arguments: &InspectArguments) -> Outcome {
    let configuration = settings::configuration(world)?;
    let repository = settings::repository(world, arguments.repository.as_deref())?;
    let hint = "name one commit or tag that is in this repository";
    let objects = repository.objects().map_err(|error| Failure::new(error, "run 'git fsck'"))?;
    let object = match &arguments.push_certificate {
        Some(file) => certificate::from_file(repository.hash(), &world.directory.join(file))?,
        None => {
            let id = repository.resolve_single(&arguments.revision);
            let id = id.map_err(|error| Failure::new(error, hint))?;
            objects.reader().read(id).map_err(|error| Failure::new(error, "run 'git fsck'"))?
        }
    };
    let id = object.id;
    let shallow = repository.shallow(None).map_err(|error| Failure::new(error, "run 'git fsck'"))?;
    let here = Here { id, objects: &objects, shallow };
    let reader = objects.reader();
    let (proofs, trouble) = kept::proofs(&repository, &reader);
    world.complain(&kept::warning(&trouble));
    let kept = Kept { proofs: &proofs, reader: &reader };
    let mut text = format!("{} {id}\n", object.kind);
    let described = match object.kind {
        Kind::Commit => Commit::parse(repository.hash(), &object.bytes)
            .map(|commit| commit_status(world, &configuration, here, &mut text, &repository, kept, &commit)),
        Kind::Tag => Tag::parse(repository.hash(), &object.bytes).map(|tag| {
            Ok(Judge::new(world, &configuration, here, &repository, kept, &[&tag.signed])?
                .describe(&mut text, &tag.signed))
        }),
        Kind::Blob if PushCertificate::is_meant(&object.bytes) => {
            PushCertificate::parse(repository.hash(), &object.bytes).map(|parsed| {
                certificate::describe(&mut text, &parsed);
                let judge = Judge::new(world, &configuration, here, &repository, kept, &[&parsed.signed])?;
                Ok(judge.describe(&mut text, &parsed.signed))
            })
        }
        kind => return Err(Failure::new(format!("'{id}' is a {kind}, which carries no signature"), hint)),
    };
    let status = match described {
        Ok(status) => status?,
        Err(error) => {
            line(&mut text, "malformed", &error);
            exit::BAD
        }
    };
    world.say(&text);
    Ok(status)
}

/// Describe a commit, and under it the tags that it has merged.
fn commit_status(
    world: &World<'_>,
    configuration: &Configuration,
    here: Here<'_>,
    text: &mut String,
    repository: &Repository,
    kept: Kept<'_>,
    commit: &Commit<'_>,
) -> Outcome {
    let hash = repository.hash();
    let bytes: Vec<Vec<u8>> = commit.merged_tags().take(commit.parents.len()).collect();
    let tags: Vec<_> = bytes.iter().map(|bytes| Tag::parse(hash, bytes).ok()).collect();
    let all: Vec<_> =
        std::iter::once(&commit.signed).chain(tags.iter().flatten().map(|tag| &tag.signed)).collect();
    let judge = Judge::new(world, configuration, here, repository, kept, &all)?;
    let mut status = judge.describe(text, &commit.signed);
    let covered = judge.covered();
    let receipt = Receipt { now: judge.now, covered: &covered };
    let asked = merged::Asked { hash, verifier: &judge.verifier, trust: &judge.trust, receipt, kept };
    let lines = asked.judge(commit);
    for (merged, tag) in lines.iter().zip(&tags) {
        line(text, "merged tag", &format!("{} '{}'", merged.id, merged.title));
        if let Some(tag) = tag {
            judge.describe(text, &tag.signed);
        }
    }
    if let Some(fault) = merged::fault(commit, &lines) {
        line(text, "bad", &fault);
        status = exit::BAD;
    }
    Ok(status)
}

/// The object that is described, and where it is.
struct Here<'a> {
    id: ObjectId,
    objects: &'a Objects,
    shallow: Shallow,
}

/// Everything that a signature is judged by.
struct Judge<'a> {
    verifier: Verifier,
    trust: Trust,
    kept: Kept<'a>,
    now: i64,
    here: Here<'a>,
    /// What the policy's anchors cover, once somebody asks.
    coverage: OnceCell<Coverage>,
}

impl<'a> Judge<'a> {
    /// What there is to judge `all` by; the user's own GnuPG is asked only where there is something for it.
    fn new(
        world: &World<'_>,
        configuration: &Configuration,
        here: Here<'a>,
        repository: &Repository,
        kept: Kept<'a>,
        all: &[&Signed<'_>],
    ) -> Result<Self, Failure> {
        let mut trust = settings::trust(world, configuration, Some(repository))?;
        let mut ring = std::mem::take(&mut trust.openpgp);
        let signatures = || all.iter().filter_map(|signed| signed.signature.as_ref());
        let is_openpgp = |signature: &Vec<u8>| armor::kind(signature) == Some(armor::Kind::OpenPgp);
        if trust.policy.is_none() && signatures().any(is_openpgp) {
            ring.extend(gnupg::ring(world, None));
        }
        let mut authorities = std::mem::take(&mut trust.smime);
        if trust.policy.is_none() && signatures().any(|signature| is_smime(signature)) {
            authorities = gpgsm::authorities(world);
        }
        let verifier = Verifier::new(std::mem::take(&mut trust.instances))
            .with_openpgp(ring)
            .with_smime(authorities)
            .with_ssh_revocations(settings::ssh_revocations(world, configuration)?);
        Ok(Self { verifier, trust, kept, now: world.now, here, coverage: OnceCell::new() })
    }

    /// Whether an anchor of the policy covers the object.
    fn covered(&self) -> impl Fn(i64) -> Covered + '_ {
        let Here { id, objects, shallow } = &self.here;
        move |moment| {
            let coverage = self.coverage.get_or_init(|| self.trust.coverage(objects, shallow.clone()));
            Covered::from(coverage.covers(*id, moment))
        }
    }

    /// What is in a signature, and what it comes to; the exit status.
    fn describe(&self, text: &mut String, signed: &Signed<'_>) -> u8 {
        let Some(signature) = &signed.signature else {
            text.push_str("there is no signature\n");
            return exit::BAD;
        };
        text.push_str("claims, none of them proven:\n");
        if let Err(reason) = claims(text, &signed.payload, signature, self.verifier.smime()) {
            line(text, "  unreadable", &reason);
        }
        let covered = self.covered();
        let receipt = Receipt { now: self.now, covered: &covered };
        let verdict = self.kept.judge(&self.verifier, signed, self.now).expect("there is a signature");
        match verdict {
            Verdict::Good(proven) => {
                if let Some(stale) = self.trust.stale(&proven, self.now) {
                    unclear(text, &stale);
                    return exit::CANNOT_TELL;
                }
                text.push_str("proven:\n");
                let identity = proven.identity();
                line(text, "  instance", &identity.instance);
                line(text, "  issuer", &identity.issuer);
                line(text, &format!("  {}", identity.kind.name()), &identity.subject);
                for time in proven.times() {
                    line(text, "  time", &words::time(time.seconds()));
                }
                for entry in proven.entries() {
                    line(text, "  log", &format!("{} index {}", entry.log, entry.index));
                }
                if !proven.entry().embedded {
                    text.push_str("  the entry is not in the signature: it is kept in '");
                    text.push_str(PROOFS);
                    text.push_str("'\n");
                }
                for (claim, said) in proven.claims().iter() {
                    line(text, &format!("  {}", claim.name()), &said);
                }
                match self.trust.standing(&*proven, &receipt) {
                    Standing::NotBelieved => {
                        text.push_str("proven, but the instance is not believed for such an identity here\n");
                        return exit::BAD;
                    }
                    Standing::Refused(cause) => return refused(text, &cause),
                    Standing::Named(_) | Standing::NoPolicy | Standing::Unnamed => {}
                }
                match policy_entry(identity, proven.claims()) {
                    Some(entry) => {
                        text.push_str("if you know this to be the right person, name it in a policy:\n");
                        writeln!(text, "  keyless = [{entry}]").expect("a string takes everything");
                    }
                    None => line(text, "no policy can name it", &NO_ENTRY),
                }
                exit::GOOD
            }
            Verdict::NotLogged(signed) => {
                text.push_str("proven, and in no transparency log that it shows:\n");
                let identity = signed.identity();
                line(text, "  instance", &identity.instance);
                line(text, "  issuer", &identity.issuer);
                line(text, &format!("  {}", identity.kind.name()), &identity.subject);
                for timestamp in signed.timestamps() {
                    let by = format!("{} by '{}'", words::time(timestamp.seconds), timestamp.authority);
                    line(text, "  time", &by);
                }
                if let Some(cause) = signed.refused() {
                    line(text, "  what is kept of a log does not count", &cause);
                }
                if self.trust.not_logged_counts { exit::GOOD } else { exit::CANNOT_TELL }
            }
            Verdict::TimeNotProven(signed) => {
                time_not_proven(text, &signed);
                exit::CANNOT_TELL
            }
            Verdict::Stated(stated) => {
                text.push_str("good, by the key (its time is stated, not proven):\n");
                for key in stated.keys() {
                    line(text, "  key", key);
                }
                if let Some(time) = stated.time() {
                    line(text, "  stated time", &words::time(time));
                }
                if stated.key_expired() {
                    text.push_str("  the key has expired since\n");
                }
                if let Standing::Refused(cause) = self.trust.standing_of_stated(&stated, &receipt) {
                    return refused(text, &cause);
                }
                for key in stated.keys() {
                    if let Key::OpenPgp { fingerprint } = key {
                        for user_id in self.verifier.openpgp().user_ids(fingerprint) {
                            line(text, "  user id", &user_id);
                        }
                        text.push_str("if you know this to be the right person, name it in a policy:\n");
                        writeln!(text, "  openpgp = [\"{fingerprint}\"]").expect("a string takes everything");
                    }
                }
                // The first is the address, if the certificate has one: it outlives the certificate.
                if let Some(entry) = stated.keys().first().and_then(x509_entry) {
                    text.push_str("if you know this to be the right person, name it in a policy:\n");
                    writeln!(text, "  x509 = [{entry}]").expect("a string takes everything");
                    if self.trust.policy.is_none() {
                        text.push_str(
                            "with the authority's certificates under '[[certificate_authority]]' there\n",
                        );
                    }
                }
                if let Some(entry) = ssh::policy_line(signature) {
                    text.push_str("if you know this to be the right person, name it in a policy:\n");
                    writeln!(text, "  {entry}").expect("a string takes everything");
                }
                exit::GOOD
            }
            Verdict::Bad(bad) => {
                line(text, "bad", &bad);
                exit::BAD
            }
            Verdict::CannotTell(cause) => {
                unclear(text, &self.trust.unclear(&cause, self.now));
                exit::CANNOT_TELL
            }
        }
    }
}

/// Say why the policy does not count a signer whom it knows; the exit status.
fn refused(text: &mut String, cause: &Cause) -> u8 {
    line(text, "refused by the policy", cause);
    line(text, "hint", &cause.hint());
    if cause.is_unclear() { exit::CANNOT_TELL } else { exit::BAD }
}

/// What a signature of gitsign's online mode comes to without its entry.
fn time_not_proven(text: &mut String, signed: &TimeNotProven) {
    text.push_str("good but for its time, which nothing proves:\n");
    let identity = signed.identity();
    line(text, "  instance", &identity.instance);
    line(text, "  issuer", &identity.issuer);
    line(text, &format!("  {}", identity.kind.name()), &identity.subject);
    let (from, to) = signed.window();
    line(text, "  should be between", &format!("{} and {}", words::time(from), words::time(to)));
    line(text, "cannot tell", signed);
    text.push_str("gitsign has entered it into the log under the object's id, and stored nothing of that\n");
    line(text, "hint", &kept::FETCH_HINT);
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
fn claims(
    text: &mut String,
    payload: &Payload<'_>,
    signature: &[u8],
    authorities: &Authorities,
) -> Result<(), String> {
    let words = |error: &dyn std::error::Error| error.to_string();
    match armor::kind(signature) {
        Some(armor::Kind::Cms) if is_smime(signature) => {
            let der = armor::decode(signature).map_err(|error| words(&error))?;
            return smime::claims(text, payload, &der, authorities);
        }
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
    if cms.log_entry.is_none() {
        text.push_str("  no log entry\n");
    }
    let first = cms.log_entry.iter().map(|entry| match entry {
        EmbeddedEntry::Encoded(bytes) => TransparencyLogEntry::parse(bytes),
        EmbeddedEntry::Prototype(fields) => TransparencyLogEntry::from_prototype(fields),
    });
    for entry in first.chain(cms.further_log_entries.iter().map(|bytes| TransparencyLogEntry::parse(bytes))) {
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
