//! The operations `start`, `stop` and `restart`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::arguments::Arguments;
use super::context::{Context, Did, FIRST_PAUSE, LONGEST_PAUSE, failure_of, retry};
use super::workload::Workload;
use super::{confirm, exchanging};
use crate::protocol::{Failure, Found, Reason, Step, StepState};
use crate::runtime::{self, Runtime, Stopped};

/// How long a runtime that went away is waited for, to start again what was stopped. A workload must not
/// stay stopped because its engine was away for an hour; the record shows the operation running meanwhile.
pub(super) const START_PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// How long a runtime that refuses to start a workload is asked again: a port or a mount of the run before may take a
/// moment to be free.
const REFUSED: Duration = Duration::from_secs(8);

/// And at least so often, for each try may take long to be refused.
const LEAST_TRIES: u32 = 5;

/// The same after an interruption and around a boot: a disk or a device of it may come late.
const REFUSED_PATIENCE: Duration = Duration::from_secs(600);

/// How often it is asked whether a stop that was given up has come to something.
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// Starts the workload and waits until it answers.
pub(super) async fn start(context: &mut Context) -> Result<(), Failure> {
    let found = context.found().await?;
    exchanging::refuse_torn(context).await?;
    if context.record.dry_run {
        return plan(context, &found, &["start", "confirm"]);
    }
    bring_up(context, Duration::ZERO).await?;
    confirm::confirm(context).await
}

/// Stops the workload; it stays stopped.
pub(super) async fn stop(context: &mut Context, grace: Option<Duration>) -> Result<(), Failure> {
    let mut found = context.found().await?;
    if context.record.dry_run {
        return plan(context, &found, &["stop"]);
    }
    if !context.recovered() {
        return bring_down(context, &mut found, grace, false).await;
    }
    // Whoever asked for it wants it stopped, and may have been told of nothing else since. What runs now was started by
    // its runtime after a power cut, say; a start that was asked for here comes in its turn.
    let workload = context.workload.clone();
    let grace = grace.unwrap_or(workload.times().grace);
    let stop = async {
        let stopped = retry(START_PATIENCE, || workload.runtime.stop(grace)).await;
        let already = stopped.map_err(failure_of)? == Stopped::Already;
        Ok(Did {
            changed: found.running || !already,
            detail: already.then(|| "it did not run any more".to_owned()),
        })
    };
    context.step("stop", stop).await
}

/// Stops and starts the workload and waits until it answers. Once the stop has begun the start runs on every path out.
pub(super) async fn restart(context: &mut Context, grace: Option<Duration>) -> Result<(), Failure> {
    let mut found = context.found().await?;
    if !context.recovered() {
        exchanging::refuse_torn(context).await?;
    }
    if context.record.dry_run {
        return plan(context, &found, &["stop", "start", "confirm"]);
    }
    if context.given_up() {
        context.must_finish();
        bring_up(context, START_PATIENCE).await?;
        return Err(Failure::new(
            Reason::Interrupted,
            format!(
                "the agent was interrupted {} times in the middle of this; the workload runs",
                context.record.recoveries
            ),
        ));
    }
    let resumes = context.recovered();
    let stopped = bring_down(context, &mut found, grace, resumes).await;
    if matches!(&stopped, Err(failure) if failure.reason == Reason::Cancelled) {
        return stopped;
    }
    context.must_finish();
    let patience = if found.running {
        START_PATIENCE
    } else {
        Duration::ZERO
    };
    let started = bring_up(context, patience).await;
    stopped.and(started)?;
    confirm::confirm(context).await
}

fn plan(context: &mut Context, found: &Found, steps: &[&str]) -> Result<(), Failure> {
    context.record.changed = Some(false);
    context.record.output = Some(json!({ "running": found.running, "steps": steps }));
    Ok(())
}

