//! What the files of a tree come to, in whatever order they are looked at.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use serde::{Serialize, Serializer};

const BUFFER: usize = 128 * 1024;

/// Names and contents of all files of a tree, in 32 bytes: it is for finding what a disk lost, not what a forger made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    files: u64,
    bytes: u64,
    mixed: [u8; 32],
}

impl Fingerprint {
    /// Adds a file: its path in the tree and its content's hash.
    pub(crate) fn add(&mut self, path: &str, bytes: u64, content: blake3::Hash) {
        let entry = blake3::Hasher::new()
            .update(path.as_bytes())
            .update(&[0])
            .update(content.as_bytes())
            .finalize();
        for (mixed, byte) in self.mixed.iter_mut().zip(entry.as_bytes()) {
            *mixed ^= byte;
        }
        self.files += 1;
        self.bytes += bytes;
    }

    /// Reads every file below `root`. What is neither a file nor a directory makes it differ from every other.
    ///
    /// # Errors
    /// What cannot be read, with its path.
    pub fn of(root: &Path) -> Result<Self, (std::path::PathBuf, io::Error)> {
        let mut print = Self::default();
        let mut buffer = vec![0; BUFFER];
        print.directory(root, "", &mut buffer)?;
        Ok(print)
    }

    /// How many files there are.
    pub fn files(&self) -> u64 {
        self.files
    }

    /// Their bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn directory(
        &mut self,
        path: &Path,
        inside: &str,
        buffer: &mut [u8],
    ) -> Result<(), (std::path::PathBuf, io::Error)> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| (path, error)
        };
        for entry in fs::read_dir(path).map_err(at(path))? {
            let entry = entry.map_err(at(path))?;
            let kind = entry.file_type().map_err(at(&entry.path()))?;
            let name = entry.file_name();
            let inside = match inside {
                "" => name.to_string_lossy().into_owned(),
                _ => format!("{inside}/{}", name.to_string_lossy()),
            };
            if kind.is_dir() {
                self.directory(&entry.path(), &inside, buffer)?;
            } else if kind.is_file() {
                let (bytes, hash) = read(&entry.path(), buffer).map_err(at(&entry.path()))?;
                self.add(&inside, bytes, hash);
            } else {
                self.add(&inside, 0, blake3::hash(b"neither a file nor a directory"));
            }
        }
        Ok(())
    }
}

fn read(path: &Path, buffer: &mut [u8]) -> io::Result<(u64, blake3::Hash)> {
    let mut file = File::open(path)?;
    let (mut bytes, mut hasher) = (0, blake3::Hasher::new());
    loop {
        match file.read(buffer)? {
            0 => return Ok((bytes, hasher.finalize())),
            count => {
                hasher.update(&buffer[..count]);
                bytes += count as u64;
            }
        }
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&blake3::Hash::from_bytes(self.mixed).to_hex())
    }
}
