//! Whether any database in a directory is open.

use std::path::Path;

use super::control::Control;
use super::error::Error;
use super::lsm::lock;
use super::tree::Node;
use super::walk::{self, Seen};

/// Fails when a process has a LevelDB or RocksDB database somewhere in `root` open: then nothing there may be moved.
/// A directory that does not exist is in nobody's use.
pub fn refuse_in_use(root: &Path, control: &Control) -> Result<(), Error> {
    if !root.exists() {
        return Ok(());
    }
    walk::walk(root, &|_| false, control, &mut |seen| {
        let Seen::Entry(entry) = seen else {
            return Ok(());
        };
        let Some(parent) = entry
            .path
            .parent()
            .filter(|_| entry.node == Node::File && entry.path.name() == "LOCK")
        else {
            return Ok(());
        };
        let path = parent.below(root);
        match lock::holder(&path).map_err(Error::io("look at the lock of", &path))? {
            Some(pid) => Err(Error::InUse { path, pid }),
            None => Ok(()),
        }
    })
}
