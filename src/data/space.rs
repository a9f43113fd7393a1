//! Whether there is room for what is about to be written.

use std::path::Path;

use rustix::fs::statvfs;

use super::error::Error;

/// What a filesystem has left for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    /// Bytes.
    pub bytes: u64,
    /// Inodes; `None` where the filesystem makes them as it goes.
    pub inodes: Option<u64>,
}

/// Asks the filesystem that holds `path`.
pub fn free(path: &Path) -> Result<Free, Error> {
    let stat =
        statvfs(path).map_err(|errno| Error::io("ask for free space of", path)(errno.into()))?;
    Ok(Free {
        bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
        inodes: (stat.f_files != 0).then_some(stat.f_favail),
    })
}

/// Fails, with the figures, unless the filesystem that holds `path` has so many bytes and inodes.
pub fn require(path: &Path, bytes: u64, inodes: u64) -> Result<(), Error> {
    let free = free(path)?;
    if free.bytes < bytes {
        return Err(Error::NoSpace {
            path: path.to_owned(),
            needed: bytes,
            available: free.bytes,
        });
    }
    match free.inodes {
        Some(available) if available < inodes => Err(Error::NoInodes {
            path: path.to_owned(),
            needed: inodes,
            available,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        let directory = tempfile::tempdir().unwrap();
        require(directory.path(), 1, 1).unwrap();
        let error = require(directory.path(), u64::MAX, 1).unwrap_err();
        assert!(error.to_string().contains("are missing"), "{error}");
    }
}
