//! The sensors on prepared trees of `/sys` and `/proc`.

use std::fs;
use std::path::PathBuf;

use super::{PATIENCE, Root, Temperatures};

mod host;
mod temperature;

/// A prepared tree.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Two zones like those of a Bobcat's RK3566.
    fn bobcat() -> Self {
        let tree = Self::new();
        tree.zone(0, "soc-thermal", "38000");
        tree.zone(1, "gpu-thermal", "36111");
        tree
    }

    fn zone(&self, number: u32, kind: &str, temp: &str) {
        let zone = format!("sys/class/thermal/thermal_zone{number}");
        for (file, content) in [
            ("type", kind),
            ("temp", temp),
            ("trip_point_0_type", "passive"),
            ("trip_point_0_temp", "75000"),
            ("trip_point_1_type", "critical"),
            ("trip_point_1_temp", "115000"),
        ] {
            self.file(&format!("{zone}/{file}"), content);
        }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn file(&self, below: &str, content: &str) {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        crate::durable::write(&path, format!("{content}\n").as_bytes(), 0o644).unwrap();
    }

    fn directory(&self, below: &str) {
        fs::create_dir_all(self.path(below)).unwrap();
    }

    fn remove(&self, below: &str) {
        fs::remove_dir_all(self.path(below)).unwrap();
    }

    fn root(&self) -> Root {
        Root::at(self.0.path())
    }

    fn temperatures(&self) -> Temperatures {
        Temperatures::new(self.root(), PATIENCE)
    }
}
