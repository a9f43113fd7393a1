//! Controls: ways that lose data. They have to fail the very checks that the cycles pass, or those could not see.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::chain::Engine;
use super::witness::Witness;

struct Place {
    root: tempfile::TempDir,
    witness: Witness,
}

impl Place {
    fn new(engine: Engine) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("data")).unwrap();
        fs::create_dir(root.path().join("wrong")).unwrap();
        let witness = Witness::new(engine, root.path().join("scratch"));
        Self { root, witness }
    }

    fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    fn wrong(&self) -> PathBuf {
        self.root.path().join("wrong")
    }
}

fn names(directory: &Path, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| wanted(name))
        .collect()
}

fn is_table(name: &str) -> bool {
    [".ldb", ".sst", ".blob"]
        .iter()
        .any(|end| name.ends_with(end))
}

/// What a stop in the middle of a compaction leaves: tables with the numbers that the engine takes next.
fn unfinished_tables(data: &Path) {
    let survey = ostler::data::Source::whole(data)
        .survey(
            ostler::data::survey::State::Cold { clean: true },
            &ostler::data::Control::unlimited(),
        )
        .unwrap();
    let next = survey.databases[0].live.next_file;
    for number in next..next + 4 {
        let table = data.join(format!("{number:06}.ldb"));
        std::io::Write::write_all(&mut fs::File::create(table).unwrap(), b"unfinished").unwrap();
    }
}

#[test]
fn linking_every_table_in_the_directory_is_noticed() {
    let mut place = Place::new(Engine::LevelDb);
    let (data, wrong) = (place.data(), place.wrong());
    Engine::LevelDb.fill(&data, 2000, &[]);
    unfinished_tables(&data);
    for name in names(&data, |_| true) {
        match is_table(&name) {
            true => fs::hard_link(data.join(&name), wrong.join(&name)).unwrap(),
            false => drop(fs::copy(data.join(&name), wrong.join(&name)).unwrap()),
        }
    }
    place.witness.note(&wrong);
    assert_eq!(place.witness.unchanged(), Ok(1));
    Engine::LevelDb.fill(&data, 2000, &[]);
    let changed = place.witness.unchanged().unwrap_err();
    assert!(changed.contains(".ldb in "), "{changed}");
}

#[test]
fn linking_logs_is_noticed() {
    for (engine, options) in [
        (Engine::LevelDb, &["calm"][..]),
        (Engine::GoLevelDb, &["calm"]),
        (Engine::RocksDb, &["calm", "recycle"]),
    ] {
        let mut place = Place::new(engine);
        let (data, wrong) = (place.data(), place.wrong());
        engine.fill(&data, 2000, options);
        let writer = engine.start(&data, options);
        // The engine may be about to begin another log, and be done with the one that was linked.
        let seen = (0..20).find_map(|_| {
            for name in names(&data, |name| name.ends_with(".log")) {
                let _ = fs::hard_link(data.join(&name), wrong.join(&name));
            }
            place.witness.note(&wrong);
            std::thread::sleep(Duration::from_millis(300));
            place.witness.unchanged().err()
        });
        writer.stop();
        let changed = seen.unwrap_or_else(|| panic!("{engine:?}: no linked log has changed"));
        assert!(changed.contains(".log in "), "{engine:?}: {changed}");
    }
}

/// MANIFEST, then tables, then logs, of a database that is being written. On a quick disk it goes well three times out
/// of four; with a pause as of a slow one hardly ever.
#[test]
fn copying_in_the_wrong_order_is_noticed() {
    for engine in super::chain::ALL {
        let place = Place::new(engine);
        let data = place.data();
        engine.fill(&data, 500, &[]);
        let writer = engine.start(&data, &[]);
        let seen = (0..100).find_map(|_| {
            let wrong = place.wrong();
            fs::remove_dir_all(&wrong).unwrap();
            fs::create_dir(&wrong).unwrap();
            let in_order: [&dyn Fn(&str) -> bool; 3] = [
                &|name| name == "CURRENT" || name.starts_with("MANIFEST"),
                &is_table,
                &|name| name.ends_with(".log"),
            ];
            for wanted in in_order {
                for name in names(&data, wanted) {
                    let _ = fs::copy(data.join(&name), wrong.join(&name));
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            place.witness.head(&wrong).err()
        });
        writer.stop();
        assert!(
            seen.is_some(),
            "{engine:?}: a hundred copies in the wrong order look whole"
        );
        // It is not the data that is wrong, nor the check.
        assert!(place.witness.head(&data).unwrap() >= 499, "{engine:?}");
    }
}
