//! What an operation works with: its workload, its record, its steps.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::lane::Hold;
use super::ledger::Ledger;
use super::workload::Workload;
use crate::protocol::{Failure, Found, OperationRecord, Reason, RunState, Step, StepState};
use crate::runtime;

/// How long an operation that was taken up again waits for its runtime before it has done anything.
const RUNTIME_PATIENCE: Duration = Duration::from_secs(600);

/// How often the agent may come back to an operation; one that brings the agent down each time must not go on for ever.
const MAX_RECOVERIES: u32 = 8;

/// Where no step was begun.
const BEFORE_ALL: &str = "cancelled before its first step";

/// The pauses between two tries: the first, and the longest.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(250);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What a step did.
#[derive(Clone, Debug, Default)]
pub(super) struct Did {
    /// Whether it changed anything.
    pub changed: bool,
    /// What came of it, in words.
    pub detail: Option<String>,
}

/// One operation at work. Every change of its record goes through here, and is durable before the next act.
pub(super) struct Context {
    pub ledger: Arc<Ledger>,
    pub workload: Arc<Workload>,
    pub record: OperationRecord,
    /// Asked to cancel; heeded only where nothing has been done yet.
    pub cancelled: CancellationToken,
    /// Keeps the next operation waiting.
    pub hold: Option<Hold>,
    /// Set when the agent shuts down.
    closing: CancellationToken,
    /// See [`Context::must_finish`].
    must_finish: bool,
}

impl Context {
    /// An operation that begins, or is taken up again.
    pub fn new(
        ledger: Arc<Ledger>,
        workload: Arc<Workload>,
        record: OperationRecord,
        cancelled: CancellationToken,
        closing: CancellationToken,
        hold: Hold,
    ) -> Self {
        Self {
            ledger,
            workload,
            record,
            cancelled,
            hold: Some(hold),
            closing,
            must_finish: false,
        }
    }
}

impl Context {
    /// Does one step: journals it as started, does it, journals it as done. A step that is done already is skipped.
    pub async fn step(
        &mut self,
        name: &str,
        work: impl Future<Output = Result<Did, Failure>> + Send,
    ) -> Result<(), Failure> {
        match self.record.step(name).map(|step| step.state) {
            Some(StepState::Done) => return Ok(()),
            Some(StepState::Started | StepState::Failed) => {
                self.record.steps.retain(|step| step.name != name)
            }
            None => {}
        }
        if self.record.steps.is_empty() && self.cancelled.is_cancelled() {
            return Err(cancelled(BEFORE_ALL));
        }
        let must_finish = self.must_finish;
        journalled(
            &self.ledger,
            &mut self.record,
            must_finish,
            name,
            Box::pin(work),
        )
        .await
    }

    /// To be asked before a workload is stopped after long work: an agent that shuts down would not be there to start it.
    pub fn refuse_while_closing(&self) -> Result<(), Failure> {
        match self.closing.is_cancelled() {
            true => Err(Failure::new(
                Reason::ShuttingDown,
                "the agent is shutting down: the workload was left alone",
            )),
            false => Ok(()),
        }
    }

    /// From here on the workload may be stopped: a journal that cannot be written, on a full disk for example, must not
    /// keep it so. Every step that follows looks before it acts, so nothing is done twice for want of its record.
    pub fn must_finish(&mut self) {
        self.must_finish = true;
    }

    /// What had to be finished is, and this operation goes on with its own.
    pub fn need_not_finish(&mut self) {
        self.must_finish = false;
    }

    /// The same for whoever asked to cancel: until now nothing has been done that lasts.
    pub fn refuse_when_cancelled(&self) -> Result<(), Failure> {
        match self.cancelled.is_cancelled() {
            true => Err(cancelled("cancelled before the workload was touched")),
            false => Ok(()),
        }
    }

    /// The workload as this operation found it, looked at once and kept in the record before anything is done.
    ///
    /// After a boot the agent may be there before the runtime is: an operation that is taken up again waits for it.
    pub async fn found(&mut self) -> Result<Found, Failure> {
        if let Some(found) = &self.record.found {
            return Ok(found.clone());
        }
        let patience = match self.ledger.was_taken_up(&self.record) {
            true => RUNTIME_PATIENCE,
            false => Duration::ZERO,
        };
        let inspection = tokio::select! {
            inspection = retry(patience, || self.workload.runtime.inspect()) => inspection.map_err(failure_of)?,
            () = self.cancelled.cancelled() => return Err(cancelled(BEFORE_ALL)),
        };
        let found = Found {
            running: inspection.state.runs(),
            run: inspection.run,
        };
        self.record.found = Some(found.clone());
        Ok(found)
    }

