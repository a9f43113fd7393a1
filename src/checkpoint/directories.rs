//! The directories of a tree that is being made.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::Error;
use super::tree::Owner;

/// So many stay open: all of one miner's.
const OPEN: usize = 192;

/// The directories of a tree, each by its descriptor: a path is only ever resolved from the directory above, so whatever is put
/// in the place of one meanwhile nothing is made anywhere else.
pub(crate) struct Directories<'a> {
    root: &'a Path,
    owner: &'a Owner,
    /// The root, open since there was nothing in it: what fails to reach the disk from then on is told by its `syncfs`.
    top: OwnedFd,
    open: HashMap<String, OwnedFd>,
    made: u64,
}

impl<'a> Directories<'a> {
    /// Makes the root, which must not be there yet. Nobody else gets in before it is handed over.
    pub(crate) fn create(root: &'a Path, owner: &'a Owner) -> Result<Self, Error> {
        let failed = |errno: Errno| error("make", root, errno.into());
        rustix::fs::mkdir(root, Mode::RWXU).map_err(failed)?;
        let top = rustix::fs::open(root, directory(), Mode::empty()).map_err(failed)?;
        Ok(Self {
            root,
            owner,
            top,
            open: HashMap::new(),
            made: 1,
        })
    }

    /// The root once more. What failed to reach the disk is told through one of the two.
    pub(crate) fn top(&self) -> io::Result<OwnedFd> {
        self.top.try_clone()
    }

    /// How many were made, the root included.
    pub(crate) fn made(&self) -> u64 {
        self.made
    }

    /// Where something in them is.
    pub(crate) fn path(&self, inside: &str, name: &str) -> PathBuf {
        self.root.join(inside).join(name)
    }

    /// Makes a directory where it is not there yet, and those above it.
    pub(crate) fn ensure(&mut self, inside: &str) -> Result<(), Error> {
        if inside.is_empty() || self.open.contains_key(inside) {
            return Ok(());
        }
        if self.open.len() >= OPEN {
            self.open.clear();
        }
        let (above, name) = inside.rsplit_once('/').unwrap_or(("", inside));
        self.ensure(above)?;
        let made = self.make(above, name);
        let made = made.map_err(|source| error("make", &self.path(above, name), source))?;
        self.open.insert(inside.to_owned(), made);
        Ok(())
    }

    fn make(&mut self, above: &str, name: &str) -> io::Result<OwnedFd> {
        let above = self.at(above);
        let is_new = match rustix::fs::mkdirat(above, name, self.directory_mode()) {
            Ok(()) => true,
            // It was made before and closed since.
            Err(Errno::EXIST) => false,
            Err(errno) => return Err(errno.into()),
        };
        let opened = rustix::fs::openat(above, name, directory(), Mode::empty())?;
        if is_new {
            self.hand_over(opened.as_fd(), self.directory_mode())?;
            self.made += 1;
        }
        Ok(opened)
    }

    /// Makes a file in a directory, and that directory where it is not there yet.
    pub(crate) fn make_file(&mut self, inside: &str, name: &str) -> Result<File, Error> {
        self.ensure(inside)?;
        let mode = Mode::from_raw_mode(self.owner.file_mode);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = rustix::fs::openat(self.at(inside), name, flags, mode);
        let made = made.map_err(io::Error::from).and_then(|made| {
            self.hand_over(made.as_fd(), mode)?;
            Ok(File::from(made))
        });
        made.map_err(|source| error("make", &self.path(inside, name), source))
    }

    /// Gives the root to its owner, when all is there.
    pub(crate) fn hand_over_root(self) -> Result<File, Error> {
        self.hand_over(self.top.as_fd(), self.directory_mode())
            .map_err(|source| error("set owner of", self.root, source))?;
        Ok(self.top.into())
    }

    /// The owner and the mode of a file or directory, where it does not have them: a umask takes from the mode, and a
    /// directory that hands its group down gives another one.
    fn hand_over(&self, made: BorrowedFd<'_>, mode: Mode) -> io::Result<()> {
        let about = rustix::fs::fstat(made)?;
        let uid = self.owner.uid.filter(|uid| *uid != about.st_uid);
        let gid = self.owner.gid.filter(|gid| *gid != about.st_gid);
        if uid.is_some() || gid.is_some() {
            let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
            rustix::fs::fchown(made, uid, gid)?;
        }
        if about.st_mode & 0o7777 != mode.as_raw_mode() {
            rustix::fs::fchmod(made, mode)?;
        }
        Ok(())
    }

    fn directory_mode(&self) -> Mode {
        Mode::from_raw_mode(self.owner.directory_mode)
    }

    /// One that is open: [`Directories::ensure`] comes before.
    fn at(&self, inside: &str) -> BorrowedFd<'_> {
        self.open.get(inside).unwrap_or(&self.top).as_fd()
    }
}

/// Nothing that was put in the place of a directory.
fn directory() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn error(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn nothing_is_made_where_a_link_was_put_in_the_place_of_a_directory() {
        let place = tempfile::tempdir().unwrap();
        let (root, other) = (place.path().join("tree"), place.path().join("other"));
        fs::create_dir_all(other.join("b")).unwrap();
        let owner = Owner::default();
        let mut directories = Directories::create(&root, &owner).unwrap();
        directories.make_file("a/b", "first").unwrap();
        fs::rename(root.join("a"), place.path().join("away")).unwrap();
        symlink(&other, root.join("a")).unwrap();
        directories.make_file("a/b", "second").unwrap();
        assert!(place.path().join("away/b/second").is_file());
        // One that has to be opened again is not opened through the link either.
        directories.open.clear();
        directories.make_file("a/b", "third").unwrap_err();
        assert_eq!(fs::read_dir(other.join("b")).unwrap().count(), 0);
        assert_eq!(directories.made(), 3);
    }

    #[test]
    fn only_its_owner_gets_into_the_root_before_it_is_handed_over() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("tree");
        let owner = Owner {
            file_mode: 0o600,
            directory_mode: 0o750,
            ..Owner::default()
        };
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        let mut directories = Directories::create(&root, &owner).unwrap();
        directories.make_file("a/b", "c").unwrap();
        assert_eq!(mode(&root), 0o700);
        directories.hand_over_root().unwrap();
        assert_eq!(mode(&root), 0o750);
        assert_eq!(mode(&root.join("a/b")), 0o750);
        assert_eq!(mode(&root.join("a/b/c")), 0o600);
    }
}
