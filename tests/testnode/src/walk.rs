//! Walking along a chain block by block, seeing that each follows from the one before.

use crate::block::{self, Block, Hash};

/// What is wrong with a chain, and where.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The bytes at a height are not a block.
    #[error("block {height} cannot be read: {why}")]
    Unreadable {
        /// Where.
        height: u64,
        /// What the decoder said.
        why: String,
    },
    /// A height has no block, or a block stands where another should.
    #[error("block {expected} is missing (found {found})")]
    Missing {
        /// The height that comes next.
        expected: u64,
        /// What was found instead.
        found: String,
    },
    /// A block does not name the hash of the one before it.
    #[error("block {0} does not follow from the block before it: the hash differs")]
    Hash(u64),
    /// The running total does not add up.
    #[error("block {0} does not add up: the running total differs")]
    Total(u64),
}

/// A place in a chain: the block at `height`, all before it walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// The block walked last.
    pub height: u64,
    /// Its hash.
    pub hash: Hash,
    /// The running total up to it.
    pub total: u64,
}

impl Walk {
    /// Steps onto the next block, given as it is stored.
    pub fn step(&mut self, value: &[u8]) -> Result<Block, Fault> {
        let height = self.height + 1;
        let block = Block::decode(value).map_err(|error| Fault::Unreadable {
            height,
            why: error.to_string(),
        })?;
        if block.height != height {
            return Err(Fault::Missing {
                expected: height,
                found: format!("a block that says {}", block.height),
            });
        }
        if block.previous != self.hash {
            return Err(Fault::Hash(height));
        }
        if block.total != self.total.wrapping_add(block.amount()) {
            return Err(Fault::Total(height));
        }
        *self = Self {
            height,
            hash: block::hash(value),
            total: block.total,
        };
        Ok(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_changed_byte_stops_the_walk_at_the_next_block_at_the_latest() {
        let origin = Walk {
            height: 0,
            hash: [0; 32],
            total: 0,
        };
        let mut values = Vec::new();
        let mut walk = origin;
        for height in 1..=2 {
            let value = Block::after(height, walk.hash, walk.total, 64).encode();
            walk.step(&value).unwrap();
            values.push(value);
        }
        for at in 0..values[0].len() {
            let mut damaged = values[0].clone();
            damaged[at] ^= 1;
            let mut walk = origin;
            let walked = walk
                .step(&damaged)
                .and_then(|_| walk.step(&values[1]).map(|_| ()));
            assert!(walked.is_err(), "byte {at}");
        }
    }
}
