//! Restores that an earlier one has left something to do.

use super::*;

/// The old tree could not become a backup; what is in place was proven.
#[tokio::test]
async fn what_an_earlier_restore_could_not_keep_is_kept_by_the_next_and_undone_by_none() {
    let ptn = Ptn::new().offer();
    let old = ptn.tree("ptn/validation");
    let in_the_way = crate::durable::temporary_name(&ptn.path("validator/backups.json"));
    fs::create_dir_all(&in_the_way).unwrap();
    let record = ptn.restore(json!({})).await;
    assert_eq!(why(&record), Some(Reason::DataFailed), "{record:?}");
    let journal = ptn.path("validator/exchange.json");
    assert!(ptn.is_new() && journal.exists());

    // The next one is interrupted before it has touched anything.
    let name = Name::new("ptn").unwrap();
    let asked = request("two", Operation::RestoreCheckpoint, json!({}));
    let check = Step {
        name: "check".to_owned(),
        state: StepState::Started,
        took_ms: None,
        detail: None,
    };
    let interrupted = OperationRecord {
        state: State::Running,
        steps: vec![check],
        found: Some(Found {
            running: true,
            run: Some("2".to_owned()),
        }),
        ..OperationRecord::accepted(asked, Some(name), 2)
    };
    let path = ptn.path("operations/two.json");
    crate::durable::write(&path, &serde_json::to_vec(&interrupted).unwrap(), 0o600).unwrap();
    let engine = ptn.engine().await;
    let record = ended(&engine, "two").await;
    assert_eq!(why(&record), Some(Reason::Interrupted), "{record:?}");
    assert!(engine.drain(Duration::from_secs(30)).await);
    assert!(ptn.is_new() && journal.exists());

    fs::remove_dir(in_the_way).unwrap();
    let third = request(
        "three",
        Operation::RestoreCheckpoint,
        json!({"force": true}),
    );
    let record = ptn.ask(third).await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    let backups = ptn.backups();
    assert_eq!(backups.len(), 2, "{backups:?}");
    let trees = backups
        .iter()
        .map(|name| ptn.tree(&format!("ptn/backups/{name}")));
    assert_eq!(trees.filter(|tree| *tree == old).count(), 1);
    ptn.assert_swept();
}
