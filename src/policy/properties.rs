//! Properties of policies: two rules with the same digest answer alike about every signer.

use std::fmt::Write as _;

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{Policy, Receipt, SignedBy};
use crate::{
    sigstore::{certificate::SubjectKind, claims::Claims},
    verify::{Identity, ProvenTime},
};

/// Moments as they are written, each with its seconds since 1970.
const MOMENTS: [(&str, i64); 3] = [
    ("2026-01-01T00:00:00Z", 1_767_225_600),
    ("2026-06-01T00:00:00Z", 1_780_272_000),
    ("2027-01-01T00:00:00Z", 1_798_761_600),
];

const SUBJECTS: [&str; 5] = ["a@x", "b@x", "ab@x", "*@x", "a*@x"];
const ISSUERS: [&str; 2] = ["https://i", "https://j"];

/// One way in which somebody signs.
#[derive(Clone, Debug)]
struct Way {
    subject: &'static str,
    issuer: &'static str,
    window: [Option<usize>; 3],
}

impl Way {
    fn any() -> impl Strategy<Value = Self> {
        // Most are without limit, so that policies are alike often enough.
        let moment = || option::weighted(0.15, 0..MOMENTS.len());
        let window = [moment(), moment(), moment()];
        (select(&SUBJECTS[..]), select(&ISSUERS[..]), window).prop_map(|(subject, issuer, window)| Self {
            subject,
            issuer,
            window,
        })
    }

    fn text(&self) -> String {
        let Self { subject, issuer, window } = self;
        let mut text = format!(
            "{{ instance = \"public-good\", issuer = \"{issuer}\", kind = \"email\", subject = \"{subject}\""
        );
        for (key, moment) in ["from", "until", "compromised"].iter().zip(window) {
            if let Some(moment) = moment {
                write!(text, ", {key} = {}", MOMENTS[*moment].0).unwrap();
            }
        }
        text + " }"
    }
}

/// A policy with one rule: who is called what, and whom the rule names.
#[derive(Clone, Debug)]
struct Written {
    identities: Vec<(char, Vec<Way>)>,
    named: Vec<bool>,
    warns: bool,
    limited: bool,
}

impl Written {
    fn any() -> impl Strategy<Value = Self> {
        let identity = vec(Way::any(), 1..3);
        (vec(identity, 1..4), vec(any::<bool>(), 3), prop::bool::weighted(0.1), prop::bool::weighted(0.1))
            .prop_map(|(ways, named, warns, limited)| Self {
                identities: ('a'..).zip(ways).collect(),
                named,
                warns,
                limited,
            })
    }

    fn policy(&self) -> Option<Policy> {
        let mut text = String::from("version = 1\nother_refs = \"refuse\"\n");
        if self.limited {
            text += "[[instance]]\nname = \"public-good\"\nissuers = [\"https://i\"]\n";
        }
        for (name, ways) in &self.identities {
            let ways: Vec<String> = ways.iter().map(Way::text).collect();
            writeln!(text, "[identity.{name}]\nkeyless = [{}]", ways.join(", ")).unwrap();
        }
        let named = self.identities.iter().zip(&self.named).filter(|(_, named)| **named);
        let named: Vec<String> = named.map(|((name, _), _)| format!("\"{name}\"")).collect();
        let mode = if self.warns { "warn" } else { "enforce" };
        write!(
            text,
            "[[rule]]\nname = \"r\"\nrefs = [\"refs/heads/*\"]\ncommits = [{}]\nmode = \"{mode}\"\n",
            named.join(", ")
        )
        .unwrap();
        // Many mean somebody twice, and are refused.
        Policy::parse(&text).ok()
    }
}

fn digest(policy: &Policy) -> [u8; 32] {
    policy.commit_rule_digest(&policy.rules()[0], |_| Some([7; 32])).expect("each instance has a root")
}

/// Whether the rule of `policy` takes the signer with this subject and issuer at each of some times.
fn answers(policy: &Policy) -> Vec<bool> {
    let wanted = policy.rules()[0].commits.wanted().expect("it names somebody");
    let mut answers = Vec::new();
    for subject in ["a@x", "b@x", "ab@x", "c@x"] {
        for issuer in ISSUERS {
            let identity = Identity {
                instance: "public-good".to_owned(),
                issuer: issuer.to_owned(),
                kind: SubjectKind::Email,
                subject: subject.to_owned(),
            };
            for (_, moment) in MOMENTS {
                for time in [moment - 1, moment, moment + 1] {
                    let times = [ProvenTime::Log(time)];
                    let claims = Claims::default();
                    let signer = SignedBy::Proven { identity: &identity, claims: &claims, times: &times };
                    let names = policy.names(signer, &Receipt::without_anchors(MOMENTS[2].1 + 1));
                    answers.push(names.is_ok_and(|names| names.iter().any(|name| wanted.contains(name))));
                }
            }
        }
    }
    answers
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None, max_global_rejects: 100_000, ..ProptestConfig::with_cases(600)
    })]

    #[test]
    fn rules_with_one_digest_answer_alike(
        one in Written::any(), change in (any::<prop::sample::Index>(), Way::any()), other in Written::any(), how in 0..6,
    ) {
        let Some(first) = one.policy() else { return Err(TestCaseError::reject("it is no policy")) };
        let mut changed = one.clone();
        let at = change.0.index(changed.identities.len());
        let mut is_same = false;
        match how {
            // The order of people and their names is nobody's concern.
            0 => {
                changed.identities.reverse();
                let count = changed.identities.len();
                changed.named[..count].reverse();
                changed.identities.iter_mut().for_each(|(name, _)| *name = (b'z' - (*name as u8 - b'a')) as char);
                is_same = true;
            }
            1 => changed.identities[at].1.reverse(),
            2 => changed.identities[at].1.push(change.1),
            3 => changed.identities[at].1[0] = change.1,
            4 => changed.named[at] ^= true,
            _ => changed = other,
        }
        let Some(second) = changed.policy() else { return Err(TestCaseError::reject("it is no policy")) };
        let (digests, decided) = ([digest(&first), digest(&second)], [answers(&first), answers(&second)]);
        prop_assert!(!is_same || digests[0] == digests[1], "another order is another digest");
        if digests[0] == digests[1] {
            prop_assert_eq!(&decided[0], &decided[1], "{:?} and {:?}", one, changed);
        }
    }
}
