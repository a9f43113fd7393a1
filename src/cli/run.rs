//! `ostler run`: the agent itself, in the foreground, as systemd starts it.

use std::io::IsTerminal as _;

use super::{Exit, Global};
use crate::agent::{self, Ending, Starts};
use crate::config::{self, Config};

/// Arguments of `ostler run`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the agent until it is told to stop.
pub async fn run(_args: Args, global: &Global) -> anyhow::Result<Exit> {
    log();
    let starts = Starts::of_unit();
    if let Some(starts) = &starts {
        if !starts.hold_off().await? {
            return Ok(Exit::Success);
        }
        tokio::spawn(starts.clone().forget_once_it_stands());
    }
    let config = match Config::load(global.config.as_deref()) {
        // It may be on a disk that is mounted later: as an error of the configuration it would be the last start.
        Err(error @ config::Error::Unreadable { .. }) => anyhow::bail!("{error}"),
        read => read?,
    };
    loop {
        match agent::run(config.clone(), global.config.clone()).await? {
            Ending::Graceful => tracing::info!("ended; nothing was left unfinished"),
            Ending::Abandoned => {
                tracing::warn!("ended; what was at work goes on at the next start");
            }
            Ending::Found => continue,
        }
        break;
    }
    if let Some(starts) = starts {
        starts.forget();
    }
    Ok(Exit::Success)
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
