//! The validator's own script, in a copy of its tree: what it makes is examined and exchanged, or nothing is changed.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use ostler::protocol::{OperationRecord, Reason, State};
use serde_json::json;

use super::house::House;

/// A script that makes the tree as the real one does, by the rules in Python.
const HONEST: &str = r#"
import sys
sys.path.insert(0, "TESTS")
import rules
rules.tree("validator_checkpoint.json.gz", "validation", "7.1.1")
print("regeneration complete in 0.01 seconds")
"#;

fn upstream(house: &House, script: &str) -> OperationRecord {
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/checkpoint");
    let script = script.replace("TESTS", tests);
    house.put("ptn/restore_validator_from_backup.py", &script);
    house.ask(&json!({"engine": "upstream"}))
}

fn unknown_release() -> House {
    let house = House::new("tiny");
    house.put("ptn/meta/meta.json", r#"{"subnet_version": "9.9.9"}"#);
    house
}

#[test]
fn a_release_that_is_not_known_is_restored_by_its_own_script() {
    let house = unknown_release();
    let native = house.run();
    let reason = native.failure.unwrap().reason;
    assert_eq!(reason, Reason::ConditionsNotMet);
    // The modes are those of the tree, whatever the script's umask.
    let tree = house.path("ptn/validation");
    fs::set_permissions(&tree, fs::Permissions::from_mode(0o775)).unwrap();
    let record = upstream(&house, &format!("import os; os.umask(0o77)\n{HONEST}"));
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    assert!(house.is_new() && house.runs());
    for (name, mode) in [
        ("validation", 0o775),
        ("validation/miners", 0o775),
        ("validation/eliminations.json", 0o664),
        ("backups", 0o775),
    ] {
        let found = fs::metadata(house.path("ptn").join(name)).unwrap().mode() & 0o7777;
        assert_eq!(found, mode, "{name}: {found:o}");
    }
    assert_eq!(house.backups().len(), 1);
    assert_eq!(
        fs::read(house.path("ptn/validation/timestamp.json")).unwrap(),
        b"1"
    );
    house.assert_swept("by the script");
}

#[test]
fn a_script_that_lies_fails_hangs_or_hides_something_changes_nothing() {
    let house = unknown_release();
    let old = house.picture("ptn/validation");
    let hidden = format!(
        "{HONEST}\nimport os, glob\nos.remove(glob.glob('validation/miners/*/*/*/closed/*')[0])"
    );
    let link = format!("{HONEST}\nimport os\nos.symlink('/etc', 'validation/etc')");
    for (script, reason) in [
        ("print('RESTORE COMPLETED SUCCESSFULLY')", Reason::Unsound),
        (
            "import sys; sys.exit('no secrets.json')",
            Reason::DataFailed,
        ),
        ("import time; time.sleep(60)", Reason::OutOfTime),
        (hidden.as_str(), Reason::Unsound),
        (link.as_str(), Reason::Unsound),
    ] {
        let record = upstream(&house, script);
        let failure = record.failure.as_ref().unwrap();
        assert_eq!(failure.reason, reason, "{script}: {record:?}");
        assert!(record.step("stop").is_none() && house.runs());
        assert_eq!(house.picture("ptn/validation"), old, "{script}");
        house.assert_swept(script);
    }
}
