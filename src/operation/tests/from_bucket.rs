//! Restores from the bucket through the engine, with the real rclone.

use std::fs;
use std::path::PathBuf;

use super::inn::{Inn, rclone};
use super::*;
use crate::data::{Bucket, Control, Store};
use crate::operation::Snapshots;

/// A device that has lost its store; the bucket has the snapshots `first` and `second`, of three files each.
struct Lost(Inn);

impl Lost {
    fn new() -> Self {
        let inn = Inn::new();
        let store = Store::open(&inn.path("store")).unwrap();
        let bucket = inn.snapshots(rclone()).bucket.unwrap();
        for name in ["first", "second"] {
            for file in ["one", "two"] {
                let text = format!("{file} of {name}");
                crate::durable::write(&inn.path("data").join(file), text.as_bytes(), 0o600)
                    .unwrap();
            }
            inn.take(name);
            let (miner, name) = (Name::new("miner").unwrap(), Name::new(name).unwrap());
            let control = &mut Control::unlimited();
            bucket
                .upload(&store, &miner, &name, false, control)
                .unwrap();
        }
        let mut lost = Self(inn);
        lost.lose();
        lost
    }

    /// The store is gone and the data is spoilt; nothing was asked yet.
    fn lose(&mut self) {
        self.0.fake = Fake::running();
        for directory in ["store", "state"] {
            let _ = fs::remove_dir_all(self.0.path(directory));
        }
        crate::durable::write(&self.0.path("data/one"), b"spoilt", 0o600).unwrap();
    }

    fn data(&self) -> String {
        fs::read_to_string(self.0.path("data/one")).unwrap()
    }

    /// Asks for the newest, and gives the record of the end.
    async fn asked(&self, snapshots: Snapshots) -> OperationRecord {
        let engine = self.0.engine_with(snapshots).await;
        engine.submit(from_bucket("a", json!({}))).await;
        ended(&engine, "a").await
    }

    fn untouched(&self) {
        assert_eq!(self.data(), "spoilt");
        let fake = &self.0.fake;
        assert_eq!(fake.with(|state| (state.stops, state.starts)), (0, 0));
    }

    /// The real rclone, which hangs at its call number `at`, before or `after` it has done it.
    fn hangs(&self, at: u32, after: bool) -> PathBuf {
        let (count, begun) = (self.0.path("count"), self.0.path("begun"));
        for file in [&count, &begun] {
            let _ = fs::remove_file(file);
        }
        let (count, begun) = (count.display(), begun.display());
        let work = if after { "rclone \"$@\" >&2" } else { ":" };
        self.0.program(&format!(
            "echo >> {count}\nif [ $(wc -l < {count}) = {at} ]; then {work}; touch {begun}; exec sleep 600; fi\n\
             exec rclone \"$@\""
        ))
    }
}

fn from_bucket(id: &str, args: Value) -> Request {
    let mut request = request(id, Operation::Restore, args);
    request.args.insert("from_bucket".to_owned(), json!(true));
    request
}

