//! What goes out unasked: the state of a workload, telemetry, events, availability.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Name, Operation, OperationId};
use crate::clock::Timestamp;
use crate::sensor::Sample;

/// How a workload's process is, by its runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// It runs.
    Running,
    /// It ran and ended, or was stopped.
    Stopped,
    /// It exists and was never started.
    Created,
    /// Its runtime is starting it again and again.
    Restarting,
    /// It is frozen.
    Paused,
    /// Its runtime failed to remove it: it must be removed by hand.
    Dead,
    /// There is no such container, app or unit.
    Missing,
    /// The runtime itself is not there: no socket, no daemon.
    RuntimeAbsent,
    /// The runtime does not answer in time.
    RuntimeUnresponsive,
    /// The runtime answers, with something that is not understood.
    Unknown,
}

impl std::fmt::Display for RunState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            RunState::Running => "running",
            RunState::Stopped => "stopped",
            RunState::Created => "created",
            RunState::Restarting => "restarting",
            RunState::Paused => "paused",
            RunState::Dead => "dead",
            RunState::Missing => "missing",
            RunState::RuntimeAbsent => "runtime-absent",
            RunState::RuntimeUnresponsive => "runtime-unresponsive",
            RunState::Unknown => "unknown",
        })
    }
}

/// How well a workload does its work, by its kind's probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// It answers, and well.
    Healthy,
    /// It is coming up or catching up.
    Starting,
    /// It answers partly or not in time.
    Degraded,
    /// It does not do its work.
    Failing,
    /// Nobody can tell.
    Unknown,
}

/// How a workload stands to its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncState {
    /// It keeps up with its chain.
    Synced,
    /// It answers, and is behind.
    Syncing,
    /// It does not answer, for it loads a snapshot.
    Loading,
    /// An operation puts other data, or nothing, in the place of its data.
    Resyncing,
    /// It does not answer in time, and nobody knows why.
    Silent,
    /// It answers with something else than heights.
    Unclear,
    /// It does not run, or has only just begun to start.
    Down,
    /// It answers, but the height of its chain cannot be had.
    NoChainHeight,
}

impl SyncState {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            SyncState::Synced => "synced",
            SyncState::Syncing => "syncing",
            SyncState::Loading => "loading",
            SyncState::Resyncing => "resyncing",
            SyncState::Silent => "silent",
            SyncState::Unclear => "unclear",
            SyncState::Down => "down",
            SyncState::NoChainHeight => "no-chain-height",
        }
    }
}

impl std::fmt::Display for SyncState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a workload stands to its chain, and since when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sync {
    /// In one word.
    pub state: SyncState,
    /// Since when, by the device's wall clock.
    pub since: Timestamp,
    /// For how long, in seconds of the monotonic clock.
    pub lasted_s: u64,
    /// The height of the chain, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chain_height: Option<u64>,
    /// How many blocks it takes in a second, of late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks_per_second: Option<f64>,
    /// Seconds until it has caught up, at that rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
}

/// The state of a workload, retained, on change and at every heartbeat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkloadReport {
    /// Its name in the configuration.
    pub name: Name,
    /// Its kind: `helium`, `ptn`, `harmony`, `generic`.
    pub kind: String,
    /// What runs it: `docker miner`, `systemd harmony.service` …
    pub runtime: String,
    /// How its process is.
    pub state: RunState,
    /// Why the state is what it is, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when the state is so, by the device's wall clock.
    pub since: Timestamp,
    /// How well it does its work.
    pub health: Health,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_reason: Option<String>,
    /// Its block height.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    /// How many blocks it is behind its chain; negative where it is ahead of what the source knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<i64>,
    /// How it stands to its chain, where its kind follows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<Sync>,
    /// What else its kind knows of it: `animal`, `region` …
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
    /// The image or the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What the runtime calls this very container; another one has another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// When that was made, as the runtime says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    /// When this run was started, as the runtime says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// How often its runtime has restarted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u64>,
    /// The processes that it is made of, where its runtime tells them apart: the apps of PM2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// The operation that is at work on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationId>,
    /// What is done with it by the clock.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scheduled: Vec<Scheduled>,
}

/// One of the processes that a workload is made of: an app of PM2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What its runtime calls it; it may be any text, without control characters.
    pub name: String,
    /// How it is.
    pub state: RunState,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When its last run was started, as the runtime says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// How often its runtime has restarted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u64>,
    /// Whether its runtime starts it no more, because it crashed too often.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gave_up: bool,
}

/// An operation that is asked for by the clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// Which operation.
    pub operation: Operation,
    /// When, as it is configured.
    pub cron: String,
    /// When next, with its jitter; absent while the clock is not synchronised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
}

/// One sample of the host, numbered so that a reader sees what is missing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Telemetry {
    /// The session of the agent: grows at every start of it.
    pub session: u64,
    /// Counts the samples of a session from 1.
    pub sequence: u64,
    /// When it was taken.
    pub at: Timestamp,
    /// Whether it waited in the outbox while the broker was away.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub historical: bool,
    /// What was lost since the agent started, by queue.
    pub dropped: Dropped,
    /// How many commands were refused since the agent started.
    pub refused: u64,
    /// What the sensors say.
    #[serde(flatten)]
    pub sample: Sample,
}

/// What bounded queues have dropped since the agent started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Telemetry samples dropped from the outbox, oldest first.
    pub telemetry: u64,
    /// Events dropped from the outbox, oldest first.
    pub events: u64,
    /// Messages too large for the broker.
    pub oversized: u64,
}

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Worth knowing.
    Info,
    /// Worth a look.
    Warning,
    /// Somebody should act.
    Error,
}

/// Something worth a line in a log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, by the device's wall clock.
    pub at: Timestamp,
    /// Whether that clock was synchronised.
    pub clock_synced: bool,
    /// How much it matters.
    pub level: Level,
    /// For programs: `workload-state`, `command-refused`, `part-failed` …
    pub kind: String,
    /// The workload it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Name>,
    /// For people.
    pub message: String,
}

/// Whether the device is there; retained, and the last will.
///
/// Birth and will of one connection carry the same numbers: whoever reads can tell an old will, that
/// arrives after a new birth, from a true one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Availability {
    /// Whether the agent is connected.
    pub state: Presence,
    /// The session of the agent: grows at every start of it.
    pub session: u64,
    /// The connection within the session, from 1.
    pub connection: u64,
}

/// `online` or `offline`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// The agent is connected.
    Online,
    /// It is not.
    Offline,
}
