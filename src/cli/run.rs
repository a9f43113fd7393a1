//! `ostler run`: the agent itself, in the foreground, as systemd starts it.

use std::io::IsTerminal as _;

use anyhow::Context as _;

use super::{Exit, Global};
use crate::agent::{self, Ending, Signals, Starts};
use crate::config::{self, Config};

/// Arguments of `ostler run`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the agent until it is told to stop.
pub async fn run(_args: Args, global: &Global) -> anyhow::Result<Exit> {
    log();
    // For the whole life of the process: what comes while nobody looks is taken up by the next who does.
    let mut signals = Signals::new().context("cannot take signals")?;
    let starts = Starts::of_unit();
    if let Some(starts) = &starts {
        if !starts.hold_off(&mut signals).await {
            return Ok(Exit::Success);
        }
        tokio::spawn(starts.clone().forget_once_it_stands());
    }
    let mut config = match Config::load(global.config.as_deref()) {
        // It may be on a disk that is mounted later: as an error of the configuration it would be the last start.
        Err(error @ config::Error::Unreadable { .. }) => anyhow::bail!("{error}"),
        read => read?,
    };
    loop {
        // What a reload has changed holds in the next round, too.
        match agent::run(&mut config, global.config.as_deref(), &mut signals).await? {
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
