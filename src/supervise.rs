//! Supervision: a part of the agent that ends is started again, with growing pauses, and somebody is told.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How a part that ended is started again.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// The first pause; it doubles each time.
    pub initial: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// A part that ran for so long has the first pause again.
    pub steady: Duration,
}

/// What holds for every part.
pub const POLICY: Policy = Policy {
    initial: Duration::from_secs(1),
    longest: Duration::from_secs(60),
    steady: Duration::from_secs(300),
};

/// How often the same failure is told again.
const AGAIN: Duration = Duration::from_secs(3600);

/// Runs a part for ever; it is not meant to end. The caller stops it by dropping this. `report` is told why it ends:
/// when that is another reason than before, and of the same one once an hour.
pub async fn keep_running<F, E>(
    part: &str,
    policy: Policy,
    report: impl Fn(String),
    mut run: impl FnMut() -> F,
) where
    F: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let mut pause = policy.initial;
    let mut told: Option<(String, Instant)> = None;
    loop {
        let begun = Instant::now();
        let outcome = run().await;
        if begun.elapsed() >= policy.steady {
            pause = policy.initial;
        }
        let why = outcome
            .err()
            .map_or_else(|| "it ended".to_owned(), |error| error.to_string());
        let is_known = |(last, at): &(String, Instant)| *last == why && at.elapsed() < AGAIN;
        if !told.as_ref().is_some_and(is_known) {
            report(format!(
                "{part} does not work: {why}; it is tried again and again"
            ));
            told = Some((why, Instant::now()));
        }
        sleep(pause).await;
        pause = (pause * 2).min(policy.longest);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn a_part_that_fails_is_started_again_with_growing_pauses() {
        let begun = Instant::now();
        let mut starts = Vec::new();
        let reports = RefCell::new(Vec::new());
        let report = |message| reports.borrow_mut().push(message);
        let part = keep_running("the part", POLICY, report, || {
            starts.push(begun.elapsed().as_secs());
            async { Err::<(), _>("no luck") }
        });
        assert!(
            timeout(Duration::from_secs(100), part).await.is_err(),
            "it goes on for ever"
        );
        assert_eq!(starts, [0, 1, 3, 7, 15, 31, 63]);
        assert_eq!(
            reports.borrow()[0],
            "the part does not work: no luck; it is tried again and again"
        );
        assert_eq!(reports.borrow().len(), 1, "and told once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_lasts_is_told_when_its_reason_changes_and_once_an_hour() {
        let begun = Instant::now();
        let told = RefCell::new(Vec::new());
        let report = |message: String| {
            told.borrow_mut().push((
                begun.elapsed().as_secs() / 3600,
                message.contains("no room"),
            ));
        };
        let part = keep_running("the part", POLICY, report, || async move {
            match begun.elapsed().as_secs() < 600 {
                true => Err("no luck"),
                false => Err::<(), _>("no room"),
            }
        });
        let hours = Duration::from_secs(3 * 3600);
        assert!(timeout(hours, part).await.is_err());
        let expected = [(0, false), (0, true), (1, true), (2, true)];
        assert_eq!(*told.borrow(), expected);
    }
}
