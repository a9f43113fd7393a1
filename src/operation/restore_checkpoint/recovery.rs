//! The way back from a restore, and the way on after an interruption.

use serde_json::Value;

use super::place::Place;
use super::staging::Exclusive;
use super::{PAUSE, come_up, settle, tell};
use crate::data::Control;
use crate::data::exchange::{Exchange, Goal};
use crate::operation::context::{Context, Did};
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

/// Starts the validator although its tree could not be `moved` as it should, on a full disk for example: what is in
/// place is one tree or the other. Half of each starts nobody.
async fn come_up_on_what_is_there(
    context: &mut Context,
    validator: &Validator,
    found: &Found,
    moved: Result<(), Failure>,
) -> Result<(), Failure> {
    let torn = || match Exchange::pending(&validator.journal()) {
        Ok(pending) => pending.is_some_and(|exchange| exchange.is_torn()),
        Err(_) => true,
    };
    if moved.is_err() && torn() {
        return moved;
    }
    // Steps of these names may have been tried on the other tree.
    context.forget_steps(&["start", "confirm"]);
    come_up(context, found).await?;
    moved
}

/// Undoes an exchange as far as it has come, and removes the tree that was not wanted.
async fn back(context: &mut Context, validator: &Validator) -> Result<(), Failure> {
    let (journal, place) = (validator.journal(), Place::find(validator)?);
    let back = move |control: &mut Control| {
        let did = |detail: Option<&str>| Did {
            changed: detail.is_some(),
            detail: detail.map(str::to_owned),
        };
        let Some(mut exchange) = Exchange::pending(&journal)? else {
            place.sweep(control)?;
            return Ok(((), did(None)));
        };
        if exchange.goal() != Goal::Discard {
            exchange.undo()?;
        }
        exchange.finish(control)?;
        Ok(((), did(Some("the old state is back"))))
    };
    context
        .labour("exchange back", Limits::default(), back)
        .await
        .map(drop)
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
        // Trees are about to be moved, and a timer may have started the validator meanwhile.
        context.forget_steps(&["stop again"]);
        let workload = context.workload.clone();
        context
            .step("stop again", power::end_any_run(&workload))
            .await?;
    }
    if committed {
        return match go_on(context, &validator).await {
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
    let limits = Limits {
        rate: 0,
        budget: Some(power::START_PATIENCE),
    };
    context.forget_steps(&["take up"]);
    whole(context.labour("take up", limits, take).await?)
}

/// Brings an exchange that was committed to its end.
async fn go_on(context: &mut Context, validator: &Validator) -> Result<(), Failure> {
    let journal = validator.journal();
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
