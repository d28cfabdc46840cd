//! Issuers that vouch for builds rather than for people, and what an identity of theirs has to say.

use super::SubjectPattern;
use crate::sigstore::claims::{Claim, Claims};

/// The issuers for CI that Sigstore's public instance takes tokens from.
const ISSUERS: [&str; 8] = [
    "https://agent.buildkite.com",
    "https://dev.gitlab.org",
    "https://gitlab.archlinux.org",
    "https://gitlab.com",
    "https://oidc.circleci.com",
    "https://oidc.codefresh.io",
    "https://ops.gitlab.net",
    "https://token.actions.githubusercontent.com",
];

/// Those that have an issuer for each of their customers besides, behind this.
const CUSTOMERS: [&str; 2] =
    ["https://oidc.circleci.com/org/", "https://token.actions.githubusercontent.com/"];

/// What an identity by an issuer for CI has to name: anybody can have a build of its own there.
pub(super) const REQUIRED: [Claim; 2] = [Claim::Repository, Claim::Ref];

/// Whether `issuer` is known to vouch for builds.
pub(super) fn is_known_issuer(issuer: &str) -> bool {
    ISSUERS.contains(&issuer) || CUSTOMERS.iter().any(|prefix| issuer.starts_with(prefix))
}

/// What the claims of a certificate have to be; all of them, and nothing is asked of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WantedClaims(Vec<(Claim, SubjectPattern)>);

impl WantedClaims {
    /// Claims in the order of [`Claim::ALL`].
    pub(super) fn new(mut claims: Vec<(Claim, SubjectPattern)>) -> Self {
        claims.sort();
        Self(claims)
    }

    /// What is wanted.
    pub fn iter(&self) -> impl Iterator<Item = (Claim, &SubjectPattern)> {
        self.0.iter().map(|(claim, pattern)| (*claim, pattern))
    }

    /// Whether nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wanted of one claim.
    #[must_use]
    pub fn get(&self, wanted: Claim) -> Option<&SubjectPattern> {
        self.iter().find(|(claim, _)| *claim == wanted).map(|(_, pattern)| pattern)
    }

    /// Whether a certificate says all of it; what it does not say is not what is wanted.
    #[must_use]
    pub fn match_all(&self, claims: &Claims) -> bool {
        self.iter().all(|(claim, pattern)| claims.get(claim).is_some_and(|text| pattern.matches(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_of_builds_are_known_with_those_of_their_customers() {
        let github = "https://token.actions.githubusercontent.com";
        for issuer in
            [github, &format!("{github}/acme"), "https://oidc.circleci.com/org/1", "https://gitlab.com"]
        {
            assert!(is_known_issuer(issuer), "{issuer}");
        }
        for issuer in
            ["https://github.com/login/oauth", &format!("{github}.evil"), "https://gitlab.com/x", ""]
        {
            assert!(!is_known_issuer(issuer), "{issuer}");
        }
    }

    #[test]
    fn every_claim_that_is_wanted_has_to_be_there() {
        let wanted = |claims: &[(Claim, &str)]| {
            let pattern = |text: &str| SubjectPattern::parse(text).unwrap();
            WantedClaims::new(claims.iter().map(|(claim, text)| (*claim, pattern(text))).collect())
        };
        let certified: Claims =
            [(Claim::Repository, "https://github.com/o/r"), (Claim::Ref, "refs/heads/main")]
                .into_iter()
                .collect();
        let repository = (Claim::Repository, "https://github.com/o/r");
        assert!(wanted(&[repository, (Claim::Ref, "refs/heads/*")]).match_all(&certified));
        assert!(wanted(&[]).match_all(&certified));
        for refused in [
            [repository, (Claim::Ref, "refs/heads/m")],
            [repository, (Claim::Ref, "refs/*")],
            [repository, (Claim::Trigger, "push")],
            [(Claim::Repository, "https://github.com/o/R"), (Claim::Ref, "refs/heads/main")],
        ] {
            assert!(!wanted(&refused).match_all(&certified), "{refused:?}");
        }
        assert!(!wanted(&[repository]).match_all(&Claims::default()), "what is not said is not equal");
    }
}
