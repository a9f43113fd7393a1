//! The wall clock, for reports only: the boards have no clock chip.
//!
//! Durations use the monotonic clock (`tokio::time::Instant`). A wall clock that is not synchronised
//! yet is marked so in every report, never decides an age and never expires a command.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, SecondsFormat, Utc};
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
pub struct ClockSync(Arc<AtomicBool>);

impl ClockSync {
    /// Whether the wall clock can be believed.
    pub fn synced(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Notes what the sensors saw.
    pub fn set(&self, synced: bool) {
        self.0.store(synced, Ordering::Relaxed);
    }
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
}
