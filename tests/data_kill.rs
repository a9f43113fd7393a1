//! `ostler store` killed at every call that changes a directory: nothing is lost, whatever was done is finished or
//! undone by the next.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "lab/chain.rs"]
mod chain;
#[path = "lab/snapshots.rs"]
mod snapshots;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use chain::Engine;
use ostler::data::exchange::Goal;
use ostler::data::{Control, Exchange, Level, Store, verify};
use snapshots::{name, picture};

const CALLS: &str = "link,linkat,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat";

fn ostler(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ostler"))
        .args(arguments)
        .output()
        .unwrap()
}

/// Runs `ostler` and kills it before its call number `when` takes effect, each of `calls` being counted for itself; false
/// when it had fewer.
fn killed_at(calls: &str, when: usize, arguments: &[&str], log: &Path) -> bool {
    let status = Command::new("strace")
        .args(["-f", "-qq", "-o"])
        .arg(log)
        .arg(format!("--inject={calls}:signal=KILL:when={when}"))
        .arg(format!("--trace={calls}"))
        .arg(env!("CARGO_BIN_EXE_ostler"))
        .args(arguments)
        .output()
        .expect("strace is needed")
        .status;
    assert!(
        status.success() || status.signal() == Some(9) || status.code() == Some(137),
        "{status}"
    );
    !status.success()
}

