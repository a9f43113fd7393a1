//! What is known of a snapshot, for whoever asks which there are.

use serde::{Deserialize, Serialize};

use super::Name;
use crate::clock::Timestamp;
use crate::data::{Level, Timings, Way};

/// One snapshot of a workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SnapshotReport {
    /// Its name.
    pub name: Name,
    /// Why it cannot be restored; absent where it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bad: Option<String>,
    /// What would come free with it.
    pub space: OwnSpace,
    /// What its manifest says; absent where that cannot be read.
    #[serde(flatten)]
    pub facts: Option<SnapshotFacts>,
}

/// The space that belongs to one snapshot alone, in bytes: what it shares with the data or with others is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnSpace {
    /// So many.
    Exact(u64),
    /// Reflinked blocks are shared unseen: so many, or fewer.
    AtMost(u64),
}

/// What the manifest of a snapshot says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SnapshotFacts {
    /// When it was cut.
    pub cut_time: Timestamp,
    /// Whether the clock was synchronised then.
    pub clock_synced: bool,
    /// Seconds since the cut; absent where the clock was not synchronised then, or is not now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_s: Option<u64>,
    /// The block height at the cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    /// How it was cut.
    pub way: Way,
    /// Whether the workload had stopped by itself, and not been killed.
    pub clean: bool,
    /// How many files, directories and symbolic links it holds.
    pub files: u64,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// How thoroughly it was checked before it was sealed.
    pub verified: Level,
    /// The parts of the downtime.
    pub timings: Timings,
}
