//! What is allowed in a policy file and probably not meant, in words.

use std::fmt;

use super::{Way, way::list};
use crate::{
    object::APPROVALS,
    words::{escape, time},
};

/// Something that a policy's owner should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// There are anchors, and no signer to whom they would matter.
    AnchorsWithoutWindow,
    /// The moment of an anchor is still to come.
    AnchorToCome {
        /// The anchor's object.
        object: String,
        /// Its moment, in seconds since 1970.
        received: i64,
    },
    /// Builds of many refs count as one identity.
    AnyRef {
        /// The identity.
        identity: String,
        /// The pattern of refs.
        reference: String,
    },
    /// The rule names approvers and no threshold: only a forge's commits are asked for approvals.
    ApproversOfForgesAlone {
        /// The rule.
        rule: String,
    },
    /// The base never counts: its own rule decides otherwise about commits.
    BaseOfAnotherRule {
        /// The rule that names it.
        rule: String,
        /// The base.
        base: String,
    },
    /// The rule asks for a push certificate, and the forge's hooks never see one.
    CertificateNeverThere {
        /// The rule.
        rule: String,
        /// Why not, as the forge has it.
        why: &'static str,
    },
    /// Nothing can count as the identity, neither new nor under an anchor, and a rule names it.
    Ended {
        /// The identity.
        identity: String,
        /// The rule.
        rule: String,
    },
    /// A key that a forge signs with for whoever is logged in stands for a person.
    ForgeKey {
        /// The identity.
        identity: String,
        /// The user id of its certificate.
        user_id: String,
    },
    /// The rule lets no tag be replaced, and lets it be deleted and created.
    ReplacedInTwoSteps {
        /// The rule.
        rule: String,
    },
    /// The rule counts a server that no trusted root of the policy knows.
    UnknownServer {
        /// The rule.
        rule: String,
        /// What it is.
        what: &'static str,
        /// Its URL.
        url: String,
    },
    /// The identity has addresses besides, and no rule asks for any.
    EmailsNotAsked {
        /// The identity.
        identity: String,
    },
    /// The rule asks for addresses of the signer, and none of the identity's is known.
    NoAddress {
        /// The rule.
        rule: String,
        /// The identity.
        identity: String,
    },
    /// The rule asks for proof, and the identity has keys of its own alone, which prove nothing.
    NothingProven {
        /// The rule.
        rule: String,
        /// The identity.
        identity: String,
    },
    /// The rule lets signatures count that no log shows.
    NotLogged {
        /// The rule.
        rule: String,
    },
    /// The rule asks by which way a push comes, and no forge is believed that could say.
    NobodyTellsWays {
        /// The rule.
        rule: String,
    },
    /// Nobody who may push by the rule has an account at the forge, whose word alone says who pushes there.
    NoPusherAtForge {
        /// The rule.
        rule: String,
        /// The forge.
        forge: String,
    },
    /// Refs may be deleted, and fewer may approve than have to.
    DeletionNeverApproved {
        /// The rule.
        rule: String,
        /// How many persons are wanted.
        threshold: usize,
        /// How many may approve.
        approvers: usize,
    },
    /// The rule hears approvals, and none can be pushed.
    NoRuleForApprovals {
        /// The rule.
        rule: String,
    },
    /// The rule governs tags and does not say who may sign them.
    NoTagSigners {
        /// The rule.
        rule: String,
    },
    /// More persons have to vouch than there are whose signers count now.
    ThresholdNotNow {
        /// The rule.
        rule: String,
        /// How many are wanted.
        threshold: usize,
        /// How many can.
        persons: usize,
    },
    /// More persons have to vouch than there are.
    ThresholdTooHigh {
        /// The rule.
        rule: String,
        /// How many are wanted.
        threshold: usize,
        /// How many there are.
        persons: usize,
    },
    /// Whatever the forge's own key signs is accepted.
    TrustedForge {
        /// The rule.
        rule: String,
        /// The forge.
        forge: String,
    },
    /// The rule lets signatures count whose time nothing proves.
    TimeNotProven {
        /// The rule.
        rule: String,
    },
    /// An earlier rule matches all that this pattern matches.
    UnreachablePattern {
        /// The rule.
        rule: String,
        /// Its pattern.
        pattern: String,
        /// The rule that decides instead.
        by: String,
    },
    /// A signer counts no longer, and no anchor is old enough to help what it signed.
    SignerEnded {
        /// The identity.
        identity: String,
        /// The signer, in words.
        signer: String,
        /// Since when, in seconds since 1970.
        since: i64,
    },
    /// No rule names the group, nor a group that a rule names.
    UnusedGroup {
        /// Its name.
        group: String,
    },
    /// No rule names the identity.
    UnusedIdentity {
        /// Its name.
        identity: String,
    },
    /// The rule takes pushes by ways of which the forge never says that one came so.
    WayNeverTold {
        /// The rule.
        rule: String,
        /// Those ways.
        ways: Vec<Way>,
        /// Whether it takes nothing else, so that it can never be met.
        is_all: bool,
        /// The word for the forge.
        forge: &'static str,
    },
    /// The rule says otherwise of merges on the forge's pages than of all else there, and the forge does not say
    /// which is which.
    WebMergesNotTold {
        /// The rule.
        rule: String,
        /// The word for the forge.
        forge: &'static str,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnchorsWithoutWindow => {
                write!(formatter, "there are anchors, and no signer counts for a time alone")
            }
            Self::AnchorToCome { object, received } => {
                write!(
                    formatter,
                    "the anchor '{object}' says that it was received at {}, which is to come",
                    time(*received)
                )
            }
            Self::AnyRef { identity, reference } => write!(
                formatter,
                "identity '{identity}' has builds of every ref '{}': whoever may push one of them may sign",
                escape(reference)
            ),
            Self::CertificateNeverThere { rule, why } => write!(
                formatter,
                "rule '{rule}' asks for a push certificate, and can never be met there: {why}"
            ),
            Self::NobodyTellsWays { rule } => write!(
                formatter,
                "rule '{rule}' asks by which way a push comes, and the hook is installed for no forge that could say: it can never be met"
            ),
            Self::NoPusherAtForge { rule, forge } => write!(
                formatter,
                "nobody who may push by rule '{rule}' has an account at '{}' among 'forge_users'",
                escape(forge)
            ),
            Self::Ended { identity, rule } => write!(
                formatter,
                "rule '{rule}' names the identity '{identity}', of which no signer counts any more, and no anchor is from before"
            ),
            Self::SignerEnded { identity, signer, since } => write!(
                formatter,
                "the signer '{signer}' of identity '{identity}' counts no longer since {}, and no anchor is from before",
                time(*since)
            ),
            Self::ApproversOfForgesAlone { rule } => write!(
                formatter,
                "rule '{rule}' names approvers and no threshold: nobody is asked about commits that a person signs, only about a forge's"
            ),
            Self::BaseOfAnotherRule { rule, base } => write!(
                formatter,
                "the base '{base}' of rule '{rule}' never counts: another commit rule, or none that is enforced, decides about it"
            ),
            Self::ForgeKey { identity, user_id } => write!(
                formatter,
                "identity '{identity}' has the key of '{}', with which a forge signs for whoever is logged in: it stands for no person",
                escape(user_id)
            ),
            Self::ReplacedInTwoSteps { rule } => write!(
                formatter,
                "rule '{rule}' lets no tag be replaced, and lets it be deleted and created: that takes two pushes"
            ),
            Self::UnknownServer { rule, what, url } => {
                write!(
                    formatter,
                    "rule '{rule}' counts the {what} '{}', which no trusted root knows",
                    escape(url)
                )
            }
            Self::EmailsNotAsked { identity } => {
                write!(
                    formatter,
                    "identity '{identity}' has 'emails', and no rule that names it asks for them"
                )
            }
            Self::NoAddress { rule, identity } => write!(
                formatter,
                "rule '{rule}' asks for an address of the signer, and identity '{identity}' has none: nothing it signs can be accepted"
            ),
            Self::NothingProven { rule, identity } => write!(
                formatter,
                "rule '{rule}' asks for proof, and identity '{identity}' has only keys that prove no time: nothing it signs can be accepted"
            ),
            Self::NotLogged { rule } => write!(
                formatter,
                "rule '{rule}' allows signatures that are in no log: nobody can notice that they were made in another's name"
            ),
            Self::DeletionNeverApproved { rule, threshold, approvers } => write!(
                formatter,
                "rule '{rule}' allows deletions, of which {threshold} persons have to approve, and {approvers} may: it can never be met"
            ),
            Self::NoRuleForApprovals { rule } => write!(
                formatter,
                "rule '{rule}' hears approvals, and no rule names '{APPROVALS}': nobody can push one"
            ),
            Self::ThresholdNotNow { rule, threshold, persons } => write!(
                formatter,
                "rule '{rule}' wants {threshold} persons to vouch, and of those who may {persons} have a signer that counts now: it cannot be met"
            ),
            Self::ThresholdTooHigh { rule, threshold, persons } => write!(
                formatter,
                "rule '{rule}' wants {threshold} persons to vouch, and {persons} may: it can never be met"
            ),
            Self::TrustedForge { rule, forge } => write!(
                formatter,
                "rule '{rule}' trusts the forge '{forge}': whoever is logged in there, or has broken into it, may change anything without a signature of their own"
            ),
            Self::NoTagSigners { rule } => {
                write!(formatter, "rule '{rule}' governs tags and does not say who may sign them")
            }
            Self::TimeNotProven { rule } => write!(
                formatter,
                "rule '{rule}' allows signatures whose time nothing proves: whoever has had the key of a certificate, at whatever time, may have made them"
            ),
            Self::UnreachablePattern { rule, pattern, by } => {
                write!(
                    formatter,
                    "the pattern '{pattern}' of rule '{rule}' decides nothing: rule '{by}' comes first"
                )
            }
            Self::UnusedGroup { group } => write!(formatter, "no rule names the group '{group}'"),
            Self::UnusedIdentity { identity } => {
                write!(formatter, "no rule names the identity '{identity}'")
            }
            Self::WayNeverTold { rule, ways, is_all: true, forge } => write!(
                formatter,
                "rule '{rule}' takes only pushes by {}, and can never be met there: {forge} does not say when one came so",
                list(ways)
            ),
            Self::WayNeverTold { rule, ways, is_all: false, forge } => write!(
                formatter,
                "rule '{rule}' takes pushes by {}, which are refused there: {forge} does not say when one came so",
                list(ways)
            ),
            Self::WebMergesNotTold { rule, forge } => write!(
                formatter,
                "rule '{rule}' says something of its own of merges on the forge's pages, and {forge} does not say what is one: all that may be one is refused"
            ),
        }
    }
}

