//! The operation engine: one way in ([`Request`](crate::protocol::Request)), one way out
//! ([`OperationRecord`](crate::protocol::OperationRecord)).
//!
//! A request is validated, deduplicated by its id and journalled; then its workload's lane runs it,
//! one at a time, each step journalled before and after. An operation that was interrupted is run
//! again at the next start: steps that are done are skipped, and each step looks at the workload
//! before it acts, so that nothing is done twice.

mod arguments;
mod at_work;
mod chain_snapshot;
mod choice;
mod confirm;
mod context;
mod device_lane;
mod engine;
mod exchanging;
mod fastsync;
mod fetch;
mod host;
mod journal;
mod labour;
mod lane;
mod ledger;
mod logs;
mod observe;
mod power;
mod progress;
mod prune;
mod reboot;
mod recovery;
mod renew;
mod reset;
mod restore;
mod restore_checkpoint;
mod resync;
mod snapshot;
mod snapshots;
mod unseen;
mod upload;
mod validator;
mod verify;
mod workload;

pub use engine::{Answer, Engine, Parts};
pub use host::{Boot, Host, ThisHost};
pub use journal::Quarantined;
pub use snapshots::{Snapshots, snapshot_reports};
pub use validator::{Backups, Download, Script, Validator};
pub use workload::{Times, Workload};

#[cfg(test)]
mod tests;
