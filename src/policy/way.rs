//! By which way a push may come to the forge, and whether what the forge merges on its own pages is taken.
//!
//! Only the forge for which the hook was installed can know. What it does not say is taken for nothing that a rule
//! takes.

use std::fmt;

use super::{ForgeContext, Permission, Way, WebMerge};
use crate::words::escape;

/// What a rule asks of how a push came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WayDemand {
    /// The ways that are taken, each once, in order; any where it is not said.
    pub ways: Option<Vec<Way>>,
    /// Whether merges are taken that are made on the forge's pages; where it is not said, if [`Way::Web`] is.
    pub web_merges: Option<Permission>,
}

/// Why a push may not come as it did. One cause, one variant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WayFault {
    /// Made on the pages or in the API of the forge, and perhaps a merge, which it does not say.
    MaybeMerged {
        /// The policy's name for the forge.
        forge: String,
    },
    /// Merged on the forge's pages.
    Merged {
        /// The policy's name for the forge.
        forge: String,
    },
    /// It is about to be pushed by git, and only what is made on the forge's pages is taken.
    NoPush,
    /// It came by another way.
    NotTaken {
        /// By which.
        way: Way,
        /// The ways that are taken.
        ways: Vec<Way>,
    },
    /// Nothing says by which way it came.
    Unknown {
        /// The ways that are taken; empty where only merges on the forge's pages are not.
        ways: Vec<Way>,
    },
}

impl WayDemand {
    /// Whether anything is asked.
    #[must_use]
    pub fn asks(&self) -> bool {
        self.ways.is_some() || self.web_merges == Some(Permission::Refuse)
    }

    /// Whether a push by `way` is taken that is no merge of the forge's.
    #[must_use]
    pub fn takes(&self, way: Way) -> bool {
        self.ways.as_ref().is_none_or(|ways| ways.contains(&way))
    }

    /// Whether what the forge merges on its pages is taken, where it says so.
    #[must_use]
    pub fn takes_merges(&self) -> bool {
        self.web_merges.map_or_else(|| self.takes(Way::Web), |permission| permission == Permission::Allow)
    }

    /// Whether a push may come as the forge says that it did.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn judge(&self, context: Option<&ForgeContext>) -> Result<(), WayFault> {
        if !self.asks() {
            return Ok(());
        }
        let ways = || self.ways.clone().unwrap_or_default();
        let Some(ForgeContext { forge, way, merge, .. }) = context else {
            return Err(WayFault::Unknown { ways: ways() });
        };
        let (way, forge) = (*way, || forge.name.clone());
        match merge {
            WebMerge::Yes if self.takes_merges() => return Ok(()),
            WebMerge::Yes => return Err(WayFault::Merged { forge: forge() }),
            // What is no merge where all else is taken need not say how it came.
            WebMerge::No | WebMerge::Unknown => {}
        }
        if !self.takes(way) {
            let ways = ways();
            let is_unknown = way == Way::Unknown;
            return Err(if is_unknown {
                WayFault::Unknown { ways }
            } else {
                WayFault::NotTaken { way, ways }
            });
        }
        match (merge, way) {
            (WebMerge::Unknown, Way::Unknown) => Err(WayFault::Unknown { ways: ways() }),
            (WebMerge::Unknown, _) if !self.takes_merges() => Err(WayFault::MaybeMerged { forge: forge() }),
            _ => Ok(()),
        }
    }

    /// Whether what git is about to push may be taken, by whatever way that will be.
    ///
    /// # Errors
    /// It cannot.
    pub(super) fn judge_planned(&self) -> Result<(), WayFault> {
        let is_taken = [Way::Http, Way::Ssh].into_iter().any(|way| self.takes(way));
        if is_taken { Ok(()) } else { Err(WayFault::NoPush) }
    }

    /// What is asked, in order, for a digest; nothing where nothing is.
    pub(super) fn canonical(&self) -> Vec<Vec<u8>> {
        let ways = self.ways.iter().flatten().map(|way| format!("way {}", way.word()).into_bytes());
        let asked = self.asks().then(|| b"ways".to_vec());
        let merges = asked.is_some().then(|| format!("web merges {}", self.takes_merges()).into_bytes());
        asked.into_iter().chain(ways).chain(merges).collect()
    }
}

/// `'http' or 'ssh'`
pub(super) fn list(ways: &[Way]) -> String {
    let quoted: Vec<String> = ways.iter().map(|way| format!("'{}'", way.word())).collect();
    quoted.join(" or ")
}

impl WayFault {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::MaybeMerged { .. } | Self::Merged { .. } => {
                "merge with git, sign it, and push that; or have the rule's 'web_merges' changed".to_owned()
            }
            Self::NoPush => "make the change on the forge's pages, or have the rule's 'ways' changed".to_owned(),
            Self::NotTaken { ways, .. } => match ways.as_slice() {
                [Way::Web] => "make the change on the forge's pages, or have the rule's 'ways' changed".to_owned(),
                ways => format!("push it with git by {}, or have the rule's 'ways' changed", list(ways)),
            },
            Self::Unknown { .. } => {
                "ask the server's administrator: the hook has to be installed with '--forge' for a forge that says by which way a push comes, and 'countersign policy check --forge KIND' tells what it does not say"
                    .to_owned()
            }
        }
    }
}

