//! What went wrong with Harmony's own `snapshot.py` when it was tried with faults, one test for each: exit statuses that
//! were lost, nodes that stayed stopped, alarms that nobody heard, secrets in logs. None of it can happen here.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "../lab/agent.rs"]
mod agent;
#[path = "../lab/chain.rs"]
mod chain;
#[path = "../lab/inn.rs"]
mod inn;
#[path = "../harmony/node.rs"]
#[allow(dead_code, reason = "each suite uses its own part of it")]
mod node;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use ostler::clock::ClockSync;
use ostler::data::Bucket;
use ostler::data::bucket::Layout;
use ostler::protocol::{OperationId, State};
use ostler::workload::harmony::{Conditions, Harmony, Network, Role};
use ostler::workload::{Inside, Kind, Said, Unanswered};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use chain::Engine;
use inn::{Agent, DEADLINE};
use node::{Answer, Node, header, now};

fn fill(data: &Path) {
    Engine::LevelDb.fill(data, 50, &[]);
}

fn ostler(agent: &Agent, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ostler"));
    command
        .args(arguments)
        .arg("--socket")
        .arg(&agent.socket)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn run(mut command: Command) -> (i32, Value, String) {
    let ended: Output = timeout(DEADLINE, command.output()).await.unwrap().unwrap();
    let json = serde_json::from_slice(&ended.stdout).unwrap_or(Value::Null);
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    (ended.status.code().unwrap_or(-1), json, told)
}

/// A bucket that rclone cannot write to: there is a file where a directory has to be made.
fn bucket_on_a_file(root: &Path) -> Bucket {
    File::create(root.join("file")).unwrap();
    Bucket {
        remote: root.join("file/bucket").display().to_string(),
        config_file: None,
        layout: Layout::Objects,
        rate: 0,
        patience: DEADLINE,
        keep_last: 3,
        grace: Duration::from_secs(3600),
        program: "rclone".into(),
    }
}

/// There: `rclone … | tee log` hid the status, and "finished successfully" was said of a node without a copy.
#[tokio::test]
async fn f1_an_rclone_that_fails_is_never_a_success() {
    let root = tempfile::tempdir().unwrap();
    let bucket = bucket_on_a_file(root.path());
    let agent = Agent::start_with_snapshots(fill, |plan| plan.bucket = Some(bucket)).await;
    let ask = ["snapshot", "miner", "--name", "one", "--upload", "--json"];
    let (status, record, told) = run(ostler(&agent, &ask)).await;
    assert_eq!(status, 1, "{told}");
    assert_eq!(record["failure"]["reason"], "bucket-failed", "{record}");
    let message = record["failure"]["message"].as_str().unwrap();
    assert!(
        message.contains("good here, but its upload failed"),
        "{message}"
    );
    // What is good is known to be good, and the node was not kept waiting for it.
    let (status, ..) = run(ostler(&agent, &["verify", "miner", "one"])).await;
    assert_eq!((status, agent.animal.running()), (0, true));
}

/// There: one node that did not come back ended the program, and another one, in the middle of its copy, stayed stopped.
#[tokio::test]
async fn f2_a_node_that_does_not_come_back_keeps_no_other_one_stopped() {
    let (lost, other) = tokio::join!(Agent::start_with_data(fill), Agent::start_with_data(fill));
    lost.animal.refuse_starts();
    other.animal.hold_stops();
    let copying = tokio::spawn(run(ostler(&other, &["snapshot", "miner", "--json"])));
    let (status, ..) = run(ostler(&lost, &["snapshot", "miner"])).await;
    assert_eq!(status, 8);
    other.animal.let_stop.notify_one();
    let (status, record, told) = copying.await.unwrap();
    assert_eq!(
        (status, &record["state"]),
        (0, &json!("succeeded")),
        "{told}"
    );
    assert!(other.animal.running());
}

/// There: the operator's program was killed during the copy; the node stayed stopped, with the bucket's credentials on it.
#[tokio::test]
async fn f3_an_operator_who_is_killed_leaves_no_node_stopped_and_nothing_behind() {
    let agent = Agent::start_with_data(fill).await;
    agent.animal.hold_stops();
    let ask = ["snapshot", "miner", "--name", "one", "--id", "struck"];
    let mut operator = ostler(&agent, &ask).spawn().unwrap();
    agent.until("struck", State::Running).await;
    operator.kill().await.unwrap();
    agent.animal.let_stop.notify_one();
    agent.until("struck", State::Succeeded).await;
    assert!(agent.animal.running());
    // The original copied its credentials to each node. Here they stay where they are, and nothing else is left either.
    let store = agent.data().with_file_name(".ostler-store").join("data");
    let mut left: Vec<_> = std::fs::read_dir(store)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["lock", "one"]);
}

