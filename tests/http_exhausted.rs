//! The API when the process has no file descriptors left. Alone in its process, for it takes all of them.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "lab/inn.rs"]
mod inn;
#[path = "lab/wire.rs"]
mod wire;

use std::fs::File;
use std::process::Command;

use tokio::net::TcpSocket;
use tokio::time::timeout;

use inn::{Agent, DEADLINE};
use wire::Wire;

const HEALTH: &str = "GET /v1/health HTTP/1.1\r\nhost: localhost\r\n\r\n";

async fn accept_errors(wire: &mut Wire) -> u64 {
    let health = wire.reply_to(HEALTH).await.json();
    health["http"]["accept_errors"].as_u64().unwrap()
}

#[tokio::test]
async fn a_listener_survives_the_lack_of_descriptors_and_serves_who_waited() {
    let agent = Agent::start().await;
    let mut early = Wire::tcp(&agent).await;
    assert_eq!(accept_errors(&mut early).await, 0);

    // The client's end needs a descriptor too, so it is made before there are none.
    let late = TcpSocket::new_v4().unwrap();
    let id = std::process::id().to_string();
    let limited = Command::new("prlimit")
        .args(["--nofile=256", "--pid", &id])
        .status()
        .unwrap();
    assert!(limited.success());
    let taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(!taken.is_empty());

    let mut late = Wire::new(late.connect(agent.address).await.unwrap());
    let noticed = async { while accept_errors(&mut early).await == 0 {} };
    timeout(DEADLINE, noticed)
        .await
        .expect("the lack is counted");

    drop(taken);
    assert_eq!(late.reply_to(HEALTH).await.status, 200);
    assert_eq!(Wire::tcp(&agent).await.reply_to(HEALTH).await.status, 200);
}
