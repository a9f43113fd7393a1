//! How fast the miner goes, from the heights that were seen of late.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// What is "of late".
const WINDOW: Duration = Duration::from_secs(600);

/// The shortest time from which a pace is told.
const SHORTEST: Duration = Duration::from_secs(5);

/// The most heights that are kept.
const MOST: usize = 128;

#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Instant,
    height: u64,
    chain: Option<u64>,
}

/// The heights that were seen of late.
#[derive(Debug, Default)]
pub(super) struct Pace(VecDeque<Seen>);

impl Pace {
    /// Takes a height, and the chain's where it is known.
    pub fn note(&mut self, height: u64, chain: Option<u64>) {
        let now = Instant::now();
        // Other data was put in its place: what was seen before says nothing of it.
        if self.0.back().is_some_and(|last| height < last.height) {
            self.0.clear();
        }
        self.0.push_back(Seen {
            at: now,
            height,
            chain,
        });
        while self.0.len() > MOST || self.0.front().is_some_and(|first| now - first.at > WINDOW) {
            self.0.pop_front();
        }
    }

    /// Blocks that it takes in a second.
    pub fn blocks_per_second(&self) -> Option<f64> {
        let (first, last) = (self.0.front()?, self.0.back()?);
        let time = last.at - first.at;
        let blocks = last.height - first.height;
        (time >= SHORTEST).then(|| (blocks as f64 / time.as_secs_f64() * 100.0).round() / 100.0)
    }

    /// Seconds until it has caught up, where it gets nearer: the chain goes on meanwhile.
    pub fn seconds_left(&self, gap: i64) -> Option<u64> {
        let first = self.0.iter().find(|seen| seen.chain.is_some())?;
        let last = self.0.back()?;
        let time = last.at - first.at;
        let blocks = (last.height - first.height) as i64;
        let grown = last.chain?.checked_signed_diff(first.chain?)?;
        let nearer = (blocks - grown) as f64 / time.as_secs_f64();
        (time >= SHORTEST && nearer > 0.0 && gap > 0).then(|| (gap as f64 / nearer).ceil() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_chain_goes_on_while_the_miner_catches_up() {
        let mut pace = Pace::default();
        pace.note(1000, Some(4000));
        assert_eq!(
            (pace.blocks_per_second(), pace.seconds_left(3000)),
            (None, None)
        );
        tokio::time::advance(Duration::from_secs(100)).await;
        pace.note(1300, Some(4100));
        assert_eq!(pace.blocks_per_second(), Some(3.0));
        // 3 blocks a second less the chain's one: 2800 at 2.
        assert_eq!(pace.seconds_left(2800), Some(1400));
        tokio::time::advance(Duration::from_secs(100)).await;
        pace.note(1300, Some(4400));
        assert_eq!(pace.seconds_left(3100), None, "it falls behind");
    }

    #[tokio::test(start_paused = true)]
    async fn other_data_and_old_heights_are_forgotten() {
        let mut pace = Pace::default();
        pace.note(1000, None);
        tokio::time::advance(Duration::from_secs(10)).await;
        pace.note(1100, None);
        assert_eq!(pace.blocks_per_second(), Some(10.0));
        pace.note(1, None);
        assert_eq!(pace.blocks_per_second(), None);
        tokio::time::advance(WINDOW * 2).await;
        pace.note(2, None);
        assert_eq!(pace.blocks_per_second(), None);
    }
}
