//! The property that the miner exists for: opening its database tells whether a single byte is wrong.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::block;
use crate::chain::Chain;
use crate::fill;
use crate::head;
use crate::layout::Layout;
use crate::leveldb::{Batch, Database, Options};
use crate::snapshot::Snapshot;
use crate::verify::{Expectation, Verdict, verify};

const HEIGHT: u64 = 12;

/// In memory where possible: LevelDB waits for the disk at every opening, and thousands are to come.
fn directory() -> TempDir {
    TempDir::new_in("/dev/shm")
        .or_else(|_| TempDir::new())
        .unwrap()
}

/// A data directory as a process leaves it that ended well: blocks in a table, and blocks in a log.
fn stopped() -> TempDir {
    let data = directory();
    for _ in 0..2 {
        // The second opening turns the log of the first into a table.
        let mut chain = Chain::open(&Layout::new(data.path()), 1).unwrap();
        for _ in 0..HEIGHT / 2 {
            chain.append(24, false).unwrap();
        }
        chain.close().unwrap();
    }
    data
}

fn look(data: &Path) -> Verdict {
    let scratch = directory();
    let expected = Expectation {
        height: Some(HEIGHT),
        clean_stop: true,
    };
    verify(data, scratch.path(), &expected)
}

/// The files that hold something.
fn files(database: &Path) -> Vec<PathBuf> {
    fs::read_dir(database)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !["LOG", "LOG.old", "LOCK"].contains(&name(path)))
        .collect()
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn keys(database: &Path) -> Vec<Vec<u8>> {
    let database = Database::open(database, Options::default()).unwrap();
    let mut records = database.records();
    let mut keys = Vec::new();
    while let Some((key, _)) = records.next().unwrap() {
        keys.push(key.to_vec());
    }
    keys
}

/// Writes `value` as LevelDB itself would, its checksums right.
fn put(database: &Path, key: &[u8], value: &[u8]) {
    let database = Database::open(database, Options::default()).unwrap();
    let mut batch = Batch::new();
    batch.put(key, value);
    database.write(&batch, true).unwrap();
}

#[test]
fn what_a_process_leaves_is_right_to_the_last_byte() {
    let data = stopped();
    let verdict = look(data.path());
    assert_eq!((verdict.error.as_deref(), verdict.ok), (None, true));
    assert_eq!(
        (
            verdict.first,
            verdict.height,
            verdict.blocks,
            verdict.ledger_height
        ),
        (1, HEIGHT, HEIGHT, Some(HEIGHT))
    );
    let tables = files(&Layout::new(data.path()).blocks())
        .iter()
        .filter(|file| name(file).ends_with(".ldb"))
        .count();
    assert!(tables > 0, "the other tests need a table");
}

#[test]
fn a_table_that_was_not_finished_is_no_fault() {
    let data = stopped();
    let database = Layout::new(data.path()).blocks();
    let table = files(&database)
        .into_iter()
        .find(|file| name(file).ends_with(".ldb"))
        .unwrap();
    let bytes = fs::read(table).unwrap();
    for rest in [0, bytes.len() / 2, bytes.len() - 1] {
        fs::write(database.join("000099.ldb"), &bytes[..rest]).unwrap();
        assert_eq!(look(data.path()).error, None);
    }
}

#[test]
fn a_changed_byte_in_any_file_is_seen() {
    let data = stopped();
    let layout = Layout::new(data.path());
    let whole = look(data.path());
    let mut flipped = 0;
    for file in [files(&layout.blocks()), files(&layout.ledger())].concat() {
        let bytes = fs::read(&file).unwrap();
        // What is long repeats itself.
        let step = if bytes.len() > 2048 { 61 } else { 1 };
        for at in (0..bytes.len()).step_by(step) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            fs::write(&file, &damaged).unwrap();
            assert!(!look(data.path()).ok, "{} byte {at}", file.display());
            flipped += 1;
        }
        fs::write(&file, &bytes).unwrap();
    }
    assert!(flipped > 1000, "{flipped} bytes are few");
    assert_eq!(look(data.path()), whole, "the test put everything back");
}

