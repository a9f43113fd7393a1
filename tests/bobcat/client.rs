//! The client that owners use, from PyPI and unmodified: every one of its commands, and its autopilot.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::registry::Registry;
use crate::town::{MINER, Plan, Town, engine};

/// Its last release, and the releases of all that it needs: one that comes out tomorrow changes nothing here.
const REQUIREMENTS: &str = include_str!("requirements.txt");

/// The program, in an environment of its own that is made once and kept below `target/`.
fn bobcat() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bobcat-miner");
        // It comes last, so that one that was left half made, or is of other releases, is made anew.
        let complete = directory.join("complete");
        let requirements =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bobcat/requirements.txt");
        if fs::read_to_string(&complete).ok().as_deref() != Some(REQUIREMENTS) {
            run(Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&directory));
            run(Command::new(directory.join("bin/python"))
                .args(["-m", "pip", "install", "--quiet", "--requirement"])
                .arg(&requirements));
            fs::copy(requirements, complete).unwrap();
        }
        directory.join("bin/bobcat")
    })
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Runs the client without its pauses; what it wrote, standard error too.
fn client(town: &Town, arguments: &[&str]) -> (Output, String) {
    let output = town
        .command(bobcat().to_str().unwrap())
        .args(arguments)
        .current_dir(town.agent.path(""))
        .envs([
            ("BOBCAT_NO_WAIT", "true"),
            // The network's own service is gone; the client shall not look for it.
            ("HTTPS_PROXY", "http://127.0.0.1:1"),
            ("BOBCAT_LOG_LEVEL_CONSOLE", "DEBUG"),
        ])
        .output()
        .unwrap();
    let text = [&output.stdout[..], &output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    (output, text)
}

#[track_caller]
fn succeeds(town: &Town, arguments: &[&str]) -> String {
    let (output, text) = client(town, arguments);
    assert!(
        output.status.success(),
        "bobcat {arguments:?}: {text}\n{}",
        town.agent.log()
    );
    assert!(
        !text.contains("Traceback") && !text.contains("rate limit"),
        "{text}"
    );
    text
}

const HOST: [&str; 2] = ["-h", "127.0.0.1"];

fn with_host<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&HOST[..], arguments].concat()
}

const STILL: &[&str] = &["TESTNODE_GENESIS=1187280", "TESTNODE_RATE=0"];

#[test]
fn it_finds_the_device_and_reads_all_of_it() {
    let town = Town::start("client-reads", STILL);
    town.until_status("Synced");
    let found = succeeds(&town, &["-n", "127.0.0.0/29", "find"]);
    assert!(found.contains("127.0.0.1"), "{found}");
    for (command, key) in [
        ("status", "'status': 'Synced'"),
        ("miner", "'ota_version': '1.0.2.75'"),
        ("temp", "'unit': '°C'"),
        ("speed", "'DownloadSpeed': '"),
        ("dig", "'DNS': 'Local DNS'"),
    ] {
        let text = succeeds(&town, &with_host(&[command]));
        assert!(text.contains(key), "{command}: {text}");
    }
    let animal = town.json("/miner.json")["animal"]
        .as_str()
        .unwrap()
        .replace('-', " ");
    succeeds(&town, &with_host(&["-a", &animal, "status"]));
    let (output, text) = client(&town, &with_host(&["-a", "Some Other Animal", "status"]));
    assert!(!output.status.success(), "{text}");

    let text = succeeds(&town, &with_host(&["autopilot"]));
    assert!(
        town.operations().is_empty(),
        "a healthy miner is left alone: {text}"
    );
    assert_eq!(town.starts(), 1);
}

#[test]
fn it_resyncs_and_its_autopilot_does_so_for_a_miner_that_is_far_behind() {
    let town = Town::start("client-acts", STILL);
    town.until_status("Synced");
    let text = succeeds(&town, &with_host(&["resync", "-y"]));
    assert!(text.contains("Boom! Old blockchain data gone"), "{text}");
    let newest = |town: &Town| town.operations().first().cloned().unwrap_or_default();
    let begun = newest(&town);
    assert_eq!(begun["operation"], "resync", "{begun}");
    let record = town.agent.wait_for(begun["id"].as_str().unwrap());
    assert_eq!(record["state"], "succeeded", "{record}");

    town.until_status("Synced");
    town.chain(1_190_434);
    town.until_status("Syncing");
    succeeds(&town, &with_host(&["autopilot"]));
    let resynced = town
        .operations()
        .iter()
        .filter(|record| record["operation"] == "resync")
        .count();
    assert_eq!(resynced, 2, "{:?}", town.operations());
    town.until_status("Syncing");
}

