//! What there is to read, and what is said where there is nothing.

use ostler::protocol::{DeviceReport, State, Telemetry};

use crate::inn::{Agent, TOKEN};
use crate::wire::{Wire, ask, get, post};

fn device() -> DeviceReport {
    serde_json::from_value(serde_json::json!({
        "id": "attic", "version": "0.1.0", "session": 7, "kernel": "6.1", "architecture": "aarch64",
        "boot_id": "b", "addresses": [], "workloads": [],
    }))
    .unwrap()
}

fn telemetry() -> Telemetry {
    Telemetry {
        session: 7,
        sequence: 3,
        at: ostler::clock::Timestamp::now(),
        historical: false,
        dropped: Default::default(),
        refused: 0,
        sample: Default::default(),
    }
}

#[tokio::test]
async fn device_and_telemetry_are_shown_once_they_are_known() {
    let agent = Agent::start().await;
    for path in ["/v1/device", "/v1/telemetry"] {
        let early = get(&agent, path).await;
        assert_eq!(
            (early.status, early.reason()),
            (503, "not-ready".to_owned())
        );
        assert_ne!(early.header("retry-after"), "");
    }
    agent.device.send_replace(Some(device()));
    agent.telemetry.send_replace(Some(telemetry()));
    let shown = get(&agent, "/v1/device").await;
    assert_eq!(
        (shown.status, shown.json()),
        (200, serde_json::to_value(device()).unwrap())
    );
    assert_eq!(get(&agent, "/v1/telemetry").await.json()["sequence"], 3);
}

#[tokio::test]
async fn workloads_and_their_logs_are_shown_and_unknown_ones_are_not_found() {
    let agent = Agent::start().await;
    let all = get(&agent, "/v1/workloads").await.json();
    assert_eq!(all["workloads"][0]["name"], "miner");
    assert_eq!(
        get(&agent, "/v1/workloads/miner").await.json()["runtime"],
        "memory miner"
    );
    let log = get(&agent, "/v1/workloads/miner/logs?lines=2").await.json();
    assert_eq!(log["log"], "line 1\nline 2\n");
    for path in [
        "/v1/workloads/nobody",
        "/v1/workloads/nobody/logs",
        "/v1/operations/none",
    ] {
        let reply = get(&agent, path).await;
        assert_eq!(
            (reply.status, reply.reason()),
            (404, "not-found".to_owned()),
            "{path}"
        );
    }
    for query in [
        "lines=0",
        "lines=999999",
        "lines=x",
        "tail=3",
        "lines=1&lines=2",
    ] {
        let reply = get(&agent, &format!("/v1/workloads/miner/logs?{query}")).await;
        assert_eq!(
            (reply.status, reply.reason()),
            (400, "bad-arguments".to_owned()),
            "{query}"
        );
    }
}