impl fmt::Display for WayFault {
    /// Fit for a terminal.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaybeMerged { forge } => write!(
                formatter,
                "made on the pages or in the API of '{}', which does not say whether it merged, where its merges are refused",
                escape(forge)
            ),
            Self::Merged { forge } => {
                write!(formatter, "merged on the pages of '{}', where such merges are refused", escape(forge))
            }
            Self::NoPush => {
                write!(formatter, "pushed by git, where only what is made on the forge's pages is taken")
            }
            Self::NotTaken { way, ways } => {
                write!(formatter, "pushed by way of '{}', where only {} is taken", way.word(), list(ways))
            }
            Self::Unknown { ways } if ways.is_empty() => write!(
                formatter,
                "nothing says whether it was merged on a forge's pages, where such merges are refused"
            ),
            Self::Unknown { ways } => {
                write!(
                    formatter,
                    "nothing says by which way it was pushed, where only {} is taken",
                    list(ways)
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Finding, Forge, ForgeKind, Policy, PolicyError};

    fn parse(rule: &str) -> Result<Policy, PolicyError> {
        Policy::parse(&format!(
            "version = 1\nother_refs = \"refuse\"\n[[rule]]\nname = \"r\"\nrefs = [\"refs/heads/*\"]\n\
             commits = \"unsigned\"\n{rule}\n"
        ))
    }

    fn demand(rule: &str) -> WayDemand {
        parse(rule).unwrap().rules()[0].way.clone()
    }

    fn context(way: Way, merge: WebMerge) -> ForgeContext {
        let forge = Forge { kind: ForgeKind::Gitea, name: "f".to_owned() };
        ForgeContext { forge, user: None, id: None, way, merge, repository: None }
    }

    /// Everything that a forge can say.
    const SAID: [(Way, WebMerge); 7] = [
        (Way::Ssh, WebMerge::No),
        (Way::Http, WebMerge::No),
        (Way::Web, WebMerge::No),
        (Way::Web, WebMerge::Yes),
        (Way::Web, WebMerge::Unknown),
        (Way::Unknown, WebMerge::No),
        (Way::Unknown, WebMerge::Unknown),
    ];

    #[test]
    fn what_a_rule_takes_is_what_the_forge_says_and_nothing_that_it_leaves_out() {
        for (rule, taken) in [
            ("", [true, true, true, true, true, true, true]),
            ("ways = [\"ssh\"]", [true, false, false, false, false, false, false]),
            ("ways = [\"http\", \"ssh\"]", [true, true, false, false, false, false, false]),
            ("ways = [\"web\"]", [false, false, true, true, true, false, false]),
            ("ways = [\"web\"]\nweb_merges = \"refuse\"", [false, false, true, false, false, false, false]),
            ("ways = [\"ssh\"]\nweb_merges = \"allow\"", [true, false, false, true, false, false, false]),
            ("ways = [\"ssh\"]\nweb_merges = \"refuse\"", [true, false, false, false, false, false, false]),
            // A push that is one and no merge, by whatever way.
            ("web_merges = \"refuse\"", [true, true, true, false, false, true, false]),
            ("web_merges = \"allow\"", [true, true, true, true, true, true, true]),
        ] {
            let demand = demand(rule);
            for ((way, merge), taken) in SAID.into_iter().zip(taken) {
                let judged = demand.judge(Some(&context(way, merge)));
                assert_eq!(judged.is_ok(), taken, "{rule} {way:?} {merge:?}: {judged:?}");
            }
            assert_eq!(demand.judge(None).is_ok(), !demand.asks(), "{rule}: no forge says anything");
            assert_eq!(demand.judge_planned().is_ok(), taken[0] || taken[1], "{rule}: git is about to push");
        }
    }

    #[test]
    fn each_fault_has_its_words_and_the_next_step() {
        let words = |rule: &str, way, merge| {
            let fault = demand(rule).judge(Some(&context(way, merge))).unwrap_err();
            format!("{fault}; {}", fault.hint())
        };
        let ssh = "ways = [\"ssh\"]";
        assert!(words(ssh, Way::Http, WebMerge::No).starts_with(
            "pushed by way of 'http', where only 'ssh' is taken; push it with git by 'ssh', or"
        ));
        assert!(words(ssh, Way::Web, WebMerge::Yes).starts_with("merged on the pages of 'f'"));
        assert!(words(ssh, Way::Unknown, WebMerge::No).contains("'--forge'"));
        let no_merges = "ways = [\"web\"]\nweb_merges = \"refuse\"";
        assert!(words(no_merges, Way::Web, WebMerge::Unknown).contains("does not say whether it merged"));
        assert!(
            words("web_merges = \"refuse\"", Way::Unknown, WebMerge::Unknown)
                .starts_with("nothing says whether")
        );
    }

    #[test]
    fn only_what_can_be_meant_is_read() {
        assert_eq!(demand("ways = [\"web\", \"ssh\", \"web\"]").ways, Some(vec![Way::Ssh, Way::Web]));
        assert!(matches!(parse("ways = []"), Err(PolicyError::Empty { key: "ways", .. })));
        for line in ["ways = [\"unknown\"]", "ways = [\"https\"]", "ways = \"ssh\"", "web_merges = \"maybe\""]
        {
            assert!(matches!(parse(line), Err(PolicyError::Syntax { line: 7, .. })), "{line}");
        }
        assert!(matches!(
            parse("web_merge = \"allow\""),
            Err(PolicyError::UnknownKey { suggestion: Some(key), .. }) if key == "web_merges"
        ));
        // On its pages nobody has a key to sign a push with.
        let web = "push_certificate = \"require\"\nways = [\"web\"]";
        assert!(matches!(
            parse(web),
            Err(PolicyError::Contradiction { keys: ["push_certificate", "ways"], .. })
        ));
        parse(&web.replace("[\"web\"]", "[\"web\", \"ssh\"]")).unwrap();
    }

    #[test]
    fn what_is_asked_is_in_the_digest() {
        let digest = |rule: &str| {
            let policy = parse(rule).unwrap();
            policy.commit_rule_digest(&policy.rules()[0], |_| None).unwrap()
        };
        let rules = [
            "",
            "ways = [\"ssh\"]",
            "ways = [\"http\", \"ssh\"]",
            "ways = [\"ssh\"]\nweb_merges = \"allow\"",
            "ways = [\"ssh\", \"web\"]",
            "ways = [\"ssh\", \"web\"]\nweb_merges = \"refuse\"",
            "web_merges = \"refuse\"",
        ];
        let digests: std::collections::BTreeSet<_> = rules.iter().map(|rule| digest(rule)).collect();
        assert_eq!(digests.len(), rules.len());
        assert_eq!(digest("web_merges = \"allow\""), digest(""), "it asks nothing");
        assert_eq!(digest("ways = [\"ssh\", \"http\"]"), digest("ways = [\"http\", \"ssh\"]"));
    }

    #[test]
    fn what_a_forge_never_says_is_found_before_anybody_pushes() {
        let found = |rule: &str, kind: &str| -> Vec<Finding> {
            let kind = ForgeKind::from_word(kind).unwrap();
            parse(rule).unwrap().check_for(&Forge { kind, name: "f".to_owned() })
        };
        let never = |rule: &str, kind: &str| {
            matches!(&found(rule, kind)[..], [Finding::WayNeverTold { is_all: true, .. }])
        };
        for (rule, met) in [
            ("ways = [\"ssh\"]", &["gitea", "forgejo", "gitlab", "github", "gitolite"][..]),
            ("ways = [\"http\"]", &["gitea", "forgejo", "gitlab", "gitolite", "http"]),
            ("ways = [\"web\"]", &["gitea", "forgejo", "gitlab", "github", "bitbucket"]),
        ] {
            for kind in ForgeKind::words() {
                assert_eq!(never(rule, kind), !met.contains(&kind), "{rule} {kind}");
                assert!(met.contains(&kind) || !found(rule, kind).is_empty());
            }
        }
        assert!(matches!(
            &found("ways = [\"ssh\", \"http\"]", "github")[..],
            [Finding::WayNeverTold { ways, is_all: false, .. }] if *ways == [Way::Http]
        ));
        // Its merges could still come in.
        assert!(matches!(
            &found("ways = [\"ssh\"]\nweb_merges = \"allow\"", "bitbucket")[..],
            [Finding::WayNeverTold { is_all: false, .. }]
        ));
        for (rule, is_found) in [
            ("web_merges = \"refuse\"", true),
            ("ways = [\"web\"]\nweb_merges = \"refuse\"", true),
            ("ways = [\"ssh\"]\nweb_merges = \"allow\"", true),
            ("ways = [\"ssh\"]\nweb_merges = \"refuse\"", false),
            ("ways = [\"web\"]", false),
        ] {
            let found = found(rule, "gitlab");
            let expected = Finding::WebMergesNotTold { rule: "r".to_owned(), forge: "gitlab" };
            assert_eq!(found, Vec::from_iter(is_found.then_some(expected)), "{rule}");
        }
        assert_eq!(found("web_merges = \"refuse\"", "gitea"), []);
        for (rule, asks) in [
            ("", false),
            ("web_merges = \"allow\"", false),
            ("web_merges = \"refuse\"", true),
            ("ways = [\"ssh\"]", true),
        ] {
            let nobody = Finding::NobodyTellsWays { rule: "r".to_owned() };
            let found = parse(rule).unwrap().check_without_forge();
            assert_eq!(found, Vec::from_iter(asks.then_some(nobody)), "{rule}");
        }
    }
}
