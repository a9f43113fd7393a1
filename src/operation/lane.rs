//! A lane: the operations of one workload, one at a time, in the order in which they were accepted.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, RwLock, mpsc, oneshot};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::arguments::Arguments;
use super::context::Context;
use super::ledger::Ledger;
use super::workload::Workload;
use super::{
    fastsync, logs, power, prune, reset, restore, restore_checkpoint, resync, snapshot, upload,
    verify,
};
use crate::clock::{ClockSync, Timestamp};
use crate::protocol::{Failure, Operation, OperationId, OperationRecord, Reason, State, Step};

/// How many operations may wait for a workload.
pub(super) const WAITING: usize = 16;

/// How long a cancel waits for an operation at work to heed it.
const HEED: Duration = Duration::from_secs(10);

/// The steps of restores and their kin that come before anything is touched; each ends when it is asked to.
const HARMLESS: [&str; 10] = [
    "choose", "check", "verify", "stage", "pull", "create", "look", "fetch", "unpack", "examine",
];

/// What runs operations.
pub(super) struct Runner {
    pub ledger: Arc<Ledger>,
    pub clock: ClockSync,
    cancels: Mutex<HashMap<OperationId, CancellationToken>>,
    /// Shared by the operations of the workloads; an operation of the device has it alone.
    pub gate: Arc<RwLock<()>>,
    /// Set when the agent cannot wait any longer: what is at work is left to the next start.
    pub abandon: CancellationToken,
    tasks: TaskTracker,
    /// Set when the agent shuts down: nothing new begins.
    pub closing: CancellationToken,
}

/// What an operation holds while it is at work: dropping it lets the next one begin.
#[expect(dead_code, reason = "what counts is that it is dropped")]
pub(super) enum Hold {
    /// The lane of its workload.
    Lane(oneshot::Sender<()>),
    /// One of the places beside the lanes.
    Place(OwnedSemaphorePermit),
}

impl Runner {
    pub fn new(
        ledger: Arc<Ledger>,
        clock: ClockSync,
        tasks: TaskTracker,
        closing: CancellationToken,
    ) -> Self {
        Self {
            tasks,
            closing,
            ledger,
            clock,
            cancels: Mutex::default(),
            gate: Arc::default(),
            abandon: CancellationToken::new(),
        }
    }

    /// Runs what comes until the lane is closed or the agent stops.
    pub async fn run_lane(
        self: Arc<Self>,
        workload: Arc<Workload>,
        mut waiting: mpsc::Receiver<OperationId>,
    ) {
        loop {
            let id = tokio::select! {
                biased;
                () = self.closing.cancelled() => return,
                next = waiting.recv() => match next {
                    Some(id) => id,
                    None => return,
                },
            };
            let shared = tokio::select! {
                biased;
                () = self.closing.cancelled() => return,
                shared = self.gate.clone().read_owned() => shared,
            };
            workload.set_at_work(Some(id.clone()));
            let (hold, let_go) = oneshot::channel();
            let run = self
                .clone()
                .run_or_abandon(workload.clone(), id, Hold::Lane(hold));
            let run = async move {
                run.await;
                drop(shared);
            };
            self.tasks.spawn(run.boxed());
            // Dropped when the operation ends, or as soon as what is left of it leaves the workload alone.
            let _ = let_go.await;
            workload.set_at_work(None);
        }
    }

    /// Runs one accepted operation to its end, or until the agent cannot wait any longer: the journal has it, and
    /// the next start of the agent goes on from there.
    pub async fn run_or_abandon(
        self: Arc<Self>,
        workload: Arc<Workload>,
        id: OperationId,
        hold: Hold,
    ) {
        self.abandon
            .run_until_cancelled(self.run(&workload, &id, hold))
            .await;
    }

    async fn run(&self, workload: &Arc<Workload>, id: &OperationId, hold: Hold) {
        match self.begin(id) {
            Some(record) => self.run_begun(workload, record, hold).await,
            None => self.expire(id).await,
        }
        self.forget(id);
    }

    /// Its turn has come: its record, unless it has ended meanwhile or its time is over.
    pub fn begin(&self, id: &OperationId) -> Option<OperationRecord> {
        let clock = &self.clock;
        // From here on a cancel goes to the operation itself; one that came first has ended the record.
        self.ledger.change(id, |record| {
            let begins = !record.state.is_final() && !is_over(record, clock);
            if begins {
                record.state = State::Running;
                record.started_at.get_or_insert_with(Timestamp::now);
            }
            begins
        })
    }

    /// It can be cancelled no more.
    pub fn forget(&self, id: &OperationId) {
        self.cancels().remove(id);
    }

    /// By which it learns that it was asked to end.
    pub fn token(&self, id: &OperationId) -> CancellationToken {
        self.cancels().entry(id.clone()).or_default().clone()
    }

