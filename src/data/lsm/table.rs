//! Tables (`*.ldb`, `*.sst`): where their blocks are, and whether every block's checksum is right.
//!
//! Formats: LevelDB `doc/table_format.md`; RocksDB `table/format.h` (footer versions 0 to 6).

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use super::block::{self, Handle, Opaque, TRAILER};
use super::checksum::{self, Kind, Running};
use super::decode::Decoder;

/// Also the number of RocksDB's tables with footer version 0.
const LEVELDB_MAGIC: u64 = 0xdb47_7524_8b80_fb57;
const BLOCK_BASED_MAGIC: u64 = 0x88e2_41b7_85f4_cff7;
/// Plain and cuckoo tables, old and new: they have no block checksums.
const OTHER_MAGICS: [u64; 3] = [
    0x8242_2296_63bf_9564,
    0x4f34_18eb_7a8f_13b8,
    0x9267_89d0_c5f1_7873,
];
const OLD_FOOTER: usize = 48;
const NEW_FOOTER: usize = 53;
/// Starts the second part of a footer of version 6.
const EXTENDED_MAGIC: [u8; 4] = [0x3e, 0x00, 0x7a, 0x00];
/// A block that has to be looked into (an index, the properties) is no larger.
const LARGEST_INDEX: u64 = 256 << 20;

/// Why a table is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum BadTable {
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    /// The footer makes no sense.
    #[error("its footer is damaged: {0}")]
    Footer(&'static str),
    /// A block that leads to other blocks makes no sense although its checksum is right.
    #[error("its {0} makes no sense")]
    Malformed(&'static str),
    /// A block's checksum is wrong.
    #[error("the block at byte {offset} has a wrong checksum")]
    Checksum {
        /// Where the block starts.
        offset: u64,
    },
    /// A handle points outside of the file, or two overlap.
    #[error("its index points to byte {offset}, where no block can be")]
    Handle {
        /// Where it points.
        offset: u64,
    },
}

/// How much of a table could be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coverage {
    /// Every block.
    Blocks(u64),
    /// None, since the table is of a kind or compression that this build cannot read.
    Unknown(String),
}

/// Where the blocks of a table are and how they are summed.
#[derive(Debug)]
pub struct Layout {
    kind: Kind,
    /// Mixed into each checksum with the block's offset; 0 is off.
    context: u32,
    /// Every block, by offset.
    handles: Vec<Handle>,
}

/// A layout, or why there is none although the table may be sound.
pub enum Found {
    /// Blocks to check.
    Layout(Layout),
    /// See [`Coverage::Unknown`].
    Unknown(String),
}

struct Footer {
    kind: Kind,
    context: u32,
    metaindex: Handle,
    /// In the footer up to version 5, in the metaindex since.
    index: Option<Handle>,
    version: u32,
    /// Where the footer starts: all blocks are below.
    start: u64,
}

/// Reads footer, metaindex and index, each with its checksum, and gives the place of every block.
pub fn layout(file: &File, length: u64) -> Result<Found, BadTable> {
    let footer = match read_footer(file, length)? {
        Ok(footer) => footer,
        Err(why) => return Ok(Found::Unknown(why)),
    };
    let mut finder = Finder {
        file,
        footer,
        handles: Vec::new(),
    };
    match finder.run() {
        Ok(()) => {}
        Err(Stop::Bad(error)) => return Err(error),
        Err(Stop::Unknown(why)) => return Ok(Found::Unknown(why)),
    }
    let Finder {
        footer,
        mut handles,
        ..
    } = finder;
    handles.sort_unstable();
    handles.dedup();
    for pair in handles.windows(2) {
        if pair[0].end().is_none_or(|end| end > pair[1].offset) {
            return Err(BadTable::Handle {
                offset: pair[1].offset,
            });
        }
    }
    Ok(Found::Layout(Layout {
        kind: footer.kind,
        context: footer.context,
        handles,
    }))
}

impl Layout {
    /// Reads `source` (the same table, from its first byte) to its end and checks each block on the way.
    pub fn check(&self, source: &mut dyn Read) -> Result<Coverage, BadTable> {
        let mut buffer = vec![0u8; 256 * 1024];
        let mut stream = Stream { source, offset: 0 };
        for handle in &self.handles {
            stream.skip_to(handle.offset, &mut buffer)?;
            let mut running = Running::new(self.kind);
            let mut left = handle.size;
            while left > 0 {
                let piece = buffer
                    .len()
                    .min(usize::try_from(left).unwrap_or(usize::MAX));
                stream.read(&mut buffer[..piece])?;
                running.update(&buffer[..piece]);
                left -= piece as u64;
            }
            let mut trailer = [0u8; TRAILER as usize];
            stream.read(&mut trailer)?;
            let stored = u32::from_le_bytes([trailer[1], trailer[2], trailer[3], trailer[4]]);
            let computed = running
                .finish(trailer[0])
                .wrapping_add(modifier(self.context, handle.offset));
            if self.kind != Kind::None && stored != computed {
                return Err(BadTable::Checksum {
                    offset: handle.offset,
                });
            }
        }
        Ok(match self.kind {
            Kind::None => Coverage::Unknown("it was written without checksums".to_owned()),
            _ => Coverage::Blocks(self.handles.len() as u64),
        })
    }
}

