//! Snapshots and restores of a unit by the whole agent, in a real systemd.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::agent::Agent;
use super::chain::Engine;
use super::herd::{systemctl, write_unit};
use super::node::{Answer, Node, header, metadata_of_today, now};
use super::nspawn::{Machine, only_inside};

/// The shortest that can be configured.
const DEAD_MAN: u64 = 60;

const PATIENCE: Duration = Duration::from_secs(300);

#[test]
fn a_harmony_node_is_snapshotted_and_restored_with_a_timer_behind_its_stop() {
    // This machine's clock may have nobody who keeps it. Where the kernel may not be asked, the agent looks for a file.
    let sandbox =
        "systemd-run --quiet --pipe --wait --collect -p ProtectClock=yes -E OSTLER_LAB_INSIDE=yes";
    inside_by("harmony_node", &sandbox.split(' ').collect::<Vec<_>>());
}

#[test]
fn a_unit_whose_agent_dies_while_it_is_stopped_is_started_by_the_timer() {
    inside("agent_that_dies");
}

#[test]
fn a_unit_that_starts_at_the_third_try_is_back_and_one_that_never_does_ends_with_eight() {
    inside("starts_that_fail");
}

#[test]
fn a_unit_that_ignores_its_end_is_not_snapshotted_and_runs_again() {
    inside("ignored_end");
}

fn inside(test: &str) {
    inside_by(test, &[]);
}

fn inside_by(test: &str, prefix: &[&str]) {
    Engine::LevelDb.program();
    Machine::shared().run_test(&format!("service::within::{test}"), prefix);
}

/// What runs inside.
mod within {
    use super::*;

    #[test]
    #[ignore = "not a test: part of another one"]
    fn harmony_node() {
        // As `systemd-timesyncd` says it; without a clock nobody could tell how old a block is.
        std::fs::create_dir_all("/run/systemd/timesync").unwrap();
        std::fs::File::create("/run/systemd/timesync/synchronized").unwrap();
        only_inside(async || super::harmony_node());
    }

    #[test]
    #[ignore = "not a test: part of another one"]
    fn agent_that_dies() {
        only_inside(async || super::agent_that_dies());
    }

    #[test]
    #[ignore = "not a test: part of another one"]
    fn starts_that_fail() {
        only_inside(async || super::starts_that_fail());
    }

    #[test]
    #[ignore = "not a test: part of another one"]
    fn ignored_end() {
        only_inside(async || super::ignored_end());
    }
}

/// A unit with a chain, and its agent.
struct Service {
    agent: Agent,
    unit: String,
}

impl Service {
    /// `more` stands in the section `[Service]`, `workload` in the table of the workload.
    fn start(stem: &str, more: &str, workload: &str) -> Self {
        let unit = format!("{stem}.service");
        let mut agent = Agent::new("");
        let data = agent.path("data");
        std::fs::create_dir(&data).unwrap();
        Engine::LevelDb.fill(&data, 300, &[]);
        let program = Engine::LevelDb.program();
        let run = format!("{} run {} calm", program.display(), data.display());
        write_unit(
            &unit,
            &format!(
                "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\n{}\n",
                more.replace("RUN", &run)
            ),
        );
        systemctl(&["start", &unit]);
        agent.configure(&format!(
            "[[workload]]\nname = \"node\"\ndata-dir = {data:?}\ngrace = 10\nready-timeout = 60\n\
             runtime = {{ systemd = {{ unit = \"{unit}\" }} }}\n{workload}\n\
             [workload.snapshot]\nreserve-mib = 1\nrate-mib = 0\nlongest-cut = 10\ndead-man = {DEAD_MAN}\n"
        ));
        agent.start();
        Self { agent, unit }
    }

    fn show(&self, property: &str) -> String {
        systemctl(&["show", "--value", "-p", property, &self.unit])
    }

    fn ask(&self, operation: &str, id: &str, args: Value) -> Value {
        let body = json!({ "id": id, "args": args });
        self.agent.post(operation, &body);
        self.agent.wait_for(id)
    }

