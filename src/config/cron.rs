//! Cron expressions, as they are written in the configuration.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use croner::parser::{CronParser, Seconds, Year};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// When something is due: minute, hour, day of the month, month, day of the week; or `@hourly`, `@daily` and the like.
///
/// Times are in UTC: no hour is there twice or not at all, a fleet is due at the same instant, and the boards need no
/// time zones.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cron {
    text: String,
    pattern: Box<croner::Cron>,
}

impl Cron {
    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first time that is due after `time`; `None` where there is none in the calendar.
    pub fn after(&self, time: Timestamp) -> Option<Timestamp> {
        let next = self.pattern.find_next_occurrence(&utc(time)?, false);
        Timestamp::from_unix_seconds(next.ok()?.timestamp())
    }

    /// The last time that was due at or before `time`.
    pub fn before(&self, time: Timestamp) -> Option<Timestamp> {
        let last = self.pattern.find_previous_occurrence(&utc(time)?, true);
        Timestamp::from_unix_seconds(last.ok()?.timestamp())
    }
}

fn utc(time: Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.unix_seconds(), 0)
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Cron {}

impl FromStr for Cron {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let pattern = parser.parse(text).map_err(|error| {
            format!("`{text}` is no cron expression such as `30 3 * * *`: {error}")
        })?;
        let cron = Self {
            text: text.to_owned(),
            pattern: Box::new(pattern),
        };
        // The thirtieth of February never comes; any year will do to find that out.
        match Timestamp::from_unix_seconds(0).and_then(|time| cron.after(time)) {
            Some(_) => Ok(cron),
            None => Err(format!("`{text}` is never due")),
        }
    }
}

impl TryFrom<String> for Cron {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Cron> for String {
    fn from(cron: Cron) -> Self {
        cron.text
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn the_next_and_the_last_due_time_are_found_in_utc() {
        let daily: Cron = "30 3 * * *".parse().unwrap();
        let due = time("2026-03-29T03:30:00Z");
        assert_eq!(daily.after(time("2026-03-28T03:30:00Z")), Some(due));
        assert_eq!(daily.before(due), Some(due));
        assert_eq!(daily.before(time("2026-03-30T03:29:59.999Z")), Some(due));
    }

    #[test]
    fn what_is_no_expression_or_never_due_is_refused() {
        for wrong in [
            "",
            "hourly",
            "* * * *",
            "60 * * * *",
            "* * * * * *",
            "0 0 30 2 *",
        ] {
            assert!(wrong.parse::<Cron>().is_err(), "{wrong}");
        }
        assert!("@hourly".parse::<Cron>().is_ok());
    }
}
