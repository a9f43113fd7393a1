//! What crosses the wire, as plain types: the device side and the fleet side share them.
//!
//! `docs/protocol.md` is the reference for users and shows an example of each message; a test holds the two together.

mod command;
mod device;
mod name;
mod record;
mod report;
mod snapshot;
mod topic;

pub use command::{Command, MAX_COMMAND_BYTES, Operation, Origin, Request, Unreadable};
pub use device::{Capability, DeviceReport};
pub use name::{BadName, Name, OperationId};
pub use record::{
    Failure, Found, MAX_TRANSITIONS, OperationRecord, Progress, Reason, Refusal, Refused, State,
    Step, StepState,
};
pub use report::{
    Availability, Dropped, Event, Health, Level, Part, Presence, RunState, Scheduled, Sync,
    SyncState, Telemetry, WorkloadReport,
};
pub use snapshot::{OwnSpace, SnapshotFacts, SnapshotReport};
pub use topic::{CommandTopic, Topics};
