//! What came of an operation that has a workload begin again, in words.

use serde::Deserialize;

use super::units::{bytes, milliseconds};
use crate::protocol::Name;

/// Of `resync`.
#[derive(Deserialize)]
pub(super) struct Resynced {
    snapshot: Option<Name>,
    height: Option<u64>,
    bytes: Option<u64>,
    downtime_ms: Option<u64>,
    #[serde(flatten)]
    plan: Option<Plan>,
}

/// What a dry run tells beside it.
#[derive(Deserialize)]
pub(super) struct Plan {
    replaces_bytes: u64,
    replaces_files: u64,
    keeps: Vec<String>,
    free_bytes: u64,
    needs_bytes: u64,
}

impl Resynced {
    pub(super) fn said(self) -> String {
        let height = self
            .height
            .map_or_else(String::new, |height| format!(", height {height}"));
        let begins = match (&self.snapshot, self.bytes) {
            (Some(snapshot), Some(size)) => format!("{snapshot}: {}{height}", bytes(size)),
            _ => "nothing".to_owned(),
        };
        if let Some(plan) = self.plan {
            return format!("it would begin from {begins}\n{}", plan.said());
        }
        let away = self.downtime_ms.map_or_else(String::new, |away| {
            format!("away for {}\n", milliseconds(away))
        });
        format!("it began from {begins}\n{away}")
    }
}

impl Plan {
    pub(super) fn said(&self) -> String {
        let kept = match self.keeps.is_empty() {
            true => "nothing".to_owned(),
            false => self.keeps.join(", "),
        };
        format!(
            "in the place of {} in {} files; kept: {kept}\nneeds at most {}, {} are free\n",
            bytes(self.replaces_bytes),
            self.replaces_files,
            bytes(self.needs_bytes),
            bytes(self.free_bytes)
        )
    }
}
