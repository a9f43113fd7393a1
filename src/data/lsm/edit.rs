//! One record of a MANIFEST: a change of what a database consists of.
//!
//! The tags are those of LevelDB (`db/version_edit.cc`; goleveldb writes the same) and of RocksDB, which added its
//! own from 100 on (`db/version_edit.h`). A tag above [`IGNORABLE`] that nobody knows yet is skipped by its length.

use super::decode::Decoder;
pub use super::tables::NewTable;
use super::tables::NewTables;

/// RocksDB's promise: an unknown tag with this bit is followed by its length and may be skipped.
const IGNORABLE: u32 = 1 << 13;
/// In a table's own fields, an unknown tag with this bit must not be skipped.
const TABLE_FIELD_MUST_KNOW: u32 = 1 << 6;

/// A blob file that an edit adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBlob {
    /// The number in its name.
    pub number: u64,
    /// How many blobs it holds.
    pub count: u64,
    /// Bytes of its records, without header and footer.
    pub record_bytes: u64,
}

/// What RocksDB notes of write-ahead logs when it is told to track them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wal {
    /// The log exists, with at least so many synced bytes if that is known.
    Added {
        /// The log's number.
        number: u64,
        /// Bytes that are known to be on disk.
        synced: Option<u64>,
    },
    /// Logs below this number are gone.
    DeletedBelow(u64),
}

/// What one MANIFEST record says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edit {
    /// The order of keys, by name.
    pub comparator: Option<String>,
    /// The oldest log that the column family still needs.
    pub log_number: Option<u64>,
    /// LevelDB: the log of the memtable that is being written out.
    pub prev_log_number: Option<u64>,
    /// The number that the next new file gets.
    pub next_file: Option<u64>,
    /// The newest sequence number in the tables.
    pub last_sequence: Option<u64>,
    /// RocksDB: the oldest log that is still needed at all.
    pub min_log_to_keep: Option<u64>,
    /// The column family that the edit is about; 0 is the default one.
    pub family: u32,
    /// Creates the column family, with this name.
    pub family_added: Option<String>,
    /// Drops the column family.
    pub family_dropped: bool,
    /// The edit belongs to a group that counts only as a whole; so many more edits follow.
    pub group_remaining: Option<u32>,
    /// Tables that become part of the database.
    pub new_tables: NewTables,
    /// Tables that no longer are: level and number.
    pub deleted_tables: Vec<(u32, u64)>,
    /// Blob files that become part of the database.
    pub new_blobs: Vec<NewBlob>,
    /// Blobs that no table points to any more: the blob file, and how many more of its blobs.
    pub blob_garbage: Vec<(u64, u64)>,
    /// Notes on logs.
    pub wals: Vec<Wal>,
    /// The record has a tag that only RocksDB writes.
    pub rocksdb: bool,
}

/// Why a record is no edit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadEdit {
    /// The bytes end inside a field.
    #[error("it ends inside the field with tag {tag}")]
    Short {
        /// The field's tag.
        tag: u32,
    },
    /// A tag that nobody knows and that may not be skipped.
    #[error("it has the unknown tag {tag}")]
    UnknownTag {
        /// The tag.
        tag: u32,
    },
    /// A size or a level that no file can have.
    #[error("table {number} has an impossible size or level")]
    Absurd {
        /// The table's number.
        number: u64,
    },
}

/// Reads an edit piece by piece: the one that an engine begins a MANIFEST with names every table, with its first and last key.
#[derive(Debug, Default)]
pub struct EditReader {
    edit: Edit,
    /// The beginning of a field whose rest is still to come.
    begun: Vec<u8>,
    failed: Option<BadEdit>,
}

impl EditReader {
    /// Takes the next part of the record.
    pub fn feed(&mut self, part: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        if self.begun.is_empty() {
            let read = self.fields(part);
            self.begun.extend_from_slice(&part[read..]);
        } else {
            let mut begun = std::mem::take(&mut self.begun);
            begun.extend_from_slice(part);
            let read = self.fields(&begun);
            begun.drain(..read);
            self.begun = begun;
        }
    }

    /// The record is whole; the next one may be fed.
    pub fn finish(&mut self) -> Result<Edit, BadEdit> {
        let read = std::mem::take(self);
        match read.failed {
            Some(failed) => Err(failed),
            None if read.begun.is_empty() => Ok(read.edit),
            None => Err(BadEdit::Short {
                tag: Decoder::new(&read.begun).varint32().unwrap_or(0),
            }),
        }
    }

    /// Reads the fields that are there as a whole; gives how many bytes they have.
    fn fields(&mut self, bytes: &[u8]) -> usize {
        let mut input = Decoder::new(bytes);
        let mut read = 0;
        while let Some(tag) = input.varint32() {
            match self.edit.field(tag, &mut input) {
                Ok(Some(())) => read = bytes.len() - input.rest().len(),
                Ok(None) => break,
                Err(bad) => {
                    self.failed = Some(bad);
                    break;
                }
            }
        }
        read
    }
}

impl Edit {
    /// Reads one record.
    #[cfg(test)]
    pub fn decode(record: &[u8]) -> Result<Self, BadEdit> {
        let mut reader = EditReader::default();
        reader.feed(record);
        reader.finish()
    }

