//! RocksDB's blob files: values kept out of the tables (`db/blob/blob_log_format.h`).

use std::io::{self, Read};

use super::checksum::{mask, masked_crc};

const MAGIC: u32 = 0x0024_8f37;
const HEADER: u64 = 30;
const FOOTER: u64 = 32;
const RECORD_HEADER: u64 = 32;

/// Why a blob file is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum BadBlob {
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    /// Something at this offset is wrong.
    #[error("the {what} at byte {offset} is damaged")]
    Damaged {
        /// Header, record or footer.
        what: &'static str,
        /// Where it starts.
        offset: u64,
    },
}

/// Reads a blob file of `length` bytes to its end and checks every record; gives their count.
pub fn check(source: &mut dyn Read, length: u64) -> Result<u64, BadBlob> {
    let damaged = |what, offset| BadBlob::Damaged { what, offset };
    let footer_start = length
        .checked_sub(FOOTER)
        .filter(|start| *start >= HEADER)
        .ok_or(damaged("file", 0))?;
    let mut header = [0u8; HEADER as usize];
    source.read_exact(&mut header)?;
    if header[..4] != MAGIC.to_le_bytes() || header[4..8] != 1u32.to_le_bytes() {
        return Err(damaged("header", 0));
    }
    let mut offset = HEADER;
    let mut records = 0u64;
    let mut buffer = vec![0u8; 64 * 1024];
    while offset < footer_start {
        let start = offset;
        let bad = || damaged("record", start);
        if footer_start - offset < RECORD_HEADER {
            return Err(bad());
        }
        let mut head = [0u8; RECORD_HEADER as usize];
        source.read_exact(&mut head)?;
        if masked_crc(&head[..24]) != fixed32(&head, 24) {
            return Err(bad());
        }
        let mut left = fixed64(&head, 0)
            .checked_add(fixed64(&head, 8))
            .filter(|size| *size <= footer_start - offset - RECORD_HEADER)
            .ok_or_else(bad)?;
        offset += RECORD_HEADER + left;
        let mut crc = 0;
        while left > 0 {
            let piece = left.min(buffer.len() as u64) as usize;
            source.read_exact(&mut buffer[..piece])?;
            crc = crc32c::crc32c_append(crc, &buffer[..piece]);
            left -= piece as u64;
        }
        if mask(crc) != fixed32(&head, 28) {
            return Err(bad());
        }
        records += 1;
    }
    let mut footer = [0u8; FOOTER as usize];
    source.read_exact(&mut footer)?;
    let sound = footer[..4] == MAGIC.to_le_bytes()
        && masked_crc(&footer[..28]) == fixed32(&footer, 28)
        && fixed64(&footer, 4) == records;
    sound
        .then_some(records)
        .ok_or(damaged("footer", footer_start))
}

fn fixed32(bytes: &[u8; 32], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn fixed64(bytes: &[u8; 32], at: usize) -> u64 {
    u64::from(fixed32(bytes, at)) | (u64::from(fixed32(bytes, at + 4)) << 32)
}
