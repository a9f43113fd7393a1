//! `restore-checkpoint` where things go wrong: killed at every step, on a full disk, in strange places. Old state or new,
//! whole; the validator runs; the record has ended.
//!
//! The engine is the real one, in a process of its own, so that it can be killed. What it drives is a file that says
//! whether it runs: PM2 has its own suite.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "../lab/broker.rs"]
mod broker;
#[path = "../lab/server.rs"]
mod server;

mod drop;
mod fetch;
mod full;
mod house;
mod kill;
mod places;
mod script;

use house::House;

/// Not a test: the process that restores, see [`House::run`].
#[test]
#[ignore = "it is run by the tests"]
fn child() {
    House::child();
}
