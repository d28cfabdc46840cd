//! Whom the policy names: signers with what is asked of them, found by what a verdict proves.

use std::collections::{BTreeSet, HashMap};

use super::{
    Cause, Lapse, NamedIdentity, Policy, PolicyError, Receipt, SubjectPattern, WantedClaims, Window, file,
    window::Times,
};
use crate::{
    sigstore::{certificate::SubjectKind, claims::Claims},
    verify::{Identity, Key, NotLogged, Proven, ProvenTime, Stated, TimeNotProven},
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

impl<'a> From<&'a NotLogged> for SignedBy<'a> {
    fn from(signed: &'a NotLogged) -> Self {
        Self::Proven { identity: signed.identity(), claims: signed.claims(), times: signed.times() }
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

    /// The forges with their keys, in order: what decides which commits are a forge's.
    pub(super) fn forges(&self) -> BTreeSet<(&str, &Key)> {
        self.forges.iter().map(|(key, name)| (name.as_str(), key)).collect()
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
        let lapsed =
            |lapse| Cause::Lapsed { name: (*name).to_owned(), signer: super::cause::person(identity), lapse };
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
        let signers = self.signers_of(keys);
        let cause = |(name, lapse): (&str, Lapse)| Cause::Lapsed {
            name: name.to_owned(),
            signer: super::cause::key_list(keys),
            lapse,
        };
        // Whatever else means the signer, what is compromised does not count.
        for (name, signer) in &signers {
            signer.window.admit_safe(receipt).map_err(|lapse| cause((name, lapse)))?;
        }
        let mut names = Vec::new();
        let mut lapsed = None;
        for (name, signer) in decisive(signers) {
            match signer.window.admit(Times::Stated(time), receipt) {
                Ok(()) => names.push(name),
                Err(lapse) => lapsed = lapsed.or(Some((name, lapse))),
            }
        }
        match lapsed {
            _ if !names.is_empty() => Ok(names),
            Some(lapsed) => Err(cause(lapsed)),
            None => Err(Cause::KeyNotInThePolicy(super::cause::told(keys))),
        }
    }

    /// Everybody whom the policy means by one of `keys`, whenever they count: any of them may have signed.
    pub(super) fn holders(&self, keys: &[Key]) -> BTreeSet<&str> {
        decisive(self.signers_of(keys)).map(|(name, _)| name).collect()
    }

    fn signers_of(&self, keys: &[Key]) -> Vec<(&str, &KeySigner)> {
        let places = keys.iter().filter_map(|key| self.directory.keys.get(key));
        let identities = places.map(|(index, place)| (&self.identities[*index], *place));
        identities.map(|(identity, place)| (identity.name.as_str(), &identity.keys[place])).collect()
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

/// Those of `signers` that decide: what is said of this very certificate goes before what is said of its addresses.
fn decisive<'p>(signers: Vec<(&'p str, &'p KeySigner)>) -> impl Iterator<Item = (&'p str, &'p KeySigner)> {
    let is_one = |signer: &KeySigner| matches!(signer.key, Key::X509Certificate { .. });
    let has_one = signers.iter().any(|(_, signer)| is_one(signer));
    signers.into_iter().filter(move |(_, signer)| is_one(signer) == has_one)
}

#[cfg(test)]
mod tests;
