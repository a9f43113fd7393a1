//! What every operation that exchanges trees does with its exchange, whatever the trees are.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::timeout;

use super::context::{Context, Did};
use super::labour::{Limits, failure_of};
use super::power;
use super::snapshot::arm;
use crate::blocking::spawn_blocking;
use crate::data::exchange::{Exchange, Goal};
use crate::data::{Control, Error, tree};
use crate::protocol::{Failure, Found, Operation, Reason};

/// How long a disk may take to say what an exchange has left; one that hangs says nothing.
pub(super) const LOOK: Duration = Duration::from_secs(10);

/// Marks in the record that an earlier operation's exchange is being ended, and that it is.
pub(super) const EARLIER: &str = "end earlier";
const ENDED: &str = "earlier ended";

/// The steps of an end, which the operation itself has yet to do.
const OF_AN_END: [&str; 10] = [
    "take up",
    "stop again",
    "exchange",
    "swap",
    "start",
    "confirm",
    "exchange back",
    "swap back",
    "discard",
    "sweep",
];

/// Begins to end an earlier operation's exchange, and gives the workload as it is to be afterwards: on half of each nobody
/// could start it, though it ran before.
pub(super) async fn begin_end(
    context: &mut Context,
    exchange: &Exchange,
    found: &Found,
) -> Result<Found, Failure> {
    let mut found = found.clone();
    if exchange.is_torn() && exchange.ran() {
        found.running = true;
        context.record.found = Some(found.clone());
    }
    context.must_finish();
    context.step(EARLIER, mark()).await?;
    Ok(found)
}

/// Notes that it has ended, unless it `is_left`. That the workload does not come up on what is in place now keeps nobody
/// from putting something else there.
pub(super) async fn close_end(
    context: &mut Context,
    ended: Result<(), Failure>,
    is_left: bool,
) -> Result<(), Failure> {
    if is_left {
        return ended.and(Err(Failure::new(
            Reason::DataFailed,
            "an exchange of an earlier operation could not be brought to its end",
        )));
    }
    if let Err(failure) = ended {
        tracing::info!("an earlier exchange was ended: {}", failure.message);
    }
    // Stored with the next step: what was done for the earlier exchange was not done for this one.
    context.forget_steps(&OF_AN_END);
    context.step(ENDED, mark()).await?;
    context.need_not_finish();
    Ok(())
}

/// Whether an earlier operation's exchange was being ended when this was interrupted.
pub(super) fn ends_earlier(context: &Context) -> bool {
    context.has_begun(EARLIER) && !context.is_done(ENDED)
}

/// The exchange that a journal records. A disk that hangs must not hang the agent.
pub(super) async fn pending(journal: PathBuf) -> Result<Option<Exchange>, Failure> {
    match spawn_blocking(move || Exchange::pending(&journal)).await {
        Ok(read) => read.map_err(|error| failure_of(&error)),
        Err(error) => Err(Failure::new(Reason::DataFailed, error.to_string())),
    }
}

/// A step that is nothing but its record.
pub(super) async fn mark() -> Result<Did, Failure> {
    Ok(Did::default())
}

/// Stops the workload where trees are about to be moved. One that was stopped before may have been started since: by a
/// timer, or by this operation itself, in this life or an earlier one. Unless what is in place now is half of each it is
/// started again from outside, if the agent does not come to it.
pub(super) async fn stop_again(context: &mut Context, journal: PathBuf) -> Result<(), Failure> {
    context.forget_steps(&["stop again"]);
    let workload = context.workload.clone();
    let found = context.record.found.clone();
    let after = match context.record.operation {
        Operation::RestoreCheckpoint => context.validator()?.dead_man,
        _ => context.snapshots()?.dead_man,
    };
    let torn = is_torn(journal).await;
    let is_swapped_back = context.has_begun("swap back");
    let stop = async {
        let armed = match (found, torn) {
            (_, true) => workload
                .runtime
                .disarm()
                .await
                .map_err(|error| error.to_string()),
            (Some(found), false) => {
                let armed = arm(&workload, &found, after).await;
                armed.map(drop).map_err(|failure| failure.message)
            }
            (None, false) => Ok(()),
        };
        if let Err(why) = armed {
            tracing::warn!("the dead-man of {} stays as it is: {why}", workload.name);
        }
        match power::end_any_run(&workload).await {
            // Interrupted between its two renamings it has left no container of that name, and halts both of them itself.
            Err(failure) if is_swapped_back && failure.reason == Reason::WorkloadMissing => {
                let detail = Some("none has its name yet".to_owned());
                Ok(Did {
                    changed: false,
                    detail,
                })
            }
            ended => ended,
        }
    };
    context.step("stop again", stop).await
}

/// What was to start the workload from outside is not needed any more.
pub(super) async fn disarm(context: &Context) {
    if let Err(error) = context.workload.runtime.disarm().await {
        let name = &context.workload.name;
        tracing::warn!("the dead-man of {name} stays armed: {error}");
    }
}

