//! Each check on facts made up for it.

use super::*;
use crate::cli::{gitsign, trust::roots};
use crate::sign::{LogService, RekorVersion};

fn configuration(answer: &[u8]) -> Configuration {
    Configuration::parse(answer).unwrap()
}

fn facts() -> Facts {
    Facts {
        git: None,
        configuration: Ok(configuration(
            b"global\0gpg.format\nx509\0global\0gpg.x509.program\n/usr/bin/countersign\0global\0commit.gpgsign\ntrue\0",
        )),
        program: "countersign".to_owned(),
        unheard: Vec::new(),
        gitsign: Vec::new(),
        policy: Ok(None),
        is_unpinned: false,
        instance: "work".to_owned(),
        root: Ok(Some(root())),
        maximum_age: None,
        plan: Err(Failure::new("no plan", "make one")),
        key: Ok(None),
        identity: Ok(Origin::Nobody),
        agent: Ok(None),
        forwarded: Ok(None),
        remotes: None,
        missing: None,
        committer: Some("a@example.org".to_owned()),
        probes: None,
        now: 0,
    }
}

fn root() -> roots::Facts {
    roots::Facts {
        name: "work".to_owned(),
        digest: [0; 32],
        origin: roots::Origin::BuiltIn,
        since: 0,
        is_updatable: true,
    }
}

fn only(findings: Vec<Finding>) -> Finding {
    let [finding] = <[Finding; 1]>::try_from(findings).unwrap();
    // Whatever is wrong comes with what to do about it.
    assert!(finding.state < State::Warning || !finding.hints.is_empty(), "{finding:?}");
    finding
}

#[test]
fn versions_of_git() {
    for (version, state) in [
        (None, State::Broken),
        (Some("2.33.9"), State::Broken),
        (Some("2.34.1"), State::Warning),
        (Some("2.39.5 (Apple Git-154)"), State::Warning),
        (Some("2.40.0"), State::Well),
        (Some("3.0.0-rc1"), State::Well),
        (Some("new"), State::Warning),
    ] {
        assert_eq!(only(git(version)).state, state, "{version:?}");
    }
}

#[test]
fn who_is_called_by_git() {
    let check = |text: &[u8]| {
        only(super::configuration(&Facts { configuration: Ok(configuration(text)), ..facts() }))
    };
    let well = only(super::configuration(&facts()));
    assert_eq!(well.said, "git calls this program, and signs every commit, and tags on 'git tag -s'");
    let unset = check(b"global\0user.name\nA\0");
    assert_eq!((unset.state, &*unset.hints[0]), (State::Warning, "run 'countersign init'"));
    let other = check(b"global\0gpg.format\nx509\0local\0gpg.x509.program\ngitsign\0");
    assert_eq!(other.state, State::Broken);
    assert!(other.said.contains("'gitsign'"), "{}", other.said);
    assert_eq!(other.hints, ["run 'countersign init --local' in this repository"]);
    let failed = Facts { configuration: Err(Failure::new("no", "do")), ..facts() };
    assert_eq!(only(super::configuration(&failed)).state, State::Broken);
}

#[test]
fn what_the_repository_sets_in_vain_is_named_with_the_command() {
    let finding =
        only(unheard(&[Unheard { key: "gitsign.fulcio".to_owned(), value: "https://evil".to_owned() }]));
    assert_eq!(finding.state, State::Warning);
    assert_eq!(finding.hints, ["if you mean it, run 'countersign init --local --allow gitsign.fulcio'"]);
}

#[test]
fn what_is_left_of_gitsign() {
    let told = |answer: &[u8]| {
        super::gitsign(&gitsign::found(&crate::cli::Environment::default(), &configuration(answer)))
    };
    assert_eq!(only(told(b"global\0gitsign.issuer\nx\0")).state, State::Well);
    assert_eq!(only(told(b"global\0gitsign.rekormode\nonline\0")).state, State::Note);
    let refused = only(told(b"system\0gitsign.fulcioroot\n/x\0"));
    assert_eq!(refused.state, State::Broken);
    assert!(refused.hints[0].contains("countersign trust add"), "{refused:?}");
    // What the repository says is not heard, and told elsewhere.
    assert_eq!(told(b"local\0gitsign.fulcioroot\n/x\0"), []);
}

