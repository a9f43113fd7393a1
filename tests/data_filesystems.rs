//! Cuts on real filesystems: reflinks on XFS and btrfs, a bind mount that refuses links, a disk that is full.
//!
//! They need root and loop devices; without, they say so and end.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "lab/chain.rs"]
mod chain;
#[path = "lab/mount.rs"]
mod mount;
#[path = "lab/snapshots.rs"]
mod snapshots;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use chain::Engine;
use mount::Mount;
use ostler::data::manifest::Kind;
use ostler::data::place::Method;
use ostler::data::store::Space;
use ostler::data::{
    Control, Error, Exchange, Exclude, Level, RelativePath, Source, Staged, Store, Way, verify,
};
use snapshots::{name, picture, private_copy, take};

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

#[test]
fn an_exchange_that_was_not_begun_is_ended_on_a_disk_without_a_byte_of_room() {
    let Some(mount) = Mount::image("mkfs.ext4", 32, &["-q"]) else {
        return;
    };
    let (data, store) = lab(&mount.point);
    put(&data.join("file"), b"old");
    take(&Source::whole(&data), &store, "one", None).unwrap();
    put(&data.join("file"), b"newer");
    let mut control = Control::unlimited();
    let exclusive = store.lock(&mut control).unwrap();
    let manifest = store.get(&name("one")).unwrap();
    let staged = Staged::build(&exclusive, &manifest, &data, None, 0, &mut control).unwrap();
    let journal = store.exchange_journal();
    let mut exchange = staged.exchange(&journal).unwrap();
    let mut ballast = File::create(mount.point.join("ballast")).unwrap();
    for piece in [1 << 20, 4096, 1] {
        while ballast.write_all(&vec![1; piece]).is_ok() {}
    }
    let full = exchange.commit().unwrap_err();
    assert!(format!("{full:?}").contains("StorageFull"), "{full:?}");
    // As the agent goes on, now or at the next operation.
    let mut left = Exchange::pending(&journal).unwrap().unwrap();
    assert!(left.is_untouched() && !left.is_torn());
    left.undo().unwrap();
    left.finish(&mut control).unwrap();
    assert!(!journal.exists() && !staged.path().exists());
    assert_eq!(fs::read(data.join("file")).unwrap(), b"newer");
}

/// What is in a store beside its lock.
fn left_in(store: &Path) -> Vec<String> {
    fs::read_dir(store)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "lock")
        .collect()
}

#[test]
fn a_filesystem_without_reflinks_says_so_and_is_linked() {
    let Some(mount) = Mount::image("mkfs.ext4", 32, &["-q"]) else {
        return;
    };
    let (data, store) = lab(&mount.point);
    Engine::LevelDb.fill(&data, 500, &[]);
    let refused = take(&Source::whole(&data), &store, "one", Some(Way::Reflink)).unwrap_err();
    assert!(matches!(refused, Error::WayRefused { .. }), "{refused}");
    assert!(refused.to_string().contains("not supported"), "{refused}");
    assert_eq!(left_in(store.path()), [""; 0]);
    let taken = take(&Source::whole(&data), &store, "one", None).unwrap();
    assert_eq!(taken.way, Way::Link);
}

