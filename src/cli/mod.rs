//! The command line: one file per subcommand, each an `Args` and a `run`.
//!
//! All but `run` and `doctor` are thin: they ask the agent over its unix socket and print the answer.

pub mod client;
mod exit;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use exit::{Exit, Usage};

/// Where the agent listens, unless the configuration says otherwise.
pub const SOCKET: &str = "/run/ostler/ostler.sock";

/// Where the configuration is, unless the command line says otherwise.
pub const CONFIG: &str = "/etc/ostler/ostler.toml";

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
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE", env = "OSTLER_CONFIG", hide_env_values = true, default_value = CONFIG)]
    pub config: PathBuf,
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
                eprintln!("ostler: {error:#}");
                Exit::of(&error).into()
            }
        }
    }

    async fn dispatch(self) -> anyhow::Result<Exit> {
        let global = &self.global;
        match self.action {
            Action::Run(args) => run::run(args, global).await,
        }
    }
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
