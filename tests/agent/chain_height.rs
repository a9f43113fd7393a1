//! The height of the chain, from a server with real TLS: believed where the system trusts its authority.

use serde_json::Value;

use super::agent::Agent;
use super::server::Server;
use super::{Miner, config};

#[test]
fn the_height_of_the_chain_is_taken_over_tls_from_whom_the_system_trusts() {
    let mut agent = Agent::new("");
    let source = agent.path("height.json");
    agent.put("height.json", "{\"data\":{\"height\":2000000}}");
    let server = Server::start(&source);
    let from = |url: &str| {
        format!(
            "{}probe-interval = 5\n[workload.helium]\nchain-height-url = {url:?}\nchain-height-interval = 5\n",
            config("chain-height", None)
        )
    };
    let _miner = Miner::start("chain-height");
    let asked = |agent: &Agent| agent.get("/v1/workloads/miner");
    let refused = |agent: &Agent| {
        agent.wait_until("it does not believe it", |agent| {
            let report = asked(agent);
            let reason = report["health_reason"].as_str().unwrap_or_default();
            report["sync"]["state"] == "no-chain-height" && reason.contains("cannot be trusted")
        });
    };

    // Nobody vouches for the server.
    agent.configure(&from(&server.url("whole")));
    agent.start();
    refused(&agent);
    assert!(agent.terminate().success());

    let trusted = server.ca_file();
    let trust = [("SSL_CERT_FILE", trusted.to_str().unwrap())];
    agent.start_with(&trust);
    let mut report = Value::Null;
    agent.wait_until("it knows the height", |agent| {
        report = asked(agent);
        report["sync"]["chain_height"] == 2_000_000
    });
    assert_eq!(report["sync"]["state"], "syncing", "{report}");
    assert!(
        report["gap"].as_u64().is_some_and(|gap| gap > 1_900_000),
        "{report}"
    );
    assert!(agent.terminate().success());

    // It is vouched for under another name.
    agent.configure(&from(&format!("https://127.0.0.1:{}/whole", server.port())));
    agent.start_with(&trust);
    refused(&agent);
}
