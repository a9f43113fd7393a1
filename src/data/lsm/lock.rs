//! Whether a database is open: engines hold a lock on the file `LOCK` while it is.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::fcntl::{FcntlArg, Flock, FlockArg, fcntl};
use nix::libc;

/// The process that has the database in `directory` open; 0 when it is known only that there is one.
///
/// LevelDB, goleveldb and RocksDB hold a POSIX lock, some ports an `flock`: both are tried, and neither is kept.
pub fn holder(directory: &Path) -> io::Result<Option<i32>> {
    let file = match File::open(directory.join("LOCK")) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_GETLK(&mut lock))?;
    if lock.l_type != libc::F_UNLCK as libc::c_short {
        return Ok(Some(lock.l_pid));
    }
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_) => Ok(None),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(Some(0)),
        Err((_, errno)) => Err(errno.into()),
    }
}
