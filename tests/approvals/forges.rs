//! What a forge's own key may sign.

use crate::{
    ALICE, BOB, MAIN, REF, Stage, TWO,
    keys::ssh_key,
    policy,
    support::{World, skipped},
};

/// A world whose policy knows a forge by an SSH key.
pub struct Forge<'w> {
    pub stage: Stage<'w>,
}

fn rules(more: &str) -> String {
    TWO.replace("threshold = 2\n", more)
}

impl<'w> Forge<'w> {
    /// The rule for the branch has `more`.
    fn new(world: &'w World, more: &str) -> Self {
        let key = ssh_key(world, "forge");
        let stage = Stage::new(world, &rules(""));
        let forge = Self { stage };
        forge.rules(&key, more);
        forge
    }

    fn rules(&self, key: &str, more: &str) {
        let text = policy(self.stage.world, &rules(more));
        let head = "other_refs = \"refuse\"\n";
        let table = format!("{head}[[forge]]\nname = \"home\"\nssh = [\"{key}\"]\n");
        self.stage.world.write("policy.toml", text.replace(head, &table));
    }

    /// git, signing with the forge's key.
    pub fn git(&self, arguments: &[&str]) -> String {
        let key = format!("user.signingKey={}", self.stage.world.path("forge").display());
        let settings = ["-c", "gpg.format=ssh", "-c", &key];
        self.stage
            .work
            .git(&[&settings, arguments].concat())
            .any_stdout()
            .check()
            .text()
            .trim_end()
            .to_owned()
    }

    /// A topic of Alice's beside the branch, on which Bob has gone on.
    pub fn fork(&self) {
        let stage = &self.stage;
        stage.work.git(&["checkout", "-q", "-b", "topic"]).check();
        stage.commit(ALICE, "a", "a\n");
        stage.work.git(&["checkout", "-q", "main"]).check();
        stage.commit(BOB, "b", "b\n");
    }

    /// A commit of the forge's over `tree` with `parents`; the branch is set to it.
    fn commit(&self, tree: &str, parents: &[&str]) -> String {
        let mut arguments = vec!["commit-tree", "-S", "-m", "by the forge", tree];
        arguments.extend(parents.iter().flat_map(|parent| ["-p", parent]));
        let commit = self.git(&arguments);
        self.stage.work.git(&["update-ref", MAIN, &commit]).check();
        self.stage.work.git(&["reset", "-q", "--hard", &commit]).check();
        commit
    }
}