#[test]
fn a_store_on_another_filesystem_is_copied_to() {
    let Some(mount) = Mount::image("mkfs.ext4", 32, &["-q"]) else {
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    fs::create_dir(&data).unwrap();
    let store = Store::open(&mount.point.join("store")).unwrap();
    Engine::LevelDb.fill(&data, 500, &[]);
    for way in [Way::Link, Way::Reflink] {
        let refused = take(&Source::whole(&data), &store, "one", Some(way)).unwrap_err();
        assert!(refused.to_string().contains("cross-device"), "{refused}");
        assert_eq!(left_in(store.path()), [""; 0]);
    }
    let taken = take(&Source::whole(&data), &store, "one", None).unwrap();
    assert_eq!(taken.way, Way::Copy);
}

/// ext4 has room for 65000 names of a file.
#[test]
fn a_table_with_as_many_names_as_can_be_is_copied_and_the_others_are_linked() {
    let Some(mount) = Mount::image("mkfs.ext4", 64, &["-q"]) else {
        return;
    };
    let (data, store) = lab(&mount.point);
    Engine::LevelDb.fill(&data, 2000, &[]);
    // Of the live ones: a table that a compaction has left behind is not linked. Not the first, with which links are tried.
    let other = Store::open(&mount.point.join("other")).unwrap();
    let live = take(&Source::whole(&data), &other, "live", Some(Way::Copy)).unwrap();
    let live = live.files.iter().map(|file| file.path.to_string());
    let mut tables: Vec<_> = live.filter(|path| path.ends_with(".ldb")).collect();
    tables.sort();
    assert!(tables.len() > 1, "{tables:?}");
    let last = data.join(tables.pop().unwrap());
    take_every_name(&last, &mount.point.join("names"));
    let before = picture(&data);
    let taken = take(&Source::whole(&data), &store, "one", None).unwrap();
    assert_eq!(taken.way, Way::Link);
    let named = RelativePath::root().join(&file_name(&last)).unwrap();
    for file in taken.files.iter().filter(|file| file.kind == Kind::Table) {
        let expected = match file.path == named {
            true => Method::Copy,
            false => Method::Link,
        };
        assert_eq!(file.method, expected, "{}", file.path);
    }
    assert_eq!(picture(&data), before);
    let mut control = Control::unlimited();
    let report = verify(&store, &name("one"), Level::L3, &mut control).unwrap();
    assert_eq!(report.damages, []);
    let copy = mount.point.join("copy");
    private_copy(&store.snapshot(&name("one")).join("data"), &copy);
    assert_eq!(Engine::LevelDb.verify(&copy).unwrap(), 1999);
    // The way back for a full disk links too.
    let first = file_name(Path::new(&tables[0]));
    take_every_name(&data.join(&first), &mount.point.join("more-names"));
    let exclusive = store.lock(&mut control).unwrap();
    let link = Some(Method::Link);
    let staged = Staged::build(&exclusive, &taken, &data, link, 0, &mut control).unwrap();
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_ne!(
        inode(&staged.path().join(&first)),
        inode(&data.join(&first))
    );
    staged.discard(&mut control).unwrap();
    assert_eq!(Engine::LevelDb.verify(&data).unwrap(), 1999);
}

/// Gives a file names until there can be no more.
fn take_every_name(file: &Path, names: &Path) {
    fs::create_dir(names).unwrap();
    let full = (0..70_000)
        .map(|number| fs::hard_link(file, names.join(number.to_string())))
        .find_map(Result::err)
        .expect("an end to the names");
    assert_eq!(full.raw_os_error(), Some(nix::errno::Errno::EMLINK as i32));
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// With `fs.protected_hardlinks` a user gives names only to files that are his, or that he may write.
#[test]
fn files_of_another_user_are_copied_where_the_kernel_refuses_to_link_them() {
    let protected = fs::read_to_string("/proc/sys/fs/protected_hardlinks").unwrap();
    if !nix::unistd::geteuid().is_root() || protected.trim() != "1" {
        eprintln!("SKIPPED: root and fs.protected_hardlinks=1 are needed");
        return;
    }
    let root = tempfile::Builder::new()
        .prefix("ostler-")
        .tempdir_in("/tmp")
        .unwrap();
    let allow = |path: &Path| {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(path, mode).unwrap();
    };
    allow(root.path());
    let data = root.path().join("data");
    fs::create_dir(&data).unwrap();
    Engine::LevelDb.fill(&data, 500, &[]);
    let store = root.path().join("store");
    fs::create_dir(&store).unwrap();
    const NOBODY: u32 = 65534;
    std::os::unix::fs::chown(&store, Some(NOBODY), Some(NOBODY)).unwrap();
    let program = root.path().join("ostler");
    // By another process: what this one has open for writing may be open in a child of another test too.
    let installed = Command::new("install")
        .args(["-m", "755", env!("CARGO_BIN_EXE_ostler")])
        .arg(&program)
        .status()
        .unwrap();
    assert!(installed.success());
    let take = |snapshot: &str, way: &[&str]| {
        let nobody = NOBODY.to_string();
        Command::new("setpriv")
            .args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"])
            .arg(&program)
            .args(["store", "take", "--name", snapshot])
            .args(way)
            .arg(&data)
            .arg(&store)
            .output()
            .unwrap()
    };
    let refused = take("linked", &["--way", "link"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("not permitted"), "{told}");
    assert_eq!(left_in(&store), [""; 0]);
    let taken = take("copied", &[]);
    assert!(taken.status.success(), "{taken:?}");
    let store = Store::open(&store).unwrap();
    let manifest = store.get(&name("copied")).unwrap();
    assert!(
        [Way::Copy, Way::Reflink].contains(&manifest.way),
        "{manifest:?}"
    );
    let copy = root.path().join("copy");
    snapshots::private_copy(&store.snapshot(&name("copied")).join("data"), &copy);
    assert_eq!(Engine::LevelDb.verify(&copy).unwrap(), 499);
}
