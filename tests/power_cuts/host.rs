//! A host: a real systemd that starts the simulated miner and the agent, both with all that they keep on one disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::nspawn::Machine;

/// How long anything may take before the test gives up on it.
const PATIENCE: Duration = Duration::from_secs(120);

const MINER: &str = "\
[Service]
Environment=TESTNODE_SYNC=true TESTNODE_RATE=8 TESTNODE_RUN=/run/testnode
ExecStart=/usr/bin/testnode run --data /srv/data
";

const AGENT: &str = "\
[Unit]
After=miner.service
[Service]
Type=notify
ExecStart=/usr/bin/ostler run --config /etc/ostler.toml
";

const BOOT: &str = "\
[Unit]
Wants=miner.service ostler.service
";

const CONFIG: &str = r#"
state-dir = "/srv/state"
[device]
id = "attic"
[http]
listen = []
socket = "/run/ostler.sock"
[[workload]]
name = "miner"
kind = "generic"
runtime = { systemd = { unit = "miner.service" } }
data-dir = "/srv/data"
identity-files = ["miner/swarm_key"]
ready-timeout = 60
[workload.snapshot]
reserve-mib = 1
keep-last = 3
"#;

/// A host that runs.
pub struct Host(Machine);

impl Host {
    /// Boots it with this disk, and waits until its agent answers.
    pub fn boot(image: &Path) -> Self {
        let files = files();
        let own = |name: &str| files.path().join(name);
        let units = "/etc/systemd/system";
        let (miner, agent) = (own("miner"), own("agent"));
        let (boot, config) = (own("boot"), own("config"));
        let host = Self(Machine::boot_with(
            image,
            &[
                (&miner, &format!("{units}/miner.service")),
                (&agent, &format!("{units}/ostler.service")),
                (&boot, &format!("{units}/multi-user.target.d/boot.conf")),
                (&config, "/etc/ostler.toml"),
                (Path::new(env!("CARGO_BIN_EXE_ostler")), "/usr/bin/ostler"),
                (testnode(), "/usr/bin/testnode"),
            ],
        ));
        host.wait_until("the agent answers", |host| {
            host.get("/v1/health").is_object().then_some(())
        });
        host
    }

    /// Runs a program in it.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        self.0.command(program).args(arguments).output().unwrap()
    }

    /// The same, and its output, where it must succeed.
    pub fn must(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {output:?}\n{}",
            self.log()
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Where this test sees one of its files.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.0.path(inside)
    }

    /// What the agent answers.
    pub fn get(&self, path: &str) -> Value {
        self.curl(path, &[])
    }

    /// Asks for an operation; whether it was accepted.
    pub fn ask(&self, operation: &str, id: &str, args: &Value) {
        let body = json!({ "id": id, "workload": "miner", "args": args }).to_string();
        let answer = self.curl(&format!("/v1/commands/{operation}"), &["--json", &body]);
        assert_eq!(answer["id"], id, "{answer}");
    }

    /// Waits for its end.
    pub fn ended(&self, id: &str) -> Value {
        self.wait_until(id, |host| {
            let record = host.get(&format!("/v1/operations/{id}"));
            record["ended_at"].is_string().then_some(record)
        })
    }

    /// The names of the snapshots that it has.
    pub fn snapshots(&self) -> Vec<String> {
        let answer = self.get("/v1/workloads/miner/snapshots");
        let all = answer["snapshots"].as_array();
        all.unwrap_or_else(|| panic!("{answer}"))
            .iter()
            .map(|snapshot| snapshot["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// What the miner says of itself, where it answers.
    pub fn miner(&self) -> Option<Value> {
        let status = self.run("env", &["TESTNODE_RUN=/run/testnode", "testnode", "status"]);
        serde_json::from_slice(&status.stdout).ok()
    }

    /// Asks until there is an answer.
    pub fn wait_until<T>(&self, what: &str, mut ask: impl FnMut(&Self) -> Option<T>) -> T {
        let started = Instant::now();
        loop {
            if let Some(answer) = ask(self) {
                return answer;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "{what}: not within {PATIENCE:?}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What agent and miner wrote since the boot.
    pub fn log(&self) -> String {
        let log = self.run(
            "journalctl",
            &["-q", "-o", "cat", "-u", "ostler", "-u", "miner"],
        );
        String::from_utf8_lossy(&log.stdout).into_owned()
    }

    fn curl(&self, path: &str, more: &[&str]) -> Value {
        let output = Command::new("curl")
            .args(["--silent", "--max-time", "20", "--unix-socket"])
            .arg(self.path("/run/ostler.sock"))
            .args(more)
            .arg(format!("http://localhost{path}"))
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }
}

/// What every host has beside its disk.
fn files() -> &'static TempDir {
    static FILES: OnceLock<TempDir> = OnceLock::new();
    FILES.get_or_init(|| {
        let directory = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for (name, text) in [
            ("miner", MINER),
            ("agent", AGENT),
            ("boot", BOOT),
            ("config", CONFIG),
        ] {
            fs::File::create(directory.path().join(name))
                .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
                .unwrap();
        }
        directory
    })
}

/// The simulated miner, built as its README says.
fn testnode() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testnode");
        let built = Command::new(env!("CARGO"))
            .args(["build", "--release", "--locked", "--quiet"])
            .current_dir(&source)
            .status();
        assert!(built.unwrap().success());
        let target = format!("target/{}-unknown-linux-gnu", std::env::consts::ARCH);
        source.join(target).join("release/testnode")
    })
}
