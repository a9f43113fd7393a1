//! Cuts of real databases: what they contain, and that nothing that happens to the database afterwards changes them.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "../lab/chain.rs"]
mod chain;
#[path = "../lab/snapshots.rs"]
mod snapshots;

mod refused;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use chain::Engine;
use ostler::data::manifest::Kind;
use ostler::data::place::Method;
use ostler::data::{Control, Cut, Error, Exclude, Level, RelativePath, Source, Store, Way, verify};
use snapshots::{facts, name, options, picture, private_copy, take};

struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("data")).unwrap();
        Self { root }
    }

    fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    fn source(&self) -> Source {
        Source::whole(&self.data())
    }

    fn store(&self) -> Store {
        Store::open(&Store::beside(&self.data()).unwrap()).unwrap()
    }

    fn snapshot(&self, snapshot: &str) -> PathBuf {
        self.store().snapshot(&name(snapshot)).join("data")
    }

    /// The engine itself opens a private copy, never the snapshot.
    fn head_of_copy(&self, engine: Engine, snapshot: &Path) -> i64 {
        let copy = self.root.path().join("copy");
        private_copy(snapshot, &copy);
        let head = engine.verify(&copy).unwrap();
        fs::remove_dir_all(&copy).unwrap();
        head
    }
}

#[test]
fn a_linked_snapshot_never_changes_whatever_the_database_does() {
    for (engine, options_of_engine) in [
        (Engine::LevelDb, &["reuse-logs"][..]),
        (Engine::GoLevelDb, &[]),
        (Engine::RocksDb, &["recycle"]),
        (Engine::RocksDb, &["families", "blobs", "track", "recycle"]),
    ] {
        let place = Place::new();
        engine.fill(&place.data(), 2000, options_of_engine);
        let writer = engine.start(&place.data(), options_of_engine);
        let mut control = Control::unlimited();
        let mut cut = Cut::prepare(
            place.source(),
            &place.store(),
            options("one", Some(Way::Link)),
            &mut control,
        )
        .unwrap();
        cut.warm(&mut control).unwrap();
        writer.stop();
        let head = engine.verify(&place.data()).unwrap();
        cut.cold(true, &mut control).unwrap();
        let writer = engine.start(&place.data(), options_of_engine);
        let manifest = cut.seal(facts(), &mut control).unwrap();
        assert_eq!(manifest.way, Way::Link);
        let before = picture(&place.snapshot("one"));
        writer.stop();
        engine.fill(&place.data(), 3000, options_of_engine);
        if engine != Engine::GoLevelDb {
            engine.compact(&place.data(), options_of_engine);
        }
        assert_eq!(picture(&place.snapshot("one")), before, "{engine:?}");
        let report = verify(&place.store(), &name("one"), Level::L3, &mut control).unwrap();
        assert_eq!(report.damages, []);
        assert!(report.checked > 100, "{}", report.checked);
        assert_eq!(place.head_of_copy(engine, &place.snapshot("one")), head);
        // The compaction has dropped tables that only the snapshot names now.
        let alone = fs::read_dir(place.snapshot("one")).unwrap().filter(|file| {
            let file = file.as_ref().unwrap();
            let table = file
                .path()
                .extension()
                .is_some_and(|ending| ending == "ldb" || ending == "sst");
            table && file.metadata().unwrap().nlink() == 1
        });
        assert!(alone.count() > 0, "{engine:?}");
    }
}

#[test]
fn only_the_live_set_is_captured_and_current_is_written_anew() {
    for engine in chain::ALL {
        let place = Place::new();
        engine.fill(&place.data(), 2000, &[]);
        let survey = place
            .source()
            .survey(
                ostler::data::survey::State::Cold { clean: true },
                &Control::unlimited(),
            )
            .unwrap();
        let next = survey.databases[0].live.next_file;
        let ending = if engine == Engine::RocksDb {
            "sst"
        } else {
            "ldb"
        };
        // What a stop in the middle of a compaction leaves; the engine truncates that number when it starts again.
        let orphans = [
            format!("{next:06}.{ending}"),
            format!("{:06}.{ending}", next + 1),
            "000001.dbtmp".to_owned(),
        ];
        for orphan in &orphans {
            put(&place.data().join(orphan), b"unfinished");
        }
        let manifest = take(&place.source(), &place.store(), "one", Some(Way::Link)).unwrap();
        for left_out in
            orphans
                .iter()
                .map(String::as_str)
                .chain(["LOCK", "LOG", "LOG.old", "CURRENT.bak"])
        {
            assert!(!place.snapshot("one").join(left_out).exists(), "{left_out}");
        }
        for file in &manifest.files {
            let links = fs::symlink_metadata(file.path.below(&place.snapshot("one")))
                .unwrap()
                .nlink();
            match file.kind {
                Kind::Table => assert_eq!((file.method, links), (Method::Link, 2)),
                Kind::Current => assert_eq!((file.method, links), (Method::Written, 1)),
                Kind::Directory => {}
                _ => assert_eq!((file.method, links), (Method::Copy, 1), "{}", file.path),
            }
        }
        assert_eq!(manifest.databases[0].next_file, next);
        assert_eq!(place.head_of_copy(engine, &place.snapshot("one")), 1999);
    }
}

