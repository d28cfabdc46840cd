//! Keys that are lost or replaced, drilled through the hook.

use countersign::sandbox::{Authority, Options, RekorOffer};

use crate::{ALICE, BOB, Draft, MAIN, REF, Stage};

#[test]
fn the_policys_signer_is_lost_and_the_administrator_pins_again() {
    let stage = Stage::new(MAIN);
    let one = stage.author().commit("one");
    stage.accepted(&[&format!("{one}:refs/heads/main")]);
    // Alice cannot sign any more; Bob begins the policy anew, and nobody has to believe him.
    stage.author().git(&["update-ref", "-d", REF]).check();
    let rules = MAIN.replace("[\"alice\"]", "[\"alice\", \"bob\"]");
    let anew = Draft { owners: &["bob"], ..Draft::new(2, &rules) }.publish(&stage, BOB);
    stage.refused(&[&format!("+{REF}:{REF}")], &["does not follow the present one"]);
    // The administrator does, on the server: brings the commit in, points the ref at it and pins it.
    let path = stage.world.path("author");
    let server = stage.server();
    server.git(&["fetch", "-q", path.to_str().unwrap(), &format!("+{REF}:{REF}")]).check();
    let two = stage.author().commit_as(BOB, "two");
    let push = format!("{two}:refs/heads/main");
    stage.refused(&[&push], &["was rewound or is out of date"]);
    stage.install(&anew, &[]).any_stdout().check();
    stage.accepted(&[&push]);
    // Bob's policy goes on from there, and what Alice signs for it counts no more.
    let third = Draft { owners: &["bob"], ..Draft::new(3, &rules) };
    third.publish(&stage, BOB);
    stage.accepted(&[&format!("{REF}:{REF}")]);
}

/// What the old instance signed stays good by its own root; what the new one signs counts once the policy
/// brings its root.
#[test]
fn a_new_authority_and_a_new_log_come_with_a_policy_that_the_old_ones_still_sign() {
    let stage = Stage::new(MAIN);
    let world = &stage.world;
    let one = stage.author().commit("one");
    stage.accepted(&[&format!("{one}:refs/heads/main")]);

    // Another certificate authority with another log, under another name.
    let next = Authority::new(Options { rekor: RekorOffer::V1Only, ..Options::default() }).unwrap();
    let next = next.serve(0).unwrap();
    let root = next.authority().trusted_root_json().to_owned();
    let file = world.write("next.json", &root);
    let config = world.write("next_config.json", next.authority().signing_config_json());
    world.configure(&format!(
        "[countersign \"next\"]\n trustedRoot = {}\n signingConfig = {}",
        file.display(),
        config.display()
    ));
    let by_next = |message: &str| {
        let token = next.authority().issue_id_token(ALICE).unwrap();
        let author = stage.author();
        let commit = ["-c", "countersign.instance=next", "commit", "-q", "--allow-empty", "-m", message];
        author.git(&commit).env("SIGSTORE_ID_TOKEN", token).check();
        author.id("HEAD")
    };
    let two = by_next("two");
    let push = format!("{two}:refs/heads/main");
    stage.refused(&[&push], &["no trusted root in use knows the certificate's authority"]);

    // The policy of the old ones says who the new ones are; from then on either counts.
    let text = Draft::new(2, MAIN).text(world);
    let text = text.replace(
        "[identity.alice]\nkeyless = [",
        &format!(
            "[[instance]]\nname = \"next\"\ntrusted_root = \"next.json\"\n[identity.alice]\nkeyless = [\n\
             {{ instance = \"next\", issuer = \"{}\", kind = \"email\", subject = \"{ALICE}\" }},",
            next.url()
        ),
    );
    world.write("draft/next.json", &root);
    let path = world.write("draft/both.toml", &text);
    let publish = |path: &std::path::Path| {
        stage.author().countersign(&["policy", "publish", path.to_str().unwrap()]).any_stdout()
    };
    publish(&path).check();
    stage.accepted(&[&format!("{REF}:{REF}")]);
    stage.accepted(&[&push]);

    // Then the old ones go: signed by the new, and what they had signed is behind main's value.
    let alone = text
        .replace("serial = 2", "serial = 3")
        .replace("[[instance]]\nname = \"sandbox\"\ntrusted_root = \"sandbox.json\"\n", "")
        .replace(
            &format!(
                "{{ instance = \"sandbox\", issuer = \"{}\", kind = \"email\", subject = \"{ALICE}\" }}",
                world.url()
            ),
            "",
        );
    let bob = alone.find("[identity.bob]").unwrap();
    let rule = alone.find("[[rule]]").unwrap();
    let path = world.write("draft/alone.toml", format!("{}{}", &alone[..bob], &alone[rule..]));
    let token = next.authority().issue_id_token(ALICE).unwrap();
    stage.author().git(&["config", "countersign.instance", "next"]).check();
    world.configure("[countersign]\n instance = next");
    publish(&path).env("SIGSTORE_ID_TOKEN", token).check();
    stage.accepted(&[&format!("{REF}:{REF}")]);
    let three = by_next("three");
    stage.accepted(&[&format!("{three}:refs/heads/main")]);
    let author = stage.author();
    author.git(&["-c", "countersign.instance=sandbox", "commit", "-q", "--allow-empty", "-m", "old"]).check();
    let old = author.id("HEAD");
    stage.refused(&[&format!("{old}:refs/heads/main")], &["no trusted root in use knows"]);
}
