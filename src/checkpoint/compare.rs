//! What is on disk and not in the checkpoint: what restoring it would lose.
//!
//! One miner at a time, on a thread of its own beside the pass through the checkpoint.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Dir, Mode, OFlags};
use serde::Serialize;

use super::fingerprint;
use super::held::{Held, HeldPosition};
use super::json::{Fault, Kind, Number, Reader, Value};
use super::names::{hotkey_fault, shown};
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

/// What is read of a file at once, to see whether it is what the checkpoint makes.
const BUFFER: usize = 64 * 1024;

/// How a directory is opened.
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// A comparison being made.
pub(crate) struct Compare {
    /// The directory of the miners, where it is there.
    miners: Option<OwnedFd>,
    seen: HashSet<String>,
    max_record: u64,
    buffer: Vec<u8>,
    found: Comparison,
}

/// A position file on disk, as far as it matters here.
enum OnDisk {
    /// It is what the checkpoint makes.
    Same,
    /// Its orders.
    Other(Vec<(String, Option<i64>)>),
}

impl Compare {
    /// Compares with the state under `validation`.
    pub(crate) fn with(validation: &Path, max_record: u64) -> Self {
        let mut compare = Self {
            miners: None,
            seen: HashSet::new(),
            max_record,
            buffer: vec![0; BUFFER],
            found: Comparison::default(),
        };
        let miners = rustix::fs::open(validation.join("miners"), DIRECTORY, Mode::empty());
        compare.miners = compare.readable(miners.map_err(io::Error::from));
        compare
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
            if let Some(miners) = self.miners.take() {
                self.one(miners.as_fd(), hotkey, Some(held));
                self.miners = Some(miners);
            }
            if self.found.miners == before && !held.is_empty() {
                self.found.added_miners += 1;
                list(&mut self.found.added, hotkey);
            }
        }
    }

    /// Compares what is left: the miners that the checkpoint does not have.
    fn finish(mut self) -> Comparison {
        let Some(miners) = self.miners.take() else {
            return self.found;
        };
        let left = self.entries(miners.as_fd(), ".");
        for hotkey in left.map(|(_, names)| names).unwrap_or_default() {
            if !self.seen.contains(&hotkey) {
                self.one(miners.as_fd(), &hotkey, None);
            }
        }
        self.found
    }

    fn one(&mut self, miners: BorrowedFd<'_>, hotkey: &str, held: Option<&Held>) {
        let before = self.found.positions;
        self.positions(miners, hotkey, held);
        if self.found.positions > before {
            self.found.miners += 1;
            if held.is_none() {
                self.found.lost_miners += 1;
                list(&mut self.found.removed, hotkey);
            }
        }
    }

    fn positions(&mut self, miners: BorrowedFd<'_>, hotkey: &str, held: Option<&Held>) {
        let Some((positions, pairs)) = self.entries(miners, &format!("{hotkey}/positions")) else {
            return;
        };
        let Ok(positions) = positions.fd() else {
            return;
        };
        for pair in pairs {
            for state in ["open", "closed"] {
                let state = self.entries(positions, &format!("{pair}/{state}"));
                let Some((directory, files)) = state else {
                    continue;
                };
                let Ok(directory) = directory.fd() else {
                    continue;
                };
                for uuid in files {
                    if uuid.ends_with(".swp") || uuid == ".DS_Store" {
                        // Leftovers, which the validator skips too.
                        continue;
                    }
                    let of_it = held.and_then(|held| held.get(&uuid));
                    match self.read(directory, &uuid, of_it) {
                        Ok(position) => self.position(hotkey, &uuid, &position, of_it),
                        Err(_) => self.found.unreadable += 1,
                    }
                }
            }
        }
    }

    fn position(
        &mut self,
        hotkey: &str,
        uuid: &str,
        position: &OnDisk,
        held: Option<&HeldPosition>,
    ) {
        let found = &mut self.found;
        found.positions += 1;
        let orders = match (position, held) {
            (OnDisk::Other(orders), _) => orders,
            (OnDisk::Same, held) => {
                if let Some(held) = held {
                    found.orders += held.orders();
                    found.newest_order_ms = found.newest_order_ms.max(held.newest_ms);
                }
                return;
            }
        };
        found.orders += orders.len() as u64;
        let newest = orders.iter().filter_map(|(_, time)| *time).max();
        found.newest_order_ms = found.newest_order_ms.max(newest);

        let kept: HashSet<&str> = held.into_iter().flat_map(HeldPosition::uuids).collect();
        let lost = orders
            .iter()
            .filter(|(uuid, _)| !kept.contains(&**uuid))
            .count() as u64;
        found.lost_orders += lost;
        found.lost_positions += u64::from(held.is_none());
        found.newer_positions += u64::from(held.is_some() && lost > 0);
        if (lost > 0 || held.is_none()) && found.listed.len() < LISTED {
            found.listed.push(Loss {
                hotkey: shown(hotkey),
                position: shown(uuid),
                orders: lost,
                whole: held.is_none(),
            });
        }
    }

    /// A directory, and what is in it.
    fn entries(&mut self, above: BorrowedFd<'_>, path: &str) -> Option<(Dir, Vec<String>)> {
        self.readable(list_entries(above, path))
    }

    /// What is not there is as good as empty; all else that cannot be read is counted.
    fn readable<T>(&mut self, read: io::Result<T>) -> Option<T> {
        if let Err(error) = &read {
            let nothing = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
            self.found.unreadable += u64::from(!nothing.contains(&error.kind()));
        }
        read.ok()
    }

    /// Reads a position's file, and what is in it only where that is not what the checkpoint makes: most positions are closed,
    /// and do not change any more.
    fn read(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &str,
        held: Option<&HeldPosition>,
    ) -> Result<OnDisk, Fault> {
        // A pipe would block, and is no position.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(directory, name, flags, Mode::empty());
        let mut file = File::from(file.map_err(io::Error::from)?);
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(io::Error::from(io::ErrorKind::InvalidData).into());
        }
        if let Some(content) = held.and_then(|held| held.content)
            && content.bytes == about.len()
        {
            if fingerprint::read(&file, &mut self.buffer)? == content {
                return Ok(OnDisk::Same);
            }
            file.rewind()?;
        }
        orders(file, self.max_record).map(OnDisk::Other)
    }
}

fn list_entries(above: BorrowedFd<'_>, path: &str) -> io::Result<(Dir, Vec<String>)> {
    let opened = rustix::fs::openat(above, path, DIRECTORY, Mode::empty())?;
    let (mut directory, mut names) = (Dir::new(opened)?, Vec::new());
    while let Some(entry) = directory.read() {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            // One that is no text is not found by what is told of it, and so counts as unreadable.
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort_unstable();
    Ok((directory, names))
}

fn list(names: &mut Vec<String>, name: &str) {
    if names.len() < LISTED {
        names.push(shown(name));
    }
}

/// The orders in a position's file.
fn orders(file: File, max_record: u64) -> Result<Vec<(String, Option<i64>)>, Fault> {
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
    Ok(orders)
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