    /// Reads one field; `Ok(None)` when the bytes end inside it, and then nothing has come of it yet.
    fn field(&mut self, tag: u32, input: &mut Decoder<'_>) -> Result<Option<()>, BadEdit> {
        self.rocksdb |= tag >= 10;
        let known = match tag {
            1 => input
                .prefixed()
                .map(|name| self.comparator = Some(text(name))),
            2 => input.varint64().map(|n| self.log_number = Some(n)),
            3 => input.varint64().map(|n| self.next_file = Some(n)),
            4 => input.varint64().map(|n| self.last_sequence = Some(n)),
            // Where the next compaction of a level starts.
            5 => input.varint32().and_then(|_| input.prefixed()).map(drop),
            6 => self.deleted_table(input),
            7 | 100 | 102 | 103 => return self.new_table(tag, input),
            9 => input.varint64().map(|n| self.prev_log_number = Some(n)),
            10 => input.varint64().map(|n| self.min_log_to_keep = Some(n)),
            200 => input.varint32().map(|id| self.family = id),
            201 => input
                .prefixed()
                .map(|name| self.family_added = Some(text(name))),
            202 => {
                self.family_dropped = true;
                Some(())
            }
            // The highest column family id so far.
            203 => input.varint32().map(drop),
            300 => input.varint32().map(|n| self.group_remaining = Some(n)),
            400 | 8194 => self.new_blob(input),
            401 | 8195 => self.blob_garbage(input),
            8196 => self.wal_added(input),
            8197 => self.wal_deleted(input),
            8199 => input
                .prefixed()
                .and_then(|inner| self.wal_added(&mut Decoder::new(inner))),
            8200 => input
                .prefixed()
                .and_then(|inner| self.wal_deleted(&mut Decoder::new(inner))),
            tag if tag & IGNORABLE != 0 => input.prefixed().map(drop),
            tag => return Err(BadEdit::UnknownTag { tag }),
        };
        Ok(known)
    }

    fn deleted_table(&mut self, input: &mut Decoder<'_>) -> Option<()> {
        self.deleted_tables
            .push((input.varint32()?, input.varint64()?));
        Some(())
    }

    fn new_table(&mut self, tag: u32, input: &mut Decoder<'_>) -> Result<Option<()>, BadEdit> {
        let Some(mut table) = plain_table(tag, input) else {
            return Ok(None);
        };
        if tag == 103 {
            match table_fields(&mut table, input)? {
                Some(()) => {}
                None => return Ok(None),
            }
        }
        match self.new_tables.push(&table) {
            Some(()) => Ok(Some(())),
            None => Err(BadEdit::Absurd {
                number: table.number,
            }),
        }
    }

    fn new_blob(&mut self, input: &mut Decoder<'_>) -> Option<()> {
        let number = input.varint64()?;
        let count = input.varint64()?;
        let record_bytes = input.varint64()?;
        let _checksum_method = input.prefixed()?;
        let _checksum = input.prefixed()?;
        skip_blob_fields(input)?;
        self.new_blobs.push(NewBlob {
            number,
            count,
            record_bytes,
        });
        Some(())
    }

    fn blob_garbage(&mut self, input: &mut Decoder<'_>) -> Option<()> {
        let number = input.varint64()?;
        let count = input.varint64()?;
        let _bytes = input.varint64()?;
        skip_blob_fields(input)?;
        self.blob_garbage.push((number, count));
        Some(())
    }

    fn wal_added(&mut self, input: &mut Decoder<'_>) -> Option<()> {
        let number = input.varint64()?;
        let mut synced = None;
        // 2 is the synced size, 1 the end.
        loop {
            match input.varint32()? {
                1 => break,
                2 => synced = Some(input.varint64()?),
                _ => return None,
            }
        }
        self.wals.push(Wal::Added { number, synced });
        Some(())
    }

    fn wal_deleted(&mut self, input: &mut Decoder<'_>) -> Option<()> {
        self.wals.push(Wal::DeletedBelow(input.varint64()?));
        Some(())
    }
}

/// What all four forms of a new table start with.
fn plain_table(tag: u32, input: &mut Decoder<'_>) -> Option<NewTable> {
    let level = input.varint32()?;
    let number = input.varint64()?;
    let path_id = if tag == 102 { input.varint32()? } else { 0 };
    let size = input.varint64()?;
    let _smallest = input.prefixed()?;
    let _largest = input.prefixed()?;
    if tag != 7 {
        let _smallest_sequence = input.varint64()?;
        let _largest_sequence = input.varint64()?;
    }
    Some(NewTable {
        level,
        number,
        size,
        path_id,
        oldest_blob: None,
    })
}

/// The tagged fields of RocksDB's fourth form (`NewFileCustomTag`), up to their end mark.
fn table_fields(table: &mut NewTable, input: &mut Decoder<'_>) -> Result<Option<()>, BadEdit> {
    loop {
        let Some(tag) = input.varint32() else {
            return Ok(None);
        };
        if tag == 1 {
            return Ok(Some(()));
        }
        let Some(field) = input.prefixed() else {
            return Ok(None);
        };
        match tag {
            4 => match Decoder::new(field).varint64() {
                Some(number) => table.oldest_blob = Some(number).filter(|n| *n != 0),
                None => return Ok(None),
            },
            65 => match field {
                [path_id] => table.path_id = u32::from(*path_id),
                _ => return Ok(None),
            },
            tag if tag & TABLE_FIELD_MUST_KNOW != 0 => return Err(BadEdit::UnknownTag { tag }),
            _ => {}
        }
    }
}

fn skip_blob_fields(input: &mut Decoder<'_>) -> Option<()> {
    while input.varint32()? != 0 {
        input.prefixed()?;
    }
    Some(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
