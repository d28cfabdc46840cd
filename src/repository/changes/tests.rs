//! What git says has changed has changed here too, and what merges yield of themselves is told from what they do.

use std::collections::BTreeSet;

use super::*;
use crate::repository::tests::Scratch;

/// A mode, a path, and the content of a file or link; for a submodule its commit.
type File<'a> = (&'a str, &'a str, &'a str);

impl Scratch {
    fn tree(&self, files: &[File<'_>]) -> ObjectId {
        self.git(&["read-tree", "--empty"]);
        for (mode, path, content) in files {
            let id = match *mode {
                "160000" => (*content).to_owned(),
                _ => self.git_with(&["hash-object", "-w", "--stdin"], content.as_bytes()),
            };
            self.git(&["update-index", "--add", "--cacheinfo", &format!("{mode},{id},{path}")]);
        }
        self.git(&["write-tree"]).parse().unwrap()
    }

    fn commit_of(&self, tree: ObjectId, parents: &[ObjectId]) -> ObjectId {
        let tree = tree.to_string();
        let parents: Vec<String> = parents.iter().map(ToString::to_string).collect();
        let parents = parents.iter().flat_map(|parent| ["-p", parent]);
        let all: Vec<&str> = ["commit-tree", "-m", "x", &tree].into_iter().chain(parents).collect();
        self.git(&all).parse().unwrap()
    }

    /// A commit of plain files.
    fn plain(&self, files: &[(&str, &str)], parents: &[ObjectId]) -> ObjectId {
        let files: Vec<File<'_>> = files.iter().map(|(path, content)| ("100644", *path, *content)).collect();
        self.commit_of(self.tree(&files), parents)
    }
}

/// Everything matters.
#[derive(Default)]
struct All(BTreeSet<String>);

impl Interest for All {
    type Place = ();

    fn root(&self) {}

    fn enter(&self, (): &(), _name: &[u8]) -> Option<()> {
        Some(())
    }

    fn matters(&self, (): &(), _name: &[u8]) -> bool {
        true
    }

