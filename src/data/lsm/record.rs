//! The record format of logs: write-ahead logs and MANIFESTs of LevelDB, goleveldb and RocksDB.
//!
//! A log is a row of 32 KiB blocks. A record is one fragment, or several; a fragment never crosses a block and starts
//! with a masked CRC-32C, a length and a type (LevelDB `doc/log_format.md`). RocksDB adds "recyclable" fragments that
//! also carry the low half of the log's number, since it writes new logs over old ones (`db/log_format.h`).

use std::io::{self, Read};

use super::checksum;

const BLOCK: usize = 32 * 1024;
const HEADER: usize = 7;
const RECYCLABLE_HEADER: usize = 11;

/// How a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The last byte of the file is the last byte of a record.
    Exact,
    /// The file ends inside a record, as after a power cut: what follows `Scan::whole` is not a record.
    Torn,
    /// What follows is left from the log that this one was written over (RocksDB's log recycling).
    Stale,
    /// Bytes at this offset are no record although records follow: the log was damaged.
    Damaged {
        /// Where the first unreadable byte is.
        offset: u64,
    },
}

/// What reading a log to its end has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    /// Whole records read.
    pub records: u64,
    /// Bytes from the start to the end of the last whole record.
    pub whole: u64,
    /// Bytes of the file.
    pub length: u64,
    /// How it ends.
    pub end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Full,
    First,
    Middle,
    Last,
    /// About the log itself (compression, timestamps): complete, and not the database's.
    Meta,
}

struct Fragment<'a> {
    part: Part,
    payload: &'a [u8],
    /// Header and payload.
    size: usize,
    recyclable: bool,
}

enum Parsed<'a> {
    Fragment(Fragment<'a>),
    /// A sound fragment of the log that this one was written over.
    Stale,
    Bad,
}

/// What a log is read as: a record may be large, so it is never put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A part of a record, less than 32 KiB.
    Payload(&'a [u8]),
    /// The parts since the last end are a whole record, which ends just before this offset.
    End(u64),
}

/// Reads every record and calls `on_piece` with its parts and its end. What comes after the last end is no record.
///
/// `number` is the number in the log's name: it tells a recycled log's own records from those below.
/// Reads to the end of `source` in any case. Fails only when `source` fails.
pub fn scan(
    source: &mut dyn Read,
    number: u64,
    on_piece: &mut dyn FnMut(Piece<'_>),
) -> io::Result<Scan> {
    let mut state = State::default();
    let mut block = vec![0u8; BLOCK];
    loop {
        let filled = fill(source, &mut block)?;
        state.block(&block[..filled], number, on_piece);
        state.length += filled as u64;
        if filled < BLOCK {
            return Ok(state.finish());
        }
    }
}

#[derive(Default)]
struct State {
    records: u64,
    whole: u64,
    length: u64,
    /// A record has begun and not ended.
    pending: bool,
    /// Where the first thing that is no record of this log was met.
    stopped_at: Option<u64>,
    /// A sound fragment of this log was met after `stopped_at`.
    resumed: bool,
    recyclable: bool,
    stale: bool,
}

impl State {
    fn block(&mut self, block: &[u8], number: u64, on_piece: &mut dyn FnMut(Piece<'_>)) {
        let mut at = 0;
        while at < block.len() {
            // The rest of a block that is too short for a header is filled with zeros: for a longer header in a recycled log
            // (RocksDB's `log_writer.cc`, `AddRecord`).
            let header = match self.recyclable {
                true => RECYCLABLE_HEADER,
                false => HEADER,
            };
            if block.len() == BLOCK && BLOCK - at < header && block[at..].iter().all(|b| *b == 0) {
                return;
            }
            let fragment = match parse(&block[at..], number) {
                Parsed::Fragment(fragment) => fragment,
                Parsed::Stale => {
                    self.stale = true;
                    return self.stop(at);
                }
                Parsed::Bad => return self.stop(at),
            };
            if self.stopped_at.is_some() {
                self.resumed = true;
                return;
            }
            self.recyclable |= fragment.recyclable;
            let start = at;
            at += fragment.size;
            if !self.fragment(&fragment, on_piece) {
                // First without Last, or Last without First: sound fragments in an order that nobody writes.
                self.resumed = true;
                return self.stop(start);
            }
            if matches!(fragment.part, Part::Full | Part::Last | Part::Meta) {
                self.whole = self.length + at as u64;
                if fragment.part != Part::Meta {
                    self.records += 1;
                    self.pending = false;
                    on_piece(Piece::End(self.whole));
                }
            }
        }
    }

    /// Takes one fragment; false when it does not follow from the one before.
    fn fragment(&mut self, fragment: &Fragment<'_>, on_piece: &mut dyn FnMut(Piece<'_>)) -> bool {
        let begins = matches!(fragment.part, Part::Full | Part::First);
        match (begins, fragment.part, self.pending) {
            (_, Part::Meta, false) => return true,
            (true, _, false) => self.pending = true,
            (false, Part::Middle | Part::Last, true) => {}
            _ => return false,
        }
        on_piece(Piece::Payload(fragment.payload));
        true
    }

    fn stop(&mut self, at: usize) {
        self.stopped_at.get_or_insert(self.length + at as u64);
    }

    fn finish(self) -> Scan {
        let end = match self.stopped_at {
            Some(offset) if self.resumed => End::Damaged { offset },
            Some(_) if self.recyclable || self.stale => End::Stale,
            Some(_) => End::Torn,
            None if self.pending => End::Torn,
            // Zeros that fill the last block up to its end belong to no record, and nothing is missing.
            None => End::Exact,
        };
        Scan {
            records: self.records,
            whole: self.whole,
            length: self.length,
            end,
        }
    }
}

fn parse(bytes: &[u8], number: u64) -> Parsed<'_> {
    let Some((header, rest)) = bytes.split_at_checked(HEADER) else {
        return Parsed::Bad;
    };
    let stored = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    let length = usize::from(u16::from_le_bytes([header[4], header[5]]));
    let (part, recyclable) = match header[6] {
        1 => (Part::Full, false),
        2 => (Part::First, false),
        3 => (Part::Middle, false),
        4 => (Part::Last, false),
        5 => (Part::Full, true),
        6 => (Part::First, true),
        7 => (Part::Middle, true),
        8 => (Part::Last, true),
        // Compression, timestamp size, and what the log before was (RocksDB 7.4, 8.5, 9.8).
        9 | 10 | 130 => (Part::Meta, false),
        11 | 131 => (Part::Meta, true),
        _ => return Parsed::Bad,
    };
    let extra = if recyclable {
        RECYCLABLE_HEADER - HEADER
    } else {
        0
    };
    // The checksum covers the type, the log number if there is one, and the payload.
    let Some(covered) = bytes.get(6..HEADER + extra + length) else {
        return Parsed::Bad;
    };
    if checksum::masked_crc(covered) != stored {
        return Parsed::Bad;
    }
    if recyclable {
        let own = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]);
        if own != number as u32 {
            return Parsed::Stale;
        }
    }
    Parsed::Fragment(Fragment {
        part,
        payload: &rest[extra..extra + length],
        size: HEADER + extra + length,
        recyclable,
    })
}

fn fill(source: &mut dyn Read, block: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match source.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
