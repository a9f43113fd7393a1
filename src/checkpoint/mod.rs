//! Validator checkpoint files: reading, checking, writing.
//!
//! A checkpoint is the state of a validator of Bittensor's subnet 8, made elsewhere: one JSON object,
//! usually gzipped, up to hundreds of megabytes. Restoring it means turning it into the tree of files
//! that the validator loads, with the very bytes that its own restore script would write, and refusing
//! what that script would choke on or silently spoil the state with.
//!
//! ```no_run
//! # use std::{ops::ControlFlow, path::Path};
//! use ostler::checkpoint::{Checkpoint, Owner, Rules, Target, stage};
//!
//! let checkpoint = Checkpoint::find(Path::new("/srv/ptn"))?;
//! let listener = &mut |_| ControlFlow::Continue(());
//! let into = Target { root: Path::new("/srv/ptn/.stage"), owner: &Owner::default(), reserve: 0 };
//! let live = Some(Path::new("/srv/ptn/validation"));
//! let (report, written) = stage(&checkpoint, &Rules::default(), live, &into, listener)?;
//! assert_eq!(report.is_sound(), written.is_some());
//! # Ok::<(), ostler::checkpoint::Error>(())
//! ```
//!
//! Everything here is synchronous and may take seconds: call it where blocking is fine. The memory used
//! is that of a few of the largest records, not of the file. Nothing here knows how a validator is stopped.

mod ahead;
mod behind;
mod check;
mod companions;
mod compare;
mod directories;
mod encoded_twice;
mod error;
mod fingerprint;
mod held;
mod json;
mod lasting;
mod layout;
mod ledgers;
mod names;
mod order;
mod outline;
mod pairs;
mod pass;
mod position;
mod positions;
mod queue;
mod record;
mod report;
mod room;
mod sections;
mod source;
mod ss58;
mod stage;
mod thread;
mod tree;
mod unpack;
mod walk;

pub use check::check;
pub use companions::{COMPANIONS, Companion, Fate, Settled, settle_companions};
pub use compare::{Comparison, Loss};
pub use error::{Error, SyntaxFault};
pub use fingerprint::Fingerprint;
pub use lasting::settle;
pub use layout::{Layout, UnknownVersion};
pub use outline::examine;
pub use report::{Findings, LISTED, Problem, Report, Rules, Summary};
pub(crate) use room::is_about_room;
pub use source::{COMPRESSED_NAME, Checkpoint, PLAIN_NAME, Packing};
pub use stage::{Target, stage};
pub use tree::{Owner, Written};
pub use walk::Listener;

/// How far a pass through the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the file that were read.
    pub bytes: u64,
    /// Bytes of the file.
    pub of: u64,
    /// Positions so far.
    pub positions: u64,
}
