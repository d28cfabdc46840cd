//! What holding refs against a ledger comes to.

use gix::bstr::BString;

use crate::object::ObjectId;

/// The most findings that are told.
pub(super) const MAXIMUM_FINDINGS: usize = 1000;

/// A ref's value; `None` where it does not exist.
type Value = Option<ObjectId>;

/// Accepted updates that nobody will move any more, and that nobody has settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOver {
    /// How many they are.
    pub updates: usize,
    /// When the first of them was received, in seconds since 1970.
    pub since: i64,
}

/// Where else the ledger knows a value from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// The same ref held it earlier.
    Earlier {
        /// The number of that entry.
        sequence: u64,
    },
    /// The ledger does not know it.
    Nowhere,
    /// Another ref holds or held it.
    OtherRef {
        /// Which.
        reference: BString,
        /// The number of that entry.
        sequence: u64,
    },
}

/// Something that is not as the ledger says. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// The chain of records does not hold.
    Broken {
        /// Why not.
        reason: String,
    },
    /// The push certificate of a record was changed, is not signed, or is for something else.
    Certificate {
        /// Its blob.
        certificate: ObjectId,
        /// The number of the record's first entry.
        sequence: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// The ledger that is remembered is not part of this one.
    Forked {
        /// The head that is remembered.
        remembered: ObjectId,
    },
    /// Between two entries of a ref it was moved without one.
    Gap {
        /// The ref.
        reference: BString,
        /// What it held after the earlier entry, or before the first.
        left: Value,
        /// What it held before the later entry.
        found: Value,
        /// The number of the later entry.
        sequence: u64,
    },
    /// Accepted updates were left over long ago.
    LeftOver(LeftOver),
    /// A ref holds something else than the ledger says.
    Moved {
        /// The ref.
        reference: BString,
        /// What the ledger says.
        entered: Value,
        /// The number of that entry; `None` where the ledger does not know the ref.
        sequence: Option<u64>,
        /// What it holds.
        holds: Value,
        /// Where that is known from.
        elsewhere: Elsewhere,
    },
    /// An entry says that somebody pushed by a certificate, and has none.
    NoCertificate {
        /// The number of the record's first entry.
        sequence: u64,
    },
    /// There is no ledger.
    NoLedger {
        /// The head that is remembered.
        remembered: Value,
    },
    /// It ends before what is remembered.
    RolledBack {
        /// The head that is remembered.
        remembered: ObjectId,
    },
    /// Of a push certificate it cannot be told here whether it is good.
    UnclearCertificate {
        /// Its blob.
        certificate: ObjectId,
        /// The number of the record's first entry.
        sequence: u64,
        /// Why not.
        reason: String,
    },
    /// The ref holds what an accepted update has given it, and that is not entered yet: the push is under way,
    /// or broke off.
    UnderWay {
        /// The ref.
        reference: BString,
    },
}

/// What the check came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many entries there are.
    pub entries: u64,
    /// How many of them came since what is remembered.
    pub new_entries: u64,
    /// How many of them are of pushes with a certificate.
    pub certified: u64,
    /// How many of those were found good, where somebody has looked; it is not done here.
    pub verified: u64,
    /// How many could not be told any more when they were entered.
    pub recovered: u64,
    /// How often a record was received more than an hour before the one that it follows: the clock was set back. Pushes
    /// that are judged at the same time are entered as they happen.
    pub clock_set_back: u64,
    /// What is wrong, at most a thousand of it: first what is wrong with the ledger itself, then refs
    /// that were moved (those that come first), then gaps, then entries without the certificate they speak of. So nobody hides the former behind many of the latter.
    pub findings: Vec<Finding>,
    /// More is wrong than is told.
    pub is_cut_short: bool,
}

impl Report {
    /// Note what is wrong, as far as that is told.
    pub fn add(&mut self, finding: Finding) {
        if self.findings.len() < MAXIMUM_FINDINGS {
            self.findings.push(finding);
        } else {
            self.is_cut_short = true;
        }
    }
}
