//! The whole agent, as it is shipped, between a real Docker engine with the simulated miner and a real broker.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../lab/agent.rs"]
mod agent;
#[path = "../lab/broker.rs"]
mod broker;
#[path = "../lab/engine.rs"]
mod engine;
#[path = "../lab/registry.rs"]
mod registry;
#[path = "../lab/server.rs"]
mod server;

mod bare_host;
mod broker_kills;
mod chain_height;
mod fastsync;
mod hostile;
mod killed;
mod life;
mod power_cut;
mod power_cut_data;
mod reset;
mod resync;
mod snapshots;

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use agent::Agent;
use broker::Broker;
use engine::Engine;

const MINER: &str = "ostler/testnode:latest";

/// One engine with the simulated miner's image for all tests here; each has a container of its own.
fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let engine = Engine::start();
        engine.import_testnode(MINER);
        engine
    })
}

/// A running simulated miner, removed when this is dropped.
struct Miner(&'static str);

impl Miner {
    fn start(container: &'static str) -> Self {
        engine().run_container(
            container,
            &["--network", "none", "--restart", "unless-stopped", MINER],
        );
        Self(container)
    }

    /// How often its process was started.
    fn starts(&self) -> usize {
        let log = engine().directory().join(format!("{}-starts", self.0));
        // By copying: it works whether the container runs or not.
        engine().docker(&[
            "cp",
            &format!("{}:/var/data/log/starts", self.0),
            log.to_str().unwrap(),
        ]);
        std::fs::read_to_string(log).unwrap().lines().count()
    }

    fn runs(&self) -> bool {
        engine().docker(&["inspect", "-f", "{{.State.Running}}", self.0]) == "true"
    }
}

impl Drop for Miner {
    fn drop(&mut self) {
        engine().try_docker(&["rm", "-f", "-v", self.0]);
    }
}

/// The configuration of a device `attic` with one workload `miner`.
fn config(container: &str, broker: Option<&Broker>) -> String {
    let socket = engine().socket();
    let mqtt = broker
        .map(|broker| format!("[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\n", broker.port))
        .unwrap_or_default();
    format!(
        "[device]\nid = \"attic\"\n{mqtt}\n[[workload]]\nname = \"miner\"\nkind = \"helium\"\nready-timeout = 60\n\
         runtime = {{ docker = {{ container = \"{container}\", socket = {socket:?} }} }}\n"
    )
}

/// Publishes a command as an operator would, with Debian's own client.
fn publish(broker: &Broker, operation: &str, command: &str) {
    let topic = format!("ostler/attic/command/{operation}");
    let port = broker.port.to_string();
    let status = Command::new("mosquitto_pub")
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &port,
            "-q",
            "1",
            "-t",
            &topic,
            "-m",
            command,
        ])
        .stdin(Stdio::null())
        .status()
        .expect("mosquitto_pub");
    assert!(status.success(), "mosquitto_pub: {status}");
}

/// A device that the broker knows: it has connected once and gone again, so that commands are kept for it.
fn known_to(broker: &Broker, config: &str) -> Agent {
    let mut agent = Agent::new(config);
    agent.start();
    agent.wait_until("it has subscribed", |_| broker.logged(&["SUBACK"]) > 0);
    assert!(agent.terminate().success());
    agent
}