fn succeed(arguments: &[&str]) -> String {
    let output = ostler(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn database() -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    fs::create_dir(&data).unwrap();
    Engine::LevelDb.fill(&data, 250, &[]);
    (root, data)
}

fn store_of(data: &Path) -> Store {
    Store::open(&Store::beside(data).unwrap()).unwrap()
}

/// As the command line takes it.
fn store_path(data: &Path) -> String {
    let path = Store::beside(data).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Takes snapshots that are killed at the first call of this name, at the second, and so on; gives how many were.
fn killed_in_a_take(
    root: &tempfile::TempDir,
    call: &str,
    first: &BTreeMap<String, String>,
) -> usize {
    let data = root.path().join("data");
    let live = picture(&data);
    let (at, to) = (data.to_str().unwrap(), &store_path(&data));
    for when in 1.. {
        let snapshot = format!("{call}-{when}");
        let take = ["store", "take", at, to, "--name", &snapshot];
        let killed = killed_at(call, when, &take, &root.path().join("log"));
        let said = format!("killed at {call} {when}");
        // Only a link's other name may show: never the content, owner, mode or time of the data.
        assert_eq!(picture(&data), live, "{said}");
        assert_eq!(&picture(&store_of(&data).snapshot(&name("first"))), first);
        for stored in store_of(&data).list().unwrap() {
            assert!(stored.is_good(), "{said}: {stored:?}");
            let control = &mut Control::unlimited();
            let report = verify(&store_of(&data), &stored.name, Level::L3, control).unwrap();
            assert_eq!(report.damages, [], "{said}");
        }
        if !killed {
            return when - 1;
        }
    }
    unreachable!("it goes on until nothing was killed")
}

#[test]
fn take_can_be_killed_at_any_step() {
    let (root, data) = database();
    let (at, to) = (data.to_str().unwrap(), &store_path(&data));
    succeed(&["store", "take", at, to, "--name", "first"]);
    let first = picture(&store_of(&data).snapshot(&name("first")));
    let kills: usize = CALLS
        .split(',')
        .map(|call| killed_in_a_take(&root, call, &first))
        .sum();
    // At the least two directories, a probe, a table, the manifest and the seal.
    assert!(kills > 5, "{kills}");
    succeed(&["store", "prune", to, "--keep-last", "1"]);
    let left: Vec<_> = fs::read_dir(store_of(&data).path())
        .unwrap()
        .map(|item| item.unwrap().file_name())
        .collect();
    assert_eq!(left.len(), 2, "one snapshot and the lock: {left:?}");
    assert_eq!(Engine::LevelDb.verify(&data).unwrap(), 249);
}

#[test]
fn restore_can_be_killed_at_any_step() {
    let (root, data) = database();
    let (at, to) = (data.to_str().unwrap(), &store_path(&data));
    succeed(&["store", "take", at, to, "--name", "first"]);
    let first = picture(&store_of(&data).snapshot(&name("first")));
    Engine::LevelDb.fill(&data, 250, &[]);
    let mut kills = 0;
    for when in 1.. {
        // Each round starts with the newer data, and ends with it.
        let newer = picture(&data);
        let arguments = ["store", "restore", to, "first", at, "--accept"];
        let copy = root.path().join("newer");
        snapshots::private_copy(&data, &copy);
        let killed = killed_at(CALLS, when, &arguments, &root.path().join("log"));
        kills += usize::from(killed);
        let whole = picture(&data);
        // One exchange makes all of it: what is there is all old or all new.
        assert!(
            whole == newer || Engine::LevelDb.verify(&data) == Ok(249),
            "killed at {when}"
        );
        succeed(&["store", if when % 2 == 0 { "accept" } else { "undo" }, to]);
        let head = Engine::LevelDb.verify(&data).unwrap();
        assert!(head == 249 || head == 499, "killed at {when}: {head}");
        assert_eq!(
            picture(&store_of(&data).snapshot(&name("first"))),
            first,
            "killed at {when}"
        );
        fs::remove_dir_all(&data).unwrap();
        fs::rename(&copy, &data).unwrap();
        if !killed {
            break;
        }
    }
    assert!(kills > 5, "{kills}");
    succeed(&["store", "restore", to, "first", at, "--accept"]);
    assert_eq!(Engine::LevelDb.verify(&data).unwrap(), 249);
    let mut left: Vec<_> = fs::read_dir(root.path())
        .unwrap()
        .map(|item| item.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, [".ostler-store", "data", "log"]);
}

/// A bind mount; unmounted when dropped.
struct Bind(PathBuf);

impl Drop for Bind {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn an_exchange_of_entries_can_be_killed_at_any_step() {
    let (root, inner) = database();
    let data = root.path().join("mounted");
    fs::create_dir(&data).unwrap();
    let mounted = Command::new("mount")
        .arg("--bind")
        .args([&inner, &data])
        .status()
        .unwrap();
    if !mounted.success() {
        eprintln!("SKIPPED: nothing can be mounted here: root is needed");
        return;
    }
    let _bind = Bind(data.clone());
    let at = data.to_str().unwrap();
    let store = root.path().join("store");
    let store = store.to_str().unwrap();
    succeed(&["store", "take", at, store, "--name", "first"]);
    Engine::LevelDb.fill(&data, 250, &[]);
    // The directory itself stays, with another time; its entries are what counts.
    let entries = |tree: &Path| {
        let mut entries = picture(tree);
        entries.remove(".").unwrap();
        entries
    };
    let older = entries(&Path::new(store).join("first/data"));
    let newer = entries(&data);
    let journal = Path::new(store).join("exchange.json");
    let mut mixed = 0;
    for when in 1.. {
        let arguments = ["store", "restore", store, "first", at];
        let killed = killed_at(CALLS, when, &arguments, &root.path().join("log"));
        let now = entries(&data);
        mixed += usize::from(now != newer && now != older);
        // Whatever was done is undone; every entry is the very one that it was.
        succeed(&["store", "undo", store]);
        assert_eq!(entries(&data), newer, "killed at {when}");
        if !killed {
            break;
        }
        // Killed at the same step again, it can also be finished.
        killed_at(CALLS, when, &arguments, &root.path().join("log"));
        if let Some(found) = Exchange::pending(&journal).unwrap() {
            let goal = found.goal();
            let reached = found.resume(&mut Control::unlimited()).unwrap().unwrap();
            assert!(reached.is_complete());
            let expected = if goal == Goal::Forward {
                &older
            } else {
                &newer
            };
            assert_eq!(entries(&data), *expected, "killed at {when}");
        }
        succeed(&["store", "undo", store]);
        assert_eq!(entries(&data), newer, "killed at {when}");
    }
    assert!(mixed > 0, "no kill fell between two entries");
}

#[test]
fn the_commands_say_what_they_did_and_refuse_what_they_must() {
    let (_root, data) = database();
    let (at, to) = (data.to_str().unwrap(), &store_path(&data));
    let taken = succeed(&[
        "store",
        "take",
        at,
        to,
        "--name",
        "first",
        "--identity",
        "network=mainnet",
        "--height",
        "7",
    ]);
    assert!(taken.starts_with("first sealed: "), "{taken}");
    let listed = succeed(&["--json", "store", "list", to]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        (&listed[0]["name"], &listed[0]["height"], &listed[0]["bad"]),
        (&"first".into(), &7.into(), &serde_json::Value::Null)
    );
    assert!(succeed(&["store", "verify", to]).contains("first: good"));

    let other = ostler(&[
        "store",
        "restore",
        to,
        "first",
        at,
        "--identity",
        "network=testnet",
    ]);
    assert_eq!(other.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&other.stderr).contains("network mainnet, here it is testnet"),
        "{other:?}"
    );

    let writer = Engine::LevelDb.start(&data, &["calm"]);
    for refused in [
        &["store", "restore", to, "first", at][..],
        &["store", "take", at, to, "--name", "second"],
    ] {
        let output = ostler(refused);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }
    writer.stop();

    let table = fs::read_dir(store_of(&data).snapshot(&name("first")).join("data"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .find(|path| path.extension().is_some_and(|ending| ending == "ldb"))
        .unwrap();
    fs::remove_file(table).unwrap();
    let bad = ostler(&["store", "verify", to]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&bad.stdout).contains("it is missing"),
        "{bad:?}"
    );
    let refused = ostler(&["store", "restore", to, "first", at]);
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("is bad"),
        "{refused:?}"
    );
}
