//! Whom a policy names, and whom not.

use super::*;
use crate::sigstore::claims::Claim;

const GITHUB_ACTIONS: &str = "https://token.actions.githubusercontent.com";
const SUBJECT: &str = "https://github.com/o/r/.github/workflows/release.yml@refs/heads/main";

/// A policy with these tables, in which everybody may sign.
fn parse(tables: &str) -> Result<Policy, PolicyError> {
    Policy::parse(&format!("version = 1\nother_refs = \"refuse\"\n{tables}"))
}

fn keyless(issuer: &str, kind: &str, subject: &str, more: &str) -> String {
    format!(
        "{{ instance = \"public-good\", issuer = \"{issuer}\", kind = \"{kind}\", subject = \"{subject}\"{more} }}"
    )
}

fn identity(issuer: &str, kind: SubjectKind, subject: &str) -> Identity {
    let text = |text: &str| text.to_owned();
    Identity { instance: text("public-good"), issuer: text(issuer), kind, subject: text(subject) }
}

fn names(policy: &Policy, identity: &Identity, claims: &[(Claim, &str)]) -> Result<Vec<String>, Cause> {
    let claims: Claims = claims.iter().copied().collect();
    let signer = SignedBy::Proven { identity, claims: &claims, times: &[ProvenTime::Log(50)] };
    let names = policy.names(signer, &Receipt::without_anchors(100))?;
    Ok(names.into_iter().map(ToOwned::to_owned).collect())
}

#[test]
fn a_pattern_of_subjects_names_many_and_no_issuer_is_one() {
    let mail = |subject: &str| keyless("https://i", "email", subject, "");
    let policy = parse(&format!("[identity.staff]\nkeyless = [{}]\n", mail("*@example.com"))).unwrap();
    let by = |issuer: &str, kind, subject: &str| names(&policy, &identity(issuer, kind, subject), &[]);
    assert_eq!(by("https://i", SubjectKind::Email, "a@example.com").unwrap(), ["staff"]);
    for (issuer, kind, subject) in [
        ("https://j", SubjectKind::Email, "a@example.com"),
        ("https://i", SubjectKind::Username, "a@example.com"),
        ("https://i", SubjectKind::Email, "a@b@example.com"),
        ("https://i", SubjectKind::Email, "a/b@example.com"),
        ("https://i", SubjectKind::Email, "@example.com"),
    ] {
        assert!(matches!(by(issuer, kind, subject), Err(Cause::NotInThePolicy(..))), "{subject}");
    }
    let issuer = keyless("https://*", "email", "a@b", "");
    let refused = parse(&format!("[identity.a]\nkeyless = [{issuer}]\n")).unwrap_err();
    assert!(matches!(refused, PolicyError::SignerPattern(_)));
}

#[test]
fn whom_two_identities_mean_is_nobody() {
    let tables = |one: &str, two: &str| {
        let mail = |subject: &str| keyless("https://i", "email", subject, "");
        parse(&format!(
            "[identity.one]\nkeyless = [{}]\n[identity.two]\nkeyless = [{}]\n",
            mail(one),
            mail(two)
        ))
    };
    for (one, two) in [("*@example.com", "a@example.com"), ("a@example.com", "*@example.com")] {
        let refused = tables(one, two).unwrap_err();
        assert!(matches!(&refused, PolicyError::Ambiguous { names, .. } if *names == ["one", "two"]));
    }
    let policy = tables("*@example.com", "a*@example.com").unwrap();
    let by = |subject: &str| names(&policy, &identity("https://i", SubjectKind::Email, subject), &[]);
    assert_eq!(by("bob@example.com").unwrap(), ["one"]);
    assert!(matches!(by("abe@example.com"), Err(Cause::Ambiguous { names, .. }) if names == ["one", "two"]));
    assert!(matches!(tables("*@a", "*@a").unwrap_err(), PolicyError::DuplicateSigner { .. }));
}

