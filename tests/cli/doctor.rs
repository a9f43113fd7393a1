//! The doctor, with and without an agent.

use std::path::Path;

use serde_json::Value;

use crate::inn::Agent;
use crate::{Ended, ostler, run};

async fn doctor(directory: &Path, socket: &Path, more: &str) -> Ended {
    let file = directory.join("ostler.toml");
    let text = format!("state-dir = {directory:?}\n[http]\nsocket = {socket:?}\n{more}");
    ostler::durable::write(&file, text.as_bytes(), 0o600).unwrap();
    run(ostler(&[
        "doctor",
        "--json",
        "--config",
        file.to_str().unwrap(),
    ]))
    .await
}

fn verdict<'a>(findings: &'a Value, name: &str) -> &'a str {
    let checks = findings["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == name);
    check.unwrap_or_else(|| panic!("no check {name}: {findings}"))["verdict"]
        .as_str()
        .unwrap()
}

#[tokio::test]
async fn a_host_with_a_running_agent_is_found_well() {
    let agent = Agent::start().await;
    let ended = doctor(agent.socket.parent().unwrap(), &agent.socket, "").await;
    let findings = ended.json();
    for name in [
        "configuration",
        "host",
        "state directory",
        "broker",
        "agent",
        "workload",
    ] {
        assert_eq!(verdict(&findings, name), "ok", "{name}: {findings:#}");
    }
    assert_eq!(ended.status, 0, "{findings:#}");
}

#[tokio::test]
async fn without_an_agent_the_rest_is_still_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let ended = doctor(directory.path(), &directory.path().join("none.sock"), "").await;
    let findings = ended.json();
    assert_eq!(verdict(&findings, "agent"), "fail");
    assert_eq!(verdict(&findings, "host"), "ok");
    assert_eq!(findings["verdict"], "fail");
    assert_eq!(ended.status, 1);
    for check in findings["checks"].as_array().unwrap() {
        assert_eq!(
            check["verdict"] == "ok",
            check.get("advice").is_none(),
            "{check}"
        );
    }
}

#[tokio::test]
async fn a_broker_that_cannot_be_reached_and_a_secret_that_others_can_read_are_found() {
    let agent = Agent::start().await;
    let directory = agent.socket.parent().unwrap();
    let secret = directory.join("password");
    ostler::durable::write(&secret, b"secret", 0o644).unwrap();
    // Bound and not listening: nobody else can answer there meanwhile.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = closed.local_addr().unwrap().port();
    let mqtt = format!(
        "[mqtt]\nurl = \"mqtt://127.0.0.1:{port}\"\nusername = \"a\"\npassword-file = {secret:?}\n"
    );
    let ended = doctor(directory, &agent.socket, &mqtt).await;
    let findings = ended.json();
    assert_eq!(verdict(&findings, "broker"), "fail", "{findings:#}");
    assert_eq!(verdict(&findings, "configuration"), "fail", "{findings:#}");
    assert_eq!(ended.status, 1);
}

/// The answer of a real engine to `GET /version`, shortened.
const ENGINE: &str = r#"{"Version":"20.10.24+dfsg1","ApiVersion":"1.41","Os":"linux"}"#;

#[tokio::test]
async fn an_engine_is_asked_at_the_socket_of_its_workload() {
    let agent = Agent::start().await;
    let directory = agent.socket.parent().unwrap();
    let engine = directory.join("docker.sock");
    let workload = format!(
        "[[workload]]\nname = \"miner\"\nruntime = {{ docker = {{ container = \"miner\", socket = {engine:?} }} }}\n"
    );
    let absent = doctor(directory, &agent.socket, &workload).await;
    assert_eq!(verdict(&absent.json(), "docker engine"), "fail");
    assert_eq!(absent.status, 1);

    let listener = tokio::net::UnixListener::bind(&engine).unwrap();
    let answer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = [0; 1024];
        let read = tokio::io::AsyncReadExt::read(&mut stream, &mut head)
            .await
            .unwrap();
        assert!(head[..read].starts_with(b"GET /version HTTP/1.1\r\n"));
        let reply = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{ENGINE}",
            ENGINE.len()
        );
        tokio::io::AsyncWriteExt::write_all(&mut stream, reply.as_bytes())
            .await
            .unwrap();
    };
    let (present, ()) = tokio::join!(doctor(directory, &agent.socket, &workload), answer);
    assert_eq!(verdict(&present.json(), "docker engine"), "ok");
    assert!(
        present.stdout.contains("version 20.10.24+dfsg1"),
        "{present:?}"
    );
}

#[tokio::test]
async fn an_engine_that_hangs_and_something_else_in_its_place_are_told_apart() {
    let agent = Agent::start().await;
    let directory = agent.socket.parent().unwrap();
    let silent = directory.join("silent.sock");
    // Connections are taken by the kernel, and nobody ever reads from them.
    let _listener = tokio::net::UnixListener::bind(&silent).unwrap();
    for (socket, advice) in [
        (&silent, "systemctl restart docker"),
        (&agent.socket, "name the engine's socket"),
    ] {
        let workload = format!(
            "[[workload]]\nname = \"miner\"\nruntime = {{ docker = {{ container = \"miner\", socket = {socket:?} }} }}\n"
        );
        let findings = doctor(directory, &agent.socket, &workload).await.json();
        assert_eq!(verdict(&findings, "docker engine"), "fail", "{findings:#}");
        assert!(findings.to_string().contains(advice), "{findings:#}");
    }
}

#[tokio::test]
async fn a_wrong_configuration_is_one_of_the_findings() {
    let agent = Agent::start().await;
    let ended = doctor(agent.socket.parent().unwrap(), &agent.socket, "frob = 1\n").await;
    assert_eq!(verdict(&ended.json(), "configuration"), "fail");
    assert_eq!(ended.status, 1);
}

#[tokio::test]
async fn people_get_a_line_for_each_check_and_the_advice_under_it() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("none.sock");
    let ended = run(ostler(&["doctor", "--socket", socket.to_str().unwrap()])).await;
    assert!(ended.stdout.contains("fail  agent"), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("-> start it (systemctl start ostler)"),
        "{ended:?}"
    );
}
