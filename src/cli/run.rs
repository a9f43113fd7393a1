//! `ostler run`: the agent itself, in the foreground, as systemd starts it.

use super::{Exit, Global};

/// Arguments of `ostler run`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the agent until it is told to stop.
pub async fn run(_args: Args, global: &Global) -> anyhow::Result<Exit> {
    anyhow::bail!(
        "the agent is not part of this build yet (configuration {})",
        global.config.display()
    )
}
