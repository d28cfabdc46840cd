//! Why a policy file is refused.

use super::spelling::did_you_mean;
use crate::{
    policy::{PathPatternError, PatternError},
    signature::FormatError,
    verify::{openpgp::KeyRingError, smime::AuthorityError},
};

/// Why a policy file is refused. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// A signer of one identity that a pattern of another means as well.
    #[error("the signer '{subject}' is meant by both '{}' and '{}'", names[0], names[1])]
    Ambiguous {
        /// The subject.
        subject: String,
        /// The two identities.
        names: [String; 2],
    },
    /// An anchor that is no full object id.
    #[error("the anchor of rule '{rule}' is not a full object id in lower case")]
    Anchor {
        /// The rule.
        rule: String,
    },
    /// An `[[anchor]]` that is no full object id.
    #[error("the anchor '{0}' is not a full object id in lower case")]
    AnchorObject(String),
    /// A base that is no full ref name.
    #[error("the base '{base}' of rule '{rule}' is not the full name of a ref")]
    Base {
        /// The rule.
        rule: String,
        /// What it names.
        base: String,
    },
    /// The file of a certificate authority cannot be used.
    #[error("the certificate authority '{name}' cannot be used: {cause}")]
    CertificateAuthority {
        /// Its name.
        name: String,
        /// What is wrong with its file.
        cause: AuthorityError,
    },
    /// Two identities with one signer, or the same signer twice.
    #[error("the signer '{subject}' is listed twice")]
    DuplicateSigner {
        /// The subject of both.
        subject: String,
    },
    /// Two instances or rules of one name.
    #[error("two {what} are called '{name}'")]
    DuplicateName {
        /// Instances or rules.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Two keys that cannot both be meant.
    #[error("'{}' and '{}' of rule '{rule}' contradict each other", keys[0], keys[1])]
    Contradiction {
        /// The rule.
        rule: String,
        /// The keys.
        keys: [&'static str; 2],
    },
    /// Not an e-mail address.
    #[error("'{email}' of 'emails' of {place} is not an e-mail address")]
    Email {
        /// What stands there.
        email: String,
        /// Where it stands.
        place: String,
    },
    /// A list that would match or allow nothing.
    #[error("'{key}' of {place} is empty")]
    Empty {
        /// The key.
        key: &'static str,
        /// Where it stands.
        place: String,
    },
    /// An identity of which nothing says who it is.
    #[error("identity '{0}' has neither a signer nor an account")]
    NoSigner(String),
    /// A window that holds no moment.
    #[error("a signer of {place} counts from a moment on that is not before the end")]
    EmptyWindow {
        /// Where it stands.
        place: String,
    },
    /// Not the fingerprint of an OpenPGP certificate.
    #[error(
        "'{fingerprint}' of {place} is not an OpenPGP fingerprint, which has 40 or 64 hexadecimal digits"
    )]
    Fingerprint {
        /// What stands there.
        fingerprint: String,
        /// Where it stands.
        place: String,
    },
    /// An entry of `forge_users` with neither `user` nor `id`, or with both.
    #[error("an entry of 'forge_users' of {place} has to have either 'user' or 'id'")]
    ForgeAccount {
        /// Where it stands.
        place: String,
    },
    /// A forge's key that is listed as somebody's.
    #[error(
        "identity '{identity}' has the key '{key}' of the forge '{forge}', which signs with it for whoever is logged in: it stands for no person"
    )]
    ForgeKey {
        /// The identity.
        identity: String,
        /// The forge.
        forge: String,
        /// The key.
        key: String,
    },
    /// A group with the name of an identity.
    #[error("'{0}' is the name of a group and of an identity")]
    GroupAndIdentity(String),
    /// Groups that stand in themselves.
    #[error("groups stand in themselves: {}", cycle(_0))]
    GroupCycle(Vec<String>),
    /// Too many groups in one another.
    #[error("more than {maximum} groups stand in one another in group '{group}'")]
    GroupDepth {
        /// The outermost.
        group: String,
        /// How many may.
        maximum: usize,
    },
    /// A key that cannot be read.
    #[error("'{key}' of {place} is not a public key that is used here: {cause}")]
    Key {
        /// The key as it stands.
        key: String,
        /// Where it stands.
        place: String,
        /// What is wrong with it.
        cause: FormatError,
    },
    /// An identity by an issuer for CI that does not say whose builds are meant.
    #[error(
        "the signer '{subject}' of identity '{identity}' does not say its '{key}': builds of anybody's may have an identity of '{issuer}', so 'repository' and 'ref' are needed"
    )]
    MissingClaim {
        /// The identity.
        identity: String,
        /// The subject.
        subject: String,
        /// The issuer.
        issuer: String,
        /// What is missing.
        key: &'static str,
    },
    /// The file says no version.
    #[error("the policy does not say 'version = 1'")]
    MissingVersion,
    /// The file does not say what happens to refs that no rule names.
    #[error("the policy does not say what happens to 'other_refs'")]
    MissingOtherRefs,
    /// Not a moment in full.
    #[error(
        "'{key}' of {place} is '{text}', which is not a date and time of whole seconds with its offset, such as 2026-01-31T12:00:00Z"
    )]
    Moment {
        /// The key.
        key: &'static str,
        /// What stands there.
        text: String,
        /// Where it stands.
        place: String,
    },
    /// An identity has an OpenPGP fingerprint whose certificate is in none of the files.
    #[error("no file of 'openpgp_certificates' holds the certificate {fingerprint} of identity '{identity}'")]
    NoCertificate {
        /// The identity.
        identity: String,
        /// The fingerprint.
        fingerprint: String,
    },
    /// A file of OpenPGP certificates cannot be used.
    #[error("the OpenPGP certificates in '{file}' cannot be used: {cause}")]
    OpenPgpCertificates {
        /// The file, as the policy names it.
        file: String,
        /// What is wrong with it.
        cause: KeyRingError,
    },
    /// Approvals are asked for and nobody may give one.
    #[error(
        "rule '{rule}' says 'threshold', and neither 'commits' nor 'approvers' names anybody who may approve"
    )]
    NoApprovers {
        /// The rule.
        rule: String,
    },
    /// Approvals are asked for, and nothing says for which repository they have to be.
    #[error(
        "rule '{rule}' hears approvals, and the policy does not say for which 'repository' they have to be"
    )]
    NoRepository {
        /// The rule.
        rule: String,
    },
    /// A name that cannot be told from something else, or from another in a message.
    #[error("'{0}' is not a name that can be used")]
    Name(String),
    /// Whoever may approve is asked about nothing.
    #[error(
        "rule '{rule}' names 'approvers', and nobody is asked: it says no 'threshold', and its commits are \"unsigned\""
    )]
    NothingToApprove {
        /// The rule.
        rule: String,
    },
    /// An identity by an issuer that its instance is not believed for.
    #[error(
        "identity '{identity}' names the issuer '{issuer}', which is not among the 'issuers' of instance '{instance}'"
    )]
    NotBelieved {
        /// The identity.
        identity: String,
        /// The instance.
        instance: String,
        /// The issuer.
        issuer: String,
    },
    /// A pattern of paths that cannot be meant.
    #[error("the pattern '{pattern}' of a path of rule '{rule}' is refused: {cause}")]
    PathPattern {
        /// The rule.
        rule: String,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        cause: PathPatternError,
    },
    /// A ref pattern that cannot be meant.
    #[error("the pattern '{pattern}' of rule '{rule}' is refused: {cause}")]
    Pattern {
        /// The rule.
        rule: String,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        cause: PatternError,
    },
    /// Not the id of a repository.
    #[error("'repository' is '{0}', which is not one word of letters, digits and '-._~:/@+'")]
    Repository(String),
    /// A serial that nothing could come before.
    #[error("'serial' has to be a whole number from 1 on")]
    Serial,
    /// A star where there are no patterns.
    #[error("'{0}' holds a '*': there are patterns of subjects and of 'ref' alone")]
    SignerPattern(String),
    /// `commits` or `tags` is a word other than `unsigned`.
    #[error("'{key} = \"{word}\"' of rule '{rule}' is neither a list of identities nor \"unsigned\"")]
    SignersWord {
        /// The rule.
        rule: String,
        /// `commits` or `tags`.
        key: &'static str,
        /// The word.
        word: String,
    },
    /// More than one star.
    #[error("'{key}' of {place} is '{text}', with more than one '*'")]
    Stars {
        /// The key.
        key: &'static str,
        /// What stands there.
        text: String,
        /// Where it stands.
        place: String,
    },
    /// Not TOML, or a value of the wrong kind.
    #[error("line {line}: {message}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// Fewer persons than one.
    #[error("'threshold' of rule '{rule}' has to be a whole number from 1 on")]
    Threshold {
        /// The rule.
        rule: String,
    },
    /// A rule trusts a forge that the file does not have.
    #[error("rule '{rule}' trusts the forge '{name}', which is not in the policy{}", did_you_mean(suggestion.as_deref()))]
    UnknownForge {
        /// The rule.
        rule: String,
        /// The forge.
        name: String,
        /// One that it might mean.
        suggestion: Option<String>,
    },
    /// More groups than are needed.
    #[error("there are more than {0} groups")]
    TooManyGroups(usize),
    /// A rule names an identity or a group that the file does not have.
    #[error("rule '{rule}' names the identity '{name}', which is not in the policy{}", did_you_mean(suggestion.as_deref()))]
    UnknownIdentity {
        /// The rule.
        rule: String,
        /// The identity.
        name: String,
        /// One that it might mean.
        suggestion: Option<String>,
    },
    /// An identity names a certificate authority that the file does not have.
    #[error("identity '{identity}' names the certificate authority '{authority}', which is not in the policy{}", did_you_mean(suggestion.as_deref()))]
    UnknownAuthority {
        /// The identity.
        identity: String,
        /// The authority.
        authority: String,
        /// One that it might mean.
        suggestion: Option<String>,
    },
    /// An identity names an instance that the file does not have.
    #[error("identity '{identity}' names the instance '{instance}', which is not in the policy{}", did_you_mean(suggestion.as_deref()))]
    UnknownInstance {
        /// The identity.
        identity: String,
        /// The instance.
        instance: String,
        /// One that it might mean.
        suggestion: Option<String>,
    },
    /// A key that means nothing here.
    #[error("line {line}: unknown key '{key}' in {place}{}", did_you_mean(suggestion.as_deref()))]
    UnknownKey {
        /// Counted from 1.
        line: usize,
        /// The key.
        key: String,
        /// Where it stands.
        place: String,
        /// One that it might mean.
        suggestion: Option<String>,
    },
    /// A group names an identity or a group that the file does not have.
    #[error("group '{group}' names the member '{name}', which is not in the policy{}", did_you_mean(suggestion.as_deref()))]
    UnknownMember {
        /// The group.
        group: String,
        /// The member.
        name: String,
        /// One that it might mean.
        suggestion: Option<String>,
    },
    /// A rule counts an instance that the file does not have.
    #[error("rule '{rule}' names the instance '{instance}', which is not in the policy{}", did_you_mean(suggestion.as_deref()))]
    UnknownRuleInstance {
        /// The rule.
        rule: String,
        /// The instance.
        instance: String,
        /// One that it might mean.
        suggestion: Option<String>,
    },
    /// A version that this program does not know.
    #[error("the policy is of version {0}, and this program knows version 1")]
    UnknownVersion(String),
    /// An entry of `x509` that is neither an address nor a certificate.
    #[error(
        "an entry of 'x509' of {place} has neither a 'subject', which is an e-mail address, nor a 'certificate', which is a SHA-256 fingerprint of 64 hexadecimal digits"
    )]
    X509Signer {
        /// Where it stands.
        place: String,
    },
}

/// How groups stand in themselves.
fn cycle(names: &[String]) -> String {
    let pairs = names.windows(2).map(|pair| format!("'{}' has '{}'", pair[0], pair[1]));
    pairs.collect::<Vec<_>>().join(", ")
}
