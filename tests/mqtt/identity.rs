//! Who is there: birth, will, old wills, namesakes.

use std::time::Duration;

use nix::sys::signal::Signal;
use ostler::protocol::{Availability, Presence};
use ostler::report::Settings;

use super::attic::{Attic, available, settings};
use super::broker::Broker;
use super::watcher::Watcher;

const AVAILABILITY: &str = "ostler/attic/availability";

#[tokio::test]
async fn birth_and_will_carry_the_session_and_the_connection() {
    let broker = Broker::start();
    let mut watcher = Watcher::at(&broker).await;
    let attic = Attic::at(&broker).await;
    watcher.availability(available(Presence::Online, 1)).await;
    // The process dies: its sockets close without a goodbye.
    attic.reporter.abort();
    watcher.availability(available(Presence::Offline, 1)).await;
    let later = Watcher::at(&broker)
        .await
        .message(AVAILABILITY, |_| true)
        .await;
    assert_eq!(later["state"], "offline", "the will is retained");
}

#[tokio::test]
async fn a_stop_says_offline_and_leaves_no_will() {
    let broker = Broker::start();
    let mut watcher = Watcher::at(&broker).await;
    let mut attic = Attic::at(&broker).await;
    watcher.availability(available(Presence::Online, 1)).await;
    attic.sample(1);
    attic.stop().await;
    watcher.availability(available(Presence::Offline, 1)).await;
    broker
        .has_logged(1, &["Received DISCONNECT from ostler-attic"])
        .await;
    assert_eq!(
        watcher.on("ostler/attic/telemetry").len(),
        1,
        "what waited was sent"
    );
    let mut later = Watcher::at(&broker).await;
    let retained = later.message(AVAILABILITY, |_| true).await;
    assert_eq!(retained["state"], "offline", "and stays so");
}

#[tokio::test]
async fn where_no_offline_got_through_the_will_says_it() {
    let broker = Broker::start();
    let mut watcher = Watcher::at(&broker).await;
    // Longer than a stop waits.
    let mut attic = Attic::with(Settings {
        keep_alive: Duration::from_secs(60),
        ..settings(&broker)
    })
    .await;
    attic.connected().await;
    watcher.availability(available(Presence::Online, 1)).await;
    attic
        .link("at rest", |link| link.connected && link.waiting == 0)
        .await;
    broker.signal(Signal::SIGSTOP);
    // More than is sent without an answer: nothing can follow.
    (1..=40).for_each(|sequence| attic.sample(sequence));
    attic.link("full", |link| link.waiting >= 20).await;
    // The broker comes back when the stop has given up what waits, and might still send a goodbye.
    let late = async {
        tokio::time::sleep(Duration::from_millis(5700)).await;
        broker.signal(Signal::SIGCONT);
    };
    tokio::join!(attic.stop(), late);
    watcher.availability(available(Presence::Offline, 1)).await;
    let farewells = broker.logged(&["Received DISCONNECT from ostler-attic"]);
    assert_eq!(farewells, 0);
}

#[tokio::test]
async fn an_old_will_is_answered_by_a_new_birth() {
    let broker = Broker::start();
    let mut watcher = Watcher::at(&broker).await;
    let mut attic = Attic::at(&broker).await;
    attic.connected().await;
    watcher.availability(available(Presence::Online, 1)).await;
    for old in [
        Availability {
            session: 6,
            ..available(Presence::Offline, 3)
        },
        // Our own will, of a connection that the broker believes to be another.
        available(Presence::Offline, 1),
    ] {
        watcher.forget();
        watcher
            .publish(AVAILABILITY, serde_json::to_vec(&old).unwrap(), true)
            .await;
        watcher.availability(available(Presence::Online, 1)).await;
    }
    watcher.forget();
    watcher.publish(AVAILABILITY, "", true).await;
    watcher.availability(available(Presence::Online, 1)).await;
}

#[tokio::test]
async fn a_namesake_is_reported_and_not_fought_for_ever() {
    let broker = Broker::start();
    let mut watcher = Watcher::at(&broker).await;
    let mut first = Attic::at(&broker).await;
    first.connected().await;
    let mut other = settings(&broker);
    other.client_id = "another".to_owned();
    other.session = 99;
    let second = Attic::with(other).await;
    let event = watcher
        .message("ostler/attic/event", |event| {
            event["kind"] == "name-contested"
        })
        .await;
    assert!(
        event["message"].as_str().unwrap().contains("device.id"),
        "{event}"
    );
    drop(second);
}

#[tokio::test]
async fn two_clients_with_one_identifier_are_reported() {
    let broker = Broker::start();
    let mut watcher = Watcher::at(&broker).await;
    let first = Attic::at(&broker).await;
    let second = Attic::at(&broker).await;
    let event = watcher
        .message("ostler/attic/event", |event| {
            event["kind"] == "client-id-contested"
        })
        .await;
    assert!(
        event["message"].as_str().unwrap().contains("ostler-attic"),
        "{event}"
    );
    drop((first, second));
}
