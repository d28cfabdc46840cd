//! Approvals that do not count, each with its cause and what to do about it.

use countersign::object::{HashKind, Statement};

use crate::{ALICE, ALICE_AT_HOME, BOB, CAROL, EVE, ID, MAIN, REF, Stage, TWO, policy, support::World};

/// Put `envelope` into the ref under the key of `key`, by git alone.
pub(super) fn plant(stage: &Stage<'_>, key: &Statement, envelope: &[u8]) {
    let blob = stage.work.store("blob", envelope);
    let key = key.key(HashKind::Sha1).unwrap().to_string();
    plant_at(stage, &key[..2], &format!("{}.{blob}", &key[2..]), &blob);
}

fn plant_at(stage: &Stage<'_>, folder: &str, name: &str, blob: &str) {
    let line = |text: String| {
        stage.work.git(&["mktree"]).input(text.as_bytes()).any_stdout().check().text().trim_end().to_owned()
    };
    let tree = line(format!("040000 tree {}\t{folder}\n", line(format!("100644 blob {blob}\t{name}\n"))));
    let commit = stage.work.git(&["commit-tree", "-m", "planted", &tree]).any_stdout().check();
    stage.work.git(&["update-ref", REF, commit.text().trim_end()]).check();
}

/// What would approve the tip of the work tree upon `base`.
pub(super) fn statement(stage: &Stage<'_>, base: Option<&str>) -> Statement {
    Statement {
        repository: ID.to_owned(),
        reference: MAIN.to_owned(),
        base: base.map(|base| base.parse().unwrap()),
        tree: Some(stage.work.id("HEAD^{tree}").parse().unwrap()),
    }
}

/// An envelope signed by `email`.
pub(super) fn signed(stage: &Stage<'_>, email: &str, statement: &Statement) -> Vec<u8> {
    let payload = statement.to_be_signed(HashKind::Sha1);
    let run = stage.work.countersign(&["--status-fd=2", "-bsau", email]).input(&payload);
    let run = run.env("SIGSTORE_ID_TOKEN", stage.world.token(email)).any_stdout().any_stderr();
    statement.envelope(HashKind::Sha1, &run.check().stdout)
}

#[test]
fn an_approval_counts_for_exactly_what_it_names() {
    let world = World::new();
    let stage = Stage::new(&world, TWO);
    let base = stage.work.id("HEAD");
    let tip = stage.commit(ALICE, "a", "a\n");
    let good = statement(&stage, Some(&base));
    let other: countersign::object::ObjectId = stage.work.id(&format!("{base}^{{tree}}")).parse().unwrap();
    let hint = "countersign approve --ref refs/heads/main --base";
    for (statement, said) in [
        (
            Statement { base: Some(tip.parse().unwrap()), ..good.clone() },
            format!("is for the ref as it was at {}", &tip[..12]),
        ),
        (Statement { base: None, ..good.clone() }, "is for a ref that does not exist before".to_owned()),
        (
            Statement { tree: Some(other), ..good.clone() },
            format!("is for another tree, {}", other.to_hex_with_len(12)),
        ),
        (Statement { tree: None, ..good.clone() }, "is for the ref's deletion".to_owned()),
    ] {
        plant(&stage, &statement, &signed(&stage, BOB, &statement));
        stage
            .refused(&["main", REF], &["1 of 2 persons vouches for it ('alice'); an approval ", &said, hint]);
    }
    plant(&stage, &good, &signed(&stage, BOB, &good));
    stage.accepted(&["main", REF]);
}