#[tokio::test]
async fn the_newest_snapshot_of_the_bucket_is_fetched_and_restored() {
    let lost = Lost::new();
    let engine = lost.0.engine(rclone()).await;
    engine.submit(from_bucket("a", json!({}))).await;
    let record = ended(&engine, "a").await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    assert_eq!(lost.data(), "one of second");
    let output = record.output.unwrap();
    assert_eq!(output["snapshot"], "second");
    let fetch = &output["fetch"];
    assert_eq!(
        (&fetch["objects"], &fetch["fetched"]),
        (&json!(3), &json!(3))
    );
    assert_eq!(record.steps[0].name, "fetch");

    // Another by its name; and again, without a single object left in the bucket.
    for (id, fetched) in [("b", 2), ("c", 0)] {
        let named = from_bucket(id, json!({"snapshot": "first"}));
        engine.submit(named).await;
        let record = ended(&engine, id).await;
        assert_eq!(record.state, State::Succeeded, "{record:?}");
        assert_eq!(lost.data(), "one of first");
        let fetch = &record.output.unwrap()["fetch"];
        assert_eq!(fetch["already"], id == "c");
        assert_eq!(fetch["fetched"].as_u64().unwrap().min(2), fetched);
        let objects = lost.0.path("bucket/objects");
        fs::remove_dir_all(&objects).unwrap();
        fs::create_dir(&objects).unwrap();
    }
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_fetched_and_makes_nothing() {
    let lost = Lost::new();
    let engine = lost.0.engine(rclone()).await;
    let plan = Request {
        dry_run: true,
        ..from_bucket("a", json!({}))
    };
    engine.submit(plan).await;
    let record = ended(&engine, "a").await;
    assert_eq!(record.changed, Some(false), "{record:?}");
    let output = record.output.unwrap();
    assert_eq!(
        (&output["snapshot"], &output["fetch"]["fetched"]),
        (&json!("second"), &json!(3))
    );
    assert_eq!(output["fetch"]["fetched_bytes"], output["bytes"]);
    let needs = output["needs_bytes"].as_u64().unwrap();
    assert_eq!(needs, 2 * output["bytes"].as_u64().unwrap());
    assert!(output["free_bytes"].as_u64().unwrap() > needs);
    assert!(!lost.0.path("store").exists());
    lost.untouched();
}

#[tokio::test]
async fn what_stands_in_the_way_is_said_and_the_workload_is_left_alone() {
    let lost = Lost::new();
    let good = || lost.0.snapshots(rclone());
    let other = |change: &dyn Fn(&mut Bucket)| {
        let mut snapshots = good();
        change(snapshots.bucket.as_mut().unwrap());
        snapshots
    };
    let failing = lost.0.program("echo 'Failed: 403 Forbidden' >&2; exit 1");
    let elsewhere = lost.0.path("elsewhere").display().to_string();
    let shard = [("shard".to_owned(), "3".to_owned())].into();
    let cases = [
        (
            Snapshots {
                bucket: None,
                ..good()
            },
            Reason::Unsupported,
            "[workload.bucket]",
        ),
        (
            other(&|bucket| bucket.program = "/no/rclone".into()),
            Reason::BucketFailed,
            "install the Debian package",
        ),
        (
            other(&|bucket| bucket.program = failing.clone()),
            Reason::BucketFailed,
            "403 Forbidden",
        ),
        (
            other(&|bucket| bucket.remote = elsewhere.clone()),
            Reason::BucketFailed,
            "LATEST",
        ),
        (
            Snapshots {
                identity: shard,
                ..good()
            },
            Reason::NotPossible,
            "has shard none, here it is 3",
        ),
        (
            Snapshots {
                reserve: u64::MAX / 2,
                ..good()
            },
            Reason::NoSpace,
            "are missing",
        ),
    ];
    for (snapshots, reason, says) in cases {
        let record = lost.asked(snapshots).await;
        fs::remove_dir_all(lost.0.path("state")).unwrap();
        let failure = record.failure.unwrap();
        assert_eq!(failure.reason, reason, "{failure:?}");
        assert!(failure.message.contains(says), "{failure:?}");
        lost.untouched();
    }
}

#[tokio::test]
async fn a_fetch_that_is_cut_goes_on_at_the_next_start_of_the_agent() {
    let mut lost = Lost::new();
    // As it asks for LATEST, as it begins to fetch, and when all has come.
    for (at, after) in [(1, false), (4, false), (4, true)] {
        lost.lose();
        let engine = lost.0.engine(lost.hangs(at, after)).await;
        engine.submit(from_bucket("a", json!({}))).await;
        lost.0.begun().await;
        assert!(!engine.drain(Duration::from_millis(1)).await);
        drop(engine);
        lost.untouched();

        let engine = lost.0.engine(rclone()).await;
        let record = ended(&engine, "a").await;
        assert_eq!(record.state, State::Succeeded, "{at}: {record:?}");
        assert_eq!(record.recoveries, 1);
        assert_eq!(lost.data(), "one of second");
        let fetched = &record.output.unwrap()["fetch"]["fetched"];
        assert_eq!(*fetched, if after { 0 } else { 3 }, "{at}");
        let fake = &lost.0.fake;
        assert_eq!(
            fake.with(|state| (state.running, state.stops, state.starts)),
            (true, 1, 1)
        );
    }
}

#[tokio::test]
async fn a_fetch_that_was_cut_stops_whichever_run_there_is_when_it_has_ended() {
    let mut lost = Lost::new();
    lost.lose();
    let engine = lost.0.engine(lost.hangs(4, false)).await;
    engine.submit(from_bucket("a", json!({}))).await;
    lost.0.begun().await;
    assert!(!engine.drain(Duration::from_millis(1)).await);
    drop(engine);
    // It starts anew by itself, at the worst moment.
    lost.0.starts_at("stop");
    let engine = lost.0.engine(rclone()).await;
    let record = ended(&engine, "a").await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    assert_eq!(lost.data(), "one of second");
    let seen = lost
        .0
        .fake
        .with(|state| (state.running, state.stops, state.starts));
    assert_eq!(seen, (true, 1, 1));
}

#[tokio::test]
async fn a_fetch_can_be_cancelled_and_asked_again() {
    let lost = Lost::new();
    let engine = lost.0.engine(lost.hangs(4, false)).await;
    engine.submit(from_bucket("a", json!({}))).await;
    lost.0.begun().await;
    let cancel = request("c", Operation::Cancel, json!({"operation": "a"}));
    engine.submit(cancel).await;
    assert_eq!(ended(&engine, "c").await.state, State::Succeeded);
    assert_eq!(ended(&engine, "a").await.state, State::Cancelled);
    lost.untouched();
    engine.submit(from_bucket("b", json!({}))).await;
    let record = ended(&engine, "b").await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
}
