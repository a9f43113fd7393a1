//! Whether the validator gets on with its new state: up, and staying so past the time in which it would crash.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::operation::context::Did;
use crate::operation::workload::Workload;
use crate::protocol::{Failure, Reason, RunState};

const PAUSE: Duration = Duration::from_millis(500);

/// So often it may be restarted by its runtime before its state is held to be the cause. Once can be anything.
const MOST_RESTARTS: u32 = 2;

/// How long it may be seen not to run between two restarts.
const AWAY: Duration = Duration::from_secs(30);

/// Watches it until it has been up for `window` without being restarted.
pub(super) async fn stays_up(workload: &Workload, window: Duration) -> Result<Did, Failure> {
    let mut since = Instant::now();
    let (mut restarts, mut seen, mut away) = (0, None, None);
    let last = since + window * (MOST_RESTARTS + 2) + AWAY;
    loop {
        let now = Instant::now();
        let lacking = match workload.runtime.inspect().await {
            Ok(found) => {
                let run = (found.run.clone(), found.restarts);
                if seen.as_ref().is_some_and(|seen| *seen != run) {
                    restarts += 1;
                    since = now;
                }
                seen = Some(run);
                match found.state {
                    RunState::Running => None,
                    // The runtime has given it up.
                    RunState::Dead => return Err(crashes(workload, found.reason.as_deref())),
                    state => Some(state.to_string()),
                }
            }
            Err(error) => Some(error.to_string()),
        };
        if restarts > MOST_RESTARTS {
            return Err(crashes(workload, lacking.as_deref()));
        }
        match lacking {
            None => away = None,
            Some(lacking) => {
                let gone = *away.get_or_insert(now);
                since = now;
                if now - gone > AWAY {
                    return Err(crashes(workload, Some(&lacking)));
                }
            }
        }
        if now - since >= window {
            let detail = match restarts {
                0 => format!("up for {} s", window.as_secs()),
                more => format!("up for {} s, after {more} restarts", window.as_secs()),
            };
            return Ok(Did {
                changed: false,
                detail: Some(detail),
            });
        }
        if now > last {
            return Err(crashes(workload, Some("it does not come to rest")));
        }
        sleep(PAUSE).await;
    }
}

fn crashes(workload: &Workload, why: Option<&str>) -> Failure {
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    let message = format!(
        "{} does not stay up on it{why}. See its log: ostler logs {}",
        workload.name, workload.name
    );
    Failure::new(Reason::NotReady, message)
}
