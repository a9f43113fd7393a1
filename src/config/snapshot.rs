//! `[workload.snapshot]`: how and where a workload's data is snapshotted, and which snapshots are kept.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::error::Problems;
use super::seconds::Seconds;
use super::section::section;
use crate::data::{Exclude, RelativePath};

section! {
    /// Snapshots of the workload's data. It needs `data-dir`; everything here has a default.
    default Snapshot {
        /// Where the snapshots live: on the filesystem of the data, so that tables are shared with it. Left out, a directory `.ostler-store` beside the data directory.
        store: Option<PathBuf> = None, example = "/opt/miner/snapshots";
        /// How a snapshot is taken: `auto` (the best of the next three that works here), `reflink`, `link`, `copy`, or `hot`, without a stop: like the state after a power cut, for nodes that can roll back.
        way: Way = Way::Auto;
        /// Directories inside the data directory that are captured; empty is all of it.
        include: Vec<String> = Vec::new(), example = ["blockchain.db", "ledger.db"];
        /// Names or paths inside the data directory that are left out, beside the known names of keys and of signing state. `*` stands for any characters.
        exclude: Vec<String> = Vec::new(), example = ["log"];
        /// Mebibytes that stay free on the store's filesystem.
        reserve_mib: u64 = 512;
        /// Mebibytes a second that are read and copied at most while the workload runs; 0 is no limit.
        rate_mib: u64 = 100;
        /// Seconds that the cut may take while the workload is stopped, from 1 to 3600; past it the cut is given up and the workload started.
        longest_cut: Seconds<1, 3600> = Seconds::of(30);
        /// Seconds after which the workload is started by a timer outside of the agent, whatever became of it, from 60 to 86400.
        dead_man: Seconds<60, 86_400> = Seconds::of(900);
        /// Seconds in which the first new block must come after a snapshot, from 10 to 86400.
        progress_within: Seconds<10, 86_400> = Seconds::of(300);
        /// How many of the newest snapshots are kept.
        keep_last: usize = 3;
        /// Days after which a snapshot goes; 0 is never.
        keep_days: u64 = 0;
        /// Mebibytes that shall be free: the oldest snapshots go until they are.
        keep_free_mib: u64 = 0;
        /// How many verified snapshots stay, whatever the other rules say.
        keep_verified: usize = 1;
    }
}

/// How a snapshot is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// The best stopped way that works here: reflink, else link, else copy.
    Auto,
    /// Stopped; every file is reflinked.
    Reflink,
    /// Stopped; tables are linked, what changes is copied.
    Link,
    /// Stopped; tables are copied before the stop, the rest during it.
    Copy,
    /// Running.
    Hot,
}

/// What a stop and a start take beside the workload's own time.
const MARGIN: Duration = Duration::from_secs(30);

impl Snapshot {
    /// Whether a workload with this grace is not started in the middle of its cut.
    pub(super) fn goes_with(&self, grace: Duration) -> bool {
        Duration::from(self.dead_man) >= self.least_dead_man(grace)
    }

    fn least_dead_man(&self, grace: Duration) -> Duration {
        grace + Duration::from(self.longest_cut) + MARGIN
    }

    pub(super) fn check(&self, at: &str, grace: Duration, problems: &mut Problems) {
        if !self.goes_with(grace) {
            problems.add(
                format!("{at}.dead-man"),
                format!(
                    "would start the workload in the middle of the cut: it must be at least {} s, more than `grace` and \
                     `longest-cut` together",
                    self.least_dead_man(grace).as_secs()
                ),
            );
        }
        if let Some(store) = &self.store {
            super::check_absolute(&format!("{at}.store"), store, problems);
        }
        for path in &self.include {
            if let Err(error) = RelativePath::try_from(path.clone()) {
                problems.add(format!("{at}.include"), error.to_string());
            }
        }
        if let Err(error) = Exclude::with(&self.exclude) {
            problems.add(format!("{at}.exclude"), error.to_string());
        }
        if self.keep_verified == 0 {
            problems.add(
                format!("{at}.keep-verified"),
                "must be at least 1: the last good snapshot is never removed",
            );
        }
        if self.keep_last < self.keep_verified {
            problems.add(
                format!("{at}.keep-last"),
                "must not be less than `keep-verified`",
            );
        }
    }
}
