//! The API on real sockets, with the real engine behind it.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

#[path = "../lab/inn.rs"]
mod inn;
#[path = "../lab/wire.rs"]
mod wire;

mod commands;
mod events;
mod hostile;
mod page;
mod reading;
