//! What is left of a unit: the processes in its cgroup.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Where systemd's own hierarchy is: beside others (version 1, hybrid), or the only one (version 2).
const HIERARCHIES: [&str; 3] = [
    "/sys/fs/cgroup/systemd",
    "/sys/fs/cgroup/unified",
    "/sys/fs/cgroup",
];

/// Deep enough for a unit that makes cgroups of its own, such as a container engine.
const DEPTH: usize = 8;

/// The processes in a cgroup and below it; none where it has gone, which is what systemd does with an empty one.
pub(super) fn in_cgroup(cgroup: &str) -> Vec<u32> {
    let relative = Path::new(cgroup.trim_start_matches('/'));
    let plain = relative
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    // The root holds the processes of nobody in particular.
    if !plain || relative.as_os_str().is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for hierarchy in HIERARCHIES {
        collect(&Path::new(hierarchy).join(relative), DEPTH, &mut found);
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn collect(directory: &PathBuf, depth: usize, found: &mut Vec<u32>) {
    let processes = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    found.extend(
        processes
            .lines()
            .filter_map(|line| line.parse::<u32>().ok()),
    );
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), depth, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cgroup_holds_nothing() {
        for cgroup in [
            "",
            "/",
            "/no/such.service",
            "/../..",
            "/system.slice/../init.scope",
        ] {
            assert_eq!(in_cgroup(cgroup), [0; 0], "{cgroup:?}");
        }
    }
}
