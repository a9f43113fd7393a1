//! Cuts that come to nothing: no snapshot, and a workload that runs.

use std::fs;
use std::os::fd::AsRawFd;
use std::sync::Mutex;

use super::inn::{Inn, rclone};
use super::*;
use crate::operation::Snapshots;

async fn snapshot(inn: &Inn, plan: Snapshots) -> crate::protocol::OperationRecord {
    let engine = inn.engine_with(plan).await;
    engine
        .submit(request("a", Operation::Snapshot, json!({})))
        .await;
    ended(&engine, "a").await
}

fn nothing_is_left(inn: &Inn) {
    let store = fs::read_dir(inn.path("store")).unwrap();
    let left: Vec<_> = store.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"]);
}

#[tokio::test]
async fn a_cut_that_takes_too_long_is_given_up_and_the_workload_started() {
    let inn = Inn::new();
    let plan = Snapshots {
        longest_cut: Duration::ZERO,
        ..inn.snapshots(rclone())
    };
    let record = snapshot(&inn, plan).await;
    let failure = record.failure.as_ref().unwrap();
    assert_eq!(failure.reason, Reason::OutOfTime, "{record:?}");
    let seen = inn
        .fake
        .with(|state| (state.running, state.stops, state.starts));
    assert_eq!(seen, (true, 1, 1));
    nothing_is_left(&inn);
    // It may have links without number: not while the workload waits.
    let steps: Vec<_> = record.steps.iter().map(|step| step.name.as_str()).collect();
    assert!(
        steps.ends_with(&["start", "confirm", "abandon"]),
        "{steps:?}"
    );
}

/// A filesystem whose server never says a word, where one can be mounted.
struct Hung {
    at: PathBuf,
    _server: fs::File,
}

impl Hung {
    fn at(at: PathBuf) -> Option<Self> {
        let server = fs::File::options().read(true).write(true).open("/dev/fuse");
        let server = server.ok()?;
        let how = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0",
            server.as_raw_fd()
        );
        let (name, none) = (Some("nobody-answers"), nix::mount::MsFlags::empty());
        nix::mount::mount(name, &at, Some("fuse"), none, Some(how.as_str())).ok()?;
        Some(Self {
            at,
            _server: server,
        })
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        // The end of its server, which comes next, frees whoever waits for it.
        let _ = nix::mount::umount2(&self.at, nix::mount::MntFlags::MNT_DETACH);
    }
}

#[tokio::test]
async fn a_disk_that_hangs_in_the_cut_keeps_no_workload_stopped() {
    let inn = Inn::new();
    let mounted: Arc<Mutex<Option<Hung>>> = Arc::default();
    let (at, mount) = (inn.path("data"), mounted.clone());
    let hangs = move || *mount.lock().unwrap() = Hung::at(at);
    inn.fake.with(|state| state.at_stop = Some(Box::new(hangs)));
    let plan = Snapshots {
        longest_cut: Duration::from_millis(100),
        ..inn.snapshots(rclone())
    };
    let record = snapshot(&inn, plan).await;
    if mounted.lock().unwrap().take().is_none() {
        eprintln!("SKIPPED: no filesystem can be mounted here: root and FUSE are needed");
        return;
    }
    let failure = record.failure.as_ref().unwrap();
    assert_eq!(failure.reason, Reason::OutOfTime, "{record:?}");
    let seen = inn
        .fake
        .with(|state| (state.running, state.stops, state.starts));
    assert_eq!(seen, (true, 1, 1));
}

#[tokio::test]
async fn what_runs_again_during_the_cut_gives_no_snapshot() {
    let inn = Inn::new();
    inn.fake.with(|state| state.starts_again = true);
    let record = snapshot(&inn, inn.snapshots(rclone())).await;
    let failure = record.failure.as_ref().unwrap();
    assert_eq!(failure.reason, Reason::NotPossible, "{record:?}");
    assert!(
        failure.message.contains("something started it"),
        "{failure:?}"
    );
    assert!(inn.fake.with(|state| state.running));
    nothing_is_left(&inn);
}
