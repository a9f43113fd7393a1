//! The workloads of this device: as they are configured, or as they are found.

use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::User;

use crate::any_error::{Context as _, Outcome};
use crate::clock::ClockSync;
use crate::config;
use crate::data::bucket::{ConfigFile, Layout, harmony};
use crate::data::{Bucket, Exclude, RelativePath, Retention, Source, Way};
use crate::http::bobcat::Miner;
use crate::operation::{Download, Script, Snapshots, Times, Validator, Workload};
use crate::policy::{DropDirectory, Schedule};
use crate::protocol::Operation;
use crate::runtime::Runtime;
use crate::runtime::docker::Docker;
use crate::runtime::pm2::Pm2;
use crate::runtime::systemd::Systemd;
use crate::workload::Kind;
use crate::workload::generic::Generic;
use crate::workload::harmony::Harmony;
use crate::workload::helium::Helium;
use crate::workload::ptn::Ptn;

/// Where the Docker engine listens unless the configuration says otherwise.
pub const DOCKER_SOCKET: &str = "/var/run/docker.sock";

const MIB: u64 = 1024 * 1024;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What is looked after.
#[derive(Default)]
pub struct Built {
    /// All of it.
    pub workloads: Vec<Workload>,
    /// The miners among it, and what is seen of them.
    pub miners: Vec<Miner>,
}

/// Builds what is looked after.
pub fn build_all(
    workloads: &[config::Workload],
    state_dir: &Path,
    clock: &ClockSync,
) -> Outcome<Built> {
    let mut built = Built::default();
    for workload in workloads {
        let (one, miner) = build(workload, state_dir, clock)?;
        built.workloads.push(one);
        built.miners.extend(miner);
    }
    Ok(built)
}

/// How long things may take on a workload.
pub fn times(workload: &config::Workload) -> Times {
    Times {
        grace: workload.grace.into(),
        ready: workload.ready_timeout.into(),
        interval: workload.probe_interval.into(),
    }
}

fn build(
    workload: &config::Workload,
    state_dir: &Path,
    clock: &ClockSync,
) -> Outcome<(Workload, Option<Miner>)> {
    let mut miner = None;
    let runtime: Arc<dyn Runtime> = match &workload.runtime {
        config::Runtime::Docker(docker) => {
            let socket = docker
                .socket
                .clone()
                .unwrap_or_else(|| PathBuf::from(DOCKER_SOCKET));
            Arc::new(Docker::new(socket, docker.container.to_string())?)
        }
        config::Runtime::Systemd(systemd) => Arc::new(Systemd::new(systemd.unit.clone())),
        config::Runtime::Pm2(pm2) => {
            let is_validator = workload.kind == config::Kind::Ptn;
            Arc::new(Pm2::new(pm2.settings(is_validator)))
        }
    };
    let kind: Arc<dyn Kind> = match workload.kind {
        config::Kind::Helium => {
            let settings = workload.helium.clone().unwrap_or_default().settings();
            let helium = Helium::new(settings);
            miner = Some(Miner {
                name: workload.name.clone(),
                observation: helium.observe(),
            });
            Arc::new(helium)
        }
        config::Kind::Harmony => {
            let node = workload.harmony.clone().unwrap_or_default();
            Arc::new(Harmony::new(node.rpc, node.conditions(), clock.clone()))
        }
        config::Kind::Ptn => {
            let ptn = workload
                .ptn
                .as_ref()
                .ok_or("a validator without its directory")?;
            Arc::new(Ptn::new(
                ptn.directory.clone(),
                ptn.stale_after.into(),
                clock.clone(),
            ))
        }
        config::Kind::Generic => Arc::new(Generic),
    };
    let built = Workload::new(workload.name.clone(), runtime, kind, times(workload));
    let built = match validator(workload, state_dir)? {
        Some(validator) => built.with_validator(validator),
        None => built,
    };
    let built = match snapshots(workload)? {
        Some(snapshots) => built.with_snapshots(snapshots),
        None => built,
    };
    Ok((built, miner))
}

/// What a restore of a checkpoint works with; `None` where the workload is no validator.
fn validator(workload: &config::Workload, state_dir: &Path) -> Outcome<Option<Validator>> {
    let Some(ptn) = &workload.ptn else {
        return Ok(None);
    };
    let state = state_dir.join("validators").join(workload.name.as_str());
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&state)
        .context(|| format!("cannot create {}", state.display()))?;
    Ok(Some(Validator {
        directory: ptn.directory.clone(),
        owner: owner(workload)?.map(|user| (user.uid.as_raw(), user.gid.as_raw())),
        state,
        reserve: ptn.reserve_mib.saturating_mul(MIB),
        crash_window: ptn.crash_window.into(),
        dead_man: workload.snapshot.dead_man.into(),
        download: Download {
            most: ptn.largest_download_mib.saturating_mul(MIB),
            ca_file: ptn.ca_file.clone(),
        },
        script: Script {
            python: ptn.python.clone(),
            patience: ptn.script_patience.into(),
        },
        backups: Retention {
            keep_last: Some(ptn.backups.keep_last),
            max_age: days(ptn.backups.keep_days),
            min_free: ptn.backups.keep_free_mib.saturating_mul(MIB),
            min_verified: 1,
        },
    }))
}

