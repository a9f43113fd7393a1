//! Bringing one item of the source to its place in the snapshot.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;

use super::super::control::Control;
use super::super::error::Error;
use super::super::path::RelativePath;
use super::super::place::{self, Method, Placed};
use super::super::survey::{Item, Task};
use super::super::tree::Identity;
use super::{Cut, Origin};

impl Cut {
    /// Brings one item over, unless it is there already and still the same.
    pub(super) fn put(&mut self, item: &Item, control: &mut Control) -> Result<(), Error> {
        control.check()?;
        let from = item.path.below(&self.source.root);
        let to = item.path.below(&self.data());
        if let Task::Directory = item.task {
            return self.directory(&item.path);
        }
        if self.is_current(item)? {
            return Ok(());
        }
        if let Some(parent) = item.path.parent() {
            self.directory(&parent)?;
        }
        if self.placed.remove(&item.path).is_some() || fs::symlink_metadata(&to).is_ok() {
            // Only a name in our own partial directory; the inode behind a link is not touched.
            fs::remove_file(&to).map_err(Error::io("remove", &to))?;
        }
        let attributes = Some(&item.attributes);
        let (placed, limit) = match (&item.task, self.method_for(item)) {
            (Task::Directory, _) => return Ok(()),
            (Task::Symlink(target), _) => {
                place::symlink(target, &to, &item.attributes)?;
                let placed = Placed {
                    method: Method::Written,
                    size: 0,
                    hash: None,
                };
                (placed, None)
            }
            (Task::Write(content), _) => (place::write(&to, content, attributes)?, None),
            (Task::Mutable { limit }, Method::Copy) => (
                place::copy(&from, &to, *limit, attributes, control)?,
                *limit,
            ),
            (_, Method::Link) => (place::link(&from, &to, item.identity)?, None),
            (_, Method::Reflink) => (place::reflink(&from, &to, attributes)?, None),
            (_, Method::Copy | Method::Written) => {
                (place::copy(&from, &to, None, attributes, control)?, None)
            }
        };
        if item.task == Task::Immutable {
            if placed.method != Method::Copy {
                control.advance_shared(placed.size)?;
            }
            self.require_same(item)?;
        }
        let origin = Origin {
            identity: item.identity,
            limit,
            placed,
        };
        self.placed.insert(item.path.clone(), origin);
        Ok(())
    }

    /// Whether an earlier pass brought this very file over: the same inode with the same size, and for a link that
    /// inode under both names. A number of an unfinished table is used again, so a name alone proves nothing.
    fn is_current(&self, item: &Item) -> Result<bool, Error> {
        let Some(origin) = self.placed.get(&item.path) else {
            return Ok(false);
        };
        if item.task != Task::Immutable || origin.identity != item.identity {
            return Ok(false);
        }
        let to = item.path.below(&self.data());
        let there = fs::symlink_metadata(&to).map_err(Error::io("read", &to))?;
        Ok(match origin.placed.method {
            Method::Link => Identity::of(&there) == item.identity,
            _ => there.len() == item.identity.size,
        })
    }

    /// A table that changed its inode or size while it was brought over was not what the MANIFEST meant.
    fn require_same(&self, item: &Item) -> Result<(), Error> {
        let from = item.path.below(&self.source.root);
        let now = fs::symlink_metadata(&from).map_err(Error::io("read", &from))?;
        if Identity::of(&now) != item.identity {
            let to = item.path.below(&self.data());
            fs::remove_file(&to).map_err(Error::io("remove", &to))?;
            return Err(Error::io("read", &from)(
                std::io::ErrorKind::NotFound.into(),
            ));
        }
        Ok(())
    }

    /// Makes a directory and those above it. They get their owner, mode and times at the seal.
    fn directory(&mut self, path: &RelativePath) -> Result<(), Error> {
        if !self.made.insert(path.clone()) {
            return Ok(());
        }
        let to = path.below(&self.data());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&to)
            .map_err(Error::io("create", &to))
    }
}
