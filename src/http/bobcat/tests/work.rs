//! A miner on which an operation is at work.

use serde_json::json;

use super::super::view::View;
use super::body::*;
use super::seen::*;

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
