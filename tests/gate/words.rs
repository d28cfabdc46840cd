//! What a refused developer reads: at most a screen, and the command that mends it does.

use crate::{MAIN, Stage};

/// The command in the hint of a refusal that says that something is to be signed again.
#[track_caller]
fn command(said: &str) -> String {
    let hint = said
        .lines()
        .map(str::trim_end)
        .find(|line| line.contains("hint: sign ") || line.contains("hint: tag "))
        .unwrap_or_else(|| panic!("{said}"));
    let command = hint.split_once('\'').unwrap().1;
    command.strip_suffix('\'').unwrap_or_else(|| panic!("{hint}")).to_owned()
}

/// Run what was said, as the developer.
#[track_caller]
fn obey(stage: &Stage, said: &str) -> String {
    let command = command(said);
    let author = stage.author();
    stage
        .world
        .run("sh", &["-c", &command])
        .directory(&author.path)
        .env("GIT_EDITOR", "echo said >")
        .any_stdout()
        .any_stderr()
        .check();
    command
}

#[test]
fn the_command_that_is_told_mends_just_what_was_refused() {
    let stage = Stage::new(MAIN);
    let author = stage.author();
    let base = author.commit("base");
    stage.accepted(&["main"]);

    // Two of three, the tip among them.
    let first = stage.unsigned("first");
    author.commit("signed");
    let third = stage.unsigned("third");
    let words = [
        "error: refs/heads/main: each of 2 commits: it is not signed, where 'alice' has to sign (rule 'main')\n",
        &format!("  {} by 'Alice <alice@example.com>': 'first'", &first[..12]),
        &format!("  {} by 'Alice <alice@example.com>': 'third'", &third[..12]),
        "hint: sign them, on the branch that you push: 'git rebase ",
    ];
    let said = stage.refused(&["main"], &words.map(|word| word.trim_end()));
    assert_eq!(obey(&stage, &said), format!("git rebase --force-rebase -S {base}"));
    assert_eq!(author.id("HEAD~3"), base);
    stage.accepted(&["main"]);

    // The last one alone, with a change in it and without.
    for (content, allow) in [("content", ""), ("content", " --allow-empty")] {
        std::fs::write(author.path.join("file"), content).unwrap();
        author.git(&["add", "file"]).check();
        stage.unsigned("alone");
        let said = stage.refused(&["main"], &["main: commit", "by 'Alice <alice@example.com>': 'alone'"]);
        assert_eq!(obey(&stage, &said), format!("git commit --amend --no-edit -S{allow}"));
        stage.accepted(&["main"]);
    }

    // On a side branch that was merged, and again where the ref has gone on since it was begun.
    let base = author.id("HEAD");
    author.git(&["checkout", "-q", "-b", "side"]).check();
    stage.unsigned("aside");
    author.git(&["checkout", "-q", "main"]).check();
    author.git(&["merge", "-q", "--no-ff", "-m", "merge", "side"]).check();
    let said = stage.refused(&["main"], &["'aside'"]);
    assert_eq!(obey(&stage, &said), format!("git rebase --force-rebase -S --rebase-merges {base}"));
    assert_eq!(author.git(&["rev-list", "--merges", "--count", "HEAD"]).any_stdout().check().text(), "1\n");
    stage.accepted(&["main"]);

    author.git(&["checkout", "-q", "-B", "side", "HEAD^1"]).check();
    stage.unsigned("aside and older");
    author.git(&["checkout", "-q", "main"]).check();
    let current = author.id("HEAD");
    author.git(&["merge", "-q", "--no-ff", "-m", "merge", "side"]).check();
    let said = stage.refused(&["main"], &["'aside and older'"]);
    assert_eq!(obey(&stage, &said), format!("git rebase --force-rebase -S --rebase-merges {current}"));
    assert_eq!(author.id("HEAD^1"), current, "what was accepted is not made anew");
    stage.accepted(&["main"]);
}

