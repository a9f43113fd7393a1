//! Starts, stops and restarts: what is done, what is done again, and that no workload stays stopped.

use std::sync::atomic::{AtomicIsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::protocol::{Health, SyncState};
use crate::workload::{Finding, Inside, Kind, Standing};

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
        // What only waited was not interrupted.
        assert_eq!(
            (record.state, record.recoveries),
            (State::Succeeded, u32::from(!steps.is_empty())),
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

/// It ran no more: an engine that goes away after the stop is not waited for as if it had.
#[tokio::test(start_paused = true)]
async fn a_restart_that_only_ended_what_a_stop_had_left_is_not_the_end_of_a_run() {
    // (whether it runs or only something of it is left, how the restart ends)
    for (running, state) in [(false, State::Failed), (true, State::Succeeded)] {
        let directory = tempfile::tempdir().unwrap();
        let fake = Fake::default();
        fake.with(|fake| {
            (fake.running, fake.left_over) = (running, !running);
            fake.start_errors.push_back(unresponsive());
        });
        let engine = started(directory.path(), &fake).await;
        engine.submit(restart("one")).await;
        let record = ended(&engine, "one").await;
        assert_eq!(record.state, state, "{record:?}");
        assert_eq!(record.found.unwrap().running, running);
        let seen = fake.with(|fake| (fake.running, fake.stops));
        assert_eq!(seen, (running, 1));
    }
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
async fn a_start_that_is_refused_is_tried_again_and_longer_after_an_interruption() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Fake::running();
    let engine = started(directory.path(), &fake).await;
    fake.with(|state| state.start_errors = std::iter::repeat_with(refused).take(4).collect());
    engine.submit(restart("one")).await;
    assert_eq!(ended(&engine, "one").await.state, State::Succeeded);

    fake.with(|state| state.start_errors = std::iter::repeat_with(refused).take(10).collect());
    engine.submit(restart("two")).await;
    let failure = ended(&engine, "two").await.failure.unwrap();
    assert_eq!(failure.reason, Reason::RuntimeFailed);
    assert!(
        failure.message.contains("port is taken"),
        "{}",
        failure.message
    );

    for (times, state) in [(40, State::Succeeded), (400, State::Failed)] {
        let directory = tempfile::tempdir().unwrap();
        let stop = Step {
            name: "stop".to_owned(),
            state: StepState::Done,
            took_ms: None,
            detail: None,
        };
        let record = OperationRecord {
            state: State::Running,
            steps: vec![stop],
            found: Some(Found {
                running: true,
                run: Some("1".to_owned()),
            }),
            ..OperationRecord::accepted(restart("one"), Some(Name::new("miner").unwrap()), 1)
        };
        std::fs::create_dir(directory.path().join("operations")).unwrap();
        let path = directory.path().join("operations/one.json");
        crate::durable::write(&path, &serde_json::to_vec(&record).unwrap(), 0o600).unwrap();
        let fake = Fake::default();
        fake.with(|state| {
            state.start_errors = std::iter::repeat_with(refused).take(times).collect();
        });
        let engine = started(directory.path(), &fake).await;
        assert_eq!(ended(&engine, "one").await.state, state, "{times}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_stop_leaves_nothing_running_whoever_started_it() {
    // (the run that is there now, stops expected)
    for (running, run, stops) in [(true, 1, 1), (true, 2, 1), (false, 1, 0)] {
        let directory = tempfile::tempdir().unwrap();
        let stop = request("one", Operation::Stop, json!({}));
        let record = OperationRecord {
            state: State::Running,
            steps: vec![Step {
                name: "stop".to_owned(),
                state: StepState::Started,
                took_ms: None,
                detail: None,
            }],
            found: Some(Found {
                running: true,
                run: Some("1".to_owned()),
            }),
            ..OperationRecord::accepted(stop, Some(Name::new("miner").unwrap()), 1)
        };
        std::fs::create_dir(directory.path().join("operations")).unwrap();
        let path = directory.path().join("operations/one.json");
        crate::durable::write(&path, &serde_json::to_vec(&record).unwrap(), 0o600).unwrap();
        let fake = Fake::default();
        fake.with(|state| (state.running, state.run) = (running, run));
        let engine = started(directory.path(), &fake).await;
        let record = ended(&engine, "one").await;
        assert_eq!(
            (record.state, record.changed),
            (State::Succeeded, Some(true))
        );
        let after = fake.with(|state| (state.running, state.stops));
        assert_eq!(after, (false, stops), "{running} {run}");
    }
}

/// Begins to start, again and again, until it was asked as often as this.
struct SlowToAnswer(AtomicIsize);

#[async_trait]
impl Kind for SlowToAnswer {
    fn name(&self) -> &'static str {
        "slow"
    }

    async fn probe(&self, _inside: &dyn Inside) -> Finding {
        let state = match self.0.fetch_sub(1, Ordering::Relaxed) {
            1.. => SyncState::Down,
            _ => SyncState::Syncing,
        };
        let standing = Standing {
            state,
            chain_height: None,
            blocks_per_second: None,
            seconds_left: None,
        };
        Finding {
            standing: Some(standing),
            ..Finding::new(Health::Starting, Some(format!("it is {state}")))
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_has_only_begun_to_start_is_not_up() {
    for (asked, state) in [(3, State::Succeeded), (1000, State::Failed)] {
        let directory = tempfile::tempdir().unwrap();
        let fake = Fake::running();
        let mut parts = parts(directory.path(), &fake, synced());
        parts.workloads = vec![Workload::new(
            Name::new("miner").unwrap(),
            Arc::new(fake.clone()),
            Arc::new(SlowToAnswer(AtomicIsize::new(asked))),
            parts.workloads[0].times(),
        )];
        let (engine, _) = Engine::open(parts).await.unwrap();
        let answer = engine.submit(restart("one")).await;
        assert!(matches!(answer, Answer::Accepted(_)), "{answer:?}");
        engine.spawn();
        let record = ended(&engine, "one").await;
        assert_eq!(record.state, state, "{record:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_a_run_that_is_over_is_none() {
    // Seen running as it is asked, and again after its answer.
    for (looks, state) in [(1, State::Failed), (2, State::Succeeded)] {
        let directory = tempfile::tempdir().unwrap();
        let fake = Fake::default();
        fake.with(|fake| fake.ends_in_run = Some((fake.run + 1, looks)));
        let engine = started(directory.path(), &fake).await;
        engine
            .submit(request("one", Operation::Start, json!({})))
            .await;
        let record = ended(&engine, "one").await;
        assert_eq!(record.state, state, "{looks}: {record:?}");
    }
}
