//! The whole agent around a node on a real database, under a real systemd: it is killed at random instants of snapshots
//! and restores, again and again, and nothing is ever lost, changed or left stopped.
//!
//! Each cycle is some writing, a snapshot and a restore. `OSTLER_TEST_CYCLES` is the number of cycles for each engine,
//! `OSTLER_TEST_SEED` makes the same choices as an earlier run, which printed it.

#![allow(clippy::unwrap_used, reason = "a test that fails here says where")]

#[path = "../lab/agent.rs"]
mod agent;
#[path = "../lab/chain.rs"]
mod chain;
#[path = "../lab/mount.rs"]
mod mount;
#[path = "../harmony/node.rs"]
#[allow(dead_code, reason = "each suite uses its own part of it")]
mod node;
#[path = "../lab/nspawn.rs"]
#[allow(dead_code, reason = "each suite uses its own part of the lab")]
mod nspawn;
#[path = "../lab/snapshots.rs"]
mod snapshots;

mod by_hand;
mod chance;
mod controls;
mod herd;
mod reload;
mod service;
mod witness;

use chain::Engine;
use chance::{Dice, Tally};
use herd::Herd;
use nspawn::Machine;

/// Each is dear: two agents are started, and a dozen `systemctl`. By hand there are more, see [`by_hand`].
const CYCLES: u32 = 32;

/// How many nodes with an agent each share the cycles of an engine: much of their time is waiting.
const HERDS: u32 = 4;

/// Runs the cycles of this engine in a machine with a systemd of its own.
fn in_a_machine(test: &str) {
    // The programs are built here: inside, what is built can only be read.
    Engine::LevelDb.program();
    Machine::shared().run_test(&format!("cycles::{test}"), &[]);
}

#[test]
fn leveldb_survives_an_agent_that_is_killed_at_random() {
    in_a_machine("leveldb");
}

#[test]
fn goleveldb_survives_an_agent_that_is_killed_at_random() {
    in_a_machine("goleveldb");
}

#[test]
fn rocksdb_survives_an_agent_that_is_killed_at_random() {
    in_a_machine("rocksdb");
}

/// What runs inside.
mod cycles {
    use super::*;

    #[test]
    #[ignore = "not a test: part of another one"]
    fn leveldb() {
        nspawn::only_inside(async || cycle(Engine::LevelDb, &["calm", "reuse-logs"]));
    }

    #[test]
    #[ignore = "not a test: part of another one"]
    fn goleveldb() {
        nspawn::only_inside(async || cycle(Engine::GoLevelDb, &["calm"]));
    }

    #[test]
    #[ignore = "not a test: part of another one"]
    fn rocksdb() {
        let options = ["calm", "families", "blobs", "track", "recycle"];
        nspawn::only_inside(async || cycle(Engine::RocksDb, &options));
    }
}

fn cycle(engine: Engine, options: &[&str]) {
    let cycles = told("OSTLER_TEST_CYCLES").unwrap_or(u64::from(CYCLES)) as u32;
    let seed = told("OSTLER_TEST_SEED").unwrap_or_else(Dice::any_seed);
    println!("{engine:?}: {cycles} cycles, OSTLER_TEST_SEED={seed}");
    let tally = std::thread::scope(|scope| {
        let herds: Vec<_> = (0..HERDS)
            .map(|herd| {
                scope.spawn(move || {
                    let dice = Dice::new(seed.wrapping_add(u64::from(herd)));
                    let mut node = Herd::new(engine, herd, options, dice);
                    for number in (herd..cycles).step_by(HERDS as usize) {
                        node.snapshot(number);
                        node.restore(number);
                    }
                    node.end()
                })
            })
            .collect();
        // One that has failed has said so.
        let tallies = herds.into_iter().map(|herd| herd.join().unwrap());
        tallies.reduce(Tally::and).unwrap()
    });
    tally.check(cycles);
}

fn told(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect(name))
}
