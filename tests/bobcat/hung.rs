//! An engine that hangs: nobody who asks waits for it.

use std::time::{Duration, Instant};

use crate::town::{PATIENCE, STOCK, Town};

#[test]
fn every_route_answers_while_the_engine_hangs_and_says_so() {
    let town = Town::with_engine(
        "engine-hangs",
        &["TESTNODE_GENESIS=1187280", "TESTNODE_RATE=0"],
    );
    town.until_status("Synced");
    let before = town.json("/miner.json");
    town.engine().freeze();
    let begun = Instant::now();
    let mut told = false;
    while !told {
        for path in [
            "/",
            "/status.json",
            "/miner.json",
            "/temp.json",
            "/speed.json",
            "/dig.json",
            "/led.json",
        ] {
            let reply = town.get(path);
            assert_eq!(reply.status, 200, "{path}");
            assert!(
                reply.took < Duration::from_secs(20),
                "{path} took {:?}",
                reply.took
            );
        }
        told = town.json("/status.json")["tip"] == " context deadline exceeded";
        assert!(begun.elapsed() < PATIENCE, "{}", town.agent.log());
        std::thread::sleep(Duration::from_secs(1));
    }
    let log = town.curl("/log/console.log", &["--user", STOCK]);
    assert_eq!(log.status, 200);
    let miner = town.json("/miner.json");
    assert_eq!(
        (&miner["miner"]["Image"], &miner["animal"]),
        (&before["miner"]["Image"], &before["animal"])
    );
    assert_eq!(miner["miner_alert"], "warn");
    town.engine().thaw();
    town.until_status("Synced");
}
