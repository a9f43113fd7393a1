//! Exchanges that were interrupted, or could not be ended: brought to their end, forward or back.

use std::time::Duration;

use tokio::time::timeout;

use super::context::{Context, Did};
use super::exchanging::{self, EARLIER, LOOK, ends_earlier, go_on, stop_again};
use super::labour::{Limits, failure_of};
use super::power;
use super::renew;
use super::restore::{come_up, come_up_on_what_is_there, retreat, settle};
use super::snapshot::whole;
use crate::blocking::spawn_blocking;
use crate::data::exchange::{Exchange, Goal};
use crate::data::store::Exclusive;
use crate::data::{self, Control, Interrupted, Staged};
use crate::protocol::{Failure, Found, Reason};

/// How often a store that somebody else has, or that is not mounted yet, is asked for again.
const STORE_PAUSE: Duration = Duration::from_millis(200);

/// How long the store is waited for where the workload can run as its data is: what is left of the exchange can wait.
const WHOLE_PATIENCE: Duration = Duration::from_secs(600);

/// How long removing what was staged may take: gigabytes in many files, on a slow card.
const SWEEP: Duration = Duration::from_secs(600);

/// After an interruption: finished where the exchange had been committed, undone where it had not.
pub(super) async fn recover(context: &mut Context, found: &Found) -> Result<(), Failure> {
    context.must_finish();
    let earlier = ends_earlier(context);
    if !context.has_begun("exchange") && !earlier {
        // Nothing was moved, so whatever became of the store, the workload can run.
        come_up(context, found).await?;
        renew::tidy(context).await;
        sweep(context).await;
        return Err(interrupted());
    }
    let ended = bring_to_its_end(context, found).await;
    match earlier {
        // It was an earlier operation's, and this one had not begun.
        true => ended.and(Err(interrupted())),
        false => ended,
    }
}

/// Ends the exchange of an earlier operation that could not end it itself, on a full disk for example: with the new data
/// where it was committed and the workload comes up on it, else with the old. What `ostler store` has begun waits for a
/// word, and is left alone. Gives the workload as it is to be afterwards.
pub(super) async fn end_earlier(context: &mut Context, found: &Found) -> Result<Found, Failure> {
    let Some(exchange) = left(context).await? else {
        return Ok(found.clone());
    };
    let found = exchanging::begin_end(context, &exchange, found).await?;
    let ended = bring_to_its_end(context, &found).await;
    let is_left = left(context).await?.is_some();
    exchanging::close_end(context, ended, is_left).await?;
    Ok(found)
}

/// The exchange that an operation has not ended.
async fn left(context: &Context) -> Result<Option<Exchange>, Failure> {
    let Some(store) = context.snapshots()?.look().await? else {
        return Ok(None);
    };
    let pending = exchanging::pending(store.exchange_journal()).await?;
    Ok(pending.filter(|exchange| !exchange.waits_for_a_word()))
}

/// Before an operation that moves data and cannot end the exchange of an earlier one itself, as a restore or a resync does.
pub(super) async fn refuse_unended(context: &Context) -> Result<(), Failure> {
    let Some(store) = context.snapshots()?.look().await? else {
        return Ok(());
    };
    let look = move || Exchange::refuse_pending(&store.exchange_journal());
    match spawn_blocking(look).await {
        Ok(looked) => looked.map_err(|error| failure_of(&error)),
        Err(error) => Err(Failure::new(Reason::DataFailed, error.to_string())),
    }
}

/// With the old data, unless the exchange had been committed and the workload comes up on the new.
async fn bring_to_its_end(context: &mut Context, found: &Found) -> Result<(), Failure> {
    let patience = match is_whole(context).await? {
        true => WHOLE_PATIENCE,
        false => power::START_PATIENCE,
    };
    let exclusive = match take_up(context, patience).await {
        Ok(exclusive) => exclusive,
        Err(failure) => {
            // One tree or the other is in place, and either is better than none.
            if is_whole(context).await? {
                context.forget_steps(&["start", "confirm"]);
                come_up(context, found).await?;
            }
            return Err(failure);
        }
    };
    let store = &exclusive.store().clone();
    let pending = exchanging::pending(store.exchange_journal()).await?;
    let goal = pending.as_ref().map(Exchange::goal);
    let complete = pending.as_ref().is_some_and(Exchange::is_complete);
    let rests = pending.as_ref().is_some_and(Exchange::is_back);

    let committed = match goal {
        Some(Goal::Forward | Goal::Discard) => !goes_back(context),
        Some(Goal::Back) => false,
        None => context.is_done("exchange") && !goes_back(context),
    };
    if goal.is_some_and(|goal| goal != Goal::Discard) && !(committed && complete) && !rests {
        stop_again(context, store.exchange_journal()).await?;
    }
    if committed {
        if let stuck @ Err(_) = go_on(context, store.exchange_journal()).await {
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

/// Whether the data is all of one tree for sure, whatever the journal of the exchange would say.
async fn is_whole(context: &Context) -> Result<bool, Failure> {
    let root = context.snapshots()?.source.root.clone();
    let look = spawn_blocking(move || Staged::may_be_torn(&root));
    Ok(matches!(timeout(LOOK, look).await, Ok(Ok(false))))
}

/// Whether it was decided that the new data is not wanted.
fn goes_back(context: &Context) -> bool {
    context.has_begun("swap back") || context.has_begun("exchange back")
}

/// Removes what was staged, which may be as large as the data. Where that cannot be done now, the next restore does it.
pub(super) async fn sweep(context: &mut Context) {
    let Ok(plan) = context.snapshots().cloned() else {
        return;
    };
    if !context.has_begun("stage") && !context.has_begun(EARLIER) {
        return;
    }
    let sweep = move |control: &mut Control| {
        let exclusive = plan.again()?.lock(control)?;
        Staged::sweep(&exclusive, &plan.source.root, control)?;
        Ok(((), Did::default()))
    };
    let limits = Limits::within(SWEEP);
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
async fn take_up(context: &mut Context, patience: Duration) -> Result<Exclusive, Failure> {
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
    let limits = Limits::within(patience);
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
