//! The process as a test meets it: started, asked, stopped, killed.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are tests, which clippy does not see"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

const TESTNODE: &str = env!("CARGO_BIN_EXE_testnode");

/// How long anything may take before a test gives up.
const DEADLINE: Duration = Duration::from_secs(30);

/// A miner with directories of its own; killed when it is dropped.
struct Miner {
    home: TempDir,
    process: Option<Child>,
}

impl Miner {
    fn new() -> Self {
        let home = TempDir::new().unwrap();
        symlink(TESTNODE, home.path().join("miner")).unwrap();
        Self {
            home,
            process: None,
        }
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env("TESTNODE_DATA", self.data())
            .env("TESTNODE_RUN", self.home.path().join("run"));
        command
    }

    fn start(&mut self, settings: &[(&str, &str)]) {
        let mut command = self.command(Path::new(TESTNODE));
        command.arg("run").envs(settings.iter().copied());
        self.process = Some(command.stdout(Stdio::null()).spawn().unwrap());
    }

    /// Starts, and waits until it has made a few blocks.
    fn start_and_wait(&mut self, settings: &[(&str, &str)]) -> u64 {
        let before = self.verify(&[])["height"].as_u64().unwrap();
        self.start(settings);
        self.wait_for(|status| status["height"].as_u64() > Some(before + 5))
    }

