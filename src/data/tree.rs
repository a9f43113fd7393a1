//! What is in a directory: every file, directory and symbolic link, none of them followed.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::control::Control;
use super::error::Error;
use super::path::RelativePath;
use super::walk::{self, Seen};

/// Names that start so are ours (stores, staged trees): never part of a snapshot.
pub const RESERVED: &str = ".ostler-";

/// Which inode a name stands for, and how large it is: two that are equal in all three are the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Device.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
}

/// What a copy takes over from the original.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Attributes {
    /// Permission bits, with set-id and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last change, seconds since 1970.
    pub mtime: i64,
    /// The nanoseconds of it.
    pub mtime_nanos: i64,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link and where it points.
    Symlink(String),
}

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub path: RelativePath,
    /// What it is.
    pub node: Node,
    /// Which inode it is.
    pub identity: Identity,
    /// Bytes on disk.
    pub allocated: u64,
    /// How many names the inode has.
    pub links: u64,
    /// Mode, owner, times.
    pub attributes: Attributes,
}

/// A tree: the entries by path, the root first, each directory before what is in it; and what was left out.
#[derive(Debug, Default)]
pub struct Tree {
    /// What is there.
    pub entries: Vec<Entry>,
    /// What was left out by the caller's choice.
    pub excluded: Vec<RelativePath>,
    /// Sockets, pipes and devices: not data.
    pub special: Vec<RelativePath>,
}

impl Identity {
    /// From what the system says of a file.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
        }
    }
}

impl Attributes {
    /// From what the system says of a file.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            mtime: metadata.mtime(),
            mtime_nanos: metadata.mtime_nsec(),
        }
    }
}

impl Tree {
    /// Walks `root`. `skip` is asked for every path below it. A name that vanishes during the walk is not there.
    pub fn walk(
        root: &Path,
        skip: &dyn Fn(&RelativePath) -> bool,
        control: &Control,
    ) -> Result<Self, Error> {
        let mut tree = Self::default();
        walk::walk(root, skip, control, &mut |seen| {
            match seen {
                Seen::Entry(entry) => tree.entries.push(entry),
                Seen::Excluded(path) => tree.excluded.push(path),
                Seen::Special(path) => tree.special.push(path),
            }
            Ok(())
        })?;
        Ok(tree)
    }
}

/// Where a symbolic link points, as text.
pub fn target(path: &Path) -> Result<String, Error> {
    let target = fs::read_link(path).map_err(Error::io("read link", path))?;
    target
        .into_os_string()
        .into_string()
        .map_err(|_| Error::Place {
            path: path.to_owned(),
            problem: "its target is not UTF-8, so a manifest cannot hold it",
        })
}

/// Removes a tree: renamed to `.discard` first, so that an interrupted removal is known as one, then entry by entry.
pub fn discard(path: &Path, control: &mut Control) -> Result<(), Error> {
    let doomed = discard_name(path);
    match fs::symlink_metadata(path) {
        Ok(_) => {
            // What an earlier removal left under that name goes first.
            remove(&doomed, control)?;
            crate::durable::rename(path, &doomed)?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::io("read", path)(error)),
    }
    remove(&doomed, control)
}

/// The name under which [`discard`] removes `path`.
pub fn discard_name(path: &Path) -> std::path::PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".discard");
    path.with_file_name(name)
}

/// Removes a file or tree, entry by entry, following nothing: also where whoever owns it puts links in the place of
/// directories meanwhile. What is not there is removed already.
pub fn remove(path: &Path, control: &mut Control) -> Result<(), Error> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let name = path.file_name().ok_or_else(|| Error::Place {
        path: path.to_owned(),
        problem: "it has no name by which it could be removed",
    })?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(parent, flags, Mode::empty()) {
        Ok(parent) => remove_at(parent.as_fd(), name, path, control),
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(Error::io("open", parent)(errno.into())),
    }
}

fn remove_at(
    parent: BorrowedFd<'_>,
    name: &OsStr,
    path: &Path,
    control: &mut Control,
) -> Result<(), Error> {
    control.check()?;
    let failed = |errno: Errno| Err(Error::io("remove", path)(errno.into()));
    let refused = match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        // A directory, or a file that may not be removed.
        Err(errno @ (Errno::ISDIR | Errno::PERM)) => errno,
        Err(errno) => return failed(errno),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Ok(opened) => opened,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => return failed(refused),
        Err(errno) => return Err(Error::io("list", path)(errno.into())),
    };
    let listed = |errno: Errno| Error::io("list", path)(errno.into());
    let mut directory = Dir::new(opened).map_err(listed)?;
    while let Some(entry) = directory.read() {
        let entry = entry.map_err(listed)?;
        let inner = OsStr::from_bytes(entry.file_name().to_bytes());
        if inner != "." && inner != ".." {
            let below = path.join(inner);
            remove_at(directory.fd().map_err(listed)?, inner, &below, control)?;
        }
    }
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => failed(errno),
    }
}

/// Moves a tree to where nothing is: by a rename, or from another filesystem by a copy that is durable before this
/// returns; the original then stays.
pub fn rename_or_copy(from: &Path, to: &Path, control: &mut Control) -> Result<(), Error> {
    use super::Carry;
    use std::os::unix::fs::DirBuilderExt;

    match rustix::fs::renameat_with(
        rustix::fs::CWD,
        from,
        rustix::fs::CWD,
        to,
        rustix::fs::RenameFlags::NOREPLACE,
    ) {
        Ok(()) => {}
        Err(rustix::io::Errno::XDEV) => {
            let mut builder = fs::DirBuilder::new();
            builder
                .mode(0o700)
                .create(to)
                .map_err(Error::io("create", to))?;
            Carry::new(from, to, []).round(control)?;
            let metadata = fs::metadata(from).map_err(Error::io("read", from))?;
            let directory = fs::File::open(to).map_err(Error::io("open", to))?;
            super::place::dress(&directory, to, Some(&Attributes::of(&metadata)))?;
        }
        Err(errno) => return Err(Error::io("rename", from)(errno.into())),
    }
    match to.parent() {
        Some(parent) => Ok(crate::durable::sync_directory(parent)?),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_tree_is_removed_and_what_its_links_lead_to_is_not() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for directory in ["tree/deep/deeper", "elsewhere"] {
            fs::create_dir_all(at(directory)).unwrap();
        }
        for file in ["tree/a", "tree/deep/deeper/b", "elsewhere/c"] {
            fs::File::create(at(file)).unwrap();
        }
        symlink(at("elsewhere"), at("tree/deep/link")).unwrap();
        symlink("nowhere", at("tree/dangling")).unwrap();
        let control = &mut Control::unlimited();
        remove(&at("tree"), control).unwrap();
        remove(&at("tree"), control).unwrap();
        remove(&at("not/there"), control).unwrap();
        symlink(at("elsewhere"), at("tree")).unwrap();
        remove(&at("tree"), control).unwrap();
        assert!(fs::symlink_metadata(at("tree")).is_err());
        assert!(at("elsewhere/c").exists());
    }
}
