//! A device whose bucket is a directory, behind the real rclone.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::data::bucket::Layout;
use crate::data::{Bucket, Control, Cut, Exclude, Facts, Options, Retention, Source, Store};
use crate::operation::Snapshots;

/// A device with one snapshot of a few files.
pub struct Inn {
    root: tempfile::TempDir,
    pub fake: Fake,
}

impl Inn {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("data")).unwrap();
        fs::copy("/proc/self/cmdline", root.path().join("data/file")).unwrap();
        Self {
            root,
            fake: Fake::running(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A stand-in for rclone; the real one is looked for in the path.
    pub fn program(&self, script: &str) -> PathBuf {
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

    pub fn snapshots(&self, program: PathBuf) -> Snapshots {
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

    pub fn take(&self, name: &str) {
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
            workload: crate::data::Workload {
                kind: "generic".to_owned(),
                ..Default::default()
            },
            cut_time: Timestamp::now(),
            clock_synced: true,
            height: None,
            timings: Default::default(),
        };
        cut.seal(facts, control).unwrap();
    }

    pub async fn engine(&self, program: PathBuf) -> Engine {
        self.engine_with(self.snapshots(program)).await
    }

    pub async fn engine_with(&self, snapshots: Snapshots) -> Engine {
        let times = Times {
            grace: Duration::from_secs(1),
            ready: Duration::from_secs(5),
            interval: Duration::from_secs(30),
        };
        let name = Name::new("miner").unwrap();
        let workload = Workload::new(name, Arc::new(self.fake.clone()), Arc::new(Generic), times);
        let parts = Parts {
            state_dir: self.path("state"),
            workloads: vec![workload.with_snapshots(snapshots)],
            feed: Feed::default(),
            clock: synced(),
        };
        let engine = Engine::open(parts).await.unwrap().0;
        engine.spawn();
        engine
    }

    /// Whether the operation `a` has begun this step.
    pub fn has_begun(&self, step: &str) -> impl Fn() -> bool + Send + use<> {
        let record = self.path("state/operations/a.json");
        let name = format!("\"{step}\"");
        move || fs::read_to_string(&record).is_ok_and(|text| text.contains(&name))
    }

    /// Somebody starts the workload as soon as it has.
    pub fn starts_at(&self, step: &str) {
        let begun = self.has_begun(step);
        self.fake
            .with(|state| state.starts_when = Some(Box::new(begun)));
    }

    /// What lies beside the data, to take its place or having had it.
    pub fn staged(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.root.path()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .filter(|path| path.to_string_lossy().contains("staged"))
            .collect()
    }

    pub fn latest(&self) -> String {
        fs::read_to_string(self.path("bucket/miner/LATEST")).unwrap_or_default()
    }

    pub async fn begun(&self) {
        let begun = async {
            while !self.path("begun").exists() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(30), begun).await.unwrap();
    }

    /// An rclone that says that it has begun, and then does nothing.
    pub fn stuck(&self) -> PathBuf {
        let begun = self.path("begun");
        self.program(&format!("touch {}; exec sleep 600", begun.display()))
    }
}

pub fn rclone() -> PathBuf {
    PathBuf::from("rclone")
}
