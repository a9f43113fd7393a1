//! What no client would send. Whatever comes, the agent answers or hangs up, counts it, and goes on.

use tokio::time::{Instant, timeout};

use crate::inn::{Agent, DEADLINE, TOKEN};
use crate::wire::{Wire, ask, command, get};

async fn still_well(agent: &Agent) {
    assert_eq!(get(agent, "/v1/workloads").await.status, 200);
    assert!(agent.animal.running());
}

/// Bytes that depend on nothing but a number.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    let mut bytes = vec![0; length];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

/// The memory of this process, in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Commands that are wrong in every way that a body can be.
fn malformed(number: u64) -> String {
    let text = String::from_utf8_lossy(&noise(number, 24)).replace(['\r', '\n'], "?");
    match number % 16 {
        0 => command("stop", &text),
        1 => command("stop", r#"{"id":"x","workload":"miner""#),
        2 => command("stop", &"[".repeat(1000 + number as usize % 5000)),
        3 => command("stop", &format!(r#"{{"id":{number}}}"#)),
        4 => command(
            "stop",
            &format!(r#"{{"id":"{}"}}"#, "x".repeat(65 + number as usize % 3000)),
        ),
        5 => command("stop", r#"{"workload":"../../etc/passwd"}"#),
        6 => command("stop", r#"{"args":{"grace_s":1e400}}"#),
        7 => command("stop", r#"{"args":{"grace_s":-9223372036854775809}}"#),
        8 => command("stop", r#"{"id":"a","id":"b"}"#),
        9 => command("stop", "{\"workload\":\"mi\0ner\"}"),
        10 => command(&format!("operation-{number}"), "{}"),
        11 => command("stop", r#"{"workload":"nobody"}"#),
        12 => command("stop", r#"{"expires_at":"2026-13-45T99:99:99Z"}"#),
        13 => command("stop", r#"{"dry_run":"yes"}"#),
        14 => command("stop", "{}").replace("application/json", "text/plain"),
        _ => command("stop", "null"),
    }
}

#[tokio::test]
async fn ten_thousand_malformed_commands_are_each_answered_and_counted_and_leave_nothing_behind() {
    let agent = Agent::start().await;
    let mut wire = Wire::tcp(&agent).await;
    let mut after_warm_up = 0;
    for number in 0..10_000 {
        if number == 2_000 {
            after_warm_up = resident();
        }
        wire.send(malformed(number)).await;
        let reply = match wire.reply().await {
            Some(reply) => reply,
            None => panic!("no answer to {:?}", malformed(number)),
        };
        assert!((400..500).contains(&reply.status), "{reply:?}");
        assert_ne!(reply.reason(), "", "{reply:?}");
        assert!(reply.body.len() < 2000, "{reply:?}");
        if reply.header("connection") == "close" {
            wire = Wire::tcp(&agent).await;
        }
    }
    assert_eq!(agent.engine.refused(), 10_000);
    let grown = resident().saturating_sub(after_warm_up);
    // Other tests share the process; half a kilobyte of each request would show.
    assert!(grown < 16 * 1024, "grown by {grown} KiB");
    assert_eq!(agent.engine.records().len(), 0);
    still_well(&agent).await;
}

#[tokio::test]
async fn bytes_that_are_not_http_end_their_connection_only() {
    let agent = Agent::start().await;
    for seed in 0..200 {
        let mut wire = Wire::tcp(&agent).await;
        wire.send(noise(seed, 1 + seed as usize * 7)).await;
        wire.send("\r\n\r\n").await;
        assert!(wire.ends().await);
    }
    let health = get(&agent, "/v1/health").await.json();
    assert!(
        health["http"]["broken_connections"].as_u64().unwrap() >= 200,
        "{health}"
    );
    still_well(&agent).await;
}

#[tokio::test]
async fn paths_that_try_to_climb_lead_nowhere() {
    let agent = Agent::start().await;
    for path in [
        "/v1/../etc/passwd",
        "/v1/..%2f..%2fetc%2fpasswd",
        "/v1/workloads/..",
        "/v1/workloads/%2e%2e/logs",
        "/v1/workloads/..%2f/logs",
        "/v1/workloads/miner%00/logs",
        "/v1/workloads/miner%0d%0ax:y",
        "/v1/operations/..",
        "/v1/operations/..%2f..%2foperations",
        "/v1/operations/%c0%ae%c0%ae",
        "//v1/device",
        "/v1/%77orkloads",
        "*",
    ] {
        let reply = get(&agent, path).await;
        assert_eq!(reply.status, 404, "{path}: {reply:?}");
    }
    for path in ["/v1/workloads/mi\0ner", "/v1/\u{7f}", "/v1/a b"] {
        let reply = get(&agent, path).await;
        assert_eq!(reply.status, 400, "{path:?}: {reply:?}");
    }
    still_well(&agent).await;
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let agent = Agent::start().await;
    let long = format!(
        "GET /v1/device HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n",
        "y".repeat(64 * 1024)
    );
    assert_eq!(ask(&agent, &long).await.status, 431);
    let many = format!(
        "GET /v1/device HTTP/1.1\r\nhost: localhost\r\n{}\r\n",
        "x: y\r\n".repeat(100)
    );
    assert_eq!(ask(&agent, &many).await.status, 431);
    let far = format!(
        "GET /v1/{} HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "y".repeat(64 * 1024)
    );
    let status = ask(&agent, &far).await.status;
    assert!(status == 414 || status == 431, "{status}");
    still_well(&agent).await;
}

#[tokio::test]
async fn bodies_that_are_too_large_are_refused_with_and_without_a_length() {
    let agent = Agent::start().await;
    let claimed = command("stop", "").replace("content-length: 0", "content-length: 99999999999");
    let reply = ask(&agent, &claimed).await;
    assert_eq!(
        (reply.status, reply.reason()),
        (413, "too-large".to_owned())
    );
    let absurd = command("stop", "").replace(
        "content-length: 0",
        "content-length: 99999999999999999999999",
    );
    assert_eq!(ask(&agent, &absurd).await.status, 400);
    let sent = command("stop", &" ".repeat(64 * 1024 + 1));
    assert_eq!(ask(&agent, &sent).await.status, 413);
    let exactly = command("stop", &format!("{}{{]", " ".repeat(64 * 1024 - 2)));
    assert_eq!(ask(&agent, &exactly).await.status, 400);
    let chunk = format!("8000\r\n{}\r\n", " ".repeat(0x8000));
    let chunked = command("stop", "").replace("content-length: 0", "transfer-encoding: chunked");
    let reply = ask(&agent, &format!("{chunked}{chunk}{chunk}{chunk}0\r\n\r\n")).await;
    assert_eq!(
        (reply.status, reply.reason()),
        (413, "too-large".to_owned())
    );
    still_well(&agent).await;
}

#[tokio::test]
async fn chunks_that_are_none_are_refused() {
    let agent = Agent::start().await;
    let chunked = command("stop", "").replace("content-length: 0", "transfer-encoding: chunked");
    for body in [
        "zz\r\n{}\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\n",
        "-2\r\n{}\r\n",
        "2\r\n{}xx0\r\n\r\n",
    ] {
        let reply = ask(&agent, &format!("{chunked}{body}")).await;
        assert_eq!(
            (reply.status, reply.reason()),
            (400, "malformed".to_owned()),
            "{body:?}"
        );
    }
    let good = ask(&agent, &format!("{chunked}2;ext=1\r\n{{}}\r\n0\r\n\r\n")).await;
    assert_eq!(good.status, 202, "{good:?}");
}

#[tokio::test]
async fn requests_that_two_readers_would_cut_differently_are_not_run_twice() {
    let agent = Agent::start().await;
    let smuggled = command("format-disk", "{}");
    let two_lengths =
        command("stop", &smuggled).replace("content-length", "content-length: 0\r\ncontent-length");
    assert_eq!(ask(&agent, &two_lengths).await.status, 400);
    let both = command("stop", "").replace(
        "content-length: 0",
        "transfer-encoding: chunked\r\ncontent-length: 4",
    );
    let mut wire = Wire::tcp(&agent).await;
    wire.send(format!("{both}0\r\n\r\n{smuggled}")).await;
    let reply = wire.reply().await.unwrap();
    assert_eq!(reply.status, 400, "{reply:?}");
    let coded = command("stop", "{}").replace("content-length: 2", "transfer-encoding: gzip");
    assert_eq!(ask(&agent, &coded).await.status, 400);
    still_well(&agent).await;
}

#[tokio::test]
async fn who_sends_too_slowly_is_hung_up_on_and_others_are_served_meanwhile() {
    let agent = Agent::start().await;
    let begun = Instant::now();
    let mut head = Wire::tcp(&agent).await;
    head.send("GET /v1/device HTTP/1.1\r\nhost: loc").await;
    let mut silent = Wire::tcp(&agent).await;
    let mut body = Wire::tcp(&agent).await;
    body.send(command("stop", "{}").trim_end_matches("{}"))
        .await;
    still_well(&agent).await;
    let reply = body.reply().await.unwrap();
    assert_eq!(
        (reply.status, reply.reason()),
        (408, "malformed".to_owned())
    );
    assert!(timeout(DEADLINE, head.ends()).await.unwrap());
    assert!(timeout(DEADLINE, silent.ends()).await.unwrap());
    assert!(begun.elapsed() < DEADLINE);
    still_well(&agent).await;
}

#[tokio::test]
async fn too_many_connections_are_turned_away_and_the_unix_socket_stays_open() {
    let agent = Agent::start().await;
    let mut open = Vec::new();
    for _ in 0..32 {
        let mut wire = Wire::tcp(&agent).await;
        wire.send("GET /v1/workloads HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await;
        assert_eq!(wire.reply().await.unwrap().status, 200);
        open.push(wire);
    }
    for _ in 0..3 {
        let mut wire = Wire::tcp(&agent).await;
        assert_eq!(wire.reply().await.unwrap().status, 503);
        assert!(wire.ends().await);
    }
    let mut local = Wire::unix(&agent.socket).await;
    local
        .send("GET /v1/health HTTP/1.1\r\nhost: ostler\r\n\r\n")
        .await;
    let health = local.reply().await.unwrap().json();
    assert_eq!(health["http"]["refused_connections"], 3);
    drop(open);
    let again = async {
        loop {
            let mut wire = Wire::tcp(&agent).await;
            wire.send("GET /v1/workloads HTTP/1.1\r\nhost: localhost\r\n\r\n")
                .await;
            if wire.reply().await.is_some_and(|reply| reply.status == 200) {
                return;
            }
        }
    };
    timeout(DEADLINE, again).await.expect("places come free");
}

#[tokio::test]
async fn many_requests_at_once_on_one_connection_are_answered_in_order() {
    let agent = Agent::start().await;
    let mut wire = Wire::tcp(&agent).await;
    let mut all = String::new();
    for number in 0..100 {
        all += &command(&format!("none-{number}"), "{}");
    }
    wire.send(all).await;
    for number in 0..100 {
        let reply = wire.reply().await.unwrap();
        assert_eq!(reply.json()["operation"], format!("none-{number}"));
    }
}

#[tokio::test]
async fn credentials_of_any_shape_are_wrong_and_no_more() {
    let agent = Agent::start().await;
    let long = "x".repeat(10_000);
    for shown in [
        "",
        " ",
        "Bearer",
        "Bearer \u{e9}",
        "Basic Og==",
        &long,
        &format!("Bearer {TOKEN}{TOKEN}"),
    ] {
        let request = command("stop", "{}").replace(&format!("Bearer {TOKEN}"), shown);
        assert_eq!(ask(&agent, &request).await.status, 401, "{shown:?}");
    }
    let twice = command("stop", "{}").replace(
        "authorization",
        &format!("authorization: Bearer {TOKEN}\r\nauthorization"),
    );
    assert_eq!(ask(&agent, &twice).await.status, 401);
    still_well(&agent).await;
}