#[test]
fn the_age_of_a_trusted_root() {
    let check = |root, maximum_age, days: i64| {
        only(trusted_root(&Facts { root, maximum_age, now: days * 86_400, ..facts() })).state
    };
    assert_eq!(check(Ok(Some(root())), None, 180), State::Well);
    assert_eq!(check(Ok(Some(root())), None, 181), State::Warning);
    assert_eq!(check(Ok(Some(root())), Some(10), 11), State::Broken);
    assert_eq!(check(Ok(Some(root())), Some(400), 300), State::Well);
    assert_eq!(check(Ok(None), None, 0), State::Broken);
    assert_eq!(check(Err(Failure::new("no JSON", "get it again")), None, 0), State::Broken);
}

#[test]
fn where_an_identity_would_come_from() {
    let plan = SigningPlan {
        fulcio: "https://ca".to_owned(),
        logs: vec![LogService { url: "https://log".to_owned(), version: RekorVersion::V1 }],
        timestamps: Vec::new(),
        logging: Logging::Required,
    };
    let check = |identity, missing| {
        only(super::identity(&Facts { identity, missing, plan: Ok(plan.clone()), ..facts() }))
    };
    assert_eq!(check(Ok(Origin::Provider("Buildkite".to_owned())), None).state, State::Well);
    assert_eq!(check(Ok(Origin::Login("in a browser")), None).state, State::Well);
    assert_eq!(check(Err(Failure::new("expired", "get another")), None).state, State::Broken);
    let nobody = check(Ok(Origin::Nobody), Some("give the job a token"));
    assert_eq!((nobody.state, &*nobody.hints[1]), (State::Broken, "give the job a token"));
}

#[test]
fn who_signs_and_who_commits() {
    let token = |name: &str| {
        Ok(Origin::Token { place: "x".to_owned(), name: name.to_owned(), email: None, remaining: 1 })
    };
    let check = |text: &[u8], identity| {
        only(committer(&Facts { configuration: Ok(configuration(text)), identity, ..facts() })).state
    };
    assert_eq!(check(b"", token("a@example.org")), State::Well);
    assert_eq!(check(b"", token("b@example.org")), State::Warning);
    assert_eq!(check(b"local\0gitsign.matchcommitter\ntrue\0", token("b@example.org")), State::Broken);
    assert_eq!(check(b"", token("repo:a/b:ref:refs/heads/main")), State::Well);
    assert_eq!(check(b"global\0countersign.identity\nb@example.org\0", Ok(Origin::Nobody)), State::Warning);
    assert_eq!(
        check(b"global\0countersign.identity\nc@example.org\0", token("a@example.org")),
        State::Broken
    );
    // The repository cannot say as whom to sign.
    assert_eq!(check(b"local\0countersign.identity\nc@example.org\0", token("a@example.org")), State::Well);
    assert_eq!(only(committer(&Facts { committer: None, ..facts() })).state, State::Warning);
}

