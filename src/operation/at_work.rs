//! Which processes are at work on a validator's tree, whoever started them.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::data::Control;
use crate::protocol::{Failure, Reason};

const PAUSE: Duration = Duration::from_millis(50);

/// Waits until no process has a file of `live` open, and no program of the validator works in `directory`.
///
/// Its children outlive a stop for a moment. Of other users' processes only root sees these things.
pub(super) fn wait_until_left(
    directory: &Path,
    live: &Path,
    patience: Duration,
    control: &Control,
) -> Result<(), Failure> {
    let begun = Instant::now();
    while let Some((pid, what)) = anyone(directory, live) {
        if begun.elapsed() >= patience {
            let message = format!(
                "process {pid} ({what}) is at work on {}: end it first",
                live.display()
            );
            return Err(Failure::new(Reason::Busy, message));
        }
        let interrupted =
            |error: crate::data::Interrupted| Failure::new(Reason::Cancelled, error.to_string());
        control.check().map_err(interrupted)?;
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

fn anyone(directory: &Path, live: &Path) -> Option<(u32, String)> {
    let me = std::process::id();
    let processes = fs::read_dir("/proc").ok()?;
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != me)
        .filter(|pid| is_at_work(*pid, directory, live))
        .map(|pid| (pid, name(pid)))
        .next()
}

fn is_at_work(pid: u32, directory: &Path, live: &Path) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    let leads_into =
        |link: &Path, tree: &Path| fs::read_link(link).is_ok_and(|target| target.starts_with(tree));
    let opened = fs::read_dir(process.join("fd"))
        .into_iter()
        .flatten()
        .flatten();
    opened.into_iter().any(|fd| leads_into(&fd.path(), live))
        || (leads_into(&process.join("cwd"), directory) && is_the_validators(&process))
}

/// A shell in the directory does no harm; Python does, and what has given itself one of the validator's titles.
fn is_the_validators(process: &Path) -> bool {
    let program = fs::read_link(process.join("exe")).unwrap_or_default();
    let program = program.file_name().unwrap_or_default().to_string_lossy();
    let title = fs::read(process.join("cmdline")).unwrap_or_default();
    program.starts_with("python") || title.starts_with(b"vali_")
}

fn name(pid: u32) -> String {
    let title = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let title = String::from_utf8_lossy(&title);
    // Its arguments may hold secrets.
    title
        .split('\0')
        .next()
        .unwrap_or_default()
        .chars()
        .take(60)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_a_file_open_is_named_and_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let live = directory.path().join("validation");
        fs::create_dir(&live).unwrap();
        fs::File::create(live.join("file")).unwrap();
        let control = Control::unlimited();
        let left = |patience| wait_until_left(directory.path(), &live, patience, &control);
        left(Duration::ZERO).unwrap();
        let tail = || {
            let mut tail = std::process::Command::new("tail");
            tail.arg("-f").arg(live.join("file"));
            tail.stdout(std::process::Stdio::null());
            tail.spawn().unwrap()
        };
        let mut child = tail();
        let opened = || anyone(directory.path(), &live).is_some();
        while !opened() {
            std::thread::sleep(PAUSE);
        }
        let failure = left(Duration::from_millis(10)).unwrap_err();
        assert_eq!(failure.reason, Reason::Busy);
        assert!(failure.message.contains("tail"), "{}", failure.message);
        child.kill().unwrap();
        child.wait().unwrap();
        left(Duration::from_secs(60)).unwrap();
    }
}
