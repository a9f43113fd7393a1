//! The command line: one file per subcommand, each an `Args` and a `run`.
//!
//! All but `run` and `doctor` are thin: they ask the agent over its unix socket and print the answer.

mod checkpoint;
mod client;
mod config;
mod credentials;
mod doctor;
mod events;
mod exit;
mod homes;
mod logs;
mod operate;
mod operations;
mod outcome;
mod print;
mod progress;
mod renew;
mod renewed;
mod restore_checkpoint;
mod run;
mod snapshot;
mod snapshots;
mod status;
mod store;
mod unit;
mod units;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::any_error::{Outcome, told};
use crate::config::{Config, ENVIRONMENT};
use crate::protocol::Operation;

/// How long work on files may take to notice that the program ends.
const LEAVE: Duration = Duration::from_secs(5);
pub use exit::{Exit, Usage};

/// Looks after the miner, validator or node on this host.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    action: Action,
}

/// Keeps what every subcommand takes apart from what one of them takes.
const EVERYWHERE: &str = "Global options";

/// What every subcommand takes.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// The configuration file [default: /etc/ostler/ostler.toml, where it is there]
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "FILE")]
    #[arg(env = ENVIRONMENT, hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// The agent's unix socket [default: that of the configuration]
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "PATH")]
    #[arg(env = "OSTLER_SOCKET", hide_env_values = true)]
    socket: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub json: bool,
}

impl Global {
    /// Where the agent listens: as it was said, else as configured, else as it is where nothing is configured.
    ///
    /// # Errors
    /// Where a configuration is named that cannot be read, or is wrong. The usual one is not named: whoever may talk to the
    /// agent may not always read it.
    fn socket(&self) -> Result<PathBuf, crate::config::Error> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        match Config::load(self.config.as_deref()) {
            Err(error) if self.config.is_some() => Err(error),
            config => Ok(config.unwrap_or_default().http.socket),
        }
    }
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run the agent in the foreground
    Run(run::Args),
    /// Show how the workloads are, and the link to the broker
    Status(status::Args),
    /// Start a workload and wait until it answers
    Start(operate::Start),
    /// Stop a workload
    Stop(operate::Stop),
    /// Stop and start a workload and wait until it answers
    Restart(operate::Stop),
    /// Take a snapshot of a workload's data; the workload is away for milliseconds, or not at all
    Snapshot(snapshot::Snapshot),
    /// List the snapshots of a workload, newest first
    Snapshots(snapshots::Args),
    /// Read a snapshot again, to its last byte; a damaged one is marked bad
    Verify(snapshot::Verify),
    /// Put a snapshot in the place of a workload's data; if it does not come up on it, the old data comes back
    Restore(snapshot::Restore),
    /// Have a workload begin again from its newest good snapshot, or from nothing, as the same miner or node
    Resync(renew::Resync),
    /// Put a checkpoint in the place of a validator's state; if it does not stay up on it, the old state comes back
    RestoreCheckpoint(restore_checkpoint::Args),
    /// Have a miner that is behind load a newer snapshot of its chain
    Fastsync(renew::Fastsync),
    /// Have a miner begin again from nothing, in a container made anew from the newest image
    Reset(renew::Reset),
    /// Remove the snapshots, or a validator's backups, that the workload's rules do not keep
    Prune(snapshot::Prune),
    /// Send a snapshot to the workload's bucket: only what is not there yet
    Upload(snapshot::Upload),
    /// Boot the device anew; what runs on it ends cleanly before, and runs again afterwards
    Reboot(renew::Reboot),
    /// Cancel an operation where that is safe
    Cancel(operate::Cancel),
    /// Show what was done and what is being done
    Operations(operations::Args),
    /// Show the end of a workload's log
    Logs(logs::Args),
    /// Say what is on this host, what works, what is wrong and what to do
    Doctor(doctor::Args),
    /// Check or unpack a checkpoint of a validator; needs no agent
    Checkpoint(checkpoint::Args),
    /// Check, show or explain the configuration
    Config(config::Args),
    /// Take, list, verify and restore snapshots without the agent
    Store(store::Args),
}

impl Cli {
    /// Does what was asked, and says how it ended.
    pub fn run(self) -> ExitCode {
        let json = self.global.json;
        match to_its_end(self.dispatch()) {
            Ok(exit) => exit.into(),
            Err(error) => {
                let told = told(&error);
                print::err(&told);
                if json {
                    // That it cannot be printed is no more than that.
                    let _ = print::json(&exit::json(&error, &told));
                }
                Exit::of(&error).into()
            }
        }
    }

    async fn dispatch(self) -> Outcome<Exit> {
        let global = &self.global;
        match self.action {
            Action::Run(args) => run::run(args, global).await,
            Action::Status(args) => status::run(args, global).await,
            Action::Start(args) => operate::start(args, global).await,
            Action::Stop(args) => operate::stop(Operation::Stop, args, global).await,
            Action::Restart(args) => operate::stop(Operation::Restart, args, global).await,
            Action::Snapshot(args) => snapshot::snapshot(args, global).await,
            Action::Snapshots(args) => snapshots::run(args, global).await,
            Action::Verify(args) => snapshot::verify(args, global).await,
            Action::Restore(args) => snapshot::restore(args, global).await,
            Action::Resync(args) => renew::resync(args, global).await,
            Action::RestoreCheckpoint(args) => restore_checkpoint::run(args, global).await,
            Action::Fastsync(args) => renew::fastsync(args, global).await,
            Action::Reset(args) => renew::reset(args, global).await,
            Action::Prune(args) => snapshot::prune(args, global).await,
            Action::Upload(args) => snapshot::upload(args, global).await,
            Action::Reboot(args) => renew::reboot(args, global).await,
            Action::Cancel(args) => operate::cancel(args, global).await,
            Action::Operations(args) => operations::run(args, global).await,
            Action::Logs(args) => logs::run(args, global).await,
            Action::Doctor(args) => doctor::run(args, global).await,
            Action::Checkpoint(args) => checkpoint::run(args, global),
            Action::Config(args) => config::run(args, global),
            Action::Store(args) => store::run(args, global),
        }
    }
}

/// Runs on the one thread. Work on files that does not heed its end, on a disk that hangs for example, is left behind:
/// its journal says how to go on.
fn to_its_end<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(work);
    // Dropping it would wait for every such thread, for ever.
    runtime.shutdown_timeout(LEAVE);
    outcome
}

/// Prints help, the version or what is wrong with the command line, and gives the exit status of it.
pub fn answer_usage(answer: &clap::Error) -> ExitCode {
    // A closed standard output or error is nobody's fault.
    let _ = answer.print();
    match answer.use_stderr() {
        true => Exit::Usage.into(),
        false => Exit::Success.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_stuck_keeps_no_program_from_ending() {
        let (stuck, end) = std::sync::mpsc::sync_channel::<()>(0);
        let outcome = to_its_end(async move {
            // Ends with the sender, which this test keeps.
            tokio::task::spawn_blocking(move || end.recv());
            Ok(1)
        });
        assert_eq!(outcome.unwrap(), 1);
        drop(stuck);
    }
}
