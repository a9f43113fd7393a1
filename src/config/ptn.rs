//! `[workload.ptn]`: a validator of subnet 8.

use std::path::PathBuf;

use super::error::Problems;
use super::section::section;

section! {
    /// A validator of Bittensor's subnet 8. Goes with `kind = "ptn"`.
    Ptn {
        /// The checkout of its repository, in which `run.sh` and the directory `validation` are.
        directory: PathBuf, example = "/home/taoshi/proprietary-trading-network";
    }
}

impl Ptn {
    pub(super) fn check(&self, at: &str, problems: &mut Problems) {
        let at = format!("{at}.directory");
        super::check_absolute(&at, &self.directory, problems);
        if self.directory.parent().is_none() {
            problems.add(&at, "must not be the root directory");
        }
    }
}
