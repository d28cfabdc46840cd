//! `countersign verify`: who vouches for these commits and tags, for people and for machines.

use gix::objs::Kind;
use rayon::prelude::*;
use serde_json::{Value, json};

use super::{
    Outcome, World,
    arguments::VerifyArguments,
    exit,
    settings::{self, Standing, Trust},
};
use crate::{
    object::{Commit, HashKind, ObjectId, Signed, Tag},
    repository::{ObjectReader, Repository, Revision, new_commits},
    sigstore::certificate::SubjectKind,
    verify::{Identity, Proven, ProvenTime, Verdict, Verifier},
    words::{self, Failure},
};

/// How many objects are judged before their lines are printed: memory stays flat however many there are.
const BATCH: usize = 1024;

/// One object's answer.
enum Answer {
    Good {
        proven: Box<Proven>,
        standing: Standing,
    },
    /// Changed after signing, or malformed.
    Bad(String),
    CannotTell(String),
    /// Not signed at all.
    Unsigned,
    /// The tag calls itself by another name than its ref.
    Misnamed {
        tag: String,
        reference: String,
    },
    /// The object cannot be had.
    Failed(String),
}

struct Line {
    id: ObjectId,
    kind: Kind,
    title: String,
    answer: Answer,
}

/// Verify each revision and print a line for each object.
pub(super) fn run(world: &mut World<'_>, arguments: &VerifyArguments) -> Outcome {
    let configuration = settings::configuration(world)?;
    let repository = settings::repository(world, arguments.repository.as_deref())?;
    let mut trust = trust(world, arguments, &configuration)?;
    let verifier = Verifier::new(std::mem::take(&mut trust.instances));
    if arguments.verbose {
        tell_sources(world, &verifier, &trust);
    }
    let head = ["HEAD".to_owned()];
    let revisions = if arguments.revisions.is_empty() { &head[..] } else { &arguments.revisions };
    let objects = repository.objects().map_err(|error| unreadable(&error))?;

    let mut worst = exit::GOOD;
    let mut unnamed = false;
    for revision in revisions {
        let wanted = ids(&repository, revision)?;
        for batch in wanted.chunks(BATCH) {
            let lines: Vec<Line> = batch
                .par_iter()
                .map_init(
                    || objects.reader(),
                    |reader, id| judge(reader, *id, revision, &repository, &verifier, &trust, world.now),
                )
                .collect();
            let mut text = String::new();
            for line in &lines {
                worst = worse(worst, line.exit());
                unnamed |= matches!(&line.answer, Answer::Good { standing: Standing::NoPolicy, .. });
                text.push_str(&if arguments.json { format!("{}\n", line.json()) } else { line.words() });
            }
            world.say(&text);
        }
    }
    if unnamed {
        world.complain(
            "warning: signatures are proven, but neither a policy nor '--identity' says who should sign\n\
             hint: name one signer with '--identity SUBJECT --issuer URL', or a policy with '--policy FILE'\n\
             hint: 'countersign policy init FILE' writes a first policy\n",
        );
    }
    Ok(worst)
}

fn trust(
    world: &World<'_>,
    arguments: &VerifyArguments,
    configuration: &crate::repository::Configuration,
) -> Result<Trust, Failure> {
    let mut trust = match (&arguments.policy, &arguments.identity, &arguments.issuer) {
        (Some(policy), ..) => settings::policy_trust(world, configuration, policy)?,
        (None, Some(subject), Some(issuer)) => {
            let instances = settings::instances(world, configuration)?;
            let mut trust = Trust { instances, ..Trust::default() };
            for kind in [SubjectKind::Email, SubjectKind::Uri, SubjectKind::Username] {
                let (instance, issuer, subject) =
                    (arguments.instance.clone(), issuer.clone(), subject.clone());
                trust.name(Identity { instance, issuer, kind, subject }, "--identity");
            }
            trust
        }
        _ => settings::trust(world, configuration)?,
    };
    for named in &arguments.trusted_root {
        let (name, file) = named.split_once('=').ok_or_else(|| {
            Failure::new(format!("'--trusted-root {named}' names no file"), "write it as NAME=FILE")
        })?;
        trust.instances.retain(|instance| instance.name() != name);
        trust.instances.push(settings::load_instance(name, &world.directory.join(file))?);
    }
    Ok(trust)
}

fn tell_sources(world: &mut World<'_>, verifier: &Verifier, trust: &Trust) {
    let source = trust.source.as_deref().unwrap_or("nobody is named");
    let mut text = format!("identities: {}\n", words::escape(source));
    for instance in verifier.instances() {
        text.push_str(&format!(
            "trusted root: {} sha256:{}\n",
            words::escape(instance.name()),
            hex::encode(instance.digest())
        ));
    }
    world.complain(&text);
}

