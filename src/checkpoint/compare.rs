//! What is on disk and not in the checkpoint: what restoring it would lose.
//!
//! One miner at a time, on a thread of its own beside the pass through the checkpoint.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::json::{Fault, Kind, Number, Reader, Value};
use super::names::{hotkey_fault, shown};
use super::positions::Held;
use super::queue::Receiver;
use super::report::LISTED;

/// The state on disk beside the checkpoint. Times are milliseconds since 1970, UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Miners with at least one position on disk.
    pub miners: u64,
    /// Positions on disk.
    pub positions: u64,
    /// Orders in them.
    pub orders: u64,
    /// The newest of those orders.
    pub newest_order_ms: Option<i64>,
    /// Files and directories that could not be read; a restore replaces them.
    pub unreadable: u64,
    /// Miners on disk that the checkpoint does not have.
    pub lost_miners: u64,
    /// Positions on disk that the checkpoint does not have, those of lost miners included.
    pub lost_positions: u64,
    /// Orders on disk that the checkpoint does not have, those of lost positions included.
    pub lost_orders: u64,
    /// Positions on disk with orders that the checkpoint does not have, lost ones not included.
    pub newer_positions: u64,
    /// The first positions that would lose orders.
    pub listed: Vec<Loss>,
    /// Miners in the checkpoint without a position on disk.
    pub added_miners: u64,
    /// The first of them.
    pub added: Vec<String>,
    /// The first of the lost miners.
    pub removed: Vec<String>,
}

/// One position that would lose orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// The miner.
    pub hotkey: String,
    /// The position.
    pub position: String,
    /// How many of its orders would be lost.
    pub orders: u64,
    /// Whether the whole position would be.
    pub whole: bool,
}

/// A miner, and what the checkpoint holds of it; `None` says that there are no more.
pub(crate) type Compared = Option<(String, Held)>;

/// Most files of positions are smaller.
const SMALL: usize = 16 * 1024;

/// How many miners may wait to be compared.
pub(crate) const WAITING: usize = 4;

/// A comparison being made.
pub(crate) struct Compare {
    miners: PathBuf,
    seen: HashSet<String>,
    max_record: u64,
    found: Comparison,
}

/// A position file on disk, as far as it matters here.
struct OnDisk {
    uuid: String,
    orders: Vec<(String, Option<i64>)>,
}

impl Compare {
    /// Compares with the state under `validation`.
    pub(crate) fn with(validation: &Path, max_record: u64) -> Self {
        Self {
            miners: validation.join("miners"),
            seen: HashSet::new(),
            max_record,
            found: Comparison::default(),
        }
    }

    /// Compares every miner that comes, and then what is left. Where that ends early nobody looks at what was found.
    pub(crate) fn all(mut self, miners: &Receiver<Compared>) -> Comparison {
        while let Some(miner) = miners.recv() {
            match miner {
                Some((hotkey, held)) => self.miner(&hotkey, &held),
                None => return self.finish(),
            }
        }
        self.found
    }

    fn miner(&mut self, hotkey: &str, held: &Held) {
        // A name that is no hotkey is a problem already, and must not become a path.
        if hotkey_fault(hotkey).is_none() && self.seen.insert(hotkey.to_owned()) {
            let before = self.found.miners;
            self.one(hotkey, Some(held));
            if self.found.miners == before && !held.is_empty() {
                self.found.added_miners += 1;
                list(&mut self.found.added, hotkey);
            }
        }
    }

    /// Compares what is left: the miners that the checkpoint does not have.
    fn finish(mut self) -> Comparison {
        for entry in self.entries(&self.miners.clone()) {
            let hotkey = entry
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if !self.seen.contains(&hotkey) {
                self.one(&hotkey, None);
            }
        }
        self.found
    }

