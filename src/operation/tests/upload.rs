//! Uploads through the engine, with the real rclone and a directory as the bucket.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::data::bucket::Layout;
use crate::data::{Bucket, Control, Cut, Exclude, Facts, Options, Retention, Source, Store};
use crate::operation::Snapshots;

/// A device with one snapshot of a few files.
struct Inn {
    root: tempfile::TempDir,
    fake: Fake,
}

impl Inn {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("data")).unwrap();
        fs::copy("/proc/self/cmdline", root.path().join("data/file")).unwrap();
        Self {
            root,
            fake: Fake::running(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A stand-in for rclone; the real one is looked for in the path.
    fn program(&self, script: &str) -> PathBuf {
        let (source, program) = (self.path("rclone.txt"), self.path("rclone"));
        let text = format!("#!/bin/sh\n{script}\n");
        crate::durable::write(&source, text.as_bytes(), 0o755).unwrap();
        // By another process: what this one has open for writing may be open in a child of another test too.
        let installed = std::process::Command::new("install")
            .args(["-m", "755"])
            .args([&source, &program])
            .status()
            .unwrap();
        assert!(installed.success());
        program
    }

    fn snapshots(&self, program: PathBuf) -> Snapshots {
        Snapshots {
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
            bucket: Some(Bucket {
                remote: self.path("bucket").display().to_string(),
                config_file: None,
                layout: Layout::Objects,
                rate: 0,
                patience: Duration::from_secs(300),
                keep_last: 3,
                grace: Duration::from_secs(3600),
                program,
            }),
        }
    }

    fn take(&self, name: &str) {
        let store = Store::open(&self.path("store")).unwrap();
        let control = &mut Control::unlimited();
        let options = Options {
            name: Name::new(name).unwrap(),
            way: None,
            reserve: 0,
        };
        let source = self.snapshots(PathBuf::new()).source;
        let mut cut = Cut::prepare(source, &store, options, control).unwrap();
        cut.warm(control).unwrap();
        cut.cold(true, control).unwrap();
        let facts = Facts {
            workload: Default::default(),
            cut_time: Timestamp::now(),
            clock_synced: true,
            height: None,
            timings: Default::default(),
        };
        cut.seal(facts, control).unwrap();
    }

    async fn engine(&self, program: PathBuf) -> Engine {
        let times = Times {
            grace: Duration::from_secs(1),
            ready: Duration::from_secs(5),
            interval: Duration::from_secs(30),
        };
        let name = Name::new("miner").unwrap();
        let workload = Workload::new(name, Arc::new(self.fake.clone()), Arc::new(Generic), times);
        let parts = Parts {
            state_dir: self.path("state"),
            workloads: vec![workload.with_snapshots(self.snapshots(program))],
            feed: Feed::default(),
            clock: synced(),
        };
        let engine = Engine::open(parts).await.unwrap().0;
        engine.spawn();
        engine
    }

    fn latest(&self) -> String {
        fs::read_to_string(self.path("bucket/miner/LATEST")).unwrap_or_default()
    }

    async fn begun(&self) {
        let begun = async {
            while !self.path("begun").exists() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(30), begun).await.unwrap();
    }

    /// An rclone that says that it has begun, and then does nothing.
    fn stuck(&self) -> PathBuf {
        let begun = self.path("begun");
        self.program(&format!("touch {}; exec sleep 600", begun.display()))
    }
}

fn rclone() -> PathBuf {
    PathBuf::from("rclone")
}

fn upload(id: &str) -> Request {
    request(id, Operation::Upload, json!({}))
}

#[tokio::test]
async fn the_newest_good_snapshot_is_sent_and_the_record_says_what_was() {
    let inn = Inn::new();
    inn.take("first");
    inn.take("second");
    let engine = inn.engine(rclone()).await;
    engine.submit(upload("a")).await;
    let record = ended(&engine, "a").await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    assert_eq!(inn.latest(), "second\n");
    let output = record.output.unwrap();
    assert_eq!(output["snapshot"], "second");
    assert_eq!(output["upload"]["sent"], 1);
    assert_eq!(output["tidy"]["objects"], 0);
    assert_eq!(record.changed, Some(true));
    // The workload was left alone.
    assert_eq!(inn.fake.with(|state| (state.stops, state.starts)), (0, 0));
}

#[tokio::test]
async fn an_upload_that_is_at_work_can_be_cancelled_and_asked_again() {
    let inn = Inn::new();
    inn.take("first");
    let engine = inn.engine(inn.stuck()).await;
    engine.submit(upload("a")).await;
    inn.begun().await;
    let cancel = request("c", Operation::Cancel, json!({"operation": "a"}));
    engine.submit(cancel).await;
    assert_eq!(ended(&engine, "c").await.state, State::Succeeded);
    let record = ended(&engine, "a").await;
    assert_eq!(record.state, State::Cancelled, "{record:?}");
    inn.program("exec /usr/bin/env PATH=\"$PATH\" rclone \"$@\"");
    engine.submit(upload("b")).await;
    assert_eq!(ended(&engine, "b").await.state, State::Succeeded);
    assert_eq!(inn.latest(), "first\n");
}

#[tokio::test]
async fn an_interrupted_upload_is_continued_by_the_next_start_of_the_agent() {
    let inn = Inn::new();
    inn.take("first");
    let engine = inn.engine(inn.stuck()).await;
    engine.submit(upload("a")).await;
    inn.begun().await;
    assert!(!engine.drain(Duration::from_millis(1)).await);
    drop(engine);

    let engine = inn.engine(rclone()).await;
    let record = ended(&engine, "a").await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    assert_eq!(record.recoveries, 1);
    assert_eq!(inn.latest(), "first\n");
}

#[tokio::test]
async fn a_snapshot_can_be_sent_as_its_last_step() {
    let inn = Inn::new();
    let engine = inn.engine(rclone()).await;
    let args = json!({"name": "first", "upload": true});
    engine.submit(request("a", Operation::Snapshot, args)).await;
    let record = ended(&engine, "a").await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    assert_eq!(inn.latest(), "first\n");
    let output = record.output.unwrap();
    assert_eq!(
        (&output["name"], &output["upload"]["sent"]),
        (&json!("first"), &json!(1))
    );
}

#[tokio::test]
async fn a_snapshot_stays_good_when_its_upload_fails() {
    let inn = Inn::new();
    let broken = inn.program("echo 'Failed: 403 Forbidden' >&2; exit 1");
    let engine = inn.engine(broken).await;
    let args = json!({"name": "first", "upload": true});
    engine.submit(request("a", Operation::Snapshot, args)).await;
    let record = ended(&engine, "a").await;
    let failure = record.failure.unwrap();
    assert_eq!(failure.reason, Reason::BucketFailed);
    assert!(
        failure.message.contains("first is good here"),
        "{failure:?}"
    );
    assert!(failure.message.contains("403"), "{failure:?}");
    let store = Store::open(&inn.path("store")).unwrap();
    assert!(store.list().unwrap().iter().all(|stored| stored.is_good()));
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_sent() {
    let inn = Inn::new();
    inn.take("first");
    let engine = inn.engine(rclone()).await;
    let plan = Request {
        dry_run: true,
        ..upload("a")
    };
    engine.submit(plan).await;
    let record = ended(&engine, "a").await;
    assert_eq!(record.changed, Some(false), "{record:?}");
    assert_eq!(record.output.unwrap()["upload"]["sent"], 1);
    assert!(!inn.path("bucket").exists());
}
