//! Whether the wall clock is synchronised: adjtimex(2).

use super::files::Root;

/// From this maximum error on, in microseconds, the kernel holds the clock for unsynchronised: `NTP_PHASE_LIMIT`
/// in its `include/linux/timex.h`. It starts with it at boot, returns to it when the clock is set by hand,
/// and grows towards it by 500 µs a second while nobody disciplines the clock.
const UNSYNCHRONISED_MICROSECONDS: i64 = 16_000_000;

/// Whether somebody keeps the wall clock right.
///
/// The maximum error decides and not the flag `STA_UNSYNC`, as in systemd since version 243
/// (<https://github.com/systemd/systemd/pull/13245>): chronyd leaves that flag set for ever unless it is told to
/// set the hardware clock too, and the boards have none.
///
/// # Errors
/// Says why nobody knows.
pub(super) fn synced(root: &Root) -> Result<bool, String> {
    match maximum_error() {
        Ok(microseconds) => Ok(is_synced(microseconds)),
        Err(error) => instead(root)
            .ok_or_else(|| format!("adjtimex: {error}; allow it in the service's sandbox")),
    }
}

/// What the kernel says of its clock, in microseconds.
#[cfg(target_pointer_width = "64")]
fn maximum_error() -> std::io::Result<i64> {
    use rtime_clock::adjtime::{Timex, adjtimex};
    // All fields 0 is the request that changes nothing.
    let mut timex = Timex::new();
    adjtimex(&mut timex)?;
    Ok(timex.0.maxerror)
}

/// The one crate with a safe call for it does not build for 32-bit processors.
#[cfg(not(target_pointer_width = "64"))]
fn maximum_error() -> std::io::Result<i64> {
    Err(std::io::ErrorKind::Unsupported.into())
}

fn is_synced(maximum_error: i64) -> bool {
    maximum_error < UNSYNCHRONISED_MICROSECONDS
}

/// A sandbox may refuse the call (systemd's `ProtectClock=` does, for reading too): systemd-timesyncd leaves
/// a file when it has synchronised the clock. That there is none means nothing: others leave no file.
fn instead(root: &Root) -> Option<bool> {
    root.path("run/systemd/timesync/synchronized")
        .exists()
        .then_some(true)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_kernel_says_the_same_to_another_program() {
        let asked = Command::new("busybox").arg("adjtimex").output().unwrap();
        let said = String::from_utf8(asked.stdout).unwrap();
        let maximum_error = said
            .lines()
            .find(|line| line.contains("maxerror"))
            .and_then(|line| line.split_whitespace().last())
            .unwrap_or_else(|| panic!("{said}"));
        let expected = is_synced(maximum_error.parse().unwrap());
        assert_eq!(synced(&Root::at("/nonexistent")), Ok(expected));
    }

    #[test]
    fn the_limit_is_the_kernels() {
        assert!(is_synced(9_776));
        assert!(is_synced(15_999_999));
        assert!(!is_synced(16_000_000));
    }

    #[test]
    fn without_the_call_only_the_file_of_timesyncd_says_yes() {
        let tree = tempfile::tempdir().unwrap();
        let root = Root::at(tree.path());
        assert_eq!(instead(&root), None);
        let directory = tree.path().join("run/systemd/timesync");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::File::create(directory.join("synchronized")).unwrap();
        assert_eq!(instead(&root), Some(true));
    }
}
