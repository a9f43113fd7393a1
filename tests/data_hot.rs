//! Cuts of databases that are being written: each one is opened by the real engine, from a copy, and read whole.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "lab/chain.rs"]
mod chain;
#[path = "lab/snapshots.rs"]
mod snapshots;

use std::fs;
use std::time::{Duration, Instant};

use chain::Engine;
use ostler::data::{Control, Error, Level, Source, Store, Way, verify};
use snapshots::{name, private_copy, take, take_hot};

/// Rounds for each engine, each of [`CUTS`] cuts on a database of its own: a writer that nothing slows makes one that
/// is long to read soon.
const ROUNDS: usize = 10;

/// A hole shows in one of four cuts where the order is wrong.
const CUTS: usize = 10;

#[test]
fn a_hundred_hot_cuts_of_leveldb_under_load_have_no_holes() {
    hundred_cuts(Engine::LevelDb, &[&[], &["reuse-logs"]]);
}

#[test]
fn a_hundred_hot_cuts_of_goleveldb_under_load_have_no_holes() {
    hundred_cuts(Engine::GoLevelDb, &[&[]]);
}

#[test]
fn a_hundred_hot_cuts_of_rocksdb_under_load_have_no_holes() {
    hundred_cuts(
        Engine::RocksDb,
        &[
            &["recycle", "small-manifest"],
            &["track", "sync"],
            &["blobs", "recycle"],
        ],
    );
}

fn hundred_cuts(engine: Engine, options: &[&[&str]]) {
    for round in 0..ROUNDS {
        let options = options[round % options.len()];
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        fs::create_dir(&data).unwrap();
        engine.fill(&data, 500, options);
        let store = Store::open(&root.path().join("store")).unwrap();
        let source = Source::whole(&data);
        let writer = engine.start(&data, options);
        let mut heads = Vec::new();
        for cut in 0..CUTS {
            let snapshot = format!("cut-{cut}");
            let manifest = take_hot(&source, &store, &snapshot).unwrap();
            assert_eq!((manifest.way, manifest.clean), (Way::Hot, false));
            let copy = root.path().join("copy");
            private_copy(&store.snapshot(&name(&snapshot)).join("data"), &copy);
            heads.push(
                engine
                    .verify_hot(&copy)
                    .unwrap_or_else(|error| panic!("{engine:?} {options:?} {snapshot}: {error}")),
            );
            fs::remove_dir_all(&copy).unwrap();
        }
        assert!(heads.is_sorted(), "{heads:?}");
        assert!(heads[0] >= 499, "{heads:?}");
        await_more(&source, &store, *heads.last().unwrap(), engine, root.path());
        writer.stop();
        engine.verify(&data).unwrap();
        let mut control = Control::unlimited();
        for cut in [0, CUTS - 1] {
            let report = verify(
                &store,
                &name(&format!("cut-{cut}")),
                Level::L3,
                &mut control,
            )
            .unwrap();
            assert_eq!(report.damages, []);
        }
    }
}

/// The writer went on: a later cut has more blocks.
fn await_more(source: &Source, store: &Store, head: i64, engine: Engine, root: &std::path::Path) {
    let deadline = Instant::now() + Duration::from_secs(30);
    for attempt in 0.. {
        let snapshot = format!("later-{attempt}");
        take_hot(source, store, &snapshot).unwrap();
        let copy = root.join("copy");
        private_copy(&store.snapshot(&name(&snapshot)).join("data"), &copy);
        let later = engine.verify_hot(&copy).unwrap();
        fs::remove_dir_all(&copy).unwrap();
        if later > head {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "the writer stands still at {head}"
        );
    }
}

#[test]
fn the_wrong_order_does_lose_records_so_the_check_can_see_it() {
    // The control: MANIFEST and tables first, logs later. Its log may belong to a later MANIFEST.
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    fs::create_dir(&data).unwrap();
    let engine = Engine::LevelDb;
    engine.fill(&data, 500, &[]);
    let before = root.path().join("copy");
    private_copy(&data, &before);
    engine.fill(&data, 2000, &[]);
    for file in fs::read_dir(&before)
        .unwrap()
        .map(|file| file.unwrap().path())
    {
        if file.extension().is_some_and(|ending| ending == "log") {
            fs::remove_file(file).unwrap();
        }
    }
    for file in fs::read_dir(&data)
        .unwrap()
        .map(|file| file.unwrap().path())
    {
        if file.extension().is_some_and(|ending| ending == "log") {
            fs::copy(&file, before.join(file.file_name().unwrap())).unwrap();
        }
    }
    let seen = engine.verify(&before).unwrap_err();
    assert!(seen.contains("hole"), "{seen}");
}

#[test]
fn rocksdb_with_column_families_is_not_cut_hot() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    fs::create_dir(&data).unwrap();
    Engine::RocksDb.fill(&data, 200, &["families"]);
    let store = Store::open(&root.path().join("store")).unwrap();
    let refused = take_hot(&Source::whole(&data), &store, "one").unwrap_err();
    assert!(matches!(refused, Error::HotRefused { .. }), "{refused}");
    assert!(!store.path().join("one.partial").exists());
}

#[test]
fn what_pebble_keeps_is_not_cut_hot_and_is_taken_whole_when_it_is_stopped() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    fs::create_dir(&data).unwrap();
    for name in [
        "marker.manifest.000001.MANIFEST-000001",
        "MANIFEST-000001",
        "000002.log",
    ] {
        fs::File::create(data.join(name)).unwrap();
    }
    let store = Store::open(&root.path().join("store")).unwrap();
    let refused = take_hot(&Source::whole(&data), &store, "one").unwrap_err();
    assert!(matches!(refused, Error::HotRefused { .. }), "{refused}");
    let taken = take(&Source::whole(&data), &store, "two", None).unwrap();
    assert_eq!(taken.files.len(), 4, "{:?}", taken.files);
}
