//! A reader believes a window that is closed only under an anchor of before.

use crate::{
    kinds::{Stage, each, moment, wait_for},
    support::{Repository, now},
};

/// The exit status and the JSON of `countersign verify` by the policy as it stands.
fn verify(repository: &Repository<'_>, policy: &str, revision: &str) -> (i32, serde_json::Value) {
    let run = repository.countersign(&["verify", "--json", "--policy", policy, revision]);
    let run = run.any_status().any_stdout().any_stderr().check();
    (run.status, serde_json::from_str(&run.text()).unwrap())
}

/// A commit of before a moment that has passed since, one of after it that is dated back, and the moment.
fn before_and_after(stage: &Stage, repository: &Repository<'_>) -> (String, String, i64) {
    let early = stage.commit(repository, "early");
    let moment = now() + 1;
    wait_for(moment);
    let late = stage.commit_at(repository, "late", moment - 3600);
    (early, late, moment)
}

#[test]
fn after_the_end_an_anchor_of_before_decides() {
    each("backdating for a reader", |stage| {
        let kind = stage.kind;
        let repository = stage.world.repository("work", "sha1");
        let (early, late, end) = before_and_after(stage, &repository);
        let name = kind.name;
        let status = |window: &str, anchors: &[(&str, i64)], revision: &str| {
            let (status, json) = verify(&repository, &stage.policy(window, "", anchors), revision);
            (status, json["refusedFor"].as_str().unwrap_or_default().to_owned())
        };
        let refused = |reason: &str| (1, reason.to_owned());
        let good = (0, String::new());
        let open = format!(", until = {}", moment(now() + 3600));
        assert_eq!(status(&open, &[], &early), good, "{name}");
        let until = format!(", until = {}", moment(end));
        let without = if kind.proves_time { good.clone() } else { refused("window") };
        assert_eq!(status(&until, &[], &early), without, "{name}");
        assert_eq!(status(&until, &[(&early, end)], &early), good, "{name}");
        assert_eq!(status(&until, &[(&late, end + 1)], &early), without, "{name}: an anchor of after");
        for anchors in [&[][..], &[(early.as_str(), end)]] {
            assert_eq!(status(&until, anchors, &late), refused("window"), "{name}: dated back");
        }
        let compromised = format!(", compromised = {}", moment(end));
        assert_eq!(status(&compromised, &[], &early), refused("compromised"), "{name}");
        assert_eq!(status(&compromised, &[(&early, end)], &early), good, "{name}");
        assert_eq!(status(&compromised, &[(&early, end)], &late), refused("compromised"), "{name}");
        assert_eq!(status(&compromised, &[(&early, end + 1)], &early), refused("compromised"), "{name}");
    });
}

#[test]
fn tags_need_an_anchor_of_their_own_and_cover_what_they_lead_to() {
    each("anchored tags", |stage| {
        let kind = stage.kind;
        let repository = stage.world.repository("work", "sha1");
        let commit = stage.commit(&repository, "early");
        stage.git(&repository, &["tag", "-s", "-m", "v1", "v1"]).any_stderr().check();
        let tag = repository.id("v1");
        let end = now() + 3600;
        let compromised = format!(", compromised = {}", moment(end));
        let status = |anchor: &str, revision: &str| {
            verify(&repository, &stage.policy(&compromised, "", &[(anchor, end)]), revision).0
        };
        assert_eq!((status(&tag, "v1"), status(&tag, &commit)), (0, 0), "{}", kind.name);
        assert_eq!((status(&commit, "v1"), status(&commit, &commit)), (1, 0), "{}", kind.name);
    });
}

