//! The `validation` tree on disk.

use std::fs::{self, File};
use std::io::{self, Write};
use std::num::NonZero;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::Scope;

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::fs::{Advice, fadvise};
use serde::Serialize;

use super::Error;
use super::directories::Directories;
use super::fingerprint::{Content, Fingerprint, Pieces};
use super::lasting::parent;
use super::room::{Room, is_about_room};
use super::stage::Target;
use super::thread::{Working, start};
use super::walk::Sink;

/// Whom the tree belongs to. What is `None` is left to the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: Option<u32>,
    /// Group id.
    pub gid: Option<u32>,
    /// Mode of every file.
    pub file_mode: u32,
    /// Mode of every directory.
    pub directory_mode: u32,
}

impl Default for Owner {
    /// The process's own, 0644 and 0755: what the validator makes under the usual umask.
    fn default() -> Self {
        Self {
            uid: None,
            gid: None,
            file_mode: 0o644,
            directory_mode: 0o755,
        }
    }
}

impl Owner {
    /// The owner and the modes of a tree that is there, so that its replacement fits. `directory` is its
    /// top; a file in it is given the same permissions, without those to execute.
    ///
    /// # Errors
    /// Whatever looking at it says.
    pub fn of(directory: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(directory)?;
        let directory_mode = metadata.mode() & 0o777;
        Ok(Self {
            uid: Some(metadata.uid()),
            gid: Some(metadata.gid()),
            file_mode: directory_mode & 0o666,
            directory_mode,
        })
    }
}

/// What [`super::stage`] has made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Files.
    pub files: u64,
    /// Directories, the top one included.
    pub directories: u64,
    /// Bytes in the files.
    pub bytes: u64,
    /// Files of the tree's top that the checkpoint had no content for, so that the old ones stay valid.
    pub absent: Vec<&'static str>,
    /// Files that were made empty because a fresh tree needs them; an old one with content is to be preferred.
    pub blank: Vec<&'static str>,
    /// What was written, to compare with what can be read.
    pub fingerprint: Fingerprint,
}

impl Written {
    fn count(&mut self, path: &str, content: Content) {
        self.files += 1;
        self.bytes += content.bytes;
        self.fingerprint.add(path, content);
    }
}

/// Writes the files of a pass under a directory that it makes. Once there is no room for them it only measures.
pub(crate) struct Tree<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    directories: Directories<'scope>,
    /// What brings to the disk what was there before the largest file.
    early: Option<Working<'scope, io::Result<()>>>,
    room: Room,
    written: Written,
    measure: Measure,
    stream: Option<(&'static str, Stream)>,
    top: Vec<&'static str>,
    /// The path of the file being made.
    inside: String,
}

enum Stream {
    Plain(Counted),
    Gzip(Box<GzEncoder<Counted>>),
}

struct Counted {
    file: File,
    pieces: Box<Pieces>,
    /// How much of it is on its way to the disk.
    sent: u64,
}

/// So much is sent to the disk at once.
const SENT: u64 = 8 << 20;

impl Counted {
    fn new(file: File) -> Self {
        Self {
            file,
            pieces: Box::new(Pieces::new()),
            sent: 0,
        }
    }

