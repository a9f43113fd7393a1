//! Checkpoints through the engine, onto real directories; the real PM2 has its own suite.

mod backups;
mod conditions;
mod earlier;
mod meanwhile;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

use super::*;
use crate::data::Retention;
use crate::operation::{Download, Script, Validator};

const SMALL: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/data/checkpoint/tiny/validator_checkpoint.json.gz"
);

/// A miner that the small checkpoint has.
const MINER: &str = "5DE6K842eErCeDcMvodN6EL6AeBomyFtn8FqjgnjzDT75FhE";
/// One that it has not.
const OTHER: &str = "5Hf5gfBKZi1y2FQGiBGeso38GmqRa5JUdyguEvibeYJBEqg2";

/// A validator's repository with a state in it.
struct Ptn {
    root: tempfile::TempDir,
    fake: Fake,
}

impl Ptn {
    fn new() -> Self {
        let ptn = Self {
            root: tempfile::tempdir().unwrap(),
            fake: Fake::running(),
        };
        ptn.put("ptn/meta/meta.json", r#"{"subnet_version": "7.1.1"}"#);
        ptn.put(
            "ptn/validation/eliminations.json",
            r#"{"eliminations": []}"#,
        );
        ptn.put("ptn/validation/timestamp.json", "1");
        ptn.put("ptn/validation/outputs/deep/a", "an output");
        ptn.put("ptn/validation/tmp/leftover", "half a file");
        ptn.put(&position(OTHER, "old"), &order(1_000));
        ptn
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn put(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        crate::durable::write(&path, content.as_bytes(), 0o644).unwrap();
    }

    /// The small checkpoint, put in its place.
    fn offer(self) -> Self {
        fs::copy(SMALL, self.path("ptn/validator_checkpoint.json.gz")).unwrap();
        self
    }

    fn validator(&self) -> Validator {
        let state = self.path("validator");
        fs::create_dir_all(&state).unwrap();
        Validator {
            directory: self.path("ptn"),
            owner: None,
            state,
            reserve: 1 << 20,
            crash_window: Duration::from_millis(1200),
            dead_man: Duration::from_secs(900),
            download: Download {
                most: 1 << 30,
                ca_file: None,
            },
            script: Script {
                python: None,
                patience: Duration::from_secs(60),
            },
            backups: Retention {
                keep_last: Some(2),
                ..Retention::default()
            },
        }
    }

    async fn engine(&self) -> Engine {
        let times = Times {
            grace: Duration::from_secs(1),
            ready: Duration::from_secs(5),
            interval: Duration::from_secs(30),
        };
        let name = Name::new("ptn").unwrap();
        let workload = Workload::new(name, Arc::new(self.fake.clone()), Arc::new(Generic), times);
        let parts = Parts {
            state_dir: self.root.path().to_owned(),
            workloads: vec![workload.with_validator(self.validator())],
            feed: Feed::default(),
            clock: synced(),
        };
        let engine = Engine::open(parts).await.unwrap().0;
        engine.spawn();
        engine
    }

    async fn restore(&self, args: Value) -> OperationRecord {
        self.ask(request("one", Operation::RestoreCheckpoint, args))
            .await
    }

    async fn ask(&self, request: Request) -> OperationRecord {
        let (engine, id) = (self.engine().await, request.id.clone());
        let answer = engine.submit(request).await;
        assert!(matches!(answer, Answer::Accepted(_)), "{answer:?}");
        let record = ended(&engine, id.as_str()).await;
        assert!(engine.drain(Duration::from_secs(30)).await);
        record
    }

    /// Every file of a tree, by path, with its content.
    fn tree(&self, name: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let (root, mut files) = (self.path(name), BTreeMap::new());
        let mut directories = vec![root.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                match path.symlink_metadata().unwrap().is_dir() {
                    true => directories.push(path),
                    false => {
                        let name = path.strip_prefix(&root).unwrap().to_owned();
                        files.insert(name, fs::read(&path).unwrap());
                    }
                }
            }
        }
        files
    }

    fn backups(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.path("ptn/backups"))
            .map(|entries| {
                let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
                entries.flatten().map(name).collect()
            })
            .unwrap_or_default();
        names.sort();
        names
    }

