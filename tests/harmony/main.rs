//! The kind `harmony` against an HTTP server that answers as nodes do, and as they should not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod conditions;
mod node;

use std::time::Duration;

use async_trait::async_trait;
use hyper::StatusCode;
use node::{Answer, Node, header, now};
use ostler::clock::ClockSync;
use ostler::protocol::Health;
use ostler::workload::harmony::{Conditions, Harmony, Network, Role};
use ostler::workload::{Finding, Inside, Kind, Said, Unanswered};
use serde_json::json;

/// A Harmony node has no inside that is asked.
struct Nowhere;

#[async_trait]
impl Inside for Nowhere {
    async fn ask(&self, command: &[&str], _deadline: Duration) -> Result<Said, Unanswered> {
        panic!("it is not to be asked for {command:?}");
    }
}

/// What both doubles are.
fn expected() -> Conditions {
    Conditions {
        role: Some(Role::Validator),
        network: Some(Network::Mainnet),
        shard: Some(0),
        is_leader: false,
        is_archival: Some(false),
        max_seconds_since_last_block: 150,
        public_address: None,
    }
}

fn clock() -> ClockSync {
    let clock = ClockSync::default();
    clock.set(true);
    clock
}

fn harmony(node: &Node) -> Harmony {
    Harmony::new(node.address, expected(), clock())
}

async fn probe(node: &Node) -> Finding {
    harmony(node).probe(&Nowhere).await
}

#[tokio::test]
async fn a_node_in_sync_is_healthy() {
    for (node, height) in [
        (Node::of_today().await, 50_000_000),
        (Node::of_2020().await, 3_500_000),
    ] {
        let finding = probe(&node).await;
        assert_eq!((finding.health, finding.reason), (Health::Healthy, None));
        assert_eq!(finding.height, Some(height));
    }
    assert_eq!(harmony(&Node::silent().await).name(), "harmony");
}

#[tokio::test]
async fn the_age_of_the_head_and_the_sync_make_the_health() {
    const DAY: i64 = 86_400;
    for (age, in_sync, health, told) in [
        (-5, true, Health::Healthy, ""),
        (140, true, Health::Healthy, ""),
        (DAY + 20, true, Health::Failing, "s old"),
        (DAY + 20, false, Health::Starting, "it is catching up"),
        (0, false, Health::Starting, "it is not in sync yet"),
        (-DAY, true, Health::Degraded, "in the future"),
    ] {
        let node = Node::of_today().await;
        node.answer("hmyv2_latestHeader", Answer::Result(header(7, now() - age)));
        node.answer("hmyv2_inSync", Answer::Result(json!(in_sync)));
        let finding = probe(&node).await;
        assert_eq!(finding.health, health, "{age} {in_sync}");
        assert_eq!(finding.height, Some(7));
        let reason = finding.reason.unwrap_or_default();
        assert!(
            reason.contains(told) && reason.is_empty() == told.is_empty(),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn without_a_clock_only_the_node_itself_can_tell() {
    let today = Node::of_today().await;
    today.answer("hmyv2_latestHeader", Answer::Result(header(7, 0)));
    for (node, health) in [
        (today, Health::Healthy),
        (Node::of_2020().await, Health::Unknown),
    ] {
        let harmony = Harmony::new(node.address, expected(), ClockSync::default());
        let finding = harmony.probe(&Nowhere).await;
        assert_eq!(finding.health, health, "{finding:?}");
    }
}

#[tokio::test]
async fn a_node_that_is_not_there_is_told() {
    let address = Node::silent().await.address;
    let finding = Harmony::new(address, expected(), clock())
        .probe(&Nowhere)
        .await;
    assert_eq!((finding.health, finding.height), (Health::Degraded, None));
    let reason = finding.reason.unwrap();
    assert!(
        reason.starts_with(&format!("nothing answers at {address}: ")),
        "{reason}"
    );
}

#[tokio::test]
async fn every_answer_that_is_none_is_told() {
    for (answer, told) in [
        (
            Answer::Error(-32000, "still\nstarting"),
            "the node says: still starting (-32000)",
        ),
        (
            Answer::Raw(StatusCode::OK, "<html>"),
            "is not understood: expected value at line 1",
        ),
        (
            Answer::Raw(StatusCode::OK, "{}"),
            "neither a result nor an error",
        ),
        (Answer::Raw(StatusCode::OK, ""), "is not understood"),
        (
            Answer::Raw(StatusCode::BAD_GATEWAY, "no"),
            "HTTP status 502",
        ),
        (
            Answer::Result(json!({ "blockNumber": "0x10" })),
            "is not understood",
        ),
        (Answer::Result(json!(null)), "neither a result nor an error"),
        (Answer::Endless, "length limit exceeded"),
    ] {
        let node = Node::of_today().await;
        node.answer("hmyv2_latestHeader", answer.clone());
        let finding = probe(&node).await;
        assert_eq!(
            (finding.health, finding.height),
            (Health::Degraded, None),
            "{answer:?}"
        );
        let reason = finding.reason.unwrap();
        assert!(
            reason.contains(told) && reason.len() < 400,
            "{answer:?}: {reason}"
        );
    }
}

#[tokio::test]
async fn a_node_that_hangs_ends_the_probe_at_its_deadline() {
    let (hung, stalled) = tokio::join!(Node::of_today(), Node::of_today());
    hung.answer_all(&Answer::Hang);
    stalled.answer_all(&Answer::Stall);
    // At once: each waits for its whole deadline.
    let (hung, stalled) = tokio::join!(probe(&hung), probe(&stalled));
    for finding in [hung, stalled] {
        let reason = finding.reason.unwrap();
        assert!(reason.contains("was not answered within 15 s"), "{reason}");
    }
}
