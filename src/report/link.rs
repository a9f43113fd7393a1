//! The link: how the connection to the broker is, for whoever asks this agent.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::protocol::Dropped;

/// How the connection to the broker is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Where the broker is.
    pub broker: String,
    /// Whether the agent is connected and takes commands, except those of `refused`.
    pub connected: bool,
    /// The topics of commands that the broker did not let the device subscribe to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
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

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { broker, since, .. } = self;
        if self.connected {
            write!(f, "connected to {broker} since {since}")?;
            return match &self.refused[..] {
                [] => Ok(()),
                refused => write!(f, ", but {}", Refused(refused)),
            };
        }
        let why = self.last_error.as_deref();
        let why = why.unwrap_or("it has not tried yet");
        write!(f, "not connected to {broker} since {since}: {why}")
    }
}

/// Says what a broker refuses, and what to do.
pub(super) struct Refused<'a>(pub &'a [String]);

impl fmt::Display for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the broker refuses the subscription to {}: no command arrives there; check its access list",
            self.0.join(", ")
        )
    }
}

impl Link {
    pub(super) fn new(broker: String) -> Self {
        Self {
            broker,
            connected: false,
            refused: Vec::new(),
            since: Timestamp::now(),
            connection: 0,
            lost: 0,
            last_error: None,
            waiting: 0,
            dropped: Dropped::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_with_why_it_is_gone() {
        let mut link = Link::new("mqtts://broker.example:8883".to_owned());
        let since = link.since;
        let told = format!("not connected to mqtts://broker.example:8883 since {since}: ");
        assert_eq!(link.to_string(), told.clone() + "it has not tried yet");
        link.last_error = Some("no route to host".to_owned());
        assert_eq!(link.to_string(), told + "no route to host");
        link.connected = true;
        let told = format!("connected to mqtts://broker.example:8883 since {since}");
        assert_eq!(link.to_string(), told);
        link.refused = vec!["ostler/attic/command/+".to_owned()];
        let refused = ", but the broker refuses the subscription to ostler/attic/command/+: ";
        assert!(link.to_string().starts_with(&(told + refused)), "{link}");
    }
}
