//! Whether a tree fits whose size is known only at its end.

use std::path::{Path, PathBuf};

use super::Error;
use super::tree::Measure;

/// The filesystem is asked again after so many bytes.
const LOOK: u64 = 8 << 20;

/// A file takes up to a block more than its bytes.
const BLOCK: u64 = 4096;

/// The room of a filesystem for a tree that grows in it.
#[derive(Debug)]
pub(crate) struct Room {
    path: PathBuf,
    /// Bytes that have to stay free.
    reserve: u64,
    /// Bytes that were let through since the filesystem was asked last.
    since: u64,
    /// What there was before the tree.
    first: Option<Free>,
    /// What there would be without the tree, once that is too little.
    full: Option<Free>,
}

/// What a filesystem has left.
#[derive(Clone, Copy, Debug)]
struct Free {
    bytes: u64,
    /// `None` where it makes them as it goes.
    inodes: Option<u64>,
}

impl Room {
    /// The room of the filesystem that holds `path`.
    pub(crate) fn of(path: &Path, reserve: u64) -> Self {
        Self {
            path: path.to_owned(),
            reserve,
            since: LOOK,
            first: None,
            full: None,
        }
    }

    /// Whether so many bytes may be written to the tree, which comes to `tree` with them.
    pub(crate) fn holds(&mut self, bytes: usize, tree: &Measure) -> Result<bool, Error> {
        self.since += bytes as u64 + BLOCK;
        if self.since >= LOOK && self.full.is_none() {
            self.since = 0;
            let free = self.free()?;
            self.first.get_or_insert(free);
            if free.bytes <= self.reserve || free.inodes == Some(0) {
                self.is_full(tree)?;
            }
        }
        Ok(self.full.is_none())
    }

    /// Notes that there is no room for the last of `tree`.
    pub(crate) fn is_full(&mut self, tree: &Measure) -> Result<(), Error> {
        let free = self.free()?;
        let mut all = Free {
            bytes: free.bytes + blocks(tree),
            inodes: free.inodes.map(|inodes| inodes + entries(tree)),
        };
        // What the tree takes is an estimate. Less than that is there only where somebody else writes too.
        if let Some(first) = self.first {
            all.bytes = all.bytes.min(first.bytes);
            all.inodes = all.inodes.min(first.inodes);
        }
        self.full = Some(all);
        Ok(())
    }

    /// Says what is missing, now that all of `tree` is known.
    pub(crate) fn demand(&self, tree: &Measure) -> Result<(), Error> {
        let path = || self.path.clone();
        match self.full {
            None => Ok(()),
            Some(Free {
                inodes: Some(available),
                ..
            }) if available < entries(tree) => Err(Error::NoInodes {
                path: path(),
                needed: entries(tree),
                available,
            }),
            Some(Free { bytes, .. }) => Err(Error::NoSpace {
                path: path(),
                needed: blocks(tree) + self.reserve,
                available: bytes,
            }),
        }
    }

    fn free(&self) -> Result<Free, Error> {
        let free = rustix::fs::statvfs(&self.path).map_err(|errno| Error::Io {
            action: "look at the space in",
            path: self.path.clone(),
            source: errno.into(),
        })?;
        Ok(Free {
            bytes: free.f_bavail.saturating_mul(free.f_frsize),
            inodes: (free.f_files > 0).then_some(free.f_favail),
        })
    }
}

/// Files, and about one directory for every four of them.
fn entries(tree: &Measure) -> u64 {
    tree.files + tree.files / 4 + 16
}

fn blocks(tree: &Measure) -> u64 {
    tree.bytes + entries(tree) * BLOCK
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: u64, bytes: u64) -> Measure {
        Measure { files, bytes }
    }

    #[test]
    fn it_says_how_much_all_of_the_tree_needs_and_not_how_much_it_had() {
        let place = tempfile::tempdir().unwrap();
        let mut room = Room::of(place.path(), u64::MAX / 2);
        assert!(!room.holds(1, &of(1, 1)).unwrap());
        let told = room.demand(&of(4, 1 << 20)).unwrap_err();
        let needs = u64::MAX / 2 + (1 << 20) + (4 + 1 + 16) * 4096;
        assert!(
            matches!(told, Error::NoSpace { needed, .. } if needed == needs),
            "{told}"
        );
    }

    #[test]
    fn what_fits_is_not_refused_and_what_was_found_full_stays_so() {
        let place = tempfile::tempdir().unwrap();
        let mut room = Room::of(place.path(), 0);
        assert!(room.holds(1, &of(1, 1)).unwrap());
        room.demand(&of(1, 1)).unwrap();
        room.is_full(&of(1, 1)).unwrap();
        assert!(!room.holds(1, &of(1, 1)).unwrap());
        assert!(room.demand(&of(1, 1)).is_err());
    }
}
