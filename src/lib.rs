//! Ostler looks after the workload on its host: it starts, stops, repairs and snapshots it, and reports.
//!
//! Imports point downwards: `cli`, `http`, `report`, `policy` know `operation`; `operation` knows `runtime`,
//! `workload`, `data` and `checkpoint`; those four know nobody above them and not each other.
//! The plain types that cross the wire live in `protocol`, at the bottom.

pub mod agent;
pub mod any_error;
mod blocking;
pub mod checkpoint;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crash;
pub mod data;
pub mod device;
pub mod durable;
pub mod feed;
pub mod http;
mod looks;
pub mod operation;
pub mod policy;
pub mod protocol;
pub mod report;
pub mod runtime;
pub mod sensor;
pub mod sha256;
pub mod supervise;
pub mod web;
pub mod workload;
