//! The store: where a workload's snapshots live.
//!
//! `<store>/<name>/` holds `data/` and `manifest.json`, and `bad` once the snapshot was found damaged. What ends in
//! `.partial` was never finished and what ends in `.discard` was being removed: whoever gets the lock sweeps both.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

use crate::protocol::Name;

use super::control::Control;
use super::error::Error;
use super::manifest::{self, Manifest};
use super::summary::Summary;
use super::tree::{self, Node, RESERVED};
use super::walk::{self, Seen};

const PARTIAL: &str = ".partial";
const DISCARD: &str = ".discard";
const BAD: &str = "bad";
const LOCK: &str = "lock";

/// How often a lock that somebody else has is tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// A directory of snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    path: PathBuf,
}

/// The right to change a store; one at a time, across processes. It ends when this is dropped.
#[derive(Debug)]
pub struct Exclusive {
    store: Store,
    _lock: Flock<File>,
}

/// Keeps a snapshot from being removed, across processes, until it is dropped.
#[derive(Debug)]
pub struct Pin {
    _lock: Flock<File>,
}

/// How many bytes would come free with a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// Blocks whose every name is in this snapshot.
    Exact(u64),
    /// The snapshot shares blocks with others, unseen from outside (reflink): its size is the most there can be.
    AtMost(u64),
}

/// A snapshot in the store.
#[derive(Debug)]
pub struct Stored {
    /// Its name.
    pub name: Name,
    /// What its manifest says, or why it cannot be used.
    pub manifest: Result<Summary, String>,
    /// Why it was marked bad, if it was.
    pub bad: Option<String>,
    /// What it takes.
    pub space: Space,
    /// Somebody reads it, so it cannot be removed now.
    pub pinned: bool,
}

impl Stored {
    /// Whether a restore may use it.
    pub fn is_good(&self) -> bool {
        self.bad.is_none() && self.manifest.is_ok()
    }
}

impl Store {
    /// The store that belongs to a data directory unless the configuration says otherwise: beside it, so on the same
    /// filesystem except where the data directory is a mount point.
    pub fn beside(data: &Path) -> Result<PathBuf, Error> {
        let data = fs::canonicalize(data).map_err(Error::io("find", data))?;
        match (data.parent(), data.file_name()) {
            (Some(parent), Some(name)) => Ok(parent.join(format!("{RESERVED}store")).join(name)),
            _ => Err(Error::Place {
                path: data,
                problem: "the root directory has nothing beside it: configure the store",
            }),
        }
    }

    /// Opens the store at `path`, which is made if it is not there.
    pub fn open(path: &Path) -> Result<Self, Error> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(Error::io("create", path))?;
        Ok(Self {
            path: fs::canonicalize(path).map_err(Error::io("find", path))?,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the snapshot `name` is or would be.
    pub fn snapshot(&self, name: &Name) -> PathBuf {
        self.path.join(name.as_str())
    }

    /// The journal of an exchange of this workload's data.
    pub fn exchange_journal(&self) -> PathBuf {
        self.path.join("exchange.json")
    }

    /// Whether anybody has ever worked in it. A directory that is there for a disk to be mounted on is no store yet.
    pub fn is_in_use(&self) -> bool {
        self.path.join(LOCK).exists()
    }

    /// Takes the lock and sweeps what interrupted work left behind. Whoever has it is waited for as long as `control`
    /// has patience.
    pub fn lock(&self, control: &mut Control) -> Result<Exclusive, Error> {
        let path = self.path.join(LOCK);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        let begun = Instant::now();
        let lock = loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => break lock,
                Err((unlocked, nix::errno::Errno::EWOULDBLOCK)) => file = unlocked,
                Err((_, errno)) => return Err(Error::io("lock", &path)(errno.into())),
            }
            if begun.elapsed() >= control.patience() {
                return Err(Error::Busy {
                    path: self.path.clone(),
                });
            }
            control.check()?;
            thread::sleep(PAUSE);
        };
        let exclusive = Exclusive {
            store: self.clone(),
            _lock: lock,
        };
        exclusive.sweep(control)?;
        Ok(exclusive)
    }

