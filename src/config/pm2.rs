//! `runtime = { pm2 = … }`: apps of a PM2.

use std::path::PathBuf;

use super::error::Problems;
use super::section::section;
use crate::protocol::Name;
use crate::runtime::pm2::{App, Settings};

section! {
    /// Apps of a PM2, stopped in their order; those are started that start the rest.
    Pm2 {
        /// The user whose PM2 it is. The agent runs PM2's program as that user.
        user: Name = root(), example = "taoshi";
        /// Where that PM2 lives. Left out, it is `.pm2` in the user's home.
        pm2_home: Option<PathBuf> = None, example = "/home/taoshi/.pm2";
        /// The program `pm2`. Left out, it is looked for where the user's shell would find it: beside the daemon that runs, npm's prefix, nvm and the like, `/usr/local/bin`, `/usr/bin`.
        program: Option<PathBuf> = None, example = "/usr/local/bin/pm2";
        /// Every app of the workload, in the order in which they are stopped: what starts others comes before them. An app is named by its name in PM2, or by the absolute path of its script.
        apps: Vec<App>, example = ["sn8", "ptn"];
        /// Those of them that are started, in this order; the others are started by these. Left out, it is the first one of a validator (`kind = "ptn"`), and otherwise all of them.
        start: Option<Vec<App>> = None, example = ["sn8"];
    }
}

impl Pm2 {
    /// What the runtime works with. Of a validator the updater alone is started: it starts the validator itself.
    pub fn settings(&self, is_validator: bool) -> Settings {
        let starts = match (&self.start, is_validator) {
            (Some(start), _) => start.clone(),
            (None, true) => self.apps.iter().take(1).cloned().collect(),
            (None, false) => self.apps.clone(),
        };
        Settings {
            user: self.user.to_string(),
            pm2_home: self.pm2_home.clone(),
            program: self.program.clone(),
            apps: self.apps.clone(),
            starts,
        }
    }

    pub(super) fn check(&self, at: &str, problems: &mut Problems) {
        for (key, path) in [("pm2-home", &self.pm2_home), ("program", &self.program)] {
            if let Some(path) = path {
                super::check_absolute(&format!("{at}.{key}"), path, problems);
            }
        }
        let apps = format!("{at}.apps");
        if self.apps.is_empty() {
            problems.add(
                &apps,
                "names no app: write at least one, such as [\"sn8\", \"ptn\"]",
            );
        }
        if self.apps.len() > MOST {
            problems.add(
                &apps,
                format!("at most {MOST} apps, not {}", self.apps.len()),
            );
        }
        for (index, app) in self.apps.iter().enumerate() {
            if self.apps[..index].contains(app) {
                problems.add(&apps, format!("`{app}` stands there twice"));
            }
        }
        let Some(start) = &self.start else {
            return;
        };
        let at = format!("{at}.start");
        if start.is_empty() {
            problems.add(&at, "names no app: the workload could not be started");
        }
        for app in start.iter().filter(|app| !self.apps.contains(app)) {
            problems.add(&at, format!("`{app}` is not one of `apps`"));
        }
    }
}

fn root() -> Name {
    Name::new("root").expect("it is of the alphabet")
}

/// Each is stopped after the other.
const MOST: usize = 16;
