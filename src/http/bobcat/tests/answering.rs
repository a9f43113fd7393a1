//! A miner that answers, all of it or some, and how far it is.

use serde_json::{Value, json};

use super::super::view::View;
use super::super::*;
use super::body::*;
use super::seen::*;
use crate::workload::helium::Answer;

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
