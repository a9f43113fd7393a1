//! The step `fetch`: brings a snapshot from the bucket into the store. The workload is left alone.

use serde_json::{Value, json};

use super::context::{Context, Did};
use super::labour::Limits;
use super::snapshots::Snapshots;
use super::upload::bucket;
use crate::data::bucket::Fetched;
use crate::data::{self, Bucket, Control, Manifest, refuse_other_engine, space};
use crate::protocol::{Failure, Name};

/// The step's name: it may take hours, and until it is done it can be cancelled.
pub(super) const FETCH: &str = "fetch";

/// Fetches the snapshot of that name, or the one that `LATEST` names, unless the store has it; gives its name.
///
/// What came whole before an interruption is not fetched again.
pub(super) async fn fetch(
    context: &mut Context,
    plan: &Snapshots,
    name: Option<&Name>,
) -> Result<Name, Failure> {
    let from = Source::new(context, plan, name)?;
    let remote = from.bucket.remote.clone();
    let fetch = move |control: &mut Control| {
        let (manifest, fetched) = from.look(true, control)?;
        if !fetched.already {
            let store = from.plan.opened()?;
            let Source {
                bucket,
                workload,
                wanted,
                plan,
                ..
            } = &from;
            // LATEST may have moved on: what was looked at is what is fetched.
            let name = Some(&manifest.name);
            bucket.fetch(&store, workload, wanted, name, plan.reserve, control)?;
        }
        let did = Did {
            changed: !fetched.already,
            detail: Some(match fetched.already {
                true => format!("{} is in the store already", manifest.name),
                false => format!(
                    "{}: {} of {} objects fetched, {} bytes",
                    manifest.name, fetched.fetched, fetched.objects, fetched.fetched_bytes
                ),
            }),
        };
        Ok(((manifest.name, fetched), did))
    };
    // What an earlier life fetched is found again in the store.
    context.forget_steps(&[FETCH]);
    let cancelled = context.cancelled.clone();
    let done = context
        .labour_until(FETCH, Limits::aside(0), cancelled, fetch)
        .await?;
    let (name, fetched) = super::snapshot::whole(done)?;
    context.record.output = Some(json!({ "fetch": told(&remote, &fetched) }));
    Ok(name)
}

/// With `dry_run`: what would be fetched, and whether there is room. Nothing is fetched and nothing made.
pub(super) async fn planned(
    context: &mut Context,
    plan: &Snapshots,
    name: Option<&Name>,
    link: bool,
) -> Result<(), Failure> {
    let from = Source::new(context, plan, name)?;
    let remote = from.bucket.remote.clone();
    let look = move |control: &mut Control| {
        let (manifest, fetched) = from.look(false, control)?;
        let store = from.plan.path()?;
        let there = store.ancestors().find(|path| path.exists());
        let free = space::free(there.unwrap_or(&store))?;
        Ok(((manifest, fetched, free), Did::default()))
    };
    let cancelled = context.cancelled.clone();
    let looked = context
        .labour_until("look", Limits::default(), cancelled, look)
        .await?;
    let (manifest, fetched, free) = super::snapshot::whole(looked)?;
    let staged = if link { 0 } else { manifest.total_bytes };
    context.record.changed = Some(false);
    context.record.output = Some(json!({
        "snapshot": manifest.name,
        "height": manifest.height,
        "bytes": manifest.total_bytes,
        "files": manifest.files.len(),
        "fetch": told(&remote, &fetched),
        "needs_bytes": fetched.fetched_bytes.saturating_add(staged),
        "free_bytes": free.bytes,
    }));
    Ok(())
}

fn told(remote: &str, fetched: &Fetched) -> Value {
    json!({
        "bucket": remote,
        "objects": fetched.objects,
        "fetched": fetched.fetched,
        "fetched_bytes": fetched.fetched_bytes,
        "already": fetched.already,
    })
}

/// Where it comes from, and what it must be.
struct Source {
    bucket: Bucket,
    plan: Snapshots,
    workload: Name,
    wanted: data::Workload,
    name: Option<Name>,
}

impl Source {
    fn new(context: &Context, plan: &Snapshots, name: Option<&Name>) -> Result<Self, Failure> {
        Ok(Self {
            bucket: bucket(plan, &context.workload.name)?.clone(),
            plan: plan.clone(),
            workload: context.workload.name.clone(),
            wanted: context.identity(plan),
            name: name.cloned(),
        })
    }

    /// What is there, checked before hours are spent on it: whose it is, and that it is of the engine that is here.
    fn look(&self, make: bool, control: &mut Control) -> Result<(Manifest, Fetched), data::Error> {
        let store = self.plan.at(make)?;
        let (manifest, fetched) = self.bucket.plan_fetch(
            store.as_ref(),
            &self.workload,
            &self.wanted,
            self.name.as_ref(),
            control,
        )?;
        refuse_other_engine(&self.plan.source.root, &manifest, control)?;
        Ok((manifest, fetched))
    }
}