    fn change(&mut self, (): &(), _name: &[u8], path: &[u8]) -> ControlFlow<()> {
        self.0.insert(String::from_utf8_lossy(path).into_owned());
        ControlFlow::Continue(())
    }
}

fn changed_with(scratch: &Scratch, id: ObjectId, bytes: u64) -> Result<Vec<String>, ChangesError> {
    let reader = scratch.open().objects().unwrap().reader();
    let (shallow, allowance) = (Shallow::default(), Allowance::new(bytes));
    let mut all = All::default();
    Changes::new(&reader, &shallow, &allowance).of_commit(id, &mut all)?;
    Ok(all.0.into_iter().collect())
}

fn changed(scratch: &Scratch, id: ObjectId) -> Vec<String> {
    changed_with(scratch, id, 1 << 30).unwrap()
}

#[test]
fn every_kind_of_change_is_seen() {
    let scratch = Scratch::new(&[]);
    let sub = "1".repeat(40);
    let other = "2".repeat(40);
    let files = [
        ("100644", "a", "a"),
        ("100644", "d/x", "x"),
        ("100644", "d/y", "y"),
        ("120000", "link", "a"),
        ("160000", "module", &*sub),
    ];
    let first = scratch.commit_of(scratch.tree(&files), &[]);
    assert_eq!(changed(&scratch, first), ["a", "d/x", "d/y", "link", "module"], "against nothing");
    let against = |files: &[File<'_>]| {
        let next = scratch.commit_of(scratch.tree(files), &[first]);
        changed(&scratch, next)
    };
    let with = |place: usize, file| {
        let mut files = files;
        files[place] = file;
        against(&files)
    };
    assert!(against(&files).is_empty());
    assert_eq!(with(0, ("100644", "a", "b")), ["a"]);
    assert_eq!(with(0, ("100755", "a", "a")), ["a"], "the mode alone");
    assert_eq!(with(0, ("120000", "a", "a")), ["a"], "a link of the same content");
    assert_eq!(with(1, ("100644", "d/z", "x")), ["d/x", "d/z"], "a rename is a deletion and an addition");
    assert_eq!(with(4, ("160000", "module", &other)), ["module"]);
    assert_eq!(with(4, ("100644", "module/x", "x")), ["module", "module/x"], "a folder in its place");
    let link =
        [("100644", "a", "a"), ("120000", "d", "x"), ("120000", "link", "a"), ("160000", "module", &*sub)];
    assert_eq!(against(&link), ["d", "d/x", "d/y"]);
    assert_eq!(against(&[]), ["a", "d/x", "d/y", "link", "module"], "the empty tree");
}

#[test]
fn a_merge_changes_what_it_does_not_merely_merge() {
    let scratch = Scratch::new(&[]);
    let base = scratch.plain(&[("infra/a", "0"), ("infra/b", "0"), ("src", "0")], &[]);
    let main = scratch.plain(&[("infra/a", "1"), ("infra/b", "0"), ("src", "0")], &[base]);
    let topic = scratch.plain(&[("infra/a", "0"), ("infra/b", "0"), ("src", "1")], &[base]);
    let merge =
        |files: &[(&str, &str)], parents: &[ObjectId]| changed(&scratch, scratch.plain(files, parents));
    let clean = [("infra/a", "1"), ("infra/b", "0"), ("src", "1")];
    for parents in [[main, topic], [topic, main]] {
        assert!(merge(&clean, &parents).is_empty(), "what merging yields");
        assert_eq!(
            merge(&[("infra/a", "0"), clean[1], clean[2]], &parents),
            ["infra/a"],
            "'-s ours' takes back"
        );
        assert_eq!(merge(&[("infra/a", "2"), clean[1], clean[2]], &parents), ["infra/a"], "what neither has");
        assert_eq!(
            merge(&[clean[0], ("infra/b", "2"), clean[2]], &parents),
            ["infra/b"],
            "what neither changed"
        );
        assert_eq!(merge(&[clean[0], clean[2]], &parents), ["infra/b"], "a deletion");
    }
    // Both have changed it: whoever merges decides, whatever the decision.
    let other = scratch.plain(&[("infra/a", "2"), ("infra/b", "0"), ("src", "1")], &[base]);
    for content in ["1", "2", "3"] {
        assert_eq!(
            merge(&[("infra/a", content), clean[1], clean[2]], &[main, other]),
            ["infra/a"],
            "{content}"
        );
    }
    // What was taken back since is not brought again by an old commit.
    let back = scratch.plain(&[("infra/a", "0"), ("infra/b", "0"), ("src", "0")], &[main]);
    let stale = scratch.plain(&[("infra/a", "1"), ("infra/b", "0"), ("src", "1")], &[main]);
    assert_eq!(merge(&clean, &[back, stale]), ["infra/a"]);
    let third = scratch.plain(&[("infra/a", "0"), ("infra/b", "0"), ("src", "0"), ("x", "0")], &[base]);
    let octopus = [("infra/a", "1"), ("infra/b", "0"), ("src", "1"), ("x", "0")];
    assert_eq!(merge(&octopus, &[main, topic, third]), ["infra/a", "src", "x"], "three are not excused");
}

#[test]
fn histories_with_several_bases_or_none_excuse_less() {
    let scratch = Scratch::new(&[]);
    let base = scratch.plain(&[("a", "0"), ("b", "0")], &[]);
    let one = scratch.plain(&[("a", "1"), ("b", "0")], &[base]);
    let two = scratch.plain(&[("a", "0"), ("b", "1")], &[base]);
    let both = [("a", "1"), ("b", "1")];
    let (left, right) = (scratch.plain(&both, &[one, two]), scratch.plain(&both, &[two, one]));
    assert!(changed(&scratch, left).is_empty() && changed(&scratch, right).is_empty());
    // The merge bases of these are both of one and two.
    let left = scratch.plain(&[("a", "2"), ("b", "1")], &[left]);
    let merge = scratch.plain(&[("a", "2"), ("b", "1")], &[left, right]);
    assert_eq!(changed(&scratch, merge), ["a"], "one base holds something else than the right");

    let alien = scratch.plain(&[("c", "0")], &[]);
    let joined = scratch.plain(&[("a", "0"), ("b", "0"), ("c", "0")], &[base, alien]);
    assert!(changed(&scratch, joined).is_empty(), "what only one has comes with it");
    let alien = scratch.plain(&[("a", "x")], &[]);
    let joined = scratch.plain(&[("a", "x"), ("b", "0")], &[base, alien]);
    assert_eq!(changed(&scratch, joined), ["a"], "and takes the place of nothing");
}

#[test]
fn bombs_and_trees_that_could_be_read_in_two_ways_are_refused() {
    let scratch = Scratch::new(&[]);
    let mut tree = scratch.tree(&[("100644", "x", "x")]);
    let level = |below: ObjectId, count: usize| -> ObjectId {
        let lines: String = (0..count).map(|n| format!("040000 tree {below}\td{n:02}\n")).collect();
        scratch.git_with(&["mktree"], lines.as_bytes()).parse().unwrap()
    };
    for _ in 0..8 {
        tree = level(tree, 16);
    }
    let bomb = scratch.commit_of(tree, &[]);
    assert!(matches!(changed_with(&scratch, bomb, 1 << 20), Err(ChangesError::TooMuch)));

    let entry = |name: &str| [format!("100644 {name}\0").as_bytes(), &[1; 20]].concat();
    let twice = [entry("a"), entry("a")].concat();
    let arguments = ["hash-object", "-t", "tree", "-w", "--stdin", "--literally"];
    let twice: ObjectId = scratch.git_with(&arguments, &twice).parse().unwrap();
    let commit = scratch.commit_of(twice, &[]);
    let refused = changed_with(&scratch, commit, 1 << 20).unwrap_err();
    assert!(matches!(refused, ChangesError::Tree { id, cause: TreeError::Twice } if id == twice));
    // A folder that is not there.
    let lines = format!("040000 tree {}\td\n", "1".repeat(40));
    let gone: ObjectId = scratch.git_with(&["mktree", "--missing"], lines.as_bytes()).parse().unwrap();
    let gone = scratch.commit_of(gone, &[]);
    assert!(matches!(
        changed_with(&scratch, gone, 1 << 20),
        Err(ChangesError::Object(ObjectReadError::Missing(_)))
    ));
}

#[test]
fn folders_in_one_another_without_end_are_refused() {
    let scratch = Scratch::new(&[]);
    let reader = |scratch: &Scratch| scratch.open().objects().unwrap().reader();
    let mut tree = scratch.tree(&[("100644", "x", "x")]);
    let objects = scratch.path().join(".git/objects");
    let mut deep = None;
    for depth in 0..2100 {
        let bytes = [&b"40000 d\0"[..], tree.as_slice()].concat();
        tree = crate::object::object_id(crate::object::HashKind::Sha1, Kind::Tree, &bytes).unwrap();
        let hex = tree.to_string();
        std::fs::create_dir_all(objects.join(&hex[..2])).unwrap();
        let whole = [format!("tree {}\0", bytes.len()).as_bytes(), &bytes].concat();
        std::fs::write(objects.join(&hex[..2]).join(&hex[2..]), stored(&whole)).unwrap();
        if depth == 2000 {
            deep = Some(tree);
        }
    }
    assert!(reader(&scratch).read(tree).is_ok());
    let lists = |tree| changed_with(&scratch, scratch.commit_of(tree, &[]), 1 << 30);
    assert_eq!(lists(deep.unwrap()).unwrap().len(), 1);
    assert!(matches!(lists(tree), Err(ChangesError::TooDeep)));
}

/// `bytes` as a zlib stream of one stored block (RFC 1950, RFC 1951 section 3.2.4).
fn stored(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    let (mut a, mut b) = (1u32, 0u32);
    for byte in bytes {
        a = (a + u32::from(*byte)) % 65521;
        b = (b + a) % 65521;
    }
    let head = [&[0x78, 0x01, 0x01][..], &length.to_le_bytes(), &(!length).to_le_bytes()].concat();
    [head, bytes.to_vec(), ((b << 16) | a).to_be_bytes().to_vec()].concat()
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 12, ..Default::default() })]

    #[test]
    fn as_git_says(old in files(), new in files()) {
        let scratch = Scratch::new(&[]);
        let plain = |files: &Vec<(String, bool)>, parents: &[ObjectId]| {
            let files: std::collections::BTreeMap<&str, &str> =
                files.iter().map(|(path, one)| (path.as_str(), if *one { "1" } else { "2" })).collect();
            // A file that would stand in the place of another's folder is left out.
            let apart = |path: &&str| !files.keys().any(|other| other.starts_with(&format!("{path}/")));
            let files: Vec<(&str, &str)> = files.iter().map(|(p, c)| (*p, *c)).filter(|(p, _)| apart(p)).collect();
            scratch.plain(&files, parents)
        };
        let first = plain(&old, &[]);
        let second = plain(&new, &[first]);
        let listed = scratch.git(&["diff-tree", "-r", "--no-renames", "--name-only", &first.to_string(), &second.to_string()]);
        let mut listed: Vec<&str> = listed.lines().collect();
        listed.sort_unstable();
        proptest::prop_assert_eq!(changed(&scratch, second), listed);
    }
}

