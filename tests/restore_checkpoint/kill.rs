//! Killed before every call that changes a directory or makes a change last.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use ostler::protocol::{Reason, State};

use super::house::House;

/// The library that cuts the power, built once.
fn powercut() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let name = format!("powercut-{}.so", std::process::id());
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/powercut.c");
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .status()
            .expect("cc");
        assert!(status.success(), "cc: {status}");
        library
    })
}

/// Runs the restore and kills it at this instant: before and after every call below the house; false when it had fewer.
fn killed_at(house: &House, instant: usize) -> bool {
    let output = house
        .command()
        .env("LD_PRELOAD", powercut())
        .env("POWERCUT_UNDER", house.path(""))
        .env("POWERCUT_AT", instant.to_string())
        .output()
        .unwrap();
    let killed = output.status.signal() == Some(9);
    assert!(killed || output.status.success(), "{output:?}");
    killed
}

/// Kills at every `stride`th instant until there are no more; gives how often it was undone and how often finished.
pub fn strike(house: &House, stride: usize) -> (u32, u32) {
    let old = house.picture("ptn/validation");
    let new = {
        let record = house.run();
        assert_eq!(record.state, State::Succeeded, "{record:?}");
        house.picture("ptn/validation")
    };
    let (mut undone, mut finished) = (0, 0);
    for when in (1..).step_by(stride) {
        house.reset(&old);
        let killed = killed_at(house, when);
        if !killed {
            assert_eq!(house.picture("ptn/validation"), new);
            return (undone, finished);
        }
        // As the next start of the agent does; what was never accepted is asked again.
        let accepted = house.record().is_some();
        let record = house.run();
        let at = format!("killed at {when}: {record:?}");
        assert!(house.runs(), "{at}");
        let now = house.picture("ptn/validation");
        match record.state {
            State::Succeeded => {
                assert_eq!(now, new, "{at}");
                let backups = house.backups();
                assert_eq!(backups.len(), 1, "{at}: {backups:?}");
                let backup = house.picture(&format!("ptn/backups/{}", backups[0]));
                assert_eq!(backup, old, "{at}");
                finished += u32::from(accepted);
            }
            State::Failed => {
                let reason = record.failure.as_ref().unwrap().reason;
                assert_eq!(reason, Reason::Interrupted, "{at}");
                assert_eq!(now, old, "{at}");
                assert!(house.backups().is_empty(), "{at}");
                undone += 1;
            }
            _ => panic!("{at}"),
        }
        house.assert_swept(&at);
    }
    unreachable!("it goes on until nothing was killed")
}

#[test]
fn killed_at_any_step_a_restore_is_finished_or_undone() {
    let (undone, finished) = strike(&House::new("tiny"), 3);
    assert!(undone > 5 && finished > 5, "{undone} {finished}");
}
