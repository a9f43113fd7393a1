//! What the files of a tree come to, in whatever order they are looked at.

use std::fs::File;
use std::hash::Hasher;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use serde::{Serialize, Serializer};
use twox_hash::XxHash3_64;

const BUFFER: usize = 128 * 1024;

/// The prime that XXH3 mixes with at its end.
const MIX: u64 = 0x1656_6791_9e37_79f9;

/// What a file holds, in 16 bytes: it is for finding what a disk lost, not what a forger made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) bytes: u64,
    hash: u64,
}

impl Content {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.len() as u64,
            hash: XxHash3_64::oneshot(bytes),
        }
    }
}

/// The same of what comes in pieces.
pub(crate) struct Pieces {
    bytes: u64,
    hasher: XxHash3_64,
}

impl Pieces {
    pub(crate) fn new() -> Self {
        Self {
            bytes: 0,
            hasher: XxHash3_64::new(),
        }
    }

    pub(crate) fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.hasher.write(piece);
    }

    pub(crate) fn all_bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn all(&self) -> Content {
        Content {
            bytes: self.bytes,
            hash: self.hasher.finish(),
        }
    }
}

/// Names and contents of all files of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    files: u64,
    bytes: u64,
    mixed: u64,
}

/// What cannot be read, and why.
type Unread = (PathBuf, io::Error);

impl Fingerprint {
    /// Adds a file: its path in the tree, and what it holds.
    pub(crate) fn add(&mut self, path: &str, content: Content) {
        // What is added does not depend on the order, and is another where two files have changed places.
        let entry = XxHash3_64::oneshot(path.as_bytes()) ^ content.hash.rotate_left(32);
        let entry = (entry ^ entry >> 29).wrapping_mul(MIX);
        self.mixed = self.mixed.wrapping_add(entry ^ entry >> 32);
        self.files += 1;
        self.bytes += content.bytes;
    }

    /// Reads every file below `root`. What is neither a file nor a directory makes it differ from every other.
    ///
    /// # Errors
    /// What cannot be read, with its path.
    pub fn of(root: &Path) -> Result<Self, Unread> {
        Reading::all(root, None)
    }

    /// Half of a tree, about as much work as the other: the two come to all of it.
    pub(crate) fn of_half(root: &Path, half: Half) -> Result<Self, Unread> {
        Reading::all(root, Some(half))
    }

    /// Both.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            files: self.files + other.files,
            bytes: self.bytes + other.bytes,
            mixed: self.mixed.wrapping_add(other.mixed),
        }
    }

    /// How many files there are.
    pub fn files(&self) -> u64 {
        self.files
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// One half of a tree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    /// The files at the top, of which one is as large as all others together, and some miners.
    Top,
    /// More of the miners.
    Below,
}

impl Half {
    /// Whose work something in a directory is, where it is that of only one.
    fn whose(directory: &str, name: &str) -> Option<Self> {
        match directory {
            "" if name == "miners" => None,
            "" => Some(Self::Top),
            "miners" if name.ends_with(|last| last as u32 % 8 < 3) => Some(Self::Top),
            "miners" => Some(Self::Below),
            _ => None,
        }
    }
}

/// A tree being read.
struct Reading {
    print: Fingerprint,
    half: Option<Half>,
    /// Where in the tree it is.
    inside: String,
    buffer: Vec<u8>,
}