#[tokio::test]
async fn operations_and_refusals_are_listed_newest_first() {
    let agent = Agent::start().await;
    for id in ["first", "second"] {
        let reply = post(&agent, "stop", &format!(r#"{{"id":"{id}"}}"#)).await;
        assert_eq!(reply.status, 202, "{reply:?}");
    }
    post(&agent, "format-disk", "{}").await;
    let all = get(&agent, "/v1/operations").await.json();
    assert_eq!(all["operations"][0]["id"], "second");
    assert_eq!(all["operations"][1]["id"], "first");
    assert_eq!(all["refusals"][0]["operation"], "format-disk");
    assert_eq!(all["refused"], 1);
    let one = get(&agent, "/v1/operations?limit=1").await.json();
    assert_eq!(one["operations"].as_array().unwrap().len(), 1);
    assert_eq!(
        get(&agent, "/v1/operations/first").await.json()["operation"],
        "stop"
    );
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_one_and_head_is_get_without_a_body() {
    let agent = Agent::start().await;
    let bearer = format!("authorization: Bearer {TOKEN}\r\n");
    for (method, path, allow) in [
        ("POST", "/v1/device", "GET, HEAD"),
        ("DELETE", "/v1/operations/x", "GET, HEAD"),
        ("OPTIONS", "/v1/events", "GET, HEAD"),
        ("GET", "/v1/commands/stop", "POST"),
        ("PUT", "/v1/operations/x/cancel", "POST"),
    ] {
        let reply = ask(
            &agent,
            &format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{bearer}\r\n"),
        )
        .await;
        assert_eq!(
            (reply.status, reply.header("allow")),
            (405, allow),
            "{method} {path}"
        );
    }
    let mut wire = Wire::tcp(&agent).await;
    wire.send("HEAD /v1/workloads HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await;
    assert!(wire.until("\r\n\r\n").await.starts_with("HTTP/1.1 200"));
    assert!(wire.ends().await);
}

#[tokio::test]
async fn whoever_accepts_no_json_gets_none() {
    let agent = Agent::start().await;
    for (accept, status) in [
        ("application/json", 200),
        ("text/html, application/*;q=0.5", 200),
        ("*/*", 200),
        ("text/html", 406),
        ("application/jsonx", 406),
    ] {
        let request =
            format!("GET /v1/workloads HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\n\r\n");
        assert_eq!(ask(&agent, &request).await.status, status, "{accept}");
    }
}

#[tokio::test]
async fn health_counts_what_was_turned_away() {
    let agent = Agent::start().await;
    get(&agent, "/v1/nothing").await;
    let health = get(&agent, "/v1/health").await.json();
    assert_eq!(health["status"], "ok");
    assert_eq!(health["http"]["refused_requests"], 1);
    assert_eq!(health["http"]["connections"], 2);
}

#[tokio::test]
async fn another_name_for_this_host_is_taken_only_where_it_is_configured() {
    let agent = Agent::start().await;
    for (host, status) in [("attic.local", 200), ("rebound.example", 403)] {
        let request = format!("GET /v1/workloads HTTP/1.1\r\nhost: {host}\r\n\r\n");
        assert_eq!(ask(&agent, &request).await.status, status, "{host}");
    }
    // The target may name a host as well, and a proxy would believe that one.
    let request = "GET http://rebound.example/v1/workloads HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert_eq!(ask(&agent, request).await.status, 403);
}

#[tokio::test]
async fn snapshots_are_listed_newest_first_and_only_where_there_is_data() {
    let plain = Agent::start().await;
    let refused = get(&plain, "/v1/workloads/miner/snapshots").await;
    assert_eq!(
        (refused.status, refused.reason()),
        (400, "unsupported".to_owned())
    );
    let unknown = get(&plain, "/v1/workloads/nobody/snapshots").await;
    assert_eq!(
        (unknown.status, unknown.reason()),
        (404, "not-found".to_owned())
    );

    let agent = Agent::start_with_data(|data| {
        ostler::durable::write(&data.join("keys.txt"), b"a thousand keys", 0o600).unwrap();
    })
    .await;
    let list = async || get(&agent, "/v1/workloads/miner/snapshots").await.json();
    assert_eq!(list().await["snapshots"], serde_json::json!([]));
    assert!(!agent.data().with_file_name(".ostler-store").exists());
    for name in ["first", "second"] {
        let body = format!(r#"{{"id": "{name}", "args": {{"name": "{name}"}}}}"#);
        post(&agent, "snapshot", &body).await;
        agent.until(name, State::Succeeded).await;
    }
    let all = list().await["snapshots"].take();
    let names: Vec<_> = [0, 1].map(|at| all[at]["name"].clone()).into();
    assert_eq!(names, ["second", "first"]);
    for snapshot in all.as_array().unwrap() {
        assert_eq!(snapshot["total_bytes"], 15, "{snapshot}");
        assert_eq!(snapshot["way"], "copy");
        assert!(snapshot["age_s"].is_u64(), "{snapshot}");
        assert!(snapshot["space"]["exact"].as_u64() > Some(0), "{snapshot}");
        assert!(snapshot["timings"]["stop_ms"].is_u64(), "{snapshot}");
    }
}
