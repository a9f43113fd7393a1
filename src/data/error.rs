//! What can go wrong with directories of bytes.

use std::io;
use std::path::{Path, PathBuf};

use super::control::Interrupted;

/// A failure, on which path, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused something.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done: `open`, `link`, `copy` …
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A durable write failed.
    #[error(transparent)]
    Durable(#[from] crate::durable::Error),
    /// The caller took the work back, or its time was up.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The data itself is not whole, so no copy of it can be.
    #[error("{} is damaged: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The database is open although it should be stopped.
    #[error("{} is open in process {pid}: stop the workload first", path.display())]
    InUse {
        /// The database directory.
        path: PathBuf,
        /// Who holds its lock; 0 when unknown.
        pid: i32,
    },
    /// The filesystem is too full.
    #[error("{} has {available} bytes free and {needed} are needed: {} are missing", path.display(), needed.saturating_sub(*available))]
    NoSpace {
        /// A path on the filesystem.
        path: PathBuf,
        /// Bytes needed, with the reserve.
        needed: u64,
        /// Bytes there are.
        available: u64,
    },
    /// The filesystem has too few file numbers left.
    #[error("{} has {available} inodes free and {needed} are needed", path.display())]
    NoInodes {
        /// A path on the filesystem.
        path: PathBuf,
        /// Inodes needed.
        needed: u64,
        /// Inodes there are.
        available: u64,
    },
    /// The configured way does not work between the data and the store.
    #[error("cannot cut by {way} from {} to {}: {reason}; choose another way, or a store beside the data", data.display(), store.display())]
    WayRefused {
        /// The way.
        way: super::manifest::Way,
        /// The data directory.
        data: PathBuf,
        /// The store.
        store: PathBuf,
        /// What the probe met.
        reason: String,
    },
    /// What is there cannot be captured while it runs.
    #[error("{} cannot be cut hot: {reason}; stop the workload for the cut", path.display())]
    HotRefused {
        /// The database.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A name or path is not of the allowed form.
    #[error("{shown:?} is not a usable {what}: {problem}")]
    BadName {
        /// What it should be.
        what: &'static str,
        /// The name, as given.
        shown: String,
        /// Why it is refused.
        problem: &'static str,
    },
    /// Something of this name is there already.
    #[error("{} exists already", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// The store is not there, or is an empty directory.
    #[error("the store {} is not there: is its disk mounted?", path.display())]
    NoStore {
        /// Where it should be.
        path: PathBuf,
    },
    /// Someone else is at work on the store.
    #[error("the store {} is in use by another operation", path.display())]
    Busy {
        /// The store.
        path: PathBuf,
    },
    /// An exchange of directories is not finished: it was interrupted, or nobody said yet whether the new tree is good.
    #[error("{} records an exchange that is not finished: {}", path.display(), match by_hand {
        true => "accept the new tree or undo it (`ostler store accept`, `ostler store undo`)",
        false => "the next `ostler restore` or `ostler resync` of the workload ends it before anything else; without the agent `ostler store undo` puts the old data back",
    })]
    Pending {
        /// The exchange's journal.
        path: PathBuf,
        /// `ostler store` began it, and waits for a word.
        by_hand: bool,
    },
    /// The places of data and store do not fit each other.
    #[error("{}: {problem}", path.display())]
    Place {
        /// The path that is wrong.
        path: PathBuf,
        /// Why.
        problem: &'static str,
    },
    /// A `manifest.json` or another file of ours cannot be used.
    #[error("{} cannot be used: {detail}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// The snapshot was found damaged.
    #[error("snapshot {name} is bad: {reason}")]
    Bad {
        /// Its name.
        name: String,
        /// What was found.
        reason: String,
    },
    /// There is no rclone to get at a bucket with.
    #[error("cannot run {}: install the Debian package `rclone`", program.display())]
    NoRclone {
        /// The program that was tried.
        program: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// rclone's configuration file is not there, or not one that a secret may be in.
    #[error("rclone's configuration file: {detail}")]
    ConfigFile {
        /// What is wrong with it.
        detail: String,
    },
    /// rclone failed, or was given up.
    #[error("cannot {action} {remote}: rclone: {detail}")]
    Remote {
        /// What was being done: `list`, `send to` …
        action: &'static str,
        /// Where.
        remote: String,
        /// What rclone complained of.
        detail: String,
    },
    /// The bucket has another snapshot of this name.
    #[error(
        "{place} is that of another snapshot called {name}: give each device a place of its own in the bucket"
    )]
    InBucket {
        /// The snapshot's name.
        name: String,
        /// Where its manifest is.
        place: String,
    },
    /// What is in the bucket cannot be used.
    #[error("{place} in the bucket cannot be used: {detail}")]
    BadBucket {
        /// Which object.
        place: String,
        /// Why.
        detail: String,
    },
    /// The snapshot is of something else.
    #[error("snapshot {name} has {what} {found}, here it is {wanted}")]
    Mismatch {
        /// Its name.
        name: String,
        /// Network, shard, engine …
        what: String,
        /// What the snapshot says.
        found: String,
        /// What is needed.
        wanted: String,
    },
}

impl Error {
    /// Wraps what the system said, for `map_err`.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match interrupted(&source) {
            Some(reason) => Self::Interrupted(reason),
            None => Self::Io {
                action,
                path,
                source,
            },
        }
    }

    /// What the system said, if it was the system.
    pub(crate) fn kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } => Some(source.kind()),
            Self::Durable(error) => Some(error.source.kind()),
            _ => None,
        }
    }
}

/// A reader that hashes and throttles can only give `io::Error`; this finds the interruption inside.
fn interrupted(error: &io::Error) -> Option<Interrupted> {
    error.get_ref()?.downcast_ref::<Interrupted>().copied()
}
