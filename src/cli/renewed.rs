//! What came of an operation that has a workload begin again, in words.

use serde::Deserialize;

use super::units::{bytes, milliseconds};
use crate::protocol::{Name, State};

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

/// Of `fastsync`.
#[derive(Deserialize)]
pub(super) struct Synced {
    from_height: u64,
    height: Option<u64>,
    source: String,
}

impl Synced {
    pub(super) fn said(self, dry_run: bool) -> String {
        let Self {
            from_height: from,
            height,
            source,
        } = self;
        let to = height.map_or_else(
            || "the height of what is there".to_owned(),
            |height| height.to_string(),
        );
        match dry_run {
            true => format!("it would go from height {from} to {to}, by {source}\n"),
            false => format!("from height {from} to {to}, by {source}\n"),
        }
    }
}

/// Of `reboot`.
#[derive(Deserialize)]
pub(super) struct Rebooted {
    running: Vec<Name>,
}

impl Rebooted {
    pub(super) fn said(self, dry_run: bool, state: State) -> String {
        let running: Vec<_> = self.running.iter().map(Name::as_str).collect();
        let running = match running.is_empty() {
            true => "nothing".to_owned(),
            false => running.join(", "),
        };
        match (dry_run, state) {
            (true, _) => format!("would be stopped before, and started after: {running}\n"),
            (false, State::Succeeded) => format!("it has booted; started again: {running}\n"),
            (false, _) => format!("ran before: {running}\n"),
        }
    }
}

/// Of `reset`.
#[derive(Deserialize)]
pub(super) struct Anew {
    image: String,
    #[serde(default)]
    image_is_new: bool,
    downtime_ms: Option<u64>,
    #[serde(flatten)]
    plan: Option<Plan>,
}

impl Anew {
    pub(super) fn said(self) -> String {
        let image = self.image;
        if let Some(plan) = self.plan {
            return format!(
                "its container would be made anew from {image}, and begin from nothing\n{}",
                plan.said()
            );
        }
        let newer = match self.image_is_new {
            true => "newer than before",
            false => "the same as before",
        };
        let away = self.downtime_ms.map_or_else(String::new, |away| {
            format!("away for {}\n", milliseconds(away))
        });
        format!("made anew from {image} ({newer}), from nothing\n{away}")
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
