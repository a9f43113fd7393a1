//! A snapshot as a file: the last blocks, the ledger, and a hash over all of it.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::block::{ACCOUNTS, Hash};
use crate::head::Head;
use crate::ledger;
use crate::walk::Walk;

/// How many blocks a snapshot holds.
pub const BLOCKS: u64 = 100;

const FORMAT: &str = "testnode-snapshot-1";

/// Why a file is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is damaged, or something else.
    #[error("{}: not a snapshot: {why}", path.display())]
    Content {
        /// Which one.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Where it ends, and what came before its blocks.
    pub head: Head,
    /// Its blocks, as they are stored.
    pub blocks: Vec<Vec<u8>>,
    /// The ledger.
    pub balances: Vec<u64>,
}

/// The file's form; one JSON object, hex inside: slow and plain, for a snapshot is small.
#[derive(Serialize, Deserialize)]
struct Document {
    format: String,
    height: u64,
    head: String,
    blocks: Vec<String>,
    balances: Vec<u64>,
    hash: String,
}

impl Snapshot {
    /// The hash over everything in it.
    pub fn hash(&self) -> Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.head.encode());
        for block in &self.blocks {
            hasher.update(block);
        }
        for balance in &self.balances {
            hasher.update(&balance.to_be_bytes());
        }
        *hasher.finalize().as_bytes()
    }

    /// Writes it to a file.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let document = Document {
            format: FORMAT.to_owned(),
            height: self.head.end.height,
            head: hex(&self.head.encode()),
            blocks: self.blocks.iter().map(|block| hex(block)).collect(),
            balances: self.balances.clone(),
            hash: hex(&self.hash()),
        };
        let file = |source: io::Error| Error::File {
            path: path.to_owned(),
            source,
        };
        let text = serde_json::to_vec(&document).map_err(|error| file(error.into()))?;
        fs::write(path, text).map_err(file)
    }

    /// Reads a file, and sees that every byte is right.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read(path).map_err(|source| Error::File {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text).map_err(|why| Error::Content {
            path: path.to_owned(),
            why,
        })
    }

    fn parse(text: &[u8]) -> Result<Self, String> {
        let document: Document = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let head = unhex(&document.head)
            .and_then(|bytes| Head::decode(&bytes))
            .ok_or("its head cannot be read")?;
        let blocks = document
            .blocks
            .iter()
            .map(|block| unhex(block))
            .collect::<Option<Vec<_>>>()
            .ok_or("a block cannot be read")?;
        let snapshot = Self {
            head,
            blocks,
            balances: document.balances,
        };
        if document.format != FORMAT {
            return Err(format!("its format is {}", document.format));
        }
        if document.height != head.end.height || document.hash != hex(&snapshot.hash()) {
            return Err("bad_hash".to_owned());
        }
        snapshot.check()?;
        Ok(snapshot)
    }

    /// Walks its blocks and adds up its ledger.
    fn check(&self) -> Result<(), String> {
        let mut walk: Walk = self.head.origin;
        for block in &self.blocks {
            walk.step(block).map_err(|fault| fault.to_string())?;
        }
        let whole = self.balances.len() as u64 == ACCOUNTS;
        if walk == self.head.end && whole && ledger::sum(&self.balances) == walk.total {
            Ok(())
        } else {
            Err("its parts do not fit together".to_owned())
        }
    }
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok())
        .collect()
}
