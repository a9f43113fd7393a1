//! The operation `snapshot`: the workload is away for milliseconds, and back on every path out.

mod stopped;

use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::arguments;
use super::context::{Context, Did};
use super::labour::Limits;
use super::progress::{Progressed, first_progress, height};
use super::snapshots::Snapshots;
use super::workload::Through;
use super::{confirm, power, prune, upload};
use crate::blocking::spawn_blocking;
use crate::clock::Timestamp;
use crate::data::manifest::{Facts, Timings};
use crate::data::{self, Control, Cut, Options, Store, Summary, Way};
use crate::protocol::{Failure, Found, Name, Reason};
pub(super) use stopped::{arm, still_stopped};

/// Takes a snapshot.
pub(super) async fn snapshot(
    context: &mut Context,
    asked: arguments::Snapshot,
) -> Result<(), Failure> {
    let found = context.found().await?;
    if context.recovered() {
        // First of all: whatever became of the store, the workload runs again.
        come_back(context, &found).await?;
    }
    let plan = context.snapshots()?.clone();
    if asked.upload {
        // Known before the workload is stopped, not after.
        upload::bucket(&plan, &context.workload.name)?;
    }
    let store = plan.open().await?;
    let name = name(context, &asked)?;
    if context.recovered() {
        recover(context, &store, &name).await?;
        return send(context, &plan, store, name, asked.upload).await;
    }
    let way = asked.way.map_or(plan.way, arguments::WantedWay::way);
    check_conditions(context, &found, &asked).await?;
    let options = Options {
        name: name.clone(),
        way,
        reserve: plan.reserve,
    };
    let cut = prepare(context, &plan, store.clone(), options).await?;
    if context.record.dry_run {
        return planned(context, cut, &name).await;
    }
    let height = height(&context.workload).await;
    let (cut, cut_time) = match cut.way() {
        Way::Hot => hot(context, cut).await?,
        Way::Reflink | Way::Link | Way::Copy => {
            stopped::stopped(context, cut, &plan, &found).await?
        }
    };
    // What is left reads the copy and leaves the workload alone.
    context.let_go();
    let progress = tokio::spawn(first_progress(
        context.workload.clone(),
        height,
        plan.progress_within,
    ));
    let facts = Facts {
        workload: data::Workload {
            kind: context.workload.kind.name().to_owned(),
            identity: plan.identity.clone(),
        },
        cut_time,
        clock_synced: context.record.clock_synced,
        height,
        timings: timings(context, None),
    };
    let sealed = seal(context, cut, facts, plan.rate).await?;
    let progressed = progress
        .await
        .map_err(|error| Failure::new(Reason::NotReady, error.to_string()))?;
    if let Progressed::After(first) = progressed {
        let timings = timings(context, Some(first));
        let (store, name) = (store.clone(), name.clone());
        let amended = spawn_blocking(move || store.amend_timings(&name, timings)).await;
        if let Ok(Err(error)) = amended {
            tracing::warn!("the timings of the snapshot stay incomplete: {error}");
        }
    }
    context.record.output = Some(summary(&sealed, &timings(context, progressed.first())));
    if let Err(failure) = prune::prune_after(context, &plan, store.clone()).await {
        // The snapshot is good; the next one prunes again.
        tracing::warn!(
            "the snapshots of {} are not pruned: {}",
            context.workload.name,
            failure.message
        );
    }
    let sent = send(context, &plan, store, name.clone(), asked.upload).await;
    match progressed {
        Progressed::Never if found.running => Err(Failure::new(
            Reason::NotReady,
            format!(
                "snapshot {name} is good, but the workload has made no new block within {} s",
                plan.progress_within.as_secs()
            ),
        )),
        Progressed::Never | Progressed::After(_) | Progressed::NoHeights => sent,
    }
}

/// The last step, where it is asked for: what goes wrong with it does not undo the snapshot.
async fn send(
    context: &mut Context,
    plan: &Snapshots,
    store: Store,
    name: Name,
    asked: bool,
) -> Result<(), Failure> {
    if !asked {
        return Ok(());
    }
    let bucket = upload::bucket(plan, &context.workload.name)?.clone();
    let sent = upload::send(
        context,
        bucket,
        store,
        name.clone(),
        CancellationToken::new(),
    )
    .await;
    sent.map_err(|failure| {
        let message = format!(
            "snapshot {name} is good here, but its upload failed: {}",
            failure.message
        );
        Failure::new(failure.reason, message)
    })
}

/// The name that was asked for, or one of the time and the operation's number: the same again after an interruption.
fn name(context: &Context, asked: &arguments::Snapshot) -> Result<Name, Failure> {
    if let Some(name) = &asked.name {
        return Ok(name.clone());
    }
    let time: String = context
        .record
        .accepted_at
        .to_string()
        .chars()
        .take(19)
        .filter(|c| !"-:".contains(*c))
        .collect();
    Name::new(format!(
        "{}-{}",
        time.replace('T', "-"),
        context.record.number
    ))
    .map_err(|error| Failure::new(Reason::BadArguments, error.to_string()))
}

