//! The weaker guard of a clone whose remotes are plain: what git's reference-transaction hook asks before
//! refs move.
//!
//! Refs that mirror a remote's are judged as that remote's own, and tags as they are. Branches are the
//! user's: only what was made elsewhere is judged of what comes into them. git has stored all objects by
//! then, and has written FETCH_HEAD.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io::Write,
};

use gix::bstr::{BStr, BString, ByteSlice as _};

use super::{
    Basis,
    judge::{Judge, warned},
};
use crate::{
    hook::{Standing, Update},
    object::{Commit, ObjectId, Tag},
    policy::{Cause, Governing, Pushing, Subject},
    repository::{
        ObjectReader, Objects, ReferenceError, ReferenceValue, References, Repository, new_commits,
    },
    words::Failure,
};

const TAGS: &[u8] = b"refs/tags/";
const BRANCHES: &[u8] = b"refs/heads/";
const REMOTES: &[u8] = b"refs/remotes/";

/// Which refs mirror those of a remote: a refspec of its `fetch` setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mirrored {
    remote: String,
    there: (BString, BString),
    here: (BString, BString),
}

/// A ref that is about to get a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Its full name here.
    pub reference: BString,
    /// The value.
    pub wanted: ObjectId,
}

/// Everything that the guard looks at.
pub struct Guard<'a> {
    /// The clone.
    pub repository: &'a Repository,
    /// What refs are judged by, where any has to be.
    pub basis: &'a dyn Fn() -> Result<Basis, Failure>,
    /// Which refs mirror a remote's.
    pub mirrored: &'a [Mirrored],
    /// The branch of a remote that a local one goes with, both by their full names.
    pub upstream: &'a HashMap<BString, BString>,
    /// E-mail addresses under which the user commits.
    pub own: &'a HashSet<BString>,
    /// Object ids that stand in FETCH_HEAD.
    pub fetched: &'a [ObjectId],
    /// Seconds since 1970.
    pub now: i64,
}

/// Refs here under the names that they have on a remote.
struct Clone<'a> {
    references: &'a References,
    here: BTreeMap<BString, BString>,
    mirrored: &'a HashSet<ObjectId>,
    /// What stands here already is judged itself.
    is_bare: bool,
}

impl Standing for Clone<'_> {
    fn value(&self, name: &BStr) -> Result<ReferenceValue, ReferenceError> {
        let id = match self.here.get(name).filter(|_| !self.is_bare) {
            Some(here) => self.references.read(here.as_bstr())?.id,
            None => None,
        };
        Ok(ReferenceValue { names: vec![name.to_owned()], id })
    }

    fn is_accepted(&self, _digest: &[u8; 32], commit: ObjectId) -> bool {
        self.mirrored.contains(&commit)
    }

    fn is_created(&self, _name: &[u8]) -> bool {
        false
    }

    fn sees_each_move(&self) -> bool {
        false
    }
}

impl Mirrored {
    /// Read one value of `remote.<name>.fetch`; nothing where it mirrors no refs.
    #[must_use]
    pub fn parse(remote: &str, refspec: &[u8]) -> Option<Self> {
        let refspec = refspec.strip_prefix(b"+").unwrap_or(refspec);
        let (there, here) = refspec.split_once_str(":")?;
        let parts = |pattern: &[u8]| -> (BString, BString) {
            let (start, end) = pattern.split_once_str("*").unwrap_or((pattern, b""));
            (start.into(), end.into())
        };
        let is_whole = |pattern: &[u8]| !pattern.contains(&b'*');
        if here.is_empty() || is_whole(there) != is_whole(here) {
            return None;
        }
        Some(Self { remote: remote.to_owned(), there: parts(there), here: parts(here) })
    }

    /// The name that the ref has on the remote.
    pub(super) fn over_there(&self, here: &[u8]) -> Option<BString> {
        let middle = here.strip_prefix(self.here.0.as_slice())?.strip_suffix(self.here.1.as_slice())?;
        Some([self.there.0.as_slice(), middle, &self.there.1].concat().into())
    }
}

