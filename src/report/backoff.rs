//! Back-off: how long to wait before the next attempt to connect.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

const BASE: Duration = Duration::from_secs(1);

/// A connection that stood for so long was a good one. One that is taken over or thrown out right
/// after it was accepted is not: the pauses go on growing.
const LASTED: Duration = Duration::from_secs(60);

/// Full jitter: a pause is anywhere between nothing and a limit that doubles, so that a thousand devices
/// do not come back to their broker in step.
#[derive(Debug)]
pub(super) struct Backoff {
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// No pause will be longer than this.
    pub fn up_to(longest: Duration) -> Self {
        Self {
            longest,
            failures: 0,
        }
    }

    /// The pause after a connection that stood for `stood`.
    pub fn after(&mut self, stood: Duration) -> Duration {
        if stood >= LASTED {
            self.failures = 0;
        }
        let limit = self.limit();
        self.failures = self.failures.saturating_add(1);
        random_up_to(limit)
    }

    /// The longest that the next pause can be.
    fn limit(&self) -> Duration {
        let doubled = 2u32.saturating_pow(self.failures.min(16));
        BASE.saturating_mul(doubled).min(self.longest)
    }
}

/// Good enough for jitter: the standard library seeds its hashers from the system's randomness.
fn random_up_to(limit: Duration) -> Duration {
    let random = RandomState::new().hash_one(0u8) % (limit.as_millis() as u64 + 1);
    Duration::from_millis(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(60);

    #[test]
    fn the_limit_doubles_up_to_a_minute_and_only_a_lasting_connection_resets_it() {
        let mut backoff = Backoff::up_to(LONGEST);
        let mut limits = Vec::new();
        for _ in 0..8 {
            limits.push(backoff.limit().as_secs());
            backoff.after(Duration::from_secs(59));
        }
        assert_eq!(limits, [1, 2, 4, 8, 16, 32, 60, 60]);
        backoff.failures = u32::MAX;
        assert_eq!(backoff.limit(), LONGEST);
        backoff.after(Duration::from_secs(60));
        assert_eq!(backoff.limit(), BASE * 2);
    }

    #[test]
    fn pauses_are_spread_over_the_whole_range_at_the_cap_too() {
        let mut backoff = Backoff::up_to(LONGEST);
        backoff.failures = 20;
        let pauses: Vec<_> = (0..200).map(|_| backoff.after(Duration::ZERO)).collect();
        assert!(pauses.iter().all(|pause| *pause <= LONGEST));
        // The chance that 200 fair draws miss a third of the range is 10^-35.
        for third in 0..3 {
            let range = LONGEST / 3 * third..LONGEST / 3 * (third + 1);
            assert!(
                pauses.iter().any(|pause| range.contains(pause)),
                "{range:?}"
            );
        }
    }
}