#[test]
fn what_cannot_count_is_not_taken_in() {
    let world = World::new();
    let stage = Stage::new(&world, TWO);
    let base = stage.work.id("HEAD");
    stage.commit(ALICE, "a", "a\n");
    let good = statement(&stage, Some(&base));
    let refuse = |key: &Statement, envelope: &[u8], parts: &[&str]| {
        plant(&stage, key, envelope);
        stage.refused(&[REF], &[&["refs/countersign/approvals: an approval "], parts].concat());
        // What is refused does not count for anything that comes with it.
        stage.refused(&["main", REF], parts);
    };
    let foreign = Statement { repository: "example.com/fork".to_owned(), ..good.clone() };
    refuse(
        &foreign,
        &signed(&stage, BOB, &foreign),
        &["is for another repository, 'example.com/fork'", "by the policy of this repository"],
    );
    // Made before what it stands on was here.
    let early = Statement { base: Some("1".repeat(40).parse().unwrap()), ..good.clone() };
    refuse(
        &early,
        &signed(&stage, BOB, &early),
        &["is for an update from 111111111111, which is not here", "hint: fetch, and approve"],
    );
    let wild = Statement { reference: "refs/heads/wild/x".to_owned(), ..good.clone() };
    refuse(
        &wild,
        &signed(&stage, BOB, &wild),
        &["under whose rule nothing is approved", "'threshold' or 'approvers'"],
    );
    refuse(
        &good,
        &signed(&stage, EVE, &good),
        &["signed by 'eve@example.com'", "whom the policy does not name", "have the policy's owner add"],
    );
    refuse(&good, b"{}", &["cannot be read: it is no DSSE envelope", "approve it again"]);
    // Bob's signature over something else, and the other way round.
    let other = Statement { tree: None, ..good.clone() };
    refuse(&good, &signed(&stage, BOB, &other), &["does not stand under its own name"]);
    let armor =
        countersign::object::Approval::parse(HashKind::Sha1, &signed(&stage, BOB, &other)).unwrap().signature;
    refuse(&good, &good.envelope(HashKind::Sha1, &armor), &["the content was changed after signing"]);
    // A signature on a commit is none on an approval.
    let armor = stage.work.sign(&stage.work.object("commit", "HEAD"));
    refuse(&good, &good.envelope(HashKind::Sha1, &armor), &["the content was changed after signing"]);
    refuse(&good, &good.envelope(HashKind::Sha1, b"no armor"), &["holds no signature"]);

    let blob = stage.work.store("blob", &signed(&stage, BOB, &good));
    plant_at(&stage, "ab", "cd", &blob);
    stage.refused(&[REF], &["does not stand under its own name: 'ab/cd'", "countersign approve --fetch"]);
    plant_at(&stage, "readme", "x", &blob);
    stage.refused(&[REF], &["does not stand under its own name: 'readme'"]);
}

#[test]
fn the_ref_only_grows() {
    let world = World::new();
    let stage = Stage::new(&world, TWO);
    let base = stage.work.id("HEAD");
    stage.commit(ALICE, "a", "a\n");
    stage.approve(BOB, &[]);
    stage.accepted(&[REF]);
    let (before, good) = (stage.work.id(REF), statement(&stage, Some(&base)));
    // Whether the history goes on or not, what was kept is kept.
    let tree = stage.work.git(&["mktree"]).input(b"").any_stdout().check().text();
    let emptied = ["commit-tree", "-m", "emptied", "-p", &before, tree.trim_end()];
    let emptied = stage.work.git(&emptied).any_stdout().check().text();
    stage.work.git(&["update-ref", REF, emptied.trim_end()]).check();
    stage.refused(&[REF], &["an approval is taken away or changed", "countersign approve --fetch"]);
    plant(&stage, &good, &signed(&stage, CAROL, &good));
    stage.refused(&[&format!("+{REF}")], &["an approval is taken away or changed"]);
    stage.refused(&[&format!(":{REF}")], &["the ref may not be deleted"]);
    assert_eq!(stage.server.id(REF), before);
}

