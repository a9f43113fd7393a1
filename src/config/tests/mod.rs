//! What a configuration says, and what a change of it is.

mod mistakes;
mod shipped;

use std::path::Path;

use super::*;
use crate::protocol::Name;

fn parse(text: &str) -> Result<Config, Error> {
    Config::parse(text, Path::new("ostler.toml"))
}

fn message(text: &str) -> String {
    match parse(text) {
        Ok(config) => panic!("accepted: {config:?}"),
        Err(error) => error.to_string(),
    }
}

const MINER: &str = r#"
[[workload]]
name = "miner"
runtime = { docker = { container = "miner" } }
"#;

#[test]
fn nothing_at_all_is_a_complete_configuration() {
    let config = parse("").unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.state_dir, Path::new("/var/lib/ostler"));
    assert!(config.mqtt.is_none() && config.workload.is_empty());
    assert!(config.http.listen.iter().all(|at| at.ip().is_loopback()));
}

#[test]
fn a_file_that_is_named_has_to_be_there() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ostler.toml");
    let message = Config::load(Some(&file)).unwrap_err().to_string();
    assert!(
        message.contains(&file.display().to_string()) && message.contains("create it"),
        "{message}"
    );
    crate::durable::write(&file, MINER.as_bytes(), 0o600).unwrap();
    assert_eq!(Config::load(Some(&file)).unwrap(), parse(MINER).unwrap());
}

#[test]
fn everything_can_be_set() {
    let config = parse(
        r#"
        state-dir = "/data/ostler"
        [device]
        id = "attic"
        groups = ["roof"]
        [mqtt]
        url = "mqtts://broker.example"
        client-id = "attic-1"
        username = "attic"
        password-file = "mqtt-password"
        ca-file = "/etc/ostler/ca.pem"
        cert-file = "/etc/ostler/device.pem"
        key-file = "/etc/ostler/device.key"
        keep-alive = 60
        root-topic = "site/ostler"
        [telemetry]
        interval = 5
        [http]
        listen = ["0.0.0.0:80", "[::1]:8080"]
        token-file = "/etc/ostler/token"
        socket = "/run/other.sock"
        [[workload]]
        name = "miner"
        kind = "helium"
        runtime = { docker = { container = "validator", socket = "/run/docker.sock" } }
        data-dir = "/opt/miner/data"
        identity-files = ["miner/swarm_key"]
        grace = 600
        ready-timeout = 3600
        probe-interval = 3600
        [[workload]]
        name = "node"
        kind = "harmony"
        runtime = { systemd = { unit = "node@1.service" } }
        [workload.harmony]
        rpc = "[::1]:9501"
        role = "ExplorerNode"
        network = "testnet"
        shard = 2
        leader = true
        archival = true
        max-seconds-since-last-block = 20
        public-address = "203.0.113.7"
        "#,
    )
    .unwrap();
    let mqtt = config.mqtt.as_ref().unwrap();
    assert_eq!(mqtt.url.port, 8883);
    assert_eq!(mqtt.root_topic.as_str(), "site/ostler");
    assert_eq!(config.http.listen.len(), 2);
    let miner = &config.workload[0];
    assert_eq!(miner.kind, Kind::Helium);
    let Runtime::Docker(docker) = &miner.runtime else {
        panic!("{:?}", miner.runtime);
    };
    assert_eq!(docker.container.as_str(), "validator");
    assert_eq!(std::time::Duration::from(miner.grace).as_secs(), 600);
    let Runtime::Systemd(systemd) = &config.workload[1].runtime else {
        panic!("{:?}", config.workload[1].runtime);
    };
    assert_eq!(systemd.unit.as_str(), "node@1.service");
    let node = config.workload[1].harmony.as_ref().unwrap();
    assert_eq!(node.rpc.port(), 9501);
    let conditions = crate::workload::harmony::Conditions {
        role: Some(crate::workload::harmony::Role::ExplorerNode),
        network: Some(crate::workload::harmony::Network::Testnet),
        shard: Some(2),
        is_leader: true,
        is_archival: Some(true),
        max_seconds_since_last_block: 20,
        public_address: "203.0.113.7".parse().ok(),
    };
    assert_eq!(node.conditions(), conditions);
    // What `ostler config show` prints says the same.
    assert_eq!(parse(&config.to_toml()).unwrap(), config);
}

