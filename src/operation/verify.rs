//! The operation `verify`: reads a snapshot again and marks it bad where it is damaged.

use serde_json::json;

use super::arguments;
use super::choice::{self, find};
use super::context::{Context, Did};
use super::labour::Limits;
use crate::data::{self, Control};
use crate::protocol::{Failure, Reason};

/// How many damages a record names.
const NAMED: usize = 20;

/// Verifies; a damaged snapshot fails the operation.
pub(super) async fn verify(context: &mut Context, asked: arguments::Verify) -> Result<(), Failure> {
    let plan = context.snapshots()?.clone();
    let (rate, wanted) = (plan.rate, asked.snapshot.as_ref());
    let (store, name) = find(context, &plan, wanted)
        .await?
        .ok_or_else(|| choice::none(context, wanted))?;
    if context.record.dry_run {
        context.record.changed = Some(false);
        context.record.output = Some(json!({"snapshot": name, "level": asked.level}));
        return Ok(());
    }
    let verified = name.clone();
    let work = move |control: &mut Control| {
        let report = data::verify(&store, &verified, asked.level, control)?;
        let detail = Some(format!(
            "{} bytes, {} checksums",
            report.bytes, report.checked
        ));
        Ok((
            report,
            Did {
                changed: false,
                detail,
            },
        ))
    };
    let Some(report) = context.labour("verify", Limits::aside(rate), work).await? else {
        return Ok(());
    };
    let damages: Vec<_> = report
        .damages
        .iter()
        .take(NAMED)
        .map(|damage| json!({"path": damage.path.as_str(), "what": damage.what}))
        .collect();
    context.record.output = Some(json!({
        "snapshot": name,
        "level": report.level,
        "bytes": report.bytes,
        "checked": report.checked,
        "damages": damages,
    }));
    match report.damages.first() {
        None => Ok(()),
        Some(first) => Err(Failure::new(
            Reason::Damaged,
            format!(
                "snapshot {} is damaged in {} places and is marked bad: {}: {}",
                name,
                report.damages.len(),
                first.path,
                first.what
            ),
        )),
    }
}
