//! The operation engine: one way in ([`Request`]), one way out ([`OperationRecord`]).

use crate::feed::Feed;
use crate::protocol::{
    Capability, Failure, Name, OperationId, OperationRecord, Origin, Refusal, Request,
    WorkloadReport,
};

/// What became of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// New: its record is durable, its turn comes.
    Accepted(OperationRecord),
    /// Seen before: the record as it stands; nothing was done.
    Known(OperationRecord),
    /// Not accepted; nothing was done and nothing was written.
    Refused(Refusal),
}

/// Takes requests, journals and runs them. Cheap to clone.
#[derive(Clone)]
pub struct Engine {}

impl Engine {
    /// Validates, dedupes and journals a request; when this returns, an accepted one survives a power cut.
    pub async fn submit(&self, _request: Request) -> Answer {
        todo!()
    }
    /// Counts and reports a command that a door could not make a request of.
    pub fn refuse(
        &self,
        _id: Option<OperationId>,
        _operation: &str,
        _origin: Origin,
        _failure: Failure,
    ) -> Refusal {
        todo!()
    }
    /// The record of an operation.
    pub fn record(&self, _id: &OperationId) -> Option<OperationRecord> {
        todo!()
    }
    /// All records that are kept, newest first.
    pub fn records(&self) -> Vec<OperationRecord> {
        todo!()
    }
    /// The last refusals, newest first.
    pub fn refusals(&self) -> Vec<Refusal> {
        todo!()
    }
    /// The state of each workload.
    pub fn workloads(&self) -> Vec<WorkloadReport> {
        todo!()
    }
    /// The workloads and what each can do.
    pub fn capabilities(&self) -> Vec<Capability> {
        todo!()
    }
    /// The last lines of a workload's log.
    pub async fn logs(&self, _workload: &Name, _lines: usize) -> Result<String, Failure> {
        todo!()
    }
    /// How many commands were refused since the agent started.
    pub fn refused(&self) -> u64 {
        todo!()
    }
    /// Everything that goes out.
    pub fn feed(&self) -> &Feed {
        todo!()
    }
}
