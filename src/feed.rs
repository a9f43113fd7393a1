//! The feed: everything that goes out, in one bounded channel that every front end reads.
//!
//! A reader that is too slow loses the oldest updates and is told how many; it then asks the engine
//! for the state as it is, which is all that matters of operations and workloads.

use tokio::sync::broadcast;

use crate::protocol::{Event, OperationRecord, Refusal, Telemetry, WorkloadReport};

/// How many updates a slow reader may be behind.
const BOUND: usize = 128;

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Update {
    /// An operation moved.
    Operation(Box<OperationRecord>),
    /// A command was refused.
    Refusal(Box<Refusal>),
    /// A workload changed, or its heartbeat is due.
    Workload(Box<WorkloadReport>),
    /// A sample of the host.
    Telemetry(Box<Telemetry>),
    /// Something worth a line in a log.
    Event(Box<Event>),
}

/// Where updates are put in and read.
#[derive(Clone, Debug)]
pub struct Feed(broadcast::Sender<Update>);

impl Default for Feed {
    fn default() -> Self {
        Self(broadcast::channel(BOUND).0)
    }
}

impl Feed {
    /// Tells every reader. No reader is no error.
    pub fn send(&self, update: Update) {
        let _ = self.0.send(update);
    }

    /// Reads from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Update> {
        self.0.subscribe()
    }
}
