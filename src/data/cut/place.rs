//! Bringing one item of the source to its place in the snapshot.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::super::control::Control;
use super::super::error::Error;
use super::super::path::RelativePath;
use super::super::place::{self, Method, Placed};
use super::super::space;
use super::super::survey::{Item, Task};
use super::super::tree::Identity;
use super::Cut;
use super::brought::Origin;

impl Cut {
    /// Brings one item over and remembers it for a later turn of a hot cut. A link says for itself what it is.
    pub(super) fn bring(&mut self, item: &Item, control: &mut Control) -> Result<u64, Error> {
        let placed = self.put(item, control)?;
        let size = placed.size;
        if !matches!(item.task, Task::Directory) && placed.method != Method::Link {
            let identity = item.identity;
            let (path, key) = (item.path.clone(), item.path.clone());
            let origin = Origin {
                path,
                identity,
                placed,
            };
            self.placed.insert(key, origin);
        }
        Ok(size)
    }

    /// Brings one item over, unless it is there already and still the same.
    pub(super) fn put(&mut self, item: &Item, control: &mut Control) -> Result<Placed, Error> {
        control.check()?;
        let from = item.path.below(&self.source.root);
        let to = item.path.below(&self.data());
        if let Task::Directory = item.task {
            return self.directory(&item.path).map(|()| Placed::written());
        }
        if let Some(placed) = self.brought(item)? {
            return Ok(placed);
        }
        if let Some(parent) = item.path.parent() {
            self.directory(&parent)?;
        }
        if fs::symlink_metadata(&to).is_ok() {
            // Only a name in our own partial directory; the inode behind a link is not touched.
            fs::remove_file(&to).map_err(Error::io("remove", &to))?;
        }
        let attributes = Some(&item.attributes);
        let placed = match (&item.task, self.method_for(item)) {
            (Task::Directory, _) => Placed::written(),
            (Task::Symlink(target), _) => {
                place::symlink(target, &to, &item.attributes).map(|()| Placed::written())?
            }
            (Task::Write(content), _) => place::write(&to, content, attributes)?,
            (Task::Mutable { limit }, Method::Copy) => {
                place::copy(&from, &to, *limit, attributes, control)?
            }
            (_, Method::Link) => self.link(item, &from, &to, control)?,
            (_, Method::Reflink) => place::reflink(&from, &to, attributes)?,
            (_, Method::Copy | Method::Written) => {
                place::copy(&from, &to, None, attributes, control)?
            }
        };
        if item.task == Task::Immutable {
            if placed.method != Method::Copy {
                control.advance_shared(placed.size)?;
            }
            self.require_same(item)?;
        }
        Ok(placed)
    }

    /// Links a table. One that has as many names as an inode can have is copied, where there is room.
    fn link(
        &self,
        item: &Item,
        from: &Path,
        to: &Path,
        control: &mut Control,
    ) -> Result<Placed, Error> {
        match place::link(from, to, item.identity) {
            Err(error) if place::has_no_name_left(&error) => {
                let needed = item.allocated.saturating_add(self.options.reserve);
                space::require(self.exclusive.store().path(), needed, 1)?;
                place::copy(from, to, None, Some(&item.attributes), control)
            }
            linked => linked,
        }
    }

    /// This very file, if an earlier pass brought it over: the same inode with the same size, and for a link that
    /// inode under both names. A number of an unfinished table is used again, so a name alone proves nothing.
    fn brought(&mut self, item: &Item) -> Result<Option<Placed>, Error> {
        let placed = self.placed.remove(&item.path);
        let origin = placed.or_else(|| self.brought.find(&item.path));
        if item.task != Task::Immutable {
            return Ok(None);
        }
        let to = item.path.below(&self.data());
        let there = match fs::symlink_metadata(&to) {
            Ok(there) => Identity::of(&there),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", &to)(error)),
        };
        Ok(match origin {
            Some(Origin {
                identity, placed, ..
            }) => {
                let same = identity == item.identity && there.size == item.identity.size;
                same.then_some(placed)
            }
            None => (there == item.identity).then(|| Placed::linked(item.identity)),
        })
    }

    /// A table that changed its inode or size while it was brought over was not what the MANIFEST meant.
    fn require_same(&self, item: &Item) -> Result<(), Error> {
        let from = item.path.below(&self.source.root);
        let now = fs::symlink_metadata(&from).map_err(Error::io("read", &from))?;
        if Identity::of(&now) != item.identity {
            let to = item.path.below(&self.data());
            fs::remove_file(&to).map_err(Error::io("remove", &to))?;
            return Err(Error::io("read", &from)(ErrorKind::NotFound.into()));
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
