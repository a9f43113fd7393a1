//! The operation `restore`: staged while the workload runs, committed by one exchange, undone where it does not help.

use serde_json::json;

use super::choice::{self, Choice, choose};
use super::context::{Context, Did};
use super::labour::Limits;
use super::recovery;
use super::renew;
use super::resync::replaced;
use super::snapshot::{arm, still_stopped, whole};
use super::snapshots::Snapshots;
use super::upload::tell;
use super::{arguments, confirm, exchanging, fetch, power};
use crate::data::exchange::Exchange;
use crate::data::place::Method;
use crate::data::store::Exclusive;
use crate::data::{self, Control, Level, Staged, Store, in_use};
use crate::protocol::{Failure, Found, Reason};

/// Restores a snapshot.
pub(super) async fn restore(
    context: &mut Context,
    asked: arguments::Restore,
) -> Result<(), Failure> {
    let mut found = context.found().await?;
    if context.recovered() {
        let own = context.has_begun("arm") || exchanging::ends_earlier(context);
        if !asked.from_bucket || own {
            return recovery::recover(context, &found).await;
        }
        found = begin_again(context, found).await?;
    }
    if !context.record.dry_run {
        // First of all, for torn data keeps the workload from running, whatever there is to restore.
        found = recovery::end_earlier(context, &found).await?;
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
    let summary = &chosen.summary;
    let restored = json!({
        "snapshot": summary.name,
        "height": summary.height,
        "bytes": summary.total_bytes,
        "files": summary.files,
    });
    tell(context, restored);
    if context.record.dry_run {
        let replaces = replaced(context, &plan).await?;
        tell(context, replaces);
        let copied = if asked.link {
            0
        } else {
            chosen.summary.total_bytes
        };
        tell(context, json!({"needs_bytes": copied}));
        context.record.changed = Some(false);
        return Ok(());
    }
    let staged = stage(context, &plan, &chosen, asked.link).await?;
    replace(context, &plan, &found, staged).await
}

/// Stop, exchange, start, confirm; or, where the workload does not come up on the new data, all of it back.
pub(super) async fn replace(
    context: &mut Context,
    plan: &Snapshots,
    found: &Found,
    (exclusive, staged): (Exclusive, Staged),
) -> Result<(), Failure> {
    let mut found = found.clone();
    let mut ready = context
        .refuse_while_closing()
        .and_then(|()| context.refuse_when_cancelled());
    if ready.is_ok() {
        ready = power::look_again(context, &mut found).await;
    }
    if ready.is_ok() {
        let workload = context.workload.clone();
        let armed = arm(&workload, &found, plan.dead_man);
        ready = context.step("arm", armed).await;
    }
    if let Err(failure) = ready {
        renew::tidy(context).await;
        let discard =
            move |control: &mut Control| staged.discard(control).map(|()| ((), Did::default()));
        context
            .labour("discard", Limits::default(), discard)
            .await?;
        return Err(failure);
    }
    let exchanged = match power::bring_down(context, &mut found, None, false).await {
        Ok(()) => {
            let journal = exclusive.store().exchange_journal();
            exchange(context, plan, &found, journal, staged).await
        }
        Err(failure) => Err(failure),
    };
    // Not before the exchange: its record is what an interruption is judged by.
    context.must_finish();
    let exchanged = match exchanged {
        Ok(()) => {
            let journal = exclusive.store().exchange_journal();
            if let Err(failure) = power::end_what_crept_in(context, &mut found, journal).await {
                power::leave_running(context).await?;
                return Err(failure);
            }
            renew::forward(context).await
        }
        Err(failure) => Err(failure),
    };
    match exchanged {
        Ok(()) => settle(context, exclusive, &found).await,
        Err(failure) => {
            // The journal of the exchange, where it was begun, says how to undo it.
            let back = retreat(context, exclusive.store(), &found).await;
            drop(exclusive);
            recovery::sweep(context).await;
            back.and(Err(failure))
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
    let name = &chosen.summary.name;
    let (store, verified) = (chosen.store.clone(), name.clone());
    let verify = move |control: &mut Control| {
        let report = data::verify(&store, &verified, Level::L3, control)?;
        Ok((report.damages, Did::default()))
    };
    let limits = Limits::aside(plan.rate);
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
    let (store, name) = (chosen.store.clone(), chosen.summary.name.clone());
    let live = plan.source.root.clone();
    let (method, reserve) = (link.then_some(Method::Link), plan.reserve);
    let stage = move |control: &mut Control| {
        let exclusive = store.lock(control)?;
        let manifest = store.get(&name)?;
        let staged = Staged::build(&exclusive, &manifest, &live, method, reserve, control)?;
        Ok(((exclusive, staged), Did::default()))
    };
    whole(
        context
            .labour_until(
                "stage",
                Limits::aside(plan.rate),
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
    found: &Found,
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
    // After that it would be started from outside, and nothing moved.
    let limits = Limits::within(plan.dead_man);
    let staged = whole(context.labour("carry", limits, carry).await?)?;
    still_stopped(&context.workload).await?;
    let ran = found.running;
    let exchange = move |_: &mut Control| {
        let mut exchange = staged.exchange(&journal)?;
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

/// After the commit: the workload proves the new data, or the old data comes back.
pub(super) async fn settle(
    context: &mut Context,
    exclusive: Exclusive,
    found: &Found,
) -> Result<(), Failure> {
    if let Err(failure) = come_up_to_stay(context, found).await {
        let journal = exclusive.store().exchange_journal();
        if let Err(failure) = exchanging::stop_again(context, journal).await {
            power::leave_running(context).await?;
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
    if !exchanging::ends_earlier(context) {
        context.let_go();
    }
    discard(context, exclusive.store()).await
}

pub(super) async fn come_up(context: &mut Context, found: &Found) -> Result<(), Failure> {
    if found.running {
        power::bring_up(context, power::START_PATIENCE).await?;
    }
    exchanging::disarm(context).await;
    match found.running {
        true => confirm::confirm(context).await,
        false => Ok(()),
    }
}

/// The same on data that is new to it.
async fn come_up_to_stay(context: &mut Context, found: &Found) -> Result<(), Failure> {
    if found.running {
        power::bring_up(context, power::START_PATIENCE).await?;
    }
    exchanging::disarm(context).await;
    match found.running {
        true => confirm::confirm_it_stays(context).await,
        false => Ok(()),
    }
}

/// Puts the old data back, starts the workload on it, and only then removes the other.
pub(super) async fn retreat(
    context: &mut Context,
    store: &Store,
    found: &Found,
) -> Result<(), Failure> {
    context.forget_steps(&["exchange back"]);
    let journal = store.exchange_journal();
    let undone = match renew::back(context).await {
        Ok(()) => exchanging::back(context, journal.clone(), "the old data is back").await,
        Err(stuck) => Err(stuck),
    };
    let (moved, unwanted) = match undone {
        Ok(forgotten) => (Ok(()), Some(forgotten)),
        Err(stuck) => (Err(stuck), None),
    };
    let up = come_up_on_what_is_there(context, store, found, moved).await;
    if let Some(forgotten) = unwanted {
        // Also where it does not come up: nobody comes back for what is left.
        exchanging::clear(context, journal, forgotten, |_| Ok(())).await;
        renew::tidy(context).await;
    }
    up
}

/// Starts the workload on what is in place, unless that is half of each; then the journal of the exchange stays for later.
pub(super) async fn come_up_on_what_is_there(
    context: &mut Context,
    store: &Store,
    found: &Found,
    moved: Result<(), Failure>,
) -> Result<(), Failure> {
    if exchanging::may_start(context, store.exchange_journal(), &moved).await {
        come_up(context, found).await?;
    }
    moved
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
