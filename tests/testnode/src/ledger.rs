//! The second database: what each account holds after the block at its height.
//!
//! The balances add up to the chain's running total at that height, so a cut that takes one database
//! and not the other, or the two at different times, is seen.

use crate::block::{ACCOUNTS, Block};
use crate::leveldb::{self, Batch, Database};

const HEIGHT: &[u8] = b"height";
const STOPPED: &[u8] = b"stopped";
const PREFIX: &str = "account-";

/// Why a ledger cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// LevelDB refused.
    #[error(transparent)]
    Database(#[from] leveldb::Error),
    /// A record that is not the ledger's.
    #[error("the ledger holds a record that it should not: {0}")]
    Record(String),
}

/// An open ledger; its balances are few, and kept in memory too.
#[derive(Debug)]
pub struct Ledger {
    database: Database,
    /// The block that was applied last; `None` in a new ledger.
    pub height: Option<u64>,
    /// The height at which the process ended well, and did not begin again.
    pub stopped: Option<u64>,
    balances: Vec<u64>,
}

impl Ledger {
    /// Reads a ledger.
    pub fn load(database: Database) -> Result<Self, Error> {
        let (mut height, mut stopped) = (None, None);
        let mut balances = vec![0; ACCOUNTS as usize];
        let mut records = database.records();
        while let Some((key, value)) = records.next()? {
            let wrong = || Error::Record(String::from_utf8_lossy(key).into_owned());
            let number = u64::from_be_bytes(value.try_into().map_err(|_| wrong())?);
            if key == HEIGHT {
                height = Some(number);
            } else if key == STOPPED {
                stopped = Some(number);
            } else {
                *account(key)
                    .and_then(|account| balances.get_mut(account))
                    .ok_or_else(wrong)? = number;
            }
        }
        drop(records);
        Ok(Self {
            database,
            height,
            stopped,
            balances,
        })
    }

    /// What all accounts hold together.
    pub fn total(&self) -> u64 {
        sum(&self.balances)
    }

    /// What each account holds.
    pub fn balances(&self) -> &[u64] {
        &self.balances
    }

    /// Pays what a block pays.
    pub fn apply(&mut self, block: &Block, sync: bool) -> Result<(), Error> {
        let balance = &mut self.balances[block.account() as usize];
        *balance = balance.wrapping_add(block.amount());
        let mut batch = Batch::new();
        batch.put(&key(block.account()), &balance.to_be_bytes());
        batch.put(HEIGHT, &block.height.to_be_bytes());
        self.database.write(&batch, sync)?;
        self.height = Some(block.height);
        Ok(())
    }

    /// Marks that the process ends well at its height, all of it on the disk; or takes the mark away.
    pub fn mark_stopped(&mut self, stopped: bool) -> Result<(), Error> {
        self.stopped = self.height.filter(|_| stopped);
        let mut batch = Batch::new();
        match self.stopped {
            Some(height) => batch.put(STOPPED, &height.to_be_bytes()),
            None => batch.delete(STOPPED),
        }
        Ok(self.database.write(&batch, true)?)
    }

    /// Puts other balances in the place of all that is there.
    pub fn replace(&mut self, height: u64, balances: &[u64]) -> Result<(), Error> {
        let mut batch = Batch::new();
        for (account, balance) in (0..).zip(balances) {
            batch.put(&key(account), &balance.to_be_bytes());
        }
        batch.put(HEIGHT, &height.to_be_bytes());
        self.database.write(&batch, true)?;
        self.height = Some(height);
        self.balances = balances.to_vec();
        Ok(())
    }
}

/// The sum of balances, as the running total counts.
pub fn sum(balances: &[u64]) -> u64 {
    balances
        .iter()
        .fold(0, |sum: u64, balance| sum.wrapping_add(*balance))
}

/// All balances as one value.
pub fn encode(balances: &[u64]) -> Vec<u8> {
    balances.iter().flat_map(|b| b.to_be_bytes()).collect()
}

/// Reads what `encode` wrote.
pub fn decode(value: &[u8]) -> Option<Vec<u64>> {
    let (words, rest) = value.as_chunks::<8>();
    let whole = rest.is_empty() && words.len() as u64 == ACCOUNTS;
    whole.then(|| words.iter().map(|word| u64::from_be_bytes(*word)).collect())
}

fn key(account: u64) -> Vec<u8> {
    format!("{PREFIX}{account:03}").into_bytes()
}

fn account(key: &[u8]) -> Option<usize> {
    let key = std::str::from_utf8(key).ok()?;
    key.strip_prefix(PREFIX)?.parse().ok()
}
