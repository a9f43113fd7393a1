//! `ostler restore-checkpoint WORKLOAD [FILE|URL]`: the state of a checkpoint in the place of a validator's.

use serde_json::{Map, Value, json};

use super::operate::How;
use super::{Exit, Global};
use crate::any_error::Outcome;
use crate::checkpoint::Layout;
use crate::protocol::{Name, Operation};
use crate::sha256::Sha256;

/// Arguments of `ostler restore-checkpoint`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The workload, by its name in the configuration
    workload: Name,
    /// The checkpoint: a file, or https://… [default: validator_checkpoint.json or .json.gz in the validator's directory]
    #[arg(value_name = "FILE|URL")]
    source: Option<String>,
    /// What the SHA-256 of the file has to be
    #[arg(long, value_name = "HEX")]
    sha256: Option<Sha256>,
    /// Restore it although what is on disk is newer, and lose that
    #[arg(long)]
    force: bool,
    /// What makes the new state: the agent, or the validator's own script in a copy of its tree [default: native]
    #[arg(long, value_parser = ["native", "upstream"])]
    engine: Option<String>,
    /// The release to write for, where that of the validator or the checkpoint is not known
    #[arg(long, value_name = "VERSION")]
    layout: Option<Layout>,
    /// Take a checkpoint without ledgers, challenge period, account sizes or asset selections
    #[arg(long)]
    allow_missing_sections: bool,
    #[command(flatten)]
    how: How,
}

/// Restores a checkpoint.
pub async fn run(args: Args, global: &Global) -> Outcome<Exit> {
    let mut given = Map::new();
    if let Some(source) = args.source {
        given.insert("source".to_owned(), json!(absolute(&source)?));
    }
    let options = [
        ("sha256", args.sha256.map(|sum| json!(sum.to_string()))),
        ("force", args.force.then_some(Value::Bool(true))),
        ("engine", args.engine.map(Value::String)),
        ("layout", args.layout.map(|layout| json!(layout))),
        (
            "allow_missing_sections",
            args.allow_missing_sections.then_some(Value::Bool(true)),
        ),
    ];
    for (key, value) in options {
        given.extend(value.map(|value| (key.to_owned(), value)));
    }
    args.how
        .ask(Operation::RestoreCheckpoint, args.workload, given, global)
        .await
}

/// The agent has another working directory.
fn absolute(source: &str) -> Outcome<String> {
    if source.contains("://") {
        return Ok(source.to_owned());
    }
    let path =
        std::fs::canonicalize(source).map_err(|error| format!("cannot find {source}: {error}"))?;
    path.into_os_string()
        .into_string()
        .map_err(|_| format!("{source}: its path is not UTF-8").into())
}
