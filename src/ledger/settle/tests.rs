//! Settling, step by step: what is entered, dropped, and looked at again.

use super::*;
use crate::{
    ledger::{Acceptance, Intent, LEDGER, PolicyVersion},
    repository::tests::Scratch,
};

/// When everything here was received; whoever settles an hour and more later finds it over.
const RECEIVED: i64 = 1_000_000;

/// A bare repository with the commits `a` to `e`, which have nothing to do with each other.
struct Ground {
    scratch: Scratch,
    state: tempfile::TempDir,
    commits: Vec<ObjectId>,
}

impl Ground {
    fn new() -> Self {
        let scratch = Scratch::new(&["--bare"]);
        let tree = scratch.git(&["hash-object", "-w", "-t", "tree", "/dev/null"]);
        let commit = |name| scratch.git(&["commit-tree", "-m", name, &tree]).parse().unwrap();
        let commits = ["a", "b", "c", "d", "e"].map(commit).into();
        Self { scratch, state: tempfile::tempdir().unwrap(), commits }
    }

    fn value(&self, letter: char) -> Option<ObjectId> {
        (letter != '-').then(|| self.commits[letter as usize - 'a' as usize])
    }

    /// Let a ref hold one of the commits, whoever does it.
    fn set(&self, text: &str) {
        let (name, letter) = text.split_at(1);
        let id = self.value(letter.chars().next().unwrap()).unwrap().to_string();
        self.scratch.git(&["update-ref", &format!("refs/heads/{name}"), &id]);
    }

    /// Texts such as `mab`: the ref `m` goes from `a` to `b`.
    fn entries(&self, texts: &[&str]) -> Vec<Entry> {
        let entry = |text: &&str| {
            let letters: Vec<char> = text.chars().collect();
            let reference = format!("refs/heads/{}", letters[0]).into();
            Entry { old: self.value(letters[1]), new: self.value(letters[2]), reference }
        };
        texts.iter().map(entry).collect()
    }

    fn folder(&self) -> Folder {
        Folder::new(self.state.path(), self.scratch.open().hash())
    }

    /// Leave an intent of the push with this number.
    fn leave(&self, push: u8, texts: &[&str]) {
        let acceptance = Acceptance {
            push: PushId([push; 16]),
            received: RECEIVED + i64::from(push),
            policy: PolicyVersion::Digest([0; 32]),
            pusher: None,
            certificate: None,
        };
        let ledger = write::head(&self.scratch.open()).unwrap();
        let intent = Intent { acceptance, ledger, process: None, entries: self.entries(texts) };
        self.folder().leave(&intent).unwrap();
    }

    /// Settle these refs, or all, so many seconds after everything was received.
    fn settle(&self, later: i64, refs: &[&str]) -> Settled {
        let (repository, folder) = (self.scratch.open(), self.folder());
        let settler = Settler { repository: &repository, folder: &folder, now: RECEIVED + later };
        settler.begin().unwrap();
        let refs: HashSet<BString> = refs.iter().map(|name| format!("refs/heads/{name}").into()).collect();
        let scope = if refs.is_empty() { Scope::All } else { Scope::Refs(&refs) };
        settler.settle(scope, &[], None).unwrap()
    }

    /// Which refs the intents and what was dropped are about.
    fn left(&self) -> (Vec<String>, Vec<String>) {
        let held = self.folder().list().unwrap();
        let names = |is_dropped: bool| {
            let held = held.iter().filter(|held| held.is_dropped == is_dropped);
            held.flat_map(|held| &held.intent.entries).map(|entry| entry.reference.to_string()).collect()
        };
        (names(false), names(true))
    }
}

fn settled(entered: usize, dropped: usize, waiting: usize) -> Settled {
    Settled { entered, dropped, waiting, recovered: 0 }
}

#[test]
fn what_is_dropped_little_by_little_is_kept_together() {
    let ground = Ground::new();
    ["ma", "na", "oa"].iter().for_each(|text| ground.set(text));
    ground.settle(0, &[]);
    ground.leave(1, &["mab", "nab", "oab"]);
    assert_eq!(ground.settle(GRACE * 2, &["m"]), settled(0, 1, 0));
    assert_eq!(ground.settle(GRACE * 2, &["n"]), settled(0, 1, 0));
    let names = |names: &[&str]| names.iter().map(|name| format!("refs/heads/{name}")).collect::<Vec<_>>();
    assert_eq!(ground.left(), (names(&["o"]), names(&["m", "n"])));
    // One of them has happened all the same, and the last goes the way of the others.
    ground.set("nb");
    assert_eq!(ground.settle(GRACE * 2, &[]), settled(1, 1, 0));
    assert_eq!(ground.left(), (vec![], names(&["m", "o"])));
}

#[test]
fn what_was_dropped_and_happens_all_the_same_is_entered() {
    let ground = Ground::new();
    ground.set("ma");
    ground.settle(0, &[]);
    ground.leave(1, &["mab"]);
    assert_eq!(ground.settle(GRACE * 2, &[]), settled(0, 1, 0));
    // Not as long as nothing has happened, nor when something else has.
    assert_eq!(ground.settle(GRACE * 2, &[]), settled(0, 0, 0));
    ground.set("mc");
    assert_eq!(ground.settle(GRACE * 2, &[]), settled(0, 0, 0));
    ground.set("mb");
    assert_eq!(ground.settle(GRACE * 2, &[]), settled(1, 0, 0));
    assert_eq!(ground.left(), (vec![], vec![]));
    assert_eq!(ground.settle(GRACE * 2, &[]), settled(0, 0, 0));
}

