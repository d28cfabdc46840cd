//! Why something is refused: one cause, one variant, and its words.

use std::fmt;

use super::{
    ApprovalFault, ForeignAddress, Lapse, PolicyFault, ProofFault, ProofLack, PusherFault, Shortfall, Wanted,
};
use crate::{
    object::{ObjectError, ObjectId},
    sigstore::claims::{Claim, Claims},
    verify::{Bad, CannotTell, Identity, Key, NotLogged, TimeNotProven},
    words::{escape, escape_bytes},
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
    /// Signed with a key for which the policy has no name.
    KeyNotInThePolicy(Vec<Key>),
    /// Signed with a key that the policy names, but the rule wants others.
    KeyNotInTheRule {
        /// The policy's name for the key.
        name: String,
        /// The key, or the principals of its certificate.
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

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Approval(fault) => fault.hint(),
            Self::ForgeUnapproved { shortfall, .. } | Self::Threshold(shortfall) => shortfall.hint(),
            Self::SeveralPersons(_) => "sign it with a key or certificate of one person alone".to_owned(),
            Self::ForgeMerge { .. } => {
                "merge with 'git merge -S' and push that, or have what it leads to approved with 'countersign approve'"
                    .to_owned()
            }
            Self::Ambiguous { .. } => "have the policy's owner make one of their patterns narrower".to_owned(),
            Self::Forge { .. } => {
                "make the merge or change with git and sign it yourself, not with the forge's button".to_owned()
            }
            Self::Lapsed { lapse: Lapse::Unclear(_), .. } => {
                "fetch the whole history with the policy's anchors ('git fetch --unshallow')".to_owned()
            }
            Self::Lapsed { lapse: Lapse::NotYet { .. }, .. } => {
                "sign it again with a key that counts now, or have the policy's 'from' changed".to_owned()
            }
            Self::KeyExpired(_) => "sign it again with a key that has not expired".to_owned(),
            Self::Lapsed { .. } => {
                "sign it again with a key that counts now; for what was there in time, have the policy's owner add an '[[anchor]]'"
                    .to_owned()
            }
            Self::Unsigned { .. } => {
                "sign it with 'git commit --amend -S', or older ones with 'git rebase -S --force-rebase', and push again"
                    .to_owned()
            }
            Self::Bad(_) => {
                "make and sign the object again; its content or signature was changed".to_owned()
            }
            Self::CannotTell(CannotTell::UnknownAuthority | CannotTell::UnknownLog) => {
                "sign with an instance whose trusted root the policy names, or have the root added".to_owned()
            }
            Self::CannotTell(CannotTell::UnknownCertificateAuthority) => {
                "sign with a certificate of an authority that the policy names, or have the authority added"
                    .to_owned()
            }
            Self::CannotTell(
                CannotTell::CertificateChainWindow
                | CannotTell::CertificateUsage
                | CannotTell::KeyExpired
                | CannotTell::KeyRevoked
                | CannotTell::NoUserPresence
                | CannotTell::SshCertificatePrincipals
                | CannotTell::SshCertificateWindow
                | CannotTell::SshCriticalOption,
            ) => "sign it again with a key or certificate that counts, and touch the security key".to_owned(),
            Self::CannotTell(_) => {
                "sign it again with countersign, which stores all that has to be proven".to_owned()
            }
            Self::NotInThePolicy(identity, claims) => match super::policy_entry(identity, claims) {
                Some(entry) => format!("have the policy's owner add {entry}"),
                None => format!("sign as somebody else: {}", super::NO_ENTRY),
            },
            Self::KeyNotInThePolicy(keys) => match keys.first().and_then(super::x509_entry) {
                Some(entry) => format!("have the policy's owner add {entry} to 'x509' of its owner's identity"),
                None => "have the policy's owner add the key to its owner's identity".to_owned(),
            },
            Self::KeyNotInTheRule { .. } | Self::NotInTheRule { .. } => {
                "have one of the rule's signers sign it, or have the rule changed".to_owned()
            }
            Self::Event(Event::MisnamedTag(name)) => {
                format!("push it as 'refs/tags/{}', or make a tag of the new name", escape_bytes(name))
            }
            Self::Event(Event::LightweightTag) => {
                "make an annotated, signed tag with 'git tag -s'".to_owned()
            }
            Self::Event(Event::Rewind) => {
                "merge or rebase onto the ref's current value, and push again".to_owned()
            }
            Self::Event(_) => "the rule decides what may happen; ask the policy's owner".to_owned(),
            Self::NotProven { lack, .. } if **lack == ProofLack::Key => {
                "sign it again keylessly: keys of one's own prove no time".to_owned()
            }
            Self::NotProven { .. } => {
                "sign it again with what the rule counts; 'countersign policy explain' says what that is".to_owned()
            }
            Self::NotTheSigner(foreign) => foreign.hint(),
            Self::Path { cause, .. } => match **cause {
                Self::KeyNotInTheRule { .. } | Self::NotInTheRule { .. } => {
                    "have one of them make and sign the commits that change such paths, or leave the paths as they were".to_owned()
                }
                ref cause => cause.hint(),
            },
            Self::PathTakenBack { .. } => {
                "go on from the ref's current value, or have one of the path's signers commit the change on top".to_owned()
            }
            Self::NoHistoryForPaths => "name a commit that holds it".to_owned(),
            Self::Malformed(_) => "make the object again with git itself".to_owned(),
            Self::OutOfTime { of: 0, .. } => {
                "push fewer commits at a time, the oldest first; or ask the server's administrator for more time".to_owned()
            }
            Self::OutOfTime { .. } => {
                "push again: what was found good is remembered, and the next push gets further".to_owned()
            }
            Self::PolicyChange(fault) => fault.hint().to_owned(),
            Self::Proof(fault) => fault.hint().to_owned(),
            Self::Pusher(fault) => fault.hint(),
            Self::NotLogged(_) => {
                "sign it again where the transparency log answers, with 'countersign.log' at its default"
                    .to_owned()
            }
            Self::TimeNotProven(_) => {
                "run 'countersign proof fetch' and push 'refs/countersign/proofs' too, or sign it again with countersign"
                    .to_owned()
            }
            Self::NoRule => "push to a ref that a rule names, or have one added".to_owned(),
            Self::Alike(_) => "push to a name that differs in more than its spelling".to_owned(),
            Self::AlikeByTheRules => "spell the name as the policy does, or choose another one".to_owned(),
            Self::Ledger => "leave the ref out of the push".to_owned(),
            Self::Reserved => "only a rule whose pattern begins with this namespace can allow it".to_owned(),
            Self::NotACommit(_) => "push a commit".to_owned(),
            Self::Stale { .. } => "fetch, and push again".to_owned(),
            Self::TagsNotNamed => "have 'tags' added to the rule".to_owned(),
            Self::TooManyCommits => "push fewer refs at a time".to_owned(),
            Self::TooManyNestedTags => "tag the commit itself".to_owned(),
            Self::Unexpected(_) => {
                "nothing is let through that cannot be judged; ask the server's administrator".to_owned()
            }
        }
    }
}

