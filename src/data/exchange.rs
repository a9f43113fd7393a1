//! The exchange of two trees: the commit point of a restore.
//!
//! One directory is exchanged for another by one `renameat2(RENAME_EXCHANGE)`, which is atomic. Where that cannot be
//! (the data directory is a mount point, or only some directories in it are meant) entries are exchanged one by one.
//! Either way a journal is made durable first. It notes the inodes, so that after a power cut the disk itself tells
//! which steps were done, and the rest are done or all of them undone.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::{Deserialize, Serialize};

use super::control::Control;
use super::error::Error;
use super::path::RelativePath;
use super::tree::{self, RESERVED};

/// What of the two trees changes places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The directories themselves.
    Whole,
    /// Every entry of them.
    Entries,
    /// These directories in them.
    Only(Vec<RelativePath>),
}

/// Where an exchange is going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// The staged tree becomes the live one.
    Forward,
    /// The old tree becomes the live one again.
    Back,
    /// What is at the staged place now is no longer needed and is being removed.
    Discard,
}

/// An exchange under its journal.
#[derive(Debug)]
pub struct Exchange {
    journal: PathBuf,
    plan: Plan,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    live: PathBuf,
    staged: PathBuf,
    scope: Scope,
    goal: Goal,
    /// Everything is where the goal wants it. Only then does anyone start the workload, which moves files again.
    done: bool,
    /// A person says whether the new tree stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    waits_for_a_word: bool,
    /// Whoever owns the trees ran until they were exchanged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    ran: bool,
    /// Which goal the trees had reached when the pairs were noted.
    noted_at: Goal,
    pairs: Vec<Pair>,
}

/// Two names, and what each stood for when it was noted; nothing is a name that did not exist.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    path: RelativePath,
    live: Option<Inode>,
    staged: Option<Inode>,
}

/// What a name stands for: within one filesystem, its inode.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inode {
    /// Of use at one moment only: after a boot that found the disks in another order the number is another.
    device: u64,
    inode: u64,
}

impl PartialEq for Inode {
    fn eq(&self, other: &Self) -> bool {
        self.inode == other.inode
    }
}

impl Eq for Inode {}

impl Exchange {
    /// Plans the exchange of `live` and `staged` and makes the journal durable. Nothing is moved yet.
    pub fn begin(journal: &Path, live: &Path, staged: &Path, scope: &Scope) -> Result<Self, Error> {
        Self::refuse_pending(journal)?;
        let exchange = Self {
            journal: journal.to_owned(),
            plan: Plan {
                live: live.to_owned(),
                staged: staged.to_owned(),
                scope: scope.clone(),
                // Interrupted before the commit, it is as if it had never begun.
                goal: Goal::Back,
                done: false,
                waits_for_a_word: false,
                ran: false,
                noted_at: Goal::Back,
                pairs: pairs(live, staged, scope)?,
            },
        };
        exchange.record()?;
        Ok(exchange)
    }

