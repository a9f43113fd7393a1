//! Which snapshots are to go: by count, by age, by free space, and never the last good ones.

use std::time::Duration;

use serde::Serialize;

use crate::protocol::Name;

/// The rules. Each that is not set does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Keep this many of the newest.
    pub keep_last: Option<usize>,
    /// Remove what is older.
    pub max_age: Option<Duration>,
    /// Remove the oldest until so many bytes are free.
    pub min_free: u64,
    /// Whatever the other rules say, this many good ones stay.
    pub min_verified: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            keep_last: Some(3),
            max_age: None,
            min_free: 0,
            min_verified: 1,
        }
    }
}

/// What a decision needs to know of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub name: Name,
    /// Its age; `None` while a clock that is not synchronised would have to say.
    pub age: Option<Duration>,
    /// It was verified and is not marked bad.
    pub good: bool,
    /// Bytes that come free with it, at most.
    pub bytes: u64,
}

/// Why a snapshot goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reason {
    /// It cannot be restored.
    Bad,
    /// There are enough newer ones.
    Count,
    /// It is too old.
    Age,
    /// Its space is needed.
    Space,
}

/// A snapshot that is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Its name.
    pub name: Name,
    /// Why.
    pub reason: Reason,
}

/// Decides. `candidates` are in order, oldest first; `free` is what the filesystem has now.
///
/// A bad snapshot goes as soon as there is a good one: until then it may be all that is left for a person to look at.
/// Bytes that two snapshots share come free only with the second, so after a removal for space one asks again.
pub fn plan(candidates: &[Candidate], retention: &Retention, free: u64) -> Vec<Removal> {
    let mut removals = Vec::new();
    let mut good_left = candidates.iter().filter(|candidate| candidate.good).count();
    let any_good = good_left > 0;
    let mut free = free;
    let mut newer = good_left;
    for candidate in candidates {
        if !candidate.good {
            if any_good {
                free = free.saturating_add(candidate.bytes);
                removals.push(Removal {
                    name: candidate.name.clone(),
                    reason: Reason::Bad,
                });
            }
            continue;
        }
        newer -= 1;
        if good_left <= retention.min_verified {
            continue;
        }
        let reason = if retention.keep_last.is_some_and(|keep| newer >= keep) {
            Reason::Count
        } else if retention
            .max_age
            .zip(candidate.age)
            .is_some_and(|(limit, age)| age > limit)
        {
            Reason::Age
        } else if free < retention.min_free {
            Reason::Space
        } else {
            continue;
        };
        good_left -= 1;
        free = free.saturating_add(candidate.bytes);
        removals.push(Removal {
            name: candidate.name.clone(),
            reason,
        });
    }
    removals
}

#[cfg(test)]
#[path = "retention_tests.rs"]
mod tests;
