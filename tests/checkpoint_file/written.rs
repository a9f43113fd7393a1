//! What a write leaves behind, and what it does not.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use ostler::checkpoint::{
    Checkpoint, Error, Owner, PLAIN_NAME, Report, Rules, Target, Written, check, stage,
};

use super::python::{Python, repository, run, workspace};
use super::{tiny, tiny_text};

fn made(
    checkpoint: &Checkpoint,
    root: &Path,
    owner: &Owner,
) -> Result<(Report, Option<Written>), Error> {
    let into = Target {
        root,
        owner,
        reserve: 0,
    };
    let listener = &mut |_| ControlFlow::Continue(());
    stage(checkpoint, &Rules::default(), None, &into, listener)
}

#[test]
fn a_write_that_is_stopped_leaves_nothing() {
    let work = workspace();
    let into = work.path().join("validation");
    let checkpoint = Checkpoint::find(&repository("tests/data/checkpoint/s")).unwrap();
    let target = Target {
        root: &into,
        owner: &Owner::default(),
        reserve: 0,
    };
    let mut positions = 0;
    let stopped = stage(
        &checkpoint,
        &Rules::default(),
        None,
        &target,
        &mut |progress| {
            assert!(progress.bytes <= progress.of);
            positions = progress.positions;
            if positions < 100 {
                return ControlFlow::Continue(());
            }
            assert!(into.exists());
            ControlFlow::Break(())
        },
    );
    assert!(matches!(stopped, Err(Error::Cancelled)), "{stopped:?}");
    assert_eq!(positions, 100);
    assert!(!into.exists());
}

#[test]
fn what_is_found_unsound_at_the_end_leaves_nothing_of_what_was_made_before() {
    let work = workspace();
    let path = work.path().join(PLAIN_NAME);
    // Behind every position: the last section, and then a problem that only the end shows.
    let text = tiny_text();
    let text = format!("{}, \"asset_selections\": {{}}}}", &text[..text.len() - 1]);
    fs::write(&path, text).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let into = work.path().join("validation");
    let (report, written) = made(&checkpoint, &into, &Owner::default()).unwrap();
    assert_eq!(written, None);
    assert_eq!(report.problems.listed[0].path, "asset_selections");
    assert!(report.summary.positions > 0);
    assert!(!into.exists());

    // The same with text that cannot be read on.
    fs::write(&path, &tiny_text()[..tiny_text().len() - 1]).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let ended = made(&checkpoint, &into, &Owner::default());
    assert!(matches!(ended, Err(Error::Unfinished { .. })), "{ended:?}");
    assert!(!into.exists());
}

#[test]
fn a_new_file_under_the_old_name_is_another_file() {
    let work = workspace();
    let path = work.path().join(PLAIN_NAME);
    fs::write(&path, tiny_text()).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    fs::write(work.path().join("other"), "{}").unwrap();
    fs::rename(work.path().join("other"), &path).unwrap();
    let into = work.path().join("validation");
    let (_, written) = made(&checkpoint, &into, &Owner::default()).unwrap();
    assert!(written.is_some());
}

#[test]
fn a_file_that_is_written_to_while_it_is_read_is_not_taken() {
    let work = workspace();
    let path = work.path().join(PLAIN_NAME);
    fs::write(&path, tiny_text()).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let into = work.path().join("validation");
    let target = Target {
        root: &into,
        owner: &Owner::default(),
        reserve: 0,
    };
    // The same bytes: what was read of it before and after may be of two different checkpoints all the same.
    let listener = &mut |_| {
        fs::write(&path, tiny_text()).unwrap();
        ControlFlow::Continue(())
    };
    let staged = stage(&checkpoint, &Rules::default(), None, &target, listener);
    assert!(matches!(staged, Err(Error::Changed { .. })), "{staged:?}");
    assert!(!into.exists());
    let checkpoint = Checkpoint::open(&path).unwrap();
    let checked = check(&checkpoint, &Rules::default(), None, listener);
    assert!(matches!(checked, Err(Error::Changed { .. })), "{checked:?}");
}

#[test]
fn a_directory_that_is_there_is_left_alone() {
    let work = workspace();
    let into = work.path().join("validation");
    fs::create_dir(&into).unwrap();
    fs::write(into.join("precious"), "x").unwrap();
    let checkpoint = Checkpoint::open(&tiny()).unwrap();
    let refused = made(&checkpoint, &into, &Owner::default());
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
    made(&checkpoint, &into, &owner).unwrap();
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
    let (ours, theirs) = (
        work.path().join("a/validation"),
        work.path().join("b/validation"),
    );
    fs::create_dir(work.path().join("a")).unwrap();
    fs::create_dir(work.path().join("b")).unwrap();
    let (report, _) = made(&checkpoint, &ours, &Owner::default()).unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    assert_eq!(report.summary.limit_orders, 6);
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
