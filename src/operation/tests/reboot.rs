//! Reboots of a device that only notes them; a real one is not for a test to boot.

use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::operation::{Boot, Host};

/// A device that is told to boot, and boots where a test says so.
#[derive(Clone, Default)]
struct Board(Arc<Mutex<BoardState>>);

#[derive(Default)]
struct BoardState {
    boot: u32,
    told: u32,
    refuses: bool,
    /// Its boots differ in when process 1 began only.
    in_a_container: bool,
    /// Whether the workload ran when it was told.
    ran: Option<bool>,
    watched: Option<Fake>,
}

impl Board {
    fn with<T>(&self, change: impl FnOnce(&mut BoardState) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    async fn open(&self, directory: &Path, fake: &Fake) -> Engine {
        self.with(|state| state.watched = Some(fake.clone()));
        let parts = parts(directory, fake, synced());
        let opened = Engine::open_on(Some(Arc::new(self.clone())), parts).await;
        let engine = opened.unwrap().0;
        engine.spawn();
        engine
    }
}

#[async_trait]
impl Host for Board {
    async fn boot(&self) -> Result<Boot, String> {
        Ok(self.with(|state| Boot {
            id: match state.in_a_container {
                true => "the host's".to_owned(),
                false => format!("boot-{}", state.boot),
            },
            init: state.in_a_container.then(|| state.boot.to_string()),
        }))
    }

    async fn reboot(&self) -> Result<(), String> {
        self.with(|state| {
            state.told += 1;
            let fake = state.watched.as_ref().unwrap();
            state.ran = Some(fake.with(|fake| fake.running));
            match state.refuses {
                true => Err("the system is being upgraded".to_owned()),
                false => Ok(()),
            }
        })
    }
}

fn reboot(id: &str, args: Value) -> Request {
    request(id, Operation::Reboot, args)
}

async fn until(mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(60), wait)
        .await
        .expect("it comes");
}

fn is_accepted(answer: &Answer) -> bool {
    matches!(answer, Answer::Accepted(_))
}

#[tokio::test]
async fn a_reboot_is_answered_stops_boots_and_is_closed_after_the_boot() {
    let directory = tempfile::tempdir().unwrap();
    let (fake, board) = (Fake::running(), Board::default());
    let engine = board.open(directory.path(), &fake).await;
    assert!(is_accepted(&engine.submit(reboot("boot", json!({}))).await));
    assert_eq!(board.with(|state| state.told), 0, "the answer comes first");
    until(|| board.with(|state| state.told) == 1).await;
    assert_eq!(
        board.with(|state| state.ran),
        Some(false),
        "it was stopped before"
    );
    // The system ends the agent, which does not wait for its own operation.
    assert!(engine.drain(Duration::from_secs(20)).await);
    let id = OperationId::new("boot").unwrap();
    assert_eq!(engine.record(&id).unwrap().state, State::Running);

    board.with(|state| state.boot += 1);
    let engine = board.open(directory.path(), &fake).await;
    let record = ended(&engine, "boot").await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    let output = record.output.unwrap();
    assert_eq!(
        (
            &output["boot_id"],
            &output["boot_id_now"],
            &output["running"]
        ),
        (&json!("boot-0"), &json!("boot-1"), &json!(["miner"]))
    );
    assert_eq!(fake.with(|state| (state.running, state.starts)), (true, 1));
    assert_eq!(board.with(|state| state.told), 1, "once");
}

#[tokio::test]
async fn what_did_not_run_before_does_not_run_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let (fake, board) = (Fake::default(), Board::default());
    let engine = board.open(directory.path(), &fake).await;
    engine.submit(reboot("boot", json!({}))).await;
    until(|| board.with(|state| state.told) == 1).await;
    engine.drain(Duration::from_secs(20)).await;
    board.with(|state| state.boot += 1);
    let engine = board.open(directory.path(), &fake).await;
    assert_eq!(ended(&engine, "boot").await.state, State::Succeeded);
    assert!(!fake.with(|state| state.running));
}