#[test]
fn where_history_is_cut_off_it_cannot_be_told() {
    each("anchors of a shallow clone", |stage| {
        let kind = stage.kind;
        let repository = stage.world.repository("work", "sha1");
        let [one, two, three] = ["one", "two", "three"].map(|message| stage.commit(&repository, message));
        let source = format!("file://{}", repository.path.display());
        let clone = ["clone", "-q", "--depth=1", &source, "clone"];
        stage.world.run("git", &clone).directory(&stage.world.path("")).any_stderr().check();
        let clone = Repository::at(&stage.world, &stage.world.path("clone"));
        let end = now() + 3600;
        let policy = stage.policy(&format!(", compromised = {}", moment(end)), "", &[(&two, end)]);
        let run = clone.countersign(&["inspect", &three]);
        let inspected = run
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "countersign.policy")
            .env("GIT_CONFIG_VALUE_0", &policy);
        inspected.status(2).stdout_holds(&["cannot be told", "git fetch --unshallow"]).check();
        let (_, json) = verify(&clone, &policy, &three);
        assert_eq!(json["status"], "cannot-tell", "{}: {json}", kind.name);
        assert_eq!(verify(&repository, &policy, &three).0, 1, "{}", kind.name);
        assert_eq!(verify(&repository, &policy, &one).0, 0, "{}", kind.name);
    });
}

#[test]
fn git_never_sees_a_good_signature_of_one_who_is_retired() {
    each("what git sees of a retired key", |stage| {
        let kind = stage.kind;
        let repository = stage.world.repository("work", "sha1");
        let (early, late, end) = before_and_after(stage, &repository);
        let program = crate::support::PROGRAM;
        let policy = stage.policy("", &format!("retired = {}", moment(end)), &[]);
        stage.world.configure(&format!(
            "[countersign]\n policy = {policy}\n[gpg]\n program = {program}\n[gpg \"ssh\"]\n program = {program}\n \
             allowedSignersFile = {}\n",
            stage.world.path("allowed").display()
        ));
        let public = |name: &str| std::fs::read_to_string(stage.world.path(name)).unwrap_or_default();
        let allowed = format!("alice {}\nalice cert-authority {}\n", public("alice.pub"), public("ca.pub"));
        let allowed: String =
            allowed.lines().filter(|line| line.contains("ssh-")).map(|line| format!("{line}\n")).collect();
        stage.world.write("allowed", allowed);
        let grade = |revision: &str| {
            let log = repository.git(&["log", "-1", "--format=%G?", revision]);
            log.any_stdout().any_stderr().check().text().trim_end().to_owned()
        };
        assert!(!["G", "Y"].contains(&grade(&late).as_str()), "{}: {}", kind.name, grade(&late));
        assert_eq!(grade(&early) == "G", kind.proves_time, "{}: {}", kind.name, grade(&early));
        for key in ["retired", "compromised"] {
            let identity = format!("{key} = {}", moment(end));
            stage.policy("", &identity, &[(&early, end)]);
            // git asks whose an SSH key is without the content, so no anchor helps there.
            let is_asked = !kind.name.starts_with("ssh");
            assert_eq!(grade(&early) == "G", is_asked, "{}: an anchor shows it", kind.name);
            assert!(!["G", "Y"].contains(&grade(&late).as_str()), "{}: {}", kind.name, grade(&late));
            for anchors in [&[(early.as_str(), end + 1)][..], &[("1".repeat(40).as_str(), end)]] {
                stage.policy("", &identity, anchors);
                let good = kind.proves_time && key == "retired";
                assert_eq!(grade(&early) == "G", good, "{}: {anchors:?}", kind.name);
            }
        }
        stage.policy("", "", &[]);
        assert_eq!(grade(&late), "G", "{}: counted again", kind.name);
        repository.git(&["verify-commit", &late]).any_stderr().check();
        stage.policy("", &format!("retired = {}", moment(end)), &[]);
        repository.git(&["verify-commit", &late]).status(1).any_stderr().check();
        // What an anchor covers was there before its signer counted.
        stage.policy(&format!(", from = {}", moment(end - 1800)), "", &[]);
        let early = stage.commit_at(&repository, "there before", now());
        assert_eq!(grade(&early), "G", "{}", kind.name);
        stage.policy(&format!(", from = {}", moment(end - 1800)), "", &[(&early, end - 3600)]);
        let is_asked = !kind.name.starts_with("ssh") && !kind.proves_time;
        assert_eq!(grade(&early) != "G", is_asked, "{}: an anchor refuses it", kind.name);
    });
}
