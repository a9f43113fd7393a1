//! What a `reset` does besides the exchange of data: the container changes places with its successor, right after the
//! data has, and back right before the data goes back. For every other operation these do nothing.

use super::context::{Context, Did, failure_of, retry};
use super::power::START_PATIENCE;
use super::workload::Workload;
use crate::protocol::{Failure, Operation, Reason};
use crate::runtime::Renewal;

/// How the workload is made anew.
pub(super) fn renewal(workload: &Workload) -> Result<&dyn Renewal, Failure> {
    workload.runtime.renewal().ok_or_else(|| {
        let message = format!(
            "{} is run by {}: only a container can be made anew from its image",
            workload.name,
            workload.runtime.describe()
        );
        Failure::new(Reason::Unsupported, message)
    })
}

/// The successor takes the workload's place.
pub(super) async fn forward(context: &mut Context) -> Result<(), Failure> {
    if context.record.operation != Operation::Reset {
        return Ok(());
    }
    let workload = context.workload.clone();
    let grace = workload.times().grace;
    let swap = async {
        let renewal = renewal(&workload)?;
        let swapped = retry(START_PATIENCE, || renewal.forward(grace)).await;
        did(swapped.map_err(failure_of)?)
    };
    context.step("swap", swap).await
}

/// The one from before takes its place again.
pub(super) async fn back(context: &mut Context) -> Result<(), Failure> {
    if context.record.operation != Operation::Reset {
        return Ok(());
    }
    let workload = context.workload.clone();
    let grace = workload.times().grace;
    let swap = async {
        let renewal = renewal(&workload)?;
        let swapped = retry(START_PATIENCE, || renewal.back(grace)).await;
        did(swapped.map_err(failure_of)?)
    };
    context.forget_steps(&["swap back"]);
    context.step("swap back", swap).await
}

/// Removes the one that has no place any more. It runs nothing and is in nobody's way: what cannot be removed now is
/// removed by the next reset.
pub(super) async fn tidy(context: &mut Context) {
    if context.record.operation != Operation::Reset {
        return;
    }
    let workload = context.workload.clone();
    let tidy = async {
        let tidied = renewal(&workload)?.tidy().await;
        did(tidied.map_err(failure_of)?)
    };
    context.forget_steps(&["tidy"]);
    if let Err(failure) = context.step("tidy", tidy).await {
        tracing::warn!(
            "what is left of the reset of {} stays: {}",
            context.workload.name,
            failure.message
        );
    }
}

fn did(changed: bool) -> Result<Did, Failure> {
    Ok(Did {
        changed,
        detail: None,
    })
}
