//! Whom the policy names: signers with what is asked of them, found by what a verdict proves.

use std::collections::{BTreeSet, HashMap};

use super::{
    Cause, Lapse, NamedIdentity, Policy, PolicyError, Receipt, SubjectPattern, WantedClaims, Window, file,
    window::Times,
};
use crate::{
    sigstore::{certificate::SubjectKind, claims::Claims},
    verify::{Identity, Key, Proven, ProvenTime, Stated, TimeNotProven},
    words::escape,
};

/// The OpenPGP keys with which GitHub signs what is made on its web pages, and the name of that forge. They
/// are here so that nobody takes them for a person's.
const GITHUB: (&str, [&str; 2]) =
    ("github", ["5DE3E0509C47EA3CF04A42D34AEE18F83AFDEB23", "968479A1AFF927E37D1A566BB5690EEEBB952194"]);

/// A keyless identity, or many that differ in part of the subject, and what is asked of its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeylessSigner {
    /// The name of the instance.
    pub instance: String,
    /// The issuer, exactly.
    pub issuer: String,
    /// What kind of name the subject is.
    pub kind: SubjectKind,
    /// The subject.
    pub subject: SubjectPattern,
    /// What the certificate has to say of the build.
    pub claims: WantedClaims,
    /// When it counts.
    pub window: Window,
}

/// A key of one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySigner {
    /// The key.
    pub key: Key,
    /// When it counts.
    pub window: Window,
}

/// Who has signed, by what a verdict says.
#[derive(Clone, Copy, Debug)]
pub enum SignedBy<'a> {
    /// An identity, at times that are proven.
    Proven {
        /// Who it is.
        identity: &'a Identity,
        /// What the certificate says of the build.
        claims: &'a Claims,
        /// The times; where there are none, only receipt counts.
        times: &'a [ProvenTime],
    },
    /// Whoever holds a key.
    Stated {
        /// The key, or the principals of its certificate.
        keys: &'a [Key],
        /// The time that is stated, in seconds since 1970.
        time: Option<i64>,
    },
}

/// Where each signer stands: the identity, and the signer among its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Directory {
    exact: HashMap<Identity, Vec<(usize, usize)>>,
    patterns: Vec<(usize, usize)>,
    keys: HashMap<Key, (usize, usize)>,
    /// The keys of forges, with the forge's name.
    forges: HashMap<Key, String>,
}

impl KeylessSigner {
    /// The one identity that is meant; `None` for a pattern.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.subject.is_exact().then(|| Identity {
            instance: self.instance.clone(),
            issuer: self.issuer.clone(),
            kind: self.kind,
            subject: self.subject.as_str().to_owned(),
        })
    }

    fn means(&self, identity: &Identity) -> bool {
        self.instance == identity.instance
            && self.issuer == identity.issuer
            && self.kind == identity.kind
            && self.subject.matches(&identity.subject)
    }

    /// Whether one certificate may be for both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let is_pattern = !(self.subject.is_exact() && other.subject.is_exact());
        self.instance == other.instance
            && self.issuer == other.issuer
            && self.kind == other.kind
            && (is_pattern || self.subject == other.subject)
    }

    /// Each part of it in order, for a digest.
    pub(super) fn canonical(&self) -> Vec<Vec<u8>> {
        let mut parts = vec![
            self.issuer.clone().into_bytes(),
            file::kind_name(self.kind).into(),
            self.subject.as_str().into(),
            self.window.canonical(),
        ];
        for (claim, pattern) in self.claims.iter() {
            parts.extend([b"claim".to_vec(), claim.name().into(), pattern.as_str().into()]);
        }
        parts
    }
}

impl KeySigner {
    /// Whether one certificate may be for both: principals and addresses stand side by side.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        fn authority(key: &Key) -> Option<(bool, &str)> {
            match key {
                Key::SshCertificate { authority, .. } => Some((true, authority)),
                Key::X509 { authority, .. } | Key::X509Certificate { authority, .. } => {
                    Some((false, authority))
                }
                Key::OpenPgp { .. } | Key::Ssh { .. } => None,
            }
        }
        authority(&self.key).is_some_and(|own| authority(&other.key) == Some(own))
    }
}

