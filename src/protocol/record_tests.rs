//! What a record says of itself.

use super::*;
use StepState::{Done, Failed};

fn failed(operation: &str, running: bool, steps: &[(&str, StepState)]) -> OperationRecord {
    let step = |(name, state): &(&str, StepState)| Step {
        name: (*name).to_owned(),
        state: *state,
        took_ms: None,
        detail: None,
    };
    let record = serde_json::json!({
        "id": "a", "number": 1, "operation": operation, "origin": "local", "state": "failed",
        "accepted_at": "2026-01-31T12:00:00Z", "clock_synced": true, "found": {"running": running},
    });
    let record: OperationRecord = serde_json::from_value(record).unwrap();
    OperationRecord {
        steps: steps.iter().map(step).collect(),
        ..record
    }
}

#[test]
fn out_of_service_is_what_ran_was_stopped_and_did_not_answer_again() {
    for steps in [
        &[("stop", Done), ("cut", Done), ("start", Failed)][..],
        &[("stop", Done), ("start", Done), ("confirm", Failed)],
        &[("stop", StepState::Started)],
        // A restore whose old data, back in its place, does not come up either.
        &[("stop", Done), ("stop again", Done), ("confirm", Failed)],
    ] {
        assert!(
            failed("restore", true, steps).is_out_of_service(),
            "{steps:?}"
        );
        assert!(
            !failed("restore", false, steps).is_out_of_service(),
            "{steps:?}"
        );
        assert!(
            !failed("stop", true, steps).is_out_of_service(),
            "{steps:?}"
        );
    }
    for steps in [
        &[("check", Failed)][..],
        &[("stop", Failed), ("start", Done), ("confirm", Done)],
        &[("stop", Done), ("confirm", Done), ("seal", Failed)],
        // A restore that was undone.
        &[("stop", Done), ("stop again", Done), ("confirm", Done)],
    ] {
        assert!(
            !failed("restore", true, steps).is_out_of_service(),
            "{steps:?}"
        );
    }
    let mut record = failed("restore", true, &[("stop", Done)]);
    record.state = State::Running;
    assert!(!record.is_out_of_service());
}

#[test]
fn what_follows_the_place_in_an_address_is_told_to_nobody() {
    let mut record = failed("fastsync", true, &[]);
    let args = serde_json::json!({
        "url": "https://chain.example/snap?X-Amz-Signature=secret", "sha256": "ab", "why": "really?", "lines": 3,
    });
    record.args = args.as_object().unwrap().clone();
    let told = record.clone().told();
    assert_eq!(told.args["url"], "https://chain.example/snap");
    for same in ["sha256", "why", "lines"] {
        assert_eq!(told.args[same], record.args[same]);
    }
}
