//! Workloads that others start while an operation is at work.

use std::fs;

use super::inn::{Inn, rclone};
use super::*;

/// A device with a snapshot, whose data has changed since, and what it is asked for.
async fn asked(inn: &Inn, operation: Operation) -> OperationRecord {
    inn.take("first");
    crate::durable::write(&inn.path("data/file"), b"changed", 0o600).unwrap();
    let engine = inn.engine(rclone()).await;
    engine.submit(request("a", operation, json!({}))).await;
    ended(&engine, "a").await
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

#[tokio::test]
async fn what_was_started_during_the_exchange_does_not_stay_on_the_old_data() {
    for inn in [Inn::new(), stopped()] {
        let file = inn.path("data/file");
        let exchanged = move || fs::read(&file).is_ok_and(|text| text != b"changed");
        // Not before there is something that has changed.
        inn.starts_at("exchange");
        let begun = inn.fake.with(|state| state.starts_when.take()).unwrap();
        inn.fake
            .with(|state| state.starts_when = Some(Box::new(move || begun() && exchanged())));
        let before = inn.fake.with(|state| state.stops + state.run);
        let record = asked(&inn, Operation::Restore).await;
        assert_eq!(record.state, State::Succeeded, "{record:?}");
        let seen = inn
            .fake
            .with(|state| (state.running, state.stops, state.starts));
        assert_eq!(seen, (true, 1 + before, 1));
    }
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
