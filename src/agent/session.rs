//! The session: one agent at a time on a state directory, and a number that grows at every start.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::durable;

/// An agent that was killed while it started a program may live on in that program's process until it is executed, and
/// holds the lock there: on a busy machine for longer than it takes to start the next agent.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// A state directory that is ours until this is dropped.
#[derive(Debug)]
pub struct Session {
    /// Grows at every start of the agent; birth and will carry it.
    pub number: u64,
    _lock: File,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The directory cannot be used.
    #[error("the state directory {} cannot be used: {source}; it must be writable for the user that runs the agent (key `state-dir`)", path.display())]
    Unusable {
        /// The directory or the file in it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody has it.
    #[error("another agent uses the state directory {}; stop it first, or give this one another `state-dir`", .0.display())]
    Taken(PathBuf),
}

impl Session {
    /// Takes the directory and counts the start.
    ///
    /// A count that cannot be written, on a full disk for example, may come again at the next start. It does not
    /// keep the agent from starting: a workload may be waiting for it, stopped.
    ///
    /// # Errors
    /// Where the directory cannot be written, or another agent holds it.
    pub fn begin(state_dir: &Path) -> Result<Self, Error> {
        let unusable = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Unusable { path, source }
        };
        durable::make_directory(state_dir, 0o750).map_err(unusable(state_dir))?;
        let lock_path = state_dir.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(unusable(&lock_path))?;
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            match lock.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => return Err(Error::Taken(state_dir.to_owned())),
                Err(TryLockError::Error(source)) => return Err(unusable(&lock_path)(source)),
            }
        }
        let path = state_dir.join("session");
        // A file that is missing or torn by hand only costs the count, never the start.
        let last: u64 = fs::read_to_string(&path)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(0);
        let number = last.saturating_add(1);
        if let Err(error) = durable::write(&path, format!("{number}\n").as_bytes(), 0o640) {
            tracing::error!("the start is not counted: {error}");
        }
        Ok(Self {
            number,
            _lock: lock,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_grows_and_only_one_agent_has_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let state_dir = directory.path().join("state");
        let first = Session::begin(&state_dir).unwrap();
        assert_eq!(first.number, 1);
        assert!(matches!(Session::begin(&state_dir), Err(Error::Taken(_))));
        let second = thread::spawn({
            let state_dir = state_dir.clone();
            move || Session::begin(&state_dir).unwrap().number
        });
        thread::sleep(Duration::from_millis(200));
        drop(first);
        assert_eq!(second.join().unwrap(), 2, "it waits for a moment");
    }

    #[test]
    fn a_count_that_cannot_be_written_keeps_no_agent_from_starting() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("session")).unwrap();
        assert_eq!(Session::begin(directory.path()).unwrap().number, 1);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        File::create(&file).unwrap();
        let error = Session::begin(&file.join("state")).unwrap_err().to_string();
        assert!(
            error.contains("file/state") && error.contains("state-dir"),
            "{error}"
        );
    }
}
