//! What the forge's variables say about a push, in one form.
//!
//! Only the variables of the forge for which the hook was installed are read. What a forge leaves out or
//! writes in a way of its own comes to "not known", which no rule takes for anybody.

use std::ffi::OsString;

use crate::policy::{Forge, ForgeContext, ForgeKind, Way, WebMerge};

/// The longest value that is read, in bytes.
const MAXIMUM_BYTES: usize = 1024;

/// How a line begins that GitLab shows on its pages, where it says of a refusal nothing else (GitLab, "Git server hooks",
/// custom error messages).
const SHOWN_BY_GITLAB: &str = "GL-HOOK-ERR: ";

/// `words` of a refusal as they reach whoever has made the change, by the way that it came.
pub(super) fn told(context: &ForgeContext, words: &str) -> String {
    let begin = match (context.forge.kind, context.way) {
        (ForgeKind::GitLab, Way::Web) => SHOWN_BY_GITLAB,
        _ => "",
    };
    words.lines().flat_map(|line| [begin, line, "\n"]).collect()
}

/// What `forge` says, where `variable` gives the variables of the environment.
pub fn forge_context(forge: &Forge, variable: impl Fn(&str) -> Option<OsString>) -> ForgeContext {
    let get = |name: &'static str| -> Option<String> {
        debug_assert!(forge.kind.variables().contains(&name), "'{name}' is handed on by the hook");
        let value = variable(name)?.into_string().ok()?;
        let is_plain = !value.is_empty() && value.len() <= MAXIMUM_BYTES && !value.contains(char::is_control);
        is_plain.then_some(value)
    };
    let mut context = ForgeContext {
        forge: forge.clone(),
        user: None,
        id: None,
        way: Way::Unknown,
        merge: WebMerge::No,
        repository: None,
    };
    match forge.kind {
        ForgeKind::Bitbucket => {
            context.user = get("BB_USER_NAME");
            context.repository =
                get("BB_PROJECT_KEY").zip(get("BB_REPO_SLUG")).map(|(key, slug)| format!("{key}/{slug}"));
            (context.way, context.merge) = match get("BB_HOOK_TRIGGER_ID").as_deref() {
                Some("repo-push") => (Way::Unknown, WebMerge::No),
                Some("merge" | "pull-request-merge") => (Way::Web, WebMerge::Yes),
                Some("unknown") | None => (Way::Unknown, WebMerge::Unknown),
                Some(_) => (Way::Web, WebMerge::No),
            };
            if get("BB_MERGE_HASH").is_some() {
                (context.way, context.merge) = (Way::Web, WebMerge::Yes);
            }
        }
        ForgeKind::Gitea => {
            // A deploy key goes by the name of the repository's owner, who need not have pushed; -1 is whoever had an
            // account once.
            let key = variable("GITEA_DEPLOY_KEY_ID").filter(|id| !id.is_empty() && id != "0");
            match key.map(|_| get("GITEA_DEPLOY_KEY_ID")) {
                Some(id) => context.id = id.map(|id| format!("deploy-key-{id}")),
                None if get("GITEA_PUSHER_ID").is_some_and(|id| id == "-1") => {}
                None => {
                    context.user = get("GITEA_PUSHER_NAME");
                    context.id = get("GITEA_PUSHER_ID").filter(|id| id != "0");
                }
            }
            context.repository = get("GITEA_REPO_USER_NAME")
                .zip(get("GITEA_REPO_NAME"))
                .map(|(owner, name)| format!("{owner}/{name}"));
            let trigger = get("GITEA_PUSH_TRIGGER");
            (context.way, context.merge) = match (trigger.as_deref(), get("SSH_ORIGINAL_COMMAND").as_deref())
            {
                (Some("pr-merge-to-base" | "pr-update-with-base"), _) => (Way::Web, WebMerge::Yes),
                (Some(_), _) => (Way::Web, WebMerge::Unknown),
                // It fills the variable in, whatever the way: its own pushes and those over HTTP have a word alone,
                // which it takes from nobody over ssh.
                (None, Some("gitea-internal")) => (Way::Web, WebMerge::Unknown),
                (None, Some("receive-pack")) => (Way::Http, WebMerge::No),
                (None, Some(_)) => (Way::Ssh, WebMerge::No),
                (None, None) => (Way::Unknown, WebMerge::Unknown),
            };
        }
        ForgeKind::GitHub => {
            context.user = get("GITHUB_USER_LOGIN");
            context.repository = get("GITHUB_REPO_NAME");
            match get("GITHUB_VIA") {
                None if get("GITHUB_PUBLIC_KEY_FINGERPRINT").is_some() => context.way = Way::Ssh,
                None => {}
                Some(via) => {
                    let merges = ["pull request merge", "auto-merge", "branch merge", "merge"];
                    let is_merge = merges.iter().any(|word| via.starts_with(word));
                    context.way = Way::Web;
                    context.merge = if is_merge { WebMerge::Yes } else { WebMerge::No };
                }
            }
        }
        ForgeKind::GitLab => {
            let id = get("GL_ID");
            // A deploy key or token is nobody's account, whatever it is called: whoever makes one may choose that.
            let number = id.as_deref().and_then(|id| id.strip_prefix("user-"));
            let is_account = |number: &str| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
            if number.is_some_and(is_account) {
                context.user = get("GL_USERNAME");
            }
            context.id = id;
            context.repository = get("GL_PROJECT_PATH");
            (context.way, context.merge) = match get("GL_PROTOCOL").as_deref() {
                Some("ssh") => (Way::Ssh, WebMerge::No),
                Some("http") => (Way::Http, WebMerge::No),
                Some("web") => (Way::Web, WebMerge::Unknown),
                _ => (Way::Unknown, WebMerge::Unknown),
            };
        }
        ForgeKind::Gitolite => {
            context.user = get("GL_USER");
            context.repository = get("GL_REPO");
            context.way = match (get("REQUEST_METHOD"), get("SSH_ORIGINAL_COMMAND")) {
                (Some(_), _) => Way::Http,
                (None, Some(_)) => Way::Ssh,
                (None, None) => Way::Unknown,
            };
        }
        // Whoever comes by ssh or from the machine itself may bring whatever variables there are. There are no pages.
        ForgeKind::Http => {
            if get("REQUEST_METHOD").is_some() {
                context.user = get("REMOTE_USER");
                context.way = Way::Http;
            }
        }
    }
    context
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a forge of this kind says with these variables: user, id, way, merge.
    fn said(word: &str, variables: &[(&str, &str)]) -> (Option<String>, Option<String>, Way, WebMerge) {
        let forge = Forge { kind: ForgeKind::from_word(word).unwrap(), name: "f".to_owned() };
        let context = forge_context(&forge, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        });
        (context.user, context.id, context.way, context.merge)
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn each_forge_is_read_in_its_own_words() {
        for (word, variables, expected) in [
            (
                "gitlab",
                &[("GL_USERNAME", "alice"), ("GL_ID", "user-7"), ("GL_PROTOCOL", "ssh")][..],
                (some("alice"), some("user-7"), Way::Ssh, WebMerge::No),
            ),
            (
                "gitlab",
                &[("GL_USERNAME", "alice"), ("GL_ID", "user-7"), ("GL_PROTOCOL", "web")],
                (some("alice"), some("user-7"), Way::Web, WebMerge::Unknown),
            ),
            (
                "gitlab",
                &[("GL_USERNAME", "owner"), ("GL_ID", "key-9"), ("GL_PROTOCOL", "ssh")],
                (None, some("key-9"), Way::Ssh, WebMerge::No),
            ),
            (
                "gitlab",
                &[("GL_USERNAME", "alice"), ("GL_ID", "user-x"), ("GL_PROTOCOL", "http")],
                (None, some("user-x"), Way::Http, WebMerge::No),
            ),
            (
                "gitlab",
                &[("GL_USERNAME", "alice"), ("GL_PROTOCOL", "http")],
                (None, None, Way::Http, WebMerge::No),
            ),
            (
                "forgejo",
                &[
                    ("GITEA_PUSHER_NAME", "alice"),
                    ("GITEA_PUSHER_ID", "3"),
                    ("GITEA_DEPLOY_KEY_ID", "0"),
                    ("SSH_ORIGINAL_COMMAND", "receive-pack"),
                ],
                (some("alice"), some("3"), Way::Http, WebMerge::No),
            ),
            (
                "gitea",
                &[("GITEA_PUSHER_NAME", "Ghost"), ("GITEA_PUSHER_ID", "-1")],
                (None, None, Way::Unknown, WebMerge::Unknown),
            ),
            (
                "gitea",
                &[
                    ("GITEA_PUSHER_NAME", "alice"),
                    ("GITEA_PUSHER_ID", "3"),
                    ("SSH_ORIGINAL_COMMAND", "gitea-internal"),
                ],
                (some("alice"), some("3"), Way::Web, WebMerge::Unknown),
            ),
            (
                "gitea",
                &[("GITEA_PUSHER_NAME", "owner"), ("GITEA_PUSHER_ID", "1"), ("GITEA_DEPLOY_KEY_ID", "12")],
                (None, some("deploy-key-12"), Way::Unknown, WebMerge::Unknown),
            ),
            (
                "gitea",
                &[("GITEA_PUSHER_NAME", "alice"), ("GITEA_PUSH_TRIGGER", "pr-merge-to-base")],
                (some("alice"), None, Way::Web, WebMerge::Yes),
            ),
            (
                "gitea",
                &[("GITEA_PUSHER_NAME", "alice"), ("SSH_ORIGINAL_COMMAND", "git-receive-pack 'a/b'")],
                (some("alice"), None, Way::Ssh, WebMerge::No),
            ),
            (
                "github",
                &[("GITHUB_USER_LOGIN", "alice"), ("GITHUB_VIA", "pull request merge button")],
                (some("alice"), None, Way::Web, WebMerge::Yes),
            ),
            (
                "github",
                &[("GITHUB_USER_LOGIN", "alice"), ("GITHUB_VIA", "blob edit")],
                (some("alice"), None, Way::Web, WebMerge::No),
            ),
            (
                "bitbucket",
                &[("BB_USER_NAME", "alice"), ("BB_HOOK_TRIGGER_ID", "pull-request-merge")],
                (some("alice"), None, Way::Web, WebMerge::Yes),
            ),
            (
                "bitbucket",
                &[("BB_USER_NAME", "alice"), ("BB_HOOK_TRIGGER_ID", "merge")],
                (some("alice"), None, Way::Web, WebMerge::Yes),
            ),
            (
                "bitbucket",
                &[("BB_USER_NAME", "alice"), ("BB_HOOK_TRIGGER_ID", "file-edit")],
                (some("alice"), None, Way::Web, WebMerge::No),
            ),
            (
                "bitbucket",
                &[("BB_USER_NAME", "alice"), ("BB_HOOK_TRIGGER_ID", "repo-push")],
                (some("alice"), None, Way::Unknown, WebMerge::No),
            ),
            (
                "bitbucket",
                &[("BB_USER_NAME", "alice"), ("BB_HOOK_TRIGGER_ID", "unknown")],
                (some("alice"), None, Way::Unknown, WebMerge::Unknown),
            ),
            (
                "gitolite",
                &[("GL_USER", "alice"), ("SSH_ORIGINAL_COMMAND", "git-receive-pack 'r'")],
                (some("alice"), None, Way::Ssh, WebMerge::No),
            ),
            (
                "http",
                &[("REMOTE_USER", "alice"), ("REQUEST_METHOD", "POST")],
                (some("alice"), None, Way::Http, WebMerge::No),
            ),
            ("http", &[("REMOTE_USER", "alice")], (None, None, Way::Unknown, WebMerge::No)),
        ] {
            assert_eq!(said(word, variables), expected, "{word} {variables:?}");
        }
    }

    #[test]
    fn another_forges_words_say_nothing() {
        let all = [
            ("GL_USER", "a"),
            ("GL_USERNAME", "a"),
            ("GL_ID", "user-1"),
            ("GITEA_PUSHER_NAME", "a"),
            ("GITHUB_USER_LOGIN", "a"),
            ("BB_USER_NAME", "a"),
            ("REMOTE_USER", "a"),
            ("USER", "a"),
        ];
        for word in ForgeKind::words() {
            let kind = ForgeKind::from_word(word).unwrap();
            let foreign: Vec<_> =
                all.into_iter().filter(|(name, _)| !kind.variables().contains(name)).collect();
            let (user, id, ..) = said(word, &foreign);
            assert_eq!((user, id), (None, None), "{word}");
        }
    }

    #[test]
    fn a_deploy_key_that_cannot_be_read_is_no_account() {
        for (id, user) in
            [("", some("owner")), ("0", some("owner")), ("a\nb", None), (&*"1".repeat(2000), None)]
        {
            let variables =
                [("GITEA_PUSHER_NAME", "owner"), ("GITEA_PUSHER_ID", "1"), ("GITEA_DEPLOY_KEY_ID", id)];
            let (told, number, ..) = said("gitea", &variables);
            assert_eq!((told, number.is_some()), (user.clone(), user.is_some()), "{id:?}");
        }
    }

    #[test]
    fn values_that_no_forge_writes_are_none() {
        for value in ["", "a\nb", "a\u{7f}", &"a".repeat(2000)] {
            assert_eq!(said("gitolite", &[("GL_USER", value)]).0, None, "{value:?}");
        }
    }
}
