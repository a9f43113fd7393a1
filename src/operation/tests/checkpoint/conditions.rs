//! What a restore waits for, and what it tells before it touches anything.

use super::*;

/// What `git` holds while it works on the code.
const LOCK: &str = "ptn/.git/index.lock";

fn steps(record: &OperationRecord) -> Vec<&str> {
    record.steps.iter().map(|step| step.name.as_str()).collect()
}

#[tokio::test]
async fn the_updater_is_waited_for_before_anything_is_stopped() {
    let ptn = Ptn::new().offer();
    ptn.put(LOCK, "");
    let engine = ptn.engine().await;
    engine
        .submit(request("one", Operation::RestoreCheckpoint, json!({})))
        .await;
    let id = OperationId::new("one").unwrap();
    let waits = |engine: &Engine| {
        let record = engine.record(&id).unwrap();
        record
            .steps
            .last()
            .is_some_and(|step| step.name == "wait for the updater")
    };
    while !waits(&engine) {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(ptn.fake.with(|state| state.stops), 0);
    fs::remove_file(ptn.path(LOCK)).unwrap();
    let record = ended(&engine, "one").await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    assert!(ptn.is_new());
}

#[tokio::test(start_paused = true)]
async fn an_updater_that_does_not_come_to_an_end_is_named_and_the_validator_runs_on() {
    let ptn = Ptn::new().offer();
    ptn.put(LOCK, "");
    let before = ptn.tree("ptn");
    let record = ptn.restore(json!({})).await;
    assert_eq!(why(&record), Some(Reason::Busy), "{record:?}");
    let message = &record.failure.as_ref().unwrap().message;
    assert!(message.contains("index.lock"), "{message}");
    assert!(!steps(&record).contains(&"stop"), "{record:?}");
    assert_eq!(ptn.tree("ptn"), before);
    assert_eq!(ptn.fake.with(|state| state.stops), 0);
    ptn.assert_swept();
}

#[tokio::test]
async fn a_dry_run_names_miners_that_come_and_go_and_counts_what_is_newer_on_disk() {
    let ptn = Ptn::new().offer();
    let dry = |id: &str, args: Value| Request {
        dry_run: true,
        ..request(id, Operation::RestoreCheckpoint, args)
    };
    let told = ptn.ask(dry("one", json!({}))).await.output.unwrap();
    assert_eq!(told["on_disk"]["added"], json!([MINER]));
    assert_eq!(told["on_disk"]["removed"], json!([OTHER]));
    assert_eq!(told["on_disk"]["newer_positions"], 0);

    // The state of the checkpoint itself, in which one position has got another order since.
    let restored = request("two", Operation::RestoreCheckpoint, json!({}));
    assert_eq!(ptn.ask(restored).await.state, State::Succeeded);
    let file = position(MINER, "6d6e2447-8b67-4bf9-82c1-547ddc971706");
    let text = fs::read_to_string(ptn.path(&file)).unwrap();
    let mut document: Value = serde_json::from_str(&text).unwrap();
    let mut later = document["orders"][0].clone();
    later["order_uuid"] = json!("later");
    later["processed_ms"] = json!(1_900_000_000_000_i64);
    document["orders"].as_array_mut().unwrap().push(later);
    ptn.put(&file, &document.to_string());
    let before = ptn.tree("ptn");
    let refused = ptn.ask(dry("three", json!({}))).await;
    assert_eq!(why(&refused), Some(Reason::Unsound), "{refused:?}");
    let message = &refused.failure.as_ref().unwrap().message;
    assert!(
        message.contains("1 orders"),
        "it says what would be lost: {message}"
    );
    let forced = ptn.ask(dry("four", json!({"force": true}))).await;
    assert_eq!(forced.state, State::Succeeded, "{forced:?}");
    for record in [refused, forced] {
        let on_disk = &record.output.as_ref().unwrap()["on_disk"];
        assert_eq!(on_disk["newer_positions"], 1, "{record:?}");
        assert_eq!(on_disk["lost_orders"], 1, "{record:?}");
        assert_eq!(on_disk["added"], json!([]), "{record:?}");
        assert_eq!(on_disk["removed"], json!([]), "{record:?}");
    }
    assert_eq!(ptn.tree("ptn"), before);
}
