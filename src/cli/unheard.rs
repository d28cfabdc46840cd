//! Settings of a repository's own that are not heard, and the command that allows them.
//!
//! What redirects trust, names a server or an instance, or runs a program counts from protected
//! configuration only. Whoever set such a thing in a repository expects it to hold, so it is named.

use super::policy::source;
use crate::{
    repository::{Configuration, Scopes},
    words::{self, Failure},
};

/// Settings outside our own sections that are read from protected configuration only.
const FURTHER: [&str; 2] = ["gpg.ssh.allowedSignersFile", "gpg.ssh.revocationFile"];

/// Making a check stricter is open to every scope.
const HEARD: [&str; 2] = ["countersign.matchCommitter", "gitsign.matchCommitter"];

/// A setting of the repository's that is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unheard {
    /// The key, as git lists it.
    pub(super) key: String,
    pub(super) value: String,
}

impl Unheard {
    /// The command that takes it over.
    pub(super) fn command(&self) -> String {
        // What is pinned is looked at first.
        if self.key.eq_ignore_ascii_case(source::PIN) {
            return "countersign policy pin".to_owned();
        }
        format!("countersign init --local --allow {}", words::shell_word(&self.key))
    }
}

/// What the repository sets for us in vain: of each key the last value, unless the user's own
/// configuration says the same.
pub(super) fn unheard(configuration: &Configuration) -> Vec<Unheard> {
    let mut unheard: Vec<Unheard> = Vec::new();
    for (scope, key, value) in configuration.settings() {
        let key = key.to_string();
        let is_ours = ["countersign.", "gitsign."].iter().any(|section| key.starts_with(section));
        let is_among = |known: &[&str]| known.iter().any(|known| known.eq_ignore_ascii_case(&key));
        if scope.is_protected() || is_among(&HEARD) || !(is_ours || is_among(&FURTHER)) {
            continue;
        }
        unheard.retain(|known| known.key != key);
        let said = configuration.get_all(&key, Scopes::Protected);
        if said.last().is_none_or(|(_, said)| *said != value) {
            unheard.push(Unheard { key, value: value.to_string() });
        }
    }
    unheard
}

/// `failure`, and which settings of the repository were not heard on the way to it.
pub(super) fn remind(failure: Failure, configuration: &Configuration) -> Failure {
    unheard(configuration).iter().fold(failure, |failure, unheard| {
        failure.hint(format!(
            "the repository's own '{}' is not heard; if you mean it, run '{}'",
            unheard.key,
            unheard.command()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::{Unheard, remind, unheard};
    use crate::{repository::Configuration, words::Failure};

    #[test]
    fn what_a_repository_sets_in_vain_is_named() {
        let configuration = Configuration::parse(
            b"global\0countersign.instance\nwork\0global\0gitsign.fulcio\nhttps://a\0\
              local\0countersign.instance\nevil\0local\0countersign.instance\nworse\0\
              local\0gitsign.fulcio\nhttps://a\0local\0gitsign.matchcommitter\ntrue\0\
              local\0countersign.My Own.trustedroot\n/x\0local\0user.email\na@b\0\
              worktree\0gpg.ssh.allowedsignersfile\nsigners\0command\0countersign.policy\n/p\0",
        )
        .unwrap();
        let expected = [
            ("countersign.instance", "worse"),
            ("countersign.My Own.trustedroot", "/x"),
            ("gpg.ssh.allowedsignersfile", "signers"),
        ];
        let expected = expected.map(|(key, value)| Unheard { key: key.to_owned(), value: value.to_owned() });
        assert_eq!(unheard(&configuration), expected);
        let hints = remind(Failure::new("no", "do"), &configuration).hints;
        assert_eq!(
            hints[1],
            "the repository's own 'countersign.instance' is not heard; if you mean it, \
             run 'countersign init --local --allow countersign.instance'"
        );
        assert_eq!(hints.len(), 4);
        assert!(
            hints[2].ends_with("run 'countersign init --local --allow 'countersign.My Own.trustedroot''")
        );
    }
}
