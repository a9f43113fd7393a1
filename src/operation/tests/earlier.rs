//! Exchanges that an earlier operation has left, and dry runs of a restore.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use super::inn::{Inn, rclone};
use super::*;
use crate::data::exchange::Scope;
use crate::data::{Control, Exchange, Staged, Store};

/// A device with the snapshot `first`, whose data has changed since.
fn changed() -> Inn {
    let inn = Inn::new();
    inn.take("first");
    crate::durable::write(&inn.path("data/file"), b"changed", 0o600).unwrap();
    inn
}

/// The exchange of an operation that has ended in the middle of it.
fn left(inn: &Inn) -> Exchange {
    let store = Store::open(&inn.path("store")).unwrap();
    let control = &mut Control::unlimited();
    let exclusive = store.lock(control).unwrap();
    let manifest = store.get(&Name::new("first").unwrap()).unwrap();
    let data = inn.path("data");
    let staged = Staged::build(&exclusive, &manifest, &data, None, 0, control).unwrap();
    staged.exchange(&store.exchange_journal()).unwrap()
}

fn restore(id: &str, dry_run: bool) -> Request {
    Request {
        dry_run,
        ..request(id, Operation::Restore, json!({}))
    }
}

/// Everything below the device's directory, with its size.
fn everything(inn: &Inn) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    for part in ["data", "store"] {
        let tree =
            crate::data::tree::Tree::walk(&inn.path(part), &|_| false, &Control::unlimited());
        let entries = tree.unwrap().entries.into_iter();
        all.extend(entries.map(|entry| (format!("{part}/{}", entry.path), entry.identity.size)));
    }
    let mut beside: Vec<_> = fs::read_dir(inn.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "state")
        .map(|name| (name, 0))
        .collect();
    beside.sort();
    all.extend(beside);
    all
}

#[tokio::test]
async fn what_an_earlier_restore_could_not_end_is_ended_by_the_next() {
    for committed in [false, true] {
        let inn = changed();
        let mut exchange = left(&inn);
        if committed {
            exchange.commit().unwrap();
        }
        let engine = inn.engine(rclone()).await;
        engine.submit(restore("a", false)).await;
        let record = ended(&engine, "a").await;
        assert_eq!(record.state, State::Succeeded, "{committed}: {record:?}");
        let steps: Vec<_> = record.steps.iter().map(|step| step.name.as_str()).collect();
        assert!(steps.contains(&"earlier ended"), "{steps:?}");
        assert!(!inn.path("store/exchange.json").exists());
        assert_ne!(fs::read(inn.path("data/file")).unwrap(), b"changed");
        // One stop, for this restore: nothing of the earlier one had to be moved.
        let seen = inn
            .fake
            .with(|state| (state.running, state.stops, state.starts));
        assert_eq!(seen, (true, 1, 1), "{committed}");
        let beside = everything(&inn).into_iter().map(|(path, _)| path);
        let left: Vec<_> = beside.filter(|path| path.contains("staged")).collect();
        assert_eq!(left, [""; 0]);
    }
}

#[tokio::test]
async fn a_person_who_is_to_say_whether_the_new_data_stays_is_waited_for() {
    let inn = changed();
    let mut exchange = left(&inn);
    exchange.wait_for_a_word();
    exchange.commit().unwrap();
    let engine = inn.engine(rclone()).await;
    engine.submit(restore("a", false)).await;
    let record = ended(&engine, "a").await;
    let failure = record.failure.unwrap();
    assert_eq!(failure.reason, Reason::Busy, "{failure:?}");
    assert!(
        failure.message.contains("ostler store accept"),
        "{failure:?}"
    );
    // The old data is there for them.
    let staged = fs::read_dir(inn.path(".")).unwrap();
    let mut staged = staged
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("staged"));
    let old = staged.next().unwrap();
    assert_eq!(fs::read(old.join("file")).unwrap(), b"changed");
}

#[tokio::test]
async fn what_cannot_be_asked_has_to_stay_up_on_the_new_data() {
    let inn = changed();
    // The second run is the one on the snapshot: it is up, and crashes a moment later.
    inn.fake.with(|state| state.ends_in_run = Some((2, 2)));
    let engine = inn.engine(rclone()).await;
    engine.submit(restore("a", false)).await;
    let record = ended(&engine, "a").await;
    let failure = record.failure.unwrap();
    assert_eq!(failure.reason, Reason::NotReady, "{failure:?}");
    assert!(
        failure.message.contains("the old data is back"),
        "{failure:?}"
    );
    assert_eq!(fs::read(inn.path("data/file")).unwrap(), b"changed");
    let seen = inn.fake.with(|state| (state.running, state.run));
    assert_eq!(seen, (true, 3), "on the old data");
}

