//! The unix socket: bound so that nobody ever meets it half made, and never taken from a living agent.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Group, chown};
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use tokio::time::timeout;

use super::server::Error;
use crate::durable::{self, temporary_name};

/// Whose members may talk to the agent, beside root.
pub const GROUP: &str = "ostler";

/// Owner and group, nobody else: whoever may open the socket may do everything.
const MODE: u32 = 0o660;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 32;

/// How long an agent that may live is given to answer.
const PROBE: Duration = Duration::from_secs(1);

/// The socket's file, removed when this is dropped, unless another has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

/// Binds `path`: made under a temporary name, given its permissions, listening, and only then renamed into place.
///
/// What a killed agent has left there is replaced; a socket that answers is another agent's, and an error.
pub(super) async fn bind(path: &Path) -> Result<(UnixListener, SocketFile), Error> {
    let failed = |source| Error::Socket {
        path: path.to_owned(),
        source,
    };
    refuse_what_is_not_ours(path).await?;
    if let Some(directory) = path.parent() {
        // The socket has its own permissions; its directory keeps nobody from it.
        durable::make_directory(directory, 0o755).map_err(failed)?;
    }
    let temporary = temporary_name(path);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let socket = UnixSocket::new_stream().map_err(failed)?;
    // Nobody can connect before `listen`, so the permissions are right from the first connection on.
    socket.bind(&temporary).map_err(failed)?;
    fs::set_permissions(&temporary, fs::Permissions::from_mode(MODE)).map_err(failed)?;
    give_to_group(&temporary);
    let listener = socket.listen(BACKLOG).map_err(failed)?;
    let inode = inode(&temporary).map_err(failed)?;
    fs::rename(&temporary, path).map_err(failed)?;
    let path = path.to_owned();
    Ok((listener, SocketFile { path, inode }))
}

async fn refuse_what_is_not_ours(path: &Path) -> Result<(), Error> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => return Err(Error::NotASocket(path.to_owned())),
        Err(_) => return Ok(()),
    }
    match timeout(PROBE, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(Err(source)) => Err(Error::Socket {
            path: path.to_owned(),
            source,
        }),
        // It answers, or its queue is full: either way somebody holds it.
        Ok(Ok(_)) | Err(_) => Err(Error::AnotherAgent(path.to_owned())),
    }
}

/// Without the group, or without the right to give files away, root alone talks to the agent.
fn give_to_group(path: &Path) {
    let given = match Group::from_name(GROUP) {
        Ok(Some(group)) => chown(path, None, Some(group.gid)),
        Ok(None) => return,
        Err(error) => Err(error),
    };
    if let Err(error) = given {
        tracing::warn!(%error, group = GROUP, "cannot give the unix socket to its group");
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if inode(&self.path).is_ok_and(|found| found == self.inode) {
            // Best effort: what is left is replaced at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_for_owner_and_group_and_gone_afterwards() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/ostler.sock");
        let (_listener, file) = bind(&path).await.unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        UnixStream::connect(&path).await.unwrap();
        drop(file);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn what_a_killed_agent_left_is_replaced_and_a_living_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ostler.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let (_listener, _file) = bind(&path).await.unwrap();
        let error = bind(&path).await.unwrap_err();
        assert!(matches!(error, Error::AnotherAgent(_)), "{error}");
        UnixStream::connect(&path).await.unwrap();
    }

    #[tokio::test]
    async fn a_file_of_somebody_else_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ostler.sock");
        fs::File::create(&path).unwrap();
        let error = bind(&path).await.unwrap_err();
        assert!(matches!(error, Error::NotASocket(_)), "{error}");
        assert!(path.exists());
    }

    #[tokio::test]
    async fn the_socket_of_a_successor_is_not_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ostler.sock");
        let (first, file) = bind(&path).await.unwrap();
        drop(first);
        let (_second, _file) = bind(&path).await.unwrap();
        drop(file);
        UnixStream::connect(&path).await.unwrap();
    }
}
