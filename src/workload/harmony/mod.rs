//! A Harmony node: it is asked over its RPC, on loopback.

mod answers;
mod conditions;
mod dns;
mod head;
mod rpc;

use std::net::SocketAddr;

use async_trait::async_trait;

pub use self::answers::{Header, Metadata, Shard};
pub use self::conditions::{Conditions, Network, Role};
pub use self::rpc::{DEADLINE, Error, Rpc};

use self::head::{Age, age};
use super::{Finding, Inside, Kind};
use crate::clock::ClockSync;
use crate::protocol::Health;

/// A node of the network.
pub struct Harmony {
    rpc: Rpc,
    expected: Conditions,
    clock: ClockSync,
}

impl Harmony {
    /// The node whose RPC is there. The clock tells whether ages can be told.
    pub fn new(rpc: SocketAddr, expected: Conditions, clock: ClockSync) -> Self {
        Self {
            rpc: Rpc::new(rpc),
            expected,
            clock,
        }
    }

    fn health(&self, header: &Header, in_sync: Option<bool>) -> (Health, Option<String>) {
        let age = age(
            header,
            self.expected.max_seconds_since_last_block,
            &self.clock,
        );
        match (age, in_sync) {
            (Age::Ahead(seconds), _) => (
                Health::Degraded,
                Some(format!(
                    "its last block is {seconds} s in the future: one clock is wrong"
                )),
            ),
            (Age::Old(seconds), Some(true)) => (
                Health::Failing,
                Some(format!("its last block is {seconds} s old")),
            ),
            (Age::Old(seconds), _) => (
                Health::Starting,
                Some(format!(
                    "it is catching up: its last block is {seconds} s old"
                )),
            ),
            (Age::Fresh | Age::Unknown, Some(false)) => {
                (Health::Starting, Some("it is not in sync yet".to_owned()))
            }
            (Age::Unknown, None) => (
                Health::Unknown,
                Some(
                    "this device's clock is not synchronised, so the age of its last block cannot be told".to_owned(),
                ),
            ),
            (Age::Fresh | Age::Unknown, _) => (Health::Healthy, None),
        }
    }
}

#[async_trait]
impl Kind for Harmony {
    fn name(&self) -> &'static str {
        "harmony"
    }

    fn has_chain(&self) -> bool {
        true
    }

    async fn probe(&self, _inside: &dyn Inside) -> Finding {
        let (header, in_sync) = tokio::join!(
            self.rpc.ask::<Header>("latestHeader"),
            conditions::in_sync(&self.rpc)
        );
        let (height, (health, reason)) = match (header, in_sync) {
            (Ok(header), Ok(in_sync)) => (Some(header.height), self.health(&header, in_sync)),
            (Ok(header), Err(error)) => (
                Some(header.height),
                (Health::Degraded, Some(error.to_string())),
            ),
            (Err(error), _) => (None, (Health::Degraded, Some(error.to_string()))),
        };
        Finding {
            height,
            ..Finding::new(health, reason)
        }
    }

    async fn conditions(&self, _inside: &dyn Inside) -> Vec<String> {
        self.problems().await
    }
}
