//! `manifest.json`: what a snapshot is and what is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::protocol::Name;

use super::error::Error;
use super::files::Files;
pub use super::files::{FileRecord, Kind};
use super::lsm::Engine;
use super::path::RelativePath;

/// The format that this program writes, and the newest that it reads. Any change of a field is a new format.
pub const FORMAT: u32 = 1;
/// The file's name in a snapshot.
pub const FILE: &str = "manifest.json";
/// A manifest of a million files is some 300 MB; more is no manifest.
const LARGEST: u64 = 1 << 30;

/// Bytes that are written or hashed at a time.
const BUFFER: usize = 64 * 1024;

/// How a cut is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Stopped; tables are linked, what changes is copied.
    Link,
    /// Stopped; every file is reflinked.
    Reflink,
    /// Stopped; tables are copied before the stop, the rest during it.
    Copy,
    /// Running: as after a power cut, for nodes that can roll back.
    Hot,
}

/// How thoroughly a snapshot is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// Every file is there with its size, and nothing else.
    L1,
    /// And every file has its hash.
    L2,
    /// And every block and record has its checksum, by the engine's own format.
    #[default]
    L3,
}

/// An LSM database in the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// Its directory; `.` is the data directory itself.
    pub path: RelativePath,
    /// LevelDB (and goleveldb) or RocksDB.
    pub engine: Engine,
    /// The order of keys.
    pub comparator: String,
    /// Column families by name; LevelDB has none.
    pub families: Vec<String>,
    /// The number in the MANIFEST's name.
    pub manifest: u64,
    /// The oldest log that is needed.
    pub log_number: u64,
    /// The number of the next new file.
    pub next_file: u64,
    /// The newest sequence number in the tables.
    pub last_sequence: u64,
}

/// Whose data it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// `helium`, `ptn`, `harmony`, `generic`.
    pub kind: String,
    /// What must be equal for a restore to make sense: network, shard, role …
    pub identity: BTreeMap<String, String>,
}

/// How long things took, in milliseconds; each as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Timings {
    /// From the order to stop until the workload had stopped.
    pub stop_ms: Option<u64>,
    /// The cold pass.
    pub cut_ms: Option<u64>,
    /// From the order to start until the workload answered.
    pub start_ms: Option<u64>,
    /// From the start until the first progress.
    pub first_progress_ms: Option<u64>,
}

/// What the check before the seal has shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verification {
    /// How thorough it was.
    pub level: Level,
    /// Table blocks, blobs and log records that were checked.
    pub checked: u64,
    /// Files whose inside this program cannot read: only their hash vouches for them.
    pub opaque: Vec<RelativePath>,
}

/// What the caller knows of a cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Whose data it is.
    pub workload: Workload,
    /// When the cut was taken.
    pub cut_time: Timestamp,
    /// Whether the clock was synchronised then.
    pub clock_synced: bool,
    /// The block height at the cut.
    pub height: Option<u64>,
    /// How long things took.
    pub timings: Timings,
}

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// See [`FORMAT`].
    pub format: u32,
    /// The snapshot's name.
    pub name: Name,
    /// Counts the snapshots of a store, for clocks lie.
    pub sequence: u64,
    /// Whose data it is.
    pub workload: Workload,
    /// When the cut was taken.
    pub cut_time: Timestamp,
    /// Whether the clock was synchronised then.
    pub clock_synced: bool,
    /// The block height at the cut.
    pub height: Option<u64>,
    /// The workload had stopped by itself, not been killed.
    pub clean: bool,
    /// How the cut was taken.
    pub way: Way,
    /// The only directories that were captured; empty is the whole data directory.
    pub include: Vec<RelativePath>,
    /// The LSM databases in it.
    pub databases: Vec<Database>,
    /// Every entry, by path, the root first.
    pub files: Files,
    /// Bytes of all files.
    pub total_bytes: u64,
    /// The check before the seal.
    pub verification: Verification,
    /// How long things took.
    pub timings: Timings,
    /// The snapshot before this one in the store.
    pub previous: Option<Name>,
    /// Hash of this file with this field empty: a bit flip in a height would not be noticed otherwise.
    pub digest: String,
}

/// As much as tells which program reads the rest.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Link => "link",
            Self::Reflink => "reflink",
            Self::Copy => "copy",
            Self::Hot => "hot",
        })
    }
}

impl std::str::FromStr for Way {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(match text {
            "link" => Self::Link,
            "reflink" => Self::Reflink,
            "copy" => Self::Copy,
            "hot" => Self::Hot,
            _ => {
                return Err(Error::BadName {
                    what: "way to cut",
                    shown: text.to_owned(),
                    problem: "it is none of auto, link, reflink, copy, hot",
                });
            }
        })
    }
}

impl std::str::FromStr for Level {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Ok(match text {
            "L1" | "l1" => Self::L1,
            "L2" | "l2" => Self::L2,
            "L3" | "l3" => Self::L3,
            _ => {
                return Err(Error::BadName {
                    what: "verification level",
                    shown: text.to_owned(),
                    problem: "it is none of L1, L2, L3",
                });
            }
        })
    }
}

impl Manifest {
    /// Whether a torn log is what one expects: nobody stopped the engine in order.
    pub fn may_be_torn(&self) -> bool {
        !self.clean || self.way == Way::Hot
    }

    /// Reads and checks the manifest of the snapshot in `directory`.
    pub fn load(directory: &Path) -> Result<Self, Error> {
        Self::read(&directory.join(FILE))
    }

