//! `ostler operations [ID]`: what was done, what is being done, and how it went.

use serde::{Deserialize, Serialize};

use super::client::Client;
use super::operate::{unless_interrupted, wait};
use super::outcome::{exit, output};
use super::print::{self, Cell, Tone};
use super::progress::step_line;
use super::{Exit, Global};
use crate::any_error::Outcome;
use crate::protocol::{OperationId, OperationRecord, Refusal, State};

/// Arguments of `ostler operations`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this operation, with all its steps; the exit status tells how it ended
    id: Option<OperationId>,
    /// Wait until it has ended
    #[arg(long, requires = "id")]
    wait: bool,
    /// How many of the latest are listed
    #[arg(long, default_value_t = 20, value_name = "NUMBER", conflicts_with = "id",
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

#[derive(Serialize, Deserialize)]
struct Operations {
    operations: Vec<OperationRecord>,
    refusals: Vec<Refusal>,
    refused: u64,
}

/// Asks and prints.
pub async fn run(args: Args, global: &Global) -> Outcome<Exit> {
    let client = Client::new(global.socket()?);
    match args.id {
        Some(id) if args.wait => {
            let ask = async {
                let events = client.events().await?;
                let record = client.get(&format!("/v1/operations/{id}")).await?;
                wait(&client, events, record, global).await
            };
            unless_interrupted(&id, ask).await
        }
        Some(id) => {
            let record: OperationRecord = client.get(&format!("/v1/operations/{id}")).await?;
            match global.json {
                true => print::json(&record)?,
                false => show(&record)?,
            }
            Ok(exit(&record))
        }
        None => {
            let path = format!("/v1/operations?limit={}", args.limit);
            let all: Operations = client.get(&path).await?;
            match global.json {
                true => print::json(&all)?,
                false => list(&all)?,
            }
            Ok(Exit::Success)
        }
    }
}

fn list(all: &Operations) -> Outcome<()> {
    if all.operations.is_empty() {
        print::out("no operations yet\n")?;
    } else {
        let head = ["ID", "OPERATION", "WORKLOAD", "STATE", "ACCEPTED", "NOTE"];
        let mut rows = vec![head.map(Cell::from).to_vec()];
        rows.extend(all.operations.iter().map(row));
        print::table(&rows)?;
    }
    if let Some(last) = all.refusals.first() {
        let refused = match all.refused {
            1 => "1 command was".to_owned(),
            many => format!("{many} commands were"),
        };
        let message = format!(
            "{refused} refused since the agent started; the last, at {}: {}",
            last.at, last.failure.message
        );
        print::table(&[vec![message.into()]])?;
    }
    Ok(())
}

fn row(record: &OperationRecord) -> Vec<Cell> {
    let workload = record.workload.as_ref().map_or("-", |name| name.as_str());
    let note = match (&record.failure, record.steps.last()) {
        (Some(failure), _) => failure.message.clone(),
        (None, Some(step)) if !record.state.is_final() => step.name.clone(),
        (None, _) => String::new(),
    };
    vec![
        record.id.as_str().into(),
        record.operation.as_str().into(),
        workload.into(),
        state(record.state),
        record.accepted_at.to_string().into(),
        note.into(),
    ]
}

fn show(record: &OperationRecord) -> Outcome<()> {
    let time = |at: &Option<crate::clock::Timestamp>| at.map(|at| at.to_string().into());
    let origin = serde_json::to_value(record.origin)?;
    let fields = [
        ("operation", Some(record.id.as_str().into())),
        ("asked", Some(record.operation.as_str().into())),
        (
            "workload",
            record.workload.as_ref().map(|name| name.as_str().into()),
        ),
        ("by", origin.as_str().map(Cell::from)),
        ("state", Some(state(record.state))),
        (
            "reason",
            record
                .failure
                .as_ref()
                .map(|failure| failure.message.as_str().into()),
        ),
        ("accepted at", Some(record.accepted_at.to_string().into())),
        ("started at", time(&record.started_at)),
        ("ended at", time(&record.ended_at)),
        (
            "changed",
            record
                .changed
                .map(|changed| if changed { "yes" } else { "no" }.into()),
        ),
    ];
    let mut rows: Vec<Vec<Cell>> = fields
        .into_iter()
        .filter_map(|(name, value)| Some(vec![name.into(), value?]))
        .collect();
    rows.extend(
        record
            .steps
            .iter()
            .map(|step| vec!["step".into(), step_line(step).into()]),
    );
    print::table(&rows)?;
    if let Some(output) = output(record) {
        print::out(&output)?;
    }
    Ok(())
}

fn state(state: State) -> Cell {
    let tone = match state {
        State::Accepted | State::Running => Tone::Plain,
        State::Succeeded => Tone::Good,
        State::Cancelled | State::Expired => Tone::Doubtful,
        State::Failed => Tone::Bad,
    };
    Cell::new(state.as_str(), tone)
}
