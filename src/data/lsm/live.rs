//! The live set: the files that a database consists of, by its MANIFEST.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use super::edit::{Edit, EditReader, Wal};
use super::record::{self, End, Piece, Scan};
use super::tables::Tables;

/// Header and footer of a blob file (RocksDB `db/blob/blob_log_format.h`).
pub const BLOB_OVERHEAD: u64 = 30 + 32;

/// Which engine's rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// LevelDB and goleveldb: the same files.
    LevelDb,
    /// RocksDB.
    RocksDb,
}

impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::LevelDb => "leveldb",
            Self::RocksDb => "rocksdb",
        })
    }
}

/// A file that never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Immutable {
    /// The number in its name.
    pub number: u64,
    /// Its size in bytes.
    pub size: u64,
    /// A blob file, not a table.
    pub blob: bool,
}

/// A column family; LevelDB has the default one alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Family {
    /// Its name.
    pub name: String,
    /// The order of its keys, by name.
    pub comparator: Option<String>,
    /// The oldest log that it needs.
    pub log_number: Option<u64>,
    tables: Tables,
    blobs: BTreeMap<u64, Blob>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Blob {
    count: u64,
    garbage: u64,
    record_bytes: u64,
}

/// What a MANIFEST says a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSet {
    /// LevelDB or RocksDB, by the tags that the MANIFEST uses.
    pub engine: Engine,
    /// The column families by id.
    pub families: BTreeMap<u32, Family>,
    /// The number of the next new file.
    pub next_file: u64,
    /// The newest sequence number in the tables.
    pub last_sequence: u64,
    /// The oldest log that is needed.
    pub oldest_log: u64,
    /// LevelDB: a second log that is needed, below `oldest_log`; 0 is none.
    pub prev_log: u64,
    /// Logs that RocksDB tracks, and how many bytes of them it knows to be on disk.
    pub tracked_logs: BTreeMap<u64, u64>,
    /// How the MANIFEST ends.
    pub scan: Scan,
}

/// Why a MANIFEST gives no live set.
#[derive(Debug, thiserror::Error)]
pub enum BadManifest {
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    /// A record has a wrong checksum or no sense, and more records follow.
    #[error("it is damaged at byte {offset}")]
    Damaged {
        /// Where.
        offset: u64,
    },
    /// A record is no edit.
    #[error("the record that ends at byte {end} is wrong: {detail}")]
    Edit {
        /// Where the record ends.
        end: u64,
        /// What is wrong.
        detail: String,
    },
    /// Facts that every MANIFEST has are missing: it was cut or is empty.
    #[error("it does not say its {0}: it was cut short or never finished")]
    Missing(&'static str),
    /// A table is numbered as the future.
    #[error("file number {number} is not below the next file number {next_file}")]
    Future {
        /// The table's number.
        number: u64,
        /// What the MANIFEST says is next.
        next_file: u64,
    },
    /// A table is outside of the directory.
    #[error(
        "table {number} is kept in another directory (RocksDB db_paths), which is not supported"
    )]
    Elsewhere {
        /// The table's number.
        number: u64,
    },
}

impl LiveSet {
    /// Reads a MANIFEST whose name has `number`.
    ///
    /// A torn last record, or an atomic group that is not complete, is left out, as the engines do;
    /// `scan.end` says whether the MANIFEST ends exactly.
    pub fn read(source: &mut dyn Read, number: u64) -> Result<Self, BadManifest> {
        let mut building = Building::default();
        let mut failed = None;
        let mut reader = EditReader::default();
        let mut scan = record::scan(source, number, &mut |piece| match piece {
            Piece::Payload(part) => reader.feed(part),
            Piece::End(end) => {
                let edit = reader.finish();
                if failed.is_none() {
                    let bad = |detail: String| BadManifest::Edit { end, detail };
                    let edit = edit.map_err(|error| bad(error.to_string()));
                    failed = edit.and_then(|edit| building.record(edit, end)).err();
                }
            }
        })?;
        if let End::Damaged { offset } = scan.end {
            return Err(BadManifest::Damaged { offset });
        }
        if let Some(error) = failed {
            return Err(error);
        }
        if !building.group.is_empty() {
            // The engines drop a group without its end, so it ends the MANIFEST as a torn record does.
            scan.end = End::Torn;
            scan.whole = building.group_start;
        }
        building.finish(scan)
    }

