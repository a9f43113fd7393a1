//! A validator's repository, an agent's state directory, and a process that restores.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ostler::clock::ClockSync;
use ostler::data::Retention;
use ostler::feed::Feed;
use ostler::operation::{Download, Engine, Parts, Script, Times, Validator, Workload};
use ostler::protocol::{
    Name, Operation, OperationId, OperationRecord, Origin, Progress, Request, RunState,
};
use ostler::runtime::{Error, Inspection, Output as Said, Runtime, Stopped};
use ostler::workload::generic::Generic;
use serde_json::json;

/// The miners of the small checkpoint, and one that it has not.
pub const MINER: &str = "5DE6K842eErCeDcMvodN6EL6AeBomyFtn8FqjgnjzDT75FhE";
pub const OTHER: &str = "5Hf5gfBKZi1y2FQGiBGeso38GmqRa5JUdyguEvibeYJBEqg2";

const ID: &str = "one";

/// In the environment of the process that restores: the validator writes something when it is stopped, and then the disk is full.
pub const FILLS: &str = "HOUSE_FILLS";

/// Every file and directory of a tree, by path; a file with its content.
pub type Picture = BTreeMap<PathBuf, Option<Vec<u8>>>;

pub struct House {
    root: tempfile::TempDir,
}

impl House {
    /// With the checkpoint of this name offered, and an old state.
    pub fn new(checkpoint: &str) -> Self {
        let mut place = tempfile::Builder::new();
        let root = place.prefix("ostler-house-").tempdir_in("/tmp").unwrap();
        let house = Self { root };
        fs::create_dir(house.path("state")).unwrap();
        house.move_in(checkpoint);
        house
    }

    /// Fills the repository, which may be a filesystem of its own by now.
    pub fn move_in(&self, checkpoint: &str) {
        self.put("ptn/meta/meta.json", r#"{"subnet_version": "7.1.1"}"#);
        self.put(
            "ptn/validation/eliminations.json",
            r#"{"eliminations": []}"#,
        );
        self.put("ptn/validation/timestamp.json", "1");
        self.put("ptn/validation/outputs/a", "an output");
        let order = r#"{"orders": [{"order_uuid": "o", "processed_ms": 1}]}"#;
        self.put(
            &format!("ptn/validation/miners/{OTHER}/positions/BTCUSD/closed/old"),
            order,
        );
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoint");
        let name = "validator_checkpoint.json.gz";
        fs::copy(
            data.join(checkpoint).join(name),
            self.path("ptn").join(name),
        )
        .unwrap();
        self.run_it();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn put(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = File::create(path).unwrap();
        file.write_all(content.as_bytes()).unwrap();
    }

    pub fn picture(&self, name: &str) -> Picture {
        let root = self.path(name);
        let mut picture = Picture::new();
        let mut directories = vec![root.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(&root).unwrap().to_owned();
                if name.to_string_lossy().starts_with(".ostler-") {
                    continue;
                }
                if path.symlink_metadata().unwrap().is_dir() {
                    picture.insert(name, None);
                    directories.push(path);
                } else {
                    picture.insert(name, Some(fs::read(&path).unwrap()));
                }
            }
        }
        picture
    }

    /// Whether the new state is in place; it is the one or the other.
    pub fn is_new(&self) -> bool {
        let miners = self.path("ptn/validation/miners");
        let old = miners.join(OTHER).is_dir();
        let others = fs::read_dir(&miners)
            .unwrap()
            .filter(|entry| *entry.as_ref().unwrap().file_name() != *OTHER)
            .count();
        assert_ne!(old, others > 0, "one state or the other");
        !old
    }

    pub fn runs(&self) -> bool {
        self.path("running").exists()
    }

    pub fn run_it(&self) {
        File::create(self.path("running")).unwrap();
    }

    /// Backups, by name.
    pub fn backups(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("ptn/backups")) else {
            return Vec::new();
        };
        let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        entries.flatten().map(name).collect()
    }