fn files() -> impl proptest::strategy::Strategy<Value = Vec<(String, bool)>> {
    proptest::collection::vec(("[ab](\\.x)?(/[ab]){0,2}", proptest::bool::ANY), 0..6)
}

#[test]
fn it_is_asked_at_every_folder_whether_to_go_on() {
    use std::sync::atomic::{AtomicUsize, Ordering};

    let scratch = Scratch::new(&[]);
    let names: Vec<String> = (0..20).map(|number| format!("{number}/a/b")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    let base = scratch.plain(&[], &[]);
    let (one, two) = (scratch.plain(&files, &[base]), scratch.plain(&[("c", "c")], &[base]));
    let merge = scratch.plain(&[("d", "d")], &[one, two]);
    let reader = scratch.open().objects().unwrap().reader();
    let shallow = Shallow::default();
    for id in [one, merge] {
        let changed = |looks: usize| {
            let looked = AtomicUsize::new(0);
            let is_over = || looked.fetch_add(1, Ordering::Relaxed) >= looks;
            let allowance = Allowance::until(1 << 30, &is_over);
            let mut all = All::default();
            let changed = Changes::new(&reader, &shallow, &allowance).of_commit(id, &mut all);
            (changed.map(|()| all.0), looked.load(Ordering::Relaxed))
        };
        let (whole, asked) = changed(usize::MAX);
        assert!(!whole.unwrap().is_empty() && asked >= 2 * files.len(), "{asked}");
        // Wherever it ends, that is why: in a folder, or on the way to what two parents have in common.
        for looks in 0..asked {
            assert!(matches!(changed(looks).0, Err(ChangesError::Stopped)), "{looks}");
        }
    }
}
