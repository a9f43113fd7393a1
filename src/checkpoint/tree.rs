//! The `validation` tree on disk.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::fcntl::OFlag;
use serde::Serialize;

use super::Error;
use super::fingerprint::Fingerprint;
use super::room::Room;
use super::stage::Target;
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

/// Writes the files of a pass under a directory that it makes. Once there is no room for them it only measures.
pub(crate) struct Tree<'a> {
    root: &'a Path,
    owner: &'a Owner,
    /// The root, open since there was nothing in it: what fails to reach the disk from then on is told by its `syncfs`.
    directory: File,
    room: Room,
    written: Written,
    measure: Measure,
    stream: Option<(PathBuf, Stream)>,
    top: Vec<&'static str>,
}

enum Stream {
    Plain(Counted),
    Gzip(Box<GzEncoder<Counted>>),
}

struct Counted {
    file: File,
    bytes: u64,
    hasher: Box<blake3::Hasher>,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.bytes += count as u64;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

const DEPARTED: &str = "departed_hotkeys.json";
const NOBODY_DEPARTED: &[u8] = b"{\"departed_hotkeys\": {}}";

impl<'a> Tree<'a> {
    /// Makes the directory, which must not be there yet.
    pub(crate) fn create(into: &Target<'a>) -> Result<Self, Error> {
        let failed = |source| error("make", into.root, source);
        // Its owner gets it last, so that nobody else gets in before all is there.
        DirBuilder::new()
            .mode(0o700)
            .create(into.root)
            .map_err(failed)?;
        let directory = open_directory(into.root).map_err(failed)?;
        let written = Written {
            directories: 1,
            ..Written::default()
        };
        Ok(Self {
            root: into.root,
            owner: into.owner,
            directory,
            room: Room::of(parent(into.root), into.reserve),
            written,
            measure: Measure::default(),
            stream: None,
            top: Vec::new(),
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
            let path = self.root.join(directory);
            if !path.exists() {
                self.make_directory(&path)?;
            }
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
        self.hand_over(&self.directory, self.owner.directory_mode)
            .map_err(|source| error("set owner of", self.root, source))?;
        Ok((self.written, self.directory))
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
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::StorageFull => {
                self.stream = None;
                self.room.is_full(&self.measure)
            }
            written => written,
        }
    }

    fn make_directory(&mut self, path: &Path) -> Result<(), Error> {
        let failed = |source| error("make", path, source);
        // Nobody else gets in before the owner and the mode are set.
        DirBuilder::new().mode(0o700).create(path).map_err(failed)?;
        self.written.directories += 1;
        let handed_over = open_directory(path)
            .and_then(|directory| self.hand_over(&directory, self.owner.directory_mode));
        if handed_over.is_err() {
            // An empty directory that is not its owner's is of no use to anyone.
            let _ = fs::remove_dir(path);
        }
        handed_over.map_err(failed)
    }

    fn make_file(&mut self, path: &Path) -> Result<File, Error> {
        let failed = |source| error("make", path, source);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        self.hand_over(&file, self.owner.file_mode)
            .map_err(failed)?;
        self.written.files += 1;
        Ok(file)
    }

    fn hand_over(&self, file: &File, mode: u32) -> io::Result<()> {
        if self.owner.uid.is_some() || self.owner.gid.is_some() {
            fchown(file, self.owner.uid, self.owner.gid)?;
        }
        file.set_permissions(Permissions::from_mode(mode))
    }

    /// Makes a file in a directory of the tree, and that directory where it is not there yet. Most are: so it is tried first.
    fn make_file_in(&mut self, directory: &str, path: &Path) -> Result<File, Error> {
        match self.make_file(path) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.ensure(directory)?;
                self.make_file(path)
            }
            made => made,
        }
    }

    /// Makes a directory inside the tree, and those above it.
    fn ensure(&mut self, directory: &str) -> Result<(), Error> {
        let mut path = self.root.to_owned();
        for part in directory.split('/') {
            path.push(part);
            if !path.is_dir() {
                self.make_directory(&path)?;
            }
        }
        Ok(())
    }
}

