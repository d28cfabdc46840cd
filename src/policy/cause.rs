//! Why something is refused: one cause, one variant; `words` has what is said of it.

mod words;

use super::{
    ApprovalFault, ForeignAddress, Lapse, PolicyFault, ProofFault, ProofLack, PusherFault, Shortfall, Wanted,
};
use crate::{
    object::{ObjectError, ObjectId},
    sigstore::claims::{Claim, Claims},
    verify::{Bad, CannotTell, Identity, Key, NotLogged, TimeNotProven},
    words::escape,
};

/// Something that happens to a ref, apart from what its objects are signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The ref did not exist.
    Create,
    /// The ref goes away.
    Delete,
    /// A tag names a commit itself.
    LightweightTag,
    /// The tag object carries this other name.
    MisnamedTag(Vec<u8>),
    /// A tag object names a tag object.
    NestedTag,
    /// A tag that exists would name something else.
    ReplaceTag,
    /// The new value does not descend from the old one.
    Rewind,
    /// A tag leads to a tree or a blob.
    TagOfTreeOrBlob,
}

/// Why something is refused. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// An approval may only be added where it counts.
    Approval(ApprovalFault),
    /// Proven, and the policy means several identities by it.
    Ambiguous {
        /// Who it is.
        identity: Box<Identity>,
        /// The policy's names.
        names: Vec<String>,
    },
    /// The signature contradicts a key, or the content was changed.
    Bad(Bad),
    /// Not everything is proven.
    CannotTell(CannotTell),
    /// The rule forbids what happens to the ref.
    Event(Event),
    /// A merge that a forge has signed, and whose tree is not what merging its parents yields, or of which that
    /// cannot be told.
    ForgeMerge {
        /// The forge.
        forge: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Signed with a forge's own key, which stands for no person.
    Forge {
        /// The forge.
        forge: String,
        /// Its key.
        key: Key,
    },
    /// Signed with a forge's own key, and nobody has approved it who could have.
    ForgeUnapproved {
        /// The forge.
        forge: String,
        /// What would have to be approved.
        shortfall: Box<Shortfall>,
    },
    /// Signed for the present with a key or certificate that has expired, at whatever time its holder states.
    KeyExpired(Vec<Key>),
    /// Signed with a key for which the policy has no name; of many keys the first.
    KeyNotInThePolicy(Vec<Key>),
    /// Signed with a key that the policy names, but the rule wants others.
    KeyNotInTheRule {
        /// The policy's name for the key.
        name: String,
        /// The key, or the first principals of its certificate.
        keys: Vec<Key>,
        /// Whom the rule wants.
        wanted: Wanted,
    },
    /// The policy names the signer, who does not count for this object.
    Lapsed {
        /// The policy's name for the signer.
        name: String,
        /// Who it is, in words.
        signer: String,
        /// Why not.
        lapse: Lapse,
    },
    /// The object cannot be parsed strictly.
    Malformed(ObjectError),
    /// Proven, and the policy has no name for this signer, with what the certificate says of the build.
    NotInThePolicy(Box<Identity>, Claims),
    /// Proven and named, but the rule wants others.
    NotInTheRule {
        /// The policy's name for the signer.
        name: String,
        /// Who it is.
        identity: Box<Identity>,
        /// Whom the rule wants.
        wanted: Wanted,
    },
    /// Only the server writes its ledger.
    Ledger,
    /// The ref would lead to no commit, where the rule asks who has changed some paths.
    NoHistoryForPaths,
    /// No rule names the ref, and those are refused.
    NoRule,
    /// The file system does not tell the ref from this other one.
    Alike(Vec<u8>),
    /// The file system does not tell spellings apart, and another part of the policy decides by another one.
    AlikeByTheRules,
    /// The ref would name something that such refs cannot name.
    NotACommit(gix::objs::Kind),
    /// Keyless, good and stamped, and in no log that it shows.
    NotLogged(Box<NotLogged>),
    /// It is not proven by what the rule counts.
    NotProven {
        /// The signer, in words.
        signer: String,
        /// What is missing.
        lack: Box<ProofLack>,
    },
    /// A header holds an address that is not the signer's.
    NotTheSigner(Box<ForeignAddress>),
    /// The time for judging was over before everything was judged.
    OutOfTime {
        /// How many objects were judged.
        judged: usize,
        /// How many there are; 0 where not even that was found out.
        of: usize,
    },
    /// The ref holds the policy itself, which changes only as the present one says.
    PolicyChange(PolicyFault),
    /// It changes a path that only some may change.
    Path {
        /// A path for which that holds, as bytes; the beginning of a long one.
        path: Vec<u8>,
        /// Why it was not one of them.
        cause: Box<Cause>,
    },
    /// Paths that only some may change would be as they were before, or otherwise, and no commit changes them.
    PathTakenBack {
        /// The first path, as bytes; the beginning of a long one.
        path: Vec<u8>,
        /// How many more there are.
        more: usize,
    },
    /// What is kept of a log may only grow, by what proves something.
    Proof(ProofFault),
    /// Who pushes may not, or is not known.
    Pusher(Box<PusherFault>),
    /// A ref in a reserved namespace that no rule names.
    Reserved,
    /// The pusher's idea of the ref's value is not the server's.
    Stale {
        /// What the ref holds; `None` if it does not exist.
        server: Option<ObjectId>,
        /// What the pusher says it holds.
        claimed: Option<ObjectId>,
    },
    /// Its signature is by somebody who may be several of those who would count, and one signature is one
    /// person's; by their names.
    SeveralPersons(Vec<String>),
    /// The rule does not say who may sign tags.
    TagsNotNamed,
    /// Too few persons vouch for it.
    Threshold(Box<Shortfall>),
    /// The refs of a push take in more commits, all counted, than are judged at once.
    TooManyCommits,
    /// More tag objects in a row than are followed.
    TooManyNestedTags,
    /// Keyless and good, and nothing proves when it was made.
    TimeNotProven(Box<TimeNotProven>),
    /// Something that should not happen; never let through.
    Unexpected(String),
    /// There is no signature.
    Unsigned {
        /// Whom the rule wants.
        wanted: Wanted,
    },
}

