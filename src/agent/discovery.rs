//! Discovery: where no workload is configured, the agent finds the miner or the node of its host by itself.
//!
//! After a power cut the agent may be there before the engine is. So what was found once is remembered: an operation
//! that was interrupted has its workload again, and a miner that was stopped is started.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use super::workloads::DOCKER_SOCKET;
use crate::config::Workload;
use crate::durable;
use crate::protocol::Name;
use crate::runtime::{docker, systemd};

/// How often a host that shows nothing new is looked over.
const INTERVAL: Duration = Duration::from_secs(10);

/// What is found on this host, and where that is remembered.
#[derive(Clone, Debug)]
pub struct Discovery {
    file: PathBuf,
    known: Vec<Workload>,
}

impl Discovery {
    /// Looks the host over.
    pub async fn begin(state_dir: &Path) -> Self {
        let file = state_dir.join("found.json");
        let remembered = match fs::read(&file).map(|text| serde_json::from_slice(&text)) {
            Ok(Ok(remembered)) => remembered,
            Ok(Err(error)) => {
                tracing::warn!("{} is not used: {error}", file.display());
                Vec::new()
            }
            // Nothing was found yet.
            Err(_) => Vec::new(),
        };
        let mut discovery = Self {
            file,
            known: remembered,
        };
        discovery.look().await;
        for workload in &discovery.known {
            tracing::info!(
                "nothing is configured; found {}, as {}",
                workload.name,
                workload.kind
            );
        }
        discovery
    }

    /// What is known to be here.
    pub fn workloads(&self) -> &[Workload] {
        &self.known
    }

    /// Returns when there is something new.
    pub async fn more(mut self) {
        loop {
            sleep(INTERVAL).await;
            if self.look().await {
                return;
            }
        }
    }

    /// Adds what is new, remembers it, and says whether there was anything. What is away is not forgotten: its state
    /// says that it is missing.
    async fn look(&mut self) -> bool {
        let found = miners().await.into_iter().chain(nodes().await);
        let new: Vec<_> = found
            .filter(|found| !self.known.iter().any(|known| known.name == found.name))
            .collect();
        if new.is_empty() {
            return false;
        }
        self.known.extend(new);
        let remembered = serde_json::to_vec_pretty(&self.known).map_err(|error| error.to_string());
        let written = remembered.and_then(|text| {
            durable::write(&self.file, &text, 0o640).map_err(|error| error.to_string())
        });
        if let Err(error) = written {
            tracing::warn!("what was found is not remembered: {error}");
        }
        true
    }
}

/// A container named as the hotspots' firmwares name their miner.
async fn miners() -> Vec<Workload> {
    match docker::discover(Path::new(DOCKER_SOCKET)).await {
        Ok(found) => found
            .into_iter()
            .filter_map(|found| Some(Workload::discovered(Name::new(found.container).ok()?)))
            .collect(),
        Err(error) => {
            tracing::debug!("no container was found: {error}");
            Vec::new()
        }
    }
}

/// A unit named as Harmony's packages name it.
async fn nodes() -> Vec<Workload> {
    match systemd::discover().await {
        Ok(found) => found
            .into_iter()
            .filter_map(|found| {
                Some(Workload::discovered_node(
                    Name::new(found.unit.stem()).ok()?,
                    found.unit,
                ))
            })
            .collect(),
        Err(error) => {
            tracing::debug!("no unit was found: {error}");
            Vec::new()
        }
    }
}