/// Looks again at a workload that is about to be stopped after long work: it may have been started since it was found,
/// by a boot that was still under way for example, and is started again then.
pub(super) async fn look_again(context: &mut Context, found: &mut Found) -> Result<(), Failure> {
    let now = context.workload.runtime.inspect().await;
    let now = now.map_err(failure_of)?;
    if now.state.runs() {
        (found.running, found.run) = (true, now.run);
        context.record.found = Some(found.clone());
    }
    Ok(())
}

/// Stops the workload. Where that ended a run, it was running, whatever it was `found` to be. A stop that `resumes` was
/// begun before an interruption.
pub(super) async fn bring_down(
    context: &mut Context,
    found: &mut Found,
    grace: Option<Duration>,
    resumes: bool,
) -> Result<(), Failure> {
    let workload = context.workload.clone();
    let grace = grace.unwrap_or(workload.times().grace);
    let (mut ran, mut ended) = (found.running, false);
    let stop = async {
        if !ran {
            // A stop may also end what somebody's stop has left, and then nobody wants it started.
            let now = workload.runtime.inspect().await.map_err(failure_of)?;
            ran = now.state.runs();
        }
        let did = end_run(&*workload.runtime, found, grace, resumes).await?;
        ended = did.changed;
        Ok(did)
    };
    context.step("stop", stop).await?;
    if ran && ended && !found.running {
        note_ran(context, found);
    }
    Ok(())
}

/// Ends what was started while its trees were exchanged: it has the files of the old one open.
pub(super) async fn end_what_crept_in(
    context: &mut Context,
    found: &mut Found,
    journal: PathBuf,
) -> Result<(), Failure> {
    let runtime = &context.workload.runtime;
    let now = retry(START_PATIENCE, || runtime.inspect()).await;
    if !now.map_err(failure_of)?.state.runs() {
        return Ok(());
    }
    note_ran(context, found);
    exchanging::stop_again(context, journal).await
}

/// Lets a workload run on what is there, where it cannot be stopped: nothing may be moved under it. It was started once:
/// it runs, or is started again. One of which nobody says that it was started stays as it is.
pub(super) async fn leave_running(context: &mut Context) -> Result<(), Failure> {
    let found = context.record.found.as_ref();
    if found.is_some_and(|found| found.running) {
        context.forget_steps(&["start"]);
        bring_up(context, START_PATIENCE).await?;
    }
    exchanging::disarm(context).await;
    Ok(())
}

/// The workload is to run afterwards; durable with the next step.
pub(super) fn note_ran(context: &mut Context, found: &mut Found) {
    found.running = true;
    context.record.found = Some(found.clone());
}

/// Ends the run that was found. Where it `resumes` after an interruption, it first looks whether that run has ended already.
async fn end_run(
    runtime: &dyn Runtime,
    found: &Found,
    grace: Duration,
    resumes: bool,
) -> Result<Did, Failure> {
    if resumes {
        let now = retry(START_PATIENCE, || runtime.inspect())
            .await
            .map_err(failure_of)?;
        if now.state.runs() && now.run != found.run {
            let detail =
                Some("the run that was found had ended before the interruption".to_owned());
            return Ok(Did {
                changed: true,
                detail,
            });
        }
    }
    let (changed, detail) = match runtime.stop(grace).await.map_err(failure_of)? {
        Stopped::Already => (resumes && found.running, "it did not run"),
        Stopped::Cleanly => (true, "it ended by itself"),
        Stopped::Failed => (true, "it ended by itself, with a failure"),
        Stopped::Killed => (true, "it was killed after its grace"),
    };
    Ok(Did {
        changed,
        detail: Some(detail.to_owned()),
    })
}

/// Stops the workload, whichever run of it that is.
pub(super) async fn end_any_run(workload: &Workload) -> Result<Did, Failure> {
    let grace = workload.times().grace;
    let stopped = retry(START_PATIENCE, || workload.runtime.stop(grace))
        .await
        .map_err(failure_of)?;
    Ok(Did {
        changed: stopped != Stopped::Already,
        detail: None,
    })
}

