//! Starting and stopping the container.
//!
//! The engine says of a stop neither whether it had to kill nor what was paused, so each call looks first.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::connection::Call;
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
    pub(super) async fn look(&self) -> Result<Value, Error> {
        let call = Call::get(self.path("json"));
        self.client.ask(INSPECT, "inspect", call).await
    }

    /// What can be asked of the container.
    pub(super) fn path(&self, what: &str) -> String {
        format!("/containers/{}/{what}", self.container)
    }

    pub(super) async fn start_container(&self) -> Result<bool, Error> {
        match state::run_state(&self.look().await?) {
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
        let call = Call::post(self.path("start"));
        self.client.ask(START, "start", call).await?;
        Ok(true)
    }

    /// The container stays stopped whatever its restart policy says, except that the policy `always` starts it
    /// when the engine itself is started again.
    ///
    /// One that would be gone with its configuration is left to run.
    pub(super) async fn stop_container(&self, grace: Duration) -> Result<Stopped, Error> {
        let answer = self.look().await?;
        let vanishes = state::vanishes(&answer);
        match state::run_state(&answer) {
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

        let answer = self.look().await?;
        match state::run_state(&answer) {
            RunState::Stopped | RunState::Created => {
                // The engine does not say that it had to kill: but then the grace has passed, and the status is
                // that of a killed process.
                let overdue = asked.elapsed() >= grace && answer["State"]["ExitCode"] == KILLED;
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
        let call = stop(&self.container, seconds);
        let deadline = grace.saturating_add(STOP);
        self.client.ask(deadline, "stop", call).await.map(drop)
    }

    async fn kill(&self) -> Result<(), Error> {
        let call = Call::post(self.path("kill")).query(&[("signal", "SIGKILL")]);
        self.client.ask(KILL, "kill", call).await.map(drop)
    }

    async fn unpause(&self, action: &str) -> Result<(), Error> {
        let call = Call::post(self.path("unpause"));
        self.client.ask(UNPAUSE, action, call).await.map(drop)
    }

    fn dead(&self, action: &str) -> Error {
        self.client.refused(
            action,
            "it is dead: the engine could not remove it; remove it by hand (docker rm -f) and create it again",
        )
    }
}

/// Stops a container, by name or id, with so many seconds until it is killed. The engine takes them as a number of 32 bits.
pub(super) fn stop(container: &str, seconds: u64) -> Call<'static> {
    let seconds = seconds.min(i32::MAX as u64).to_string();
    Call::post(format!("/containers/{container}/stop")).query(&[("t", &seconds)])
}
