//! What decides about the commits of a rule, as one digest.

use super::{Anchor, KeySigner, KeylessSigner, Limits, Mode, PathRule, Policy, Rule, Signers, Wanted};
use crate::{encoding::sha256, verify::Key};

/// Stands in every rule digest: raised when the meaning of a rule changes, so that nothing accepted
/// under the old meaning counts.
const RULE_MEANING: &[u8] = b"countersign commit rule 7";

impl Policy {
    /// SHA-256 over everything that decides about the commits of a rule: who may sign, with all that
    /// their names stand for and the trusted roots behind it, who may change which paths, the anchor, and
    /// whether it is enforced.
    ///
    /// Two rules with the same digest would answer alike about every commit. `root_digest` gives the
    /// digest of an instance's trusted root; `None` if it does not know one that is needed, or if the
    /// certificate of an OpenPGP key has not been given to [`Self::take_openpgp_certificates`], or an
    /// authority's file not to [`Self::take_certificate_authorities`].
    #[must_use]
    pub fn commit_rule_digest(
        &self,
        rule: &Rule,
        root_digest: impl Fn(&str) -> Option<[u8; 32]>,
    ) -> Option<[u8; 32]> {
        self.rule_digest(rule, root_digest, |key| match key {
            Key::OpenPgp { fingerprint } => self.openpgp.digest(fingerprint),
            Key::X509 { authority, .. } | Key::X509Certificate { authority, .. } => {
                self.certificate_authorities.digest(authority)
            }
            Key::Ssh { .. } | Key::SshCertificate { .. } => None,
        })
    }

    pub(super) fn rule_digest(
        &self,
        rule: &Rule,
        root_digest: impl Fn(&str) -> Option<[u8; 32]>,
        file_digest: impl Fn(&Key) -> Option<[u8; 32]>,
    ) -> Option<[u8; 32]> {
        let mut canonical = Vec::new();
        // Each field behind its length: no two lists of fields have the same bytes.
        let mut field = |bytes: &[u8]| {
            canonical.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            canonical.extend_from_slice(bytes);
        };
        field(RULE_MEANING);
        field(match rule.mode {
            Mode::Enforce => b"enforce",
            Mode::Warn => b"warn",
        });
        field(rule.anchor.as_ref().map_or(&[], |anchor| anchor.as_slice()));
        rule.way.canonical().iter().for_each(|part| field(part));
        rule.vouching.canonical().iter().for_each(|part| field(part));
        if rule.vouching.hears_forges() {
            // GitHub's own are in every policy, and their certificates need not be at hand.
            for (name, key) in self.directory.forges() {
                field(b"forge");
                field(name.as_bytes());
                field(key.to_string().as_bytes());
                field(file_digest(key).as_ref().map_or(&[], |digest| digest));
            }
        }
        if rule.vouching.hears_approvals() {
            // Who may approve decides about commits as those who may sign them do.
            let approvers = self.approvers(rule);
            let approvers: Wanted = approvers.iter().map(String::as_str).collect();
            field(b"approvers");
            self.canonical_signers(&approvers, false, &root_digest, &file_digest)?
                .iter()
                .for_each(|part| field(part));
        }
        rule.demands.canonical().iter().for_each(|part| field(part));
        let own_headers = rule.own_headers();
        for role in &own_headers {
            field(format!("the {role} is the signer").as_bytes());
        }
        match &rule.commits {
            Signers::Unsigned => field(b"unsigned"),
            Signers::Named(wanted) => {
                field(b"signed");
                self.canonical_signers(wanted, !own_headers.is_empty(), &root_digest, &file_digest)?
                    .iter()
                    .for_each(|part| field(part));
                if rule.vouching.threshold.is_some() {
                    // Whose signature counts toward the threshold: no machine's.
                    let names = self.identities.iter().map(|identity| identity.name.as_str());
                    let is_person = |name: &&str| wanted.contains(name) && self.counts_as_person(rule, name);
                    field(b"persons");
                    self.canonical_signers(
                        &names.filter(is_person).collect(),
                        false,
                        &root_digest,
                        &file_digest,
                    )?
                    .iter()
                    .for_each(|part| field(part));
                }
            }
        }
        for PathRule { paths, except, commits } in &rule.paths {
            field(b"path");
            for patterns in [paths, except] {
                field(&(patterns.len() as u64).to_be_bytes());
                patterns.iter().for_each(|pattern| field(pattern.as_str().as_bytes()));
            }
            self.canonical_signers(commits, false, &root_digest, &file_digest)?
                .iter()
                .for_each(|part| field(part));
        }
        Some(sha256(&[&canonical]))
    }

