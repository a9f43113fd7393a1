//! `ostler logs WORKLOAD`: the end of a workload's log.

use serde::{Deserialize, Serialize};

use super::client::Client;
use super::{Exit, Global, print};
use crate::any_error::Outcome;
use crate::protocol::Name;

/// Arguments of `ostler logs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The workload, by its name in the configuration
    workload: Name,
    /// How many lines
    #[arg(long, short = 'n', default_value_t = 100, value_name = "NUMBER",
          value_parser = clap::value_parser!(u16).range(1..=10_000))]
    lines: u16,
}

#[derive(Serialize, Deserialize)]
struct Log {
    workload: Name,
    log: String,
}

/// Asks and prints.
pub async fn run(args: Args, global: &Global) -> Outcome<Exit> {
    let path = format!("/v1/workloads/{}/logs?lines={}", args.workload, args.lines);
    let log: Log = Client::new(global.socket()?).get(&path).await?;
    match global.json {
        true => print::json(&log)?,
        false => print::out(&log.log)?,
    }
    Ok(Exit::Success)
}