    /// Lets the disk begin. That the kernel does not take it so changes nothing but when that is.
    fn send(&mut self) {
        let length = self.pieces.all_bytes() - self.sent;
        if length >= SENT {
            let _ = fadvise(
                &self.file,
                self.sent,
                NonZero::new(length),
                Advice::DontNeed,
            );
            self.sent += length;
        }
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.pieces.add(&bytes[..count]);
        self.send();
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

const DEPARTED: &str = "departed_hotkeys.json";
const NOBODY_DEPARTED: &[u8] = b"{\"departed_hotkeys\": {}}";

impl<'scope, 'env> Tree<'scope, 'env> {
    /// Makes the directory, which must not be there yet.
    pub(crate) fn create(
        scope: &'scope Scope<'scope, 'env>,
        into: &Target<'scope>,
    ) -> Result<Self, Error> {
        Ok(Self {
            scope,
            directories: Directories::create(into.root, into.owner)?,
            early: None,
            room: Room::of(parent(into.root), into.reserve),
            written: Written::default(),
            measure: Measure::default(),
            stream: None,
            top: Vec::new(),
            inside: String::new(),
        })
    }

    /// What all of the tree comes to.
    pub(crate) fn measure(&self) -> &Measure {
        &self.measure
    }

    /// Adds what every tree has, and gives it to its owner. Nothing of it is durable yet.
    pub(crate) fn finish(mut self) -> Result<(Written, File), Error> {
        self.room.demand(&self.measure)?;
        // The validator would make these itself, as whoever runs it.
        for directory in ["miners", "tmp"] {
            self.directories.ensure(directory)?;
        }
        self.begin(DEPARTED)?;
        self.append(NOBODY_DEPARTED)?;
        self.end()?;
        self.room.demand(&self.measure)?;
        self.written.blank.push(DEPARTED);
        for name in ["miner_account_sizes.json", "asset_selections.json"] {
            if !self.top.contains(&name) {
                self.written.absent.push(name);
            }
        }
        if let Some(early) = self.early {
            let synced = early.join();
            synced.map_err(|source| error("sync", &self.directories.path("", ""), source))?;
        }
        self.written.directories = self.directories.made();
        Ok((self.written, self.directories.hand_over_root()?))
    }

    /// Begins to bring to the disk what is there, thousands of small files, while the largest is made: then little is left to wait
    /// for at the end.
    fn sync_early(&mut self) -> Result<(), Error> {
        if self.early.is_none() && self.written.bytes >= SENT {
            let failed = |source| error("sync", &self.directories.path("", ""), source);
            let top = self.directories.top().map_err(failed)?;
            let sync = move || nix::unistd::syncfs(&top).map_err(io::Error::from);
            self.early = Some(start(self.scope, "sync", sync).map_err(failed)?);
        }
        Ok(())
    }

    /// Writes, where there is room; that there is none is told at the end, when it is known how much is missing.
    fn within_room(
        &mut self,
        bytes: usize,
        write: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if !self.room.holds(bytes, &self.measure)? {
            self.stream = None;
            return Ok(());
        }
        match write(self) {
            Err(Error::Io { source, .. }) if is_about_room(&source) => {
                self.stream = None;
                self.room.is_full(&self.measure, Some(source))
            }
            written => written,
        }
    }
}

impl Sink for Tree<'_, '_> {
    fn file(
        &mut self,
        directory: &str,
        name: &str,
        bytes: &[u8],
        content: Content,
    ) -> Result<(), Error> {
        self.measure.file(directory, name, bytes, content)?;
        self.within_room(bytes.len(), |tree| {
            let mut file = tree.directories.make_file(directory, name)?;
            file.write_all(bytes).map_err(|source| {
                error("write", &tree.directories.path(directory, name), source)
            })?;
            tree.inside.clear();
            for part in [directory, "/", name] {
                tree.inside.push_str(part);
            }
            tree.written.count(&tree.inside, content);
            Ok(())
        })
    }

    fn begin(&mut self, name: &'static str) -> Result<(), Error> {
        self.measure.begin(name)?;
        self.top.push(name);
        self.within_room(0, |tree| {
            tree.sync_early()?;
            let file = Counted::new(tree.directories.make_file("", name)?);
            let stream = if name.ends_with(".gz") {
                Stream::Gzip(Box::new(GzEncoder::new(file, Compression::default())))
            } else {
                Stream::Plain(file)
            };
            tree.stream = Some((name, stream));
            Ok(())
        })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.measure.append(bytes)?;
        self.within_room(bytes.len(), |tree| {
            let Some((name, stream)) = &mut tree.stream else {
                return Ok(());
            };
            let written = match stream {
                Stream::Plain(file) => file.write_all(bytes),
                Stream::Gzip(file) => file.write_all(bytes),
            };
            written.map_err(|source| error("write", &tree.directories.path("", name), source))
        })
    }

    fn end(&mut self) -> Result<(), Error> {
        self.within_room(0, |tree| {
            let Some((name, stream)) = tree.stream.take() else {
                return Ok(());
            };
            let file = match stream {
                Stream::Plain(file) => Ok(file),
                Stream::Gzip(encoder) => encoder.finish(),
            };
            let path = || tree.directories.path("", name);
            let file = file.map_err(|source| error("write", &path(), source))?;
            tree.written.count(name, file.pieces.all());
            Ok(())
        })
    }
}

/// A sink that only measures.
#[derive(Debug)]
pub(crate) struct Measure {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

impl Default for Measure {
    /// What every tree has.
    fn default() -> Self {
        Self {
            files: 1,
            bytes: NOBODY_DEPARTED.len() as u64,
        }
    }
}

impl Sink for Measure {
    fn file(&mut self, _: &str, _: &str, bytes: &[u8], _: Content) -> Result<(), Error> {
        self.files += 1;
        self.append(bytes)
    }

    fn begin(&mut self, _: &'static str) -> Result<(), Error> {
        self.files += 1;
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

fn error(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
