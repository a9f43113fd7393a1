//! Waiting for the next block.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::Harmony;
use super::answers::Header;

/// Between two questions: mainnet makes a block every two seconds.
const PAUSE: Duration = Duration::from_secs(1);

/// The chain did not grow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no block after {since} came within {} s: {last}", within.as_secs())]
pub struct NoProgress {
    /// The height that was to be passed.
    pub since: u64,
    /// How long was waited.
    pub within: Duration,
    /// What the node said last.
    pub last: String,
}

impl Harmony {
    /// Waits until the height has passed `since`, and gives it. Errors of the RPC count for nothing until the end: it is not
    /// there at once after a start.
    ///
    /// # Errors
    /// Where it has not grown `within` this time.
    pub async fn progress(&self, since: u64, within: Duration) -> Result<u64, NoProgress> {
        let until = Instant::now() + within;
        let mut last = "it did not answer".to_owned();
        let grow = async {
            loop {
                match self.rpc.ask::<Header>("latestHeader").await {
                    Ok(header) if header.height > since => return header.height,
                    Ok(header) => last = format!("its height is {}", header.height),
                    Err(error) => last = error.to_string(),
                }
                sleep(PAUSE).await;
            }
        };
        let grown = timeout_at(until, grow).await;
        grown.map_err(|_| NoProgress {
            since,
            within,
            last,
        })
    }
}
