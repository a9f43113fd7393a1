//! What has to hold on a host that was started again after a power cut.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::cut::Cut;
use crate::host::Host;
use crate::promises::Promises;

/// What came of one cut.
pub struct Found {
    /// Writes that the disk had lost or torn.
    pub lost: usize,
    /// Operations that were finished after the cut.
    pub finished: usize,
    /// Operations that were undone, or failed for the cut.
    pub undone: usize,
}

/// Checks the filesystem, boots a host with it and holds all that is there against what was promised.
pub fn examine(cut: &Cut, image: &Path, promises: &Promises) -> Found {
    check_filesystem(image);
    let host = Host::boot(image);
    let mut found = Found {
        lost: cut.lost,
        finished: 0,
        undone: 0,
    };
    operations(cut, &host, promises, &mut found);
    the_miner_runs(&host);
    snapshots(cut, &host, promises);
    state_files(&host);
    data(&host, promises);
    found
}

/// As at a boot: the journal is replayed, and nothing else is to be done.
fn check_filesystem(image: &Path) {
    let checked = Command::new("e2fsck")
        .arg("-fp")
        .arg(image)
        .output()
        .unwrap();
    // 1: something was corrected, such as the count of free blocks.
    assert!(
        matches!(checked.status.code(), Some(0 | 1)),
        "e2fsck: {checked:?}"
    );
}

/// Each has ended; those that had ended, as they had; and nothing that was accepted is unknown.
fn operations(cut: &Cut, host: &Host, promises: &Promises, found: &mut Found) {
    let all = host.wait_until("every operation ends", |host| {
        let all = host.get("/v1/operations?limit=1000")["operations"]
            .as_array()?
            .clone();
        all.iter()
            .all(|record| record["ended_at"].is_string())
            .then_some(all)
    });
    for (id, told) in &promises.operations {
        let record = all.iter().find(|record| record["id"] == *id.as_str());
        if told
            .accepted
            .is_some_and(|accepted| accepted <= cut.position)
        {
            assert!(record.is_some(), "{id} was accepted and is unknown");
        }
        let Some(record) = record else { continue };
        match &told.ended {
            Some((ended, state)) if *ended <= cut.position => {
                assert_eq!(record["state"], *state.as_str(), "{record}");
            }
            _ if record["state"] == "succeeded" => found.finished += 1,
            _ => {
                assert_eq!(record["failure"]["reason"], "interrupted", "{record}");
                found.undone += 1;
            }
        }
    }
}

fn the_miner_runs(host: &Host) {
    host.wait_until("the miner makes blocks", |host| {
        let before = host.miner()?["height"].as_u64()?;
        std::thread::sleep(std::time::Duration::from_millis(100));
        (host.miner()?["height"].as_u64()? > before).then_some(())
    });
    let seen = host.wait_until("the agent sees it run", |host| {
        let all = host.get("/v1/workloads");
        let state = all["workloads"][0]["state"].as_str()?.to_owned();
        (state == "running").then_some(state)
    });
    assert_eq!(seen, "running");
}

/// Those that were told of are there, all are whole to their last byte, and nothing half made is left.
fn snapshots(cut: &Cut, host: &Host, promises: &Promises) {
    let there = host.snapshots();
    for name in promises.snapshots_at(cut.position) {
        assert!(
            there.contains(name),
            "no {name} in {there:?}\n{}",
            host.log()
        );
    }
    let store = host.path("/srv/.ostler-store/data");
    if store.exists() {
        host.must("ostler", &["store", "verify", "/srv/.ostler-store/data"]);
    }
    for entry in store.read_dir().into_iter().flatten() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            name == "lock" || there.contains(&name),
            "{name} is left in the store, where {there:?} are\n{}",
            host.log()
        );
    }
}

/// Every file of the agent's state can be read, and none was set aside.
fn state_files(host: &Host) {
    let mut read = 0;
    let mut directories = vec![host.path("/srv/state")];
    while let Some(directory) = directories.pop() {
        for entry in directory.read_dir().unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|end| end.to_str()) {
                _ if path.is_dir() => directories.push(path),
                Some("json") => {
                    let text = fs::read(&path).unwrap();
                    let parsed = serde_json::from_slice::<Value>(&text);
                    assert!(parsed.is_ok(), "{}: {parsed:?}", path.display());
                    read += 1;
                }
                Some("partial" | "bad") => panic!("{} is left", path.display()),
                _ => {}
            }
        }
    }
    assert!(read > 0, "no state at all");
}

/// The miner is who it was, its data is whole, and nothing of what moved it is left.
fn data(host: &Host, promises: &Promises) {
    let identity = fs::read(host.path("/srv/data/miner/swarm_key")).unwrap();
    assert!(identity == promises.identity, "the miner's key is another");
    host.must("systemctl", &["stop", "ostler", "miner"]);
    let verdict = host.must("testnode", &["verify", "--data", "/srv/data"]);
    let verdict: Value = serde_json::from_str(&verdict).unwrap();
    assert_eq!(verdict["ok"], true, "{verdict}");
    for entry in host.path("/srv").read_dir().unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            matches!(
                name.as_str(),
                "data" | "state" | ".ostler-store" | "lost+found"
            ),
            "{name} is left beside the data\n{}",
            host.log()
        );
    }
}
