//! Asks the agent over its unix socket: HTTP/1.1, every wait with a deadline.

use std::path::PathBuf;

use super::Exit;

/// Why the agent gave no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens there.
    #[error(
        "no agent answers at {}: is it running? (systemctl status ostler)",
        socket.display()
    )]
    Absent {
        /// The agent's unix socket.
        socket: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// The status that a program ends with after this.
    pub fn exit(&self) -> Exit {
        match self {
            Error::Absent { .. } => Exit::Unavailable,
        }
    }
}