/// Who runs a validator, where that is known.
fn owner(workload: &config::Workload) -> Outcome<Option<User>> {
    Ok(match &workload.runtime {
        config::Runtime::Pm2(pm2) => User::from_name(pm2.user.as_str())?,
        config::Runtime::Docker(_) | config::Runtime::Systemd(_) => None,
    })
}

/// A limit in days; 0 is none.
fn days(days: u64) -> Option<Duration> {
    (days > 0).then(|| DAY.saturating_mul(u32::try_from(days).unwrap_or(u32::MAX)))
}

/// What the operations on data work with; `None` where no data directory is configured.
fn snapshots(workload: &config::Workload) -> Outcome<Option<Snapshots>> {
    let Some(root) = workload.data_dir.clone() else {
        return Ok(None);
    };
    let config = &workload.snapshot;
    let include = config
        .include
        .iter()
        .map(|path| RelativePath::try_from(path.clone()));
    let exclude: Vec<_> = workload
        .identity_files
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    Ok(Some(Snapshots {
        source: Source {
            root,
            include: include.collect::<Result<_, _>>()?,
            exclude: Exclude::with(&[exclude, config.exclude.clone()].concat())?,
        },
        store: config.store.clone(),
        way: match config.way {
            config::Way::Auto => None,
            config::Way::Reflink => Some(Way::Reflink),
            config::Way::Link => Some(Way::Link),
            config::Way::Copy => Some(Way::Copy),
            config::Way::Hot => Some(Way::Hot),
        },
        identity: identity(workload),
        reserve: config.reserve_mib.saturating_mul(MIB),
        rate: config.rate_mib.saturating_mul(MIB),
        longest_cut: config.longest_cut.into(),
        dead_man: config.dead_man.into(),
        progress_within: config.progress_within.into(),
        retention: Retention {
            keep_last: Some(config.keep_last),
            max_age: days(config.keep_days),
            min_free: config.keep_free_mib.saturating_mul(MIB),
            min_verified: config.keep_verified,
        },
        bucket: workload.bucket.as_ref().map(bucket),
    }))
}

/// What tells a snapshot of this workload from one of another of its kind, as far as it is configured.
fn identity(workload: &config::Workload) -> BTreeMap<String, String> {
    let Some(node) = &workload.harmony else {
        return BTreeMap::new();
    };
    let network = node.network.map(|network| network.as_str().to_owned());
    let facts = [
        ("network", network),
        ("shard", node.shard.map(|shard| shard.to_string())),
        (
            "archival",
            node.archival.map(|archival| archival.to_string()),
        ),
    ];
    facts
        .into_iter()
        .filter_map(|(what, fact)| Some((what.to_owned(), fact?)))
        .collect()
}

/// What is asked for by the clock.
pub fn schedules(config: &config::Config) -> Vec<Schedule> {
    let of = |workload: &config::Workload| {
        let times = &workload.schedule;
        let operations = [
            (Operation::Snapshot, times.snapshot.clone()),
            (Operation::Verify, times.verify.clone()),
            (Operation::Prune, times.prune.clone()),
            (Operation::Upload, times.upload.clone()),
        ];
        let (workload, jitter) = (workload.name.clone(), times.jitter_s.into());
        operations.map(|(operation, cron)| {
            Some(Schedule {
                workload: workload.clone(),
                operation,
                cron: cron?,
                jitter,
            })
        })
    };
    config.workload.iter().flat_map(of).flatten().collect()
}

/// Where checkpoints are put.
pub fn drop_directories(config: &config::Config) -> Outcome<Vec<DropDirectory>> {
    let mut found = Vec::new();
    for workload in &config.workload {
        let Some(ptn) = &workload.ptn else {
            continue;
        };
        if let Some(path) = &ptn.drop_directory {
            found.push(DropDirectory {
                workload: workload.name.clone(),
                path: path.clone(),
                owner: owner(workload)?.map(|user| user.uid.as_raw()),
                force: ptn.drop_force,
            });
        }
    }
    Ok(found)
}

/// Where snapshots are sent.
fn bucket(config: &config::Bucket) -> Bucket {
    let config_file = config.config_file.clone().map(|file| {
        // A file that cannot be used keeps uploads back, and no workload from being looked after.
        ConfigFile::new(move || config::secret::file(&file).map_err(|error| error.to_string()))
    });
    Bucket {
        remote: config.remote.clone(),
        config_file,
        layout: match config.layout {
            config::Layout::Objects => Layout::Objects,
            config::Layout::Harmony => Layout::Harmony(harmony::Identity {
                db_type: config.db_type,
                shard: config.shard,
            }),
        },
        rate: config.bandwidth_mib.saturating_mul(MIB),
        patience: config.patience.into(),
        keep_last: config.keep_last,
        grace: DAY.saturating_mul(config.grace_days),
        program: PathBuf::from("rclone"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_that_cannot_be_used_keeps_no_workload_from_being_looked_after() {
        let text = "[[workload]]\nname = \"miner\"\nruntime = { docker = { container = \"miner\" } }\ndata-dir = \"/opt/miner\"\n\
                    [workload.bucket]\nremote = \"far:bucket\"\nconfig-file = \"/nonexistent/rclone.conf\"\n";
        let config = config::Config::parse(text, Path::new("ostler.toml")).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let built = build_all(&config.workload, directory.path(), &ClockSync::default()).unwrap();
        assert_eq!(built.workloads.len(), 1);
        assert_eq!(
            config.check_files().len(),
            1,
            "it is told by `ostler config check`"
        );
    }
}
