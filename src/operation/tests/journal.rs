//! What the journal is good for: nothing runs twice, and a disk that fails keeps no workload stopped.

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::*;
use crate::feed::Update;
use crate::operation::ledger::Ledger;
use crate::protocol::Progress;

#[tokio::test(start_paused = true)]
async fn the_same_id_runs_once_also_after_the_agent_came_back() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::running();
    let engine = started(directory.path(), &fake).await;
    let (first, second) =
        tokio::join!(engine.submit(restart("one")), engine.submit(restart("one")));
    assert!(matches!(
        (first, second),
        (Answer::Accepted(_), Answer::Known(_))
    ));
    ended(&engine, "one").await;
    assert!(engine.drain(Duration::from_secs(1)).await);

    let engine = started(directory.path(), &fake).await;
    let Answer::Known(record) = engine.submit(restart("one")).await else {
        panic!("not known")
    };
    assert_eq!(record.state, State::Succeeded);
    assert_eq!(
        reason(
            &engine
                .submit(request("one", Operation::Stop, json!({})))
                .await
        ),
        Reason::IdReused
    );
    assert_eq!(fake.with(|state| state.stops), 1);
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_written_refuses_and_nothing_is_done() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::running();
    let engine = started(directory.path(), &fake).await;
    let operations = directory.path().join("operations");
    std::fs::remove_dir(&operations).unwrap();
    assert_eq!(
        reason(&engine.submit(restart("one")).await),
        Reason::JournalFailed
    );
    std::fs::create_dir(&operations).unwrap();
    assert!(
        matches!(engine.submit(restart("one")).await, Answer::Accepted(_)),
        "asked again it runs"
    );
    ended(&engine, "one").await;
    assert_eq!(fake.with(|state| state.stops), 1);
}

