//! What the engine tells whoever asks; nothing is changed by it.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::super::logs;
use super::Engine;
use crate::protocol::{
    Capability, Failure, Name, Operation, OperationId, OperationRecord, Refusal, SnapshotReport,
    WorkloadReport,
};

impl Engine {
    /// The record of an operation that has not ended, or is among the last that have.
    pub fn record(&self, id: &OperationId) -> Option<OperationRecord> {
        self.0.ledger.get(id).map(OperationRecord::told)
    }

    /// The record of any operation that is remembered; the older ones are read from the journal.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub async fn find(&self, id: &OperationId) -> Result<Option<OperationRecord>, Failure> {
        let found = self.0.ledger.find(id).await?;
        Ok(found.map(OperationRecord::told))
    }

    /// The unfinished and the last ended operations, newest first.
    pub fn records(&self) -> Vec<OperationRecord> {
        let recent = self.0.ledger.recent().into_iter();
        recent.map(OperationRecord::told).collect()
    }

    /// Whether an operation that was accepted has not ended.
    pub fn is_busy(&self) -> bool {
        let records = self.0.ledger.recent();
        records.iter().any(|record| !record.state.is_final())
    }

    /// The last refusals, newest first.
    pub fn refusals(&self) -> Vec<Refusal> {
        self.0
            .refusals
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .cloned()
            .collect()
    }

    /// How many commands were refused since the agent started.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }

    /// The state of each workload.
    pub fn workloads(&self) -> Vec<WorkloadReport> {
        self.0
            .lanes
            .values()
            .map(|lane| lane.workload.report())
            .collect()
    }

    /// The workloads and what each can do.
    pub fn capabilities(&self) -> Vec<Capability> {
        self.0
            .lanes
            .values()
            .map(|lane| lane.workload.capability())
            .collect()
    }

    /// What the device itself can be asked.
    pub fn device_operations(&self) -> Vec<Operation> {
        let host = self.0.device.host.as_ref();
        host.map(|_| Operation::Reboot).into_iter().collect()
    }

    /// The last lines of a workload's log.
    pub async fn logs(&self, workload: &Name, lines: usize) -> Result<String, Failure> {
        let lane = self.lane_of(Some(workload))?;
        logs::tail(&lane.workload, lines, logs::MAX_LOG_BYTES).await
    }

    /// A workload's snapshots, newest first.
    ///
    /// # Errors
    /// Where the workload is unknown or has no data directory, or its store cannot be read.
    pub async fn snapshots(&self, workload: &Name) -> Result<Vec<SnapshotReport>, Failure> {
        let lane = self.lane_of(Some(workload))?;
        lane.workload.list(self.0.clock.synced()).await
    }
}
