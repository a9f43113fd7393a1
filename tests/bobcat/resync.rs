//! The miner driven through the states of a resync, each body compared field by field with the one that was recorded from a
//! stock device.

use std::time::Duration;

use serde_json::json;

use crate::golden::{Golden, nothing_known, numbers, ports};
use crate::town::{ACTIONS, LOADS, MINER, Town};

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
    let synced = town.until_status("Synced");
    let height = "1187280";
    assert_eq!(synced, numbers("Synced", "0", height, height, "31245"));
    let golden = Golden::of(&town, MINER);
    let body = golden.until("its ports were looked at", |body| {
        body["ports"] == ports("open")
    });
    assert_eq!(
        body,
        golden.answered(height, "31245", "region_us915", &body)
    );

    // Whoever asks waits until the miner runs again; meanwhile everybody sees what is going on.
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| town.post("resync"));
        let status = town.until_status("Resyncing");
        assert_eq!(status, nothing_known("Resyncing", " exit status 1"));
        assert_eq!(golden.miner(), golden.emptied());
        for action in ACTIONS {
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
    assert_eq!(syncing, numbers("Syncing", "1187279", "1", height, "1"));
    let body = golden.miner();
    assert_eq!(body, golden.answered("1", "1", "us915", &body));

    assert_eq!(
        town.until_status("Loading"),
        nothing_known("Loading", LOADS)
    );
    assert_eq!(golden.miner(), golden.warned());
    for action in ACTIONS {
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
    assert_eq!(
        behind,
        numbers("Syncing", "3154", height, "1190434", "31245")
    );

    town.set("state", "hung");
    let silent = town.until_status("Error");
    let mut error = nothing_known("Error", " context deadline exceeded");
    error["blockchain_height"] = json!("1190434");
    assert_eq!(silent, error);
    assert_eq!(golden.miner(), golden.warned());

    town.set("state", "erroring");
    let starting = town.until("it is starting", |body| {
        body["tip"] == "miner not started. exit status 1"
    });
    assert_eq!(
        starting,
        nothing_known("Error", "miner not started. exit status 1")
    );
    let body = golden.miner();
    assert_eq!(body, golden.starting(&body));

    town.engine().docker(&["stop", "--time", "0", "states"]);
    let gone = town.until("it is gone", |body| body["tip"] == "miner not started.");
    assert_eq!(gone, nothing_known("Error", "miner not started."));
    assert_eq!(golden.miner(), golden.gone());
}
