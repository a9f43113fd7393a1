//! A miner that begins again: from its newest snapshot, or from nothing, and stays who it is.

use serde_json::{Value, json};

use super::snapshots::Device;

/// Every file of the data with its size, and what is beside the data.
fn around(device: &Device) -> Vec<String> {
    let list = std::process::Command::new("find")
        .arg(device.agent.path(""))
        .args(["-not", "-path", "*/state*", "-printf", "%P %y\n"])
        .output()
        .unwrap();
    let mut names: Vec<_> = String::from_utf8(list.stdout)
        .unwrap()
        .lines()
        // What the running miner itself makes and removes.
        .filter(|line| !line.contains(".db/") && !line.contains("ostler.sock"))
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

/// Blocks that a miner does not make from its start until it is looked at, 200 a second, on a machine that is busy.
const MANY: u64 = 1000;

#[test]
fn a_resync_begins_from_the_newest_snapshot_and_one_from_scratch_from_nothing() {
    let device = Device::start("resync");
    let key = || std::fs::read(device.agent.path("data/miner/swarm_key")).unwrap();
    let identity = key();

    let before = around(&device);
    let refused = device.ask("resync", "too-early", json!({}));
    assert_eq!(refused["failure"]["reason"], "not-possible", "{refused}");
    let message = refused["failure"]["message"].as_str().unwrap();
    assert!(
        message.contains("ostler snapshot miner") && message.contains("--from scratch"),
        "it says what to do: {message}"
    );

    device.snapshot("first");
    let height = device.height();
    device
        .agent
        .wait_until("it goes on", |_| device.height() > height + MANY);
    let record = device.ask("resync", "again", json!({}));
    assert_eq!(record["state"], "succeeded", "{record}");
    let output = &record["output"];
    assert_eq!(
        (&output["from"], &output["snapshot"]),
        (&json!("snapshot"), &json!("first")),
        "{record}"
    );
    assert!(output["downtime_ms"].as_u64().unwrap() > 0, "{record}");
    assert!(device.miner.runs());
    assert!(
        device.height() < height + MANY,
        "it is where the snapshot was"
    );
    assert_eq!(key(), identity);

    device
        .agent
        .wait_until("it goes on", |_| device.height() > MANY);
    let reached = device.height();
    let record = device.ask("resync", "anew", json!({"from": "scratch"}));
    assert_eq!(record["state"], "succeeded", "{record}");
    assert_eq!(record["output"]["from"], "scratch");
    assert!(device.miner.runs());
    assert!(device.height() < reached, "it began at its first block");
    assert_eq!(key(), identity, "the same miner all the same");
    let starts = std::fs::read_to_string(device.agent.path("data/log/starts")).unwrap();
    assert_eq!(
        starts.lines().count(),
        1,
        "nothing else of the old data is there"
    );
    let beside = |mut names: Vec<String>| {
        names.retain(|line| !line.starts_with(".ostler-store"));
        names
    };
    assert_eq!(
        beside(around(&device)),
        beside(before),
        "nothing is left beside the data"
    );
}

#[test]
fn a_dry_run_of_a_resync_tells_the_sizes_and_touches_nothing() {
    let device = Device::start("resync-plan");
    device.snapshot("first");
    let plan = |id: &str, args: Value| {
        let before = around(&device);
        let starts = device.miner.starts();
        device
            .agent
            .post("resync", &json!({"id": id, "args": args, "dry_run": true}));
        let record = device.agent.wait_for(id);
        assert_eq!(
            (&record["state"], &record["changed"]),
            (&json!("succeeded"), &json!(false)),
            "{record}"
        );
        assert_eq!(around(&device), before);
        assert_eq!(device.miner.starts(), starts);
        record["output"].clone()
    };
    let from_snapshot = plan("snapshot", json!({}));
    assert_eq!(from_snapshot["snapshot"], "first");
    assert_eq!(from_snapshot["needs_bytes"], from_snapshot["bytes"]);
    assert!(from_snapshot["bytes"].as_u64().unwrap() > 10_000);
    let from_scratch = plan("scratch", json!({"from": "scratch"}));
    assert_eq!(from_scratch["needs_bytes"], 0);
    for plan in [from_snapshot, from_scratch] {
        assert_eq!(plan["keeps"], json!(["miner/swarm_key"]), "{plan}");
        assert!(plan["replaces_bytes"].as_u64().unwrap() > 10_000, "{plan}");
        assert!(plan["free_bytes"].as_u64().unwrap() > 0, "{plan}");
    }
}

#[test]
fn the_command_line_asks_before_it_begins_from_nothing() {
    let device = Device::start("resync-cli");
    let starts = device.miner.starts();
    let unsure = device.agent.cli(&["resync", "miner", "--from", "scratch"]);
    assert_eq!(unsure.status.code(), Some(64), "{unsure:?}");
    let said = String::from_utf8(unsure.stderr).unwrap();
    assert!(said.contains("--yes"), "{said}");
    assert_eq!(device.miner.starts(), starts);

    let none = device.agent.cli(&["resync", "miner"]);
    assert_eq!(none.status.code(), Some(1), "{none:?}");
    let sure = device
        .agent
        .cli(&["resync", "miner", "--from", "scratch", "--yes"]);
    assert_eq!(sure.status.code(), Some(0), "{sure:?}");
    let said = String::from_utf8(sure.stdout).unwrap();
    assert!(said.contains("it began from nothing\naway for "), "{said}");
}
