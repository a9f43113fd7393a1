//! Whether a tree fits whose size is known only at its end.

use std::io;
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
    /// What the system said then.
    refusal: Option<io::Error>,
}

/// Whether that says that there is no room.
pub(crate) fn is_about_room(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
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
            refusal: None,
        }
    }

    /// Fails where there are not even so many bytes: the tree is known to have more.
    pub(crate) fn demand_more_than(&self, bytes: u64) -> Result<(), Error> {
        let available = self.free()?.bytes;
        let needed = bytes.saturating_add(self.reserve);
        match available > needed {
            true => Ok(()),
            false => Err(Error::NoSpace {
                path: self.path.clone(),
                needed,
                available,
            }),
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
                self.is_full(tree, None)?;
            }
        }
        Ok(self.full.is_none())
    }

    /// Notes that there is no room for the last of `tree`, and what the system said of it.
    pub(crate) fn is_full(
        &mut self,
        tree: &Measure,
        refusal: Option<io::Error>,
    ) -> Result<(), Error> {
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
        (self.full, self.refusal) = (Some(all), refusal);
        Ok(())
    }

    /// Says what is missing, now that all of `tree` is known.
    pub(crate) fn demand(&mut self, tree: &Measure) -> Result<(), Error> {
        let path = || self.path.clone();
        let needed = blocks(tree).saturating_add(self.reserve);
        let refusal = self.refusal.take();
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
            Some(Free { bytes, .. }) => Err(match refusal {
                // The free bytes do not explain it: a quota, or what is kept for others.
                Some(source) if bytes >= needed => Error::Refused {
                    path: path(),
                    needed,
                    source,
                },
                _ => Error::NoSpace {
                    path: path(),
                    needed,
                    available: bytes,
                },
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
        room.is_full(&of(1, 1), None).unwrap();
        assert!(!room.holds(1, &of(1, 1)).unwrap());
        assert!(room.demand(&of(1, 1)).is_err());
    }

    #[test]
    fn a_quota_is_told_and_not_that_there_is_room() {
        let place = tempfile::tempdir().unwrap();
        let mut room = Room::of(place.path(), 0);
        let quota = io::Error::from(rustix::io::Errno::DQUOT);
        assert!(is_about_room(&quota));
        room.is_full(&of(1, 1), Some(quota)).unwrap();
        let told = room.demand(&of(1, 1)).unwrap_err().to_string();
        assert!(
            told.contains("takes no more") && told.contains("quota"),
            "{told}"
        );
    }

    #[test]
    fn what_cannot_fit_is_refused_before_it_is_begun() {
        let place = tempfile::tempdir().unwrap();
        Room::of(place.path(), 0).demand_more_than(1).unwrap();
        let told = Room::of(place.path(), u64::MAX).demand_more_than(7);
        assert!(matches!(
            told,
            Err(Error::NoSpace {
                needed: u64::MAX,
                ..
            })
        ));
    }
}
