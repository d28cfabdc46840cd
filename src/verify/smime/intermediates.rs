//! Which certificates may take part in a path at all: only those that an authority has signed.
//!
//! Paths are tried one by one, and whoever adds a dozen certificates of their own making, all of one name,
//! would have hundreds of thousands of them tried. So those are put aside first, each after a few signature
//! checks. Whether a path holds is still for `rustls-webpki` to say.

use super::algorithm;
use crate::encoding::x509::Slices;

/// What may take part.
pub(super) struct Signed<'a> {
    /// The certificates, DER.
    pub(super) certificates: Vec<&'a [u8]>,
    /// Some were put aside because their signature is of a kind that does not count.
    pub(super) is_any_weak: bool,
}

/// Those of `candidates` that stand above `leaf` by name and that one of `roots`, or one of them that has
/// proven to be signed itself, has signed.
pub(super) fn signed<'a>(
    leaf: &Slices<'_>,
    candidates: Vec<(&'a [u8], Slices<'a>)>,
    roots: &[Slices<'_>],
) -> Signed<'a> {
    let mut signed = Signed { certificates: Vec::new(), is_any_weak: false };
    let mut rest = above(leaf, candidates);
    let mut issuers: Vec<(Vec<u8>, Vec<u8>)> =
        roots.iter().map(|root| (root.subject.to_vec(), root.spki.to_vec())).collect();
    let mut next = 0;
    while let Some((name, spki)) = issuers.get(next).cloned() {
        next += 1;
        rest.retain(|(der, slices)| {
            if slices.issuer != name {
                return true;
            }
            let Some(key) = algorithm::issuer_key(&slices.signature_algorithm, &spki) else {
                signed.is_any_weak = true;
                return true;
            };
            if !key.verifies(slices.tbs, slices.signature) {
                return true;
            }
            signed.certificates.push(der);
            issuers.push((slices.subject.to_vec(), slices.spki.to_vec()));
            false
        });
    }
    signed
}

/// Those whose subject is the issuer of `leaf`, or of another that is.
fn above<'a>(leaf: &Slices<'_>, mut rest: Vec<(&'a [u8], Slices<'a>)>) -> Vec<(&'a [u8], Slices<'a>)> {
    let mut names = vec![leaf.issuer.to_vec()];
    let mut found = Vec::new();
    let mut next = 0;
    while let Some(name) = names.get(next).cloned() {
        next += 1;
        for candidate in std::mem::take(&mut rest) {
            if candidate.1.subject == name {
                names.push(candidate.1.issuer.to_vec());
                found.push(candidate);
            } else {
                rest.push(candidate);
            }
        }
    }
    found
}
