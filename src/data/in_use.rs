//! Whether any database in a directory is open.

use std::path::Path;

use super::control::Control;
use super::error::Error;
use super::lsm::lock;
use super::tree::{Node, Tree};

/// Fails when a process has a LevelDB or RocksDB database somewhere in `root` open: then nothing there may be moved.
/// A directory that does not exist is in nobody's use.
pub fn refuse_in_use(root: &Path, control: &Control) -> Result<(), Error> {
    if !root.exists() {
        return Ok(());
    }
    let tree = Tree::walk(root, &|_| false, control)?;
    for entry in &tree.entries {
        let Some(parent) = entry
            .path
            .parent()
            .filter(|_| entry.node == Node::File && entry.path.name() == "LOCK")
        else {
            continue;
        };
        let directory = parent.below(root);
        if let Some(pid) =
            lock::holder(&directory).map_err(Error::io("look at the lock of", &directory))?
        {
            return Err(Error::InUse {
                path: directory,
                pid,
            });
        }
    }
    Ok(())
}