impl Guard<'_> {
    /// Judge `moves`; whether all of them may happen. With `is_first` the refs stand there already, and
    /// all that they hold is judged.
    ///
    /// # Errors
    /// It cannot be judged.
    pub fn judge(&self, moves: &[Move], is_first: bool, words: &mut dyn Write) -> Result<bool, Failure> {
        let unreadable = |error: &dyn std::fmt::Display| Failure::new(error, "run 'git fsck'");
        let references = self.repository.references();
        let all = references.all().map_err(|error| unreadable(&error))?;
        let values = |is_wanted: &dyn Fn(&[u8]) -> bool| -> HashSet<ObjectId> {
            all.iter().filter(|(name, _)| is_wanted(name)).filter_map(|(_, id)| *id).collect()
        };
        let mirrored = values(&|name: &[u8]| self.over_there(name).is_some());
        let hidden: Vec<ObjectId> =
            values(&|name: &[u8]| name.starts_with(BRANCHES) || self.over_there(name).is_some())
                .into_iter()
                .collect();
        let objects = self.repository.objects().map_err(|error| unreadable(&error))?;
        // By the remote whose refs they are: two of them may have refs of one name.
        let mut groups: BTreeMap<&str, Vec<(BString, &Move)>> = BTreeMap::new();
        let mut is_good = true;
        for moved in moves {
            if let Some((remote, name)) = self.over_there(&moved.reference) {
                groups.entry(remote).or_default().push((name, moved));
            } else if moved.reference.starts_with(BRANCHES) && !is_first {
                let foreign = self.foreign(&objects, moved, &hidden)?;
                if !foreign.is_empty() {
                    let name = self.rule_name(&moved.reference)?;
                    let one = vec![(name, moved)];
                    let judged = Judged { one, foreign: Some(&foreign), is_first };
                    is_good &= self.judge_group(&objects, &references, judged, &mirrored, words)?;
                }
            }
        }
        for one in groups.into_values() {
            let judged = Judged { one, foreign: None, is_first };
            is_good &= self.judge_group(&objects, &references, judged, &mirrored, words)?;
        }
        Ok(is_good)
    }

    /// The remote that a ref mirrors one of, and that one's name; a tag is what it is.
    fn over_there(&self, here: &[u8]) -> Option<(&str, BString)> {
        if here.starts_with(TAGS) {
            return Some(("", here.into()));
        }
        let found = self.mirrored.iter().find_map(|one| Some((one.remote.as_str(), one.over_there(here)?)));
        found.filter(|_| here.starts_with(REMOTES)).or_else(|| {
            // Of a remote that is not set up any more, or of somebody who writes such a ref by hand.
            let (_, name) = here.strip_prefix(REMOTES)?.split_once_str("/")?;
            Some(("", [BRANCHES, name].concat().into()))
        })
    }

    /// What a move would bring into a branch that was made elsewhere: whatever stands in FETCH_HEAD, and
    /// commits that name another committer than the user.
    fn foreign(
        &self,
        objects: &Objects,
        moved: &Move,
        hidden: &[ObjectId],
    ) -> Result<HashSet<ObjectId>, Failure> {
        let reader = objects.reader();
        let unclear = |error: &dyn std::fmt::Display| Failure::new(error, "run 'git fsck'");
        let shallow = self.repository.shallow(None).map_err(|error| unclear(&error))?.as_end();
        let walk = |tips: &[ObjectId]| {
            let tips: Vec<ObjectId> = tips.iter().filter_map(|tip| commit(&reader, *tip)).collect();
            new_commits(&reader, &tips, hidden, None, &shallow).map_err(|error| unclear(&error))
        };
        let new: HashSet<ObjectId> = walk(&[moved.wanted])?.commits.into_iter().collect();
        if new.is_empty() {
            return Ok(new);
        }
        let fetched: HashSet<ObjectId> = walk(self.fetched)?.commits.into_iter().collect();
        let is_foreign = |id: &ObjectId| {
            let object = reader.read(*id).ok();
            let parsed = object.as_ref().and_then(|object| Commit::parse(reader.hash(), &object.bytes).ok());
            let is_own = parsed
                .and_then(|commit| email(commit.committer))
                .is_some_and(|email| self.own.contains(email));
            fetched.contains(id) || !is_own
        };
        Ok(new.into_iter().filter(is_foreign).collect())
    }

    /// The ref by whose rule a branch is judged: the one that it goes with, one of its name, or what the
    /// remote's `HEAD` is.
    fn rule_name(&self, branch: &BString) -> Result<BString, Failure> {
        let basis = (self.basis)()?;
        let has_rule = |name: &&BString| matches!(basis.policy.governing(name), Governing::Rule(_));
        let upstream = self.upstream.get(branch);
        if let Some(name) = upstream.into_iter().chain([branch]).find(has_rule) {
            return Ok(name.clone());
        }
        let references = self.repository.references();
        let remotes: HashSet<&str> = self.mirrored.iter().map(|one| one.remote.as_str()).collect();
        for remote in remotes {
            let head = BString::from(format!("refs/remotes/{remote}/HEAD"));
            let value = references.read(head.as_bstr()).ok();
            let target = value.and_then(|value| value.names.last().cloned());
            let name = target.and_then(|name| Some(self.over_there(&name)?.1));
            if let Some(name) = name.filter(|name| has_rule(&name)) {
                return Ok(name);
            }
        }
        // What no rule is for is refused by that.
        Ok(branch.clone())
    }

    fn judge_group(
        &self,
        objects: &Objects,
        references: &References,
        judged: Judged<'_>,
        mirrored: &HashSet<ObjectId>,
        words: &mut dyn Write,
    ) -> Result<bool, Failure> {
        let Judged { one, foreign, is_first } = judged;
        let basis = (self.basis)()?;
        let here = one.iter().map(|(name, moved)| (name.clone(), moved.reference.clone())).collect();
        let standing = &Clone { references, here, mirrored, is_bare: is_first };
        let mut updates = Vec::new();
        for (name, moved) in &one {
            let claimed = standing.value(name.as_bstr());
            let claimed = claimed.map_err(|error| Failure::new(error, "run 'git fsck'"))?.id;
            updates.push(Update { claimed, wanted: Some(moved.wanted), reference: name.to_vec() });
        }
        let shallow = self.repository.shallow(None);
        let shallow = shallow.map_err(|error| Failure::new(error, "see to the file 'shallow'"))?.as_end();
        let judge = Judge::new(
            (&basis, self.now),
            (objects, references),
            standing,
            shallow,
            Pushing::Nobody,
            &updates,
        );
        let mut judged = judge.part(updates, words);
        for warning in warned(&judged.warnings) {
            let _ = writeln!(words, "warning: {warning}");
        }
        if let Some(foreign) = foreign {
            for refused in judged.refused.values_mut() {
                refused.refusals.retain(|refusal| match (&refusal.cause, refusal.subject) {
                    // A branch is the user's own to move.
                    (Cause::Event(_), _) => false,
                    (_, Subject::Commit(id)) => foreign.contains(&id),
                    _ => true,
                });
            }
            judged.refused.retain(|_, refused| !refused.refusals.is_empty());
        }
        judge.tell(&judged.refused, false, words);
        Ok(judged.refused.is_empty())
    }
}

