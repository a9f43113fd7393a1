//! Commands: done once, answered, and acknowledged only when they are durable.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use ostler::protocol::State;
use ostler::report::signature::TrustedKeys;
use rumqttc::Publish;
use serde_json::json;
use tokio::time::timeout;

use super::attic::{Attic, Gate, engine, settings};
use super::broker::Broker;
use super::inn::DEADLINE;
use super::watcher::Watcher;

const PUBACK: &str = "Received PUBACK from ostler-attic";

#[tokio::test]
async fn a_command_is_run_and_its_record_is_retained() {
    let broker = Broker::start();
    let mut watcher = Watcher::at(&broker).await;
    let mut attic = Attic::at(&broker).await;
    attic.connected().await;
    watcher
        .command(
            "restart",
            json!({"id": "r1", "workload": "miner"}).to_string(),
        )
        .await;
    watcher
        .message("ostler/attic/operation/r1", |record| {
            record["state"] == "succeeded"
        })
        .await;
    let mut later = Watcher::at(&broker).await;
    let record = later.message("ostler/attic/operation/r1", |_| true).await;
    assert_eq!(
        (&record["state"], &record["origin"]),
        (&json!("succeeded"), &json!("mqtt"))
    );
    assert_eq!(
        later.message("ostler/attic/device", |_| true).await["workloads"][0]["name"],
        "miner"
    );
    assert_eq!(
        later.message("ostler/attic/workload/miner", |_| true).await["state"],
        "running"
    );
}