#[test]
fn it_reboots_and_a_reset_that_cannot_pull_leaves_the_miner_as_it_is() {
    let mut town = Town::start("client-boots", STILL);
    town.until_status("Synced");
    let newest = |town: &Town, operation: &str| {
        let operations = town.operations();
        let asked = operations
            .iter()
            .find(|record| record["operation"] == operation);
        let id = asked.unwrap_or_else(|| panic!("no {operation}: {operations:?}"))["id"].clone();
        town.agent.wait_for(id.as_str().unwrap())
    };
    // The system is asked, and refuses here: what was stopped for it runs again.
    succeeds(&town, &with_host(&["reboot", "-y"]));
    let record = newest(&town, "reboot");
    assert_eq!(
        (&record["state"], town.reboots()),
        (&json!("failed"), 1),
        "{record}"
    );
    town.until_status("Synced");
    // Nobody has an image of this name.
    succeeds(&town, &with_host(&["reset", "-y"]));
    let record = newest(&town, "reset");
    assert_eq!(record["state"], "failed", "{record}");
    town.until_status("Synced");
    // A system that goes down lets the client hear its answer first.
    town.obey_reboots();
    let text = succeeds(&town, &with_host(&["reboot", "-y"]));
    assert!(text.contains("Rebooting hotspot"), "{text}");
    town.agent.wait_until("it is told", |_| town.reboots() == 2);
    town.boot();
    let record = newest(&town, "reboot");
    assert_eq!(record["state"], "succeeded", "{record}");
    town.until_status("Synced");
}

#[test]
fn it_resets_and_syncs_fast() {
    let registry = Registry::start();
    registry.push(engine(), MINER, "miner:GA");
    let plan = Plan {
        environment: STILL,
        image: &registry.image("miner:GA"),
        ..Plan::default()
    };
    let town = Town::found("client-resets", &plan);
    town.until_status("Synced");
    let id = || {
        let inspect = ["inspect", "-f", "{{.Id}}", town.name];
        town.engine().docker(&inspect)
    };
    let before = id();
    let succeeded = |operation: &str| {
        let operations = town.operations();
        let newest = &operations[0];
        assert_eq!(newest["operation"], operation, "{operations:?}");
        let record = town.agent.wait_for(newest["id"].as_str().unwrap());
        assert_eq!(record["state"], "succeeded", "{record}");
    };
    let text = succeeds(&town, &with_host(&["reset", "-y"]));
    assert!(text.contains("Boom! miner gone"), "{text}");
    succeeded("reset");
    assert_ne!(id(), before, "another container");
    assert_eq!(town.starts(), 1, "on no data of before");

    town.chain(1_190_434);
    town.publish_snapshot(1_190_311);
    town.until_status("Syncing");
    let text = succeeds(&town, &with_host(&["fastsync", "-y"]));
    assert!(text.contains("Syncing your miner"), "{text}");
    succeeded("fastsync");
    let near = town.until("it is near", |body| body["gap"] == "123");
    assert_eq!((&near["status"], town.starts()), (&json!("Syncing"), 1));
}

#[test]
fn its_autopilot_and_its_commands_cannot_destroy_a_load_in_progress() {
    let town = Town::start("client-load", STILL);
    town.until_status("Synced");
    town.set("state", "loading");
    town.until_status("Loading");
    for arguments in [
        &["autopilot"][..],
        &["reset", "-y"],
        &["resync", "-y"],
        &["reboot", "-y"],
        &["fastsync", "-y"],
    ] {
        succeeds(&town, &with_host(arguments));
    }
    assert!(town.operations().is_empty(), "{:?}", town.operations());
    assert_eq!(town.starts(), 1, "it was not started again");

    // A person has a way out, and is told of it.
    let refused = town.post("resync");
    assert_eq!(refused.status, 409);
    assert!(
        refused.body.contains("`ostler resync miner`"),
        "{}",
        refused.body
    );
    let resync = ["resync", "miner", "--from", "scratch", "--yes"];
    let done = town.agent.cli(&resync);
    assert!(done.status.success(), "{done:?}");
    town.until_status("Synced");
    assert_eq!(town.operations().len(), 1, "{:?}", town.operations());
}

#[test]
fn its_autopilot_ends_well_on_a_miner_that_is_down_and_cannot_be_pulled() {
    let town = Town::start("client-down", STILL);
    town.until_status("Synced");
    town.engine()
        .docker(&["stop", "--time", "0", "client-down"]);
    town.until_status("Error");
    let text = succeeds(&town, &with_host(&["autopilot"]));
    assert!(
        text.contains("Down or Error") || text.contains("Unknown"),
        "{text}"
    );
    // The agent is as it was, and the miner comes back when it is started.
    town.engine().docker(&["start", "client-down"]);
    town.until_status("Synced");
}

#[test]
fn its_autopilot_brings_back_a_miner_that_is_down() {
    let registry = Registry::start();
    registry.push(engine(), MINER, "miner:GA");
    let plan = Plan {
        environment: STILL,
        image: &registry.image("miner:GA"),
        ..Plan::default()
    };
    let town = Town::found("client-revived", &plan);
    town.until_status("Synced");
    town.engine()
        .docker(&["stop", "--time", "0", "client-revived"]);
    town.until_status("Error");
    succeeds(&town, &with_host(&["autopilot"]));
    town.until_status("Synced");
    let operations = town.operations();
    for operation in ["reset", "start"] {
        let of_it = |record: &&Value| record["operation"] == operation;
        let record = operations.iter().find(of_it).unwrap();
        assert_eq!(record["state"], "succeeded", "{record}");
    }
}
