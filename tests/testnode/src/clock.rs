//! The time of day as logs write it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since 1970.
pub fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// `2022-01-20 18:12:28.123`, in UTC.
pub fn stamp(since_epoch: Duration) -> String {
    let seconds = since_epoch.as_secs();
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}.{:03}",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60,
        since_epoch.subsec_millis()
    )
}

/// The date that lies `days` after 1970-01-01, counted in eras of 400 years that begin on 1 March.
fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_the_calendar_s() {
        let stamp = |seconds: u64| stamp(Duration::from_millis(seconds * 1000 + 7));
        assert_eq!(stamp(0), "1970-01-01 00:00:00.007");
        assert_eq!(stamp(951_782_399), "2000-02-28 23:59:59.007");
        assert_eq!(stamp(951_782_400), "2000-02-29 00:00:00.007");
        assert_eq!(stamp(1_642_702_348), "2022-01-20 18:12:28.007");
    }
}