#[tokio::test]
async fn a_command_to_a_group_and_one_without_a_promise_are_run_too() {
    let broker = Broker::start();
    let mut watcher = Watcher::at(&broker).await;
    let mut attic = Attic::at(&broker).await;
    attic.connected().await;
    watcher
        .publish("ostler/group/roof/command/stop", r#"{"id":"g1"}"#, false)
        .await;
    watcher
        .message("ostler/attic/operation/g1", |record| {
            record["state"] == "succeeded"
        })
        .await;
    watcher
        .publish_at_most_once("ostler/attic/command/start", r#"{"id":"q0"}"#)
        .await;
    watcher
        .message("ostler/attic/operation/q0", |record| {
            record["state"] == "succeeded"
        })
        .await;
}

/// Signs a command for the attic in the way that the documentation tells an operator.
fn sign(directory: &Path, key: &str, operation: &str, command: &str) -> String {
    let script = format!(
        "printf 'ostler-command-1\\nattic\\n{operation}\\n%s' \"$1\" > message &&
         openssl pkeyutl -sign -rawin -inkey {key} -in message | openssl base64 -A"
    );
    let signature = run(directory, &["sh", "-c", &script, "sh", command]);
    json!({"command": command, "signature": signature}).to_string()
}

fn run(directory: &Path, words: &[&str]) -> String {
    let output = Command::new(words[0])
        .args(&words[1..])
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn where_keys_are_trusted_only_signed_commands_are_run() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    for key in ["operator.key", "stranger.key"] {
        run(
            directory,
            &["openssl", "genpkey", "-algorithm", "ed25519", "-out", key],
        );
    }
    let public = "openssl pkey -in operator.key -pubout -out operator.pem";
    run(directory, &public.split(' ').collect::<Vec<_>>());
    let keys = TrustedKeys::read(&[directory.join("operator.pem")]).unwrap();
    let broker = Broker::start();
    let mut watcher = Watcher::at(&broker).await;
    let mut attic = Attic::trusting(&broker, keys).await;
    attic.connected().await;
    for (id, signed) in [
        ("plain", r#"{"id":"plain"}"#.to_owned()),
        (
            "forged",
            sign(directory, "stranger.key", "stop", r#"{"id":"forged"}"#),
        ),
        (
            "turned",
            sign(directory, "operator.key", "start", r#"{"id":"turned"}"#),
        ),
    ] {
        watcher.command("stop", signed).await;
        let topic = format!("ostler/attic/operation/{id}");
        let refusal = watcher.message(&topic, |_| true).await;
        assert_eq!(refusal["failure"]["reason"], "unauthorised", "{refusal}");
    }
    assert!(attic.animal.running());
    let good = sign(directory, "operator.key", "stop", r#"{"id":"good"}"#);
    watcher.command("stop", good).await;
    watcher
        .message("ostler/attic/operation/good", |record| {
            record["state"] == "succeeded"
        })
        .await;
}

#[tokio::test]
async fn the_broker_hears_nothing_before_the_request_is_durable() {
    let broker = Broker::start();
    let mut watcher = Watcher::at(&broker).await;
    let directory = tempfile::tempdir().unwrap();
    let (engine, animal) = engine(directory.path()).await;
    let gate = Gate::before(&engine);
    let mut come = gate.come.subscribe();
    let mut attic = Attic::on(engine, animal, settings(&broker), gate.clone());
    attic.connected().await;
    watcher.command("stop", r#"{"id":"s1"}"#).await;
    watcher.command("start", r#"{"id":"s2"}"#).await;
    timeout(DEADLINE, come.wait_for(|come| *come == 1))
        .await
        .unwrap()
        .unwrap();
    // The link is alive all the while: something goes out and is acknowledged.
    attic.sample(1);
    watcher
        .message("ostler/attic/telemetry", |sample| sample["sequence"] == 1)
        .await;
    assert_eq!(broker.logged(&[PUBACK]), 0, "{}", broker.log());
    gate.open.add_permits(1);
    timeout(DEADLINE, come.wait_for(|come| *come == 2))
        .await
        .unwrap()
        .unwrap();
    watcher
        .message("ostler/attic/operation/s1", |record| {
            record["state"] == "succeeded"
        })
        .await;
    broker.has_logged(1, &[PUBACK]).await;
    gate.open.add_permits(1);
    watcher
        .message("ostler/attic/operation/s2", |record| {
            record["state"] == "succeeded"
        })
        .await;
}

#[tokio::test]
async fn what_was_not_acknowledged_comes_again_and_is_not_run_again() {
    let broker = Broker::start();
    let mut watcher = Watcher::at(&broker).await;
    let directory = tempfile::tempdir().unwrap();
    let (engine, animal) = engine(directory.path()).await;
    let gate = Gate::before(&engine);
    let mut come = gate.come.subscribe();
    let mut attic = Attic::on(
        engine.clone(),
        animal.clone(),
        settings(&broker),
        gate.clone(),
    );
    attic.connected().await;
    watcher.command("restart", r#"{"id":"r1"}"#).await;
    timeout(DEADLINE, come.wait_for(|come| *come == 1))
        .await
        .unwrap()
        .unwrap();
    // The connection breaks while the request is being submitted; it is submitted to its end.
    attic.reporter.abort();
    watcher
        .message("ostler/attic/availability", |seen| {
            seen["state"] == "offline"
        })
        .await;
    gate.open.add_permits(1);
    let done = async {
        let mut updates = engine.feed().subscribe();
        while engine
            .records()
            .first()
            .is_none_or(|record| record.state != State::Succeeded)
        {
            updates.recv().await.unwrap();
        }
    };
    timeout(DEADLINE, done).await.unwrap();
    let runs = animal.runs();
    assert_eq!(broker.logged(&[PUBACK]), 0);
    let _again = Attic::on(
        engine.clone(),
        animal.clone(),
        settings(&broker),
        Arc::new(engine.clone()),
    );
    watcher
        .message("ostler/attic/operation/r1", |record| {
            record["state"] == "succeeded"
        })
        .await;
    broker.has_logged(1, &[PUBACK]).await;
    assert_eq!((animal.runs(), engine.records().len()), (runs, 1));
}

#[tokio::test]
async fn commands_sent_while_the_device_is_away_are_kept_for_it() {
    let broker = Broker::start();
    let mut watcher = Watcher::at(&broker).await;
    let mut attic = Attic::at(&broker).await;
    attic.connected().await;
    watcher
        .message("ostler/attic/workload/miner", |_| true)
        .await;
    attic.stop().await;
    watcher.command("stop", r#"{"id":"away"}"#).await;
    let mut attic = Attic::at(&broker).await;
    attic.connected().await;
    watcher
        .message("ostler/attic/operation/away", |record| {
            record["state"] == "succeeded"
        })
        .await;
}

#[tokio::test]
async fn records_that_the_engine_tells_no_longer_are_cleared_at_the_broker() {
    let broker = Broker::start();
    let mut watcher = Watcher::at(&broker).await;
    // An earlier run of the agent, whose journal is lost, has left this one behind.
    watcher
        .publish("ostler/attic/operation/forgotten", "{}", true)
        .await;
    let mut attic = Attic::at(&broker).await;
    attic.connected().await;
    for number in 0..40 {
        watcher
            .command("start", json!({"id": format!("n{number}")}).to_string())
            .await;
        let topic = format!("ostler/attic/operation/n{number}");
        watcher
            .message(&topic, |record| record["state"] == "succeeded")
            .await;
    }
    let told = attic.engine.records().len();
    watcher
        .until("clearing", |seen| {
            let cleared = seen
                .all()
                .into_iter()
                .filter(|publish| publish.payload.is_empty());
            (cleared.count() == 41 - told).then_some(())
        })
        .await;
    attic.stop().await;
    let later = Watcher::at(&broker).await;
    later.publish("end", "", false).await;
    let mut later = later;
    later
        .until("end", |seen| {
            seen.all()
                .iter()
                .any(|publish| publish.topic == "end")
                .then_some(())
        })
        .await;
    let retained = later
        .all()
        .into_iter()
        .filter(|publish| publish.topic.starts_with(b"ostler/attic/operation/"));
    assert_eq!(retained.count(), told);
}

#[tokio::test]
async fn what_is_retained_of_a_workload_that_there_is_no_longer_is_cleared() {
    let broker = Broker::start();
    let mut watcher = Watcher::at(&broker).await;
    let former = "ostler/attic/workload/former";
    watcher
        .publish(former, r#"{"name":"former","state":"running"}"#, true)
        .await;
    let mut attic = Attic::at(&broker).await;
    attic.connected().await;
    watcher
        .until("clearing", |seen| {
            let is_cleared =
                |publish: &_| matches!(publish, Publish { topic, payload, .. } if topic == former && payload.is_empty());
            seen.all().iter().any(is_cleared).then_some(())
        })
        .await;
    attic.stop().await;
    let later = Watcher::at(&broker).await;
    later.publish("end", "", false).await;
    let mut later = later;
    later
        .until("end", |seen| {
            seen.all()
                .iter()
                .any(|publish| publish.topic == "end")
                .then_some(())
        })
        .await;
    let retained = later
        .all()
        .into_iter()
        .filter(|publish| publish.topic.starts_with(b"ostler/attic/workload/"));
    assert_eq!(retained.count(), 1, "the one that there is stays");
}

#[tokio::test]
async fn a_command_that_comes_during_a_shutdown_waits_for_the_next_start() {
    let broker = Broker::start();
    let mut watcher = Watcher::at(&broker).await;
    let directory = tempfile::tempdir().unwrap();
    let (first, animal) = engine(directory.path()).await;
    let submit = Arc::new(first.clone());
    let mut attic = Attic::on(first.clone(), animal, settings(&broker), submit);
    attic.connected().await;
    assert!(first.drain(DEADLINE).await);
    watcher.command("stop", r#"{"id":"late"}"#).await;
    let refused = async {
        let mut updates = first.feed().subscribe();
        while first.refused() == 0 {
            updates.recv().await.unwrap();
        }
    };
    timeout(DEADLINE, refused).await.unwrap();
    attic.stop().await;
    assert_eq!(broker.logged(&[PUBACK]), 0, "{}", broker.log());
    let (second, animal) = engine(directory.path()).await;
    let submit = Arc::new(second.clone());
    let _attic = Attic::on(second, animal, settings(&broker), submit);
    let answers = watcher
        .until("record", |watcher| {
            let answers = watcher.on("ostler/attic/operation/late");
            let ended = |answer: &serde_json::Value| answer["state"] == "succeeded";
            answers.iter().any(ended).then_some(answers)
        })
        .await;
    assert!(
        answers.iter().all(|answer| answer["state"] != "refused"),
        "{answers:?}"
    );
}
