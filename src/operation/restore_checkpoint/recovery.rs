//! The way back from a restore, and the way on after an interruption.

use serde_json::Value;

use super::place::Place;
use super::staging::Exclusive;
use super::{PAUSE, come_up, settle, tell};
use crate::data::Control;
use crate::data::exchange::{Exchange, Goal};
use crate::operation::context::{Context, Did};
use crate::operation::exchanging;
use crate::operation::labour::{Limits, failure_of};
use crate::operation::power;
use crate::operation::snapshot::whole;
use crate::operation::validator::Validator;
use crate::protocol::{Failure, Found, Reason};

/// Puts the old state back, and starts the validator on it.
pub(super) async fn retreat(
    context: &mut Context,
    validator: &Validator,
    found: &Found,
) -> Result<(), Failure> {
    context.forget_steps(&["exchange back"]);
    let undone = back(context, validator).await;
    tell(context, "backup", Value::Null);
    come_up_on_what_is_there(context, validator, found, undone).await
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

/// Undoes the exchange, or removes what was staged for one.
async fn back(context: &mut Context, validator: &Validator) -> Result<(), Failure> {
    let place = Place::find(validator)?;
    let sweep = move |control: &mut Control| place.sweep(control);
    exchanging::back(context, validator.journal(), "the old state is back", sweep).await
}

/// After an interruption: finished where the exchange had been committed, undone where it had not.
pub(super) async fn recover(context: &mut Context, found: &Found) -> Result<(), Failure> {
    let validator = context.validator()?.clone();
    context.must_finish();
    // What was started need not run any more: a power cut ends it too.
    context.forget_steps(&["start", "confirm", "watch"]);
    if !context.has_begun("arm") {
        // Nothing was stopped yet; of what was staged nothing stays.
        let swept = back(context, &validator).await;
        return swept.and(Err(interrupted()));
    }
    if !context.has_begun("exchange") {
        // Nothing was moved, so whatever became of the disk, the validator can run.
        come_up(context, found).await?;
        back(context, &validator).await?;
        return Err(interrupted());
    }
    let exclusive = take_up(context, &validator).await?;
    let pending = Exchange::pending(&validator.journal()).map_err(|error| failure_of(&error))?;
    let goal = pending.as_ref().map(Exchange::goal);
    let complete = pending.as_ref().is_some_and(Exchange::is_complete);

    let committed = match goal {
        Some(Goal::Forward) => !context.has_begun("exchange back"),
        Some(Goal::Back | Goal::Discard) => false,
        None => context.is_done("exchange") && !context.has_begun("exchange back"),
    };
    if goal.is_some_and(|goal| goal != Goal::Discard) && !(committed && complete) {
        exchanging::stop_again(context).await?;
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
