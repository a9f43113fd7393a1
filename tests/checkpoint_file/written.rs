//! What a write leaves behind, and what it does not.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use ostler::checkpoint::{Checkpoint, Error, Owner, PLAIN_NAME, Rules, check, write};

use super::python::{Python, repository, run, workspace};
use super::{tiny, tiny_text};

#[test]
fn a_write_that_is_stopped_leaves_nothing() {
    let work = workspace();
    let into = work.path().join("validation");
    let checkpoint = Checkpoint::find(&repository("tests/data/checkpoint/s")).unwrap();
    let report = check(&checkpoint, &Rules::default(), None, &mut |_| {
        ControlFlow::Continue(())
    })
    .unwrap();
    let mut there = 0;
    let stopped = write(
        &checkpoint,
        &report,
        &into,
        &Owner::default(),
        &mut |progress| {
            assert!(progress.bytes <= progress.of);
            if progress.positions < 100 {
                return ControlFlow::Continue(());
            }
            there = fs::read_dir(into.join("miners")).unwrap().count();
            ControlFlow::Break(())
        },
    );
    assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
    assert!(there > 0, "it was stopped before it had begun");
    assert!(!into.exists());
}

#[test]
fn a_file_that_changes_after_the_check_is_not_written() {
    let work = workspace();
    let path = work.path().join(PLAIN_NAME);
    fs::write(&path, tiny_text()).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let listener = &mut |_| ControlFlow::Continue(());
    let report = check(&checkpoint, &Rules::default(), None, listener).unwrap();
    let into = work.path().join("validation");

    fs::write(&path, tiny_text().replace("101024.24", "101024.25")).unwrap();
    let changed = write(&checkpoint, &report, &into, &Owner::default(), listener);
    assert!(matches!(changed, Err(Error::Changed { .. })), "{changed:?}");
    assert!(!into.exists());

    // A new file under the old name is another file: the one that was checked is still open.
    fs::write(&path, tiny_text()).unwrap();
    fs::write(work.path().join("other"), "{}").unwrap();
    fs::rename(work.path().join("other"), &path).unwrap();
    write(&checkpoint, &report, &into, &Owner::default(), listener).unwrap();
}

#[test]
fn a_directory_that_is_there_is_left_alone() {
    let work = workspace();
    let into = work.path().join("validation");
    fs::create_dir(&into).unwrap();
    fs::write(into.join("precious"), "x").unwrap();
    let checkpoint = Checkpoint::open(&tiny()).unwrap();
    let listener = &mut |_| ControlFlow::Continue(());
    let report = check(&checkpoint, &Rules::default(), None, listener).unwrap();
    let refused = write(&checkpoint, &report, &into, &Owner::default(), listener);
    assert!(
        matches!(refused, Err(Error::Io { action: "make", .. })),
        "{refused:?}"
    );
    assert_eq!(fs::read_dir(&into).unwrap().count(), 1);
}

#[test]
fn owner_and_modes_are_those_that_were_asked_for() {
    let work = workspace();
    let into = work.path().join("validation");
    let checkpoint = Checkpoint::open(&tiny()).unwrap();
    let listener = &mut |_| ControlFlow::Continue(());
    let report = check(&checkpoint, &Rules::default(), None, listener).unwrap();
    let me = fs::metadata(work.path()).unwrap();
    let root = nix::unistd::geteuid().is_root();
    let (uid, gid) = if root {
        (1234, 2345)
    } else {
        (me.uid(), me.gid())
    };
    let owner = Owner {
        uid: Some(uid),
        gid: Some(gid),
        file_mode: 0o640,
        directory_mode: 0o2750,
    };
    write(&checkpoint, &report, &into, &owner, listener).unwrap();
    let mut pending = vec![into.clone()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let mode = if metadata.is_dir() { 0o2750 } else { 0o640 };
        assert_eq!(
            metadata.permissions().mode() & 0o7777,
            mode,
            "{}",
            path.display()
        );
        assert_eq!(
            (metadata.uid(), metadata.gid()),
            (uid, gid),
            "{}",
            path.display()
        );
        if metadata.is_dir() {
            pending.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
    let like = Owner::of(&into).unwrap();
    assert_eq!(
        (like.uid, like.gid, like.file_mode),
        (Some(uid), Some(gid), 0o640)
    );
}

#[test]
fn limit_orders_and_packed_ledgers_of_8_8_9_are_what_python_makes_of_them() {
    let work = workspace();
    let file = work.path().join("c.json.gz");
    run(
        "generate.py",
        &[
            "--into",
            file.to_str().unwrap(),
            "--version",
            "8.8.9",
            "--miners",
            "3",
            "--positions",
            "6",
        ],
    );
    let checkpoint = Checkpoint::open(&file).unwrap();
    let listener = &mut |_| ControlFlow::Continue(());
    let report = check(&checkpoint, &Rules::default(), None, listener).unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    assert_eq!(report.summary.limit_orders, 6);
    let (ours, theirs) = (
        work.path().join("a/validation"),
        work.path().join("b/validation"),
    );
    fs::create_dir(work.path().join("a")).unwrap();
    fs::create_dir(work.path().join("b")).unwrap();
    write(&checkpoint, &report, &ours, &Owner::default(), listener).unwrap();
    let mut python = Python::start("rules.py");
    python.tree(&file, &theirs, "8.8.9");
    let made = python.manifest(&ours);
    assert_eq!(made, python.manifest(&theirs));
    assert!(
        made.iter()
            .any(|line| line.contains("/limit_orders/") && line.contains("/unfilled/"))
    );
    assert!(
        made.iter()
            .any(|line| line.ends_with("validation/perf_ledgers.json.gz"))
    );
}
