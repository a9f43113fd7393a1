//! The one way out: the record of an operation, in the journal, on MQTT, over HTTP and in the CLI.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Name, Operation, OperationId, Origin, Request};
use crate::clock::Timestamp;

/// How often a record may be written; past it the operation fails instead of looping for ever.
///
/// A plain operation writes two records a step; the rest is room for recoveries.
pub const MAX_TRANSITIONS: u32 = 128;

/// Where an operation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Durable in the journal, waiting for its turn.
    Accepted,
    /// At work.
    Running,
    /// Ended, all of it done.
    Succeeded,
    /// Ended, with the reason in `failure`.
    Failed,
    /// Ended on request before it did anything that lasts.
    Cancelled,
    /// Ended because its time was over before its turn came.
    Expired,
}

impl State {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Accepted => "accepted",
            State::Running => "running",
            State::Succeeded => "succeeded",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
            State::Expired => "expired",
        }
    }

    /// Whether nothing will change any more.
    pub fn is_final(self) -> bool {
        match self {
            State::Accepted | State::Running => false,
            State::Succeeded | State::Failed | State::Cancelled | State::Expired => true,
        }
    }
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// Journalled before the act.
    Started,
    /// Journalled after the act.
    Done,
    /// The act failed.
    Failed,
}

/// One step of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What is done: `stop`, `start`, `confirm` …
    pub name: String,
    /// Where it stands.
    pub state: StepState,
    /// How long it took, in milliseconds of the monotonic clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// What came of it, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// How far a step is; reported, never journalled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Units done.
    pub done: u64,
    /// Units in all, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// What a unit is: `bytes`, `files`, `seconds`.
    pub unit: String,
    /// Units per second of late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// Seconds left at that rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
}

/// Why an operation was refused or failed, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Not JSON, not an object, a wrong type or an unknown key.
    Malformed,
    /// Larger than the limit.
    TooLarge,
    /// Published with the retain flag: it would run again at every reconnect.
    Retained,
    /// Past its `expires_at`.
    Expired,
    /// No such operation.
    UnknownOperation,
    /// No such workload.
    UnknownWorkload,
    /// The workload cannot do this.
    Unsupported,
    /// An argument is unknown, missing or of the wrong type or range.
    BadArguments,
    /// The id was used for another command.
    IdReused,
    /// The queue of this workload is full.
    QueueFull,
    /// No or wrong credentials.
    Unauthorised,
    /// The journal cannot be written.
    JournalFailed,
    /// The agent is shutting down.
    ShuttingDown,
    /// The runtime (engine, PM2, systemd) is not there.
    RuntimeAbsent,
    /// The runtime does not answer in time.
    RuntimeUnresponsive,
    /// The workload (container, app, unit) does not exist.
    WorkloadMissing,
    /// The runtime said no.
    RuntimeFailed,
    /// The workload does not answer its probe in time.
    NotReady,
    /// Cancelled on request.
    Cancelled,
    /// The workload's own conditions are not met: syncing, leader, wrong network …
    ConditionsNotMet,
    /// Too little space or too few inodes.
    NoSpace,
    /// The data, a snapshot or its record is damaged.
    Damaged,
    /// Somebody else is at work on the same store.
    Busy,
    /// The workload did not stop by itself.
    UncleanStop,
    /// It took longer than it may.
    OutOfTime,
    /// The files could not be dealt with.
    DataFailed,
    /// The bucket, or rclone on the way to it, failed.
    BucketFailed,
    /// A checkpoint could not be fetched, or is not the one that was meant.
    DownloadFailed,
    /// A checkpoint has problems, all of them in `output`: nothing was done with it.
    Unsound,
    /// The agent or the host went down in the middle; what came of it is in `message`.
    Interrupted,
    /// What is asked is not possible in this state.
    NotPossible,
    /// The record was written too often: it would go round for ever.
    TooManyTransitions,
}

/// Why an operation was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// For programs.
    pub reason: Reason,
    /// For people: what, where, and what to do.
    pub message: String,
}

