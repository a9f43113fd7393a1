//! The data of each workload: whether it is there, on one filesystem with its snapshots, and whether the agent may write it. The sandbox of
//! its unit may show the agent another tree than everybody else sees, so it is the agent's own list of mounts that is asked.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Check;
use crate::cli::unit;
use crate::config::{Config, Workload};
use crate::data::Store;
use crate::sensor::ReadError;
use crate::sensor::mount::{Mount, holding, table_of};

/// What can be said of each workload's data, with the agent's process where it runs.
pub(super) fn checks(config: &Config, agent: Option<i32>) -> Vec<Check> {
    let seen = agent.map(table_of);
    let mut checks = match &seen {
        Some(Ok(seen)) => writable(config, seen),
        Some(Err(error)) => vec![unseen(error)],
        None => Vec::new(),
    };
    for workload in &config.workload {
        let Some(data) = &workload.data_dir else {
            continue;
        };
        let store = store_of(workload, data);
        checks.push(one_filesystem(workload, data, &store));
        if let Some(Ok(seen)) = &seen {
            checks.extend(two_mounts(workload, data, &store, seen));
        }
    }
    checks
}

fn unseen(error: &ReadError) -> Check {
    Check::warn(
        "sandbox",
        format!("what the agent may write cannot be told: {error}"),
        "ask as root (sudo ostler doctor)",
    )
}

/// Where its snapshots are.
fn store_of(workload: &Workload, data: &Path) -> PathBuf {
    // Where there is no data, that is what is told.
    let beside = || Store::beside(data).unwrap_or_else(|_| data.to_owned());
    workload.snapshot.store.clone().unwrap_or_else(beside)
}

/// Tables are shared between data and snapshots by links or reflinks, and directories exchanged: within one filesystem.
fn one_filesystem(workload: &Workload, data: &Path, store: &Path) -> Check {
    const NAME: &str = "data";
    let (name, at) = (&workload.name, data.display());
    let on = match data.metadata() {
        Ok(found) if found.is_dir() => found.dev(),
        Ok(_) => {
            return Check::fail(
                NAME,
                format!("{name}: {at} is not a directory"),
                "correct `data-dir`",
            );
        }
        Err(error) => {
            return Check::fail(
                NAME,
                format!("{name}: {at}: {error}"),
                "correct `data-dir`, or mount the disk that it is on",
            );
        }
    };
    // The store is made at the first snapshot.
    let existing = store.ancestors().find_map(|path| path.metadata().ok());
    match existing {
        Some(found) if found.dev() != on => Check::fail(
            NAME,
            format!(
                "{name}: {at} and its snapshots in {} are on two filesystems",
                store.display()
            ),
            "move `store` to the filesystem of the data: every snapshot would be a whole copy, and a restore could not be an exchange",
        ),
        _ => Check::ok(
            NAME,
            format!("{name}: {at} and its snapshots are on one filesystem"),
        ),
    }
}

const SANDBOX: &str = "sandbox";

/// What to do about it.
const ADVICE: &str = "have the unit made for this configuration (systemctl daemon-reload && systemctl restart ostler), or see what it \
                      lets the agent write (systemctl cat ostler; mount)";

/// Whether the agent itself may write where it has to.
fn writable(config: &Config, seen: &[Mount]) -> Vec<Check> {
    let directories = unit::directories(config);
    let mut checks: Vec<Check> = directories
        .iter()
        .filter(|directory| {
            let mount = holding(seen, &canonical(directory));
            mount.is_some_and(|mount| mount.read_only || mount.read_only_here)
        })
        .map(|directory| {
            let message = format!("the agent may not write {}", directory.display());
            Check::fail(SANDBOX, message, ADVICE)
        })
        .collect();
    if checks.is_empty() && !directories.is_empty() {
        let message = "the agent may write where the configuration has it write";
        checks.push(Check::ok(SANDBOX, message));
    }
    checks
}

/// Whether the agent sees data and snapshots in two mounts.
fn two_mounts(workload: &Workload, data: &Path, store: &Path, seen: &[Mount]) -> Option<Check> {
    let name = &workload.name;
    // What is exchanged is the directory itself, so it is the one around it that must be writable.
    let around = canonical(data);
    let store = canonical(store);
    let data_mount = holding(seen, around.parent().unwrap_or(&around))?;
    let store_mount = holding(seen, store.parent().unwrap_or(&store))?;
    (data_mount != store_mount).then(|| {
        let message = format!(
            "{name}: the agent sees data and snapshots in two mounts ({} and {}), between which nothing can be linked",
            data_mount.point.display(),
            store_mount.point.display()
        );
        Check::fail(SANDBOX, message, ADVICE)
    })
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