    /// All that decides whether somebody is one of `wanted`, in order.
    fn canonical_signers(
        &self,
        wanted: &Wanted,
        with_emails: bool,
        root_digest: &impl Fn(&str) -> Option<[u8; 32]>,
        file_digest: &impl Fn(&Key) -> Option<[u8; 32]>,
    ) -> Option<Vec<Vec<u8>>> {
        let (named, others): (Vec<_>, Vec<_>) =
            self.identities.iter().partition(|identity| wanted.contains(&identity.name));
        let keyless = |signer: &KeylessSigner| -> Option<Vec<Vec<u8>>> {
            let root = root_digest(&signer.instance)?.to_vec();
            let limits = self.canonical_limits(&signer.instance);
            let parts = [signer.instance.clone().into_bytes(), root, limits];
            Some(parts.into_iter().chain(signer.canonical()).collect())
        };
        let key = |signer: &KeySigner| -> Option<Vec<Vec<u8>>> {
            let key = signer.key.to_string().into_bytes();
            let mut parts: Vec<Vec<u8>> = vec![b"key".to_vec(), key, signer.window.canonical()];
            match &signer.key {
                Key::OpenPgp { .. } | Key::X509 { .. } | Key::X509Certificate { .. } => {
                    parts.push(file_digest(&signer.key)?.to_vec());
                }
                Key::Ssh { .. } | Key::SshCertificate { .. } => {}
            }
            Some(parts)
        };
        let mut groups: Vec<Vec<Vec<Vec<u8>>>> = Vec::new();
        for identity in &named {
            let all = identity.keyless.iter().map(keyless).chain(identity.keys.iter().map(key));
            let mut group: Vec<Vec<Vec<u8>>> = all.collect::<Option<_>>()?;
            if with_emails {
                let mut emails: Vec<Vec<u8>> =
                    identity.emails.iter().map(|email| email.clone().into()).collect();
                emails.sort();
                group.push([vec![b"emails".to_vec()], emails].concat());
            }
            groups.push(group);
        }
        // Whom the rule does not name may be who a signer is as well, or know of a key that it is lost.
        let mut rivals: Vec<Vec<Vec<u8>>> = Vec::new();
        let mut is_limited = named.iter().any(|identity| identity.is_limited());
        for signer in others.iter().flat_map(|other| &other.keyless) {
            if named.iter().flat_map(|identity| &identity.keyless).any(|own| own.overlaps(signer)) {
                rivals.push(keyless(signer)?);
                is_limited |= !signer.window.is_unlimited();
            }
        }
        for signer in others.iter().flat_map(|other| &other.keys) {
            if named.iter().flat_map(|identity| &identity.keys).any(|own| own.overlaps(signer)) {
                rivals.push(key(signer)?);
                is_limited |= !signer.window.is_unlimited();
            }
        }
        let mut anchors: Vec<Vec<Vec<u8>>> = Vec::new();
        // Anchors only help whoever counts for a time alone.
        if is_limited {
            for Anchor { object, received } in &self.anchors {
                anchors.push(vec![object.as_slice().to_vec(), received.to_be_bytes().to_vec()]);
            }
        }
        groups.iter_mut().for_each(|group| group.sort());
        groups.sort();
        for mut group in [rivals, anchors] {
            group.sort();
            groups.push(group);
        }
        let count = |count: usize| (count as u64).to_be_bytes().to_vec();
        let mut fields = Vec::new();
        for group in groups {
            fields.push(count(group.len()));
            for parts in group {
                fields.push(count(parts.len()));
                fields.extend(parts);
            }
        }
        Some(fields)
    }

