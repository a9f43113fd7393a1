//! `ostler store verify`.

use super::{Place, Speed, line};
use crate::any_error::Outcome;
use crate::cli::{Exit, Global};
use crate::data::{Idle, Level, verify};
use crate::protocol::Name;

/// Arguments of `ostler store verify`.
#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    #[command(flatten)]
    place: Place,
    /// L1: names and sizes; L2: hashes; L3: every block and record too
    #[arg(long, default_value = "L3")]
    level: Level,
    /// Which snapshots [default: all that are not marked bad]
    names: Vec<Name>,
    #[command(flatten)]
    speed: Speed,
}

/// Verifies the snapshots that are named, or all that are not marked bad.
pub(super) fn run(args: Verify, global: &Global) -> Outcome<Exit> {
    let store = args.place.open()?;
    let names = match args.names.is_empty() {
        false => args.names,
        true => store
            .list()?
            .into_iter()
            .filter(|stored| stored.bad.is_none())
            .map(|stored| stored.name)
            .collect(),
    };
    let mut control = args.speed.control();
    let _idle = Idle::begin();
    let mut exit = Exit::Success;
    for name in names {
        let report = verify(&store, &name, args.level, &mut control)?;
        if !report.damages.is_empty() {
            exit = Exit::Failure;
        }
        if global.json {
            let damages: Vec<_> = report
                .damages
                .iter()
                .map(|damage| format!("{}: {}", damage.path, damage.what))
                .collect();
            line(&serde_json::json!({ "name": name, "level": report.level, "checked": report.checked, "damages": damages }).to_string())?;
            continue;
        }
        for damage in &report.damages {
            line(&format!("{name}: {}: {}", damage.path, damage.what))?;
        }
        let verdict = if report.damages.is_empty() {
            "good"
        } else {
            "BAD, and marked so"
        };
        line(&format!(
            "{name}: {verdict} ({:?}, {} blocks and records checked)",
            report.level, report.checked
        ))?;
    }
    Ok(exit)
}