#[tokio::test]
async fn a_dry_run_of_a_restore_tells_the_sizes_and_stages_nothing() {
    let inn = changed();
    let engine = inn.engine(rclone()).await;
    let before = everything(&inn);
    engine.submit(restore("a", true)).await;
    let record = ended(&engine, "a").await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    assert_eq!(record.changed, Some(false));
    assert_eq!(everything(&inn), before);
    let steps: Vec<_> = record.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(steps, ["choose", "verify", "look"]);
    let output = record.output.unwrap();
    let bytes = fs::metadata(inn.path("store/first/data/file"))
        .unwrap()
        .len();
    assert_eq!(output["snapshot"], "first", "{output}");
    assert_eq!(
        (&output["bytes"], &output["needs_bytes"]),
        (&json!(bytes), &json!(bytes))
    );
    assert_eq!(output["replaces_files"], 1);
    assert!(output["free_bytes"].as_u64() > Some(0), "{output}");
    let fake = inn.fake.with(|state| (state.stops, state.starts));
    assert_eq!(fake, (0, 0));
}

#[tokio::test]
async fn a_snapshot_says_what_ends_an_exchange_that_is_left() {
    let inn = changed();
    left(&inn).commit().unwrap();
    let engine = inn.engine(rclone()).await;
    let before = everything(&inn);
    engine
        .submit(request("a", Operation::Snapshot, json!({})))
        .await;
    let failure = ended(&engine, "a").await.failure.unwrap();
    assert_eq!(failure.reason, Reason::Busy, "{failure:?}");
    assert!(failure.message.contains("ostler restore"), "{failure:?}");
    assert_eq!(everything(&inn), before);
    let fake = inn.fake.with(|state| (state.stops, state.starts));
    assert_eq!(fake, (0, 0), "the workload is left alone");
}

#[tokio::test]
async fn a_dry_run_of_a_pruning_makes_no_store() {
    let inn = changed();
    fs::remove_dir_all(inn.path("store")).unwrap();
    let engine = inn.engine(rclone()).await;
    let request = Request {
        dry_run: true,
        ..request("a", Operation::Prune, json!({}))
    };
    engine.submit(request).await;
    let record = ended(&engine, "a").await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    assert_eq!(record.output.unwrap(), json!({ "removed": [] }));
    assert!(!inn.path("store").exists());
}

#[tokio::test]
async fn what_was_staged_does_not_outlive_a_restore_that_fails() {
    for arms in [false, true] {
        let inn = changed();
        let odd = inn.path("data").join(OsStr::from_bytes(b"\xff"));
        inn.fake.with(|state| match arms {
            // What is carried over is walked, and a manifest could not hold this name.
            true => state.at_stop = Some(Box::new(move || drop(fs::File::create(odd)))),
            false => state.arm_errors.push_back(refused()),
        });
        let engine = inn.engine(rclone()).await;
        engine.submit(restore("a", false)).await;
        let record = ended(&engine, "a").await;
        assert_eq!(record.state, State::Failed, "{arms}: {record:?}");
        assert_eq!(inn.staged(), [""; 0].map(PathBuf::from), "{arms}");
        assert_eq!(fs::read(inn.path("data/file")).unwrap(), b"changed");
        let seen = inn
            .fake
            .with(|state| (state.running, state.stops, state.armed));
        assert_eq!(seen, (true, u32::from(arms), false));
    }
}

#[tokio::test]
async fn nothing_starts_from_outside_what_was_found_stopped() {
    let inn = changed();
    inn.fake.with(|state| state.running = false);
    let engine = inn.engine(rclone()).await;
    engine.submit(restore("a", false)).await;
    let record = ended(&engine, "a").await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    let seen = inn.fake.with(|state| (state.running, state.arms));
    assert_eq!(seen, (false, 0));
}

/// It is as if it had just been asked, but for the runtime: after a boot that may come later.
#[tokio::test(start_paused = true)]
async fn an_operation_that_only_waited_begins_after_the_agent_has_started_anew() {
    let inn = changed();
    journalled(&inn, &accepted());
    inn.fake
        .with(|state| state.inspect_errors = [(); 3].map(|()| unresponsive()).into());
    let engine = inn.engine(rclone()).await;
    let record = ended(&engine, "a").await;
    assert_eq!(
        (record.state, record.recoveries),
        (State::Succeeded, 0),
        "{record:?}"
    );
    assert_ne!(fs::read(inn.path("data/file")).unwrap(), b"changed");
}

#[tokio::test]
async fn a_link_to_the_data_stays_one() {
    let inn = changed();
    fs::create_dir(inn.path("disk")).unwrap();
    fs::rename(inn.path("data"), inn.path("disk/data")).unwrap();
    std::os::unix::fs::symlink(inn.path("disk/data"), inn.path("data")).unwrap();
    let engine = inn.engine(rclone()).await;
    engine.submit(restore("a", false)).await;
    let record = ended(&engine, "a").await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    assert!(inn.path("data").is_symlink());
    assert_ne!(fs::read(inn.path("disk/data/file")).unwrap(), b"changed");
    let left = fs::read_dir(inn.path("disk")).unwrap().count();
    assert_eq!(left, 1);
}

