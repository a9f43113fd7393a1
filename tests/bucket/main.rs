//! The bucket, through the real rclone and with real LevelDB data.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]
#![allow(
    clippy::disallowed_methods,
    reason = "what a test writes need not survive a power cut"
)]

#[path = "../lab/chain.rs"]
mod chain;
mod damage;
mod harmony;
mod interrupted;
mod inventory;
mod objects;
mod program;
mod served;
#[path = "../lab/snapshots.rs"]
mod snapshots;
mod tidy;
