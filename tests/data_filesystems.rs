//! Cuts on real filesystems: reflinks on XFS and btrfs, a bind mount that refuses links, a disk that is full.
//!
//! They need root and loop devices; without, they say so and end.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "lab/chain.rs"]
mod chain;
#[path = "lab/snapshots.rs"]
mod snapshots;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use chain::Engine;
use ostler::data::manifest::Kind;
use ostler::data::place::Method;
use ostler::data::store::Space;
use ostler::data::{Control, Error, Exclude, Source, Staged, Store, Way};
use snapshots::{name, picture, take};

/// A mounted filesystem; unmounted when dropped.
struct Mount {
    point: PathBuf,
    _root: tempfile::TempDir,
}

impl Mount {
    /// Makes a filesystem in a file and mounts it; `None`, loudly, where that cannot be.
    fn image(make: &str, megabytes: u64, options: &[&str]) -> Option<Self> {
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

    fn at_a_new_point(
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

fn put(path: &Path, content: &[u8]) {
    File::create(path).unwrap().write_all(content).unwrap();
}

fn lab(root: &Path) -> (PathBuf, Store) {
    let data = root.join("data");
    fs::create_dir(&data).unwrap();
    (data, Store::open(&root.join("store")).unwrap())
}

#[test]
fn reflinks_are_chosen_where_they_work_and_keep_the_snapshot_apart() {
    for (make, megabytes) in [("mkfs.xfs", 320), ("mkfs.btrfs", 160)] {
        let Some(mount) = Mount::image(make, megabytes, &["-q"]) else {
            return;
        };
        let (data, store) = lab(&mount.point);
        Engine::RocksDb.fill(&data, 1000, &["recycle"]);
        let sqlite = data.join("state.db");
        let sql = |statement: &str| {
            assert!(
                Command::new("sqlite3")
                    .arg(&sqlite)
                    .arg(statement)
                    .status()
                    .unwrap()
                    .success()
            );
        };
        sql("create table t(x); insert into t values (1);");
        let manifest = take(&Source::whole(&data), &store, "one", None).unwrap();
        assert_eq!(manifest.way, Way::Reflink, "{make}");
        for file in &manifest.files {
            match file.kind {
                Kind::Table | Kind::SingleFile => assert_eq!(file.method, Method::Reflink),
                _ => assert_ne!(file.method, Method::Link),
            }
        }
        let snapshot = store.snapshot(&name("one")).join("data");
        let before = picture(&snapshot);
        // The engine changes its one file in place, and truncates what it likes.
        sql("update t set x = 2; vacuum;");
        Engine::RocksDb.fill(&data, 1000, &["recycle"]);
        Engine::RocksDb.compact(&data, &[]);
        assert_eq!(picture(&snapshot), before, "{make}");
        assert!(matches!(store.list().unwrap()[0].space, Space::AtMost(bytes) if bytes > 0));

        let mut control = Control::unlimited();
        let exclusive = store.lock(&mut control).unwrap();
        let staged = Staged::build(&exclusive, &manifest, &data, None, 0, &mut control).unwrap();
        let mut exchange = staged.exchange(&store.exchange_journal()).unwrap();
        exchange.commit().unwrap();
        assert_eq!(Engine::RocksDb.verify(&data).unwrap(), 999);
        sql("update t set x = 3;");
        exchange.finish(&mut control).unwrap();
        assert_eq!(
            picture(&snapshot),
            before,
            "{make}: the restored database runs on reflinks"
        );
    }
}

#[test]
fn a_bind_mount_refuses_links_and_the_cut_copies() {
    let root = tempfile::tempdir().unwrap();
    let (inner, store) = lab(root.path());
    let Some(mount) = Mount::at_a_new_point(tempfile::tempdir().unwrap(), |mount| {
        mount.arg("--bind").arg(&inner)
    }) else {
        eprintln!("SKIPPED: nothing can be mounted here: root is needed");
        return;
    };
    let data = &mount.point;
    Engine::LevelDb.fill(data, 1000, &[]);
    let refused = take(&Source::whole(data), &store, "one", Some(Way::Link)).unwrap_err();
    assert!(matches!(refused, Error::WayRefused { .. }), "{refused}");
    assert!(refused.to_string().contains("cross-device"), "{refused}");
    let manifest = take(&Source::whole(data), &store, "one", None).unwrap();
    // The filesystem below may know reflinks: those cross a bind mount.
    assert_ne!(manifest.way, Way::Link);
    Engine::LevelDb.fill(data, 500, &[]);
    put(&data.join("swarm_key"), b"identity");

    // A mount point cannot be renamed: its entries are exchanged.
    let mut control = Control::unlimited();
    let exclusive = store.lock(&mut control).unwrap();
    let staged = Staged::build(&exclusive, &manifest, data, None, 0, &mut control).unwrap();
    assert!(staged.path().starts_with(data));
    staged.carry(&Exclude::default(), &mut control).unwrap();
    let mut exchange = staged.exchange(&store.exchange_journal()).unwrap();
    exchange.commit().unwrap();
    assert_eq!(Engine::LevelDb.verify(data).unwrap(), 999);
    assert_eq!(
        fs::read_to_string(data.join("swarm_key")).unwrap(),
        "identity"
    );
    exchange.undo().unwrap();
    assert_eq!(Engine::LevelDb.verify(data).unwrap(), 1499);
    exchange.commit().unwrap();
    exchange.finish(&mut control).unwrap();
    assert_eq!(Engine::LevelDb.verify(data).unwrap(), 999);
    let left = fs::read_dir(data).unwrap().filter(|item| {
        item.as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with('.')
    });
    assert_eq!(left.count(), 0);
}

#[test]
fn a_full_disk_is_an_error_with_figures_and_leaves_nothing() {
    let Some(mount) = Mount::image("mkfs.ext4", 12, &["-q"]) else {
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    fs::create_dir(&data).unwrap();
    Engine::LevelDb.fill(&data, 20_000, &["wide"]);
    let store = Store::open(&mount.point.join("store")).unwrap();
    let refused = take(&Source::whole(&data), &store, "one", None).unwrap_err();
    assert!(matches!(refused, Error::NoSpace { .. }), "{refused}");
    assert!(refused.to_string().contains("are missing"), "{refused}");
    assert!(!store.path().join("one.partial").exists());

    // And when the check beforehand could not know: something else fills the disk during the cut.
    Engine::LevelDb.fill(&root.path().join("small"), 3000, &["wide"]);
    let mut control = Control::unlimited();
    let source = Source::whole(&root.path().join("small"));
    let cut = ostler::data::Cut::prepare(
        source,
        &store,
        snapshots::options("two", None),
        &mut control,
    );
    let mut cut = cut.unwrap();
    let free = ostler::data::space::free(&mount.point).unwrap().bytes;
    put(
        &mount.point.join("ballast"),
        &vec![1; free as usize - (200 << 10)],
    );
    let full = cut.cold(true, &mut control).unwrap_err();
    assert!(format!("{full:?}").contains("StorageFull"), "{full:?}");
    drop(cut);
    let left: Vec<_> = fs::read_dir(store.path())
        .unwrap()
        .map(|item| item.unwrap().file_name())
        .collect();
    assert_eq!(left, ["lock"]);
}
