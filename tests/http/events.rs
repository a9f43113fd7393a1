//! The stream of events.

use ostler::feed::Update;
use ostler::protocol::{Event, Level};

use crate::inn::Agent;
use crate::wire::{Wire, ask, get, post};

const GET: &str = "GET /v1/events HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n";

async fn stream(agent: &Agent) -> Wire {
    let mut wire = Wire::tcp(agent).await;
    wire.send(GET).await;
    let head = wire.until("\r\n\r\n").await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    wire
}

fn event(message: String) -> Update {
    Update::Event(Box::new(Event {
        at: ostler::clock::Timestamp::now(),
        clock_synced: true,
        level: Level::Info,
        kind: "test".to_owned(),
        workload: None,
        message,
    }))
}

#[tokio::test]
async fn an_operation_is_followed_from_its_acceptance_to_its_end() {
    let agent = Agent::start().await;
    let mut wire = stream(&agent).await;
    post(&agent, "restart", r#"{"id":"r-1"}"#).await;
    for state in ["accepted", "running", "succeeded"] {
        wire.until("event: operation\n").await;
        let data = wire.until(&format!("\"state\":\"{state}\"")).await;
        assert!(data.contains("\"id\":\"r-1\""), "{data}");
    }
}

#[tokio::test]
async fn a_refusal_is_seen_too() {
    let agent = Agent::start().await;
    let mut wire = stream(&agent).await;
    post(&agent, "format-disk", "{}").await;
    wire.until("event: refusal\n").await;
    wire.until("unknown-operation").await;
}

#[tokio::test]
async fn text_that_looks_like_an_event_stays_inside_its_line() {
    let agent = Agent::start().await;
    let mut wire = stream(&agent).await;
    agent
        .engine
        .feed()
        .send(event("a\n\nevent: operation\ndata: {}\r\n".to_owned()));
    wire.until("event: event\ndata: ").await;
    let data = wire.until("\n\n").await;
    let read: Event = serde_json::from_str(data.trim()).unwrap();
    assert_eq!(read.message, "a\n\nevent: operation\ndata: {}\r\n");
}

#[tokio::test]
async fn a_reader_that_lags_is_told_how_much_it_missed_and_costs_no_memory() {
    let agent = Agent::start().await;
    let mut wire = stream(&agent).await;
    // More than the sockets' buffers and the feed's bound hold, while nobody reads.
    for number in 0..2000 {
        agent
            .engine
            .feed()
            .send(event(format!("{number} {}", "x".repeat(8000))));
        tokio::task::yield_now().await;
    }
    wire.until("event: lagged\n").await;
    let missed = wire.until("\n\n").await;
    let missed = missed.trim().strip_prefix("data: ").unwrap();
    let missed: serde_json::Value = serde_json::from_str(missed).unwrap();
    assert!(missed["missed"].as_u64().unwrap() > 0, "{missed}");
    let health = get(&agent, "/v1/health").await.json();
    assert!(
        health["http"]["lagged_updates"].as_u64().unwrap() > 0,
        "{health}"
    );
}

#[tokio::test]
async fn streams_are_bounded_and_their_places_come_free() {
    let agent = Agent::start().await;
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(stream(&agent).await);
    }
    let reply = ask(&agent, GET).await;
    assert_eq!(
        (reply.status, reply.reason()),
        (503, "too-many-streams".to_owned())
    );
    assert_eq!(get(&agent, "/v1/workloads").await.status, 200);
    let mut local = Wire::unix(&agent.socket).await;
    local.send(GET).await;
    assert!(local.until("\r\n\r\n").await.starts_with("HTTP/1.1 200"));
    drop(open);
    let free = async {
        loop {
            let mut wire = Wire::tcp(&agent).await;
            wire.send(GET).await;
            if wire.until("\r\n\r\n").await.starts_with("HTTP/1.1 200") {
                return;
            }
        }
    };
    tokio::time::timeout(crate::inn::DEADLINE, free)
        .await
        .expect("a place comes free");
    let health = get(&agent, "/v1/health").await.json();
    assert_eq!(health["http"]["broken_connections"], 0, "{health}");
}

#[tokio::test]
async fn streams_end_when_the_agent_stops() {
    let mut agent = Agent::start().await;
    let mut wire = stream(&agent).await;
    agent.stop_serving().await;
    assert!(wire.ends().await);
    assert!(!agent.socket.exists());
}
