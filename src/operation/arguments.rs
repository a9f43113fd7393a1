//! The arguments of each operation, typed: an unknown key or a value out of range is refused before anything happens.

use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::checkpoint::Layout;
use crate::data::download::Source;
use crate::data::{Level, Way};
use crate::protocol::{Failure, Name, Operation, OperationId, Reason};
use crate::sha256::Sha256;

/// The longest grace that can be asked for, in seconds.
const MAX_GRACE_S: u64 = 3600;

/// The most lines of a log that can be asked for.
const MAX_LINES: usize = 10_000;

/// The lines of a log where no number was asked for.
const DEFAULT_LINES: usize = 100;

/// The arguments of one operation, checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Arguments {
    /// Of `start`: none.
    Start,
    /// Of `stop`: how long the workload may take to end by itself, instead of the configured time.
    Stop { grace: Option<Duration> },
    /// Of `restart`: the same.
    Restart { grace: Option<Duration> },
    /// Of `snapshot`.
    Snapshot(Snapshot),
    /// Of `restore`.
    Restore(Restore),
    /// Of `resync`.
    Resync(Resync),
    /// Of `fastsync`.
    Fastsync(Fastsync),
    /// Of `reset`: none.
    Reset,
    /// Of `restore-checkpoint`.
    RestoreCheckpoint(RestoreCheckpoint),
    /// Of `verify`.
    Verify(Verify),
    /// Of `prune`: none.
    Prune,
    /// Of `upload`.
    Upload(Upload),
    /// Of `logs`: how many lines.
    Logs { lines: usize },
    /// Of `reboot`.
    Reboot(Reboot),
    /// Of `cancel`: which operation.
    Cancel { operation: OperationId },
}

/// The arguments of `snapshot`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Snapshot {
    /// Its name; made of the time and the operation's number where it is left out.
    pub name: Option<Name>,
    /// How it is taken, instead of the configured way.
    pub way: Option<WantedWay>,
    /// Whether the conditions of the workload's kind are passed over. The structural ones never are.
    #[serde(default)]
    pub force: bool,
    /// Whether it is sent to the bucket when it is sealed.
    #[serde(default)]
    pub upload: bool,
}

/// A way, or that the best one that works is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum WantedWay {
    /// The best stopped way that works between data and store.
    Auto,
    Reflink,
    Link,
    Copy,
    Hot,
}

impl WantedWay {
    /// The way; `None` is found out.
    pub fn way(self) -> Option<Way> {
        match self {
            WantedWay::Auto => None,
            WantedWay::Reflink => Some(Way::Reflink),
            WantedWay::Link => Some(Way::Link),
            WantedWay::Copy => Some(Way::Copy),
            WantedWay::Hot => Some(Way::Hot),
        }
    }
}

/// The arguments of `restore`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Restore {
    /// Which snapshot; the newest good one where it is left out.
    pub snapshot: Option<Name>,
    /// For a disk that has no room for a copy: tables become names of the snapshot's own files.
    #[serde(default)]
    pub link: bool,
    /// Whether it is fetched from the bucket first, unless the store has it; the newest one there where none is named.
    #[serde(default)]
    pub from_bucket: bool,
}

/// The arguments of `resync`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resync {
    /// Where it begins again.
    #[serde(default)]
    pub from: From,
    /// For a disk that has no room for a copy, as of `restore`.
    #[serde(default)]
    pub link: bool,
}

/// Where a workload begins again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum From {
    /// The newest good snapshot.
    #[default]
    Snapshot,
    /// Nothing: it gets all of its data from the network again.
    Scratch,
}

/// The arguments of `fastsync`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fastsync {
    /// Where a snapshot is downloaded.
    pub url: Option<String>,
    /// A snapshot on this host.
    pub file: Option<PathBuf>,
}

/// The arguments of `reboot`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reboot {
    /// Whether what is at work is not waited for; it is taken up after the boot.
    #[serde(default)]
    pub force: bool,
}

/// The arguments of `restore-checkpoint`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RestoreCheckpoint {
    /// The checkpoint: a URL, or a path on the device; looked for at its usual names where it is left out.
    pub source: Option<Source>,
    /// What its SHA-256 has to be.
    pub sha256: Option<Sha256>,
    /// Whether state on disk that is newer than the checkpoint may be lost.
    #[serde(default)]
    pub force: bool,
    /// What writes the tree.
    #[serde(default)]
    pub engine: Engine,
    /// The release to write for, where that of the validator or of the checkpoint is not known.
    pub layout: Option<Layout>,
    /// Whether a checkpoint may be taken that lacks a section.
    #[serde(default)]
    pub allow_missing_sections: bool,
}

/// What writes the tree of a checkpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Engine {
    /// The agent, for the releases that it knows.
    #[default]
    Native,
    /// The validator's own script, in a copy of its tree.
    Upstream,
}

/// The arguments of `verify`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Verify {
    /// Which snapshot; the newest good one where it is left out.
    pub snapshot: Option<Name>,
    /// How thoroughly.
    #[serde(default)]
    pub level: Level,
}

