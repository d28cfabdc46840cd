//! The ledger that a remote keeps: held against what was seen of it before, and refs against it.
//!
//! A gate enters every accepted update there. Whoever serves the repository can write entries too, but not
//! take back those that somebody has seen: a ref that is not what the ledger says was moved behind the gate's
//! back, and the ledger says from where the value is known.
//!
//! Between the move of a ref and its entry an honest server has a ref that is not as its ledger says, too: such
//! a ref is held for as long as that takes, and is looked at anew each time.

use std::collections::{BTreeMap, HashSet};

use gix::bstr::BString;

use super::{Advertisement, Basis, Memory, MemoryError, session::Session};
use crate::{
    encoding::sha256,
    ledger::{Check, Elsewhere, Finding, LEDGER, UnderWay, check, walk},
    object::ObjectId,
    policy::Governing,
    words::{Failure, escape_bytes, shell_word},
};

/// A ref that is not what the remote's ledger says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Strange {
    /// In which way it is not.
    pub(super) words: String,
    /// What the ledger says, where it knows the ref.
    pub(super) entered: Option<Option<ObjectId>>,
}

impl Session<'_> {
    /// Which of the refs that git may hear of are not what the remote's ledger says, and in which way; none
    /// where it keeps no ledger.
    ///
    /// # Errors
    /// The ledger is gone, goes back, was replaced or does not hold, or hardly a ref is as it says.
    pub(super) fn hold_against_ledger(
        &mut self,
        basis: &Basis,
        advertised: &Advertisement,
    ) -> Result<BTreeMap<BString, Strange>, Failure> {
        let remembered = self.memory.ledger;
        let head = advertised.refs.get(&BString::from(LEDGER)).copied();
        let address = self.key().to_owned();
        let refused = |words: String| {
            Failure::new(
                words,
                "nothing is taken from a remote that takes back what it has shown; ask whoever keeps it",
            )
            .hint(format!(
                "if they know why, 'countersign remote forget {} {LEDGER}' takes what it has now",
                shell_word(&address)
            ))
        };
        let Some(head) = head else {
            let Some(remembered) = remembered else { return Ok(BTreeMap::new()) };
            return Err(refused(format!("the ledger of the remote is gone: its head was '{remembered}'")));
        };
        // What the ledger says of these refs follows from them and from its head.
        let digest = sha256(&[&advertised.digest(), &basis.digest]);
        if remembered == Some(head) && self.memory.agreed == Some(digest) {
            return Ok(BTreeMap::new());
        }
        let reader = self.kept_in(head, "ledger")?;
        let mut refs = advertised.direct();
        refs.remove(&BString::from(LEDGER));
        let under_way = UnderWay::new();
        // A forge has many refs of its own that nobody asks for.
        let has_rule = |name: &BString| matches!(basis.policy.governing(name), Governing::Rule(_));
        let named: HashSet<&BString> = (advertised.symbolic.keys())
            .filter(|name| has_rule(name))
            .filter_map(|name| advertised.target(name))
            .collect();
        let is_governed = |name: &BString| has_rule(name) || named.contains(name);
        let held_against = Check {
            refs: &refs,
            head: Some(head),
            remembered,
            under_way: &under_way,
            left_over: None,
            comes_first: &is_governed,
        };
        let report = check(&held_against, |commit| walk(&reader, Some(commit), None));
        // Gaps and the like are told last, and refs without a rule before them: behind one of those none with a rule
        // was left out.
        let is_whole = match report.findings.last() {
            Some(Finding::Gap { .. } | Finding::NoCertificate { .. }) => true,
            Some(Finding::Moved { reference, .. } | Finding::UnderWay { reference }) => {
                !is_governed(reference)
            }
            _ => false,
        };
        if report.is_cut_short && !is_whole {
            return Err(refused("too many refs of the remote are not what its ledger says".to_owned()));
        }
        let mut strange = BTreeMap::new();
        for finding in report.findings {
            match finding {
                Finding::Broken { reason } => {
                    return Err(refused(format!("the ledger of the remote does not hold: {reason}")));
                }
                Finding::Forked { remembered } => {
                    return Err(refused(format!(
                        "the ledger of the remote was replaced: its head was '{remembered}', and '{head}' does not \
                         come from there"
                    )));
                }
                Finding::RolledBack { remembered } => {
                    return Err(refused(format!(
                        "the ledger of the remote goes back: its head was '{remembered}', and is '{head}' now"
                    )));
                }
                Finding::Moved { reference, entered, elsewhere, holds, sequence } => {
                    let value = |value: Option<ObjectId>| {
                        value.map_or_else(|| "nothing".to_owned(), |id| id.to_hex_with_len(12).to_string())
                    };
                    let way = match elsewhere {
                        Elsewhere::Earlier { sequence } => {
                            format!("it goes back to what it held by entry {sequence}")
                        }
                        Elsewhere::OtherRef { reference, sequence } => {
                            format!("it was put where '{}' was by entry {sequence}", escape_bytes(&reference))
                        }
                        Elsewhere::Nowhere if holds.is_none() => "it was deleted without an entry".to_owned(),
                        Elsewhere::Nowhere => "no entry knows that value".to_owned(),
                    };
                    let words = format!("the remote's ledger says {}: {way}", value(entered));
                    strange.insert(reference, Strange { words, entered: sequence.map(|_| entered) });
                }
                // Told once, when it is new.
                Finding::Gap { reference, sequence, .. } if remembered != Some(head) => {
                    let name = escape_bytes(&reference);
                    self.warn(format_args!(
                        "by the remote's ledger '{name}' was moved without an entry before entry {sequence}"
                    ));
                }
                _ => {}
            }
        }
        // Another name for a ref is no better than that one.
        for name in advertised.symbolic.keys() {
            if let Some(target) = advertised.target(name)
                && let Some(Strange { words, entered }) = strange.get(target)
            {
                let words = format!("it is another name for '{}': {words}", escape_bytes(target));
                let entered = *entered;
                strange.insert(name.clone(), Strange { words, entered });
            }
        }
        // What git never hears of needs no agreement.
        let is_heard = |name: &BString| {
            !matches!(basis.policy.governing(name), Governing::Refused | Governing::Reserved)
        };
        strange.retain(|name, _| is_heard(name));
        let agreed = strange.is_empty().then_some(digest);
        if remembered != Some(head) || self.memory.agreed != agreed {
            let key = self.key().to_owned();
            let note = |memory: &mut Memory| {
                if memory.ledger != remembered && memory.ledger != Some(head) {
                    return Err(MemoryError::Changed(key));
                }
                memory.ledger = Some(head);
                memory.agreed = agreed;
                Ok(())
            };
            self.memory =
                self.context.store.update(self.key(), note).map_err(|error| self.forgettable(error))?;
        }
        Ok(strange)
    }
}