#[test]
fn a_build_is_named_with_its_repository_and_ref() {
    let ci = |issuer: &str, more: &str| {
        parse(&format!("[identity.ci]\nkeyless = [{}]\n", keyless(issuer, "uri", SUBJECT, more)))
    };
    let missing = |issuer: &str, more: &str| match ci(issuer, more).unwrap_err() {
        PolicyError::MissingClaim { key, .. } => key,
        other => panic!("{other}"),
    };
    let (repository, main) = (", repository = \"https://github.com/o/r\"", ", ref = \"refs/heads/main\"");
    for issuer in [GITHUB_ACTIONS, &format!("{GITHUB_ACTIONS}/acme"), "https://gitlab.com"] {
        assert_eq!(missing(issuer, ""), "repository");
        assert_eq!(missing(issuer, repository), "ref");
        assert_eq!(missing(issuer, main), "repository");
    }
    let star = ci(GITHUB_ACTIONS, ", repository = \"https://github.com/o/*\", ref = \"refs/heads/main\"");
    assert!(matches!(star.unwrap_err(), PolicyError::SignerPattern(_)));

    let policy = ci(GITHUB_ACTIONS, &format!("{repository}{main}, trigger = \"push\"")).unwrap();
    let build = identity(GITHUB_ACTIONS, SubjectKind::Uri, SUBJECT);
    let certified = |reference| {
        [(Claim::Repository, "https://github.com/o/r"), (Claim::Ref, reference), (Claim::Trigger, "push")]
    };
    assert_eq!(names(&policy, &build, &certified("refs/heads/main")).unwrap(), ["ci"]);
    for claims in [&certified("refs/heads/other")[..], &certified("refs/heads/main")[..2], &[]] {
        assert!(matches!(names(&policy, &build, claims), Err(Cause::NotInThePolicy(..))), "{claims:?}");
    }

    let pasted = file::policy_entry(&build, &certified("refs/heads/main").into_iter().collect()).unwrap();
    assert!(parse(&format!("[identity.ci]\nkeyless = [{pasted}]\n")).is_ok(), "{pasted}");
    let vague = [(Claim::Repository, "https://github.com/o/r")].into_iter().collect();
    assert_eq!(file::policy_entry(&build, &vague), None, "it would not parse");
}

#[test]
fn an_instance_may_have_issuers_of_builds_of_its_own() {
    let instance =
        "[[instance]]\nname = \"public-good\"\ntrusted_root = \"r\"\nci_issuers = [\"https://ci\"]\n";
    let with = |kind: &str| {
        let signer = keyless("https://ci", kind, "a@b", "");
        parse(&format!("{instance}[identity.a]\nkeyless = [{signer}]\n"))
    };
    assert!(matches!(with("uri").unwrap_err(), PolicyError::MissingClaim { .. }));
    assert!(with("email").is_ok(), "people may log in there besides");
}

#[test]
fn a_forges_key_is_no_person() {
    let refused = |tables: &str| parse(tables).unwrap_err();
    for fingerprint in GITHUB.1 {
        let tables = format!("[identity.a]\nopenpgp = [\"{}\"]\n", fingerprint.to_lowercase());
        assert!(matches!(refused(&tables), PolicyError::ForgeKey { forge, .. } if forge == "github"));
    }
    let key = "A".repeat(40);
    let forge = format!("[[forge]]\nname = \"ours\"\nopenpgp = [\"{key}\"]\n");
    let both = format!("{forge}[identity.a]\nopenpgp = [\"{key}\"]\n");
    assert!(matches!(refused(&both), PolicyError::ForgeKey { forge, .. } if forge == "ours"));
    assert!(matches!(refused(&format!("{forge}{forge}")), PolicyError::DuplicateName { .. }));
    assert!(matches!(refused("[[forge]]\nname = \"x\"\n"), PolicyError::Empty { .. }));

    let policy = parse(&forge).unwrap();
    for (fingerprint, name) in [(key.as_str(), "ours"), (GITHUB.1[0], "github")] {
        let keys = [Key::OpenPgp { fingerprint: fingerprint.to_owned() }];
        let cause = policy
            .names(SignedBy::Stated { keys: &keys, time: None }, &Receipt::without_anchors(0))
            .unwrap_err();
        assert!(matches!(&cause, Cause::Forge { forge, .. } if forge == name), "{cause}");
        assert!(cause.to_string().contains("for whoever was logged in"), "{cause}");
    }
}

