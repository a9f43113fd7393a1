//! `[workload.schedule]`: what is done with a workload's data by the clock.

use super::cron::Cron;
use super::seconds::Seconds;
use super::section::section;

section! {
    /// What is done with the workload's data by the clock. Each is a cron expression in UTC: minute, hour, day of the month, month, day of the week; or `@hourly`, `@daily` and the like. What was missed while the device was off, or its clock not synchronised, is made up for once.
    default Schedule {
        /// When a snapshot is taken.
        snapshot: Option<Cron> = None, example = cron("0 * * * *"), reload = true;
        /// When the newest good snapshot is read again, to its last byte.
        verify: Option<Cron> = None, example = cron("30 4 * * 0"), reload = true;
        /// When the snapshots go that the rules do not keep.
        prune: Option<Cron> = None, example = cron("45 4 * * *"), reload = true;
        /// When the newest good snapshot is sent to the bucket.
        upload: Option<Cron> = None, example = cron("15 */6 * * *"), reload = true;
        /// Seconds by which each run is put off at most, differently on each device and each time, from 0 to 3600; never by more than half of the time to the next run.
        jitter_s: Seconds<0, 3600> = Seconds::of(60), reload = true;
    }
}

fn cron(text: &str) -> Option<Cron> {
    text.parse().ok()
}

impl Schedule {
    /// Whether anything is scheduled.
    pub(super) fn is_empty(&self) -> bool {
        [&self.snapshot, &self.verify, &self.prune, &self.upload]
            .iter()
            .all(|cron| cron.is_none())
    }
}
