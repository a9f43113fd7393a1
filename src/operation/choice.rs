//! Which snapshot an operation works with: the one that was asked for, or the newest good one.

use super::context::{Context, Did};
use super::labour::Limits;
use super::snapshots::Snapshots;
use crate::data::store::Pin;
use crate::data::{self, Control, Store, Summary};
use crate::protocol::{Failure, Name, Reason};

/// A snapshot of the workload that may be put in the place of its data, kept from being removed meanwhile.
pub(super) struct Choice {
    pub store: Store,
    pub summary: Summary,
    _pin: Pin,
}

/// Finds the snapshot of that name, or the newest good one; `None` where there is none.
pub(super) async fn find(
    context: &mut Context,
    plan: &Snapshots,
    name: Option<&Name>,
) -> Result<Option<(Store, Name)>, Failure> {
    let (plan, name) = (plan.clone(), name.cloned());
    choosing(context, move |make| found(&plan, name, make)).await
}

/// The same for a restore: one that is bad or of another workload is refused.
pub(super) async fn choose(
    context: &mut Context,
    plan: &Snapshots,
    name: Option<&Name>,
) -> Result<Option<Choice>, Failure> {
    let wanted = context.identity(plan);
    let (plan, name) = (plan.clone(), name.cloned());
    let choose = move |make| {
        let Some((store, name)) = found(&plan, name, make)? else {
            return Ok(None);
        };
        let manifest = store.get(&name)?;
        manifest.refuse_other(&wanted)?;
        let _pin = store.pin(&name)?;
        Ok(Some(Choice {
            store,
            summary: Summary::of(&manifest),
            _pin,
        }))
    };
    choosing(context, choose).await
}

/// What to say where [`find`] or [`choose`] finds nothing.
pub(super) fn none(context: &Context, name: Option<&Name>) -> Failure {
    let workload = &context.workload.name;
    let message = match name {
        Some(name) => format!(
            "there is no snapshot {name} of {workload}; `ostler snapshots {workload}` lists them"
        ),
        None => format!(
            "there is no good snapshot of {workload}: take one (ostler snapshot {workload}), or restore one from the \
             bucket (ostler restore {workload} --from-bucket)"
        ),
    };
    Failure::new(Reason::NotPossible, message)
}

/// Looking through a store may take long, and a disk that hangs must not hang the agent.
async fn choosing<T: Send + 'static>(
    context: &mut Context,
    choose: impl FnOnce(bool) -> Result<Option<T>, data::Error> + Send + 'static,
) -> Result<Option<T>, Failure> {
    // What an earlier life chose went with it.
    context.forget_steps(&["choose"]);
    // A dry run makes nothing, the store's directory neither.
    let make = !context.record.dry_run;
    let work = move |_: &mut Control| choose(make).map(|chosen| (chosen, Did::default()));
    let chosen = context.labour("choose", Limits::default(), work).await?;
    Ok(chosen.flatten())
}

fn found(
    plan: &Snapshots,
    name: Option<Name>,
    make: bool,
) -> Result<Option<(Store, Name)>, data::Error> {
    let Some(store) = plan.at(make)? else {
        return Ok(None);
    };
    let name = match name {
        Some(name) => Some(name).filter(|name| store.holds(name)),
        None => store.newest_good()?,
    };
    Ok(name.map(|name| (store, name)))
}
