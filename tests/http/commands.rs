//! Commands over TCP and over the unix socket.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use ostler::protocol::State;
use serde_json::json;
use tokio::time::timeout;

use crate::inn::{Agent, DEADLINE, TOKEN};
use crate::wire::{Reply, Wire, ask, command, get, post};

/// Waits until an operation has ended, and gives its record.
async fn ended(agent: &Agent, id: &str) -> serde_json::Value {
    let mut updates = agent.engine.feed().subscribe();
    let end = async {
        loop {
            let record = get(agent, &format!("/v1/operations/{id}")).await.json();
            let state: State = serde_json::from_value(record["state"].clone()).unwrap();
            if state.is_final() {
                return record;
            }
            let _ = updates.recv().await;
        }
    };
    timeout(DEADLINE, end).await.expect("the operation ends")
}

#[tokio::test]
async fn a_command_is_accepted_once_and_then_known() {
    let agent = Agent::start().await;
    let body = r#"{"id":"stop-1","workload":"miner"}"#;
    let first = post(&agent, "stop", body).await;
    assert_eq!(
        (first.status, first.header("location")),
        (202, "/v1/operations/stop-1")
    );
    assert_eq!(first.json()["origin"], "http");
    let record = ended(&agent, "stop-1").await;
    assert_eq!(
        (&record["state"], &record["changed"]),
        (&json!("succeeded"), &json!(true))
    );
    let again = post(&agent, "stop", body).await;
    assert_eq!((again.status, again.json()), (200, record));
    let other = post(&agent, "start", body).await;
    assert_eq!(
        (other.status, other.reason()),
        (409, "id-reused".to_owned())
    );
    assert!(!agent.animal.running());
}

#[tokio::test]
async fn a_command_without_an_id_is_given_one() {
    let agent = Agent::start().await;
    let reply = post(&agent, "stop", "{}").await;
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("stop-"), "{id}");
    assert_eq!(ended(&agent, &id).await["state"], "succeeded");
}

#[tokio::test]
async fn the_unix_socket_needs_no_token_and_says_so_in_the_record() {
    let agent = Agent::start_with(None).await;
    let mut wire = Wire::unix(&agent.socket).await;
    wire.send(
        "POST /v1/commands/stop HTTP/1.1\r\nhost: ostler\r\ncontent-type: application/json\r\n\
         content-length: 2\r\n\r\n{}",
    )
    .await;
    let reply = wire.reply().await.unwrap();
    assert_eq!(
        (reply.status, &reply.json()["origin"]),
        (202, &json!("local"))
    );
}

#[tokio::test]
async fn without_the_token_no_command_is_taken_over_tcp_and_each_is_counted() {
    let agent = Agent::start().await;
    let wrong = command("stop", "{}").replace(TOKEN, "another-token-0123456789");
    let none = command("stop", "{}").replace(&format!("authorization: Bearer {TOKEN}\r\n"), "");
    for request in [wrong, none] {
        let reply = ask(&agent, &request).await;
        assert_eq!(
            (reply.status, reply.reason()),
            (401, "unauthorised".to_owned())
        );
        assert!(
            reply.header("www-authenticate").starts_with("Bearer"),
            "{reply:?}"
        );
    }
    assert_eq!(agent.engine.refused(), 2);
    let closed = Agent::start_with(None).await;
    let reply = post(&closed, "stop", "{}").await;
    assert_eq!(reply.status, 401);
    assert!(reply.body.contains("token-file"), "{reply:?}");
    assert!(agent.animal.running() && closed.animal.running());
}

#[tokio::test]
async fn a_page_of_another_site_gets_no_command_in_even_with_the_token() {
    let agent = Agent::start().await;
    for header in [
        "origin: http://rebound.example",
        "origin: null",
        "sec-fetch-site: cross-site",
    ] {
        let request =
            command("stop", "{}").replace("content-type", &format!("{header}\r\ncontent-type"));
        assert_eq!(ask(&agent, &request).await.status, 403, "{header}");
    }
    assert!(agent.animal.running());
}

