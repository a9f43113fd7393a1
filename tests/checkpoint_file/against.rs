//! A checkpoint beside the state that it would replace.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use ostler::checkpoint::{Checkpoint, PLAIN_NAME, Rules, check};
use serde_json::json;

use super::python::{Python, run, workspace};

/// Makes a checkpoint and, at a later time, the state of the same miners.
fn older_than_disk(work: &Path) -> (Checkpoint, PathBuf) {
    let sizes = [
        "--miners",
        "2",
        "--positions",
        "4",
        "--entries",
        "1",
        "--pairs",
        "0",
    ];
    let file = work.join(PLAIN_NAME);
    let later = work.join("later.json");
    run(
        "generate.py",
        &[
            &["--into", file.to_str().unwrap(), "--now", "1762740000000"],
            &sizes[..],
        ]
        .concat(),
    );
    run(
        "generate.py",
        &[
            &["--into", later.to_str().unwrap(), "--now", "1762750000000"],
            &sizes[..],
        ]
        .concat(),
    );
    // One more position for the first miner, and an order less in the checkpoint's own.
    let mut document: serde_json::Value =
        serde_json::from_slice(&fs::read(&later).unwrap()).unwrap();
    let miners = document["positions"].as_object_mut().unwrap();
    let list = miners.values_mut().next().unwrap()["positions"]
        .as_array_mut()
        .unwrap();
    let mut more = list[0].clone();
    more["position_uuid"] = json!("only-on-disk");
    list.push(more);
    list[1]["orders"][0]["order_uuid"] = json!("an-order-only-on-disk");
    fs::write(&later, document.to_string()).unwrap();
    let validation = work.join("validation");
    Python::start("rules.py").tree(&later, &validation, "7.1.1");
    (Checkpoint::open(&file).unwrap(), validation)
}

#[test]
fn a_checkpoint_older_than_the_disk_is_refused_and_the_loss_is_told() {
    let work = workspace();
    let (checkpoint, validation) = older_than_disk(work.path());
    let listener = &mut |_| ControlFlow::Continue(());
    let report = check(&checkpoint, &Rules::default(), Some(&validation), listener).unwrap();
    let what = &report.problems.listed[0].what;
    assert_eq!(report.problems.total, 1);
    assert!(what.starts_with("is older than what is on disk"), "{what}");
    assert!(
        what.contains("0 miners, 1 positions and 4 orders"),
        "{what}"
    );
    let found = report.on_disk.unwrap();
    assert_eq!((found.miners, found.positions), (2, 9));
    assert_eq!(
        (found.lost_miners, found.lost_positions, found.lost_orders),
        (0, 1, 4)
    );
    assert!(
        found
            .listed
            .iter()
            .any(|loss| loss.whole && loss.position == "only-on-disk" && loss.orders == 3)
    );

    let rules = Rules {
        older_than_disk: true,
        ..Rules::default()
    };
    let report = check(&checkpoint, &rules, Some(&validation), listener).unwrap();
    assert!(report.is_sound());
    assert_eq!(report.warnings.total, 1);
}

#[test]
fn a_broken_state_on_disk_does_not_stop_its_repair() {
    let work = workspace();
    let (checkpoint, validation) = older_than_disk(work.path());
    let miners = validation.join("miners");
    let miner = fs::read_dir(&miners)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let open = miner.join("positions/BTCUSD/open");
    fs::create_dir_all(&open).unwrap();
    fs::write(open.join("empty"), "").unwrap();
    fs::write(open.join("cut"), "{\"orders\": [").unwrap();
    fs::write(open.join("editor.swp"), "not looked at").unwrap();
    fs::write(miners.join("a file, not a miner"), "").unwrap();
    nix::unistd::mkfifo(&open.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let listener = &mut |_| ControlFlow::Continue(());
    let report = check(&checkpoint, &Rules::default(), Some(&validation), listener).unwrap();
    assert_eq!(report.on_disk.unwrap().unreadable, 3);
}

/// A file that is what the checkpoint makes is not parsed, and counts all the same.
#[test]
fn what_is_the_same_counts_as_what_says_the_same() {
    let work = workspace();
    let (checkpoint, _) = older_than_disk(work.path());
    let validation = work.path().join("same");
    Python::start("rules.py").tree(checkpoint.path(), &validation, "7.1.1");
    let compared = || {
        let listener = &mut |_| ControlFlow::Continue(());
        let report = check(&checkpoint, &Rules::default(), Some(&validation), listener).unwrap();
        assert!(report.is_sound());
        (report.summary, report.on_disk.unwrap())
    };
    let (summary, same) = compared();
    assert_eq!(
        (same.positions, same.orders),
        (summary.positions, summary.orders)
    );
    assert_eq!(same.newest_order_ms, summary.newest_order_ms);
    assert_eq!((same.miners, same.lost_orders, same.unreadable), (2, 0, 0));
    let mut directories = vec![validation.join("miners")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let content = fs::read_to_string(&path).unwrap();
                fs::write(&path, format!("{content}\n")).unwrap();
            }
        }
    }
    assert_eq!(compared().1, same);
}
