//! So many requests of an address, and a few at once: the rest is turned away for a moment.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// How many addresses are remembered; the one that was quiet for longest is forgotten.
const ADDRESSES: usize = 64;

/// Requests that every address may make.
#[derive(Debug)]
pub(super) struct Bucket {
    burst: f64,
    per_second: f64,
    left: Mutex<Vec<Left>>,
}

#[derive(Debug)]
struct Left {
    address: IpAddr,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// So many at once, and so many more in each second.
    pub fn new(burst: u32, per_second: u32) -> Self {
        Self {
            burst: burst.into(),
            per_second: per_second.into(),
            left: Mutex::default(),
        }
    }

    /// Whether this address may make one more now.
    pub fn take(&self, address: IpAddr) -> bool {
        let now = Instant::now();
        let mut all = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = match all.iter().position(|left| left.address == address) {
            Some(known) => all.remove(known),
            None => Left {
                address,
                tokens: self.burst,
                at: now,
            },
        };
        let grown = (now - left.at).as_secs_f64() * self.per_second;
        left.tokens = (left.tokens + grown).min(self.burst);
        left.at = now;
        let taken = left.tokens >= 1.0;
        if taken {
            left.tokens -= 1.0;
        }
        if all.len() >= ADDRESSES {
            all.remove(0);
        }
        all.push(left);
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_has_its_burst_and_then_its_rate_and_no_other_pays_for_it() {
        let bucket = Bucket::new(12, 1);
        let one = IpAddr::from([192, 0, 2, 1]);
        let passed = |bucket: &Bucket| (0..30).filter(|_| bucket.take(one)).count();
        assert_eq!(passed(&bucket), 12);
        assert!(bucket.take(IpAddr::from([192, 0, 2, 2])));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(passed(&bucket), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_addresses_are_remembered_than_there_is_room_for() {
        let bucket = Bucket::new(1, 1);
        for last in 0..200 {
            assert!(bucket.take(IpAddr::from([192, 0, 2, last])));
        }
        assert_eq!(bucket.left.lock().unwrap().len(), ADDRESSES);
    }
}
