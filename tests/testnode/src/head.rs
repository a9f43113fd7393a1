//! The head of a chain: written with every block, in the same batch.

use crate::block::Hash;
use crate::walk::Walk;

/// Its key; after all heights, which begin with a zero byte.
pub const KEY: &[u8] = b"head";

/// The key that a clean stop leaves behind; its value is the height, big-endian.
pub const STOPPED: &[u8] = b"stopped";

/// The key of balances on their way into the ledger: a loaded snapshot's, written with its blocks.
pub const BALANCES: &[u8] = b"balances";

const SIZE: usize = 8 + 32 + 8 + 8 + 32 + 8;

/// Where a chain ends, and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last block.
    pub end: Walk,
    /// What comes before the first block that is kept: nothing, or what a snapshot left out.
    pub origin: Walk,
}

impl Head {
    /// The head of a chain without a block, whose first one will be at `genesis`.
    pub fn empty(genesis: u64) -> Self {
        let origin = Walk {
            height: genesis.saturating_sub(1),
            hash: [0; 32],
            total: 0,
        };
        Self {
            end: origin,
            origin,
        }
    }

    /// The lowest height that is kept.
    pub fn first(&self) -> u64 {
        self.origin.height + 1
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(SIZE);
        for place in [&self.end, &self.origin] {
            value.extend_from_slice(&place.height.to_le_bytes());
            value.extend_from_slice(&place.hash);
            value.extend_from_slice(&place.total.to_le_bytes());
        }
        value
    }

    /// Reads the stored form; `None` when it is none.
    pub fn decode(value: &[u8]) -> Option<Self> {
        if value.len() != SIZE {
            return None;
        }
        let (end, origin) = value.split_at(SIZE / 2);
        Some(Self {
            end: place(end)?,
            origin: place(origin)?,
        })
    }
}

fn place(bytes: &[u8]) -> Option<Walk> {
    let hash: Hash = bytes.get(8..40)?.try_into().ok()?;
    Some(Walk {
        height: u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?),
        hash,
        total: u64::from_le_bytes(bytes.get(40..48)?.try_into().ok()?),
    })
}
