//! `[[workload]]`: what the agent looks after.

use std::fmt;
use std::path::{Component, PathBuf};

use serde::{Deserialize, Serialize};

use super::bucket::Bucket;
use super::error::Problems;
use super::harmony::Harmony;
use super::helium::Helium;
use super::pm2::Pm2;
use super::ptn::Ptn;
use super::read::{Place, Read};
use super::schedule::Schedule;
use super::seconds::Seconds;
use super::section::section;
use super::snapshot::Snapshot;
use crate::protocol::Name;
use crate::runtime::systemd::UnitName;

section! {
    /// A miner, a validator, a node: one table for each, at most 32. Without any, a container called `miner` or `helium-miner`, a unit `harmony.service`, or a validator in a PM2 that runs, is looked after.
    Workload {
        /// Names the workload in topics, commands and records; unique on the device.
        name: Name, example = "miner";
        /// What it is, and so what health means: `helium`, `harmony`, `ptn` or `generic`.
        kind: Kind = Kind::Generic, example = "helium";
        /// What stops and starts it.
        runtime: Runtime, example = serde_json::json!({ "docker": { "container": "miner" } });
        /// The directory of its data on this host. Left out, operations on data are refused.
        data_dir: Option<PathBuf> = None, example = "/opt/miner/data";
        /// Files and directories inside the data directory that make up its identity and are never discarded.
        identity_files: Vec<PathBuf> = Vec::new(), example = ["miner/swarm_key"];
        /// How its data is snapshotted.
        snapshot: Snapshot = Snapshot::default();
        /// How a Harmony node is reached, and what it has to be.
        harmony: Option<Harmony> = None;
        /// What is known of a Helium miner's chain.
        helium: Option<Helium> = None;
        /// Where a validator is.
        ptn: Option<Ptn> = None;
        /// Where its snapshots are sent.
        bucket: Option<Bucket> = None;
        /// What is done with its data by the clock.
        schedule: Schedule = Schedule::default(), reload = true;
        /// Seconds that it has to end by itself before it is killed, from 1 to 600. One that needs a longer `dead-man` waits with that for the restart.
        grace: Seconds<1, 600> = GRACE, reload = true;
        /// Seconds that it has to answer its probe after a start, from 1 to 3600.
        ready_timeout: Seconds<1, 3600> = READY_TIMEOUT, reload = true;
        /// Seconds between two probes, from 5 to 3600.
        probe_interval: Seconds<5, 3600> = PROBE_INTERVAL, reload = true;
    }
}

section! {
    /// A container of the Docker engine.
    Docker {
        /// The container's name.
        container: Name, example = "miner";
        /// The engine's socket. Left out, it is looked for at `/var/run/docker.sock`.
        socket: Option<PathBuf> = None, example = "/var/run/docker.sock";
    }
}

section! {
    /// A service of systemd.
    Systemd {
        /// The unit's name.
        unit: UnitName, example = "harmony.service";
    }
}

/// What a workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A Helium miner.
    Helium,
    /// A Harmony node.
    Harmony,
    /// A validator of Bittensor's subnet 8.
    Ptn,
    /// Anything that runs: healthy while it does.
    Generic,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Helium => "helium",
            Kind::Harmony => "harmony",
            Kind::Ptn => "ptn",
            Kind::Generic => "generic",
        })
    }
}

/// What stops and starts a workload.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runtime {
    /// A container of the Docker engine.
    Docker(Docker),
    /// A service of systemd.
    Systemd(Systemd),
    /// Apps of a PM2.
    Pm2(Pm2),
}

/// What a runtime can look like.
const RUNTIME: &str = "a table such as { docker = { container = \"miner\" } }, { systemd = { unit = \"harmony.service\" } } \
                       or { pm2 = { apps = [\"sn8\", \"ptn\"] } }";

impl Read for Runtime {
    fn read(place: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        let table = place.table(RUNTIME, problems)?;
        let names = ["docker", "systemd", "pm2"];
        let before = problems.0.len();
        table.refuse_others(names.map(str::to_owned).into(), problems);
        let [docker, systemd, pm2] = names.map(|name| table.get(name));
        match (docker, systemd, pm2) {
            (Some(docker), None, None) => Read::read(&docker, problems).map(Runtime::Docker),
            (None, Some(systemd), None) => Read::read(&systemd, problems).map(Runtime::Systemd),
            (None, None, Some(pm2)) => Read::read(&pm2, problems).map(Runtime::Pm2),
            // Another name has been told.
            (None, None, None) if problems.0.len() > before => None,
            (None, None, None) => table.wrong(
                "names no runtime: write { docker = { container = \"…\" } }, { systemd = { unit = \"….service\" } } or \
                 { pm2 = { apps = [\"…\"] } }",
                problems,
            ),
            (_, _, _) => table.wrong("names two runtimes: a workload has one", problems),
        }
    }
}

impl Workload {
    /// A miner that was found in the Docker engine: what it is called there is what it is called here.
    pub fn discovered(container: Name) -> Self {
        let runtime = Runtime::Docker(Docker {
            container: container.clone(),
            socket: None,
        });
        Self::found(container, Kind::Helium, runtime)
    }

    /// A node that was found in systemd.
    pub fn discovered_node(name: Name, unit: UnitName) -> Self {
        Self::found(name, Kind::Harmony, Runtime::Systemd(Systemd { unit }))
    }

    /// A validator that was found in a PM2.
    pub fn discovered_validator(name: Name, pm2: Pm2, directory: PathBuf) -> Self {
        Self {
            ptn: Some(Ptn::in_directory(directory)),
            ..Self::found(name, Kind::Ptn, Runtime::Pm2(pm2))
        }
    }

