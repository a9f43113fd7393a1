//! Every damage that a snapshot can suffer is found, also those that the engines themselves do not notice.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "lab/chain.rs"]
mod chain;
#[path = "lab/snapshots.rs"]
mod snapshots;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use chain::Engine;
use ostler::data::manifest::{FILE, Kind};
use ostler::data::{Control, Error, Level, Manifest, Source, Store, Way, verify};
use snapshots::{name, take};

/// What is done to a copy of a snapshot, to which kind of file, and from which level on it must be found.
struct Fault {
    what: &'static str,
    kind: Kind,
    level: Level,
    damage: fn(&mut Vec<u8>),
}

const FAULTS: [Fault; 17] = [
    Fault {
        what: "bit flip in a table",
        kind: Kind::Table,
        level: Level::L2,
        damage: flip_in_the_middle,
    },
    Fault {
        what: "bit flip in a table's footer",
        kind: Kind::Table,
        level: Level::L2,
        damage: flip_the_last,
    },
    Fault {
        what: "table zeroed, same size",
        kind: Kind::Table,
        level: Level::L2,
        damage: zero,
    },
    Fault {
        what: "table truncated",
        kind: Kind::Table,
        level: Level::L1,
        damage: halve,
    },
    Fault {
        what: "table grown",
        kind: Kind::Table,
        level: Level::L1,
        damage: grow,
    },
    Fault {
        what: "log cut in half",
        kind: Kind::Log,
        level: Level::L1,
        damage: halve,
    },
    Fault {
        what: "log bit flip",
        kind: Kind::Log,
        level: Level::L2,
        damage: flip_in_the_middle,
    },
    Fault {
        what: "log bit flip at its end",
        kind: Kind::Log,
        level: Level::L2,
        damage: flip_the_last,
    },
    Fault {
        what: "log emptied",
        kind: Kind::Log,
        level: Level::L1,
        damage: empty,
    },
    Fault {
        what: "MANIFEST bit flip",
        kind: Kind::Manifest,
        level: Level::L1,
        damage: flip_in_the_middle,
    },
    Fault {
        what: "MANIFEST bit flip at its end",
        kind: Kind::Manifest,
        level: Level::L1,
        damage: flip_the_last,
    },
    Fault {
        what: "MANIFEST cut",
        kind: Kind::Manifest,
        level: Level::L1,
        damage: cut_five_bytes,
    },
    Fault {
        what: "MANIFEST cut in half",
        kind: Kind::Manifest,
        level: Level::L1,
        damage: halve,
    },
    Fault {
        what: "MANIFEST empty",
        kind: Kind::Manifest,
        level: Level::L1,
        damage: empty,
    },
    Fault {
        what: "CURRENT empty",
        kind: Kind::Current,
        level: Level::L1,
        damage: empty,
    },
    Fault {
        what: "CURRENT wrong",
        kind: Kind::Current,
        level: Level::L1,
        damage: other_manifest,
    },
    Fault {
        what: "CURRENT without its line feed",
        kind: Kind::Current,
        level: Level::L1,
        damage: cut_one_byte,
    },
];

#[allow(clippy::ptr_arg, reason = "one of a list")]
fn flip_in_the_middle(content: &mut Vec<u8>) {
    let middle = content.len() / 2;
    content[middle] ^= 0x10;
}
#[allow(clippy::ptr_arg, reason = "one of a list")]
fn flip_the_last(content: &mut Vec<u8>) {
    *content.last_mut().unwrap() ^= 1;
}
#[allow(clippy::ptr_arg, reason = "one of a list")]
fn zero(content: &mut Vec<u8>) {
    content.fill(0);
}
fn halve(content: &mut Vec<u8>) {
    content.truncate(content.len() / 2);
}
fn grow(content: &mut Vec<u8>) {
    content.push(0);
}
fn empty(content: &mut Vec<u8>) {
    content.clear();
}
fn cut_five_bytes(content: &mut Vec<u8>) {
    content.truncate(content.len() - 5);
}
fn cut_one_byte(content: &mut Vec<u8>) {
    content.pop();
}
fn other_manifest(content: &mut Vec<u8>) {
    *content = b"MANIFEST-000001\n".to_vec();
}

