//! The operation `restore`: staged while the workload runs, committed by one exchange, undone where it does not help.

use std::time::Duration;

use serde_json::json;

use super::choice::{self, Choice, choose};
use super::context::{Context, Did};
use super::labour::{Limits, failure_of};
use super::renew;
use super::snapshot::{arm, still_stopped, whole};
use super::snapshots::Snapshots;
use super::upload::tell;
use super::{arguments, fetch, power};
use crate::data::exchange::{Exchange, Goal};
use crate::data::place::Method;
use crate::data::store::Exclusive;
use crate::data::{self, Control, Interrupted, Level, Staged, Store, in_use};
use crate::protocol::{Failure, Found, Reason};

/// How often a store that somebody else has, or that is not mounted yet, is asked for again.
const STORE_PAUSE: Duration = Duration::from_millis(200);

/// How long removing what was staged may take: gigabytes in many files, on a slow card.
const SWEEP: Duration = Duration::from_secs(600);

/// Restores a snapshot.
pub(super) async fn restore(
    context: &mut Context,
    asked: arguments::Restore,
) -> Result<(), Failure> {
    let mut found = context.found().await?;
    if context.recovered() {
        if !asked.from_bucket || context.has_begun("arm") {
            return recover(context, &found).await;
        }
        found = begin_again(context, found).await?;
    }
    let plan = context.snapshots()?.clone();
    let mut wanted = asked.snapshot;
    if asked.from_bucket {
        if context.record.dry_run {
            return fetch::planned(context, &plan, wanted.as_ref(), asked.link).await;
        }
        wanted = Some(fetch::fetch(context, &plan, wanted.as_ref()).await?);
    }
    let chosen = choose(context, &plan, wanted.as_ref())
        .await?
        .ok_or_else(|| choice::none(context, wanted.as_ref()))?;
    verify(context, &plan, &chosen).await?;
    let staged = stage(context, &plan, &chosen, asked.link).await?;
    let Choice { manifest, .. } = chosen;
    let restored = json!({
        "snapshot": manifest.name,
        "height": manifest.height,
        "bytes": manifest.total_bytes,
        "files": manifest.files.len(),
    });
    tell(context, restored);
    if context.record.dry_run {
        let discard =
            move |control: &mut Control| staged.1.discard(control).map(|()| ((), Did::default()));
        context
            .labour("discard", Limits::default(), discard)
            .await?;
        context.record.changed = Some(false);
        return Ok(());
    }
    replace(context, &plan, &found, staged).await
}

/// Stop, exchange, start, confirm; or, where the workload does not come up on the new data, all of it back.
pub(super) async fn replace(
    context: &mut Context,
    plan: &Snapshots,
    found: &Found,
    (exclusive, staged): (Exclusive, Staged),
) -> Result<(), Failure> {
    let refused = context
        .refuse_while_closing()
        .and_then(|()| context.refuse_when_cancelled());
    if let Err(failure) = refused {
        renew::tidy(context).await;
        let discard =
            move |control: &mut Control| staged.discard(control).map(|()| ((), Did::default()));
        context
            .labour("discard", Limits::default(), discard)
            .await?;
        return Err(failure);
    }
    let workload = context.workload.clone();
    context.step("arm", arm(&workload, plan.dead_man)).await?;
    let mut unused = None;
    let exchanged = match power::bring_down(context, found, None).await {
        Ok(()) => exchange(context, plan, exclusive.store().exchange_journal(), staged).await,
        Err(failure) => {
            unused = Some(staged);
            Err(failure)
        }
    };
    // Not before the exchange: its record is what an interruption is judged by.
    context.must_finish();
    match exchanged {
        Ok(()) => settle(context, exclusive, found).await,
        Err(failure) => {
            // The journal of the exchange, where it was begun, says how to undo it.
            retreat(context, exclusive.store(), found).await?;
            if let Some(staged) = unused {
                let discard = move |control: &mut Control| {
                    staged.discard(control).map(|()| ((), Did::default()))
                };
                let discarded = context.labour("discard", Limits::default(), discard).await;
                if let Err(failure) = discarded {
                    tracing::warn!("a staged tree stays: {}", failure.message);
                }
            }
            Err(failure)
        }
    }
}