/// The objects that `revision` names: one, or the commits of a range, newest first.
fn ids(repository: &Repository, revision: &str) -> Result<Vec<ObjectId>, Failure> {
    let resolved = repository.resolve(revision).map_err(|error| {
        Failure::new(error, "name a commit, a tag or a range 'A..B' that is in this repository")
    })?;
    match resolved {
        Revision::Single(id) => Ok(vec![id]),
        Revision::Range { exclude, include } => {
            let objects = repository.objects().map_err(|error| unreadable(&error))?;
            let shallow = repository.shallow(None).map_err(|error| unreadable(&error))?;
            new_commits(&objects.reader(), &[include], &[exclude], None, &shallow)
                .map(|history| history.commits)
                .map_err(|error| unreadable(&error))
        }
    }
}

fn unreadable(error: &dyn std::error::Error) -> Failure {
    Failure::new(error, "run 'git fsck' to see what is missing or damaged")
}

fn judge(
    reader: &ObjectReader,
    id: ObjectId,
    revision: &str,
    repository: &Repository,
    verifier: &Verifier,
    trust: &Trust,
    now: i64,
) -> Line {
    let failed = |kind, error: &dyn std::error::Error| Line {
        id,
        kind,
        title: String::new(),
        answer: Answer::Failed(error.to_string()),
    };
    // Whoever sees an object that git reads in one way and others in another must not vouch for it.
    let malformed = |kind, error: &dyn std::error::Error| Line {
        id,
        kind,
        title: String::new(),
        answer: Answer::Bad(error.to_string()),
    };
    let object = match reader.read(id) {
        Ok(object) => object,
        Err(error) => return failed(Kind::Commit, &error),
    };
    match object.kind {
        Kind::Commit => match Commit::parse(reader.hash(), &object.bytes) {
            Ok(commit) => {
                let title = commit.message.split(|byte| *byte == b'\n').next().unwrap_or_default();
                let answer = answer(&commit.signed, verifier, trust, now);
                Line { id, kind: Kind::Commit, title: words::escape_bytes(title), answer }
            }
            Err(error) => malformed(Kind::Commit, &error),
        },
        Kind::Tag => match Tag::parse(reader.hash(), &object.bytes) {
            Ok(tag) => {
                let answer = match misnamed(repository, revision, id, tag.name) {
                    Some(misnamed) => misnamed,
                    None => answer(&tag.signed, verifier, trust, now),
                };
                Line { id, kind: Kind::Tag, title: words::escape_bytes(tag.name), answer }
            }
            Err(error) => malformed(Kind::Tag, &error),
        },
        kind => Line {
            id,
            kind,
            title: String::new(),
            answer: Answer::Failed(format!("a {kind} carries no signature")),
        },
    }
}

fn answer(signed: &Signed<'_>, verifier: &Verifier, trust: &Trust, now: i64) -> Answer {
    let Some(signature) = &signed.signature else { return Answer::Unsigned };
    match verifier.verify(&signed.payload, signature, now) {
        Verdict::Good(proven) => {
            let standing = trust.standing(proven.identity());
            Answer::Good { proven, standing }
        }
        Verdict::Bad(bad) => Answer::Bad(bad.to_string()),
        Verdict::CannotTell(cause) => Answer::CannotTell(cause.to_string()),
    }
}

/// A tag that was asked for by the name of a ref must call itself by that name (git does not compare).
fn misnamed(repository: &Repository, revision: &str, id: ObjectId, name: &[u8]) -> Option<Answer> {
    // What follows only says which object of the ref is meant: `v1^{tag}`, `v1@{0}`.
    let asked = revision.split(['^', '~', ':']).next().unwrap_or_default();
    let asked = asked.split("@{").next().unwrap_or_default();
    let short = asked.strip_prefix("refs/tags/").or(asked.strip_prefix("tags/")).unwrap_or(asked);
    let reference = format!("refs/tags/{short}");
    let value = repository.references().read(reference.as_str().into());
    let reference = match value {
        Ok(value) if value.id == Some(id) => reference,
        // By its own id, nobody gave it another name.
        _ if id.to_string().starts_with(&asked.to_ascii_lowercase()) => return None,
        // Some other ref by which the object was found, with whatever stands before the name.
        _ if asked.as_bytes().ends_with(&[b"/", name].concat()) => return None,
        _ => asked.to_owned(),
    };
    let short = reference.strip_prefix("refs/tags/").unwrap_or(&reference);
    (short.as_bytes() != name)
        .then(|| Answer::Misnamed { tag: words::escape_bytes(name), reference: words::escape(&reference) })
}

