//! What a forge says about a push, in one form whatever the forge: who pushes, and by which way.
//!
//! Only the forge for which a hook was installed is believed, under the name that the installation gave
//! it. Nothing here says that a commit is good: a forge's word names an account, and no signer.

use std::fmt;

/// The software whose way of telling hooks about a push is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForgeKind {
    /// Bitbucket Data Center: `BB_*`.
    Bitbucket,
    /// Gitea and Forgejo: `GITEA_*`.
    Gitea,
    /// GitHub Enterprise Server: `GITHUB_*`.
    GitHub,
    /// GitLab: `GL_*` as Gitaly sets them.
    GitLab,
    /// gitolite: `GL_*` as gitolite sets them.
    Gitolite,
    /// A web server that asks for a password or certificate before `git http-backend`: `REMOTE_USER`.
    Http,
}

/// The forge that an installation believes: what it is, and the policy's name for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forge {
    /// Whose variables are read.
    pub kind: ForgeKind,
    /// The name in `forge_users`.
    pub name: String,
}

/// How a change came to the forge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Way {
    /// `git push` over HTTP.
    Http,
    /// `git push` over ssh.
    Ssh,
    /// The forge does not say.
    Unknown,
    /// Something on the forge's pages or in its API.
    Web,
}

impl Way {
    /// The word for it in a policy.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Ssh => "ssh",
            Self::Unknown => "unknown",
            Self::Web => "web",
        }
    }
}

/// Whether the forge itself has merged something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebMerge {
    /// It has not.
    No,
    /// The forge does not say what was done on its pages.
    Unknown,
    /// It has.
    Yes,
}

/// An account of a forge.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Account {
    /// By the number that the forge never gives to another one.
    Id(String),
    /// By its name.
    User(String),
}

/// What a forge says about one push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForgeContext {
    /// Who says so.
    pub forge: Forge,
    /// The account that has logged in, by its name; `None` where it is none's, such as a deploy key's.
    pub user: Option<String>,
    /// The same by its number, as the forge writes it.
    pub id: Option<String>,
    /// By which way.
    pub way: Way,
    /// Whether the forge merged something.
    pub merge: WebMerge,
    /// The forge's name for the repository.
    pub repository: Option<String>,
}

/// Every kind by the word that stands for it.
const WORDS: [(&str, ForgeKind); 7] = [
    ("bitbucket", ForgeKind::Bitbucket),
    ("forgejo", ForgeKind::Gitea),
    ("gitea", ForgeKind::Gitea),
    ("github", ForgeKind::GitHub),
    ("gitlab", ForgeKind::GitLab),
    ("gitolite", ForgeKind::Gitolite),
    ("http", ForgeKind::Http),
];

impl ForgeKind {
    /// The words that [`Self::from_word`] knows.
    pub fn words() -> impl Iterator<Item = &'static str> {
        WORDS.iter().map(|(word, _)| *word)
    }

    /// The kind that a word stands for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        WORDS.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind)
    }

    /// The word that stands for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Bitbucket => "bitbucket",
            Self::Gitea => "gitea",
            Self::GitHub => "github",
            Self::GitLab => "gitlab",
            Self::Gitolite => "gitolite",
            Self::Http => "http",
        }
    }

    /// The variables by which it tells a hook about a push; no others are looked at.
    #[must_use]
    pub fn variables(self) -> &'static [&'static str] {
        match self {
            Self::Bitbucket => {
                &["BB_USER_NAME", "BB_HOOK_TRIGGER_ID", "BB_PROJECT_KEY", "BB_REPO_SLUG", "BB_MERGE_HASH"]
            }
            Self::Gitea => &[
                "GITEA_PUSHER_NAME",
                "GITEA_PUSHER_ID",
                "GITEA_DEPLOY_KEY_ID",
                "GITEA_PUSH_TRIGGER",
                "GITEA_REPO_USER_NAME",
                "GITEA_REPO_NAME",
                "SSH_ORIGINAL_COMMAND",
            ],
            Self::GitHub => {
                &["GITHUB_USER_LOGIN", "GITHUB_VIA", "GITHUB_REPO_NAME", "GITHUB_PUBLIC_KEY_FINGERPRINT"]
            }
            Self::GitLab => &["GL_USERNAME", "GL_ID", "GL_PROTOCOL", "GL_PROJECT_PATH"],
            Self::Gitolite => &["GL_USER", "GL_REPO", "SSH_ORIGINAL_COMMAND", "REQUEST_METHOD"],
            Self::Http => &["REMOTE_USER", "REQUEST_METHOD"],
        }
    }

    /// The ways that it tells apart from others. A push by any other one comes to [`Way::Unknown`].
    #[must_use]
    pub fn ways(self) -> &'static [Way] {
        match self {
            // Both say of pages and API what was done there, and Bitbucket of a push only that it is one.
            Self::Bitbucket => &[Way::Web],
            Self::GitHub => &[Way::Ssh, Way::Web],
            Self::Gitea | Self::GitLab => &[Way::Http, Way::Ssh, Way::Web],
            Self::Gitolite => &[Way::Http, Way::Ssh],
            Self::Http => &[Way::Http],
        }
    }

    /// Whether it has pages on which something is merged, and does not say when that is what was done there.
    #[must_use]
    pub fn hides_merges(self) -> bool {
        self == Self::GitLab
    }

    /// Why a hook of this forge never sees a push certificate; `None` where it may.
    #[must_use]
    pub fn gives_no_certificates(self) -> Option<&'static str> {
        match self {
            Self::Bitbucket => Some("Bitbucket hands its hook scripts no push certificate"),
            Self::GitHub => Some("GitHub Enterprise takes no signed pushes"),
            Self::GitLab => Some("GitLab's Gitaly hands its hooks no push certificate"),
            Self::Gitea | Self::Gitolite | Self::Http => None,
        }
    }
}

impl fmt::Display for ForgeContext {
    /// `'<user>' at '<forge>'`; callers escape it for terminals.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.user, &self.id) {
            (Some(user), _) => write!(formatter, "'{user}' at '{}'", self.forge.name),
            (None, Some(id)) => write!(formatter, "'{id}' at '{}'", self.forge.name),
            (None, None) => write!(formatter, "nobody at '{}'", self.forge.name),
        }
    }
}

impl ForgeContext {
    /// By which way the change came, in words.
    #[must_use]
    pub fn way_words(&self) -> &'static str {
        if self.merge == WebMerge::Yes { "web merge" } else { self.way.word() }
    }

    /// The account that pushes, under each of its names.
    pub fn accounts(&self) -> impl Iterator<Item = Account> {
        let id = self.id.clone().map(Account::Id);
        id.into_iter().chain(self.user.clone().map(Account::User))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_word_and_reads_back() {
        for word in ForgeKind::words() {
            let kind = ForgeKind::from_word(word).unwrap();
            assert_eq!(ForgeKind::from_word(kind.word()), Some(kind));
            assert!(kind.variables().iter().all(|name| !name.starts_with("GIT_")), "{word}");
        }
        assert_eq!(ForgeKind::from_word("GitLab"), None);
    }
}
