//! `ostler run`: the agent itself, in the foreground, as systemd starts it.

use std::io::IsTerminal as _;

use super::{Exit, Global};
use crate::agent::{self, Ending};
use crate::config::Config;

/// Arguments of `ostler run`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the agent until it is told to stop.
pub async fn run(_args: Args, global: &Global) -> anyhow::Result<Exit> {
    let config = Config::load(global.config.as_deref())?;
    log();
    loop {
        match agent::run(config.clone(), global.config.clone()).await? {
            Ending::Graceful => tracing::info!("ended; nothing was left unfinished"),
            Ending::Abandoned => {
                tracing::warn!("ended; what was at work goes on at the next start")
            }
            Ending::Found => continue,
        }
        return Ok(Exit::Success);
    }
}

/// Logs to standard error. The journal of systemd, which sets `JOURNAL_STREAM`, has a clock of its own.
fn log() {
    let format = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    match std::env::var_os("JOURNAL_STREAM") {
        Some(_) => format.without_time().init(),
        None => format.init(),
    }
}
