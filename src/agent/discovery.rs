//! Discovery: where no workload is configured, the agent finds the miner or the node of its host by itself.
//!
//! After a power cut the agent may be there before the engine is. So what was found once is remembered: an operation
//! that was interrupted has its workload again, and a miner that was stopped is started.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::workloads::DOCKER_SOCKET;
use crate::blocking::spawn_blocking;
use crate::config::{Pm2, Workload};
use crate::durable;
use crate::protocol::Name;
use crate::runtime::systemd::UnitName;
use crate::runtime::{docker, pm2, systemd};

/// How often a host that shows nothing new is looked over.
const INTERVAL: Duration = Duration::from_secs(10);

/// How often a PM2 that has no validator is asked again: its program is a heavy one.
const PM2_INTERVAL: Duration = Duration::from_secs(60);

/// Something that was found, as it is remembered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Finding {
    /// A miner, and what the engine calls its container.
    Miner(Name),
    /// A node.
    Node(Name, UnitName),
    /// A validator.
    Validator(Name, pm2::Found),
}

impl Finding {
    fn name(&self) -> &Name {
        match self {
            Finding::Miner(name) | Finding::Node(name, _) | Finding::Validator(name, _) => name,
        }
    }

    fn workload(&self) -> Workload {
        match self.clone() {
            Finding::Miner(container) => Workload::discovered(container),
            Finding::Node(name, unit) => Workload::discovered_node(name, unit),
            Finding::Validator(name, found) => {
                let pm2 = Pm2 {
                    user: found.user,
                    pm2_home: Some(found.pm2_home),
                    program: None,
                    apps: found.apps,
                    start: None,
                };
                Workload::discovered_validator(name, pm2, found.directory)
            }
        }
    }
}

/// What is found on this host, and where that is remembered.
#[derive(Clone, Debug)]
pub struct Discovery {
    file: PathBuf,
    known: Vec<Finding>,
    asked_pm2: Option<Instant>,
}

impl Discovery {
    /// Looks the host over.
    pub async fn begin(state_dir: &Path) -> Self {
        let file = state_dir.join("found.json");
        let read = |text: Vec<u8>| serde_json::from_slice::<Vec<Finding>>(&text);
        let remembered = match fs::read(&file).map(read) {
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
        for workload in discovery.workloads() {
            tracing::info!(
                "nothing is configured; found {}, as {}",
                workload.name,
                workload.kind
            );
        }
        discovery
    }

    /// What is known to be here.
    pub fn workloads(&self) -> Vec<Workload> {
        self.known.iter().map(Finding::workload).collect()
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
        let mut new: Vec<Finding> = Vec::new();
        for found in found {
            let mut known = self.known.iter().chain(&new);
            if !known.any(|known| known.name() == found.name()) {
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
    async fn validators(&mut self) -> Vec<Finding> {
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

    fn validator(&self, found: pm2::Found) -> Option<Finding> {
        let is_taken = |name: &Name| self.known.iter().any(|known| known.name() == name);
        let first = Name::new("validator").ok().filter(|name| !is_taken(name));
        let name = first.or_else(|| Name::new(format!("validator-{}", found.user)).ok())?;
        Some(Finding::Validator(name, found))
    }
}

fn pm2_home(finding: &Finding) -> Option<PathBuf> {
    match finding {
        Finding::Validator(_, found) => Some(found.pm2_home.clone()),
        Finding::Miner(_) | Finding::Node(..) => None,
    }
}

/// A container named as the hotspots' firmwares name their miner.
async fn miners() -> Vec<Finding> {
    match docker::discover(Path::new(DOCKER_SOCKET)).await {
        Ok(found) => found
            .into_iter()
            .filter_map(|found| Some(Finding::Miner(Name::new(found.container).ok()?)))
            .collect(),
        Err(error) => {
            tracing::debug!("no container was found: {error}");
            Vec::new()
        }
    }
}

/// A unit named as Harmony's packages name it.
async fn nodes() -> Vec<Finding> {
    match systemd::discover().await {
        Ok(found) => found
            .into_iter()
            .filter_map(|found| {
                let name = Name::new(found.unit.stem()).ok()?;
                Some(Finding::Node(name, found.unit))
            })
            .collect(),
        Err(error) => {
            tracing::debug!("no unit was found: {error}");
            Vec::new()
        }
    }
}
