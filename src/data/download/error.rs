//! Why a file could not be fetched.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::StatusCode;

use crate::sha256::Sha256;
use crate::web::{self, Url};

/// What went wrong, with the server or the file, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection, or not with whom it should be, or no answer.
    #[error(transparent)]
    Web(#[from] web::Error),
    /// The server says no.
    #[error("{0} answers {1}")]
    Refused(Url, StatusCode),
    /// The connection was lost, or the server does not keep to the rules.
    #[error("the download of {0} broke off: {1}")]
    Broken(Url, String),
    /// It leads somewhere else, and that cannot be followed.
    #[error("{0} leads to {1}: {2}")]
    Astray(Url, String, String),
    /// There is more of it than is allowed.
    #[error(
        "{0} is larger than {1} bytes; allow more with `largest-download-mib` if it is meant to be"
    )]
    TooLarge(Url, u64),
    /// It takes too long.
    #[error("the download took more than {} s", .0.as_secs())]
    TooSlow(Duration),
    /// It is not the file that was meant.
    #[error("{url} has the SHA-256 {found}, not {wanted}: nothing of it is kept")]
    Mismatch {
        /// From where.
        url: Url,
        /// What it has.
        found: Sha256,
        /// What it has to have.
        wanted: Sha256,
    },
    /// The file cannot be written here.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// Whether trying again may help.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Error::Web(error) => error.is_passing(),
            Error::Broken(..) => true,
            Error::Refused(_, status) => {
                status.is_server_error()
                    || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(status)
            }
            Error::Astray(..)
            | Error::TooLarge(..)
            | Error::TooSlow(_)
            | Error::Mismatch { .. }
            | Error::Io { .. } => false,
        }
    }

    /// Whether the disk is full.
    pub fn is_full_disk(&self) -> bool {
        matches!(self, Error::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    }

    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }
}
