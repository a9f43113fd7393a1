//! A miner that is behind loads a newer snapshot of its chain, from here or there; its sync goes on whatever comes of it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::engine;
use super::snapshots::Device;

/// A snapshot of the chain as somebody else would have it, below the miner's data; gives its place on this host.
pub fn mint(device: &Device, height: u64) -> PathBuf {
    let file = format!("snap/minted-{height}");
    let inside = format!("/var/data/{file}");
    let height = height.to_string();
    let mint = [
        "exec",
        device.miner.0,
        "testnode",
        "mint",
        "--height",
        &height,
        &inside,
    ];
    engine().docker(&mint);
    device.agent.path("data").join(file)
}

/// What the miner says of its sync.
pub fn sync_state(device: &Device) -> String {
    engine().docker(&["exec", device.miner.0, "miner", "repair", "sync_state"])
}

/// What is kept below the miner's data for snapshots of the chain.
fn kept(device: &Device) -> Vec<String> {
    let entries = std::fs::read_dir(device.agent.path("data/snap")).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn reached(record: &Value, device: &Device, height: u64) {
    assert_eq!(
        record["state"],
        "succeeded",
        "{record}\n{}",
        device.agent.log()
    );
    assert_eq!(record["output"]["height"], height, "{record}");
    assert!(device.height() >= height, "{record}");
    assert_eq!(sync_state(device), "sync active");
}

#[test]
fn a_newer_snapshot_is_loaded_and_one_that_is_not_newer_is_refused() {
    let device = Device::start("fastsync");
    let refused = device.ask("fastsync", "nothing", json!({}));
    assert_eq!(refused["failure"]["reason"], "not-possible", "{refused}");
    let message = refused["failure"]["message"].as_str().unwrap();
    assert!(
        message.contains("--url") && message.contains("snapshot-url"),
        "{message}"
    );

    // A file that the miner sees.
    let height = device.height() + 5000;
    let file = mint(&device, height);
    let plan = json!({"id": "plan", "dry_run": true, "args": {"file": file}});
    device.agent.post("fastsync", &plan);
    let plan = device.agent.wait_for("plan");
    assert_eq!(
        (&plan["state"], &plan["changed"]),
        (&json!("succeeded"), &json!(false)),
        "{plan}"
    );
    assert!(device.height() < height);
    let record = device.ask("fastsync", "seen", json!({"file": file}));
    reached(&record, &device, height);
    let steps: Vec<_> = record["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["name"].clone())
        .collect();
    assert_eq!(
        steps,
        ["check", "examine", "pause", "load", "resume", "confirm"]
    );

    let again = device.ask("fastsync", "again", json!({"file": file}));
    assert_eq!(again["failure"]["reason"], "not-possible", "{again}");
    assert!(
        again["failure"]["message"]
            .as_str()
            .unwrap()
            .contains("set the miner back"),
        "{again}"
    );
    assert!(
        again["steps"]
            .as_array()
            .unwrap()
            .iter()
            .all(|step| step["name"] != "pause"),
        "{again}"
    );

    // One that it does not see is brought to it, and removed afterwards.
    let height = device.height() + 5000;
    let file = device.agent.path("elsewhere");
    std::fs::rename(mint(&device, height), &file).unwrap();
    let before = kept(&device);
    let record = device.ask("fastsync", "unseen", json!({"file": file}));
    reached(&record, &device, height);
    assert_eq!(kept(&device), before);
    assert!(file.exists(), "it belongs to somebody else");

    // The newest of its own.
    let height = device.height() + 5000;
    std::fs::rename(
        mint(&device, height),
        device.agent.path(&format!("data/snap/snap-{height}")),
    )
    .unwrap();
    let record = device.ask("fastsync", "own", json!({}));
    reached(&record, &device, height);
}

#[test]
fn a_snapshot_comes_from_the_web_packed_and_described() {
    let device = Device::start("fastsync-web");
    let web = Web::start(device.agent.path("web"));
    let height = device.height() + 5000;
    let file = web.directory.join(format!("snap-{height}"));
    std::fs::rename(mint(&device, height), &file).unwrap();
    assert!(Command::new("gzip").arg(&file).status().unwrap().success());
    let describe = |height: u64| {
        let text = json!({"height": height, "hash": "AAAA", "file_size": 1}).to_string();
        std::fs::File::create(web.directory.join("latest-snap.json"))
            .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
            .unwrap();
    };
    let url = web.url("latest-snap.json");
    let before = kept(&device);

    describe(1);
    let old = device.ask("fastsync", "old", json!({"url": url}));
    assert_eq!(old["failure"]["reason"], "not-possible", "{old}");
    assert_eq!(
        old["steps"].as_array().unwrap().len(),
        1,
        "nothing was fetched: {old}"
    );

    describe(height + 1);
    let absent = device.ask("fastsync", "absent", json!({"url": url}));
    assert!(
        absent["failure"]["message"]
            .as_str()
            .unwrap()
            .contains("404"),
        "{absent}"
    );
    assert_eq!(kept(&device), before);

    describe(height);
    let record = device.ask("fastsync", "described", json!({"url": url}));
    reached(&record, &device, height);
    assert_eq!(kept(&device), before);
}

#[test]
fn sync_goes_on_after_a_load_that_fails_and_nothing_damaged_is_loaded() {
    let device = Device::start("fastsync-fails");
    let height = device.height() + 50_000;
    let file = mint(&device, height);
    engine().docker(&[
        "exec",
        device.miner.0,
        "testnode",
        "set",
        "load-fails",
        "true",
    ]);
    let record = device.ask("fastsync", "fails", json!({"file": file}));
    assert_eq!(record["failure"]["reason"], "data-failed", "{record}");
    assert!(
        record["failure"]["message"]
            .as_str()
            .unwrap()
            .contains("bad_hash"),
        "{record}"
    );
    assert_eq!(sync_state(&device), "sync active");
    let now = device.height();
    device
        .agent
        .wait_until("it goes on", |_| device.height() > now);

    let text = std::fs::read(&file).unwrap();
    let half = std::fs::File::options().write(true).open(&file).unwrap();
    half.set_len(text.len() as u64 / 2).unwrap();
    let damaged = device.ask("fastsync", "damaged", json!({"file": file}));
    assert_eq!(damaged["failure"]["reason"], "damaged", "{damaged}");
    assert!(
        damaged["steps"]
            .as_array()
            .unwrap()
            .iter()
            .all(|step| step["name"] != "pause"),
        "{damaged}"
    );
}

/// A directory that is served over HTTP by Python's own server.
struct Web {
    directory: PathBuf,
    port: u16,
    process: Child,
}

impl Web {
    fn start(directory: PathBuf) -> Self {
        std::fs::create_dir(&directory).unwrap();
        // It says itself which port it has got.
        let mut process = Command::new("python3")
            .args([
                "-u",
                "-m",
                "http.server",
                "0",
                "--bind",
                "127.0.0.1",
                "--directory",
            ])
            .arg(&directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut said)
            .unwrap();
        let mut words = said.split_whitespace().skip_while(|word| *word != "port");
        let port = words.nth(1).and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("no port: {said}"));
        Self {
            directory,
            port,
            process,
        }
    }

    fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
