//! What an installation looks like, for people and for programs.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Status, StatusFinding};
use crate::{hook::Guarded, words::escape};

impl Status {
    /// For people: a line for each part, and a warning for each finding.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = String::new();
        if let Some(shim) = &self.shim {
            let line = |name: &str, path: &Path| format!("{name}: {}\n", escape(&path.display().to_string()));
            words += &line("hook", &self.hook);
            if let Some(file) = &self.configuration {
                words += &line("run by", file);
            }
            words += &line("program", &shim.program);
            words += &format!("policy: {}\n", shim.policy);
            if let Some(followed) = &self.followed {
                words += &format!("policy now: {}\n", escape(followed));
            }
            words += &line("state", &shim.state);
            for (name, path) in &self.companions {
                words += &line(name.name(), path);
            }
            words += &self.guard.line();
            for (name, path) in &shim.trusted_roots {
                words += &line(&format!("trusted root of '{name}'"), path);
            }
            for (name, path) in &shim.openpgp_certificates {
                words += &line(&format!("OpenPGP certificates '{name}'"), path);
            }
            for (name, path) in &shim.certificate_authorities {
                words += &line(&format!("certificate authority '{name}'"), path);
            }
            for (option, value) in shim.settings.options() {
                let value = escape(&value.to_string_lossy());
                words += &format!("{}: {value}\n", option.trim_start_matches("--").replace('-', " "));
            }
            if let Some(before) = &shim.before {
                words += &line("runs first", before);
            }
        }
        for finding in &self.findings {
            words += &format!("warning: {}\n", escape(&finding.to_string()));
        }
        if self.shim.is_none()
            && self.findings.iter().any(|finding| matches!(finding, StatusFinding::Open(_)))
        {
            words += "hint: 'countersign hook install --policy FILE' has pushes judged; a hook that is there runs first\n";
        }
        words
    }

    /// For programs, version 1: what is installed, by paths and options, and the findings by their kinds.
    #[must_use]
    pub fn json(&self) -> Value {
        let path = |path: &Path| Value::from(path.display().to_string());
        let files = |files: &[(String, std::path::PathBuf)]| -> Value {
            files.iter().map(|(name, file)| (name.clone(), path(file))).collect::<Map<_, _>>().into()
        };
        let mut value = json!({ "version": 1, "installed": self.shim.is_some(), "hook": path(&self.hook) });
        if let Some(shim) = &self.shim {
            let beside = self.companions.iter().map(|(name, file)| (name.name().to_owned(), path(file)));
            let option = |(option, value): (&str, std::ffi::OsString)| json!({ "option": option, "value": value.to_string_lossy() });
            value["runBy"] = self.configuration.as_deref().map(path).into();
            value["program"] = path(&shim.program);
            value["policy"] = shim.policy.to_string().into();
            value["policyNow"] = self.followed.clone().into();
            value["state"] = path(&shim.state);
            value["beside"] = beside.collect::<Map<_, _>>().into();
            value["guard"] = match self.guard {
                Guarded::Yes => "judged",
                Guarded::No => "possible",
                Guarded::NotHere => "impossible",
            }
            .into();
            value["trustedRoots"] = files(&shim.trusted_roots);
            value["openpgpCertificates"] = files(&shim.openpgp_certificates);
            value["certificateAuthorities"] = files(&shim.certificate_authorities);
            value["options"] = shim.settings.options().into_iter().map(option).collect();
            value["runsFirst"] = shim.before.as_deref().map(path).into();
        }
        let finding = |finding: &StatusFinding| {
            let mut told = json!({ "kind": finding.kind(), "words": finding.to_string() });
            if let StatusFinding::Policy(finding) = finding {
                told["hint"] = finding.hint().into();
            }
            told
        };
        value["findings"] = self.findings.iter().map(finding).collect();
        value
    }
}