#[tokio::test]
async fn a_device_that_does_not_boot_runs_its_workloads_again() {
    let directory = tempfile::tempdir().unwrap();
    let (fake, board) = (Fake::running(), Board::default());
    board.with(|state| state.refuses = true);
    let engine = board.open(directory.path(), &fake).await;
    engine.submit(reboot("refused", json!({}))).await;
    let record = ended(&engine, "refused").await;
    let failure = record.failure.unwrap();
    assert_eq!(failure.reason, Reason::RuntimeFailed);
    assert!(failure.message.contains("upgraded"), "{failure:?}");
    assert_eq!(fake.with(|state| (state.running, state.stops)), (true, 1));

    // The agent is killed instead of the device.
    board.with(|state| state.refuses = false);
    engine.submit(reboot("killed", json!({}))).await;
    until(|| board.with(|state| state.told) == 2).await;
    engine.drain(Duration::from_secs(20)).await;
    let engine = board.open(directory.path(), &fake).await;
    let record = ended(&engine, "killed").await;
    assert_eq!(record.failure.unwrap().reason, Reason::Interrupted);
    assert!(fake.with(|state| state.running));
}

#[tokio::test]
async fn a_container_that_boots_on_the_kernel_of_its_host_has_booted() {
    let directory = tempfile::tempdir().unwrap();
    let (fake, board) = (Fake::running(), Board::default());
    board.with(|state| state.in_a_container = true);
    let engine = board.open(directory.path(), &fake).await;
    engine.submit(reboot("boot", json!({}))).await;
    until(|| board.with(|state| state.told) == 1).await;
    engine.drain(Duration::from_secs(20)).await;
    board.with(|state| state.boot += 1);
    let engine = board.open(directory.path(), &fake).await;
    let record = ended(&engine, "boot").await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    let output = record.output.unwrap();
    assert_eq!(
        (&output["init_began"], &output["init_began_now"]),
        (&json!("0"), &json!("1"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_system_that_was_told_and_never_goes_down_runs_its_workloads_again() {
    let directory = tempfile::tempdir().unwrap();
    let (fake, board) = (Fake::running(), Board::default());
    let engine = board.open(directory.path(), &fake).await;
    let begun = tokio::time::Instant::now();
    engine.submit(reboot("stays", json!({}))).await;
    let id = OperationId::new("stays").unwrap();
    while !engine.record(&id).unwrap().state.is_final() {
        sleep(Duration::from_millis(100)).await;
        assert!(begun.elapsed() < Duration::from_secs(3600), "no end");
    }
    assert!(begun.elapsed() >= Duration::from_secs(600));
    let failure = engine.record(&id).unwrap().failure.unwrap();
    assert_eq!(failure.reason, Reason::OutOfTime);
    assert!(failure.message.contains("did not go down"), "{failure:?}");
    assert_eq!(
        board.with(|state| (state.told, state.ran)),
        (1, Some(false))
    );
    assert!(fake.with(|state| state.running));
}

#[tokio::test]
async fn a_reboot_waits_for_what_is_at_work_and_what_comes_later_waits_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let (fake, board) = (Fake::running(), Board::default());
    fake.with(|state| state.stop_takes = Duration::from_secs(2));
    let engine = board.open(directory.path(), &fake).await;
    engine.submit(restart("before")).await;
    let id = OperationId::new("before").unwrap();
    until(|| {
        engine
            .record(&id)
            .is_some_and(|record| record.state == State::Running)
    })
    .await;

    engine.submit(reboot("given-up", json!({}))).await;
    let cancel = request(
        "cancel",
        Operation::Cancel,
        json!({"operation": "given-up"}),
    );
    engine.submit(cancel).await;
    assert_eq!(ended(&engine, "given-up").await.state, State::Cancelled);

    assert!(is_accepted(&engine.submit(reboot("boot", json!({}))).await));
    let Answer::Refused(second) = engine.submit(reboot("second", json!({}))).await else {
        panic!("two at the same time")
    };
    assert_eq!(second.failure.reason, Reason::Busy);
    engine.submit(restart("after")).await;
    assert_eq!(ended(&engine, "before").await.state, State::Succeeded);
    until(|| board.with(|state| state.told) == 1).await;
    let id = OperationId::new("after").unwrap();
    assert_eq!(engine.record(&id).unwrap().state, State::Accepted);

    engine.drain(Duration::from_secs(20)).await;
    board.with(|state| state.boot += 1);
    let engine = board.open(directory.path(), &fake).await;
    assert_eq!(ended(&engine, "boot").await.state, State::Succeeded);
    assert_eq!(
        ended(&engine, "after").await.state,
        State::Succeeded,
        "its turn comes"
    );
}

#[tokio::test]
async fn with_force_nothing_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let (fake, board) = (Fake::running(), Board::default());
    // An engine that hangs: what waits for it waits for a day.
    fake.with(|state| state.start_errors = (0..999).map(|_| unresponsive()).collect());
    let engine = board.open(directory.path(), &fake).await;
    engine.submit(restart("hangs")).await;
    until(|| fake.with(|state| state.stops) == 1).await;
    engine.submit(reboot("boot", json!({"force": true}))).await;
    until(|| board.with(|state| state.told) == 1).await;
}

#[tokio::test]
async fn a_plan_touches_nothing_and_what_makes_no_sense_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (fake, board) = (Fake::running(), Board::default());
    let engine = board.open(directory.path(), &fake).await;
    let plan = Request {
        dry_run: true,
        ..reboot("plan", json!({}))
    };
    engine.submit(plan).await;
    let record = ended(&engine, "plan").await;
    assert_eq!(
        (record.state, record.changed),
        (State::Succeeded, Some(false))
    );
    assert_eq!(record.output.unwrap()["running"], json!(["miner"]));
    assert_eq!(fake.with(|state| state.stops), 0);
    assert_eq!(board.with(|state| state.told), 0);

    let refused = async |engine: &Engine, request: Request| match engine.submit(request).await {
        Answer::Refused(refusal) => refusal.failure.reason,
        other => panic!("{other:?}"),
    };
    let of_a_workload = Request {
        workload: Name::new("miner").ok(),
        ..reboot("named", json!({}))
    };
    assert_eq!(refused(&engine, of_a_workload).await, Reason::BadArguments);
    let elsewhere = tempfile::tempdir().unwrap();
    let engine = started(elsewhere.path(), &fake).await;
    assert_eq!(
        refused(&engine, reboot("nowhere", json!({}))).await,
        Reason::Unsupported
    );
}

/// Nothing else can be asked of the device while a reboot is at work.
#[tokio::test(start_paused = true)]
async fn an_engine_that_hangs_after_the_boot_keeps_the_device_for_ten_minutes() {
    let directory = tempfile::tempdir().unwrap();
    let (fake, board) = (Fake::running(), Board::default());
    let engine = board.open(directory.path(), &fake).await;
    engine.submit(reboot("boot", json!({}))).await;
    until(|| board.with(|state| state.told) == 1).await;
    engine.drain(Duration::from_secs(20)).await;
    board.with(|state| state.boot += 1);
    fake.with(|state| state.start_errors = (0..2000).map(|_| unresponsive()).collect());
    let engine = board.open(directory.path(), &fake).await;
    let id = OperationId::new("boot").unwrap();
    until(|| engine.record(&id).unwrap().step("start").is_some()).await;
    let again = engine.submit(reboot("polite", json!({}))).await;
    assert_eq!(reason(&again), Reason::Busy);
    let begun = tokio::time::Instant::now();
    let record = ended(&engine, "boot").await;
    assert_eq!(record.state, State::Failed, "{record:?}");
    assert!(begun.elapsed() < Duration::from_secs(700));
    fake.with(|state| state.start_errors.clear());
    engine.submit(restart("next")).await;
    assert_eq!(ended(&engine, "next").await.state, State::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_hangs_after_its_boot_can_be_booted_again_by_force() {
    let directory = tempfile::tempdir().unwrap();
    let (fake, board) = (Fake::running(), Board::default());
    let engine = board.open(directory.path(), &fake).await;
    engine.submit(reboot("boot", json!({}))).await;
    until(|| board.with(|state| state.told) == 1).await;
    engine.drain(Duration::from_secs(20)).await;
    board.with(|state| state.boot += 1);
    fake.with(|state| state.start_errors = (0..2000).map(|_| unresponsive()).collect());
    let engine = board.open(directory.path(), &fake).await;
    let id = OperationId::new("boot").unwrap();
    until(|| engine.record(&id).unwrap().step("start").is_some()).await;
    let forced = reboot("forced", json!({"force": true}));
    assert!(is_accepted(&engine.submit(forced).await));
    until(|| board.with(|state| state.told) == 2).await;
    // Both have work left after the second boot: what the first had stopped was not running for the second.
    engine.drain(Duration::from_secs(20)).await;
    board.with(|state| state.boot += 1);
    fake.with(|state| {
        state.start_errors.clear();
        state.running = false;
    });
    let engine = board.open(directory.path(), &fake).await;
    for id in ["boot", "forced"] {
        assert_eq!(ended(&engine, id).await.state, State::Succeeded, "{id}");
    }
    assert!(fake.with(|state| state.running));
}
