//! Commands that nobody should send.

use ostler::protocol::MAX_COMMAND_BYTES;
use serde_json::json;

use super::attic::Attic;
use super::broker::{Broker, Setup};
use super::watcher::Watcher;

#[tokio::test]
async fn each_bad_command_is_answered_with_its_reason() {
    let broker = Broker::start();
    let mut watcher = Watcher::at(&broker).await;
    let mut attic = Attic::at(&broker).await;
    attic.connected().await;
    for (operation, payload, reason) in [
        ("stop", r#"{"id":"b1","grace":1}"#, "malformed"),
        ("stop", r#"{"id":"b2","dry_run":"yes"}"#, "malformed"),
        ("format-disk", r#"{"id":"b3"}"#, "unknown-operation"),
        (
            "stop",
            r#"{"id":"b4","workload":"mule"}"#,
            "unknown-workload",
        ),
        (
            "stop",
            r#"{"id":"b5","args":{"grace_s":"long"}}"#,
            "bad-arguments",
        ),
        (
            "stop",
            r#"{"id":"b6","expires_at":"2020-01-01T00:00:00Z"}"#,
            "expired",
        ),
    ] {
        watcher.command(operation, payload).await;
        let id = serde_json::from_str::<serde_json::Value>(payload).unwrap()["id"].clone();
        let topic = format!("ostler/attic/operation/{}", id.as_str().unwrap());
        let refusal = watcher.message(&topic, |_| true).await;
        assert_eq!(
            (&refusal["state"], &refusal["failure"]["reason"]),
            (&json!("refused"), &json!(reason))
        );
    }
    watcher.command("stop", "garbage").await;
    watcher
        .message("ostler/attic/event", |event| {
            event["kind"] == "command-refused"
                && event["message"].as_str().unwrap().contains("JSON object")
        })
        .await;
    assert_eq!(attic.engine.refused(), 7);
    assert!(attic.animal.running() && attic.engine.records().is_empty());
}

#[tokio::test]
async fn a_retained_command_is_refused_at_every_connect_and_never_run() {
    let broker = Broker::start();
    let mut watcher = Watcher::at(&broker).await;
    watcher
        .publish("ostler/attic/command/stop", r#"{"id":"old"}"#, true)
        .await;
    let mut attic = Attic::at(&broker).await;
    attic.connected().await;
    let refusal = watcher
        .message("ostler/attic/operation/old", |_| true)
        .await;
    assert_eq!(refusal["failure"]["reason"], "retained");
    assert!(attic.animal.running());
}

#[tokio::test]
async fn enormous_commands_are_refused_and_what_waits_behind_them_is_run() {
    let broker = Broker::start();
    let mut watcher = Watcher::at(&broker).await;
    let mut attic = Attic::at(&broker).await;
    attic.connected().await;
    attic.stop().await;
    // They wait at the broker, with a good one behind them.
    for bytes in [MAX_COMMAND_BYTES + 1, 1 << 20, 20 << 20] {
        watcher.command("stop", vec![b' '; bytes]).await;
    }
    watcher.command("stop", r#"{"id":"behind"}"#).await;
    let mut attic = Attic::at(&broker).await;
    attic.connected().await;
    watcher
        .message("ostler/attic/operation/behind", |record| {
            record["state"] == "succeeded"
        })
        .await;
    assert_eq!(attic.engine.refused(), 3);
    let refusals = attic.engine.refusals();
    assert!(
        refusals
            .iter()
            .all(|refusal| refusal.failure.reason == ostler::protocol::Reason::TooLarge),
        "{refusals:?}"
    );
    assert_eq!(attic.link.borrow().connection, 1, "it did not reconnect");
}

#[tokio::test]
async fn ten_thousand_hostile_commands_are_all_counted() {
    const MANY: u64 = 10_000;
    let broker = Broker::start();
    let mut watcher = Watcher::at(&broker).await;
    let mut attic = Attic::at(&broker).await;
    attic.connected().await;
    let deep = "[".repeat(10_000);
    let kinds = [
        "",
        "\0",
        "{",
        "[]",
        r#"{"id":"../../etc/passwd"}"#,
        r#"{"id":1e999}"#,
        "\u{fffd}",
        &deep,
        r#"{"id":"x","id":"y"}"#,
        "null",
    ];
    for number in 0..MANY {
        let payload = kinds[number as usize % kinds.len()];
        watcher.pour("ostler/attic/command/stop", payload).await;
    }
    watcher.command("stop", r#"{"id":"good"}"#).await;
    watcher
        .message("ostler/attic/operation/good", |record| {
            record["state"] == "succeeded"
        })
        .await;
    assert_eq!(attic.engine.refused(), MANY);
    let events = watcher.on("ostler/attic/event").len() as u64;
    assert!(events < MANY / 10, "{events} events");
    assert_eq!(attic.link.borrow().connection, 1, "it did not reconnect");
}

#[tokio::test]
async fn a_record_that_the_broker_finds_too_large_is_sent_without_its_output() {
    let broker = Broker::start_with(Setup {
        max_packet_size: Some(8192),
        ..Setup::default()
    });
    let mut attic = Attic::at(&broker).await;
    attic.connected().await;
    let mut watcher = Watcher::at(&broker).await;
    // The log of the workload in memory has lines of ten bytes.
    watcher
        .command(
            "logs",
            json!({"id": "l1", "args": {"lines": 1000}}).to_string(),
        )
        .await;
    let record = watcher
        .message("ostler/attic/operation/l1", |record| {
            record["state"] == "succeeded"
        })
        .await;
    assert!(
        record["output"].as_str().unwrap().contains("too large"),
        "{record}"
    );
    assert!(attic.link.borrow().dropped.oversized >= 1);
    watcher
        .message("ostler/attic/event", |event| {
            event["kind"] == "message-too-large"
        })
        .await;
}