    /// Every sealed snapshot, oldest first.
    pub fn list(&self) -> Result<Vec<Stored>, Error> {
        let mut list = Vec::new();
        for name in self.names()? {
            // One that is being removed meanwhile is not there.
            if self.snapshot(&name).exists() {
                list.push(self.look(name)?);
            }
        }
        list.sort_by_key(|stored| {
            let sequence = stored
                .manifest
                .as_ref()
                .map(|manifest| manifest.sequence)
                .unwrap_or(0);
            (sequence, stored.name.clone())
        });
        Ok(list)
    }

    /// Whether a sealed snapshot of that name is there.
    pub fn holds(&self, name: &Name) -> bool {
        !is_leftover(name.as_str()) && self.snapshot(name).is_dir()
    }

    /// The number and name of the newest snapshot that has a manifest.
    pub fn newest(&self) -> Result<Option<(u64, Name)>, Error> {
        let sequence = |name: &Name| Manifest::load(&self.snapshot(name)).ok();
        let names = self.names()?.into_iter();
        let numbered = names.filter_map(|name| Some((sequence(&name)?.sequence, name)));
        Ok(numbered.max())
    }

    /// The name of the newest snapshot that is not known to be bad.
    pub fn newest_good(&self) -> Result<Option<Name>, Error> {
        let mut newest = None;
        for name in self.names()? {
            if let (None, Ok(manifest)) = (self.bad(&name)?, Manifest::load(&self.snapshot(&name)))
            {
                newest = newest.max(Some((manifest.sequence, name)));
            }
        }
        Ok(newest.map(|(_, name)| name))
    }

    /// One snapshot for use: refused when it is marked bad or its manifest cannot be used.
    pub fn get(&self, name: &Name) -> Result<Manifest, Error> {
        if let Some(reason) = self.bad(name)? {
            return Err(Error::Bad {
                name: name.to_string(),
                reason,
            });
        }
        Manifest::load(&self.snapshot(name))
    }

