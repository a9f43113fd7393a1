//! Load, memory and uptime, from the files under `/proc`.
//!
//! They are read by hand rather than through a crate: `sysinfo` reports a file that it cannot read as
//! zeros, and reads only the real `/proc`, so that neither errors nor prepared trees could be told apart.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files::{self, ReadError, Root, SHORT};

/// `/proc/meminfo` has some 60 lines.
const MEMINFO: u64 = 16 * 1024;

/// How busy the host is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Tasks running or waiting for the disk, averaged over one minute.
    pub one: f64,
    /// The same over five minutes.
    pub five: f64,
    /// The same over fifteen minutes.
    pub fifteen: f64,
    /// How many processors there are to share it, if the kernel says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
}

/// Memory, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// What the kernel has to share out.
    pub total: u64,
    /// What can still be given out without swapping.
    pub available: u64,
    /// The swap space; 0 where there is none.
    pub swap_total: u64,
    /// What of it is free.
    pub swap_free: u64,
}

/// The load averages: proc_loadavg(5).
pub(super) fn load(root: &Root) -> Result<Load, ReadError> {
    let path = root.path("proc/loadavg");
    let text = files::text(&path, SHORT)?;
    let averages: Vec<f64> = text
        .split_whitespace()
        .map_while(|average| average.parse().ok())
        .collect();
    let [one, five, fifteen, ..] = averages[..] else {
        return Err(ReadError::content(&path, &text, "three load averages"));
    };
    Ok(Load {
        one,
        five,
        fifteen,
        cpus: processors(&root.path("sys/devices/system/cpu/online")),
    })
}

/// How many processors a list such as `0-3,6` names: `Documentation/admin-guide/cputopology.rst`.
fn processors(online: &Path) -> Option<u32> {
    let text = files::text(online, SHORT).ok()?;
    text.split(',').try_fold(0_u32, |count, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        count.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

/// The memory: proc_meminfo(5), whose `kB` are 1024 bytes.
pub(super) fn memory(root: &Root) -> Result<Memory, ReadError> {
    let path = root.path("proc/meminfo");
    let text = files::text(&path, MEMINFO)?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line
            .strip_prefix(':')?
            .split_whitespace()
            .next()?
            .parse()
            .ok()?;
        kib.checked_mul(1024)
    };
    let known = || {
        Some(Memory {
            total: field("MemTotal")?,
            // Before Linux 3.14 the kernel did not estimate it.
            available: field("MemAvailable").or_else(|| {
                let cache = field("Buffers")?.saturating_add(field("Cached")?);
                Some(field("MemFree")?.saturating_add(cache))
            })?,
            swap_total: field("SwapTotal").unwrap_or(0),
            swap_free: field("SwapFree").unwrap_or(0),
        })
    };
    known()
        .ok_or_else(|| ReadError::content(&path, &text, "a table with MemTotal and MemAvailable"))
}

/// Whole seconds since the boot, those in suspend among them: proc_uptime(5).
pub(super) fn uptime(root: &Root) -> Result<u64, ReadError> {
    let path = root.path("proc/uptime");
    let text = files::text(&path, SHORT)?;
    text.split(['.', ' '])
        .next()
        .and_then(|seconds| seconds.parse().ok())
        .ok_or_else(|| ReadError::content(&path, &text, "a number of seconds"))
}
