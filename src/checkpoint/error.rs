//! What can go wrong with a checkpoint file as a file. What is wrong inside is a [`super::Problem`].

use std::io;
use std::path::PathBuf;

use super::json::SyntaxError;

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Neither of the two names is there.
    #[error("No checkpoint file found at {} or {}", plain.display(), compressed.display())]
    Missing {
        /// Where the uncompressed file would be.
        plain: PathBuf,
        /// Where the compressed file would be.
        compressed: PathBuf,
    },
    /// The named file is not there.
    #[error("No checkpoint file found at {}", path.display())]
    NotFound {
        /// The file asked for.
        path: PathBuf,
    },
    /// The name is a symbolic link to nothing.
    #[error("{} is a symbolic link to {}, which does not exist", path.display(), target.display())]
    Dangling {
        /// The link.
        path: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// Both names are there, and nothing says which is meant.
    #[error(
        "both {} and {} are there: name the one to use, or remove the other",
        plain.display(),
        compressed.display()
    )]
    Both {
        /// The uncompressed file.
        plain: PathBuf,
        /// The compressed file.
        compressed: PathBuf,
    },
    /// Gzip under the name of plain JSON.
    #[error(
        "File {} appears to contain compressed data but lacks .gz extension.\n\
         Solution: Add .gz extension and rename to validator_checkpoint.json.gz",
        path.display()
    )]
    LacksExtension {
        /// The file.
        path: PathBuf,
    },
    /// Plain JSON under the name of gzip.
    #[error(
        "File {} has .gz extension but contains uncompressed data.\n\
         Solution: Remove the .gz extension and rename to validator_checkpoint.json",
        path.display()
    )]
    FalseExtension {
        /// The file.
        path: PathBuf,
    },
    /// The file has no content.
    #[error("{} is empty: copy it again", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A directory, a pipe, a device …
    #[error("{} is {what}, not a file", path.display())]
    NotAFile {
        /// What was named.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Neither gzip nor JSON.
    #[error("{} is {what}, not a checkpoint: {remedy}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
    /// The compressed data ends early.
    #[error(
        "{} is cut short: it ends before the end of its compressed data, after {bytes} bytes. Copy it again",
        path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The compressed data is damaged.
    #[error("{} is damaged: {source}. Copy it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the decompressor said.
        source: io::Error,
    },
    /// Something follows the compressed data.
    #[error(
        "{} has data after the end of its compressed content, at byte {at}: it was damaged or appended to. Copy it again",
        path.display()
    )]
    Trailing {
        /// The file.
        path: PathBuf,
        /// Where the strange data starts.
        at: u64,
    },
    /// It unpacks to more than is allowed.
    #[error("{} unpacks to more than {limit} bytes: that is no checkpoint", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit, in bytes.
        limit: u64,
    },
    /// A JSON string that holds JSON, inside gzip.
    #[error(
        "{} holds a JSON string instead of an object: it was encoded twice. Unpack it and keep the inner text",
        path.display()
    )]
    EncodedTwice {
        /// The file.
        path: PathBuf,
    },
    /// The JSON is broken.
    #[error("{} is not valid JSON, {place}: {source}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The record it happened in.
        place: String,
        /// What, and in which line.
        source: SyntaxFault,
    },
    /// The JSON ends early.
    #[error("{} is cut short: its text ends {place}, after {bytes} bytes. Copy it again", path.display())]
    Unfinished {
        /// The file.
        path: PathBuf,
        /// The record it happened in.
        place: String,
        /// Bytes of text that were there.
        bytes: u64,
    },
    /// The document is a list, a string, null …
    #[error("{} holds {what}, not an object", path.display())]
    NotAnObject {
        /// The file.
        path: PathBuf,
        /// What it holds.
        what: &'static str,
    },
    /// Somebody wrote to it meanwhile.
    #[error("{} was changed while it was read: ask again when it is complete", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk does not hold what was written to it.
    #[error("{} does not hold what was written to it: look at the disk (dmesg, smartctl)", path.display())]
    Corrupted {
        /// The tree.
        path: PathBuf,
    },
    /// The tree would not fit.
    #[error(
        "{} has {available} bytes free, {} are needed",
        path.display(),
        needed
    )]
    NoSpace {
        /// Where the tree was to go.
        path: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes free.
        available: u64,
    },
    /// The tree would not fit for another reason than the free bytes, like a quota.
    #[error("{} takes no more, of {needed} bytes that are needed: {source}", path.display())]
    Refused {
        /// Where the tree was to go.
        path: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The tree would have too many files.
    #[error("the file system of {} has {available} inodes free, {needed} are needed", path.display())]
    NoInodes {
        /// Where the tree was to go.
        path: PathBuf,
        /// Inodes needed.
        needed: u64,
        /// Inodes free.
        available: u64,
    },
    /// The progress callback said to stop.
    #[error("cancelled")]
    Cancelled,
}

/// A syntax error, with its line and byte.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SyntaxFault(#[from] pub(crate) SyntaxError);
