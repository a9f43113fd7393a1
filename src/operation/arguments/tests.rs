//! Arguments as they come, and why some are refused.

use super::*;

fn read(operation: Operation, args: Value) -> Result<Arguments, String> {
    let Value::Object(args) = args else {
        panic!("not an object")
    };
    Arguments::read(operation, &args).map_err(|failure| failure.message)
}

#[test]
fn arguments_are_typed_and_in_range() {
    use serde_json::json;
    assert_eq!(read(Operation::Start, json!({})), Ok(Arguments::Start));
    assert_eq!(
        read(Operation::Restart, json!({"grace_s": 5})),
        Ok(Arguments::Restart {
            grace: Some(Duration::from_secs(5))
        })
    );
    let auto = read(Operation::Snapshot, json!({"way": "auto"}));
    assert!(
        matches!(&auto, Ok(Arguments::Snapshot(asked)) if asked.way.map(WantedWay::way) == Some(None)),
        "{auto:?}"
    );
    assert_eq!(
        read(Operation::Logs, json!({})),
        Ok(Arguments::Logs { lines: 100 })
    );
    for (operation, args, named) in [
        (Operation::Start, json!({"x": 1}), "x"),
        (Operation::Stop, json!({"grace_s": "5"}), "grace_s"),
        (Operation::Stop, json!({"grace_s": -1}), "grace_s"),
        (Operation::Stop, json!({"grace_s": 1e9 as u64}), "grace_s"),
        (Operation::Snapshot, json!({"way": "fast"}), "way"),
        (Operation::Snapshot, json!({"name": "../x"}), "name"),
        (Operation::Verify, json!({"snapshot": "../x"}), "snapshot"),
        (
            Operation::Restore,
            json!({"from_bucket": "yes"}),
            "from_bucket",
        ),
        (Operation::Resync, json!({"from": "moon"}), "from"),
        (
            Operation::Resync,
            json!({"from": "scratch", "link": true}),
            "link",
        ),
        (
            Operation::Fastsync,
            json!({"url": "http://a", "file": "/b"}),
            "not both",
        ),
        (Operation::Reset, json!({"keep": 1}), "keep"),
        (Operation::Reboot, json!({"force": 1}), "force"),
        (
            Operation::RestoreCheckpoint,
            json!({"source": "http://a/b"}),
            "source",
        ),
        (
            Operation::RestoreCheckpoint,
            json!({"source": "relative"}),
            "source",
        ),
        (
            Operation::RestoreCheckpoint,
            json!({"sha256": "abc"}),
            "sha256",
        ),
        (
            Operation::RestoreCheckpoint,
            json!({"layout": "1.2.3"}),
            "layout",
        ),
        (Operation::Logs, json!({"lines": 0}), "lines"),
        (Operation::Cancel, json!({}), "operation"),
        (Operation::Cancel, json!({"operation": "../x"}), "operation"),
    ] {
        let message = read(operation, args).unwrap_err();
        assert!(message.contains(named), "{message}");
    }
}
