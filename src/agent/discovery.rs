//! Discovery: where no workload is configured, the agent finds the miner or the node of its host by itself.
//!
//! After a power cut the agent may be there before the engine is. So what was found once is remembered: an operation
//! that was interrupted has its workload again, and a miner that was stopped is started.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::workloads::DOCKER_SOCKET;
use crate::config::{Pm2, Runtime, Workload};
use crate::durable;
use crate::protocol::Name;
use crate::runtime::{docker, pm2, systemd};

/// How often a host that shows nothing new is looked over.
const INTERVAL: Duration = Duration::from_secs(10);

/// How often a PM2 that has no validator is asked again: its program is a heavy one.
const PM2_INTERVAL: Duration = Duration::from_secs(60);

/// What is found on this host, and where that is remembered.
#[derive(Clone, Debug)]
pub struct Discovery {
    file: PathBuf,
    known: Vec<Workload>,
    asked_pm2: Option<Instant>,
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
            asked_pm2: None,
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
        let found = miners().await.into_iter();
        let found = found.chain(nodes().await).chain(self.validators().await);
        let mut new: Vec<Workload> = Vec::new();
        for found in found {
            let mut known = self.known.iter().chain(&new);
            if !known.any(|known| known.name == found.name) {
                new.push(found);
            }
        }
        if new.is_empty() {
            return false;
        }
        self.known.extend(new);
        let (file, known) = (self.file.clone(), self.known.clone());
        let remember = move || {
            let text = serde_json::to_vec_pretty(&known).map_err(|error| error.to_string())?;
            durable::write(&file, &text, 0o640).map_err(|error| error.to_string())
        };
        let written = spawn_blocking(remember).await;
        if let Err(error) = written.unwrap_or_else(|error| Err(error.to_string())) {
            tracing::warn!("what was found is not remembered: {error}");
        }
        true
    }

    /// A validator in a PM2 that runs, with its updater named as its instructions name it.
    async fn validators(&mut self) -> Vec<Workload> {
        let now = Instant::now();
        if self
            .asked_pm2
            .is_some_and(|asked| now.duration_since(asked) < PM2_INTERVAL)
        {
            return Vec::new();
        }
        self.asked_pm2 = Some(now);
        let known: Vec<PathBuf> = self.known.iter().filter_map(pm2_home).collect();
        match pm2::discover(&known).await {
            Ok(found) => found
                .into_iter()
                .filter_map(|found| self.validator(found))
                .collect(),
            Err(error) => {
                tracing::debug!("no validator was found: {error}");
                Vec::new()
            }
        }
    }

    fn validator(&self, found: pm2::Found) -> Option<Workload> {
        let is_taken = |name: &Name| self.known.iter().any(|known| known.name == *name);
        let first = Name::new("validator").ok().filter(|name| !is_taken(name));
        let name = first.or_else(|| Name::new(format!("validator-{}", found.user)).ok())?;
        let pm2 = Pm2 {
            user: found.user,
            pm2_home: Some(found.pm2_home),
            program: None,
            apps: found.apps,
            start: None,
        };
        Some(Workload::discovered_validator(name, pm2, found.directory))
    }
}

fn pm2_home(workload: &Workload) -> Option<PathBuf> {
    match &workload.runtime {
        Runtime::Pm2(pm2) => pm2.pm2_home.clone(),
        Runtime::Docker(_) | Runtime::Systemd(_) => None,
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
