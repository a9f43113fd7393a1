//! Secrets: read from files that others cannot read, never shown.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::unistd::Uid;

use super::error::Problems;

/// Larger than any password, token or chain of PEM certificates that makes sense.
const MOST_BYTES: u64 = 256 * 1024;

/// The content of a file that is not for everybody. It never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The content, to be handed on and not to be written anywhere.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {}: {problem}", path.display())]
pub struct Error {
    path: PathBuf,
    #[source]
    problem: Reason,
}

impl Error {
    /// Whether waiting is no help: a file that is not there may be on a disk that is mounted later.
    pub fn is_lasting(&self) -> bool {
        !matches!(self.problem, Reason::Unreadable(_))
    }
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    #[error("its mode is {0:03o}: others may read or change it (chmod 0600, or 0640)")]
    Open(u32),
    #[error("it belongs to user {0}, who is neither root nor the user of the agent")]
    Foreign(u32),
    #[error("it is not a regular file")]
    Irregular,
    #[error("it is empty")]
    Empty,
    #[error("it is larger than {} KiB", MOST_BYTES / 1024)]
    Large,
    #[error("it is not text in UTF-8")]
    Binary,
    #[error("a name without `/` is a systemd credential, and $CREDENTIALS_DIRECTORY is not set")]
    NoCredentials,
}

/// Reads a secret and takes off one newline at its end.
///
/// `path` is absolute, or the name of a systemd credential
/// (<https://systemd.io/CREDENTIALS>: `$CREDENTIALS_DIRECTORY/<name>`).
///
/// # Errors
/// Where the file is not there, is no regular file, is empty, larger than 256 KiB or no text, belongs to another user
/// than root and the agent's, can be read by others or be changed by its group or others.
pub fn read(path: &Path) -> Result<Secret, Error> {
    read_checked(path, true)
}

/// Reads a file that is no secret, a certificate for example, in the same way; anybody may read it.
///
/// # Errors
/// As [`read`], apart from who can read it.
pub fn read_public(path: &Path) -> Result<String, Error> {
    read_checked(path, false).map(|secret| secret.0)
}

/// Says in the configuration's terms what is wrong with a path, before the file is looked at.
pub(super) fn check_path(key: &str, path: &Path, problems: &mut Problems) {
    if !path.is_absolute() && credential(path).is_none() {
        problems.add(
            key,
            format!(
                "`{}` must be an absolute path, or the name of a systemd credential",
                path.display()
            ),
        );
    }
}

/// Whether it is the name of a systemd credential, and this process was given none: others than the agent are not.
pub fn is_elsewhere(path: &Path) -> bool {
    credential(path).is_some() && std::env::var_os("CREDENTIALS_DIRECTORY").is_none()
}

/// The name of a systemd credential: a single component that is an ordinary file name.
fn credential(path: &Path) -> Option<&Path> {
    let mut parts = path.components();
    let only = matches!(parts.next(), Some(std::path::Component::Normal(_)));
    (only && parts.next().is_none()).then_some(path)
}

/// The file of a secret that another program reads, once it is known that this one would read it.
///
/// # Errors
/// As [`read`].
pub fn file(path: &Path) -> Result<PathBuf, Error> {
    read(path)?;
    resolve(path).map_err(|problem| Error {
        path: path.to_owned(),
        problem,
    })
}

fn read_checked(path: &Path, secret: bool) -> Result<Secret, Error> {
    let failed = |path: &Path, problem| Error {
        path: path.to_owned(),
        problem,
    };
    let path = resolve(path).map_err(|problem| failed(path, problem))?;
    open_and_read(&path, secret).map_err(|problem| failed(&path, problem))
}

fn resolve(path: &Path) -> Result<PathBuf, Reason> {
    let Some(name) = credential(path) else {
        return Ok(path.to_owned());
    };
    match std::env::var_os("CREDENTIALS_DIRECTORY") {
        Some(directory) => Ok(Path::new(&directory).join(name)),
        None => Err(Reason::NoCredentials),
    }
}

fn open_and_read(path: &Path, secret: bool) -> Result<Secret, Reason> {
    // Without O_NONBLOCK a named pipe would hold the agent for ever.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    check_file(&file, secret)?;
    let mut content = String::new();
    match file.take(MOST_BYTES + 1).read_to_string(&mut content) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(Reason::Binary),
        read => read?,
    };
    if content.len() as u64 > MOST_BYTES {
        return Err(Reason::Large);
    }
    if content.ends_with('\n') {
        content.pop();
    }
    if content.is_empty() {
        return Err(Reason::Empty);
    }
    Ok(Secret(content))
}

// The open file is asked, not the path: what is checked is what is read.
fn check_file(file: &File, secret: bool) -> Result<(), Reason> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Reason::Irregular);
    }
    let owner = metadata.uid();
    if owner != 0 && owner != Uid::effective().as_raw() {
        return Err(Reason::Foreign(owner));
    }
    let mode = metadata.mode() & 0o777;
    let forbidden = if secret { 0o027 } else { 0o022 };
    if mode & forbidden != 0 {
        return Err(Reason::Open(mode));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(content: &[u8], mode: u32) -> tempfile::NamedTempFile {
        use std::io::Write;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        file.as_file()
            .set_permissions(Permissions::from_mode(mode))
            .unwrap();
        file
    }

    #[test]
    fn one_newline_is_taken_off_and_nothing_else() {
        for (content, secret) in [("s3", "s3"), ("s3\n", "s3"), (" s3 \n\n", " s3 \n")] {
            let file = file(content.as_bytes(), 0o600);
            assert_eq!(read(file.path()).unwrap().expose(), secret);
        }
    }

    #[test]
    fn a_file_that_others_can_read_or_change_is_refused() {
        for mode in [0o604, 0o602, 0o620, 0o644, 0o660] {
            let file = file(b"s3", mode);
            let message = read(file.path()).unwrap_err().to_string();
            assert!(message.contains(&format!("{mode:03o}")), "{message}");
        }
        assert!(read(file(b"s3", 0o640).path()).is_ok());
        assert!(read_public(file(b"PEM", 0o644).path()).is_ok());
        assert!(read_public(file(b"PEM", 0o646).path()).is_err());
    }

    #[test]
    fn what_cannot_be_a_secret_is_refused_and_the_file_is_named() {
        let large = vec![b'x'; MOST_BYTES as usize + 1];
        for (content, why) in [
            (&b""[..], "empty"),
            (b"\n", "empty"),
            (b"\xff\xfe", "UTF-8"),
            (&large, "larger"),
        ] {
            let file = file(content, 0o600);
            let error = read(file.path()).unwrap_err();
            assert!(error.is_lasting());
            let message = error.to_string();
            assert!(message.contains(why), "{message}");
            assert!(message.contains(&file.path().display().to_string()));
        }
        assert!(
            read(Path::new("/"))
                .unwrap_err()
                .to_string()
                .contains("regular")
        );
        assert!(read(Path::new("/dev/null")).is_err());
        let absent = read(Path::new("/nonexistent/secret")).unwrap_err();
        assert!(!absent.is_lasting());
    }

    #[test]
    fn a_named_pipe_that_nobody_writes_to_does_not_hold_the_reader() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        assert!(read(&pipe).unwrap_err().to_string().contains("regular"));
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        let file = file(b"s3cr3t", 0o600);
        let shown = format!("{:?}", read(file.path()).unwrap());
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }
}
