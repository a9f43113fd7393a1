//! The bodies that were recorded from a stock device, one for each state, to be compared field by field.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::town::{PATIENCE, Town};

/// What the answers of one town have to be.
pub struct Golden<'a> {
    town: &'a Town,
    image: &'a str,
    animal: Value,
    pubkey: Value,
}

impl<'a> Golden<'a> {
    /// Of a miner that has said who it is, from this image.
    pub fn of(town: &'a Town, image: &'a str) -> Self {
        let miner = town.json("/miner.json");
        assert!(
            miner["animal"].as_str().unwrap().split('-').count() == 3,
            "{miner}"
        );
        Self::known(
            town,
            image,
            (miner["animal"].clone(), miner["pubkey"].clone()),
        )
    }

    /// The same of one that is known.
    pub fn known(town: &'a Town, image: &'a str, (animal, pubkey): (Value, Value)) -> Self {
        Self {
            town,
            image,
            animal,
            pubkey,
        }
    }

    /// Who the miner is.
    pub fn identity(&self) -> (Value, Value) {
        (self.animal.clone(), self.pubkey.clone())
    }

    /// `/miner.json` now: what differs from run to run is checked for its form and taken out.
    pub fn miner(&self) -> Value {
        masked(self.town.json("/miner.json"))
    }

    /// Waits until `/miner.json` is so, and gives it.
    pub fn until(&self, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let body = self.miner();
            if so(&body) {
                return body;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "{what}: {body}\n{}",
                self.town.agent.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The body where nothing is known of the miner but who it is, with these changes.
    pub fn body(&self, container: Value, changes: Value) -> Value {
        let mut body = json!({
            "ota_version": "1.0.2.75", "region": "", "frequency_plan": "us915",
            "animal": self.animal, "pubkey": self.pubkey, "miner": container,
            "p2p_status": null, "miner_height": "", "epoch": "",
            "ports_desc": "only need to port forward 44158. For 22, only when need remote support. public port open/close isn't accurate here, if your listen_addr is IP address, it should be OK",
            "ports": ports("open"), "private_ip": "198.51.100.8", "public_ip": "203.0.113.57",
            "peerbook": null, "height": null, "temp0": "T", "temp1": "T", "timestamp": "NOW", "errors": "",
        });
        for (key, value) in changes.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    }

    pub fn running(&self) -> Value {
        let name = format!("/{}", self.town.name);
        json!({"State": "running", "Status": "Up", "Names": [name], "Image": self.image, "Created": 1})
    }

    /// It answers everything; its tables are those of `miner`, which have been looked at.
    pub fn answered(&self, height: &str, epoch: &str, region: &str, miner: &Value) -> Value {
        let line = |lines: &Value, number: usize| lines[number].as_str().unwrap_or("").to_owned();
        assert!(
            line(&miner["p2p_status"], 5).contains("nat_type"),
            "{miner}"
        );
        assert!(
            line(&miner["peerbook"], 1).contains("listen_add"),
            "{miner}"
        );
        let said = json!({
            "region": region, "miner_height": height, "epoch": epoch, "height": [format!("{epoch}    {height}"), ""],
            "p2p_status": miner["p2p_status"], "peerbook": miner["peerbook"],
        });
        self.body(self.running(), said)
    }

    /// Its data is being replaced, or got.
    pub fn emptied(&self) -> Value {
        let busy = json!({"miner_alert": "alert", "miner_desc": "Resyncing / Loading snapshot"});
        self.body(nothing(), busy)
    }

    /// It is there, and answers nothing.
    pub fn warned(&self) -> Value {
        self.warned_but(json!({}))
    }

    /// The same, with what it does answer.
    pub fn warned_but(&self, answers: Value) -> Value {
        let errors = "failed to get peer book. Post \"http://%2Fvar%2Frun%2Fdocker.sock/v1.37/containers/ID/exec\": context deadline exceeded";
        let mut body = self.body(self.running(), answers);
        body["miner_alert"] = json!("warn");
        body["errors"] = json!(errors);
        body
    }

    /// It is not there.
    pub fn gone(&self) -> Value {
        let error = json!({"miner_alert": "alert", "errors": "    miner error"});
        self.body(nothing(), error)
    }

    /// Its container has only just been started: it answers with errors.
    pub fn starting(&self, miner: &Value) -> Value {
        let lines = miner["height"].as_array().map(Vec::len);
        assert_eq!(lines, Some(15), "{miner}");
        let words = json!({
            "region": "error: usage in", "miner_height": "{'EXIT',", "epoch": "RPC",
            "p2p_status": ["Node 'miner@127.0.0.1' not responding to pings.", ""],
            "peerbook": miner["peerbook"], "height": miner["height"],
        });
        self.body(self.running(), words)
    }
}

/// No container.
pub fn nothing() -> Value {
    json!({"State": "", "Status": "", "Names": null, "Image": "", "Created": 0})
}

/// The four ports; those of the public address are closed, as far as anybody can tell from here.
pub fn ports(private: &str) -> Value {
    json!({
        "198.51.100.8:22": private, "198.51.100.8:44158": private,
        "203.0.113.57:22": "closed/timeout", "203.0.113.57:44158": "closed/timeout",
    })
}

/// `/status.json` of a miner that tells its heights.
pub fn numbers(status: &str, gap: &str, height: &str, chain: &str, epoch: &str) -> Value {
    json!({"status": status, "gap": gap, "miner_height": height, "blockchain_height": chain, "epoch": epoch})
}

/// `/status.json` where nothing is known.
pub fn nothing_known(status: &str, tip: &str) -> Value {
    json!({"status": status, "gap": "-", "miner_height": "-", "blockchain_height": "-", "epoch": "-", "tip": tip})
}

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
    body
}
