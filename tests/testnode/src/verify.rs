//! Reading a whole database, from a copy, and saying whether every byte of it is right.

use std::path::Path;
use std::{fs, io};

use serde::Serialize;

use crate::block;
use crate::footer;
use crate::head::{self, Head};
use crate::layout::Layout;
use crate::ledger::{self, Ledger};
use crate::leveldb::{Database, Options};
use crate::snapshot::hex;
use crate::walk::Walk;

/// What was found; `ok` says whether it is all right, and the figures say how far it could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether everything holds together.
    pub ok: bool,
    /// What does not.
    pub error: Option<String>,
    /// The height of the last block.
    pub height: u64,
    /// The height of the first block that is kept.
    pub first: u64,
    /// How many blocks were read.
    pub blocks: u64,
    /// The hash of the last block, in hex.
    pub hash: String,
    /// The running total.
    pub total: u64,
    /// The ledger's height; absent when only the chain's database was given.
    pub ledger_height: Option<u64>,
    /// Whether the process had ended well when these bytes were taken.
    pub clean_stop: bool,
}

/// What a whole verification needs to know.
#[derive(Clone, Debug, Default)]
pub struct Expectation {
    /// The height that the chain must have reached. A log that was cut short is, to LevelDB, a log that
    /// ended there: only somebody who knows the height can tell that blocks are missing at the end.
    pub height: Option<u64>,
    /// Whether the process must have ended well.
    pub clean_stop: bool,
}

/// Verifies a data directory, or a single database of a chain (a directory with `CURRENT` in it).
///
/// LevelDB writes when it opens; so it opens a copy, made in `scratch` and removed afterwards.
pub fn verify(data: &Path, scratch: &Path, expected: &Expectation) -> Verdict {
    let mut verdict = Verdict::default();
    let outcome = tempfile::tempdir_in(scratch)
        .map_err(|error| format!("{}: {error}", scratch.display()))
        .and_then(|copy| check(data, copy.path(), expected, &mut verdict));
    verdict.ok = outcome.is_ok();
    verdict.error = outcome.err();
    verdict
}

fn check(
    data: &Path,
    copy: &Path,
    expected: &Expectation,
    verdict: &mut Verdict,
) -> Result<(), String> {
    let layout = Layout::new(data);
    let single = data.join("CURRENT").exists();
    let blocks = if single {
        data.to_owned()
    } else {
        layout.blocks()
    };
    let chain = check_chain(&open(&blocks, &copy.join("blocks"))?, verdict)?;
    if !single {
        check_ledger(
            open(&layout.ledger(), &copy.join("ledger"))?,
            &chain,
            verdict,
        )?;
    }
    match expected.height {
        Some(height) if verdict.height < height => Err(format!(
            "the chain ends at {}, and should reach {height}",
            verdict.height
        )),
        _ if expected.clean_stop && !verdict.clean_stop => {
            Err("the process had not ended well".to_owned())
        }
        _ => Ok(()),
    }
}

/// What the ledger is held against.
struct Chain {
    head: Head,
    /// The running total after each block, from the one before the first.
    totals: Vec<u64>,
    /// Balances of a loaded snapshot that had not reached the ledger yet.
    pending: Option<Vec<u64>>,
}

fn check_chain(database: &Database, verdict: &mut Verdict) -> Result<Chain, String> {
    let (mut head, mut stopped, mut pending) = (None, None, None);
    let mut walk: Option<Walk> = None;
    let mut totals = Vec::new();
    // The head comes after the blocks in the database's order, and is needed before them.
    if let Some(value) = database.get(head::KEY).map_err(|e| e.to_string())? {
        let found = Head::decode(&value).ok_or("the head cannot be read")?;
        verdict.first = found.first();
        totals.push(found.origin.total);
        walk = Some(found.origin);
        head = Some(found);
    }
    let mut records = database.records();
    while let Some((key, value)) = records.next().map_err(|error| error.to_string())? {
        match key {
            head::KEY => {}
            head::STOPPED => stopped = Some(value.to_vec()),
            head::BALANCES => {
                pending = Some(ledger::decode(value).ok_or("the pending balances are damaged")?);
            }
            _ => {
                let walk = walk.as_mut().ok_or("there are blocks, but no head")?;
                if *key != block::key(walk.height + 1) {
                    return Err(format!(
                        "block {} is missing (found key {})",
                        walk.height + 1,
                        hex(key)
                    ));
                }
                walk.step(value).map_err(|fault| fault.to_string())?;
                totals.push(walk.total);
                verdict.height = walk.height;
                verdict.hash = hex(&walk.hash);
                verdict.total = walk.total;
                verdict.blocks += 1;
            }
        }
    }
    let (Some(head), Some(walk)) = (head, walk) else {
        return Err("the database is empty".to_owned());
    };
    if walk != head.end {
        return Err(format!(
            "the head says {}, and the blocks end at {}",
            head.end.height, walk.height
        ));
    }
    verdict.clean_stop = match stopped {
        None => false,
        Some(value) if value == walk.height.to_be_bytes() => true,
        Some(_) => return Err("the mark of a clean stop is for another height".to_owned()),
    };
    Ok(Chain {
        head,
        totals,
        pending,
    })
}

fn check_ledger(database: Database, chain: &Chain, verdict: &mut Verdict) -> Result<(), String> {
    let ledger = Ledger::load(database).map_err(|error| error.to_string())?;
    if let Some(balances) = &chain.pending {
        // A snapshot was being loaded: what the ledger holds is about to be replaced by these.
        let sum = ledger::sum(balances);
        return (sum == chain.head.end.total)
            .then_some(())
            .ok_or_else(|| "the pending balances do not add up".to_owned());
    }
    let origin = chain.head.origin.height;
    let height = ledger.height.unwrap_or(origin);
    verdict.ledger_height = Some(height);
    let total = height
        .checked_sub(origin)
        .and_then(|steps| chain.totals.get(usize::try_from(steps).ok()?));
    match total {
        None => Err(format!(
            "the ledger is at {height}, the chain goes from {} to {}",
            chain.head.first(),
            chain.head.end.height
        )),
        Some(total) if *total != ledger.total() => Err(format!(
            "the ledger's balances do not add up to the total at {height}"
        )),
        Some(_) if verdict.clean_stop && height != chain.head.end.height => {
            Err("the ledger lags behind although the process ended well".to_owned())
        }
        Some(_) if verdict.clean_stop && ledger.stopped != Some(height) => {
            Err("the process ended well, and the ledger does not say so".to_owned())
        }
        Some(_) => Ok(()),
    }
}

/// Copies a database's files and opens the copy, once what LevelDB will not look at is found to be right.
fn open(from: &Path, to: &Path) -> Result<Database, String> {
    copy(from, to).map_err(|error| format!("{}: {error}", from.display()))?;
    footer::check_tables(to)?;
    let options = Options {
        paranoid: true,
        ..Options::default()
    };
    Database::open(to, options).map_err(|error| error.to_string())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_name() != "LOCK" && entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
