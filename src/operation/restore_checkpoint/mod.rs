//! The operation `restore-checkpoint`: the tree of a checkpoint is made while the validator runs, committed by one
//! exchange, undone where the validator does not stay up on it; the old tree becomes a backup by a rename.

mod backup;
mod fetch;
mod judge;
mod place;
mod script;
mod settle;
mod staging;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::arguments::{Engine, RestoreCheckpoint};
use super::context::{Context, Did};
use super::labour::{Limits, failure_of};
use super::snapshot::{arm, still_stopped, whole};
use super::validator::Validator;
use super::{power, restore};
use crate::data::exchange::{Exchange, Goal};
use crate::data::{Control, Error};
use crate::protocol::{Failure, Found, Reason};
use backup::Origin;
use judge::Judged;
use place::{Backup, Place};
use staging::{Exclusive, Maker, Staging};

/// How long the updater may need to come to an end, and when its lock is held to be a leftover.
const UPDATER: Duration = Duration::from_secs(60);

/// How long processes of the validator may outlive its stop.
const LAST_PROCESSES: Duration = Duration::from_secs(15);

const PAUSE: Duration = Duration::from_millis(200);

/// Restores a checkpoint.
pub(super) async fn restore_checkpoint(
    context: &mut Context,
    asked: RestoreCheckpoint,
) -> Result<(), Failure> {
    let found = context.found().await?;
    if context.recovered() {
        return recover(context, &found).await;
    }
    let validator = context.validator()?.clone();
    let source = fetch::find(context, &validator, &asked).await?;
    let restored = restore_from(context, &validator, &found, &asked, &source).await;
    source.forget();
    restored
}

async fn restore_from(
    context: &mut Context,
    validator: &Validator,
    found: &Found,
    asked: &RestoreCheckpoint,
    source: &fetch::Found,
) -> Result<(), Failure> {
    let place = Place::find(validator)?;
    let judged = check(context, validator, &place, asked, source).await?;
    let mut output = judge::told(&judged);
    output["engine"] = match asked.engine {
        Engine::Native => json!("native"),
        Engine::Upstream => json!("upstream"),
    };
    context.record.output = Some(output);
    judge::insist(&judged)?;
    if context.record.dry_run {
        context.record.changed = Some(false);
        return Ok(());
    }
    let exclusive = Exclusive::demand(validator)?;
    let staging = stage(context, validator, place, asked.engine, judged).await?;
    tell(context, "companions", json!(staging.companions));
    tell(context, "written", json!(staging.written));
    replace(context, validator, found, exclusive, staging).await
}

/// Adds to what the record tells of this restore.
fn tell(context: &mut Context, key: &str, value: Value) {
    if let Some(Value::Object(output)) = &mut context.record.output {
        output.insert(key.to_owned(), value);
    }
}

async fn check(
    context: &mut Context,
    validator: &Validator,
    place: &Place,
    asked: &RestoreCheckpoint,
    source: &fetch::Found,
) -> Result<Judged, Failure> {
    let rules = match asked.engine {
        Engine::Native => judge::rules(validator, asked)?,
        Engine::Upstream => script::rules(asked),
    };
    let live = place.existing().map(ToOwned::to_owned);
    let (file, sha256) = (source.place(), asked.sha256.clone());
    let work = move |control: &mut Control| {
        let judged = judge::judge(&file, sha256.as_ref(), &rules, live.as_deref(), control)?;
        let detail = format!(
            "{} problems, {} warnings",
            judged.report.problems.total, judged.report.warnings.total
        );
        let did = Did {
            changed: false,
            detail: Some(detail),
        };
        Ok((judged, did))
    };
    let cancelled = context.cancelled.clone();
    whole(
        context
            .labour_that_tells("check", Limits::default(), cancelled, work)
            .await?,
    )
}

/// Makes the new tree beside the live one; the validator runs meanwhile.
async fn stage(
    context: &mut Context,
    validator: &Validator,
    place: Place,
    engine: Engine,
    judged: Judged,
) -> Result<Staging, Failure> {
    let maker = match engine {
        Engine::Native => Maker::Native(Box::new(judged)),
        Engine::Upstream => script::run(context, validator, &place, judged).await?,
    };
    let name = backup_name(context);
    let (validator, cancelled) = (validator.clone(), context.cancelled.clone());
    let work = move |control: &mut Control| {
        let staging = Staging::build(&validator, place, &name, maker, control)?;
        let detail = format!(
            "{} files, {} bytes",
            staging.written.files, staging.written.bytes
        );
        let did = Did {
            changed: false,
            detail: Some(detail),
        };
        Ok((staging, did))
    };
    let staged = context
        .labour_that_tells("stage", Limits::default(), cancelled, work)
        .await;
    whole(staged?)
}

