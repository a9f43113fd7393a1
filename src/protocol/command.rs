//! What is asked of the agent: the command on the wire, and the request that every front end makes of it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Failure, Name, OperationId, Reason};
use crate::clock::Timestamp;

/// The largest command that is read, in bytes; a larger one is refused unread.
pub const MAX_COMMAND_BYTES: usize = 64 * 1024;

/// What can be asked. The name is the last level of the command topic and of the HTTP path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Start a workload and wait until it answers.
    Start,
    /// Stop a workload: grace, then kill.
    Stop,
    /// Stop and start a workload and wait until it answers.
    Restart,
    /// Take a snapshot of a workload's data: stopped for milliseconds, or not at all.
    Snapshot,
    /// Put a snapshot in the place of a workload's data, by one exchange.
    Restore,
    /// Begin again from the newest good snapshot, or from nothing, as the same miner or node.
    Resync,
    /// Load a newer snapshot of the chain into a miner that is behind.
    Fastsync,
    /// Begin again from nothing, in a container made anew from a freshly pulled image.
    Reset,
    /// Put the state of a checkpoint in the place of a validator's, by one exchange.
    RestoreCheckpoint,
    /// Read a snapshot again, to its last byte.
    Verify,
    /// Remove the snapshots that the rules do not keep.
    Prune,
    /// Send a snapshot to the bucket.
    Upload,
    /// A bounded tail of a workload's log, in the record's `output`.
    Logs,
    /// Boot the device anew.
    Reboot,
    /// Cancel another operation where that is safe.
    Cancel,
}

impl Operation {
    /// Every operation that this agent knows.
    pub const ALL: [Operation; 15] = [
        Operation::Start,
        Operation::Stop,
        Operation::Restart,
        Operation::Snapshot,
        Operation::Restore,
        Operation::Resync,
        Operation::RestoreCheckpoint,
        Operation::Fastsync,
        Operation::Reset,
        Operation::Verify,
        Operation::Prune,
        Operation::Upload,
        Operation::Logs,
        Operation::Reboot,
        Operation::Cancel,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Start => "start",
            Operation::Stop => "stop",
            Operation::Restart => "restart",
            Operation::Snapshot => "snapshot",
            Operation::Restore => "restore",
            Operation::Resync => "resync",
            Operation::Fastsync => "fastsync",
            Operation::Reset => "reset",
            Operation::RestoreCheckpoint => "restore-checkpoint",
            Operation::Verify => "verify",
            Operation::Prune => "prune",
            Operation::Upload => "upload",
            Operation::Logs => "logs",
            Operation::Reboot => "reboot",
            Operation::Cancel => "cancel",
        }
    }

    /// The operation of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operation| operation.as_str() == name)
    }
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The body of a command, the same on MQTT and HTTP. The operation is named by the topic or the path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Chosen by the requester; the same id never runs twice. Required on MQTT, made up on HTTP where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<OperationId>,
    /// Which workload; may be absent where the device has only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<Name>,
    /// The operation's own arguments.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub args: Map<String, Value>,
    /// Not to be started after this time; ignored while the device's clock is not synchronised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Answer with the plan and touch nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// A command that cannot be read, with its id where that much can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// So that whoever asked can tell the refusal from others.
    pub id: Option<OperationId>,
    /// [`Reason::Malformed`] or [`Reason::TooLarge`]; the message is bounded.
    pub failure: Failure,
}

/// The most characters of a message that quotes what a stranger has sent.
const LONGEST_MESSAGE: usize = 500;

impl Command {
    /// Reads the body of a command: one JSON object and nothing else.
    ///
    /// # Errors
    /// Where it is larger than [`MAX_COMMAND_BYTES`], not JSON, not an object, or has an unknown or ill-typed key.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let unreadable = |id, reason, message: String| {
            let harmless = |c: char| if c.is_control() { '\u{fffd}' } else { c };
            let message: String = message
                .chars()
                .take(LONGEST_MESSAGE)
                .map(harmless)
                .collect();
            Err(Unreadable {
                id,
                failure: Failure::new(reason, message),
            })
        };
        if bytes.len() > MAX_COMMAND_BYTES {
            let message = format!("a command has at most {MAX_COMMAND_BYTES} bytes");
            return unreadable(None, Reason::TooLarge, message);
        }
        // An array would be read as the fields in their order, and an empty one as a command without any.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            let message = "a command is a JSON object; `{}` is the shortest".to_owned();
            return unreadable(None, Reason::Malformed, message);
        }
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let read = serde_path_to_error::deserialize(&mut json).map_err(|error| error.to_string());
        let ended = |command| json.end().map(|()| command).map_err(|e| e.to_string());
        read.and_then(ended).or_else(|error| {
            let message = format!("this is not a command: {error}");
            unreadable(id_of(bytes), Reason::Malformed, message)
        })
    }
}

fn id_of(bytes: &[u8]) -> Option<OperationId> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    OperationId::new(value.get("id")?.as_str()?).ok()
}

/// Through which door a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A command topic of the broker.
    Mqtt,
    /// The HTTP API over TCP.
    Http,
    /// The unix socket: the CLI on this host.
    Local,
    /// A schedule in the configuration.
    Schedule,
    /// A policy in the configuration.
    Policy,
}

/// A command with everything that the engine needs to know of it: the one way in.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The operation's id.
    pub id: OperationId,
    /// What is asked.
    pub operation: Operation,
    /// Which workload, where it was said.
    pub workload: Option<Name>,
    /// The operation's own arguments, not checked yet.
    pub args: Map<String, Value>,
    /// Through which door it came.
    pub origin: Origin,
    /// Not to be started after this time.
    pub expires_at: Option<Timestamp>,
    /// Answer with the plan and touch nothing.
    pub dry_run: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_found_by_its_wire_name() {
        for operation in Operation::ALL {
            assert_eq!(serde_json::to_value(operation).unwrap(), operation.as_str());
            assert_eq!(Operation::from_name(operation.as_str()), Some(operation));
        }
        assert_eq!(Operation::from_name("format-disk"), None);
    }

    fn refusal_of(text: &str) -> Unreadable {
        Command::read(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_command_with_an_unknown_key_is_refused_by_its_id() {
        let refused = refusal_of(r#"{"id":"1","worklaod":"miner"}"#);
        assert_eq!(refused.id, OperationId::new("1").ok());
        assert!(refused.failure.message.contains("worklaod"), "{refused:?}");
    }

    #[test]
    fn only_one_object_is_a_command() {
        assert_eq!(Command::read(b" {} ").unwrap(), Command::default());
        for text in [
            "",
            "[]",
            "null",
            "7",
            "\"{}\"",
            "{}{}",
            "{} x",
            "[\"id\"]",
            "{",
            "\u{feff}{}",
        ] {
            assert_eq!(refusal_of(text).failure.reason, Reason::Malformed, "{text}");
        }
    }

    #[test]
    fn what_a_stranger_sent_is_quoted_bounded_and_escaped() {
        let refused = refusal_of(&format!(
            "{{\"workload\":\"\\u001b[2J{}\"}}",
            "x".repeat(9999)
        ));
        let message = &refused.failure.message;
        assert!(
            message.len() < 2 * LONGEST_MESSAGE && !message.contains('\u{1b}'),
            "{message}"
        );
        let large = refusal_of(&" ".repeat(MAX_COMMAND_BYTES + 1));
        assert_eq!(large.failure.reason, Reason::TooLarge);
    }
}
