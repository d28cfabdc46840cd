//! What to do about a policy file that is refused.

use super::PolicyError;

impl PolicyError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Ambiguous { .. } => "make the pattern narrower, or let both be one identity",
            Self::Anchor { .. } | Self::AnchorObject(_) => "write the whole id, as 'git rev-parse' prints it",
            Self::Base { .. } => "write it as 'refs/heads/main'; there are no patterns of bases",
            Self::CertificateAuthority { .. } => {
                "put its certificates there in PEM, and nothing else but its revocation lists"
            }
            Self::Contradiction { .. } => "leave one of them out",
            Self::DuplicateName { .. } => "give one of them another name, or take it out",
            Self::DuplicateSigner { .. } => "leave it with the one identity that it is",
            Self::Email { .. } => "write it as it stands between '<' and '>' in commits",
            Self::Empty { .. } => "say something there, or leave the key out where it is not needed",
            Self::EmptyWindow { .. } => {
                "look at 'from' and 'until' of the signer, and at 'retired' of the identity"
            }
            Self::Fingerprint { .. } => "write it as 'gpg --fingerprint' shows it, without spaces",
            Self::ForgeAccount { .. } => {
                "name the account by its number with 'id', or by its name with 'user'"
            }
            Self::ForgeKey { .. } => {
                "take the key out of the identity; rules have 'forge_merges' and approvals for what a forge signs"
            }
            Self::GroupAndIdentity(_) => "give the group another name",
            Self::GroupCycle(_) | Self::GroupDepth { .. } | Self::TooManyGroups(_) => {
                "name the identities themselves"
            }
            Self::Key { .. } => "write it as it stands in a '.pub' file of ssh-keygen",
            Self::MissingClaim { .. } => {
                "'countersign inspect' prints the whole line for a signature of such a build"
            }
            Self::MissingOtherRefs => "write 'other_refs = \"refuse\"' at its beginning, or \"accept\"",
            Self::MissingVersion => "write 'version = 1' at its beginning",
            Self::Moment { .. } => "write it as 2026-01-31T12:00:00Z",
            Self::Name(_) => {
                "use letters that a terminal shows, and none that stand for something else there"
            }
            Self::NoSigner(_) => {
                "give it 'keyless', 'ssh', 'ssh_certificates', 'openpgp', 'x509' or 'forge_users', or take it out"
            }
            Self::NoApprovers { .. } => "name them with 'approvers', or say who signs commits",
            Self::NoCertificate { .. } | Self::OpenPgpCertificates { .. } => {
                "write the file with 'gpg --armor --export', and name it under '[[openpgp_certificates]]'"
            }
            Self::NoRepository { .. } | Self::Repository(_) => {
                "write 'repository = \"example.com/project\"' at its beginning"
            }
            Self::NotBelieved { .. } => "add the issuer to 'issuers' of the instance, or take the signer out",
            Self::NothingToApprove { .. } => {
                "say with 'threshold' how many persons have to vouch, or take 'approvers' out"
            }
            Self::PathPattern { .. } => {
                "write paths from the root, such as 'infra/**': '*' stands for anything without a slash, '**' for any folders"
            }
            Self::Pattern { .. } => {
                "write whole names, such as 'refs/heads/**': '*' stands for anything without a slash, '**' for anything"
            }
            Self::Serial => "write 'serial = 1', and one more with each change",
            Self::SignerPattern(_) => "name each exactly, in an entry of its own",
            Self::SignersWord { .. } => "write a list such as '[\"alice\"]', or \"unsigned\"",
            Self::Stars { .. } => "use one '*', or name each in an entry of its own",
            Self::Threshold { .. } => "write how many persons have to vouch, or leave it out",
            Self::UnknownVersion(_) => "use a version of countersign that knows it",
            Self::X509Signer { .. } => {
                "name the certified address with 'subject', or one certificate with 'certificate'"
            }
            Self::Syntax { .. }
            | Self::UnknownAuthority { .. }
            | Self::UnknownForge { .. }
            | Self::UnknownIdentity { .. }
            | Self::UnknownInstance { .. }
            | Self::UnknownKey { .. }
            | Self::UnknownMember { .. }
            | Self::UnknownRuleInstance { .. } => "countersign-policy(5) says what may stand there",
        }
    }
}
