//! The engine hangs (SIGSTOP) in the middle of a resync: the API answers, nothing is left half done, and the miner runs
//! when the engine is back.
//!
//! It hangs for about half a minute here: as long as the deadlines of a stop and of a kill last with a grace of a second. A
//! longer time adds nothing but tries: from then on the agent asks again and again until the engine answers.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::MINER;
use super::agent::Agent;
use super::engine::Engine;

/// How soon the API has to answer, with much room for a busy machine.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_resync_whose_engine_hangs_leaves_nothing_half_done() {
    let engine = Engine::start();
    engine.import_testnode(MINER);
    let mut agent = Agent::new("");
    let data = agent.path("data");
    std::fs::create_dir(&data).unwrap();
    let socket = engine.socket();
    agent.configure(&format!(
        "[[workload]]\nname = \"miner\"\nkind = \"helium\"\ndata-dir = {data:?}\nready-timeout = 20\ngrace = 1\n\
         identity-files = [\"miner/swarm_key\"]\n\
         runtime = {{ docker = {{ container = \"hung\", socket = {socket:?} }} }}\n\
         [workload.snapshot]\nreserve-mib = 1\nrate-mib = 1\nprogress-within = 60\n"
    ));
    let volume = format!("{}:/var/data", data.display());
    let rate = "TESTNODE_RATE=200";
    engine.run_container(
        "hung",
        &["--network", "none", "-v", &volume, "-e", rate, MINER],
    );
    agent.start();
    agent.wait_until("it has blocks", |_| {
        let height = engine.try_docker(&["exec", "hung", "miner", "info", "height"]);
        let text = String::from_utf8_lossy(&height.stdout).into_owned();
        text.split_whitespace()
            .nth(1)
            .is_some_and(|height| height.parse::<u64>().is_ok_and(|height| height > 500))
    });
    agent.post(
        "snapshot",
        &json!({"id": "first", "args": {"name": "first"}}),
    );
    assert_eq!(
        agent.wait_for("first")["state"],
        "succeeded",
        "{}",
        agent.log()
    );

    agent.post("resync", &json!({"id": "hangs"}));
    let step = |name: &str, states: &[&str]| {
        let record = agent.journalled("hangs").unwrap_or_default();
        let steps = record["steps"].as_array().cloned().unwrap_or_default();
        steps.iter().any(|step: &Value| {
            step["name"] == name && states.iter().any(|state| step["state"] == *state)
        })
    };
    // It reads slowly, so that this comes in time.
    agent.wait_until("it verifies", |_| step("verify", &["started"]));
    assert!(!step("stop", &["started", "done", "failed"]), "too late");
    engine.freeze();
    agent.wait_until("the stop is given up", |agent| {
        let asked = Instant::now();
        assert!(agent.get("/v1/operations")["operations"].is_array());
        assert!(asked.elapsed() < SOON, "the API took {:?}", asked.elapsed());
        step("stop", &["failed"])
    });
    assert!(
        !step("exchange", &["started", "done"]),
        "under a miner that may run"
    );
    engine.thaw();

    let record = agent.wait_for("hangs");
    assert_eq!(
        record["failure"]["reason"],
        "runtime-unresponsive",
        "{record}\n{}",
        agent.log()
    );
    agent.wait_until("the miner runs", |_| {
        engine.docker(&["inspect", "-f", "{{.State.Running}}", "hung"]) == "true"
    });
    let names = |directory| {
        let entries = std::fs::read_dir(agent.path(directory)).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect::<Vec<_>>()
    };
    assert!(
        !names("").iter().any(|name| name.contains("staged")),
        "{:?}",
        names("")
    );
    assert!(!names(".ostler-store/data").contains(&"exchange.json".to_owned()));

    agent.post("resync", &json!({"id": "again"}));
    let record = agent.wait_for("again");
    assert_eq!(record["state"], "succeeded", "{record}\n{}", agent.log());
    assert!(
        !names("").iter().any(|name| name.contains("staged")),
        "{:?}",
        names("")
    );
}
