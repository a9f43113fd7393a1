//! A miner that does not answer, and one that is not there.

use serde_json::json;

use super::super::view::View;
use super::super::*;
use super::body::*;
use super::seen::*;

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
