//! The agent is killed in the middle of a restore, and started again: one tree or the other is whole, the apps run on it, and the
//! record has ended.

use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

/// How long a step may take to come.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_restore_that_is_killed_at_any_step_leaves_one_whole_state_and_a_validator_that_runs() {
    let lab = Pm2::new();
    // Nothing here crashes.
    let mut agent = start_with(&lab, "", "crash-window = 1\n");
    let (tree, old, new) = (
        lab.checkout().join("validation"),
        lab.path("old"),
        lab.path("new"),
    );
    copy(&tree, &old);
    let file = checkpoint();
    let unpack = ["checkpoint", "unpack", file.to_str().unwrap(), "--into"];
    let unpacked = Command::new(env!("CARGO_BIN_EXE_ostler"))
        .args(unpack)
        .arg(&new)
        .output()
        .unwrap();
    assert!(unpacked.status.success(), "{unpacked:?}");

    let (mut finished, mut undone) = (0, 0);
    for (step, state) in [
        ("check", "started"),
        ("check", "done"),
        ("stage", "started"),
        ("stop", "started"),
        ("stop", "done"),
        ("carry", "done"),
        ("exchange", "started"),
        ("exchange", "done"),
        ("start", "started"),
        ("confirm", "started"),
        ("watch", "started"),
        ("keep", "started"),
        ("keep", "done"),
    ] {
        let id = format!("{step}-{state}");
        let command = json!({"id": id, "workload": "validator", "args": {"source": file}});
        let accepted = agent.post("restore-checkpoint", &command);
        assert_eq!(accepted["id"], id.as_str(), "{accepted}");
        until(&agent, &id, step, state);
        agent.kill();
        agent.start();
        let record = agent.wait_for(&id);
        let said = format!("{id}: {record}\n{}", agent.log());

        lab.wait_until("both run", |lab| lab.both_run());
        assert_eq!(lab.apps().len(), 2, "{said}");
        let backups = lab.checkout().join("backups");
        let backups: Vec<_> = fs::read_dir(backups).into_iter().flatten().collect();
        match record["state"].as_str().unwrap() {
            "succeeded" => {
                finished += 1;
                assert_same(&new.join("validation/miners"), &tree.join("miners"), &said);
                let backup = backups[0].as_ref().unwrap().path();
                assert_same(&old, &backup, &said);
            }
            "failed" => {
                undone += 1;
                assert_eq!(record["failure"]["reason"], "interrupted", "{said}");
                assert_same(&old, &tree, &said);
                assert!(backups.is_empty(), "{said}");
            }
            _ => panic!("{said}"),
        }
        for entry in fs::read_dir(lab.checkout()).unwrap() {
            let name = entry.unwrap().file_name();
            assert!(!name.to_string_lossy().starts_with(".ostler-"), "{said}");
        }
        // The stand-in reads its tree at its start only.
        fs::remove_dir_all(&tree).unwrap();
        copy(&old, &tree);
        let _ = fs::remove_dir_all(lab.checkout().join("backups"));
    }
    assert!(
        finished > 1 && undone > 1,
        "both sides of the commit: {finished} finished, {undone} undone"
    );
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(status.unwrap().success());
}

/// Two trees with the same files and the same content.
fn assert_same(one: &Path, other: &Path, said: &str) {
    let output = Command::new("diff").arg("-r").args([one, other]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}\n{said}");
}

/// Waits until a step is so, or the operation has come further.
fn until(agent: &Agent, id: &str, step: &str, state: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let record = agent.journalled(id).unwrap_or_default();
        let steps = record["steps"].as_array().cloned().unwrap_or_default();
        let is = |wanted: &Value| {
            wanted["name"] == step && (wanted["state"] == state || wanted["state"] == "done")
        };
        if steps.iter().any(is) {
            return;
        }
        assert!(
            !record["ended_at"].is_string() && Instant::now() < deadline,
            "no step {step}: {record}\n{}",
            agent.log()
        );
        std::thread::sleep(Duration::from_millis(1));
    }
}