/// Interrupted before the workload was touched, while a snapshot came from the bucket: it goes on, with the workload as it is now.
async fn begin_again(context: &mut Context, found: Found) -> Result<Found, Failure> {
    if !context.record.dry_run {
        come_up(context, &found).await?;
    }
    if context.given_up() {
        let message = "the agent was interrupted in the middle of this again and again; the workload was left alone";
        return Err(Failure::new(Reason::Interrupted, message));
    }
    context.forget_steps(&["start", "confirm", "verify", "stage"]);
    context.record.found = None;
    context.found().await
}

pub(super) async fn verify(
    context: &mut Context,
    plan: &Snapshots,
    chosen: &Choice,
) -> Result<(), Failure> {
    let name = &chosen.manifest.name;
    let (store, verified) = (chosen.store.clone(), name.clone());
    let verify = move |control: &mut Control| {
        let report = data::verify(&store, &verified, Level::L3, control)?;
        Ok((report.damages, Did::default()))
    };
    let limits = Limits {
        rate: plan.rate,
        budget: None,
    };
    let damages = context
        .labour_until("verify", limits, context.cancelled.clone(), verify)
        .await?
        .unwrap_or_default();
    match damages.first() {
        None => Ok(()),
        Some(damage) => Err(Failure::new(
            Reason::Damaged,
            format!(
                "snapshot {name} is damaged and marked bad: {}: {}",
                damage.path, damage.what
            ),
        )),
    }
}

pub(super) async fn stage(
    context: &mut Context,
    plan: &Snapshots,
    chosen: &Choice,
    link: bool,
) -> Result<(Exclusive, Staged), Failure> {
    let (store, manifest) = (chosen.store.clone(), chosen.manifest.clone());
    let live = plan.source.root.clone();
    let (method, reserve) = (link.then_some(Method::Link), plan.reserve);
    let stage = move |control: &mut Control| {
        let exclusive = store.lock(control)?;
        let staged = Staged::build(&exclusive, &manifest, &live, method, reserve, control)?;
        Ok(((exclusive, staged), Did::default()))
    };
    whole(
        context
            .labour_until(
                "stage",
                Limits {
                    rate: plan.rate,
                    budget: None,
                },
                context.cancelled.clone(),
                stage,
            )
            .await?,
    )
}

/// The commit point. What snapshots never hold is carried over first: keys and signing state, as they are at the stop.
async fn exchange(
    context: &mut Context,
    plan: &Snapshots,
    journal: std::path::PathBuf,
    staged: Staged,
) -> Result<(), Failure> {
    let (exclude, live) = (plan.source.exclude.clone(), plan.source.root.clone());
    let carry = move |control: &mut Control| {
        in_use::refuse_in_use(&live, control)?;
        let carried = staged.carry(&exclude, control)?;
        let detail = Some(format!("{} files of its identity", carried.len()));
        Ok((
            staged,
            Did {
                changed: false,
                detail,
            },
        ))
    };
    let staged = whole(context.labour("carry", Limits::default(), carry).await?)?;
    still_stopped(&context.workload).await?;
    let exchange = move |_: &mut Control| {
        staged.exchange(&journal)?.commit()?;
        Ok((
            (),
            Did {
                changed: true,
                detail: None,
            },
        ))
    };
    context
        .labour("exchange", Limits::default(), exchange)
        .await?;
    renew::forward(context).await
}

/// After the commit: the workload proves the new data, or the old data comes back.
async fn settle(context: &mut Context, exclusive: Exclusive, found: &Found) -> Result<(), Failure> {
    if let Err(failure) = come_up(context, found).await {
        let workload = context.workload.clone();
        let stopped = context.step("stop again", power::end_any_run(&workload));
        if let Err(failure) = stopped.await {
            // Nothing may be moved under it. It was started once: it runs, or is started again.
            context.forget_steps(&["start"]);
            power::bring_up(context, power::START_PATIENCE).await?;
            return Err(failure);
        }
        retreat(context, exclusive.store(), found).await?;
        let message = format!(
            "it did not come up on the snapshot, so the old data is back: {}",
            failure.message
        );
        return Err(Failure::new(failure.reason, message));
    }
    renew::tidy(context).await;
    context.let_go();
    discard(context, exclusive.store()).await
}

