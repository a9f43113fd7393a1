//! The filesystems that matter: that of `/`, of the state directory and of each data directory.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{StatVfsMountFlags, statvfs};
use serde::{Deserialize, Serialize};

use super::Problem;
use super::files::Root;
use super::mount;
use super::patience::Patience;

/// How many directories are looked at; those past it are left out, and counted.
pub const MAX_DIRECTORIES: usize = 32;

/// One filesystem, with the directories on it that were asked for; sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The directories that are on it, as they were given.
    pub paths: Vec<String>,
    /// Where it is mounted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_point: Option<String>,
    /// Its type: `ext4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<String>,
    /// Its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// What is free, what is reserved for root among it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<u64>,
    /// What is free for everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available: Option<u64>,
    /// How many files can still be made; absent where the filesystem does not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inodes_free: Option<u64>,
    /// Whether the filesystem is read-only: mounted so, or made so by the kernel after an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// Why nothing is known: the directory is missing or does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What the system says of the filesystem under one directory.
#[derive(Clone, Debug)]
struct Usage {
    /// The directory without symbolic links.
    canonical: PathBuf,
    /// Which filesystem it is: two directories with the same number are on the same one.
    device: u64,
    total: u64,
    free: u64,
    available: u64,
    inodes_free: Option<u64>,
    read_only: bool,
}

/// Asks the system; a boundary, so that a test can have it hang.
type Ask = Arc<dyn Fn(&Path) -> io::Result<Usage> + Send + Sync>;

/// The directories to look at.
pub struct Disks {
    root: Root,
    directories: Vec<PathBuf>,
    patience: Patience<io::Result<Usage>>,
    ask: Ask,
}

impl Disks {
    /// Looks at these directories; one that has not answered after `patience` counts as hanging.
    pub fn new(root: Root, directories: Vec<PathBuf>, patience: Duration) -> Self {
        let mut unique = Vec::new();
        for directory in directories {
            if !unique.contains(&directory) {
                unique.push(directory);
            }
        }
        Self {
            root,
            directories: unique,
            patience: Patience::new(patience),
            ask: Arc::new(usage),
        }
    }

    /// One entry for each filesystem, and one for each directory that fails, in the order of the directories.
    pub fn sample(&mut self, problems: &mut Vec<Problem>) -> Vec<Disk> {
        let mounts = mount::table(&self.root).unwrap_or_else(|error| {
            problems.push(Problem::new("mounts", error.to_string()));
            Vec::new()
        });
        let left_out = self.directories.len().saturating_sub(MAX_DIRECTORIES);
        if left_out > 0 {
            problems.push(Problem::new(
                "disks",
                format!("{left_out} directories more than {MAX_DIRECTORIES} are left out"),
            ));
        }
        let questions = self
            .directories
            .iter()
            .take(MAX_DIRECTORIES)
            .map(|directory| {
                let (ask, directory) = (Arc::clone(&self.ask), directory.clone());
                let name = directory.to_string_lossy().into_owned();
                (name, Box::new(move || ask(&directory)) as Box<_>)
            })
            .collect();
        let mut disks: Vec<(Option<u64>, Disk)> = Vec::new();
        for (path, answer) in self.patience.ask(questions) {
            let usage = match answer {
                Ok(Ok(usage)) => usage,
                Ok(Err(error)) => {
                    disks.push((None, Disk::failed(path, error.to_string())));
                    continue;
                }
                Err(silence) => {
                    disks.push((None, Disk::failed(path, silence.to_string())));
                    continue;
                }
            };
            match disks
                .iter_mut()
                .find(|(device, _)| *device == Some(usage.device))
            {
                Some((_, disk)) => disk.paths.push(path),
                None => disks.push((Some(usage.device), Disk::new(path, &usage, &mounts))),
            }
        }
        disks.into_iter().map(|(_, disk)| disk).collect()
    }
}

impl Disk {
    fn new(path: String, usage: &Usage, mounts: &[mount::Mount]) -> Self {
        let mount = mount::holding(mounts, &usage.canonical);
        Self {
            paths: vec![path],
            mount_point: mount.map(|mount| mount.point.to_string_lossy().into_owned()),
            filesystem: mount.map(|mount| mount.filesystem.clone()),
            total: Some(usage.total),
            free: Some(usage.free),
            available: Some(usage.available),
            inodes_free: usage.inodes_free,
            read_only: Some(mount.map_or(usage.read_only, |mount| mount.read_only)),
            error: None,
        }
    }

