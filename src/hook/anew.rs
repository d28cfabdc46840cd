//! The command that makes refused commits of a branch anew, and no others but those that stand on them.

use std::collections::HashSet;

use super::{Telling, plan};
use crate::{
    object::{Commit, ObjectId},
    policy::{Refusal, Subject},
    repository::new_commits_while,
};

/// How many commits a command may have somebody sign again.
const MAXIMUM_MENDED: usize = 1000;

/// How many commits are tried for the base of a rebase.
const MAXIMUM_BASES: usize = 8;

/// What a rebase onto one base comes to.
enum Rebased {
    /// What was refused, and what stands on that; whether there are merges in it.
    Just { merges: bool },
    /// Something else as well. What is made anew stands on these besides.
    More(Vec<ObjectId>),
}

/// The command for those among `refusals` that are about commits of `reference`; none where no single one does it.
pub(super) fn command(telling: &Telling<'_>, refusals: &[&Refusal], reference: &[u8]) -> Option<String> {
    let Telling { reader, updates, go_on: has_time, .. } = telling;
    if !has_time() || !reference.starts_with(b"refs/heads/") {
        return None;
    }
    let update = updates.iter().find(|update| update.reference == reference)?;
    let tip = plan::commit_behind(reader, update.wanted?)?;
    let of_commit = |refusal: &&Refusal| match refusal.subject {
        Subject::Commit(id) if refusal.reference == reference => Some(id),
        _ => None,
    };
    // The oldest comes first.
    let refused: Vec<ObjectId> = refusals.iter().filter_map(of_commit).collect();
    if refused == [tip] {
        let (tree, parents) = telling.tree_and_parents(tip)?;
        let before = parents.first().and_then(|parent| telling.tree_and_parents(*parent));
        let is_empty = before.is_some_and(|(before, _)| before == tree);
        let allow = if is_empty { " --allow-empty" } else { "" };
        return Some(format!("git commit --amend --no-edit -S{allow}"));
    }
    if refused.len() > MAXIMUM_MENDED {
        return None;
    }
    let command = |base: Option<ObjectId>, merges: bool| {
        let merges = if merges { " --rebase-merges" } else { "" };
        let base = base.map_or_else(|| "--root".to_owned(), |base| base.to_string());
        format!("git rebase --force-rebase -S{merges} {base}")
    };
    let (_, parents) = telling.tree_and_parents(*refused.first()?)?;
    let base = parents.first().copied();
    let beside = match telling.rebased(tip, base, &refused) {
        Some(Rebased::Just { merges }) => return Some(command(base, merges)),
        Some(Rebased::More(beside)) => beside,
        None => Vec::new(),
    };
    // What began earlier was merged with what has come since. On top of that, git leaves it where it began.
    let held = update.claimed.and_then(|held| plan::commit_behind(reader, held));
    let mut bases = held.into_iter().chain(beside.into_iter().take(MAXIMUM_BASES));
    bases.find_map(|base| match telling.rebased(tip, Some(base), &refused)? {
        Rebased::Just { merges: true } => Some(command(Some(base), true)),
        Rebased::Just { merges: false } | Rebased::More(_) => None,
    })
}

impl Telling<'_> {
    fn tree_and_parents(&self, id: ObjectId) -> Option<(ObjectId, Vec<ObjectId>)> {
        let object = self.reader.read(id).ok()?;
        let commit = Commit::parse(self.reader.hash(), &object.bytes).ok()?;
        Some((commit.tree, commit.parents))
    }

    /// What `git rebase` from `base` on to `tip` would make anew; `None` where it is not all of `refused`, too much, or
    /// cannot be told.
    fn rebased(&self, tip: ObjectId, base: Option<ObjectId>, refused: &[ObjectId]) -> Option<Rebased> {
        let hidden: Vec<ObjectId> = base.into_iter().collect();
        let go_on = |walked| walked <= MAXIMUM_MENDED && (self.go_on)();
        let history = new_commits_while(self.reader, &[tip], &hidden, None, self.shallow, &go_on).ok()?;
        let commits: HashSet<ObjectId> = history.commits.iter().copied().collect();
        if !refused.iter().all(|id| commits.contains(id)) {
            return None;
        }
        let mut anew: HashSet<ObjectId> = refused.iter().copied().collect();
        let (mut beside, mut merges) = (Vec::new(), false);
        for id in history.commits.iter().rev() {
            let (_, parents) = self.tree_and_parents(*id)?;
            if !anew.contains(id) && !parents.iter().any(|parent| anew.contains(parent)) {
                continue;
            }
            merges |= parents.len() > 1;
            beside.extend(parents.into_iter().filter(|parent| !anew.contains(parent)));
            anew.insert(*id);
        }
        let is_just = anew.len() == commits.len();
        Some(if is_just { Rebased::Just { merges } } else { Rebased::More(beside) })
    }
}