#[tokio::test]
async fn each_refusal_has_its_status_and_its_reason() {
    let agent = Agent::start().await;
    let of = |reply: Reply| (reply.status, reply.reason());
    for (operation, body, status, reason) in [
        ("format-disk", "{}", 404, "unknown-operation"),
        ("stop", r#"{"workload":"nobody"}"#, 404, "unknown-workload"),
        ("stop", r#"{"workload":"../etc"}"#, 400, "malformed"),
        ("stop", r#"{"worklaod":"miner"}"#, 400, "malformed"),
        ("stop", "", 400, "malformed"),
        ("stop", "{}{}", 400, "malformed"),
        ("stop", "[]", 400, "malformed"),
        ("stop", r#"{"args":{"force":true}}"#, 400, "bad-arguments"),
        ("stop", r#"{"args":{"grace_s":-1}}"#, 400, "bad-arguments"),
        ("stop", r#"{"expires_at":"tomorrow"}"#, 400, "malformed"),
    ] {
        assert_eq!(
            of(post(&agent, operation, body).await),
            (status, reason.to_owned()),
            "{body}"
        );
    }
    let form =
        command("stop", "{}").replace("application/json", "application/x-www-form-urlencoded");
    assert_eq!(of(ask(&agent, &form).await), (415, "malformed".to_owned()));
    let without_length = command("stop", "").replace("content-length: 0\r\n", "");
    assert_eq!(
        of(ask(&agent, &without_length).await),
        (411, "malformed".to_owned())
    );
    assert_eq!(agent.engine.refused(), 12);
    assert!(agent.animal.running());
}

#[tokio::test]
async fn the_refusal_carries_the_id_where_one_can_be_read() {
    let agent = Agent::start().await;
    let reply = post(&agent, "stop", r#"{"id":"mine","workload":7}"#).await;
    assert_eq!((reply.status, &reply.json()["id"]), (400, &json!("mine")));
}

#[tokio::test]
async fn an_operation_is_cancelled_by_its_path() {
    let agent = Agent::start().await;
    agent.animal.hold_stops();
    post(&agent, "restart", r#"{"id":"at-work"}"#).await;
    post(&agent, "restart", r#"{"id":"waiting"}"#).await;
    let request = format!(
        "POST /v1/operations/waiting/cancel HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n\r\n"
    );
    let reply = ask(&agent, &request).await;
    assert_eq!(
        (reply.status, &reply.json()["operation"]),
        (202, &json!("cancel"))
    );
    assert_eq!(ended(&agent, "waiting").await["state"], "cancelled");
    let unknown = request.replace("waiting", "nobody");
    assert_eq!(ask(&agent, &unknown).await.status, 404);
    agent.animal.let_stop.notify_one();
    assert_eq!(ended(&agent, "at-work").await["state"], "succeeded");
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let agent = Agent::start().await;
    agent.animal.hold_stops();
    let full = async {
        loop {
            let reply = post(&agent, "restart", "{}").await;
            if reply.status != 202 {
                return reply;
            }
        }
    };
    let reply = timeout(DEADLINE, full)
        .await
        .expect("the queue has a bound");
    assert_eq!(
        (reply.status, reply.reason()),
        (429, "queue-full".to_owned())
    );
    assert_ne!(reply.header("retry-after"), "");
}

/// A disk that has died, in the place of a file: whoever opens it waits, until this is dropped.
struct Dead(PathBuf);

impl Dead {
    fn at(path: PathBuf) -> Self {
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        Self(path)
    }
}

impl Drop for Dead {
    fn drop(&mut self) {
        // A writer lets them go; without blocking, should nobody wait.
        let mut open = OpenOptions::new();
        let open = open.write(true).custom_flags(nix::libc::O_NONBLOCK);
        let _ = open.open(&self.0);
    }
}

#[tokio::test]
async fn a_journal_that_hangs_is_told_to_whoever_asks() {
    let agent = Agent::start().await;
    let _dead = Dead::at(agent.record("hung"));
    let reply = post(&agent, "stop", r#"{"id":"hung"}"#).await;
    assert_eq!(
        (reply.status, reply.reason()),
        (503, "journal-failed".to_owned())
    );
    assert!(agent.animal.running());
    assert_eq!(get(&agent, "/v1/workloads").await.status, 200);
}
