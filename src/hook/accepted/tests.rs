use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
};

use super::*;

const RULE: [u8; 32] = [1; 32];

fn tip(number: u32) -> ObjectId {
    ObjectId::from_bytes_or_panic(&sha256(&[&number.to_be_bytes()])[..20])
}

/// How many files lie below a folder.
fn files(folder: &Path) -> usize {
    let count = |entry: fs::DirEntry| if entry.path().is_dir() { files(&entry.path()) } else { 1 };
    fs::read_dir(folder).unwrap().map(|entry| count(entry.unwrap())).sum()
}

#[test]
fn only_what_stands_there_in_full_counts() {
    let state = tempfile::tempdir().unwrap();
    let tips = AcceptedTips::new(state.path());
    let commit = ObjectId::from_hex(&[b'a'; 40]).unwrap();
    assert!(!tips.contains(&[1; 32], commit));
    tips.insert(&[1; 32], commit).unwrap();
    tips.insert(&[1; 32], commit).unwrap();
    assert!(tips.contains(&[1; 32], commit));
    assert!(!tips.contains(&[2; 32], commit), "another rule");
    assert!(!tips.contains(&[1; 32], ObjectId::from_hex(&[b'b'; 40]).unwrap()));
    assert!(!tips.has_begun(&[1; 32], b"refs/heads/main"));
    tips.begin(&[1; 32], b"refs/heads/main").unwrap();
    tips.begin(&[1; 32], b"refs/heads/main").unwrap();
    assert!(tips.has_begun(&[1; 32], b"refs/heads/main"));
    assert!(!tips.has_begun(&[2; 32], b"refs/heads/main"));
    assert!(!tips.has_begun(&[1; 32], b"refs/heads/other"));
    for damaged in [&b""[..], b"accepted"] {
        fs::write(tips.path(&[1; 32], commit), damaged).unwrap();
        assert!(!tips.contains(&[1; 32], commit));
    }
    fs::rename(state.path().join("accepted"), state.path().join("away")).unwrap();
    assert!(!tips.contains(&[1; 32], commit));
    fs::write(state.path().join("accepted"), "in the way").unwrap();
    assert!(tips.insert(&[1; 32], commit).is_err());
}

#[test]
fn what_an_earlier_version_has_left_is_folded_and_counts_as_before() {
    let state = tempfile::tempdir().unwrap();
    let tips = AcceptedTips::new(state.path());
    // As they were written before there was anything to fold them into.
    for (digest, rule) in [([1; 32], "01"), ([9; 32], "09")] {
        for number in 0..300 {
            let (rule, tip) = (rule.repeat(32), tip(number).to_string());
            let folder = state.path().join("accepted").join(&rule).join(&tip[..2]);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(&tip), format!("accepted {rule} {tip}\n")).unwrap();
        }
        tips.begin(&digest, b"refs/heads/main").unwrap();
    }
    let long = ObjectId::from_hex(&[b'c'; 64]).unwrap();
    tips.insert(&RULE, long).unwrap();
    // What does not say in full what its name says, and what is none of ours.
    let (damaged, foreign) = (tips.path(&RULE, tip(1000)), tips.folder_of(&RULE).join("aa/.tmpabcdef"));
    for (path, text) in [(&damaged, content(&RULE, tip(1001))), (&foreign, b"x".to_vec())] {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::create_dir_all(state.path().join("accepted/other/aa")).unwrap();
    tips.fold();
    // Of the first rule two files, of the second one; where both were met; and what was left alone.
    assert_eq!(files(&state.path().join("accepted")), 3 + 2 + 2);
    for digest in [[1; 32], [9; 32]] {
        assert!((0..300).all(|number| tips.contains(&digest, tip(number))));
        assert!((300..1200).all(|number| !tips.contains(&digest, tip(number))));
        assert!(tips.has_begun(&digest, b"refs/heads/main") && !tips.has_begun(&digest, b"refs/heads/x"));
    }
    assert!(tips.contains(&RULE, long) && !tips.contains(&[9; 32], long));
    assert!(damaged.exists() && foreign.exists());
    // Noted again it is no harm, and goes the next time.
    tips.insert(&RULE, tip(5)).unwrap();
    tips.insert(&RULE, tip(1000)).unwrap();
    tips.fold();
    assert!(tips.contains(&RULE, tip(5)) && tips.contains(&RULE, tip(1000)));
    assert!(!tips.path(&RULE, tip(5)).exists() && !damaged.exists());
}

#[test]
fn however_many_are_noted_few_files_are_left() {
    let state = tempfile::tempdir().unwrap();
    let tips = AcceptedTips::new(state.path());
    let mut most = 0;
    for number in 0..6_000 {
        tips.note(&[(RULE, b"refs/heads/main".to_vec())], &[(RULE, tip(number))]).unwrap();
        if number % 500 == 0 {
            most = most.max(files(&state.path().join("accepted")));
        }
    }
    // That chance passes over so many in a row is never seen.
    assert!(most < 5_500 && files(&state.path().join("accepted")) < 5_500, "{most}");
    assert!((0..6_000).all(|number| tips.contains(&RULE, tip(number))));
    tips.fold();
    let left = files(&state.path().join("accepted"));
    assert!(left <= 2 + 6_000 / SHARE, "{left}: a few are not worth it");
    // Many at once are looked at at once.
    let many: Vec<_> = (6_000..7_000).map(|number| (RULE, tip(number))).collect();
    tips.note(&[], &many).unwrap();
    assert_eq!(files(&state.path().join("accepted")), 2);
    assert!((0..7_000).all(|number| tips.contains(&RULE, tip(number))));
}

