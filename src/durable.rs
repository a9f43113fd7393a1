//! Writing files so that a power cut leaves the old content or the new, never half of it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

/// A file operation that failed, and on which path.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct Error {
    /// What was being done: `write`, `rename`, `sync` …
    pub action: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Replaces `path` by `content`: temporary name in the same directory, fsync, rename, directory fsync.
///
/// The file has this mode, whatever the umask. When this returns, the new content survives a power cut. When it fails, the old content stands.
pub fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), Error> {
    write_with(path, mode, |file| file.write_all(content))
}

/// The same for content that is too large to be held in memory as a whole: `fill` writes it.
pub fn write_with(
    path: &Path,
    mode: u32,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), Error> {
    let temporary = temporary_name(path);
    let written = create_and_fill(&temporary, mode, fill)
        .map_err(|source| Error {
            action: "write",
            path: temporary.clone(),
            source,
        })
        .and_then(|()| rename(&temporary, path));
    if written.is_err() {
        // Best effort: what is left is swept at the next start.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Renames `from` to `to` and makes the rename durable.
pub fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(|source| Error {
        action: "rename",
        path: from.to_owned(),
        source,
    })?;
    sync_directory(parent(to))
}

/// Removes a file and makes the removal durable. A file that is not there is no error.
pub fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error {
            action: "remove",
            path: path.to_owned(),
            source,
        }),
        _ => sync_directory(parent(path)),
    }
}

/// Makes the entries of a directory durable.
pub fn sync_directory(path: &Path) -> Result<(), Error> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|source| Error {
            action: "sync",
            path: path.to_owned(),
            source,
        })
}

/// Makes a directory, and those above it that are not there: all with this mode, whatever the umask. One that is there stays as it is.
pub fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        make_directory(above, mode)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        // Not by its name, which may lead elsewhere by now where others may write.
        Ok(()) => OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits())
            .open(path)?
            .set_permissions(Permissions::from_mode(mode)),
        // Somebody else made it at this very moment.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// The name that [`write`] fills before it renames: a leading dot and `.partial`, so that a sweep finds leftovers.
pub fn temporary_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.partial"))
}

fn create_and_fill(
    path: &Path,
    mode: u32,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    // A leftover of an interrupted write is nobody's: one writer per path is the callers' rule.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.set_permissions(Permissions::from_mode(mode))?;
    fill(&mut file)?;
    file.sync_all()
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_replaces_the_whole_content_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("record.json");
        write(&path, b"a longer first content", 0o600).unwrap();
        write(&path, b"second", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_made_has_the_mode_that_was_asked_for_whatever_the_umask() {
        let directory = tempfile::tempdir().unwrap();
        let deep = directory.path().join("deep/deeper");
        make_directory(&deep, 0o777).unwrap();
        let file = deep.join("record.json");
        write(&file, b"{}", 0o666).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let parent = deep.parent().unwrap();
        assert_eq!(
            [mode(parent), mode(&deep), mode(&file)],
            [0o777, 0o777, 0o666]
        );
        // What is there already is somebody's own.
        make_directory(&deep, 0o700).unwrap();
        assert_eq!(mode(&deep), 0o777);
        assert!(make_directory(&file, 0o700).is_err());
    }

    #[test]
    fn a_failed_write_leaves_the_old_content_and_names_the_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("missing/record.json");
        let error = write(&path, b"x", 0o600).unwrap_err();
        assert!(
            error.to_string().contains("missing/.record.json.partial"),
            "{error}"
        );
    }

    #[test]
    fn a_leftover_of_an_interrupted_write_does_not_stop_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("record.json");
        File::create(temporary_name(&path)).unwrap();
        write(&path, b"new", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn removing_what_is_not_there_succeeds() {
        let directory = tempfile::tempdir().unwrap();
        remove(&directory.path().join("nothing")).unwrap();
    }
}
