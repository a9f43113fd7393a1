//! A workload's data and where its snapshots live: what the operations on data work with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::context::Context;
use super::labour::failure_of;
use super::workload::Workload;
use crate::blocking::spawn_blocking;
use crate::clock::Timestamp;
use crate::data::retention::Candidate;
use crate::data::store::{Space, Stored};
use crate::data::{self, Bucket, Retention, Source, Store, Way};
use crate::protocol::{Failure, OwnSpace, Reason, SnapshotFacts, SnapshotReport};

/// A workload's data, and how it is snapshotted.
#[derive(Clone, Debug)]
pub struct Snapshots {
    /// The data, and what of it is captured.
    pub source: Source,
    /// The store's directory; `None` is beside the data.
    pub store: Option<PathBuf>,
    /// How it is cut; `None` is the best way that works.
    pub way: Option<Way>,
    /// What must be equal for a restore to make sense: network, shard …
    pub identity: BTreeMap<String, String>,
    /// Bytes that stay free.
    pub reserve: u64,
    /// Bytes a second while the workload runs; 0 is no limit.
    pub rate: u64,
    /// How long the cut may take while the workload is stopped.
    pub longest_cut: Duration,
    /// When the workload is started from outside the agent.
    pub dead_man: Duration,
    /// How soon after a start there must be a new block.
    pub progress_within: Duration,
    /// Which snapshots stay.
    pub retention: Retention,
    /// Where they are sent.
    pub bucket: Option<Bucket>,
}

impl Snapshots {
    /// Opens the store, and makes it where it is not there yet. A disk that hangs must not hang the agent.
    pub(super) async fn open(&self) -> Result<Store, Failure> {
        let plan = self.clone();
        match spawn_blocking(move || plan.opened()).await {
            Ok(opened) => opened.map_err(|error| failure_of(&error)),
            Err(error) => Err(Failure::new(Reason::DataFailed, error.to_string())),
        }
    }

    /// Opens the store where it is there.
    pub(super) async fn look(&self) -> Result<Option<Store>, Failure> {
        let plan = self.clone();
        match spawn_blocking(move || plan.at(false)).await {
            Ok(there) => there.map_err(|error| failure_of(&error)),
            Err(error) => Err(Failure::new(Reason::DataFailed, error.to_string())),
        }
    }

    /// The same as `open` within work on files.
    pub(super) fn opened(&self) -> Result<Store, data::Error> {
        Store::open(&self.path()?)
    }

    /// Opens the store where it is there; where it is not, it is made or, without `make`, nothing.
    pub(super) fn at(&self, make: bool) -> Result<Option<Store>, data::Error> {
        let path = self.path()?;
        match make || path.exists() {
            true => Store::open(&path).map(Some),
            false => Ok(None),
        }
    }

    /// Opens the store that somebody has worked in. One whose disk is not mounted yet is an error, and is not made.
    pub(super) fn again(&self) -> Result<Store, data::Error> {
        let path = self.path()?;
        let store = path.exists().then(|| Store::open(&path)).transpose()?;
        store
            .filter(Store::is_in_use)
            .ok_or(data::Error::NoStore { path })
    }

    pub(super) fn path(&self) -> Result<PathBuf, data::Error> {
        match &self.store {
            Some(path) => Ok(path.clone()),
            None => Store::beside(&self.source.root),
        }
    }
}

impl Workload {
    /// The data of the workload.
    pub(super) fn data(&self) -> Result<&Snapshots, Failure> {
        self.snapshots.as_ref().ok_or_else(|| {
            let name = &self.name;
            let message =
                format!("{name} has no data directory: set `data-dir` in its [[workload]]");
            Failure::new(Reason::Unsupported, message)
        })
    }

    /// Its snapshots, newest first. The store is not made by being looked at.
    pub(super) async fn list(&self, clock_synced: bool) -> Result<Vec<SnapshotReport>, Failure> {
        let data = self.data()?.clone();
        let list = move || match data.at(false)? {
            Some(store) => snapshot_reports(&store, clock_synced),
            None => Ok(Vec::new()),
        };
        match spawn_blocking(list).await {
            Ok(list) => list.map_err(|error| failure_of(&error)),
            Err(error) => Err(Failure::new(Reason::DataFailed, error.to_string())),
        }
    }
}

impl Context {
    /// The data of the workload.
    pub fn snapshots(&self) -> Result<&Snapshots, Failure> {
        self.workload.data()
    }

    /// What a snapshot must be of, for a restore to make sense.
    pub fn identity(&self, plan: &Snapshots) -> data::Workload {
        data::Workload {
            kind: self.workload.kind.name().to_owned(),
            identity: plan.identity.clone(),
        }
    }
}

/// Every snapshot of a store as it is told to others, newest first.
///
/// # Errors
/// Where the store cannot be read.
pub fn snapshot_reports(
    store: &Store,
    clock_synced: bool,
) -> Result<Vec<SnapshotReport>, data::Error> {
    let list = store.list()?.into_iter().rev();
    Ok(list.map(|stored| report(stored, clock_synced)).collect())
}

fn report(stored: Stored, clock_synced: bool) -> SnapshotReport {
    let age = age(&stored, clock_synced);
    let (facts, unreadable) = match stored.manifest {
        Ok(manifest) => {
            let facts = SnapshotFacts {
                cut_time: manifest.cut_time,
                clock_synced: manifest.clock_synced,
                age_s: age.map(|age| age.as_secs()),
                height: manifest.height,
                way: manifest.way,
                clean: manifest.clean,
                files: manifest.files,
                total_bytes: manifest.total_bytes,
                verified: manifest.verified,
                timings: manifest.timings,
            };
            (Some(facts), None)
        }
        Err(problem) => (None, Some(problem)),
    };
    SnapshotReport {
        name: stored.name,
        bad: stored.bad.or(unreadable),
        space: match stored.space {
            Space::Exact(bytes) => OwnSpace::Exact(bytes),
            Space::AtMost(bytes) => OwnSpace::AtMost(bytes),
        },
        facts,
    }
}

/// How old a snapshot is, where the clock could be believed then and can be now.
fn age(stored: &Stored, clock_synced: bool) -> Option<Duration> {
    let manifest = stored.manifest.as_ref().ok()?;
    let seconds = Timestamp::now()
        .unix_seconds()
        .saturating_sub(manifest.cut_time.unix_seconds());
    (clock_synced && manifest.clock_synced)
        .then(|| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

/// What the retention needs to know of each snapshot.
pub(super) fn candidates(list: &[Stored], clock_synced: bool) -> Vec<Candidate> {
    let candidate = |stored: &Stored| Candidate {
        name: stored.name.clone(),
        age: age(stored, clock_synced),
        good: stored.is_good(),
        bytes: match stored.space {
            Space::Exact(bytes) | Space::AtMost(bytes) => bytes,
        },
    };
    // One that is being read cannot go now.
    let free = list.iter().filter(|stored| !stored.pinned);
    free.map(candidate).collect()
}
