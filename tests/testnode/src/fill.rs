//! `testnode fill`: a big data directory, fast.

use std::path::Path;
use std::{fs, io};

use crate::block;
use crate::head::{self, Head};
use crate::layout::Layout;
use crate::ledger::Ledger;
use crate::leveldb::{Batch, Database, Options};
use crate::mint::Mint;

/// Blocks that are written together.
const BATCH: u64 = 64;

/// How many batches between two looks at the size.
const LOOK: u64 = 64;

/// Makes a chain of at least `size` bytes on the disk in an empty data directory, as a process leaves it
/// that has ended well; returns its head.
///
/// The head is written last: a key that every batch writes would make LevelDB merge all tables again and
/// again, where blocks alone, which come in order, are each written once.
pub fn fill(data: &Path, size: u64, block_size: usize, genesis: u64) -> Result<Head, String> {
    let layout = Layout::new(data);
    let path = layout.blocks();
    if path.join("CURRENT").exists() {
        return Err(format!("{}: there is a chain already", path.display()));
    }
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let open = |path: &Path| {
        fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let options = Options {
            create: true,
            ..Options::default()
        };
        Database::open(path, options).map_err(|error| text(&error))
    };
    let blocks = open(&path)?;
    let mut mint = Mint::new(genesis);
    let mut batches: u64 = 0;
    while !batches.is_multiple_of(LOOK) || bytes(&path).map_err(|error| text(&error))? < size {
        let mut batch = Batch::new();
        for _ in 0..BATCH {
            let value = mint.block(block_size);
            batch.put(&block::key(mint.head.end.height), &value);
        }
        blocks.write(&batch, false).map_err(|error| text(&error))?;
        batches += 1;
    }
    let Mint { head, balances } = mint;
    let mut ledger = Ledger::load(open(&layout.ledger())?).map_err(|error| text(&error))?;
    ledger
        .replace(head.end.height, &balances)
        .and_then(|()| ledger.mark_stopped(true))
        .map_err(|error| text(&error))?;
    let mut batch = Batch::new();
    batch.put(head::KEY, &head.encode());
    batch.put(head::STOPPED, &head.end.height.to_be_bytes());
    blocks.write(&batch, true).map_err(|error| text(&error))?;
    Ok(head)
}

/// The size of the files in a directory. LevelDB may remove one meanwhile.
fn bytes(directory: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(directory)? {
        sum += entry?.metadata().map_or(0, |data| data.len());
    }
    Ok(sum)
}

/// Reads a size: `2GB`, `300MB`, `64kB`, or bytes.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor: u64 = match &text[digits.len()..] {
        "" | "B" => 1,
        "kB" | "KB" | "K" => 1000,
        "MB" | "M" => 1_000_000,
        "GB" | "G" => 1_000_000_000,
        unit => return Err(format!("{unit}: not one of kB, MB, GB")),
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| format!("{text}: not a size"))
}