#[test]
fn moments_stand_beside_signers_and_identities() {
    let key = |digit: &str, more: &str| format!("{{ fingerprint = \"{}\"{more} }}", digit.repeat(40));
    let with = |lines: &str| parse(&format!("[identity.a]\n{lines}\n"));
    let window = |lines: &str| with(lines).unwrap().identities()[0].keys[0].window;
    let from_until = ", from = 1970-01-01T00:00:10Z, until = \"1970-01-01T02:00:20+02:00\"";
    assert_eq!(
        window(&format!("openpgp = [{}]", key("A", from_until))),
        Window { from: Some(10), until: Some(20), compromised: None }
    );
    let outer = "retired = 1970-01-01T00:00:15Z\ncompromised = 1970-01-01T00:00:05Z";
    assert_eq!(
        window(&format!("openpgp = [{}]\n{outer}", key("A", from_until))),
        Window { from: Some(10), until: Some(15), compromised: Some(5) }
    );
    for moment in [
        "1970-01-01",
        "1970-01-01T00:00:10",
        "00:00:10",
        "1970-01-01T00:00:10.5Z",
        "\"1970-01-01T00:00Z\"",
        "1969-12-31T23:59:59Z",
        "\"1970-01-01T00:00:10Z[UTC]\"",
        "\"soon\"",
    ] {
        let refused = with(&format!("openpgp = [{}]", key("A", &format!(", until = {moment}"))));
        let refused = refused.unwrap_err();
        assert!(matches!(refused, PolicyError::Moment { key: "until", .. }), "{moment}: {refused}");
    }
    assert!(matches!(
        with(&format!("openpgp = [{}]", key("A", ", until = 10"))).unwrap_err(),
        PolicyError::Syntax { .. }
    ));
    let empty = ", from = 1970-01-01T00:00:10Z, until = 1970-01-01T00:00:10Z";
    let refused = with(&format!("openpgp = [{}]", key("A", empty))).unwrap_err();
    assert_eq!(refused, PolicyError::EmptyWindow { place: "identity 'a'".to_owned() });
}

#[test]
fn who_counted_once_is_named_in_the_refusal() {
    let lines = "[identity.a]\nretired = 1970-01-01T00:01:40Z\n";
    let policy = parse(&format!("{lines}openpgp = [\"{}\"]\n", "A".repeat(40))).unwrap();
    let keys = [Key::OpenPgp { fingerprint: "A".repeat(40) }];
    let judge = |now| {
        let signer = SignedBy::Stated { keys: &keys, time: Some(50) };
        policy.names(signer, &Receipt::without_anchors(now)).map(|names| names[0].to_owned())
    };
    assert_eq!(judge(99).unwrap(), "a");
    let cause = judge(100).unwrap_err();
    assert!(
        matches!(&cause, Cause::Lapsed { name, lapse: Lapse::Over { until: 100, .. }, .. } if name == "a")
    );
    let words = format!(
        "signed by 'OpenPGP {}' ('a'), who counted until 1970-01-01 00:01:40 UTC, and the object came at \
         1970-01-01 00:01:40 UTC without an anchor that covers it",
        "A".repeat(40)
    );
    assert_eq!(cause.to_string(), words);
}

#[test]
fn what_is_said_of_one_goes_before_what_is_said_of_many() {
    let lapsed = |judged: Result<Vec<&str>, Cause>| match judged {
        Err(Cause::Lapsed { lapse, .. }) => Some(lapse),
        Ok(_) => None,
        Err(other) => panic!("{other}"),
    };
    let compromised = ", compromised = 1970-01-01T00:00:40Z";
    let ended = ", until = 1970-01-01T00:00:40Z";
    let mail = |subject: &str, more: &str| keyless("https://i", "email", subject, more);
    let lapse = |signers: [String; 2], subject: &str| {
        let policy = parse(&format!("[identity.a]\nkeyless = [{}]\n", signers.join(", "))).unwrap();
        let identity = identity("https://i", SubjectKind::Email, subject);
        let (claims, times) = (Claims::default(), [ProvenTime::Log(50)]);
        let signer = SignedBy::Proven { identity: &identity, claims: &claims, times: &times };
        lapsed(policy.names(signer, &Receipt::without_anchors(100)))
    };
    let all = || mail("*@a", "");
    assert_eq!(lapse([all(), mail("bob@a", ended)], "eve@a"), None);
    assert!(matches!(lapse([all(), mail("bob@a", ended)], "bob@a"), Some(Lapse::Over { .. })));
    assert_eq!(lapse([all(), mail("bob@a", compromised)], "bob@a"), Some(Lapse::Compromised(40)));
    assert_eq!(lapse([mail("*@a", compromised), mail("bob@a", "")], "bob@a"), Some(Lapse::Compromised(40)));
    assert_eq!(lapse([mail("*@a", ended), mail("bob@a", "")], "bob@a"), None, "bob has stayed");

    let authority = "[[certificate_authority]]\nname = \"ca\"\nfile = \"ca.pem\"\n";
    let lapse = |address: &str, more: &str| {
        let fingerprint = "A".repeat(64);
        let policy = parse(&format!(
            "{authority}[identity.a]\nx509 = [{{ authority = \"ca\", subject = \"bob@a\"{address} }}, \
             {{ authority = \"ca\", certificate = \"{fingerprint}\"{more} }}]\n"
        ));
        let authority = || "ca".to_owned();
        let keys = [
            Key::X509 { authority: authority(), subject: "bob@a".to_owned() },
            Key::X509Certificate { authority: authority(), fingerprint },
        ];
        let signer = SignedBy::Stated { keys: &keys, time: Some(10) };
        lapsed(policy.unwrap().names(signer, &Receipt::without_anchors(100)))
    };
    assert_eq!(lapse("", ""), None);
    assert_eq!(lapse("", compromised), Some(Lapse::Compromised(40)), "a stolen certificate");
    assert!(matches!(lapse("", ended), Some(Lapse::Over { .. })));
    assert_eq!(lapse(compromised, ""), Some(Lapse::Compromised(40)), "whoever gets certificates for bob");
    assert_eq!(lapse(ended, ""), None, "of this certificate more is said");
}

