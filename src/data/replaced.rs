//! What of a workload's data would make room for other data, and what of it stays.

use super::control::Control;
use super::error::Error;
use super::path::RelativePath;
use super::survey::Source;
use super::tree::{Node, RESERVED, Tree};

/// The data that an exchange would take away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Bytes on disk.
    pub bytes: u64,
    /// Files.
    pub files: u64,
    /// What is there now and would be there afterwards: keys, signing state, and what else is excluded.
    pub kept: Vec<RelativePath>,
}

impl Replaced {
    /// Looks at the live data; the workload may run. Data that is not there yet is nothing.
    pub fn look(source: &Source, control: &Control) -> Result<Self, Error> {
        let mut replaced = Self {
            bytes: 0,
            files: 0,
            kept: Vec::new(),
        };
        if !source.root.exists() {
            return Ok(replaced);
        }
        let tree = Tree::walk(&source.root, &|path| source.skips(path), control)?;
        for entry in &tree.entries {
            replaced.bytes = replaced.bytes.saturating_add(entry.allocated);
            replaced.files += u64::from(entry.node == Node::File);
        }
        // What is not among the directories that are meant is nobody's concern.
        let stays = |path: &RelativePath| source.means(path) && !path.name().starts_with(RESERVED);
        replaced.kept = tree.excluded.into_iter().filter(stays).collect();
        replaced.kept.sort();
        Ok(replaced)
    }
}