    /// Every table and blob file.
    pub fn immutables(&self) -> impl Iterator<Item = Immutable> + '_ {
        self.families.values().flat_map(|family| {
            let tables = family.tables.iter().map(|(number, size)| Immutable {
                number,
                size,
                blob: false,
            });
            tables.chain(family.live_blobs())
        })
    }

    /// The table with this number.
    pub fn table(&self, number: u64) -> Option<Immutable> {
        let mut families = self.families.values();
        let size = families.find_map(|family| family.tables.size(number))?;
        Some(Immutable {
            number,
            size,
            blob: false,
        })
    }

    /// Every blob file.
    pub fn blobs(&self) -> impl Iterator<Item = Immutable> + '_ {
        self.families.values().flat_map(Family::live_blobs)
    }

    /// Whether a log with this number is still needed.
    pub fn needs_log(&self, number: u64) -> bool {
        number >= self.oldest_log || (self.prev_log != 0 && number == self.prev_log)
    }

    /// Logs that must exist, with the bytes that they must have.
    ///
    /// LevelDB creates a log before it writes its number down, so in a stopped database that log is there; in a copy
    /// that was cut hot its records may be newer than the moment of the cut, and then it is not (`hot`). RocksDB
    /// promises logs only where it tracks them, and then never opens without them.
    pub fn required_logs(&self, hot: bool) -> BTreeMap<u64, u64> {
        match self.engine {
            Engine::LevelDb if hot => BTreeMap::new(),
            Engine::LevelDb => [self.oldest_log, self.prev_log]
                .into_iter()
                .filter(|number| *number != 0)
                .map(|number| (number, 0))
                .collect(),
            Engine::RocksDb => self
                .tracked_logs
                .iter()
                .filter(|(number, _)| self.needs_log(**number))
                .map(|(number, synced)| (*number, *synced))
                .collect(),
        }
    }

    /// The comparator of the default column family.
    pub fn comparator(&self) -> &str {
        self.families
            .get(&0)
            .and_then(|family| family.comparator.as_deref())
            .unwrap_or_default()
    }
}

impl Family {
    /// No edit says that a blob file is gone. It is (RocksDB `VersionBuilder::SaveBlobFilesTo`) when it is below the
    /// oldest one that a table points into, and when all its blobs are garbage and no table has it as its oldest.
    fn live_blobs(&self) -> impl Iterator<Item = Immutable> + '_ {
        let pointed: BTreeSet<u64> = self.tables.oldest_blobs().collect();
        let oldest = self
            .blobs
            .keys()
            .copied()
            .find(|number| pointed.contains(number));
        self.blobs
            .iter()
            .filter(move |(number, blob)| {
                let in_use = blob.garbage < blob.count || pointed.contains(number);
                in_use && oldest.is_some_and(|oldest| **number >= oldest)
            })
            .map(|(number, blob)| Immutable {
                number: *number,
                size: blob.record_bytes.saturating_add(BLOB_OVERHEAD),
                blob: true,
            })
    }
}

#[derive(Default)]
struct Building {
    families: BTreeMap<u32, Family>,
    rocksdb: bool,
    prev_log: Option<u64>,
    next_file: Option<u64>,
    last_sequence: Option<u64>,
    min_log_to_keep: Option<u64>,
    tracked_logs: BTreeMap<u64, u64>,
    /// Edits of an atomic group that is not complete yet.
    group: Vec<Edit>,
    /// Where the group's first record starts.
    group_start: u64,
    /// Where the last record ended.
    last_end: u64,
}

