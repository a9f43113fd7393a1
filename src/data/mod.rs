//! Directories of bytes: what a database consists of, copies of it, and whether they are whole.
//!
//! Everything here is synchronous and may take long: async callers use `spawn_blocking`, and watch and stop the work
//! through a [`Control`].

pub mod bucket;
pub mod carry;
pub mod control;
pub mod cut;
pub mod download;
pub mod error;
pub mod exchange;
pub mod exclude;
pub mod files;
pub mod idle;
pub mod in_use;
pub mod inspect;
pub mod lsm;
pub mod manifest;
pub mod mount;
mod other_engine;
pub mod packed;
pub mod path;
pub mod place;
pub mod probe;
pub mod replaced;
pub mod retention;
pub mod sniff;
pub mod space;
pub mod stage;
pub mod store;
pub mod summary;
pub mod survey;
pub mod tree;
pub mod unpack;
pub mod verify;
pub mod walk;

pub use bucket::Bucket;
pub use carry::Carry;
pub use control::{Control, Interrupted, Progress};
pub use cut::{Cut, Options};
pub use error::Error;
pub use exchange::{Exchange, Scope};
pub use exclude::Exclude;
pub use idle::Idle;
pub use manifest::{Facts, Level, Manifest, Timings, Way, Workload};
pub use other_engine::refuse_other_engine;
pub use path::RelativePath;
pub use replaced::Replaced;
pub use retention::Retention;
pub use stage::Staged;
pub use store::Store;
pub use summary::Summary;
pub use survey::Source;
pub use verify::verify;
