//! `ostler run`: the agent itself, in the foreground, as systemd starts it.

use super::{Exit, Global};

/// Arguments of `ostler run`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the agent until it is told to stop.
pub async fn run(_args: Args, global: &Global) -> anyhow::Result<Exit> {
    let _config = crate::config::Config::load(global.config.as_deref())?;
    anyhow::bail!("the agent is not part of this build yet")
}
