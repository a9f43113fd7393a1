//! Putting one file at its place in a copy: by link, by reflink, or byte by byte.
//!
//! The rules hold in this one file: a destination is only ever created and must not exist; a linked inode is never
//! opened for writing and its mode, owner and times are never set; nothing here follows a symbolic link.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, fchmod};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, futimens, utimensat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::control::Control;
use super::error::Error;
use super::tree::{Attributes, Identity};

/// Bytes read and written at once.
const PIECE: usize = 256 * 1024;

/// How a file came to its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The same inode under a second name.
    Link,
    /// An inode of its own that shares its blocks until one side writes.
    Reflink,
    /// An inode and blocks of its own.
    Copy,
    /// Made here: CURRENT, directories, symbolic links.
    Written,
}

/// A file that was put at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// How.
    pub method: Method,
    /// Bytes.
    pub size: u64,
    /// The content's hash, where the bytes passed through our hands.
    pub hash: Option<blake3::Hash>,
}

impl Placed {
    /// A directory or symbolic link that was made.
    pub fn written() -> Self {
        Self {
            method: Method::Written,
            size: 0,
            hash: None,
        }
    }

    /// A second name of an inode.
    pub fn linked(identity: Identity) -> Self {
        Self {
            method: Method::Link,
            size: identity.size,
            hash: None,
        }
    }
}

/// Opens a regular file for reading; a symbolic link in its place is refused.
pub fn open(path: &Path) -> Result<File, Error> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
        .map_err(Error::io("open", path))?;
    if file.metadata().map_err(Error::io("read", path))?.is_file() {
        Ok(file)
    } else {
        Err(Error::Place {
            path: path.to_owned(),
            problem: "it is not a regular file",
        })
    }
}

/// Creates a file that must not exist yet.
pub fn create(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        // Nobody else may read it before it has the owner that it should have.
        .mode(0o600)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(path)
        .map_err(Error::io("create", path))
}

/// Gives `from` a second name. `expected` is checked afterwards: the name may have passed to another file meanwhile.
pub fn link(from: &Path, to: &Path, expected: Identity) -> Result<Placed, Error> {
    fs::hard_link(from, to).map_err(Error::io("link", from))?;
    let linked = fs::symlink_metadata(to).map_err(Error::io("read", to))?;
    if !linked.is_file() || Identity::of(&linked) != expected {
        // Only the name that was just made is removed.
        fs::remove_file(to).map_err(Error::io("remove", to))?;
        return Err(changed(from));
    }
    Ok(Placed::linked(expected))
}

/// Whether a link failed since its inode has as many names as it can have.
pub fn has_no_name_left(error: &Error) -> bool {
    let Error::Io { source, .. } = error else {
        return false;
    };
    source.raw_os_error() == Some(nix::errno::Errno::EMLINK as i32)
}

/// Shares the blocks of `from` with a new file.
pub fn reflink(from: &Path, to: &Path, attributes: Option<&Attributes>) -> Result<Placed, Error> {
    let source = open(from)?;
    let target = create(to)?;
    let cloned = rustix::fs::ioctl_ficlone(&target, &source).map_err(io::Error::from);
    let size = cloned
        .and_then(|()| target.metadata())
        .map_err(Error::io("reflink", from))
        .and_then(|metadata| dress(&target, to, attributes).map(|()| metadata.len()));
    match size {
        Ok(size) => Ok(Placed {
            method: Method::Reflink,
            size,
            hash: None,
        }),
        Err(error) => {
            // An empty file must not be taken for a copy.
            let _ = fs::remove_file(to);
            Err(error)
        }
    }
}

/// Copies the first `limit` bytes of `from` (all of them without a limit) and hashes them on the way. Holes stay holes.
pub fn copy(
    from: &Path,
    to: &Path,
    limit: Option<u64>,
    attributes: Option<&Attributes>,
    control: &mut Control,
) -> Result<Placed, Error> {
    let source = open(from)?;
    let target = create(to)?;
    let copied = copy_bytes(&source, &target, limit, control)
        .map_err(Error::io("copy", from))
        .and_then(|copied| dress(&target, to, attributes).map(|()| copied));
    match copied {
        Ok((size, hash)) => Ok(Placed {
            method: Method::Copy,
            size,
            hash: Some(hash),
        }),
        Err(error) => {
            let _ = fs::remove_file(to);
            Err(error)
        }
    }
}

