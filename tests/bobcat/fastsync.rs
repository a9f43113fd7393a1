//! The miner driven through the states of a fast sync, each body compared field by field with the one that was recorded from
//! a stock device.

use serde_json::json;

use crate::golden::{Golden, nothing_known, numbers, ports};
use crate::town::{ACTIONS, LOADS, MINER, Town};

#[test]
fn a_fast_sync_goes_through_the_states_of_a_stock_device() {
    let environment = [
        "TESTNODE_GENESIS=1187280",
        "TESTNODE_RATE=0",
        "TESTNODE_LOAD_TIME=10",
    ];
    let town = Town::start("fastsync", &environment);
    town.chain(1_190_425);
    town.publish_snapshot(1_190_302);
    let behind = numbers("Syncing", "3145", "1187280", "1190425", "31245");
    assert_eq!(town.until_status("Syncing"), behind);
    let golden = Golden::of(&town, MINER);
    golden.until("its ports were looked at", |body| {
        body["ports"] == ports("open")
    });
    let created = || town.json("/miner.json")["miner"]["Created"].as_i64();
    let before = created();

    // While the snapshot is being fetched the status is as it was, and the miner is shown as busy.
    town.hush_server(true);
    let reply = town.post("fastsync");
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (200, "Syncing your miner, please leave your power on.")
    );
    assert_eq!(town.json("/status.json"), behind);
    assert_eq!(golden.miner(), golden.emptied());
    for action in ACTIONS {
        let refused = town.post(action);
        assert_eq!(refused.status, 409, "{action}: {}", refused.body);
    }
    town.hush_server(false);

    assert_eq!(
        town.until_status("Loading"),
        nothing_known("Loading", LOADS)
    );
    assert_eq!(golden.miner(), golden.warned());
    assert_eq!(created(), before, "the container is kept");

    let near = town.until("it is near", |body| body["gap"] == "123");
    assert_eq!(
        near,
        numbers("Syncing", "123", "1190302", "1190425", "31324")
    );
    let body = golden.until("it is not busy", |body| body["miner_alert"].is_null());
    let region = "region_us915";
    assert_eq!(body, golden.answered("1190302", "31324", region, &body));
    assert_eq!((created(), town.starts()), (before, 1));

    let operations = town.operations();
    assert_eq!(operations.len(), 1, "{operations:?}");
    let record = town.agent.wait_for(operations[0]["id"].as_str().unwrap());
    assert_eq!(
        (&record["operation"], &record["state"]),
        (&json!("fastsync"), &json!("succeeded")),
        "{record}"
    );
}
