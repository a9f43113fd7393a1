//! The wall clock, for reports only: the boards have no clock chip.
//!
//! Durations use the monotonic clock (`tokio::time::Instant`). A wall clock that is not synchronised
//! yet is marked so in every report and never decides an age. What expires a command is a time that is known to have
//! passed: that of a synchronised clock, or the last such time and what the monotonic clock has counted since.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An instant of the wall clock, in UTC, written as RFC 3339 with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// What the wall clock says now, right or not.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that asks the wall clock"
    )]
    pub fn now() -> Self {
        Self(DateTime::from(std::time::SystemTime::now()))
    }

    /// Reads RFC 3339, with any offset.
    pub fn parse(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|time| Self(time.to_utc()))
    }

    /// The same instant as seconds since 1970, for arithmetic.
    pub fn unix_seconds(self) -> i64 {
        self.0.timestamp()
    }

    /// The instant so much later.
    fn after(self, time: Duration) -> Self {
        let later = TimeDelta::from_std(time).ok();
        let later = later.and_then(|time| self.0.checked_add_signed(time));
        later.map_or(self, Self)
    }

    /// The instant so many seconds after 1970; `None` outside of chrono's range.
    pub fn from_unix_seconds(seconds: i64) -> Option<Self> {
        DateTime::from_timestamp(seconds, 0).map(Self)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            de::Error::custom(format!(
                "`{text}` is not an RFC 3339 time such as 2026-01-31T12:00:00Z"
            ))
        })
    }
}

/// Whether the wall clock is synchronised, as the sensors saw it last. Cheap to clone and share.
#[derive(Clone, Debug, Default)]
pub struct ClockSync(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    synced: bool,
    /// The wall clock when it was last seen synchronised.
    last: Option<Moment>,
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
struct Moment {
    wall: Timestamp,
    since_boot: Duration,
}

impl Moment {
    /// What the wall clock would show by now, had it gone on as it was.
    fn wall_at(self, since_boot: Duration) -> Timestamp {
        let passed = since_boot.saturating_sub(self.since_boot);
        self.wall.after(passed)
    }
}

impl ClockSync {
    /// Whether the wall clock can be believed.
    pub fn synced(&self) -> bool {
        self.seen().synced
    }

    /// Notes what the sensors saw.
    pub fn set(&self, synced: bool) {
        let mut seen = self.seen();
        seen.synced = synced;
        if synced {
            seen.last = Some(Moment {
                wall: Timestamp::now(),
                since_boot: since_boot(),
            });
        }
    }

    /// Whether a time is known to have passed. While the clock has never been synchronised since the agent started, none is.
    pub fn has_passed(&self, time: Timestamp) -> bool {
        let seen = self.seen();
        match seen.last {
            Some(_) if seen.synced => time < Timestamp::now(),
            Some(last) => time < last.wall_at(since_boot()),
            None => false,
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clock that nobody sets, and that also counts while the device sleeps.
fn since_boot() -> Duration {
    // Linux has had it since 2.6.39; without it the last time that was seen stands still.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_reads_what_it_writes_and_other_offsets() {
        let time = Timestamp::parse("2026-01-31T13:00:00.250+01:00").unwrap();
        assert_eq!(time.to_string(), "2026-01-31T12:00:00.250Z");
        assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
        assert_eq!(Timestamp::parse("yesterday"), None);
    }

    #[test]
    fn a_time_has_passed_where_the_clock_was_right_once_and_has_gone_on_since() {
        let time = |text| Timestamp::parse(text).unwrap();
        let seen = Moment {
            wall: time("2026-01-31T12:00:00Z"),
            since_boot: Duration::from_secs(100),
        };
        let later = seen.wall_at(Duration::from_secs(100 + 9 * 3600));
        assert_eq!(later, time("2026-01-31T21:00:00Z"));

        let clock = ClockSync::default();
        let old = time("2001-01-01T00:00:00Z");
        assert!(!clock.has_passed(old), "nobody knows");
        clock.set(true);
        assert!(clock.has_passed(old));
        clock.set(false);
        let soon = Timestamp::now().after(Duration::from_secs(3600));
        assert!(clock.has_passed(old) && !clock.has_passed(soon));
    }
}
