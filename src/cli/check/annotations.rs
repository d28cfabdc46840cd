//! The answer of `countersign check` in the forms that forges read.

use serde_json::{Value, json};

use super::Judged;
use crate::{
    cli::exit,
    encoding::sha256,
    policy::{Refusal, Subject},
    words::escape_bytes,
};

/// Every refusal and warning in one object.
pub(super) fn json(judged: &Judged) -> String {
    let told: Vec<Value> = judged
        .told()
        .map(|(refusal, refuses)| {
            let mut value = json!({
                "refuses": refuses,
                "subject": kind(refusal),
                "rule": refusal.rule,
                "signer": refusal.signer(),
                "words": refusal.to_string(),
                "hint": refusal.hint(),
            });
            if let Some(id) = object(refusal) {
                value["object"] = id.into();
            }
            value
        })
        .collect();
    let id = |id: Option<crate::object::ObjectId>| id.map(|id| id.to_string());
    let value = json!({
        "version": 1,
        "ref": escape_bytes(&judged.update.reference),
        "base": id(judged.update.claimed),
        "head": id(judged.update.wanted),
        "accepted": judged.finding.refusals.is_empty(),
        "upToDate": !judged.behind,
        "findings": told,
    });
    format!("{value}\n")
}

/// Workflow commands (GitHub, "Workflow commands for GitHub Actions").
pub(super) fn github(judged: &Judged) -> String {
    let mut text = String::new();
    for (refusal, refuses) in judged.told() {
        let command = if refuses { "error" } else { "warning" };
        let title = property(&title(refusal));
        let message = data(&format!("{refusal}\nhint: {}", refusal.hint()));
        text += &format!("::{command} title={title}::{message}\n");
    }
    if judged.behind {
        text += &format!("::warning title=countersign::{}\n", data(super::BEHIND.trim_end()));
    }
    if judged.finding.refusals.is_empty() {
        text += &format!(
            "::notice title=countersign::{}: accepted\n",
            data(&escape_bytes(&judged.update.reference))
        );
    }
    text
}

/// The value of a command: no line feed ends it, and nothing in it is another command of the older form.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A").replace("##[", "##%5B")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// GitLab's code quality report (Code Climate's issues, the part that GitLab reads).
pub(super) fn gitlab(judged: &Judged) -> String {
    let issue = |(refusal, refuses): (&Refusal, bool)| {
        let words = refusal.to_string();
        json!({
            "description": format!("{words}; {}", refusal.hint()),
            "check_name": "countersign",
            "fingerprint": hex::encode(sha256(&[words.as_bytes()])),
            "severity": if refuses { "blocker" } else { "minor" },
            "location": {"path": object(refusal).unwrap_or_else(|| place(judged)), "lines": {"begin": 1}},
        })
    };
    let issues: Vec<Value> = judged.told().map(issue).collect();
    format!("{}\n", Value::from(issues))
}

/// SARIF 2.1.0 (OASIS): a result for each refusal and each warning.
pub(super) fn sarif(judged: &Judged, status: u8) -> String {
    let result = |(refusal, refuses): (&Refusal, bool)| {
        let name = object(refusal).unwrap_or_else(|| place(judged));
        let words = refusal.to_string();
        json!({
            "ruleId": "refused",
            "level": if refuses { "error" } else { "warning" },
            "message": {"text": format!("{words}; {}", refusal.hint())},
            "locations": [{
                "physicalLocation": {"artifactLocation": {"uri": place(judged)}},
                "logicalLocations": [{"name": name, "kind": kind(refusal)}],
            }],
            "partialFingerprints": {"refusal/v1": hex::encode(sha256(&[words.as_bytes()]))},
        })
    };
    let results: Vec<Value> = judged.told().map(result).collect();
    let document = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "countersign",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": [{"id": "refused", "shortDescription": {"text": "the policy refuses it"}}],
            }},
            "results": results,
            "invocations": [{"executionSuccessful": status != exit::COULD_NOT_RUN, "exitCode": status}],
        }],
    });
    format!("{document}\n")
}

/// A relative reference that stands for the ref: every octet but the safe ones escaped (RFC 3986, 2.1).
fn place(judged: &Judged) -> String {
    let mut text = String::new();
    for byte in &judged.update.reference {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                text.push(char::from(*byte));
            }
            other => text += &format!("%{other:02X}"),
        }
    }
    text
}

fn title(refusal: &Refusal) -> String {
    match (refusal.subject, object(refusal)) {
        (_, None) => format!("countersign {}", escape_bytes(&refusal.reference)),
        (_, Some(id)) => format!("countersign {} {}", kind(refusal), &id[..12]),
    }
}

fn kind(refusal: &Refusal) -> &'static str {
    match refusal.subject {
        Subject::Commit(_) => "commit",
        Subject::Tag(_) => "tag",
        Subject::Reference => "ref",
    }
}

fn object(refusal: &Refusal) -> Option<String> {
    match refusal.subject {
        Subject::Commit(id) | Subject::Tag(id) => Some(id.to_string()),
        Subject::Reference => None,
    }
}