    /// Nothing of a restore is left beside the tree.
    fn assert_swept(&self) {
        for directory in ["ptn", "ptn/validation"] {
            for entry in fs::read_dir(self.path(directory)).unwrap() {
                let name = entry.unwrap().file_name();
                let name = name.to_string_lossy();
                assert!(
                    !name.starts_with(".ostler-") || name == ".ostler-backups",
                    "{directory}/{name}"
                );
            }
        }
        assert!(!self.path("validator/exchange.json").exists());
    }

    fn is_new(&self) -> bool {
        let miners = self.path("ptn/validation/miners");
        let new = miners.join(MINER).is_dir();
        assert_ne!(new, miners.join(OTHER).is_dir(), "one state or the other");
        new
    }
}

fn position(hotkey: &str, uuid: &str) -> String {
    format!("ptn/validation/miners/{hotkey}/positions/BTCUSD/closed/{uuid}")
}

fn order(time: i64) -> String {
    format!(r#"{{"orders": [{{"order_uuid": "o", "processed_ms": {time}}}]}}"#)
}

fn why(record: &OperationRecord) -> Option<Reason> {
    record.failure.as_ref().map(|failure| failure.reason)
}

#[tokio::test]
async fn a_checkpoint_becomes_the_state_and_the_old_one_a_backup() {
    let ptn = Ptn::new().offer();
    let old = ptn.tree("ptn/validation");
    let inode = fs::metadata(ptn.path("ptn/validation")).unwrap().ino();
    let record = ptn.restore(json!({})).await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    let output = record.output.unwrap();

    // The checkpoint's files are the script's, byte for byte.
    let manifest = include_str!("../../../tests/data/checkpoint/tiny/expected.manifest");
    let mut new = ptn.tree("ptn/validation");
    assert_eq!(new.remove(Path::new("timestamp.json")), Some(b"1".to_vec()));
    let carried = new.remove(Path::new("outputs/deep/a"));
    assert_eq!(carried, Some(b"an output".to_vec()));
    for line in manifest.lines().filter(|line| line.starts_with('f')) {
        let fields: Vec<_> = line.split_whitespace().collect();
        let name = fields[4].strip_prefix("validation/").unwrap();
        let content = new.remove(Path::new(name)).expect(name);
        let sum = ring::digest::digest(&ring::digest::SHA256, &content);
        assert_eq!(
            crate::sha256::Sha256::of(&sum).to_string(),
            fields[3],
            "{line}"
        );
    }
    assert!(new.is_empty(), "{:?}", new.keys());
    assert_eq!(
        fs::read_dir(ptn.path("ptn/validation/tmp"))
            .unwrap()
            .count(),
        0
    );

    // The old tree is the very one, and whole.
    let backup = output["backup"]["path"].as_str().unwrap();
    assert_eq!(fs::metadata(backup).unwrap().ino(), inode);
    let name = ptn.backups().pop().unwrap();
    assert_eq!(ptn.tree(&format!("ptn/backups/{name}")), old);
    assert_eq!((name.len(), &name[8..9]), (15, "_"));
    assert_eq!(output["on_disk"]["lost_miners"], 1);
    assert_eq!(output["on_disk"]["added"], json!([MINER]));
    assert_eq!(output["on_disk"]["removed"], json!([OTHER]));
    assert_eq!(output["companions"][0]["file"], "departed_hotkeys.json");
    ptn.assert_swept();
    assert!(
        ptn.fake
            .with(|state| (state.running, state.stops, state.starts))
            == (true, 1, 1)
    );
}

#[tokio::test]
async fn a_dry_run_tells_what_would_change_and_touches_nothing() {
    let ptn = Ptn::new().offer();
    let before = ptn.tree("ptn");
    let asked = request("one", Operation::RestoreCheckpoint, json!({}));
    let record = ptn
        .ask(Request {
            dry_run: true,
            ..asked
        })
        .await;
    assert_eq!(
        (record.state, record.changed),
        (State::Succeeded, Some(false))
    );
    let output = record.output.unwrap();
    assert_eq!(output["summary"]["positions"], 2);
    assert_eq!(output["summary"]["files"], 8);
    assert_eq!(output["on_disk"]["removed"], json!([OTHER]));
    assert_eq!(ptn.tree("ptn"), before);
    assert_eq!(ptn.fake.with(|state| state.stops), 0);
}

#[tokio::test]
async fn a_checkpoint_older_than_the_disk_is_refused_unless_forced() {
    let ptn = Ptn::new().offer();
    ptn.put(&position(OTHER, "new"), &order(1_800_000_000_000));
    let before = ptn.tree("ptn");
    let record = ptn.restore(json!({})).await;
    assert_eq!(why(&record), Some(Reason::Unsound), "{record:?}");
    assert_eq!(record.output.unwrap()["on_disk"]["lost_positions"], 2);
    assert_eq!(ptn.tree("ptn"), before);
    let forced = request("two", Operation::RestoreCheckpoint, json!({"force": true}));
    assert_eq!(ptn.ask(forced).await.state, State::Succeeded);
    assert!(ptn.is_new());
}

#[tokio::test]
async fn what_cannot_be_restored_is_refused_and_the_validator_runs_on() {
    let ptn = Ptn::new();
    let missing = ptn.restore(json!({})).await;
    assert_eq!(why(&missing), Some(Reason::NotPossible));
    let message = missing.failure.unwrap().message;
    assert!(
        message.starts_with("No checkpoint file found at"),
        "{message}"
    );

    ptn.put("bad.json", r#"{"version": "7.1.1", "positions": {}}"#);
    let bad = json!({"source": ptn.path("bad.json")});
    let unsound = ptn
        .ask(request("two", Operation::RestoreCheckpoint, bad))
        .await;
    assert_eq!(why(&unsound), Some(Reason::Unsound));
    assert!(unsound.output.unwrap()["problems"]["total"].as_u64() > Some(3));

    let wrong = json!({"source": SMALL, "sha256": "00".repeat(32)});
    let other = ptn
        .ask(request("three", Operation::RestoreCheckpoint, wrong))
        .await;
    assert_eq!(why(&other), Some(Reason::DownloadFailed));

    ptn.put("ptn/meta/meta.json", r#"{"subnet_version": "9.9.9"}"#);
    let good = json!({"source": SMALL});
    let unknown = ptn
        .ask(request("four", Operation::RestoreCheckpoint, good))
        .await;
    assert_eq!(why(&unknown), Some(Reason::ConditionsNotMet), "{unknown:?}");
    assert_eq!(ptn.fake.with(|state| state.stops), 0);
    let named = json!({"source": SMALL, "layout": "7.1.1"});
    let named = ptn
        .ask(request("five", Operation::RestoreCheckpoint, named))
        .await;
    assert_eq!(named.state, State::Succeeded, "{named:?}");
    assert!(ptn.is_new());
}

#[tokio::test]
async fn one_that_crashes_on_the_new_state_gets_the_old_one_back() {
    let ptn = Ptn::new().offer();
    let before = ptn.tree("ptn/validation");
    // Restarted by its runtime again and again, once it has been started on the new state.
    let (fake, miner) = (
        ptn.fake.clone(),
        ptn.path("ptn/validation/miners").join(MINER),
    );
    let crashing = tokio::spawn(async move {
        loop {
            sleep(Duration::from_millis(300)).await;
            if miner.is_dir() {
                fake.with(|state| state.run += u32::from(state.running));
            }
        }
    });
    let record = ptn.restore(json!({})).await;
    crashing.abort();
    assert_eq!(why(&record), Some(Reason::NotReady), "{record:?}");
    assert!(
        record
            .failure
            .as_ref()
            .unwrap()
            .message
            .contains("the old state is back")
    );
    assert_eq!(ptn.tree("ptn/validation"), before);
    assert!(ptn.backups().is_empty() && !record.is_out_of_service());
    ptn.assert_swept();
    assert!(ptn.fake.with(|state| state.running));
}

#[tokio::test]
async fn a_restore_is_refused_while_somebody_else_is_at_it_or_the_code_is_updated() {
    let ptn = Ptn::new().offer();
    let directory = fs::File::open(ptn.path("ptn")).unwrap();
    let lock = nix::fcntl::Flock::lock(directory, nix::fcntl::FlockArg::LockExclusive).unwrap();
    let busy = ptn.restore(json!({})).await;
    assert_eq!(why(&busy), Some(Reason::Busy));
    drop(lock);
    let meta = ptn.path("ptn/meta/meta.json");
    ptn.fake.with(|state| {
        state.at_stop = Some(Box::new(move || {
            crate::durable::write(&meta, br#"{"subnet_version": "8.8.9"}"#, 0o644).unwrap();
        }));
    });
    let updated = ptn
        .ask(request("two", Operation::RestoreCheckpoint, json!({})))
        .await;
    assert_eq!(why(&updated), Some(Reason::NotPossible), "{updated:?}");
    assert!(!ptn.is_new() && ptn.fake.with(|state| state.running));
    ptn.assert_swept();
}

#[tokio::test]
async fn what_the_validator_writes_until_it_stops_is_not_lost() {
    let ptn = Ptn::new().offer();
    let state = ptn.path("ptn/validation");
    ptn.fake.with(|fake| {
        fake.at_stop = Some(Box::new(move || {
            crate::durable::write(&state.join("timestamp.json"), b"2", 0o644).unwrap();
            crate::durable::write(&state.join("outputs/last"), b"written last", 0o644).unwrap();
        }));
    });
    let record = ptn.restore(json!({})).await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    let new = ptn.tree("ptn/validation");
    assert_eq!(new[Path::new("timestamp.json")], b"2");
    assert_eq!(new[Path::new("outputs/last")], b"written last");
}

#[tokio::test]
async fn a_link_to_a_directory_stays_one() {
    let ptn = Ptn::new().offer();
    fs::create_dir(ptn.path("disk")).unwrap();
    fs::rename(ptn.path("ptn/validation"), ptn.path("disk/validation")).unwrap();
    std::os::unix::fs::symlink(ptn.path("disk/validation"), ptn.path("ptn/validation")).unwrap();
    let old = ptn.tree("disk/validation");
    let record = ptn.restore(json!({})).await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    assert!(ptn.path("ptn/validation").is_symlink() && ptn.is_new());
    let name = ptn.backups().pop().unwrap();
    assert_eq!(ptn.tree(&format!("ptn/backups/{name}")), old);
}

#[tokio::test]
async fn a_validator_without_any_state_gets_one_and_its_owner_s() {
    let ptn = Ptn::new().offer();
    fs::remove_dir_all(ptn.path("ptn/validation")).unwrap();
    let record = ptn.restore(json!({})).await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    assert!(ptn.backups().is_empty() && record.output.unwrap()["backup"].is_null());
    let owner = fs::metadata(ptn.path("ptn")).unwrap();
    for name in ["ptn/validation", "ptn/validation/eliminations.json"] {
        let found = fs::metadata(ptn.path(name)).unwrap();
        assert_eq!((found.uid(), found.gid()), (owner.uid(), owner.gid()));
    }
    ptn.assert_swept();
}
