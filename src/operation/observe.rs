//! Looking at a workload: on every event of its runtime, after every operation, and at an interval.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::workload::{Through, Workload};
use crate::clock::{ClockSync, Timestamp};
use crate::feed::{Feed, Update};
use crate::protocol::{Event, Health, Level, RunState, WorkloadReport};
use crate::runtime::{self, Inspection};
use crate::workload::Finding;

/// How often the state is told again although nothing has changed.
const HEARTBEAT: Duration = Duration::from_secs(300);

/// The least time between two looks: a container in a restart loop makes many events.
const PAUSE: Duration = Duration::from_millis(200);

/// Looks at a workload for ever and tells the feed what has changed.
pub(super) async fn observe(workload: Arc<Workload>, feed: Feed, clock: ClockSync) {
    let mut told = Instant::now();
    let mut first = true;
    loop {
        let before = workload.report();
        let now = look(&workload, &before).await;
        if first || now != before || told.elapsed() >= HEARTBEAT {
            if !first && now.state != before.state {
                feed.send(Update::Event(Box::new(state_event(&before, &now, &clock))));
            }
            workload.report.send_replace(now.clone());
            feed.send(Update::Workload(Box::new(now)));
            told = Instant::now();
            first = false;
        }
        sleep(PAUSE).await;
        tokio::select! {
            () = sleep_until(Instant::now() + workload.times().interval) => {}
            () = workload.runtime.changed() => {}
            () = workload.poke.notified() => {}
        }
    }
}

/// How the workload is now; `before` gives the time of the last change.
async fn look(workload: &Workload, before: &WorkloadReport) -> WorkloadReport {
    let mut report = WorkloadReport {
        operation: workload.at_work(),
        scheduled: workload.scheduled(),
        ..before.clone()
    };
    match workload.runtime.inspect().await {
        Ok(inspection) => {
            let finding = match inspection.state {
                RunState::Running => workload.kind.probe(&Through(&*workload.runtime)).await,
                _ => not_running(),
            };
            fill(&mut report, inspection, finding);
        }
        Err(error) => {
            report.state = state_of(&error);
            report.reason = Some(error.to_string());
            fill_finding(
                &mut report,
                Finding {
                    health: Health::Unknown,
                    reason: None,
                    height: None,
                    gap: None,
                },
            );
        }
    }
    if report.state != before.state {
        report.since = Timestamp::now();
    }
    report
}

fn not_running() -> Finding {
    Finding {
        health: Health::Failing,
        reason: Some("it does not run".to_owned()),
        height: None,
        gap: None,
    }
}

fn fill(report: &mut WorkloadReport, inspection: Inspection, finding: Finding) {
    report.state = inspection.state;
    report.reason = inspection.reason;
    report.image = inspection.image;
    report.started_at = inspection.started_at;
    report.restarts = inspection.restarts;
    // The runtime's own health check overrules a probe that has nothing against the workload.
    let finding = match inspection.health.as_deref() {
        Some("unhealthy") if finding.health == Health::Healthy => Finding {
            health: Health::Failing,
            reason: Some("its runtime's health check says unhealthy".to_owned()),
            ..finding
        },
        Some("starting") if finding.health == Health::Healthy => Finding {
            health: Health::Starting,
            ..finding
        },
        _ => finding,
    };
    fill_finding(report, finding);
}

fn fill_finding(report: &mut WorkloadReport, finding: Finding) {
    report.health = finding.health;
    report.health_reason = finding.reason;
    report.height = finding.height;
    report.gap = finding.gap;
}

/// The state that an error of the runtime stands for.
fn state_of(error: &runtime::Error) -> RunState {
    match error {
        runtime::Error::Absent { .. } => RunState::RuntimeAbsent,
        runtime::Error::Unresponsive { .. } => RunState::RuntimeUnresponsive,
        runtime::Error::Missing { .. } => RunState::Missing,
        runtime::Error::Refused { .. } => RunState::Unknown,
    }
}

fn state_event(before: &WorkloadReport, now: &WorkloadReport, clock: &ClockSync) -> Event {
    let level = match now.state {
        RunState::Running => Level::Info,
        _ if now.operation.is_some() => Level::Info,
        _ => Level::Warning,
    };
    let why = now
        .reason
        .as_ref()
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    Event {
        at: Timestamp::now(),
        clock_synced: clock.synced(),
        level,
        kind: "workload-state".to_owned(),
        workload: Some(now.name.clone()),
        message: format!(
            "{} went from {} to {}{why}",
            now.name, before.state, now.state
        ),
    }
}