#[tokio::test(start_paused = true)]
async fn an_id_whose_record_cannot_be_read_is_not_taken_for_a_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::running();
    let engine = started(directory.path(), &fake).await;
    std::fs::create_dir(directory.path().join("operations/one.json")).unwrap();
    let answer = engine.submit(restart("one")).await;
    assert_eq!(reason(&answer), Reason::JournalFailed);
    crate::durable::write(&directory.path().join("operations/two.json"), b"{", 0o600).unwrap();
    let answer = engine.submit(restart("two")).await;
    assert_eq!(reason(&answer), Reason::JournalFailed);
    assert_eq!(fake.with(|state| state.stops), 0);
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_fails_while_the_workload_is_stopped_does_not_keep_it_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::running();
    let operations = directory.path().join("operations");
    let fills = move || std::fs::remove_dir_all(operations).unwrap();
    fake.with(|state| state.at_stop = Some(Box::new(fills)));
    let engine = started(directory.path(), &fake).await;
    engine.submit(restart("one")).await;
    let record = ended(&engine, "one").await;
    assert_eq!(
        (record.state, record.changed),
        (State::Succeeded, Some(true)),
        "{record:?}"
    );
    assert_eq!(
        fake.with(|state| (state.running, state.stops, state.starts)),
        (true, 1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn files_that_are_no_records_are_set_aside_and_leftovers_swept() {
    let directory = tempfile::tempdir().unwrap();
    let operations = directory.path().join("operations");
    std::fs::create_dir(&operations).unwrap();
    let put = |name: &str, text: &str| {
        crate::durable::write(&operations.join(name), text.as_bytes(), 0o600).unwrap()
    };
    put("empty.json", "");
    put("half.json", r#"{"id":"half","#);
    std::fs::File::create(operations.join(".x.json.partial")).unwrap();
    let fake = Fake::running();
    let times = Times {
        grace: Duration::ZERO,
        ready: Duration::ZERO,
        interval: Duration::from_secs(30),
    };
    let workload = Workload::new(
        Name::new("miner").unwrap(),
        Arc::new(fake),
        Arc::new(Generic),
        times,
    );
    let state_dir = directory.path().to_owned();
    let parts = Parts {
        state_dir,
        workloads: vec![workload],
        feed: Feed::default(),
        clock: synced(),
    };
    let (_, quarantined) = Engine::open(parts).await.unwrap();
    assert_eq!(quarantined.len(), 2);
    let mut left: Vec<_> = std::fs::read_dir(&operations)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["empty.bad", "half.bad"]);
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_is_interrupted_for_ever_is_given_up_with_the_workload_running() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::default();
    let name = Name::new("miner").unwrap();
    let found = Some(Found {
        running: true,
        run: Some("1".to_owned()),
    });
    let accepted = OperationRecord::accepted(restart("one"), Some(name), 1);
    let record = OperationRecord {
        state: State::Running,
        recoveries: 8,
        found,
        ..accepted
    };
    std::fs::create_dir(directory.path().join("operations")).unwrap();
    let path = directory.path().join("operations/one.json");
    crate::durable::write(&path, &serde_json::to_vec(&record).unwrap(), 0o600).unwrap();
    let engine = started(directory.path(), &fake).await;
    assert_eq!(
        ended(&engine, "one").await.failure.unwrap().reason,
        Reason::Interrupted
    );
    assert!(fake.with(|state| state.running));
}

#[tokio::test(start_paused = true)]
async fn old_operations_are_forgotten_and_recent_ones_answer_from_the_journal() {
    let directory = tempfile::tempdir().unwrap();
    let engine = started(directory.path(), &Fake::running()).await;
    for number in 0..40 {
        engine
            .submit(Request {
                dry_run: true,
                ..restart(&format!("r{number}"))
            })
            .await;
        ended(&engine, &format!("r{number}")).await;
    }
    assert_eq!(engine.records().len(), 32);
    assert!(matches!(
        engine
            .submit(Request {
                dry_run: true,
                ..restart("r0")
            })
            .await,
        Answer::Known(_)
    ));
}

#[tokio::test]
async fn a_disk_that_hangs_over_an_old_record_holds_up_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let engine = started(directory.path(), &Fake::running()).await;
    // Whoever opens it waits for the other side.
    let pipe = directory.path().join("operations/old.json");
    mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    let open_up = || {
        let pipe = pipe.clone();
        tokio::task::spawn_blocking(move || drop(std::fs::File::options().write(true).open(pipe)))
    };
    let cancel = request("c", Operation::Cancel, json!({ "operation": "old" }));
    engine.submit(cancel).await;
    engine.submit(restart("one")).await;
    assert_eq!(ended(&engine, "one").await.state, State::Succeeded);
    open_up().await.unwrap();
    let failure = ended(&engine, "c").await.failure.unwrap();
    assert_eq!(failure.reason, Reason::JournalFailed);

    let old = OperationId::new("old").unwrap();
    let (found, _) = tokio::join!(engine.find(&old), open_up());
    assert!(found.is_err(), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn an_end_that_could_not_be_written_is_written_when_the_disk_takes_it() {
    // By the next operation, by the clock, as the agent ends.
    for how in ["next", "clock", "drain"] {
        let directory = tempfile::tempdir().unwrap();
        let fake = Fake::running();
        let operations = directory.path().join("operations");
        let gone = operations.clone();
        fake.with(|state| {
            state.at_stop = Some(Box::new(move || std::fs::remove_dir_all(gone).unwrap()));
        });
        let engine = started(directory.path(), &fake).await;
        engine.submit(restart("one")).await;
        assert_eq!(ended(&engine, "one").await.state, State::Succeeded);
        assert!(!operations.exists());
        std::fs::create_dir(&operations).unwrap();
        match how {
            "next" => {
                engine.submit(restart("two")).await;
                ended(&engine, "two").await;
            }
            "clock" => sleep(Duration::from_secs(40)).await,
            _ => assert!(engine.drain(Duration::from_secs(20)).await),
        }
        let written = async {
            while !operations.join("one.json").exists() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(20), written).await.expect(how);
        drop(engine);
        let engine = started(directory.path(), &fake).await;
        let record = ended(&engine, "one").await;
        assert_eq!((record.state, record.recoveries), (State::Succeeded, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_id_of_a_record_that_was_set_aside_does_not_run_again() {
    let directory = tempfile::tempdir().unwrap();
    let operations = directory.path().join("operations");
    std::fs::create_dir(&operations).unwrap();
    crate::durable::write(&operations.join("one.json"), b"{", 0o600).unwrap();
    let fake = Fake::running();
    let engine = started(directory.path(), &fake).await;
    for _ in 0..2 {
        let Answer::Refused(refusal) = engine.submit(restart("one")).await else {
            panic!("not refused")
        };
        assert_eq!(refusal.failure.reason, Reason::JournalFailed);
        assert!(refusal.failure.message.contains("one.bad"), "{refusal:?}");
    }
    assert_eq!(fake.with(|state| state.stops), 0);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_cancel_says_what_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let operations = directory.path().join("operations");
    std::fs::create_dir(&operations).unwrap();
    let cancel = request("one", Operation::Cancel, json!({"operation": "other"}));
    let record = OperationRecord::accepted(cancel, None, 1);
    let text = serde_json::to_vec(&record).unwrap();
    crate::durable::write(&operations.join("one.json"), &text, 0o600).unwrap();
    let engine = started(directory.path(), &Fake::running()).await;
    let failure = ended(&engine, "one").await.failure.unwrap();
    assert_eq!(failure.reason, Reason::Interrupted);
    assert!(failure.message.contains("to be cancelled"), "{failure:?}");
}

#[tokio::test(start_paused = true)]
async fn how_far_an_operation_is_is_told_once_a_second_however_often_it_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let feed = Feed::default();
    let mut updates = feed.subscribe();
    let ledger = Ledger::open(directory.path(), feed, synced()).unwrap().0;
    let mut record = OperationRecord::accepted(restart("one"), None, 1);
    let mut told = Vec::new();
    // Two steps, of which each takes two seconds and says a hundred times how far it is.
    for step in [0, 1000] {
        ledger.store(&mut record).await.unwrap();
        for said in 0..100 {
            let progress = Progress {
                done: step + said,
                ..Progress::default()
            };
            ledger.tell_progress(&record.id, progress);
            let kept = ledger.get(&record.id).unwrap().progress.unwrap();
            assert_eq!(kept.done, step + said, "who asks is told the newest");
            while let Ok(Update::Operation(record)) = updates.try_recv() {
                told.extend(record.progress.map(|progress| progress.done));
            }
            tokio::time::advance(Duration::from_millis(20)).await;
        }
    }
    assert_eq!(told, [0, 50, 1000, 1050]);
}
