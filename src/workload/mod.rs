//! What a workload is and how it is: by its kind's probe.

mod chain_snapshots;
pub mod generic;
pub mod harmony;
pub mod helium;
pub mod ptn;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

pub use self::chain_snapshots::ChainSnapshots;
use crate::protocol::{Health, Part, SyncState};

/// What a program inside a workload said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Its exit status. These programs tell by their text; the status only says which kind of text it is.
    pub status: i64,
    /// Its standard output.
    pub text: String,
}

/// A program inside a workload gave no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// Whether it was waited for in vain; otherwise it could not be run.
    pub late: bool,
    /// What happened, in words.
    pub why: String,
}

/// Runs programs inside a workload: the probes' only way in.
#[async_trait]
pub trait Inside: Send + Sync {
    /// What the program wrote to its standard output, or why not.
    async fn ask(&self, command: &[&str], deadline: Duration) -> Result<Said, Unanswered>;

    /// The processes that it was just seen to be made of; empty where its runtime does not tell them apart.
    fn parts(&self) -> &[Part] {
        &[]
    }
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
    /// How it stands to its chain, where its kind follows one.
    pub standing: Option<Standing>,
    /// What else its kind knows of it, for people.
    pub details: BTreeMap<String, String>,
}

impl Finding {
    /// A finding of which nothing more is known.
    pub fn new(health: Health, reason: Option<String>) -> Self {
        Self {
            health,
            reason,
            height: None,
            gap: None,
            standing: None,
            details: BTreeMap::new(),
        }
    }
}

/// How a workload stands to its chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// In one word.
    pub state: SyncState,
    /// The height of the chain.
    pub chain_height: Option<u64>,
    /// How many blocks it takes in a second, of late.
    pub blocks_per_second: Option<f64>,
    /// Seconds until it has caught up, at that rate.
    pub seconds_left: Option<u64>,
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

    /// Whether its probe asks the workload itself; where it does not, whatever runs is well, also what is about to crash.
    fn is_asked(&self) -> bool {
        true
    }

    /// How it is brought forward by a snapshot of its chain, where it can be.
    fn chain_snapshots(&self) -> Option<&dyn ChainSnapshots> {
        None
    }

    /// How a running workload is. Ends within a minute, whatever the workload does.
    async fn probe(&self, inside: &dyn Inside) -> Finding;

    /// What speaks against a snapshot of a running workload now; empty is nothing.
    async fn conditions(&self, _inside: &dyn Inside) -> Vec<String> {
        Vec::new()
    }
}
