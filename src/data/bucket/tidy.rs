//! Removing from the bucket what is not needed any more.
//!
//! A manifest goes when there are enough newer ones of its workload. An object goes when no manifest of any workload
//! has named it for the whole grace. When an object was last changed says nothing: it may be old and just have been
//! found there by an upload that has not published its manifest yet. So the bucket itself keeps since when each is
//! unnamed, and the grace is longer than any upload takes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::clock::Timestamp;
use crate::protocol::Name;

use super::super::control::Control;
use super::super::error::Error;
use super::super::store::Store;
use super::desk::Desk;
use super::objects::latest;
use super::publish::{OBJECTS, Objects, Published, manifest_path, object};
use super::remote::Remote;
use super::{Bucket, Layout, harmony};

/// Since when no manifest names an object, in seconds since 1970.
const UNNAMED: &str = "objects-unnamed.json";

/// A folder that is about to be removed has this instead of its mark of completeness.
const DISCARD: &str = "DISCARD";

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Tidied {
    /// Published snapshots of this workload.
    pub snapshots: Vec<String>,
    /// Objects that nothing has named for long enough.
    pub objects: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// Objects that nothing names, and that wait for their time.
    pub waiting: usize,
}

impl Bucket {
    /// Removes what is not needed any more. `now` must come from a synchronised clock.
    pub fn tidy(
        &self,
        store: &Store,
        workload: &Name,
        now: Timestamp,
        control: &mut Control,
    ) -> Result<Tidied, Error> {
        let desk = Desk::open(store, control)?;
        let remote = self.remote()?;
        match &self.layout {
            Layout::Objects => {
                let snapshots = self.retire(&remote, &desk, workload, control)?;
                let mut tidied = sweep(&remote, &desk, self.grace, now, control)?;
                tidied.snapshots = snapshots;
                Ok(tidied)
            }
            Layout::Harmony(identity) => self.retire_folders(&remote, identity, store, control),
        }
    }

    /// Takes back the manifests of which there are enough newer ones. The newest and what `LATEST` names stay.
    fn retire(
        &self,
        remote: &Remote,
        desk: &Desk,
        workload: &Name,
        control: &mut Control,
    ) -> Result<Vec<String>, Error> {
        let published = Published::read(remote, desk, control)?;
        let own = published.of(workload);
        if self.keep_last == 0 || own.len() <= self.keep_last {
            return Ok(Vec::new());
        }
        let latest = latest(remote, workload, control)?;
        let mut removed = Vec::new();
        for entry in &own[..own.len() - self.keep_last] {
            if latest.as_ref() != Some(&entry.name) {
                remote.remove(&manifest_path(workload, &entry.name), control)?;
                removed.push(entry.name.to_string());
            }
        }
        Ok(removed)
    }

    /// Removes complete folders of which there are enough newer ones. What has no mark of ours is not ours.
    fn retire_folders(
        &self,
        remote: &Remote,
        identity: &harmony::Identity,
        store: &Store,
        control: &mut Control,
    ) -> Result<Tidied, Error> {
        let newest = store.list()?.into_iter().rev().find(|one| one.is_good());
        let Some(newest) = newest.and_then(|one| one.manifest.ok()) else {
            return Ok(Tidied::default());
        };
        let directory = identity.directory(&newest.name, &newest.workload)?;
        let marks = remote.list(&directory, Some(2), control)?;
        let with = |mark: &str| -> Vec<String> {
            let folders = marks.keys().filter_map(|path| path.strip_suffix(mark));
            let folders = folders.filter_map(|folder| folder.strip_suffix('/'));
            let mut folders: Vec<_> = folders.map(str::to_owned).collect();
            folders.sort_by_key(|folder| height(folder));
            folders
        };
        let complete = with(harmony::COMPLETE);
        let surplus = match self.keep_last {
            0 => 0,
            keep => complete.len().saturating_sub(keep),
        };
        let mut tidied = Tidied::default();
        for folder in &complete[..surplus] {
            let at = format!("{directory}/{folder}");
            let (mark, doomed) = (
                format!("{at}/{}", harmony::COMPLETE),
                format!("{at}/{DISCARD}"),
            );
            // Half removed must not look complete.
            remote.rename(&mark, &doomed, control)?;
            remote.purge(&at, control)?;
            tidied.snapshots.push(folder.clone());
        }
        for folder in with(DISCARD) {
            remote.purge(&format!("{directory}/{folder}"), control)?;
        }
        Ok(tidied)
    }
}

/// The last field of a folder's name: what Harmony's own restore sorts by.
fn height(folder: &str) -> u64 {
    let height = folder.rsplit('.').next();
    height.and_then(|height| height.parse().ok()).unwrap_or(0)
}

/// Removes the objects that nothing has named for the whole grace.
fn sweep(
    remote: &Remote,
    desk: &Desk,
    grace: Duration,
    now: Timestamp,
    control: &mut Control,
) -> Result<Tidied, Error> {
    // Objects first, manifests after: what was published in between is named by what is read last.
    let objects = Objects::list(remote, control)?;
    let published = Published::read(remote, desk, control)?;
    if let Some(problem) = published.unreadable.first() {
        return Err(Error::BadBucket {
            place: remote.at(""),
            detail: format!("{problem}; while it is there no object is removed"),
        });
    }
    let before = unnamed_before(remote, control)?;
    let now = now.unix_seconds();
    let grace = i64::try_from(grace.as_secs()).unwrap_or(i64::MAX);
    let mut tidied = Tidied::default();
    let (mut waiting, mut doomed) = (BTreeMap::new(), String::new());
    for (hash, size) in objects.iter().filter(|(hash, _)| !published.names(hash)) {
        let hash = hash.to_hex();
        // A time in the future is a clock's lie.
        let since = before
            .get(hash.as_str())
            .copied()
            .filter(|since| *since <= now)
            .unwrap_or(now);
        if now.saturating_sub(since) >= grace {
            doomed.push_str(&format!("{}\n", object(&hash)));
            tidied.objects += 1;
            tidied.bytes += size;
        } else {
            waiting.insert(hash.to_string(), since);
        }
    }
    if !doomed.is_empty() {
        let list = desk.file(doomed.as_bytes())?;
        remote.remove_all(OBJECTS, &list, control)?;
    }
    tidied.waiting = waiting.len();
    if waiting != before {
        let content = serde_json::to_vec(&waiting).unwrap_or_default();
        remote.publish(&desk.file(&content)?, UNNAMED, control)?;
    }
    Ok(tidied)
}

/// What was unnamed when somebody looked last. What cannot be read is nothing: the grace begins again.
fn unnamed_before(remote: &Remote, control: &mut Control) -> Result<BTreeMap<String, i64>, Error> {
    let content = remote.read(UNNAMED, control)?.unwrap_or_default();
    Ok(serde_json::from_slice(&content).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_sorted_as_harmony_sorts_them() {
        assert_eq!(height("harmony_db_1.26-11-21-03-45-05.4711"), 4711);
        assert_eq!(height("notes"), 0);
    }
}