    /// The issuers that `instance` is believed for, each behind its length, in order; nothing for all.
    fn canonical_limits(&self, instance: &str) -> Vec<u8> {
        let mut issuers: Vec<&String> = self.limits(instance).into_iter().flat_map(Limits::issuers).collect();
        issuers.sort();
        let parts = issuers
            .into_iter()
            .map(|issuer| [&(issuer.len() as u64).to_be_bytes()[..], issuer.as_bytes()].concat());
        parts.collect::<Vec<_>>().concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::tests::POLICY;

    #[test]
    fn a_key_that_somebody_else_knows_to_be_lost_is_in_the_digest() {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";
        let digest = |identities: &str, commits: &str| {
            let rule = "[[rule]]\nname = \"r\"\nrefs = [\"refs/**\"]\n";
            let text =
                format!("version = 1\nother_refs = \"refuse\"\n{identities}{rule}commits = [{commits}]\n");
            let policy = Policy::parse(&text).unwrap();
            policy.commit_rule_digest(&policy.rules()[0], |_| None).unwrap()
        };
        let of = |name: &str, principal: &str, window: &str| {
            format!(
                "[identity.{name}]\nssh_certificates = \
                 [{{ authority = \"{key}\", principal = \"{principal}\"{window} }}]\n"
            )
        };
        let lost = ", compromised = 2026-01-01T00:00:00Z";
        let alice = of("a", "alice", "");
        let both = |window| format!("{alice}{}", of("b", "bob", window));
        assert_ne!(digest(&both(lost), "\"a\""), digest(&both(""), "\"a\""));
        // Whose a signer is matters where both are named.
        let [one, two] = ["alice", "bob"]
            .map(|principal| format!("{{ authority = \"{key}\", principal = \"{principal}\" }}"));
        let plain = format!("ssh = [\"{key}\"]\n");
        let first = format!("[identity.a]\nssh_certificates = [{one}, {two}]\n[identity.b]\n{plain}");
        let second = format!(
            "[identity.a]\nssh_certificates = [{one}]\n[identity.b]\nssh_certificates = [{two}]\n{plain}"
        );
        let named = "\"a\", \"b\"";
        assert_ne!(digest(&first, named), digest(&second, named));
    }

    #[test]
    fn the_digest_covers_what_decides_about_commits_and_nothing_else() {
        let digest_with = |text: &str, root: u8| {
            let policy = Policy::parse(text).unwrap();
            let rule = &policy.rules()[0];
            policy.commit_rule_digest(rule, |_| Some([root; 32])).unwrap()
        };
        let digest = |text: &str| digest_with(text, 1);
        let base = digest(POLICY);
        let with = |more: &str| POLICY.replacen("example.com\" }", &format!("example.com\", {more} }}"), 1);
        let anchored = |text: &str| {
            let id = "1".repeat(40);
            text.replace(
                "[[instance]]",
                &format!("[[anchor]]\nobject = \"{id}\"\nreceived = 2026-01-01T00:00:00Z\n[[instance]]"),
            )
        };
        let limited = with("until = 2026-01-01T00:00:00Z");
        assert_ne!(digest(&anchored(&limited)), digest(&limited));
        assert_eq!(digest(&anchored(POLICY)), base, "an anchor matters to nobody here");
        for same in [
            POLICY.replace("name = \"main\"", "name = \"trunk\""),
            POLICY.replace("refs/heads/release/*", "refs/heads/stable/*"),
            POLICY.replace("create = \"allow\"", "create = \"refuse\"\ntags = [\"bob\"]"),
            POLICY.replace("bob@example.com", "robert@example.com"),
            POLICY.replace("alice", "alicia").replace("alicia@", "alice@"),
        ] {
            assert_eq!(digest(&same), base, "{same}");
        }
        for other in [
            POLICY.replace("commits = [\"alice\"]", "commits = [\"alice\", \"bob\"]"),
            POLICY.replace("commits = [\"alice\"]", "commits = \"unsigned\""),
            POLICY.replace("create = \"allow\"", "mode = \"warn\""),
            POLICY.replace("create = \"allow\"", "time_not_proven = \"allow\""),
            POLICY.replace("create = \"allow\"", &format!("anchor = \"{}\"", "1".repeat(40))),
            POLICY.replace("alice@example.com", "mallory@example.com"),
            POLICY.replace("trusted_root.json\"", "trusted_root.json\"\nissuers = [\"https://i\"]"),
            POLICY.replace("alice@example.com", "*@example.com"),
            with("until = 2026-01-01T00:00:00Z"),
            with("from = 2026-01-01T00:00:00Z"),
            with("compromised = 2026-01-01T00:00:00Z"),
            with("repository = \"r\""),
        ] {
            assert_ne!(digest(&other), base, "{other}");
        }
        assert_ne!(digest_with(POLICY, 2), base, "another trusted root");
        // Whom the rule does not name decides too where a signer may be both.
        let issuer = "instance = \"sandbox\", issuer = \"https://i\", kind = \"email\"";
        let other = |subject: &str, window: &str| {
            let pattern = POLICY.replace("alice@example.com", "*@example.com");
            let table =
                format!("[identity.other]\nkeyless = [{{ {issuer}, subject = \"{subject}\"{window} }}]\n");
            digest(&pattern.replace("[identity.bob]", &format!("{table}[identity.bob]")))
        };
        let pattern = digest(&POLICY.replace("alice@example.com", "*@example.com"));
        assert_ne!(other("b*@example.com", ""), pattern);
        let lost = ", compromised = 2026-01-01T00:00:00Z";
        assert_ne!(other("b*@example.com", lost), other("b*@example.com", ""));
        let policy = Policy::parse(POLICY).unwrap();
        assert_eq!(policy.commit_rule_digest(&policy.rules()[0], |_| None), None);
    }
}
