//! Whoever has signed the push vouches for all of it.

use crate::{
    ALICE, BOB, CAROL, Stage, TWO,
    support::{World, skipped},
};

/// A stage whose server asks for push certificates.
fn stage<'w>(world: &'w World, rules: &str) -> Stage<'w> {
    let stage = Stage::new(world, rules);
    stage.server.git(&["config", "receive.certNonceSeed", "a seed that is no secret here"]).check();
    stage.server.git(&["config", "receive.advertisePushOptions", "true"]).check();
    stage.server.git(&["config", "gpg.x509.program", "true"]).check();
    let (server, policy) = (stage.server.path.to_str().unwrap(), world.path("policy.toml"));
    let install = ["hook", "install", "--repository", server, "--policy", policy.to_str().unwrap()];
    let install = [&install[..], &["--address", server]].concat();
    world.countersign(&install).any_stdout().any_stderr().check();
    stage
}

/// `git push --signed` as `email`; the exit status and what is said.
fn push(stage: &Stage<'_>, email: &str) -> (i32, String) {
    // What is signed in one second for the same push is the same, and counts once.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let run = stage.work.git(&["push", "-q", "--signed", "origin", "main"]);
    let run = run.env("SIGSTORE_ID_TOKEN", stage.world.token(email)).any_status().any_stderr();
    let run = run.any_stdout().check();
    (run.status, run.words())
}

#[test]
fn whoever_pushes_what_somebody_else_has_signed_is_the_second() {
    let world = World::new();
    let stage = stage(&world, TWO);
    stage.commit(ALICE, "a", "a\n");
    let (status, words) = push(&stage, ALICE);
    assert_ne!(status, 0);
    assert!(words.contains("1 of 2 persons vouches for it ('alice')"), "{words}");
    let (status, words) = push(&stage, BOB);
    assert_eq!(status, 0, "{words}");
    // What Bob has signed himself takes somebody else.
    stage.commit(BOB, "b", "b\n");
    assert_ne!(push(&stage, BOB).0, 0);
    assert_eq!(push(&stage, CAROL).0, 0);
}

#[test]
fn whoever_may_not_approve_does_not_vouch_by_pushing() {
    let world = World::new();
    let stage = stage(&world, &(TWO.to_owned() + "approvers = [\"carol\"]\n"));
    stage.commit(ALICE, "a", "a\n");
    let (status, words) = push(&stage, BOB);
    assert_ne!(status, 0);
    assert!(words.contains("1 of 2 persons vouches for it ('alice')"), "{words}");
    assert_eq!(push(&stage, CAROL).0, 0);
}

/// Make a key of SSH's for `name`; its public half.
fn key(world: &World, name: &str) -> String {
    let path = world.path(name);
    let make = ["-q", "-t", "ed25519", "-N", "", "-C", "x", "-f", path.to_str().unwrap()];
    world.run("ssh-keygen", &make).check();
    std::fs::read_to_string(world.path(&format!("{name}.pub"))).unwrap().trim_end().to_owned()
}

/// `git push --signed` with the key or certificate in the file `key`; the exit status and what is said.
fn push_with_key(stage: &Stage<'_>, key: &str) -> (i32, String) {
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let key = format!("user.signingKey={}", stage.world.path(key).display());
    let push =
        ["-c", "gpg.format=ssh", "-c", "gpg.ssh.program=ssh-keygen", "-c", &key, "push", "-q", "--signed"];
    let run = stage.work.git(&[&push[..], &["origin", "main"]].concat());
    let run = run.any_status().any_stderr().any_stdout().check();
    (run.status, run.words())
}

#[test]
fn a_push_counts_only_by_a_signature_that_meets_the_rules_demands() {
    if skipped("signed pushes with ssh and a rule that demands proof", "ssh-keygen") {
        return;
    }
    let world = World::new();
    let dave = format!("[identity.dave]\nssh = [\"{}\"]\n", key(&world, "dave"));
    let rules = format!("{dave}{}", TWO.replace("\"carol\"", "\"carol\", \"dave\""));
    let stage = stage(&world, &format!("{rules}proof = \"log\"\n"));
    stage.commit(ALICE, "a", "a\n");
    // Nothing proves when Dave has signed, where the rule asks for that; who he is is not in doubt.
    let (status, words) = push_with_key(&stage, "dave");
    assert_ne!(status, 0, "{words}");
    assert!(words.contains("1 of 2 persons vouches for it ('alice')"), "{words}");
    crate::policy(&world, &format!("{rules}instances = [\"sandbox\"]\n"));
    let (status, words) = push_with_key(&stage, "dave");
    assert_eq!(status, 0, "a key has no instance, as in an approval: {words}");
    crate::policy(&world, &format!("{rules}proof = \"log\"\n"));
    stage.commit(ALICE, "b", "b\n");
    assert_ne!(push_with_key(&stage, "dave").0, 0);
    assert_eq!(push(&stage, BOB).0, 0);
}

#[test]
fn a_certificate_for_several_counts_for_none_whom_the_policy_tells_apart() {
    if skipped("signed pushes with a certificate of ssh's", "ssh-keygen") {
        return;
    }
    let world = World::new();
    let authority = key(&world, "ca");
    key(&world, "both");
    let (authority_path, public) = (world.path("ca"), world.path("both.pub"));
    let sign = ["-q", "-s", authority_path.to_str().unwrap(), "-I", "x", "-n", "dave,erin"];
    world.run("ssh-keygen", &[&sign[..], &[public.to_str().unwrap()]].concat()).any_stderr().check();
    let principal = |name: &str| {
        format!(
            "[identity.{name}]\nssh_certificates = [{{ authority = \"{authority}\", principal = \"{name}\" }}]\n"
        )
    };
    let people = principal("dave") + &principal("erin");
    let with = |names: &str| people.clone() + &TWO.replace("\"carol\"", names);
    let stage = stage(&world, &with("\"carol\", \"dave\", \"erin\""));
    stage.commit(ALICE, "a", "a\n");
    // Of several who count here, nobody knows who it was.
    let (status, words) = push_with_key(&stage, "both-cert.pub");
    assert_ne!(status, 0, "{words}");
    // Nor if only one of them does: the other one may have used it.
    crate::policy(&world, &with("\"dave\""));
    let (status, words) = push_with_key(&stage, "both-cert.pub");
    assert_ne!(status, 0, "{words}");
    // Nor if the other one has left: who has used it is as unclear as before.
    let retired = principal("dave") + &principal("erin") + "retired = 2020-01-01T00:00:00Z\n";
    crate::policy(&world, &(retired + &TWO.replace("\"carol\"", "\"dave\"")));
    let (status, words) = push_with_key(&stage, "both-cert.pub");
    assert_ne!(status, 0, "{words}");
    // A principal that is nobody's here is no other person.
    crate::policy(&world, &(principal("dave") + &TWO.replace("\"carol\"", "\"dave\"")));
    let (status, words) = push_with_key(&stage, "both-cert.pub");
    assert_eq!(status, 0, "{words}");
}
