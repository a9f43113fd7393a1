//! What the node answers: the fields that are used. They are the same in nodes of 2020 and in today's.

use serde::Deserialize;

/// `getNodeMetadata`: what the node is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Metadata {
    /// `Validator`, `ExplorerNode`.
    pub role: String,
    /// `mainnet`, `testnet` …
    pub network: String,
    /// Its shard; 0 is the beacon chain's.
    pub shard_id: u32,
    /// Whether it leads its shard just now.
    pub is_leader: bool,
    /// Whether it keeps the state of every block.
    pub is_archival: bool,
}

/// `latestHeader`: the head of its chain.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Header {
    /// The height.
    #[serde(rename = "blockNumber")]
    pub height: u64,
    /// When the block was made, in seconds since 1970. The field `timestamp` says the same in words that differ between versions.
    pub unixtime: i64,
}

/// An entry of `getShardingStructure`: how a shard is reached by everybody.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Shard {
    /// Which shard.
    #[serde(rename = "shardID")]
    pub id: u32,
    /// `https://api.s0.t.hmny.io`.
    pub http: String,
}
