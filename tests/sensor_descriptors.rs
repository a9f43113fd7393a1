//! Sampling for weeks must not cost the agent its file descriptors or threads.
//!
//! Alone in its program: tests that run beside it would open files of their own.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use ostler::sensor::{Root, Sensors};

fn entries(directory: &str) -> usize {
    fs::read_dir(directory).unwrap().count()
}

/// The threads of this process, once it has as many as before; the system takes a moment to bury one that has ended.
fn threads(expected: usize) -> usize {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let threads = entries("/proc/self/task");
        if threads == expected || Instant::now() > deadline {
            return threads;
        }
        std::thread::yield_now();
    }
}

/// Two zones, so that there are threads to lose, on a host without sensors too.
fn prepared(tree: &Path) {
    for zone in ["thermal_zone0", "thermal_zone1"] {
        let zone = tree.join("sys/class/thermal").join(zone);
        fs::create_dir_all(&zone).unwrap();
        ostler::durable::write(&zone.join("type"), b"soc-thermal\n", 0o644).unwrap();
        ostler::durable::write(&zone.join("temp"), b"38000\n", 0o644).unwrap();
    }
}

#[test]
fn a_thousand_samples_keep_no_descriptor_and_no_thread() {
    let tree = tempfile::tempdir().unwrap();
    prepared(tree.path());
    let missing = tree.path().join("missing");
    let directories = [tree.path().to_owned(), missing];
    let mut real = Sensors::new(Root::default(), directories.clone());
    let mut prepared = Sensors::new(Root::at(tree.path()), directories);
    let threads_before = entries("/proc/self/task");
    for _ in 0..10 {
        real.sample();
        prepared.sample();
    }

    let before = entries("/proc/self/fd");
    for _ in 0..1000 {
        real.sample();
        assert_eq!(prepared.sample().temperatures[1].celsius, Some(38.0));
    }
    assert_eq!(entries("/proc/self/fd"), before);
    assert_eq!(threads(threads_before), threads_before);
}
