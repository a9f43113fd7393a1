//! The power of the whole host is cut at random moments of operations, and the host is started again with what its disk
//! had kept.
//!
//! One run of a real systemd with the agent and the simulated miner is recorded: every write and every flush that reached
//! the disk under its filesystem. A cut is an instant of that record. What had been flushed is there, and of all that
//! had not, some is lost, some torn, some written before what came first. The filesystem is checked and mounted, and a
//! host boots with it. Everything that somebody had been told before the cut must hold then.
//!
//! `OSTLER_POWER_CUTS` is the number of cuts (100), `OSTLER_POWER_CUTS_SEED` gives the same disks again for one record.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod cut;
mod disk;
mod examine;
mod host;
#[path = "../lab/nspawn.rs"]
#[allow(dead_code, reason = "each suite uses its own part of the lab")]
mod nspawn;
mod promises;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;

use cut::{Cut, Cuts};
use disk::Disk;
use examine::{Found, examine};
use host::Host;
use promises::Promises;
use serde_json::json;

/// How many hosts boot side by side.
const AT_ONCE: usize = 2;

/// The operations of one round; there are [`ROUNDS`].
const OPERATIONS: [&str; 5] = ["snapshot", "restart", "snapshot", "restore", "prune"];

const ROUNDS: usize = 3;

#[test]
fn a_host_whose_power_is_cut_comes_back_with_all_it_had_promised() {
    let count = number("OSTLER_POWER_CUTS").unwrap_or(100);
    let seed = number("OSTLER_POWER_CUTS_SEED").unwrap_or_else(|| fastrand::u64(..) as usize);
    println!("{count} cuts, OSTLER_POWER_CUTS_SEED={seed}");

    let disk = Disk::new();
    let host = Host::boot(&disk.file());
    let (promises, from) = operate(&disk, &host);
    let record = disk.record(disk.position());
    drop(host);
    println!("recorded: {} writes and flushes", record.events.len());

    let cuts = Mutex::new(Cuts::new(record, from, count, seed as u64));
    let workers = || {
        let mut found = Vec::new();
        loop {
            let cut = cuts.lock().unwrap().next();
            let Some(cut) = cut else { return found };
            found.push(strike(&cut, &promises));
        }
    };
    let found: Vec<Option<Found>> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(workers)).collect();
        all.into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    });

    let failed = found.iter().filter(|found| found.is_none()).count();
    assert_eq!(
        failed, 0,
        "{failed} of {count} cuts, OSTLER_POWER_CUTS_SEED={seed}"
    );
    let sum = |figure: fn(&Found) -> usize| found.iter().flatten().map(figure).sum::<usize>();
    let (lost, finished, undone) = (
        sum(|found| found.lost),
        sum(|found| found.finished),
        sum(|found| found.undone),
    );
    println!(
        "{lost} writes lost or torn; {finished} operations finished and {undone} undone after the cut"
    );
    assert_eq!(found.len(), count);
    assert!(
        count < 50 || (lost > 0 && finished > 0 && undone > 0),
        "the cuts missed what they were for"
    );
}

/// Operations one after the other, and all that was told of them; with where in the record they begin.
fn operate(disk: &Disk, host: &Host) -> (Promises, u64) {
    host.wait_until("the miner has a chain", |host| {
        (host.miner()?["height"].as_u64()? > 40).then_some(())
    });
    let mut promises = Promises::new(host);
    let from = disk.position();
    for round in 0..ROUNDS {
        for (number, operation) in OPERATIONS.into_iter().enumerate() {
            let id = format!("{operation}-{round}-{number}");
            let args = match operation {
                "snapshot" => json!({ "name": format!("taken-{round}-{number}") }),
                _ => json!({}),
            };
            promises.asked(&id, disk.position());
            host.ask(operation, &id, &args);
            promises.accepted(&id, disk.position());
            let record = host.ended(&id);
            promises.ended(&id, disk.position(), &record, host);
            assert_eq!(record["state"], "succeeded", "{record}\n{}", host.log());
        }
    }
    (promises, from)
}

/// One cut; what was found, or nothing where something was wrong.
fn strike(cut: &Cut, promises: &Promises) -> Option<Found> {
    let image = tempfile::Builder::new()
        .prefix("ostler-cut-")
        .tempfile_in(env!("CARGO_TARGET_TMPDIR"))
        .unwrap();
    disk::write_image(image.path(), &cut.content).unwrap();
    let examined = catch_unwind(AssertUnwindSafe(|| examine(cut, image.path(), promises)));
    if examined.is_err() {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cut-{}.img", cut.position));
        disk::write_image(&kept, &cut.content).unwrap();
        println!(
            "the disk after the cut at {}: {}",
            cut.position,
            kept.display()
        );
    }
    examined.ok()
}

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok()?.parse().ok()
}
