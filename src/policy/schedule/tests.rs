//! Schedules on a paused clock, with a wall clock that can be wrong, and a real engine.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::clock::ClockSync;
use crate::data::{Exclude, Retention, Source};
use crate::feed::Feed;
use crate::operation::{Parts, Snapshots, Times as Patience, Workload};
use crate::protocol::OperationRecord;
use crate::runtime::docker::Docker;
use crate::workload::generic::Generic;

const NOON: &str = "2026-01-31T12:00:00Z";

/// The wall clock: what it said at an instant, or nothing while it is not synchronised.
#[derive(Clone, Default)]
struct Wall(Arc<Mutex<Option<(i64, Instant)>>>);

impl Wall {
    fn set(&self, text: &str) {
        let time = Timestamp::parse(text).unwrap().unix_seconds();
        *self.0.lock().unwrap() = Some((time, Instant::now()));
    }

    fn now(&self) -> Option<Timestamp> {
        let (time, at) = (*self.0.lock().unwrap())?;
        let since = i64::try_from(at.elapsed().as_secs()).unwrap();
        Timestamp::from_unix_seconds(time + since)
    }
}

/// A device with one workload whose snapshots are pruned by the clock; what it removes does not matter here.
struct Inn {
    root: tempfile::TempDir,
    wall: Wall,
}

struct Running {
    engine: Engine,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn miner() -> Name {
    Name::new("miner").unwrap()
}

fn prune(cron: &str, jitter: u64) -> Schedule {
    Schedule {
        workload: miner(),
        operation: Operation::Prune,
        cron: cron.parse().unwrap(),
        jitter: Duration::from_secs(jitter),
    }
}

impl Inn {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("data")).unwrap();
        Self {
            root,
            wall: Wall::default(),
        }
    }

    fn file(&self) -> PathBuf {
        self.root.path().join("schedules.json")
    }

    async fn engine(&self) -> Engine {
        // No engine is there: what is asked here needs none.
        let docker = Docker::new(self.root.path().join("none.sock"), "miner".to_owned()).unwrap();
        let patience = Patience {
            grace: Duration::from_secs(1),
            ready: Duration::from_secs(1),
            interval: Duration::from_secs(3600),
        };
        let snapshots = Snapshots {
            source: Source {
                root: self.root.path().join("data"),
                include: Vec::new(),
                exclude: Exclude::default(),
            },
            store: Some(self.root.path().join("store")),
            way: None,
            identity: Default::default(),
            reserve: 0,
            rate: 0,
            longest_cut: Duration::from_secs(1),
            dead_man: Duration::from_secs(60),
            progress_within: Duration::from_secs(1),
            retention: Retention::default(),
            bucket: None,
        };
        let workload = Workload::new(miner(), Arc::new(docker), Arc::new(Generic), patience);
        let parts = Parts {
            state_dir: self.root.path().to_owned(),
            workloads: vec![workload.with_snapshots(snapshots)],
            feed: Feed::default(),
            clock: ClockSync::default(),
        };
        Engine::open(parts).await.unwrap().0
    }

    fn scheduler(
        &self,
        engine: &Engine,
        schedule: Schedule,
    ) -> Scheduler<impl Fn() -> Option<Timestamp> + use<>> {
        let wall = self.wall.clone();
        let device = Name::new("attic").unwrap();
        Scheduler::new(
            watch::channel(vec![schedule]).1,
            engine.clone(),
            device,
            self.root.path(),
            move || wall.now(),
        )
    }

    async fn start(&self, schedule: Schedule) -> Running {
        let engine = self.engine().await;
        engine.spawn();
        let task = tokio::spawn(self.scheduler(&engine, schedule).run());
        Running { engine, task }
    }
}

impl Running {
    /// The due times that were asked for, oldest first, once there are so many.
    async fn asked(&self, count: usize) -> Vec<String> {
        let there = async {
            while self.records().len() < count {
                sleep(Duration::from_secs(1)).await;
            }
        };
        // Of the paused clock.
        timeout(Duration::from_secs(7 * 24 * 3600), there)
            .await
            .expect("it is asked for");
        self.records()
    }

