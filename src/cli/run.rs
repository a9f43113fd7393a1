//! `ostler run`: the agent itself, in the foreground, as systemd starts it.

use std::io::{self, IsTerminal as _, Write};

use super::{Exit, Global};
use crate::agent::{self, Ending, Signals, Starts};
use crate::any_error::{Context as _, Outcome};
use crate::clock::Timestamp;
use crate::config::{self, Config};

/// Arguments of `ostler run`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the agent until it is told to stop.
pub async fn run(_args: Args, global: &Global) -> Outcome<Exit> {
    log();
    // For the whole life of the process: what comes while nobody looks is taken up by the next who does.
    let mut signals = Signals::new().context(|| "cannot take signals".to_owned())?;
    let starts = Starts::of_unit();
    if let Some(starts) = &starts {
        if !starts.hold_off(&mut signals).await {
            return Ok(Exit::Success);
        }
        tokio::spawn(starts.clone().forget_once_it_stands());
    }
    let mut config = match Config::load(global.config.as_deref()) {
        // In words alone: it may be on a disk that is mounted later, and as an error of the configuration it would be the last start.
        Err(error @ config::Error::Unreadable { .. }) => return Err(error.to_string().into()),
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
    let clock = std::env::var_os("JOURNAL_STREAM").is_none();
    tracing_subscriber::fmt()
        .without_time()
        .with_writer(move || Lines { clock })
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
}

/// Standard error, with the time before each line where nobody else writes one. Here and not in the subscriber, for all of it is
/// generic over its clock, and would be in the program twice.
struct Lines {
    clock: bool,
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut whole = Vec::new();
        if self.clock {
            write!(whole, "{} ", Timestamp::now())?;
        }
        whole.extend_from_slice(line);
        io::stderr().write_all(&whole).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