#[test]
fn what_another_push_explains_stays_dropped_for_good() {
    let ground = Ground::new();
    ground.set("ma");
    ground.settle(0, &[]);
    ground.leave(1, &["mab"]);
    assert_eq!(ground.settle(GRACE * 2, &[]), settled(0, 1, 0));
    // The same once more, still under way, and then done.
    ground.leave(2, &["mab"]);
    ground.set("mb");
    assert_eq!(ground.settle(0, &[]), settled(1, 0, 0));
    assert_eq!(ground.left(), (vec![], vec!["refs/heads/m".to_owned()]));
    assert_eq!(ground.settle(0, &[]), settled(0, 0, 0));
    assert_eq!(ground.left(), (vec![], vec![]));
    // Back, and there again behind the gate's back: nothing is left to take that for a push.
    ground.set("ma");
    ground.set("mb");
    assert_eq!(ground.settle(GRACE * 2, &[]), settled(0, 0, 0));
}

#[test]
fn what_was_left_over_long_ago_is_counted() {
    let ground = Ground::new();
    ground.set("ma");
    ground.settle(0, &[]);
    let (repository, folder) = (ground.scratch.open(), ground.folder());
    let left_over = |later: i64| {
        let settler = Settler { repository: &repository, folder: &folder, now: RECEIVED + later };
        settler.left_over().unwrap()
    };
    assert_eq!(left_over(GRACE * 2), None);
    ground.leave(7, &["mab", "n-a"]);
    ground.leave(8, &["mac"]);
    assert_eq!((left_over(0), left_over(GRACE)), (None, None));
    assert_eq!(left_over(GRACE + 8), Some(LeftOver { updates: 2, since: RECEIVED + 7 }));
    assert_eq!(left_over(GRACE * 2), Some(LeftOver { updates: 3, since: RECEIVED + 7 }));
}

#[test]
fn a_head_file_that_says_nothing_is_not_needed_where_there_is_a_ledger() {
    let ground = Ground::new();
    ground.set("ma");
    ground.settle(0, &[]);
    let note = ground.state.path().join("ledger.head");
    for (damaged, update, value) in [("", "mab", "mb"), ("x\n", "mbc", "mc"), ("0123", "mcd", "md")] {
        std::fs::write(&note, damaged).unwrap();
        assert!(matches!(ground.folder().remembered(), Err(LedgerError::HeadFile(_))), "{damaged:?}");
        ground.leave(1, &[update]);
        ground.set(value);
        assert_eq!(ground.settle(0, &[]), settled(1, 0, 0));
        assert_eq!(ground.folder().remembered().unwrap(), write::head(&ground.scratch.open()).unwrap());
    }
    // Without one it says whether there was one, and nobody guesses.
    std::fs::write(&note, "").unwrap();
    ground.scratch.git(&["update-ref", "-d", LEDGER]);
    let (repository, folder) = (ground.scratch.open(), ground.folder());
    let settler = Settler { repository: &repository, folder: &folder, now: RECEIVED };
    assert!(matches!(settler.begin(), Err(LedgerError::HeadFile(_))));
}

#[test]
fn of_what_comes_to_nothing_no_more_is_kept_than_every_hook_can_read() {
    let ground = Ground::new();
    ground.set("ma");
    ground.settle(0, &[]);
    let flood = |push: u8, refs: usize| {
        let acceptance = Acceptance {
            push: PushId([push; 16]),
            received: RECEIVED + i64::from(push),
            policy: PolicyVersion::Digest([0; 32]),
            pusher: None,
            certificate: None,
        };
        let entry = |number: usize| Entry {
            old: None,
            new: ground.value('b'),
            reference: format!(
                "refs/heads/{}/{push}/{number}",
                ["x"; 4].map(|part| part.repeat(220)).join("/")
            )
            .into(),
        };
        let entries = (0..refs).map(entry).collect();
        let ledger = write::head(&ground.scratch.open()).unwrap();
        ground.folder().leave(&Intent { acceptance, ledger, process: None, entries }).unwrap();
    };
    let stems = || ground.folder().list().unwrap().into_iter().map(|held| held.intent.acceptance.received);
    // Three of them are more than is kept.
    for push in 1..=5 {
        flood(push, 2_900);
    }
    ground.leave(6, &["mac"]);
    assert_eq!(ground.settle(GRACE + 60, &[]), settled(0, 5 * 2_900 + 1, 0));
    assert_eq!(ground.settle(GRACE + 60, &[]), settled(0, 0, 0));
    assert_eq!(stems().map(|received| received - RECEIVED).collect::<Vec<_>>(), [4, 5, 6], "the newest");
    // One that is more than all of them is not written down again at all.
    flood(7, 9_000);
    assert_eq!(ground.settle(GRACE + 60, &[]), settled(0, 9_000, 0));
    assert_eq!(stems().map(|received| received - RECEIVED).collect::<Vec<_>>(), [4, 5, 6]);
}