/// What footer version 6 adds to each checksum, so that a block at a wrong place is noticed.
fn modifier(context: u32, offset: u64) -> u32 {
    if context == 0 {
        return 0;
    }
    context ^ (offset as u32).wrapping_add((offset >> 32) as u32)
}

struct Stream<'a> {
    source: &'a mut dyn Read,
    offset: u64,
}

impl Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.source.read_exact(buffer)?;
        self.offset += buffer.len() as u64;
        Ok(())
    }

    fn skip_to(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        while self.offset < offset {
            let piece = (offset - self.offset).min(buffer.len() as u64) as usize;
            self.read(&mut buffer[..piece])?;
        }
        Ok(())
    }
}

fn read_footer(file: &File, length: u64) -> Result<Result<Footer, String>, BadTable> {
    let size = NEW_FOOTER.min(usize::try_from(length).unwrap_or(usize::MAX));
    if size < OLD_FOOTER {
        return Err(BadTable::Footer("the file is shorter than a footer"));
    }
    let mut bytes = vec![0u8; size];
    file.read_exact_at(&mut bytes, length - size as u64)?;
    let (_, magic) = bytes
        .split_last_chunk::<8>()
        .ok_or(BadTable::Footer("short"))?;
    match u64::from_le_bytes(*magic) {
        LEVELDB_MAGIC => {
            let mut input = Decoder::new(&bytes[size - OLD_FOOTER..]);
            let (metaindex, index) = handles(&mut input)?;
            Ok(Ok(Footer {
                kind: Kind::Crc32c,
                context: 0,
                metaindex,
                index: Some(index),
                version: 0,
                start: length - OLD_FOOTER as u64,
            }))
        }
        BLOCK_BASED_MAGIC if size == NEW_FOOTER => new_footer(&bytes, length - NEW_FOOTER as u64),
        magic if OTHER_MAGICS.contains(&magic) => {
            Ok(Err("it is not a block-based table".to_owned()))
        }
        _ => Err(BadTable::Footer("its magic number is wrong")),
    }
}

fn handles(input: &mut Decoder<'_>) -> Result<(Handle, Handle), BadTable> {
    let metaindex = Handle::decode(input);
    let index = Handle::decode(input);
    metaindex
        .zip(index)
        .ok_or(BadTable::Footer("its block handles make no sense"))
}

fn new_footer(bytes: &[u8], start: u64) -> Result<Result<Footer, String>, BadTable> {
    let kind =
        Kind::from_footer(bytes[0]).ok_or(BadTable::Footer("its checksum type is unknown"))?;
    let version = u32::from_le_bytes([bytes[41], bytes[42], bytes[43], bytes[44]]);
    match version {
        1..=5 => {
            let (metaindex, index) = handles(&mut Decoder::new(&bytes[1..41]))?;
            Ok(Ok(Footer {
                kind,
                context: 0,
                metaindex,
                index: Some(index),
                version,
                start,
            }))
        }
        6 => extended_footer(bytes, kind, start).map(Ok),
        other => Ok(Err(format!(
            "its format version {other} is newer than this program"
        ))),
    }
}

/// Version 6: a checksum of the footer itself, and the metaindex right before the footer.
fn extended_footer(bytes: &[u8], kind: Kind, start: u64) -> Result<Footer, BadTable> {
    let mut input = Decoder::new(&bytes[1..41]);
    if input.bytes(4) != Some(&EXTENDED_MAGIC) {
        return Err(BadTable::Footer("its extended magic number is wrong"));
    }
    let (Some(stored), Some(context), Some(size)) =
        (input.fixed32(), input.fixed32(), input.fixed32())
    else {
        return Err(BadTable::Footer("short"));
    };
    let mut blank = bytes.to_vec();
    blank[5..9].fill(0);
    let (last, body) = blank.split_last().ok_or(BadTable::Footer("short"))?;
    if kind != Kind::None
        && checksum::block(kind, body, *last).wrapping_add(modifier(context, start)) != stored
    {
        return Err(BadTable::Footer("its checksum is wrong"));
    }
    let offset = start
        .checked_sub(u64::from(size) + TRAILER)
        .ok_or(BadTable::Footer("its metaindex is larger than the file"))?;
    Ok(Footer {
        kind,
        context,
        metaindex: Handle {
            offset,
            size: u64::from(size),
        },
        index: None,
        version: 6,
        start,
    })
}

enum Stop {
    Bad(BadTable),
    Unknown(String),
}

