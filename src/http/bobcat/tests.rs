//! A body for each state of the stock device, as its owners have recorded them, compared field by field and in order.

use serde_json::{Value, json};

use super::miner::Miner;
use super::ports::Ports;
use super::status::Status;
use super::temperature::Temperatures;
use super::view::View;
use super::*;
use crate::clock::Timestamp;
use crate::protocol::{OperationRecord, WorkloadReport};
use crate::workload::Said;
use crate::workload::helium::{Answer, Heights, Identity, Peers};

const NOW: &str = "2022-01-20T18:12:36Z";
const ID: &str = "6a2289280243c8558f8ffb83af5cca545f804b3e6518b2044b686f3a4a8ba05c";
const ERRORS: &str = "failed to get peer book. Post \"http://%2Fvar%2Frun%2Fdocker.sock/v1.37/containers/\
                      6a2289280243c8558f8ffb83af5cca545f804b3e6518b2044b686f3a4a8ba05c/exec\": context deadline exceeded";
const P2P: &str = "+---------+-------+\n|  name   |result |\n+---------+-------+\n|connected|  no   |\n+---------+-------+\n\n";
const BOOK: &str = "+------+\n| name |\n+------+\n|fancy-|\n+------+\n\n";

fn said(text: &str, status: i64) -> Answer {
    Answer::Said(Said {
        status,
        text: text.to_owned(),
    })
}

fn late() -> Answer {
    Answer::Late("no answer".to_owned())
}

/// The workload's report, with this state of its process and this standing.
fn report(state: &str, sync: &str, chain: Option<u64>) -> WorkloadReport {
    serde_json::from_value(json!({
        "name": "miner", "kind": "helium", "runtime": "docker miner", "state": state,
        "since": NOW, "health": "healthy",
        "sync": { "state": sync, "since": NOW, "lasted_s": 5, "chain_height": chain },
        "image": "quay.io/team-helium/miner:miner-arm64_2022.01.12.1_GA",
        "instance": ID, "created_at": "2022-01-20T18:12:05.118Z", "started_at": "2022-01-20T18:12:07.2Z",
    }))
    .unwrap()
}

/// A miner that answers everything: epoch and height as given.
fn answers(sync: &str, epoch: u64, height: u64, gap: i64) -> Observation {
    Observation {
        state: serde_json::from_value(json!(sync)).unwrap(),
        height: said(&format!("{epoch}\t\t{height}\n"), 0),
        p2p_status: said(P2P, 0),
        peer_book: said(BOOK, 0),
        region: said(
            if height == 1 {
                "us915\n"
            } else {
                "region_us915\n"
            },
            0,
        ),
        heights: Some(Heights {
            epoch,
            height,
            loaded: None,
        }),
        gap: Some(gap),
        ..known()
    }
}

/// Who the miner is, and nothing else.
fn known() -> Observation {
    Observation {
        identity: Identity {
            animal: Some("fancy-awesome-bobcat".to_owned()),
            public_key: Some("112qB3".to_owned()),
        },
        last_region: Some("us915".to_owned()),
        peers: Peers::default(),
        ..Observation::default()
    }
}

/// A miner that answers nothing in time.
fn silent(sync: &str) -> Observation {
    Observation {
        state: serde_json::from_value(json!(sync)).unwrap(),
        height: late(),
        p2p_status: late(),
        peer_book: late(),
        region: late(),
        ..known()
    }
}

fn job(operation: &str, state: &str, steps: &[(&str, &str)]) -> OperationRecord {
    let steps: Vec<_> = steps
        .iter()
        .map(|(name, state)| json!({ "name": name, "state": state }))
        .collect();
    serde_json::from_value(json!({
        "id": "a", "number": 1, "operation": operation, "workload": "miner", "origin": "http", "state": state,
        "accepted_at": NOW, "clock_synced": true, "steps": steps,
    }))
    .unwrap()
}

