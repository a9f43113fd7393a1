//! The engine: takes requests, sees to it that each is journalled once, and hands them to their lanes.

mod reading;
mod start;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::arguments::Arguments;
use super::device_lane::Exclusive;
use super::lane::{Hold, Runner, WAITING};
use super::ledger::Ledger;
use super::reboot::Device;
use super::workload::{Times, Workload};
use crate::clock::{ClockSync, Timestamp};
use crate::feed::{Feed, Update};
use crate::protocol::{
    Event, Failure, Level, Name, Operation, OperationId, OperationRecord, Origin, Reason, Refusal,
    Refused, Request, Scheduled, State, Step, StepState,
};

/// How many refusals are kept for whoever asks; all are counted.
const REFUSALS: usize = 64;

/// How many operations that leave the workloads alone may be at work at the same time.
const BESIDE: usize = 4;

/// How often ends that could not be written are tried again.
const PAY: Duration = Duration::from_secs(30);

/// How long the disk may take for them when the agent ends.
const LAST_PAY: Duration = Duration::from_secs(5);

/// What the engine is built from.
pub struct Parts {
    /// Where the journal lives.
    pub state_dir: PathBuf,
    /// The workloads of this device.
    pub workloads: Vec<Workload>,
    /// Where updates go.
    pub feed: Feed,
    /// Whether the wall clock can be believed.
    pub clock: ClockSync,
}

/// What became of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// New: its record is durable, its turn comes.
    Accepted(Box<OperationRecord>),
    /// Seen before: the record as it stands; nothing was done.
    Known(Box<OperationRecord>),
    /// Not accepted; nothing was done and nothing was written.
    Refused(Box<Refusal>),
}

/// Takes requests, journals and runs them. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    lanes: BTreeMap<Name, Lane>,
    ledger: Arc<Ledger>,
    runner: Arc<Runner>,
    feed: Feed,
    clock: ClockSync,
    refused: AtomicU64,
    refusals: Mutex<VecDeque<Refusal>>,
    beside: Arc<Semaphore>,
    /// One request at a time: two of the same id must not both be new.
    door: tokio::sync::Mutex<()>,
    closing: CancellationToken,
    tasks: TaskTracker,
    /// What was beside the lanes when the last run of the agent ended, and is continued.
    resumed: Mutex<Vec<(Name, OperationId)>>,
    device: Arc<Device>,
    /// What of the device was unfinished when the last run of the agent ended.
    rebooted: Mutex<Vec<OperationId>>,
}

struct Lane {
    workload: Arc<Workload>,
    sender: mpsc::Sender<OperationId>,
    /// Taken when the lane begins to run.
    receiver: Mutex<Option<mpsc::Receiver<OperationId>>>,
}

impl Engine {
    /// Takes no more requests, lets what is at work end within `deadline`, and says whether all of it did.
    ///
    /// What is left is in the journal: the next start goes on with it.
    pub async fn drain(&self, deadline: Duration) -> bool {
        let inner = &self.0;
        inner.closing.cancel();
        inner.tasks.close();
        let graceful = timeout(deadline, inner.tasks.wait()).await.is_ok();
        inner.runner.abandon.cancel();
        let _ = timeout(LAST_PAY, inner.ledger.pay()).await;
        match inner.ledger.owed() {
            0 => {}
            owed => tracing::error!(
                "the ends of {owed} operations are not written: the next start takes them up again"
            ),
        }
        graceful
    }

    /// Validates, deduplicates and journals a request; an accepted one survives a power cut from here on.
    pub async fn submit(&self, request: Request) -> Answer {
        let _one_at_a_time = self.0.door.lock().await;
        let (id, operation, origin) = (request.id.clone(), request.operation, request.origin);
        match self.accept(request).await {
            Ok(answer) => answer,
            Err(failure) => Answer::Refused(Box::new(self.refuse(
                Some(id),
                operation.as_str(),
                origin,
                failure,
            ))),
        }
    }

