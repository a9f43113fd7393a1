//! The bodies that were recorded, to be compared field by field and in order.

use serde_json::{Value, json};

use super::super::miner::Miner;
use super::super::ports::Ports;
use super::super::status::Status;
use super::super::temperature::Temperatures;
use super::super::view::View;
use super::super::*;
use super::seen::*;
use crate::clock::Timestamp;

pub(super) const ERRORS: &str = "failed to get peer book. Post \"http://%2Fvar%2Frun%2Fdocker.sock/v1.37/containers/\
                      6a2289280243c8558f8ffb83af5cca545f804b3e6518b2044b686f3a4a8ba05c/exec\": context deadline exceeded";

pub(super) fn bodies(view: &View) -> (Value, Value) {
    let settings = Settings {
        listen: ([0, 0, 0, 0], 80).into(),
        credentials: None,
        ota_version: "1.0.2.75".to_owned(),
        frequency_plan: None,
        public_address: None,
        dig_name: "seed.helium.io".to_owned(),
        speed: None,
    };
    let now = Timestamp::parse(NOW).unwrap();
    let telemetry = serde_json::from_value(json!({
        "session": 1, "sequence": 1, "at": NOW, "refused": 0, "clock_synced": true, "disks": [], "networks": [],
        "dropped": { "telemetry": 0, "events": 0, "oversized": 0 },
        "temperatures": [
            { "sensor": "thermal_zone0", "label": "cpu", "celsius": 38.6 },
            { "sensor": "thermal_zone1", "label": "gpu", "celsius": 33.4 },
        ],
    }))
    .unwrap();
    let temperatures = Temperatures::of(Some(&telemetry), now);
    let ports = Ports::seen(
        "192.168.0.8".parse().ok(),
        "203.0.113.57".parse().ok(),
        [true, true, false, false],
    );
    let miner = Miner::of(view, &settings, ports, &temperatures, now);
    assert_order(
        &serde_json::to_string(&miner).unwrap(),
        &[
            "ota_version",
            "region",
            "frequency_plan",
            "animal",
            "pubkey",
            "miner",
            "miner_alert",
            "miner_desc",
            "p2p_status",
            "miner_height",
            "epoch",
            "ports_desc",
            "ports",
            "private_ip",
            "public_ip",
            "peerbook",
            "height",
            "temp0",
            "temp1",
            "timestamp",
            "errors",
        ],
    );
    let status = serde_json::to_string(&Status::of(view)).unwrap();
    assert_order(
        &status,
        &[
            "status",
            "gap",
            "miner_height",
            "blockchain_height",
            "epoch",
            "tip",
        ],
    );
    (
        serde_json::from_str(&status).unwrap(),
        serde_json::to_value(miner).unwrap(),
    )
}

/// The keys that are there stand in this order.
pub(super) fn assert_order(body: &str, keys: &[&str]) {
    let places: Vec<_> = keys
        .iter()
        .filter_map(|key| body.find(&format!("\"{key}\":")))
        .collect();
    assert!(places.is_sorted(), "{body}");
}

/// What is the same in every state, with these fields instead.
pub(super) fn golden(changes: Value) -> Value {
    let mut body = json!({
        "ota_version": "1.0.2.75",
        "region": "",
        "frequency_plan": "us915",
        "animal": "fancy-awesome-bobcat",
        "pubkey": "112qB3",
        "miner": {
            "State": "running", "Status": "Up 29 seconds", "Names": ["/miner"],
            "Image": "quay.io/team-helium/miner:miner-arm64_2022.01.12.1_GA", "Created": 1_642_702_325,
        },
        "p2p_status": null,
        "miner_height": "",
        "epoch": "",
        "ports_desc": "only need to port forward 44158. For 22, only when need remote support. public port open/close isn't accurate here, if your listen_addr is IP address, it should be OK",
        "ports": {
            "192.168.0.8:22": "open", "192.168.0.8:44158": "open",
            "203.0.113.57:22": "closed/timeout", "203.0.113.57:44158": "closed/timeout",
        },
        "private_ip": "192.168.0.8",
        "public_ip": "203.0.113.57",
        "peerbook": null,
        "height": null,
        "temp0": "39 °C",
        "temp1": "33 °C",
        "timestamp": "2022-01-20 18:12:36 +0000 UTC",
        "errors": "",
    });
    for (key, value) in changes.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

pub(super) fn emptied() -> Value {
    json!({ "State": "", "Status": "", "Names": null, "Image": "", "Created": 0 })
}

pub(super) fn table(text: &str) -> Value {
    json!(text.split('\n').collect::<Vec<_>>())
}

#[track_caller]
pub(super) fn expect(view: &View, status: Value, miner: Value) {
    let (got_status, got_miner) = bodies(view);
    assert_eq!(got_status, status);
    assert_eq!(got_miner, golden(miner));
}

pub(super) fn nothing_known(status: &str, tip: Option<&str>) -> Value {
    let mut body = json!({
        "status": status, "gap": "-", "miner_height": "-", "blockchain_height": "-", "epoch": "-",
    });
    if let Some(tip) = tip {
        body["tip"] = json!(tip);
    }
    body
}

pub(super) fn answered(epoch: &str, height: &str, region: &str) -> Value {
    json!({
        "region": region, "p2p_status": table(P2P), "peerbook": table(BOOK), "miner_height": height, "epoch": epoch,
        "height": [format!("{epoch}    {height}"), ""],
    })
}
