//! The operation `logs`: a bounded tail of the workload's log, in its record.

use serde_json::Value;

use super::context::{Context, failure_of};
use super::workload::Workload;
use crate::protocol::Failure;

/// The most bytes of a log that are read at once.
pub(super) const MAX_LOG_BYTES: usize = 64 * 1024;

/// The most bytes of a log that a record holds: it is written to flash and sent retained.
const MAX_RECORD_LOG_BYTES: usize = 16 * 1024;

/// Puts the last lines into the record.
pub(super) async fn logs(context: &mut Context, lines: usize) -> Result<(), Failure> {
    let text = tail(&context.workload, lines, MAX_RECORD_LOG_BYTES).await?;
    context.record.changed = Some(false);
    context.record.output = Some(Value::String(text));
    Ok(())
}

/// The last lines of a workload's log.
pub(super) async fn tail(
    workload: &Workload,
    lines: usize,
    bytes: usize,
) -> Result<String, Failure> {
    workload
        .runtime
        .logs(lines, bytes)
        .await
        .map_err(failure_of)
}
