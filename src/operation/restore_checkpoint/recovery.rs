//! The way back from a restore, and the way on after an interruption.

use serde_json::Value;

use super::keeping::keep_earlier;
use super::place::Place;
use super::staging::Exclusive;
use super::{PAUSE, come_up, settle, tell};
use crate::data::Control;
use crate::data::exchange::{Exchange, Goal};
use crate::operation::context::{Context, Did};
use crate::operation::exchanging;
use crate::operation::labour::Limits;
use crate::operation::power;
use crate::operation::snapshot::whole;
use crate::operation::validator::Validator;
use crate::protocol::{Failure, Found, Reason};

/// Puts the old state back, starts the validator on it, and only then removes the other.
pub(super) async fn retreat(
    context: &mut Context,
    validator: &Validator,
    found: &Found,
) -> Result<(), Failure> {
    context.forget_steps(&["exchange back"]);
    // The way back goes by the journal alone; where the place cannot be told, the next restore sweeps it.
    let (place, journal) = (Place::find(validator).ok(), validator.journal());
    let undone = exchanging::back(context, journal.clone(), "the old state is back").await;
    tell(context, "backup", Value::Null);
    let (moved, unwanted) = match undone {
        Ok(forgotten) => (Ok(()), Some(forgotten)),
        Err(stuck) => (Err(stuck), None),
    };
    let up = come_up_on_what_is_there(context, validator, found, moved).await;
    if let Some(forgotten) = unwanted {
        let sweep = move |control: &mut Control| match &place {
            Some(place) => place.sweep(control),
            None => Ok(()),
        };
        exchanging::clear(context, journal, forgotten, sweep).await;
    }
    up
}

/// Starts the validator on what is in place, unless that is half of each.
async fn come_up_on_what_is_there(
    context: &mut Context,
    validator: &Validator,
    found: &Found,
    moved: Result<(), Failure>,
) -> Result<(), Failure> {
    if exchanging::may_start(context, validator.journal(), &moved).await {
        come_up(context, found).await?;
    }
    moved
}

/// Removes what was staged, where no journal speaks of it and nobody else is at it: they sweep themselves.
async fn sweep(context: &mut Context, validator: &Validator) -> Result<(), Failure> {
    let (place, plan) = (Place::find(validator)?, validator.clone());
    let sweep = move |control: &mut Control| {
        let exclusive = Exclusive::take(&plan)?;
        if exclusive.is_some() && Exchange::pending(&plan.journal())?.is_none() {
            place.sweep(control)?;
        }
        Ok(((), Did::default()))
    };
    context.forget_steps(&["sweep"]);
    context
        .labour("sweep", Limits::default(), sweep)
        .await
        .map(drop)
}

/// Ends the exchange of an earlier restore that could not end it itself, on a full disk for example. A state that it
/// had put in place as a whole stays, and the one before becomes a backup; else that one comes back. Gives the validator
/// as it is to be afterwards.
pub(super) async fn end_earlier(
    context: &mut Context,
    validator: &Validator,
    found: &Found,
) -> Result<Found, Failure> {
    let Some(exchange) = exchanging::pending(validator.journal()).await? else {
        return Ok(found.clone());
    };
    if exchange.goal() == Goal::Forward && exchange.is_complete() {
        keep_earlier(context, validator).await?;
        return Ok(found.clone());
    }
    let found = exchanging::begin_end(context, &exchange, found).await?;
    let undone = undo_earlier(context, validator, &found).await;
    let is_left = exchanging::pending(validator.journal()).await?.is_some();
    exchanging::close_end(context, undone, is_left).await?;
    Ok(found)
}

async fn undo_earlier(
    context: &mut Context,
    validator: &Validator,
    found: &Found,
) -> Result<(), Failure> {
    let exchange = exchanging::pending(validator.journal()).await?;
    if exchange.is_some_and(|exchange| exchange.goal() != Goal::Discard && !exchange.is_back()) {
        exchanging::stop_again(context, validator.journal()).await?;
    }
    retreat(context, validator, found).await
}

/// After an interruption: finished where the exchange had been committed, undone where it had not.
pub(super) async fn recover(context: &mut Context, found: &Found) -> Result<(), Failure> {
    let validator = context.validator()?.clone();
    context.must_finish();
    // What was started need not run any more: a power cut ends it too.
    context.forget_steps(&["start", "confirm", "watch"]);
    if !context.has_begun("arm") {
        if exchanging::ends_earlier(context) {
            let exclusive = take_up(context, &validator).await?;
            undo_earlier(context, &validator, found).await?;
            drop(exclusive);
        }
        // Nothing was stopped yet; of what was staged nothing stays. What an earlier restore has left is not undone.
        return sweep(context, &validator).await.and(Err(interrupted()));
    }
    if !context.has_begun("exchange") {
        // Nothing was moved, so whatever became of the disk, the validator can run.
        come_up(context, found).await?;
        return sweep(context, &validator).await.and(Err(interrupted()));
    }
    let exclusive = take_up(context, &validator).await?;
    let pending = exchanging::pending(validator.journal()).await?;
    let goal = pending.as_ref().map(Exchange::goal);
    let complete = pending.as_ref().is_some_and(Exchange::is_complete);
    let rests = pending.as_ref().is_some_and(Exchange::is_back);

    let committed = match goal {
        Some(Goal::Forward) => !context.has_begun("exchange back"),
        Some(Goal::Back | Goal::Discard) => false,
        None => context.is_done("exchange") && !context.has_begun("exchange back"),
    };
    if goal.is_some_and(|goal| goal != Goal::Discard) && !(committed && complete) && !rests {
        exchanging::stop_again(context, validator.journal()).await?;
    }
    if committed {
        return match exchanging::go_on(context, validator.journal()).await {
            Ok(()) => settle(context, &validator, found, exclusive).await,
            stuck => come_up_on_what_is_there(context, &validator, found, stuck).await,
        };
    }
    retreat(context, &validator, found).await?;
    Err(interrupted())
}

fn interrupted() -> Failure {
    Failure::new(
        Reason::Interrupted,
        "the agent was interrupted before the new state was in place: the old one is, and the validator is as it was",
    )
}

/// Takes the lock again, and waits for whoever has it: the validator may be stopped until this is brought to its end.
async fn take_up(context: &mut Context, validator: &Validator) -> Result<Exclusive, Failure> {
    let plan = validator.clone();
    let take = move |control: &mut Control| loop {
        match Exclusive::take(&plan)? {
            Some(taken) => return Ok((taken, Did::default())),
            None => {
                control.check()?;
                std::thread::sleep(PAUSE);
            }
        }
    };
    let limits = Limits::within(power::START_PATIENCE);
    context.forget_steps(&["take up"]);
    whole(context.labour("take up", limits, take).await?)
}