    /// Back to the old state with nothing of a restore.
    pub fn reset(&self, old: &Picture) {
        let now = self.path("ptn/validation");
        for entry in fs::read_dir(&now).unwrap() {
            let path = entry.unwrap().path();
            match path.symlink_metadata().unwrap().is_dir() {
                true => fs::remove_dir_all(path).unwrap(),
                false => fs::remove_file(path).unwrap(),
            }
        }
        for (name, content) in old {
            match content {
                None => fs::create_dir_all(now.join(name)).unwrap(),
                Some(content) => {
                    fs::create_dir_all(now.join(name).parent().unwrap()).unwrap();
                    File::create(now.join(name))
                        .unwrap()
                        .write_all(content)
                        .unwrap();
                }
            }
        }
        for directory in ["ptn/backups", "state"] {
            let _ = fs::remove_dir_all(self.path(directory));
        }
        fs::create_dir(self.path("state")).unwrap();
        self.run_it();
    }

    /// Nothing of a restore is left beside the tree.
    pub fn assert_swept(&self, when: &str) {
        for directory in ["ptn", "ptn/validation"] {
            for entry in fs::read_dir(self.path(directory)).unwrap() {
                let name = entry.unwrap().file_name().to_string_lossy().into_owned();
                let ours = name.starts_with(".ostler-") && name != ".ostler-backups";
                assert!(!ours, "{when}: {directory}/{name}");
            }
        }
        assert!(!self.path("state/ptn/exchange.json").exists(), "{when}");
    }

    /// The record, as the journal has it.
    pub fn record(&self) -> Option<OperationRecord> {
        let file = fs::read(self.path(&format!("state/operations/{ID}.json"))).ok()?;
        serde_json::from_slice(&file).ok()
    }

    /// What was told of the progress while it ran: the step, and how far it was.
    pub fn progress(&self) -> Vec<(String, Progress)> {
        let told = fs::read_to_string(self.path("progress")).unwrap();
        let line = |line| serde_json::from_str(line).unwrap();
        told.lines().map(line).collect()
    }

    /// The process that restores, or goes on with a restore, until its record has ended.
    pub fn command(&self) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["child", "--exact", "--ignored", "--nocapture"])
            .env("HOUSE", self.root.path())
            .stdin(Stdio::null());
        command
    }

    /// Restores with these arguments; what an earlier restore has journalled is forgotten.
    pub fn ask(&self, args: &serde_json::Value) -> OperationRecord {
        let _ = fs::remove_dir_all(self.path("state/operations"));
        let mut command = self.command();
        command.env("HOUSE_ARGS", args.to_string());
        let output: Output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        self.record().unwrap()
    }

    /// Runs it; it has to end by itself.
    pub fn run(&self) -> OperationRecord {
        self.run_as(None)
    }

    /// Runs it with something in its environment.
    pub fn run_with(&self, name: &str, value: &str) -> OperationRecord {
        let output: Output = self.command().env(name, value).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        self.record().unwrap()
    }

    pub fn run_as(&self, user: Option<u32>) -> OperationRecord {
        let mut command = self.command();
        if let Some(user) = user {
            // The place where it was built may be root's alone.
            let program = self.path("child");
            let installed = Command::new("install")
                .args(["-m", "755"])
                .arg(command.get_program())
                .arg(&program)
                .status();
            assert!(installed.unwrap().success());
            let (own, house) = (command, self.root.path());
            command = Command::new(program);
            command.args(own.get_args()).env("HOUSE", house);
            command.current_dir("/").uid(user).gid(user);
        }
        let output: Output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        self.record().unwrap()
    }

    /// What runs in that process.
    pub fn child() {
        let root = PathBuf::from(std::env::var_os("HOUSE").unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(restore(&root));
    }
}