impl Finding {
    /// What to do next, if it is not meant.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::AnchorsWithoutWindow => {
                "give a signer an end with 'until' or 'compromised', or take the anchors out"
            }
            Self::AnchorToCome { .. } => "write when the object was there, which cannot be later than now",
            Self::AnyRef { .. } => "name the one ref whose builds may sign, such as 'refs/heads/main'",
            Self::ApproversOfForgesAlone { .. } => {
                "say with 'threshold' how many persons have to vouch; leave it so if only a forge's commits are meant"
            }
            Self::BaseOfAnotherRule { .. } => {
                "name a ref whose rule is enforced and asks the same of commits, or take the base out"
            }
            Self::CertificateNeverThere { .. } => {
                "leave 'push_certificate' out, and name the accounts of 'pushers' under 'forge_users'"
            }
            Self::DeletionNeverApproved { .. }
            | Self::ThresholdNotNow { .. }
            | Self::ThresholdTooHigh { .. } => "name more persons under 'approvers', or ask for fewer",
            Self::EmailsNotAsked { .. } => "take 'emails' out, or say 'committer = \"signer\"' in a rule",
            Self::Ended { .. } => "take the identity out of the rule, or give it a signer that counts now",
            Self::ForgeKey { .. } => "put the key under '[[forge]]', and take it out of the identity",
            Self::NobodyTellsWays { .. } => {
                "install the hook again with '--forge', or leave 'ways' and 'web_merges' out"
            }
            Self::NoAddress { .. } => "give the identity 'emails'",
            Self::NoPusherAtForge { .. } => {
                "add the accounts' names or numbers to 'forge_users' of their owners"
            }
            Self::NoRuleForApprovals { .. } => {
                "add a rule with 'refs = [\"refs/countersign/approvals\"]', 'commits = \"unsigned\"' and 'create = \"allow\"'"
            }
            Self::NoTagSigners { .. } => "name them with 'tags', or tag objects are refused",
            Self::NotLogged { .. } => {
                "ask for 'proof = \"both\"', or leave 'not_logged' out, if everybody can have things logged"
            }
            Self::NothingProven { .. } => {
                "give the identity a keyless signer, or leave 'proof' out of the rule"
            }
            Self::ReplacedInTwoSteps { .. } => "give tags a rule of their own, in which 'delete' is left out",
            Self::SignerEnded { .. } => {
                "take the signer out, or add an '[[anchor]]' for what it signed in time"
            }
            Self::TimeNotProven { .. } => {
                "have entries kept instead with 'countersign proof fetch', and leave it out"
            }
            Self::TrustedForge { .. } => "let a forge merge with 'forge_merges', and have all else approved",
            Self::UnknownServer { .. } => "write its URL exactly as the trusted root has it",
            Self::UnreachablePattern { .. } => "put its rule before the other one, or take the pattern out",
            Self::UnusedGroup { .. } | Self::UnusedIdentity { .. } => "name it in a rule, or take it out",
            Self::WayNeverTold { .. } => {
                "name ways under 'ways' of which the forge tells; 'countersign policy check --forge' knows them"
            }
            Self::WebMergesNotTold { .. } => {
                "leave 'web_merges' out, and decide with \"web\" under 'ways' about all that comes from its pages"
            }
        }
    }
}
