//! rclone that is not there, fails, hangs, or floods.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ostler::data::{Bucket, Control, Error, Interrupted};

use crate::inventory::{Inn, miner};
use crate::snapshots::name;

fn with(inn: &Inn, script: &str) -> Bucket {
    let program = inn.path("rclone");
    crate::inventory::script(&program, script);
    Bucket {
        program,
        patience: Duration::from_secs(60),
        ..inn.bucket()
    }
}

fn inn() -> Inn {
    let inn = Inn::new(150);
    inn.take("first");
    inn
}

#[test]
fn one_that_is_not_there_is_a_debian_package() {
    let inn = inn();
    let bucket = Bucket {
        program: PathBuf::from("/nowhere/rclone"),
        ..inn.bucket()
    };
    let error = inn.upload(&bucket, "first").unwrap_err();
    assert!(matches!(error, Error::NoRclone { .. }), "{error}");
    assert!(error.to_string().contains("Debian package `rclone`"));
}

#[test]
fn one_that_fails_is_quoted_without_what_lets_others_in() {
    let inn = inn();
    let bucket = with(
        &inn,
        "echo 'Failed: https://me:secret@s3.example/b?signature=secret: 403' >&2; exit 1",
    );
    let message = inn.upload(&bucket, "first").unwrap_err().to_string();
    assert!(
        message.contains("403") && message.contains("s3.example"),
        "{message}"
    );
    assert!(!message.contains("secret"), "{message}");
}

#[test]
fn one_that_hangs_is_ended_with_what_it_started() {
    let inn = inn();
    let pids = inn.path("pids");
    let mut bucket = with(
        &inn,
        &format!("sleep 600 & echo $! $$ > {}; wait", pids.display()),
    );
    bucket.patience = Duration::from_secs(3);
    let message = inn.upload(&bucket, "first").unwrap_err().to_string();
    assert!(message.contains("nothing moved"), "{message}");
    let stat = |pid: &str| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let deadline = Instant::now() + Duration::from_secs(20);
    for pid in fs::read_to_string(pids).unwrap().split_whitespace() {
        // Its parent is gone too: it may wait as a zombie for init, and no more.
        while !stat(pid).is_empty() && !stat(pid).contains(") Z ") {
            assert!(Instant::now() < deadline, "{}", stat(pid));
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_cancel_ends_it_at_once_and_a_later_upload_works() {
    let inn = inn();
    let mut bucket = with(&inn, "exec sleep 600");
    bucket.patience = Duration::from_secs(600);
    let cancelled = Arc::new(AtomicBool::new(false));
    let mut control = Control::unlimited().cancelled_by(cancelled.clone());
    let upload = std::thread::scope(|scope| {
        let upload = scope
            .spawn(|| bucket.upload(&inn.store, &miner(), &name("first"), false, &mut control));
        // Whether it has begun already makes no difference to what is promised.
        cancelled.store(true, Ordering::Relaxed);
        upload.join().unwrap()
    });
    assert!(
        matches!(upload, Err(Error::Interrupted(Interrupted::Cancelled))),
        "{upload:?}"
    );
    inn.upload(&inn.bucket(), "first").unwrap();
}

#[test]
fn two_at_a_time_on_one_store_are_refused() {
    let inn = inn();
    let mut bucket = with(
        &inn,
        &format!("touch {}; exec sleep 600", inn.path("begun").display()),
    );
    bucket.patience = Duration::from_secs(600);
    let cancelled = Arc::new(AtomicBool::new(false));
    let mut control = Control::unlimited().cancelled_by(cancelled.clone());
    std::thread::scope(|scope| {
        scope.spawn(|| bucket.upload(&inn.store, &miner(), &name("first"), false, &mut control));
        let deadline = Instant::now() + Duration::from_secs(60);
        while !inn.path("begun").exists() {
            assert!(Instant::now() < deadline, "it does not begin");
            std::thread::sleep(Duration::from_millis(5));
        }
        let error = inn.upload(&inn.bucket(), "first").unwrap_err();
        cancelled.store(true, Ordering::Relaxed);
        assert!(matches!(error, Error::Busy { .. }), "{error}");
    });
}

#[test]
fn settings_of_the_environment_do_not_reach_it() {
    let inn = inn();
    let bucket = with(
        &inn,
        &format!(
            "env > {}; echo \"$@\" >> {0}; exit 7",
            inn.path("env").display()
        ),
    );
    inn.upload(&bucket, "first").unwrap_err();
    let seen = fs::read_to_string(inn.path("env")).unwrap();
    assert!(
        seen.contains("PATH=") && !seen.contains("RCLONE_"),
        "{seen}"
    );
    assert!(seen.contains("--ask-password=false"), "{seen}");
}
