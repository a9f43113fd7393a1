//! Making blocks and the balances that follow from them, without a database.

use crate::block::{self, ACCOUNTS, Block};
use crate::head::Head;
use crate::snapshot::{BLOCKS, Snapshot};
use crate::walk::Walk;

/// A chain that grows.
#[derive(Debug)]
pub struct Mint {
    /// Where it ends and began.
    pub head: Head,
    /// The ledger after its end.
    pub balances: Vec<u64>,
}

impl Mint {
    /// A chain whose first block will be at `genesis`.
    pub fn new(genesis: u64) -> Self {
        Self {
            head: Head::empty(genesis),
            balances: vec![0; ACCOUNTS as usize],
        }
    }

    /// Makes a block with a payload of `size` bytes; returns it as it is stored.
    pub fn block(&mut self, size: usize) -> Vec<u8> {
        let (block, value, end) = next(&self.head.end, size);
        let balance = &mut self.balances[block.account() as usize];
        *balance = balance.wrapping_add(block.amount());
        self.head.end = end;
        value
    }
}

/// The block after a place, the same block as it is stored, and the place where it leads.
pub fn next(end: &Walk, size: usize) -> (Block, Vec<u8>, Walk) {
    let block = Block::after(end.height + 1, end.hash, end.total, size);
    let value = block.encode();
    let end = Walk {
        height: block.height,
        hash: block::hash(&value),
        total: block.total,
    };
    (block, value, end)
}

/// A snapshot of a chain that nobody here has: what the others would offer for download at `height`.
pub fn snapshot(height: u64, size: usize) -> Snapshot {
    let mut mint = Mint::new((height + 1).saturating_sub(BLOCKS).max(1));
    let mut blocks = Vec::new();
    while mint.head.end.height < height {
        blocks.push(mint.block(size));
    }
    Snapshot {
        head: mint.head,
        blocks,
        balances: mint.balances,
    }
}
