//! What the host's sensors and the kernel say: temperatures, load, memory, disks, network.
//!
//! Sampling reads small files and asks filesystems: it belongs into `spawn_blocking`. What may hang (a
//! sensor's driver, a filesystem whose server is away) is asked with a deadline, [`PATIENCE`], so that a
//! sample as a whole is bounded too.

pub(crate) mod address;
mod clock;
mod disk;
pub(crate) mod files;
mod host;
mod hwmon;
mod list;
pub(crate) mod mount;
pub(crate) mod network;
mod order;
mod patience;
mod temperature;
#[cfg(test)]
mod tests;
mod zone;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use disk::{Disk, Disks, MAX_DIRECTORIES};
pub use files::{ReadError, Root};
pub use host::{Load, Memory};
pub use network::{MAX_INTERFACES, Network};
pub use temperature::{MAX_SENSORS, Temperature, Temperatures};

/// How long all temperatures of a sample, and then all its disks, have to answer. A sensor on a slow bus takes
/// tens of milliseconds, a disk that has to spin up some seconds.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Whether somebody keeps the wall clock right; `false` also where nobody knows.
pub fn clock_synced(root: &Root) -> bool {
    clock::synced(root).unwrap_or(false)
}

/// What the host says of itself at one moment. What could not be read is absent, and named in `problems`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Every thermal zone and every temperature of a hardware monitor.
    pub temperatures: Vec<Temperature>,
    /// How busy the host is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    /// Its memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// The filesystems of `/` and of the agent's and the workloads' directories.
    pub disks: Vec<Disk>,
    /// The network interfaces, loopback left out.
    pub networks: Vec<Network>,
    /// Seconds since the boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_s: Option<u64>,
    /// Whether the wall clock is synchronised; `false` also where nobody knows.
    pub clock_synced: bool,
    /// What could not be read as a whole, or was left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
}

/// A sensor that failed, where its own entry cannot say so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Which: `load`, `thermal`, `networks` …
    pub sensor: String,
    /// What happened.
    pub error: String,
}

impl Problem {
    fn new(sensor: &str, error: String) -> Self {
        Self {
            sensor: sensor.to_owned(),
            error,
        }
    }
}

/// All sensors of the host.
pub struct Sensors {
    root: Root,
    temperatures: Temperatures,
    disks: Disks,
}

impl Sensors {
    /// The sensors under `root`, and the disks of `/` and of these directories.
    pub fn new(root: Root, directories: impl IntoIterator<Item = PathBuf>) -> Self {
        let directories = std::iter::once(PathBuf::from("/"))
            .chain(directories)
            .collect();
        Self {
            temperatures: Temperatures::new(root.clone(), PATIENCE),
            disks: Disks::new(root.clone(), directories, PATIENCE),
            root,
        }
    }

    /// Asks all of them. Blocks, for no longer than twice [`PATIENCE`] unless the kernel's own tables hang.
    pub fn sample(&mut self) -> Sample {
        let mut problems = Vec::new();
        let temperatures = self.temperatures.sample(&mut problems);
        let disks = self.disks.sample(&mut problems);
        let networks = network::sample(&self.root, &mut problems);
        Sample {
            temperatures,
            disks,
            networks,
            load: noted(host::load(&self.root), "load", &mut problems),
            memory: noted(host::memory(&self.root), "memory", &mut problems),
            uptime_s: noted(host::uptime(&self.root), "uptime", &mut problems),
            clock_synced: noted(clock::synced(&self.root), "clock", &mut problems).unwrap_or(false),
            problems,
        }
    }
}

/// The value, or a note of why there is none.
fn noted<T, E: std::fmt::Display>(
    result: Result<T, E>,
    sensor: &str,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    result
        .map_err(|error| problems.push(Problem::new(sensor, error.to_string())))
        .ok()
}
