//! Validators that others start while their state is exchanged.

use super::*;

#[tokio::test(start_paused = true)]
async fn nothing_is_moved_under_a_validator_that_crept_in_and_cannot_be_stopped() {
    let ptn = Ptn::new().offer();
    let old = ptn.tree("ptn/validation");
    let miner = ptn.path("ptn/validation/miners").join(MINER);
    let exchanged = move || miner.is_dir();
    ptn.fake.with(|state| {
        state.starts_when = Some(Box::new(exchanged.clone()));
        state.unstoppable = Some(Box::new(exchanged));
    });
    let record = ptn.restore(json!({})).await;
    assert_eq!(why(&record), Some(Reason::RuntimeFailed), "{record:?}");
    let journal = ptn.path("validator/exchange.json");
    assert!(ptn.is_new() && journal.exists());
    let seen = ptn
        .fake
        .with(|state| (state.running, state.starts, state.armed));
    assert_eq!(seen, (true, 0, false), "it runs on");

    // The next one keeps the old state.
    ptn.fake.with(|state| state.unstoppable = None);
    let next = json!({"force": true});
    let record = ptn
        .ask(request("two", Operation::RestoreCheckpoint, next))
        .await;
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    let backups = ptn.backups();
    let mut trees = backups
        .iter()
        .map(|name| ptn.tree(&format!("ptn/backups/{name}")));
    assert!(trees.any(|tree| tree == old), "{backups:?}");
    assert!(ptn.fake.with(|state| state.running));
    ptn.assert_swept();
}
