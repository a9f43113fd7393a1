//! Finding a checkpoint file and recognising what it is, by its content.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::Error;
use super::encoded_twice::Inner;
use super::unpack::{Capped, Members, Raw, Tally};
use crate::sha256::Sha256;

/// The name of an uncompressed checkpoint.
pub const PLAIN_NAME: &str = "validator_checkpoint.json";
/// The name of a compressed checkpoint.
pub const COMPRESSED_NAME: &str = "validator_checkpoint.json.gz";

/// Opening a named pipe must not wait for a writer.
const O_NONBLOCK: i32 = nix::fcntl::OFlag::O_NONBLOCK.bits();

/// How the document is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    /// Gzip around JSON.
    Gzip,
    /// JSON.
    Plain,
}

/// A checkpoint file that is open and recognised; nothing in it has been judged yet.
///
/// The file stays open, so what is checked and what is written is one file, even if the name is reused.
#[derive(Debug)]
pub struct Checkpoint {
    path: PathBuf,
    file: File,
    packing: Packing,
    bytes: u64,
    stamp: Stamp,
}

/// What a file is as long as nobody writes to it: its size, and when it was written last. Its name may go meanwhile.
type Stamp = (u64, i64, i64);

fn stamp(about: &Metadata) -> Stamp {
    (about.len(), about.mtime(), about.mtime_nsec())
}

/// The text of a document, from its start.
pub(crate) struct Unpacked<'a> {
    pub(crate) text: Box<dyn Read + Send + 'a>,
    /// What has been read of the file for it.
    pub(crate) tally: Tally,
}

impl Checkpoint {
    /// The checkpoint in `directory`, under one of its two names.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Both`] and those of [`Checkpoint::open`].
    pub fn find(directory: &Path) -> Result<Self, Error> {
        let plain = directory.join(PLAIN_NAME);
        let compressed = directory.join(COMPRESSED_NAME);
        let there = |path: &Path| fs::symlink_metadata(path).is_ok();
        match (there(&plain), there(&compressed)) {
            (true, true) => Err(Error::Both { plain, compressed }),
            (true, false) => Self::open(&plain),
            (false, true) => Self::open(&compressed),
            (false, false) => Err(Error::Missing { plain, compressed }),
        }
    }

