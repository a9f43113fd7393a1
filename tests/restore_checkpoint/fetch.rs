//! A checkpoint from a URL, over real TLS: resumed, bounded, compared, and only from whom it should be.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ostler::protocol::{OperationRecord, Reason, State};
use serde_json::{Value, json};

use super::house::House;
use super::server::Server;

fn checkpoint() -> PathBuf {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoint/tiny");
    data.join("validator_checkpoint.json.gz")
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
    let server = Server::start(&checkpoint());
    let house = House::new("tiny");
    fs::remove_file(house.path("ptn/validator_checkpoint.json.gz")).unwrap();
    fs::copy(server.ca_file(), house.path("ca.pem")).unwrap();
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
    let server = Server::start(&checkpoint());
    let house = House::new("tiny");
    let ask = |args: Value| house.ask(&args);
    // Nobody vouches for the server yet.
    let stranger = ask(json!({"source": server.url("whole")}));
    assert_eq!(why(&stranger).0, Reason::DownloadFailed);
    assert!(
        why(&stranger).1.contains("cannot be trusted"),
        "{stranger:?}"
    );
    fs::copy(server.ca_file(), house.path("ca.pem")).unwrap();
    let missing = ask(json!({"source": server.url("nothing")}));
    assert!(why(&missing).1.contains("404"), "{missing:?}");
    let wrong = ask(json!({"source": server.url("whole"), "sha256": "00".repeat(32)}));
    assert!(why(&wrong).1.contains("SHA-256"), "{wrong:?}");
    let endless = ask(json!({"source": server.url("endless")}));
    assert!(why(&endless).1.contains("larger than"), "{endless:?}");
    let elsewhere = format!("https://127.0.0.1:{}/whole", server.port());
    let elsewhere = ask(json!({"source": elsewhere}));
    assert!(
        why(&elsewhere).1.contains("cannot be trusted"),
        "{elsewhere:?}"
    );
    assert!(!house.is_new() && house.runs());
    house.assert_swept("not fetched");
}

#[test]
fn how_far_it_is_is_told_while_it_is_fetched_and_checked() {
    let house = House::new("tiny");
    let large = house.path("large.json.gz");
    let made = Command::new("python3")
        .args(["-I", "-B", "tests/checkpoint/generate.py", "--into"])
        .arg(&large)
        .args(["--miners", "60", "--positions", "40", "--entries", "320"])
        .status()
        .unwrap();
    assert!(made.success());
    let server = Server::start(&large);
    fs::copy(server.ca_file(), house.path("ca.pem")).unwrap();
    let record = house.ask(&json!({"source": server.url("slow")}));
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    assert_eq!(record.progress, None, "there is none of what has ended");
    let size = fs::metadata(&large).unwrap().len();
    let told = house.progress();
    for step in ["fetch", "check"] {
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