impl Failure {
    /// A failure with its message.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

/// One operation, from acceptance to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationRecord {
    /// Chosen by the requester.
    pub id: OperationId,
    /// Counts the operations of this device, in the order in which they were accepted.
    pub number: u64,
    /// What was asked.
    pub operation: Operation,
    /// On which workload; absent for the device's own operations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Name>,
    /// With which arguments.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub args: Map<String, Value>,
    /// Whether only the plan was asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Through which door.
    pub origin: Origin,
    /// Where it stands.
    pub state: State,
    /// When it was accepted, by the device's wall clock.
    pub accepted_at: Timestamp,
    /// When its turn came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Whether the device's clock was synchronised when the record was last written.
    pub clock_synced: bool,
    /// Not to be started after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// What was done so far.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// How far the last step is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// Whether anything was changed; `false` where stopping what is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<bool>,
    /// What was asked for: the plan of a dry run, the lines of a log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why it failed or was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Which run of the workload was found before the first step: recovery compares with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<Found>,
    /// How often this record was written.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub transitions: u32,
    /// How often the agent came back and found this operation running.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub recoveries: u32,
}

impl OperationRecord {
    /// The record for others: the query of an address may hold a token, and stays in the journal.
    pub fn told(mut self) -> Self {
        for argument in self.args.values_mut() {
            let Value::String(text) = argument else {
                continue;
            };
            if let Some((place, _)) = text.split_once('?')
                && place.contains("://")
            {
                *text = place.to_owned();
            }
        }
        self
    }

    /// The record of a request that has just been accepted for `workload`.
    pub fn accepted(request: Request, workload: Option<Name>, number: u64) -> Self {
        Self {
            id: request.id,
            number,
            operation: request.operation,
            workload,
            args: request.args,
            dry_run: request.dry_run,
            origin: request.origin,
            state: State::Accepted,
            accepted_at: Timestamp::now(),
            started_at: None,
            ended_at: None,
            clock_synced: false,
            expires_at: request.expires_at,
            steps: Vec::new(),
            progress: None,
            changed: None,
            output: None,
            failure: None,
            found: None,
            transitions: 0,
            recoveries: 0,
        }
    }

    /// Whether the workload ran before this operation, and was not seen to answer again after it was stopped by it.
    ///
    /// Never of a `stop`: who asks for one wants it to be away.
    pub fn is_out_of_service(&self) -> bool {
        let is_stop = |step: &Step| ["stop", "stop again"].contains(&step.name.as_str());
        let Some(stop) = self.steps.iter().rposition(is_stop) else {
            return false;
        };
        let is_back = |step: &Step| step.name == "confirm" && step.state == StepState::Done;
        let ran = self.found.as_ref().is_some_and(|found| found.running);
        let ended_badly = self.state == State::Failed && self.operation != Operation::Stop;
        ended_badly && ran && !self.steps[stop..].iter().any(is_back)
    }

    /// Whether it is at work on the workload's data and has not let the workload run on it yet.
    pub fn is_rebuilding(&self) -> bool {
        let rebuilds = match self.operation {
            Operation::Restore
            | Operation::Resync
            | Operation::Reset
            | Operation::RestoreCheckpoint => true,
            Operation::Start
            | Operation::Stop
            | Operation::Restart
            | Operation::Snapshot
            | Operation::Fastsync
            | Operation::Verify
            | Operation::Prune
            | Operation::Upload
            | Operation::Logs
            | Operation::Reboot
            | Operation::Cancel => false,
        };
        let is_start = |step: &Step| step.name == "start" && step.state == StepState::Done;
        rebuilds
            && !self.dry_run
            && self.state == State::Running
            && !self.steps.iter().any(is_start)
    }

    /// The step of that name, where it has been started.
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name)
    }
}

/// The workload as an operation found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Whether it ran.
    pub running: bool,
    /// Which run it was: changes at every start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// A command that was never accepted: nothing was done and nothing was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// Always `refused`, beside the states of a record.
    pub state: Refused,
    /// The command's id, where one could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<OperationId>,
    /// What was asked, as it was written: bounded and escaped, for it may be anything.
    pub operation: String,
    /// Through which door.
    pub origin: Origin,
    /// When, by the device's wall clock.
    pub at: Timestamp,
    /// Whether that clock was synchronised.
    pub clock_synced: bool,
    /// Why.
    pub failure: Failure,
}

/// The state of a [`Refusal`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refused {
    /// The only one.
    #[default]
    Refused,
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
