//! Entries and findings in words and as JSON.

use serde_json::{Value, json};

use crate::{
    hook::ADMITTED,
    ledger::{Elsewhere, Entry, Finding, LeftOver, Occasion, PolicyVersion, Walked},
    object::ObjectId,
    words::{escape, escape_bytes, shell_word, time},
};

fn value(value: Option<ObjectId>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |id| id.to_string())
}

fn short(value: Option<ObjectId>) -> String {
    value.map_or_else(|| "-".to_owned(), |id| id.to_string()[..12].to_owned())
}

fn policy(version: PolicyVersion) -> String {
    match version {
        PolicyVersion::Commit(commit) => format!("commit:{commit}"),
        PolicyVersion::Digest(digest) => format!("sha256:{}", hex::encode(digest)),
    }
}

/// One line for a list.
pub(super) fn line(walked: &Walked, sequence: u64, entry: &Entry) -> String {
    let occasion = &walked.record.occasion;
    let who = match occasion {
        Occasion::Administrator { reason, .. } => format!(": {}", escape(reason)),
        _ => match occasion.acceptance().and_then(|acceptance| acceptance.pusher.as_ref()) {
            Some(admitted) if admitted.starts_with(ADMITTED) => format!(", {}", escape(admitted)),
            Some(pusher) => format!(" by {}", escape(pusher)),
            None => String::new(),
        },
    };
    format!(
        "{sequence}  {}  {} {}..{}  {}{who}\n",
        time(occasion.received()),
        escape_bytes(&entry.reference),
        short(entry.old),
        short(entry.new),
        occasion.word(),
    )
}

/// Everything about one entry.
pub(super) fn all(walked: &Walked, sequence: u64, entry: &Entry) -> String {
    let occasion = &walked.record.occasion;
    let mut lines = vec![
        ("entry", sequence.to_string()),
        ("ref", escape_bytes(&entry.reference)),
        ("old", value(entry.old)),
        ("new", value(entry.new)),
        ("occasion", occasion.word().to_owned()),
        ("received", time(occasion.received())),
    ];
    if let Occasion::Administrator { reason, .. } = occasion {
        lines.push(("reason", escape(reason)));
    }
    if let Some(acceptance) = occasion.acceptance() {
        let said = |what: Option<String>| what.unwrap_or_else(|| "not said".to_owned());
        lines.push(("pusher", said(acceptance.pusher.as_deref().map(escape))));
        lines.push(("certificate", said(acceptance.certificate.map(|id| id.to_string()))));
        lines.push(("policy", policy(acceptance.policy)));
        lines.push(("push", hex::encode(acceptance.push.0)));
    }
    lines.push(("record", walked.commit.to_string()));
    lines.into_iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}

/// One entry as an object.
pub(super) fn entry_json(walked: &Walked, sequence: u64, entry: &Entry) -> Value {
    let occasion = &walked.record.occasion;
    let mut object = json!({
        "version": 1,
        "sequence": sequence,
        "ref": escape_bytes(&entry.reference),
        "old": entry.old.map(|id| id.to_string()),
        "new": entry.new.map(|id| id.to_string()),
        "occasion": occasion.word(),
        "received": occasion.received(),
        "record": walked.commit.to_string(),
    });
    if let Occasion::Administrator { reason, .. } = occasion {
        object["reason"] = reason.as_str().into();
    }
    if let Some(acceptance) = occasion.acceptance() {
        object["pusher"] = acceptance.pusher.as_deref().into();
        object["certificate"] = acceptance.certificate.map(|id| id.to_string()).into();
        object["policy"] = policy(acceptance.policy).into();
        object["push"] = hex::encode(acceptance.push.0).into();
    }
    object
}

/// A finding in one line.
pub(super) fn finding(finding: &Finding) -> String {
    match finding {
        Finding::Broken { reason } => escape(reason),
        Finding::Certificate { certificate, sequence, reason } => {
            format!(
                "entry {sequence}: the push certificate '{certificate}' does not count: {}",
                escape(reason)
            )
        }
        Finding::Forked { remembered } => {
            format!("another ledger was seen earlier: its head '{remembered}' is no part of this one")
        }
        Finding::Gap { reference, left, found, sequence } => format!(
            "{}: was moved without an entry before entry {sequence}: from {} to {}",
            escape_bytes(reference),
            value(*left),
            value(*found)
        ),
        Finding::LeftOver(LeftOver { updates, since }) => format!(
            "{updates} accepted updates were never settled, and nobody moves their refs any more; the oldest was \
             received at {}",
            time(*since)
        ),
        Finding::Moved { reference, entered, sequence, holds, elsewhere } => {
            let says = match sequence {
                Some(sequence) => format!("entry {sequence} says {}", value(*entered)),
                None => "no entry names it".to_owned(),
            };
            let from = match elsewhere {
                Elsewhere::Earlier { sequence } => format!("; it held that by entry {sequence}"),
                Elsewhere::OtherRef { reference, sequence } => {
                    format!("; that is what '{}' held by entry {sequence}", escape_bytes(reference))
                }
                Elsewhere::Nowhere => String::new(),
            };
            format!("{}: holds {}, and {says}{from}", escape_bytes(reference), value(*holds))
        }
        Finding::NoCertificate { sequence } => {
            format!("entry {sequence}: it names a pusher by certificate, and has none")
        }
        Finding::NoLedger { remembered: Some(remembered) } => {
            format!("the ledger is gone: its head was '{remembered}'")
        }
        Finding::NoLedger { remembered: None } => "there is no ledger".to_owned(),
        Finding::RolledBack { remembered } => {
            format!("the ledger ends before '{remembered}', which was seen earlier")
        }
        Finding::UnclearCertificate { certificate, sequence, reason } => {
            format!(
                "entry {sequence}: of the push certificate '{certificate}' it cannot be told: {}",
                escape(reason)
            )
        }
        Finding::UnderWay { reference } => {
            format!("{}: an accepted update is not entered yet", escape_bytes(reference))
        }
    }
}

