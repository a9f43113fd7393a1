//! The chain and its ledger, opened together by the one process that writes them.

use std::path::PathBuf;
use std::{fs, io};

use crate::block::{self, Block};
use crate::head::{self, Head};
use crate::layout::Layout;
use crate::ledger::{self, Ledger};
use crate::leveldb::{self, Batch, Database, Options};
use crate::mint;
use crate::snapshot::Snapshot;
use crate::walk::{Fault, Walk};

/// How many of the last blocks are walked when the chain is opened.
const RECENT: u64 = 100;

/// Why a chain cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// LevelDB refused.
    #[error(transparent)]
    Database(#[from] leveldb::Error),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// The blocks do not make a chain.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The head is missing, unreadable, or says something else than the blocks.
    #[error("the head of the chain is wrong: {0}")]
    Head(String),
    /// Chain and ledger are not of one piece.
    #[error("the ledger does not belong to the chain: {0}")]
    Apart(String),
    /// A directory cannot be made.
    #[error("cannot make {}: {source}", path.display())]
    Directory {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// An open chain.
#[derive(Debug)]
pub struct Chain {
    blocks: Database,
    ledger: Ledger,
    head: Head,
}

impl Chain {
    /// Opens the chain in a data directory, or begins one at height `genesis`; checks its head, its last
    /// blocks and its ledger, and pays into the ledger what a crash left out.
    pub fn open(layout: &Layout, genesis: u64) -> Result<Self, Error> {
        let open = |path: PathBuf| {
            fs::create_dir_all(&path).map_err(|source| Error::Directory {
                path: path.clone(),
                source,
            })?;
            let options = Options {
                create: true,
                ..Options::default()
            };
            Ok::<_, Error>(Database::open(&path, options)?)
        };
        let blocks = open(layout.blocks())?;
        let ledger = Ledger::load(open(layout.ledger())?)?;
        let head = match blocks.get(head::KEY)? {
            Some(value) => {
                Head::decode(&value).ok_or_else(|| Error::Head(format!("{} bytes", value.len())))?
            }
            None if blocks.records().next()?.is_none() => Head::empty(genesis),
            None => return Err(Error::Head("there are blocks, but no head".to_owned())),
        };
        let mut chain = Self {
            blocks,
            ledger,
            head,
        };
        chain.check_recent()?;
        chain.finish_install()?;
        chain.settle_ledger()?;
        chain.forget_stop()?;
        Ok(chain)
    }

    /// Where the chain ends and begins.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Makes one block with a payload of `size` bytes; `sync` waits for the disk.
    pub fn append(&mut self, size: usize, sync: bool) -> Result<Head, Error> {
        let (block, value, end) = mint::next(&self.head.end, size);
        let head = Head { end, ..self.head };
        let mut batch = Batch::new();
        batch.put(&block::key(block.height), &value);
        batch.put(head::KEY, &head.encode());
        self.blocks.write(&batch, sync)?;
        self.ledger.apply(&block, sync)?;
        self.head = head;
        Ok(head)
    }

    /// Ends it well: everything on the disk, and a mark that it was so.
    pub fn close(self) -> Result<(), Error> {
        let height = self.head.end.height;
        // The ledger first: the mark in the chain's database stands for both.
        let mut ledger = self.ledger;
        ledger.mark_stopped(true)?;
        let mut batch = Batch::new();
        batch.put(head::STOPPED, &height.to_be_bytes());
        self.blocks.write(&batch, true)?;
        Ok(())
    }

    /// Replaces the whole chain by what a snapshot holds.
    pub fn install(&mut self, snapshot: &Snapshot) -> Result<Head, Error> {
        let mut batch = Batch::new();
        for height in self.head.first()..=self.head.end.height {
            batch.delete(&block::key(height));
        }
        for (height, value) in (snapshot.head.first()..).zip(&snapshot.blocks) {
            batch.put(&block::key(height), value);
        }
        batch.put(head::KEY, &snapshot.head.encode());
        // One batch cannot span two databases: the balances travel with the blocks, so that a crash
        // between the two loses nothing.
        batch.put(head::BALANCES, &ledger::encode(&snapshot.balances));
        self.blocks.write(&batch, true)?;
        self.head = snapshot.head;
        self.finish_install()?;
        Ok(self.head)
    }

    /// Brings balances that still stand beside the blocks into the ledger.
    fn finish_install(&mut self) -> Result<(), Error> {
        let Some(value) = self.blocks.get(head::BALANCES)? else {
            return Ok(());
        };
        let balances = ledger::decode(&value)
            .ok_or_else(|| Error::Apart("the balances beside the blocks are damaged".to_owned()))?;
        self.ledger.replace(self.head.end.height, &balances)?;
        let mut batch = Batch::new();
        batch.delete(head::BALANCES);
        Ok(self.blocks.write(&batch, true)?)
    }

    /// A snapshot of the last `count` blocks and the ledger.
    pub fn snapshot(&self, count: u64) -> Result<Snapshot, Error> {
        let end = self.head.end.height;
        let first = self.head.first().max((end + 1).saturating_sub(count));
        let origin = self.before(first)?;
        let blocks = (first..=end)
            .map(|height| self.stored(height))
            .collect::<Result<_, _>>()?;
        Ok(Snapshot {
            head: Head {
                end: self.head.end,
                origin,
            },
            blocks,
            balances: self.ledger.balances().to_vec(),
        })
    }

    /// The block at `height` as it is stored.
    fn stored(&self, height: u64) -> Result<Vec<u8>, Error> {
        self.blocks.get(&block::key(height))?.ok_or_else(|| {
            Fault::Missing {
                expected: height,
                found: "nothing".to_owned(),
            }
            .into()
        })
    }

    /// The place before the block at `height`, as that block itself tells it.
    fn before(&self, height: u64) -> Result<Walk, Error> {
        if height == self.head.first() {
            return Ok(self.head.origin);
        }
        let block = Block::decode(&self.stored(height)?).map_err(|error| Fault::Unreadable {
            height,
            why: error.to_string(),
        })?;
        Ok(Walk {
            height: height - 1,
            hash: block.previous,
            total: block.total.wrapping_sub(block.amount()),
        })
    }

    fn check_recent(&self) -> Result<(), Error> {
        let end = self.head.end.height;
        if end < self.head.first() {
            return Ok(());
        }
        let mut walk = self.before(self.head.first().max((end + 1).saturating_sub(RECENT)))?;
        while walk.height < end {
            walk.step(&self.stored(walk.height + 1)?)?;
        }
        if walk == self.head.end {
            Ok(())
        } else {
            Err(Error::Head(
                "it does not describe the last block".to_owned(),
            ))
        }
    }

    fn settle_ledger(&mut self) -> Result<(), Error> {
        let end = self.head.end.height;
        let applied = match self.ledger.height {
            Some(height) => height,
            // A ledger is made right after the first block.
            None if end <= self.head.first() => self.head.origin.height,
            None => return Err(Error::Apart(format!("it is empty, the chain is at {end}"))),
        };
        if applied > end || applied < self.head.origin.height {
            return Err(Error::Apart(format!(
                "it is at {applied}, the chain at {end}"
            )));
        }
        for height in applied + 1..=end {
            let value = self.stored(height)?;
            let block = Block::decode(&value).map_err(|error| Fault::Unreadable {
                height,
                why: error.to_string(),
            })?;
            self.ledger.apply(&block, false)?;
        }
        if self.ledger.total() == self.head.end.total {
            Ok(())
        } else {
            Err(Error::Apart("the balances do not add up".to_owned()))
        }
    }

    fn forget_stop(&mut self) -> Result<(), Error> {
        self.ledger.mark_stopped(false)?;
        let mut batch = Batch::new();
        batch.delete(head::STOPPED);
        Ok(self.blocks.write(&batch, true)?)
    }
}
