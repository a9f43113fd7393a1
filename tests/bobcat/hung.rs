//! An engine that hangs (SIGSTOP) for a minute: nobody who asks waits for it, and nothing is left half done.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::town::{ACTIONS, PATIENCE, Plan, Reply, STOCK, Town};

/// How long it hangs.
const MINUTE: Duration = Duration::from_secs(60);

/// How soon an answer has to be there, with much room for a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// Asks for all that can be read, and for actions in the wrong way.
fn every_route_answers(town: &Town) {
    let soon = |path: &str, reply: Reply, status: u16| {
        assert_eq!(reply.status, status, "{path}: {}", reply.body);
        assert!(reply.took < SOON, "{path} took {:?}", reply.took);
    };
    for path in [
        "/",
        "/status.json",
        "/miner.json",
        "/temp.json",
        "/speed.json",
        "/dig.json",
        "/led.json",
    ] {
        soon(path, town.get(path), 200);
    }
    soon(
        "log",
        town.curl("/log/console.log", &["--user", STOCK]),
        200,
    );
    for action in ACTIONS {
        let path = format!("/admin/{action}");
        soon(&path, town.get(&path), 405);
        soon(&path, town.curl(&path, &["--request", "POST"]), 401);
    }
}

#[test]
fn every_route_answers_while_the_engine_hangs_and_says_so() {
    let plan = Plan {
        environment: &["TESTNODE_GENESIS=1187280", "TESTNODE_RATE=0"],
        own_engine: true,
        ..Plan::default()
    };
    let town = Town::found("engine-hangs", &plan);
    town.until_status("Synced");
    let before = town.json("/miner.json");
    town.engine().freeze();
    let (begun, mut told) = (Instant::now(), false);
    while !told || begun.elapsed() < MINUTE {
        every_route_answers(&town);
        told = town.json("/status.json")["tip"] == " context deadline exceeded";
        assert!(begun.elapsed() < PATIENCE, "{}", town.agent.log());
        std::thread::sleep(Duration::from_secs(1));
    }
    let miner = town.json("/miner.json");
    assert_eq!(
        (&miner["miner"]["Image"], &miner["animal"]),
        (&before["miner"]["Image"], &before["animal"])
    );
    assert_eq!(miner["miner_alert"], "warn");
    town.engine().thaw();
    town.until_status("Synced");
    assert_eq!(town.starts(), 1);
}

#[test]
fn a_resync_whose_engine_hangs_leaves_nothing_half_done() {
    let plan = Plan {
        environment: &["TESTNODE_RATE=200"],
        own_engine: true,
        workload: "grace = 1",
        snapshot: "rate-mib = 1",
        ..Plan::default()
    };
    let town = Town::found("resync-hangs", &plan);
    town.until("it has blocks", |body| {
        let height = body["miner_height"].as_str().unwrap_or_default();
        height.parse::<u64>().is_ok_and(|height| height > 500)
    });
    let first = json!({"id": "first", "args": {"name": "first"}});
    town.agent.post("snapshot", &first);
    let record = town.agent.wait_for("first");
    assert_eq!(record["state"], "succeeded", "{}", town.agent.log());

    town.agent.post("resync", &json!({"id": "hangs"}));
    let step = |name: &str, states: &[&str]| {
        let record = town.agent.journalled("hangs").unwrap_or_default();
        let steps = record["steps"].as_array().cloned().unwrap_or_default();
        steps.iter().any(|step: &Value| {
            step["name"] == name && states.iter().any(|state| step["state"] == *state)
        })
    };
    // It reads slowly, so that this comes in time.
    let verifies = |_: &_| step("verify", &["started"]);
    town.agent.wait_until("it verifies", verifies);
    assert!(!step("stop", &["started", "done", "failed"]), "too late");
    town.engine().freeze();
    let begun = Instant::now();
    // It asks again before the stop, and gives up there; or the stop fails.
    let over = || {
        town.agent
            .journalled("hangs")
            .is_some_and(|record| record["ended_at"].is_string())
    };
    while begun.elapsed() < MINUTE || !(step("stop", &["failed"]) || over()) {
        every_route_answers(&town);
        assert!(town.agent.get("/v1/operations")["operations"].is_array());
        assert!(begun.elapsed() < PATIENCE, "{}", town.agent.log());
        std::thread::sleep(Duration::from_secs(1));
    }
    assert!(
        !step("exchange", &["started", "done"]),
        "under a miner that may run"
    );
    town.engine().thaw();

    let record = town.agent.wait_for("hangs");
    assert_eq!(
        record["failure"]["reason"],
        "runtime-unresponsive",
        "{record}\n{}",
        town.agent.log()
    );
    let inspect = ["inspect", "-f", "{{.State.Running}}", town.name];
    let runs = |_: &_| town.engine().docker(&inspect) == "true";
    town.agent.wait_until("the miner runs", runs);
    let names = |directory| {
        let entries = std::fs::read_dir(town.agent.path(directory)).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect::<Vec<_>>()
    };
    let is_staged = || names("").iter().any(|name| name.contains("staged"));
    assert!(!is_staged(), "{:?}", names(""));
    assert!(!names(".ostler-store/data").contains(&"exchange.json".to_owned()));

    town.agent.post("resync", &json!({"id": "again"}));
    let record = town.agent.wait_for("again");
    assert_eq!(
        record["state"],
        "succeeded",
        "{record}\n{}",
        town.agent.log()
    );
    assert!(!is_staged(), "{:?}", names(""));
}
