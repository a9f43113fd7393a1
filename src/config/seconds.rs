//! Durations as they are written in the configuration: whole seconds within bounds.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, de};

/// A number of seconds from `LEAST` to `MOST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Seconds<const LEAST: u64, const MOST: u64>(u64);

impl<const LEAST: u64, const MOST: u64> Seconds<LEAST, MOST> {
    /// A default; out of bounds it panics, in every test that reads a configuration.
    pub(super) const fn of(seconds: u64) -> Self {
        assert!(LEAST <= seconds && seconds <= MOST);
        Self(seconds)
    }
}

impl<const LEAST: u64, const MOST: u64> From<Seconds<LEAST, MOST>> for Duration {
    fn from(seconds: Seconds<LEAST, MOST>) -> Self {
        Duration::from_secs(seconds.0)
    }
}

impl<'de, const LEAST: u64, const MOST: u64> Deserialize<'de> for Seconds<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(Bounds::<LEAST, MOST>)
    }
}

struct Bounds<const LEAST: u64, const MOST: u64>;

impl<const LEAST: u64, const MOST: u64> de::Visitor<'_> for Bounds<LEAST, MOST> {
    type Value = Seconds<LEAST, MOST>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a whole number of seconds from {LEAST} to {MOST}")
    }

    fn visit_u64<E: de::Error>(self, given: u64) -> Result<Self::Value, E> {
        Some(given)
            .filter(|seconds| (LEAST..=MOST).contains(seconds))
            .map(Seconds)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(given), &self))
    }

    fn visit_i64<E: de::Error>(self, given: i64) -> Result<Self::Value, E> {
        match u64::try_from(given) {
            Ok(given) => self.visit_u64(given),
            Err(_) => Err(E::invalid_value(de::Unexpected::Signed(given), &self)),
        }
    }
}