#[test]
fn what_was_begun_before_the_branch_moved_on_is_mended_where_it_began() {
    let stage = Stage::new(MAIN);
    let author = stage.author();
    author.commit("base");
    stage.accepted(&["main"]);
    // Somebody else was faster, and their work was pulled: the last word before a push, on most days.
    author.git(&["checkout", "-q", "-b", "theirs"]).check();
    let theirs = author.commit("theirs");
    stage.accepted(&["theirs:main"]);
    author.git(&["checkout", "-q", "main"]).check();
    stage.unsigned("mine");
    author.commit("mine too");
    author.git(&["merge", "-q", "-m", "pulled", "theirs"]).check();
    let said = stage.refused(&["main"], &["'mine'", "hint: sign it, on the branch that you push: "]);
    assert_eq!(obey(&stage, &said), format!("git rebase --force-rebase -S --rebase-merges {theirs}"));
    assert_eq!(author.id("HEAD^2"), theirs);
    assert_eq!(author.id("HEAD~3"), author.id("theirs~"));
    stage.accepted(&["main"]);

    // The same of a branch that is new to the server, and pulled twice.
    author.git(&["checkout", "-q", "-b", "release/1", "theirs~"]).check();
    stage.unsigned("one");
    author.git(&["merge", "-q", "-m", "first", "theirs"]).check();
    author.commit("two");
    author.git(&["merge", "-q", "-m", "second", "main"]).check();
    let said = stage.refused(&["release/1"], &["'one'", "hint: sign it, on the branch that you push: "]);
    let main = author.id("main");
    assert_eq!(obey(&stage, &said), format!("git rebase --force-rebase -S --rebase-merges {main}"));
    assert_eq!(
        author.git(&["log", "--format=%s", "--first-parent"]).any_stdout().check().text(),
        "second\ntwo\nfirst\none\nbase\n"
    );
    stage.accepted(&["release/1"]);
}

#[test]
fn a_history_that_nobody_signed_is_signed_from_its_root_on() {
    let stage = Stage::new(MAIN);
    stage.unsigned("root");
    stage.unsigned("next");
    let said = stage.refused(&["main"], &["each of 2 commits"]);
    assert_eq!(obey(&stage, &said), "git rebase --force-rebase -S --root");
    stage.accepted(&["main"]);
}

#[test]
fn tags_are_made_again() {
    let rules = "[[rule]]\nname = \"tags\"\nrefs = [\"refs/tags/*\"]\ncommits = [\"alice\"]\ntags = [\"alice\"]\ncreate = \"allow\"\n";
    let stage = Stage::new(rules);
    let author = stage.author();
    let one = author.commit("one");
    author.git(&["tag", "--no-sign", "-a", "-m", "v1", "v1"]).check();
    author.git(&["-c", "tag.gpgSign=false", "tag", "v2"]).check();
    let said = stage.refused(&["v1"], &["refs/tags/v1: tag", "it is not signed"]);
    assert_eq!(obey(&stage, &said), format!("git tag -s -f v1 {one}"));
    stage.accepted(&["v1"]);
    let said = stage.refused(&["v2"], &["the tag is lightweight"]);
    assert_eq!(obey(&stage, &said), format!("git tag -s -f v2 {one}"));
    assert!(said.contains("hint: if git does not sign yet, 'countersign init' sets it up to"), "{said}");
    stage.accepted(&["v2"]);
    // A tag of a tag, however many lie between.
    author.git(&["-c", "advice.nestedTag=false", "tag", "-s", "-m", "v3", "v3", "v1"]).check();
    author
        .git(&["-c", "advice.nestedTag=false", "tag", "-f", "-s", "-m", "v3", "v3", "v3"])
        .any_stdout()
        .check();
    let said = stage.refused(&["v3"], &["the tag names another tag"]);
    assert_eq!(obey(&stage, &said), format!("git tag -s -f v3 {one}"));
    stage.accepted(&["v3"]);
    // A shell would take this name for more than a name.
    author.git(&["tag", "--no-sign", "-a", "-m", "x", "a;touch${IFS}b"]).check();
    let said = stage.refused(&["a;touch${IFS}b"], &["hint: make the tag again with 'git tag -s -f'"]);
    assert!(!said.contains("git tag -s -f a"), "{said}");
}

#[test]
fn whose_work_stands_between_good_commits_is_not_rewritten_with_them() {
    let stage = Stage::new(MAIN);
    let author = stage.author();
    author.commit("base");
    stage.accepted(&["main"]);
    // What was refused came in by a merge from a branch that is older than main's value.
    author.git(&["checkout", "-q", "-b", "side"]).check();
    author.commit("good aside");
    stage.unsigned("bad aside");
    author.git(&["checkout", "-q", "main"]).check();
    author.commit("good");
    author.git(&["merge", "-q", "-m", "merge", "side"]).check();
    let said = stage.refused(&["main"], &["'bad aside'", "hint: sign it with 'git commit --amend -S'"]);
    assert!(!said.contains("git rebase --force-rebase"), "{said}");
}

