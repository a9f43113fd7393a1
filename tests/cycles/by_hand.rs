//! The same without an agent: `ostler store`, killed at random, in the hands of somebody who stops and starts the node.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::chain::{Engine, Writer};
use super::chance::{Aim, Dice, Tally};
use super::mount::Mount;
use super::told;
use super::witness::Witness;

/// As many as show what is rare; each is short.
const CYCLES: u64 = 200;

/// Nothing here takes so long.
const NEVER: Duration = Duration::from_secs(600);

/// On one database.
const ON_ONE: u64 = 25;

/// On other filesystems.
const FEW: u64 = 12;

const LEVELDB: [&str; 2] = ["calm", "reuse-logs"];
const ROCKSDB: [&str; 5] = ["calm", "families", "blobs", "track", "recycle"];

const MARK: &str = "mark";

#[test]
fn leveldb_survives_a_store_command_that_is_killed_at_random() {
    cycle(Engine::LevelDb, &LEVELDB);
}

#[test]
fn goleveldb_survives_a_store_command_that_is_killed_at_random() {
    cycle(Engine::GoLevelDb, &["calm"]);
}

#[test]
fn rocksdb_survives_a_store_command_that_is_killed_at_random() {
    cycle(Engine::RocksDb, &ROCKSDB);
}

#[test]
fn the_same_holds_on_xfs() {
    on("mkfs.xfs", 512);
}

#[test]
fn the_same_holds_on_btrfs() {
    on("mkfs.btrfs", 512);
}

#[test]
fn the_same_holds_with_the_store_on_another_filesystem() {
    if let Some(mount) = Mount::image("mkfs.ext4", 256, &["-q"]) {
        let root = tempfile::tempdir().unwrap();
        for (engine, options) in [(Engine::LevelDb, &LEVELDB[..]), (Engine::RocksDb, &ROCKSDB)] {
            let data = root.path().join(format!("{engine:?}"));
            let store = mount.point.join(format!("{engine:?}"));
            cycles(engine, options, &data, &store, FEW);
        }
    }
}

/// On a filesystem with reflinks.
fn on(make: &str, megabytes: u64) {
    if let Some(mount) = Mount::image(make, megabytes, &["-q"]) {
        for (engine, options) in [(Engine::LevelDb, &LEVELDB[..]), (Engine::RocksDb, &ROCKSDB)] {
            let root = mount.point.join(format!("{engine:?}"));
            cycles(engine, options, &root, &root.join("store"), FEW);
        }
    }
}

/// A database that has grown is long to read: after some cycles another one is begun.
fn cycle(engine: Engine, options: &[&str]) {
    let number = told("OSTLER_TEST_CYCLES").unwrap_or(CYCLES);
    for _ in 0..number.div_ceil(ON_ONE) {
        let root = tempfile::tempdir().unwrap();
        cycles(
            engine,
            options,
            root.path(),
            &root.path().join("store"),
            ON_ONE.min(number),
        );
    }
}

fn cycles(engine: Engine, options: &[&str], root: &Path, store: &Path, cycles: u64) {
    let seed = told("OSTLER_TEST_SEED").unwrap_or_else(Dice::any_seed);
    println!("{engine:?}: {cycles} cycles, OSTLER_TEST_SEED={seed}");
    let mut keeper = Keeper::new(engine, options, Dice::new(seed), root, store);
    for number in 0..cycles {
        keeper.snapshot(number);
        keeper.restore(number);
        keeper.look(number);
    }
    keeper.tally.check(cycles as u32);
}

/// Somebody with a node and a shell.
struct Keeper<'a> {
    node: Option<Writer>,
    root: PathBuf,
    store: PathBuf,
    engine: Engine,
    options: &'a [&'a str],
    dice: Dice,
    take: Aim,
    restore: Aim,
    witness: Witness,
    sealed: Vec<(String, String)>,
    mark: String,
    tally: Tally,
}

