//! The PM2 runtime: apps of a PM2 of any user, driven by PM2's own program.
//!
//! A workload may be several apps: an updater that starts the validator, and the validator. They are stopped in their
//! order, and only those are started that start the rest.
//!
//! Nothing goes through a shell, every program has a deadline, what it writes is bounded, and of the environments that
//! PM2 shows nothing is kept. Seen to work with PM2 7.0.

mod account;
mod app;
mod daemon;
mod discover;
mod house;
mod lifecycle;
mod list;
mod logs;
mod processes;
mod program;
mod state;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

pub use self::app::{App, BadApp};
pub use self::discover::{Found, discover};

use self::house::House;
use super::{Error, Inspection, Output, Runtime, Stopped};
use crate::looks::Looks;

/// Which apps of which PM2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The user whose PM2 it is.
    pub user: String,
    /// Where that PM2 lives; `.pm2` in the user's home where it is `None`.
    pub pm2_home: Option<PathBuf>,
    /// The program `pm2`; looked for where it is `None`.
    pub program: Option<PathBuf>,
    /// All apps, in the order in which they are stopped. Not empty.
    pub apps: Vec<App>,
    /// Those of them that are started, in this order; they start the others. Not empty.
    pub starts: Vec<App>,
}

/// Drives the apps of one workload.
pub struct Pm2 {
    settings: Settings,
    looks: Looks,
}

impl Pm2 {
    /// Drives these apps. Nothing is asked yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            looks: Looks::new(),
        }
    }

    fn house(&self) -> Result<House, Error> {
        let Settings {
            user,
            pm2_home,
            program,
            ..
        } = &self.settings;
        let looks = self.looks.clone();
        House::find(user, pm2_home.as_deref(), program.as_deref(), looks)
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.settings.apps.iter().map(App::to_string).collect();
        names.join(", ")
    }

    /// The apps that others make.
    fn made(&self) -> impl Iterator<Item = &App> {
        let starts = &self.settings.starts;
        self.settings
            .apps
            .iter()
            .filter(|app| !starts.contains(app))
    }

    fn missing(&self, house: &House, app: &App) -> Error {
        Error::Missing {
            runtime: house.describe(),
            workload: format!("app {app}"),
        }
    }
}

#[async_trait]
impl Runtime for Pm2 {
    fn describe(&self) -> String {
        format!("pm2 {} of {}", self.names(), self.settings.user)
    }

    async fn inspect(&self) -> Result<Inspection, Error> {
        let house = self.house()?;
        if !daemon::is_there(&house).await? {
            house.program().await?;
            let left = self.orphans(&house).await?.len();
            return match house.look(daemon::saved).await? {
                Some(saved) => Ok(state::without_daemon(&self.settings.apps, &saved, left)),
                None => Err(house.no_daemon()),
            };
        }
        let all = house.list().await?;
        let Settings { apps, starts, .. } = &self.settings;
        if apps.iter().all(|app| state::of(app, &all).is_empty()) {
            return Err(self.missing(&house, &apps[0]));
        }
        Ok(state::inspection(apps, starts, &all))
    }

    async fn start(&self) -> Result<bool, Error> {
        self.start_apps().await
    }

    async fn stop(&self, grace: Duration) -> Result<Stopped, Error> {
        self.stop_apps(grace).await
    }

    /// An app has no inside: it runs on the host itself.
    async fn exec(&self, command: &[&str], _deadline: Duration) -> Result<Output, Error> {
        let house = self.house()?;
        let action = format!("run `{}` in {}", command.join(" "), self.names());
        Err(house.refused(&action, "an app has no inside: it runs on the host itself"))
    }

    async fn logs(&self, lines: usize, bytes: usize) -> Result<String, Error> {
        self.tail(lines, bytes).await
    }

    /// PM2 has no events that could be had without a client of its own.
    async fn changed(&self) {
        std::future::pending().await
    }
}