pub(super) async fn come_up(context: &mut Context, found: &Found) -> Result<(), Failure> {
    if found.running {
        power::bring_up(context, power::START_PATIENCE).await?;
    }
    if let Err(error) = context.workload.runtime.disarm().await {
        tracing::warn!(
            "the dead-man of {} stays armed: {error}",
            context.workload.name
        );
    }
    match found.running {
        true => power::confirm(context).await,
        false => Ok(()),
    }
}

/// Puts the old data back, and starts the workload on it.
async fn retreat(context: &mut Context, store: &Store, found: &Found) -> Result<(), Failure> {
    context.forget_steps(&["exchange back"]);
    let undone = match renew::back(context).await {
        Ok(()) => back(context, store).await,
        stuck => stuck,
    };
    come_up_on_what_is_there(context, store, found, undone).await?;
    renew::tidy(context).await;
    Ok(())
}

/// Starts the workload although its data could not be `moved` as it should, on a full disk for example: the journal of
/// the exchange stays for later, and what is in place is one tree or the other. Half of each starts nobody.
async fn come_up_on_what_is_there(
    context: &mut Context,
    store: &Store,
    found: &Found,
    moved: Result<(), Failure>,
) -> Result<(), Failure> {
    let torn = || match Exchange::pending(&store.exchange_journal()) {
        Ok(pending) => pending.is_some_and(|exchange| exchange.is_torn()),
        Err(_) => true,
    };
    if moved.is_err() && torn() {
        return moved;
    }
    // Steps of these names may have been tried on the other data.
    context.forget_steps(&["start", "confirm"]);
    come_up(context, found).await?;
    moved
}

/// Undoes an exchange as far as it has come, and removes the tree that was not wanted.
async fn back(context: &mut Context, store: &Store) -> Result<(), Failure> {
    let journal = store.exchange_journal();
    let back = move |control: &mut Control| {
        let Some(mut exchange) = Exchange::pending(&journal)? else {
            return Ok(((), Did::default()));
        };
        if exchange.goal() != Goal::Discard {
            exchange.undo()?;
        }
        exchange.finish(control)?;
        Ok((
            (),
            Did {
                changed: true,
                detail: Some("the old data is back".to_owned()),
            },
        ))
    };
    context
        .labour("exchange back", Limits::default(), back)
        .await
        .map(drop)
}

/// Removes the old data, last of all and entry by entry.
async fn discard(context: &mut Context, store: &Store) -> Result<(), Failure> {
    let journal = store.exchange_journal();
    let discard = move |control: &mut Control| {
        if let Some(exchange) = Exchange::pending(&journal)? {
            exchange.finish(control)?;
        }
        Ok((
            (),
            Did {
                changed: true,
                detail: None,
            },
        ))
    };
    context
        .labour("discard", Limits::default(), discard)
        .await
        .map(drop)
}

