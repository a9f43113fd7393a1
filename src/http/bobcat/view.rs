//! One picture of the miner, in the stock device's terms: what all answers are made of.

use crate::operation::Engine;
use crate::protocol::{
    Operation, OperationRecord, RunState, State, StepState, SyncState, WorkloadReport,
};
use crate::workload::helium::{Answer, Observation};

use super::Miner;

/// In which of the stock device's states the miner is, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Synced,
    Syncing,
    Loading,
    /// Its data is being replaced, by this operation.
    Resyncing(Operation),
    /// It does not answer in time.
    Silent,
    /// There is no container, or it does not run.
    Gone,
    /// Its container runs, and it has only just begun to start.
    Starting,
    /// It answers with words.
    Unclear,
    /// The host goes down.
    GoingDown,
    NoChainHeight,
}

/// What is known of the miner at this moment.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub phase: Phase,
    /// Whether the stock device would show itself busy: a snapshot is being got for the miner.
    pub busy: bool,
    /// How the workload was seen last; `None` where this device has no miner.
    pub report: Option<WorkloadReport>,
    pub observation: Observation,
}

impl View {
    /// What the engine and the miner's kind know now; nothing is asked.
    pub fn now(engine: &Engine, miner: Option<&Miner>) -> Self {
        let Some(miner) = miner else {
            return Self::of(None, Observation::default(), None);
        };
        let reports = engine.workloads();
        let report = reports.into_iter().find(|report| report.name == miner.name);
        let job = job(engine, miner);
        Self::of(report, miner.observation.borrow().clone(), job.as_ref())
    }

    /// The same of these.
    pub fn of(
        report: Option<WorkloadReport>,
        observation: Observation,
        job: Option<&OperationRecord>,
    ) -> Self {
        let seen = report
            .as_ref()
            .map_or(Phase::Gone, |report| phase(report, &observation));
        let (phase, busy) = match job {
            Some(job) if is_rebuilding(job) => (Phase::Resyncing(job.operation), true),
            Some(job) if job.operation == Operation::Reboot => (Phase::GoingDown, false),
            Some(job) if job.operation == Operation::Fastsync && loads(job) => {
                (Phase::Loading, false)
            }
            Some(job) if job.operation == Operation::Fastsync => (seen, true),
            _ => (seen, false),
        };
        Self {
            phase,
            busy,
            report,
            observation,
        }
    }

    /// Whether the container runs, as far as anybody knows.
    pub fn runs(&self) -> bool {
        let state = self.report.as_ref().map(|report| report.state);
        matches!(
            state,
            Some(RunState::Running | RunState::RuntimeUnresponsive)
        )
    }

    /// Whether the engine itself does not answer, so that what was seen last counts no longer.
    pub fn is_cut_off(&self) -> bool {
        let state = self.report.as_ref().map(|report| report.state);
        state == Some(RunState::RuntimeUnresponsive)
    }

    /// The height of the chain, where it is known.
    pub fn chain_height(&self) -> Option<u64> {
        let sync = self.report.as_ref()?.sync.as_ref()?;
        sync.chain_height.or(self.observation.chain_height)
    }

    /// Seconds for which the miner is in the state that was seen last.
    pub fn lasted(&self) -> u64 {
        let sync = self.report.as_ref().and_then(|report| report.sync.as_ref());
        sync.map_or(0, |sync| sync.lasted_s)
    }

    /// What the stock device's light shows.
    pub fn led(&self) -> &'static str {
        match self.phase {
            Phase::Synced if !self.busy => "green",
            Phase::Syncing | Phase::NoChainHeight if !self.busy => "white",
            Phase::Synced | Phase::Syncing | Phase::NoChainHeight => "yellow",
            Phase::Loading | Phase::Resyncing(_) => "yellow",
            Phase::Silent | Phase::Gone | Phase::Starting | Phase::Unclear | Phase::GoingDown => {
                "red"
            }
        }
    }
}

/// The work that shows in the stock device's answers: the first that has not ended.
fn job(engine: &Engine, miner: &Miner) -> Option<OperationRecord> {
    let concerns = |record: &OperationRecord| match record.operation {
        Operation::Resync | Operation::Reset | Operation::Restore | Operation::Fastsync => {
            record.workload.as_ref() == Some(&miner.name) && !record.dry_run
        }
        Operation::Reboot => !record.dry_run,
        Operation::Start
        | Operation::Stop
        | Operation::Restart
        | Operation::Snapshot
        | Operation::RestoreCheckpoint
        | Operation::Verify
        | Operation::Prune
        | Operation::Upload
        | Operation::Logs
        | Operation::Cancel => false,
    };
    engine
        .records()
        .into_iter()
        .rev()
        .find(|record| !record.state.is_final() && concerns(record))
}

fn is_rebuilding(job: &OperationRecord) -> bool {
    let waits = job.state == State::Accepted
        && matches!(
            job.operation,
            Operation::Resync | Operation::Reset | Operation::Restore
        );
    waits || job.is_rebuilding()
}

/// Whether a fast sync has come to its load.
fn loads(job: &OperationRecord) -> bool {
    job.step("load")
        .is_some_and(|step| step.state == StepState::Started)
}

fn phase(report: &WorkloadReport, observation: &Observation) -> Phase {
    match (report.state, report.sync.as_ref().map(|sync| sync.state)) {
        (RunState::RuntimeUnresponsive, _) => Phase::Silent,
        (RunState::Running, Some(SyncState::Synced)) => Phase::Synced,
        (RunState::Running, Some(SyncState::Syncing)) => Phase::Syncing,
        (RunState::Running, Some(SyncState::Loading)) => Phase::Loading,
        (RunState::Running, Some(SyncState::Silent)) => Phase::Silent,
        (RunState::Running, Some(SyncState::Unclear)) => Phase::Unclear,
        (RunState::Running, Some(SyncState::NoChainHeight)) => Phase::NoChainHeight,
        // What the operation has let go of by now, before anybody has looked again.
        (RunState::Running, Some(SyncState::Resyncing)) => seen(observation),
        (RunState::Running, Some(SyncState::Down) | None) => Phase::Starting,
        _ => Phase::Gone,
    }
}

fn seen(observation: &Observation) -> Phase {
    match observation.state {
        Some(SyncState::Synced) => Phase::Synced,
        Some(SyncState::Syncing) => Phase::Syncing,
        Some(SyncState::Loading) => Phase::Loading,
        Some(SyncState::Silent) => Phase::Silent,
        Some(SyncState::Unclear) => Phase::Unclear,
        Some(SyncState::NoChainHeight) => Phase::NoChainHeight,
        Some(SyncState::Down | SyncState::Resyncing) | None => Phase::Starting,
    }
}

/// The first and the last word of the first line: the stock device takes them for the epoch and the height, whatever
/// they are.
pub(super) fn tokens(height: &Answer) -> Option<(&str, &str)> {
    let mut words = height.text()?.lines().next()?.split_whitespace();
    let first = words.next()?;
    Some((first, words.next_back().unwrap_or(first)))
}