    pub async fn expire(&self, id: &OperationId) {
        if let Some(record) = self
            .ledger
            .get(id)
            .filter(|record| !record.state.is_final())
        {
            let failure = Failure::new(Reason::Expired, "its time was over before its turn came");
            self.ledger.end(record, State::Expired, Some(failure)).await;
        }
    }

    async fn run_begun(&self, workload: &Arc<Workload>, record: OperationRecord, hold: Hold) {
        let cancelled = self.token(&record.id);
        let mut context = Context::new(
            self.ledger.clone(),
            workload.clone(),
            record,
            cancelled,
            self.closing.clone(),
            hold,
        );
        let outcome = dispatch(&mut context).await;
        self.end(context.record, outcome).await;
        drop(context.hold);
    }

    /// Ends a record as its work has ended.
    pub async fn end(&self, record: OperationRecord, outcome: Result<(), Failure>) {
        let state = match &outcome {
            Ok(()) => State::Succeeded,
            Err(failure) if failure.reason == Reason::Cancelled => State::Cancelled,
            Err(_) => State::Failed,
        };
        self.ledger.end(record, state, outcome.err()).await;
    }

    /// Notes that an operation can be cancelled from now on.
    pub fn expect(&self, id: &OperationId) {
        self.cancels().insert(id.clone(), CancellationToken::new());
    }

    /// Cancels an operation that waits, or asks one at work to end before its first step.
    pub async fn cancel(&self, id: &OperationId) -> Result<(), Failure> {
        let not_possible = |why: &str| {
            Err(Failure::new(
                Reason::NotPossible,
                format!("operation {id} {why}"),
            ))
        };
        let Some(record) = self.ledger.find(id).await? else {
            return not_possible("is not known");
        };
        match record.state {
            State::Accepted => {
                let ended = self.ledger.change(id, |record| {
                    let waits = record.state == State::Accepted;
                    if waits {
                        record.state = State::Cancelled;
                    }
                    waits
                });
                if let Some(record) = ended {
                    let failure = Failure::new(Reason::Cancelled, "cancelled while it waited");
                    self.ledger
                        .end(record, State::Cancelled, Some(failure))
                        .await;
                    return Ok(());
                }
                not_possible("has just begun")
            }
            State::Running => {
                let Some(token) = self.cancels().get(id).cloned() else {
                    return not_possible("has ended");
                };
                token.cancel();
                let deadline = Instant::now() + HEED;
                while Instant::now() < deadline {
                    match self.ledger.get(id) {
                        Some(record) if record.state == State::Cancelled => return Ok(()),
                        Some(record) if !record.state.is_final() && heeds_a_cancel(&record) => {}
                        _ => break,
                    }
                    sleep(Duration::from_millis(20)).await;
                }
                not_possible("has begun to change something, which must be brought to an end")
            }
            State::Succeeded | State::Failed | State::Cancelled | State::Expired => {
                not_possible("has ended")
            }
        }
    }

    fn cancels(&self) -> std::sync::MutexGuard<'_, HashMap<OperationId, CancellationToken>> {
        self.cancels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nothing has been done yet that must be brought to an end.
fn heeds_a_cancel(record: &OperationRecord) -> bool {
    let harmless = |step: &Step| HARMLESS.contains(&step.name.as_str());
    match record.operation {
        Operation::Restore | Operation::Resync | Operation::Reset | Operation::Fastsync => {
            record.steps.iter().all(harmless)
        }
        Operation::RestoreCheckpoint => record.step("arm").is_none(),
        operation => record.steps.is_empty() || operation.is_resumable(),
    }
}

/// Whether the time of an operation that waits is over. What has begun once is brought to its end.
fn is_over(record: &OperationRecord, clock: &ClockSync) -> bool {
    let waits = record.state == State::Accepted && record.steps.is_empty();
    waits && record.expires_at.is_some_and(|end| clock.has_passed(end))
}

async fn dispatch(context: &mut Context) -> Result<(), Failure> {
    match Arguments::read(context.record.operation, &context.record.args)? {
        Arguments::Start => power::start(context).await,
        Arguments::Stop { grace } => power::stop(context, grace).await,
        Arguments::Restart { grace } => power::restart(context, grace).await,
        Arguments::Snapshot(asked) => snapshot::snapshot(context, asked).await,
        Arguments::Restore(asked) => restore::restore(context, asked).await,
        Arguments::Resync(asked) => resync::resync(context, asked).await,
        Arguments::RestoreCheckpoint(asked) => {
            restore_checkpoint::restore_checkpoint(context, asked).await
        }
        Arguments::Verify(asked) => verify::verify(context, asked).await,
        Arguments::Prune => prune::prune(context).await,
        Arguments::Upload(asked) => upload::upload(context, asked).await,
        Arguments::Logs { lines } => logs::logs(context, lines).await,
        Arguments::Reset => reset::reset(context).await,
        Arguments::Fastsync(asked) => fastsync::fastsync(context, asked).await,
        Arguments::Reboot(_) | Arguments::Cancel { .. } => Err(Failure::new(
            Reason::Unsupported,
            "this is no operation of a workload",
        )),
    }
}
