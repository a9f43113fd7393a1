//! What a manifest says of a snapshot as a whole, without its list of files, which may be long.

use crate::clock::Timestamp;
use crate::protocol::Name;

use super::manifest::{Level, Manifest, Timings, Way, Workload};
use super::place::Method;

/// A snapshot in a few words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its name.
    pub name: Name,
    /// Its place among the snapshots of its store.
    pub sequence: u64,
    /// Whose data it is.
    pub workload: Workload,
    /// When the cut was taken.
    pub cut_time: Timestamp,
    /// Whether the clock was synchronised then.
    pub clock_synced: bool,
    /// The block height at the cut.
    pub height: Option<u64>,
    /// The workload had stopped by itself, not been killed.
    pub clean: bool,
    /// How the cut was taken.
    pub way: Way,
    /// How many entries it has.
    pub files: u64,
    /// Whether it shares blocks with files of other names.
    pub reflinked: bool,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// How thoroughly it was checked before the seal.
    pub verified: Level,
    /// How long things took.
    pub timings: Timings,
}

impl Summary {
    /// Without the list.
    pub fn of(manifest: &Manifest) -> Self {
        let mut files = manifest.files.iter();
        Self {
            name: manifest.name.clone(),
            sequence: manifest.sequence,
            workload: manifest.workload.clone(),
            cut_time: manifest.cut_time,
            clock_synced: manifest.clock_synced,
            height: manifest.height,
            clean: manifest.clean,
            way: manifest.way,
            files: manifest.files.len() as u64,
            reflinked: files.any(|file| file.method == Method::Reflink),
            total_bytes: manifest.total_bytes,
            verified: manifest.verification.level,
            timings: manifest.timings,
        }
    }
}