/// Writes a file of ours.
pub fn write(to: &Path, content: &[u8], attributes: Option<&Attributes>) -> Result<Placed, Error> {
    let mut target = create(to)?;
    target.write_all(content).map_err(Error::io("write", to))?;
    dress(&target, to, attributes)?;
    Ok(Placed {
        method: Method::Written,
        size: content.len() as u64,
        hash: Some(blake3::hash(content)),
    })
}

/// Makes a symbolic link, with owner and times.
pub fn symlink(target: &str, to: &Path, attributes: &Attributes) -> Result<(), Error> {
    std::os::unix::fs::symlink(target, to).map_err(Error::io("create link", to))?;
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::lchown(to, Some(attributes.uid), Some(attributes.gid))
            .map_err(Error::io("set owner of", to))?;
    }
    utimensat(CWD, to, &times(attributes), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| Error::io("set times of", to)(errno.into()))
}

/// Sets owner, mode and times of a file or directory of ours, in this order: a change of owner drops set-id bits.
pub fn dress(target: &File, path: &Path, attributes: Option<&Attributes>) -> Result<(), Error> {
    let Some(attributes) = attributes else {
        return Ok(());
    };
    // Only root may give files away; anyone else keeps what they make.
    if nix::unistd::geteuid().is_root() {
        fchown(target, Some(attributes.uid), Some(attributes.gid))
            .map_err(Error::io("set owner of", path))?;
    }
    fchmod(target, Mode::from_bits_truncate(attributes.mode))
        .map_err(|errno| Error::io("set mode of", path)(errno.into()))?;
    futimens(target, &times(attributes))
        .map_err(|errno| Error::io("set times of", path)(errno.into()))
}

fn times(attributes: &Attributes) -> Timestamps {
    let change = Timespec {
        tv_sec: attributes.mtime,
        tv_nsec: attributes.mtime_nanos,
    };
    Timestamps {
        last_access: change,
        last_modification: change,
    }
}

fn changed(path: &Path) -> Error {
    // Looks as the name does not exist, for that is what it comes to: the file that was meant is gone.
    Error::io("link", path)(io::Error::new(
        io::ErrorKind::NotFound,
        "another file took its name meanwhile",
    ))
}

fn copy_bytes(
    mut source: &File,
    mut target: &File,
    limit: Option<u64>,
    control: &mut Control,
) -> io::Result<(u64, blake3::Hash)> {
    let length = source.metadata()?.len();
    let end = limit.map_or(length, |limit| limit.min(length));
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0u8; PIECE];
    let mut at = 0;
    while at < end {
        let data = next_data(source, at, end)?;
        hash_zeros(&mut hasher, data - at);
        at = data;
        if at >= end {
            break;
        }
        let hole = next_hole(source, at, end)?;
        source.seek(SeekFrom::Start(at))?;
        target.seek(SeekFrom::Start(at))?;
        while at < hole {
            let piece = (hole - at).min(PIECE as u64) as usize;
            let read = source.read(&mut buffer[..piece])?;
            if read == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "it became shorter while it was copied",
                ));
            }
            hasher.update(&buffer[..read]);
            target.write_all(&buffer[..read])?;
            at += read as u64;
            control.advance(read as u64).map_err(io::Error::other)?;
        }
    }
    // A hole at the end has no bytes to write, but it has a length.
    target.set_len(end)?;
    Ok((end, hasher.finalize()))
}

/// The first byte at or after `at` that is not in a hole; `end` if there is none.
fn next_data(file: &File, at: u64, end: u64) -> io::Result<u64> {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at)) {
        Ok(data) => Ok(data.min(end)),
        Err(Errno::NXIO) => Ok(end),
        // A filesystem that does not know holes has none.
        Err(Errno::INVAL) => Ok(at),
        Err(errno) => Err(errno.into()),
    }
}

fn next_hole(file: &File, at: u64, end: u64) -> io::Result<u64> {
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(at)) {
        Ok(hole) => Ok(hole.min(end)),
        Err(Errno::INVAL) => Ok(end),
        Err(errno) => Err(errno.into()),
    }
}

fn hash_zeros(hasher: &mut blake3::Hasher, mut count: u64) {
    const ZEROS: [u8; 4096] = [0; 4096];
    while count > 0 {
        let piece = count.min(ZEROS.len() as u64);
        hasher.update(&ZEROS[..piece as usize]);
        count -= piece;
    }
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
