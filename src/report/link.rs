//! The link: how the connection to the broker is, for whoever asks this agent.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::protocol::Dropped;

/// How the connection to the broker is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Where the broker is.
    pub broker: String,
    /// Whether the agent is connected and takes commands.
    pub connected: bool,
    /// Since when it is, or is not, by the device's wall clock.
    pub since: Timestamp,
    /// Attempts to connect since the agent started, this one included.
    pub connection: u64,
    /// How often a connection that stood was lost.
    pub lost: u64,
    /// Why the last attempt failed or the last connection was lost, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Telemetry and events that wait for the broker.
    pub waiting: usize,
    /// What was dropped.
    pub dropped: Dropped,
}

impl Link {
    pub(super) fn new(broker: String) -> Self {
        Self {
            broker,
            connected: false,
            since: Timestamp::now(),
            connection: 0,
            lost: 0,
            last_error: None,
            waiting: 0,
            dropped: Dropped::default(),
        }
    }
}
