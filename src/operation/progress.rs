//! Whether a workload goes on: a new block after it was started.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::workload::{Through, Workload};

/// How often the height is asked for until there is a new block.
const PROGRESS_PAUSE: Duration = Duration::from_millis(500);

/// Whether the workload has gone on.
#[derive(Clone, Copy)]
pub(super) enum Progressed {
    /// It has, after so long.
    After(Duration),
    /// Not in time.
    Never,
    /// It has no heights to tell by.
    NoHeights,
}

impl Progressed {
    /// How long that took.
    pub fn first(self) -> Option<Duration> {
        match self {
            Progressed::After(first) => Some(first),
            Progressed::Never | Progressed::NoHeights => None,
        }
    }
}

/// Waits until the workload is higher than `before`.
pub(super) async fn first_progress(
    workload: Arc<Workload>,
    before: Option<u64>,
    within: Duration,
) -> Progressed {
    let Some(before) = before else {
        return Progressed::NoHeights;
    };
    let begun = Instant::now();
    while begun.elapsed() < within {
        if height(&workload).await.is_some_and(|now| now > before) {
            return Progressed::After(begun.elapsed());
        }
        sleep(PROGRESS_PAUSE).await;
    }
    Progressed::Never
}

/// How high it is, where that is known.
pub(super) async fn height(workload: &Workload) -> Option<u64> {
    workload
        .kind
        .probe(&Through(&*workload.runtime, &[]))
        .await
        .height
}