impl From<BadTable> for Stop {
    fn from(error: BadTable) -> Self {
        Self::Bad(error)
    }
}

struct Finder<'a> {
    file: &'a File,
    footer: Footer,
    handles: Vec<Handle>,
}

/// What the properties say of the index (RocksDB `BlockBasedTablePropertyNames`).
#[derive(Default)]
struct IndexFacts {
    two_level: bool,
    first_keys: bool,
    deltas: bool,
}

impl Finder<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        let metaindex = self.open(self.footer.metaindex, "metaindex")?;
        let mut named = Vec::new();
        let mut sound = true;
        let read = block::entries(&metaindex, &mut |key, value| match Handle::decode(
            &mut Decoder::new(value),
        ) {
            Some(handle) => named.push((key.to_vec(), handle)),
            None => sound = false,
        });
        if read.is_none() || !sound {
            return Err(BadTable::Malformed("metaindex").into());
        }
        let mut facts = IndexFacts::default();
        for (name, handle) in &named {
            if name == b"rocksdb.properties" {
                facts = index_facts(&self.open(*handle, "properties")?)?;
            }
        }
        for (name, handle) in &named {
            self.add(*handle)?;
            if name.starts_with(b"partitionedfilter.") {
                let top = self.open(*handle, "filter index")?;
                for part in pointers(&top, facts.deltas, false, "filter index")? {
                    self.add(part)?;
                }
            }
            if name == b"rocksdb.index" && self.footer.index.is_none() {
                self.footer.index = Some(*handle);
            }
        }
        let index = self.footer.index.ok_or(BadTable::Malformed("metaindex"))?;
        self.index(index, &facts)
    }

    fn index(&mut self, index: Handle, facts: &IndexFacts) -> Result<(), Stop> {
        let top = self.open(index, "index")?;
        if !facts.two_level {
            for handle in pointers(&top, facts.deltas, facts.first_keys, "index")? {
                self.add(handle)?;
            }
            return Ok(());
        }
        for part in pointers(&top, facts.deltas, false, "index")? {
            let part = self.open(part, "index")?;
            for handle in pointers(&part, facts.deltas, false, "index")? {
                self.add(handle)?;
            }
        }
        Ok(())
    }

    /// Notes a block for the check.
    fn add(&mut self, handle: Handle) -> Result<(), Stop> {
        if handle.end().is_none_or(|end| end > self.footer.start) {
            return Err(BadTable::Handle {
                offset: handle.offset,
            }
            .into());
        }
        self.handles.push(handle);
        Ok(())
    }

    /// Reads a block that leads to others: its checksum first, for nothing in it can be trusted before.
    fn open(&mut self, handle: Handle, what: &'static str) -> Result<Vec<u8>, Stop> {
        self.add(handle)?;
        if handle.size > LARGEST_INDEX {
            return Err(BadTable::Handle {
                offset: handle.offset,
            }
            .into());
        }
        let mut content = vec![0u8; (handle.size + TRAILER) as usize];
        self.file
            .read_exact_at(&mut content, handle.offset)
            .map_err(BadTable::Read)?;
        let trailer = content.split_off(handle.size as usize);
        let stored = u32::from_le_bytes([trailer[1], trailer[2], trailer[3], trailer[4]]);
        let computed = checksum::block(self.footer.kind, &content, trailer[0])
            .wrapping_add(modifier(self.footer.context, handle.offset));
        if self.footer.kind != Kind::None && stored != computed {
            return Err(BadTable::Checksum {
                offset: handle.offset,
            }
            .into());
        }
        block::decompress(content, trailer[0], self.footer.version >= 2).map_err(|opaque| {
            match opaque {
                Opaque::Compression(byte) => {
                    Stop::Unknown(format!("its {what} has compression {byte}"))
                }
                Opaque::Malformed => BadTable::Malformed(what).into(),
            }
        })
    }
}

fn pointers(
    block: &[u8],
    deltas: bool,
    first_keys: bool,
    what: &'static str,
) -> Result<Vec<Handle>, Stop> {
    let handles = if deltas {
        block::delta_handles(block, first_keys)
    } else {
        block::plain_handles(block)
    };
    handles.ok_or_else(|| BadTable::Malformed(what).into())
}

fn index_facts(properties: &[u8]) -> Result<IndexFacts, Stop> {
    let mut facts = IndexFacts::default();
    block::entries(properties, &mut |key, value| match key {
        b"rocksdb.block.based.table.index.type" => {
            let kind = Decoder::new(value).fixed32();
            facts.two_level = kind == Some(2);
            facts.first_keys = kind == Some(3);
        }
        b"rocksdb.index.value.is.delta.encoded" => {
            facts.deltas = Decoder::new(value).varint64().is_some_and(|flag| flag != 0);
        }
        _ => {}
    })
    .ok_or(BadTable::Malformed("properties"))?;
    Ok(facts)
}