impl Sink for Tree<'_> {
    fn file(&mut self, directory: &str, name: &str, content: &[u8]) -> Result<(), Error> {
        self.measure.file(directory, name, content)?;
        self.within_room(content.len(), |tree| {
            let path = tree.root.join(directory).join(name);
            let mut file = tree.make_file_in(directory, &path)?;
            file.write_all(content)
                .map_err(|source| error("write", &path, source))?;
            let bytes = content.len() as u64;
            tree.written.bytes += bytes;
            let fingerprint = &mut tree.written.fingerprint;
            fingerprint.add(&format!("{directory}/{name}"), bytes, blake3::hash(content));
            Ok(())
        })
    }

    fn begin(&mut self, name: &'static str) -> Result<(), Error> {
        self.measure.begin(name)?;
        self.top.push(name);
        self.within_room(0, |tree| {
            let path = tree.root.join(name);
            let file = Counted {
                file: tree.make_file(&path)?,
                bytes: 0,
                hasher: Box::default(),
            };
            let stream = if name.ends_with(".gz") {
                Stream::Gzip(Box::new(GzEncoder::new(file, Compression::default())))
            } else {
                Stream::Plain(file)
            };
            tree.stream = Some((path, stream));
            Ok(())
        })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.measure.append(bytes)?;
        self.within_room(bytes.len(), |tree| {
            let written = match &mut tree.stream {
                Some((path, Stream::Plain(file))) => {
                    file.write_all(bytes).map_err(|source| (&*path, source))
                }
                Some((path, Stream::Gzip(file))) => {
                    file.write_all(bytes).map_err(|source| (&*path, source))
                }
                None => Ok(()),
            };
            written.map_err(|(path, source)| error("write", path, source))
        })
    }

    fn end(&mut self) -> Result<(), Error> {
        self.within_room(0, |tree| {
            let Some((path, stream)) = tree.stream.take() else {
                return Ok(());
            };
            let file = match stream {
                Stream::Plain(file) => Ok(file),
                Stream::Gzip(encoder) => encoder.finish(),
            };
            let file = file.map_err(|source| error("write", &path, source))?;
            tree.written.bytes += file.bytes;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let fingerprint = &mut tree.written.fingerprint;
            fingerprint.add(&name, file.bytes, file.hasher.finalize());
            Ok(())
        })
    }
}

/// Makes a tree last: one `syncfs` instead of an fsync for each of some 15 000 files and 3 400 directories, each of which
/// would be a commit of the file system's journal.
///
/// `directory` is the root, opened before anything was written: a failure is told to who had the filesystem open then.
pub(crate) fn sync(root: &Path, directory: &File) -> Result<(), Error> {
    let failed = |path: &Path, source| error("sync", path, source);
    nix::unistd::syncfs(directory).map_err(|errno| failed(root, errno.into()))?;
    let parent = parent(root);
    File::open(parent)
        .and_then(|parent| parent.sync_all())
        .map_err(|source| failed(parent, source))
}

/// Makes a tree last that its owner's program has written, which syncs nothing, with the modes that it is to have: those that it has are up
/// to a umask.
///
/// # Errors
/// Where it does not get to the disk.
pub fn settle(root: &Path, owner: &Owner) -> Result<(), Error> {
    let directory = open_directory(root).map_err(|source| error("open", root, source))?;
    give_modes(root, owner)?;
    sync(root, &directory)
}

fn give_modes(path: &Path, owner: &Owner) -> Result<(), Error> {
    let failed = |source| error("set mode of", path, source);
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
        .map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    let mode = match about.is_dir() {
        true => owner.directory_mode,
        false => owner.file_mode,
    };
    // Whose tree it is may lead any path of it elsewhere meanwhile: of what is somebody else's nothing is changed.
    if owner.uid.is_none_or(|uid| about.uid() == uid) && about.mode() & 0o7777 != mode {
        file.set_permissions(Permissions::from_mode(mode))
            .map_err(failed)?;
    }
    if about.is_dir() {
        for entry in fs::read_dir(path).map_err(failed)? {
            give_modes(&entry.map_err(failed)?.path(), owner)?;
        }
    }
    Ok(())
}

/// Opens a directory, and nothing that was put in its place.
fn open_directory(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
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
    fn file(&mut self, _: &str, _: &str, content: &[u8]) -> Result<(), Error> {
        self.files += 1;
        self.append(content)
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