#[test]
fn whoever_counts_no_longer_has_not_approved() {
    let world = World::new();
    let stage = Stage::new(&world, TWO);
    stage.commit(ALICE, "a", "a\n");
    stage.approve(BOB, &[]);
    stage.accepted(&[REF]);
    let text = policy(&world, TWO);
    let with = |old: &str, new: &str| {
        assert!(text.contains(old));
        world.write("policy.toml", text.replace(old, new));
    };
    let bob = "subject = \"bob@example.com\"";
    with(bob, &format!("{bob}, compromised = 2020-01-01T00:00:00Z"));
    let parts = ["an approval does not count: signed by 'bob@example.com'", "others may hold the key since"];
    stage.refused(&["main"], &parts);
    let why = stage.unapproved(BOB, &[]);
    assert!(why.contains("others may hold the key since"), "{why}");
    with("[identity.bob]\n", "[identity.bob]\nretired = 2020-01-01T00:00:00Z\n");
    // Nobody is sent to somebody whose approval would count for nothing.
    let parts = [
        "an approval does not count",
        "counted until 2020-01-01",
        "hint: have 'carol' run 'countersign approve",
    ];
    stage.refused(&["main"], &parts);
    let check =
        || world.countersign(&["policy", "check", "policy.toml"]).any_status().any_stdout().any_stderr();
    let said = check().check().text();
    assert!(!said.contains("wants 2 persons"), "two are left: {said}");
    let two_retired =
        text.replace("[identity.carol]\n", "[identity.carol]\nretired = 2020-01-01T00:00:00Z\n");
    let two_retired =
        two_retired.replace("[identity.bob]\n", "[identity.bob]\nretired = 2020-01-01T00:00:00Z\n");
    world.write("policy.toml", two_retired);
    let said = check().check().text();
    assert!(
        said.contains("wants 2 persons to vouch, and of those who may 1 have a signer that counts now"),
        "{said}"
    );
    stage.refused(&["main"], &["hint: nobody else may approve it; have the policy's owner add approvers"]);
    with("[identity.bob]\n", "[identity.bob]\nretired = 2020-01-01T00:00:00Z\n");
    let why = stage.unapproved(BOB, &[]);
    assert!(why.contains("counted until 2020-01-01") && why.contains("a key that counts now"), "{why}");
    with(bob, &format!("{bob}, from = 2100-01-01T00:00:00Z"));
    stage.refused(&["main"], &["counts from 2100-01-01"]);
    // Not one of the rule's any more, or of nobody's.
    with("\"bob\", \"carol\"]", "\"carol\"]");
    stage.refused(&["main"], &["where only 'alice' or 'carol' may"]);
    // Whoever retired after the approval had still approved.
    with("[identity.bob]\n", "[identity.bob]\nretired = 2100-01-01T00:00:00Z\n");
    stage.accepted(&["main"]);
}

#[test]
fn machines_are_no_persons_unless_they_are_named_as_such() {
    let world = World::new();
    let stage = Stage::new(&world, TWO);
    let text = policy(&world, TWO);
    // Alice's second address is a robot's now, and a machine by another signer.
    let home = format!("kind = \"email\", subject = \"{ALICE_AT_HOME}\" }}]");
    let robot = text.replace(
        &format!(", {{ instance = \"sandbox\", issuer = \"{}\", {home}", world.url()),
        &format!(
            "]\n[identity.robot]\nkeyless = [{{ instance = \"sandbox\", issuer = \"{0}\", {1}, \
             {{ instance = \"sandbox\", issuer = \"{0}\", kind = \"uri\", subject = \"spiffe://example.com/robot\" }}]",
            world.url(),
            home.trim_end_matches(']'),
        ),
    );
    assert_ne!(robot, text);
    let robot = robot.replace("\"carol\"]", "\"carol\", \"robot\"]");
    world.write("policy.toml", &robot);
    stage.commit(ALICE, "a", "a\n");
    let why = stage.unapproved(ALICE_AT_HOME, &[]);
    assert!(why.contains("('robot'), where only 'alice' or 'bob' or 'carol' may"), "{why}");
    stage.work.git(&["reset", "-q", "--hard", "origin/main"]).check();
    stage.commit(ALICE_AT_HOME, "a", "a\n");
    stage.refused(&["main"], &["0 of 2 persons vouch for it"]);
    stage.approve(BOB, &[]);
    stage.refused(&["main", REF], &["1 of 2 persons vouches for it ('bob')"]);
    // A group that holds it does not name it.
    let group = "[group.all]\nmembers = [\"alice\", \"bob\", \"carol\", \"robot\"]\n";
    world.write(
        "policy.toml",
        robot.replace("threshold = 2\n", "threshold = 2\napprovers = [\"all\"]\n") + group,
    );
    stage.refused(&["main", REF], &["1 of 2 persons vouches for it ('bob')"]);
    let named = robot.replace("threshold = 2\n", "threshold = 2\napprovers = [\"all\", \"robot\"]\n") + group;
    world.write("policy.toml", named);
    stage.accepted(&["main", REF]);
}
