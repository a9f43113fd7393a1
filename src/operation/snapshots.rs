//! A workload's data and where its snapshots live: what the operations on data work with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::context::Context;
use super::labour::failure_of;
use crate::clock::Timestamp;
use crate::data::retention::Candidate;
use crate::data::store::{Space, Stored};
use crate::data::{Retention, Source, Store, Way};
use crate::protocol::{Failure, Reason};

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
}

impl Snapshots {
    /// Opens the store, and makes it where it is not there yet.
    pub(super) fn open(&self) -> Result<Store, Failure> {
        let open = || match &self.store {
            Some(path) => Store::open(path),
            None => Store::open(&Store::beside(&self.source.root)?),
        };
        open().map_err(|error| failure_of(&error))
    }
}

impl Context {
    /// The data of the workload.
    pub fn snapshots(&self) -> Result<&Snapshots, Failure> {
        self.workload.snapshots.as_ref().ok_or_else(|| {
            let name = &self.workload.name;
            let message =
                format!("{name} has no data directory: set `data-dir` in its [[workload]]");
            Failure::new(Reason::Unsupported, message)
        })
    }
}

/// What the retention needs to know of each snapshot.
pub(super) fn candidates(list: &[Stored], clock_synced: bool) -> Vec<Candidate> {
    let now = Timestamp::now().unix_seconds();
    let candidate = |stored: &Stored| {
        let manifest = stored.manifest.as_ref().ok();
        let taken = manifest.filter(|manifest| clock_synced && manifest.clock_synced);
        let age = taken.map(|manifest| now.saturating_sub(manifest.cut_time.unix_seconds()));
        Candidate {
            name: stored.name.clone(),
            age: age.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0))),
            good: stored.is_good(),
            bytes: match stored.space {
                Space::Exact(bytes) | Space::AtMost(bytes) => bytes,
            },
        }
    };
    list.iter().map(candidate).collect()
}
