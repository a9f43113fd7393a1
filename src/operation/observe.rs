//! Looking at a workload: on every event of its runtime, after every operation, and at an interval.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::ledger::Ledger;
use super::workload::{Through, Workload};
use crate::clock::{ClockSync, Timestamp};
use crate::feed::{Feed, Update};
use crate::protocol::{
    Event, Health, Level, Name, OperationRecord, RunState, Sync, SyncState, WorkloadReport,
};
use crate::runtime::{self, Inspection};
use crate::workload::{Finding, Standing};

/// How often the state is told again although nothing has changed.
const HEARTBEAT: Duration = Duration::from_secs(300);

/// The least time between two looks: a container in a restart loop makes many events.
const PAUSE: Duration = Duration::from_millis(200);

/// Looks at a workload for ever and tells the feed what has changed.
pub(super) async fn observe(
    workload: Arc<Workload>,
    ledger: Arc<Ledger>,
    feed: Feed,
    clock: ClockSync,
) {
    let tell = |event| feed.send(Update::Event(Box::new(event)));
    let mut told = Instant::now();
    let mut in_sync_state = Instant::now();
    let mut first = true;
    loop {
        let before = workload.report();
        let job = workload.at_work().and_then(|id| ledger.get(&id));
        let mut now = look(&workload, &before, job.as_ref()).await;
        let last = before.sync.as_ref().map(|sync| sync.state);
        if let Some(sync) = &mut now.sync {
            match last {
                Some(last) if last == sync.state => {}
                Some(last) => {
                    let lasted = in_sync_state.elapsed();
                    tell(sync_event(&now.name, last, sync.state, lasted, &clock));
                    in_sync_state = Instant::now();
                }
                None => in_sync_state = Instant::now(),
            }
            sync.lasted_s = in_sync_state.elapsed().as_secs();
        }
        workload.report.send_replace(now.clone());
        if first || differ(&now, &before) || told.elapsed() >= HEARTBEAT {
            if !first && now.state != before.state {
                tell(state_event(&before, &now, &clock));
            }
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

/// Whether there is news; that a state lasts on is none.
fn differ(now: &WorkloadReport, before: &WorkloadReport) -> bool {
    let mut then = before.clone();
    if let (Some(then), Some(now)) = (&mut then.sync, &now.sync) {
        then.lasted_s = now.lasted_s;
    }
    *now != then
}

/// How the workload is now; `before` gives the times of the last changes, `job` is what is at work on it.
async fn look(
    workload: &Workload,
    before: &WorkloadReport,
    job: Option<&OperationRecord>,
) -> WorkloadReport {
    let mut report = WorkloadReport {
        operation: workload.at_work(),
        scheduled: workload.scheduled(),
        ..before.clone()
    };
    let standing = match workload.runtime.inspect().await {
        Ok(inspection) => {
            let finding = match inspection.state {
                RunState::Running => {
                    let inside = Through(&*workload.runtime, &inspection.parts);
                    workload.kind.probe(&inside).await
                }
                _ => not_running(),
            };
            let standing = finding.standing;
            fill(&mut report, inspection, finding);
            standing
        }
        Err(error) => {
            report.state = state_of(&error);
            report.reason = Some(error.to_string());
            report.parts = Vec::new();
            fill_finding(&mut report, Finding::new(Health::Unknown, None));
            None
        }
    };
    report.sync = sync(&report, before.sync.as_ref(), standing, job);
    if report.state != before.state {
        report.since = Timestamp::now();
    }
    report
}

/// How it stands to its chain: by its own word, where it is asked and its data is its own; `None` where its kind follows
/// no chain, or nobody has seen it run yet.
fn sync(
    now: &WorkloadReport,
    before: Option<&Sync>,
    standing: Option<Standing>,
    job: Option<&OperationRecord>,
) -> Option<Sync> {
    let unseen = |state| Standing {
        state,
        chain_height: before.and_then(|before| before.chain_height),
        blocks_per_second: None,
        seconds_left: None,
    };
    let standing = match standing.or_else(|| before.map(|_| unseen(not_asked(now.state))))? {
        standing if job.is_some_and(OperationRecord::is_rebuilding) => Standing {
            state: SyncState::Resyncing,
            blocks_per_second: None,
            seconds_left: None,
            ..standing
        },
        standing => standing,
    };
    let since = before
        .filter(|before| before.state == standing.state)
        .map_or_else(Timestamp::now, |before| before.since);
    Some(Sync {
        state: standing.state,
        since,
        lasted_s: 0,
        chain_height: standing.chain_height,
        blocks_per_second: standing.blocks_per_second,
        seconds_left: standing.seconds_left,
    })
}

/// How a workload stands that could not be asked.
fn not_asked(state: RunState) -> SyncState {
    match state {
        RunState::RuntimeUnresponsive => SyncState::Silent,
        RunState::Running
        | RunState::Stopped
        | RunState::Created
        | RunState::Restarting
        | RunState::Paused
        | RunState::Dead
        | RunState::Missing
        | RunState::RuntimeAbsent
        | RunState::Unknown => SyncState::Down,
    }
}

fn not_running() -> Finding {
    Finding::new(Health::Failing, Some("it does not run".to_owned()))
}

fn fill(report: &mut WorkloadReport, inspection: Inspection, finding: Finding) {
    report.state = inspection.state;
    report.reason = inspection.reason;
    report.image = inspection.image;
    report.instance = inspection.instance;
    report.created_at = inspection.created_at;
    report.started_at = inspection.started_at;
    report.restarts = inspection.restarts;
    report.parts = inspection.parts;
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
    report.details = finding.details;
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

fn sync_event(
    name: &Name,
    before: SyncState,
    now: SyncState,
    lasted: Duration,
    clock: &ClockSync,
) -> Event {
    let level = match now {
        SyncState::Synced | SyncState::Syncing | SyncState::Loading | SyncState::Resyncing => {
            Level::Info
        }
        SyncState::Silent | SyncState::Unclear | SyncState::Down | SyncState::NoChainHeight => {
            Level::Warning
        }
    };
    Event {
        at: Timestamp::now(),
        clock_synced: clock.synced(),
        level,
        kind: "sync-state".to_owned(),
        workload: Some(name.clone()),
        message: format!("{name} is {now} after {} s of {before}", lasted.as_secs()),
    }
}
