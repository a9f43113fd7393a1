//! Reading the small files in which the kernel answers, each with a cap.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The longest file that is read for one value or one name.
pub(crate) const SHORT: u64 = 256;

/// The longest table: `/proc/self/mountinfo` on a host with hundreds of containers.
pub(crate) const TABLE: u64 = 1024 * 1024;

/// The directory under which `sys`, `proc`, `etc`, `run` and `usr` are: `/`, or a prepared tree in a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Root {
    /// A tree other than the real one.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    /// A path below the root; `below` has no leading slash.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.0.join(below)
    }
}

impl Default for Root {
    fn default() -> Self {
        Self::at("/")
    }
}

/// A file of the kernel's that gave no value.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It cannot be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It can be read and says something else than expected.
    #[error("{} says `{shown}`, which is not {expected}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What it says, escaped and bounded.
        shown: String,
        /// What was expected: `a number` …
        expected: &'static str,
    },
}

impl ReadError {
    /// For a file that says `text`, which is not `expected`.
    pub(crate) fn content(path: &Path, text: &str, expected: &'static str) -> Self {
        Self::Content {
            path: path.to_owned(),
            shown: text
                .chars()
                .take(40)
                .flat_map(char::escape_default)
                .collect(),
            expected,
        }
    }
}

/// At most `limit` bytes of a file as text, without the white space and NULs around it.
///
/// The device tree ends its strings with a NUL; some drivers pad with them.
pub(crate) fn text(path: &Path, limit: u64) -> Result<String, ReadError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|source| ReadError::Io {
            path: path.to_owned(),
            source,
        })?;
    let around = |c: char| c.is_whitespace() || c == '\0';
    Ok(String::from_utf8_lossy(&bytes)
        .trim_matches(around)
        .to_owned())
}

/// A name or label: text on one line, without control characters; `None` where the file is absent or empty.
pub(crate) fn label(path: &Path) -> Option<String> {
    let text = text(path, SHORT).ok()?;
    let shown: String = text.chars().filter(|c| !c.is_control()).collect();
    (!shown.is_empty()).then_some(shown)
}

/// A whole number.
pub(crate) fn number<N: std::str::FromStr>(path: &Path) -> Result<N, ReadError> {
    let text = text(path, SHORT)?;
    text.parse()
        .map_err(|_| ReadError::content(path, &text, "a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_the_cap_and_trimmed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model");
        crate::durable::write(&path, b" Bobcat Miner\0", 0o600).unwrap();
        assert_eq!(text(&path, SHORT).unwrap(), "Bobcat Miner");
        assert_eq!(text(&path, 4).unwrap(), "Bob");
    }

    #[test]
    fn what_is_no_number_is_shown_escaped_and_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("temp");
        crate::durable::write(&path, &[b'\x1b'; 5000], 0o600).unwrap();
        let message = number::<i64>(&path).unwrap_err().to_string();
        assert!(message.contains(r"\u{1b}"), "{message}");
        assert!(message.len() < 600, "{}", message.len());
    }
}
