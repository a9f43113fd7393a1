//! The journal: one JSON file per operation. `cat` is the debugger.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::durable;
use crate::protocol::{OperationId, OperationRecord};

/// No record of ours is larger; a larger file is not ours.
const MAX_RECORD_BYTES: u64 = 1024 * 1024;

/// The directory of records.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    directory: PathBuf,
}

/// A file of the journal that could not be read and was set aside.
#[derive(Debug)]
pub struct Quarantined {
    /// Where it is now.
    pub path: PathBuf,
    /// What was wrong with it.
    pub problem: String,
}

impl Journal {
    /// Opens or creates the directory, sweeps what interrupted writes left, and reads every record, oldest first.
    ///
    /// A file that cannot be read as a record is renamed to `<name>.bad` and given back: it stops nobody.
    pub fn open(
        directory: &Path,
    ) -> Result<(Self, Vec<OperationRecord>, Vec<Quarantined>), durable::Error> {
        let failed = |action| {
            move |source| durable::Error {
                action,
                path: directory.to_owned(),
                source,
            }
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failed("create"))?;
        let mut records = Vec::new();
        let mut quarantined = Vec::new();
        for entry in fs::read_dir(directory).map_err(failed("read"))? {
            let path = entry.map_err(failed("read"))?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("partial") => durable::remove(&path)?,
                Some("json") => match read(&path) {
                    Ok(record) => records.push(record),
                    Err(problem) => {
                        let aside = path.with_extension("bad");
                        durable::rename(&path, &aside)?;
                        quarantined.push(Quarantined {
                            path: aside,
                            problem,
                        });
                    }
                },
                _ => {}
            }
        }
        records.sort_unstable_by_key(|record| record.number);
        Ok((
            Self {
                directory: directory.to_owned(),
            },
            records,
            quarantined,
        ))
    }

    /// Writes a record; when this returns, it survives a power cut.
    pub fn store(&self, record: &OperationRecord) -> Result<(), durable::Error> {
        let mut text = serde_json::to_vec_pretty(record).map_err(|error| durable::Error {
            action: "write",
            path: self.path(&record.id),
            source: error.into(),
        })?;
        text.push(b'\n');
        durable::write(&self.path(&record.id), &text, 0o600)
    }

    /// The record of that id, where it is kept. One that is there and cannot be read, or was
    /// set aside, is an error: it is not unknown.
    pub fn load(&self, id: &OperationId) -> Result<Option<OperationRecord>, String> {
        let path = self.path(id);
        let aside = path.with_extension("bad");
        let read = || match (path.try_exists(), aside.try_exists()) {
            (Ok(true), _) => read(&path).map(Some),
            (Ok(false), Ok(false)) => Ok(None),
            (Ok(false), Ok(true)) => Err(format!(
                "it was no record and was set aside as {}; choose another id, or remove that file",
                aside.display()
            )),
            (Err(error), _) | (_, Err(error)) => Err(error.to_string()),
        };
        read().map_err(|problem| format!("{}: {problem}", path.display()))
    }

    /// Forgets records. What cannot be removed stays until the next start.
    pub fn forget(&self, ids: &[OperationId]) {
        for id in ids {
            if let Err(error) = durable::remove(&self.path(id)) {
                tracing::warn!("an old record stays: {error}");
            }
        }
    }

    fn path(&self, id: &OperationId) -> PathBuf {
        self.directory.join(format!("{id}.json"))
    }
}

fn read(path: &Path) -> Result<OperationRecord, String> {
    let mut text = Vec::new();
    let read = |text: &mut Vec<u8>| -> io::Result<_> {
        fs::File::open(path)?
            .take(MAX_RECORD_BYTES + 1)
            .read_to_end(text)
    };
    read(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_RECORD_BYTES {
        return Err(format!("is larger than {MAX_RECORD_BYTES} bytes"));
    }
    let record: OperationRecord =
        serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let named = path.file_stem().and_then(|stem| stem.to_str());
    if named != Some(record.id.as_str()) {
        return Err(format!("holds the record of `{}`", record.id));
    }
    Ok(record)
}
