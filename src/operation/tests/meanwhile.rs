//! Workloads that others start while an operation is at work.

use std::fs;

use super::inn::{Inn, rclone};
use super::*;

/// A device with a snapshot, whose data has changed since, and what it is asked for.
async fn asked(inn: &Inn, operation: Operation) -> OperationRecord {
    asked_again(&changed(inn).await, "a", operation).await
}

async fn changed(inn: &Inn) -> Engine {
    inn.take("first");
    crate::durable::write(&inn.path("data/file"), b"changed", 0o600).unwrap();
    inn.engine(rclone()).await
}

async fn asked_again(engine: &Engine, id: &str, operation: Operation) -> OperationRecord {
    engine.submit(request(id, operation, json!({}))).await;
    ended(engine, id).await
}

fn stopped() -> Inn {
    let mut inn = Inn::new();
    inn.fake = Fake::default();
    inn
}

#[tokio::test]
async fn what_came_up_after_it_was_found_stopped_is_started_again() {
    // While it is staged, and between the last look and the stop.
    for step in ["stage", "stop"] {
        let inn = stopped();
        inn.starts_at(step);
        let record = asked(&inn, Operation::Restore).await;
        assert_eq!(record.state, State::Succeeded, "{step}: {record:?}");
        assert_ne!(fs::read(inn.path("data/file")).unwrap(), b"changed");
        let seen = inn
            .fake
            .with(|state| (state.running, state.stops, state.starts));
        assert_eq!(seen, (true, 1, 1), "{step}");
        assert!(record.found.unwrap().running, "{step}");
    }
}

/// Whether the data of the operation `a` has been exchanged.
fn exchanged(inn: &Inn) -> Box<dyn Fn() -> bool + Send> {
    let file = inn.path("data/file");
    // Not before there is something that has changed.
    let begun = inn.has_begun("exchange");
    Box::new(move || begun() && fs::read(&file).is_ok_and(|text| text != b"changed"))
}

#[tokio::test]
async fn what_was_started_during_the_exchange_does_not_stay_on_the_old_data() {
    for inn in [Inn::new(), stopped()] {
        inn.fake
            .with(|state| state.starts_when = Some(exchanged(&inn)));
        let before = inn.fake.with(|state| state.stops + state.run);
        let record = asked(&inn, Operation::Restore).await;
        assert_eq!(record.state, State::Succeeded, "{record:?}");
        let seen = inn
            .fake
            .with(|state| (state.running, state.stops, state.starts));
        assert_eq!(seen, (true, 1 + before, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_moved_under_what_was_started_during_the_exchange_and_cannot_be_stopped() {
    for inn in [Inn::new(), stopped()] {
        inn.fake.with(|state| {
            state.starts_when = Some(exchanged(&inn));
            state.unstoppable = Some(exchanged(&inn));
        });
        let engine = changed(&inn).await;
        let record = asked_again(&engine, "a", Operation::Restore).await;
        let failure = record.failure.as_ref().unwrap();
        assert_eq!(failure.reason, Reason::RuntimeFailed, "{record:?}");
        assert_ne!(fs::read(inn.path("data/file")).unwrap(), b"changed");
        let seen = inn
            .fake
            .with(|state| (state.running, state.starts, state.armed));
        assert_eq!(seen, (true, 0, false), "it runs on");
        let left = inn.staged().pop().unwrap();
        assert_eq!(fs::read(left.join("file")).unwrap(), b"changed");
        assert!(inn.path("store/exchange.json").exists());

        // The next one ends it, as soon as it can be stopped.
        inn.fake.with(|state| state.unstoppable = None);
        let record = asked_again(&engine, "b", Operation::Restore).await;
        assert_eq!(record.state, State::Succeeded, "{record:?}");
        assert!(!inn.path("store/exchange.json").exists());
        assert_eq!(inn.staged(), [""; 0].map(PathBuf::from));
        assert!(inn.fake.with(|state| state.running));
    }
}

/// It may run, or not: what is known is only that nobody wants it started.
#[tokio::test(start_paused = true)]
async fn what_was_stopped_is_not_started_where_nobody_says_how_it_is_after_the_exchange() {
    let inn = stopped();
    inn.fake.with(|state| state.unseen = Some(exchanged(&inn)));
    let record = asked(&inn, Operation::Restore).await;
    assert_eq!(record.state, State::Failed, "{record:?}");
    let seen = inn.fake.with(|state| (state.running, state.starts));
    assert_eq!(seen, (false, 0));
    assert_ne!(fs::read(inn.path("data/file")).unwrap(), b"changed");
    assert!(inn.path("store/exchange.json").exists());
}

/// A stop ends that too, and says that it ended something.
#[tokio::test(start_paused = true)]
async fn what_a_stop_has_left_is_ended_and_not_started() {
    let inn = stopped();
    inn.fake.with(|state| state.left_over = true);
    let record = asked(&inn, Operation::Restore).await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    let seen = inn
        .fake
        .with(|state| (state.running, state.stops, state.starts));
    assert_eq!(seen, (false, 1, 0));
    assert!(!record.found.unwrap().running);
}

#[tokio::test]
async fn what_stays_stopped_is_not_started() {
    let inn = stopped();
    let record = asked(&inn, Operation::Restore).await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    assert_eq!(
        inn.fake.with(|state| (state.running, state.starts)),
        (false, 0)
    );
}

#[tokio::test]
async fn a_cut_of_what_was_found_stopped_counts_only_if_it_was() {
    for (step, state) in [
        ("prepare", State::Failed),
        ("cut", State::Failed),
        ("never", State::Succeeded),
    ] {
        let inn = stopped();
        inn.starts_at(step);
        let record = asked(&inn, Operation::Snapshot).await;
        assert_eq!(record.state, state, "{step}: {record:?}");
        if let Some(failure) = record.failure {
            assert!(
                failure.message.contains("something started it"),
                "{failure:?}"
            );
        }
        let seen = inn.fake.with(|state| (state.running, state.stops));
        assert_eq!(seen, (step != "never", 0), "{step}");
    }
}