    /// Reads and checks a manifest that lies anywhere.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let refuse = |detail: String| Error::Record {
            path: path.to_owned(),
            detail,
        };
        let metadata = fs::symlink_metadata(path).map_err(Error::io("read", path))?;
        if !metadata.is_file() || metadata.len() > LARGEST {
            return Err(refuse("it is no file of a sensible size".to_owned()));
        }
        let open = || fs::File::open(path).map(|file| BufReader::with_capacity(BUFFER, file));
        let parsed = serde_json::from_reader(open().map_err(Error::io("read", path))?);
        if let Err(error) = &parsed
            && error.is_io()
        {
            let source = io::Error::from(error.io_error_kind().unwrap_or(io::ErrorKind::Other));
            return Err(Error::io("read", path)(source));
        }
        Self::checked(parsed, || {
            let file = open().map_err(|error| error.to_string())?;
            serde_json::from_reader(file).map_err(|error| error.to_string())
        })
        .map_err(refuse)
    }

    /// Reads and checks the content of a manifest; says what is wrong with it.
    pub(super) fn parse(content: &[u8]) -> Result<Self, String> {
        Self::checked(serde_json::from_slice(content), || {
            serde_json::from_slice(content).map_err(|error| error.to_string())
        })
    }

    /// What was read, if it is sound. A newer format may have any fields, so where the whole cannot be read, `head` is.
    fn checked(
        parsed: Result<Self, serde_json::Error>,
        head: impl FnOnce() -> Result<Head, String>,
    ) -> Result<Self, String> {
        let format = match &parsed {
            Ok(manifest) => manifest.format,
            Err(_) => head()?.format,
        };
        if format != FORMAT {
            return Err(format!(
                "it has format {format} and this program reads format {FORMAT}"
            ));
        }
        let mut manifest = parsed.map_err(|error| error.to_string())?;
        if manifest.compute_digest() != manifest.digest {
            return Err("its digest is wrong: it was damaged or changed".to_owned());
        }
        manifest.check()?;
        Ok(manifest)
    }

    /// Writes it durably into `directory`.
    pub fn store(&mut self, directory: &Path) -> Result<(), Error> {
        self.digest = self.compute_digest();
        self.store_as_it_is(directory)
    }

    /// The same for one that was read, and so has its digest.
    pub(super) fn store_as_it_is(&self, directory: &Path) -> Result<(), Error> {
        let path = directory.join(FILE);
        let write = |file: &mut fs::File| self.write(file);
        Ok(crate::durable::write_with(&path, 0o600, write)?)
    }

    /// Writes the file's content, which may be long, piece by piece.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        let mut to = BufWriter::with_capacity(BUFFER, to);
        serde_json::to_writer_pretty(&mut to, self)?;
        to.write_all(b"\n")?;
        to.flush()
    }

    /// Fails unless this snapshot is of the same workload: the kind, and every fact of `identity` that both know.
    pub fn refuse_other(&self, wanted: &Workload) -> Result<(), Error> {
        let mismatch = |what: &str, found: &str, wanted: &str| Error::Mismatch {
            name: self.name.to_string(),
            what: what.to_owned(),
            found: found.to_owned(),
            wanted: wanted.to_owned(),
        };
        if self.workload.kind != wanted.kind {
            return Err(mismatch("workload kind", &self.workload.kind, &wanted.kind));
        }
        for (what, wanted) in &wanted.identity {
            let found = self
                .workload
                .identity
                .get(what)
                .map_or("none", String::as_str);
            if found != wanted {
                return Err(mismatch(what, found, wanted));
            }
        }
        Ok(())
    }

    /// The digest is left as it is; the list of files may be long, so neither it nor its text is copied.
    fn compute_digest(&mut self) -> String {
        let digest = std::mem::take(&mut self.digest);
        let mut hasher = BufWriter::with_capacity(BUFFER, blake3::Hasher::new());
        // A struct of plain fields always serialises, and a hasher takes everything.
        let _ = serde_json::to_writer(&mut hasher, self);
        self.digest = digest;
        let hasher = hasher.into_inner().expect("a hasher takes everything");
        hasher.finalize().to_hex().to_string()
    }

    /// What a stranger could have written and a restore must not follow.
    fn check(&self) -> Result<(), String> {
        let mut directories = BTreeSet::new();
        let mut before: Option<RelativePath> = None;
        for file in &self.files {
            let path = &file.path;
            if before.is_none() != path.is_root() {
                return Err(format!("the entry {path} is not where the root should be"));
            }
            if before.is_some_and(|before| !before.is_root() && before >= *path) {
                return Err(format!("the entry {path} is out of order or there twice"));
            }
            // A file below a symbolic link would be written wherever the link leads.
            if path
                .parent()
                .is_some_and(|parent| !directories.contains(&parent))
            {
                return Err(format!(
                    "the entry {path} is not in a directory of the snapshot"
                ));
            }
            match (file.kind, &file.blake3, &file.target) {
                (Kind::Directory, None, None) => {
                    directories.insert(path.clone());
                }
                (Kind::Symlink, None, Some(_)) => {}
                (Kind::Symlink | Kind::Directory, ..) => {
                    return Err(format!("the entry {path} contradicts itself"));
                }
                (_, Some(_), None) => {}
                _ => return Err(format!("the entry {path} has no hash")),
            }
            before = Some(file.path);
        }
        for directory in self
            .databases
            .iter()
            .map(|db| &db.path)
            .chain(&self.include)
        {
            if !directories.contains(directory) {
                return Err(format!(
                    "the directory {directory} is not among the entries"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
