//! The engine on a runtime that fails and hangs where a test wants it to; the real Docker engine has its own suite.

mod checkpoint;
mod cut;
mod earlier;
mod fake;
mod from_bucket;
mod inn;
mod interrupted;
mod journal;
mod meanwhile;
mod power;
mod reboot;
mod requests;
mod upload;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::{Answer, Engine, Parts, Times, Workload};
use crate::clock::{ClockSync, Timestamp};
use crate::feed::Feed;
use crate::protocol::{
    Found, Name, Operation, OperationId, OperationRecord, Origin, Reason, Request, State, Step,
    StepState,
};
use crate::workload::generic::Generic;
use fake::{Fake, refused, unresponsive};

/// A clock that is synchronised.
fn synced() -> ClockSync {
    let clock = ClockSync::default();
    clock.set(true);
    clock
}

fn parts(directory: &Path, fake: &Fake, clock: ClockSync) -> Parts {
    let times = Times {
        grace: Duration::from_secs(1),
        ready: Duration::from_secs(5),
        interval: Duration::from_secs(30),
    };
    let workload = Workload::new(
        Name::new("miner").unwrap(),
        Arc::new(fake.clone()),
        Arc::new(Generic),
        times,
    );
    Parts {
        state_dir: directory.to_owned(),
        workloads: vec![workload],
        feed: Feed::default(),
        clock,
    }
}

async fn open(directory: &Path, fake: &Fake, clock: ClockSync) -> Engine {
    let parts = parts(directory, fake, clock);
    Engine::open(parts).await.unwrap().0
}

async fn started(directory: &Path, fake: &Fake) -> Engine {
    let engine = open(directory, fake, synced()).await;
    engine.spawn();
    engine
}

fn request(id: &str, operation: Operation, args: Value) -> Request {
    let Value::Object(args) = args else {
        panic!("not an object")
    };
    Request {
        id: OperationId::new(id).unwrap(),
        operation,
        workload: None,
        args,
        origin: Origin::Local,
        expires_at: None,
        dry_run: false,
    }
}

fn restart(id: &str) -> Request {
    request(id, Operation::Restart, json!({}))
}

async fn ended(engine: &Engine, id: &str) -> OperationRecord {
    let id = OperationId::new(id).unwrap();
    let wait = async {
        loop {
            match engine.record(&id) {
                Some(record) if record.state.is_final() => return record,
                _ => sleep(Duration::from_millis(5)).await,
            }
        }
    };
    // Of the paused clock: it only runs while nothing else does.
    timeout(Duration::from_secs(2 * 24 * 3600), wait)
        .await
        .expect("the operation ends")
}

fn reason(answer: &Answer) -> Reason {
    match answer {
        Answer::Refused(refusal) => refusal.failure.reason,
        Answer::Accepted(record) | Answer::Known(record) => panic!("not refused: {record:?}"),
    }
}
