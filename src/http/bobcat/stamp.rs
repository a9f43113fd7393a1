//! Times and durations as the stock device writes them: Go's and Docker's ways.

use std::time::Duration;

use crate::clock::Timestamp;

/// `2022-01-20 18:12:28 +0000 UTC`.
pub(super) fn stamp(at: Timestamp) -> String {
    let text = at.to_string();
    let (date, time) = text.split_once('T').unwrap_or_default();
    // Without the milliseconds.
    let time = time.split('.').next().unwrap_or_default();
    format!("{date} {time} +0000 UTC")
}

/// Seconds since 1970 of a time as Docker writes it; 0 where there is none.
pub(super) fn created(at: Option<&str>) -> i64 {
    at.and_then(Timestamp::parse)
        .map_or(0, Timestamp::unix_seconds)
}

/// `Up 36 hours`: what `docker ps` says of a container that was started then.
pub(super) fn up(started_at: Option<&str>, now: Timestamp) -> String {
    let Some(started) = started_at.and_then(Timestamp::parse) else {
        return "Up".to_owned();
    };
    // A clock that was set meanwhile: Docker itself shows the same nonsense, but not a negative one.
    let seconds = (now.unix_seconds() - started.unix_seconds()).max(0);
    let time = Duration::from_secs(seconds.unsigned_abs());
    format!("Up {}", about(time))
}

/// Docker's words (github.com/docker/go-units, `HumanDuration`).
fn about(time: Duration) -> String {
    let seconds = time.as_secs();
    let minutes = seconds / 60;
    let hours = (seconds + 1800) / 3600;
    match (seconds, minutes, hours) {
        (0, ..) => "Less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, ..60, _) => format!("{minutes} minutes"),
        (_, _, 1) => "About an hour".to_owned(),
        (_, _, ..48) => format!("{hours} hours"),
        (_, _, ..336) => format!("{} days", hours / 24),
        (_, _, ..1440) => format!("{} weeks", hours / 24 / 7),
        (_, _, ..17_520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_utc_without_fraction() {
        let at = Timestamp::parse("2022-01-20T19:12:28.750+01:00").unwrap();
        assert_eq!(stamp(at), "2022-01-20 18:12:28 +0000 UTC");
        assert_eq!(
            created(Some("2022-01-20T18:12:05.123456789Z")),
            1_642_702_325
        );
        assert_eq!(created(None), 0);
    }

    #[test]
    fn a_container_is_up_for_about_so_long() {
        let now = Timestamp::parse("2022-01-20T18:12:28Z").unwrap();
        let up_since = |seconds: i64| {
            let started = Timestamp::from_unix_seconds(now.unix_seconds() - seconds).unwrap();
            up(Some(&started.to_string()), now)
        };
        for (seconds, said) in [
            (-5, "Up Less than a second"),
            (1, "Up 1 second"),
            (29, "Up 29 seconds"),
            (60, "Up About a minute"),
            (119, "Up About a minute"),
            (120, "Up 2 minutes"),
            (20 * 60, "Up 20 minutes"),
            (3600, "Up About an hour"),
            (36 * 3600, "Up 36 hours"),
            (50 * 3600, "Up 2 days"),
            (20 * 86_400, "Up 2 weeks"),
            (90 * 86_400, "Up 3 months"),
            (800 * 86_400, "Up 2 years"),
        ] {
            assert_eq!(up_since(seconds), said);
        }
        assert_eq!(up(None, now), "Up");
    }
}