#[test]
fn servers_and_their_clocks() {
    let probe = |answer, now| Probe { what: "log", url: "https://log".to_owned(), answer, now };
    let down = || Err("cannot connect to 'log': host not found".to_owned());
    let probes = [probe(Ok(Some(1000)), 1059), probe(down(), 5), probe(Ok(None), 7)];
    let states: Vec<State> = network(Some(&probes)).iter().map(|finding| finding.state).collect();
    assert_eq!(states, [State::Well, State::Broken, State::Well]);
    assert_eq!(only(clock(Some(&probes))).state, State::Well);
    let late = only(clock(Some(&[
        probe(Ok(Some(1000)), 938),
        probe(Ok(Some(1000)), 900),
        probe(Ok(Some(1000)), 900),
    ])));
    assert_eq!(late.state, State::Warning);
    assert!(late.said.starts_with("100 seconds behind the servers"), "{}", late.said);
    assert!(only(clock(Some(&[probe(Ok(Some(0)), 61)]))).said.contains("ahead of"));
    // One liar among three does not move it.
    let liar = [probe(Ok(Some(9_000_000)), 1000), probe(Ok(Some(1000)), 1000), probe(Ok(Some(999)), 1000)];
    assert_eq!(only(clock(Some(&liar))).state, State::Well);
    assert_eq!(only(clock(Some(&[probe(down(), 0)]))).state, State::Note);
    assert_eq!(only(network(None)).state, State::Note);
}

#[test]
fn what_would_be_published_is_told() {
    let address = "a@example.org";
    let check = |instance: &str, text: &[u8], email: Option<&str>| {
        let token = Origin::Token {
            place: "x".to_owned(),
            name: "n".to_owned(),
            email: email.map(str::to_owned),
            remaining: 1,
        };
        let logs = vec![LogService { url: "https://log".to_owned(), version: RekorVersion::V1 }];
        consent(&Facts {
            instance: instance.to_owned(),
            plan: Ok(SigningPlan {
                fulcio: "https://ca".to_owned(),
                logs,
                timestamps: Vec::new(),
                logging: Logging::Required,
            }),
            identity: Ok(token),
            configuration: Ok(configuration(text)),
            ..facts()
        })
    };
    let told = only(check("public-good", b"local\0countersign.publish\na@example.org\0", Some(address)));
    assert_eq!(told.state, State::Note);
    assert!(
        told.hints[0].contains("git config --global --add countersign.publish a@example.org"),
        "{told:?}"
    );
    let agreed = check("public-good", b"global\0countersign.publish\na@example.org\0", Some(address));
    assert_eq!(only(agreed).state, State::Well);
    assert_eq!(check("work", b"", Some(address)), []);
    assert_eq!(check("public-good", b"", None), []);
}

#[test]
fn an_agent_that_cannot_be_used_is_worth_a_word() {
    assert_eq!(only(agent(&Ok(None))).state, State::Well);
    assert_eq!(only(agent(&Ok(Some(2)))).said, "it runs; logins kept: 2");
    assert_eq!(only(agent(&Err(Failure::new("its folder is open", "close it")))).state, State::Warning);
}

#[test]
fn a_forwarded_agent_that_signs_no_more_is_told_with_what_mends_it() {
    let terms = |left: u32, until: i64| ForwardStatus {
        host: "here".to_owned(),
        instance: "sandbox".to_owned(),
        left,
        made: 0,
        until,
        asks: false,
    };
    assert_eq!(forwarded(&Ok(None), 100), []);
    assert_eq!(only(forwarded(&Ok(Some(terms(1, 101))), 100)).state, State::Well);
    for over in [terms(0, 101), terms(1, 100), terms(1, 9)] {
        let told = only(forwarded(&Ok(Some(over)), 100));
        assert_eq!(told.state, State::Warning);
        assert!(told.hints[0].contains("countersign agent forward"), "{told:?}");
    }
}

#[test]
fn who_says_who_counts() {
    let check = |policy, is_unpinned| only(policy_of(policy, is_unpinned));
    fn policy_of(policy: Result<Option<String>, Failure>, is_unpinned: bool) -> Vec<Finding> {
        super::policy(&Facts { policy, is_unpinned, ..facts() })
    }
    assert_eq!(check(Ok(Some("policy 'p'".to_owned())), false).state, State::Well);
    assert_eq!(check(Ok(None), false).state, State::Note);
    assert!(check(Ok(None), true).hints[0].contains("countersign policy pin"));
    assert_eq!(check(Err(Failure::new("unreadable", "mend it")), false).state, State::Broken);
}
