//! What of a policy can never be met at a forge, or by nobody.

use super::{Finding, Forge, NamedIdentity, Permission, Policy, Rule, Way};

impl Policy {
    /// What can never be met, or nobody can meet, where a hook is installed for `forge`.
    #[must_use]
    pub fn check_for(&self, forge: &Forge) -> Vec<Finding> {
        let mut findings = Vec::new();
        findings.extend(self.rules.iter().flat_map(|rule| check_ways(rule, forge)));
        let impossible = forge.kind.gives_no_certificates();
        for rule in &self.rules {
            let name = rule.name.clone();
            if let Some(why) = impossible.filter(|_| rule.pusher.needs_certificate) {
                findings.push(Finding::CertificateNeverThere { rule: name, why });
                continue;
            }
            let may_push = |identity: &&NamedIdentity| {
                rule.pusher.pushers.as_ref().is_none_or(|pushers| pushers.contains(&identity.name))
            };
            let mut pushers = self.identities.iter().filter(may_push);
            if impossible.is_some()
                && rule.pusher.asks()
                && !pushers.any(|identity| identity.has_account_at(&forge.name))
            {
                findings.push(Finding::NoPusherAtForge { rule: name, forge: forge.name.clone() });
            }
        }
        findings
    }

    /// What can never be met where a hook is installed for no forge.
    #[must_use]
    pub fn check_without_forge(&self) -> Vec<Finding> {
        let asking = self.rules.iter().filter(|rule| rule.way.asks());
        asking.map(|rule| Finding::NobodyTellsWays { rule: rule.name.clone() }).collect()
    }
}

/// What a rule says of ways and merges that the forge does not tell from others.
fn check_ways(rule: &Rule, forge: &Forge) -> Vec<Finding> {
    let (demand, told) = (&rule.way, forge.kind.ways());
    let (name, forge, hides_merges) = (|| rule.name.clone(), forge.kind.word(), forge.kind.hides_merges());
    let mut findings = Vec::new();
    let untold: Vec<Way> = demand.ways.iter().flatten().copied().filter(|way| !told.contains(way)).collect();
    if !untold.is_empty() {
        let merges =
            demand.web_merges == Some(Permission::Allow) && told.contains(&Way::Web) && !hides_merges;
        let is_all = !merges && demand.ways.as_ref().is_some_and(|ways| ways.len() == untold.len());
        findings.push(Finding::WayNeverTold { rule: name(), ways: untold, is_all, forge });
    }
    if hides_merges && demand.asks() && demand.takes(Way::Web) != demand.takes_merges() {
        findings.push(Finding::WebMergesNotTold { rule: name(), forge });
    }
    findings
}
