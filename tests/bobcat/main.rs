//! The Bobcat-compatible API as its owners meet it: the shipped agent on port 80 of a network of its own, a simulated miner in
//! a real Docker engine, and the real `bobcat-miner` client, unmodified.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../lab/agent.rs"]
mod agent;
#[path = "../lab/engine.rs"]
mod engine;
#[path = "../lab/registry.rs"]
mod registry;

mod client;
mod doors;
mod fastsync;
mod golden;
mod hung;
mod reboot;
mod reset;
mod resync;
mod town;