#[test]
fn one_compromised_principal_spoils_the_certificate() {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";
    let judge = |more: &str| {
        let policy = parse(&format!(
            "[identity.a]\nssh_certificates = [{{ authority = \"{key}\", principal = \"one\"{more} }}, \
             {{ authority = \"{key}\", principal = \"two\" }}]\n"
        ));
        let policy = policy.unwrap();
        let keys: Vec<Key> = policy.identities()[0].keys.iter().map(|signer| signer.key.clone()).collect();
        let signer = SignedBy::Stated { keys: &keys, time: Some(10) };
        policy
            .names(signer, &Receipt::without_anchors(100))
            .map(|names| names.len())
            .map_err(|cause| cause.to_string())
    };
    assert_eq!(judge(""), Ok(2));
    assert_eq!(judge(", until = 1970-01-01T00:00:40Z"), Ok(1));
    let refused = judge(", compromised = 1970-01-01T00:00:40Z").unwrap_err();
    assert!(refused.contains("others may hold the key"), "{refused}");
}

#[test]
fn whoever_has_left_may_still_hold_a_certificate_for_several() {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";
    let policy = parse(&format!(
        "[identity.a]\nretired = 1970-01-01T00:00:40Z\n\
         ssh_certificates = [{{ authority = \"{key}\", principal = \"one\" }}]\n\
         [identity.b]\nssh_certificates = [{{ authority = \"{key}\", principal = \"two\" }}]\n"
    ));
    let policy = policy.unwrap();
    let keys: Vec<Key> =
        policy.identities().iter().flat_map(|one| &one.keys).map(|one| one.key.clone()).collect();
    let signer = SignedBy::Stated { keys: &keys, time: Some(10) };
    assert_eq!(policy.names(signer, &Receipt::without_anchors(100)), Ok(vec!["b"]));
    assert_eq!(policy.holders(&keys), ["a", "b"].into());
    assert_eq!(policy.holders(&keys[1..]), ["b"].into());
}

#[test]
fn anchors_and_the_repository_are_read() {
    let anchor = |object: &str, received: &str| {
        parse(&format!("repository = \"r\"\n[[anchor]]\nobject = \"{object}\"\nreceived = {received}\n"))
    };
    let id = "1".repeat(40);
    let policy = anchor(&id, "1970-01-01T00:00:10Z").unwrap();
    assert_eq!((policy.repository(), policy.anchors()[0].received), (Some("r"), 10));
    for object in ["1", &"1".repeat(39), &"0".repeat(40), &"A".repeat(40), "refs/heads/main"] {
        let refused = anchor(object, "1970-01-01T00:00:10Z").unwrap_err();
        assert!(matches!(refused, PolicyError::AnchorObject(_)), "{object}");
    }
    assert!(matches!(anchor(&id, "1970-01-01").unwrap_err(), PolicyError::Moment { key: "received", .. }));
    assert!(matches!(parse("repository = \"\"").unwrap_err(), PolicyError::Repository(_)));
}

proptest::proptest! {
    #[test]
    fn no_star_crosses_slash_or_at(before in "[a@/]{0,3}", after in "[a@/]{0,3}", subject in "[ab@/]{0,8}") {
        let pattern = SubjectPattern::parse(&format!("{before}*{after}")).unwrap();
        let count = |text: &str| text.matches(['@', '/']).count();
        if pattern.matches(&subject) {
            proptest::prop_assert_eq!(count(&subject), count(&before) + count(&after));
            proptest::prop_assert!(subject.len() > before.len() + after.len());
        }
    }
}
