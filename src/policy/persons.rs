//! Whether a commit's author and committer are whoever signed it, by their e-mail addresses.

use std::fmt;

use super::{Cause, Evidence, Policy, Receipt, Rule, SignedBy, Wanted, cause::list};
use crate::{
    object::{Commit, person_address},
    sigstore::certificate::SubjectKind,
    verify::{Key, Verdict},
    words::{escape, escape_bytes},
};

/// Whose address has to stand in a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Whose {
    /// Anybody's.
    #[default]
    Anyone,
    /// One of the signer's.
    Signer,
}

/// Which header of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `author`.
    Author,
    /// `committer`.
    Committer,
}

/// The addresses in a commit's headers, as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persons {
    author: Vec<u8>,
    committer: Vec<u8>,
}

/// A header that holds an address that is not the signer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignAddress {
    /// The header.
    pub role: Role,
    /// The address there, as bytes.
    pub address: Vec<u8>,
    /// The policy's name for the signer.
    pub name: String,
    /// The signer's addresses.
    pub addresses: Vec<String>,
}

impl ForeignAddress {
    /// What to do next.
    pub(super) fn hint(&self) -> String {
        format!(
            "set your address with 'git config user.email' and make the commit again with 'git commit --amend \
             --no-edit{} -S', or have the policy's owner add it to 'emails' of identity '{}'",
            if self.role == Role::Author { " --reset-author" } else { "" },
            escape(&self.name)
        )
    }
}

impl fmt::Display for ForeignAddress {
    /// Fit for a terminal.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "its {} is '{}', where ", self.role, escape_bytes(&self.address))?;
        match &self.addresses[..] {
            [] => write!(formatter, "no address of the signer is known"),
            known => write!(formatter, "the signer is {}", list(known)),
        }
    }
}

/// How much is kept of an address in a header, in bytes: far more than a mail server takes. Whoever commits chooses how
/// long it is, and those of thousands of commits are held.
const MAXIMUM_ADDRESS_BYTES: usize = 1024;

/// What stands behind one that is longer, and in nobody's address.
const CUT: &[u8] = b" (cut off)";

impl Persons {
    /// Those of `commit`.
    #[must_use]
    pub fn of(commit: &Commit<'_>) -> Self {
        let address = |person| {
            let address = person_address(person).unwrap_or_default();
            match address.split_at_checked(MAXIMUM_ADDRESS_BYTES) {
                Some((begin, [_, ..])) => [begin, CUT].concat(),
                _ => address.to_vec(),
            }
        };
        Self { author: address(commit.author), committer: address(commit.committer) }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Author => "author",
            Self::Committer => "committer",
        })
    }
}

impl Rule {
    /// The headers in which the signer's address has to stand.
    #[must_use]
    pub fn own_headers(&self) -> Vec<Role> {
        let asked = [(Role::Committer, self.committer), (Role::Author, self.author)];
        asked.into_iter().filter(|(_, whose)| *whose == Whose::Signer).map(|(role, _)| role).collect()
    }
}

impl Policy {
    /// Whether the headers of a commit hold addresses of whoever signed it, as far as `rule` asks for that and
    /// the signature itself is what the rule asks for. An address is the signer's if the certificate says so, or
    /// if it stands under `emails` of an identity that the signer counts as. Bytes are compared as they are.
    ///
    /// # Errors
    /// The header that holds another address.
    pub fn judge_persons(
        &self,
        rule: &Rule,
        evidence: &Evidence,
        receipt: &Receipt<'_>,
        persons: &Persons,
    ) -> Result<(), Cause> {
        let (Some(wanted), roles) = (rule.commits.wanted(), rule.own_headers()) else { return Ok(()) };
        if roles.is_empty() {
            return Ok(());
        }
        let (name, addresses) = self.addresses(wanted, evidence, receipt)?;
        for role in roles {
            let address = match role {
                Role::Author => &persons.author,
                Role::Committer => &persons.committer,
            };
            if !addresses.iter().any(|known| known.as_bytes() == address) {
                let address = address.clone();
                return Err(Cause::NotTheSigner(Box::new(ForeignAddress { role, address, name, addresses })));
            }
        }
        Ok(())
    }

    /// The first name of whoever signed, and all addresses.
    fn addresses(
        &self,
        wanted: &Wanted,
        evidence: &Evidence,
        receipt: &Receipt<'_>,
    ) -> Result<(String, Vec<String>), Cause> {
        let (signer, mut addresses) = match evidence {
            Evidence::Signed(Verdict::Good(proven)) => (SignedBy::from(&**proven), Vec::new()),
            Evidence::Signed(Verdict::NotLogged(signed)) => (SignedBy::from(&**signed), Vec::new()),
            Evidence::Signed(Verdict::TimeNotProven(signed)) => (SignedBy::from(&**signed), Vec::new()),
            Evidence::Signed(Verdict::Stated(stated)) => {
                let certified = |key: &Key| match key {
                    Key::X509 { subject, .. } => Some(subject.clone()),
                    _ => None,
                };
                (SignedBy::from(&**stated), stated.keys().iter().filter_map(certified).collect())
            }
            // Such a signature has been refused.
            _ => return Err(Cause::Unexpected("a commit without a good signature has no signer".to_owned())),
        };
        if let SignedBy::Proven { identity, .. } = signer
            && identity.kind == SubjectKind::Email
        {
            addresses.push(identity.subject.clone());
        }
        let names = self.names(signer, receipt)?;
        let counts = names.iter().filter(|name| wanted.contains(name));
        for identity in
            self.identities.iter().filter(|identity| counts.clone().any(|name| **name == identity.name))
        {
            addresses.extend(identity.emails.iter().cloned());
        }
        let name = counts.clone().next().copied().unwrap_or_default().to_owned();
        Ok((name, addresses))
    }
}
