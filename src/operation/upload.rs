//! The operation `upload`: sends a snapshot to the bucket, and removes from the bucket what is not needed any more.
//!
//! It leaves the workload alone, may take hours, can be cancelled at any point, and is continued after an interruption.

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::arguments;
use super::choice::{self, find};
use super::context::{Context, Did};
use super::labour::Limits;
use super::snapshots::Snapshots;
use crate::clock::Timestamp;
use crate::data::{Bucket, Control, Store};
use crate::protocol::{Failure, Name, Reason};

/// Sends a snapshot, or with `dry_run` tells what would be sent.
pub(super) async fn upload(context: &mut Context, asked: arguments::Upload) -> Result<(), Failure> {
    if context.given_up() {
        let message = "the agent was interrupted in the middle of this again and again";
        return Err(Failure::new(Reason::Interrupted, message));
    }
    let plan = context.snapshots()?.clone();
    let bucket = bucket(&plan, &context.workload.name)?.clone();
    let asked = asked.snapshot.as_ref();
    let (store, name) = find(context, &plan, asked)
        .await?
        .ok_or_else(|| choice::none(context, asked))?;
    let cancelled = context.cancelled.clone();
    send(context, bucket, store, name, cancelled).await
}

/// The bucket of the workload.
pub(super) fn bucket<'a>(plan: &'a Snapshots, workload: &Name) -> Result<&'a Bucket, Failure> {
    plan.bucket.as_ref().ok_or_else(|| {
        let message = format!("{workload} has no bucket: write a [workload.bucket] for it");
        Failure::new(Reason::Unsupported, message)
    })
}

/// The same as the last steps of another operation, which `cancelled` may give up.
pub(super) async fn send(
    context: &mut Context,
    bucket: Bucket,
    store: Store,
    name: Name,
    cancelled: CancellationToken,
) -> Result<(), Failure> {
    let (workload, dry_run) = (context.workload.name.clone(), context.record.dry_run);
    // rclone is its child and reads in its class.
    let limits = Limits::aside(0);
    let (to, from, sent) = (bucket.clone(), store.clone(), name.clone());
    let upload = move |control: &mut Control| {
        let uploaded = to.upload(&from, &workload, &sent, dry_run, control)?;
        let detail = match (uploaded.already, dry_run) {
            (true, _) => "the bucket has it already".to_owned(),
            (false, true) => format!("{} bytes are missing there", uploaded.sent_bytes),
            (false, false) => format!(
                "{} of {} objects sent, {} bytes; compared by {}",
                uploaded.sent, uploaded.objects, uploaded.sent_bytes, uploaded.compared_by
            ),
        };
        let did = Did {
            changed: !uploaded.already && !dry_run,
            detail: Some(detail),
        };
        Ok((uploaded, did))
    };
    if let Some(uploaded) = context
        .labour_until("upload", limits, cancelled.clone(), upload)
        .await?
    {
        let told = json!({"snapshot": name, "bucket": bucket.remote, "upload": uploaded});
        tell(context, told);
    }
    if !dry_run {
        tidy(context, bucket, store, cancelled).await;
    }
    Ok(())
}

/// What cannot be removed stays, and does not undo the upload: the step says why.
async fn tidy(context: &mut Context, bucket: Bucket, store: Store, cancelled: CancellationToken) {
    if !context.record.clock_synced {
        tracing::info!("nothing is removed from the bucket while the clock is not synchronised");
        return;
    }
    let workload = context.workload.name.clone();
    let tidy = move |control: &mut Control| {
        let tidied = bucket.tidy(&store, &workload, Timestamp::now(), control)?;
        let did = Did {
            changed: !tidied.snapshots.is_empty() || tidied.objects > 0,
            detail: Some(format!(
                "{} snapshots and {} objects removed, {} objects wait",
                tidied.snapshots.len(),
                tidied.objects,
                tidied.waiting
            )),
        };
        Ok((tidied, did))
    };
    let limits = Limits::default();
    match context.labour_until("tidy", limits, cancelled, tidy).await {
        Ok(Some(tidied)) => tell(context, json!({ "tidy": tidied })),
        Ok(None) => {}
        Err(failure) => tracing::warn!("the bucket is not tidied: {}", failure.message),
    }
}

/// Adds to what the operation gives.
pub(super) fn tell(context: &mut Context, told: serde_json::Value) {
    match (&mut context.record.output, told) {
        (Some(serde_json::Value::Object(output)), serde_json::Value::Object(told)) => {
            output.extend(told);
        }
        (output, told) => *output = Some(told),
    }
}