impl<'a> From<&'a Proven> for SignedBy<'a> {
    fn from(proven: &'a Proven) -> Self {
        Self::Proven { identity: proven.identity(), claims: proven.claims(), times: proven.times() }
    }
}

impl<'a> From<&'a TimeNotProven> for SignedBy<'a> {
    fn from(signed: &'a TimeNotProven) -> Self {
        Self::Proven { identity: signed.identity(), claims: signed.claims(), times: &[] }
    }
}

impl<'a> From<&'a Stated> for SignedBy<'a> {
    fn from(stated: &'a Stated) -> Self {
        Self::Stated { keys: stated.keys(), time: stated.time() }
    }
}

impl Directory {
    /// Find a place for every signer. `forges` are names with their keys.
    pub(super) fn new(
        identities: &[NamedIdentity],
        forges: Vec<(String, Vec<Key>)>,
    ) -> Result<Self, PolicyError> {
        let mut directory = Self::default();
        let github = GITHUB.1.map(|fingerprint| Key::OpenPgp { fingerprint: fingerprint.to_owned() });
        for key in github {
            directory.forges.insert(key, GITHUB.0.to_owned());
        }
        let mut named = BTreeSet::new();
        for (name, keys) in forges {
            for key in keys {
                if !named.insert(key.clone()) {
                    return Err(PolicyError::DuplicateSigner { subject: escape(&key.to_string()) });
                }
                directory.forges.insert(key, name.clone());
            }
        }
        for (index, identity) in identities.iter().enumerate() {
            for (place, signer) in identity.keyless.iter().enumerate() {
                directory.place_keyless(identities, (index, place), signer)?;
            }
            for (place, KeySigner { key, .. }) in identity.keys.iter().enumerate() {
                let subject = escape(&key.to_string());
                if let Some(forge) = directory.forges.get(key) {
                    let (forge, identity) = (forge.clone(), identity.name.clone());
                    return Err(PolicyError::ForgeKey { identity, forge, key: subject });
                }
                if directory.keys.insert(key.clone(), (index, place)).is_some() {
                    return Err(PolicyError::DuplicateSigner { subject });
                }
            }
        }
        directory.refuse_ambiguity(identities)?;
        Ok(directory)
    }

    /// The names of the forges.
    pub(super) fn forge_names(&self) -> BTreeSet<&str> {
        self.forges.values().map(String::as_str).collect()
    }

    fn place_keyless(
        &mut self,
        identities: &[NamedIdentity],
        place: (usize, usize),
        signer: &KeylessSigner,
    ) -> Result<(), PolicyError> {
        let places = match signer.identity() {
            Some(identity) => self.exact.entry(identity).or_default(),
            None => &mut self.patterns,
        };
        let is_same = |other: &&(usize, usize)| {
            let other = &identities[other.0].keyless[other.1];
            let names =
                |signer: &KeylessSigner| (signer.instance.clone(), signer.issuer.clone(), signer.kind);
            names(other) == names(signer) && other.subject == signer.subject && other.claims == signer.claims
        };
        if places.iter().any(|other| is_same(&other)) {
            return Err(PolicyError::DuplicateSigner { subject: escape(signer.subject.as_str()) });
        }
        places.push(place);
        Ok(())
    }

    /// A signer of one identity that a pattern of another means as well; what differs in claims is left to
    /// be seen when somebody signs.
    fn refuse_ambiguity(&self, identities: &[NamedIdentity]) -> Result<(), PolicyError> {
        for &(index, place) in &self.patterns {
            let pattern = &identities[index].keyless[place];
            for (identity, places) in &self.exact {
                if !pattern.means(identity) {
                    continue;
                }
                let other = places.iter().find(|other| {
                    let claims = &identities[other.0].keyless[other.1].claims;
                    other.0 != index && (pattern.claims.is_empty() || *claims == pattern.claims)
                });
                if let Some((other, _)) = other {
                    let mut names = [identities[index].name.clone(), identities[*other].name.clone()];
                    names.sort();
                    return Err(PolicyError::Ambiguous { subject: escape(&identity.subject), names });
                }
            }
        }
        Ok(())
    }
}

