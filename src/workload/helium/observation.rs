//! What was last seen of a miner, as it said it: for the API that shows a miner's own words.

use std::net::IpAddr;

use super::height::Heights;
use super::identity::Identity;
use super::peers::Peers;
use super::question::Answer;
use crate::protocol::SyncState;

/// The answers of the last look at a running miner, and what follows from them. Each stands for itself: one that did
/// not come leaves the others as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// In which state it is; `None` before the first look.
    pub state: Option<SyncState>,
    /// To `miner info height`.
    pub height: Answer,
    /// To `miner info p2p_status`.
    pub p2p_status: Answer,
    /// To `miner peer book -s`.
    pub peer_book: Answer,
    /// To `miner info region`.
    pub region: Answer,
    /// Its heights, where it said them.
    pub heights: Option<Heights>,
    /// How many blocks it is behind its chain.
    pub gap: Option<i64>,
    /// The height of its chain, where it is known.
    pub chain_height: Option<u64>,
    /// Who it is; once known, it stays known.
    pub identity: Identity,
    /// The last region that it said and that is one; it stays known too.
    pub last_region: Option<String>,
    /// The last address at which it said that the world reaches it; it stays known too.
    pub public_address: Option<IpAddr>,
    /// How it stands to its network.
    pub peers: Peers,
}

impl Observation {
    /// Whether a question was waited for in vain.
    pub fn is_incomplete(&self) -> bool {
        [
            &self.height,
            &self.p2p_status,
            &self.peer_book,
            &self.region,
        ]
        .iter()
        .any(|answer| answer.is_late())
    }
}
