//! What is asked of the agent: the command on the wire, and the request that every front end makes of it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Name, OperationId};
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
    /// A bounded tail of a workload's log, in the record's `output`.
    Logs,
    /// Cancel another operation where that is safe.
    Cancel,
}

impl Operation {
    /// Every operation that this agent knows.
    pub const ALL: [Operation; 5] = [
        Operation::Start,
        Operation::Stop,
        Operation::Restart,
        Operation::Logs,
        Operation::Cancel,
    ];

    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Start => "start",
            Operation::Stop => "stop",
            Operation::Restart => "restart",
            Operation::Logs => "logs",
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

    #[test]
    fn a_command_with_an_unknown_key_is_refused() {
        let error =
            serde_json::from_str::<Command>(r#"{"id":"1","worklaod":"miner"}"#).unwrap_err();
        assert!(error.to_string().contains("worklaod"), "{error}");
    }
}
