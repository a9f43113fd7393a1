//! `ostler snapshot|restore|verify|prune|upload WORKLOAD`: the operations on a workload's snapshots.

use serde_json::{Map, Value, json};

use super::operate::How;
use super::{Exit, Global};
use crate::any_error::Outcome;
use crate::data::Level;
use crate::protocol::{Name, Operation};

/// Arguments of `ostler snapshot`.
#[derive(Debug, clap::Args)]
pub struct Snapshot {
    /// The workload, by its name in the configuration
    workload: Name,
    /// The snapshot's name [default: made of the time and a number]
    #[arg(long)]
    name: Option<Name>,
    /// How it is taken: without a stop (hot), or the best of the others (auto) [default: the configured way]
    #[arg(long, value_parser = ["auto", "reflink", "link", "copy", "hot"])]
    way: Option<String>,
    /// Take it although the workload syncs, leads or is otherwise in no state to be stopped
    #[arg(long)]
    force: bool,
    /// Send it to the bucket when it is sealed
    #[arg(long)]
    upload: bool,
    #[command(flatten)]
    how: How,
}

/// Arguments of `ostler restore`.
#[derive(Debug, clap::Args)]
pub struct Restore {
    /// The workload, by its name in the configuration
    workload: Name,
    /// The snapshot [default: the newest good one]
    snapshot: Option<Name>,
    /// For a disk that has no room for a copy: the tables become second names of the snapshot's own files
    #[arg(long)]
    link: bool,
    /// Fetch it from the bucket first, unless it is here already [default there: the newest]
    #[arg(long)]
    from_bucket: bool,
    #[command(flatten)]
    how: How,
}

/// Arguments of `ostler verify`.
#[derive(Debug, clap::Args)]
pub struct Verify {
    /// The workload, by its name in the configuration
    workload: Name,
    /// The snapshot
    snapshot: Name,
    /// L1: names and sizes; L2: hashes too; L3: every block and record too
    #[arg(long, default_value = "L3")]
    level: Level,
    #[command(flatten)]
    how: How,
}

/// Arguments of `ostler prune`.
#[derive(Debug, clap::Args)]
pub struct Prune {
    /// The workload, by its name in the configuration
    workload: Name,
    #[command(flatten)]
    how: How,
}

/// Arguments of `ostler upload`.
#[derive(Debug, clap::Args)]
pub struct Upload {
    /// The workload, by its name in the configuration
    workload: Name,
    /// The snapshot [default: the newest good one]
    snapshot: Option<Name>,
    #[command(flatten)]
    how: How,
}

/// Takes a snapshot.
pub async fn snapshot(args: Snapshot, global: &Global) -> Outcome<Exit> {
    let arguments = given([
        ("name", args.name.map(|name| json!(name))),
        ("way", args.way.map(Value::String)),
        ("force", args.force.then_some(Value::Bool(true))),
        ("upload", args.upload.then_some(Value::Bool(true))),
    ]);
    args.how
        .ask(Operation::Snapshot, args.workload, arguments, global)
        .await
}

/// Puts a snapshot in the place of the data.
pub async fn restore(args: Restore, global: &Global) -> Outcome<Exit> {
    let arguments = given([
        ("snapshot", args.snapshot.map(|name| json!(name))),
        ("link", args.link.then_some(Value::Bool(true))),
        ("from_bucket", args.from_bucket.then_some(Value::Bool(true))),
    ]);
    args.how
        .ask(Operation::Restore, args.workload, arguments, global)
        .await
}

/// Reads a snapshot again.
pub async fn verify(args: Verify, global: &Global) -> Outcome<Exit> {
    let arguments = given([
        ("snapshot", Some(json!(args.snapshot))),
        ("level", Some(json!(args.level))),
    ]);
    args.how
        .ask(Operation::Verify, args.workload, arguments, global)
        .await
}

/// Removes what the rules do not keep.
pub async fn prune(args: Prune, global: &Global) -> Outcome<Exit> {
    args.how
        .ask(Operation::Prune, args.workload, Map::new(), global)
        .await
}

/// Sends a snapshot to the bucket.
pub async fn upload(args: Upload, global: &Global) -> Outcome<Exit> {
    let arguments = given([("snapshot", args.snapshot.map(|name| json!(name)))]);
    args.how
        .ask(Operation::Upload, args.workload, arguments, global)
        .await
}

/// The arguments that were given: what is left out is the agent's to decide.
fn given<const N: usize>(all: [(&str, Option<Value>); N]) -> Map<String, Value> {
    all.into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
}
