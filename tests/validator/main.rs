//! The whole agent and a real PM2 with a validator: a checkpoint restored, and rolled back where it must be.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../lab/agent.rs"]
mod agent;
#[path = "../lab/broker.rs"]
mod broker;
mod killed;
#[path = "../lab/pm2.rs"]
mod pm2;
#[path = "../lab/server.rs"]
mod server;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use agent::Agent;
use broker::Broker;
use pm2::Pm2;
use serde_json::{Value, json};
use server::Server;

/// Miners of the small checkpoint, and of the old state.
const MINER: &str = "5DE6K842eErCeDcMvodN6EL6AeBomyFtn8FqjgnjzDT75FhE";
const OTHER: &str = "5Hf5gfBKZi1y2FQGiBGeso38GmqRa5JUdyguEvibeYJBEqg2";

fn checkpoint() -> PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoint/tiny");
    data.join("validator_checkpoint.json.gz")
}

/// A validator that runs on an old state under PM2, and the agent that looks after it.
fn start(lab: &Pm2, more: &str) -> Agent {
    start_with(lab, more, "crash-window = 4\n")
}

/// The same with more settings of the validator.
fn start_with(lab: &Pm2, more: &str, of_validator: &str) -> Agent {
    let checkout = lab.checkout();
    let position = checkout.join(format!("validation/miners/{OTHER}/positions/BTCUSD/closed"));
    fs::create_dir_all(&position).unwrap();
    fs::create_dir_all(checkout.join("meta")).unwrap();
    put(&position.join("old"), r#"{"orders": []}"#);
    let eliminations = r#"{"eliminations": []}"#;
    put(&checkout.join("validation/eliminations.json"), eliminations);
    // A miner that the checkpoint does not eliminate: the validator would flatten and slash it.
    let rows = format!(r#"[{{"hotkey": "{MINER}", "price_info": {{}}}}]"#);
    put(
        &checkout.join("validation/perf_ledger_eliminations.json"),
        &rows,
    );
    put(
        &checkout.join("meta/meta.json"),
        r#"{"subnet_version": "7.1.1"}"#,
    );
    lab.own(&checkout);
    lab.start_validator();
    // What ignores SIGINT ignores it however long it is waited for, and PM2 gives everything else 1.6 s.
    let workload = lab.config("grace = 5\nready-timeout = 60");
    let mut agent = Agent::new(&format!(
        "{more}\n{workload}reserve-mib = 1\n{of_validator}"
    ));
    agent.start();
    agent
}

fn put(path: &Path, content: &str) {
    use std::io::Write;
    let mut file = fs::File::create(path).unwrap();
    file.write_all(content.as_bytes()).unwrap();
}

fn is_new(lab: &Pm2) -> bool {
    let miners = lab.checkout().join("validation/miners");
    let new = miners.join(MINER).is_dir();
    assert_ne!(new, miners.join(OTHER).is_dir());
    new
}

/// The outcome that the command line prints, and its exit status.
fn restore(agent: &Agent, more: &[&str]) -> (Value, i32) {
    let file = checkpoint();
    let asked = [
        "restore-checkpoint",
        "validator",
        file.to_str().unwrap(),
        "--json",
    ];
    let output = agent.cli(&[&asked[..], more].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().last().unwrap_or_default();
    let record = serde_json::from_str(last).or_else(|_| serde_json::from_str(&said));
    let record = record.unwrap_or_else(|_| panic!("{output:?}\n{}", agent.log()));
    (record, output.status.code().unwrap())
}

#[test]
fn the_validator_of_another_user_is_restored_and_stays_theirs() {
    let lab = Pm2::of_nobody();
    let agent = start(&lab, "");
    let (planned, status) = restore(&agent, &["--dry-run"]);
    assert_eq!(
        (status, &planned["changed"]),
        (0, &json!(false)),
        "{planned}"
    );
    assert!(!is_new(&lab) && lab.starts() == 1);

    let (record, status) = restore(&agent, &[]);
    assert_eq!(status, 0, "{record}\n{}", agent.log());
    assert!(is_new(&lab));
    lab.wait_until("both run", |lab| lab.both_run());
    assert_eq!(lab.starts(), 2, "started once, by the updater alone");
    let companion = &record["output"]["companions"][0];
    assert_eq!(companion["file"], "perf_ledger_eliminations.json");
    assert_eq!(
        (&companion["fate"], &companion["hotkeys"][0]),
        (&json!("cleaned"), &json!(MINER))
    );
    let backup = PathBuf::from(record["output"]["backup"]["path"].as_str().unwrap());
    assert!(backup.join("miners").join(OTHER).is_dir());
    let uid = fs::metadata(lab.checkout()).unwrap().uid();
    assert_ne!(uid, 0);
    for path in [
        "",
        "miners",
        "eliminations.json",
        "perf_ledger_eliminations.json",
    ] {
        let found = fs::metadata(lab.checkout().join("validation").join(path)).unwrap();
        assert_eq!(found.uid(), uid, "{path}");
    }
}

#[test]
fn a_checkpoint_that_its_user_drops_is_restored() {
    let lab = Pm2::of_nobody();
    let drop = lab.path("dropped");
    let agent = start_with(
        &lab,
        "",
        &format!("crash-window = 1\ndrop-directory = {drop:?}\n"),
    );
    fs::create_dir(&drop).unwrap();
    fs::copy(checkpoint(), drop.join("today.json.gz")).unwrap();
    lab.own(&drop);
    let is_called = |ending: &str| {
        let mut entries = fs::read_dir(&drop).unwrap();
        entries.any(|entry| {
            let name = entry.unwrap().file_name();
            name.to_string_lossy().ends_with(ending)
        })
    };
    lab.wait_until("it is found", |_| !is_called(".json.gz"));
    lab.wait_until("it is restored", |_| is_called(".restored"));
    assert!(is_new(&lab), "{}", agent.log());
}

#[test]
fn a_validator_that_cannot_live_with_the_new_state_gets_the_old_one_back() {
    let lab = Pm2::new();
    let agent = start(&lab, "");
    // From the second one on, what is stopped is what the behaviour before has made of it.
    for (id, illness) in [
        ("crashes-at-once", "allergic"),
        ("crashes-later", "faints"),
        ("ignores-sigint", "stubborn faints"),
        ("leaves-one-behind", "stubborn fork allergic"),
    ] {
        lab.behave(&format!("{illness}={MINER}"));
        let (record, status) = restore(&agent, &["--id", id]);
        assert_eq!(
            record["failure"]["reason"],
            "not-ready",
            "{id}: {record}\n{}",
            agent.log()
        );
        let message = record["failure"]["message"].as_str().unwrap();
        assert!(message.contains("the old state is back"), "{message}");
        // It failed, and the validator is in service.
        assert_eq!(status, 1, "{record}");
        assert!(!is_new(&lab) && !lab.checkout().join("backups/.ostler-probe").exists());
        lab.wait_until("both run", |lab| lab.both_run());
    }
    // What runs now ignores SIGINT and has left a process behind; that alone keeps nobody from a restore.
    lab.behave("stubborn");
    let (record, status) = restore(&agent, &["--id", "well"]);
    assert_eq!(status, 0, "{record}\n{}", agent.log());
    assert!(is_new(&lab));
}

#[test]
fn a_signed_command_over_mqtt_fetches_and_restores_it_and_an_unsigned_one_does_not() {
    let lab = Pm2::new();
    let server = Server::start(&checkpoint());
    let broker = Broker::start();
    let keys = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| {
        let output = Command::new(words[0])
            .args(&words[1..])
            .current_dir(&keys)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["openssl", "genpkey", "-algorithm", "ed25519", "-out", "key"]);
    run(&["openssl", "pkey", "-in", "key", "-pubout", "-out", "public"]);
    let agent = start_with(
        &lab,
        &format!(
            "[device]\nid = \"attic\"\n[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\n[commands]\ntrusted-keys = [{:?}]\n",
            broker.port,
            keys.path().join("public")
        ),
        &format!("crash-window = 1\nca-file = {:?}\n", server.ca_file()),
    );
    agent.wait_until("it has subscribed", |_| broker.logged(&["SUBACK"]) > 0);
    let publish = |message: &str| {
        let topic = "ostler/attic/command/restore-checkpoint";
        let port = broker.port.to_string();
        run(&[
            "mosquitto_pub",
            "-p",
            &port,
            "-q",
            "1",
            "-t",
            topic,
            "-m",
            message,
        ]);
    };
    let sum = run(&["sha256sum", checkpoint().to_str().unwrap()])[..64].to_owned();
    // This server breaks off again and again, so it is asked for the rest each time.
    let args = json!({"source": server.url("broken"), "sha256": sum});
    let command = |id: &str| json!({"id": id, "workload": "validator", "args": args}).to_string();
    publish(&command("unsigned"));
    let script = "printf 'ostler-command-1\\nattic\\nrestore-checkpoint\\n%s' \"$1\" > message &&
        openssl pkeyutl -sign -rawin -inkey key -in message | openssl base64 -A";
    let signature = run(&["sh", "-c", script, "sh", &command("signed")]);
    publish(&json!({"command": command("signed"), "signature": signature}).to_string());
    let record = agent.wait_for("signed");
    assert_eq!(record["state"], "succeeded", "{record}\n{}", agent.log());
    assert_eq!(record["origin"], "mqtt");
    assert!(is_new(&lab) && agent.journalled("unsigned").is_none());
    let served = server.served();
    assert!(
        served.len() > 1 && served[1].starts_with("served /broken ") && !served[1].ends_with(" 0"),
        "it went on where it broke off: {served:?}"
    );
}
