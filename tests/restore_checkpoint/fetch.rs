//! A checkpoint from a URL, over real TLS: resumed, bounded, compared, and only from whom it should be.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ostler::protocol::{OperationRecord, Reason, State};
use serde_json::{Value, json};

use super::broker::{Broker, Setup};
use super::house::House;

fn checkpoint() -> PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoint/tiny");
    data.join("validator_checkpoint.json.gz")
}

/// A server of the small checkpoint; the broker is only good for its certificates.
struct Server {
    child: Child,
    port: u16,
    certificates: Broker,
}

impl Server {
    fn start() -> Self {
        Self::of(&checkpoint())
    }

    /// A server of another file.
    fn of(file: &Path) -> Self {
        let certificates = Broker::start_with(Setup {
            tls: true,
            ..Setup::default()
        });
        let mut child = Command::new("python3")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/server.py"))
            .arg(file)
            .args([
                certificates.path("server.pem"),
                certificates.path("server.key"),
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let said = child.stdout.take().unwrap();
        BufReader::new(said).read_line(&mut line).unwrap();
        Self {
            child,
            port: line.trim().parse().unwrap(),
            certificates,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}/{path}", self.port)
    }

    /// Ends it, and gives what it has served: each path, and from which byte.
    fn served(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        let said = BufReader::new(self.child.stderr.take().unwrap());
        let lines = said.lines().map_while(Result::ok);
        let served = lines.filter(|line| line.starts_with("served")).collect();
        self.child.wait().unwrap();
        served
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn why(record: &OperationRecord) -> (Reason, &str) {
    let failure = record.failure.as_ref().unwrap();
    (failure.reason, &failure.message)
}

fn sha256() -> String {
    let output = Command::new("sha256sum")
        .arg(checkpoint())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

#[test]
fn a_checkpoint_is_fetched_resumed_compared_and_not_kept() {
    let server = Server::start();
    let house = House::new("tiny");
    fs::remove_file(house.path("ptn/validator_checkpoint.json.gz")).unwrap();
    fs::copy(server.certificates.path("ca.pem"), house.path("ca.pem")).unwrap();
    let broken = json!({"source": server.url("broken"), "sha256": sha256()});
    let record = house.ask(&broken);
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    assert!(house.is_new());
    let left = fs::read_dir(house.path("state/ptn/downloads")).unwrap();
    assert_eq!(left.count(), 0);
    let moved = house.ask(&json!({"source": server.url("moved")}));
    assert_eq!(moved.state, State::Succeeded, "{moved:?}");
    // Parts of two versions are never glued together: each begins anew.
    let changing = house.ask(&json!({"source": server.url("changing")}));
    assert_eq!(changing.state, State::Succeeded, "{changing:?}");
    let served = server.served();
    let size = fs::metadata(checkpoint()).unwrap().len();
    let parts: Vec<_> = (0..size)
        .step_by(300)
        .map(|from| format!("served /broken {from}"))
        .collect();
    assert_eq!(served[..parts.len()], parts, "{served:?}");
    let rest = ["/whole", "/changing", "/changing", "/changing"];
    assert_eq!(
        served[parts.len()..],
        rest.map(|path| format!("served {path} 0"))
    );
}

#[test]
fn a_download_that_is_not_what_it_should_be_changes_nothing() {
    let server = Server::start();
    let house = House::new("tiny");
    let ask = |args: Value| house.ask(&args);
    // Nobody vouches for the server yet.
    let stranger = ask(json!({"source": server.url("whole")}));
    assert_eq!(why(&stranger).0, Reason::DownloadFailed);
    assert!(
        why(&stranger).1.contains("cannot be trusted"),
        "{stranger:?}"
    );
    fs::copy(server.certificates.path("ca.pem"), house.path("ca.pem")).unwrap();
    let missing = ask(json!({"source": server.url("nothing")}));
    assert!(why(&missing).1.contains("404"), "{missing:?}");
    let wrong = ask(json!({"source": server.url("whole"), "sha256": "00".repeat(32)}));
    assert!(why(&wrong).1.contains("SHA-256"), "{wrong:?}");
    let endless = ask(json!({"source": server.url("endless")}));
    assert!(why(&endless).1.contains("larger than"), "{endless:?}");
    let elsewhere = format!("https://127.0.0.1:{}/whole", server.port);
    let elsewhere = ask(json!({"source": elsewhere}));
    assert!(
        why(&elsewhere).1.contains("cannot be trusted"),
        "{elsewhere:?}"
    );
    assert!(!house.is_new() && house.runs());
    house.assert_swept("not fetched");
}

#[test]
fn how_far_it_is_is_told_while_it_is_fetched_checked_and_staged() {
    let house = House::new("tiny");
    let large = house.path("large.json.gz");
    let made = Command::new("python3")
        .args(["-I", "-B", "tests/checkpoint/generate.py", "--into"])
        .arg(&large)
        .args(["--miners", "60", "--positions", "40", "--entries", "320"])
        .status()
        .unwrap();
    assert!(made.success());
    let server = Server::of(&large);
    fs::copy(server.certificates.path("ca.pem"), house.path("ca.pem")).unwrap();
    let record = house.ask(&json!({"source": server.url("slow")}));
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    assert_eq!(record.progress, None, "there is none of what has ended");
    let size = fs::metadata(&large).unwrap().len();
    let told = house.progress();
    for step in ["fetch", "check", "stage"] {
        let mut far = told.iter().filter(|(name, _)| name == step).peekable();
        assert!(far.peek().is_some(), "{step}: {told:?}");
        let mut before = 0;
        for (_, progress) in far {
            assert_eq!(
                (progress.unit.as_str(), progress.total),
                ("bytes", Some(size))
            );
            assert!(progress.done >= before && progress.done <= size, "{told:?}");
            before = progress.done;
        }
    }
}