    async fn accept(&self, request: Request) -> Result<Answer, Failure> {
        let inner = &self.0;
        if let Some(record) = inner.ledger.find(&request.id).await? {
            return same_command(&request, &record)
                .map(|()| Answer::Known(Box::new(record.told())));
        }
        let arguments = Arguments::read(request.operation, &request.args)?;
        let lane = match arguments {
            Arguments::Cancel { .. } | Arguments::Reboot(_) => None,
            _ => Some(self.lane_of(request.workload.as_ref())?),
        };
        let workload = lane.map(|lane| lane.workload.name.clone());
        if inner.closing.is_cancelled() {
            return Err(Failure::new(
                Reason::ShuttingDown,
                "the agent is shutting down; ask again when it is back",
            ));
        }
        if let Some(end) = request
            .expires_at
            .filter(|end| inner.clock.has_passed(*end))
        {
            return Err(Failure::new(
                Reason::Expired,
                format!("it was to be started before {end}"),
            ));
        }
        if request.operation == Operation::Reboot {
            self.refuse_reboot(&request)?;
        }
        let mut record = OperationRecord::accepted(request, workload, inner.ledger.next_number());
        match (arguments, lane) {
            (Arguments::Cancel { operation }, _) => {
                inner.ledger.store(&mut record).await?;
                let accepted = record.clone();
                self.cancel(record, operation);
                Ok(Answer::Accepted(Box::new(accepted.told())))
            }
            (Arguments::Reboot(_), _) => {
                inner.ledger.store(&mut record).await?;
                inner.runner.expect(&record.id);
                self.run_device(record.id.clone(), None);
                Ok(Answer::Accepted(Box::new(record.told())))
            }
            (_, None) => Err(Failure::new(
                Reason::Unsupported,
                "this operation needs a workload",
            )),
            (_, Some(lane)) if record.operation.is_beside_the_lane() => {
                let place = self.place_beside()?;
                inner.ledger.store(&mut record).await?;
                self.run_beside(lane, record.id.clone(), place);
                Ok(Answer::Accepted(Box::new(record.told())))
            }
            (_, Some(lane)) => {
                let full = || {
                    Failure::new(
                        Reason::QueueFull,
                        format!("{WAITING} operations wait for this workload"),
                    )
                };
                // The room in the lane is taken before the record is written: what is accepted has its place.
                let waiting = lane.sender.max_capacity() - lane.sender.capacity();
                let place = lane
                    .sender
                    .try_reserve()
                    .ok()
                    .filter(|_| waiting < WAITING)
                    .ok_or_else(full)?;
                inner.ledger.store(&mut record).await?;
                inner.runner.expect(&record.id);
                place.send(record.id.clone());
                Ok(Answer::Accepted(Box::new(record.told())))
            }
        }
    }

    fn refuse_reboot(&self, request: &Request) -> Result<(), Failure> {
        self.0.device.host()?;
        if request.workload.is_some() {
            let message = "a reboot is of the device and all that runs on it: name no workload";
            return Err(Failure::new(Reason::BadArguments, message));
        }
        let records = self.0.ledger.recent();
        let forced = matches!(Arguments::read(request.operation, &request.args), Ok(Arguments::Reboot(asked)) if asked.force);
        let is_at_work = |record: &&OperationRecord| {
            let other = record.operation == Operation::Reboot && !record.state.is_final();
            // One that has booted only waits for what it starts: a device that hangs in that can be booted again.
            let done = |step: &Step| step.state == StepState::Done;
            let past_its_boot = record.recoveries > 0 && record.step("reboot").is_some_and(done);
            other && !(forced && past_its_boot)
        };
        match records.iter().find(is_at_work) {
            Some(other) => {
                let message = format!("another reboot is at work: {}", other.id);
                Err(Failure::new(Reason::Busy, message))
            }
            None => Ok(()),
        }
    }

    fn run_device(&self, id: OperationId, exclusive: Option<Exclusive>) {
        let inner = &self.0;
        let run = inner
            .runner
            .clone()
            .run_device(inner.device.clone(), id, exclusive);
        inner.tasks.spawn(run.boxed());
    }

    fn place_beside(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let full = |_| {
            let message =
                format!("{BESIDE} operations that leave the workloads alone are at work already");
            Failure::new(Reason::QueueFull, message)
        };
        self.0.beside.clone().try_acquire_owned().map_err(full)
    }