    fn failed(path: String, error: String) -> Self {
        Self {
            paths: vec![path],
            error: Some(error),
            ..Self::default()
        }
    }
}

/// statvfs(3), with which filesystem it is.
fn usage(directory: &Path) -> io::Result<Usage> {
    let canonical = fs::canonicalize(directory)?;
    let device = fs::metadata(&canonical)?.dev();
    let answer = statvfs(&canonical)?;
    let bytes = |blocks: u64| blocks.saturating_mul(answer.f_frsize);
    Ok(Usage {
        device,
        total: bytes(answer.f_blocks),
        free: bytes(answer.f_bfree),
        available: bytes(answer.f_bavail),
        // btrfs and vfat have no fixed number of inodes and say 0 of 0.
        inodes_free: (answer.f_files > 0).then_some(answer.f_favail),
        read_only: answer.f_flag.contains(StatVfsMountFlags::RDONLY),
        canonical,
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::sync::mpsc::sync_channel;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    #[test]
    fn directories_of_one_filesystem_are_one_entry_with_every_path() {
        let state = tempfile::tempdir().unwrap();
        let (data, missing) = (state.path().join("data"), state.path().join("missing"));
        fs::create_dir(&data).unwrap();
        let directories = vec![
            state.path().to_owned(),
            missing.clone(),
            data.clone(),
            data.clone(),
        ];
        let mut problems = Vec::new();
        let disks = Disks::new(Root::default(), directories, PATIENCE).sample(&mut problems);

        assert_eq!(problems, []);
        assert_eq!(disks.len(), 2);
        let shown = |path: &Path| path.to_str().unwrap().to_owned();
        assert_eq!(disks[0].paths, [shown(state.path()), shown(&data)]);
        assert_eq!(disks[0].error, None);
        assert_eq!(disks[1].paths, [shown(&missing)]);
        let error = disks[1].error.as_deref().unwrap();
        assert!(error.contains("No such file"), "{error}");
        assert_eq!(disks[1].total, None);
    }

    #[test]
    fn the_figures_are_those_of_df() {
        let mut problems = Vec::new();
        let disks = Disks::new(Root::default(), vec!["/".into()], PATIENCE).sample(&mut problems);
        let asked = Command::new("df")
            .args(["--block-size=1", "--output=size,target,fstype", "/"])
            .output()
            .unwrap();
        let said = String::from_utf8(asked.stdout).unwrap();
        let fields: Vec<_> = said.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(disks[0].total.unwrap().to_string(), fields[0]);
        assert_eq!(disks[0].mount_point.as_deref(), Some(fields[1]));
        assert_eq!(disks[0].filesystem.as_deref(), Some(fields[2]));
        assert!(disks[0].available <= disks[0].free);
        assert!(disks[0].free <= disks[0].total);
    }

    #[test]
    fn a_directory_that_hangs_is_an_error_and_the_others_are_listed() {
        let (release, released) = sync_channel::<()>(0);
        let released = std::sync::Mutex::new(released);
        let mut disks = Disks::new(
            Root::default(),
            vec!["/nfs".into(), "/".into()],
            Duration::from_secs(1),
        );
        disks.ask = Arc::new(move |directory| {
            if directory == Path::new("/nfs") {
                let _ = released.lock().unwrap().recv();
            }
            usage(directory)
        });
        let mut problems = Vec::new();
        let sampled = disks.sample(&mut problems);
        assert_eq!(sampled[0].paths, ["/nfs"]);
        assert_eq!(sampled[0].error.as_deref(), Some("does not answer"));
        assert_eq!(sampled[1].paths, ["/"]);
        assert_eq!(sampled[1].error, None);
        drop(release);
    }

    #[test]
    fn directories_past_the_limit_are_counted() {
        let directories = (0..MAX_DIRECTORIES + 3)
            .map(|n| PathBuf::from(format!("/missing/{n}")))
            .collect();
        let mut problems = Vec::new();
        let disks = Disks::new(Root::default(), directories, PATIENCE).sample(&mut problems);
        assert_eq!(disks.len(), MAX_DIRECTORIES);
        assert!(
            problems[0].error.starts_with("3 directories"),
            "{problems:?}"
        );
    }
}