    fn found(name: Name, kind: Kind, runtime: Runtime) -> Self {
        Self {
            name,
            kind,
            runtime,
            data_dir: None,
            identity_files: Vec::new(),
            snapshot: Snapshot::default(),
            harmony: None,
            helium: None,
            ptn: None,
            bucket: None,
            schedule: Schedule::default(),
            grace: GRACE,
            ready_timeout: READY_TIMEOUT,
            probe_interval: PROBE_INTERVAL,
        }
    }

    /// Whether the grace of `new` goes with the dead-man of this one, which a reload cannot change.
    pub(super) fn takes_grace_of(&self, new: &Workload) -> bool {
        new.grace == self.grace || self.snapshot.goes_with(new.grace.into())
    }

    pub(super) fn check(&self, at: &str, problems: &mut Problems) {
        match &self.runtime {
            Runtime::Docker(docker) => docker.check(&format!("{at}.runtime.docker"), problems),
            Runtime::Systemd(_) => {}
            Runtime::Pm2(pm2) => pm2.check(&format!("{at}.runtime.pm2"), problems),
        }
        let identity_files = format!("{at}.identity-files");
        match &self.data_dir {
            Some(directory) => {
                super::check_absolute(&format!("{at}.data-dir"), directory, problems);
                if directory.parent().is_none() {
                    problems.add(format!("{at}.data-dir"), "must not be the root directory");
                }
            }
            None if !self.identity_files.is_empty() => {
                problems.add(
                    &identity_files,
                    "go with a data directory: set `data-dir` too",
                );
            }
            None => {}
        }
        self.snapshot
            .check(&format!("{at}.snapshot"), self.grace.into(), problems);
        if let Some(harmony) = &self.harmony {
            let at = format!("{at}.harmony");
            harmony.check(&at, problems);
            if self.kind != Kind::Harmony {
                problems.add(&at, "goes with `kind = \"harmony\"`");
            }
        }
        if self.helium.is_some() && self.kind != Kind::Helium {
            problems.add(format!("{at}.helium"), "goes with `kind = \"helium\"`");
        }
        match (&self.ptn, self.kind == Kind::Ptn) {
            (Some(ptn), true) => ptn.check(&format!("{at}.ptn"), problems),
            (Some(_), false) => {
                problems.add(format!("{at}.ptn"), "goes with `kind = \"ptn\"`");
            }
            (None, true) => problems.add(
                format!("{at}.kind"),
                "a validator needs its place: write a [workload.ptn] with `directory` too",
            ),
            (None, false) => {}
        }
        if !self.schedule.is_empty() && self.data_dir.is_none() {
            problems.add(
                format!("{at}.schedule"),
                "goes with a data directory: set `data-dir` too",
            );
        }
        if self.schedule.upload.is_some() && self.bucket.is_none() {
            problems.add(
                format!("{at}.schedule.upload"),
                "goes with a bucket: write a [workload.bucket] too",
            );
        }
        if let Some(bucket) = &self.bucket {
            bucket.check(&format!("{at}.bucket"), problems);
            if self.data_dir.is_none() {
                problems.add(
                    format!("{at}.bucket"),
                    "goes with a data directory: set `data-dir` too",
                );
            }
        }
        for file in &self.identity_files {
            let mut parts = file.components().peekable();
            let is_name =
                |part| matches!(part, Component::Normal(name) if name.as_encoded_bytes() != b"*");
            if parts.peek().is_none() || !parts.all(is_name) {
                problems.add(
                    &identity_files,
                    format!(
                        "`{}` must be relative to the data directory, without `.`, `..` or `*`",
                        file.display()
                    ),
                );
            }
        }
    }
}

impl Docker {
    fn check(&self, at: &str, problems: &mut Problems) {
        if self.container.as_str().starts_with('_') {
            problems.add(
                format!("{at}.container"),
                "the engine's names begin with a letter or a digit",
            );
        }
        if let Some(socket) = &self.socket {
            super::check_absolute(&format!("{at}.socket"), socket, problems);
        }
    }
}

/// Every workload, and what must be so between them.
pub(super) fn check_all(workloads: &[Workload], problems: &mut Problems) {
    if workloads.len() > MOST {
        problems.add(
            "workload",
            format!("at most {MOST} workloads, not {}", workloads.len()),
        );
    }
    for (index, workload) in workloads.iter().enumerate() {
        let at = format!("workload[{index}]");
        workload.check(&at, problems);
        for earlier in &workloads[..index] {
            if earlier.name == workload.name {
                problems.add(
                    format!("{at}.name"),
                    format!("another workload is called `{}` already", workload.name),
                );
            }
            let drop = |of: &Workload| of.ptn.as_ref()?.drop_directory.clone();
            if drop(workload).is_some() && drop(earlier) == drop(workload) {
                problems.add(
                    format!("{at}.ptn.drop-directory"),
                    format!("it is that of `{}` already", earlier.name),
                );
            }
            if earlier.runtime == workload.runtime {
                problems.add(
                    format!("{at}.runtime"),
                    format!("`{}` drives the same container, unit or apps", earlier.name),
                );
            }
        }
    }
}

const GRACE: Seconds<1, 600> = Seconds::of(60);
const READY_TIMEOUT: Seconds<1, 3600> = Seconds::of(300);
const PROBE_INTERVAL: Seconds<5, 3600> = Seconds::of(30);

/// Each workload has tasks and queues of its own.
const MOST: usize = 32;
