//! Questions, and what is said where nobody answers them.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::inn::Agent;
use crate::{ask, ostler, run};

#[tokio::test]
async fn status_shows_the_workloads_to_people_and_to_programs() {
    let agent = Agent::start().await;
    let overview = ask(&agent, &["status"]).await;
    assert_eq!(overview.status, 0);
    let mut lines = overview.stdout.lines();
    assert!(
        lines.next().unwrap().starts_with("WORKLOAD  STATE"),
        "{overview:?}"
    );
    assert!(
        lines.next().unwrap().starts_with("miner     "),
        "{overview:?}"
    );
    assert!(
        !overview.stdout.contains('\x1b'),
        "colour without a terminal: {overview:?}"
    );
    let one = ask(&agent, &["status", "miner"]).await;
    assert!(one.stdout.contains("runtime   memory miner\n"), "{one:?}");
    assert_eq!(
        ask(&agent, &["status", "--json"]).await.json()["workloads"][0]["name"],
        "miner"
    );
    assert_eq!(
        ask(&agent, &["--json", "status", "miner"]).await.json()["kind"],
        "generic"
    );
}

#[tokio::test]
async fn what_is_not_there_is_refused_in_words() {
    let agent = Agent::start().await;
    for arguments in [
        &["status", "nobody"][..],
        &["logs", "nobody"],
        &["operations", "nobody"],
    ] {
        let ended = ask(&agent, arguments).await;
        assert_eq!(ended.status, 2, "{arguments:?}: {ended:?}");
        assert!(
            ended.stderr.starts_with("ostler: there is no "),
            "{arguments:?}: {ended:?}"
        );
    }
    let ended = ask(&agent, &["status", "nobody", "--json"]).await;
    assert_eq!(ended.json()["error"]["reason"], "not-found");
}

#[tokio::test]
async fn a_configuration_that_is_named_and_cannot_be_read_is_not_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bad.toml");
    let name = file.to_str().unwrap();
    let absent = run(ostler(&["--config", name, "status"])).await;
    assert_eq!(absent.status, 64, "{absent:?}");
    assert!(absent.stderr.contains(name), "{absent:?}");
    std::fs::File::create(&file)
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"colour = 3\n"))
        .unwrap();
    let wrong = run(ostler(&["--config", name, "operations"])).await;
    assert_eq!(wrong.status, 64, "{wrong:?}");
    assert!(wrong.stderr.contains("colour"), "{wrong:?}");
    // Who says where the agent listens needs no configuration.
    let agent = Agent::start().await;
    let told = ask(&agent, &["--config", name, "status"]).await;
    assert_eq!(told.status, 0, "{told:?}");
}

#[tokio::test]
async fn logs_are_printed_as_they_are() {
    let agent = Agent::start().await;
    let log = ask(&agent, &["logs", "miner", "-n", "2"]).await;
    assert_eq!((log.status, log.stdout.as_str()), (0, "line 1\nline 2\n"));
    let log = ask(&agent, &["logs", "miner", "-n", "1", "--json"]).await;
    assert_eq!(log.json(), json!({"workload": "miner", "log": "line 1\n"}));
}

#[tokio::test]
async fn what_the_agent_cannot_do_is_a_failure_and_not_its_absence() {
    let agent = Agent::start().await;
    agent.animal.refuse_logs();
    let ended = ask(&agent, &["logs", "miner", "--json"]).await;
    assert_eq!(ended.status, 1, "{ended:?}");
    assert_eq!(ended.json()["error"]["reason"], "runtime-absent");
    assert!(ended.stderr.contains("it was forgotten"), "{ended:?}");
}

#[tokio::test]
async fn a_reader_who_has_gone_is_no_error() {
    let agent = Agent::start().await;
    let mut command = ostler(&["logs", "miner", "-n", "10000"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.arg("--socket").arg(&agent.socket).stdout(writer);
    let ended = command.spawn().unwrap().wait().await.unwrap();
    assert_eq!(ended.code(), Some(0));
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_said_so_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("ostler.sock");
    let at = socket.to_str().unwrap();
    for leftover in [false, true] {
        if leftover {
            drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        }
        let ended = run(ostler(&["restart", "miner", "--socket", at])).await;
        assert_eq!(ended.status, 69, "{ended:?}");
        let words =
            format!("ostler: no agent answers at {at}: is it running? (systemctl status ostler)");
        assert!(ended.stderr.starts_with(&words), "{ended:?}");
        let ended = run(ostler(&["status", "--json", "--socket", at])).await;
        assert_eq!(ended.json()["error"]["reason"], "unavailable");
    }
}

#[tokio::test]
async fn the_socket_is_found_through_the_environment_and_the_configuration() {
    let agent = Agent::start().await;
    let mut by_environment = ostler(&["status", "--json"]);
    by_environment.env("OSTLER_SOCKET", &agent.socket);
    assert_eq!(run(by_environment).await.status, 0);
    let file = agent.socket.with_file_name("ostler.toml");
    let text = format!("[http]\nsocket = {:?}\n", agent.socket);
    ostler::durable::write(&file, text.as_bytes(), 0o600).unwrap();
    let by_configuration = run(ostler(&["status", "--config", file.to_str().unwrap()])).await;
    assert_eq!(by_configuration.status, 0, "{by_configuration:?}");
}

/// Needs root, as the lab has it: another user is asked to try.
#[tokio::test]
async fn who_is_not_of_the_group_may_not_talk_to_the_agent() {
    const NOBODY: u32 = 65534;
    const ROOT: u32 = 0;
    let agent = Agent::start().await;
    let directory = agent.socket.parent().unwrap();
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755)).unwrap();
    let copy = directory.join("ostler");
    // By another process: a program that this one has open for writing, be it in a fork of another test, is busy.
    let copied = std::process::Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_ostler"))
        .arg(&copy)
        .status();
    assert!(copied.unwrap().success());
    let group = std::os::unix::fs::MetadataExt::gid(&std::fs::metadata(&agent.socket).unwrap());
    for (gid, status) in [(NOBODY, 77), (group, 0)] {
        let mut command = tokio::process::Command::new(&copy);
        command
            .args(["status", "--socket"])
            .arg(&agent.socket)
            .gid(gid)
            .uid(NOBODY);
        let ended = run(command).await;
        assert_eq!(ended.status, status, "{ended:?}");
        assert_eq!(
            ended.stderr.contains("join the group ostler"),
            status == 77,
            "{ended:?}"
        );
    }
    assert_eq!(
        std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&agent.socket).unwrap()),
        ROOT
    );
}