/// `YYYYMMDD_HHMMSS`, as the validator's own script calls them, in UTC.
fn backup_name(context: &Context) -> String {
    let time = context.record.accepted_at.to_string();
    let digits: String = time.chars().filter(char::is_ascii_digit).take(14).collect();
    format!("{}_{}", &digits[..8], &digits[8..])
}

/// Stop, exchange, start, confirm; or, where the validator does not stay up, all of it back.
async fn replace(
    context: &mut Context,
    validator: &Validator,
    found: &Found,
    exclusive: Exclusive,
    staging: Staging,
) -> Result<(), Failure> {
    let ready = match context.cancelled.is_cancelled() {
        true => Err(Failure::new(
            Reason::Cancelled,
            "cancelled before the validator was stopped",
        )),
        false => context.refuse_while_closing(),
    };
    let ready = match ready {
        Ok(()) => outwait_updater(context, validator).await,
        refused => refused,
    };
    if let Err(failure) = ready {
        discard(context, staging).await?;
        return Err(failure);
    }
    // Durable with the next step: recovery goes by it.
    tell(
        context,
        "backup",
        json!({"path": staging.backup.path, "link": staging.backup.link}),
    );
    let workload = context.workload.clone();
    context
        .step("arm", arm(&workload, validator.dead_man))
        .await?;
    let exchanged = match power::bring_down(context, found, None).await {
        Ok(()) => exchange(context, validator, staging).await,
        Err(failure) => Err(failure),
    };
    // Not before the exchange: its record is what an interruption is judged by.
    context.must_finish();
    match exchanged {
        Ok(()) => settle(context, validator, found, exclusive).await,
        Err(failure) => {
            // The journal of the exchange, where it was begun, says how to undo it.
            retreat(context, validator, found).await?;
            Err(failure)
        }
    }
}

async fn discard(context: &mut Context, staging: Staging) -> Result<(), Failure> {
    let work = move |control: &mut Control| staging.discard(control).map(|()| ((), Did::default()));
    context
        .labour("discard", Limits::default(), work)
        .await
        .map(drop)
}

/// Waits until the updater does not hold its lock: killed in the middle of a pull it would leave half of it.
async fn outwait_updater(context: &mut Context, validator: &Validator) -> Result<(), Failure> {
    if validator.update_lock().is_none() {
        return Ok(());
    }
    let validator = validator.clone();
    let wait = async move {
        let begun = Instant::now();
        while let Some(lock) = validator.update_lock() {
            if begun.elapsed() >= UPDATER {
                let message = format!(
                    "{} is there: the validator's code is being updated, or an update was interrupted; if no `git` \
                     runs there, remove it",
                    lock.display()
                );
                return Err(Failure::new(Reason::Busy, message));
            }
            sleep(PAUSE).await;
        }
        Ok(Did::default())
    };
    context.step("wait for the updater", wait).await
}

