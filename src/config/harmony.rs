//! `[workload.harmony]`: how a Harmony node is reached, and what it has to be before it is stopped for a snapshot.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::error::Problems;
use super::seconds::Seconds;
use super::section::section;
use crate::workload::harmony::{Conditions, Network, Role};

section! {
    /// A Harmony node: its RPC, and what it is expected to be. A snapshot is refused while it is anything else, unless it is forced. Goes with `kind = "harmony"`; everything here has a default.
    default Harmony {
        /// Where its RPC listens, on loopback.
        rpc: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9500);
        /// What it does: `Validator` or `ExplorerNode`.
        role: Option<Role> = None, example = "Validator";
        /// Its network: `mainnet`, `testnet`, `pangaea`, `partner`, `stressnet`, `devnet` or `localnet`.
        network: Option<Network> = None, example = "mainnet";
        /// Its shard; 0 is the beacon chain's.
        shard: Option<u32> = None, example = 0;
        /// Whether it leads its shard. A leader that is stopped halts its shard until another one is chosen.
        leader: bool = false;
        /// Whether it keeps the state of every block.
        archival: Option<bool> = None, example = false;
        /// How old its last block may be, from 1 to 86400.
        max_seconds_since_last_block: Seconds<1, 86_400> = Seconds::of(150);
        /// The address by which the network knows this host, where a router translates it: for telling whether the network's own name leads here, as it does to nodes that must not go offline.
        public_address: Option<IpAddr> = None, example = "203.0.113.7";
    }
}

impl Harmony {
    /// What has to be so before a snapshot.
    pub fn conditions(&self) -> Conditions {
        Conditions {
            role: self.role,
            network: self.network,
            shard: self.shard,
            is_leader: self.leader,
            is_archival: self.archival,
            max_seconds_since_last_block: std::time::Duration::from(
                self.max_seconds_since_last_block,
            )
            .as_secs(),
            public_address: self.public_address,
        }
    }

    pub(super) fn check(&self, at: &str, problems: &mut Problems) {
        if !self.rpc.ip().is_loopback() {
            let what = format!(
                "`{}` is not on loopback; what the node says decides whether it is stopped, and others could say it",
                self.rpc
            );
            problems.add(format!("{at}.rpc"), what);
        }
    }
}
