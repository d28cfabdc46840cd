//! A push certificate and the time for judging: a push that is refused because its time was over before its
//! certificate counted has not used it up.

use countersign::hook::{CertificateEnvironment, Outcome, PolicyPlace, PushEnvironment};

use crate::{
    clock::{context, judge},
    crafted::required,
};

#[test]
fn a_certificate_is_used_up_by_no_push_whose_time_was_over_before() {
    let stage = required();
    let commit = stage.commit("first");
    stage.upload("main");
    let zero = "0".repeat(40);
    let commands: Vec<(&str, &str, String)> =
        (0..3).map(|number| (zero.as_str(), commit.as_str(), format!("refs/heads/{number}"))).collect();
    let lines: String = commands.iter().map(|(old, new, name)| format!("{old} {new} {name}\n")).collect();
    let commands: Vec<(&str, &str, &str)> =
        commands.iter().map(|(old, new, name)| (*old, *new, name.as_str())).collect();
    let nonce = stage.nonce();
    let certificate = stage.certificate(&stage.payload(&nonce, &commands));
    let blob = stage.server().store("blob", &certificate);
    let mut context = context(&stage.world, PolicyPlace::File(stage.world.path("policy.toml")));
    context.settings.addresses = vec![stage.path()];
    context.environment = PushEnvironment {
        certificate: CertificateEnvironment {
            id: Some(blob),
            nonce: Some(nonce),
            nonce_status: Some("OK".to_owned()),
            nonce_slop: None,
        },
        ..context.environment
    };
    let used = context.state.join("push-certificates");
    let over = ": the time for judging the push was over ";
    let mut unused = 0;
    for looks in 0.. {
        let judged = judge(&context, &lines, looks);
        if used.exists() {
            // From there on it was claimed; the next look has ended this push all the same.
            assert!(judged.outcome == Outcome::Refused && judged.words.contains(over), "{}", judged.words);
            break;
        }
        assert_eq!(judged.outcome, Outcome::Refused);
        let mut errors = judged.words.lines().filter(|line| line.starts_with("error: "));
        assert!(errors.all(|line| line.contains(over)), "{}", judged.words);
        unused += 1;
    }
    assert_eq!(unused, 3, "before it is read, before its signature is verified, and before it is used up");
    // A claim holds: with all the time there is, it does not count a second time.
    let again = judge(&context, &lines, usize::MAX);
    assert!(again.words.contains("used before"), "{}", again.words);
    std::fs::remove_dir_all(&used).unwrap();
    let judged = judge(&context, &lines, usize::MAX);
    assert_eq!(judged.outcome, Outcome::Accepted, "{}", judged.words);
}