/// What is judged at once.
struct Judged<'a> {
    one: Vec<(BString, &'a Move)>,
    /// Only these commits count.
    foreign: Option<&'a HashSet<ObjectId>>,
    is_first: bool,
}

/// The commit that a value is or leads to.
fn commit(reader: &ObjectReader, mut id: ObjectId) -> Option<ObjectId> {
    // A loop: tags of tags can be more than a stack has room for.
    loop {
        let object = reader.read(id).ok()?;
        match object.kind {
            gix::objs::Kind::Commit => return Some(id),
            gix::objs::Kind::Tag => id = Tag::parse(reader.hash(), &object.bytes).ok()?.target,
            _ => return None,
        }
    }
}

/// The address between the angle brackets of an identity line.
fn email(line: &[u8]) -> Option<&BStr> {
    let (_, rest) = line.split_once_str("<")?;
    Some(rest.split_once_str(">")?.0.as_bstr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_that_mirror_a_remotes_are_known_by_its_refspecs() {
        let plain = Mirrored::parse("origin", b"+refs/heads/*:refs/remotes/origin/*").unwrap();
        assert_eq!(plain.over_there(b"refs/remotes/origin/a/b").unwrap(), "refs/heads/a/b");
        assert_eq!(plain.over_there(b"refs/remotes/other/a"), None);
        let one = Mirrored::parse("origin", b"refs/heads/main:refs/remotes/origin/trunk").unwrap();
        assert_eq!(one.over_there(b"refs/remotes/origin/trunk").unwrap(), "refs/heads/main");
        for nothing in ["refs/heads/main", "refs/heads/*:", "refs/heads/*:refs/remotes/x"] {
            assert_eq!(Mirrored::parse("origin", nothing.as_bytes()), None, "{nothing}");
        }
        assert_eq!(email(b"A <a@example.com> 1 +0000").unwrap(), "a@example.com");
    }
}
