//! The API that the stock Bobcat device has, for the tools that its owners use: a listener of its own, off by default.
//!
//! Everything is answered from what was seen before: `view` makes one picture of what the engine and the miner's kind
//! know, `surroundings` looks at ports, names and speed in the background, and the other files each make one answer of
//! that. No handler waits for a probe. `admin` is the only one that changes anything, through the engine like everybody.

mod admin;
mod bucket;
mod dig;
mod guard;
mod log;
mod miner;
mod page;
mod ports;
mod resolver;
mod route;
mod speed;
mod stamp;
mod status;
mod surroundings;
mod temperature;
#[cfg(test)]
mod tests;
mod view;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::sync::watch;

use crate::protocol::Name;
use crate::web::Url;
use crate::workload::helium::Observation;

pub use guard::Credentials;
pub(super) use route::answer;
pub(super) use surroundings::{Surroundings, look_around};

/// How the API is served.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Who may change something; without any, nobody.
    pub credentials: Option<Credentials>,
    /// What it says of its firmware's version.
    pub ota_version: String,
    /// The frequency plan, until the miner has said it.
    pub frequency_plan: Option<String>,
    /// The address by which the world knows this host, where the miner does not say it.
    pub public_address: Option<IpAddr>,
    /// Whose addresses `/dig.json` looks up.
    pub dig_name: String,
    /// How the speed is measured; without it, it is not.
    pub speed: Option<Speed>,
}

/// How the speed of the connection is measured.
#[derive(Clone, Debug)]
pub struct Speed {
    /// What is fetched.
    pub download: Url,
    /// Where something is sent.
    pub upload: Option<Url>,
    /// How often.
    pub every: Duration,
}

/// The miner that the API shows.
#[derive(Clone)]
pub struct Miner {
    /// The workload.
    pub name: Name,
    /// What its kind sees of it.
    pub observation: watch::Receiver<Observation>,
}
