//! How the program ends: every exit status, in one place.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::client;
use crate::any_error::{AnyError, find};

/// The exit statuses of every subcommand. `docs/protocol.md` shows the same table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All done; what was asked for is so.
    Success = 0,
    /// The operation failed, the agent could not find out what was asked, a check failed, or the agent ended with an error.
    Failure = 1,
    /// The agent refused the command: nothing was done.
    Refused = 2,
    /// The operation was cancelled or expired before it did anything.
    NotDone = 3,
    /// The operation failed, and the workload that ran before it was not seen to answer again: it is not back in service.
    OutOfService = 8,
    /// The command line or the configuration is wrong (`EX_USAGE`).
    Usage = 64,
    /// The agent cannot be reached or does not answer (`EX_UNAVAILABLE`).
    Unavailable = 69,
    /// This user may not talk to the agent (`EX_NOPERM`).
    NotPermitted = 77,
    /// Interrupted while waiting; the operation goes on.
    Interrupted = 130,
}

impl Exit {
    /// The status that an error ends with.
    pub fn of(error: &AnyError) -> Self {
        if find::<Usage>(error).is_some() || find::<crate::config::Error>(error).is_some() {
            return Exit::Usage;
        }
        match find::<client::Error>(error) {
            Some(error) => error.exit(),
            None => Exit::Failure,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Exit::Success | Exit::Failure => "failed",
            Exit::Refused => "refused",
            Exit::NotDone => "not-done",
            Exit::OutOfService => "out-of-service",
            Exit::Usage => "usage",
            Exit::Unavailable => "unavailable",
            Exit::NotPermitted => "not-permitted",
            Exit::Interrupted => "interrupted",
        }
    }
}

/// An error for programs: the agent's own words where it has said any, else the same form with ours.
pub(super) fn json(error: &AnyError, told: &str) -> Value {
    find::<client::Error>(error)
        .and_then(client::Error::json)
        .unwrap_or_else(
            || json!({ "error": { "reason": Exit::of(error).reason(), "message": told } }),
        )
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// What the user has written, on the command line or in the configuration, is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);