struct Lab {
    _root: tempfile::TempDir,
    store: Store,
    manifest: Manifest,
    data: PathBuf,
}

fn lab(engine: Engine) -> Lab {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    fs::create_dir(&data).unwrap();
    // Twice, so that the tables of the first run are there and the log of the second has records.
    engine.fill(&data, 1500, &[]);
    engine.fill(&data, 130, &["wide"]);
    let store = Store::open(&root.path().join("store")).unwrap();
    let manifest = take(&Source::whole(&data), &store, "one", Some(Way::Copy)).unwrap();
    Lab {
        data: store.snapshot(&name("one")).join("data"),
        _root: root,
        store,
        manifest,
    }
}

impl Lab {
    /// The largest file of a kind, so that its middle is content.
    fn file(&self, kind: Kind) -> PathBuf {
        let files = self.manifest.files.iter().filter(|file| file.kind == kind);
        files
            .max_by_key(|file| file.size)
            .unwrap()
            .path
            .below(&self.data)
    }

    /// Whether a verification to `level` finds something; the mark it leaves is taken away again.
    fn finds(&self, level: Level) -> bool {
        let found = verify(&self.store, &name("one"), level, &mut Control::unlimited());
        let marked = self.store.bad(&name("one")).unwrap().is_some();
        if marked {
            fs::remove_file(self.store.snapshot(&name("one")).join("bad")).unwrap();
        }
        match found {
            Ok(report) => {
                assert_eq!(marked, !report.damages.is_empty());
                marked
            }
            Err(error @ Error::Record { .. }) => {
                assert!(marked, "{error}");
                true
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn put(path: &Path, content: &[u8]) {
    fs::File::create(path).unwrap().write_all(content).unwrap();
}

#[test]
fn every_damage_is_found_in_every_engines_snapshot() {
    for engine in chain::ALL {
        let lab = lab(engine);
        assert!(!lab.finds(Level::L3), "{engine:?}: the snapshot is good");
        for fault in &FAULTS {
            let path = lab.file(fault.kind);
            let good = fs::read(&path).unwrap();
            let mut bad = good.clone();
            (fault.damage)(&mut bad);
            put(&path, &bad);
            for level in [Level::L1, Level::L2, Level::L3] {
                let expected = level >= fault.level;
                assert_eq!(
                    lab.finds(level),
                    expected,
                    "{engine:?}: {} at {level:?}",
                    fault.what
                );
            }
            put(&path, &good);
        }
        for kind in [Kind::Table, Kind::Log, Kind::Manifest, Kind::Current] {
            let path = lab.file(kind);
            let aside = path.with_extension("aside");
            fs::rename(&path, lab.data.parent().unwrap().join("aside")).unwrap();
            assert!(lab.finds(Level::L1), "{engine:?}: {kind:?} missing");
            fs::rename(lab.data.parent().unwrap().join("aside"), &path).unwrap();
            put(&aside, b"x");
            assert!(lab.finds(Level::L1), "{engine:?}: something was added");
            fs::remove_file(&aside).unwrap();
        }
        assert!(!lab.finds(Level::L3), "{engine:?}: everything is as it was");
    }
}

#[test]
fn damage_in_the_data_itself_stops_the_cut() {
    for engine in chain::ALL {
        // Here there are no hashes yet: only the engine's own checksums, and the rules of its logs, can tell.
        for (kind, damage, what) in [
            (
                Kind::Table,
                flip_in_the_middle as fn(&mut Vec<u8>),
                "bit flip in a table",
            ),
            (Kind::Table, flip_the_last, "bit flip in a footer"),
            (Kind::Table, zero, "table zeroed"),
            (Kind::Table, halve, "table truncated"),
            (Kind::Log, flip_in_the_middle, "log bit flip"),
            (Kind::Log, cut_five_bytes, "log cut"),
            (Kind::Manifest, flip_in_the_middle, "MANIFEST bit flip"),
            (Kind::Manifest, cut_five_bytes, "MANIFEST cut"),
            (Kind::Manifest, empty, "MANIFEST empty"),
            (Kind::Current, empty, "CURRENT empty"),
            (Kind::Current, other_manifest, "CURRENT wrong"),
        ] {
            let lab = lab(engine);
            let source = Source::whole(&lab.data);
            let path = lab.file(kind);
            let mut content = fs::read(&path).unwrap();
            damage(&mut content);
            put(&path, &content);
            let outside = lab.store.path().parent().unwrap().join("second-store");
            let store = Store::open(&outside).unwrap();
            let refused = take(&source, &store, "two", Some(Way::Copy)).unwrap_err();
            assert!(
                matches!(refused, Error::Damaged { .. }),
                "{engine:?}: {what}: {refused}"
            );
            assert!(!store.snapshot(&name("two")).exists());
            assert!(!outside.join("two.partial").exists());
        }
    }
}

#[test]
fn a_lost_log_stops_the_cut_although_leveldb_would_not_notice() {
    for engine in [Engine::LevelDb, Engine::GoLevelDb] {
        let lab = lab(engine);
        fs::remove_file(lab.file(Kind::Log)).unwrap();
        let store = Store::open(&lab.store.path().parent().unwrap().join("second-store")).unwrap();
        let refused = take(&Source::whole(&lab.data), &store, "two", Some(Way::Copy)).unwrap_err();
        assert!(matches!(refused, Error::Damaged { .. }), "{refused}");
        assert!(
            engine.verify(&lab.data).unwrap() < 1629,
            "the engine opened it, with fewer blocks"
        );
    }
}

#[test]
fn a_stale_manifest_is_found() {
    for engine in chain::ALL {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        fs::create_dir(&data).unwrap();
        let store = Store::open(&root.path().join("store")).unwrap();
        engine.fill(&data, 500, &[]);
        let old = take(&Source::whole(&data), &store, "old", Some(Way::Copy)).unwrap();
        engine.fill(&data, 500, &[]);
        let new = take(&Source::whole(&data), &store, "new", Some(Way::Copy)).unwrap();
        let manifest_of = |manifest: &Manifest| {
            let file = manifest
                .files
                .iter()
                .find(|file| file.kind == Kind::Manifest)
                .unwrap();
            file.path
                .below(&store.snapshot(&manifest.name).join("data"))
        };
        let stale = fs::read(manifest_of(&old)).unwrap();
        put(&manifest_of(&new), &stale);
        let report = verify(&store, &name("new"), Level::L1, &mut Control::unlimited()).unwrap();
        assert!(!report.damages.is_empty(), "{engine:?}");
    }
}

#[test]
fn a_manifest_json_that_was_changed_is_not_believed() {
    let lab = lab(Engine::LevelDb);
    let path = lab.store.snapshot(&name("one")).join(FILE);
    let good = fs::read_to_string(&path).unwrap();
    for bad in [
        good.replace("4711", "4712"),
        good.replace("\"format\": 1", "\"format\": 2"),
        good[..good.len() / 2].to_owned(),
        String::new(),
    ] {
        assert_ne!(bad, good);
        put(&path, bad.as_bytes());
        assert!(lab.finds(Level::L1));
        assert!(matches!(
            lab.store.get(&name("one")),
            Err(Error::Record { .. })
        ));
    }
    put(&path, good.as_bytes());
    assert!(!lab.finds(Level::L3));
}

#[test]
fn a_snapshot_that_was_marked_bad_is_not_given_out() {
    let lab = lab(Engine::LevelDb);
    lab.store.get(&name("one")).unwrap();
    lab.store.mark_bad(&name("one"), "a test says so").unwrap();
    let refused = lab.store.get(&name("one")).unwrap_err();
    assert!(refused.to_string().contains("a test says so"), "{refused}");
}
