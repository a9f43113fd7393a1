//! The bytes of a LevelDB table that LevelDB itself never looks at.
//!
//! Blocks of records and the index carry checksums that a full scan verifies. The metaindex block is only
//! read where there is a filter, and the padding of the footer never. `doc/table_format.md` of LevelDB has
//! the layout: …, metaindex block, index block, footer (two handles, padded to 40 bytes, and a magic number).

use std::fs;
use std::path::Path;

const FOOTER: usize = 48;
const HANDLES: usize = 40;
const MAGIC: [u8; 8] = 0xdb47_7524_8b80_fb57_u64.to_le_bytes();
/// The compression type and the checksum after each block.
const TRAILER: usize = 5;

/// Checks the end of every table in a database's directory.
pub fn check_tables(database: &Path) -> Result<(), String> {
    let entries = fs::read_dir(database).map_err(|e| format!("{}: {e}", database.display()))?;
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_some_and(|extension| extension == "ldb") {
            let table = fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            // What has no magic number is refused by LevelDB where it is needed, and where it is not, it is
            // a table that was not finished when the process was killed.
            if table.ends_with(&MAGIC) {
                check_table(&table).ok_or_else(|| {
                    format!("{}: its metaindex or its footer is damaged", path.display())
                })?;
            }
        }
    }
    Ok(())
}

fn check_table(table: &[u8]) -> Option<()> {
    let blocks = table.len().checked_sub(FOOTER)?;
    let mut handles = table.get(blocks..blocks + HANDLES)?;
    let mut place = || varint(&mut handles);
    let (metaindex, metaindex_size) = (place()?, place()?);
    let (index, index_size) = (place()?, place()?);
    let metaindex_end = metaindex.checked_add(metaindex_size)?;
    let checksum = table.get(metaindex_end + 1..metaindex_end + TRAILER)?;
    let follows = metaindex_end + TRAILER == index
        && index.checked_add(index_size)? + TRAILER == blocks
        && handles.iter().all(|byte| *byte == 0);
    let sum = crc32c::crc32c(table.get(metaindex..=metaindex_end)?);
    // LevelDB stores checksums masked: rotated, and a constant added.
    let masked = sum.rotate_right(15).wrapping_add(0xa282_ead8);
    (follows && checksum == masked.to_le_bytes()).then_some(())
}

/// Takes a number off the front: seven bits to a byte, the lowest first.
fn varint(bytes: &mut &[u8]) -> Option<usize> {
    let mut number = 0_usize;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            // One number has one form: a longer one that ends in nothing was not written by LevelDB.
            return (*byte != 0 || shift == 0).then_some(number);
        }
    }
    None
}
