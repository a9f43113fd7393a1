//! The operation `restore-checkpoint`: the tree of a checkpoint is made while the validator runs, committed by one
//! exchange, undone where the validator does not stay up on it; the old tree becomes a backup by a rename.

mod backup;
mod fetch;
mod judge;
mod keeping;
mod place;
mod recovery;
mod script;
mod settle;
mod staging;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::arguments::{Engine, RestoreCheckpoint};
use super::context::{Context, Did};
use super::labour::Limits;
use super::snapshot::{arm, still_stopped, whole};
use super::validator::Validator;
use super::{exchanging, power, restore};
use crate::blocking::spawn_blocking;
use crate::checkpoint::Target;
use crate::data::{Control, tree};
use crate::protocol::{Failure, Found, Reason};
use judge::Judged;
pub(super) use keeping::prune;
use keeping::{keep, prune_backups};
use place::Place;
use recovery::{end_earlier, recover, retreat};
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
    // Two at once would make the same tree.
    let exclusive = match context.record.dry_run {
        true => None,
        false => Some(Exclusive::demand(validator)?),
    };
    let found = &match &exclusive {
        Some(_) => end_earlier(context, validator, found).await?,
        None => found.clone(),
    };
    // Once, before anything is made for it: the updater may change the code at any moment.
    let version = validator.version();
    let made_for = version.as_ref().ok().cloned();
    let judged = check(context, (validator, version), &place, asked, source).await?;
    let mut output = judge::told(&judged);
    output["engine"] = match asked.engine {
        Engine::Native => json!("native"),
        Engine::Upstream => json!("upstream"),
    };
    context.record.output = Some(output);
    judge::insist(&judged)?;
    let Some(exclusive) = exclusive else {
        context.record.changed = Some(false);
        return Ok(());
    };
    let staged = place.staged.clone();
    let staging = match stage(context, validator, place, (judged, made_for)).await {
        Ok(staging) => staging,
        Err(failure) => {
            remove(staged).await;
            return Err(failure);
        }
    };
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

/// Checks all of it, and makes the new tree on the way, beside the live one; the validator runs meanwhile.
async fn check(
    context: &mut Context,
    (validator, version): (&Validator, Result<String, String>),
    place: &Place,
    asked: &RestoreCheckpoint,
    source: &fetch::Found,
) -> Result<Judged, Failure> {
    let rules = match asked.engine {
        Engine::Native => judge::rules(version, asked)?,
        Engine::Upstream => script::rules(asked),
    };
    let makes = !context.record.dry_run && asked.engine == Engine::Native;
    let (file, sha256) = (source.place(), asked.sha256.clone());
    let (plan, place) = (validator.clone(), place.clone());
    let work = move |control: &mut Control| {
        let owner = match makes {
            true => Some(staging::make_way(&plan, &place, control)?),
            false => None,
        };
        let into = owner.as_ref().map(|owner| Target {
            root: &place.staged,
            owner,
            reserve: plan.reserve,
        });
        let (live, into) = (place.existing(), into.as_ref());
        let judged = judge::judge(&file, sha256.as_ref(), &rules, live, into, control)?;
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

/// Completes the new tree beside the live one; the validator still runs.
async fn stage(
    context: &mut Context,
    validator: &Validator,
    place: Place,
    (mut judged, made_for): (Judged, Option<String>),
) -> Result<Staging, Failure> {
    let maker = match judged.written.take() {
        Some(written) => Maker::Native(written),
        None => script::run(context, validator, &place, judged).await?,
    };
    let name = backup_name(context);
    let (validator, cancelled) = (validator.clone(), context.cancelled.clone());
    let work = move |control: &mut Control| {
        let staging = Staging::build(&validator, place, &name, (maker, made_for), control)?;
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
    let mut found = found.clone();
    let ready = match context.cancelled.is_cancelled() {
        true => Err(Failure::new(
            Reason::Cancelled,
            "cancelled before the validator was stopped",
        )),
        false => context.refuse_while_closing(),
    };
    let mut ready = match ready {
        Ok(()) => outwait_updater(context, validator).await,
        refused => refused,
    };
    if ready.is_ok() {
        ready = power::look_again(context, &mut found).await;
    }
    if ready.is_ok() {
        // Durable with the next step: recovery goes by it.
        tell(
            context,
            "backup",
            json!({"path": staging.backup.path, "link": staging.backup.link}),
        );
        let workload = context.workload.clone();
        let armed = arm(&workload, &found, validator.dead_man);
        ready = context.step("arm", armed).await;
    }
    if let Err(failure) = ready {
        tell(context, "backup", Value::Null);
        let staged = staging.place.staged.clone();
        if discard(context, staging).await.is_err() {
            // A journal that takes no step more keeps nothing from being removed.
            remove(staged).await;
        }
        return Err(failure);
    }
    let exchanged = match power::bring_down(context, &mut found, None, false).await {
        Ok(()) => exchange(context, validator, &found, staging).await,
        Err(failure) => Err(failure),
    };
    // Not before the exchange: its record is what an interruption is judged by.
    context.must_finish();
    match exchanged {
        Ok(()) => {
            let crept_in = power::end_what_crept_in(context, &mut found, validator.journal()).await;
            if let Err(failure) = crept_in {
                power::leave_running(context).await?;
                return Err(failure);
            }
            settle(context, validator, &found, exclusive).await
        }
        Err(failure) => {
            // The journal of the exchange, where it was begun, says how to undo it.
            retreat(context, validator, &found).await?;
            Err(failure)
        }
    }
}

/// Removes what was staged, without a step of its own; the first failure is the one that is told.
async fn remove(staged: PathBuf) {
    let remove = move || tree::discard(&staged, &mut Control::unlimited());
    match spawn_blocking(remove).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("what was staged stays until the next restore: {error}"),
        Err(error) => tracing::warn!("what was staged stays until the next restore: {error}"),
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
    found: &Found,
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
    let (journal, ran) = (validator.journal(), found.running);
    let exchange = move |_: &mut Control| {
        let mut exchange = staging.exchange(&journal)?;
        exchange.note_ran(ran);
        exchange.commit()?;
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
        if let Err(failure) = exchanging::stop_again(context, validator.journal()).await {
            // Nothing may be moved under it. It was started once: it runs, or is started again.
            context.forget_steps(&["start"]);
            power::bring_up(context, power::START_PATIENCE).await?;
            exchanging::disarm(context).await;
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
    exchanging::disarm(context).await;
    context.step("confirm", settle::comes_up(&workload)).await
}

async fn watch(context: &mut Context, validator: &Validator) -> Result<(), Failure> {
    let (workload, window) = (context.workload.clone(), validator.crash_window);
    context
        .step("watch", settle::stays_up(&workload, window))
        .await
}