/// The commit point. What has changed beside the checkpoint since it was staged is brought over first.
async fn exchange(
    context: &mut Context,
    validator: &Validator,
    mut staging: Staging,
) -> Result<(), Failure> {
    let (plan, live) = (validator.clone(), staging.place.live.clone());
    let bring = move |control: &mut Control| {
        super::at_work::wait_until_left(&plan.directory, &live, LAST_PROCESSES, control)?;
        staging.refuse_other_code(&plan)?;
        let detail = staging.bring_over(control)?;
        Ok((
            staging,
            Did {
                changed: false,
                detail: Some(detail),
            },
        ))
    };
    let never = tokio_util::sync::CancellationToken::new();
    let brought = context
        .labour_that_tells("carry", Limits::default(), never, bring)
        .await;
    let staging = whole(brought?)?;
    tell(context, "companions", json!(staging.companions));
    still_stopped(&context.workload).await?;
    let journal = validator.journal();
    let exchange = move |_: &mut Control| {
        staging.exchange(&journal)?.commit()?;
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
        .await
        .map(drop)
}

/// After the commit: the validator proves the new state, or the old one comes back.
async fn settle(
    context: &mut Context,
    validator: &Validator,
    found: &Found,
    exclusive: Exclusive,
) -> Result<(), Failure> {
    let up = match come_up(context, found).await {
        Ok(()) if found.running => watch(context, validator).await,
        other => other,
    };
    // Once the old tree is being kept, the new one was proven, and there is no way back.
    if let Err(failure) = up
        && !context.has_begun("keep")
    {
        let workload = context.workload.clone();
        let stopped = context.step("stop again", power::end_any_run(&workload));
        if let Err(failure) = stopped.await {
            // Nothing may be moved under it. It was started once: it runs, or is started again.
            context.forget_steps(&["start"]);
            power::bring_up(context, power::START_PATIENCE).await?;
            return Err(failure);
        }
        retreat(context, validator, found).await?;
        let message = format!(
            "it did not come up on the checkpoint, so the old state is back: {}",
            failure.message
        );
        return Err(Failure::new(failure.reason, message));
    }
    keep(context, validator).await?;
    drop(exclusive);
    context.let_go();
    prune_backups(context, validator).await
}

/// Starts it on what is there. One that crashes again and again is given up long before it is given up as late; that it
/// was restarted on another state does not count.
async fn come_up(context: &mut Context, found: &Found) -> Result<(), Failure> {
    let workload = context.workload.clone();
    if !found.running {
        return restore::come_up(context, found).await;
    }
    power::bring_up(context, power::START_PATIENCE).await?;
    if let Err(error) = workload.runtime.disarm().await {
        tracing::warn!("the dead-man of {} stays armed: {error}", workload.name);
    }
    context.step("confirm", settle::comes_up(&workload)).await
}

async fn watch(context: &mut Context, validator: &Validator) -> Result<(), Failure> {
    let (workload, window) = (context.workload.clone(), validator.crash_window);
    context
        .step("watch", settle::stays_up(&workload, window))
        .await
}

/// The old tree becomes a backup.
async fn keep(context: &mut Context, validator: &Validator) -> Result<(), Failure> {
    let backup = planned_backup(context)?;
    let origin = Origin {
        at: context.record.accepted_at,
        clock_synced: context.record.clock_synced,
        operation: context.record.id.clone(),
    };
    let plan = validator.clone();
    let work = move |_: &mut Control| {
        let Some(exchange) = Exchange::pending(&plan.journal())? else {
            // Kept before an interruption.
            let kept = backup.path.exists();
            if kept {
                backup::lead_to(&backup);
            }
            return Ok((kept.then_some(backup.path), Did::default()));
        };
        let kept = backup::keep(&plan, exchange, &backup, origin)?;
        let detail = match &kept {
            Some(path) => format!("the old state is {}", path.display()),
            None => "there was no old state".to_owned(),
        };
        let did = Did {
            changed: true,
            detail: Some(detail),
        };
        Ok((kept, did))
    };
    let kept = context.labour("keep", Limits::default(), work).await?;
    if kept == Some(None) {
        tell(context, "backup", Value::Null);
    }
    Ok(())
}

/// Where the old tree goes, as it was decided before the stop.
fn planned_backup(context: &Context) -> Result<Backup, Failure> {
    let output = context.record.output.as_ref();
    let planned = |key: &str| output?.get("backup")?.get(key)?.as_str().map(PathBuf::from);
    match planned("path") {
        Some(path) => Ok(Backup {
            path,
            link: planned("link"),
        }),
        None => Err(Failure::new(
            Reason::DataFailed,
            "the record does not say where the old state goes: it is still where the new one was staged",
        )),
    }
}

/// Removes what the rules do not keep of the backups that the agent made.
async fn prune_backups(context: &mut Context, validator: &Validator) -> Result<(), Failure> {
    let (plan, synced) = (validator.clone(), context.record.clock_synced);
    let work = move |control: &mut Control| {
        let removed = backup::prune(&plan, synced, false, control)?;
        let did = Did {
            changed: !removed.is_empty(),
            detail: Some(format!("{} removed", removed.len())),
        };
        Ok((removed, did))
    };
    match context.labour("prune", Limits::default(), work).await {
        Ok(removed) => tell(
            context,
            "removed_backups",
            json!(removed.unwrap_or_default()),
        ),
        // The restore is done; the next one prunes again.
        Err(failure) => tracing::warn!(
            "the backups of {} are not pruned: {}",
            context.workload.name,
            failure.message
        ),
    }
    Ok(())
}

/// The operation `prune` of a validator: backups that the agent made, and no others.
pub(super) async fn prune(context: &mut Context) -> Result<(), Failure> {
    let (plan, synced) = (context.validator()?.clone(), context.record.clock_synced);
    let dry_run = context.record.dry_run;
    let work = move |control: &mut Control| {
        let exclusive = Exclusive::take(&plan)?.ok_or_else(|| Error::Busy {
            path: plan.directory.clone(),
        })?;
        let removed = backup::prune(&plan, synced, dry_run, control)?;
        drop(exclusive);
        let did = Did {
            changed: !dry_run && !removed.is_empty(),
            detail: None,
        };
        Ok((removed, did))
    };
    let removed = context.labour("prune", Limits::default(), work).await?;
    context.record.output = Some(json!({ "removed": removed.unwrap_or_default() }));
    Ok(())
}

/// Puts the old state back, and starts the validator on it.
async fn retreat(
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
async fn recover(context: &mut Context, found: &Found) -> Result<(), Failure> {
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
