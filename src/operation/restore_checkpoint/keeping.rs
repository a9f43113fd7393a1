//! What becomes of the old tree of a validator, and of the trees before it.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::backup::{self, Origin};
use super::place::{Backup, Place};
use super::staging::Exclusive;
use super::{backup_name, tell};
use crate::data::exchange::Exchange;
use crate::data::{Control, Error};
use crate::operation::context::{Context, Did};
use crate::operation::labour::Limits;
use crate::operation::validator::Validator;
use crate::protocol::{Failure, Reason};

/// The old tree becomes a backup.
pub(super) async fn keep(context: &mut Context, validator: &Validator) -> Result<(), Failure> {
    let backup = planned_backup(context)?;
    let origin = origin(context);
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

/// The old tree of an earlier restore, which could not become a backup then, does so now.
pub(super) async fn keep_earlier(
    context: &mut Context,
    validator: &Validator,
) -> Result<(), Failure> {
    let (place, name) = (Place::find(validator)?, backup_name(context));
    let owner = place.owner(validator)?;
    let origin = origin(context);
    let plan = validator.clone();
    let work = move |_: &mut Control| {
        let Some(exchange) = Exchange::pending(&plan.journal())? else {
            return Ok(((), Did::default()));
        };
        let backup = place.backup(&name, &owner)?;
        let kept = backup::keep(&plan, exchange, &backup, origin)?;
        let did = Did {
            changed: true,
            detail: kept.map(|path| format!("the state before is {}", path.display())),
        };
        Ok(((), did))
    };
    context
        .labour("keep earlier", Limits::default(), work)
        .await
        .map(drop)
}

fn origin(context: &Context) -> Origin {
    Origin {
        at: context.record.accepted_at,
        clock_synced: context.record.clock_synced,
        operation: context.record.id.clone(),
    }
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
pub(super) async fn prune_backups(
    context: &mut Context,
    validator: &Validator,
) -> Result<(), Failure> {
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
pub(in crate::operation) async fn prune(context: &mut Context) -> Result<(), Failure> {
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