impl Cause {
    /// Whether it is only that not enough is at hand to tell.
    #[must_use]
    pub fn is_unclear(&self) -> bool {
        match self {
            Self::Path { cause, .. } => cause.is_unclear(),
            other => matches!(other, Self::CannotTell(_) | Self::Lapsed { lapse: Lapse::Unclear(_), .. }),
        }
    }

    /// Whether there was only no time left for it.
    #[must_use]
    pub fn is_out_of_time(&self) -> bool {
        match self {
            Self::Path { cause, .. } => cause.is_out_of_time(),
            other => matches!(other, Self::OutOfTime { .. }),
        }
    }

    /// Whether a rule in warning mode may let it pass: only what the rule itself decides.
    #[must_use]
    pub fn is_for_the_rule_to_decide(&self) -> bool {
        // Each by its name: a new one is refused until somebody has thought about it.
        match self {
            Self::Path { cause, .. } => cause.is_for_the_rule_to_decide(),
            Self::Pusher(fault) => fault.is_for_the_rule_to_decide(),
            Self::Alike(_)
            | Self::AlikeByTheRules
            | Self::Approval(_)
            | Self::Ledger
            | Self::Malformed(_)
            | Self::NoRule
            | Self::NotACommit(_)
            | Self::OutOfTime { .. }
            | Self::PolicyChange(_)
            | Self::Proof(_)
            | Self::Reserved
            | Self::Stale { .. }
            | Self::TooManyCommits
            | Self::TooManyNestedTags
            | Self::Unexpected(_) => false,
            Self::Ambiguous { .. }
            | Self::Bad(_)
            | Self::CannotTell(_)
            | Self::Event(_)
            | Self::Forge { .. }
            | Self::ForgeMerge { .. }
            | Self::ForgeUnapproved { .. }
            | Self::KeyExpired(_)
            | Self::KeyNotInThePolicy(_)
            | Self::KeyNotInTheRule { .. }
            | Self::Lapsed { .. }
            | Self::NoHistoryForPaths
            | Self::NotInThePolicy(..)
            | Self::NotInTheRule { .. }
            | Self::NotLogged(_)
            | Self::NotProven { .. }
            | Self::NotTheSigner(_)
            | Self::PathTakenBack { .. }
            | Self::SeveralPersons(_)
            | Self::TagsNotNamed
            | Self::Threshold(_)
            | Self::TimeNotProven(_)
            | Self::Unsigned { .. } => true,
        }
    }
}

impl Cause {
    /// The signer, as people read it; `None` if nobody is proven.
    #[must_use]
    pub fn signer(&self) -> Option<String> {
        match self {
            Self::NotInThePolicy(identity, claims) => Some(build(identity, claims)),
            Self::Ambiguous { identity, .. } => Some(person(identity)),
            Self::Forge { key, .. } => Some(key_list(std::slice::from_ref(key))),
            Self::KeyExpired(keys) | Self::KeyNotInThePolicy(keys) => Some(key_list(keys)),
            Self::NotLogged(signed) => Some(person(signed.identity())),
            Self::TimeNotProven(signed) => Some(person(signed.identity())),
            Self::KeyNotInTheRule { name, keys, .. } => {
                Some(format!("{} ('{}')", key_list(keys), escape(name)))
            }
            Self::Lapsed { name, signer, .. } => Some(format!("{signer} ('{}')", escape(name))),
            Self::NotProven { signer, .. } => Some(signer.clone()),
            Self::NotTheSigner(foreign) => Some(format!("'{}'", escape(&foreign.name))),
            Self::Path { cause, .. } => cause.signer(),
            Self::NotInTheRule { name, identity, .. } => {
                Some(format!("{} ('{}')", person(identity), escape(name)))
            }
            _ => None,
        }
    }
}

pub(super) fn person(identity: &Identity) -> String {
    format!(
        "'{}' of '{}' ({})",
        escape(&identity.subject),
        escape(&identity.issuer),
        escape(&identity.instance)
    )
}

/// Who it is, and for a build which one.
fn build(identity: &Identity, claims: &Claims) -> String {
    let claim = |claim, word: &str| {
        claims.get(claim).map(|text| format!(" {word} '{}'", escape(text))).unwrap_or_default()
    };
    format!("{}{}{}", person(identity), claim(Claim::Repository, "for"), claim(Claim::Ref, "at"))
}

/// How many of a signer's keys are told: whoever signs chooses for how many principals a certificate is.
const MAXIMUM_TOLD: usize = 4;

/// As many of `keys` as a cause keeps: those that are told, and one more if there are more.
pub(super) fn told(keys: &[Key]) -> Vec<Key> {
    keys.iter().take(MAXIMUM_TOLD + 1).cloned().collect()
}

pub(super) fn key_list(keys: &[Key]) -> String {
    let names = keys.iter().take(MAXIMUM_TOLD).map(|key| format!("'{}'", escape(&key.to_string())));
    let names = names.collect::<Vec<_>>().join(" or ");
    if keys.len() > MAXIMUM_TOLD { names + " or others" } else { names }
}

pub(super) fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{}'", escape(name))).collect();
    quoted.join(" or ")
}