/// There: a host that could not be reached made the clean-up fail, and with it the alarm.
#[tokio::test]
async fn f4_a_failure_is_told_although_the_connection_breaks_in_the_middle() {
    let mut agent = Agent::start_with_data(fill).await;
    agent.animal.hold_stops();
    agent.animal.kill_at_stop();
    let ask = ["snapshot", "miner", "--id", "struck", "--json"];
    let asked = tokio::spawn(run(ostler(&agent, &ask)));
    agent.until("struck", State::Running).await;
    agent.stop_serving().await;
    agent.animal.let_stop.notify_one();
    agent.until("struck", State::Failed).await;
    assert!(agent.animal.running());
    agent.serve_again().await;
    // Whoever waits for it hears it when the connection is back. Asked again, the same command is not run again.
    for (status, record, told) in [asked.await.unwrap(), run(ostler(&agent, &ask)).await] {
        assert_eq!(status, 1, "{told}");
        assert_eq!(record["failure"]["reason"], "unclean-stop", "{record}");
    }
    assert_eq!(agent.animal.runs(), 2);
}

/// A Harmony node has no inside that is asked.
struct Nowhere;

#[async_trait::async_trait]
impl Inside for Nowhere {
    async fn ask(&self, command: &[&str], _deadline: Duration) -> Result<Said, Unanswered> {
        panic!("it is not to be asked for {command:?}");
    }
}

/// What a snapshot of a node with a head of this age, in seconds, is told.
async fn with_a_head_of(age: i64) -> Vec<String> {
    let node = Node::of_today().await;
    node.answer("hmyv2_latestHeader", Answer::Result(header(7, now() - age)));
    let expected = Conditions {
        role: Some(Role::Validator),
        network: Some(Network::Mainnet),
        shard: Some(0),
        is_leader: false,
        is_archival: Some(false),
        max_seconds_since_last_block: 150,
        public_address: None,
    };
    let clock = ClockSync::default();
    clock.set(true);
    let harmony = Harmony::new(node.address, expected, clock);
    harmony.conditions(&Nowhere).await
}

/// There: the days of the age were dropped, and a node that had stood still for one passed.
#[tokio::test]
async fn f5_a_head_that_is_a_day_and_seconds_old_is_old() {
    let problems = with_a_head_of(86_400 + 20).await;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].starts_with("its last block is 864"),
        "{problems:?}"
    );
}

/// There: `force` without the beacon chain's machine ended in an `IndexError`.
#[tokio::test]
async fn f6_force_on_a_node_that_is_alone_is_no_error() {
    let agent = Agent::start_with_data(fill).await;
    let ask = ["snapshot", "miner", "--name", "one", "--force", "--json"];
    let (status, record, told) = run(ostler(&agent, &ask)).await;
    assert_eq!(status, 0, "{told}");
    let check = &record["steps"][0];
    assert_eq!(
        (&check["name"], &check["detail"]),
        (&json!("check"), &json!("passed over: force")),
        "{record}"
    );
}

