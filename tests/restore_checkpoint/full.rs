//! A disk without the room for the new tree, and one that fills up right when the validator has stopped.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use ostler::protocol::{Reason, State};

use super::house::{FILLS, House};
use super::places::{Mount, is_root};

/// Where the repository is on a small disk of its own, with the bytes that a restore of it takes.
fn small_disk(house: &House) -> (Mount, u64) {
    let mount = Mount::tmpfs(house.path("ptn"), "size=24m");
    house.move_in("s");
    let old = house.picture("ptn/validation");
    let before = free(house);
    let record = house.run();
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    let takes = before - free(house);
    house.reset(&old);
    (mount, takes)
}

#[test]
fn a_disk_that_is_full_at_any_part_of_the_tree_leaves_the_old_state() {
    if !is_root() {
        return;
    }
    let house = House::new("s");
    let (_mount, takes) = small_disk(&house);
    let old = house.picture("ptn/validation");
    let filler = house.path("ptn/filler");
    for percent in (0..100).step_by(5) {
        fill(&filler, free(&house) - takes * percent / 100);
        let record = house.run();
        fs::remove_file(&filler).unwrap();
        let at = format!("room for {percent} %: {record:?}");
        assert_eq!(record.state, State::Failed, "{at}");
        let failure = record.failure.as_ref().unwrap();
        assert_eq!(failure.reason, Reason::NoSpace, "{at}");
        assert!(house.runs(), "{at}");
        assert!(
            record.steps.iter().all(|step| step.name != "stop"),
            "it was stopped for nothing: {at}"
        );
        assert_eq!(house.picture("ptn/validation"), old, "{at}");
        house.assert_swept(&at);
        house.reset(&old);
    }
    // The same disk with room enough.
    assert_eq!(house.run().state, State::Succeeded);
}

#[test]
fn how_much_is_missing_is_told_though_the_tree_was_not_made() {
    if !is_root() {
        return;
    }
    let house = House::new("s");
    let (_mount, takes) = small_disk(&house);
    let left = takes / 2;
    fill(&house.path("ptn/filler"), free(&house) - left);
    let message = house.run().failure.unwrap().message;
    let figures: Vec<u64> = message
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let [available, needed] = figures[..] else {
        panic!("{message}");
    };
    assert!(
        available.abs_diff(left) <= 64 * 1024,
        "{message}, {left} were left"
    );
    // Rather too much: how full the last block of a file will be is not known.
    assert!(
        (takes..2 * takes).contains(&needed),
        "{message}, it takes {takes}"
    );
}

#[test]
fn a_disk_that_fills_up_when_the_validator_has_stopped_leaves_the_old_state() {
    if !is_root() {
        return;
    }
    let house = House::new("s");
    let (_mount, _) = small_disk(&house);
    let mut old = house.picture("ptn/validation");
    let record = house.run_with(FILLS, "1");
    fs::remove_file(house.path("ptn/filler")).unwrap();
    assert_eq!(record.state, State::Failed, "{record:?}");
    assert_eq!(record.failure.as_ref().unwrap().reason, Reason::NoSpace);
    assert!(house.runs(), "{record:?}");
    let last = house
        .picture("ptn/validation")
        .remove(Path::new("outputs/last"));
    assert!(last.is_some(), "what it wrote at last is still there");
    old.insert("outputs/last".into(), last.flatten());
    assert_eq!(house.picture("ptn/validation"), old, "{record:?}");
    house.assert_swept("full at the stop");
}

fn free(house: &House) -> u64 {
    let stat = rustix::fs::statvfs(house.path("ptn")).unwrap();
    stat.f_bavail * stat.f_frsize
}

fn fill(path: &Path, bytes: u64) {
    let mut file = File::create(path).unwrap();
    let piece = vec![1; 4096];
    for _ in 0..bytes / 4096 {
        file.write_all(&piece).unwrap();
    }
}