    /// Fails when an interrupted exchange has to be finished first.
    pub fn refuse_pending(journal: &Path) -> Result<(), Error> {
        match fs::symlink_metadata(journal) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io("read", journal)(error)),
            Ok(_) => {
                // One that cannot be read is an exchange, too.
                let pending = Self::pending(journal).ok().flatten();
                Err(Error::Pending {
                    path: journal.to_owned(),
                    by_hand: pending.is_some_and(|exchange| exchange.waits_for_a_word()),
                })
            }
        }
    }

    /// The exchange that was interrupted, if there is one. [`Exchange::resume`] finishes it.
    pub fn pending(journal: &Path) -> Result<Option<Self>, Error> {
        let content = match fs::read(journal) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", journal)(error)),
        };
        let plan = serde_json::from_slice(&content).map_err(|error| Error::Record {
            path: journal.to_owned(),
            detail: error.to_string(),
        })?;
        Ok(Some(Self {
            journal: journal.to_owned(),
            plan,
        }))
    }

    /// Where it is going.
    pub fn goal(&self) -> Goal {
        self.plan.goal
    }

    /// The live tree.
    pub fn live(&self) -> &Path {
        &self.plan.live
    }

    /// Where the tree is that is not the live one.
    pub fn staged(&self) -> &Path {
        &self.plan.staged
    }

    /// Whether every step to its goal was done.
    pub fn is_complete(&self) -> bool {
        self.plan.done
    }

    /// Whether the live tree is part of the one and part of the other, or cannot be told from that.
    pub fn is_torn(&self) -> bool {
        let all = |at: fn(&Pair) -> (Option<Inode>, Option<Inode>)| {
            self.plan.pairs.iter().all(|pair| {
                let live = inode(&pair.path.below(&self.plan.live));
                let staged = inode(&pair.path.below(&self.plan.staged));
                matches!((live, staged), (Ok(live), Ok(staged)) if (live, staged) == at(pair))
            })
        };
        let noted = |pair: &Pair| (pair.live, pair.staged);
        let swapped = |pair: &Pair| (pair.staged, pair.live);
        // Once it was done, the workload may have moved entries of its own.
        !(self.plan.done || all(noted) || all(swapped))
    }

    /// Whether nothing was moved yet, or all of it back: then it is as if it had never begun.
    pub fn is_untouched(&self) -> bool {
        let live = |pair: &Pair| inode(&pair.path.below(&self.plan.live));
        let untouched = |pair: &Pair| matches!(live(pair), Ok(now) if now == pair.live);
        self.plan.goal == Goal::Back
            && self.plan.noted_at == Goal::Back
            && self.plan.pairs.iter().all(untouched)
    }

    /// From its commit on it is left alone until a person says whether the new tree stays.
    pub fn wait_for_a_word(&mut self) {
        self.plan.waits_for_a_word = true;
    }

    /// Whether a person has to say if the new tree stays.
    pub fn waits_for_a_word(&self) -> bool {
        self.plan.waits_for_a_word && self.plan.goal == Goal::Forward
    }

    /// Notes, from its commit on, whether the workload ran until it was stopped for this.
    pub fn note_ran(&mut self, ran: bool) {
        self.plan.ran = ran;
    }

    /// Whether the workload ran until it was stopped for this.
    pub fn ran(&self) -> bool {
        self.plan.ran
    }

    /// Whether the old tree is the live one again, or still: nothing has to be moved.
    pub fn is_back(&self) -> bool {
        self.is_untouched() || (self.plan.goal == Goal::Back && self.plan.done)
    }

    /// Makes the staged tree the live one. Done already is done.
    pub fn commit(&mut self) -> Result<(), Error> {
        self.go(Goal::Forward)
    }

    /// Makes the old tree the live one again.
    pub fn undo(&mut self) -> Result<(), Error> {
        self.go(Goal::Back)
    }

    /// Goes on to where it was going; with `Discard`, that is its end.
    pub fn resume(mut self, control: &mut Control) -> Result<Option<Self>, Error> {
        match self.plan.goal {
            Goal::Discard => self.finish(control).map(|()| None),
            goal => self.go(goal).map(|()| Some(self)),
        }
    }

    /// Makes the old tree the live one again. Where nothing of it was moved, or all of it moved back, the journal goes at
    /// once: whoever is started next moves files of its own, and it would be wrong by then. The staged tree stays, and is
    /// given then.
    pub fn undo_or_forget(mut self) -> Result<Option<PathBuf>, Error> {
        let untouched = self.is_untouched();
        self.undo()?;
        if !untouched {
            return Ok(None);
        }
        crate::durable::remove(&self.journal)?;
        Ok(Some(self.plan.staged))
    }

    /// Removes what is at the staged place now (the old tree after a commit, the new one after an undo), and the journal.
    pub fn finish(mut self, control: &mut Control) -> Result<(), Error> {
        // What was never begun needs no word about its end, for which a full disk may have no room.
        if self.plan.goal != Goal::Discard && !self.is_untouched() {
            self.plan.goal = Goal::Discard;
            self.record()?;
        }
        tree::discard(&self.plan.staged, control)?;
        Ok(crate::durable::remove(&self.journal)?)
    }

    /// Keeps what is at the staged place now under the name `to`, by one rename, and removes the journal. Gives whether
    /// there was anything to keep; kept already is kept.
    ///
    /// # Errors
    /// Where something else is at `to`, or it cannot be renamed there: then it stays at the staged place, under the
    /// journal.
    pub fn keep(self, to: &Path) -> Result<bool, Error> {
        let staged = &self.plan.staged;
        let there = inode(staged)?.is_some();
        if there {
            let renamed = renameat_with(CWD, staged, CWD, to, RenameFlags::NOREPLACE);
            renamed.map_err(|errno| Error::io("keep", to)(errno.into()))?;
            for parent in [to.parent(), staged.parent()].into_iter().flatten() {
                crate::durable::sync_directory(parent)?;
            }
        }
        crate::durable::remove(&self.journal)?;
        Ok(there || inode(to)?.is_some())
    }

    fn go(&mut self, goal: Goal) -> Result<(), Error> {
        if self.plan.goal == Goal::Discard {
            return Err(Error::Place {
                path: self.plan.staged.clone(),
                problem: "it is being removed: there is nothing to exchange any more",
            });
        }
        if self.plan.goal == goal && self.plan.done {
            return Ok(());
        }
        // Nothing to move, so nothing to write down: a full disk has no room for it.
        let untouched = self.plan.goal == goal && self.is_untouched();
        if self.plan.goal != goal {
            if self.plan.done {
                // The workload may have run since: the entries of today are those that change places.
                self.plan.pairs = pairs(&self.plan.live, &self.plan.staged, &self.plan.scope)?;
                self.plan.noted_at = self.plan.goal;
            }
            self.plan.goal = goal;
            self.plan.done = false;
            self.record()?;
        }
        let mut parents = BTreeSet::new();
        for pair in &self.plan.pairs {
            let live = pair.path.below(&self.plan.live);
            let staged = pair.path.below(&self.plan.staged);
            if !untouched {
                pair.exchange(&live, &staged, goal != self.plan.noted_at)?;
            }
            parents.extend([
                live.parent().map(Path::to_owned),
                staged.parent().map(Path::to_owned),
            ]);
        }
        for parent in parents.into_iter().flatten() {
            crate::durable::sync_directory(&parent)?;
        }
        self.plan.done = true;
        match untouched {
            true => Ok(()),
            false => self.record(),
        }
    }

    fn record(&self) -> Result<(), Error> {
        let content = serde_json::to_vec_pretty(&self.plan).map_err(|error| Error::Record {
            path: self.journal.clone(),
            detail: error.to_string(),
        })?;
        Ok(crate::durable::write(&self.journal, &content, 0o600)?)
    }
}