/// There: the connection broke after the stop. A `pgrep` that could not be run counted as "stopped", the start failed, and
/// the node stayed as it was.
#[tokio::test]
async fn f7_a_runtime_that_goes_away_after_the_stop_is_waited_for_and_counts_for_nothing() {
    let agent = Agent::start_with_data(fill).await;
    agent.animal.hold_stops();
    let ask = [
        "snapshot", "miner", "--name", "one", "--id", "struck", "--json",
    ];
    let asked = tokio::spawn(run(ostler(&agent, &ask)));
    agent.until("struck", State::Running).await;
    let id = OperationId::new("struck").unwrap();
    let stops = || {
        let record = agent.engine.record(&id);
        record.is_some_and(|record| record.steps.iter().any(|step| step.name == "stop"))
    };
    // It asks whether the node runs right before.
    let begun = std::time::Instant::now();
    while !stops() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "it does not stop"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    agent.animal.set_away(true);
    agent.animal.let_stop.notify_one();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(
        !asked.is_finished(),
        "it is not given up while the node is stopped"
    );
    agent.animal.set_away(false);
    let (status, record, told) = asked.await.unwrap();
    assert!(agent.animal.running(), "{record}");
    // Nobody knows how the node ended, so there is no snapshot, and the node is in service.
    assert_eq!((status, &record["state"]), (1, &json!("failed")), "{told}");
    assert!(
        !agent
            .data()
            .with_file_name(".ostler-store")
            .join("data/one")
            .exists()
    );
}

/// There: the passphrase of the operator's key was in the log, with the whole configuration.
#[test]
fn f8_no_secret_is_in_the_log_nor_in_a_record() {
    const SECRET: &str = "hush-7f3a9c";
    let mut agent = agent::Agent::new("");
    let data = agent.path("data");
    std::fs::create_dir(&data).unwrap();
    fill(&data);
    let secret = |name: &str, text: &str| {
        let path = agent.path(name);
        let mut file = File::create(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        file.set_permissions(mode).unwrap();
        path
    };
    let password = secret("password", SECRET);
    // A real S3 remote, at a port where nobody listens.
    let rclone = secret(
        "rclone.conf",
        &format!(
            "[far]\ntype = s3\nprovider = Other\naccess_key_id = me\nsecret_access_key = {SECRET}\n\
             endpoint = http://me:{SECRET}@127.0.0.1:9\n"
        ),
    );
    agent.configure(&format!(
        "[mqtt]\nurl = \"mqtt://127.0.0.1:9\"\nusername = \"me\"\npassword-file = {password:?}\n\
         [[workload]]\nname = \"node\"\ndata-dir = {data:?}\n\
         runtime = {{ docker = {{ container = \"node\", socket = \"/nowhere/docker.sock\" }} }}\n\
         [workload.bucket]\nremote = \"far:bucket\"\nconfig-file = {rclone:?}\npatience = 10\n"
    ));
    let taken = std::process::Command::new(env!("CARGO_BIN_EXE_ostler"))
        .args(["store", "take", "--name", "one"])
        .arg(&data)
        .arg(ostler::data::Store::beside(&data).unwrap())
        .output()
        .unwrap();
    assert!(taken.status.success(), "{taken:?}");
    agent.start_with(&[("OSTLER_LOG", "trace"), ("RUST_LOG", "trace")]);
    let uploaded = agent.cli(&["upload", "node", "one", "--id", "far", "--json"]);
    assert_eq!(uploaded.status.code(), Some(1), "{uploaded:?}");
    let record = agent.journalled("far").unwrap();
    assert_eq!(record["failure"]["reason"], "bucket-failed", "{record}");
    let shown = agent.cli(&["config", "show"]);
    let told = [uploaded, shown].map(|output| format!("{output:?}"));
    for said in [&agent.log(), &record.to_string(), &told[0], &told[1]] {
        assert!(!said.is_empty() && !said.contains(SECRET), "{said}");
    }
}

/// There: a head five seconds ahead of the operator's clock was 86395 seconds old.
#[tokio::test]
async fn f9_a_head_a_little_in_the_future_is_a_good_one() {
    assert_eq!(with_a_head_of(-5).await, [""; 0]);
    // What no skew explains is told as what it is.
    let problems = with_a_head_of(-3600).await;
    assert_eq!(problems.len(), 1, "{problems:?}");
}