impl Policy {
    /// The names under which a signer counts for an object; at least one.
    ///
    /// # Errors
    /// Why the signer counts under none.
    pub fn names(&self, signer: SignedBy<'_>, receipt: &Receipt<'_>) -> Result<Vec<&str>, Cause> {
        match signer {
            SignedBy::Proven { identity, claims, times } => {
                self.names_of_identity(identity, claims, times, receipt)
            }
            SignedBy::Stated { keys, time } => self.names_of_keys(keys, time, receipt),
        }
    }

    fn names_of_identity(
        &self,
        identity: &Identity,
        claims: &Claims,
        times: &[ProvenTime],
        receipt: &Receipt<'_>,
    ) -> Result<Vec<&str>, Cause> {
        let meant = self.meant(identity, claims);
        let Some((name, _)) = meant.first() else {
            return Err(Cause::NotInThePolicy(Box::new(identity.clone()), claims.clone()));
        };
        if meant.iter().any(|(other, _)| other != name) {
            let names: BTreeSet<String> = meant.iter().map(|(name, _)| (*name).to_owned()).collect();
            let names = names.into_iter().collect();
            return Err(Cause::Ambiguous { identity: Box::new(identity.clone()), names });
        }
        let lapsed = |lapse| Cause::Lapsed {
            name: (*name).to_owned(),
            signer: super::decision::person(identity),
            lapse,
        };
        // Whatever else means the signer, what is compromised does not count.
        for (_, signer) in &meant {
            signer.window.admit_safe(receipt).map_err(lapsed)?;
        }
        // What is said of this very subject goes before what is said of many.
        let is_exact = meant.iter().any(|(_, signer)| signer.subject.is_exact());
        let mut lapse = None;
        for (_, signer) in meant.iter().filter(|(_, signer)| signer.subject.is_exact() == is_exact) {
            match signer.window.admit(Times::Proven(times), receipt) {
                Ok(()) => return Ok(vec![name]),
                Err(cause) => lapse = lapse.or(Some(cause)),
            }
        }
        Err(lapsed(lapse.expect("there is one signer at least, and none counts")))
    }

    /// A certificate for several principals counts under each that the policy names.
    fn names_of_keys(
        &self,
        keys: &[Key],
        time: Option<i64>,
        receipt: &Receipt<'_>,
    ) -> Result<Vec<&str>, Cause> {
        let forge = keys.iter().find_map(|key| Some((key, self.directory.forges.get(key)?)));
        if let Some((key, forge)) = forge {
            return Err(Cause::Forge { forge: forge.clone(), key: key.clone() });
        }
        let signers: Vec<(&str, &KeySigner)> = keys
            .iter()
            .filter_map(|key| self.directory.keys.get(key))
            .map(|(index, place)| (&self.identities[*index], *place))
            .map(|(identity, place)| (identity.name.as_str(), &identity.keys[place]))
            .collect();
        let cause = |(name, lapse): (&str, Lapse)| Cause::Lapsed {
            name: name.to_owned(),
            signer: super::decision::key_list(keys),
            lapse,
        };
        // Whatever else means the signer, what is compromised does not count.
        for (name, signer) in &signers {
            signer.window.admit_safe(receipt).map_err(|lapse| cause((name, lapse)))?;
        }
        // What is said of this very certificate goes before what is said of its addresses.
        let is_one = |signer: &KeySigner| matches!(signer.key, Key::X509Certificate { .. });
        let has_one = signers.iter().any(|(_, signer)| is_one(signer));
        let mut names = Vec::new();
        let mut lapsed = None;
        for (name, signer) in signers.into_iter().filter(|(_, signer)| is_one(signer) == has_one) {
            match signer.window.admit(Times::Stated(time), receipt) {
                Ok(()) => names.push(name),
                Err(lapse) => lapsed = lapsed.or(Some((name, lapse))),
            }
        }
        match lapsed {
            _ if !names.is_empty() => Ok(names),
            Some(lapsed) => Err(cause(lapsed)),
            None => Err(Cause::KeyNotInThePolicy(keys.to_vec())),
        }
    }

