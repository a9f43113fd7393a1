//! The checksums that LevelDB and RocksDB store with their blocks and records.

use std::hash::Hasher;

use twox_hash::{XxHash3_64, XxHash32, XxHash64};

/// What LevelDB adds to a rotated CRC, so that the CRC of data that holds CRCs stays useful (`util/crc32c.h`).
const MASK_DELTA: u32 = 0xa282_ead8;
/// RocksDB folds the last byte of a block into XXH3 with this prime (`table/format.cc`).
const LAST_BYTE_PRIME: u32 = 0x6b90_83d9;

/// The masked CRC-32C of `bytes`.
pub fn masked_crc(bytes: &[u8]) -> u32 {
    mask(crc32c::crc32c(bytes))
}

/// Masks a CRC-32C.
pub fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(MASK_DELTA)
}

/// The kinds of block checksum; the number is what a RocksDB footer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The database was told to store none.
    None,
    /// Masked CRC-32C: LevelDB, goleveldb, RocksDB before 6.27.
    Crc32c,
    /// xxHash, 32 bits.
    XxHash32,
    /// xxHash, lower half of 64 bits.
    XxHash64,
    /// XXH3, lower half of 64 bits: RocksDB's default since 6.27.
    Xxh3,
}

impl Kind {
    /// The kind that a RocksDB footer names.
    pub fn from_footer(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::None,
            1 => Self::Crc32c,
            2 => Self::XxHash32,
            3 => Self::XxHash64,
            4 => Self::Xxh3,
            _ => return None,
        })
    }
}

/// A block checksum in the making: the content piece by piece, then the byte that names the compression.
pub enum Running {
    /// Nothing to compute.
    None,
    /// The CRC so far, unmasked.
    Crc32c(u32),
    /// See [`Kind::XxHash32`].
    XxHash32(XxHash32),
    /// See [`Kind::XxHash64`].
    XxHash64(XxHash64),
    /// See [`Kind::Xxh3`]; the state is half a kilobyte, hence the box.
    Xxh3(Box<XxHash3_64>),
}

impl Running {
    /// Starts a checksum.
    pub fn new(kind: Kind) -> Self {
        match kind {
            Kind::None => Self::None,
            Kind::Crc32c => Self::Crc32c(0),
            Kind::XxHash32 => Self::XxHash32(XxHash32::with_seed(0)),
            Kind::XxHash64 => Self::XxHash64(XxHash64::with_seed(0)),
            Kind::Xxh3 => Self::Xxh3(Box::new(XxHash3_64::new())),
        }
    }

    /// Adds content.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::None => {}
            Self::Crc32c(crc) => *crc = crc32c::crc32c_append(*crc, bytes),
            Self::XxHash32(state) => state.write(bytes),
            Self::XxHash64(state) => state.write(bytes),
            Self::Xxh3(state) => state.write(bytes),
        }
    }

    /// Adds the compression byte and gives the value as it is stored.
    pub fn finish(mut self, last: u8) -> u32 {
        if !matches!(self, Self::Xxh3(..)) {
            self.update(&[last]);
        }
        match self {
            Self::None => 0,
            Self::Crc32c(crc) => mask(crc),
            Self::XxHash32(state) => state.finish_32(),
            Self::XxHash64(state) => state.finish() as u32,
            Self::Xxh3(state) => {
                (state.finish() as u32) ^ u32::from(last).wrapping_mul(LAST_BYTE_PRIME)
            }
        }
    }
}

/// The checksum of one whole block.
pub fn block(kind: Kind, content: &[u8], last: u8) -> u32 {
    let mut running = Running::new(kind);
    running.update(content);
    running.finish(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_as_leveldb_does() {
        // CRC-32C of "123456789" is the check value of the polynomial.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(mask(0), MASK_DELTA);
        assert_eq!(mask(0x8000), 1u32.wrapping_add(MASK_DELTA));
    }

    #[test]
    fn pieces_give_what_the_whole_gives() {
        let content: Vec<u8> = (0..10_000u32).map(|i| (i * 7) as u8).collect();
        for kind in [
            Kind::None,
            Kind::Crc32c,
            Kind::XxHash32,
            Kind::XxHash64,
            Kind::Xxh3,
        ] {
            let mut running = Running::new(kind);
            for piece in content.chunks(333) {
                running.update(piece);
            }
            assert_eq!(running.finish(7), block(kind, &content, 7), "{kind:?}");
        }
    }
}
