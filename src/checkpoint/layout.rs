//! The releases of the validator whose files we can write.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How one release of the validator lays its state out. Only releases that were read and run are here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// PTN 7.1.1 (`subnet_version` 7.1.1, 2025-11-10).
    #[serde(rename = "7.1.1")]
    Ptn711,
    /// Vanta 8.8.9 (`subnet_version` 8.8.9, 2025-12-11): more fields, compressed ledgers, limit orders.
    #[serde(rename = "8.8.9")]
    Vanta889,
}

impl Layout {
    /// Every layout, oldest first.
    pub const ALL: [Self; 2] = [Self::Ptn711, Self::Vanta889];

    /// The `subnet_version` of the release.
    pub fn version(self) -> &'static str {
        match self {
            Self::Ptn711 => "7.1.1",
            Self::Vanta889 => "8.8.9",
        }
    }

    /// The file of the performance ledgers, inside `validation/`.
    pub fn ledgers_file(self) -> &'static str {
        match self {
            Self::Ptn711 => "perf_ledgers.json",
            // 8.8.9 reads a plain file only to migrate it to a place that nothing reads.
            Self::Vanta889 => "perf_ledgers.json.gz",
        }
    }
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.version())
    }
}

/// A version that no [`Layout`] is known for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("version {0} is unknown: 7.1.1 and 8.8.9 are known")]
pub struct UnknownVersion(String);

impl FromStr for Layout {
    type Err = UnknownVersion;

    fn from_str(version: &str) -> Result<Self, UnknownVersion> {
        Self::ALL
            .into_iter()
            .find(|layout| layout.version() == version)
            .ok_or_else(|| UnknownVersion(super::names::shown(version)))
    }
}
