//! Restores: the snapshot becomes the data, the old data can come back, keys stay, and the snapshot never changes.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "lab/chain.rs"]
mod chain;
#[path = "lab/snapshots.rs"]
mod snapshots;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use chain::Engine;
use ostler::data::place::Method;
use ostler::data::{
    Control, Error, Exchange, Exclude, Manifest, Replaced, Source, Staged, Store, Way,
};
use snapshots::{name, picture, take, workload};

struct Lab {
    root: tempfile::TempDir,
    store: Store,
}

impl Lab {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("data")).unwrap();
        let store = Store::open(&root.path().join("store")).unwrap();
        Self { root, store }
    }

    fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    fn snapshot(&self) -> PathBuf {
        self.store.snapshot(&name("one")).join("data")
    }

    fn stage(&self, manifest: &Manifest, method: Option<Method>) -> Result<Exchange, Error> {
        let mut control = Control::unlimited();
        let exclusive = self.store.lock(&mut control)?;
        let staged = Staged::build(&exclusive, manifest, &self.data(), method, 0, &mut control)?;
        staged.carry(&Exclude::default(), &mut control)?;
        staged.exchange(&self.store.exchange_journal())
    }
}

fn put(path: &Path, content: &[u8]) {
    File::create(path).unwrap().write_all(content).unwrap();
}

#[test]
fn the_snapshot_becomes_the_data_and_stays_as_it_is() {
    for engine in chain::ALL {
        for (way, method) in [
            (Way::Link, None),
            (Way::Copy, Some(Method::Copy)),
            // The explicit choice for a full disk: the engine runs on names of the snapshot's own tables.
            (Way::Link, Some(Method::Link)),
        ] {
            let lab = Lab::new();
            engine.fill(&lab.data(), 800, &[]);
            let manifest = take(&Source::whole(&lab.data()), &lab.store, "one", Some(way)).unwrap();
            let before = picture(&lab.snapshot());
            engine.fill(&lab.data(), 700, &[]);
            let mut control = Control::unlimited();

            let mut exchange = lab.stage(&manifest, method).unwrap();
            assert_eq!(
                engine.verify(&lab.data()).unwrap(),
                1499,
                "nothing has moved yet"
            );
            exchange.commit().unwrap();
            assert_eq!(engine.verify(&lab.data()).unwrap(), 799);
            exchange.undo().unwrap();
            assert_eq!(engine.verify(&lab.data()).unwrap(), 1499);
            exchange.commit().unwrap();
            exchange.finish(&mut control).unwrap();

            engine.fill(&lab.data(), 2000, &[]);
            if engine != Engine::GoLevelDb {
                engine.compact(&lab.data(), &[]);
            }
            assert_eq!(engine.verify(&lab.data()).unwrap(), 2799);
            assert_eq!(picture(&lab.snapshot()), before, "{engine:?} {method:?}");
            let left: Vec<_> = fs::read_dir(lab.root.path())
                .unwrap()
                .map(|item| item.unwrap().file_name())
                .collect();
            assert_eq!(left.len(), 2, "{left:?}");
        }
    }
}

#[test]
fn keys_and_signing_state_of_the_live_tree_are_kept() {
    let lab = Lab::new();
    for directory in ["db", "config", "keystore/deep"] {
        fs::create_dir_all(lab.data().join(directory)).unwrap();
    }
    Engine::LevelDb.fill(&lab.data().join("db"), 100, &[]);
    for secret in [
        "swarm_key",
        "config/priv_validator_state.json",
        "keystore/deep/a",
    ] {
        put(&lab.data().join(secret), b"before");
    }
    let manifest = take(&Source::whole(&lab.data()), &lab.store, "one", None).unwrap();
    // The height that was signed last is the one of now, whatever is restored.
    put(
        &lab.data().join("config/priv_validator_state.json"),
        b"height 99",
    );
    let secrets = |data: &Path| {
        let mut picture = picture(data);
        picture.retain(|path, _| path.contains("key") || path.contains("priv_"));
        picture
    };
    let before = secrets(&lab.data());
    assert_eq!(before.len(), 5);
    let mut exchange = lab.stage(&manifest, None).unwrap();
    exchange.commit().unwrap();
    assert_eq!(secrets(&lab.data()), before);
    assert_eq!(Engine::LevelDb.verify(&lab.data().join("db")).unwrap(), 99);
}

