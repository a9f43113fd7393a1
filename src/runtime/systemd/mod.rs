//! The systemd runtime: one service of the host's own systemd, driven by systemd's own programs.
//!
//! Nothing goes through a shell, every program has a deadline, and what it writes is bounded.
//! Works with systemd 236 and later.

mod deadman;
mod discover;
mod lifecycle;
mod logs;
mod manager;
mod processes;
mod properties;
mod state;
mod unit;
mod watch;

use std::time::Duration;

use async_trait::async_trait;

pub use self::deadman::{Armed, DeadMan};
pub use self::discover::{Found, discover};
pub use self::unit::{BadUnitName, UnitName};

use self::manager::Manager;
use super::{Error, Inspection, Output, Runtime, Stopped};

/// Drives one service.
pub struct Systemd {
    unit: UnitName,
    manager: Manager,
    watch: tokio::sync::Mutex<watch::Watch>,
}

impl Systemd {
    /// Drives the service of this name. Nothing is asked yet.
    pub fn new(unit: UnitName) -> Self {
        Self {
            manager: Manager::new(&unit),
            unit,
            watch: tokio::sync::Mutex::default(),
        }
    }
}

#[async_trait]
impl Runtime for Systemd {
    fn describe(&self) -> String {
        format!("systemd {}", self.unit)
    }

    async fn inspect(&self) -> Result<Inspection, Error> {
        Ok(self.look().await?.inspection())
    }

    async fn start(&self) -> Result<bool, Error> {
        self.start_unit().await
    }

    async fn stop(&self, grace: Duration) -> Result<Stopped, Error> {
        self.stop_unit(grace).await
    }

    /// Once systemd has been asked, a start that is asked for waits for the end of the stop. What may be late is the asking:
    /// a `systemctl` that its agent has left behind.
    fn stop_outlasts(&self, _grace: Duration) -> Duration {
        Duration::from_secs(5)
    }

    /// A service has no inside: it runs on the host itself, with which its probe talks over the network.
    async fn exec(&self, command: &[&str], _deadline: Duration) -> Result<Output, Error> {
        let action = format!("run `{}` in", command.join(" "));
        let detail = "a service has no inside: it runs on the host itself; probe it over the network (kind `harmony`) or \
                      only watch whether it runs (kind `generic`)";
        Err(self.manager.refused(&action, detail))
    }

    async fn logs(&self, lines: usize, bytes: usize) -> Result<String, Error> {
        self.tail(lines, bytes).await
    }

    async fn changed(&self) {
        self.notice().await;
    }

    async fn arm(&self, after: Duration) -> Result<bool, Error> {
        // It is found again by its name.
        DeadMan::arm(&self.unit, after).await.map(|_armed| true)
    }

    async fn disarm(&self) -> Result<(), Error> {
        DeadMan::of(&self.unit).disarm().await.map(drop)
    }
}
