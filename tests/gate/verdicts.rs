//! What is remembered of verdicts: believed where nobody else can have written it, and for what it is about.

use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};

use countersign::encoding::sha256;

use crate::{ALICE, BOB, Draft, MAIN, REF, Stage};

fn folder(stage: &Stage) -> PathBuf {
    stage.world.path("server.git/countersign/verdicts")
}

/// Every record that is kept.
fn records(stage: &Stage) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    for entry in fs::read_dir(folder(stage)).into_iter().flatten() {
        let mut bytes = &fs::read(entry.unwrap().path()).unwrap()[..];
        while !bytes.is_empty() {
            assert_eq!(&bytes[..4], b"CSv1");
            let size = 16 + u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
            records.push(bytes[..size].to_vec());
            bytes = &bytes[size..];
        }
    }
    records
}

/// Where the id stands in a record.
const ID: std::ops::Range<usize> = 49..69;

/// The record of one object said of another one, as somebody who can write the folder would.
fn forged(record: &[u8], id: &str) -> Vec<u8> {
    let mut record = record.to_vec();
    record[ID].copy_from_slice(&hex::decode(id).unwrap());
    let checksum = sha256(&[&record[16..]]);
    record[8..16].copy_from_slice(&checksum[..8]);
    record
}

fn put(stage: &Stage, record: &[u8]) {
    let shard = hex::encode(&record[ID][..1]);
    let path = folder(stage).join(shard);
    let before = fs::read(&path).unwrap_or_default();
    fs::write(&path, [&before[..], record].concat()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_verdict_is_remembered_for_its_object_its_trust_and_this_user_alone() {
    let stage = Stage::new(MAIN);
    let one = stage.author().commit("one");
    stage.accepted(&[&format!("{one}:refs/heads/main")]);
    let [record] = &records(&stage)[..] else { panic!() };
    assert_eq!(hex::encode(&record[ID]), one);
    assert_eq!(folder(&stage).metadata().unwrap().permissions().mode() & 0o777, 0o700);

    // Whoever can write there can have anything accepted: that is how one sees that it is believed.
    let two = stage.unsigned("two");
    let push = |id: &str| format!("{id}:refs/heads/main");
    stage.refused(&[&push(&two)], &["it is not signed"]);
    assert_eq!(records(&stage).len(), 1, "what is refused is not remembered");
    put(&stage, &forged(record, &two));
    stage.accepted(&[&push(&two)]);

    // So where others can write it, it is not even looked at.
    let three = stage.unsigned("three");
    put(&stage, &forged(record, &three));
    let mode = |path: &std::path::Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let state = stage.world.path("server.git/countersign");
    let warning = "warning: what is found good is not remembered: ";
    for open in [&folder(&stage), &state] {
        mode(open, 0o770);
        stage.refused(&[&push(&three)], &[warning, "belongs to somebody else", "it is not signed"]);
        mode(open, 0o700);
    }
    let shard = folder(&stage).join(&three[..2]);
    mode(&shard, 0o620);
    stage.refused(&[&push(&three)], &["it is not signed"]);
    mode(&shard, 0o600);
    // Nor what is damaged, cut short, or a link to elsewhere.
    let whole = fs::read(&shard).unwrap();
    let mut flipped = whole.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    for damaged in [&flipped[..], &whole[..whole.len() - 1], b"CSv1", &[0xff; 300]] {
        fs::write(&shard, damaged).unwrap();
        stage.refused(&[&push(&three)], &["it is not signed"]);
    }
    let elsewhere = stage.world.write("elsewhere", &whole);
    fs::remove_file(&shard).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &shard).unwrap();
    stage.refused(&[&push(&three)], &["it is not signed"]);
    fs::remove_file(&shard).unwrap();
    fs::write(&shard, &whole).unwrap();
    mode(&shard, 0o600);
    // One that was found in the time to come, one that does not hold any more, and one of other trust material.
    for (at, value) in [(32, i64::MAX - 1), (40, 1)] {
        let mut record = forged(record, &three);
        record[at..at + 8].copy_from_slice(&value.to_le_bytes());
        fs::write(&shard, forged(&record, &three)).unwrap();
        stage.refused(&[&push(&three)], &["it is not signed"]);
    }
    let mut other = forged(record, &three);
    other[16] ^= 1;
    fs::write(&shard, forged(&other, &three)).unwrap();
    stage.refused(&[&push(&three)], &["it is not signed"]);
    // And whole and in its place again, it is believed again.
    fs::write(&shard, forged(record, &three)).unwrap();
    stage.accepted(&[&push(&three)]);
}

#[test]
fn who_counts_is_asked_anew_each_time() {
    let stage = Stage::new(MAIN);
    let one = stage.author().commit("one");
    stage.accepted(&[&format!("{one}:refs/heads/main")]);
    stage.accepted(&[&format!("{one}:refs/heads/release/1")]);
    let bobs = MAIN.replace("[\"alice\"]", "[\"bob\"]");
    Draft::new(2, &bobs).publish(&stage, ALICE);
    stage.accepted(&[&format!("{REF}:{REF}")]);
    assert_eq!(records(&stage).len(), 2, "one, and the policy");
    stage.refused(
        &[&format!("{one}:refs/heads/release/2")],
        &["signed by 'alice@example.com'", "only 'bob' may"],
    );
    // A policy with other trusted roots finds nothing that it could use.
    let by_bob = stage.author().commit_as(BOB, "two");
    stage.accepted(&[&format!("{by_bob}:refs/heads/main")]);
    assert_eq!(records(&stage).len(), 3);
}

#[test]
fn without_a_place_to_write_nothing_is_remembered_and_nothing_refused_for_it() {
    let stage = Stage::new(MAIN);
    fs::write(folder(&stage), "in the way").unwrap();
    let one = stage.author().commit("one");
    let said = stage.accepted(&[&format!("{one}:refs/heads/main")]);
    assert!(said.contains("warning: what is found good is not remembered: "), "{said}");
}
