//! What checking a checkpoint found.

use serde::Serialize;

use super::compare::Comparison;
use super::fingerprint::Fingerprint;
use super::json::Path;
use super::layout::Layout;

/// How many problems, and how many warnings, a report lists. The rest is counted.
pub const LISTED: usize = 100;

/// Something in the checkpoint, by its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where, for example `positions.5HK….positions[3].orders[0].price`.
    pub path: String,
    /// What is wrong there; reads on from the path.
    pub what: String,
}

/// A list that is cut at [`LISTED`] entries and says how many there were.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// The first of them, in the order of the file.
    pub listed: Vec<Problem>,
    /// How many there were in all.
    pub total: u64,
}

impl Findings {
    fn add(&mut self, path: &impl ToString, what: String) {
        self.total += 1;
        if self.listed.len() < LISTED {
            self.listed.push(Problem {
                path: path.to_string(),
                what,
            });
        }
    }
}

/// Problems and warnings being gathered.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    problems: Findings,
    warnings: Findings,
}

impl Problems {
    /// Notes what makes the checkpoint unfit.
    pub(crate) fn add(&mut self, path: &Path<'_>, what: impl Into<String>) {
        self.problems.add(path, what.into());
    }

    /// Notes what the operator should know.
    pub(crate) fn warn(&mut self, path: &Path<'_>, what: impl Into<String>) {
        self.warnings.add(path, what.into());
    }

    /// How many problems there are so far.
    pub(crate) fn total(&self) -> u64 {
        self.problems.total
    }

    pub(crate) fn into_findings(self) -> (Findings, Findings) {
        (self.problems, self.warnings)
    }
}

/// What to insist on.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The release to write for; `None` means the release that wrote the checkpoint.
    pub layout: Option<Layout>,
    /// Whether a checkpoint of an unknown version may be used; then `layout` is needed.
    pub unknown_version: bool,
    /// Whether `perf_ledgers`, `challengeperiod`, `miner_account_sizes` and `asset_selections` may be
    /// missing or empty. The first two are then written empty; of the other two the old file stays.
    pub missing_sections: bool,
    /// Whether state on disk that is newer than the checkpoint may be lost.
    pub older_than_disk: bool,
    /// Whether only names are checked, not values: for a script that knows a release which we do not.
    pub only_names: bool,
    /// The most bytes that one record may take, and with a small factor the memory that is used.
    pub max_record: u64,
    /// The most bytes that the file may unpack to.
    pub max_unpacked: u64,
}

impl Default for Rules {
    /// The strict rules: 64 MiB for a record, 16 GiB for the whole.
    fn default() -> Self {
        Self {
            layout: None,
            unknown_version: false,
            missing_sections: false,
            older_than_disk: false,
            only_names: false,
            max_record: 64 << 20,
            max_unpacked: 16 << 30,
        }
    }
}

/// The figures of a checkpoint. Times are milliseconds since 1970, UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The release that wrote it.
    pub version: Option<String>,
    /// The layout its tree has.
    pub layout: Option<Layout>,
    /// When it was made.
    pub created_ms: Option<i64>,
    /// The oldest order in it.
    pub oldest_order_ms: Option<i64>,
    /// The newest order in it.
    pub newest_order_ms: Option<i64>,
    /// Miners with at least one position.
    pub miners: u64,
    /// Positions.
    pub positions: u64,
    /// Those of them that are open.
    pub open_positions: u64,
    /// Orders in positions.
    pub orders: u64,
    /// Limit orders, which only 8.8.9 keeps.
    pub limit_orders: u64,
    /// Eliminated miners.
    pub eliminations: u64,
    /// Miners with a performance ledger.
    pub perf_ledgers: u64,
    /// Miners with a challenge period state.
    pub challengeperiod: u64,
    /// Miners with account sizes.
    pub miner_account_sizes: u64,
    /// Miners that have chosen a market.
    pub asset_selections: u64,
    /// Bytes of JSON that it unpacks to.
    pub unpacked_bytes: u64,
    /// Files of the tree.
    pub files: u64,
    /// Bytes in those files.
    pub tree_bytes: u64,
    /// The names of all positions, where only names were checked.
    #[serde(skip)]
    pub names: Fingerprint,
}

/// The outcome of [`super::check`].
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What makes it unfit. Nothing may be written while there are any.
    pub problems: Findings,
    /// What the operator should know.
    pub warnings: Findings,
    /// Its figures; they cover what could be read.
    pub summary: Summary,
    /// What would be lost on disk, where that was asked for.
    pub on_disk: Option<Comparison>,
}

impl Report {
    /// Whether the checkpoint may be used.
    pub fn is_sound(&self) -> bool {
        self.problems.total == 0
    }
}