    /// Waits until the status is as it should be; returns its height.
    fn wait_for(&self, condition: impl Fn(&Value) -> bool) -> u64 {
        let begin = Instant::now();
        while begin.elapsed() < DEADLINE {
            let output = self.testnode(&["status"]);
            if output.status.success() {
                let status: Value = serde_json::from_slice(&output.stdout).unwrap();
                if condition(&status) {
                    return status["height"].as_u64().unwrap();
                }
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the miner did not get there in {DEADLINE:?}");
    }

    fn testnode(&self, words: &[&str]) -> Output {
        let mut command = self.command(Path::new(TESTNODE));
        command.args(words).output().unwrap()
    }

    fn set(&self, key: &str, value: &str) {
        assert!(self.testnode(&["set", key, value]).status.success());
    }

    /// What a command of the miner prints, and its exit status.
    fn miner(&self, words: &str) -> (String, i32) {
        let mut command = self.command(&self.home.path().join("miner"));
        let output = command.args(words.split(' ')).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (text, output.status.code().unwrap())
    }

    fn verify(&self, options: &[&str]) -> Value {
        let data = self.data();
        let words = [&["verify", "--data", data.to_str().unwrap()], options].concat();
        serde_json::from_slice(&self.testnode(&words).stdout).unwrap()
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().unwrap();
        kill(Pid::from_raw(process.id().cast_signed()), signal).unwrap();
    }

    /// The exit status; `None` for a process that a signal ended.
    fn end(&mut self) -> Option<i32> {
        let mut process = self.process.take().unwrap();
        let begin = Instant::now();
        loop {
            if let Some(status) = process.try_wait().unwrap() {
                return status.code();
            }
            if begin.elapsed() > DEADLINE {
                process.kill().unwrap();
                process.wait().unwrap();
                panic!("the process did not end in {DEADLINE:?}");
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks in the background; the answer is there when the child has ended.
    fn ask(&self, words: &str) -> Child {
        let mut command = self.command(&self.home.path().join("miner"));
        let command = command.args(words.split(' ')).stdout(Stdio::piped());
        command.spawn().unwrap()
    }
}

impl Drop for Miner {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

const FAST: (&str, &str) = ("TESTNODE_RATE", "200");

#[test]
fn sigterm_ends_it_well() {
    let mut miner = Miner::new();
    let height = miner.start_and_wait(&[FAST]);
    miner.signal(Signal::SIGTERM);
    assert_eq!(miner.end(), Some(0));
    let verdict = miner.verify(&["--clean-stop", "--height", &height.to_string()]);
    assert_eq!(verdict["error"], Value::Null);
}

#[test]
fn what_sigkill_leaves_is_whole_and_goes_on() {
    let mut miner = Miner::new();
    for round in 1..=3 {
        let height = miner.start_and_wait(&[FAST]);
        miner.signal(Signal::SIGKILL);
        assert_eq!(miner.end(), None);
        let verdict = miner.verify(&["--height", &height.to_string()]);
        assert_eq!(verdict["error"], Value::Null);
        assert_eq!(verdict["clean_stop"], false);
        let starts = fs::read_to_string(miner.data().join("log/starts")).unwrap();
        assert_eq!(starts.lines().count(), round);
    }
}

#[test]
fn a_miner_without_blocks_answers_as_a_device_did() {
    let mut miner = Miner::new();
    miner.start(&[("TESTNODE_RATE", "0")]);
    miner.wait_for(|_| true);
    assert_eq!(miner.miner("info height"), ("1\t\t1\n".to_owned(), 0));
    assert_eq!(miner.miner("info region"), ("us915\n".to_owned(), 0));
    let expected = "\
+---------+-------+
|  name   |result |
+---------+-------+
|connected|  no   |
|dialable |  no   |
|nat_type |unknown|
| height  |   1   |
+---------+-------+

";
    assert_eq!(miner.miner("info p2p_status"), (expected.to_owned(), 0));
    let (book, _) = miner.miner("peer book -s");
    let (header, sessions) = (
        "|listen_add|connectio| nat  |last_updat|",
        "|    0     |    3    |unknow|",
    );
    assert!(book.contains(header) && book.contains(sessions), "{book}");
    assert!(!book.contains("prioritized"), "{book}");
}

#[test]
fn a_miner_at_work_says_where_it_listens() {
    let mut miner = Miner::new();
    miner.start_and_wait(&[FAST]);
    let (book, _) = miner.miner("peer book -s");
    assert!(book.contains("|/ip4/203.0.113.57/tcp/44158|"), "{book}");
    miner.set("relayed", "true");
    miner.set("wide", "true");
    let (book, _) = miner.miner("peer book -s");
    assert!(
        book.contains("/p2p-circuit/p2p/") && book.contains("|symmetric|"),
        "{book}"
    );
    let (keys, _) = miner.miner("print_keys");
    let key = keys.split('"').nth(1).unwrap();
    assert!(book.contains(&format!("|/p2p/{key}|")), "{book}");
    miner.set("region", "");
    assert_eq!(miner.miner("info region"), ("undefined\n".to_owned(), 1));
    miner.set("sync-height", "1000000");
    assert!(miner.miner("info height").0.ends_with("\t\t1000000*\n"));
}

#[test]
fn a_node_that_is_down_says_so_and_still_knows_its_keys() {
    let mut miner = Miner::new();
    let down = (
        "Node 'miner@127.0.0.1' not responding to pings.\n".to_owned(),
        1,
    );
    assert_eq!(miner.miner("info height"), down, "no process");
    miner.start_and_wait(&[FAST]);
    miner.set("state", "down");
    assert_eq!(miner.miner("info height"), down);
    assert_eq!(miner.miner("print_keys").1, 0);
    miner.set("state", "erroring");
    let (text, status) = miner.miner("info height");
    assert_eq!((text.lines().count(), status), (14, 1));
    assert!(
        text.starts_with("RPC to 'miner@127.0.0.1' failed: {'EXIT',\n"),
        "{text}"
    );
    assert_eq!(miner.miner("info p2p_status"), down);
    let (text, status) = miner.miner("info region");
    let usage = "Error: Usage information not found for the given command\n\n\n";
    assert_eq!((text.as_str(), status), (usage, 1));
}

#[test]
fn nobody_is_answered_while_it_hangs_or_loads() {
    let mut miner = Miner::new();
    miner.start_and_wait(&[FAST]);
    for state in ["hung", "loading"] {
        miner.set("state", state);
        let height = miner.wait_for(|_| true);
        let mut asked = miner.ask("info height");
        for _ in 0..20 {
            assert_eq!(miner.miner("print_keys").1, 0);
            assert!(asked.try_wait().unwrap().is_none(), "{state}: answered");
        }
        assert_eq!(miner.wait_for(|_| true), height, "{state}: no blocks");
        miner.set("state", "normal");
        let answer = asked.wait_with_output().unwrap();
        assert!(answer.status.success());
        assert!(!answer.stdout.is_empty());
    }
}

#[test]
fn it_catches_up_while_it_syncs() {
    let mut miner = Miner::new();
    let settings = [
        ("TESTNODE_GAP", "40"),
        ("TESTNODE_SYNC_RATE", "100"),
        ("TESTNODE_RATE", "0"),
    ];
    miner.start(&settings);
    let height = miner.wait_for(|status| status["settings"]["state"] == "normal");
    assert_eq!(height, 41);
}

#[test]
fn sync_stands_still_while_it_is_paused() {
    let mut miner = Miner::new();
    miner.start_and_wait(&[FAST]);
    let ok = ("ok\n".to_owned(), 0);
    assert_eq!(
        miner.miner("repair sync_state"),
        ("sync active\n".to_owned(), 0)
    );
    assert_eq!(miner.miner("repair sync_pause"), ok);
    assert_eq!(miner.miner("repair sync_cancel"), ok);
    assert_eq!(
        miner.miner("repair sync_state"),
        ("sync paused\n".to_owned(), 0)
    );
    // A block that was due at that moment may still come.
    miner.miner("ping");
    let height = miner.wait_for(|_| true);
    miner.miner("ping");
    assert_eq!(miner.wait_for(|_| true), height);
    assert_eq!(miner.miner("repair sync_resume"), ok);
    miner.wait_for(|status| status["height"].as_u64() > Some(height));
}

#[test]
fn a_snapshot_is_loaded_while_it_runs() {
    let mut miner = Miner::new();
    miner.start_and_wait(&[FAST]);
    let file = miner.data().join("snap/snap-5000");
    let file = file.to_str().unwrap();
    assert!(
        miner
            .testnode(&["mint", "--height", "5000", file])
            .status
            .success()
    );
    assert!(
        miner
            .miner("snapshot list")
            .0
            .starts_with("Height 5000\nHash <<")
    );
    assert!(
        miner
            .miner(&format!("snapshot info {file}"))
            .0
            .contains("StartBlockHt 4901\n")
    );
    assert_eq!(
        miner.miner(&format!("snapshot load {file}")),
        ("ok\n".to_owned(), 0)
    );
    let height = miner.wait_for(|_| true);
    assert!((5000..5500).contains(&height), "{height}");

    let own = miner.home.path().join("own");
    let take = miner.miner(&format!("snapshot take {}", own.display()));
    assert_eq!(take, ("ok\n".to_owned(), 0));
    fs::write(&own, &fs::read(&own).unwrap()[1..]).unwrap();
    let (text, status) = miner.miner(&format!("snapshot load {}", own.display()));
    assert!(text.starts_with("{error,") && status == 0, "{text}");

    miner.signal(Signal::SIGKILL);
    miner.end();
    assert_eq!(miner.verify(&["--height", "5000"])["error"], Value::Null);
}

#[test]
fn a_new_miner_loads_the_blessed_snapshot() {
    let mut miner = Miner::new();
    let settings = [("TESTNODE_BLESSED", "3000"), ("TESTNODE_LOAD_TIME", "0.3")];
    miner.start(&settings);
    let (text, _) = {
        miner.wait_for(|status| status["loading"] == true);
        miner.miner("info height")
    };
    let height: u64 = text.split_whitespace().last().unwrap().parse().unwrap();
    assert!(height >= 3000, "answered only when it was loaded: {text}");
    miner.signal(Signal::SIGTERM);
    assert_eq!(miner.end(), Some(0));
    miner.start(&settings);
    let again = miner.wait_for(|_| true);
    assert!(again >= height, "loaded once only");
}

#[test]
fn it_can_refuse_to_end_and_can_crash() {
    let mut miner = Miner::new();
    miner.start_and_wait(&[FAST, ("TESTNODE_IGNORE_TERM", "true")]);
    miner.signal(Signal::SIGTERM);
    let height = miner.wait_for(|_| true);
    miner.wait_for(|status| status["height"].as_u64() > Some(height + 20));
    assert!(miner.testnode(&["crash", "7"]).status.success());
    assert_eq!(miner.end(), Some(7));
    assert_eq!(miner.verify(&[])["ok"], true);

    let data = miner.data();
    let words = [
        "set",
        "--data",
        data.to_str().unwrap(),
        "crash-at-start",
        "9",
    ];
    assert!(miner.testnode(&words).status.success());
    miner.start(&[]);
    assert_eq!(miner.end(), Some(9));
    let starts = fs::read_to_string(data.join("log/starts")).unwrap();
    assert_eq!(starts.lines().count(), 2);
}

#[test]
fn a_damaged_chain_is_not_opened() {
    let mut miner = Miner::new();
    miner.start_and_wait(&[FAST]);
    miner.signal(Signal::SIGTERM);
    miner.end();
    fs::remove_dir_all(miner.data().join("ledger.db")).unwrap();
    miner.start(&[]);
    assert_eq!(miner.end(), Some(1));
    assert!(miner.data().join("blockchain-open-failed").exists());
}