#[test]
fn what_a_rule_forbids_comes_with_what_can_be_done() {
    let stage = Stage::new(
        "[[rule]]\nname = \"all\"\nrefs = [\"refs/heads/**\", \"refs/tags/**\"]\ncommits = [\"alice\"]\n\
         tags = [\"alice\"]\n[[rule]]\nname = \"begin\"\nrefs = [\"refs/begin/*\"]\ncommits = [\"alice\"]\n\
         create = \"allow\"\n",
    );
    let author = stage.author();
    let one = author.commit("one");
    stage.refused(
        &["main"],
        &["the ref may not be created", "have the policy's owner allow 'create' in the rule"],
    );
    stage.accepted(&["HEAD:refs/begin/x"]);
    stage.server().git(&["update-ref", "refs/tags/v1", &one]).check();
    stage.server().git(&["update-ref", "refs/heads/main", &one]).check();
    stage.refused(&[":main"], &["may not be deleted", "have the policy's owner allow 'delete' in the rule"]);
    author.git(&["tag", "-s", "-m", "v1", "v1"]).check();
    stage.refused(
        &["+v1"],
        &["may not be replaced", "hint: leave the tag as it is, and give the new one a name"],
    );
    author.git(&["tag", "-s", "-m", "tree", "tree", "HEAD^{tree}"]).check();
    stage.refused(&["tree"], &["does not lead to a commit", "hint: tag a commit"]);
}

/// Whatever is wrong, and however much of it.
#[test]
fn a_refusal_is_no_longer_than_a_screen() {
    let rules = MAIN.replace("\"refs/heads/release/*\"", "\"refs/heads/release/*\", \"refs/heads/x/*\"");
    let stage = Stage::new(&format!(
        "{rules}[[rule]]\nname = \"tags\"\nrefs = [\"refs/tags/*\"]\ncommits = [\"alice\"]\n"
    ));
    let author = stage.author();
    let mut stream = String::new();
    for branch in 0..40 {
        for number in 0..10 {
            stream += &format!(
                "commit refs/heads/x/{branch}\ncommitter C\u{1b}[31m\u{202e} <c@{branch}> {} +0000\ndata 12\n{branch:05} {number:05}\n",
                1_700_000_000 + number
            );
        }
    }
    author.git(&["fast-import", "--quiet"]).input(stream.as_bytes()).any_stderr().check();
    author.git(&["-c", "tag.gpgSign=false", "tag", "light", "x/0"]).check();
    author.git(&["tag", "--no-sign", "-a", "-m", "a", "heavy", "x/1"]).check();
    author.git(&["branch", "elsewhere", "x/0"]).check();
    let said = stage.refused(
        &["refs/heads/*:refs/heads/*", "refs/tags/*:refs/tags/*"],
        &[
            "and 39 more refs: each of 400 commits: it is not signed",
            "  and 398 more",
            "no rule names this ref",
            "and ",
        ],
    );
    let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("remote: ")).collect();
    assert!((8..=24).contains(&lines.len()), "{} lines\n{said}", lines.len());
    assert!(lines.iter().all(|line| line.len() < 250), "{said}");
    assert!(!said.contains('\u{1b}') && !said.contains('\u{202e}'), "{said}");
    assert!(said.contains("'C\\u{1b}[31m\\u{202e} <c@"), "{said}");
}

#[test]
fn a_tag_whose_own_name_is_long_is_told_on_one_screen() {
    let stage = Stage::new(
        "[[rule]]\nname = \"tags\"\nrefs = [\"refs/tags/*\"]\ncommits = [\"alice\"]\ntags = [\"alice\"]\ncreate = \"allow\"\n",
    );
    let author = stage.author();
    let one = author.commit("one");
    let name = "n".repeat(1_000_000);
    let tag =
        format!("object {one}\ntype commit\ntag {name}\ntagger A <a@example.com> 1700000000 +0000\n\nx\n");
    let tag = author.store("tag", tag.as_bytes());
    let said = stage.refused(&[&format!("{tag}:refs/tags/v1")], &["nnnn"]);
    assert!(said.len() < 4000, "{}", said.len());
}
