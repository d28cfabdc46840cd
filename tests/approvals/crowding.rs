//! Whoever may push approvals keeps nobody else's out, however many they bring.

use countersign::object::{HashKind, ObjectId, Statement};

use crate::{
    ALICE, ALICE_AT_HOME, BOB, CAROL, REF, Stage, TWO, policy,
    refusals::{signed, statement},
    support::{Repository, World},
};

/// The rule for the branch, for three persons.
fn three() -> String {
    TWO.replace("threshold = 2", "threshold = 3")
}

/// `envelope` written in so many ways, which are all the same signature.
fn spellings(envelope: &[u8], count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|spaces| [envelope, " ".repeat(spaces).as_bytes()].concat()).collect()
}

/// Have the ref of `repository` keep all of `envelopes` under the key of `statement` besides what it keeps.
fn keep(repository: &Repository<'_>, statement: &Statement, envelopes: &[Vec<u8>]) {
    let key = statement.key(HashKind::Sha1).unwrap().to_string();
    let mut stream =
        format!("commit {REF}\ncommitter C <c@example.com> 1700000000 +0000\ndata 1\n.\n").into_bytes();
    if repository.has(REF) {
        stream.extend(format!("from {}\n", repository.id(REF)).into_bytes());
    }
    for envelope in envelopes {
        let blob: ObjectId = repository.store("blob", envelope).parse().unwrap();
        stream.extend(format!("M 100644 {blob} {}/{}.{blob}\n", &key[..2], &key[2..]).into_bytes());
    }
    repository.git(&["fast-import", "--quiet", "--force"]).input(stream).any_stdout().any_stderr().check();
}

#[test]
fn one_approval_in_many_spellings_keeps_no_other_out() {
    let world = World::new();
    let stage = Stage::new(&world, &three());
    let base = stage.work.id("HEAD");
    stage.commit(ALICE, "a", "a\n");
    let wanted = statement(&stage, Some(&base));
    let bobs = signed(&stage, BOB, &wanted);
    // As many as were ever read, all of them good, all of them Bob's.
    keep(&stage.work, &wanted, &spellings(&bobs, 64));
    let words = stage.refused(
        &[REF],
        &[
            "an approval is one more of the same update by 'bob', which counts once and is kept already",
            "hint: leave it out",
        ],
    );
    assert!(!words.contains("too many"), "{words}");
    stage.work.git(&["update-ref", "-d", REF]).check();
    // From each place where somebody works there may be one; the next one is refused whenever it comes.
    keep(&stage.work, &wanted, &spellings(&bobs, 4));
    stage.accepted(&[REF]);
    let before = stage.work.id(REF);
    keep(&stage.work, &wanted, &spellings(&bobs, 5));
    stage.refused(&[REF], &["is one more of the same update by 'bob'"]);
    stage.refused(&["main", REF], &["is one more of the same update by 'bob'"]);
    stage.work.git(&["update-ref", REF, &before]).check();
    // Whoever comes later is heard.
    stage.refused(&["main"], &["2 of 3 persons vouch for it ('alice', 'bob')"]);
    stage.approve(CAROL, &[]);
    stage.accepted(&[REF]);
    stage.accepted(&["main"]);
}

#[test]
fn what_counts_no_longer_keeps_its_own_person_not_out_either() {
    let world = World::new();
    let stage = Stage::new(&world, TWO);
    let base = stage.work.id("HEAD");
    stage.commit(BOB, "a", "a\n");
    let wanted = statement(&stage, Some(&base));
    keep(&stage.work, &wanted, &spellings(&signed(&stage, ALICE, &wanted), 4));
    stage.accepted(&[REF]);
    // That key was lost, and whoever found it has approved four times.
    let text = policy(&world, TWO);
    let alice = "subject = \"alice@example.com\"";
    assert!(text.contains(alice));
    let lost = text.replace(alice, &format!("{alice}, compromised = 2020-01-01T00:00:00Z"));
    world.write("policy.toml", &lost);
    stage.refused(&["main"], &["others may hold the key since"]);
    keep(&stage.work, &wanted, &spellings(&signed(&stage, ALICE_AT_HOME, &wanted), 1));
    stage.accepted(&[REF]);
    stage.accepted(&["main"]);
}

#[test]
fn of_more_than_are_ever_read_it_is_told_that_they_are() {
    let world = World::new();
    let stage = Stage::new(&world, TWO);
    let base = stage.work.id("HEAD");
    stage.commit(ALICE, "a", "a\n");
    let wanted = statement(&stage, Some(&base));
    // Put there while no gate was.
    let key = wanted.key(HashKind::Sha1).unwrap().to_string();
    let mut stream = format!("commit {REF}\ncommitter C <c@example.com> 1700000000 +0000\ndata 1\n.\n");
    for number in 0..1025 {
        let junk = format!("junk {number}");
        let blob = gix_blob(junk.as_bytes());
        stream +=
            &format!("M 100644 inline {}/{}.{blob}\ndata {}\n{junk}\n", &key[..2], &key[2..], junk.len());
    }
    stage.server.git(&["fast-import", "--quiet"]).input(stream).any_stdout().any_stderr().check();
    let hint = "hint: ask the server's administrator to put 'refs/countersign/approvals' aside";
    stage.refused(
        &["main"],
        &[
            "1 of 2 persons vouches for it ('alice')",
            "is of an update of which more are kept than are ever read",
            hint,
        ],
    );
    // Nor is another one taken in, whose signature nobody would look at.
    stage.work.git(&["fetch", "-q", "origin", &format!("+{REF}:{REF}")]).check();
    stage.approve(BOB, &[]);
    stage.refused(&[REF], &["is of an update of which more are kept than are ever read", hint]);
}

/// The id of a blob in a SHA-1 repository.
fn gix_blob(bytes: &[u8]) -> ObjectId {
    gix::objs::compute_hash(HashKind::Sha1, gix::objs::Kind::Blob, bytes).unwrap()
}
