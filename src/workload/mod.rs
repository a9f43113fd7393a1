//! What a workload is and how it is: by its kind's probe.

pub mod generic;
pub mod harmony;
pub mod helium;

use std::time::Duration;

use async_trait::async_trait;

use crate::protocol::Health;

/// Runs programs inside a workload: the probes' only way in.
#[async_trait]
pub trait Inside: Send + Sync {
    /// What the program wrote to its standard output, or why not. A non-zero exit status is `Ok` as well:
    /// these programs tell by their text.
    async fn ask(&self, command: &[&str], deadline: Duration) -> Result<String, String>;
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// How well the workload does its work.
    pub health: Health,
    /// Why, in words.
    pub reason: Option<String>,
    /// Its block height.
    pub height: Option<u64>,
    /// How many blocks it is behind its chain.
    pub gap: Option<i64>,
}

/// What a workload is.
#[async_trait]
pub trait Kind: Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &'static str;

    /// Whether it has a chain, so that its network gives it all of its data again when it begins from nothing.
    fn has_chain(&self) -> bool {
        false
    }

    /// How a running workload is. Ends within a minute, whatever the workload does.
    async fn probe(&self, inside: &dyn Inside) -> Finding;

    /// What speaks against a snapshot of a running workload now; empty is nothing.
    async fn conditions(&self, _inside: &dyn Inside) -> Vec<String> {
        Vec::new()
    }
}
