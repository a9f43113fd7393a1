//! How old the head of the chain is.

use super::answers::Header;
use crate::clock::{ClockSync, Timestamp};

/// How far the clocks of the network and of this device may be apart, in seconds.
const SKEW: i64 = 60;

/// The age of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// Not older than allowed.
    Fresh,
    /// Older; so many seconds.
    Old(i64),
    /// So many seconds in the future, more than clocks may differ: one of them is wrong.
    Ahead(i64),
    /// This device's clock is not synchronised, so nobody can tell.
    Unknown,
}

/// The age of a head now; `most` is how many seconds are allowed.
pub fn age(header: &Header, most: u64, clock: &ClockSync) -> Age {
    if !clock.synced() {
        return Age::Unknown;
    }
    judge(
        Timestamp::now()
            .unix_seconds()
            .saturating_sub(header.unixtime),
        most,
    )
}

/// The difference has a sign: what lies in the future is not a day old.
fn judge(seconds: i64, most: u64) -> Age {
    match seconds {
        ahead if ahead < -SKEW => Age::Ahead(-ahead),
        old if old > i64::try_from(most).unwrap_or(i64::MAX) => Age::Old(old),
        _ => Age::Fresh,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_a_sign_and_days() {
        const DAY: i64 = 86_400;
        for (seconds, age) in [
            (0, Age::Fresh),
            (150, Age::Fresh),
            (151, Age::Old(151)),
            (DAY + 20, Age::Old(DAY + 20)),
            (-5, Age::Fresh),
            (-60, Age::Fresh),
            (-61, Age::Ahead(61)),
            (-DAY, Age::Ahead(DAY)),
            (i64::MIN + 1, Age::Ahead(i64::MAX)),
        ] {
            assert_eq!(judge(seconds, 150), age, "{seconds}");
        }
        assert_eq!(judge(i64::MAX, u64::MAX), Age::Fresh);
    }

    #[test]
    fn a_clock_that_is_not_synchronised_tells_no_age() {
        let header = Header {
            height: 1,
            unixtime: 0,
        };
        assert_eq!(age(&header, 150, &ClockSync::default()), Age::Unknown);
    }
}
