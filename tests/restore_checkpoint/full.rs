//! A disk that fills up while the new tree is being made, and right when the validator has stopped.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ostler::protocol::{Reason, State};

use super::house::House;
use super::places::Mount;

/// Files of the tree of the checkpoint that is used here.
const FILES: usize = 252;

#[test]
fn a_disk_that_is_full_at_any_part_of_the_tree_leaves_the_old_state() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: root is needed");
        return;
    }
    let house = House::new("s");
    let _mount = Mount::tmpfs(house.path("ptn"), "size=24m");
    house.move_in("s");
    let old = house.picture("ptn/validation");
    let mut failed = 0;
    for percent in (0..100).step_by(5) {
        let staged = house.path("ptn/.ostler-staged-validation");
        let filler = house.path("ptn/filler");
        let over = AtomicBool::new(false);
        let record = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    if staged.exists() && files(&staged) * 100 >= FILES * percent {
                        return fill(&filler);
                    }
                    std::thread::yield_now();
                }
            });
            let record = house.run();
            over.store(true, Ordering::Relaxed);
            record
        });
        let _ = fs::remove_file(&filler);
        let at = format!("full at {percent} %: {record:?}");
        assert!(house.runs(), "{at}");
        // Who fills it is a thread like any other: it may come too late.
        if record.state == State::Succeeded {
            assert!(house.is_new(), "{at}");
        } else {
            failed += 1;
            let reason = record.failure.as_ref().unwrap().reason;
            let told = [Reason::NoSpace, Reason::DataFailed, Reason::Damaged];
            assert!(told.contains(&reason), "{at}");
            assert_eq!(house.picture("ptn/validation"), old, "{at}");
            house.assert_swept(&at);
        }
        house.reset(&old);
    }
    assert!(
        failed >= 10,
        "the disk was full in time only {failed} times"
    );
}

fn files(directory: &Path) -> usize {
    let Ok(entries) = fs::read_dir(directory) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&entry.path()),
            _ => 1,
        })
        .sum()
}

fn fill(path: &Path) {
    let Ok(mut file) = File::create(path) else {
        return;
    };
    for size in [1 << 20, 1 << 12] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}
