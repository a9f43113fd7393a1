//! The agent is killed at every step of what has a miner begin again: it runs on whole data, and the record has ended.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::fastsync::{mint, sync_state};
use super::registry::Registry;
use super::snapshots::Device;
use super::{MINER, engine};

/// How long a step may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_resync_survives_a_kill_at_every_step() {
    let mut device = Device::start("killed-resync");
    device.snapshot("first");
    let steps = [
        "verify", "stage", "arm", "stop", "carry", "exchange", "start", "confirm", "discard",
    ];
    strike(&mut device, "resync", |_| json!({}), &steps, |_| {});
    let steps = ["stage", "carry", "exchange", "confirm"];
    let scratch = |_: &Device| json!({"from": "scratch"});
    strike(&mut device, "resync", scratch, &steps, |_| {});
}

#[test]
fn a_reset_survives_a_kill_at_every_step() {
    let registry = Registry::start();
    registry.push(engine(), MINER, "miner:GA");
    let options = ["--restart", "always"];
    let mut device = Device::start_with("killed-reset", &options, &registry.image("miner:GA"));
    let steps = [
        "check", "pull", "create", "stage", "arm", "stop", "carry", "exchange", "swap", "start",
        "confirm", "tidy", "discard",
    ];
    strike(
        &mut device,
        "reset",
        |_| json!({}),
        &steps,
        |device| {
            let format = "{{.Names}} {{.State}}";
            let name = device.miner.0;
            let listed = [
                "ps",
                "-a",
                "--filter",
                &format!("name={name}"),
                "--format",
                format,
            ];
            assert_eq!(engine().docker(&listed), format!("{name} running"));
            let policy = "{{.HostConfig.RestartPolicy.Name}}";
            assert_eq!(engine().docker(&["inspect", "-f", policy, name]), "always");
        },
    );
}

#[test]
fn a_reset_that_is_taken_back_survives_a_kill_halfway() {
    let registry = Registry::start();
    let container = engine().docker(&["create", "--network", "none", MINER]);
    let crashing = [
        "commit",
        "--change",
        "ENV TESTNODE_CRASH_AT_START=7",
        &container,
    ];
    let crashing = engine().docker(&crashing);
    engine().docker(&["rm", &container]);
    registry.push(engine(), &crashing, "miner:GA");
    engine().docker(&["tag", MINER, &registry.image("miner:GA")]);
    let options = ["--restart", "always"];
    let mut device = Device::start_with("killed-back", &options, &registry.image("miner:GA"));
    let name = device.miner.0;
    let (new, old) = (format!("{name}.ostler-new"), format!("{name}.ostler-old"));
    let inspect = |format: &str| engine().docker(&["inspect", "-f", format, name]);
    let before = inspect("{{.Id}}");
    for (number, state) in ["started", "done"].into_iter().enumerate() {
        let id = format!("back-{number}");
        device.agent.post("reset", &json!({"id": id, "args": {}}));
        until(&device, &id, "swap back", state);
        device.agent.kill();
        // However far it came: it is between its two renamings.
        let exists = |name: &str| engine().try_docker(&["inspect", name]).status.success();
        match (exists(&old), exists(&new)) {
            (true, false) => engine().docker(&["rename", name, &new]),
            (false, true) => engine().docker(&["rename", name, &old]),
            both => {
                assert_eq!(both, (true, true), "{}", device.agent.log());
                String::new()
            }
        };
        // As the engine does at its start, where this one has its policy again.
        engine().docker(&["start", &old]);
        device.agent.start();
        let record = device.agent.wait_for(&id);
        assert_eq!(record["failure"]["reason"], "interrupted", "{record}");
        assert!(device.miner.runs(), "{record}");
        assert_eq!(inspect("{{.Id}}"), before, "{record}");
        assert_eq!(inspect("{{.HostConfig.RestartPolicy.Name}}"), "always");
        assert!(!exists(&old) && !exists(&new), "{record}");
        assert!(!device.store().join("exchange.json").exists(), "{record}");
    }
}

#[test]
fn a_fast_sync_survives_a_kill_at_every_step() {
    let mut device = Device::start_with("killed-fastsync", &["-e", "TESTNODE_LOAD_TIME=1"], MINER);
    let newer = |device: &Device| json!({"file": mint(device, device.height() + 5000)});
    let steps = ["check", "examine", "pause", "load", "resume", "confirm"];
    strike(&mut device, "fastsync", newer, &steps, |device| {
        assert_eq!(sync_state(device), "sync active");
    });
}

/// Asks for the operation once for each step, and kills the agent as soon as the journal says that it has begun, and
/// once more as soon as it says that it is done.
fn strike(
    device: &mut Device,
    operation: &str,
    args: impl Fn(&Device) -> Value,
    steps: &[&str],
    also: impl Fn(&Device),
) {
    let identity = std::fs::read(device.agent.path("data/miner/swarm_key")).unwrap();
    let (mut finished, mut undone) = (0, 0);
    for (number, (step, state)) in steps
        .iter()
        .flat_map(|step| [(step, "started"), (step, "done")])
        .enumerate()
    {
        let args = args(device);
        let id = format!("{operation}-{}-{number}", steps.len());
        let command = json!({"id": id, "args": args});
        assert_eq!(device.agent.post(operation, &command)["id"], id.as_str());
        until(device, &id, step, state);
        device.agent.kill();
        device.agent.start();
        let record = device.agent.wait_for(&id);
        let said = format!("{step} {state}: {record}");
        match record["state"].as_str().unwrap() {
            "succeeded" => finished += 1,
            "failed" => {
                assert_eq!(record["failure"]["reason"], "interrupted", "{said}");
                undone += 1;
            }
            other => panic!("{other}: {said}"),
        }
        device
            .agent
            .wait_until("the miner runs", |_| device.miner.runs());
        let now = std::fs::read(device.agent.path("data/miner/swarm_key")).unwrap();
        assert_eq!(now, identity, "{said}");
        let left = std::fs::read_dir(device.agent.path(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let left: Vec<_> = left
            .filter(|name| {
                name.ends_with(".discard") || device.store().join("exchange.json").exists()
            })
            .collect();
        assert!(left.is_empty(), "{left:?}: {said}");
        also(device);
    }
    assert!(
        finished > 0 && undone > 0,
        "both sides of the commit: {finished} finished, {undone} undone"
    );
    // The data that the miner runs on now, to its last byte.
    let name = format!("after-{operation}-{}", steps.len());
    device.snapshot(&name);
    let verdict = device.verify(&device.store().join(&name).join("data"));
    assert_eq!(verdict["ok"], true, "{verdict}");
}

/// Waits until a step is so, or the operation has come further.
fn until(device: &Device, id: &str, step: &str, state: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let record = device.agent.journalled(id).unwrap_or_default();
        let steps = record["steps"].as_array().cloned().unwrap_or_default();
        let is = |wanted: &Value| {
            wanted["name"] == step && (wanted["state"] == state || wanted["state"] == "done")
        };
        if steps.iter().any(is) {
            return;
        }
        assert!(
            !record["ended_at"].is_string() && Instant::now() < deadline,
            "no step {step}: {record}\n{}",
            device.agent.log()
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}