    /// The signers that `identity` with `claims` may be, each with the policy's name for it.
    fn meant(&self, identity: &Identity, claims: &Claims) -> Vec<(&str, &KeylessSigner)> {
        let of = |(index, place): &(usize, usize)| {
            (self.identities[*index].name.as_str(), &self.identities[*index].keyless[*place])
        };
        let exact = self.directory.exact.get(identity).into_iter().flatten().map(of);
        let patterns = self.directory.patterns.iter().map(of).filter(|(_, signer)| signer.means(identity));
        exact.chain(patterns).filter(|(_, signer)| signer.claims.match_all(claims)).collect()
    }

    /// The policy's own name for a key, whenever it counts.
    #[must_use]
    pub fn name_of_key(&self, key: &Key) -> Option<&str> {
        self.directory.keys.get(key).map(|(index, _)| self.identities[*index].name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sigstore::claims::Claim;

    const GITHUB_ACTIONS: &str = "https://token.actions.githubusercontent.com";
    const SUBJECT: &str = "https://github.com/o/r/.github/workflows/release.yml@refs/heads/main";

    /// A policy with these tables, in which everybody may sign.
    fn parse(tables: &str) -> Result<Policy, PolicyError> {
        Policy::parse(&format!("version = 1\nother_refs = \"refuse\"\n{tables}"))
    }

    fn keyless(issuer: &str, kind: &str, subject: &str, more: &str) -> String {
        format!(
            "{{ instance = \"public-good\", issuer = \"{issuer}\", kind = \"{kind}\", subject = \"{subject}\"{more} }}"
        )
    }

    fn identity(issuer: &str, kind: SubjectKind, subject: &str) -> Identity {
        let text = |text: &str| text.to_owned();
        Identity { instance: text("public-good"), issuer: text(issuer), kind, subject: text(subject) }
    }

    fn names(policy: &Policy, identity: &Identity, claims: &[(Claim, &str)]) -> Result<Vec<String>, Cause> {
        let claims: Claims = claims.iter().copied().collect();
        let signer = SignedBy::Proven { identity, claims: &claims, times: &[ProvenTime::Log(50)] };
        let names = policy.names(signer, &Receipt::without_anchors(100))?;
        Ok(names.into_iter().map(ToOwned::to_owned).collect())
    }

    #[test]
    fn a_pattern_of_subjects_names_many_and_no_issuer_is_one() {
        let mail = |subject: &str| keyless("https://i", "email", subject, "");
        let policy = parse(&format!("[identity.staff]\nkeyless = [{}]\n", mail("*@example.com"))).unwrap();
        let by = |issuer: &str, kind, subject: &str| names(&policy, &identity(issuer, kind, subject), &[]);
        assert_eq!(by("https://i", SubjectKind::Email, "a@example.com").unwrap(), ["staff"]);
        for (issuer, kind, subject) in [
            ("https://j", SubjectKind::Email, "a@example.com"),
            ("https://i", SubjectKind::Username, "a@example.com"),
            ("https://i", SubjectKind::Email, "a@b@example.com"),
            ("https://i", SubjectKind::Email, "a/b@example.com"),
            ("https://i", SubjectKind::Email, "@example.com"),
        ] {
            assert!(matches!(by(issuer, kind, subject), Err(Cause::NotInThePolicy(..))), "{subject}");
        }
        let issuer = keyless("https://*", "email", "a@b", "");
        let refused = parse(&format!("[identity.a]\nkeyless = [{issuer}]\n")).unwrap_err();
        assert!(matches!(refused, PolicyError::SignerPattern(_)));
    }

    #[test]
    fn whom_two_identities_mean_is_nobody() {
        let tables = |one: &str, two: &str| {
            let mail = |subject: &str| keyless("https://i", "email", subject, "");
            parse(&format!(
                "[identity.one]\nkeyless = [{}]\n[identity.two]\nkeyless = [{}]\n",
                mail(one),
                mail(two)
            ))
        };
        for (one, two) in [("*@example.com", "a@example.com"), ("a@example.com", "*@example.com")] {
            let refused = tables(one, two).unwrap_err();
            assert!(matches!(&refused, PolicyError::Ambiguous { names, .. } if *names == ["one", "two"]));
        }
        let policy = tables("*@example.com", "a*@example.com").unwrap();
        let by = |subject: &str| names(&policy, &identity("https://i", SubjectKind::Email, subject), &[]);
        assert_eq!(by("bob@example.com").unwrap(), ["one"]);
        assert!(
            matches!(by("abe@example.com"), Err(Cause::Ambiguous { names, .. }) if names == ["one", "two"])
        );
        assert!(matches!(tables("*@a", "*@a").unwrap_err(), PolicyError::DuplicateSigner { .. }));
    }

    #[test]
    fn a_build_is_named_with_its_repository_and_ref() {
        let ci = |issuer: &str, more: &str| {
            parse(&format!("[identity.ci]\nkeyless = [{}]\n", keyless(issuer, "uri", SUBJECT, more)))
        };
        let missing = |issuer: &str, more: &str| match ci(issuer, more).unwrap_err() {
            PolicyError::MissingClaim { key, .. } => key,
            other => panic!("{other}"),
        };
        let (repository, main) = (", repository = \"https://github.com/o/r\"", ", ref = \"refs/heads/main\"");
        for issuer in [GITHUB_ACTIONS, &format!("{GITHUB_ACTIONS}/acme"), "https://gitlab.com"] {
            assert_eq!(missing(issuer, ""), "repository");
            assert_eq!(missing(issuer, repository), "ref");
            assert_eq!(missing(issuer, main), "repository");
        }
        let star = ci(GITHUB_ACTIONS, ", repository = \"https://github.com/o/*\", ref = \"refs/heads/main\"");
        assert!(matches!(star.unwrap_err(), PolicyError::SignerPattern(_)));

        let policy = ci(GITHUB_ACTIONS, &format!("{repository}{main}, trigger = \"push\"")).unwrap();
        let build = identity(GITHUB_ACTIONS, SubjectKind::Uri, SUBJECT);
        let certified = |reference| {
            [(Claim::Repository, "https://github.com/o/r"), (Claim::Ref, reference), (Claim::Trigger, "push")]
        };
        assert_eq!(names(&policy, &build, &certified("refs/heads/main")).unwrap(), ["ci"]);
        for claims in [&certified("refs/heads/other")[..], &certified("refs/heads/main")[..2], &[]] {
            assert!(matches!(names(&policy, &build, claims), Err(Cause::NotInThePolicy(..))), "{claims:?}");
        }

        let pasted = file::policy_entry(&build, &certified("refs/heads/main").into_iter().collect()).unwrap();
        assert!(parse(&format!("[identity.ci]\nkeyless = [{pasted}]\n")).is_ok(), "{pasted}");
        let vague = [(Claim::Repository, "https://github.com/o/r")].into_iter().collect();
        assert_eq!(file::policy_entry(&build, &vague), None, "it would not parse");
    }

    #[test]
    fn an_instance_may_have_issuers_of_builds_of_its_own() {
        let instance =
            "[[instance]]\nname = \"public-good\"\ntrusted_root = \"r\"\nci_issuers = [\"https://ci\"]\n";
        let with = |kind: &str| {
            let signer = keyless("https://ci", kind, "a@b", "");
            parse(&format!("{instance}[identity.a]\nkeyless = [{signer}]\n"))
        };
        assert!(matches!(with("uri").unwrap_err(), PolicyError::MissingClaim { .. }));
        assert!(with("email").is_ok(), "people may log in there besides");
    }

    #[test]
    fn a_forges_key_is_no_person() {
        let refused = |tables: &str| parse(tables).unwrap_err();
        for fingerprint in GITHUB.1 {
            let tables = format!("[identity.a]\nopenpgp = [\"{}\"]\n", fingerprint.to_lowercase());
            assert!(matches!(refused(&tables), PolicyError::ForgeKey { forge, .. } if forge == "github"));
        }
        let key = "A".repeat(40);
        let forge = format!("[[forge]]\nname = \"ours\"\nopenpgp = [\"{key}\"]\n");
        let both = format!("{forge}[identity.a]\nopenpgp = [\"{key}\"]\n");
        assert!(matches!(refused(&both), PolicyError::ForgeKey { forge, .. } if forge == "ours"));
        assert!(matches!(refused(&format!("{forge}{forge}")), PolicyError::DuplicateName { .. }));
        assert!(matches!(refused("[[forge]]\nname = \"x\"\n"), PolicyError::Empty { .. }));

        let policy = parse(&forge).unwrap();
        for (fingerprint, name) in [(key.as_str(), "ours"), (GITHUB.1[0], "github")] {
            let keys = [Key::OpenPgp { fingerprint: fingerprint.to_owned() }];
            let cause = policy
                .names(SignedBy::Stated { keys: &keys, time: None }, &Receipt::without_anchors(0))
                .unwrap_err();
            assert!(matches!(&cause, Cause::Forge { forge, .. } if forge == name), "{cause}");
            assert!(cause.to_string().contains("for whoever was logged in"), "{cause}");
        }
    }

    #[test]
    fn moments_stand_beside_signers_and_identities() {
        let key = |digit: &str, more: &str| format!("{{ fingerprint = \"{}\"{more} }}", digit.repeat(40));
        let with = |lines: &str| parse(&format!("[identity.a]\n{lines}\n"));
        let window = |lines: &str| with(lines).unwrap().identities()[0].keys[0].window;
        let from_until = ", from = 1970-01-01T00:00:10Z, until = \"1970-01-01T02:00:20+02:00\"";
        assert_eq!(
            window(&format!("openpgp = [{}]", key("A", from_until))),
            Window { from: Some(10), until: Some(20), compromised: None }
        );
        let outer = "retired = 1970-01-01T00:00:15Z\ncompromised = 1970-01-01T00:00:05Z";
        assert_eq!(
            window(&format!("openpgp = [{}]\n{outer}", key("A", from_until))),
            Window { from: Some(10), until: Some(15), compromised: Some(5) }
        );
        for moment in [
            "1970-01-01",
            "1970-01-01T00:00:10",
            "00:00:10",
            "1970-01-01T00:00:10.5Z",
            "\"1970-01-01T00:00Z\"",
            "1969-12-31T23:59:59Z",
            "\"1970-01-01T00:00:10Z[UTC]\"",
            "\"soon\"",
        ] {
            let refused = with(&format!("openpgp = [{}]", key("A", &format!(", until = {moment}"))));
            let refused = refused.unwrap_err();
            assert!(matches!(refused, PolicyError::Moment { key: "until", .. }), "{moment}: {refused}");
        }
        assert!(matches!(
            with(&format!("openpgp = [{}]", key("A", ", until = 10"))).unwrap_err(),
            PolicyError::Syntax { .. }
        ));
        let empty = ", from = 1970-01-01T00:00:10Z, until = 1970-01-01T00:00:10Z";
        let refused = with(&format!("openpgp = [{}]", key("A", empty))).unwrap_err();
        assert_eq!(refused, PolicyError::EmptyWindow { place: "identity 'a'".to_owned() });
    }

    #[test]
    fn who_counted_once_is_named_in_the_refusal() {
        let lines = "[identity.a]\nretired = 1970-01-01T00:01:40Z\n";
        let policy = parse(&format!("{lines}openpgp = [\"{}\"]\n", "A".repeat(40))).unwrap();
        let keys = [Key::OpenPgp { fingerprint: "A".repeat(40) }];
        let judge = |now| {
            let signer = SignedBy::Stated { keys: &keys, time: Some(50) };
            policy.names(signer, &Receipt::without_anchors(now)).map(|names| names[0].to_owned())
        };
        assert_eq!(judge(99).unwrap(), "a");
        let cause = judge(100).unwrap_err();
        assert!(
            matches!(&cause, Cause::Lapsed { name, lapse: Lapse::Over { until: 100, .. }, .. } if name == "a")
        );
        let words = format!(
            "signed by 'OpenPGP {}' ('a'), who counted until 1970-01-01 00:01:40 UTC, and the object came at \
             1970-01-01 00:01:40 UTC without an anchor that covers it",
            "A".repeat(40)
        );
        assert_eq!(cause.to_string(), words);
    }

    #[test]
    fn what_is_said_of_one_goes_before_what_is_said_of_many() {
        let lapsed = |judged: Result<Vec<&str>, Cause>| match judged {
            Err(Cause::Lapsed { lapse, .. }) => Some(lapse),
            Ok(_) => None,
            Err(other) => panic!("{other}"),
        };
        let compromised = ", compromised = 1970-01-01T00:00:40Z";
        let ended = ", until = 1970-01-01T00:00:40Z";
        let mail = |subject: &str, more: &str| keyless("https://i", "email", subject, more);
        let lapse = |signers: [String; 2], subject: &str| {
            let policy = parse(&format!("[identity.a]\nkeyless = [{}]\n", signers.join(", "))).unwrap();
            let identity = identity("https://i", SubjectKind::Email, subject);
            let (claims, times) = (Claims::default(), [ProvenTime::Log(50)]);
            let signer = SignedBy::Proven { identity: &identity, claims: &claims, times: &times };
            lapsed(policy.names(signer, &Receipt::without_anchors(100)))
        };
        let all = || mail("*@a", "");
        assert_eq!(lapse([all(), mail("bob@a", ended)], "eve@a"), None);
        assert!(matches!(lapse([all(), mail("bob@a", ended)], "bob@a"), Some(Lapse::Over { .. })));
        assert_eq!(lapse([all(), mail("bob@a", compromised)], "bob@a"), Some(Lapse::Compromised(40)));
        assert_eq!(
            lapse([mail("*@a", compromised), mail("bob@a", "")], "bob@a"),
            Some(Lapse::Compromised(40))
        );
        assert_eq!(lapse([mail("*@a", ended), mail("bob@a", "")], "bob@a"), None, "bob has stayed");

        let authority = "[[certificate_authority]]\nname = \"ca\"\nfile = \"ca.pem\"\n";
        let lapse = |more: &str| {
            let fingerprint = "A".repeat(64);
            let policy = parse(&format!(
                "{authority}[identity.a]\nx509 = [{{ authority = \"ca\", subject = \"bob@a\" }}, \
                 {{ authority = \"ca\", certificate = \"{fingerprint}\"{more} }}]\n"
            ));
            let authority = || "ca".to_owned();
            let keys = [
                Key::X509 { authority: authority(), subject: "bob@a".to_owned() },
                Key::X509Certificate { authority: authority(), fingerprint },
            ];
            let signer = SignedBy::Stated { keys: &keys, time: Some(10) };
            lapsed(policy.unwrap().names(signer, &Receipt::without_anchors(100)))
        };
        assert_eq!(lapse(""), None);
        assert_eq!(lapse(compromised), Some(Lapse::Compromised(40)), "a stolen certificate");
        assert!(matches!(lapse(ended), Some(Lapse::Over { .. })));
    }

    #[test]
    fn anchors_and_the_repository_are_read() {
        let anchor = |object: &str, received: &str| {
            parse(&format!("repository = \"r\"\n[[anchor]]\nobject = \"{object}\"\nreceived = {received}\n"))
        };
        let id = "1".repeat(40);
        let policy = anchor(&id, "1970-01-01T00:00:10Z").unwrap();
        assert_eq!((policy.repository(), policy.anchors()[0].received), (Some("r"), 10));
        for object in ["1", &"1".repeat(39), &"0".repeat(40), &"A".repeat(40), "refs/heads/main"] {
            let refused = anchor(object, "1970-01-01T00:00:10Z").unwrap_err();
            assert!(matches!(refused, PolicyError::AnchorObject(_)), "{object}");
        }
        assert!(matches!(
            anchor(&id, "1970-01-01").unwrap_err(),
            PolicyError::Moment { key: "received", .. }
        ));
        assert!(matches!(parse("repository = \"\"").unwrap_err(), PolicyError::Repository(_)));
    }

    proptest::proptest! {
        #[test]
        fn no_star_crosses_slash_or_at(before in "[a@/]{0,3}", after in "[a@/]{0,3}", subject in "[ab@/]{0,8}") {
            let pattern = SubjectPattern::parse(&format!("{before}*{after}")).unwrap();
            let count = |text: &str| text.matches(['@', '/']).count();
            if pattern.matches(&subject) {
                proptest::prop_assert_eq!(count(&subject), count(&before) + count(&after));
                proptest::prop_assert!(subject.len() > before.len() + after.len());
            }
        }
    }
}
