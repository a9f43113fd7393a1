//! The operation `prune`: removes the snapshots that the rules do not keep.

use serde_json::json;

use super::context::{Context, Did};
use super::labour::Limits;
use super::restore_checkpoint;
use super::snapshots::{Snapshots, candidates};
use crate::data::retention::{self, Removal};
use crate::data::{Control, Error, Retention, Store, space};
use crate::protocol::Failure;

/// Removes them, or with `dry_run` tells which they are.
pub(super) async fn prune(context: &mut Context) -> Result<(), Failure> {
    if context.workload.validator.is_some() && context.workload.snapshots.is_none() {
        return restore_checkpoint::prune(context).await;
    }
    let plan = context.snapshots()?.clone();
    let removals = match context.record.dry_run {
        // A store that is not there is not made by being asked for.
        true => match plan.look().await? {
            Some(store) => prune_after(context, &plan, store).await?,
            None => Vec::new(),
        },
        false => prune_after(context, &plan, plan.open().await?).await?,
    };
    let list = removals
        .iter()
        .map(|removal| json!({"name": removal.name, "reason": removal.reason}));
    context.record.output = Some(json!({ "removed": list.collect::<Vec<_>>() }));
    Ok(())
}

/// The same as the last step of another operation.
pub(super) async fn prune_after(
    context: &mut Context,
    plan: &Snapshots,
    store: Store,
) -> Result<Vec<Removal>, Failure> {
    let (rules, synced, dry_run) = (
        plan.retention,
        context.record.clock_synced,
        context.record.dry_run,
    );
    let work = move |control: &mut Control| match dry_run {
        true => planned(&store, &rules, synced).map(|removals| (removals, Did::default())),
        false => remove(&store, &rules, synced, control),
    };
    context
        .labour("prune", Limits::default(), work)
        .await
        .map(Option::unwrap_or_default)
}

fn planned(store: &Store, rules: &Retention, synced: bool) -> Result<Vec<Removal>, Error> {
    let free = space::free(store.path()).map_or(u64::MAX, |free| free.bytes);
    Ok(retention::plan(
        &candidates(&store.list()?, synced),
        rules,
        free,
    ))
}

/// Removes one after the other and asks again each time: shared blocks come free only with the last that has them.
fn remove(
    store: &Store,
    rules: &Retention,
    synced: bool,
    control: &mut Control,
) -> Result<(Vec<Removal>, Did), Error> {
    let exclusive = store.lock(control)?;
    let mut removed = Vec::new();
    while let Some(removal) = planned(store, rules, synced)?.into_iter().next() {
        exclusive.remove(&removal.name, control)?;
        removed.push(removal);
    }
    let did = Did {
        changed: !removed.is_empty(),
        detail: Some(format!("{} removed", removed.len())),
    };
    Ok((removed, did))
}
