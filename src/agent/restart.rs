//! An agent that ends soon after its start, again and again, waits before it begins: each time longer, so that a fault that lasts does not
//! wear the host out. systemd counts only since version 254, and Debian 12 has an older one.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::sleep;

use super::signals::{Signals, Told};
use super::watchdog;
use crate::durable;
use sd_notify::NotifyState;

/// An agent that ran for this long is no part of a row.
const STANDS: Duration = Duration::from_secs(60);

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(60);

/// How often the agent was started in a row and has neither ended well nor stood since; kept where a boot and a stop of the unit clear it.
#[derive(Clone, Debug)]
pub struct Starts {
    file: PathBuf,
}

impl Starts {
    /// Those of the unit (`RuntimeDirectory=`); where there is none, nobody starts the agent again.
    pub fn of_unit() -> Option<Self> {
        let directory = env::var_os("RUNTIME_DIRECTORY")?;
        // Several are separated by colons, and then the first is the agent's.
        let directory = env::split_paths(&directory).next()?;
        Some(Self {
            file: directory.join("starts"),
        })
    }

    /// Counts this start, and waits where those before it came to nothing. The first restart is at once. Says `false` where the agent was told
    /// to end meanwhile.
    pub async fn hold_off(&self, signals: &mut Signals) -> bool {
        let before = self.count();
        self.note(before.saturating_add(1));
        let wait = wait_after(before);
        if wait.is_zero() {
            return true;
        }
        let told = format!(
            "the agent ended soon after its start {before} times in a row: it waits for {} s",
            wait.as_secs()
        );
        tracing::warn!("{told}");
        watchdog::notify(&[NotifyState::Status(&told)]);
        let stopped = async { while signals.next().await != Told::Stop {} };
        let goes_on = tokio::select! {
            () = sleep(wait) => true,
            () = stopped => false,
        };
        watchdog::notify(&[NotifyState::Status("")]);
        if !goes_on {
            self.forget();
        }
        goes_on
    }

    /// Ends the row once the agent has stood for a while.
    pub async fn forget_once_it_stands(self) {
        sleep(STANDS).await;
        self.forget();
    }

    /// Ends the row: the agent ended as it was told to.
    pub fn forget(&self) {
        if let Err(error) = durable::remove(&self.file) {
            tracing::warn!("{error}");
        }
    }

    /// What cannot be read does not keep the agent waiting.
    fn count(&self) -> u32 {
        let text = fs::read_to_string(&self.file).ok();
        text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    fn note(&self, count: u32) {
        if let Err(error) = durable::write(&self.file, format!("{count}\n").as_bytes(), 0o640) {
            tracing::warn!("{error}");
        }
    }
}

/// Nothing, nothing, 2 s, 4 s, 8 s … to the longest. systemd waits for 2 s of its own each time.
fn wait_after(starts: u32) -> Duration {
    match starts {
        0 | 1 => Duration::ZERO,
        many => Duration::from_secs(1)
            .saturating_mul(1_u32.checked_shl(many - 1).unwrap_or(u32::MAX))
            .min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn starts() -> (tempfile::TempDir, Starts) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("starts");
        (directory, Starts { file })
    }

    async fn waited(starts: &Starts) -> u64 {
        let mut signals = Signals::new().unwrap();
        let began = Instant::now();
        assert!(starts.hold_off(&mut signals).await);
        began.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn each_start_that_came_to_nothing_makes_the_next_wait_longer_and_the_first_restart_is_at_once()
     {
        let (_directory, starts) = starts();
        for expected in [0, 0, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(waited(&starts).await, expected);
        }
        starts.note(u32::MAX);
        assert_eq!(waited(&starts).await, 60);
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_in_order_and_one_that_comes_late_are_no_part_of_a_row() {
        let (_directory, starts) = starts();
        for _ in 0..3 {
            waited(&starts).await;
        }
        starts.forget();
        assert_eq!((waited(&starts).await, waited(&starts).await), (0, 0));
        starts.clone().forget_once_it_stands().await;
        assert_eq!((waited(&starts).await, waited(&starts).await), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_read_or_written_keeps_nobody_waiting() {
        let (directory, starts) = starts();
        durable::write(&starts.file, b"often\n", 0o640).unwrap();
        assert_eq!(waited(&starts).await, 0);
        let nowhere = Starts {
            file: directory.path().join("absent/starts"),
        };
        for _ in 0..3 {
            assert_eq!(waited(&nowhere).await, 0);
        }
    }
}
