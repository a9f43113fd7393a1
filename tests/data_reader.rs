//! Our read-only reader against databases that the real engines wrote.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "lab/chain.rs"]
mod chain;

use std::fs;
use std::path::Path;

use chain::Engine;
use ostler::data::inspect::inspect;
use ostler::data::manifest::Kind;
use ostler::data::survey::State;
use ostler::data::{Control, Source};

/// Reads the whole live set with checksums; gives the counts of tables, blob files and column families.
fn read_all(directory: &Path) -> (usize, usize, usize) {
    let survey = Source::whole(directory)
        .survey(State::Cold { clean: true }, &Control::unlimited())
        .unwrap();
    let [database] = &survey.databases[..] else {
        panic!("one database in {}", directory.display());
    };
    let (mut tables, mut blobs, mut logs) = (0, 0, 0);
    for item in &survey.items {
        let count = match item.kind {
            Kind::Table => &mut tables,
            Kind::Blob => &mut blobs,
            Kind::Log => &mut logs,
            _ => continue,
        };
        *count += 1;
        let path = item.path.below(directory);
        let found = inspect(&path, item.kind, true, false, &mut Control::unlimited()).unwrap();
        assert_eq!(found.damage, None, "{}", path.display());
        assert_eq!(found.opaque, None, "{}", path.display());
        assert!(
            found.checked > 0 || item.kind == Kind::Log,
            "{}",
            path.display()
        );
        assert_eq!(found.hash, blake3::hash(&fs::read(&path).unwrap()));
    }
    assert!(logs > 0, "the log that is being written");
    (tables, blobs, database.live.families.len())
}

#[test]
fn leveldb_and_goleveldb_are_read_whole() {
    for engine in [Engine::LevelDb, Engine::GoLevelDb] {
        let directory = tempfile::tempdir().unwrap();
        engine.fill(directory.path(), 3000, &[]);
        let (tables, blobs, families) = read_all(directory.path());
        assert!(tables > 1, "{engine:?}");
        assert_eq!((blobs, families), (0, 1));
    }
}

#[test]
fn every_kind_of_rocksdb_table_is_read_whole() {
    for options in [
        &["crc32c"][..],
        &["xxhash", "format2", "plain"],
        &["xxhash64", "format3", "zlib"],
        &["xxh3", "lz4"],
        &["xxh3", "partitioned", "lz4"],
        &["first-keys"],
        &["format0", "partitioned"],
        &["blobs"],
        &["families", "recycle", "track"],
        &[
            "families",
            "atomic",
            "drop-family",
            "small-manifest",
            "blobs",
        ],
    ] {
        let directory = tempfile::tempdir().unwrap();
        Engine::RocksDb.fill(directory.path(), 3000, options);
        // A second run: recycled logs, a column family that was dropped, blobs that were garbage.
        Engine::RocksDb.fill(directory.path(), 3000, options);
        let (tables, blobs, families) = read_all(directory.path());
        assert!(tables > 1, "{options:?}");
        assert_eq!(blobs > 0, options.contains(&"blobs"), "{options:?}");
        assert_eq!(
            families,
            if options.contains(&"families") { 3 } else { 1 },
            "{options:?}"
        );
    }
}

#[test]
fn a_changed_byte_anywhere_in_a_table_or_blob_file_is_noticed() {
    for (engine, options) in [
        (Engine::LevelDb, &[][..]),
        (Engine::GoLevelDb, &[]),
        (Engine::RocksDb, &["crc32c"]),
        (Engine::RocksDb, &["xxh3", "partitioned", "lz4"]),
        (Engine::RocksDb, &["xxhash64", "blobs"]),
    ] {
        let directory = tempfile::tempdir().unwrap();
        engine.fill(directory.path(), 1000, options);
        let survey = Source::whole(directory.path())
            .survey(State::Cold { clean: true }, &Control::unlimited())
            .unwrap();
        for kind in [Kind::Table, Kind::Blob] {
            let files = survey.items.iter().filter(|item| item.kind == kind);
            let Some(item) = files.min_by_key(|item| item.identity.size) else {
                assert!(kind == Kind::Blob && !options.contains(&"blobs"));
                continue;
            };
            let good = fs::read(item.path.below(directory.path())).unwrap();
            let changed = directory.path().join("changed");
            // A footer has bytes that mean nothing: those only a hash can vouch for.
            let end = good.len() - if kind == Kind::Table { 53 } else { 0 };
            for at in (0..end).step_by(end / 200 + 1) {
                let mut bad = good.clone();
                bad[at] ^= 1 << (at % 8);
                std::io::Write::write_all(&mut fs::File::create(&changed).unwrap(), &bad).unwrap();
                let found =
                    inspect(&changed, kind, true, false, &mut Control::unlimited()).unwrap();
                // Bytes 8 to 29 of a blob file's header are not summed: family, flags, compression, expiry.
                let unsummed = kind == Kind::Blob && (8..30).contains(&at);
                assert!(
                    found.damage.is_some() || unsummed,
                    "{engine:?} {options:?} {kind:?} byte {at}"
                );
                assert_eq!(found.size, good.len() as u64);
            }
        }
    }
}
