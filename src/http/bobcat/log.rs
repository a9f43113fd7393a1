//! `/log/console.log`: the end of the miner's log.

use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::timeout;

use super::super::hall::Hall;

/// How long the engine may take before what it said last is shown.
const PATIENCE: Duration = Duration::from_secs(3);

/// How many lines are shown.
const LINES: usize = 1000;

/// The last lines, or those that were read before where the engine does not give them in time.
pub(super) async fn tail(hall: &Hall) -> String {
    let known = &hall.surroundings.log;
    let Some(miner) = &hall.state.miner else {
        return String::new();
    };
    let read = timeout(PATIENCE, hall.state.engine.logs(&miner.name, LINES)).await;
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    match read {
        Ok(Ok(log)) => {
            *known = log.clone();
            log
        }
        Ok(Err(failure)) if known.is_empty() => failure.message,
        Ok(Err(_)) | Err(_) => known.clone(),
    }
}
