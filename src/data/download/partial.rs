//! What is there of a file so far, across interruptions.

use std::io::SeekFrom;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use hyper::header::{HeaderName, IF_RANGE, RANGE};
use ring::digest;
use serde::{Deserialize, Serialize};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::Error;
use crate::durable;
use crate::sha256::Sha256;
use crate::web::Url;

/// Bytes hashed at once.
const PIECE: usize = 256 * 1024;

/// A file that is being fetched.
pub(super) struct Partial {
    url: Url,
    path: PathBuf,
    note: PathBuf,
    whole: PathBuf,
    file: File,
    length: u64,
    validator: Option<String>,
}

/// What the part is of: another version of the file must not be glued to it.
#[derive(Serialize, Deserialize)]
struct Note {
    validator: Option<String>,
}

impl Partial {
    /// The part of `url` that is in `directory`, which is made, and rid of what is of other URLs.
    pub async fn open(directory: &Path, url: &Url) -> Result<Self, Error> {
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory);
        made.map_err(Error::io("make", directory))?;
        // The whole address with its query, which is not told to anyone.
        let address = format!("{}:{}{}", url.host(), url.port(), url.path());
        let key: String = blake3::hash(address.as_bytes())
            .to_hex()
            .chars()
            .take(32)
            .collect();
        sweep(directory, &key).map_err(Error::io("sweep", directory))?;
        let path = directory.join(format!("{key}.partial"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .await
            .map_err(Error::io("open", &path))?;
        let length = file.metadata().await.map_err(Error::io("read", &path))?;
        let note = directory.join(format!("{key}.json"));
        let known = fs::read(&note).await.ok();
        let known: Option<Note> = known.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let mut partial = Self {
            url: url.clone(),
            whole: directory.join(key),
            path,
            note,
            file,
            length: length.len(),
            validator: None,
        };
        match known {
            Some(note) => partial.validator = note.validator,
            None => partial.restart(None).await?,
        }
        let end = SeekFrom::Start(partial.length);
        let sought = partial.file.seek(end).await;
        sought.map_err(Error::io("read", &partial.path))?;
        Ok(partial)
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    /// The headers that ask for the rest; none where it has to come from the start. Without a name for the version of
    /// the file, only its SHA-256 can tell whether the parts are of one.
    pub fn range(&self, has_hash: bool) -> Vec<(HeaderName, String)> {
        if self.length == 0 || (self.validator.is_none() && !has_hash) {
            return Vec::new();
        }
        let range = (RANGE, format!("bytes={}-", self.length));
        let same = self.validator.clone().map(|tag| (IF_RANGE, tag));
        [range].into_iter().chain(same).collect()
    }

    /// Begins again, with a version that the server calls so.
    pub async fn restart(&mut self, validator: Option<String>) -> Result<(), Error> {
        let emptied = async {
            self.file.set_len(0).await?;
            self.file.seek(SeekFrom::Start(0)).await
        };
        emptied.await.map_err(Error::io("empty", &self.path))?;
        self.length = 0;
        let note = Note {
            validator: validator.clone(),
        };
        self.validator = validator;
        let bytes = serde_json::to_vec(&note).unwrap_or_default();
        durable::write(&self.note, &bytes, 0o600)
            .map_err(|error| Error::io("write", &error.path)(error.source))
    }

    pub async fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.file.write_all(bytes).await;
        written.map_err(Error::io("write", &self.path))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Checks what was fetched, and gives it its name.
    pub async fn finish(mut self, wanted: Option<&Sha256>) -> Result<PathBuf, Error> {
        let synced = async {
            self.file.flush().await?;
            self.file.sync_all().await
        };
        synced.await.map_err(Error::io("write", &self.path))?;
        if let Some(wanted) = wanted {
            let found = self.sha256().await.map_err(Error::io("read", &self.path))?;
            if found != *wanted {
                let error = Error::Mismatch {
                    url: self.url.clone(),
                    found,
                    wanted: wanted.clone(),
                };
                self.discard().await;
                return Err(error);
            }
        }
        durable::rename(&self.path, &self.whole)
            .map_err(|error| Error::io("rename", &error.path)(error.source))?;
        let _ = fs::remove_file(&self.note).await;
        Ok(self.whole)
    }

    /// Removes what is there.
    pub async fn discard(&self) {
        // Best effort: the next download of this URL begins again, or sweeps it.
        let _ = fs::remove_file(&self.note).await;
        let _ = fs::remove_file(&self.path).await;
    }

    async fn sha256(&mut self) -> std::io::Result<Sha256> {
        self.file.seek(SeekFrom::Start(0)).await?;
        let mut context = digest::Context::new(&digest::SHA256);
        let mut buffer = vec![0; PIECE];
        loop {
            match self.file.read(&mut buffer).await? {
                0 => return Ok(Sha256::of(&context.finish())),
                count => context.update(&buffer[..count]),
            }
        }
    }
}

/// Removes what is left of other downloads.
fn sweep(directory: &Path, key: &str) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let stem = name.to_string_lossy();
        if stem != format!("{key}.partial") && stem != format!("{key}.json") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