    fn one(&mut self, hotkey: &str, held: Option<&Held>) {
        let positions = self.miners.join(hotkey).join("positions");
        let before = self.found.positions;
        for pair in self.entries(&positions) {
            for state in ["open", "closed"] {
                for path in self.entries(&pair.join(state)) {
                    match read(&path, self.max_record) {
                        Ok(Some(position)) => self.position(hotkey, &position, held),
                        Ok(None) => {}
                        Err(_) => self.found.unreadable += 1,
                    }
                }
            }
        }
        if self.found.positions > before {
            self.found.miners += 1;
            if held.is_none() {
                self.found.lost_miners += 1;
                list(&mut self.found.removed, hotkey);
            }
        }
    }

    fn position(&mut self, hotkey: &str, position: &OnDisk, held: Option<&Held>) {
        let found = &mut self.found;
        found.positions += 1;
        found.orders += position.orders.len() as u64;
        let newest = position.orders.iter().filter_map(|(_, time)| *time).max();
        found.newest_order_ms = found.newest_order_ms.max(newest);

        let held = held.and_then(|held| held.get(&position.uuid));
        let is_lost = |uuid: &str| held.is_none_or(|orders| !orders.contains(uuid));
        let lost = position
            .orders
            .iter()
            .filter(|(uuid, _)| is_lost(uuid))
            .count() as u64;
        found.lost_orders += lost;
        found.lost_positions += u64::from(held.is_none());
        found.newer_positions += u64::from(held.is_some() && lost > 0);
        if (lost > 0 || held.is_none()) && found.listed.len() < LISTED {
            found.listed.push(Loss {
                hotkey: shown(hotkey),
                position: shown(&position.uuid),
                orders: lost,
                whole: held.is_none(),
            });
        }
    }

    /// What is in a directory; one that is not there is empty.
    fn entries(&mut self, directory: &Path) -> Vec<PathBuf> {
        let listed: io::Result<Vec<PathBuf>> = fs::read_dir(directory)
            .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
        match listed {
            Ok(mut paths) => {
                paths.sort();
                paths
            }
            Err(error) => {
                let nothing = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
                self.found.unreadable += u64::from(!nothing.contains(&error.kind()));
                Vec::new()
            }
        }
    }
}

fn list(names: &mut Vec<String>, name: &str) {
    if names.len() < LISTED {
        names.push(shown(name));
    }
}

/// Reads a position's file. `None` for the leftovers that the validator skips too.
fn read(path: &Path, max_record: u64) -> Result<Option<OnDisk>, Fault> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.ends_with(".swp") || name == ".DS_Store" {
        return Ok(None);
    }
    // A pipe would block, and is no position.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::from(io::ErrorKind::InvalidData).into());
    }
    let file = File::open(path)?;
    let mut reader = Reader::buffered(file, max_record, SMALL);
    if reader.kind()? != Kind::Object {
        return Err(io::Error::from(io::ErrorKind::InvalidData).into());
    }
    reader.open_object()?;
    let mut orders = Vec::new();
    let mut first = true;
    while let Some(key) = reader.next_key(first)? {
        first = false;
        if key.as_str() == Some("orders") && reader.kind()? == Kind::Array {
            orders.clear();
            reader.open_array()?;
            let mut first = true;
            while reader.next_element(first)? {
                first = false;
                orders.extend(order(&mut reader)?);
            }
        } else {
            reader.skip()?;
        }
    }
    reader.finish()?;
    Ok(Some(OnDisk {
        uuid: name.into_owned(),
        orders,
    }))
}

/// Reads what matters of an order: its uuid, and when it was processed. `None` for what is none.
fn order(reader: &mut Reader<'_>) -> Result<Option<(String, Option<i64>)>, Fault> {
    if reader.kind()? != Kind::Object {
        reader.skip()?;
        return Ok(None);
    }
    reader.open_object()?;
    let (mut uuid, mut time) = (None, None);
    let mut first = true;
    while let Some(key) = reader.next_key(first)? {
        first = false;
        match key.as_str() {
            Some("order_uuid") => uuid = reader.value()?.as_str().map(str::to_owned),
            Some("processed_ms") => {
                time = match reader.value()? {
                    Value::Number(Number::Integer(time)) => Some(time),
                    _ => None,
                };
            }
            _ => reader.skip()?,
        }
    }
    Ok(uuid.map(|uuid| (uuid, time)))
}