#[test]
fn everything_else_comes_back_as_it_was() {
    let lab = Lab::new();
    fs::create_dir_all(lab.data().join("a/b")).unwrap();
    put(&lab.data().join("a/b/file"), b"content");
    symlink("/etc/passwd", lab.data().join("a/link")).unwrap();
    let before = picture(&lab.data());
    let manifest = take(&Source::whole(&lab.data()), &lab.store, "one", None).unwrap();
    fs::remove_dir_all(lab.data().join("a")).unwrap();
    put(&lab.data().join("new"), b"x");
    lab.stage(&manifest, None).unwrap().commit().unwrap();
    assert_eq!(picture(&lab.data()), before);
}

#[test]
fn only_the_captured_directories_change_places() {
    let lab = Lab::new();
    for directory in ["harmony_db_0", "harmony_db_1", "latest"] {
        fs::create_dir_all(lab.data().join(directory)).unwrap();
    }
    Engine::LevelDb.fill(&lab.data().join("harmony_db_0"), 100, &[]);
    let source = Source {
        include: vec!["harmony_db_0".parse().unwrap()],
        ..Source::whole(&lab.data())
    };
    let manifest = take(&source, &lab.store, "one", None).unwrap();
    Engine::LevelDb.fill(&lab.data().join("harmony_db_0"), 100, &[]);
    put(&lab.data().join("latest/note"), b"not part of it");
    let exchange = &mut lab.stage(&manifest, None).unwrap();
    exchange.commit().unwrap();
    assert_eq!(
        Engine::LevelDb
            .verify(&lab.data().join("harmony_db_0"))
            .unwrap(),
        99
    );
    assert_eq!(
        fs::read(lab.data().join("latest/note")).unwrap(),
        b"not part of it"
    );
}

#[test]
fn what_a_link_of_the_snapshot_leads_to_is_left_alone() {
    let lab = Lab::new();
    let elsewhere = lab.root.path().join("elsewhere");
    for directory in [elsewhere.clone(), elsewhere.join("deep")] {
        fs::create_dir(&directory).unwrap();
        put(&directory.join("swarm_key"), b"of somebody else");
    }
    symlink(&elsewhere, lab.data().join("keys")).unwrap();
    Engine::LevelDb.fill(&lab.data().join("db"), 100, &[]);
    let manifest = take(&Source::whole(&lab.data()), &lab.store, "one", None).unwrap();
    fs::remove_file(lab.data().join("keys")).unwrap();
    fs::create_dir(lab.data().join("keys")).unwrap();
    for key in ["keys/swarm_key", "keys/deep/swarm_key"] {
        fs::create_dir_all(lab.data().join(key).parent().unwrap()).unwrap();
        put(&lab.data().join(key), b"who I am");
        lab.stage(&manifest, None).unwrap_err();
        fs::remove_file(lab.data().join(key)).unwrap();
    }
    for key in ["swarm_key", "deep/swarm_key"] {
        assert_eq!(fs::read(elsewhere.join(key)).unwrap(), b"of somebody else");
    }
}

#[test]
fn a_workload_can_start_from_nothing_and_keep_its_identity() {
    let lab = Lab::new();
    Engine::LevelDb.fill(&lab.data(), 100, &[]);
    put(&lab.data().join("swarm_key"), b"who I am");
    let mut control = Control::unlimited();
    let exclusive = lab.store.lock(&mut control).unwrap();
    let staged = Staged::empty(&exclusive, &lab.data(), &[], &mut control).unwrap();
    staged.carry(&Exclude::default(), &mut control).unwrap();
    let mut exchange = staged.exchange(&lab.store.exchange_journal()).unwrap();
    exchange.commit().unwrap();
    let left: Vec<_> = fs::read_dir(lab.data())
        .unwrap()
        .map(|item| item.unwrap().file_name())
        .collect();
    assert_eq!(left, ["swarm_key"]);
    exchange.undo().unwrap();
    assert_eq!(Engine::LevelDb.verify(&lab.data()).unwrap(), 99);
}