impl fmt::Display for Cause {
    /// Fit for a terminal.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signer = self.signer().unwrap_or_default();
        match self {
            Self::Ambiguous { names, .. } => {
                write!(formatter, "signed by {signer}, who may be {} by the policy", list(names))
            }
            Self::Approval(fault) => write!(formatter, "an approval {fault}"),
            Self::Bad(cause) => write!(formatter, "the signature is bad: {cause}"),
            Self::CannotTell(cause) => write!(formatter, "who signed cannot be told: {cause}"),
            Self::Event(event) => write!(formatter, "{}", EventText(event)),
            Self::ForgeMerge { forge, reason } => {
                write!(formatter, "merged by the forge '{}', {reason}", escape(forge))
            }
            Self::ForgeUnapproved { forge, .. } => write!(
                formatter,
                "made by the forge '{}' for whoever was logged in there, and nobody who may has approved it upon what it stands on",
                escape(forge)
            ),
            Self::SeveralPersons(names) if names.is_empty() => {
                write!(formatter, "signed by nobody who counts as a person here")
            }
            Self::SeveralPersons(names) => {
                write!(formatter, "signed by somebody who may be {}", list(names))
            }
            Self::Threshold(shortfall) => write!(formatter, "{shortfall}"),
            Self::Forge { forge, .. } => write!(
                formatter,
                "made by the forge '{}' for whoever was logged in there ({signer}), and no person signed it",
                escape(forge)
            ),
            Self::KeyExpired(_) => {
                write!(
                    formatter,
                    "signed by {signer}, which has expired, and a time that is only stated changes nothing"
                )
            }
            Self::Lapsed { lapse, .. } => write!(formatter, "signed by {signer}, who {lapse}"),
            Self::Malformed(cause) => write!(formatter, "it is malformed: {cause}"),
            Self::NotInThePolicy(..) | Self::KeyNotInThePolicy(_) => {
                write!(formatter, "signed by {signer}, whom the policy does not name")
            }
            Self::NotInTheRule { wanted, .. } | Self::KeyNotInTheRule { wanted, .. } => {
                write!(formatter, "signed by {signer}, where only {wanted} may")
            }
            Self::NotProven { lack, .. } => write!(formatter, "signed by {signer}, and {lack}"),
            Self::NotTheSigner(foreign) => write!(formatter, "signed by {signer}, and {foreign}"),
            Self::Path { path, cause } => {
                write!(formatter, "it changes '{}', and {cause}", escape_bytes(path))
            }
            Self::PathTakenBack { path, more: 0 } => write!(
                formatter,
                "'{}' would not be as it is, and no commit that is added changes it",
                escape_bytes(path)
            ),
            Self::PathTakenBack { path, more } => write!(
                formatter,
                "'{}' and {more} more would not be as they are, and no commit that is added changes them",
                escape_bytes(path)
            ),
            Self::NoHistoryForPaths => {
                write!(
                    formatter,
                    "it leads to no commit, and who has changed the rule's paths in it cannot be told"
                )
            }
            Self::NoRule => write!(formatter, "no rule names this ref, and such refs are refused"),
            Self::Alike(other) => write!(
                formatter,
                "the server's file system cannot tell this name from '{}'",
                escape_bytes(other)
            ),
            Self::AlikeByTheRules => write!(
                formatter,
                "the server's file system does not tell spellings apart, and the policy decides otherwise by another one"
            ),
            Self::NotACommit(kind) => write!(formatter, "this ref cannot name a {kind}"),
            Self::Ledger => write!(formatter, "only the server itself writes its ledger"),
            Self::Reserved => write!(formatter, "this namespace is reserved, and no rule names it"),
            Self::Stale { server, claimed } => write!(
                formatter,
                "the ref {} here, and the push says that it {}",
                value(*server),
                value(*claimed)
            ),
            Self::TagsNotNamed => write!(formatter, "the rule does not say who may sign tags"),
            Self::OutOfTime { of: 0, .. } => {
                write!(formatter, "the time for judging the push was over before its history was read")
            }
            Self::OutOfTime { judged, of } => write!(
                formatter,
                "the time for judging the push was over when {judged} of {of} objects were judged"
            ),
            Self::PolicyChange(fault) => write!(formatter, "{fault}"),
            Self::Proof(fault) => write!(formatter, "{fault}"),
            Self::Pusher(fault) => write!(formatter, "{fault}"),
            Self::NotLogged(signed) => write!(formatter, "signed by {signer}: {signed}"),
            Self::TimeNotProven(signed) => write!(formatter, "signed by {signer}: {signed}"),
            Self::TooManyCommits => write!(formatter, "the push adds too many commits to too many refs"),
            Self::TooManyNestedTags => write!(formatter, "too many tags name one another"),
            Self::Unexpected(what) => write!(formatter, "it cannot be judged: {}", escape(what)),
            Self::Unsigned { wanted } => {
                write!(formatter, "it is not signed, where {wanted} has to sign")
            }
        }
    }
}

struct EventText<'a>(&'a Event);

impl fmt::Display for EventText<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Event::Create => write!(formatter, "the ref may not be created"),
            Event::Delete => write!(formatter, "the ref may not be deleted"),
            Event::LightweightTag => write!(formatter, "the tag is lightweight and carries no signature"),
            Event::MisnamedTag(name) => {
                write!(formatter, "the tag object was signed under the name '{}'", escape_bytes(name))
            }
            Event::NestedTag => write!(formatter, "the tag names another tag"),
            Event::ReplaceTag => write!(formatter, "the tag exists and may not be replaced"),
            Event::Rewind => write!(formatter, "the new value does not descend from the current one"),
            Event::TagOfTreeOrBlob => write!(formatter, "the tag does not lead to a commit"),
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

pub(super) fn key_list(keys: &[Key]) -> String {
    let names: Vec<String> = keys.iter().map(|key| format!("'{}'", escape(&key.to_string()))).collect();
    names.join(" or ")
}

fn value(id: Option<ObjectId>) -> String {
    id.map_or_else(|| "does not exist".to_owned(), |id| format!("is at {}", id.to_hex_with_len(12)))
}

pub(super) fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("'{}'", escape(name))).collect();
    quoted.join(" or ")
}
