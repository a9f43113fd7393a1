//! The pump with sensors that answer and with sensors that hang.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::sync::broadcast;
use tokio::time::advance;

use super::*;
use crate::feed::Feed;
use crate::operation::Parts;

const INTERVAL: Duration = Duration::from_secs(60);

struct Bench {
    updates: broadcast::Receiver<Update>,
    last: watch::Receiver<Option<Telemetry>>,
    interval: watch::Sender<Duration>,
    /// Lets the sensors answer once.
    answer: SyncSender<()>,
    _directory: tempfile::TempDir,
}

async fn pump() -> Bench {
    let directory = tempfile::tempdir().unwrap();
    let parts = Parts {
        state_dir: directory.path().to_owned(),
        workloads: Vec::new(),
        feed: Feed::default(),
        clock: ClockSync::default(),
    };
    let (engine, _) = Engine::open(parts).await.unwrap();
    let (last, last_seen) = watch::channel(None);
    let updates = engine.feed().subscribe();
    let pump = Pump {
        engine,
        session: 3,
        clock: ClockSync::default(),
        link: None,
        last,
    };
    let (interval, interval_seen) = watch::channel(INTERVAL);
    let (answer, answers): (_, Receiver<()>) = sync_channel(8);
    let sample = move || {
        // A test that is over lets the thread go.
        let _ = answers.recv();
        Sample {
            clock_synced: true,
            ..Sample::default()
        }
    };
    tokio::spawn(pump.run(interval_seen, sample));
    Bench {
        updates,
        last: last_seen,
        interval,
        answer,
        _directory: directory,
    }
}

impl Bench {
    async fn sample(&mut self) -> Telemetry {
        match self.updates.recv().await.unwrap() {
            Update::Telemetry(telemetry) => *telemetry,
            other => panic!("not a sample: {other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn samples_are_numbered_and_come_at_their_interval() {
    let mut bench = pump().await;
    let begun = tokio::time::Instant::now();
    for sequence in 1..=3 {
        bench.answer.send(()).unwrap();
        let telemetry = bench.sample().await;
        assert_eq!((telemetry.session, telemetry.sequence), (3, sequence));
        assert_eq!(bench.last.borrow_and_update().as_ref(), Some(&telemetry));
    }
    assert_eq!(begun.elapsed(), INTERVAL * 2, "the first comes at once");
}

#[tokio::test(start_paused = true)]
async fn a_changed_interval_holds_at_once() {
    let mut bench = pump().await;
    bench.answer.send(()).unwrap();
    bench.sample().await;
    let begun = tokio::time::Instant::now();
    bench.interval.send(Duration::from_secs(5)).unwrap();
    bench.answer.send(()).unwrap();
    bench.sample().await;
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn sensors_that_hang_are_told_once_and_go_on_when_they_answer() {
    let mut bench = pump().await;
    // Time does not go by itself while a thread is in the sensors.
    let told = loop {
        tokio::task::yield_now().await;
        advance(Duration::from_secs(1)).await;
        if let Ok(update) = bench.updates.try_recv() {
            break update;
        }
    };
    let Update::Event(event) = told else {
        panic!("not an event: {told:?}")
    };
    assert_eq!(event.kind, "sensors-hang");
    for _ in 0..200 {
        advance(Duration::from_secs(1)).await;
        tokio::task::yield_now().await;
    }
    assert!(bench.updates.try_recv().is_err(), "it is told once");
    bench.answer.send(()).unwrap();
    assert_eq!(bench.sample().await.sequence, 1);
}
