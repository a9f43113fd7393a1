//! Uploads through the engine, with the real rclone and a directory as the bucket.

use super::inn::{Inn, rclone};
use super::*;
use crate::data::Store;

fn upload(id: &str) -> Request {
    request(id, Operation::Upload, json!({}))
}

#[tokio::test]
async fn the_newest_good_snapshot_is_sent_and_the_record_says_what_was() {
    let inn = Inn::new();
    inn.take("first");
    inn.take("second");
    let engine = inn.engine(rclone()).await;
    engine.submit(upload("a")).await;
    let record = ended(&engine, "a").await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    assert_eq!(inn.latest(), "second\n");
    let output = record.output.unwrap();
    assert_eq!(output["snapshot"], "second");
    assert_eq!(output["upload"]["sent"], 1);
    assert_eq!(output["tidy"]["objects"], 0);
    assert_eq!(record.changed, Some(true));
    // The workload was left alone.
    assert_eq!(inn.fake.with(|state| (state.stops, state.starts)), (0, 0));
}

#[tokio::test]
async fn an_upload_that_is_at_work_can_be_cancelled_and_asked_again() {
    let inn = Inn::new();
    inn.take("first");
    let engine = inn.engine(inn.stuck()).await;
    engine.submit(upload("a")).await;
    inn.begun().await;
    let cancel = request("c", Operation::Cancel, json!({"operation": "a"}));
    engine.submit(cancel).await;
    assert_eq!(ended(&engine, "c").await.state, State::Succeeded);
    let record = ended(&engine, "a").await;
    assert_eq!(record.state, State::Cancelled, "{record:?}");
    inn.program("exec /usr/bin/env PATH=\"$PATH\" rclone \"$@\"");
    engine.submit(upload("b")).await;
    assert_eq!(ended(&engine, "b").await.state, State::Succeeded);
    assert_eq!(inn.latest(), "first\n");
}

#[tokio::test]
async fn an_interrupted_upload_is_continued_by_the_next_start_of_the_agent() {
    let inn = Inn::new();
    inn.take("first");
    let engine = inn.engine(inn.stuck()).await;
    engine.submit(upload("a")).await;
    inn.begun().await;
    assert!(!engine.drain(Duration::from_millis(1)).await);
    drop(engine);

    let engine = inn.engine(rclone()).await;
    let record = ended(&engine, "a").await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    assert_eq!(record.recoveries, 1);
    assert_eq!(inn.latest(), "first\n");
}

#[tokio::test]
async fn a_snapshot_can_be_sent_as_its_last_step() {
    let inn = Inn::new();
    let engine = inn.engine(rclone()).await;
    let args = json!({"name": "first", "upload": true});
    engine.submit(request("a", Operation::Snapshot, args)).await;
    let record = ended(&engine, "a").await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    assert_eq!(inn.latest(), "first\n");
    let output = record.output.unwrap();
    assert_eq!(
        (&output["name"], &output["upload"]["sent"]),
        (&json!("first"), &json!(1))
    );
}

#[tokio::test]
async fn a_snapshot_stays_good_when_its_upload_fails() {
    let inn = Inn::new();
    let broken = inn.program("echo 'Failed: 403 Forbidden' >&2; exit 1");
    let engine = inn.engine(broken).await;
    let args = json!({"name": "first", "upload": true});
    engine.submit(request("a", Operation::Snapshot, args)).await;
    let record = ended(&engine, "a").await;
    let failure = record.failure.unwrap();
    assert_eq!(failure.reason, Reason::BucketFailed);
    assert!(
        failure.message.contains("first is good here"),
        "{failure:?}"
    );
    assert!(failure.message.contains("403"), "{failure:?}");
    let store = Store::open(&inn.path("store")).unwrap();
    assert!(store.list().unwrap().iter().all(|stored| stored.is_good()));
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_sent() {
    let inn = Inn::new();
    inn.take("first");
    let engine = inn.engine(rclone()).await;
    let plan = Request {
        dry_run: true,
        ..upload("a")
    };
    engine.submit(plan).await;
    let record = ended(&engine, "a").await;
    assert_eq!(record.changed, Some(false), "{record:?}");
    assert_eq!(record.output.unwrap()["upload"]["sent"], 1);
    assert!(!inn.path("bucket").exists());
}