    fn run_beside(&self, lane: &Lane, id: OperationId, place: OwnedSemaphorePermit) {
        let inner = &self.0;
        inner.runner.expect(&id);
        let run =
            inner
                .runner
                .clone()
                .run_or_abandon(lane.workload.clone(), id, Hold::Place(place));
        inner.tasks.spawn(run.boxed());
    }

    fn lane_of(&self, workload: Option<&Name>) -> Result<&Lane, Failure> {
        let lanes = &self.0.lanes;
        let unknown = |message| Err(Failure::new(Reason::UnknownWorkload, message));
        match (workload, lanes.len()) {
            (Some(name), _) => match lanes.get(name) {
                Some(lane) => Ok(lane),
                None => unknown(format!(
                    "there is no workload `{name}`; there is: {}",
                    self.names()
                )),
            },
            (None, 1) => lanes
                .values()
                .next()
                .ok_or_else(|| Failure::new(Reason::UnknownWorkload, "no workload")),
            (None, 0) => unknown("this device has no workload; configure one".to_owned()),
            (None, _) => unknown(format!("say which workload: {}", self.names())),
        }
    }

    fn names(&self) -> String {
        self.0
            .lanes
            .keys()
            .map(Name::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn cancel(&self, record: OperationRecord, operation: OperationId) {
        let inner = self.0.clone();
        let cancel = async move {
            let outcome = inner.runner.cancel(&operation).await;
            let record = OperationRecord {
                changed: Some(outcome.is_ok()),
                ..record
            };
            let state = if outcome.is_ok() {
                State::Succeeded
            } else {
                State::Failed
            };
            inner.ledger.end(record, state, outcome.err()).await;
        };
        self.0.tasks.spawn(cancel.boxed());
    }

    /// Counts and reports a command that is refused: here, or by a door that could not make a request of it.
    pub fn refuse(
        &self,
        id: Option<OperationId>,
        operation: &str,
        origin: Origin,
        failure: Failure,
    ) -> Refusal {
        let inner = &self.0;
        let refusal = Refusal {
            state: Refused::Refused,
            id,
            operation: operation
                .chars()
                .take(64)
                .flat_map(char::escape_default)
                .collect(),
            origin,
            at: Timestamp::now(),
            clock_synced: inner.clock.synced(),
            failure,
        };
        inner.refused.fetch_add(1, Ordering::Relaxed);
        {
            let mut refusals = inner
                .refusals
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            refusals.truncate(REFUSALS - 1);
            refusals.push_front(refusal.clone());
        }
        inner.feed.send(Update::Refusal(Box::new(refusal.clone())));
        refusal
    }

    /// Says what is done with a workload by the clock, so that its report shows it.
    pub fn set_scheduled(&self, workload: &Name, scheduled: Vec<Scheduled>) {
        if let Some(lane) = self.0.lanes.get(workload) {
            lane.workload.set_scheduled(scheduled);
        }
    }

    /// Changes how long things may take on a workload.
    pub fn set_times(&self, workload: &Name, times: Times) {
        if let Some(lane) = self.0.lanes.get(workload) {
            lane.workload.set_times(times);
        }
    }

    /// Tells the feed of something that is worth a line in a log.
    pub fn tell(&self, level: Level, kind: &str, message: String) {
        self.0.feed.send(Update::Event(Box::new(Event {
            at: Timestamp::now(),
            clock_synced: self.0.clock.synced(),
            level,
            kind: kind.to_owned(),
            workload: None,
            message,
        })));
    }

    /// Everything that goes out.
    pub fn feed(&self) -> &Feed {
        &self.0.feed
    }
}

/// Asking again with the same id is welcome; asking for something else with it is a mistake.
fn same_command(request: &Request, record: &OperationRecord) -> Result<(), Failure> {
    let same = request.operation == record.operation
        && (request.workload.is_none() || request.workload == record.workload)
        && request.args == record.args
        && request.dry_run == record.dry_run;
    if same {
        return Ok(());
    }
    Err(Failure::new(
        Reason::IdReused,
        format!(
            "the id {} is that of another command ({}); choose a new one",
            record.id, record.operation
        ),
    ))
}
