//! Operations: asked for, followed, interrupted, cancelled.

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ostler::protocol::State;
use tokio::time::timeout;

use crate::inn::{Agent, DEADLINE};
use crate::{Ended, ask, ostler};

#[tokio::test]
async fn an_operation_is_followed_step_by_step_to_its_end() {
    let agent = Agent::start().await;
    let ended = ask(&agent, &["restart", "miner"]).await;
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(
        ended.stdout.starts_with("restart miner: done in "),
        "{ended:?}"
    );
    for step in ["stop: done", "start: done"] {
        assert!(
            ended.stderr.lines().any(|line| line.starts_with(step)),
            "{step}: {ended:?}"
        );
    }
    let ended = ask(&agent, &["stop", "miner", "--json", "--id", "s-1"]).await;
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""));
    assert_eq!(ended.json()["state"], "succeeded");
    assert!(!agent.animal.running());
}

#[tokio::test]
async fn the_same_id_runs_once() {
    let agent = Agent::start().await;
    let first = ask(&agent, &["stop", "miner", "--json", "--id", "s-1"]).await;
    let again = ask(&agent, &["stop", "miner", "--json", "--id", "s-1"]).await;
    assert_eq!((again.status, again.json()), (0, first.json()));
    let other = ask(&agent, &["start", "miner", "--json", "--id", "s-1"]).await;
    assert_eq!(
        (other.status, &other.json()["failure"]["reason"]),
        (2, &"id-reused".into())
    );
}

#[tokio::test]
async fn stopping_what_is_stopped_is_done_and_says_so() {
    let agent = Agent::start().await;
    ask(&agent, &["stop", "miner"]).await;
    let ended = ask(&agent, &["stop", "miner"]).await;
    assert_eq!(ended.status, 0);
    assert!(
        ended.stdout.ends_with("nothing had to be changed\n"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn a_failure_ends_with_one_and_its_reason() {
    let agent = Agent::start().await;
    ask(&agent, &["stop", "miner"]).await;
    agent.animal.refuse_starts();
    let ended = ask(&agent, &["start", "miner", "--id", "s-1"]).await;
    assert_eq!((ended.status, ended.stdout.as_str()), (1, ""), "{ended:?}");
    assert!(
        ended.stderr.contains("ostler: start miner: failed: "),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("the port is taken"), "{ended:?}");
    assert!(!ended.stderr.contains("not back in service"), "{ended:?}");
}

#[tokio::test]
async fn a_workload_that_is_not_back_in_service_ends_with_eight() {
    let agent = Agent::start().await;
    agent.animal.refuse_starts();
    let ended = ask(&agent, &["restart", "miner", "--id", "r-1"]).await;
    assert_eq!((ended.status, ended.stdout.as_str()), (8, ""), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("miner ran before and is not back in service"),
        "{ended:?}"
    );
    assert!(
        ended.stderr.contains("ostler: restart miner: failed: "),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("the port is taken"), "{ended:?}");
    let shown = ask(&agent, &["operations", "r-1"]).await;
    assert_eq!(shown.status, 8, "{shown:?}");
    assert!(
        shown.stdout.contains("step         start: failed"),
        "{shown:?}"
    );
}

#[tokio::test]
async fn a_refusal_ends_with_two_and_nothing_is_done() {
    let agent = Agent::start().await;
    let ended = ask(&agent, &["stop", "nobody"]).await;
    assert_eq!(ended.status, 2);
    assert!(
        ended.stderr.starts_with("ostler: the agent refused this: "),
        "{ended:?}"
    );
    let listed = ask(&agent, &["operations"]).await;
    assert!(
        listed.stdout.contains("1 command was refused"),
        "{listed:?}"
    );
    let ended = ask(&agent, &["stop", "miner", "--grace", "999999"]).await;
    assert_eq!(ended.status, 2, "{ended:?}");
    assert!(agent.animal.running());
    let listed = ask(&agent, &["operations"]).await;
    assert!(
        listed.stdout.contains("2 commands were refused"),
        "{listed:?}"
    );
}

#[tokio::test]
async fn who_does_not_wait_is_given_the_id_and_can_wait_later() {
    let agent = Agent::start().await;
    agent.animal.hold_stops();
    let asked = ask(&agent, &["stop", "miner", "--no-wait", "--id", "s-1"]).await;
    assert_eq!(
        (asked.status, asked.stdout.as_str()),
        (0, "stop miner is accepted: s-1\n")
    );
    let listed = ask(&agent, &["operations", "--json"]).await;
    assert_eq!(listed.json()["operations"][0]["id"], "s-1");
    agent.animal.let_stop.notify_one();
    let waited = ask(&agent, &["operations", "s-1", "--wait", "--json"]).await;
    assert_eq!(
        (waited.status, &waited.json()["state"]),
        (0, &"succeeded".into())
    );
}

#[tokio::test]
async fn what_was_cancelled_before_it_began_ends_with_three() {
    let agent = Agent::start().await;
    agent.animal.hold_stops();
    ask(&agent, &["stop", "miner", "--no-wait", "--id", "at-work"]).await;
    ask(
        &agent,
        &["restart", "miner", "--no-wait", "--id", "waiting"],
    )
    .await;
    let cancelled = ask(&agent, &["cancel", "waiting"]).await;
    assert_eq!(cancelled.status, 0, "{cancelled:?}");
    assert_eq!(
        ask(&agent, &["operations", "waiting", "--wait"])
            .await
            .status,
        3
    );
    agent.animal.let_stop.notify_one();
    assert_eq!(
        ask(&agent, &["operations", "at-work", "--wait"])
            .await
            .status,
        0
    );
}

#[tokio::test]
async fn ctrl_c_ends_the_waiting_and_not_the_operation() {
    let agent = Agent::start().await;
    agent.animal.hold_stops();
    let mut command = ostler(&["stop", "miner", "--id", "s-1"]);
    command
        .arg("--socket")
        .arg(&agent.socket)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    agent.until("s-1", State::Running).await;
    let id = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    kill(id, Signal::SIGINT).unwrap();
    let ended = timeout(DEADLINE, child.wait_with_output()).await.unwrap();
    let ended = Ended::from(ended.unwrap());
    assert_eq!(ended.status, 130, "{ended:?}");
    for words in ["s-1 goes on", "ostler operations s-1", "ostler cancel s-1"] {
        assert!(ended.stderr.contains(words), "{words}: {ended:?}");
    }
    agent.animal.let_stop.notify_one();
    agent.until("s-1", State::Succeeded).await;
}

#[tokio::test]
async fn an_agent_that_goes_and_comes_back_is_waited_for() {
    let mut agent = Agent::start().await;
    agent.animal.hold_stops();
    let mut command = ostler(&["restart", "miner", "--id", "r-1", "--json"]);
    command
        .arg("--socket")
        .arg(&agent.socket)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    agent.until("r-1", State::Running).await;
    agent.stop_serving().await;
    agent.animal.let_stop.notify_one();
    agent.until("r-1", State::Succeeded).await;
    agent.serve_again().await;
    let ended = timeout(DEADLINE, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    let ended = Ended::from(ended);
    assert_eq!(
        (ended.status, &ended.json()["state"]),
        (0, &"succeeded".into()),
        "{ended:?}"
    );
}
