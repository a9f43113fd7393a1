//! Where a miner keeps what, inside its data directory.

use std::path::{Path, PathBuf};

/// A data directory.
#[derive(Clone, Debug)]
pub struct Layout(PathBuf);

impl Layout {
    /// The directory `data`.
    pub fn new(data: &Path) -> Self {
        Self(data.to_owned())
    }

    /// The chain.
    pub fn blocks(&self) -> PathBuf {
        self.0.join("blockchain.db")
    }

    /// The ledger.
    pub fn ledger(&self) -> PathBuf {
        self.0.join("ledger.db")
    }

    /// Snapshots that were downloaded or taken.
    pub fn snapshots(&self) -> PathBuf {
        self.0.join("snap")
    }

    /// The log.
    pub fn console(&self) -> PathBuf {
        self.0.join("log/console.log")
    }

    /// One line for each start of the process: the time in seconds since 1970.
    pub fn starts(&self) -> PathBuf {
        self.0.join("log/starts")
    }

    /// The identity; whoever loses it is another miner.
    pub fn swarm_key(&self) -> PathBuf {
        self.0.join("miner/swarm_key")
    }

    /// Settings for the next starts, one `key value` to a line.
    pub fn settings(&self) -> PathBuf {
        self.0.join("testnode.conf")
    }

    /// What the real miner leaves when it cannot open its chain.
    pub fn open_failed(&self) -> PathBuf {
        self.0.join("blockchain-open-failed")
    }
}