#[test]
fn a_large_file_is_not_written_for_a_few_and_many_are_folded_bit_by_bit() {
    let state = tempfile::tempdir().unwrap();
    let tips = AcceptedTips::new(state.path());
    let numbers = 0..10_000;
    let noted: Vec<_> = numbers.clone().map(|number| (RULE, tip(number))).collect();
    for part in noted.chunks(100) {
        part.iter().for_each(|(digest, tip)| tips.insert(digest, *tip).unwrap());
    }
    let loose = || files(&state.path().join("accepted")) - 1;
    tips.fold();
    assert_eq!(loose(), 10_000 - MAXIMUM_FOLDED);
    tips.fold();
    assert_eq!(loose(), 0);
    (0..30).for_each(|number| tips.insert(&RULE, tip(20_000 + number)).unwrap());
    tips.fold();
    assert_eq!(loose(), 30);
    (30..60).for_each(|number| tips.insert(&RULE, tip(20_000 + number)).unwrap());
    tips.fold();
    assert_eq!(loose(), 0);
    assert!(numbers.chain(20_000..20_060).all(|number| tips.contains(&RULE, tip(number))));
}

#[test]
fn what_cannot_be_folded_counts_as_before() {
    let state = tempfile::tempdir().unwrap();
    let tips = AcceptedTips::new(state.path());
    (0..50).for_each(|number| tips.insert(&RULE, tip(number)).unwrap());
    let folded = tips.folder_of(&RULE).join("tips.sha1");
    fs::create_dir(&folded).unwrap();
    tips.fold();
    let all = || (0..50).all(|number| tips.contains(&RULE, tip(number)));
    assert!(all());
    assert_eq!(files(&state.path().join("accepted")), 50);
    fs::remove_dir(&folded).unwrap();
    // Somebody else is at it.
    let turn = File::open(tips.folder_of(&RULE)).unwrap();
    assert!(system::try_lock(&turn).unwrap());
    tips.fold();
    assert!(all() && !folded.exists());
    system::unlock(&turn).unwrap();
    tips.fold();
    assert!(all() && folded.exists());
}

#[test]
fn what_was_noted_counts_whoever_folds_meanwhile() {
    let state = tempfile::tempdir().unwrap();
    let (noted, is_done) = (AtomicU32::new(0), AtomicBool::new(false));
    let tips = || AcceptedTips::new(state.path());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    tips().fold();
                }
            });
        }
        scope.spawn(|| {
            let mut number = 0;
            while !is_done.load(Ordering::Relaxed) {
                let end = noted.load(Ordering::Acquire);
                number = if number < end { number } else { 0 };
                assert!(number >= end || tips().contains(&RULE, tip(number)), "{number} of {end}");
                assert!(!tips().contains(&RULE, tip(100_000 + number)));
                number += 1;
            }
        });
        for number in 0..3000 {
            tips().insert(&RULE, tip(number)).unwrap();
            noted.store(number + 1, Ordering::Release);
        }
        is_done.store(true, Ordering::Relaxed);
    });
    assert!((0..3000).all(|number| tips().contains(&RULE, tip(number))));
}

/// Not a test: a process that notes tips and folds them, and says which it has noted, until it is ended.
#[test]
#[ignore = "run by another test"]
fn child_that_notes() {
    let mut line = String::new();
    io::stdin().read_line(&mut line).unwrap();
    let (first, path) = line.trim_end().split_once(' ').unwrap();
    let tips = AcceptedTips::new(Path::new(path));
    let mut output = io::stderr().lock();
    for number in first.parse().unwrap().. {
        tips.insert(&RULE, tip(number)).unwrap();
        writeln!(output, "noted {number}").unwrap();
        tips.fold();
    }
}

#[test]
fn killed_at_any_moment_nothing_is_lost_and_nothing_comes_of_it() {
    let state = tempfile::tempdir().unwrap();
    let tips = AcceptedTips::new(state.path());
    let mut noted = BTreeSet::new();
    for round in 0..25_u32 {
        let name = "hook::accepted::tests::child_that_notes";
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        writeln!(child.stdin.take().unwrap(), "{} {}", round * 10_000, state.path().display()).unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let number = |line: String| line.strip_prefix("noted ").map(|number| number.parse::<u32>().unwrap());
        noted.extend(lines.by_ref().find_map(|line| number(line.unwrap())));
        std::thread::sleep(std::time::Duration::from_micros(u64::from(round) * 700));
        // SIGKILL.
        child.kill().unwrap();
        noted.extend(lines.map_while(Result::ok).filter_map(number));
        child.wait().unwrap();
        for number in &noted {
            assert!(tips.contains(&RULE, tip(*number)), "{number}, round {round}");
        }
    }
    // On a busy machine none of them comes to a second one.
    assert!(noted.len() >= 25);
    // One may be in its file before that was said.
    let begun = |number: &u32| number.is_multiple_of(10_000) || noted.contains(&(number - 1));
    for number in (0..25).flat_map(|round| (0..1000).map(move |number| round * 10_000 + number)) {
        assert!(noted.contains(&number) || begun(&number) || !tips.contains(&RULE, tip(number)), "{number}");
    }
    tips.fold();
    for number in noted {
        assert!(tips.contains(&RULE, tip(number)) && !tips.path(&RULE, tip(number)).exists(), "{number}");
    }
}