impl Pair {
    /// Swaps what the names stood for when they were noted, or brings that back; the inodes on the disk say whether it
    /// is so already.
    fn exchange(&self, live: &Path, staged: &Path, swap: bool) -> Result<(), Error> {
        let noted = (self.live, self.staged);
        let swapped = (self.staged, self.live);
        let (from, to) = if swap {
            (noted, swapped)
        } else {
            (swapped, noted)
        };
        let now = (inode(live)?, inode(staged)?);
        if let (Some(live_now), Some(staged_now)) = now
            && live_now.device != staged_now.device
        {
            return Err(Error::Place {
                path: live.to_owned(),
                problem: "it is not on the filesystem of what it is exchanged with: is its disk mounted?",
            });
        }
        if now == to {
            return Ok(());
        }
        if now != from {
            return Err(Error::Place {
                path: live.to_owned(),
                problem: "it is neither what it was before the exchange nor after it: someone else moved it",
            });
        }
        let renamed = match now {
            (Some(_), Some(_)) => renameat_with(CWD, staged, CWD, live, RenameFlags::EXCHANGE),
            (Some(_), None) => renameat_with(CWD, live, CWD, staged, RenameFlags::NOREPLACE),
            (None, Some(_)) => renameat_with(CWD, staged, CWD, live, RenameFlags::NOREPLACE),
            (None, None) => Ok(()),
        };
        renamed.map_err(|errno| Error::io("exchange", live)(errno.into()))
    }
}

fn pairs(live: &Path, staged: &Path, scope: &Scope) -> Result<Vec<Pair>, Error> {
    let mut pairs = Vec::new();
    for path in paths(live, staged, scope)? {
        pairs.push(Pair {
            live: inode(&path.below(live))?,
            staged: inode(&path.below(staged))?,
            path,
        });
    }
    Ok(pairs)
}

fn paths(live: &Path, staged: &Path, scope: &Scope) -> Result<Vec<RelativePath>, Error> {
    match scope {
        Scope::Whole => Ok(vec![RelativePath::root()]),
        Scope::Only(paths) => Ok(paths.clone()),
        Scope::Entries => {
            let mut names = BTreeSet::new();
            for directory in [live, staged] {
                for item in fs::read_dir(directory).map_err(Error::io("list", directory))? {
                    let name = item.map_err(Error::io("list", directory))?.file_name();
                    let name = name.into_string().map_err(|_| Error::Place {
                        path: directory.to_owned(),
                        problem: "it has an entry whose name is not UTF-8",
                    })?;
                    // Among them the staged tree itself.
                    if !name.starts_with(RESERVED) {
                        names.insert(RelativePath::root().join(&name)?);
                    }
                }
            }
            Ok(names.into_iter().collect())
        }
    }
}

fn inode(path: &Path) -> Result<Option<Inode>, Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(Inode {
            device: metadata.dev(),
            inode: metadata.ino(),
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
