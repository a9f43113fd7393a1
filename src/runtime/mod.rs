//! How a workload is stopped and started: Docker, PM2, systemd.
//!
//! A [`Runtime`] drives one workload. It never waits for ever: every call has a deadline of its own, so
//! that a hung engine ends a step and not the agent.

pub(crate) mod as_user;
pub mod docker;
pub mod pm2;
pub mod renewal;
pub mod systemd;
mod tail;

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;

use crate::protocol::{Part, RunState};
pub use renewal::{Pulled, Renewal};

/// Why a runtime could not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The runtime is not there.
    #[error("{runtime} is not there: {detail}")]
    Absent {
        /// `Docker engine at /var/run/docker.sock` …
        runtime: String,
        /// What the system said and what to do.
        detail: String,
    },
    /// The runtime does not answer in time.
    #[error("{runtime} did not answer within {} s while asked to {action}", deadline.as_secs_f32())]
    Unresponsive {
        /// `Docker engine at /var/run/docker.sock` …
        runtime: String,
        /// `stop container miner` …
        action: String,
        /// How long was waited.
        deadline: Duration,
    },
    /// The workload does not exist.
    #[error("{workload} does not exist in {runtime}")]
    Missing {
        /// `Docker engine at /var/run/docker.sock` …
        runtime: String,
        /// `container miner` …
        workload: String,
    },
    /// The runtime answers, and refuses.
    #[error("{runtime} cannot {action}: {detail}")]
    Refused {
        /// `Docker engine at /var/run/docker.sock` …
        runtime: String,
        /// `start container miner` …
        action: String,
        /// What it said.
        detail: String,
    },
}

/// What the runtime says of the workload.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// How its process is. Never `RuntimeAbsent`, `RuntimeUnresponsive` or `Missing`: those are errors.
    pub state: RunState,
    /// Why, in words: `exited with status 137`, `out of memory` …
    pub reason: Option<String>,
    /// Which run this is: changes at every start.
    pub run: Option<String>,
    /// When this run was started, as the runtime says it.
    pub started_at: Option<String>,
    /// The image or the program.
    pub image: Option<String>,
    /// What the runtime calls this very container; another one has another. `None` where there is no such thing.
    pub instance: Option<String>,
    /// When that was made, as the runtime says it.
    pub created_at: Option<String>,
    /// How often the runtime has restarted it by itself.
    pub restarts: Option<u64>,
    /// What the runtime's own health check says: `healthy`, `unhealthy`, `starting`.
    pub health: Option<String>,
    /// The processes that it is made of, where the runtime tells them apart; empty elsewhere.
    pub parts: Vec<Part>,
}

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It was not running.
    Already,
    /// It ended by itself within its grace.
    Cleanly,
    /// It ended by itself within its grace, and not well: it crashed, or says by its exit status that it failed.
    /// Only runtimes that know which statuses are good ones tell this from [`Stopped::Cleanly`].
    Failed,
    /// It had to be killed.
    Killed,
}

/// What a program that was run inside the workload gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its exit status.
    pub status: i64,
    /// Standard output, bounded.
    pub stdout: String,
    /// Standard error, bounded.
    pub stderr: String,
}

/// Stops and starts one workload.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// `docker miner`, `systemd harmony.service` …
    fn describe(&self) -> String;

    /// How the workload is.
    async fn inspect(&self) -> Result<Inspection, Error>;

    /// Starts it; `false` where it ran already.
    async fn start(&self) -> Result<bool, Error>;

    /// Stops it: asks it to end, waits for `grace`, then kills it. It stays stopped.
    async fn stop(&self, grace: Duration) -> Result<Stopped, Error>;

    /// How long a stop of this `grace` can still end the workload after whoever asked for it is gone: an engine that was
    /// hung does it when it comes back, and one that is asked to wait waits.
    fn stop_outlasts(&self, grace: Duration) -> Duration {
        grace + Duration::from_secs(15)
    }

    /// Runs a program inside the workload and gives what it wrote, at most until `deadline`.
    async fn exec(&self, command: &[&str], deadline: Duration) -> Result<Output, Error>;

    /// The last lines of the workload's log, at most `bytes` of them.
    async fn logs(&self, lines: usize, bytes: usize) -> Result<String, Error>;

    /// Returns when something may have changed: an event of the runtime, or the runtime itself coming or going.
    ///
    /// Where the runtime has no events this never returns; callers poll beside it.
    async fn changed(&self);

    /// Has something outside the agent start the workload after this time, whatever becomes of the agent.
    /// `false` where this runtime has nothing of the kind.
    async fn arm(&self, _after: Duration) -> Result<bool, Error> {
        Ok(false)
    }

    /// By which path the workload itself knows a file of this host; `None` where it does not see it.
    async fn path_inside(&self, on_host: &Path) -> Result<Option<PathBuf>, Error> {
        Ok(Some(on_host.to_owned()))
    }

    /// How it is made anew, where that can be.
    fn renewal(&self) -> Option<&dyn Renewal> {
        None
    }

    /// Takes back what [`Runtime::arm`] did.
    async fn disarm(&self) -> Result<(), Error> {
        Ok(())
    }
}
