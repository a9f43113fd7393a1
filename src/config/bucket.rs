//! `[workload.bucket]`: where a workload's snapshots are sent, through the host's `rclone`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::Problems;
use super::seconds::Seconds;
use super::secret;
use super::section::section;
use crate::data::bucket::harmony::DbType;

section! {
    /// The bucket that snapshots are sent to, through the host's `rclone` (Debian package `rclone`). Devices that share a place share its objects; each workload in it needs a name of its own.
    Bucket {
        /// `remote:path`, with a remote of rclone's configuration file, or an absolute path on this host: a mounted disk.
        remote: String, example = "snapshot:harmony-snapshot/testnet";
        /// rclone's configuration file, or the name of a systemd credential; it holds secrets, so that others must not be able to read it. Only a path on this host does without.
        config_file: Option<PathBuf> = None, example = "/etc/ostler/rclone.conf";
        /// How things are named there: `objects`, one for each file by its hash, so that only what is new is sent; or `harmony`, a folder for each snapshot as Harmony's own tools read it.
        layout: Layout = Layout::Objects;
        /// With `harmony`, the kind of database: `snap`, `archival` or `pruned`; left out, `archival` where the node is to be that, else `pruned`.
        db_type: Option<DbType> = None, example = "snap";
        /// With `harmony`, the shard; left out, it is the one that the node has to be of.
        shard: Option<u32> = None, example = 0;
        /// Mebibytes a second that are sent and fetched at most; 0 is no limit.
        bandwidth_mib: u64 = 0;
        /// Seconds without any progress after which rclone is given up, from 10 to 86400.
        patience: Seconds<10, 86_400> = Seconds::of(300);
        /// How many of the workload's newest snapshots stay in the bucket; 0 is all.
        keep_last: usize = 7;
        /// Days for which no snapshot must have named an object before it is removed, from 1 to 365: more than the longest upload takes.
        grace_days: u32 = 7;
    }
}

/// How things are named in the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// One object for each file, by its hash.
    Objects,
    /// A folder for each snapshot.
    Harmony,
}

impl Bucket {
    pub(super) fn check(&self, at: &str, problems: &mut Problems) {
        if let Err(problem) = crate::data::bucket::check_place(&self.remote) {
            problems.add(format!("{at}.remote"), problem);
        }
        match &self.config_file {
            Some(file) => secret::check_path(&format!("{at}.config-file"), file, problems),
            None if !self.remote.starts_with('/') => problems.add(
                format!("{at}.config-file"),
                "must be given: it tells rclone what the remote is",
            ),
            None => {}
        }
        if !(1..=365).contains(&self.grace_days) {
            problems.add(format!("{at}.grace-days"), "must be from 1 to 365");
        }
    }
}
