//! The backups that restores leave: which of them go, and that they are known again.

use super::*;

#[tokio::test]
async fn only_backups_of_the_agent_go_and_the_newest_stay() {
    let ptn = Ptn::new().offer();
    ptn.put("ptn/backups/20240325_010535/eliminations.json", "{}");
    for id in ["one", "two", "three"] {
        let record = ptn
            .ask(request(id, Operation::RestoreCheckpoint, json!({})))
            .await;
        assert_eq!(record.state, State::Succeeded, "{record:?}");
    }
    let left = ptn.backups();
    assert_eq!(left.len(), 3, "{left:?}");
    assert_eq!(left[0], "20240325_010535");
    // One that was moved and another put in its place is not the agent's any more.
    let taken = ptn.path("ptn/backups").join(&left[1]);
    fs::rename(&taken, ptn.path("ptn/elsewhere")).unwrap();
    fs::create_dir(&taken).unwrap();
    for id in ["four", "five", "six"] {
        ptn.ask(request(id, Operation::RestoreCheckpoint, json!({})))
            .await;
    }
    let left = ptn.backups();
    assert!(
        left.contains(&"20240325_010535".to_owned()) && taken.is_dir(),
        "{left:?}"
    );
    assert_eq!(left.len(), 4, "{left:?}");
}

#[tokio::test]
async fn backups_are_known_again_on_a_disk_that_was_away_and_has_another_number() {
    let ptn = Ptn::new().offer();
    fs::create_dir(ptn.path("disk")).unwrap();
    std::os::unix::fs::symlink(ptn.path("disk"), ptn.path("ptn/backups")).unwrap();
    let restore = |id| request(id, Operation::RestoreCheckpoint, json!({}));
    for id in ["one", "two"] {
        assert_eq!(ptn.ask(restore(id)).await.state, State::Succeeded);
    }
    let index = ptn.path("validator/backups.json");
    let mut known: Value = serde_json::from_slice(&fs::read(&index).unwrap()).unwrap();
    for made in known["backups"].as_array_mut().unwrap() {
        // As earlier versions noted it.
        made["device"] = 4711.into();
    }
    crate::durable::write(&index, known.to_string().as_bytes(), 0o600).unwrap();

    fs::rename(ptn.path("disk"), ptn.path("away")).unwrap();
    let prune = request("away", Operation::Prune, json!({}));
    assert_eq!(ptn.ask(prune).await.output.unwrap()["removed"], json!([]));
    fs::rename(ptn.path("away"), ptn.path("disk")).unwrap();

    let oldest = ptn.backups().remove(0);
    let third = ptn.ask(restore("three")).await.output.unwrap();
    assert_eq!(third["removed_backups"][0]["name"], json!(oldest));
    assert_eq!(ptn.backups().len(), 2);
}
