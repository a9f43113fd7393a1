//! Snapshots and restores of the simulated miner's two databases, which tell when a single byte is wrong.

use serde_json::{Value, json};

use super::*;

/// A miner whose data is a directory of this host, and its device.
pub struct Device {
    pub miner: Miner,
    pub agent: Agent,
}

impl Device {
    pub fn start(container: &'static str) -> Self {
        Self::start_with(container, &[], MINER)
    }

    /// The same with more options, and from another image of the miner.
    pub fn start_with(container: &'static str, options: &[&str], image: &str) -> Self {
        Self::start_configured(container, options, image, "")
    }

    /// The same with more keys of `[workload.snapshot]`.
    fn start_configured(
        container: &'static str,
        options: &[&str],
        image: &str,
        keys: &str,
    ) -> Self {
        let socket = engine().socket();
        let agent = Agent::new("");
        let data = agent.path("data");
        std::fs::create_dir(&data).unwrap();
        agent.configure(&format!(
            "[[workload]]\nname = \"miner\"\nkind = \"helium\"\ndata-dir = {data:?}\nidentity-files = [\"miner/swarm_key\"]\n\
             ready-timeout = 20\ngrace = 5\nruntime = {{ docker = {{ container = \"{container}\", socket = {socket:?} }} }}\n\
             [workload.snapshot]\nreserve-mib = 1\nprogress-within = 60\n{keys}"
        ));
        let volume = format!("{}:/var/data", data.display());
        let run = [
            "--network",
            "none",
            "-v",
            &volume,
            "-e",
            "TESTNODE_RATE=200",
        ];
        engine().run_container(container, &[&run, options, &[image]].concat());
        let mut device = Self {
            miner: Miner(container),
            agent,
        };
        device.agent.start();
        device.agent.wait_until("it has tables", |agent| {
            let database = std::fs::read_dir(agent.path("data/blockchain.db"));
            database.is_ok_and(|mut entries| {
                entries.any(|entry| {
                    entry
                        .unwrap()
                        .path()
                        .extension()
                        .is_some_and(|end| end == "ldb")
                })
            })
        });
        device
    }

    /// Asks for an operation and waits for its end.
    pub fn ask(&self, operation: &str, id: &str, args: Value) -> Value {
        let body = json!({ "id": id, "args": args });
        let answer = self.agent.post(operation, &body);
        assert_eq!(answer["id"], id, "{answer}");
        self.agent.wait_for(id)
    }

    pub fn snapshot(&self, name: &str) -> Value {
        let record = self.ask("snapshot", &format!("take-{name}"), json!({ "name": name }));
        assert_eq!(
            record["state"],
            "succeeded",
            "{record}\n{}",
            self.agent.log()
        );
        record
    }

    /// Where the snapshots are.
    pub fn store(&self) -> std::path::PathBuf {
        self.agent.path(".ostler-store/data")
    }

    /// What the miner's own checker says of a copy of a data directory.
    pub fn verify(&self, data: &std::path::Path) -> Value {
        let volume = format!("{}:/copy", data.display());
        let run = [
            "run",
            "--rm",
            "--network",
            "none",
            "-v",
            &volume,
            "--entrypoint",
            "testnode",
            MINER,
        ];
        let output = engine().try_docker(&[&run[..], &["verify", "--data", "/copy"]].concat());
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub fn height(&self) -> u64 {
        let status = engine().docker(&["exec", self.miner.0, "testnode", "status"]);
        serde_json::from_str::<Value>(&status).unwrap()["height"]
            .as_u64()
            .unwrap()
    }
}

#[test]
fn a_snapshot_is_whole_and_a_restore_of_it_brings_the_miner_back_to_its_height() {
    let device = Device::start("restore");
    let record = device.snapshot("first");
    let output = &record["output"];
    assert_eq!(
        (&output["way"], &output["clean"]),
        (&json!("link"), &json!(true)),
        "{record}"
    );
    for part in ["stop_ms", "cut_ms", "start_ms", "first_progress_ms"] {
        assert!(output["timings"][part].is_u64(), "{part}: {record}");
    }
    let data = device.store().join("first/data");
    let checked = device.verify(&data);
    assert_eq!(checked["ok"], true, "{checked}");
    assert!(
        !data.join("miner/swarm_key").exists(),
        "keys are no part of a snapshot"
    );
    let height = checked["height"].as_u64().unwrap();
    assert!(height >= output["height"].as_u64().unwrap());

    device
        .agent
        .wait_until("it goes on", |_| device.height() > height + 2000);
    let key = std::fs::read(device.agent.path("data/miner/swarm_key")).unwrap();
    let record = device.ask("restore", "back", json!({}));
    assert_eq!(
        (&record["state"], &record["output"]["snapshot"]),
        (&json!("succeeded"), &json!("first")),
        "{record}"
    );
    assert!(device.miner.runs());
    assert!(
        device.height() < height + 2000,
        "it began again where the snapshot was"
    );
    assert_eq!(
        std::fs::read(device.agent.path("data/miner/swarm_key")).unwrap(),
        key
    );
    let left: Vec<_> = std::fs::read_dir(device.agent.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        !left
            .iter()
            .any(|name| name.to_string_lossy().contains("staged")),
        "{left:?}"
    );
    // The restored miner has written since; the snapshot has not changed.
    let verified = device.ask("verify", "again", json!({ "snapshot": "first" }));
    assert_eq!(verified["state"], "succeeded", "{verified}");
}

#[test]
fn a_damaged_snapshot_is_marked_bad_and_nothing_restores_it() {
    let device = Device::start("damaged");
    device.snapshot("good");
    device.snapshot("bad");
    let database = device.store().join("bad/data/blockchain.db");
    let log = std::fs::read_dir(&database)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "log"));
    let log = log.expect("a log");
    let length = log.metadata().unwrap().len();
    // Damage that the engine itself opens without a word: half of a log.
    std::fs::File::options()
        .write(true)
        .open(&log)
        .unwrap()
        .set_len(length / 2)
        .unwrap();
    let verified = device.ask("verify", "look", json!({ "snapshot": "bad" }));
    assert_eq!(verified["failure"]["reason"], "damaged", "{verified}");
    let refused = device.ask("restore", "no", json!({ "snapshot": "bad" }));
    assert_eq!(refused["failure"]["reason"], "damaged", "{refused}");
    let restored = device.ask("restore", "yes", json!({}));
    assert_eq!(
        (&restored["state"], &restored["output"]["snapshot"]),
        (&json!("succeeded"), &json!("good")),
        "{restored}"
    );
    assert!(device.miner.runs());
}