fn accepted() -> OperationRecord {
    let name = Name::new("miner").unwrap();
    OperationRecord::accepted(restore("a", false), Some(name), 1)
}

fn journalled(inn: &Inn, record: &OperationRecord) {
    let path = inn.path("state/operations/a.json");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    crate::durable::write(&path, &serde_json::to_vec(record).unwrap(), 0o600).unwrap();
}

/// The restore `a`, interrupted after these steps.
fn interrupted(inn: &Inn, steps: &[(&str, StepState)]) {
    let step = |(name, state): &(&str, StepState)| Step {
        name: (*name).to_owned(),
        state: *state,
        took_ms: None,
        detail: None,
    };
    let record = OperationRecord {
        state: State::Running,
        steps: steps.iter().map(step).collect(),
        found: Some(Found {
            running: true,
            run: Some("1".to_owned()),
        }),
        ..accepted()
    };
    journalled(inn, &record);
}

/// An exchange entry by entry that stopped halfway; the workload ran until it was stopped for it.
fn torn() -> Inn {
    let inn = changed();
    let (data, staged) = (inn.path("data"), inn.path("data/.ostler-staged"));
    fs::create_dir(&staged).unwrap();
    let put = |path: PathBuf, content: &[u8]| crate::durable::write(&path, content, 0o600).unwrap();
    put(data.join("other"), b"changed");
    for name in ["file", "other"] {
        put(staged.join(name), b"new");
    }
    let journal = inn.path("store/exchange.json");
    let mut exchange = Exchange::begin(&journal, &data, &staged, &Scope::Entries).unwrap();
    exchange.note_ran(true);
    exchange.commit().unwrap();
    fs::rename(data.join("other"), inn.path("aside")).unwrap();
    fs::rename(staged.join("other"), data.join("other")).unwrap();
    fs::rename(inn.path("aside"), staged.join("other")).unwrap();
    let mut plan: Value = serde_json::from_slice(&fs::read(&journal).unwrap()).unwrap();
    plan["done"] = false.into();
    put(journal, plan.to_string().as_bytes());
    inn.fake.with(|state| state.running = false);
    inn
}

#[tokio::test]
async fn what_stopped_halfway_is_started_by_nobody_before_it_is_ended() {
    let inn = torn();
    let engine = inn.engine(rclone()).await;
    for operation in [Operation::Start, Operation::Restart] {
        let id = operation.as_str();
        engine.submit(request(id, operation, json!({}))).await;
        let failure = ended(&engine, id).await.failure.unwrap();
        assert_eq!(failure.reason, Reason::NotPossible, "{failure:?}");
        assert!(failure.message.contains("ostler restore"), "{failure:?}");
    }
    assert_eq!(inn.fake.with(|state| state.starts), 0);
    engine.submit(restore("a", false)).await;
    let record = ended(&engine, "a").await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    assert!(!inn.path("data/other").exists());
    // It ran before the first of the two.
    assert!(inn.fake.with(|state| state.running));
}

#[tokio::test]
async fn an_end_of_an_earlier_exchange_that_was_interrupted_goes_on_before_a_start() {
    let inn = torn();
    interrupted(&inn, &[("end earlier", StepState::Done)]);
    let engine = inn.engine(rclone()).await;
    let record = ended(&engine, "a").await;
    let reason = record.failure.as_ref().map(|failure| failure.reason);
    assert_eq!(reason, Some(Reason::Interrupted), "{record:?}");
    assert!(!inn.path("store/exchange.json").exists(), "{record:?}");
    for name in ["data/file", "data/other"] {
        assert_eq!(fs::read(inn.path(name)).unwrap(), b"new");
    }
    assert!(inn.fake.with(|state| state.running));
}

#[tokio::test]
async fn half_of_each_is_not_started_from_outside() {
    let inn = torn();
    let steps = ["arm", "stop", "exchange"].map(|name| (name, StepState::Done));
    interrupted(&inn, &steps);
    // Somebody has replaced what was to be moved.
    fs::create_dir(inn.path("data/another")).unwrap();
    fs::remove_file(inn.path("data/other")).unwrap();
    fs::rename(inn.path("data/another"), inn.path("data/other")).unwrap();
    inn.fake.with(|state| state.armed = true);
    let engine = inn.engine(rclone()).await;
    let record = ended(&engine, "a").await;
    let reason = record.failure.as_ref().map(|failure| failure.reason);
    assert_eq!(reason, Some(Reason::DataFailed), "{record:?}");
    let seen = inn.fake.with(|state| (state.running, state.armed));
    assert_eq!(seen, (false, false));
}
