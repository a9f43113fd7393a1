//! The miner driven through the states of a reset, each body compared field by field with the one that was recorded from a
//! stock device.

use serde_json::json;

use crate::golden::{Golden, nothing_known, numbers, ports};
use crate::registry::Registry;
use crate::town::{ACTIONS, LOADS, MINER, Plan, Town, engine};

const WORDS: &str = "1: Your miner is going to rest<br>3: Housekeeper was sent home<br>3: Docker is going to be stopped<br>\
                     4: Boom! Old blockchain data gone<br>5: Boom! miner gone<br>\
                     6: Housekeeper is back, but everything is gone<br>7: Rebuilding everything<br>8: Cleaning up<br>\
                     Bam! Miner successfully restarted, but it may take 30 minutes to load files from internet. \
                     Please be patient. 20";

#[test]
fn a_reset_goes_through_the_states_of_a_stock_device() {
    let registry = Registry::start();
    registry.push(engine(), MINER, "miner:GA");
    let image = registry.image("miner:GA");
    let environment = [
        "TESTNODE_RATE=0",
        "TESTNODE_STATE=erroring",
        "TESTNODE_TERM_DELAY=3",
    ];
    let plan = Plan {
        environment: &environment,
        image: &image,
        ..Plan::default()
    };
    let town = Town::found("reset", &plan);
    town.set("state", "normal");
    town.load(1_187_280);
    town.until_status("Synced");
    let (golden, height) = (Golden::of(&town, &image), "1187280");
    golden.until("its ports were looked at", |body| {
        body["ports"] == ports("open")
    });
    let created = || town.json("/miner.json")["miner"]["Created"].as_i64();
    let before = created();

    std::thread::scope(|scope| {
        let asked = scope.spawn(|| town.post("reset"));
        let mut status = nothing_known("Resyncing", "");
        status.as_object_mut().unwrap().remove("tip");
        assert_eq!(town.until_status("Resyncing"), status);
        assert_eq!(golden.miner(), golden.emptied());
        for action in ACTIONS {
            let refused = town.post(action);
            assert_eq!(refused.status, 409, "{action}: {}", refused.body);
        }
        let reply = asked.join().unwrap();
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert!(reply.body.starts_with(WORDS), "{}", reply.body);
        assert!(reply.body.ends_with(" +0000 UTC<br>"), "{}", reply.body);
    });

    let tip = "miner not started. exit status 1";
    let starting = town.until("it is starting", |body| body["tip"] == tip);
    assert_eq!(starting, nothing_known("Error", tip));
    let body = golden.miner();
    assert_eq!(body, golden.starting(&body));
    assert!(created() > before, "another container");

    town.set("state", "normal");
    let syncing = town.until("it begins anew", |body| body["miner_height"] == "1");
    let first = numbers("Syncing", "1187279", "1", height, "1");
    assert_eq!(syncing, first);
    let body = golden.miner();
    assert_eq!(body, golden.answered("1", "1", "us915", &body));

    // One question that hangs takes none of the others with it.
    town.set("mute", "peer book -s");
    let alone = golden.until("its peer book is late", |body| body["peerbook"].is_null());
    let said = json!({
        "region": "us915", "miner_height": "1", "epoch": "1", "height": ["1    1", ""],
        "p2p_status": body["p2p_status"],
    });
    assert_eq!(alone, golden.warned_but(said));
    town.set("mute", "peer book -s,info p2p_status,info region");
    let saturated = golden.until("nothing but its height is in time", |body| {
        body["p2p_status"].is_null() && body["region"] == ""
    });
    let said = json!({"miner_height": "1", "epoch": "1", "height": ["1    1", ""]});
    assert_eq!(saturated, golden.warned_but(said));
    assert_eq!(town.json("/status.json"), first);

    town.set("mute", "");
    town.set("state", "loading");
    assert_eq!(
        town.until_status("Loading"),
        nothing_known("Loading", LOADS)
    );
    assert_eq!(golden.miner(), golden.warned());

    town.set("relayed", "true");
    town.chain(1_190_398);
    town.set("state", "normal");
    town.load(1_187_280);
    let behind = town.until("it is behind", |body| body["gap"] == "3118");
    let epoch = "31245";
    assert_eq!(behind, numbers("Syncing", "3118", height, "1190398", epoch));
    let body = golden.until("it has found its peers", |body| {
        body["peerbook"].to_string().contains("p2p-circuit")
    });
    assert_eq!(body, golden.answered(height, epoch, "region_us915", &body));
    assert!(body["p2p_status"].to_string().contains("symmetric"));

    let operations = town.operations();
    assert_eq!(operations.len(), 1, "{operations:?}");
    let record = town.agent.wait_for(operations[0]["id"].as_str().unwrap());
    assert_eq!(
        (&record["operation"], &record["state"]),
        (&json!("reset"), &json!("succeeded")),
        "{record}"
    );
}