/// After an interruption: finished where the exchange had been committed, undone where it had not.
pub(super) async fn recover(context: &mut Context, found: &Found) -> Result<(), Failure> {
    context.must_finish();
    if !context.has_begun("exchange") {
        // Nothing was moved, so whatever became of the store, the workload can run.
        come_up(context, found).await?;
        renew::tidy(context).await;
        sweep(context).await;
        return Err(interrupted());
    }
    let exclusive = take_up(context).await?;
    let store = &exclusive.store().clone();
    let pending =
        Exchange::pending(&store.exchange_journal()).map_err(|error| failure_of(&error))?;
    let goal = pending.as_ref().map(Exchange::goal);
    let complete = pending.as_ref().is_some_and(Exchange::is_complete);

    let committed = match goal {
        Some(Goal::Forward | Goal::Discard) => !goes_back(context),
        Some(Goal::Back) => false,
        None => context.is_done("exchange") && !goes_back(context),
    };
    if goal.is_some_and(|goal| goal != Goal::Discard) && !(committed && complete) {
        // Trees are about to be moved, and a timer may have started the workload meanwhile.
        context.forget_steps(&["stop again"]);
        let workload = context.workload.clone();
        context
            .step("stop again", power::end_any_run(&workload))
            .await?;
    }
    if committed {
        if let stuck @ Err(_) = go_on(context, store).await {
            return come_up_on_what_is_there(context, store, found, stuck).await;
        }
        context.forget_steps(&["swap"]);
        if let Err(failure) = renew::forward(context).await {
            retreat(context, store, found).await?;
            return Err(failure);
        }
        return settle(context, exclusive, found).await;
    }
    retreat(context, store, found).await?;
    drop(exclusive);
    sweep(context).await;
    Err(interrupted())
}

/// Whether it was decided that the new data is not wanted.
fn goes_back(context: &Context) -> bool {
    context.has_begun("swap back") || context.has_begun("exchange back")
}

/// Removes what was staged, which may be as large as the data. Where that cannot be done now, the next restore does it.
async fn sweep(context: &mut Context) {
    let Ok(plan) = context.snapshots().cloned() else {
        return;
    };
    if !context.has_begun("stage") {
        return;
    }
    let sweep = move |control: &mut Control| {
        let exclusive = plan.again()?.lock(control)?;
        Staged::sweep(&exclusive, &plan.source.root, control)?;
        Ok(((), Did::default()))
    };
    let limits = Limits {
        rate: 0,
        budget: Some(SWEEP),
    };
    context.forget_steps(&["sweep"]);
    if let Err(error) = context.labour("sweep", limits, sweep).await {
        tracing::warn!(
            "what was staged stays until the next restore: {}",
            error.message
        );
    }
}

fn interrupted() -> Failure {
    Failure::new(
        Reason::Interrupted,
        "the agent was interrupted before the new data was in place: the old data is, and the workload is as it was",
    )
}

/// Takes the store again, and waits for whoever has it, and for its disk, which may be mounted after the agent has
/// begun: the workload may be stopped until this is brought to its end.
async fn take_up(context: &mut Context) -> Result<Exclusive, Failure> {
    let plan = context.snapshots()?.clone();
    let take = move |control: &mut Control| {
        let mut told = false;
        loop {
            let taken = plan.again().and_then(|store| store.lock(control));
            let error = match taken {
                Ok(exclusive) => return Ok((exclusive, Did::default())),
                Err(error) if may_pass(&error) => error,
                Err(error) => return Err(error),
            };
            if !told {
                tracing::warn!("{error}; trying again");
                told = true;
            }
            match control.check() {
                Ok(()) => std::thread::sleep(STORE_PAUSE),
                // What it was waited for says more than that it took too long.
                Err(Interrupted::OutOfTime) => return Err(error),
                Err(cancelled) => return Err(cancelled.into()),
            }
        }
    };
    let limits = Limits {
        rate: 0,
        budget: Some(power::START_PATIENCE),
    };
    context.forget_steps(&["take up"]);
    whole(context.labour("take up", limits, take).await?)
}

/// Whether a store is worth waiting for.
fn may_pass(error: &data::Error) -> bool {
    match error {
        data::Error::Busy { .. } | data::Error::NoStore { .. } => true,
        data::Error::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

/// Brings an exchange that was committed to its end.
async fn go_on(context: &mut Context, store: &Store) -> Result<(), Failure> {
    let journal = store.exchange_journal();
    let go_on = move |_: &mut Control| {
        let pending = Exchange::pending(&journal)?;
        if let Some(mut exchange) = pending.filter(|exchange| exchange.goal() == Goal::Forward) {
            exchange.commit()?;
        }
        Ok((
            (),
            Did {
                changed: true,
                detail: None,
            },
        ))
    };
    context.forget_steps(&["exchange"]);
    context
        .labour("exchange", Limits::default(), go_on)
        .await
        .map(drop)
}