#[test]
fn only_the_directories_that_are_meant_start_from_nothing() {
    let lab = Lab::new();
    fs::create_dir(lab.data().join("chain")).unwrap();
    Engine::LevelDb.fill(&lab.data().join("chain/db"), 100, &[]);
    put(&lab.data().join("settings"), b"mine");
    put(&lab.data().join("chain/db/swarm_key"), b"who I am");
    fs::set_permissions(lab.data().join("chain"), fs::Permissions::from_mode(0o750)).unwrap();
    let source = Source {
        include: vec!["chain".parse().unwrap(), "never-made".parse().unwrap()],
        ..Source::whole(&lab.data())
    };
    let mut control = Control::unlimited();
    let replaced = Replaced::look(&source, &control).unwrap();
    assert!(
        replaced.bytes > 10_000 && replaced.files > 3,
        "{replaced:?}"
    );
    assert_eq!(replaced.kept, ["chain/db/swarm_key".parse().unwrap()]);
    let exclusive = lab.store.lock(&mut control).unwrap();
    let staged = Staged::empty(&exclusive, &lab.data(), &source.include, &mut control).unwrap();
    staged.carry(&Exclude::default(), &mut control).unwrap();
    let mut exchange = staged.exchange(&lab.store.exchange_journal()).unwrap();
    exchange.commit().unwrap();
    let names = |directory: &Path| {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|item| item.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.starts_with(".ostler-"))
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&lab.data()), ["chain", "settings"]);
    assert_eq!(names(&lab.data().join("chain/db")), ["swarm_key"]);
    let mode = fs::metadata(lab.data().join("chain")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o750);
    exchange.undo().unwrap();
    assert_eq!(
        Engine::LevelDb
            .verify(&lab.data().join("chain/db"))
            .unwrap(),
        99
    );
}

#[test]
fn a_snapshot_of_another_engine_or_workload_is_refused() {
    let lab = Lab::new();
    Engine::RocksDb.fill(&lab.data(), 100, &[]);
    let manifest = take(&Source::whole(&lab.data()), &lab.store, "one", None).unwrap();
    manifest.refuse_other(&workload("0")).unwrap();
    assert!(matches!(
        manifest.refuse_other(&workload("1")),
        Err(Error::Mismatch { .. })
    ));
    fs::remove_dir_all(lab.data()).unwrap();
    fs::create_dir(lab.data()).unwrap();
    Engine::LevelDb.fill(&lab.data(), 100, &[]);
    let refused = lab.stage(&manifest, None).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("engine rocksdb, here it is leveldb"),
        "{refused}"
    );
    assert_eq!(Engine::LevelDb.verify(&lab.data()).unwrap(), 99);
}

#[test]
fn a_snapshot_that_rots_while_it_is_copied_does_not_become_the_data() {
    let lab = Lab::new();
    Engine::LevelDb.fill(&lab.data(), 500, &[]);
    let manifest = take(
        &Source::whole(&lab.data()),
        &lab.store,
        "one",
        Some(Way::Copy),
    )
    .unwrap();
    let table = manifest
        .files
        .iter()
        .max_by_key(|file| file.size)
        .unwrap()
        .path
        .below(&lab.snapshot());
    let mut content = fs::read(&table).unwrap();
    content[1000] ^= 1;
    put(&table, &content);
    let refused = lab.stage(&manifest, Some(Method::Copy)).unwrap_err();
    assert!(matches!(refused, Error::Damaged { .. }), "{refused}");
    assert_eq!(Engine::LevelDb.verify(&lab.data()).unwrap(), 499);
    assert_eq!(fs::read_dir(lab.root.path()).unwrap().count(), 2);
}

#[test]
fn no_cut_is_taken_between_two_trees() {
    let lab = Lab::new();
    Engine::LevelDb.fill(&lab.data(), 100, &[]);
    let manifest = take(&Source::whole(&lab.data()), &lab.store, "one", None).unwrap();
    let exchange = lab.stage(&manifest, None).unwrap();
    let refused = take(&Source::whole(&lab.data()), &lab.store, "two", None).unwrap_err();
    assert!(matches!(refused, Error::Pending { .. }), "{refused}");
    exchange.finish(&mut Control::unlimited()).unwrap();
    take(&Source::whole(&lab.data()), &lab.store, "two", None).unwrap();
}