#[test]
fn a_table_whose_number_was_used_again_is_linked_again() {
    let place = Place::new();
    Engine::LevelDb.fill(&place.data(), 1000, &[]);
    let mut control = Control::unlimited();
    let mut cut = Cut::prepare(
        place.source(),
        &place.store(),
        options("one", Some(Way::Link)),
        &mut control,
    )
    .unwrap();
    cut.warm(&mut control).unwrap();
    // Another inode under the same name, as after a restart that makes an unfinished table anew.
    let table = first_table(&place.data());
    let content = fs::read(&table).unwrap();
    fs::remove_file(&table).unwrap();
    put(&table, &content);
    cut.cold(true, &mut control).unwrap();
    cut.seal(facts(), &mut control).unwrap();
    let linked = place.snapshot("one").join(table.file_name().unwrap());
    assert_eq!(
        fs::metadata(linked).unwrap().ino(),
        fs::metadata(&table).unwrap().ino()
    );
}

#[test]
fn what_is_no_database_is_copied_with_all_that_belongs_to_it() {
    let place = Place::new();
    let data = place.data();
    fs::create_dir_all(data.join("deep/er/db")).unwrap();
    Engine::LevelDb.fill(&data.join("deep/er/db"), 500, &[]);
    put(&data.join("notes.txt"), b"notes");
    fs::set_permissions(data.join("notes.txt"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("/etc/passwd", data.join("outside")).unwrap();
    symlink("notes.txt", data.join("inside")).unwrap();
    symlink("/", data.join("deep/loop")).unwrap();
    let sparse = File::create(data.join("sparse")).unwrap();
    sparse.write_all_at(b"end", 8 << 20).unwrap();
    sparse.write_all_at(b"start", 0).unwrap();
    sparse.set_len(16 << 20).unwrap();
    for secret in [
        "swarm_key",
        "deep/priv_validator_state.json",
        "deep/validator.key",
    ] {
        put(&data.join(secret), b"secret");
    }
    nix::unistd::mkfifo(&data.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let expected: Vec<_> = picture(&data)
        .into_iter()
        .filter(|(path, _)| {
            !path.starts_with("deep/er/db/") && !path.contains("key") && !path.contains("priv_")
        })
        .collect();

    let manifest = take(&place.source(), &place.store(), "one", Some(Way::Link)).unwrap();

    let taken: Vec<_> = picture(&place.snapshot("one"))
        .into_iter()
        .filter(|(path, _)| !path.starts_with("deep/er/db/"))
        .collect();
    assert_eq!(taken, expected);
    let copy = fs::metadata(place.snapshot("one").join("sparse")).unwrap();
    assert_eq!(copy.len(), 16 << 20);
    assert!(
        copy.blocks() * 512 < 1 << 20,
        "holes were filled: {} blocks",
        copy.blocks()
    );
    assert_eq!(manifest.databases[0].path.as_str(), "deep/er/db");
    assert_eq!(
        place.head_of_copy(Engine::LevelDb, &place.snapshot("one").join("deep/er/db")),
        499
    );
}

#[test]
fn an_allow_list_captures_nothing_else() {
    let place = Place::new();
    for database in ["harmony_db_0", "harmony_db_1", "explorer"] {
        Engine::LevelDb.fill(&place.data().join(database), 300, &[]);
    }
    let source = Source {
        include: vec![
            "harmony_db_0".parse().unwrap(),
            "harmony_db_1".parse().unwrap(),
        ],
        ..place.source()
    };
    let manifest = take(&source, &place.store(), "one", None).unwrap();
    let databases: Vec<&str> = manifest
        .databases
        .iter()
        .map(|database| database.path.as_str())
        .collect();
    assert_eq!(databases, ["harmony_db_0", "harmony_db_1"]);
    assert!(!place.snapshot("one").join("explorer").exists());
    let missing = Source {
        include: vec!["harmony_db_7".parse().unwrap()],
        ..source
    };
    assert!(matches!(
        take(&missing, &place.store(), "two", None),
        Err(Error::Place { .. })
    ));
    assert!(!place.store().path().join("two.partial").exists());
}

#[test]
fn single_file_databases_are_never_linked() {
    let place = Place::new();
    let status = std::process::Command::new("sqlite3")
        .arg(place.data().join("state.db"))
        .arg("create table t(x); insert into t values (42);")
        .status()
        .unwrap();
    assert!(status.success());
    Engine::LevelDb.fill(&place.data().join("db"), 300, &[]);
    let manifest = take(&place.source(), &place.store(), "one", Some(Way::Link)).unwrap();
    let file = manifest
        .files
        .find(&"state.db".parse::<RelativePath>().unwrap())
        .unwrap();
    assert_eq!((file.kind, file.method), (Kind::SingleFile, Method::Copy));
    assert_eq!(
        fs::metadata(place.data().join("state.db")).unwrap().nlink(),
        1
    );
    let refused = snapshots::take_hot(&place.source(), &place.store(), "hot").unwrap_err();
    assert!(matches!(refused, Error::HotRefused { .. }), "{refused}");
}

#[test]
fn leftovers_of_a_killed_cut_are_swept_by_the_next() {
    let place = Place::new();
    Engine::LevelDb.fill(&place.data(), 100, &[]);
    take(&place.source(), &place.store(), "one", None).unwrap();
    for leftover in [
        "two.partial/data/db",
        "three.discard/data",
        "four.partial.discard",
    ] {
        fs::create_dir_all(place.store().path().join(leftover)).unwrap();
    }
    put(
        &place.store().path().join("two.partial/data/db/000001.ldb"),
        b"x",
    );
    take(&place.source(), &place.store(), "two", None).unwrap();
    assert_eq!(store_entries(&place.store()), ["lock", "one", "two"]);
    let list = place.store().list().unwrap();
    let newest = place.store().get(&list[1].name).unwrap();
    assert_eq!(newest.previous, Some(name("one")));
}

/// What a running engine removes between two looks says nothing about what works here.
#[test]
fn the_way_is_found_beside_an_engine_that_removes_tables_all_the_time() {
    for (engine, options_of_engine) in [
        (Engine::LevelDb, &[][..]),
        (Engine::RocksDb, &["blobs", "small-manifest"]),
    ] {
        let place = Place::new();
        engine.fill(&place.data(), 500, options_of_engine);
        let _writer = engine.start(&place.data(), options_of_engine);
        for number in 0..200 {
            let mut control = Control::unlimited();
            let options = options(&format!("n{number}"), None);
            let mut cut =
                Cut::prepare(place.source(), &place.store(), options, &mut control).unwrap();
            cut.warm(&mut control).unwrap();
            assert_ne!(cut.way(), Way::Copy, "{engine:?} {number}");
            cut.abandon(&mut control).unwrap();
        }
    }
}

#[test]
fn the_store_may_not_be_inside_the_data() {
    let place = Place::new();
    Engine::LevelDb.fill(&place.data(), 100, &[]);
    let inside = Store::open(&place.data().join("store")).unwrap();
    let refused = take(&place.source(), &inside, "one", None).unwrap_err();
    assert!(matches!(refused, Error::Place { .. }), "{refused}");
}

#[test]
fn the_space_of_a_linked_snapshot_grows_as_the_database_moves_on() {
    let place = Place::new();
    Engine::LevelDb.fill(&place.data(), 3000, &[]);
    take(&place.source(), &place.store(), "one", Some(Way::Link)).unwrap();
    let alone = |store: &Store| match store.list().unwrap()[0].space {
        ostler::data::store::Space::Exact(bytes) => bytes,
        other => panic!("{other:?}"),
    };
    let fresh = alone(&place.store());
    Engine::LevelDb.fill(&place.data(), 3000, &[]);
    Engine::LevelDb.compact(&place.data(), &[]);
    let later = alone(&place.store());
    assert!(fresh + 500_000 < later, "{fresh} {later}");
}

#[test]
fn more_may_be_excluded() {
    let place = Place::new();
    Engine::LevelDb.fill(&place.data().join("db"), 100, &[]);
    fs::create_dir(place.data().join("cache")).unwrap();
    put(&place.data().join("cache/x"), b"x");
    let source = Source {
        exclude: Exclude::with(&["cache".to_owned()]).unwrap(),
        ..place.source()
    };
    take(&source, &place.store(), "one", None).unwrap();
    assert!(!place.snapshot("one").join("cache").exists());
}

fn first_table(directory: &Path) -> PathBuf {
    let mut tables: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "ldb"))
        .collect();
    tables.sort();
    tables.swap_remove(0)
}

fn store_entries(store: &Store) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(store.path())
        .unwrap()
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn put(path: &Path, content: &[u8]) {
    File::create(path).unwrap().write_all(content).unwrap();
}
