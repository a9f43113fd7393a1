//! Real filesystems. They need root and loop devices.

#![allow(dead_code, reason = "each suite uses its part")]

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

/// A mounted filesystem; unmounted when dropped.
pub struct Mount {
    /// Where it is.
    pub point: PathBuf,
    _root: tempfile::TempDir,
}

impl Mount {
    /// Makes a filesystem in a file and mounts it; `None`, loudly, where that cannot be.
    pub fn image(make: &str, megabytes: u64, options: &[&str]) -> Option<Self> {
        let root = tempfile::tempdir().unwrap();
        let image = root.path().join("image");
        File::create(&image)
            .unwrap()
            .set_len(megabytes << 20)
            .unwrap();
        let made = Command::new(make)
            .args(options)
            .arg(&image)
            .output()
            .unwrap_or_else(|error| panic!("{make}: {error}"));
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let mount = Self::at_a_new_point(root, |mount| mount.args(["-o", "loop"]).arg(&image));
        if mount.is_none() {
            eprintln!(
                "SKIPPED: {make} images cannot be mounted here: root and loop devices are needed"
            );
        }
        mount
    }

    /// Mounts something; `None` where that cannot be.
    pub fn at_a_new_point(
        root: tempfile::TempDir,
        what: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Option<Self> {
        let point = root.path().join("mnt");
        fs::create_dir(&point).unwrap();
        let mounted = what(&mut Command::new("mount"))
            .arg(&point)
            .output()
            .unwrap();
        mounted
            .status
            .success()
            .then(|| Self { point, _root: root })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.point).status();
    }
}
