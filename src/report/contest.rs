//! Noticing that somebody else claims to be this device.
//!
//! Of two clients with one identifier the broker throws out the older at each connect, for ever. And of two
//! devices with one name each overwrites what the other says of its availability.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// So many in a minute are no accident.
const TOO_MANY: usize = 4;

/// How long nothing is said of it again.
const QUIET: Duration = Duration::from_secs(3600);

/// Counts what may happen once in a while and not many times in a minute.
#[derive(Debug, Default)]
pub(super) struct Contest {
    seen: VecDeque<Instant>,
    told: Option<Instant>,
}

impl Contest {
    /// Counts one more; gives whether there are too many in this minute.
    pub fn too_many(&mut self) -> bool {
        let now = Instant::now();
        while self.seen.front().is_some_and(|seen| now - *seen >= MINUTE) {
            self.seen.pop_front();
        }
        if self.seen.len() == TOO_MANY {
            self.seen.pop_front();
        }
        self.seen.push_back(now);
        self.seen.len() == TOO_MANY
    }

    /// Whether it is time to say so: once an hour is enough.
    pub fn tell(&mut self) -> bool {
        let now = Instant::now();
        let tell = self.told.is_none_or(|told| now - told >= QUIET);
        if tell {
            self.told = Some(now);
        }
        tell
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn four_within_a_minute_are_too_many_and_are_told_once_an_hour() {
        let mut contest = Contest::default();
        for too_many in [false, false, false, true, true] {
            assert_eq!(contest.too_many(), too_many);
            advance(Duration::from_secs(10)).await;
        }
        assert!(contest.tell() && !contest.tell());
        advance(QUIET).await;
        assert!(!contest.too_many(), "the old ones are forgotten");
        assert!(contest.tell());
    }

    #[tokio::test(start_paused = true)]
    async fn one_every_half_minute_is_none_of_it() {
        let mut contest = Contest::default();
        for _ in 0..10 {
            assert!(!contest.too_many());
            advance(MINUTE / 2).await;
        }
    }
}
