//! Refs whose names the server's file system cannot tell apart: a push to one of them would move the other.
//!
//! There a name is refused that is spelt otherwise than a ref or a folder of refs that is there, or than
//! another one of the push, and one about which the policy would decide otherwise by another spelling.

use std::collections::HashMap;

use gix::bstr::{BStr, BString, ByteSlice as _};

use super::Update;
use crate::{
    policy::{Cause, Policy, Refusal, Subject},
    repository::{Repository, folded},
};

/// What is refused on the file system of `repository`; nothing where it tells all names apart.
pub(super) fn refusals(repository: &Repository, policy: &Policy, updates: &[Update]) -> Vec<Refusal> {
    if !repository.folds_names() {
        return Vec::new();
    }
    let refuse = |update: &Update, cause| Refusal {
        reference: update.reference.clone(),
        subject: Subject::Reference,
        rule: None,
        cause,
    };
    let standing = match repository.references().all() {
        Ok(standing) => standing,
        Err(error) => {
            let cause = |_| Cause::Unexpected(error.to_string());
            return updates.iter().map(|update| refuse(update, cause(update))).collect();
        }
    };
    let mut spellings: HashMap<BString, BString> = HashMap::new();
    for (name, _) in &standing {
        for part in parts(name.as_ref()) {
            spellings.entry(folded(part)).or_insert_with(|| part.to_owned());
        }
    }
    let mut refusals = Vec::new();
    for update in updates {
        let name = update.reference.as_bstr();
        let other = parts(name).find_map(|part| {
            let spelling = spellings.entry(folded(part)).or_insert_with(|| part.to_owned());
            (*spelling != part).then(|| spelling.to_vec())
        });
        if let Some(other) = other {
            refusals.push(refuse(update, Cause::Alike(other)));
        } else if !policy.governs_folded(name, &|text| folded(text.as_bstr()).into()) {
            refusals.push(refuse(update, Cause::AlikeByTheRules));
        }
    }
    refusals
}

/// The name itself, and every folder on the way to it.
fn parts(name: &BStr) -> impl Iterator<Item = &BStr> {
    let folders = name.find_iter("/").map(|end| name[..end].as_bstr()).collect::<Vec<_>>();
    folders.into_iter().chain(std::iter::once(name))
}
