//! The miner driven through the states of a resync, each body compared field by field with the one that was recorded from a
//! stock device.

use std::time::Duration;

use serde_json::{Value, json};

use crate::town::Town;

/// What differs from run to run is checked for its form and taken out.
fn masked(mut body: Value) -> Value {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let stamp = text(&body["timestamp"]);
    assert!(
        stamp.len() == 29 && stamp.ends_with(" +0000 UTC"),
        "{stamp}"
    );
    for temperature in ["temp0", "temp1"] {
        assert!(text(&body[temperature]).ends_with(" °C"), "{body}");
        body[temperature] = json!("T");
    }
    body["timestamp"] = json!("NOW");
    let id = text(&body["errors"]);
    if let Some((before, rest)) = id.split_once("/containers/") {
        let (id, after) = rest.split_once("/exec").unwrap();
        assert_eq!(id.len(), 64);
        body["errors"] = json!(format!("{before}/containers/ID/exec{after}"));
    }
    if body["miner"]["State"] == "running" {
        assert!(text(&body["miner"]["Status"]).starts_with("Up "), "{body}");
        assert!(
            body["miner"]["Created"].as_i64().unwrap() > 1_600_000_000,
            "{body}"
        );
        body["miner"]["Status"] = json!("Up");
        body["miner"]["Created"] = json!(1);
    }
    assert_eq!(
        body["ports"].as_object().map(serde_json::Map::len),
        Some(4),
        "{body}"
    );
    body["ports"] = json!("P");
    body
}

struct Golden<'a> {
    animal: &'a Value,
    pubkey: &'a Value,
}

impl Golden<'_> {
    fn body(&self, container: Value, changes: Value) -> Value {
        let mut body = json!({
            "ota_version": "1.0.2.75", "region": "", "frequency_plan": "us915",
            "animal": self.animal, "pubkey": self.pubkey, "miner": container,
            "p2p_status": null, "miner_height": "", "epoch": "",
            "ports_desc": "only need to port forward 44158. For 22, only when need remote support. public port open/close isn't accurate here, if your listen_addr is IP address, it should be OK",
            "ports": "P", "private_ip": "198.51.100.8", "public_ip": "203.0.113.57",
            "peerbook": null, "height": null, "temp0": "T", "temp1": "T", "timestamp": "NOW", "errors": "",
        });
        for (key, value) in changes.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    }

    fn emptied(&self) -> Value {
        let nothing = json!({"State": "", "Status": "", "Names": null, "Image": "", "Created": 0});
        let busy = json!({"miner_alert": "alert", "miner_desc": "Resyncing / Loading snapshot"});
        self.body(nothing, busy)
    }

    fn warned(&self) -> Value {
        let errors = "failed to get peer book. Post \"http://%2Fvar%2Frun%2Fdocker.sock/v1.37/containers/ID/exec\": context deadline exceeded";
        self.body(running(), json!({"miner_alert": "warn", "errors": errors}))
    }
}

fn running() -> Value {
    json!({"State": "running", "Status": "Up", "Names": ["/states"], "Image": "ostler/testnode:latest", "Created": 1})
}

fn nothing_known(status: &str, tip: &str) -> Value {
    json!({"status": status, "gap": "-", "miner_height": "-", "blockchain_height": "-", "epoch": "-", "tip": tip})
}

