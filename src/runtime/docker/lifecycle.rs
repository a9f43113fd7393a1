//! Starting and stopping the container.
//!
//! The client library does not tell "done" from "was so already" (204 from 304), so each call looks first.

use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{KillContainerOptionsBuilder, StopContainerOptionsBuilder};
use tokio::time::Instant;

use super::{Docker, Error, Stopped, state};
use crate::protocol::RunState;

/// Looking is a read from the engine's memory.
const INSPECT: Duration = Duration::from_secs(5);
/// Starting sets up mounts, network and a process: slow on a busy eMMC.
const START: Duration = Duration::from_secs(30);
/// Unpausing thaws a cgroup.
const UNPAUSE: Duration = Duration::from_secs(10);
/// What the engine may need beyond the grace: it waits 10 s for the end of what it killed.
const STOP: Duration = Duration::from_secs(15);
/// The same 10 s.
const KILL: Duration = Duration::from_secs(15);

/// What speaks against the stop of a container that does not outlive it, and what to do.
pub(super) const VANISHES: &str = "it was started with --rm: the engine removes it when it is stopped; create it again \
                                   without --rm, with a restart policy";

/// The exit status of what ended by SIGKILL.
const KILLED: i64 = 137;

impl Docker {
    /// Asks the engine for all it knows of the container.
    pub(super) async fn look(&self) -> Result<ContainerInspectResponse, Error> {
        let docker = self.client.connect()?;
        let call = docker.inspect_container(&self.container, None);
        self.client.within(INSPECT, "inspect", call).await
    }

    pub(super) async fn start_container(&self) -> Result<bool, Error> {
        let state = self.look().await?.state.unwrap_or_default();
        match state::run_state(&state) {
            // The engine starts a crashing container again by itself, after a pause that grows.
            RunState::Running | RunState::Restarting => return Ok(false),
            RunState::Paused => {
                self.unpause("start").await?;
                return Ok(true);
            }
            RunState::Dead => return Err(self.dead("start")),
            RunState::Stopped
            | RunState::Created
            | RunState::Unknown
            | RunState::Missing
            | RunState::RuntimeAbsent
            | RunState::RuntimeUnresponsive => {}
        }
        let docker = self.client.connect()?;
        let call = docker.start_container(&self.container, None);
        self.client.within(START, "start", call).await?;
        Ok(true)
    }

    /// The container stays stopped whatever its restart policy says, except that the policy `always` starts it
    /// when the engine itself is started again.
    ///
    /// One that would be gone with its configuration is left to run.
    pub(super) async fn stop_container(&self, grace: Duration) -> Result<Stopped, Error> {
        let answer = self.look().await?;
        let vanishes = answer.host_config.and_then(|host| host.auto_remove) == Some(true);
        let state = answer.state.unwrap_or_default();
        match state::run_state(&state) {
            RunState::Stopped | RunState::Created => return Ok(Stopped::Already),
            RunState::Dead => return Err(self.dead("stop")),
            _ if vanishes => return Err(self.client.refused("stop", VANISHES)),
            // A frozen process cannot end by itself. Who is no longer paused needs no unpausing.
            RunState::Paused => match self.unpause("stop").await {
                Ok(()) | Err(Error::Refused { .. }) => {}
                Err(error) => return Err(error),
            },
            RunState::Running
            | RunState::Restarting
            | RunState::Unknown
            | RunState::Missing
            | RunState::RuntimeAbsent
            | RunState::RuntimeUnresponsive => {}
        }

        let asked = Instant::now();
        let killed = match self.ask_to_stop(grace).await {
            Ok(()) => false,
            // The engine can be stuck in the stop of a container and still kill it.
            Err(Error::Unresponsive { .. } | Error::Refused { .. }) => {
                match self.kill().await {
                    // Refused: it is not running any more, which is looked at next.
                    Ok(()) | Err(Error::Refused { .. }) => true,
                    Err(error) => return Err(error),
                }
            }
            Err(error) => return Err(error),
        };

        let state = self.look().await?.state.unwrap_or_default();
        match state::run_state(&state) {
            RunState::Stopped | RunState::Created => {
                // The engine does not say that it had to kill: but then the grace has passed, and the status is
                // that of a killed process.
                let overdue = asked.elapsed() >= grace && state.exit_code == Some(KILLED);
                Ok(if killed || overdue {
                    Stopped::Killed
                } else {
                    Stopped::Cleanly
                })
            }
            RunState::Dead => Err(self.dead("stop")),
            still => Err(self
                .client
                .refused("stop", &format!("it is {still} even after a kill"))),
        }
    }

    async fn ask_to_stop(&self, grace: Duration) -> Result<(), Error> {
        // Whole seconds, rounded up: less grace than asked for would kill what would have ended cleanly.
        let seconds = grace.as_secs() + u64::from(grace.subsec_nanos() > 0);
        let options = StopContainerOptionsBuilder::new()
            .t(i32::try_from(seconds).unwrap_or(i32::MAX))
            .build();
        let docker = self.client.connect()?;
        let call = docker.stop_container(&self.container, Some(options));
        self.client
            .within(grace.saturating_add(STOP), "stop", call)
            .await
    }

    async fn kill(&self) -> Result<(), Error> {
        let options = KillContainerOptionsBuilder::new().signal("SIGKILL").build();
        let docker = self.client.connect()?;
        let call = docker.kill_container(&self.container, Some(options));
        self.client.within(KILL, "kill", call).await
    }

    async fn unpause(&self, action: &str) -> Result<(), Error> {
        let docker = self.client.connect()?;
        let call = docker.unpause_container(&self.container);
        self.client.within(UNPAUSE, action, call).await
    }

    fn dead(&self, action: &str) -> Error {
        self.client.refused(
            action,
            "it is dead: the engine could not remove it; remove it by hand (docker rm -f) and create it again",
        )
    }
}
