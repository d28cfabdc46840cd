//! What is said of a refusal, and what to do next.

use std::fmt;

use super::{Cause, Event, list};
use crate::{
    object::ObjectId,
    policy::{self, Lapse, ProofLack},
    verify::CannotTell,
    words::{escape, escape_bytes},
};

impl Cause {
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
            Self::NotInThePolicy(identity, claims) => match policy::policy_entry(identity, claims) {
                Some(entry) => {
                    format!("have the policy's owner add {entry} to 'keyless' of its owner's identity")
                }
                None => format!("sign as somebody else: {}", policy::NO_ENTRY),
            },
            Self::KeyNotInThePolicy(keys) => match keys.first().and_then(policy::x509_entry) {
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
            Self::Event(Event::Create) => {
                "push to a ref that is there already, or have the policy's owner allow 'create' in the rule"
                    .to_owned()
            }
            Self::Event(Event::Delete) => {
                "leave the ref as it is, or have the policy's owner allow 'delete' in the rule".to_owned()
            }
            Self::Event(Event::ReplaceTag) => {
                "leave the tag as it is, and give the new one a name of its own".to_owned()
            }
            Self::Event(Event::NestedTag) => "tag the commit itself".to_owned(),
            Self::Event(Event::TagOfTreeOrBlob) => "tag a commit".to_owned(),
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

fn value(id: Option<ObjectId>) -> String {
    id.map_or_else(|| "does not exist".to_owned(), |id| format!("is at {}", id.to_hex_with_len(12)))
}
