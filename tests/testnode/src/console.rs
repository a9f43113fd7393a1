//! The miner's log: `console.log`, and the same lines on standard output.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::clock;

/// A log longer than this becomes `console.log.0`.
const LIMIT: u64 = 1 << 20;

/// The open log.
#[derive(Debug)]
pub struct Console {
    path: PathBuf,
    file: Mutex<File>,
}

impl Console {
    /// Opens the log, with its directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        Ok(Self {
            path: path.to_owned(),
            file: Mutex::new(append(path)?),
        })
    }

    /// A line as the miner's own.
    pub fn info(&self, text: &str) {
        self.line("info", text);
    }

    /// A line about something that went wrong.
    pub fn error(&self, text: &str) {
        self.line("error", text);
    }

    fn line(&self, level: &str, text: &str) {
        let line = format!("{} [{level}] {text}\n", clock::stamp(clock::now()));
        // A log that cannot be written must not stop the miner.
        let _ = io::stdout().write_all(line.as_bytes());
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let full = file.metadata().is_ok_and(|data| data.len() > LIMIT);
        if full
            && fs::rename(&self.path, self.path.with_extension("log.0")).is_ok()
            && let Ok(fresh) = append(&self.path)
        {
            *file = fresh;
        }
        let _ = file.write_all(line.as_bytes());
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}
