//! So many a second; the rest is counted.

use std::time::Duration;

use tokio::time::Instant;

const WINDOW: Duration = Duration::from_secs(1);

/// Lets the first so many of each second through.
#[derive(Debug)]
pub(super) struct Limiter {
    most: u32,
    begun: Option<Instant>,
    passed: u32,
    held_back: u64,
}

impl Limiter {
    pub fn per_second(most: u32) -> Self {
        Self {
            most,
            begun: None,
            passed: 0,
            held_back: 0,
        }
    }

    /// Whether one more may pass now; what may not is counted.
    pub fn pass(&mut self) -> bool {
        let now = Instant::now();
        if self.begun.is_none_or(|begun| now - begun >= WINDOW) {
            self.begun = Some(now);
            self.passed = 0;
        }
        if self.passed < self.most {
            self.passed += 1;
            return true;
        }
        self.held_back += 1;
        false
    }

    /// How many were held back since this was asked last.
    pub fn take_held_back(&mut self) -> u64 {
        std::mem::take(&mut self.held_back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn so_many_a_second_pass_and_the_rest_is_counted_once() {
        let mut limiter = Limiter::per_second(10);
        let passed = |limiter: &mut Limiter| (0..25).filter(|_| limiter.pass()).count();
        assert_eq!(passed(&mut limiter), 10);
        tokio::time::advance(WINDOW).await;
        assert_eq!(passed(&mut limiter), 10);
        assert_eq!(limiter.take_held_back(), 30);
        assert_eq!(limiter.take_held_back(), 0);
    }
}