/// What to do about `findings`, of the repository at hand or of the remote that is called so; escaped.
pub(super) fn hints(findings: &[Finding], remote: Option<&str>) -> Vec<String> {
    let has = |is: fn(&Finding) -> bool| findings.iter().any(is);
    let mut hints = Vec::new();
    let mut hint = |text: &str| hints.push(text.to_owned());
    if has(|finding| matches!(finding, Finding::NoLedger { remembered: None })) {
        hint(match remote {
            None => {
                "a server keeps one once 'countersign hook install' was run there: name its repository with \
                 '--repository', or a remote with '--remote'"
            }
            Some(_) => {
                "have whoever keeps the remote run 'countersign hook install' there, or show \
                 'refs/countersign/ledger' to those who fetch"
            }
        });
    }
    let is_broken = |finding: &Finding| {
        matches!(
            finding,
            Finding::Broken { .. }
                | Finding::Forked { .. }
                | Finding::NoLedger { remembered: Some(_) }
                | Finding::RolledBack { .. }
        )
    };
    match remote {
        _ if !has(is_broken) => {}
        None => hint(
            "find out who has written to the repository past its hooks, and restore 'refs/countersign/ledger' from \
             a backup or from whoever has fetched it",
        ),
        Some(remote) => hint(&format!(
            "ask whoever keeps the remote; if they know why, 'countersign remote forget {} \
             refs/countersign/ledger', with its address, takes what it has now",
            escape(&shell_word(remote))
        )),
    }
    if has(|finding| matches!(finding, Finding::LeftOver(_))) {
        hint("settle it by 'countersign ledger settle', as the user as whom the hooks run");
    } else if has(|finding| matches!(finding, Finding::UnderWay { .. })) {
        hint("run it again; what broke off is settled by the next push, or by 'countersign ledger settle'");
    }
    if has(|finding| matches!(finding, Finding::UnclearCertificate { .. })) {
        hint(
            "name who pushes in a policy, 'git config --global countersign.policy FILE', or leave them out with \
             '--no-certificates'",
        );
    }
    if has(|finding| matches!(finding, Finding::Certificate { .. } | Finding::NoCertificate { .. })) {
        hint(
            "look at it with 'countersign inspect' and its id, and ask the server's administrator who has written \
             that entry",
        );
    }
    if has(|finding| matches!(finding, Finding::Moved { .. } | Finding::Gap { .. })) {
        hint(match remote {
            None => {
                "find out who moved them; 'countersign ledger enter --reason TEXT' enters what refs hold now"
            }
            Some(_) => "take nothing of these refs until whoever keeps the remote says who moved them",
        });
    }
    hints
}

/// A finding as an object.
pub(super) fn finding_json(found: &Finding) -> Value {
    let id = |value: &Option<ObjectId>| value.map(|id| id.to_string());
    let mut object = match found {
        Finding::Broken { .. } => json!({"finding": "broken"}),
        Finding::Certificate { certificate, sequence, .. } => json!({
            "finding": "certificate", "certificate": certificate.to_string(), "sequence": sequence,
        }),
        Finding::Forked { remembered } => {
            json!({"finding": "forked", "remembered": remembered.to_string()})
        }
        Finding::Gap { reference, left, found, sequence } => json!({
            "finding": "gap", "ref": escape_bytes(reference),
            "left": id(left), "found": id(found), "sequence": sequence,
        }),
        Finding::LeftOver(LeftOver { updates, since }) => {
            json!({"finding": "left-over", "updates": updates, "since": since})
        }
        Finding::Moved { reference, entered, sequence, holds, elsewhere } => {
            let mut object = json!({
                "finding": "moved", "ref": escape_bytes(reference),
                "entered": id(entered), "sequence": sequence, "holds": id(holds),
            });
            match elsewhere {
                Elsewhere::Earlier { sequence } => object["earlier"] = (*sequence).into(),
                Elsewhere::OtherRef { reference, sequence } => {
                    object["other_ref"] = escape_bytes(reference).into();
                    object["earlier"] = (*sequence).into();
                }
                Elsewhere::Nowhere => {}
            }
            object
        }
        Finding::NoCertificate { sequence } => {
            json!({"finding": "no-certificate", "sequence": sequence})
        }
        Finding::NoLedger { remembered } => {
            json!({"finding": "no-ledger", "remembered": id(remembered)})
        }
        Finding::RolledBack { remembered } => {
            json!({"finding": "rolled-back", "remembered": remembered.to_string()})
        }
        Finding::UnclearCertificate { certificate, sequence, .. } => json!({
            "finding": "unclear-certificate", "certificate": certificate.to_string(), "sequence": sequence,
        }),
        Finding::UnderWay { reference } => {
            json!({"finding": "under-way", "ref": escape_bytes(reference)})
        }
    };
    object["words"] = finding(found).into();
    object
}
