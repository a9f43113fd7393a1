//! The engine on a runtime that fails and hangs where a test wants it to; the real Docker engine has its own suite.

mod checkpoint;
mod interrupted;
mod upload;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{Answer, Engine, Parts, Times, Workload};
use crate::clock::{ClockSync, Timestamp};
use crate::feed::Feed;
use crate::protocol::{
    Found, Name, Operation, OperationId, OperationRecord, Origin, Reason, Request, RunState, State,
    Step, StepState,
};
use crate::runtime::{Error, Inspection, Output, Runtime, Stopped};
use crate::workload::generic::Generic;

/// A workload in memory.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<FakeState>>);

#[derive(Default)]
struct FakeState {
    running: bool,
    run: u32,
    stops: u32,
    starts: u32,
    /// What the next calls of `stop` and `start` answer instead of doing it.
    stop_errors: VecDeque<Error>,
    start_errors: VecDeque<Error>,
    stop_takes: Duration,
    /// The next stop is given up by its asker, and done so long after that.
    stop_lands_after: Option<Duration>,
    /// Happens when the next stop has been done: a disk that fills at the worst moment.
    at_stop: Option<Box<dyn FnOnce() + Send>>,
}

fn unresponsive() -> Error {
    Error::Unresponsive {
        runtime: "fake".into(),
        action: "act".into(),
        deadline: Duration::from_secs(5),
    }
}

fn refused() -> Error {
    Error::Refused {
        runtime: "fake".into(),
        action: "start it".into(),
        detail: "port is taken".into(),
    }
}

impl Fake {
    fn running() -> Self {
        let fake = Self::default();
        fake.with(|state| (state.running, state.run) = (true, 1));
        fake
    }

    fn with<T>(&self, change: impl FnOnce(&mut FakeState) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }
}

#[async_trait]
impl Runtime for Fake {
    fn describe(&self) -> String {
        "fake".to_owned()
    }

    async fn inspect(&self) -> Result<Inspection, Error> {
        let (running, run) = self.with(|state| (state.running, state.run));
        Ok(Inspection {
            state: if running {
                RunState::Running
            } else {
                RunState::Stopped
            },
            reason: None,
            run: Some(run.to_string()),
            started_at: None,
            image: None,
            instance: None,
            created_at: None,
            restarts: None,
            health: None,
        })
    }

    async fn start(&self) -> Result<bool, Error> {
        self.with(|state| match state.start_errors.pop_front() {
            Some(error) => Err(error),
            None if state.running => Ok(false),
            None => {
                state.running = true;
                state.run += 1;
                state.starts += 1;
                Ok(true)
            }
        })
    }

    async fn stop(&self, _grace: Duration) -> Result<Stopped, Error> {
        sleep(self.with(|state| state.stop_takes)).await;
        if let Some(after) = self.with(|state| state.stop_lands_after.take()) {
            let late = self.clone();
            tokio::spawn(async move {
                sleep(after).await;
                late.with(|state| (state.running, state.stops) = (false, state.stops + 1));
            });
            return Err(unresponsive());
        }
        self.with(|state| match state.stop_errors.pop_front() {
            Some(error) => Err(error),
            None if !state.running => Ok(Stopped::Already),
            None => {
                state.running = false;
                state.stops += 1;
                if let Some(happens) = state.at_stop.take() {
                    happens();
                }
                Ok(Stopped::Cleanly)
            }
        })
    }

    async fn exec(&self, _command: &[&str], _deadline: Duration) -> Result<Output, Error> {
        Ok(Output {
            status: 0,
            stdout: String::new(),
            stderr: String::new(),
        })
    }

    async fn logs(&self, lines: usize, _bytes: usize) -> Result<String, Error> {
        Ok(format!("{lines} lines"))
    }

    async fn changed(&self) {
        std::future::pending().await
    }
}

/// A clock that is synchronised.
fn synced() -> ClockSync {
    let clock = ClockSync::default();
    clock.set(true);
    clock
}

