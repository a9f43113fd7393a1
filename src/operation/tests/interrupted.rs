//! Operations on data that were interrupted, in places that are not as they should be.

use std::fs;

use super::*;
use crate::data::exchange::{Exchange, Scope};
use crate::data::{Exclude, Retention, Source};
use crate::operation::Snapshots;

/// A device on which an operation was interrupted while its workload was stopped.
struct Left {
    root: tempfile::TempDir,
    fake: Fake,
}

impl Left {
    fn new(operation: Operation, steps: &[(&str, StepState)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        for directory in ["data", "staged", "store", "operations"] {
            fs::create_dir(root.path().join(directory)).unwrap();
        }
        // Whoever was interrupted had locked it.
        fs::File::create(root.path().join("store/lock")).unwrap();
        let name = Name::new("miner").unwrap();
        let step = |(name, state): &(&str, StepState)| Step {
            name: (*name).to_owned(),
            state: *state,
            took_ms: None,
            detail: None,
        };
        let record = OperationRecord {
            state: State::Running,
            steps: steps.iter().map(step).collect(),
            found: Some(Found {
                running: true,
                run: Some("1".to_owned()),
            }),
            ..OperationRecord::accepted(request("one", operation, json!({})), Some(name), 1)
        };
        let path = root.path().join("operations/one.json");
        crate::durable::write(&path, &serde_json::to_vec(&record).unwrap(), 0o600).unwrap();
        let fake = Fake::default();
        fake.with(|state| state.run = 1);
        Self { root, fake }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    async fn taken_up(&self) -> OperationRecord {
        let snapshots = Snapshots {
            source: Source {
                root: self.path("data"),
                include: Vec::new(),
                exclude: Exclude::default(),
            },
            store: Some(self.path("store")),
            way: None,
            identity: Default::default(),
            reserve: 0,
            rate: 0,
            longest_cut: Duration::from_secs(30),
            dead_man: Duration::from_secs(900),
            progress_within: Duration::from_secs(10),
            retention: Retention::default(),
            bucket: None,
        };
        let times = Times {
            grace: Duration::from_secs(1),
            ready: Duration::from_secs(1),
            interval: Duration::from_secs(30),
        };
        let name = Name::new("miner").unwrap();
        let workload = Workload::new(name, Arc::new(self.fake.clone()), Arc::new(Generic), times);
        let parts = Parts {
            state_dir: self.root.path().to_owned(),
            workloads: vec![workload.with_snapshots(snapshots)],
            feed: Feed::default(),
            clock: synced(),
        };
        let engine = Engine::open(parts).await.unwrap().0;
        engine.spawn();
        ended(&engine, "one").await
    }
}

const STOPPED: [(&str, StepState); 2] = [("arm", StepState::Done), ("stop", StepState::Done)];

#[tokio::test]
async fn a_store_that_is_not_there_keeps_no_workload_stopped() {
    // Renamed as a whole, one tree or the other is in place.
    let moved = [&STOPPED[..], &[("exchange", StepState::Started)]].concat();
    for (operation, steps) in [
        (Operation::Snapshot, &STOPPED[..]),
        (Operation::Restore, &STOPPED[..]),
        (Operation::Restore, &moved[..]),
    ] {
        let left = Left::new(operation, steps);
        fs::remove_dir_all(left.path("store")).unwrap();
        fs::File::create(left.path("store")).unwrap();
        fs::File::create(left.path("data/CURRENT")).unwrap();
        let record = left.taken_up().await;
        assert_eq!(record.state, State::Failed, "{operation}");
        assert!(left.fake.with(|state| state.running), "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_keeps_no_whole_data_waiting_for_a_day() {
    let moved = [&STOPPED[..], &[("exchange", StepState::Started)]].concat();
    let left = Arc::new(Left::new(Operation::Restore, &moved));
    fs::remove_dir_all(left.path("store")).unwrap();
    fs::File::create(left.path("data/CURRENT")).unwrap();
    let asked = left.clone();
    let taken_up = tokio::spawn(async move { asked.taken_up().await });
    // Threads look at the disk, with ten seconds for each look, in the beginning and after ten minutes: then the clock goes slowly.
    for tenth in 0..20_000 {
        let looks = !(200..5_900).contains(&tenth);
        tokio::time::advance(Duration::from_millis(100)).await;
        std::thread::sleep(Duration::from_millis(if looks { 10 } else { 0 }));
        if taken_up.is_finished() {
            break;
        }
    }
    assert!(left.fake.with(|state| state.running));
    assert_eq!(taken_up.await.unwrap().state, State::Failed);
}

#[tokio::test]
async fn nothing_is_started_on_a_directory_that_may_wait_for_its_disk() {
    let moved = [&STOPPED[..], &[("exchange", StepState::Started)]].concat();
    let left = Left::new(Operation::Restore, &moved);
    left.fake.with(|state| state.running = false);
    fs::remove_dir_all(left.path("store")).unwrap();
    fs::File::create(left.path("store")).unwrap();
    assert_eq!(left.taken_up().await.state, State::Failed);
    assert!(!left.fake.with(|state| state.running));
}

#[tokio::test]
async fn a_store_that_somebody_has_is_waited_for() {
    let steps = [&STOPPED[..], &[("exchange", StepState::Started)]].concat();
    let left = Left::new(Operation::Restore, &steps);
    let store = crate::data::Store::open(&left.path("store")).unwrap();
    let other = store.lock(&mut crate::data::Control::unlimited()).unwrap();
    let release = async {
        sleep(Duration::from_millis(300)).await;
        drop(other);
    };
    let (record, ()) = tokio::join!(left.taken_up(), release);
    assert_eq!(record.failure.unwrap().reason, Reason::Interrupted);
    assert!(left.fake.with(|state| state.running));
}

#[tokio::test]
async fn an_exchange_whose_journal_cannot_be_written_keeps_no_workload_stopped() {
    let back = [
        ("exchange", StepState::Done),
        ("exchange back", StepState::Started),
    ];
    let steps = [&STOPPED[..], &back].concat();
    let left = Left::new(Operation::Restore, &steps);
    let journal = left.path("store/exchange.json");
    let exchange = Exchange::begin(
        &journal,
        &left.path("data"),
        &left.path("staged"),
        &Scope::Whole,
    );
    exchange.unwrap().commit().unwrap();
    let in_the_way = crate::durable::temporary_name(&journal);
    left.fake.with(|state| {
        state.running = true;
        state.at_stop = Some(Box::new(move || fs::create_dir(in_the_way).unwrap()));
    });
    let record = left.taken_up().await;
    assert_eq!(record.failure.unwrap().reason, Reason::DataFailed);
    assert!(left.fake.with(|state| state.running));
}

/// Nothing was moved, so nothing has to be written down, and nobody stopped.
#[tokio::test]
async fn an_exchange_that_was_not_begun_is_ended_without_a_stop() {
    let steps = [&STOPPED[..], &[("exchange", StepState::Started)]].concat();
    let left = Left::new(Operation::Restore, &steps);
    let (journal, data) = (left.path("store/exchange.json"), left.path("data"));
    let exchange = Exchange::begin(&journal, &data, &left.path("staged"), &Scope::Whole);
    drop(exchange.unwrap());
    left.fake.with(|state| state.running = true);
    fs::create_dir(crate::durable::temporary_name(&journal)).unwrap();
    let record = left.taken_up().await;
    assert_eq!(record.failure.unwrap().reason, Reason::Interrupted);
    assert!(!journal.exists() && !left.path("staged").exists());
    assert_eq!(
        left.fake.with(|state| (state.running, state.stops)),
        (true, 0)
    );
}

#[tokio::test]
async fn a_store_whose_disk_is_not_mounted_yet_is_waited_for() {
    let steps = [&STOPPED[..], &[("exchange", StepState::Started)]].concat();
    for mount_point in [false, true] {
        let left = Left::new(Operation::Restore, &steps);
        fs::rename(left.path("store"), left.path("disk")).unwrap();
        if mount_point {
            fs::create_dir(left.path("store")).unwrap();
        }
        let mounted = async {
            sleep(Duration::from_millis(600)).await;
            if mount_point {
                fs::remove_dir(left.path("store")).unwrap();
            }
            fs::rename(left.path("disk"), left.path("store")).unwrap();
        };
        let (record, ()) = tokio::join!(left.taken_up(), mounted);
        let failure = record.failure.unwrap();
        assert_eq!(failure.reason, Reason::Interrupted, "{failure:?}");
        assert!(left.fake.with(|state| state.running));
    }
}

/// An earlier life has stopped it too, and it was started since.
#[tokio::test]
async fn nothing_is_moved_under_a_workload_that_was_stopped_again_in_an_earlier_life() {
    let again = [
        ("exchange", StepState::Done),
        ("stop again", StepState::Done),
    ];
    let left = Left::new(Operation::Restore, &[&STOPPED[..], &again].concat());
    fs::create_dir(left.path("staged/new")).unwrap();
    let (journal, data) = (left.path("store/exchange.json"), left.path("data"));
    let exchange = Exchange::begin(&journal, &data, &left.path("staged"), &Scope::Whole);
    exchange.unwrap().commit().unwrap();
    let new = left.path("data/new");
    left.fake
        .with(|state| state.crashes = Some(Box::new(move || new.exists())));
    let record = left.taken_up().await;
    let reason = record.failure.as_ref().map(|failure| failure.reason);
    assert_eq!(reason, Some(Reason::NotReady), "{record:?}");
    assert!(!left.path("data/new").exists() && !journal.exists());
    let seen = left
        .fake
        .with(|state| (state.running, state.stops, state.starts));
    assert_eq!(seen, (true, 1, 2));
    // It was stopped with something outside to start it, and back before gigabytes were removed.
    let seen = left.fake.with(|state| (state.arms, state.armed));
    assert_eq!(seen, (1, false));
    let steps: Vec<_> = record.steps.iter().map(|step| step.name.as_str()).collect();
    let last = ["exchange back", "start", "confirm", "discard"];
    assert!(steps.ends_with(&last), "{steps:?}");
}