#[test]
fn a_restore_that_the_miner_does_not_come_up_on_is_taken_back() {
    let device = Device::start("taken-back");
    // With this setting the miner ends at each start; a hot cut takes it along without one.
    engine().docker(&[
        "exec",
        device.miner.0,
        "testnode",
        "set",
        "--data",
        "/var/data",
        "crash-at-start",
        "7",
    ]);
    let hot = json!({ "name": "poisoned", "way": "hot" });
    let taken = device.ask("snapshot", "hot", hot);
    assert_eq!(
        (&taken["state"], &taken["output"]["clean"]),
        (&json!("succeeded"), &json!(false)),
        "{taken}"
    );
    std::fs::remove_file(device.agent.path("data/testnode.conf")).unwrap();
    let before = device.height();

    let record = device.ask("restore", "poisoned", json!({}));
    assert_eq!(record["state"], "failed", "{record}");
    assert!(
        record["failure"]["message"]
            .as_str()
            .unwrap()
            .contains("the old data is back"),
        "{record}"
    );
    assert!(device.miner.runs());
    assert!(device.height() >= before, "on the old data");
}

#[test]
fn a_miner_that_must_be_killed_is_not_snapshotted_and_runs_again() {
    let device = Device::start("stubborn");
    engine().docker(&[
        "exec",
        device.miner.0,
        "testnode",
        "set",
        "ignore-term",
        "true",
    ]);
    let record = device.ask("snapshot", "killed", json!({}));
    assert_eq!(record["failure"]["reason"], "unclean-stop", "{record}");
    assert!(device.miner.runs());
    let left = std::fs::read_dir(device.store()).unwrap().count();
    assert_eq!(left, 1, "only its lock");
}

/// What the kernel says of the threads of a process: how many there are, and how many of them are in the idle I/O class.
fn idle_threads(pid: u32) -> (usize, usize) {
    let threads: Vec<_> = std::fs::read_dir(format!("/proc/{pid}/task"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    let idle = threads.iter().filter(|thread| {
        let asked = std::process::Command::new("ionice")
            .arg("-p")
            .arg(thread)
            .output()
            .unwrap();
        // One that ended meanwhile says nothing.
        String::from_utf8_lossy(&asked.stdout).trim() == "idle"
    });
    (threads.len(), idle.count())
}

#[test]
fn one_thread_is_in_the_idle_class_while_it_seals_and_none_afterwards() {
    // What is read at one MiB a second can be looked at.
    let device = Device::start_configured("idle-class", &[], MINER, "rate-mib = 1\n");
    let mut junk = std::fs::File::create(device.agent.path("data/junk")).unwrap();
    let mut random = std::io::Read::take(std::fs::File::open("/dev/urandom").unwrap(), 6 << 20);
    std::io::copy(&mut random, &mut junk).unwrap();
    drop(junk);

    let pid = device.agent.pid();
    assert_eq!(idle_threads(pid).1, 0);
    let asked = json!({ "id": "slow", "args": { "name": "slow" } });
    let answer = device.agent.post("snapshot", &asked);
    assert_eq!(answer["id"], "slow", "{answer}");
    let state_of = |record: &Value, step: &str| {
        let mut steps = record["steps"].as_array().into_iter().flatten();
        let found = steps.find(|found| found["name"] == step);
        found.map(|found| found["state"].clone())
    };
    let mut during = (0, 0);
    device.agent.wait_until("it seals, set aside", |agent| {
        let record = agent.journalled("slow").unwrap();
        during = idle_threads(pid);
        let sealing = state_of(&record, "seal").is_some();
        assert!(record["ended_at"].is_null(), "{record}");
        sealing && during.1 > 0
    });
    assert_eq!(during.1, 1, "{during:?}: all others go on as ever");
    let record = device.agent.wait_for("slow");
    assert_eq!(record["state"], "succeeded", "{record}");
    let after = idle_threads(pid);
    assert!(after.0 > 1, "{after:?}: the thread is still there");
    assert_eq!(after.1, 0, "{after:?}");
}
