//! SARIF 2.1.0 (OASIS): a result for each object that is not good.
//!
//! The document is one object, written in three parts, so that no result has to be kept.

use serde_json::{Map, Value, json};

use super::{CUT_OFF, Line, Place, STATUSES, Tally, json};
use crate::{
    cli::exit,
    words::{self, Failure},
};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// The rule of commits at which the history is cut off, beside those that are named for a status.
const CUT_OFF_RULE: &str = "cut-off";

/// A document that is being written.
#[derive(Default)]
pub(in crate::cli) struct Sarif {
    begun: bool,
    results: bool,
}

impl Sarif {
    /// The results for `lines`, and before the first what begins the document.
    pub(super) fn results(&mut self, lines: &[Line]) -> String {
        let mut text = self.begin();
        for result in lines.iter().flat_map(results_of) {
            text.push_str(if self.results { ",\n" } else { "\n" });
            text.push_str(&result.to_string());
            self.results = true;
        }
        text
    }

    fn begin(&mut self) -> String {
        if std::mem::replace(&mut self.begun, true) {
            return String::new();
        }
        let driver = json!({
            "name": "countersign",
            "semanticVersion": env!("CARGO_PKG_VERSION"),
            "rules": rules().map(|(id, words)| json!({
                "id": id,
                "shortDescription": {"text": words},
                "defaultConfiguration": {"level": level(id)},
            })).collect::<Vec<_>>(),
        });
        format!(
            "{{\"$schema\":{},\"version\":\"2.1.0\",\"runs\":[{{\"tool\":{},\"results\":[",
            json!(SCHEMA),
            json!({"driver": driver}),
        )
    }

    /// What ends the document.
    pub(super) fn end(mut self, tally: &Tally, failure: Option<&Failure>) -> String {
        let status = if failure.is_some() { exit::COULD_NOT_RUN } else { tally.exit() };
        let notifications: Vec<Value> = tally
            .gaps()
            .iter()
            .chain(failure)
            .map(|failure| json!({"level": "error", "message": {"text": words::escape(&failure.error)}}))
            .collect();
        let invocation = json!({
            "executionSuccessful": status != exit::COULD_NOT_RUN,
            "exitCode": status,
            "toolExecutionNotifications": notifications,
        });
        let counts: Map<String, Value> =
            tally.counts().map(|(status, count)| (status.to_owned(), count.into())).collect();
        let properties = json!({"objects": tally.total(), "counts": counts});
        let begin = self.begin();
        format!("{begin}\n],\"invocations\":[{invocation}],\"properties\":{properties}}}]}}\n")
    }
}

/// The rules: a name, and what it stands for. `good` breaks none.
fn rules() -> impl Iterator<Item = (&'static str, &'static str)> {
    STATUSES.into_iter().skip(1).chain([(CUT_OFF_RULE, CUT_OFF)])
}

fn level(rule: &str) -> &'static str {
    match rule {
        "cannot-tell" | "proven" => "warning",
        _ => "error",
    }
}

fn results_of(line: &Line) -> Vec<Value> {
    let (status, cause) = line.status();
    let mut results = Vec::new();
    if status != "good" {
        results.push(result(line, status, &cause.unwrap_or_default()));
    }
    if line.place == Place::CutOff {
        results.push(result(line, CUT_OFF_RULE, "its parents are not here, and were not judged"));
    }
    results
}

fn result(line: &Line, rule: &str, cause: &str) -> Value {
    let id = line.id.to_string();
    let signer = line.signer();
    let by = if signer.is_empty() { String::new() } else { format!(", signed by {signer}") };
    json!({
        "ruleId": rule,
        "ruleIndex": rules().position(|(id, _)| id == rule),
        "level": level(rule),
        "message": {"text": format!("{} {id}{by}: {}", line.kind, words::escape(cause))},
        "locations": [{"logicalLocations": [{
            "name": id,
            "fullyQualifiedName": format!("{}/{id}", line.kind),
            "kind": line.kind.to_string(),
        }]}],
        "partialFingerprints": {"objectId/v1": id},
        "properties": {"title": line.title, "verification": json::object(line)},
    })
}