#[test]
fn a_change_is_told_as_what_a_reload_can_do_and_what_it_cannot() {
    let old = parse(MINER).unwrap();
    assert!(old.changes(&old).is_empty());

    let other = MINER.replace("[[workload]]", "[telemetry]\ninterval = 5\n[http]\nlisten = []\n[mqtt]\nurl = \"mqtt://x\"\nkeep-alive = 30\n[[workload]]")
        + "grace = 7\nkind = \"helium\"\n[[workload]]\nname = \"node\"\nruntime = { docker = { container = \"node\" } }\n";
    let new = parse(&other).unwrap();
    let changes = new.changes(&old);
    assert_eq!(changes.live, ["telemetry.interval", "workload.miner.grace"]);
    assert_eq!(
        changes.restart,
        [
            "mqtt.url",
            "mqtt.keep-alive",
            "mqtt.longest-pause",
            "mqtt.root-topic",
            "http.listen",
            "workload.miner.kind",
            "workload.node"
        ]
    );
    assert!(
        old.changes(&new)
            .restart
            .contains(&"workload.node".to_owned())
    );
}

#[test]
fn a_reload_leaves_a_grace_that_needs_a_longer_dead_man_to_the_restart() {
    let file = |keys: &str, dead_man| {
        let snapshot = format!("[workload.snapshot]\ndead-man = {dead_man}\n");
        parse(&format!("{MINER}{keys}\n{snapshot}")).unwrap()
    };
    let mut running = file("grace = 10", 90);
    let read = file("grace = 60\nready-timeout = 9", 300);
    let changes = read.changes(&running);
    assert_eq!(changes.live, ["workload.miner.ready-timeout"]);
    let left = ["workload.miner.snapshot", "workload.miner.grace"];
    assert_eq!(changes.restart, left);
    running.take_live(read.clone());
    assert_eq!(running, file("grace = 10\nready-timeout = 9", 90));
    assert_eq!(read.changes(&running).restart, left, "it stays told");

    // What goes with the old one is taken.
    let read = file("grace = 30\nready-timeout = 9", 300);
    running.take_live(read);
    assert_eq!(running, file("grace = 30\nready-timeout = 9", 90));
}

#[test]
fn a_workload_that_was_found_has_the_defaults_of_one_that_is_configured() {
    let node = "[[workload]]\nname = \"harmony\"\nkind = \"harmony\"\nruntime = { systemd = { unit = \"harmony.service\" } }";
    let unit = crate::runtime::systemd::UnitName::new("harmony.service").unwrap();
    assert_eq!(
        parse(node).unwrap().workload[0],
        Workload::discovered_node(Name::new("harmony").unwrap(), unit)
    );
    let configured = parse(&(MINER.to_owned() + "kind = \"helium\"")).unwrap();
    let found = Workload::discovered(Name::new("miner").unwrap());
    assert_eq!(configured.workload, [found]);
}

#[test]
fn the_order_of_workloads_is_no_change() {
    let other = MINER.replace("miner", "node");
    let one = parse(&format!("{MINER}{other}")).unwrap();
    let two = parse(&format!("{other}{MINER}")).unwrap();
    assert!(one.changes(&two).is_empty());
}

#[test]
fn the_files_of_secrets_are_read_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    let config = parse(&format!("[http]\ntoken-file = {token:?}")).unwrap();
    let problems = config.check_files();
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].key, "http.token-file");
    crate::durable::write(&token, b"s3", 0o600).unwrap();
    assert_eq!(config.check_files(), []);
}
