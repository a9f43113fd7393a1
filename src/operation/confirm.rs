//! Whether a workload that was started is there: it answers its probe, or stays up where it cannot be asked.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::context::{Context, Did, failure_of};
use super::workload::{Through, Workload};
use crate::protocol::{Failure, Health, Reason, RunState, SyncState};
use crate::runtime::Inspection;
use crate::workload::Finding;

/// How often the probe is asked while a workload comes up.
const PAUSE: Duration = Duration::from_millis(500);

/// How long a workload that cannot be asked how it is has to run on data that is new to it: most that crash do so at once.
const SETTLED: Duration = Duration::from_secs(3);

/// Waits until it answers.
pub(super) async fn confirm(context: &mut Context) -> Result<(), Failure> {
    let workload = context.workload.clone();
    context.step("confirm", until_it_answers(&workload)).await
}

/// The same on data that was exchanged: what cannot be asked how it is has to stay up for a while, in one run.
pub(super) async fn confirm_it_stays(context: &mut Context) -> Result<(), Failure> {
    let workload = context.workload.clone();
    let stays = async {
        let answered = until_it_answers(&workload).await?;
        match workload.kind.is_asked() {
            true => Ok(answered),
            false => stays_up(&workload).await,
        }
    };
    context.step("confirm", stays).await
}

/// Looks at a workload that was just seen to run until it has done so for [`SETTLED`].
async fn stays_up(workload: &Workload) -> Result<Did, Failure> {
    let begun = Instant::now();
    let mut run = None;
    loop {
        let now = match workload.runtime.inspect().await {
            Ok(now) => now,
            // That nobody can say is no word against it.
            Err(error) if begun.elapsed() + PAUSE > SETTLED + workload.times().ready => {
                return Err(failure_of(error));
            }
            Err(_) => {
                sleep(PAUSE).await;
                continue;
            }
        };
        let first = run.get_or_insert_with(|| now.run.clone());
        if now.state != RunState::Running || now.run != *first {
            let message = format!(
                "{} did not stay up: it ended within {} s of its start. See its log: ostler logs {}",
                workload.name,
                SETTLED.as_secs(),
                workload.name
            );
            return Err(Failure::new(Reason::NotReady, message));
        }
        if begun.elapsed() >= SETTLED {
            return Ok(Did {
                changed: false,
                detail: Some(format!("it has run for {} s", SETTLED.as_secs())),
            });
        }
        sleep(PAUSE).await;
    }
}

/// Whether a workload that is not where it should be yet has said so itself.
fn answers(finding: &Finding) -> bool {
    let state = finding.standing.map(|standing| standing.state);
    !matches!(state, Some(SyncState::Down | SyncState::Unclear))
}

/// Whether the run that was asked is there yet: what answers for one that has just ended, the engine say, is not the workload.
async fn runs_still(workload: &Workload, asked: &Inspection) -> bool {
    match workload.runtime.inspect().await {
        Ok(now) => now.state == RunState::Running && now.run == asked.run,
        // That nobody can say is no word against it.
        Err(_) => true,
    }
}

async fn until_it_answers(workload: &Workload) -> Result<Did, Failure> {
    let begun = Instant::now();
    let ready = workload.times().ready;
    loop {
        let lacking = match workload.runtime.inspect().await {
            Ok(inspection) if inspection.state == RunState::Running => {
                let finding = workload
                    .kind
                    .probe(&Through(&*workload.runtime, &inspection.parts))
                    .await;
                let is_up = match finding.health {
                    Health::Healthy => true,
                    // One that crashes at its start has begun to start, too.
                    Health::Starting => answers(&finding),
                    Health::Degraded | Health::Failing | Health::Unknown => false,
                };
                match is_up {
                    true if runs_still(workload, &inspection).await => return Ok(Did::default()),
                    true => "it ended while it was asked".to_owned(),
                    false => finding
                        .reason
                        .unwrap_or_else(|| "its probe finds it unwell".to_owned()),
                }
            }
            Ok(inspection) => {
                let why = inspection
                    .reason
                    .map(|reason| format!(": {reason}"))
                    .unwrap_or_default();
                format!("it is {}{why}", inspection.state)
            }
            Err(error) => error.to_string(),
        };
        if begun.elapsed() + PAUSE > ready {
            return Err(Failure::new(
                Reason::NotReady,
                format!(
                    "{} was started, but does not answer within {} s: {lacking}. See its log: ostler logs {}",
                    workload.name,
                    ready.as_secs(),
                    workload.name
                ),
            ));
        }
        sleep(PAUSE).await;
    }
}