/// Starts the workload, as often as it takes within `patience`. After an interruption a refusal may be that of a boot.
pub(super) async fn bring_up(context: &mut Context, patience: Duration) -> Result<(), Failure> {
    let refused = match context.recovered() {
        true => REFUSED_PATIENCE,
        false => REFUSED,
    };
    if context.recovered() && !context.is_done("confirm") {
        // What was started need not run any more: a power cut ends it too.
        context.forget_steps(&["start"]);
    }
    let workload = context.workload.clone();
    let doubtful = stop_is_doubtful(context)
        .then(|| context.record.found.clone())
        .flatten();
    let grace = longest_grace(context);
    let start = async {
        if let Some(found) = doubtful {
            outlast_stop(&*workload.runtime, &found, grace, patience).await;
        }
        begin_within(&*workload.runtime, patience, refused).await
    };
    context.step("start", start).await
}

/// Whether a stop was begun and not seen to end.
fn stop_is_doubtful(context: &Context) -> bool {
    let is_stop = |step: &&Step| ["stop", "stop again"].contains(&step.name.as_str());
    let last = context.record.steps.iter().rfind(is_stop);
    last.is_some_and(|stop| stop.state != StepState::Done)
}

fn longest_grace(context: &Context) -> Duration {
    let configured = context.workload.times().grace;
    match Arguments::read(context.record.operation, &context.record.args) {
        Ok(Arguments::Restart { grace: Some(asked) }) => asked.max(configured),
        _ => configured,
    }
}

/// Waits as long as a stop that was given up can still come to something.
///
/// An engine that was hung does what it was asked for when it comes back, and one whose asker was killed goes on with
/// the stop. What runs until then would be taken for running already, and nobody would start it afterwards.
async fn outlast_stop(runtime: &dyn Runtime, found: &Found, grace: Duration, patience: Duration) {
    let begun = Instant::now();
    let mut end = None;
    loop {
        match runtime.inspect().await {
            Ok(now) if now.state.runs() && now.run == found.run => {
                let end = *end.get_or_insert_with(|| Instant::now() + runtime.stop_outlasts(grace));
                if Instant::now() >= end {
                    return;
                }
            }
            // Counted from when it answers: before that it does nothing.
            Err(runtime::Error::Absent { .. } | runtime::Error::Unresponsive { .. })
                if begun.elapsed() < patience =>
            {
                end = None;
            }
            // Stopped, or started by somebody: the stop is over. Of an error the start will tell.
            Ok(_) | Err(_) => return,
        }
        sleep(LOOK_PAUSE).await;
    }
}

/// Starts a workload that ran before the device went down, or was to.
pub(super) async fn begin_run(runtime: &dyn Runtime, patience: Duration) -> Result<Did, Failure> {
    begin_within(runtime, patience, REFUSED_PATIENCE).await
}

/// Starts a workload, as often as its runtime is away within `patience`, or refuses within `refused`.
async fn begin_within(
    runtime: &dyn Runtime,
    patience: Duration,
    refused: Duration,
) -> Result<Did, Failure> {
    let (mut since, mut tries) = (None, 0);
    let mut pause = FIRST_PAUSE;
    let was_away = AtomicBool::new(false);
    let start = || async {
        let started = runtime.start().await;
        if let Err(runtime::Error::Absent { .. } | runtime::Error::Unresponsive { .. }) = started {
            was_away.store(true, Ordering::Relaxed);
        }
        started
    };
    loop {
        let started = retry(patience, start).await;
        if was_away.swap(false, Ordering::Relaxed) {
            // What it refuses now is another matter.
            (since, tries, pause) = (None, 0, FIRST_PAUSE);
        }
        tries += 1;
        match started {
            Ok(changed) => {
                let detail = (!changed).then(|| "it ran already".to_owned());
                return Ok(Did { changed, detail });
            }
            Err(error @ runtime::Error::Refused { .. })
                if since.get_or_insert_with(Instant::now).elapsed() + pause <= refused
                    || tries < LEAST_TRIES =>
            {
                tracing::warn!("{error}; trying again in {} ms", pause.as_millis());
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            Err(error) => return Err(failure_of(error)),
        }
    }
}