/// Brings an exchange that was committed to its end.
pub(super) async fn go_on(context: &mut Context, journal: PathBuf) -> Result<(), Failure> {
    let go_on = move |_: &mut Control| {
        let pending = Exchange::pending(&journal)?;
        if let Some(mut exchange) = pending.filter(|exchange| exchange.goal() == Goal::Forward) {
            exchange.commit()?;
        }
        let did = Did {
            changed: true,
            detail: None,
        };
        Ok(((), did))
    };
    context.forget_steps(&["exchange"]);
    context
        .labour("exchange", Limits::default(), go_on)
        .await
        .map(drop)
}

/// Undoes an exchange as far as it has come; `told` is what the record says of it. The tree that was not wanted stays
/// until the workload runs: see [`clear`]. Gives where it is, if no journal says so any more.
pub(super) async fn back(
    context: &mut Context,
    journal: PathBuf,
    told: &'static str,
) -> Result<Option<PathBuf>, Failure> {
    let back = move |_: &mut Control| {
        let Some(exchange) = Exchange::pending(&journal)? else {
            return Ok((None, Did::default()));
        };
        let forgotten = match exchange.goal() {
            Goal::Discard => None,
            Goal::Forward | Goal::Back => exchange.undo_or_forget()?,
        };
        let did = Did {
            changed: true,
            detail: Some(told.to_owned()),
        };
        Ok((forgotten, did))
    };
    let back = context.labour("exchange back", Limits::default(), back);
    back.await.map(Option::flatten)
}

/// Removes the tree that was not wanted, after [`back`], and its journal; where there is none, what was `forgotten`, and
/// `otherwise` is done. It may have gigabytes in many files, so the workload runs by now, and what cannot be removed is left to the
/// next restore.
pub(super) async fn clear(
    context: &mut Context,
    journal: PathBuf,
    forgotten: Option<PathBuf>,
    otherwise: impl FnOnce(&mut Control) -> Result<(), Error> + Send + 'static,
) {
    let clear = move |control: &mut Control| {
        match Exchange::pending(&journal)? {
            Some(exchange) => exchange.finish(control)?,
            None => {
                forgotten.map_or(Ok(()), |staged| tree::discard(&staged, control))?;
                otherwise(control)?;
            }
        }
        Ok(((), Did::default()))
    };
    context.forget_steps(&["discard"]);
    let cleared = context.labour("discard", Limits::default(), clear).await;
    if let Err(failure) = cleared {
        let why = failure.message;
        tracing::warn!("what was staged stays until the next restore: {why}");
    }
}

/// Whether the workload may be started although its trees could not be `moved` as they should, on a full disk for
/// example: what is in place is one tree or the other. Half of each starts nobody, also not from outside.
pub(super) async fn may_start(
    context: &mut Context,
    journal: PathBuf,
    moved: &Result<(), Failure>,
) -> bool {
    let may = moved.is_ok() || !is_torn(journal).await;
    match may {
        // Steps of these names may have been tried on the other tree.
        true => context.forget_steps(&["start", "confirm"]),
        false => disarm(context).await,
    }
    may
}

async fn is_torn(journal: PathBuf) -> bool {
    match pending(journal).await {
        Ok(pending) => pending.is_some_and(|exchange| exchange.is_torn()),
        Err(_) => true,
    }
}

/// Refuses to start a workload whose data is known to be half of one tree and half of another.
pub(super) async fn refuse_torn(context: &Context) -> Result<(), Failure> {
    let (workload, name) = (&context.workload, context.workload.name.clone());
    let data = workload.snapshots.clone();
    let of_validator = workload.validator.as_ref().map(|plan| plan.journal());
    let look = move || {
        let store = data.and_then(|plan| plan.path().ok());
        let of_data = store.as_ref().map(|store| store.join("exchange.json"));
        let torn = |journal: Option<PathBuf>| {
            let exchange = Exchange::pending(journal.as_deref()?).ok()??;
            exchange
                .is_torn()
                .then(|| (journal, exchange.waits_for_a_word()))
        };
        if let Some((journal, is_by_hand)) = torn(of_data) {
            let mends = match (is_by_hand, store) {
                (true, Some(store)) => format!("store undo {}", store.display()),
                _ => format!("restore {name}"),
            };
            return Some((journal, mends, name));
        }
        torn(of_validator).map(|(journal, _)| (journal, format!("restore-checkpoint {name}"), name))
    };
    // A disk that does not answer says nothing against a start.
    let looked = timeout(LOOK, spawn_blocking(look)).await;
    let Ok(Ok(Some((journal, mends, name)))) = looked else {
        return Ok(());
    };
    let message = format!(
        "an exchange of the data of {name} stopped halfway ({}): part of it is old and part of it new. \
         `ostler {mends}` brings it to its end first",
        journal.unwrap_or_default().display()
    );
    Err(Failure::new(Reason::NotPossible, message))
}