    /// Why a snapshot is marked bad, if it is.
    pub fn bad(&self, name: &Name) -> Result<Option<String>, Error> {
        let path = self.snapshot(name).join(BAD);
        match fs::read_to_string(&path) {
            Ok(reason) => Ok(Some(reason.trim_end().to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    /// Keeps a snapshot from being removed while it is read; any number may read it.
    pub fn pin(&self, name: &Name) -> Result<Pin, Error> {
        // The lock is on the directory, not on the manifest, which may be replaced; nothing is written. Who looks
        // whether it is pinned holds it for an instant, so that one may wait for it.
        let path = self.snapshot(name).join("data");
        let data = File::open(&path).map_err(Error::io("open", &path))?;
        match Flock::lock(data, FlockArg::LockShared) {
            // It may have been renamed, to be removed, just before it was locked.
            Ok(_) if !path.exists() => Err(Error::Busy {
                path: self.path.clone(),
            }),
            Ok(lock) => Ok(Pin { _lock: lock }),
            Err((_, errno)) => Err(Error::io("lock", &path)(errno.into())),
        }
    }

    /// Whether somebody reads a snapshot.
    fn is_pinned(&self, name: &Name) -> bool {
        let data = File::open(self.snapshot(name).join("data"));
        data.is_ok_and(|data| {
            matches!(
                Flock::lock(data, FlockArg::LockExclusiveNonblock),
                Err((_, nix::errno::Errno::EWOULDBLOCK))
            )
        })
    }

    /// Marks a snapshot bad, durably; its data is not touched.
    pub fn mark_bad(&self, name: &Name, reason: &str) -> Result<(), Error> {
        let path = self.snapshot(name).join(BAD);
        Ok(crate::durable::write(
            &path,
            format!("{reason}\n").as_bytes(),
            0o600,
        )?)
    }

    /// Adds times that were known only after the seal.
    pub fn amend_timings(&self, name: &Name, timings: manifest::Timings) -> Result<(), Error> {
        let directory = self.snapshot(name);
        let mut manifest = Manifest::load(&directory)?;
        manifest.timings = timings;
        manifest.store(&directory)
    }

    fn names(&self) -> Result<Vec<Name>, Error> {
        let mut names = Vec::new();
        for item in fs::read_dir(&self.path).map_err(Error::io("list", &self.path))? {
            let item = item.map_err(Error::io("list", &self.path))?;
            let is_directory = item
                .file_type()
                .map_err(Error::io("read", &item.path()))?
                .is_dir();
            let name = item
                .file_name()
                .into_string()
                .ok()
                .filter(|name| !is_leftover(name));
            if let Some(name) = name
                .filter(|_| is_directory)
                .and_then(|name| name.parse().ok())
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn look(&self, name: Name) -> Result<Stored, Error> {
        let directory = self.snapshot(&name);
        let manifest = match Manifest::load(&directory) {
            Ok(manifest) => Ok(Summary::of(&manifest)),
            Err(error) => Err(error.to_string()),
        };
        Ok(Stored {
            bad: self.bad(&name)?,
            pinned: self.is_pinned(&name),
            space: space(&directory, manifest.as_ref().ok())?,
            manifest,
            name,
        })
    }
}

impl Exclusive {
    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Removes a snapshot, entry by entry; refused while somebody reads it.
    pub fn remove(&self, name: &Name, control: &mut Control) -> Result<(), Error> {
        if self.store.is_pinned(name) {
            return Err(Error::Busy {
                path: self.store.snapshot(name),
            });
        }
        tree::discard(&self.store.snapshot(name), control)
    }

    /// The name under which `name` is built.
    pub(super) fn partial(&self, name: &Name) -> Result<PathBuf, Error> {
        let path = self.store.snapshot(name);
        if is_leftover(name.as_str()) || name.as_str() == LOCK {
            return Err(Error::BadName {
                what: "snapshot name",
                shown: name.to_string(),
                problem: "the store uses it itself",
            });
        }
        if fs::symlink_metadata(&path).is_ok() {
            return Err(Error::Exists { path });
        }
        Ok(self.store.path.join(format!("{name}{PARTIAL}")))
    }

    /// Gives what was built as `partial` its name, durably.
    pub(super) fn seal(&self, partial: &Path, name: &Name) -> Result<(), Error> {
        Ok(crate::durable::rename(partial, &self.store.snapshot(name))?)
    }

    fn sweep(&self, control: &mut Control) -> Result<(), Error> {
        let path = &self.store.path;
        for item in fs::read_dir(path).map_err(Error::io("list", path))? {
            let item = item.map_err(Error::io("list", path))?;
            let name = item.file_name();
            let name = name.to_string_lossy();
            if name.ends_with(DISCARD) {
                tree::remove(&item.path(), control)?;
            } else if name.ends_with(PARTIAL) {
                tree::discard(&item.path(), control)?;
            }
        }
        Ok(())
    }
}

fn is_leftover(name: &str) -> bool {
    name.ends_with(PARTIAL) || name.ends_with(DISCARD)
}

/// Blocks that only this snapshot names: an inode counts when all its names were found inside.
fn space(directory: &Path, summary: Option<&Summary>) -> Result<Space, Error> {
    let mut alone = 0u64;
    // Those with more than one name, of which few are inside: the inode, its names, its bytes.
    let mut shared = Vec::<((u64, u64), u32, u64)>::new();
    walk::walk(directory, &|_| false, &Control::unlimited(), &mut |seen| {
        let Seen::Entry(entry) = seen else {
            return Ok(());
        };
        // A directory's links are its subdirectories; it is never shared.
        if entry.links == 1 || entry.node == Node::Directory {
            alone = alone.saturating_add(entry.allocated);
            return Ok(());
        }
        let key = (entry.identity.device, entry.identity.inode);
        let links = u32::try_from(entry.links).unwrap_or(u32::MAX);
        shared.push((key, links, entry.allocated));
        Ok(())
    })?;
    shared.sort_unstable();
    let inodes = shared.chunk_by(|one, other| one.0 == other.0);
    let whole = inodes.filter(|names| names.len() >= names[0].1 as usize);
    let alone = whole.fold(alone, |sum, names| sum.saturating_add(names[0].2));
    Ok(match summary.is_some_and(|summary| summary.reflinked) {
        true => Space::AtMost(alone),
        false => Space::Exact(alone),
    })
}