    /// Lets the next operation begin: what is left of this one leaves the workload alone.
    pub fn let_go(&mut self) {
        self.hold = None;
    }

    /// Whether this operation was interrupted and taken up again.
    pub fn recovered(&self) -> bool {
        self.record.recoveries > 0
    }

    /// Whether a step was done, in this life or an earlier one.
    pub fn is_done(&self, name: &str) -> bool {
        self.record
            .step(name)
            .is_some_and(|step| step.state == StepState::Done)
    }

    /// Whether a step was at least begun.
    pub fn has_begun(&self, name: &str) -> bool {
        self.record.step(name).is_some()
    }

    /// Forgets steps, so that they are done again.
    pub fn forget_steps(&mut self, names: &[&str]) {
        self.record
            .steps
            .retain(|step| !names.contains(&step.name.as_str()));
    }

    /// Whether it was interrupted so often that it must be what brings the agent down.
    pub fn given_up(&self) -> bool {
        self.record.recoveries > MAX_RECOVERIES
    }
}

/// A step of an operation that has no workload.
pub(super) async fn step(
    ledger: &Ledger,
    record: &mut OperationRecord,
    name: &str,
    work: impl Future<Output = Result<Did, Failure>> + Send,
) -> Result<(), Failure> {
    journalled(ledger, record, false, name, Box::pin(work)).await
}

/// Journals a step as started, does it, and journals how it ended. In a box, so that all steps go this one way.
async fn journalled(
    ledger: &Ledger,
    record: &mut OperationRecord,
    must_finish: bool,
    name: &str,
    work: Pin<Box<dyn Future<Output = Result<Did, Failure>> + Send + '_>>,
) -> Result<(), Failure> {
    record.steps.push(Step {
        name: name.to_owned(),
        state: StepState::Started,
        took_ms: None,
        detail: None,
    });
    if let Err(failure) = ledger.store(record).await {
        if !must_finish {
            return Err(failure);
        }
        tracing::error!(
            "operation {} goes on without its record: {}",
            record.id,
            failure.message
        );
    }
    let begun = Instant::now();
    let outcome = work.await;
    record.progress = None;
    if let Some(step) = record.steps.last_mut() {
        step.took_ms = Some(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX));
        match &outcome {
            Ok(did) => (step.state, step.detail) = (StepState::Done, did.detail.clone()),
            Err(failure) => {
                (step.state, step.detail) = (StepState::Failed, Some(failure.message.clone()))
            }
        }
    }
    if let Ok(did) = &outcome {
        record.changed = Some(did.changed || record.changed == Some(true));
    }
    if let Err(failure) = ledger.store(record).await {
        // It is done all the same; where another step must not begin without a journal, that one says so.
        tracing::error!(
            "what step {name} of {} came to is not durable: {}",
            record.id,
            failure.message
        );
    }
    outcome.map(drop)
}

impl RunState {
    /// Whether a stop has something to stop.
    pub(super) fn runs(self) -> bool {
        match self {
            RunState::Running | RunState::Restarting | RunState::Paused => true,
            RunState::Stopped
            | RunState::Created
            | RunState::Dead
            | RunState::Missing
            | RunState::RuntimeAbsent
            | RunState::RuntimeUnresponsive
            | RunState::Unknown => false,
        }
    }
}

/// Asks a runtime that is away or hung again and again, with growing pauses, for at most `patience`.
///
/// A runtime that answers with a refusal is asked no more: it was heard.
pub(super) async fn retry<T, F>(
    patience: Duration,
    mut ask: impl FnMut() -> F,
) -> Result<T, runtime::Error>
where
    F: Future<Output = Result<T, runtime::Error>>,
{
    let begun = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match ask().await {
            Err(error @ (runtime::Error::Absent { .. } | runtime::Error::Unresponsive { .. }))
                if begun.elapsed() + pause <= patience =>
            {
                tracing::warn!("{error}; trying again in {} ms", pause.as_millis());
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            outcome => return outcome,
        }
    }
}

/// The end of an operation that was asked to end.
pub(super) fn cancelled(when: &str) -> Failure {
    Failure::new(Reason::Cancelled, when)
}

/// What an error of the runtime is to whoever asked.
pub(super) fn failure_of(error: runtime::Error) -> Failure {
    let reason = match &error {
        runtime::Error::Absent { .. } => Reason::RuntimeAbsent,
        runtime::Error::Unresponsive { .. } => Reason::RuntimeUnresponsive,
        runtime::Error::Missing { .. } => Reason::WorkloadMissing,
        runtime::Error::Refused { .. } => Reason::RuntimeFailed,
    };
    Failure::new(reason, error.to_string())
}