    /// Opens the checkpoint `path` and recognises it by its content; a name that says otherwise is an error.
    ///
    /// # Errors
    /// Whatever keeps it from being gzip or JSON under a fitting name.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let checkpoint = Self::open_by_content(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let path = || path.to_owned();
        match checkpoint.packing {
            Packing::Gzip if name.ends_with(".json") => Err(Error::LacksExtension { path: path() }),
            Packing::Plain if name.ends_with(".gz") => Err(Error::FalseExtension { path: path() }),
            _ => Ok(checkpoint),
        }
    }

    /// As [`Checkpoint::open`], whatever the name is.
    ///
    /// # Errors
    /// Whatever keeps it from being gzip or JSON.
    pub fn open_by_content(path: &Path) -> Result<Self, Error> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(O_NONBLOCK)
            .open(path)
            .map_err(|source| absent(path, source))?;
        let failed = |action| move |source| io_error(action, path, source);
        let metadata = file.metadata().map_err(failed("look at"))?;
        let kind = metadata.file_type();
        let what = if kind.is_dir() {
            Some("a directory")
        } else if kind.is_fifo() {
            Some("a pipe")
        } else if !kind.is_file() {
            Some("a device")
        } else {
            None
        };
        let path = path.to_owned();
        if let Some(what) = what {
            return Err(Error::NotAFile { path, what });
        }
        let mut head = [0; 64];
        let count = file
            .read_at(&mut head, 0)
            .map_err(|source| io_error("read", &path, source))?;
        let packing = recognise(&head[..count], &path)?;
        Ok(Self {
            path,
            file,
            packing,
            bytes: metadata.len(),
            stamp: stamp(&metadata),
        })
    }

    /// The line that tells which file was found.
    pub fn found(&self) -> String {
        let packing = match self.packing {
            Packing::Gzip => "compressed",
            Packing::Plain => "uncompressed",
        };
        format!("Found {packing} checkpoint file: {}", self.path.display())
    }

    /// Its path, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it is packed.
    pub fn packing(&self) -> Packing {
        self.packing
    }

    /// Its size on disk, in bytes, when it was opened.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Fails where somebody has written to the file since it was opened: it is read more than once, and not at one instant.
    ///
    /// # Errors
    /// [`Error::Changed`], or the file cannot be looked at.
    pub(crate) fn refuse_changed(&self) -> Result<(), Error> {
        let now = self.file.metadata();
        let now = now.map_err(|source| io_error("look at", &self.path, source))?;
        match stamp(&now) == self.stamp {
            true => Ok(()),
            false => Err(Error::Changed {
                path: self.path.clone(),
            }),
        }
    }

    /// The SHA-256 of the file as it is, packed or not.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn sha256(&self) -> Result<Sha256, Error> {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        let (mut buffer, mut at) = (vec![0; 128 * 1024], 0);
        loop {
            let count = self
                .file
                .read_at(&mut buffer, at)
                .map_err(|source| io_error("read", &self.path, source))?;
            if count == 0 {
                return Ok(Sha256::of(&context.finish()));
            }
            context.update(&buffer[..count]);
            at += count as u64;
        }
    }

    /// The text of the document; at most `max_unpacked` bytes of it.
    pub(crate) fn text(&self, max_unpacked: u64) -> Result<Unpacked<'_>, Error> {
        let twice = self.packing == Packing::Plain && self.is_string()?;
        let tally = Tally::default();
        let raw = Raw {
            file: &self.file,
            tally: tally.clone(),
        };
        let text: Box<dyn Read + Send> = match self.packing {
            Packing::Gzip => Box::new(Members::new(raw, tally.clone())),
            Packing::Plain if twice => Box::new(Inner::new(raw)),
            Packing::Plain => Box::new(raw),
        };
        let capped = Capped {
            input: text,
            left: max_unpacked,
            limit: max_unpacked,
        };
        Ok(Unpacked {
            text: Box::new(capped),
            tally,
        })
    }

    /// Whether the document is a JSON string: one that was encoded twice.
    fn is_string(&self) -> Result<bool, Error> {
        let mut head = [0; 64];
        let count = self
            .file
            .read_at(&mut head, 0)
            .map_err(|source| io_error("read", &self.path, source))?;
        Ok(head[..count].trim_ascii_start().first() == Some(&b'"'))
    }
}

/// Judges the first bytes of a document's text. Also for text that came out of gzip.
pub(crate) fn refuse_foreign_text(head: &[u8], path: &Path) -> Result<(), Error> {
    let (what, remedy) = match head {
        [] => {
            return Err(Error::Empty {
                path: path.to_owned(),
            });
        }
        [0xef, 0xbb, 0xbf, ..] => (
            "UTF-8 with a byte order mark",
            "remove its first three bytes (an editor or a Windows tool added them)",
        ),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'{', 0, ..] | [0, b'{', ..] => (
            "text in UTF-16",
            "convert it to UTF-8 without a byte order mark, or copy it again in binary",
        ),
        _ => return Ok(()),
    };
    Err(Error::Foreign {
        path: path.to_owned(),
        what,
        remedy,
    })
}

fn recognise(head: &[u8], path: &Path) -> Result<Packing, Error> {
    refuse_foreign_text(head, path)?;
    let unpack_first = "unpack it first, and keep the checkpoint inside";
    let (what, remedy) = match head {
        [0x1f, 0x8b, ..] => return Ok(Packing::Gzip),
        [b'P', b'K', 3 | 5, ..] => ("a zip archive", unpack_first),
        [b'B', b'Z', b'h', ..] => ("compressed with bzip2", unpack_first),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => ("compressed with xz", unpack_first),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ("compressed with zstd", unpack_first),
        _ => match head.trim_ascii_start().first() {
            Some(b'<') => (
                "a web page",
                "the download was refused or redirected; fetch it again",
            ),
            Some(0x20..=0x7e) | None => return Ok(Packing::Plain),
            Some(_) => ("neither gzip nor JSON", "copy it again"),
        },
    };
    Err(Error::Foreign {
        path: path.to_owned(),
        what,
        remedy,
    })
}

fn absent(path: &Path, source: io::Error) -> Error {
    if source.kind() != io::ErrorKind::NotFound {
        return io_error("read", path, source);
    }
    let path = path.to_owned();
    match fs::read_link(&path) {
        Ok(target) => Error::Dangling { path, target },
        Err(_) => Error::NotFound { path },
    }
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io {
        action,
        path: path.to_owned(),
        source,
    }
}
