//! The power is cut while a snapshot is taken and while one is restored: whole data, old or new, and a running miner.

use serde_json::{Value, json};

use super::snapshots::Device;

/// Cuts at every instant of the exchange's journal: it is what decides whether a restore is finished or undone.
#[test]
fn a_restore_survives_power_cuts_around_its_commit_point() {
    let mut device = Device::start("power-cut-restore");
    device.snapshot("first");
    let (mut finished, mut undone) = (0, 0);
    let cuts = strike(
        &mut device,
        "restore",
        json!({"snapshot": "first"}),
        1,
        |record| match record["state"].as_str().unwrap() {
            "succeeded" => finished += 1,
            _ => {
                assert_eq!(record["failure"]["reason"], "interrupted", "{record}");
                undone += 1;
            }
        },
    );
    assert!(cuts >= 20, "only {cuts} cuts");
    assert!(
        finished > 2 && undone > 2,
        "both sides of the commit: {finished} finished, {undone} undone"
    );
    whole(&device);
}

#[test]
fn a_snapshot_survives_power_cuts_and_is_there_whole_or_not_at_all() {
    let mut device = Device::start("power-cut-snapshot");
    device.snapshot("first");
    let cuts = strike(
        &mut device,
        "snapshot",
        json!({"name": "struck"}),
        7,
        |_| {},
    );
    assert!(cuts >= 5, "only {cuts} cuts");
    whole(&device);
}

/// Asks for the operation again and again, with a cut at every `stride`th instant below the store; gives how many there were.
fn strike(
    device: &mut Device,
    operation: &str,
    args: Value,
    stride: u32,
    mut ended: impl FnMut(&Value),
) -> u32 {
    for (cuts, instant) in (0..).zip((1..).step_by(stride as usize)) {
        assert!(device.agent.terminate().success());
        device.agent.start_with_power_cut(".ostler-store", instant);
        device
            .agent
            .wait_until("it answers, or is gone", |agent| agent.socket_answers());
        let id = format!("{operation}-{instant}");
        let mut args = args.clone();
        if operation == "snapshot" {
            args["name"] = json!(id);
        }
        // The answer may be lost with the power, the command may not.
        let _ = device
            .agent
            .post(operation, &json!({"id": id, "args": args}));
        let mut cut = false;
        let over = |device: &mut Device| {
            device
                .agent
                .journalled(&id)
                .is_some_and(|record| record["ended_at"].is_string())
        };
        let begun = std::time::Instant::now();
        while !cut && !over(device) {
            assert!(
                begun.elapsed().as_secs() < 120,
                "it does not end: {}",
                device.agent.log()
            );
            cut = device
                .agent
                .ended_within(std::time::Duration::from_millis(20));
        }
        if cut {
            device.agent.start();
        }
        let record = device.agent.wait_for(&id);
        device
            .agent
            .wait_until("the miner runs", |_| device.miner.runs());
        if !cut {
            assert_eq!(record["state"], "succeeded", "{record}");
            // The next operation of this agent would meet the cut.
            assert!(device.agent.terminate().success());
            device.agent.start();
            return cuts;
        }
        ended(&record);
    }
    unreachable!("it goes on until there was no cut")
}

/// The data that the miner runs on now, and every snapshot that is listed, to their last byte.
fn whole(device: &Device) {
    device.snapshot("at-the-end");
    let mut checked = 0;
    for entry in std::fs::read_dir(device.store()).unwrap() {
        let data = entry.unwrap().path().join("data");
        if data.is_dir() {
            let verdict = device.verify(&data);
            assert_eq!(verdict["ok"], true, "{}: {verdict}", data.display());
            checked += 1;
        }
    }
    assert!(checked >= 2, "{checked} snapshots");
    let left = std::fs::read_dir(device.store())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = left
        .filter(|name| name.to_string_lossy().contains(".partial"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