    /// The dead-man of this unit, where there is one.
    fn timers(&self) -> String {
        timers(&self.unit)
    }

    fn store(&self) -> PathBuf {
        self.agent.path(".ostler-store/data")
    }
}

fn timers(unit: &str) -> String {
    let stem = unit.strip_suffix(".service").unwrap();
    let pattern = format!("ostler-deadman-{stem}*.timer");
    systemctl(&["list-units", "--all", "--plain", "--no-legend", &pattern])
}

fn until(what: &str, holds: impl Fn() -> bool) -> Duration {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}: it never came");
        std::thread::sleep(Duration::from_millis(20));
    }
    begun.elapsed()
}

/// A node's RPC on a thread of its own, with a block in each 50 ms.
fn rpc() -> Arc<Node> {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let node = Arc::new(Node::of_today().await);
            tell.send(node.clone()).unwrap();
            for height in 1.. {
                node.answer("hmyv2_latestHeader", Answer::Result(header(height, now())));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    });
    told.recv().unwrap()
}

fn harmony_node() {
    // As `systemd-timesyncd` says it; without a clock nobody could tell how old a block is.
    std::fs::create_dir_all("/run/systemd/timesync").unwrap();
    std::fs::File::create("/run/systemd/timesync/synchronized").unwrap();
    let rpc = rpc();
    let service = Service::start(
        "harmony-lab",
        "ExecStart=RUN\n\
         ExecStopPost=/bin/sh -c 'systemctl list-units --plain --no-legend \"ostler-deadman-harmony-lab*.timer\" >>/run/armed'",
        &format!(
            "kind = \"harmony\"\n[workload.harmony]\nrpc = \"{}\"\nnetwork = \"mainnet\"\nshard = 0\nrole = \"Validator\"",
            rpc.address
        ),
    );
    let run = service.show("InvocationID");

    // Every reason against it at once, and the unit is left alone.
    let mut metadata = metadata_of_today();
    metadata["is-leader"] = json!(true);
    rpc.answer("hmyv2_getNodeMetadata", Answer::Result(metadata));
    rpc.answer("hmyv2_inSync", Answer::Result(json!(false)));
    let refused = service.ask("snapshot", "refused", json!({}));
    assert_eq!(
        refused["failure"]["reason"], "conditions-not-met",
        "{refused}"
    );
    let message = refused["failure"]["message"].as_str().unwrap();
    assert!(
        message.contains("lead") && message.contains("sync"),
        "{message}"
    );
    assert_eq!(service.show("InvocationID"), run);
    let forced = service.ask(
        "snapshot",
        "forced",
        json!({"name": "forced", "force": true}),
    );
    assert_eq!(forced["state"], "succeeded", "{forced}");

    rpc.answer("hmyv2_getNodeMetadata", Answer::Result(metadata_of_today()));
    rpc.answer("hmyv2_inSync", Answer::Result(json!(true)));
    std::fs::remove_file("/run/armed").unwrap();
    let taken = service.ask("snapshot", "taken", json!({"name": "taken"}));
    assert_eq!(taken["state"], "succeeded", "{taken}");
    assert_ne!(service.show("InvocationID"), run);
    let armed = std::fs::read_to_string("/run/armed").unwrap();
    assert!(armed.contains("ostler-deadman-harmony-lab"), "{armed:?}");
    assert_eq!(service.timers(), "", "it is disarmed");
    for part in ["stop_ms", "cut_ms", "start_ms", "first_progress_ms"] {
        assert!(taken["output"]["timings"][part].is_u64(), "{part}: {taken}");
    }
    let manifest = std::fs::read(service.store().join("taken/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["clean"], true, "{manifest}");
    assert!(manifest["height"].as_u64() > Some(0), "{manifest}");
    let head = head_of_copy(&service, &service.store().join("taken/data"));

    std::fs::remove_file("/run/armed").unwrap();
    let restored = service.ask("restore", "back", json!({"snapshot": "taken"}));
    assert_eq!(restored["state"], "succeeded", "{restored}");
    let armed = std::fs::read_to_string("/run/armed").unwrap();
    assert!(armed.contains("ostler-deadman-harmony-lab"), "{armed:?}");
    assert_eq!(
        (
            service.timers().as_str(),
            service.show("ActiveState").as_str()
        ),
        ("", "active")
    );
    systemctl(&["stop", &service.unit]);
    assert!(Engine::LevelDb.verify(&service.agent.path("data")).unwrap() >= head);
}

fn head_of_copy(service: &Service, tree: &Path) -> i64 {
    let copy = service.agent.path("copy");
    super::snapshots::private_copy(tree, &copy);
    Engine::LevelDb.verify(&copy).unwrap()
}

fn agent_that_dies() {
    // Its end takes a moment, in which the agent waits for it.
    let stop = "ExecStart=RUN\nExecStopPost=/bin/sleep 5";
    let mut service = Service::start("orphan", stop, "");
    let body = json!({ "id": "struck", "args": {} });
    service.agent.post("snapshot", &body);
    let state = |service: &Service| service.show("ActiveState");
    until("it ends", || state(&service) == "deactivating");
    service.agent.kill();
    until("it has ended", || state(&service) == "inactive");
    assert!(!service.timers().is_empty(), "nothing would start it");
    let stopped = until("it runs again", || state(&service) == "active");
    assert!(
        stopped > Duration::from_secs(1),
        "something else started it"
    );
    assert!(stopped < Duration::from_secs(2 * DEAD_MAN), "{stopped:?}");

    service.agent.start();
    let record = service.agent.wait_for("struck");
    assert_eq!(record["failure"]["reason"], "interrupted", "{record}");
    assert_eq!(state(&service), "active");
    assert_eq!(service.timers(), "");
    let taken = service.ask("snapshot", "next", json!({}));
    assert_eq!(taken["state"], "succeeded", "{taken}");
    let left = std::fs::read_dir(service.store()).unwrap().count();
    assert_eq!(left, 2, "one snapshot and the lock");
}

fn starts_that_fail() {
    // The first two starts after a stop fail; where there is a file `never`, all do.
    let service = Service::start(
        "reluctant",
        "ExecStartPre=/bin/sh -c '[ ! -e /run/never ] && { [ ! -e /run/tries ] || [ $(wc -l </run/tries) -ge 2 ] || { echo >>/run/tries; false; }; }'\n\
         ExecStart=RUN\nExecStopPost=/bin/sh -c '[ -s /run/tries ] || : >>/run/tries'",
        "",
    );
    let taken = service.agent.cli(&["snapshot", "node"]);
    assert_eq!(taken.status.code(), Some(0), "{taken:?}");
    assert_eq!(std::fs::read_to_string("/run/tries").unwrap().len(), 2);
    assert_eq!(service.show("ActiveState"), "active");

    std::fs::File::create("/run/never").unwrap();
    let failed = service.agent.cli(&["snapshot", "node"]);
    assert_eq!(failed.status.code(), Some(8), "{failed:?}");
    let told = String::from_utf8_lossy(&failed.stderr);
    assert!(told.contains("not back in service"), "{told}");
    // The timer is left, for it may still help; and so does the operator's next try.
    assert!(!service.timers().is_empty());
    std::fs::remove_file("/run/never").unwrap();
    let started = service.agent.cli(&["start", "node"]);
    assert_eq!(started.status.code(), Some(0), "{started:?}");
}

fn ignored_end() {
    let deaf = "ExecStart=/bin/sh -c 'trap \"\" TERM; while :; do sleep 1; done'";
    let service = Service::start("deaf", deaf, "");
    let failed = service.agent.cli(&["snapshot", "node", "--json"]);
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    let failure: Value = serde_json::from_slice(&failed.stdout).unwrap();
    assert_eq!(failure["failure"]["reason"], "unclean-stop", "{failure}");
    assert_eq!(service.show("ActiveState"), "active");
    assert_eq!(service.timers(), "");
    let left = std::fs::read_dir(service.store()).unwrap().count();
    assert_eq!(left, 1, "only the lock");
}
