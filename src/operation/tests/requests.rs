//! What is asked: in turn, in time, refused, cancelled, and left when the agent ends.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_waits_can_be_cancelled_and_what_has_begun_cannot() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::running();
    fake.with(|state| state.stop_takes = Duration::from_secs(60));
    let engine = started(directory.path(), &fake).await;
    let cancel = |id, of: &str| request(id, Operation::Cancel, json!({ "operation": of }));
    engine.submit(restart("first")).await;
    engine.submit(restart("second")).await;
    while engine
        .record(&OperationId::new("first").unwrap())
        .unwrap()
        .steps
        .is_empty()
    {
        sleep(Duration::from_millis(1)).await;
    }
    engine.submit(cancel("c1", "second")).await;
    assert_eq!(ended(&engine, "c1").await.state, State::Succeeded);
    assert_eq!(ended(&engine, "second").await.state, State::Cancelled);

    engine.submit(cancel("c2", "first")).await;
    assert_eq!(
        ended(&engine, "c2").await.failure.unwrap().reason,
        Reason::NotPossible
    );
    assert_eq!(ended(&engine, "first").await.state, State::Succeeded);
    engine.submit(cancel("c3", "nobody")).await;
    assert_eq!(ended(&engine, "c3").await.state, State::Failed);
    assert_eq!(fake.with(|state| state.stops), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_lane_refuses_and_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path(), &Fake::running(), synced()).await;
    for number in 0..super::super::lane::WAITING {
        let answer = engine.submit(restart(&format!("r{number}"))).await;
        assert!(
            matches!(answer, Answer::Accepted(_)),
            "{number}: {answer:?}"
        );
    }
    assert_eq!(
        reason(&engine.submit(restart("surplus")).await),
        Reason::QueueFull
    );
    assert!(!directory.path().join("operations/surplus.json").exists());
    assert_eq!(engine.refused(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_synchronised_once_expires_what_has_not_begun() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ClockSync::default();
    let engine = open(directory.path(), &Fake::running(), clock.clone()).await;
    let old = |id| Request {
        expires_at: Timestamp::parse("2001-01-01T00:00:00Z"),
        ..restart(id)
    };
    assert!(matches!(
        engine.submit(old("while-unsynced")).await,
        Answer::Accepted(_)
    ));
    clock.set(true);
    assert_eq!(
        reason(&engine.submit(old("while-synced")).await),
        Reason::Expired
    );
    // The time server is gone; what was over stays over.
    clock.set(false);
    assert_eq!(
        reason(&engine.submit(old("while-unsynced-again")).await),
        Reason::Expired
    );
    engine.spawn();
    assert_eq!(ended(&engine, "while-unsynced").await.state, State::Expired);
}

#[tokio::test(start_paused = true)]
async fn wrong_requests_are_refused_with_a_reason_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let engine = started(directory.path(), &Fake::running()).await;
    let elsewhere = Request {
        workload: Some(Name::new("other").unwrap()),
        ..restart("a")
    };
    assert_eq!(
        reason(&engine.submit(elsewhere).await),
        Reason::UnknownWorkload
    );
    assert_eq!(
        reason(
            &engine
                .submit(request("b", Operation::Stop, json!({"x": 1})))
                .await
        ),
        Reason::BadArguments
    );
    assert_eq!((engine.refused(), engine.refusals().len()), (2, 2));
    assert_eq!(
        std::fs::read_dir(directory.path().join("operations"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_work_end_and_abandons_what_takes_too_long() {
    for (takes, graceful) in [(1, true), (600, false)] {
        let directory = tempfile::tempdir().unwrap();
        let fake = Fake::running();
        fake.with(|state| state.stop_takes = Duration::from_secs(takes));
        let engine = started(directory.path(), &fake).await;
        engine.submit(restart("one")).await;
        while engine
            .record(&OperationId::new("one").unwrap())
            .unwrap()
            .steps
            .is_empty()
        {
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(engine.drain(Duration::from_secs(20)).await, graceful);
        assert_eq!(
            reason(&engine.submit(restart("two")).await),
            Reason::ShuttingDown
        );
        let state = engine
            .record(&OperationId::new("one").unwrap())
            .unwrap()
            .state;
        assert_eq!(state == State::Succeeded, graceful);
    }
}
