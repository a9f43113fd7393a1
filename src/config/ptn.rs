//! `[workload.ptn]`: a validator of subnet 8.

use std::path::PathBuf;

use super::error::Problems;
use super::seconds::Seconds;
use super::section::section;

section! {
    /// A validator of Bittensor's subnet 8. Goes with `kind = "ptn"`.
    Ptn {
        /// The checkout of its repository, in which `run.sh` and the directory `validation` are.
        directory: PathBuf, example = "/home/taoshi/proprietary-trading-network";
        /// Seconds without an order after which it counts as stale, from 60 to 2592000. Other validators take one for stale after ten hours.
        stale_after: Seconds<60, 2_592_000> = STALE_AFTER;
        /// Seconds that it has to stay up after a restored checkpoint until its old state is let go, from 1 to 3600. PM2 gives up an app that ends within five minutes again and again.
        crash_window: Seconds<1, 3600> = CRASH_WINDOW;
        /// MiB that stay free on the disk where a checkpoint is restored.
        reserve_mib: u64 = 256;
        /// The most MiB that a checkpoint may have that is fetched from a URL.
        largest_download_mib: u64 = 2048;
        /// The certificate authority of the servers that checkpoints are fetched from, in PEM. Left out, it is those that the system trusts.
        ca_file: Option<PathBuf> = None, example = "/etc/ostler/checkpoints-ca.pem";
        /// The Python that runs the validator's own script, where a checkpoint is restored by it. Left out, it is `venv/bin/python3` in the checkout, else `python3`.
        python: Option<PathBuf> = None, example = "/home/taoshi/venv/bin/python3";
        /// Seconds that this script may take, from 10 to 7200.
        script_patience: Seconds<10, 7200> = SCRIPT_PATIENCE;
        /// A directory that is watched: a checkpoint that is put there, by root or the validator's user, is restored. Left out, none is.
        drop_directory: Option<PathBuf> = None, example = "/srv/checkpoints";
        /// Whether a checkpoint that is put there is restored although it is older than what is on disk.
        drop_force: bool = false;
        /// Which of the backups stay that restored checkpoints have left.
        backups: Backups = Backups::default();
    }
}

section! {
    /// The old state of a validator becomes a backup when a checkpoint is restored. Only backups that the agent made are ever removed; the newest of them stays, whatever the rules say.
    default Backups {
        /// How many of the newest stay.
        keep_last: usize = 3;
        /// Days after which one goes; 0 is never.
        keep_days: u64 = 0;
        /// MiB that are to be free: the oldest go until they are. 0 is no such rule.
        keep_free_mib: u64 = 0;
    }
}

const STALE_AFTER: Seconds<60, 2_592_000> = Seconds::of(36_000);
const CRASH_WINDOW: Seconds<1, 3600> = Seconds::of(330);
const SCRIPT_PATIENCE: Seconds<10, 7200> = Seconds::of(1800);

impl Ptn {
    /// A validator that was found.
    pub(super) fn in_directory(directory: PathBuf) -> Self {
        Self {
            directory,
            stale_after: STALE_AFTER,
            crash_window: CRASH_WINDOW,
            reserve_mib: 256,
            largest_download_mib: 2048,
            ca_file: None,
            python: None,
            script_patience: SCRIPT_PATIENCE,
            drop_directory: None,
            drop_force: false,
            backups: Backups::default(),
        }
    }

    pub(super) fn check(&self, at: &str, problems: &mut Problems) {
        for (key, path) in [
            ("ca-file", &self.ca_file),
            ("python", &self.python),
            ("drop-directory", &self.drop_directory),
        ] {
            if let Some(path) = path {
                super::check_absolute(&format!("{at}.{key}"), path, problems);
            }
        }
        if let Some(drop) = &self.drop_directory
            && (drop.starts_with(&self.directory) || self.directory.starts_with(drop))
        {
            problems.add(
                format!("{at}.drop-directory"),
                "must be apart from `directory`: every file in it that ends in .json is taken for a checkpoint",
            );
        }
        let at = format!("{at}.directory");
        super::check_absolute(&at, &self.directory, problems);
        if self.directory.parent().is_none() {
            problems.add(&at, "must not be the root directory");
        }
    }
}
