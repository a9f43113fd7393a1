//! What was seen of a miner, and what is at work on it.

use serde_json::json;

use super::super::*;
use crate::protocol::{OperationRecord, WorkloadReport};
use crate::workload::Said;
use crate::workload::helium::{Answer, Heights, Identity, Peers};

pub(super) const NOW: &str = "2022-01-20T18:12:36Z";
pub(super) const ID: &str = "6a2289280243c8558f8ffb83af5cca545f804b3e6518b2044b686f3a4a8ba05c";
pub(super) const P2P: &str = "+---------+-------+\n|  name   |result |\n+---------+-------+\n|connected|  no   |\n+---------+-------+\n\n";
pub(super) const BOOK: &str = "+------+\n| name |\n+------+\n|fancy-|\n+------+\n\n";

pub(super) fn said(text: &str, status: i64) -> Answer {
    Answer::Said(Said {
        status,
        text: text.to_owned(),
    })
}

pub(super) fn late() -> Answer {
    Answer::Late("no answer".to_owned())
}

/// The workload's report, with this state of its process and this standing.
pub(super) fn report(state: &str, sync: &str, chain: Option<u64>) -> WorkloadReport {
    serde_json::from_value(json!({
        "name": "miner", "kind": "helium", "runtime": "docker miner", "state": state,
        "since": NOW, "health": "healthy",
        "sync": { "state": sync, "since": NOW, "lasted_s": 5, "chain_height": chain },
        "image": "quay.io/team-helium/miner:miner-arm64_2022.01.12.1_GA",
        "instance": ID, "created_at": "2022-01-20T18:12:05.118Z", "started_at": "2022-01-20T18:12:07.2Z",
    }))
    .unwrap()
}

/// A miner that answers everything: epoch and height as given.
pub(super) fn answers(sync: &str, epoch: u64, height: u64, gap: i64) -> Observation {
    Observation {
        state: serde_json::from_value(json!(sync)).unwrap(),
        height: said(&format!("{epoch}\t\t{height}\n"), 0),
        p2p_status: said(P2P, 0),
        peer_book: said(BOOK, 0),
        region: said(
            if height == 1 {
                "us915\n"
            } else {
                "region_us915\n"
            },
            0,
        ),
        heights: Some(Heights {
            epoch,
            height,
            loaded: None,
        }),
        gap: Some(gap),
        ..known()
    }
}

/// Who the miner is, and nothing else.
pub(super) fn known() -> Observation {
    Observation {
        identity: Identity {
            animal: Some("fancy-awesome-bobcat".to_owned()),
            public_key: Some("112qB3".to_owned()),
        },
        last_region: Some("us915".to_owned()),
        peers: Peers::default(),
        ..Observation::default()
    }
}

/// A miner that answers nothing in time.
pub(super) fn silent(sync: &str) -> Observation {
    Observation {
        state: serde_json::from_value(json!(sync)).unwrap(),
        height: late(),
        p2p_status: late(),
        peer_book: late(),
        region: late(),
        ..known()
    }
}

pub(super) fn job(operation: &str, state: &str, steps: &[(&str, &str)]) -> OperationRecord {
    let steps: Vec<_> = steps
        .iter()
        .map(|(name, state)| json!({ "name": name, "state": state }))
        .collect();
    serde_json::from_value(json!({
        "id": "a", "number": 1, "operation": operation, "workload": "miner", "origin": "http", "state": state,
        "accepted_at": NOW, "clock_synced": true, "steps": steps,
    }))
    .unwrap()
}
