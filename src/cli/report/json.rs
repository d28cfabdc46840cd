//! One JSON object for each object, as countersign-verify(1) describes it.

use serde_json::{Value, json};

use super::{Answer, Line, Place};
use crate::{
    cli::settings::Standing,
    object::HashKind,
    policy::{Cause, Lapse},
    sigstore::claims::Claims,
    verify::{Identity, ProvenEntry, ProvenTime, ProvenTimestamp},
};

/// One object, and the policy that it was judged by.
pub(super) fn line(line: &Line, policy: Option<&Value>) -> Value {
    let mut value = object(line);
    if let Some(policy) = policy {
        value["policy"] = policy.clone();
    }
    value
}

/// One object with everything that is proven of it.
pub(super) fn object(line: &Line) -> Value {
    let (status, cause) = line.status();
    let mut value = json!({
        "version": 1,
        "object": line.id.to_string(),
        "hash": if line.id.kind() == HashKind::Sha256 { "sha256" } else { "sha1" },
        "type": line.kind.to_string(),
        "status": status,
        "exit": line.exit(),
    });
    if let Some(cause) = cause {
        value["cause"] = cause.into();
    }
    if line.place == Place::CutOff {
        value["cutOff"] = true.into();
    }
    if let Answer::Good { standing, .. }
    | Answer::NotLogged { standing, .. }
    | Answer::Stated { standing, .. }
    | Answer::TimeNotProven { standing, .. } = &line.answer
        && let Some(reason) = refused_for(standing)
    {
        value["refusedFor"] = reason.into();
    }
    if line.place == Place::Merged {
        value["tag"] = line.title.as_str().into();
    }
    if !line.merged.is_empty() {
        value["mergedTags"] = line.merged.iter().map(object).collect();
    }
    if let Answer::Stated { stated, standing } = &line.answer {
        value["keys"] = stated.keys().iter().map(ToString::to_string).collect();
        value["signingKey"] = stated.signing_key().into();
        if let Some(time) = stated.time() {
            value["statedTime"] = time.into();
        }
        value["keyExpired"] = stated.key_expired().into();
        if let Standing::Named(name) = standing {
            value["name"] = name.as_str().into();
        }
    }
    if let Answer::Good { proven, standing } = &line.answer {
        let identity = proven.identity();
        value["identity"] = identity_object(identity, proven.claims());
        if let Standing::Named(name) = standing {
            value["name"] = name.as_str().into();
        }
        value["times"] = times(proven.times(), proven.timestamps());
        value["log"] = entry(proven.entry());
        if let [_, further @ ..] = proven.entries()
            && !further.is_empty()
        {
            value["furtherLogs"] = further.iter().map(entry).collect();
        }
        value["certificateSha256"] = hex::encode(proven.certificate_digest()).into();
        value["trustedRootSha256"] = hex::encode(proven.root_digest()).into();
    }
    if let Answer::NotLogged { signed, standing, .. } = &line.answer {
        value["notLogged"] = true.into();
        value["identity"] = identity_object(signed.identity(), signed.claims());
        if let Standing::Named(name) = standing {
            value["name"] = name.as_str().into();
        }
        value["times"] = times(signed.times(), signed.timestamps());
        value["certificateSha256"] = hex::encode(signed.certificate_digest()).into();
        value["trustedRootSha256"] = hex::encode(signed.root_digest()).into();
    }
    if let Answer::TimeNotProven { signed, standing } = &line.answer {
        value["timeNotProven"] = true.into();
        value["identity"] = identity_object(signed.identity(), signed.claims());
        if let Standing::Named(name) = standing {
            value["name"] = name.as_str().into();
        }
        let (from, to) = signed.window();
        value["certificateWindow"] = json!({"from": from, "to": to});
        value["certificateSha256"] = hex::encode(signed.certificate_digest()).into();
        value["trustedRootSha256"] = hex::encode(signed.root_digest()).into();
    }
    value
}

/// The proven times, and who proved them. `stamps` are those of timestamp authorities among them, in order.
fn times(times: &[ProvenTime], stamps: &[ProvenTimestamp]) -> Value {
    let mut stamps = stamps.iter();
    let time = |time: &ProvenTime| match time {
        ProvenTime::Log(seconds) => json!({"by": "log", "seconds": seconds}),
        ProvenTime::TimestampAuthority(seconds) => {
            let mut value = json!({"by": "timestamp-authority", "seconds": seconds});
            if let Some(stamp) = stamps.next().filter(|stamp| !stamp.authority.is_empty()) {
                value["url"] = stamp.authority.as_str().into();
            }
            value
        }
    };
    times.iter().map(time).collect()
}

fn entry(entry: &ProvenEntry) -> Value {
    json!({
        "url": entry.log,
        "index": entry.index,
        "signedEntryTimestamp": entry.signed_entry_timestamp,
        "inclusionProof": entry.inclusion_proof,
        "embedded": entry.embedded,
    })
}

/// One word for why a signer is refused who is proven, or whose key made the signature.
fn refused_for(standing: &Standing) -> Option<&'static str> {
    match standing {
        Standing::Named(_) | Standing::NoPolicy => None,
        Standing::NotBelieved => Some("not-believed"),
        Standing::Unnamed => Some("not-named"),
        Standing::Refused(cause) => Some(match &**cause {
            Cause::Ambiguous { .. } => "ambiguous",
            Cause::Forge { .. } => "forge",
            Cause::Lapsed { lapse: Lapse::Compromised(_), .. } => "compromised",
            Cause::Lapsed { .. } => "window",
            _ => "not-named",
        }),
    }
}

fn identity_object(identity: &Identity, claims: &Claims) -> Value {
    let mut object = json!({
        "instance": identity.instance,
        "issuer": identity.issuer,
        "kind": identity.kind.name(),
        "subject": identity.subject,
    });
    if !claims.is_empty() {
        let claims = claims.iter().map(|(claim, text)| (claim.name().to_owned(), text.into()));
        object["claims"] = Value::Object(claims.collect());
    }
    object
}
