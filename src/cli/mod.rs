//! The command line: one file per subcommand, each an `Args` and a `run`.
//!
//! All but `run` and `doctor` are thin: they ask the agent over its unix socket and print the answer.

pub mod client;
mod config;
mod exit;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::ENVIRONMENT;
pub use exit::{Exit, Usage};

/// Where the agent listens, unless the configuration says otherwise.
pub const SOCKET: &str = "/run/ostler/ostler.sock";

/// Looks after the miner, validator or node on this host.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    action: Action,
}

/// What every subcommand takes.
#[derive(Debug, clap::Args)]
pub struct Global {
    /// The configuration file [default: /etc/ostler/ostler.toml, where it is there]
    #[arg(long, global = true, value_name = "FILE", env = ENVIRONMENT, hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// The agent's unix socket
    #[arg(long, global = true, value_name = "PATH", env = "OSTLER_SOCKET", hide_env_values = true, default_value = SOCKET)]
    pub socket: PathBuf,
    /// Print JSON, for programs
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run the agent in the foreground
    Run(run::Args),
    /// Check, show or explain the configuration
    Config(config::Args),
}

impl Cli {
    /// Does what was asked, and says how it ended.
    pub fn run(self) -> ExitCode {
        let outcome = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(anyhow::Error::from)
            .and_then(|runtime| runtime.block_on(self.dispatch()));
        match outcome {
            Ok(exit) => exit.into(),
            Err(error) => {
                eprintln!("ostler: {}", told(&error));
                Exit::of(&error).into()
            }
        }
    }

    async fn dispatch(self) -> anyhow::Result<Exit> {
        let global = &self.global;
        match self.action {
            Action::Run(args) => run::run(args, global).await,
            Action::Config(args) => config::run(args, global),
        }
    }
}

/// An error and its causes, apart from those that it quotes itself.
fn told(error: &anyhow::Error) -> String {
    error
        .chain()
        .skip(1)
        .fold(error.to_string(), |told, cause| {
            let cause = cause.to_string();
            match told.contains(&cause) {
                true => told,
                false => format!("{told}: {cause}"),
            }
        })
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
