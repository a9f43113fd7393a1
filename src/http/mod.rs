//! The local API: the same on the unix socket and over TCP, with a different door.
//!
//! `server` accepts and bounds connections, `door` says who may come in, `route` says what is where,
//! `command` takes commands, `events` streams the feed, `reply` writes answers.

mod command;
mod door;
mod events;
mod patience;
mod reply;
mod route;
mod server;
mod socket;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use tokio::sync::watch;

use crate::operation::Engine;
use crate::protocol::{DeviceReport, Telemetry};

pub use door::{BadToken, Token};
pub use server::{Error, Server};

/// Where the API listens and whom it believes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// TCP addresses; none is fine.
    pub listen: Vec<SocketAddr>,
    /// The unix socket.
    pub socket: PathBuf,
    /// Names by which this host is called over TCP, beside `localhost` and every address:
    /// a `Host` that is none of these is another site's, rebound to this address.
    pub names: Vec<String>,
    /// What a command over TCP must show; without one no command is taken over TCP.
    pub token: Option<Token>,
}

/// What the API shows; the agent fills it.
#[derive(Clone)]
pub struct State {
    /// Takes commands and knows operations and workloads.
    pub engine: Engine,
    /// Who this device is; `None` until it is known.
    pub device: watch::Receiver<Option<DeviceReport>>,
    /// The last sample of the host; `None` until there is one.
    pub telemetry: watch::Receiver<Option<Telemetry>>,
    /// How the link to the broker is, as its own report says it; `null` where no broker is configured.
    pub link: watch::Receiver<serde_json::Value>,
}

/// What the server has seen and turned away since it started.
#[derive(Debug, Default)]
pub struct Counts {
    connections: Count,
    refused_connections: Count,
    broken_connections: Count,
    refused_requests: Count,
    refused_streams: Count,
    lagged_updates: Count,
    accept_errors: Count,
}

/// [`Counts`] at one moment, as `/v1/health` shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Connections that were served.
    pub connections: u64,
    /// Connections that were closed at once, for too many were open.
    pub refused_connections: u64,
    /// Connections that ended in an error: not HTTP, too slow, cut off.
    pub broken_connections: u64,
    /// Requests that were answered with a status of 400 or more.
    pub refused_requests: u64,
    /// Event streams that were refused, for too many were open.
    pub refused_streams: u64,
    /// Updates that slow readers of event streams have missed.
    pub lagged_updates: u64,
    /// Times that the system gave no connection: out of file descriptors, out of memory.
    pub accept_errors: u64,
}

#[derive(Debug, Default)]
struct Count(AtomicU64);

impl Count {
    fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counts {
    fn now(&self) -> Counted {
        Counted {
            connections: self.connections.get(),
            refused_connections: self.refused_connections.get(),
            broken_connections: self.broken_connections.get(),
            refused_requests: self.refused_requests.get(),
            refused_streams: self.refused_streams.get(),
            lagged_updates: self.lagged_updates.get(),
            accept_errors: self.accept_errors.get(),
        }
    }
}
