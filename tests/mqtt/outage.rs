//! The broker goes and comes back.

use nix::sys::signal::Signal;
use std::time::Duration;

use ostler::protocol::Presence;
use ostler::report::Settings;
use serde_json::{Value, json};

use super::attic::{Attic, available, settings};
use super::broker::{Broker, Setup};
use super::watcher::Watcher;

#[tokio::test]
async fn a_broker_that_has_forgotten_everything_is_told_everything_again() {
    let mut broker = Broker::start();
    let mut attic = Attic::at(&broker).await;
    attic.connected().await;
    let mut watcher = Watcher::at(&broker).await;
    watcher.command("stop", r#"{"id":"s1"}"#).await;
    watcher
        .message("ostler/attic/operation/s1", |record| {
            record["state"] == "succeeded"
        })
        .await;
    broker.kill();
    attic.link("lost", |link| !link.connected).await;
    broker.resume_service();
    let connection = attic.connected().await.connection;
    assert!(connection >= 2);
    let mut watcher = Watcher::at(&broker).await;
    watcher
        .availability(available(Presence::Online, connection))
        .await;
    for topic in ["device", "workload/miner", "operation/s1"] {
        watcher
            .message(&format!("ostler/attic/{topic}"), |message| {
                message.is_object()
            })
            .await;
    }
    assert_eq!(attic.link.borrow().lost, 1);
}

#[tokio::test]
async fn records_come_first_and_then_the_samples_of_the_outage_with_their_numbers() {
    let mut broker = Broker::start_with(Setup {
        persistent: true,
        ..Setup::default()
    });
    let mut attic = Attic::at(&broker).await;
    attic.connected().await;
    attic.sample(1);
    let mut watcher = Watcher::at(&broker).await;
    attic.sample(2);
    watcher
        .message("ostler/attic/telemetry", |sample| sample["sequence"] == 2)
        .await;
    broker.kill();
    attic.link("lost", |link| !link.connected).await;
    (3..=6).for_each(|sequence| attic.sample(sequence));
    // One more where the broker died before it had acknowledged it.
    attic.link("waiting", |link| link.waiting >= 4).await;
    let request = ostler::protocol::Request {
        id: "during".parse().unwrap(),
        operation: ostler::protocol::Operation::Stop,
        workload: None,
        args: Default::default(),
        origin: ostler::protocol::Origin::Local,
        expires_at: None,
        dry_run: false,
    };
    attic.engine.submit(request).await;
    broker.resume_service();
    // This one is there before the device, whose pause may be shorter: it waits for the last sample.
    let mut watcher = Watcher::at(&broker).await;
    attic.connected().await;
    attic.sample(7);
    attic.link("sent", |link| link.waiting == 0).await;
    watcher
        .message("ostler/attic/telemetry", |sample| sample["sequence"] == 7)
        .await;
    let log = broker.log();
    let restarted = log.rfind("Opening ipv4 listen socket").unwrap();
    let published: Vec<_> = log[restarted..]
        .lines()
        .filter(|line| line.contains("Received PUBLISH from ostler-attic"))
        .collect();
    let position = |part: &str| published.iter().position(|line| line.contains(part));
    assert!(
        position("operation/during").unwrap() < position("telemetry").unwrap(),
        "{published:#?}"
    );
    let samples: Vec<(Value, bool)> = watcher
        .on("ostler/attic/telemetry")
        .iter()
        .map(|sample| (sample["sequence"].clone(), sample["historical"] == true))
        .collect();
    let new = samples
        .iter()
        .rev()
        .take_while(|(sequence, _)| *sequence != json!(2));
    let new: Vec<_> = new.cloned().collect();
    let expected =
        [(7, false), (6, true), (5, true), (4, true), (3, true)].map(|(n, h)| (json!(n), h));
    assert!(expected.ends_with(&new), "{samples:?}");
    assert_eq!(attic.link.borrow().dropped, Default::default());
}

#[tokio::test]
async fn the_outbox_drops_the_oldest_and_says_how_many() {
    let mut broker = Broker::start();
    let mut attic = Attic::at(&broker).await;
    attic.connected().await;
    broker.kill();
    attic.link("lost", |link| !link.connected).await;
    for sequence in 1..=1500 {
        attic.sample(sequence);
        // The feed is bounded: as in life, the samples come one after the other.
        tokio::task::yield_now().await;
    }
    let link = attic.link("full", |link| link.waiting == 1440).await;
    assert_eq!(link.dropped.telemetry, 60);
    broker.resume_service();
    let mut watcher = Watcher::at(&broker).await;
    watcher
        .message("ostler/attic/telemetry", |sample| {
            sample["sequence"] == 1500
        })
        .await;
    let first = &watcher.on("ostler/attic/telemetry")[0]["sequence"];
    assert!(first.as_u64().unwrap() >= 61, "{first}");
}

#[tokio::test]
async fn what_the_device_says_of_itself_is_told_again_when_it_changes() {
    let broker = Broker::start();
    let mut watcher = Watcher::at(&broker).await;
    let mut attic = Attic::at(&broker).await;
    attic.connected().await;
    attic.device.send_modify(|device| {
        device.as_mut().unwrap().addresses = vec!["192.0.2.7".to_owned()];
    });
    watcher
        .message("ostler/attic/device", |device| {
            device["addresses"][0] == "192.0.2.7"
        })
        .await;
}

#[tokio::test]
async fn a_broker_that_hangs_is_noticed() {
    let mut broker = Broker::start();
    let mut attic = Attic::at(&broker).await;
    attic.connected().await;
    broker.signal(Signal::SIGSTOP);
    attic.sample(1);
    attic.not_connected("did not acknowledge").await;
    broker.signal(Signal::SIGCONT);
    attic.connected().await;
    attic.link("sent", |link| link.waiting == 0).await;
    broker.kill();
}

/// The broker is killed again and again; whoever asks sends again what has no answer, as the protocol says.
#[tokio::test]
async fn a_broker_that_is_killed_fifty_times_loses_no_command_and_runs_none_twice() {
    const KILLS: u32 = 50;
    let mut broker = Broker::start();
    let mut attic = Attic::with(Settings {
        longest_pause: Duration::from_millis(100),
        ..settings(&broker)
    })
    .await;
    attic.connected().await;
    let mut asked = 0;
    for kill in 0..KILLS {
        let watcher = Watcher::at(&broker).await;
        for number in 0..=kill % 3 {
            let id = asked + number;
            let payload = json!({"id": format!("r{id}")}).to_string();
            watcher.pour("ostler/attic/command/restart", &payload).await;
        }
        asked += kill % 3 + 1;
        broker.kill();
        broker.resume_service();
        let mut watcher = Watcher::at(&broker).await;
        let unanswered = |watcher: &Watcher| {
            (0..asked).rev().take(3).find(|id| {
                let topic = format!("ostler/attic/operation/r{id}");
                let ended = |record: &Value| record["state"] == "succeeded";
                !watcher.on(&topic).iter().any(ended)
            })
        };
        attic.link("back", |link| link.connected).await;
        for id in (0..asked).rev().take(3) {
            watcher
                .command("restart", json!({"id": format!("r{id}")}).to_string())
                .await;
        }
        watcher
            .until("answer to every command", |watcher| {
                unanswered(watcher).is_none().then_some(())
            })
            .await;
    }
    // The first run is that of the workload in memory itself.
    assert_eq!(attic.animal.runs(), asked + 1);
}
