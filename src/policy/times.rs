//! When a schedule ran last: kept over restarts, written only when something runs.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::blocking::spawn_blocking;
use crate::durable;
use crate::protocol::{Name, Operation};

/// What is known of one schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ran {
    /// The expression: another one begins anew.
    pub cron: String,
    /// The last due time that was dealt with, in seconds since 1970.
    pub last: i64,
}

/// `schedules.json`: by workload and operation.
#[derive(Debug)]
pub(super) struct Times {
    path: PathBuf,
    ran: BTreeMap<Name, BTreeMap<Operation, Ran>>,
}

impl Times {
    /// Reads what there is. A file that cannot be read is no reason not to start: every schedule begins anew.
    pub fn open(state_dir: &Path) -> Self {
        let path = state_dir.join("schedules.json");
        let ran = match fs::read(&path) {
            Ok(content) => serde_json::from_slice(&content).unwrap_or_else(|error| {
                tracing::error!("{} is no list of times ({error})", path.display());
                BTreeMap::new()
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                tracing::error!("cannot read {}: {error}", path.display());
                BTreeMap::new()
            }
        };
        Self { path, ran }
    }

    pub fn get(&self, workload: &Name, operation: Operation) -> Option<&Ran> {
        self.ran.get(workload)?.get(&operation)
    }

    /// Keeps it, durably. Where the disk refuses, it is kept until the agent ends.
    pub async fn set(&mut self, workload: &Name, operation: Operation, ran: Ran) {
        let of = self.ran.entry(workload.clone()).or_default();
        of.insert(operation, ran);
        // Maps with names as keys always serialise.
        let content = serde_json::to_vec_pretty(&self.ran).unwrap_or_default();
        let path = self.path.clone();
        let write =
            move || durable::write(&path, &content, 0o600).map_err(|error| error.to_string());
        let written = spawn_blocking(write).await;
        if let Err(error) = written.unwrap_or_else(|error| Err(error.to_string())) {
            tracing::error!("the time of a scheduled run is not durable: {error}");
        }
    }
}