async fn open(directory: &Path, fake: &Fake, clock: ClockSync) -> Engine {
    let times = Times {
        grace: Duration::from_secs(1),
        ready: Duration::from_secs(5),
        interval: Duration::from_secs(30),
    };
    let workload = Workload::new(
        Name::new("miner").unwrap(),
        Arc::new(fake.clone()),
        Arc::new(Generic),
        times,
    );
    let parts = Parts {
        state_dir: directory.to_owned(),
        workloads: vec![workload],
        feed: Feed::default(),
        clock,
    };
    Engine::open(parts).await.unwrap().0
}

async fn started(directory: &Path, fake: &Fake) -> Engine {
    let engine = open(directory, fake, synced()).await;
    engine.spawn();
    engine
}

fn request(id: &str, operation: Operation, args: Value) -> Request {
    let Value::Object(args) = args else {
        panic!("not an object")
    };
    Request {
        id: OperationId::new(id).unwrap(),
        operation,
        workload: None,
        args,
        origin: Origin::Local,
        expires_at: None,
        dry_run: false,
    }
}

fn restart(id: &str) -> Request {
    request(id, Operation::Restart, json!({}))
}

async fn ended(engine: &Engine, id: &str) -> OperationRecord {
    let id = OperationId::new(id).unwrap();
    let wait = async {
        loop {
            match engine.record(&id) {
                Some(record) if record.state.is_final() => return record,
                _ => sleep(Duration::from_millis(5)).await,
            }
        }
    };
    // Of the paused clock: it only runs while nothing else does.
    timeout(Duration::from_secs(2 * 24 * 3600), wait)
        .await
        .expect("the operation ends")
}

