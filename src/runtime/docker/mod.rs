//! The Docker runtime: one container, over the engine's socket.
//!
//! Every call opens a connection of its own and has a deadline, so that a hung engine ends a step and
//! not the agent, and leaves nothing behind; an engine that comes back is simply found there by the next call.
//!
//! Works with Docker 20.10 (API 1.41) and later. No API version is pinned: a request without one is taken
//! at the newest version that the engine speaks, and only fields and paths that all of them know are used.

mod blueprint;
mod client;
mod connection;
mod discover;
mod events;
mod exec;
mod lifecycle;
mod logs;
mod mounts;
mod pull;
mod renewal;
mod state;

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

pub use self::discover::{Found, discover};

use self::client::Client;
use super::{Error, Inspection, Output, Renewal, Runtime, Stopped};
use crate::looks::Looks;

/// Where the engine listens, unless told otherwise.
pub const SOCKET: &str = "/var/run/docker.sock";

/// Drives one container.
pub struct Docker {
    client: Client,
    container: String,
    watch: tokio::sync::Mutex<events::Watch>,
    abandoned: exec::Abandoned,
    looks: Looks,
}

/// A container cannot have such a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no name of a container: letters, digits, `_`, `.` and `-`, the first one a letter or digit"
)]
pub struct InvalidName(pub String);

impl Docker {
    /// Drives the container of this name through the engine behind this socket. Nothing is connected yet.
    pub fn new(socket: PathBuf, container: String) -> Result<Self, InvalidName> {
        if !is_name(&container) {
            return Err(InvalidName(container));
        }
        Ok(Self {
            client: Client::new(socket, format!("container {container}")),
            container,
            watch: tokio::sync::Mutex::default(),
            abandoned: exec::Abandoned::default(),
            looks: Looks::new(),
        })
    }
}

/// The engine's own rule for names, `[a-zA-Z0-9][a-zA-Z0-9_.-]*`: the name becomes part of a path.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 255
        && bytes.next().is_some_and(|b| b.is_ascii_alphanumeric())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

#[async_trait]
impl Runtime for Docker {
    fn describe(&self) -> String {
        format!("docker {}", self.container)
    }

    async fn inspect(&self) -> Result<Inspection, Error> {
        Ok(state::inspection(&self.look().await?))
    }

    async fn start(&self) -> Result<bool, Error> {
        self.start_container().await
    }

    async fn stop(&self, grace: Duration) -> Result<Stopped, Error> {
        self.stop_container(grace).await
    }

    async fn exec(&self, command: &[&str], deadline: Duration) -> Result<Output, Error> {
        self.run_inside(command, deadline).await
    }

    async fn logs(&self, lines: usize, bytes: usize) -> Result<String, Error> {
        self.tail(lines, bytes).await
    }

    async fn path_inside(&self, on_host: &Path) -> Result<Option<PathBuf>, Error> {
        let answer = self.look().await?;
        self.inside(answer, on_host.to_owned()).await
    }

    fn renewal(&self) -> Option<&dyn Renewal> {
        Some(self)
    }

    async fn changed(&self) {
        self.watch
            .lock()
            .await
            .changed(&self.client, &self.container)
            .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_place_in_a_path() {
        for name in ["miner", "helium-miner", "a", "node_1.2"] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "", ".", "..", "-x", "a/b", "../x", "a?b", "a b", "a%2f", "é",
        ] {
            assert!(
                Docker::new(SOCKET.into(), name.into()).is_err(),
                "{name:?} must be refused"
            );
        }
    }
}
