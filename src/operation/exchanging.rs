//! What every operation that exchanges trees does with its exchange, whatever the trees are.

use std::path::PathBuf;

use tokio::task::spawn_blocking;

use super::context::{Context, Did};
use super::labour::{Limits, failure_of};
use super::power;
use crate::data::exchange::{Exchange, Goal};
use crate::data::{Control, Error};
use crate::protocol::{Failure, Reason};

/// Stops the workload where trees are about to be moved. One that was stopped before may have been started since: by a
/// timer, or by this operation itself, in this life or an earlier one.
pub(super) async fn stop_again(context: &mut Context) -> Result<(), Failure> {
    context.forget_steps(&["stop again"]);
    let workload = context.workload.clone();
    context
        .step("stop again", power::end_any_run(&workload))
        .await
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

/// Undoes an exchange as far as it has come, and removes the tree that was not wanted; `told` is what the record says of
/// it. Where there is none, `otherwise` is done.
pub(super) async fn back(
    context: &mut Context,
    journal: PathBuf,
    told: &'static str,
    otherwise: impl FnOnce(&mut Control) -> Result<(), Error> + Send + 'static,
) -> Result<(), Failure> {
    let back = move |control: &mut Control| {
        let Some(mut exchange) = Exchange::pending(&journal)? else {
            otherwise(control)?;
            return Ok(((), Did::default()));
        };
        if exchange.goal() != Goal::Discard {
            exchange.undo()?;
        }
        exchange.finish(control)?;
        let did = Did {
            changed: true,
            detail: Some(told.to_owned()),
        };
        Ok(((), did))
    };
    context
        .labour("exchange back", Limits::default(), back)
        .await
        .map(drop)
}

/// The exchange that a journal records. A disk that hangs must not hang the agent.
pub(super) async fn pending(journal: PathBuf) -> Result<Option<Exchange>, Failure> {
    match spawn_blocking(move || Exchange::pending(&journal)).await {
        Ok(read) => read.map_err(|error| failure_of(&error)),
        Err(error) => Err(Failure::new(Reason::DataFailed, error.to_string())),
    }
}

/// Whether the workload may be started although its trees could not be `moved` as they should, on a full disk for
/// example: what is in place is one tree or the other. Half of each starts nobody.
pub(super) async fn may_start(
    context: &mut Context,
    journal: PathBuf,
    moved: &Result<(), Failure>,
) -> bool {
    let torn = async {
        match pending(journal).await {
            Ok(pending) => pending.is_some_and(|exchange| exchange.is_torn()),
            Err(_) => true,
        }
    };
    let may = moved.is_ok() || !torn.await;
    if may {
        // Steps of these names may have been tried on the other tree.
        context.forget_steps(&["start", "confirm"]);
    }
    may
}
