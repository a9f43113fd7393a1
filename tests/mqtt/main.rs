//! The reporter against a real broker, with the real engine behind it on a workload in memory.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../lab/broker.rs"]
mod broker;
#[path = "../lab/inn.rs"]
mod inn;

mod attic;
mod watcher;

mod commands;
mod hostile;
mod identity;
mod outage;
mod refused;
