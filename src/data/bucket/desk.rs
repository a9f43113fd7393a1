//! The desk: the directory in a store where uploads and fetches keep what they work with.
//!
//! `<store>/.bucket/` outlives an interruption: what was fetched is not fetched again. Its name begins with a dot, so
//! it is no snapshot, and the store's sweep leaves it alone.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

use super::super::control::Control;
use super::super::error::Error;
use super::super::store::Store;
use super::super::tree;

/// Its name in the store.
const DIRECTORY: &str = ".bucket";

/// How long one that was just given up has to let go.
const PATIENCE: Duration = Duration::from_secs(2);

const PAUSE: Duration = Duration::from_millis(20);

/// One at a time, across processes: the lock ends when this is dropped.
#[derive(Debug)]
pub(super) struct Desk {
    path: PathBuf,
    _lock: Flock<File>,
}

impl Desk {
    /// Takes the desk and clears what an interrupted upload had staged.
    pub fn open(store: &Store, control: &mut Control) -> Result<Self, Error> {
        let path = store.path().join(DIRECTORY);
        make(&path)?;
        let mut directory = File::open(&path).map_err(Error::io("open", &path))?;
        let begun = Instant::now();
        let lock = loop {
            control.check()?;
            match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => break lock,
                Err((_, nix::errno::Errno::EWOULDBLOCK))
                    if begun.elapsed() > control.patience().max(PATIENCE) =>
                {
                    return Err(Error::Busy { path });
                }
                Err((unlocked, nix::errno::Errno::EWOULDBLOCK)) => directory = unlocked,
                Err((_, errno)) => return Err(Error::io("lock", &path)(errno.into())),
            }
            thread::sleep(PAUSE);
        };
        let desk = Self { path, _lock: lock };
        desk.clear(control)?;
        Ok(desk)
    }

    /// Where the manifests of the bucket are mirrored.
    pub fn mirror(&self) -> PathBuf {
        self.path.join("manifests")
    }

    /// Where objects are fetched to.
    pub fn fetched(&self) -> PathBuf {
        objects(&self.path)
    }

    /// An empty directory for one call of rclone.
    pub fn stage(&self, control: &mut Control) -> Result<PathBuf, Error> {
        self.clear(control)?;
        let staged = self.staged();
        make(&staged)?;
        Ok(staged)
    }

    /// A file for one call of rclone, with this content.
    pub fn file(&self, content: &[u8]) -> Result<PathBuf, Error> {
        self.file_with(|to| to.write_all(content))
    }

    /// The same with what `fill` writes.
    pub fn file_with(
        &self,
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<PathBuf, Error> {
        let path = self.path.join("file");
        crate::durable::write_with(&path, 0o600, |file| fill(file))?;
        Ok(path)
    }

    fn staged(&self) -> PathBuf {
        self.path.join("staged")
    }

    fn clear(&self, control: &mut Control) -> Result<(), Error> {
        tree::remove(&self.staged(), control)
    }
}

/// Where objects are fetched to, as [`Desk::fetched`], for whoever only looks.
pub(super) fn fetched(store: &Store) -> PathBuf {
    objects(&store.path().join(DIRECTORY))
}

fn objects(desk: &Path) -> PathBuf {
    desk.join("objects")
}

/// Makes a directory, and those above it, where it is not there yet.
pub(super) fn make(path: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(Error::io("create", path))
}

/// Names the file at `target` as `name` below `staged`, by a symbolic link: an inode that a snapshot shares with live
/// data is read through it and never touched.
pub(super) fn point(staged: &Path, name: &str, target: &Path) -> Result<(), Error> {
    let link = staged.join(name);
    if let Some(parent) = link.parent() {
        make(parent)?;
    }
    let target = fs::canonicalize(target).map_err(Error::io("find", target))?;
    std::os::unix::fs::symlink(&target, &link).map_err(Error::io("create link", &link))
}
