//! The cut of a workload that is stopped for it: a stop that is proved, the cut, and the start whatever came of both.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use super::super::confirm;
use super::super::context::{Context, Did, failure_of};
use super::super::labour::Limits;
use super::super::power;
use super::super::snapshots::Snapshots;
use super::super::workload::Workload;
use super::{abandon, whole};
use crate::clock::Timestamp;
use crate::data::{Control, Cut};
use crate::protocol::{Failure, Found, Reason};
use crate::runtime::Stopped;

/// The cut while others work on it: one that comes to nothing has links without number to remove, which waits until the
/// workload runs again.
type Kept = Arc<Mutex<Option<Cut>>>;

fn kept(cut: &Kept) -> MutexGuard<'_, Option<Cut>> {
    cut.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) async fn stopped(
    context: &mut Context,
    cut: Cut,
    plan: &Snapshots,
    found: &Found,
) -> Result<(Cut, Timestamp), Failure> {
    let cut = Arc::new(Mutex::new(Some(cut)));
    let taken = take(context, &cut, plan, found).await;
    // Whoever hangs at it has it locked, and removes it when that ends.
    let left = match cut.try_lock() {
        Ok(mut cut) => cut.take(),
        Err(TryLockError::Poisoned(cut)) => cut.into_inner().take(),
        Err(TryLockError::WouldBlock) => None,
    };
    let failure = match taken {
        Ok(time) => return whole(left).map(|cut| (cut, time)),
        Err(failure) => failure,
    };
    if let Some(left) = left
        && let Err(failure) = abandon(context, left).await
    {
        tracing::warn!(
            "a cut that came to nothing stays until the store is used again: {}",
            failure.message
        );
    }
    Err(failure)
}

/// Stop, cut, start: once the stop has begun, the start runs whatever becomes of the rest.
async fn take(
    context: &mut Context,
    cut: &Kept,
    plan: &Snapshots,
    found: &Found,
) -> Result<Timestamp, Failure> {
    let workload = context.workload.clone();
    if !found.running {
        // That was before all that had to be read: it may have been started since, or be started now.
        still_stopped(&workload).await?;
        let time = cold(context, cut, plan, false).await?;
        return still_stopped(&workload).await.map(|()| time);
    }
    context.refuse_while_closing()?;
    let mut found = found.clone();
    power::look_again(context, &mut found).await?;
    context
        .step("arm", arm(&workload, &found, plan.dead_man))
        .await?;
    let stopped = bring_down(context, &workload).await;
    context.must_finish();
    let outcome = match stopped {
        Ok(()) => cold(context, cut, plan, true).await,
        Err(failure) => Err(failure),
    };
    let outcome = match outcome {
        Ok(time) => still_stopped(&workload).await.map(|()| time),
        Err(failure) => Err(failure),
    };
    power::bring_up(context, power::START_PATIENCE).await?;
    if let Err(error) = workload.runtime.disarm().await {
        tracing::warn!("the dead-man of {} stays armed: {error}", workload.name);
    }
    let confirmed = confirm::confirm(context).await;
    let time = outcome?;
    confirmed.map(|()| time)
}

/// A cut or an exchange counts only if nothing has started the workload meanwhile: the dead-man, an operator, a program.
pub(in super::super) async fn still_stopped(workload: &Workload) -> Result<(), Failure> {
    let now = workload.runtime.inspect().await.map_err(failure_of)?;
    if !now.state.runs() {
        return Ok(());
    }
    let message = "something started it while it was to be stopped: nothing is taken or moved; is `dead-man` too short?";
    Err(Failure::new(Reason::NotPossible, message))
}

/// Has the workload started from outside, if it runs: one that was found stopped is nobody's to start.
pub(in super::super) async fn arm(
    workload: &Workload,
    found: &Found,
    after: Duration,
) -> Result<Did, Failure> {
    if !found.running {
        return Ok(Did {
            changed: false,
            detail: Some("it does not run, so nothing has to start it".to_owned()),
        });
    }
    let armed = workload.runtime.arm(after).await.map_err(failure_of)?;
    let detail = match armed {
        true => format!(
            "started in {} s at the latest, whatever becomes of the agent",
            after.as_secs()
        ),
        false => "this runtime has no timer: the agent starts it when it comes back".to_owned(),
    };
    Ok(Did {
        changed: false,
        detail: Some(detail),
    })
}

async fn bring_down(context: &mut Context, workload: &Workload) -> Result<(), Failure> {
    let stop = async {
        match workload
            .runtime
            .stop(workload.times().grace)
            .await
            .map_err(failure_of)?
        {
            Stopped::Already => Ok(Did {
                changed: false,
                detail: Some("it had ended by itself".to_owned()),
            }),
            Stopped::Cleanly => Ok(Did {
                changed: true,
                detail: None,
            }),
            Stopped::Failed => Err(Failure::new(
                Reason::UncleanStop,
                "it ended by itself, but with a failure: its data is not what a clean stop leaves, so no snapshot is \
                 taken; its log says more",
            )),
            Stopped::Killed => Err(Failure::new(
                Reason::UncleanStop,
                format!(
                    "it did not end within {} s and was killed: its data is not what a clean stop leaves, so no \
                     snapshot is taken; allow it more time with `grace`",
                    workload.times().grace.as_secs()
                ),
            )),
        }
    };
    context.step("stop", stop).await
}

async fn cold(
    context: &mut Context,
    cut: &Kept,
    plan: &Snapshots,
    clean: bool,
) -> Result<Timestamp, Failure> {
    let (cut, cut_time) = (cut.clone(), Timestamp::now());
    let cold = move |control: &mut Control| {
        if let Some(cut) = kept(&cut).as_mut() {
            cut.cold(clean, control)?;
        }
        Ok(((), Did::default()))
    };
    let limits = Limits::within(plan.longest_cut);
    context.labour("cut", limits, cold).await?;
    Ok(cut_time)
}
