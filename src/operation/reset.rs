//! The operation `reset`: the workload begins again from nothing, in a container made anew from a freshly pulled image.
//!
//! All that can fail for reasons outside of this host (the pull above all) comes first, while the workload runs.

use serde_json::{Value, json};

use super::context::{Context, Did, cancelled, failure_of};
use super::recovery::{recover, refuse_unended};
use super::renew::renewal;
use super::restore::replace;
use super::resync::{add_downtime, nothing, refuse_without_chain, replaced};
use super::{renew, snapshots::Snapshots};
use crate::protocol::{Failure, Progress};
use crate::runtime::Pulled;

/// Resets.
pub(super) async fn reset(context: &mut Context) -> Result<(), Failure> {
    refuse_without_chain(context)?;
    renewal(&context.workload)?;
    let found = context.found().await?;
    if context.recovered() {
        return recover(context, &found).await;
    }
    let plan = context.snapshots()?.clone();
    let image = check(context, &plan).await?;
    if context.record.dry_run {
        let mut output = replaced(context, &plan).await?;
        if let Value::Object(output) = &mut output {
            output.insert("image".to_owned(), json!(image));
            output.insert("needs_bytes".to_owned(), json!(0));
        }
        context.record.changed = Some(false);
        context.record.output = Some(output);
        return Ok(());
    }
    refuse_unended(context).await?;
    let pulled = pull(context).await?;
    context.record.output = Some(json!({
        "image": image,
        "image_id": pulled.id,
        "image_is_new": pulled.is_new,
    }));
    let workload = context.workload.clone();
    let create = async {
        let prepared = renewal(&workload)?.prepare().await;
        prepared.map_err(failure_of)?;
        Ok(Did::default())
    };
    context.step("create", create).await?;
    let staged = match nothing(context, &plan).await {
        Ok(staged) => staged,
        Err(failure) => {
            renew::tidy(context).await;
            return Err(failure);
        }
    };
    replace(context, &plan, &found, staged).await?;
    add_downtime(context);
    Ok(())
}

/// What speaks against it, before anything is done; gives the image's name.
async fn check(context: &mut Context, plan: &Snapshots) -> Result<String, Failure> {
    let workload = context.workload.clone();
    let root = plan.source.root.clone();
    let mut image = String::new();
    let check = async {
        let origin = renewal(&workload)?.origin(&root).await;
        image = origin.map_err(failure_of)?;
        Ok(Did::default())
    };
    context.step("check", check).await?;
    Ok(image)
}

async fn pull(context: &mut Context) -> Result<Pulled, Failure> {
    let (workload, ledger) = (context.workload.clone(), context.ledger.clone());
    let (id, cancel) = (context.record.id.clone(), context.cancelled.clone());
    let mut came = None;
    let pull = async {
        let tell = |done, total| {
            let progress = Progress {
                done,
                total: Some(total),
                unit: "bytes".to_owned(),
                ..Progress::default()
            };
            ledger.tell_progress(&id, progress);
        };
        let pulled = tokio::select! {
            pulled = renewal(&workload)?.pull(&tell) => pulled.map_err(failure_of)?,
            () = cancel.cancelled() => return Err(cancelled("cancelled during the pull")),
        };
        let detail = match pulled.is_new {
            true => "there was a newer image",
            false => "it is the newest already",
        };
        came = Some(pulled);
        Ok(Did {
            changed: false,
            detail: Some(detail.to_owned()),
        })
    };
    context.step("pull", pull).await?;
    super::snapshot::whole(came)
}