/// The agent's engine in a house.
pub async fn open(root: &Path) -> Engine {
    let times = Times {
        grace: Duration::from_secs(1),
        ready: Duration::from_secs(5),
        interval: Duration::from_secs(30),
    };
    let state = root.join("state/ptn");
    fs::create_dir_all(&state).unwrap();
    let validator = Validator {
        directory: root.join("ptn"),
        owner: None,
        state,
        reserve: 0,
        crash_window: Duration::from_millis(40),
        dead_man: Duration::from_secs(900),
        download: Download {
            most: 16 << 20,
            ca_file: Some(root.join("ca.pem")).filter(|file| file.exists()),
        },
        script: Script {
            python: None,
            patience: Duration::from_secs(10),
        },
        backups: Retention::default(),
    };
    let name = Name::new("ptn").unwrap();
    let stand_in = StandIn(root.join("running"));
    let workload = Workload::new(name, Arc::new(stand_in), Arc::new(Generic), times);
    let clock = ClockSync::default();
    clock.set(true);
    let parts = Parts {
        state_dir: root.join("state"),
        workloads: vec![workload.with_validator(validator)],
        feed: Feed::default(),
        clock,
    };
    let (engine, _) = Engine::open(parts).await.unwrap();
    engine.spawn();
    engine
}

async fn restore(root: &Path) {
    let engine = open(root).await;
    let id = OperationId::new(ID).unwrap();
    engine
        .submit(Request {
            id: id.clone(),
            operation: Operation::RestoreCheckpoint,
            workload: None,
            args: std::env::var("HOUSE_ARGS")
                .map(|args| serde_json::from_str(&args).unwrap())
                .unwrap_or_default(),
            origin: Origin::Local,
            expires_at: None,
            dry_run: false,
        })
        .await;
    let begun = std::time::Instant::now();
    let mut told = File::create(root.join("progress")).unwrap();
    let mut last = None;
    loop {
        let record = engine.record(&id).unwrap();
        if record.state.is_final() {
            break;
        }
        if record.progress.is_some() && record.progress != last {
            let step = record.steps.last().map(|step| step.name.clone());
            writeln!(told, "{}", json!([step, record.progress])).unwrap();
            last = record.progress;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "it hangs");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    engine.drain(Duration::from_secs(10)).await;
}

/// Its last words, and not a byte of room after them.
fn fill_up(root: &Path) {
    let mut last = File::create(root.join("ptn/validation/outputs/last")).unwrap();
    last.write_all(&[1; 64 * 1024]).unwrap();
    let mut filler = File::create(root.join("ptn/filler")).unwrap();
    while filler.write_all(&[1; 4096]).is_ok() {}
}

/// Runs while its file is there.
struct StandIn(PathBuf);

#[async_trait]
impl Runtime for StandIn {
    fn describe(&self) -> String {
        "a file".to_owned()
    }

    async fn inspect(&self) -> Result<Inspection, Error> {
        let state = match self.0.exists() {
            true => RunState::Running,
            false => RunState::Stopped,
        };
        Ok(Inspection {
            state,
            reason: None,
            run: None,
            started_at: None,
            image: None,
            instance: None,
            created_at: None,
            restarts: None,
            health: None,
            parts: Vec::new(),
        })
    }

    async fn start(&self) -> Result<bool, Error> {
        Ok(File::create_new(&self.0).is_ok())
    }

    async fn stop(&self, _grace: Duration) -> Result<Stopped, Error> {
        Ok(match fs::remove_file(&self.0) {
            Ok(()) => {
                if std::env::var_os(FILLS).is_some() {
                    fill_up(self.0.parent().unwrap());
                }
                Stopped::Cleanly
            }
            Err(_) => Stopped::Already,
        })
    }

    async fn exec(&self, _command: &[&str], _deadline: Duration) -> Result<Said, Error> {
        Ok(Said {
            status: 0,
            stdout: String::new(),
            stderr: String::new(),
        })
    }

    async fn logs(&self, _lines: usize, _bytes: usize) -> Result<String, Error> {
        Ok(String::new())
    }

    async fn changed(&self) {
        std::future::pending().await
    }
}
