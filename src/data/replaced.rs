//! What of a workload's data would make room for other data, and what of it stays.

use super::control::Control;
use super::error::Error;
use super::path::RelativePath;
use super::survey::Source;
use super::tree::{Node, RESERVED};
use super::walk::{self, Seen};

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
        // What is not among the directories that are meant is nobody's concern.
        let stays = |path: &RelativePath| source.means(path) && !path.name().starts_with(RESERVED);
        let skip = |path: &RelativePath| source.skips(path);
        walk::walk(&source.root, &skip, control, &mut |seen| {
            match seen {
                Seen::Entry(entry) => {
                    replaced.bytes = replaced.bytes.saturating_add(entry.allocated);
                    replaced.files += u64::from(entry.node == Node::File);
                }
                Seen::Excluded(path) if stays(&path) => replaced.kept.push(path),
                Seen::Excluded(_) | Seen::Special(_) => {}
            }
            Ok(())
        })?;
        replaced.kept.sort_unstable();
        Ok(replaced)
    }
}