/// The arguments of `upload`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Upload {
    /// Which snapshot; the newest good one where it is left out.
    pub snapshot: Option<Name>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct None {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grace {
    grace_s: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Logs {
    lines: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancel {
    operation: OperationId,
}

impl Arguments {
    /// Reads the arguments of `operation`.
    pub fn read(operation: Operation, args: &Map<String, Value>) -> Result<Self, Failure> {
        match operation {
            Operation::Start => typed::<None>(operation, args).map(|None {}| Arguments::Start),
            Operation::Stop => Ok(Arguments::Stop {
                grace: grace(operation, args)?,
            }),
            Operation::Restart => Ok(Arguments::Restart {
                grace: grace(operation, args)?,
            }),
            Operation::Snapshot => typed(operation, args).map(Arguments::Snapshot),
            Operation::Restore => typed(operation, args).map(Arguments::Restore),
            Operation::Resync => {
                let asked: Resync = typed(operation, args)?;
                match asked {
                    Resync {
                        from: From::Scratch,
                        link: true,
                    } => Err(contradiction(
                        operation,
                        "`link` goes with a snapshot, not with `from = \"scratch\"`",
                    )),
                    asked => Ok(Arguments::Resync(asked)),
                }
            }
            Operation::Fastsync => {
                let asked: Fastsync = typed(operation, args)?;
                match asked {
                    Fastsync {
                        url: Some(_),
                        file: Some(_),
                    } => Err(contradiction(operation, "either `url` or `file`, not both")),
                    asked => Ok(Arguments::Fastsync(asked)),
                }
            }
            Operation::Reset => typed::<None>(operation, args).map(|None {}| Arguments::Reset),
            Operation::RestoreCheckpoint => {
                typed(operation, args).map(Arguments::RestoreCheckpoint)
            }
            Operation::Verify => typed(operation, args).map(Arguments::Verify),
            Operation::Prune => typed::<None>(operation, args).map(|None {}| Arguments::Prune),
            Operation::Upload => typed(operation, args).map(Arguments::Upload),
            Operation::Logs => {
                let lines = typed::<Logs>(operation, args)?
                    .lines
                    .unwrap_or(DEFAULT_LINES);
                in_range(operation, "lines", lines, 1..=MAX_LINES)?;
                Ok(Arguments::Logs { lines })
            }
            Operation::Reboot => typed(operation, args).map(Arguments::Reboot),
            Operation::Cancel => typed::<Cancel>(operation, args)
                .map(|Cancel { operation }| Arguments::Cancel { operation }),
        }
    }
}

impl Operation {
    /// Whether it leaves the workload alone, and so does not wait for its turn in the lane.
    pub(crate) fn is_beside_the_lane(self) -> bool {
        match self {
            Operation::Verify
            | Operation::Prune
            | Operation::Upload
            | Operation::Logs
            | Operation::Cancel => true,
            Operation::Start
            | Operation::Stop
            | Operation::Restart
            | Operation::Snapshot
            | Operation::Restore
            | Operation::Resync
            | Operation::Fastsync
            | Operation::Reset
            | Operation::Reboot
            | Operation::RestoreCheckpoint => false,
        }
    }

    /// Whether it heeds a cancel at any point, and is continued after an interruption although it is beside the lane.
    pub(super) fn is_resumable(self) -> bool {
        match self {
            Operation::Upload => true,
            Operation::Start
            | Operation::Stop
            | Operation::Restart
            | Operation::Snapshot
            | Operation::Restore
            | Operation::Resync
            | Operation::Fastsync
            | Operation::Reset
            | Operation::RestoreCheckpoint
            | Operation::Verify
            | Operation::Prune
            | Operation::Logs
            | Operation::Reboot
            | Operation::Cancel => false,
        }
    }
}

fn grace(operation: Operation, args: &Map<String, Value>) -> Result<Option<Duration>, Failure> {
    let Grace { grace_s } = typed(operation, args)?;
    in_range(operation, "grace_s", grace_s.unwrap_or(0), 0..=MAX_GRACE_S)?;
    Ok(grace_s.map(Duration::from_secs))
}

fn typed<T: DeserializeOwned>(
    operation: Operation,
    args: &Map<String, Value>,
) -> Result<T, Failure> {
    serde_path_to_error::deserialize(Value::Object(args.clone())).map_err(|error| {
        Failure::new(
            Reason::BadArguments,
            format!("the arguments of `{operation}`: {error}"),
        )
    })
}

fn contradiction(operation: Operation, why: &str) -> Failure {
    let message = format!("the arguments of `{operation}`: {why}");
    Failure::new(Reason::BadArguments, message)
}

fn in_range<T: PartialOrd + std::fmt::Display>(
    operation: Operation,
    key: &str,
    value: T,
    range: std::ops::RangeInclusive<T>,
) -> Result<(), Failure> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Failure::new(
        Reason::BadArguments,
        format!(
            "the arguments of `{operation}`: {key} is {value}, not within {} to {}",
            range.start(),
            range.end()
        ),
    ))
}

#[cfg(test)]
mod tests;
