//! `ostler snapshots WORKLOAD`: which snapshots there are.

use serde::{Deserialize, Serialize};

use super::client::Client;
use super::print::{self, Cell, Tone};
use super::{Exit, Global, units};
use crate::any_error::Outcome;
use crate::protocol::{Name, OwnSpace, SnapshotFacts, SnapshotReport};

/// Arguments of `ostler snapshots`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The workload, by its name in the configuration
    workload: Name,
}

#[derive(Serialize, Deserialize)]
struct Snapshots {
    workload: Name,
    snapshots: Vec<SnapshotReport>,
}

/// Asks and prints.
pub async fn run(args: Args, global: &Global) -> Outcome<Exit> {
    let client = Client::new(global.socket()?);
    let path = format!("/v1/workloads/{}/snapshots", args.workload);
    let all: Snapshots = client.get(&path).await?;
    match global.json {
        true => print::json(&all)?,
        false if all.snapshots.is_empty() => {
            let workload = &all.workload;
            print::out(&format!(
                "{workload} has no snapshot yet; take one (ostler snapshot {workload})\n"
            ))?;
        }
        false => list(&all.snapshots)?,
    }
    Ok(Exit::Success)
}

/// Prints a table of snapshots.
pub(super) fn list(snapshots: &[SnapshotReport]) -> std::io::Result<()> {
    let head = [
        "NAME", "TAKEN", "AGE", "HEIGHT", "SIZE", "OWN", "WAY", "STATE",
    ];
    let mut rows = vec![head.map(Cell::from).to_vec()];
    rows.extend(snapshots.iter().map(row));
    print::table(&rows)
}

fn row(report: &SnapshotReport) -> Vec<Cell> {
    let facts = report.facts.as_ref();
    let fact = |show: fn(&SnapshotFacts) -> Option<String>| -> Cell {
        facts
            .and_then(show)
            .unwrap_or_else(|| "-".to_owned())
            .into()
    };
    let own = match report.space {
        OwnSpace::Exact(bytes) => units::bytes(bytes),
        OwnSpace::AtMost(bytes) => format!("<= {}", units::bytes(bytes)),
    };
    vec![
        report.name.as_str().into(),
        fact(|facts| Some(taken(facts))),
        fact(|facts| facts.age_s.map(units::duration)),
        fact(|facts| facts.height.map(|height| height.to_string())),
        fact(|facts| Some(units::bytes(facts.total_bytes))),
        own.into(),
        fact(|facts| Some(facts.way.to_string())),
        state(report),
    ]
}

/// A question mark stands after a time that nobody vouches for.
fn taken(facts: &SnapshotFacts) -> String {
    let doubt = if facts.clock_synced { "" } else { "?" };
    format!("{}{doubt}", facts.cut_time)
}

fn state(report: &SnapshotReport) -> Cell {
    match (&report.bad, &report.facts) {
        (Some(why), _) => Cell::new(format!("bad: {why}"), Tone::Bad),
        (None, Some(facts)) if !facts.clean => {
            Cell::new("good, as after a power cut", Tone::Doubtful)
        }
        (None, _) => Cell::new("good", Tone::Good),
    }
}