#[test]
fn a_resync_goes_through_the_states_of_a_stock_device() {
    let environment = [
        "TESTNODE_GENESIS=1",
        "TESTNODE_RATE=0",
        "TESTNODE_BLESSED=1187280",
        "TESTNODE_BLESSED_DELAY=20",
        "TESTNODE_LOAD_TIME=30",
        "TESTNODE_TERM_DELAY=3",
    ];
    let town = Town::start("states", &environment);
    town.set("load-time", "0");
    let synced = town.until("it has loaded its snapshot", |body| {
        body["status"] == "Synced"
    });
    let numbers = json!({
        "status": "Synced", "gap": "0", "miner_height": "1187280", "blockchain_height": "1187280", "epoch": "31245",
    });
    assert_eq!(synced, numbers);
    let miner = town.json("/miner.json");
    let golden = Golden {
        animal: &miner["animal"],
        pubkey: &miner["pubkey"],
    };
    assert!(
        miner["animal"].as_str().unwrap().split('-').count() == 3,
        "{miner}"
    );
    let answered = |height: &str, epoch: &str, region: &str, miner: &Value| {
        assert!(
            miner["p2p_status"][5]
                .as_str()
                .unwrap()
                .contains("nat_type"),
            "{miner}"
        );
        assert!(
            miner["peerbook"][1]
                .as_str()
                .unwrap()
                .contains("listen_add"),
            "{miner}"
        );
        let said = json!({
            "region": region, "miner_height": height, "epoch": epoch, "height": [format!("{epoch}    {height}"), ""],
            "p2p_status": miner["p2p_status"], "peerbook": miner["peerbook"],
        });
        golden.body(running(), said)
    };
    let masked_miner = || masked(town.json("/miner.json"));
    let body = masked_miner();
    assert_eq!(body, answered("1187280", "31245", "region_us915", &body));

    // Whoever asks waits until the miner runs again; meanwhile everybody sees what is going on.
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| town.post("resync"));
        let status = town.until_status("Resyncing");
        assert_eq!(status, nothing_known("Resyncing", " exit status 1"));
        assert_eq!(masked_miner(), golden.emptied());
        for action in ["reboot", "reset", "resync", "fastsync"] {
            let refused = town.post(action);
            assert_eq!(refused.status, 409, "{action}: {}", refused.body);
        }
        assert!(town.get("/").took < Duration::from_secs(20));
        let reply = asked.join().unwrap();
        let words = "1: Your miner is going to rest<br>2: Docker is going to be stopped<br>3: Boom! Old blockchain data gone<br>\
                     4: Bam! Rebuilding miner data<br>Miner successfully restarted, but it may take 30 minutes to load files \
                     from internet, please be patient. 20";
        assert!(
            reply.body.starts_with(words),
            "{}: {}",
            reply.status,
            reply.body
        );
        assert!(reply.body.ends_with(" +0000 UTC<br>"), "{}", reply.body);
        assert_eq!(reply.status, 200);
    });
    let operations: Vec<_> = town
        .operations()
        .iter()
        .map(|record| record["operation"].clone())
        .collect();
    assert_eq!(
        operations,
        ["resync"],
        "the others were refused without effect"
    );

    let syncing = town.until("it begins anew", |body| body["miner_height"] == "1");
    let numbers = json!({
        "status": "Syncing", "gap": "1187279", "miner_height": "1", "blockchain_height": "1187280", "epoch": "1",
    });
    assert_eq!(syncing, numbers);
    let body = masked_miner();
    assert_eq!(body, answered("1", "1", "us915", &body));

    let tip = "Miner is loading a snapshot, please keep your hotspot online.";
    assert_eq!(town.until_status("Loading"), nothing_known("Loading", tip));
    assert_eq!(masked_miner(), golden.warned());
    for action in ["reboot", "reset", "resync", "fastsync"] {
        let refused = town.post(action);
        assert_eq!(refused.status, 409, "{action}: {}", refused.body);
        assert!(
            refused.body.contains("is loading a snapshot") || refused.body.contains("at work"),
            "{}",
            refused.body
        );
    }

    town.until_status("Synced");
    town.chain(1_190_434);
    let behind = town.until_status("Syncing");
    let numbers = json!({
        "status": "Syncing", "gap": "3154", "miner_height": "1187280", "blockchain_height": "1190434", "epoch": "31245",
    });
    assert_eq!(behind, numbers);

    town.set("state", "hung");
    let silent = town.until_status("Error");
    let mut error = nothing_known("Error", " context deadline exceeded");
    error["blockchain_height"] = json!("1190434");
    assert_eq!(silent, error);
    assert_eq!(masked_miner(), golden.warned());

    town.set("state", "erroring");
    let starting = town.until("it is starting", |body| {
        body["tip"] == "miner not started. exit status 1"
    });
    assert_eq!(
        starting,
        nothing_known("Error", "miner not started. exit status 1")
    );
    let body = masked_miner();
    let words = golden.body(
        running(),
        json!({
            "region": "error: usage in", "miner_height": "{'EXIT',", "epoch": "RPC",
            "p2p_status": ["Node 'miner@127.0.0.1' not responding to pings.", ""],
            "peerbook": body["peerbook"], "height": body["height"],
        }),
    );
    assert_eq!(body["height"].as_array().map(Vec::len), Some(15), "{body}");
    assert_eq!(body, words);

    town.engine().docker(&["stop", "--time", "0", "states"]);
    let gone = town.until("it is gone", |body| body["tip"] == "miner not started.");
    assert_eq!(gone, nothing_known("Error", "miner not started."));
    let body = masked_miner();
    let nothing = json!({"State": "", "Status": "", "Names": null, "Image": "", "Created": 0});
    let error = json!({"miner_alert": "alert", "errors": "    miner error"});
    assert_eq!(body, golden.body(nothing, error));
}