impl Building {
    fn record(&mut self, edit: Edit, end: u64) -> Result<(), BadManifest> {
        let bad = |detail: String| BadManifest::Edit { end, detail };
        let start = std::mem::replace(&mut self.last_end, end);
        self.rocksdb |= edit.rocksdb;
        let Some(remaining) = edit.group_remaining else {
            if !self.group.is_empty() {
                return Err(bad("it interrupts an atomic group".to_owned()));
            }
            return self.apply(edit).map_err(bad);
        };
        if self.group.is_empty() {
            self.group_start = start;
        }
        self.group.push(edit);
        if remaining == 0 {
            for edit in std::mem::take(&mut self.group) {
                self.apply(edit).map_err(bad)?;
            }
        }
        Ok(())
    }

    fn apply(&mut self, edit: Edit) -> Result<(), String> {
        for (known, new) in [
            (&mut self.prev_log, edit.prev_log_number),
            (&mut self.next_file, edit.next_file),
            (&mut self.last_sequence, edit.last_sequence),
        ] {
            *known = new.or(*known);
        }
        // RocksDB only ever raises this one.
        self.min_log_to_keep = self.min_log_to_keep.max(edit.min_log_to_keep);
        for wal in edit.wals {
            match wal {
                Wal::Added { number, synced } => {
                    let known = self.tracked_logs.entry(number).or_default();
                    *known = (*known).max(synced.unwrap_or(0));
                }
                Wal::DeletedBelow(number) => self.tracked_logs.retain(|log, _| *log >= number),
            }
        }
        if edit.family_dropped {
            self.families.remove(&edit.family);
            return Ok(());
        }
        if let Some(name) = edit.family_added {
            self.families.insert(
                edit.family,
                Family {
                    name,
                    ..Family::default()
                },
            );
        }
        let family = match edit.family {
            0 => self.families.entry(0).or_default(),
            id => self
                .families
                .get_mut(&id)
                .ok_or_else(|| format!("it is about the unknown column family {id}"))?,
        };
        family.comparator = edit.comparator.or(family.comparator.take());
        family.log_number = edit.log_number.or(family.log_number);
        // A table that moves to another level is deleted and added by one edit.
        for (level, number) in edit.deleted_tables {
            family.tables.remove(level, number);
        }
        family.tables.add(edit.new_tables);
        for blob in edit.new_blobs {
            let blob_file = Blob {
                count: blob.count,
                garbage: 0,
                record_bytes: blob.record_bytes,
            };
            family.blobs.insert(blob.number, blob_file);
        }
        for (number, count) in edit.blob_garbage {
            if let Some(blob) = family.blobs.get_mut(&number) {
                blob.garbage = blob.garbage.saturating_add(count);
            }
        }
        Ok(())
    }

    fn finish(mut self, scan: Scan) -> Result<LiveSet, BadManifest> {
        let default = self
            .families
            .get(&0)
            .ok_or(BadManifest::Missing("comparator"))?;
        if default.comparator.is_none() {
            return Err(BadManifest::Missing("comparator"));
        }
        let log_number = default
            .log_number
            .ok_or(BadManifest::Missing("log number"))?;
        let next_file = self
            .next_file
            .ok_or(BadManifest::Missing("next file number"))?;
        let last_sequence = self
            .last_sequence
            .ok_or(BadManifest::Missing("last sequence number"))?;
        for family in self.families.values_mut() {
            family.tables.tidy();
            let newest = family.tables.iter().last().map(|(number, _)| number);
            if let Some(number) = newest.filter(|number| *number >= next_file) {
                return Err(BadManifest::Future { number, next_file });
            }
            if let Some(number) = family.tables.elsewhere() {
                return Err(BadManifest::Elsewhere { number });
            }
        }
        let engine = if self.rocksdb {
            Engine::RocksDb
        } else {
            Engine::LevelDb
        };
        let families_need = self
            .families
            .values()
            .filter_map(|family| family.log_number)
            .min();
        // With two-phase commits RocksDB may need logs older than any column family does.
        let oldest_log = families_need
            .unwrap_or(log_number)
            .min(self.min_log_to_keep.filter(|n| *n != 0).unwrap_or(u64::MAX));
        Ok(LiveSet {
            engine,
            families: self.families,
            next_file,
            last_sequence,
            oldest_log,
            prev_log: self.prev_log.unwrap_or(0),
            tracked_logs: self.tracked_logs,
            scan,
        })
    }
}