/// What the workload's kind has against a snapshot now; all of it is told together.
async fn check_conditions(
    context: &mut Context,
    found: &Found,
    asked: &arguments::Snapshot,
) -> Result<(), Failure> {
    let workload = context.workload.clone();
    let (running, force) = (found.running, asked.force);
    let check = async {
        if !running || force {
            let detail = if force {
                "passed over: force"
            } else {
                "the workload does not run"
            };
            return Ok(Did {
                changed: false,
                detail: Some(detail.to_owned()),
            });
        }
        let seen = workload.report();
        let inside = Through(&*workload.runtime, &seen.parts);
        let problems = workload.kind.conditions(&inside).await;
        match problems.is_empty() {
            true => Ok(Did::default()),
            false => Err(Failure::new(Reason::ConditionsNotMet, problems.join("; "))),
        }
    };
    context.step("check", check).await
}

async fn prepare(
    context: &mut Context,
    plan: &Snapshots,
    store: Store,
    options: Options,
) -> Result<Cut, Failure> {
    let source = plan.source.clone();
    let limits = Limits::aside(plan.rate);
    let prepare = move |control: &mut Control| {
        let mut cut = Cut::prepare(source, &store, options, control)?;
        if cut.way() != Way::Hot {
            cut.warm(control)?;
        }
        let detail = Some(format!("by {}", cut.way()));
        Ok((
            cut,
            Did {
                changed: false,
                detail,
            },
        ))
    };
    whole(context.labour("prepare", limits, prepare).await?)
}

async fn hot(context: &mut Context, mut cut: Cut) -> Result<(Cut, Timestamp), Failure> {
    let cut_time = Timestamp::now();
    let hot = move |control: &mut Control| {
        cut.hot(control)?;
        Ok((cut, Did::default()))
    };
    whole(context.labour("cut", Limits::default(), hot).await?).map(|cut| (cut, cut_time))
}

async fn seal(
    context: &mut Context,
    cut: Cut,
    facts: Facts,
    rate: u64,
) -> Result<Summary, Failure> {
    let seal = move |control: &mut Control| {
        let manifest = cut.seal(facts, control)?;
        Ok((
            Summary::of(&manifest),
            Did {
                changed: true,
                detail: None,
            },
        ))
    };
    whole(context.labour("seal", Limits::aside(rate), seal).await?)
}

/// A snapshot is never taken up in the middle: what a step gives is there.
pub(super) fn whole<T>(given: Option<T>) -> Result<T, Failure> {
    given.ok_or_else(|| {
        Failure::new(
            Reason::Interrupted,
            "the agent was interrupted in the middle of this",
        )
    })
}

/// After an interruption: the workload runs again where it ran before.
async fn come_back(context: &mut Context, found: &Found) -> Result<(), Failure> {
    context.must_finish();
    if found.running && context.has_begun("arm") {
        power::bring_up(context, power::START_PATIENCE).await?;
        let _ = context.workload.runtime.disarm().await;
        confirm::confirm(context).await?;
    }
    context.let_go();
    Ok(())
}

/// After an interruption: the snapshot is there if it was sealed, else nothing of it.
async fn recover(context: &mut Context, store: &Store, name: &Name) -> Result<(), Failure> {
    let sealed = sealed(store, name).await;
    let swept = store.clone();
    // Whoever takes the lock sweeps: a snapshot that was being taken, and one that was being removed.
    let sweep = move |control: &mut Control| swept.lock(control).map(|_| ((), Did::default()));
    let sweeping = context.labour("sweep", Limits::default(), sweep).await;
    if let Some(sealed) = sealed {
        if let Err(error) = sweeping {
            tracing::warn!(
                "what was being removed stays until the store is used again: {}",
                error.message
            );
        }
        context.record.changed = Some(true);
        context.record.output = Some(summary(&sealed, &sealed.timings));
        return Ok(());
    }
    sweeping?;
    Err(Failure::new(
        Reason::Interrupted,
        "the agent was interrupted before the seal: nothing of this snapshot is kept, the workload is as it was",
    ))
}

/// The snapshot as it was sealed, if it was and can be used.
async fn sealed(store: &Store, name: &Name) -> Option<Summary> {
    let (store, name) = (store.clone(), name.clone());
    let read = move || store.get(&name).map(|manifest| Summary::of(&manifest));
    spawn_blocking(read).await.ok()?.ok()
}

async fn planned(context: &mut Context, cut: Cut, name: &Name) -> Result<(), Failure> {
    let way = cut.way();
    abandon(context, cut).await?;
    context.record.changed = Some(false);
    context.record.output = Some(json!({"name": name, "way": way}));
    Ok(())
}

/// Removes what was cut.
async fn abandon(context: &mut Context, cut: Cut) -> Result<(), Failure> {
    let abandon = move |control: &mut Control| cut.abandon(control).map(|()| ((), Did::default()));
    context
        .labour("abandon", Limits::default(), abandon)
        .await
        .map(drop)
}

/// The parts of the downtime, as the steps measured them.
fn timings(context: &Context, first_progress: Option<Duration>) -> Timings {
    let took = |name: &str| context.record.step(name).and_then(|step| step.took_ms);
    let start = took("start").map(|start| start + took("confirm").unwrap_or(0));
    Timings {
        stop_ms: took("stop"),
        cut_ms: took("cut"),
        start_ms: start,
        first_progress_ms: first_progress.and_then(|first| u64::try_from(first.as_millis()).ok()),
    }
}

fn summary(sealed: &Summary, timings: &Timings) -> Value {
    json!({
        "name": sealed.name,
        "way": sealed.way,
        "clean": sealed.clean,
        "height": sealed.height,
        "files": sealed.files,
        "bytes": sealed.total_bytes,
        "downtime_ms": timings.stop_ms.zip(timings.start_ms).map(|(stop, start)| stop + timings.cut_ms.unwrap_or(0) + start),
        "timings": timings,
    })
}
