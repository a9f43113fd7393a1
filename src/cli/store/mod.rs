//! `ostler store`: snapshots of a workload's data without the agent, for a workload that someone has stopped by hand.

mod prune;
mod restore;
mod take;
mod verify;

use std::io;
use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::Subcommand;

use super::{Exit, Global, Usage, print, snapshots};
use crate::any_error::Outcome;
use crate::data::{Control, Store, Workload};
use crate::operation;
use crate::sensor;

/// Bytes that stay free on the filesystem, whatever is done.
const RESERVE: u64 = 64 << 20;

/// Arguments of `ostler store`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Take a snapshot of a stopped workload's data
    Take(take::Take),
    /// List the snapshots, newest first
    List(Place),
    /// Read snapshots back and hold them against their manifests; a damaged one is marked bad
    Verify(verify::Verify),
    /// Put a snapshot in the place of a stopped workload's data; the old data stays until `accept` or `undo`
    Restore(restore::Restore),
    /// Keep the restored data and remove the old
    Accept(Place),
    /// Put the old data back and remove the restored
    Undo(Place),
    /// Remove snapshots that the rules do not keep
    Prune(prune::Prune),
}

#[derive(Debug, clap::Args)]
struct Place {
    /// Where the snapshots are; the agent's are in .ostler-store/<name> beside the data directory
    store: PathBuf,
}

#[derive(Debug, clap::Args)]
struct Owner {
    /// What the workload is
    #[arg(long, default_value = "generic")]
    kind: String,
    /// What must be equal for a restore, as network=mainnet; may be given again
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    identity: Vec<(String, String)>,
}

#[derive(Debug, clap::Args)]
struct Speed {
    /// Read no faster than so many bytes a second
    #[arg(long, value_name = "BYTES")]
    limit: Option<NonZeroU64>,
}

/// Does what was asked for.
pub fn run(args: Args, global: &Global) -> Outcome<Exit> {
    match args.action {
        Action::Take(args) => take::run(args, global),
        Action::List(place) => list(&place, global),
        Action::Verify(args) => verify::run(args, global),
        Action::Restore(args) => restore::run(args, global),
        Action::Accept(place) => restore::finish(&place, false, global),
        Action::Undo(place) => restore::finish(&place, true, global),
        Action::Prune(args) => prune::run(args, global),
    }
}

impl Place {
    /// The store that is there: a name that was mistyped makes no new one.
    fn open(&self) -> Outcome<Store> {
        if !self.store.is_dir() {
            return Err(format!("there is no store at {}", self.store.display()).into());
        }
        self.open_or_make()
    }

    fn open_or_make(&self) -> Outcome<Store> {
        Ok(Store::open(&self.store)?)
    }
}

impl Owner {
    fn workload(self) -> Workload {
        Workload {
            kind: self.kind,
            identity: self.identity.into_iter().collect(),
        }
    }
}

impl Speed {
    fn control(&self) -> Control {
        Control::unlimited().limited_to(self.limit.map_or(0, NonZeroU64::get))
    }
}

fn list(place: &Place, global: &Global) -> Outcome<Exit> {
    let store = place.open()?;
    let list = operation::snapshot_reports(&store, clock_synced())?;
    match global.json {
        true => print::json(&list)?,
        false if list.is_empty() => line(&format!("{} holds no snapshot", store.path().display()))?,
        false => snapshots::list(&list)?,
    }
    Ok(Exit::Success)
}

/// Whether the wall clock can be believed.
fn clock_synced() -> bool {
    sensor::clock_synced(&sensor::Root::default())
}

fn key_value(text: &str) -> Result<(String, String), Usage> {
    text.split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| Usage("it is not of the form KEY=VALUE".to_owned()))
}

fn line(line: &str) -> io::Result<()> {
    print::out(&format!("{line}\n"))
}