fn reason(answer: &Answer) -> Reason {
    match answer {
        Answer::Refused(refusal) => refusal.failure.reason,
        Answer::Accepted(record) | Answer::Known(record) => panic!("not refused: {record:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_stops_and_starts_once_and_its_record_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::running();
    let engine = started(directory.path(), &fake).await;
    let Answer::Accepted(accepted) = engine.submit(restart("one")).await else {
        panic!("not accepted")
    };
    assert_eq!(accepted.state, State::Accepted);
    assert!(
        directory.path().join("operations/one.json").exists(),
        "durable before the answer"
    );

    let record = ended(&engine, "one").await;
    assert_eq!(
        (record.state, record.changed),
        (State::Succeeded, Some(true))
    );
    let steps: Vec<_> = record
        .steps
        .iter()
        .map(|step| (step.name.as_str(), step.state))
        .collect();
    assert_eq!(
        steps,
        [
            ("stop", StepState::Done),
            ("start", StepState::Done),
            ("confirm", StepState::Done)
        ]
    );
    assert_eq!(
        fake.with(|state| (state.running, state.stops, state.starts)),
        (true, 1, 1)
    );
}

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
async fn stopping_what_is_stopped_succeeds_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let engine = started(directory.path(), &Fake::default()).await;
    engine
        .submit(request("one", Operation::Stop, json!({})))
        .await;
    let record = ended(&engine, "one").await;
    assert_eq!(
        (record.state, record.changed),
        (State::Succeeded, Some(false))
    );
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_gives_the_plan_and_touches_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::running();
    let engine = started(directory.path(), &fake).await;
    engine
        .submit(Request {
            dry_run: true,
            ..restart("one")
        })
        .await;
    let record = ended(&engine, "one").await;
    assert_eq!(
        record.output,
        Some(json!({"running": true, "steps": ["stop", "start", "confirm"]}))
    );
    assert_eq!(fake.with(|state| (state.stops, state.starts)), (0, 0));
}

/// The journal as a kill left it, the workload as it left that, and how often it may be started afterwards.
#[tokio::test(start_paused = true)]
async fn an_interrupted_restart_is_finished_and_nothing_is_done_twice() {
    let step = |name: &str, state| Step {
        name: name.to_owned(),
        state,
        took_ms: None,
        detail: None,
    };
    let done = |name| step(name, StepState::Done);
    let begun = |name| step(name, StepState::Started);
    // (steps in the journal, whether it runs, which run, stops and starts expected after the return)
    let cases = [
        (vec![], true, 1, (1, 1)),
        (vec![begun("stop")], true, 1, (1, 1)),
        (vec![begun("stop")], false, 1, (0, 1)),
        (vec![done("stop")], false, 1, (0, 1)),
        (vec![done("stop"), begun("start")], false, 1, (0, 1)),
        (vec![done("stop"), begun("start")], true, 2, (0, 0)),
        (vec![begun("stop")], true, 2, (0, 0)),
        (vec![done("stop"), done("start")], true, 2, (0, 0)),
        (
            vec![done("stop"), done("start"), begun("confirm")],
            true,
            2,
            (0, 0),
        ),
        // A power cut ended what had been started.
        (
            vec![done("stop"), done("start"), begun("confirm")],
            false,
            2,
            (0, 1),
        ),
    ];
    for (steps, running, run, expected) in cases {
        let directory = tempfile::tempdir().unwrap();
        let fake = Fake::default();
        let found = (!steps.is_empty()).then(|| Found {
            running: true,
            run: Some("1".to_owned()),
        });
        let state = if steps.is_empty() {
            State::Accepted
        } else {
            State::Running
        };
        let name = Name::new("miner").unwrap();
        let accepted = OperationRecord::accepted(restart("one"), Some(name), 1);
        let changed = steps
            .iter()
            .any(|step| step.state == StepState::Done)
            .then_some(true);
        let record = OperationRecord {
            state,
            steps: steps.clone(),
            found,
            changed,
            ..accepted
        };
        std::fs::create_dir(directory.path().join("operations")).unwrap();
        let path = directory.path().join("operations/one.json");
        crate::durable::write(&path, &serde_json::to_vec(&record).unwrap(), 0o600).unwrap();
        fake.with(|state| (state.running, state.run) = (running, run));

        let engine = started(directory.path(), &fake).await;
        let record = ended(&engine, "one").await;
        assert_eq!(
            (record.state, record.recoveries),
            (State::Succeeded, 1),
            "{steps:?}: {record:?}"
        );
        assert_eq!(record.changed, Some(true), "{steps:?}");
        let after = fake.with(|state| (state.running, (state.stops, state.starts)));
        assert_eq!(after, (true, expected), "{steps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_hangs_between_stop_and_start_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::running();
    fake.with(|state| {
        state.start_errors = std::iter::repeat_with(unresponsive).take(200).collect()
    });
    let engine = started(directory.path(), &fake).await;
    engine.submit(restart("one")).await;
    assert_eq!(ended(&engine, "one").await.state, State::Succeeded);
    assert!(fake.with(|state| state.running));
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_fails_still_leaves_the_workload_running() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::running();
    fake.with(|state| state.stop_errors.push_back(unresponsive()));
    let engine = started(directory.path(), &fake).await;
    engine.submit(restart("one")).await;
    let record = ended(&engine, "one").await;
    assert_eq!(record.failure.unwrap().reason, Reason::RuntimeUnresponsive);
    assert!(fake.with(|state| state.running));
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_comes_to_something_after_it_was_given_up_does_not_last() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::running();
    fake.with(|state| state.stop_lands_after = Some(Duration::from_secs(10)));
    let engine = started(directory.path(), &fake).await;
    engine.submit(restart("one")).await;
    let record = ended(&engine, "one").await;
    assert_eq!(record.failure.unwrap().reason, Reason::RuntimeUnresponsive);
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(
        fake.with(|state| (state.running, state.stops, state.starts)),
        (true, 1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_start_that_is_refused_a_few_times_is_tried_again_and_then_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::running();
    let engine = started(directory.path(), &fake).await;
    fake.with(|state| state.start_errors = std::iter::repeat_with(refused).take(4).collect());
    engine.submit(restart("one")).await;
    assert_eq!(ended(&engine, "one").await.state, State::Succeeded);

    fake.with(|state| state.start_errors = std::iter::repeat_with(refused).take(5).collect());
    engine.submit(restart("two")).await;
    let failure = ended(&engine, "two").await.failure.unwrap();
    assert_eq!(failure.reason, Reason::RuntimeFailed);
    assert!(
        failure.message.contains("port is taken"),
        "{}",
        failure.message
    );
}

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
    for number in 0..super::lane::WAITING {
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
async fn only_a_synchronised_clock_expires_what_has_not_begun() {
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