impl Reading {
    fn all(root: &Path, half: Option<Half>) -> Result<Fingerprint, Unread> {
        let mut reading = Self {
            print: Fingerprint::default(),
            half,
            inside: String::new(),
            buffer: vec![0; BUFFER],
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(root, flags, Mode::empty());
        let read = opened.map_err(io::Error::from);
        match read.and_then(|root| reading.directory(root)) {
            Ok(()) => Ok(reading.print),
            // It stopped where it was.
            Err(error) => Err((root.join(reading.inside), error)),
        }
    }

    fn directory(&mut self, directory: OwnedFd) -> io::Result<()> {
        // A pipe would block.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut entries = Dir::new(directory)?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let (above, shown) = (self.inside.len(), name.to_string_lossy());
            let whose = Half::whose(&self.inside, &shown);
            if whose.is_some() && self.half.is_some() && whose != self.half {
                continue;
            }
            if above > 0 {
                self.inside.push('/');
            }
            self.inside.push_str(&shown);
            let directory = entries.fd()?;
            let kind = match entry.file_type() {
                // Some filesystems do not tell.
                FileType::Unknown => {
                    let about = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    FileType::from_raw_mode(about.st_mode)
                }
                kind => kind,
            };
            match kind {
                FileType::Directory => {
                    let flags = flags | OFlags::DIRECTORY;
                    self.directory(rustix::fs::openat(directory, name, flags, Mode::empty())?)?;
                }
                FileType::RegularFile => {
                    let file = rustix::fs::openat(directory, name, flags, Mode::empty())?;
                    let content = read(&File::from(file), &mut self.buffer)?;
                    self.print.add(&self.inside, content);
                }
                _ => {
                    let nothing = Content::of(b"neither a file nor a directory");
                    self.print.add(&self.inside, nothing);
                }
            }
            self.inside.truncate(above);
        }
        Ok(())
    }
}

/// What a file holds.
pub(crate) fn read(mut file: &File, buffer: &mut [u8]) -> io::Result<Content> {
    let mut pieces = None::<Pieces>;
    let mut filled = 0;
    loop {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
        // Most files are small, and read whole.
        if filled == buffer.len() {
            pieces.get_or_insert_with(Pieces::new).add(buffer);
            filled = 0;
        }
    }
    Ok(match pieces {
        None => Content::of(&buffer[..filled]),
        Some(mut pieces) => {
            pieces.add(&buffer[..filled]);
            pieces.all()
        }
    })
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.mixed))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_written_is_what_is_read_whatever_its_size_and_nothing_else_is() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        let mut written = Fingerprint::default();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::create_dir_all(root.join("miners/two")).unwrap();
        for (path, length) in [
            ("empty", 0),
            ("a/b/small", 3),
            ("a/large", 2 * BUFFER + 7),
            ("even", BUFFER),
            ("miners/one", 1),
            ("miners/two/x", 2),
            ("miners/three", 3),
        ] {
            let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
            fs::File::create(root.join(path))
                .and_then(|mut file| io::Write::write_all(&mut file, &bytes))
                .unwrap();
            let mut pieces = Pieces::new();
            bytes.chunks(1000).for_each(|piece| pieces.add(piece));
            assert_eq!(pieces.all(), Content::of(&bytes));
            written.add(path, Content::of(&bytes));
        }
        assert_eq!(Fingerprint::of(root).unwrap(), written);
        let half = |half| Fingerprint::of_half(root, half).unwrap();
        assert_eq!(half(Half::Top).plus(half(Half::Below)), written);
        assert!(half(Half::Below).files() > 0);
        let changed = |change: &dyn Fn()| {
            change();
            assert_ne!(Fingerprint::of(root).unwrap(), written);
        };
        // Two that change places, which is as many bytes of as many files.
        let swap = |one: &str, other: &str| {
            fs::rename(root.join(one), root.join("between")).unwrap();
            fs::rename(root.join(other), root.join(one)).unwrap();
            fs::rename(root.join("between"), root.join(other)).unwrap();
        };
        changed(&|| swap("empty", "even"));
        swap("empty", "even");
        assert_eq!(Fingerprint::of(root).unwrap(), written);
        changed(&|| fs::remove_file(root.join("empty")).unwrap());
        changed(&|| std::os::unix::fs::symlink("even", root.join("empty")).unwrap());
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_path() {
        let missing = Path::new("/nowhere/at/all");
        assert_eq!(Fingerprint::of(missing).unwrap_err().0, missing);
    }
}
