//! The operation `resync`: the workload begins again from its newest good snapshot, or from nothing, and is who it was.

use serde_json::{Value, json};

use super::arguments::{From, Resync};
use super::choice::{Choice, choose};
use super::context::{Context, Did};
use super::labour::Limits;
use super::recovery::{self, recover};
use super::restore::{replace, stage, verify};
use super::snapshot::whole;
use super::snapshots::Snapshots;
use crate::data::store::Exclusive;
use crate::data::{Control, Replaced, Staged, Summary, space};
use crate::protocol::{Failure, Reason};

/// Resyncs.
pub(super) async fn resync(context: &mut Context, asked: Resync) -> Result<(), Failure> {
    refuse_without_chain(context)?;
    let found = context.found().await?;
    if context.recovered() {
        return recover(context, &found).await;
    }
    let plan = context.snapshots()?.clone();
    if context.record.dry_run {
        return planned(context, &plan, asked).await;
    }
    let found = recovery::end_earlier(context, &found).await?;
    let (staged, begins) = match asked.from {
        From::Snapshot => {
            let chosen = best(context, &plan).await?;
            verify(context, &plan, &chosen).await?;
            let staged = stage(context, &plan, &chosen, asked.link).await?;
            (staged, begins_with(&chosen.summary))
        }
        From::Scratch => (
            nothing(context, &plan).await?,
            json!({"from": From::Scratch}),
        ),
    };
    context.record.output = Some(begins);
    replace(context, &plan, &found, staged).await?;
    add_downtime(context);
    Ok(())
}

/// How long the workload was away, by the steps that it waited for.
pub(super) fn add_downtime(context: &mut Context) {
    if let Some(Value::Object(output)) = &mut context.record.output {
        let away = ["stop", "carry", "exchange", "swap", "start", "confirm"];
        let took = |name| context.record.steps.iter().find(|step| step.name == name);
        let took = away.into_iter().filter_map(|name| took(name)?.took_ms);
        output.insert("downtime_ms".to_owned(), json!(took.sum::<u64>()));
    }
}

/// What has no chain would stay empty.
pub(super) fn refuse_without_chain(context: &Context) -> Result<(), Failure> {
    let workload = &context.workload;
    if workload.kind.has_chain() {
        return Ok(());
    }
    let message = format!(
        "{} is of kind {}: nothing would give it its data again",
        workload.name,
        workload.kind.name()
    );
    Err(Failure::new(Reason::Unsupported, message))
}

/// The newest good snapshot; where there is none, what to do.
async fn best(context: &mut Context, plan: &Snapshots) -> Result<Choice, Failure> {
    let chosen = choose(context, plan, None).await?;
    chosen.ok_or_else(|| no_snapshot(context))
}

fn no_snapshot(context: &Context) -> Failure {
    let workload = &context.workload.name;
    let message = format!(
        "{workload} has no good snapshot to begin from: take one (ostler snapshot {workload}) while it is well, or have it \
         begin from nothing (ostler resync {workload} --from scratch)"
    );
    Failure::new(Reason::NotPossible, message)
}

fn begins_with(summary: &Summary) -> Value {
    json!({
        "from": From::Snapshot,
        "snapshot": summary.name,
        "height": summary.height,
        "bytes": summary.total_bytes,
        "files": summary.files,
    })
}

/// Stages a tree with nothing in it.
pub(super) async fn nothing(
    context: &mut Context,
    plan: &Snapshots,
) -> Result<(Exclusive, Staged), Failure> {
    let plan = plan.clone();
    let stage = move |control: &mut Control| {
        let exclusive = plan.opened()?.lock(control)?;
        let source = &plan.source;
        let staged = Staged::empty(&exclusive, &source.root, &source.include, control)?;
        Ok(((exclusive, staged), Did::default()))
    };
    whole(context.labour("stage", Limits::default(), stage).await?)
}

/// With `dry_run`: what would be put in the place of what, and whether there is room. Looks, and makes nothing.
async fn planned(context: &mut Context, plan: &Snapshots, asked: Resync) -> Result<(), Failure> {
    let (mut begins, needs) = match asked.from {
        From::Snapshot => {
            let Choice { summary, .. } = best(context, plan).await?;
            let copied = match asked.link {
                true => 0,
                false => summary.total_bytes,
            };
            (begins_with(&summary), copied)
        }
        From::Scratch => (json!({"from": From::Scratch}), 0),
    };
    let replaced = replaced(context, plan).await?;
    if let (Value::Object(begins), Value::Object(replaced)) = (&mut begins, replaced) {
        begins.extend(replaced);
        begins.insert("needs_bytes".to_owned(), json!(needs));
    }
    context.record.changed = Some(false);
    context.record.output = Some(begins);
    Ok(())
}

/// What would be taken away, what would be kept, and how much room there is.
pub(super) async fn replaced(context: &mut Context, plan: &Snapshots) -> Result<Value, Failure> {
    let source = plan.source.clone();
    let look = move |control: &mut Control| {
        let replaced = Replaced::look(&source, control)?;
        // Data that is not there yet would be made below what is.
        let there = source.root.ancestors().find(|path| path.exists());
        let free = space::free(there.unwrap_or(&source.root))?;
        Ok(((replaced, free), Did::default()))
    };
    let looked = context.labour("look", Limits::default(), look).await?;
    let (replaced, free) = whole(looked)?;
    Ok(json!({
        "replaces_bytes": replaced.bytes,
        "replaces_files": replaced.files,
        "keeps": replaced.kept.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "free_bytes": free.bytes,
    }))
}
