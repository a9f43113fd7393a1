//! `ostler resync|fastsync|reset WORKLOAD` and `ostler reboot`: beginning again, as the same miner, node or device.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::operate::How;
use super::{Exit, Global, Usage};
use crate::any_error::Outcome;
use crate::protocol::{Name, Operation};

/// Arguments of `ostler resync`.
#[derive(Debug, clap::Args)]
pub struct Resync {
    /// The workload, by its name in the configuration
    workload: Name,
    /// Where it begins again: the newest good snapshot, or nothing (scratch)
    #[arg(long, value_parser = ["snapshot", "scratch"], default_value = "snapshot")]
    from: String,
    /// For a disk that has no room for a copy: the tables become second names of the snapshot's own files
    #[arg(long)]
    link: bool,
    #[command(flatten)]
    sure: Sure,
    #[command(flatten)]
    how: How,
}

/// Arguments of `ostler fastsync`.
#[derive(Debug, clap::Args)]
pub struct Fastsync {
    /// The workload, by its name in the configuration
    workload: Name,
    /// Where a snapshot of the chain is downloaded, or described: {"height":N} [default: as configured]
    #[arg(long, conflicts_with = "file")]
    url: Option<String>,
    /// A snapshot of the chain on the device
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    #[command(flatten)]
    how: How,
}

/// Arguments of `ostler reset`.
#[derive(Debug, clap::Args)]
pub struct Reset {
    /// The workload, by its name in the configuration
    workload: Name,
    #[command(flatten)]
    sure: Sure,
    #[command(flatten)]
    how: How,
}

/// Arguments of `ostler reboot`.
#[derive(Debug, clap::Args)]
pub struct Reboot {
    /// Do not wait for what is at work on the workloads; it is taken up after the boot
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    sure: Sure,
    #[command(flatten)]
    how: How,
}

/// Whether what cannot be taken back is asked about first.
#[derive(Debug, clap::Args)]
struct Sure {
    /// Do not ask whether it is meant
    #[arg(long, short)]
    yes: bool,
}

/// Has a workload begin again.
pub async fn resync(args: Resync, global: &Global) -> Outcome<Exit> {
    let scratch = args.from == "scratch";
    if scratch && args.link {
        return Err(
            Usage("--link goes with a snapshot, not with --from scratch".to_owned()).into(),
        );
    }
    if scratch && !args.how.dry_run {
        let what = format!(
            "{} loses all of its data but its identity, and gets it from the network again.",
            args.workload
        );
        args.sure.ask(&what)?;
    }
    let mut arguments = Map::from_iter([("from".to_owned(), Value::String(args.from))]);
    if args.link {
        arguments.insert("link".to_owned(), Value::Bool(true));
    }
    args.how
        .ask(Operation::Resync, args.workload, arguments, global)
        .await
}

/// Has a miner load a newer snapshot of its chain.
pub async fn fastsync(args: Fastsync, global: &Global) -> Outcome<Exit> {
    let url = args.url.map(|url| ("url".to_owned(), json!(url)));
    let file = args.file.map(|file| ("file".to_owned(), json!(file)));
    let arguments = url.into_iter().chain(file).collect();
    args.how
        .ask(Operation::Fastsync, args.workload, arguments, global)
        .await
}

/// Has a workload begin from nothing, in a container made anew.
pub async fn reset(args: Reset, global: &Global) -> Outcome<Exit> {
    if !args.how.dry_run {
        let what = format!(
            "{} loses all of its data but its identity, and its container is made anew from the newest image.",
            args.workload
        );
        args.sure.ask(&what)?;
    }
    args.how
        .ask(Operation::Reset, args.workload, Map::new(), global)
        .await
}

/// Boots the device anew.
pub async fn reboot(args: Reboot, global: &Global) -> Outcome<Exit> {
    if !args.how.dry_run {
        args.sure
            .ask("The device boots anew, and all that runs on it is stopped until then.")?;
    }
    let force = args.force.then(|| ("force".to_owned(), Value::Bool(true)));
    args.how
        .ask(Operation::Reboot, None, Map::from_iter(force), global)
        .await
}

impl Sure {
    /// Asks whoever sits at the terminal; where nobody does, `--yes` has to be said.
    fn ask(&self, what: &str) -> Result<(), Usage> {
        if self.yes {
            return Ok(());
        }
        let mut answer = String::new();
        if io::stdin().is_terminal() {
            // An answer that cannot be asked for or read is none.
            let _ = write!(io::stderr(), "{what} Go on? [y/N] ");
            let _ = io::stdin().lock().read_line(&mut answer);
        }
        match answer.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => Err(Usage(format!(
                "{what} Nothing was done; say --yes if that is meant"
            ))),
        }
    }
}