/// The worse of two exit statuses: 3, then 1, then 2, then 0.
fn worse(one: u8, other: u8) -> u8 {
    let rank = |status| match status {
        exit::COULD_NOT_RUN => 3,
        exit::BAD => 2,
        exit::CANNOT_TELL => 1,
        _ => 0,
    };
    if rank(one) >= rank(other) { one } else { other }
}

impl Line {
    fn exit(&self) -> u8 {
        match &self.answer {
            Answer::Good { standing: Standing::Named(_), .. } => exit::GOOD,
            Answer::Good { standing: Standing::NoPolicy, .. } | Answer::CannotTell(_) => exit::CANNOT_TELL,
            Answer::Good { standing: Standing::Unnamed, .. }
            | Answer::Bad(_)
            | Answer::Unsigned
            | Answer::Misnamed { .. } => exit::BAD,
            Answer::Failed(_) => exit::COULD_NOT_RUN,
        }
    }

    /// The status as a word for machines, and its cause where there is one.
    fn status(&self) -> (&'static str, Option<String>) {
        match &self.answer {
            Answer::Good { standing: Standing::Named(_), .. } => ("good", None),
            Answer::Good { standing: Standing::NoPolicy, .. } => {
                ("proven", Some("neither a policy nor '--identity' names anyone".to_owned()))
            }
            Answer::Good { standing: Standing::Unnamed, .. } => {
                ("refused", Some("the signer is not named".to_owned()))
            }
            Answer::Bad(cause) => ("bad", Some(cause.clone())),
            Answer::CannotTell(cause) => ("cannot-tell", Some(cause.clone())),
            Answer::Unsigned => ("unsigned", Some("there is no signature".to_owned())),
            Answer::Misnamed { tag, reference } => {
                ("refused", Some(format!("'{reference}' holds a tag that calls itself '{tag}'")))
            }
            Answer::Failed(cause) => ("error", Some(cause.clone())),
        }
    }

    fn words(&self) -> String {
        let (status, cause) = self.status();
        let short = &self.id.to_string()[..12];
        let mut line = format!("{status:<11} {short} ");
        if let Answer::Good { proven, standing } = &self.answer {
            let identity = proven.identity();
            let name = match standing {
                Standing::Named(name) if *name != identity.subject => format!("{} = ", words::escape(name)),
                _ => String::new(),
            };
            line.push_str(&format!(
                "{name}{} ({}, {}) {} ",
                words::escape(&identity.subject),
                words::escape(&identity.issuer),
                words::escape(&identity.instance),
                words::time(proven.time()),
            ));
        }
        if let Some(cause) = cause.filter(|_| !matches!(self.answer, Answer::Unsigned)) {
            line.push_str(&format!("[{}] ", words::escape(&cause)));
        }
        line.push_str(&self.title);
        format!("{}\n", line.trim_end())
    }

    fn json(&self) -> Value {
        let (status, cause) = self.status();
        let mut value = json!({
            "version": 1,
            "object": self.id.to_string(),
            "hash": if self.id.kind() == HashKind::Sha256 { "sha256" } else { "sha1" },
            "type": self.kind.to_string(),
            "status": status,
            "exit": self.exit(),
        });
        if let Some(cause) = cause {
            value["cause"] = cause.into();
        }
        if let Answer::Good { proven, standing } = &self.answer {
            let identity = proven.identity();
            let entry = proven.entry();
            value["identity"] = json!({
                "instance": identity.instance,
                "issuer": identity.issuer,
                "kind": identity.kind.name(),
                "subject": identity.subject,
            });
            if let Standing::Named(name) = standing {
                value["name"] = name.as_str().into();
            }
            value["times"] = proven
                .times()
                .iter()
                .map(|time| match time {
                    ProvenTime::Log(seconds) => json!({"by": "log", "seconds": seconds}),
                    ProvenTime::TimestampAuthority(seconds) => {
                        json!({"by": "timestamp-authority", "seconds": seconds})
                    }
                })
                .collect();
            value["log"] = json!({
                "url": entry.log,
                "index": entry.index,
                "signedEntryTimestamp": entry.signed_entry_timestamp,
                "inclusionProof": entry.inclusion_proof,
            });
            value["certificateSha256"] = hex::encode(proven.certificate_digest()).into();
            value["trustedRootSha256"] = hex::encode(proven.root_digest()).into();
        }
        value
    }
}