/// Run `test` if there is what it needs.
pub fn staged(name: &str, more: &str, test: impl FnOnce(&Forge<'_>)) {
    if !skipped(name, "ssh-keygen") {
        let world = World::new();
        test(&Forge::new(&world, more));
    }
}

pub const MERGES: &str = "forge_merges = \"allow\"\n";
const MADE: &str = "made by the forge 'home' for whoever was logged in there";

#[test]
fn a_merge_that_adds_nothing_passes_where_the_rule_lets_it() {
    staged("a_merge_that_adds_nothing_passes_where_the_rule_lets_it", "", |forge| {
        forge.fork();
        let key = std::fs::read_to_string(forge.stage.world.path("forge.pub")).unwrap();
        forge.git(&["merge", "-q", "--no-ff", "-S", "-m", "merge", "topic"]);
        let merge = forge.stage.work.id("HEAD");
        forge.stage.refused(&["main"], &[&merge[..12], MADE]);
        forge.rules(key.trim_end(), MERGES);
        forge.stage.accepted(&["main"]);
        // Whatever the pusher's repository or the server's says about merging.
        for repository in [&forge.stage.work, &forge.stage.server] {
            for (key, value) in [("merge.default", "evil"), ("merge.evil.driver", "touch /tmp/evil; false")] {
                repository.git(&["config", key, value]).check();
            }
        }
        forge.stage.work.git(&["checkout", "-q", "-b", "next"]).check();
        forge.stage.commit(ALICE, "c", "c\n");
        forge.stage.work.git(&["checkout", "-q", "main"]).check();
        forge.git(&["merge", "-q", "--no-ff", "-S", "-m", "merge", "next"]);
        forge.stage.accepted(&["main"]);
    });
}

#[test]
fn a_merge_with_anything_else_in_it_is_refused() {
    staged("a_merge_with_anything_else_in_it_is_refused", MERGES, |forge| {
        forge.fork();
        let stage = &forge.stage;
        let (main, topic) = (stage.work.id("main"), stage.work.id("topic"));
        forge.git(&["merge", "-q", "--no-ff", "-S", "-m", "merge", "topic"]);
        std::fs::write(stage.work.path.join("evil"), "evil").unwrap();
        stage.work.git(&["add", "-A"]).check();
        forge.git(&["commit", "-q", "--amend", "-S", "-m", "merge"]);
        let parts = ["merged by the forge 'home', and its tree is not what merging its parents yields"];
        stage.refused(&["main"], &parts);
        // One side only, as `-s ours` would have it.
        forge.commit(&stage.work.id(&format!("{main}^{{tree}}")), &[&main, &topic]);
        stage.refused(&["main"], &parts);
        // A conflict is a decision, and a forge decides nothing.
        stage.work.git(&["checkout", "-q", "-B", "topic", &main]).check();
        let theirs = stage.commit(ALICE, "b", "theirs\n");
        stage.work.git(&["checkout", "-q", "-B", "main", &main]).check();
        let ours = stage.commit(BOB, "b", "ours\n");
        forge.commit(&stage.work.id(&format!("{ours}^{{tree}}")), &[&ours, &theirs]);
        stage.refused(&["main"], &["and its parents need a decision", "hint: merge with 'git merge -S'"]);
    });
}

#[test]
fn what_a_merge_brings_is_judged_like_everything_else() {
    staged("what_a_merge_brings_is_judged_like_everything_else", MERGES, |forge| {
        let stage = &forge.stage;
        let main = stage.work.id("main");
        stage.work.git(&["checkout", "-q", "-b", "topic"]).check();
        let smuggled = stage.commit(crate::EVE, "a", "a\n");
        stage.work.git(&["checkout", "-q", "main"]).check();
        forge.git(&["merge", "-q", "--no-ff", "-S", "-m", "merge", "topic"]);
        stage.refused(&["main"], &[&smuggled[..12], "signed by 'eve@example.com'"]);
        // Nor does it help to be the first parent, beside the ref's own line.
        stage.work.git(&["checkout", "-q", "-B", "topic", &main]).check();
        let good = stage.commit(ALICE, "a", "a\n");
        stage.work.git(&["checkout", "-q", "-B", "main", &main]).check();
        let own = stage.commit(BOB, "b", "b\n");
        stage.accepted(&["main"]);
        stage.work.git(&["merge", "-q", "--no-ff", "-m", "merge", "topic"]).check();
        let tree = stage.work.id("HEAD^{tree}");
        forge.commit(&tree, &[&good, &own]);
        stage.refused(&["main"], &["and its first parent is not on the ref's own line"]);
        // Nor that its line ends at a root of its own.
        stage.work.git(&["checkout", "-q", "--orphan", "alone"]).check();
        let alone = stage.commit(ALICE, "c", "c\n");
        forge.commit(&tree, &[&alone, &own]);
        stage.refused(&["main"], &["and its first parent is not on the ref's own line"]);
        // Nor that it ends at the anchor, above which the ref has gone on.
        let key = std::fs::read_to_string(stage.world.path("forge.pub")).unwrap();
        forge.rules(key.trim_end(), &format!("{MERGES}anchor = \"{main}\"\n"));
        forge.commit(&stage.work.id(&format!("{own}^{{tree}}")), &[&main, &own]);
        stage.refused(&["main"], &["and its first parent is not on the ref's own line"]);
        // Nor at one that has nothing to do with the ref.
        forge.rules(key.trim_end(), &format!("{MERGES}anchor = \"{alone}\"\n"));
        forge.commit(&tree, &[&alone, &own]);
        stage.refused(&["main"], &["and its first parent is not on the ref's own line"]);
        forge.rules(key.trim_end(), MERGES);
        forge.commit(&tree, &[&own, &good]);
        stage.accepted(&["main"]);
    });
}

#[test]
fn a_merge_upon_an_anchor_that_the_ref_is_behind_passes() {
    staged("a_merge_upon_an_anchor_that_the_ref_is_behind_passes", MERGES, |forge| {
        let stage = &forge.stage;
        let main = stage.work.id("main");
        let anchor = stage.commit(crate::EVE, "old", "old\n");
        stage.work.git(&["checkout", "-q", "-b", "topic", &main]).check();
        let topic = stage.commit(ALICE, "a", "a\n");
        stage.work.git(&["checkout", "-q", "main"]).check();
        stage.work.git(&["merge", "-q", "--no-ff", "-m", "merge", "topic"]).check();
        forge.commit(&stage.work.id("HEAD^{tree}"), &[&anchor, &topic]);
        let key = std::fs::read_to_string(stage.world.path("forge.pub")).unwrap();
        forge.rules(key.trim_end(), &format!("{MERGES}anchor = \"{anchor}\"\n"));
        stage.accepted(&["main"]);
    });
}

#[test]
fn squashes_and_edits_take_an_approval_of_their_tree() {
    let name = "squashes_and_edits_take_an_approval_of_their_tree";
    staged(name, &(MERGES.to_owned() + "approvers = [\"bob\", \"carol\"]\n"), |forge| {
        let stage = &forge.stage;
        let base = stage.work.id("main");
        stage.work.git(&["checkout", "-q", "-b", "topic"]).check();
        stage.commit(ALICE, "a", "a\n");
        stage.commit(ALICE, "a", "b\n");
        let squash = forge.commit(&stage.work.id("topic^{tree}"), &[&base]);
        stage.refused(&["main"], &[&squash[..12], MADE]);
        stage.approve(BOB, &["topic"]);
        stage.accepted(&["main", REF]);

        // The same tree upon something else is another squash.
        let reverted = forge.commit(&stage.work.id(&format!("{base}^{{tree}}")), &[&squash]);
        stage.refused(&["main"], &[MADE]);
        stage.work.git(&["fetch", "-q", "origin"]).check();
        stage.approve(BOB, &["--base", &squash, &reverted]);
        stage.accepted(&["main", REF]);
        forge.commit(&stage.work.id("topic^{tree}"), &[&reverted]);
        stage.refused(&["main"], &[MADE]);
    });
}

#[test]
fn what_a_forge_will_make_of_a_topic_is_approved_beforehand() {
    let name = "what_a_forge_will_make_of_a_topic_is_approved_beforehand";
    staged(name, "approvers = [\"bob\", \"carol\"]\n", |forge| {
        forge.fork();
        let stage = &forge.stage;
        stage.accepted(&["main"]);
        let base = stage.work.id("main");
        let why = stage.unapproved(BOB, &["topic"]);
        assert!(why.contains("does not stand on the base") && why.contains("--merged"), "{why}");
        stage.approve(BOB, &["--merged", "topic"]);
        stage.work.git(&["merge", "-q", "--squash", "topic"]).any_stdout().any_stderr().check();
        let tree = stage.work.git(&["write-tree"]).any_stdout().check().text();
        forge.commit(tree.trim_end(), &[&base]);
        stage.accepted(&["main", REF]);
    });
}

#[test]
fn a_forge_is_nobody_where_persons_are_counted() {
    staged(
        "a_forge_is_nobody_where_persons_are_counted",
        &(MERGES.to_owned() + "threshold = 2\n"),
        |forge| {
            forge.fork();
            let stage = &forge.stage;
            forge.git(&["merge", "-q", "--no-ff", "-S", "-m", "merge", "topic"]);
            stage.refused(&["main"], &["1 of 2 persons vouches for it"]);
            // Carol vouches for what Alice and Bob did, and the merge itself adds nothing.
            stage.approve(crate::CAROL, &[]);
            stage.accepted(&["main", REF]);
            // Merging what is there already is an update that nobody has signed.
            let head = stage.work.id("HEAD");
            forge.commit(&stage.work.id("HEAD^{tree}"), &[&head, &stage.work.id("HEAD^2")]);
            stage.refused(&["main"], &["0 of 2 persons vouch for it"]);
        },
    );
}

#[test]
fn a_forge_that_is_trusted_may_do_anything_and_stays_nobody() {
    let trusted = "trust_forge = [\"home\"]\n";
    staged("a_forge_that_is_trusted_may_do_anything_and_stays_nobody", trusted, |forge| {
        let stage = &forge.stage;
        let check = ["policy", "check", stage.world.path("policy.toml").to_str().unwrap()].map(str::to_owned);
        let check: Vec<&str> = check.iter().map(String::as_str).collect();
        let run = stage.world.countersign(&check).any_status().any_stdout().any_stderr().check();
        let words = run.text() + &run.words();
        assert!(words.contains("rule 'main' trusts the forge 'home': whoever is logged in there"), "{words}");
        let base = stage.work.id("main");
        stage.commit(ALICE, "a", "a\n");
        forge.commit(&stage.work.id("HEAD^{tree}"), &[&base]);
        stage.accepted(&["main"]);
        let key = std::fs::read_to_string(stage.world.path("forge.pub")).unwrap();
        forge.rules(key.trim_end(), &(trusted.to_owned() + "threshold = 1\n"));
        let base = stage.work.id("main");
        forge.commit(&stage.work.id(&format!("{base}^{{tree}}")), &[&base]);
        stage.refused(&["main"], &["0 of 1 persons vouch for it"]);
    });
}
