//! What has to be so before the node is stopped for a snapshot.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::answers::{Header, Metadata, Shard};
use super::head::{Age, age};
use super::rpc::{Error, Rpc};
use super::{Harmony, dns};

/// What the node is expected to be. What is `None` can be anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// What it does.
    pub role: Option<Role>,
    /// Which network it is on.
    pub network: Option<Network>,
    /// Its shard.
    pub shard: Option<u32>,
    /// Whether it leads its shard: a leader that is stopped halts its shard.
    pub is_leader: bool,
    /// Whether it keeps the state of every block.
    pub is_archival: Option<bool>,
    /// How old its head may be, in seconds.
    pub max_seconds_since_last_block: u64,
    /// The address by which the network knows this host, where it is not one of its own.
    pub public_address: Option<IpAddr>,
}

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// It validates blocks.
    Validator,
    /// It serves an explorer.
    ExplorerNode,
}

/// Harmony's networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Network {
    Mainnet,
    Testnet,
    Pangaea,
    Partner,
    Stressnet,
    Devnet,
    Localnet,
}

impl Role {
    /// As the node says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Validator => "Validator",
            Role::ExplorerNode => "ExplorerNode",
        }
    }
}

impl Network {
    /// As the node says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Network::Mainnet => "mainnet",
            Network::Testnet => "testnet",
            Network::Pangaea => "pangaea",
            Network::Partner => "partner",
            Network::Stressnet => "stressnet",
            Network::Devnet => "devnet",
            Network::Localnet => "localnet",
        }
    }
}

impl Harmony {
    /// Everything that speaks against stopping the node now, together; empty is nothing. Takes half a minute at most.
    pub async fn problems(&self) -> Vec<String> {
        let rpc = &self.rpc;
        let (metadata, header, in_sync, shards) = tokio::join!(
            rpc.ask::<Metadata>("getNodeMetadata"),
            rpc.ask::<Header>("latestHeader"),
            in_sync(rpc),
            rpc.ask::<Vec<Shard>>("getShardingStructure"),
        );
        let mut problems = Vec::new();
        if let Some(metadata) = taken(&metadata, &mut problems) {
            self.expected.compare(metadata, &mut problems);
        }
        if let Some(header) = taken(&header, &mut problems) {
            problems.extend(self.head_problem(header));
        }
        if let Some(Some(false)) = taken(&in_sync, &mut problems) {
            problems.push("it is not in sync: wait until it has caught up".to_owned());
        }
        let shards = taken(&shards, &mut problems);
        if let (Some(shards), Ok(metadata)) = (shards, &metadata) {
            problems.extend(self.dns_problem(shards, metadata.shard_id).await);
        }
        // A node that is down fails every question in the same words.
        let mut told = std::collections::BTreeSet::new();
        problems.retain(|problem| told.insert(problem.clone()));
        problems
    }

    fn head_problem(&self, header: &Header) -> Option<String> {
        let most = self.expected.max_seconds_since_last_block;
        match age(header, most, &self.clock) {
            Age::Fresh => None,
            Age::Old(seconds) => Some(format!(
                "its last block is {seconds} s old, and may be {most} s"
            )),
            Age::Ahead(seconds) => Some(format!(
                "its last block is {seconds} s in the future: check this device's clock"
            )),
            Age::Unknown => Some(
                "nobody can tell how old its last block is: this device's clock is not synchronised yet".to_owned(),
            ),
        }
    }

    async fn dns_problem(&self, shards: &[Shard], shard: u32) -> Option<String> {
        let Some(entry) = shards.iter().find(|entry| entry.id == shard) else {
            return Some(format!(
                "its network knows no shard {shard}, of which it says to be"
            ));
        };
        dns::problem(&entry.http, self.expected.public_address).await
    }
}

impl Conditions {
    fn compare(&self, found: &Metadata, problems: &mut Vec<String>) {
        let mut differs = |what: &str, expected: Option<String>, found: String| {
            if let Some(expected) = expected
                && expected != found
            {
                problems.push(format!("its {what} is {found}, not {expected}"));
            }
        };
        let role = self.role.map(|role| role.as_str().to_owned());
        differs("role", role, found.role.clone());
        let network = self.network.map(|network| network.as_str().to_owned());
        differs("network", network, found.network.clone());
        let shard = self.shard.map(|shard| shard.to_string());
        differs("shard", shard, found.shard_id.to_string());
        match (self.is_leader, found.is_leader) {
            (false, true) => {
                problems.push("it leads its shard just now, and would halt it".to_owned());
            }
            (true, false) => problems.push("it does not lead its shard".to_owned()),
            _ => {}
        }
        match (self.is_archival, found.is_archival) {
            (Some(false), true) => problems.push("it is an archival node".to_owned()),
            (Some(true), false) => problems.push("it is not an archival node".to_owned()),
            _ => {}
        }
    }
}

/// Whether the node says that it is in sync; `None` where it is too old to know.
pub(super) async fn in_sync(rpc: &Rpc) -> Result<Option<bool>, Error> {
    match rpc.ask("inSync").await {
        Ok(in_sync) => Ok(Some(in_sync)),
        Err(error) if error.is_unknown_method() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The answer, or the reason why there is none among the problems.
fn taken<'a, T>(answer: &'a Result<T, Error>, problems: &mut Vec<String>) -> Option<&'a T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(error) => {
            problems.push(error.to_string());
            None
        }
    }
}
