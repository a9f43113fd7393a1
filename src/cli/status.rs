//! `ostler status [WORKLOAD]`: how the workloads are, and the link to the broker.

use serde::{Deserialize, Serialize};

use super::client::Client;
use super::print::{self, Cell, Tone};
use super::{Exit, Global, units};
use crate::any_error::Outcome;
use crate::protocol::{Health, Name, RunState, Sync, WorkloadReport};
use crate::report::Link;

/// Arguments of `ostler status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this workload, with all that is known of it
    workload: Option<Name>,
}

#[derive(Serialize, Deserialize)]
struct Overview {
    workloads: Vec<WorkloadReport>,
    /// Nothing where no broker is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<Link>,
}

#[derive(Deserialize)]
struct AgentHealth {
    link: Option<Link>,
}

/// Asks and prints.
pub async fn run(args: Args, global: &Global) -> Outcome<Exit> {
    let client = Client::new(global.socket()?);
    match args.workload {
        Some(name) => {
            let report: WorkloadReport = client.get(&format!("/v1/workloads/{name}")).await?;
            match global.json {
                true => print::json(&report)?,
                false => print::table(&details(&report))?,
            }
        }
        None => {
            let mut all: Overview = client.get("/v1/workloads").await?;
            let health: AgentHealth = client.get("/v1/health").await?;
            all.link = health.link;
            match global.json {
                true => print::json(&all)?,
                false => tell(&all)?,
            }
        }
    }
    Ok(Exit::Success)
}

fn tell(all: &Overview) -> std::io::Result<()> {
    match all.workloads.is_empty() {
        true => print::out(
            "this device looks after no workload; configure one (ostler config reference)\n",
        )?,
        false => print::table(&overview(&all.workloads))?,
    }
    match &all.link {
        Some(link) => print::out(&format!("\n{link}\n")),
        None => Ok(()),
    }
}

fn overview(reports: &[WorkloadReport]) -> Vec<Vec<Cell>> {
    let head = [
        "WORKLOAD", "STATE", "HEALTH", "HEIGHT", "GAP", "SINCE", "NOTE",
    ];
    let mut rows = vec![head.map(Cell::from).to_vec()];
    for report in reports {
        let pace = report.sync.as_ref().and_then(pace);
        let note = match (&report.operation, &report.reason, &report.health_reason) {
            (Some(operation), ..) => format!("at work: {operation}"),
            (None, Some(reason), _) => reason.clone(),
            (None, None, Some(reason)) => match pace {
                Some(pace) => format!("{reason}, {pace}"),
                None => reason.clone(),
            },
            (None, None, None) => String::new(),
        };
        rows.push(vec![
            report.name.as_str().into(),
            state(report.state),
            health(report.health),
            number(report.height),
            number(report.gap),
            report.since.to_string().into(),
            note.into(),
        ]);
    }
    rows
}

fn details(report: &WorkloadReport) -> Vec<Vec<Cell>> {
    let text = |value: &Option<String>| value.clone().map(Cell::from);
    let fields = [
        ("workload", Some(report.name.as_str().into())),
        ("kind", Some(report.kind.as_str().into())),
        ("runtime", Some(report.runtime.as_str().into())),
        ("state", Some(state(report.state))),
        ("reason", text(&report.reason)),
        ("since", Some(report.since.to_string().into())),
        ("health", Some(health(report.health))),
        ("health reason", text(&report.health_reason)),
        (
            "height",
            report.height.map(|height| height.to_string().into()),
        ),
        ("gap", report.gap.map(|gap| gap.to_string().into())),
        (
            "sync",
            report.sync.as_ref().map(|sync| standing(sync).into()),
        ),
        ("pace", report.sync.as_ref().and_then(pace).map(Cell::from)),
        ("image", text(&report.image)),
        ("started at", text(&report.started_at)),
        (
            "restarts",
            report.restarts.map(|restarts| restarts.to_string().into()),
        ),
        (
            "at work",
            report.operation.as_ref().map(|id| id.as_str().into()),
        ),
    ];
    let row = |(name, value): (&str, Option<Cell>)| value.map(|value| vec![name.into(), value]);
    let parts = report.parts.iter().map(|part| {
        let mut told = part.state.to_string();
        let since = part.started_at.as_ref().map(|at| format!("since {at}"));
        let restarts = part.restarts.filter(|restarts| *restarts > 0);
        let restarts = restarts.map(|restarts| format!("{restarts} restarts"));
        for more in [since, restarts, part.reason.clone()].into_iter().flatten() {
            told.push_str(", ");
            told.push_str(&more);
        }
        vec![
            format!("part {}", part.name).into(),
            Cell::new(told, tone(part.state)),
        ]
    });
    let scheduled = report.scheduled.iter().map(|scheduled| {
        let next = scheduled.next.map_or_else(
            || "when the clock is synchronised".to_owned(),
            |next| next.to_string(),
        );
        let when = format!("{next} ({})", scheduled.cron);
        vec![format!("next {}", scheduled.operation).into(), when.into()]
    });
    let known = report
        .details
        .iter()
        .map(|(what, fact)| vec![what.replace('_', " ").into(), fact.as_str().into()]);
    fields
        .into_iter()
        .filter_map(row)
        .chain(known)
        .chain(parts)
        .chain(scheduled)
        .collect()
}

/// `syncing for 3 min 5 s, chain at 1190436`.
fn standing(sync: &Sync) -> String {
    let lasted = units::duration(sync.lasted_s);
    match sync.chain_height {
        Some(height) => format!("{} for {lasted}, chain at {height}", sync.state),
        None => format!("{} for {lasted}", sync.state),
    }
}

/// `12.5 blocks/s, 4 min 0 s left`.
fn pace(sync: &Sync) -> Option<String> {
    let pace = format!("{} blocks/s", sync.blocks_per_second?);
    Some(match sync.seconds_left {
        Some(seconds) => {
            let left = units::duration(seconds);
            format!("{pace}, {left} left")
        }
        None => pace,
    })
}

fn number(value: Option<impl ToString>) -> Cell {
    value
        .map_or_else(|| "-".to_owned(), |value| value.to_string())
        .into()
}

fn state(state: RunState) -> Cell {
    Cell::new(state.to_string(), tone(state))
}

fn tone(state: RunState) -> Tone {
    match state {
        RunState::Running => Tone::Good,
        RunState::Stopped | RunState::Created | RunState::Restarting | RunState::Paused => {
            Tone::Doubtful
        }
        RunState::Dead
        | RunState::Missing
        | RunState::RuntimeAbsent
        | RunState::RuntimeUnresponsive => Tone::Bad,
        RunState::Unknown => Tone::Plain,
    }
}

fn health(health: Health) -> Cell {
    let (text, tone) = match health {
        Health::Healthy => ("healthy", Tone::Good),
        Health::Starting => ("starting", Tone::Doubtful),
        Health::Degraded => ("degraded", Tone::Doubtful),
        Health::Failing => ("failing", Tone::Bad),
        Health::Unknown => ("unknown", Tone::Plain),
    };
    Cell::new(text, tone)
}