#[test]
fn a_changed_byte_under_a_right_checksum_is_seen() {
    let data = stopped();
    let layout = Layout::new(data.path());
    let chain = [
        block::key(HEIGHT / 2).to_vec(),
        block::key(HEIGHT).to_vec(),
        head::KEY.to_vec(),
        head::STOPPED.to_vec(),
    ];
    let chain = chain.map(|key| (layout.blocks(), key));
    let ledger = keys(&layout.ledger())
        .into_iter()
        .map(|key| (layout.ledger(), key));
    for (database, key) in chain.into_iter().chain(ledger) {
        let opened = Database::open(&database, Options::default()).unwrap();
        let value = opened.get(&key).unwrap().unwrap();
        drop(opened);
        for at in 0..value.len() {
            let mut damaged = value.clone();
            damaged[at] ^= 1 << (at % 8);
            put(&database, &key, &damaged);
            let key = String::from_utf8_lossy(&key);
            assert!(!look(data.path()).ok, "{key} byte {at}");
        }
        put(&database, &key, &value);
    }
    assert!(look(data.path()).ok, "the test put everything back");
}

#[test]
fn a_file_that_is_cut_or_gone_is_seen() {
    let data = stopped();
    let layout = Layout::new(data.path());
    for file in [files(&layout.blocks()), files(&layout.ledger())].concat() {
        let bytes = fs::read(&file).unwrap();
        for rest in [0, bytes.len() / 2, bytes.len() - 1] {
            fs::write(&file, &bytes[..rest]).unwrap();
            let whole = look(data.path());
            assert!(!whole.ok, "{} cut to {rest}", file.display());
        }
        fs::remove_file(&file).unwrap();
        assert!(!look(data.path()).ok, "{} removed", file.display());
        fs::write(&file, &bytes).unwrap();
    }
    assert!(look(data.path()).ok, "the test put everything back");
}

#[test]
fn databases_of_two_times_are_seen() {
    let data = stopped();
    let layout = Layout::new(data.path());
    let old = directory();
    for file in files(&layout.ledger()) {
        fs::copy(&file, old.path().join(name(&file))).unwrap();
    }
    let mut chain = Chain::open(&layout, 1).unwrap();
    chain.append(24, false).unwrap();
    chain.close().unwrap();
    assert!(look(data.path()).ok);
    fs::remove_dir_all(layout.ledger()).unwrap();
    fs::rename(old.path(), layout.ledger()).unwrap();
    let verdict = look(data.path());
    assert!(!verdict.ok);
    assert!(verdict.error.unwrap().contains("lags behind"));
    fs::remove_dir_all(layout.ledger()).unwrap();
    assert!(!look(data.path()).ok);
    assert!(look(&layout.blocks()).ok, "the chain alone is whole");
}

#[test]
fn a_filled_directory_is_whole_and_goes_on() {
    let data = directory();
    let head = fill::fill(data.path(), 3_000_000, 4096, 1000).unwrap();
    assert!(
        fill::fill(data.path(), 1, 1, 1).is_err(),
        "it is not overwritten"
    );
    let verdict = look(data.path());
    assert_eq!(verdict.error, None);
    assert_eq!((verdict.first, verdict.height), (1000, head.end.height));
    let mut chain = Chain::open(&Layout::new(data.path()), 1).unwrap();
    assert_eq!(chain.head(), head);
    assert_eq!(
        chain.append(100, false).unwrap().end.height,
        head.end.height + 1
    );
}

#[test]
fn a_loaded_snapshot_replaces_the_chain() {
    let (long, short) = (stopped(), directory());
    let file = short.path().join("snap");
    let mut chain = Chain::open(&Layout::new(long.path()), 1).unwrap();
    let snapshot = chain.snapshot(5).unwrap();
    snapshot.write(&file).unwrap();
    assert_eq!(Snapshot::read(&file).unwrap(), snapshot);

    let layout = Layout::new(short.path());
    let mut loaded = Chain::open(&layout, 1).unwrap();
    loaded.append(24, false).unwrap();
    loaded.install(&snapshot).unwrap();
    assert_eq!(loaded.head(), snapshot.head);
    loaded.close().unwrap();
    let verdict = look(short.path());
    assert_eq!((verdict.error, verdict.blocks), (None, 5));

    let bytes = fs::read(&file).unwrap();
    for at in (0..bytes.len()).step_by(17) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        fs::write(&file, &damaged).unwrap();
        assert!(Snapshot::read(&file).is_err(), "byte {at}");
    }
    chain.append(24, false).unwrap();
}
