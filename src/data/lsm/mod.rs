//! Reading LevelDB, goleveldb and RocksDB directories without opening them: which files they consist of, and whether
//! those files are whole. Nothing here ever writes.
//!
//! An engine must not be let near a snapshot whose files are links, for its recovery truncates files by name; and an
//! engine that opens a database without an error has not said that nothing is missing.

pub mod blob;
pub mod block;
pub mod checksum;
pub(super) mod decode;
pub mod edit;
pub mod live;
pub mod lock;
mod lz4;
pub mod names;
pub mod record;
pub mod table;
mod tables;

pub use live::{Engine, LiveSet};
pub use names::FileName;
