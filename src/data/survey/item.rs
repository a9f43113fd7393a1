//! An entry of a data directory, and what is to be done with it.

use super::super::files::Kind;
use super::super::lsm::decode::Decoder;
use super::super::packed::{Pack, Packer, Unpacker};
use super::super::path::RelativePath;
use super::super::tree::{Attributes, Identity};

/// What is to be done with an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Never changes: linked, reflinked or copied, at any time.
    Immutable,
    /// May change while the workload runs: reflinked or copied; only the first bytes where there is a limit.
    Mutable {
        /// How many bytes count.
        limit: Option<u64>,
    },
    /// Written anew with this content.
    Write(Vec<u8>),
    /// Made.
    Directory,
    /// Made, to point there.
    Symlink(String),
}

/// An entry and what is to be done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Where it is.
    pub path: RelativePath,
    /// What it is.
    pub kind: Kind,
    /// What to do.
    pub task: Task,
    /// Which inode it is.
    pub identity: Identity,
    /// Bytes on disk.
    pub allocated: u64,
    /// Mode, owner, times.
    pub attributes: Attributes,
}

impl Task {
    fn pack(&self, to: &mut Packer<'_>) {
        match self {
            Self::Immutable => to.raw(&[0]),
            Self::Mutable { limit: None } => to.raw(&[1]),
            Self::Mutable { limit: Some(limit) } => {
                to.raw(&[2]);
                to.number(*limit);
            }
            Self::Write(content) => {
                to.raw(&[3]);
                to.bytes(content);
            }
            Self::Directory => to.raw(&[4]),
            Self::Symlink(target) => {
                to.raw(&[5]);
                to.bytes(target.as_bytes());
            }
        }
    }

    fn unpack(from: &mut Decoder<'_>) -> Option<Self> {
        Some(match from.byte()? {
            0 => Self::Immutable,
            1 => Self::Mutable { limit: None },
            2 => Self::Mutable {
                limit: Some(from.varint64()?),
            },
            3 => Self::Write(from.prefixed()?.to_vec()),
            4 => Self::Directory,
            5 => Self::Symlink(String::from_utf8(from.prefixed()?.to_vec()).ok()?),
            _ => return None,
        })
    }
}

impl Pack for Item {
    fn path(&self) -> &RelativePath {
        &self.path
    }

    fn pack(&self, to: &mut Packer<'_>) {
        to.raw(&[self.kind as u8]);
        self.task.pack(to);
        to.number(self.identity.device);
        to.number(self.identity.inode);
        to.number(self.identity.size);
        to.number(self.allocated);
        to.attributes(&self.attributes);
    }

    fn unpack(path: RelativePath, from: &mut Unpacker<'_>) -> Option<Self> {
        Some(Self {
            path,
            kind: Kind::unpack(from.byte()?)?,
            task: Task::unpack(from)?,
            identity: Identity {
                device: from.varint64()?,
                inode: from.varint64()?,
                size: from.varint64()?,
            },
            allocated: from.varint64()?,
            attributes: from.attributes()?,
        })
    }
}