fn bodies(view: &View) -> (Value, Value) {
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
fn assert_order(body: &str, keys: &[&str]) {
    let places: Vec<_> = keys
        .iter()
        .filter_map(|key| body.find(&format!("\"{key}\":")))
        .collect();
    assert!(places.is_sorted(), "{body}");
}

/// What is the same in every state, with these fields instead.
fn golden(changes: Value) -> Value {
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

fn emptied() -> Value {
    json!({ "State": "", "Status": "", "Names": null, "Image": "", "Created": 0 })
}

fn table(text: &str) -> Value {
    json!(text.split('\n').collect::<Vec<_>>())
}

#[track_caller]
fn expect(view: &View, status: Value, miner: Value) {
    let (got_status, got_miner) = bodies(view);
    assert_eq!(got_status, status);
    assert_eq!(got_miner, golden(miner));
}

fn nothing_known(status: &str, tip: Option<&str>) -> Value {
    let mut body = json!({
        "status": status, "gap": "-", "miner_height": "-", "blockchain_height": "-", "epoch": "-",
    });
    if let Some(tip) = tip {
        body["tip"] = json!(tip);
    }
    body
}

fn answered(epoch: &str, height: &str, region: &str) -> Value {
    json!({
        "region": region, "p2p_status": table(P2P), "peerbook": table(BOOK), "miner_height": height, "epoch": epoch,
        "height": [format!("{epoch}    {height}"), ""],
    })
}

#[test]
fn synced_and_syncing() {
    for (sync, status, gap, chain) in [
        ("synced", "Synced", 0, 1_187_280),
        ("synced", "Synced", -1, 1_187_279),
        ("syncing", "Syncing", 3154, 1_190_434),
    ] {
        let view = View::of(
            Some(report("running", sync, Some(chain))),
            answers(sync, 31_300, 1_187_280, gap),
            None,
        );
        expect(
            &view,
            json!({
                "status": status, "gap": gap.to_string(), "miner_height": "1187280",
                "blockchain_height": chain.to_string(), "epoch": "31300",
            }),
            answered("31300", "1187280", "region_us915"),
        );
    }
    let view = View::of(
        Some(report("running", "syncing", Some(1_190_407))),
        answers("syncing", 1, 1, 1_190_406),
        None,
    );
    let status = json!({
        "status": "Syncing", "gap": "1190406", "miner_height": "1", "blockchain_height": "1190407", "epoch": "1",
    });
    expect(&view, status, answered("1", "1", "us915"));
}

#[test]
fn a_peer_book_alone_that_does_not_come() {
    let mut observation = answers("syncing", 1, 1, 1_190_377);
    observation.peer_book = late();
    let view = View::of(
        Some(report("running", "syncing", Some(1_190_378))),
        observation,
        None,
    );
    let status = json!({
        "status": "Syncing", "gap": "1190377", "miner_height": "1", "blockchain_height": "1190378", "epoch": "1",
    });
    let mut miner = answered("1", "1", "us915");
    miner["peerbook"] = Value::Null;
    miner["miner_alert"] = json!("warn");
    miner["errors"] = json!(ERRORS);
    expect(&view, status, miner);
}

#[test]
fn loading_and_silent() {
    let warned = || json!({ "miner_alert": "warn", "errors": ERRORS });
    let view = View::of(
        Some(report("running", "loading", Some(7))),
        silent("loading"),
        None,
    );
    let tip = "Miner is loading a snapshot, please keep your hotspot online.";
    expect(&view, nothing_known("Loading", Some(tip)), warned());

    let view = View::of(
        Some(report("running", "silent", Some(1_190_408))),
        silent("silent"),
        None,
    );
    let mut status = nothing_known("Error", Some(" context deadline exceeded"));
    status["blockchain_height"] = json!("1190408");
    expect(&view, status, warned());
}

#[test]
fn an_engine_that_does_not_answer_is_a_silent_miner_of_which_nothing_is_told() {
    let mut hung = report("runtime-unresponsive", "silent", Some(1_190_408));
    hung.reason = Some("it did not answer".to_owned());
    let view = View::of(Some(hung), answers("synced", 31_300, 1_187_280, 0), None);
    let mut status = nothing_known("Error", Some(" context deadline exceeded"));
    status["blockchain_height"] = json!("1190408");
    expect(
        &view,
        status,
        json!({ "miner_alert": "warn", "errors": ERRORS }),
    );
}

#[test]
fn resyncing() {
    let seen = || report("running", "synced", Some(7));
    let emptied = || json!({ "miner": emptied(), "miner_alert": "alert", "miner_desc": "Resyncing / Loading snapshot" });
    for (operation, tip) in [("resync", Some(" exit status 1")), ("reset", None)] {
        for (state, steps) in [
            ("accepted", &[][..]),
            ("running", &[("stop", "done"), ("exchange", "started")]),
        ] {
            let view = View::of(
                Some(seen()),
                answers("synced", 31_300, 1_187_280, 0),
                Some(&job(operation, state, steps)),
            );
            expect(&view, nothing_known("Resyncing", tip), emptied());
        }
        let started = job(
            operation,
            "running",
            &[("stop", "done"), ("start", "done"), ("confirm", "started")],
        );
        let view = View::of(
            Some(seen()),
            answers("synced", 31_300, 1_187_280, 0),
            Some(&started),
        );
        assert_eq!(
            bodies(&view).0["status"],
            "Synced",
            "what it does after its start it says itself"
        );
    }
}

#[test]
fn a_fast_sync_shows_itself_busy_and_then_loading() {
    let seen = || report("running", "syncing", Some(1_190_440));
    let observed = || answers("syncing", 31_301, 1_187_295, 3145);
    let view = View::of(
        Some(seen()),
        observed(),
        Some(&job("fastsync", "running", &[("check", "done")])),
    );
    let status = json!({
        "status": "Syncing", "gap": "3145", "miner_height": "1187295", "blockchain_height": "1190440", "epoch": "31301",
    });
    let busy = json!({ "miner": emptied(), "miner_alert": "alert", "miner_desc": "Resyncing / Loading snapshot" });
    expect(&view, status, busy);

    let load = job(
        "fastsync",
        "running",
        &[("pause", "done"), ("load", "started")],
    );
    let view = View::of(Some(seen()), silent("silent"), Some(&load));
    let tip = "Miner is loading a snapshot, please keep your hotspot online.";
    let warned = json!({ "miner_alert": "warn", "errors": ERRORS });
    expect(&view, nothing_known("Loading", Some(tip)), warned);
}

#[test]
fn a_container_that_is_gone_and_one_that_has_just_begun() {
    let gone = json!({ "miner": emptied(), "miner_alert": "alert", "errors": "    miner error" });
    for state in [
        "stopped",
        "missing",
        "restarting",
        "runtime-absent",
        "created",
    ] {
        let view = View::of(
            Some(report(state, "down", Some(7))),
            answers("synced", 31_300, 1_187_280, 0),
            None,
        );
        expect(
            &view,
            nothing_known("Error", Some("miner not started.")),
            gone.clone(),
        );
    }
    let crash =
        "RPC to 'miner@127.0.0.1' failed: {'EXIT',\n                                  {badarg,\n";
    let observation = Observation {
        state: None,
        height: said(crash, 1),
        p2p_status: said("Node 'miner@127.0.0.1' not responding to pings.\n", 1),
        peer_book: said(BOOK, 0),
        region: said(
            "Error: Usage information not found for the given command\n\n\n",
            1,
        ),
        ..known()
    };
    let view = View::of(Some(report("running", "down", Some(7))), observation, None);
    let starting = json!({
        "region": "error: usage in", "miner_height": "{'EXIT',", "epoch": "RPC",
        "p2p_status": ["Node 'miner@127.0.0.1' not responding to pings.", ""], "peerbook": table(BOOK),
        "height": ["RPC to 'miner@127.0.0.1' failed: {'EXIT',", "                                  {badarg,", ""],
    });
    let tip = "miner not started. exit status 1";
    expect(&view, nothing_known("Error", Some(tip)), starting);
}

#[test]
fn a_host_that_goes_down() {
    let reboot = job("reboot", "running", &[("stop", "started")]);
    let mut status = nothing_known("Unkown", None);
    status["blockchain_height"] = json!("1190364");
    let view = View::of(
        Some(report("running", "synced", Some(1_190_364))),
        answers("synced", 31_395, 1_190_364, 0),
        Some(&reboot),
    );
    expect(
        &view,
        status.clone(),
        answered("31395", "1190364", "region_us915"),
    );
    let view = View::of(
        Some(report("stopped", "down", Some(1_190_364))),
        known(),
        Some(&reboot),
    );
    let closed = json!({
        "miner": emptied(), "miner_alert": "alert", "errors": "    miner error",
        "ports": {
            "192.168.0.8:22": "closed/timeout", "192.168.0.8:44158": "closed/timeout",
            "203.0.113.57:22": "closed/timeout", "203.0.113.57:44158": "closed/timeout",
        },
    });
    expect(&view, status, closed);
}

#[test]
fn words_and_a_chain_of_which_nobody_knows_the_height() {
    let usage = "Error: Usage information not found for the given command\n\n\n";
    let mut observation = answers("unclear", 1, 1, 0);
    (observation.height, observation.heights, observation.gap) = (said(usage, 0), None, None);
    let view = View::of(
        Some(report("running", "unclear", Some(1_190_364))),
        observation,
        None,
    );
    let status = json!({
        "status": "Unkown", "gap": "-", "miner_height": "command", "blockchain_height": "1190364", "epoch": "Error:",
    });
    let mut miner = answered("Error:", "command", "us915");
    miner["height"] = json!([
        "Error: Usage information not found for the given command",
        "",
        "",
        ""
    ]);
    expect(&view, status, miner);

    let mut observation = answers("no-chain-height", 31_300, 1_187_280, 0);
    observation.gap = None;
    let view = View::of(
        Some(report("running", "no-chain-height", None)),
        observation,
        None,
    );
    let status = json!({
        "status": "Height API Error", "gap": "-", "miner_height": "1187280", "blockchain_height": "-", "epoch": "31300",
        "tip": "the height of the blockchain cannot be had.",
    });
    expect(&view, status, answered("31300", "1187280", "region_us915"));
}

#[test]
fn a_gateway_has_no_tables_and_no_alert() {
    let observation = Observation {
        state: serde_json::from_value(json!("synced")).unwrap(),
        height: Answer::Unasked,
        region: said("US915\n", 0),
        ..known()
    };
    let view = View::of(Some(report("running", "synced", None)), observation, None);
    let (status, miner) = bodies(&view);
    assert_eq!(status["status"], "Synced");
    assert_eq!(
        (&miner["p2p_status"], &miner["peerbook"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(
        (&miner["region"], &miner["miner_alert"]),
        (&json!("us915"), &Value::Null)
    );
    assert_eq!(
        (&miner["height"], &miner["miner_height"]),
        (&json!([]), &json!(""))
    );
}

#[test]
fn the_light_says_the_same_as_the_status() {
    for (state, sync, light) in [
        ("running", "synced", "green"),
        ("running", "syncing", "white"),
        ("running", "loading", "yellow"),
        ("running", "silent", "red"),
        ("stopped", "down", "red"),
    ] {
        let view = View::of(Some(report(state, sync, None)), known(), None);
        assert_eq!(view.led(), light);
    }
    let view = View::of(
        Some(report("running", "synced", None)),
        known(),
        Some(&job("reset", "accepted", &[])),
    );
    assert_eq!(view.led(), "yellow");
}

#[test]
fn temperatures_are_whole_degrees_and_there_are_always_two() {
    let sample = |sensors: Value| {
        let telemetry = serde_json::from_value(json!({
            "session": 1, "sequence": 1, "at": NOW, "refused": 0, "clock_synced": true, "disks": [], "networks": [],
            "dropped": { "telemetry": 0, "events": 0, "oversized": 0 }, "temperatures": sensors,
        }))
        .unwrap();
        serde_json::to_string(&Temperatures::of(Some(&telemetry), Timestamp::now())).unwrap()
    };
    let body = |zero: i64, one: i64| {
        format!(
            "{{\"timestamp\":\"2022-01-20 18:12:36 +0000 UTC\",\"temp0\":{zero},\"temp1\":{one},\"unit\":\"°C\"}}"
        )
    };
    let zone =
        |name: &str, celsius: f64| json!({ "sensor": name, "label": "x", "celsius": celsius });
    assert_eq!(
        sample(json!([
            zone("thermal_zone0", 38.5),
            zone("thermal_zone1", -0.6)
        ])),
        body(39, -1)
    );
    assert_eq!(sample(json!([zone("thermal_zone0", 38.4)])), body(38, 38));
    assert_eq!(sample(json!([zone("hwmon0/temp1", 41.0)])), body(41, 41));
    assert_eq!(sample(json!([])), body(0, 0));
}

#[test]
fn the_page_is_known_by_its_title_and_its_name() {
    let view = View::of(
        Some(report("running", "synced", Some(7))),
        answers("synced", 1, 7, 0),
        None,
    );
    let page = page::page(&view, &Temperatures::of(None, Timestamp::now()));
    assert!(page.contains("<title>Diagnoser - Bobcatminer Diagnostic Dashboard</title>"));
    assert!(page.contains("</i> Fancy Awesome Bobcat</header>"));
    assert!(page.contains("<span class=\"Synced\">Synced (gap:0)</span>"));
}
