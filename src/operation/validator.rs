//! A validator's tree, and how a checkpoint is put into it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::context::Context;
use crate::data::Retention;
use crate::protocol::{Failure, Reason};

/// A validator, and what a restore may do with it.
#[derive(Clone, Debug)]
pub struct Validator {
    /// The root of its repository: `validation/` and `backups/` are in it.
    pub directory: PathBuf,
    /// User and group that it runs as; `None` is the owner of what is there.
    pub owner: Option<(u32, u32)>,
    /// A directory of the agent's own, for journals and downloads.
    pub state: PathBuf,
    /// Bytes that stay free.
    pub reserve: u64,
    /// How long it has to stay up after a start until it counts as well.
    pub crash_window: Duration,
    /// When it is started from outside the agent.
    pub dead_man: Duration,
    /// Where a checkpoint may come from.
    pub download: Download,
    /// How the validator's own script is run.
    pub script: Script,
    /// Which backups stay.
    pub backups: Backups,
}

/// What a download is held to.
#[derive(Clone, Debug)]
pub struct Download {
    /// The most bytes that it may have.
    pub most: u64,
    /// The authority of the servers' certificates; `None` is the system's.
    pub ca_file: Option<PathBuf>,
}

/// How the validator's own script is run.
#[derive(Clone, Debug)]
pub struct Script {
    /// The interpreter; `None` is the one in the repository's `venv`, else `python3`.
    pub python: Option<PathBuf>,
    /// How long it may take.
    pub patience: Duration,
}

/// Which of the backups that the agent made stay. Others are never touched.
pub type Backups = Retention;

impl Validator {
    /// The journal of an exchange of its tree.
    pub(super) fn journal(&self) -> PathBuf {
        self.state.join("exchange.json")
    }

    /// Where downloads are.
    pub(super) fn downloads(&self) -> PathBuf {
        self.state.join("downloads")
    }

    /// The release of its code, as it says itself.
    pub(super) fn version(&self) -> Result<String, String> {
        let path = self.directory.join("meta/meta.json");
        let shown = path.display();
        let text = fs::read(&path).map_err(|error| format!("{shown}: {error}"))?;
        let meta: serde_json::Value =
            serde_json::from_slice(&text).map_err(|error| format!("{shown}: {error}"))?;
        match meta.get("subnet_version").and_then(|it| it.as_str()) {
            Some(version) => Ok(version.chars().take(64).collect()),
            None => Err(format!("{shown} has no `subnet_version`")),
        }
    }

    /// The updater's lock, where it is at work: `git pull` holds it.
    pub(super) fn update_lock(&self) -> Option<PathBuf> {
        let lock = self.directory.join(".git/index.lock");
        lock.exists().then_some(lock)
    }
}

impl Context {
    /// The validator of the workload.
    pub fn validator(&self) -> Result<&Validator, Failure> {
        self.workload.validator.as_ref().ok_or_else(|| {
            let message = format!(
                "{} is no validator: set `kind = \"ptn\"` and `directory` in [workload.ptn]",
                self.workload.name
            );
            Failure::new(Reason::Unsupported, message)
        })
    }
}