impl<'a> Keeper<'a> {
    fn new(engine: Engine, options: &'a [&'a str], dice: Dice, root: &Path, store: &Path) -> Self {
        let data = root.join("data");
        fs::create_dir_all(&data).unwrap();
        engine.fill(&data, 300, options);
        Self {
            witness: Witness::new(engine, root.join("scratch")),
            node: Some(engine.start(&data, options)),
            root: root.to_owned(),
            store: store.to_owned(),
            engine,
            options,
            dice,
            take: Aim::default(),
            restore: Aim::default(),
            sealed: Vec::new(),
            mark: String::new(),
            tally: Tally::default(),
        }
    }

    fn snapshot(&mut self, number: u64) {
        self.mark(format!("mark-{number}"));
        let name = format!("s{number}");
        // The first one is left alone: there is something to restore then, and it is known how long it takes.
        let begun = Instant::now();
        let instant = match number {
            0 => NEVER,
            _ => self.take.instant(&mut self.dice),
        };
        let mut take = self.begin(&["take", "--warm", "--name", &name]);
        let mut lines = BufReader::new(take.stderr.take().unwrap());
        let mut answers = take.stdin.take().unwrap();
        let mut next = |asked: &str, told: &mut String| {
            let before = told.len();
            lines.read_line(told).unwrap() > 0 && told[before..].starts_with(asked)
        };
        let mut told = String::new();
        let (killed, at) = std::thread::scope(|scope| {
            let killed = scope.spawn(|| end_after(take, instant));
            let mut at = "before the stop";
            if next("stop the workload", &mut told) {
                self.stop();
                let _ = answers.write_all(b"\n");
                at = match next("the cut is done", &mut told) {
                    true => "after the cut",
                    false => "while it was stopped",
                };
            }
            self.start();
            while next("", &mut told) {}
            let killed = killed.join();
            (
                killed.unwrap_or_else(|_| panic!("cycle {number}, {at}: {told}")),
                at,
            )
        });
        match number {
            0 => self.take = Aim::at(begun.elapsed()),
            _ => self.take.learn(!killed),
        }
        let place = if killed { at } else { "over" };
        self.tally.kill(&format!("snapshot: {place}"));
        let data = self.store.join(&name).join("data");
        let outcome = if data.exists() {
            "succeeded"
        } else {
            "left nothing"
        };
        self.tally.outcome(&format!("snapshot {outcome}"));
        assert!(killed || data.exists(), "{name} was not disturbed");
        if data.exists() {
            self.witness.head(&data).unwrap();
            self.witness.note(&data);
            assert_eq!(fs::read_to_string(data.join(MARK)).unwrap(), self.mark);
            self.sealed.push((name, self.mark.clone()));
        }
    }

    fn restore(&mut self, number: u64) {
        self.mark(format!("later-{number}"));
        let which = self.dice.below(self.sealed.len() as u64) as usize;
        let (name, held) = self.sealed[which].clone();
        self.stop();
        let child = self.begin(&["restore", &name]);
        let begun = Instant::now();
        let instant = match number {
            0 => NEVER,
            _ => self.restore.instant(&mut self.dice),
        };
        let killed = end_after(child, instant);
        match number {
            0 => self.restore = Aim::at(begun.elapsed()),
            _ => self.restore.learn(!killed),
        }
        let mark = self.data().join(MARK);
        let now = || fs::read_to_string(&mark).unwrap();
        let exchanged = now() == held;
        let place = match (killed, exchanged) {
            (false, _) => "over",
            (true, true) => "exchanged",
            (true, false) => "staging",
        };
        assert!(exchanged || now() == self.mark, "half of each");
        assert!(exchanged || killed, "{name} was not disturbed");
        self.tally.kill(&format!("restore: {place}"));
        // Whoever finds this has the choice; it may be made more than once, and be cut off too.
        let choice = match number {
            0 => "accept",
            _ => ["accept", "undo"][self.dice.below(2) as usize],
        };
        let aim = Aim::default().instant(&mut self.dice) / 4;
        end_after(self.begin(&[choice]), aim);
        let status = self.begin(&[choice]).wait().unwrap();
        assert!(status.success(), "{choice}: {status}");
        // Killed between the commit and the exchange, it is still exchanged by whoever accepts.
        let accepted = choice == "accept" && now() == held;
        assert!(accepted || choice == "undo" || !exchanged);
        if accepted {
            self.mark = held;
        }
        assert_eq!(now(), self.mark, "{choice}");
        let outcome = if accepted { "succeeded" } else { "undone" };
        self.tally.outcome(&format!("restore {outcome}"));
        self.start();
    }

    /// After every cycle.
    fn look(&mut self, number: u64) {
        let keep = self.begin(&["prune", "--keep-last", "3"]).wait().unwrap();
        assert!(keep.success());
        let store = self.store.clone();
        self.sealed.retain(|(name, _)| store.join(name).exists());
        let unchanged = self.witness.unchanged();
        assert_eq!(unchanged, Ok(self.sealed.len()), "cycle {number}");
        let left: Vec<_> = fs::read_dir(&store)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(left.len(), self.sealed.len() + 1, "and the lock: {left:?}");
        self.stop();
        self.witness.head(&self.data()).unwrap();
        self.start();
    }

    fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ostler"));
        command.args(["store", arguments[0]]);
        match arguments[0] {
            "take" => command.arg(self.data()).arg(&self.store),
            _ => command.arg(&self.store),
        };
        command.args(&arguments[1..]);
        if arguments[0] == "restore" {
            command.arg(self.data());
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn stop(&mut self) {
        if let Some(node) = self.node.take() {
            node.stop();
        }
    }

    fn start(&mut self) {
        if self.node.is_none() {
            self.node = Some(self.engine.start(&self.data(), self.options));
        }
    }

    fn mark(&mut self, mark: String) {
        let path = self.data().join(MARK);
        File::create(path)
            .unwrap()
            .write_all(mark.as_bytes())
            .unwrap();
        self.mark = mark;
    }

    fn data(&self) -> PathBuf {
        self.root.join("data")
    }
}

/// Kills it at this instant, or finds that it has ended, and well: whether it had to be killed.
fn end_after(mut child: Child, instant: Duration) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < instant {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    child.kill().unwrap();
    // It may have ended just now.
    !child.wait().unwrap().success()
}
