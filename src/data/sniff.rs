//! Knowing single-file databases by their first bytes: they change in place, all the time they are open.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// An engine that keeps everything in one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SingleFile {
    /// SQLite 3.
    Sqlite,
    /// LMDB.
    Lmdb,
    /// libmdbx.
    Mdbx,
    /// bbolt and BoltDB.
    Bolt,
}

impl SingleFile {
    /// Looks at the first bytes; a file that cannot be read is none.
    pub fn of(file: &File) -> Option<Self> {
        let mut head = [0u8; 24];
        file.read_exact_at(&mut head, 0).ok()?;
        if head.starts_with(b"SQLite format 3\0") {
            return Some(Self::Sqlite);
        }
        // The first page of the others is a header of 16 bytes and a meta block that starts with the magic number.
        let magic = u64::from_le_bytes(head[16..24].try_into().ok()?);
        match (magic as u32, magic >> 8) {
            (0xbeef_c0de, _) => Some(Self::Lmdb),
            (0xed0c_daed, _) => Some(Self::Bolt),
            // The lowest byte of libmdbx's magic is the format version.
            (_, 0x59_659d_bdef_4c11) => Some(Self::Mdbx),
            _ => None,
        }
    }
}
