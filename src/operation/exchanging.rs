//! What every operation that exchanges trees does with its exchange, whatever the trees are.

use std::path::{Path, PathBuf};

use super::context::{Context, Did};
use super::labour::Limits;
use super::power;
use crate::data::exchange::{Exchange, Goal};
use crate::data::{Control, Error};
use crate::protocol::Failure;

/// Stops the workload where trees are about to be moved: a timer may have started it meanwhile.
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

/// Whether the workload may be started although its trees could not be `moved` as they should, on a full disk for
/// example: what is in place is one tree or the other. Half of each starts nobody.
pub(super) fn may_start(
    context: &mut Context,
    journal: &Path,
    moved: &Result<(), Failure>,
) -> bool {
    let torn = || match Exchange::pending(journal) {
        Ok(pending) => pending.is_some_and(|exchange| exchange.is_torn()),
        Err(_) => true,
    };
    let may = moved.is_ok() || !torn();
    if may {
        // Steps of these names may have been tried on the other tree.
        context.forget_steps(&["start", "confirm"]);
    }
    may
}