    fn records(&self) -> Vec<String> {
        let mut records: Vec<OperationRecord> = self.engine.records();
        records.sort_by_key(|record| record.number);
        let due = |record: &OperationRecord| {
            assert_eq!(record.origin, Origin::Schedule);
            let due = record.id.as_str().strip_prefix("schedule-miner-prune-");
            let due = Timestamp::from_unix_seconds(due.unwrap().parse().unwrap());
            due.unwrap().to_string()
        };
        records.iter().map(due).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_due_is_asked_for_once_each_time() {
    let inn = Inn::new();
    inn.wall.set(NOON);
    let running = inn.start(prune("0 * * * *", 0)).await;
    let asked = running.asked(3).await;
    assert_eq!(
        asked,
        [
            "2026-01-31T13:00:00.000Z",
            "2026-01-31T14:00:00.000Z",
            "2026-01-31T15:00:00.000Z"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_is_made_up_for_once() {
    let inn = Inn::new();
    inn.wall.set(NOON);
    let running = inn.start(prune("0 * * * *", 0)).await;
    running.asked(1).await;
    drop(running);
    // Off for five hours and a half: of the five runs the last is made up for.
    inn.wall.set("2026-01-31T18:30:00Z");
    let running = inn.start(prune("0 * * * *", 0)).await;
    let asked = running.asked(3).await;
    assert_eq!(
        asked[1..],
        ["2026-01-31T18:00:00.000Z", "2026-01-31T19:00:00.000Z"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_schedule_makes_up_for_nothing_and_another_expression_is_new() {
    let inn = Inn::new();
    inn.wall.set(NOON);
    let running = inn.start(prune("30 11 * * *", 0)).await;
    sleep(Duration::from_secs(3600)).await;
    assert!(running.records().is_empty());
    drop(running);
    inn.wall.set("2026-02-02T12:00:00Z");
    let running = inn.start(prune("15 11 * * *", 0)).await;
    sleep(Duration::from_secs(3600)).await;
    assert!(running.records().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_not_synchronised_makes_nothing_due() {
    let inn = Inn::new();
    inn.wall.set(NOON);
    drop(inn.start(prune("0 * * * *", 0)).await.asked(1).await);
    *inn.wall.0.lock().unwrap() = None;
    let running = inn.start(prune("0 * * * *", 0)).await;
    sleep(Duration::from_secs(48 * 3600)).await;
    assert_eq!(running.records().len(), 1);
    inn.wall.set("2026-02-05T10:10:00Z");
    assert_eq!(running.asked(2).await[1], "2026-02-05T10:00:00.000Z");
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_the_question_and_the_note_does_not_run_it_twice() {
    let inn = Inn::new();
    inn.wall.set(NOON);
    let running = inn.start(prune("0 * * * *", 0)).await;
    let noted = async {
        while !inn.file().exists() {
            sleep(Duration::from_secs(1)).await;
        }
    };
    timeout(Duration::from_secs(60), noted).await.unwrap();
    let before = fs::read(inn.file()).unwrap();
    running.asked(1).await;
    drop(running);
    crate::durable::write(&inn.file(), &before, 0o600).unwrap();
    let running = inn.start(prune("0 * * * *", 0)).await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(running.records(), ["2026-01-31T13:00:00.000Z"]);
}

#[tokio::test(start_paused = true)]
async fn never_two_at_a_time() {
    let inn = Inn::new();
    inn.wall.set(NOON);
    let engine = inn.engine().await;
    let mut scheduler = inn.scheduler(&engine, prune("* * * * *", 0));
    // The engine does not run yet: what is accepted waits.
    assert_eq!(
        scheduler
            .look()
            .await
            .map(|next| next.to_string())
            .as_deref(),
        None
    );
    let blocker = Request {
        id: OperationId::new("by-hand").unwrap(),
        operation: Operation::Prune,
        workload: Some(miner()),
        args: Map::new(),
        origin: Origin::Local,
        expires_at: None,
        dry_run: false,
    };
    // One beside the lane begins at once; while its thread waits for the store, it is at work.
    fs::create_dir_all(inn.root.path().join("store")).unwrap();
    let submitted = engine.submit(blocker).await;
    assert!(matches!(submitted, Answer::Accepted(_)));
    inn.wall.set("2026-01-31T12:05:10Z");
    let due = Timestamp::parse("2026-01-31T12:05:00Z").unwrap();
    let schedule = prune("* * * * *", 0);
    assert!(!scheduler.ask(&schedule, due).await);
    let ended = async {
        let id = OperationId::new("by-hand").unwrap();
        while engine
            .record(&id)
            .is_none_or(|record| !record.state.is_final())
        {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(3600), ended).await.unwrap();
    assert!(scheduler.ask(&schedule, due).await);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_while_nothing_runs() {
    use std::os::unix::fs::MetadataExt;
    let inn = Inn::new();
    inn.wall.set(NOON);
    let running = inn.start(prune("0 3 * * *", 0)).await;
    sleep(Duration::from_secs(60)).await;
    let inode = fs::metadata(inn.file()).unwrap().ino();
    sleep(Duration::from_secs(12 * 3600)).await;
    assert!(running.records().is_empty());
    assert_eq!(fs::metadata(inn.file()).unwrap().ino(), inode);
}

#[tokio::test(start_paused = true)]
async fn jitter_is_bounded_and_differs_from_day_to_day() {
    let inn = Inn::new();
    let engine = inn.engine().await;
    let daily = prune("0 3 * * *", 3600);
    let scheduler = inn.scheduler(&engine, daily.clone());
    let mut seen = std::collections::BTreeSet::new();
    for day in 0..50 {
        let due = Timestamp::parse("2026-01-01T03:00:00Z")
            .unwrap()
            .unix_seconds();
        let due = Timestamp::from_unix_seconds(due + day * 24 * 3600).unwrap();
        let by = scheduler.put_off(&daily, due).unix_seconds() - due.unix_seconds();
        assert!((0..=3600).contains(&by), "{by}");
        assert_eq!(
            scheduler.put_off(&daily, due),
            scheduler.put_off(&daily, due)
        );
        seen.insert(by);
        let often = prune("* * * * *", 3600);
        let by = scheduler.put_off(&often, due).unix_seconds() - due.unix_seconds();
        assert!((0..=30).contains(&by), "half of the time to the next: {by}");
    }
    assert!(seen.len() > 25, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn the_report_says_when_it_is_due_next() {
    let inn = Inn::new();
    inn.wall.set(NOON);
    let running = inn.start(prune("30 3 * * *", 0)).await;
    let shown = async {
        loop {
            let report = running.engine.workloads().remove(0);
            if let [scheduled] = &report.scheduled[..]
                && let Some(next) = scheduled.next
            {
                return (scheduled.operation, next.to_string());
            }
            sleep(Duration::from_secs(1)).await;
        }
    };
    let shown = timeout(Duration::from_secs(3600), shown).await.unwrap();
    assert_eq!(
        shown,
        (Operation::Prune, "2026-02-01T03:30:00.000Z".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn a_last_run_in_the_future_was_a_clocks_lie() {
    let inn = Inn::new();
    inn.wall.set("2031-01-01T00:00:00Z");
    drop(inn.start(prune("0 * * * *", 0)).await.asked(1).await);
    inn.wall.set(NOON);
    let running = inn.start(prune("0 * * * *", 0)).await;
    assert_eq!(running.asked(2).await[1], "2026-01-31T13:00:00.000Z");
}

#[tokio::test(start_paused = true)]
async fn schedules_change_while_the_agent_runs() {
    let inn = Inn::new();
    inn.wall.set(NOON);
    let engine = inn.engine().await;
    engine.spawn();
    let (sender, schedules) = watch::channel(Vec::new());
    let wall = inn.wall.clone();
    let device = Name::new("attic").unwrap();
    let path = inn.root.path();
    let scheduler = Scheduler::new(schedules, engine.clone(), device, path, move || wall.now());
    let running = Running {
        engine,
        task: tokio::spawn(scheduler.run()),
    };
    sleep(Duration::from_secs(3600)).await;
    assert!(running.records().is_empty());

    sender.send_replace(vec![prune("*/10 * * * *", 0)]);
    let asked = running.asked(2).await;
    assert_eq!(asked.len(), 2, "{asked:?}");
    let shown = || running.engine.workloads()[0].scheduled.clone();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(shown().len(), 1);

    sender.send_replace(Vec::new());
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(running.records().len(), 2);
    assert!(shown().is_empty());
}
