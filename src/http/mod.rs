//! The local API: the same on the unix socket and over TCP, with a different door.
//!
//! `server` listens, `reception` takes connections in and bounds them, `connection` serves one, `door` says
//! who may come in, `route` what is where; `answers` reads, `command` takes commands, `events` streams the feed.
//! `bobcat` is another API behind a listener of its own.

mod answers;
pub mod bobcat;
mod command;
mod connection;
mod door;
mod events;
mod hall;
mod patience;
mod reception;
mod reply;
mod route;
mod server;
mod socket;

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::sync::watch;

use crate::operation::Engine;
use crate::protocol::{DeviceReport, Telemetry};
use crate::report::Link;

pub use door::{BadToken, Token};
pub use server::{Error, Server};
pub use socket::GROUP;

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
    /// The API that the stock Bobcat device has, where it is wanted.
    pub bobcat: Option<bobcat::Settings>,
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
    /// How the link to the broker is, where one is configured.
    pub link: Option<watch::Receiver<Link>>,
    /// The miner that the Bobcat-compatible API shows; `None` where this device has none.
    pub miner: Option<bobcat::Miner>,
}
