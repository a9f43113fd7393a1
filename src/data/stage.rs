//! Building the tree that is to become the live one, beside it, while the workload may still run.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::control::Control;
use super::error::Error;
use super::exchange::{Exchange, Scope};
use super::exclude::Exclude;
use super::files::{FileRecord, Kind};
use super::manifest::Manifest;
use super::mount::is_mount_point;
use super::other_engine::refuse_other_engine;
use super::path::RelativePath;
use super::place::{self, Method};
use super::space;
use super::store::Exclusive;
use super::tree::{self, Node, RESERVED};
use super::walk::{self, Seen};

/// A tree that is ready to be exchanged for the live one.
#[derive(Debug)]
pub struct Staged {
    live: PathBuf,
    path: PathBuf,
    scope: Scope,
}

impl Staged {
    /// Builds the tree of a snapshot, which must have been verified.
    ///
    /// `method`: `None` is reflink where it works, else copy. `Link` is for a disk that has no room for a copy: tables
    /// become names of the snapshot's own inodes, which the engines never write to; everything else is copied.
    pub fn build(
        exclusive: &Exclusive,
        manifest: &Manifest,
        live: &Path,
        method: Option<Method>,
        reserve: u64,
        control: &mut Control,
    ) -> Result<Self, Error> {
        let live = &real(live)?;
        let scope = match (
            &manifest.include[..],
            live.exists() && is_mount_point(live)?,
        ) {
            ([], false) => Scope::Whole,
            ([], true) => Scope::Entries,
            (include, _) => Scope::Only(include.to_vec()),
        };
        let staged = Self::make(exclusive, live, scope, control)?;
        let built = staged.fill(
            &exclusive.store().snapshot(&manifest.name).join("data"),
            manifest,
            method,
            reserve,
            control,
        );
        match built {
            Ok(()) => Ok(staged),
            Err(error) => {
                // Best effort: the next build removes what is left.
                let _ = tree::discard(&staged.path, &mut Control::unlimited());
                Err(error)
            }
        }
    }

    /// Makes an empty tree, for a workload that is to start from nothing, or with `include` empty directories for
    /// these alone. The owners and modes of the live ones are kept.
    pub fn empty(
        exclusive: &Exclusive,
        live: &Path,
        include: &[RelativePath],
        control: &mut Control,
    ) -> Result<Self, Error> {
        let live = &real(live)?;
        let scope = match (include, is_mount_point(live)?) {
            ([], false) => Scope::Whole,
            ([], true) => Scope::Entries,
            (include, _) => Scope::Only(include.to_vec()),
        };
        let staged = Self::make(exclusive, live, scope, control)?;
        let hollow = include
            .iter()
            .filter(|path| path.below(live).is_dir())
            .try_for_each(|path| staged.directory(path))
            .and_then(|()| {
                let metadata = fs::metadata(live).map_err(Error::io("read", live))?;
                dress(&staged.path, &tree::Attributes::of(&metadata))
            });
        match hollow {
            Ok(()) => Ok(staged),
            Err(error) => {
                // Best effort, as above.
                let _ = tree::discard(&staged.path, &mut Control::unlimited());
                Err(error)
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Brings over from the live tree what snapshots never hold: keys, signing state and whatever else is excluded.
    ///
    /// For a stopped workload only: signing state changes with every block.
    pub fn carry(
        &self,
        exclude: &Exclude,
        control: &mut Control,
    ) -> Result<Vec<RelativePath>, Error> {
        if !self.live.exists() {
            return Ok(Vec::new());
        }
        let mut carried: Vec<RelativePath> = Vec::new();
        let mut directories: Vec<tree::Entry> = Vec::new();
        walk::walk(&self.live, &|_| false, &Control::unlimited(), &mut |seen| {
            control.check()?;
            let Seen::Entry(entry) = seen else {
                return Ok(());
            };
            let inside = carried
                .iter()
                .rev()
                .any(|directory| entry.path.is_within(directory));
            let meant = match &self.scope {
                Scope::Only(paths) => paths.iter().any(|path| entry.path.is_within(path)),
                Scope::Whole | Scope::Entries => true,
            };
            if !meant || entry.path.is_root() || !(inside || exclude.matches(&entry.path)) {
                return Ok(());
            }
            let to = entry.path.below(&self.path);
            if !inside {
                // First of all: through a link of the snapshot in their place something else would be removed.
                self.parents(&entry.path)?;
                // The live one wins over one that an older list of exclusions let into the snapshot.
                tree::remove(&to, control)?;
            }
            carried.push(entry.path.clone());
            self.carry_one(entry, &to, &mut directories, control)
        })?;
        for entry in directories.iter().rev() {
            dress(&entry.path.below(&self.path), &entry.attributes)?;
        }
        Ok(carried)
    }

    fn carry_one(
        &self,
        entry: tree::Entry,
        to: &Path,
        directories: &mut Vec<tree::Entry>,
        control: &mut Control,
    ) -> Result<(), Error> {
        let from = entry.path.below(&self.live);
        match &entry.node {
            Node::Directory => {
                let made = DirBuilder::new().mode(0o700).create(to);
                made.map_err(Error::io("create", to))?;
                directories.push(entry);
                Ok(())
            }
            Node::Symlink(target) => place::symlink(target, to, &entry.attributes),
            Node::File => {
                // The workload waits, and what is excluded may be large.
                if place::reflink(&from, to, Some(&entry.attributes)).is_err() {
                    place::copy(&from, to, None, Some(&entry.attributes), control)?;
                }
                let copied = place::open(to)?;
                copied.sync_all().map_err(Error::io("sync", to))
            }
        }
    }

    /// Plans the exchange of this tree and the live one.
    pub fn exchange(&self, journal: &Path) -> Result<Exchange, Error> {
        sync_directories(&self.path)?;
        Exchange::begin(journal, &self.live, &self.path, &self.scope)
    }

    /// Removes the tree, which was not exchanged.
    pub fn discard(self, control: &mut Control) -> Result<(), Error> {
        tree::discard(&self.path, control)
    }

    /// Removes what a build that was interrupted has left of a tree for this live one; what is being exchanged is left alone.
    pub fn sweep(exclusive: &Exclusive, live: &Path, control: &mut Control) -> Result<(), Error> {
        Exchange::refuse_pending(&exclusive.store().exchange_journal())?;
        let live = real(live)?;
        for left in beside(&live).into_iter().chain([inside(&live)]) {
            tree::discard(&left, control)?;
        }
        Ok(())
    }

    /// Whether an exchange for this live tree can have stopped halfway: one entry after the other is exchanged where the
    /// tree is staged inside. Elsewhere one rename does it. An empty directory says nothing: its disk may not be mounted.
    pub fn may_be_torn(live: &Path) -> bool {
        let is_empty = || fs::read_dir(live).is_ok_and(|mut entries| entries.next().is_none());
        !live.is_dir() || is_empty() || inside(live).exists()
    }

    fn make(
        exclusive: &Exclusive,
        live: &Path,
        scope: Scope,
        control: &mut Control,
    ) -> Result<Self, Error> {
        Exchange::refuse_pending(&exclusive.store().exchange_journal())?;
        let live = live.to_owned();
        let path = match scope {
            Scope::Whole => beside(&live).ok_or_else(|| Error::Place {
                path: live.clone(),
                problem: "the root directory cannot be exchanged",
            })?,
            _ => inside(&live),
        };
        tree::discard(&path, control)?;
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(Error::io("create", &path))?;
        Ok(Self { live, path, scope })
    }

    fn fill(
        &self,
        data: &Path,
        manifest: &Manifest,
        method: Option<Method>,
        reserve: u64,
        control: &mut Control,
    ) -> Result<(), Error> {
        refuse_other_engine(&self.live, manifest, control)?;
        let method = match method {
            Some(method) => method,
            None => self.best_method(data, manifest)?,
        };
        let bytes: u64 = manifest
            .files
            .iter()
            .filter(|file| method_for(method, file) == Method::Copy)
            .map(|file| file.size)
            .sum();
        space::require(
            &self.path,
            bytes.saturating_add(reserve),
            manifest.files.len() as u64,
        )?;
        control.expect(bytes);
        for file in manifest.files.iter().filter(|file| !file.path.is_root()) {
            self.put(data, &file, method, reserve, control)?;
        }
        for file in manifest.files.directories() {
            dress(&file.path.below(&self.path), &file.attributes)?;
        }
        Ok(())
    }

    fn put(
        &self,
        data: &Path,
        file: &FileRecord,
        method: Method,
        reserve: u64,
        control: &mut Control,
    ) -> Result<(), Error> {
        let from = file.path.below(data);
        let to = file.path.below(&self.path);
        let attributes = Some(&file.attributes);
        control.check()?;
        let placed = match (file.kind, method_for(method, file)) {
            (Kind::Directory, _) => {
                return DirBuilder::new()
                    .mode(0o700)
                    .create(&to)
                    .map_err(Error::io("create", &to));
            }
            (Kind::Symlink, _) => {
                return place::symlink(
                    file.target.as_deref().unwrap_or_default(),
                    &to,
                    &file.attributes,
                );
            }
            (_, Method::Link) => {
                let metadata = fs::symlink_metadata(&from).map_err(Error::io("read", &from))?;
                match place::link(&from, &to, tree::Identity::of(&metadata)) {
                    Err(error) if place::has_no_name_left(&error) => {
                        space::require(&self.path, file.size.saturating_add(reserve), 1)?;
                        place::copy(&from, &to, None, attributes, control)?
                    }
                    linked => linked?,
                }
            }
            (_, Method::Reflink) => place::reflink(&from, &to, attributes)?,
            _ => place::copy(&from, &to, None, attributes, control)?,
        };
        if placed.size != file.size || (placed.hash.is_some() && placed.hash != file.blake3) {
            return Err(Error::Damaged {
                path: from,
                detail: "it is not what was captured".to_owned(),
            });
        }
        place::open(&to)?.sync_all().map_err(Error::io("sync", &to))
    }

    fn best_method(&self, data: &Path, manifest: &Manifest) -> Result<Method, Error> {
        // Never a linked table for the probe of links: only the answer about reflinks is of interest.
        let sample = manifest.files.iter().find(|file| file.blake3.is_some());
        let Some(sample) = sample else {
            return Ok(Method::Copy);
        };
        let target = self.path.join(format!("{RESERVED}probe"));
        let works = place::reflink(&sample.path.below(data), &target, None).is_ok();
        if works {
            fs::remove_file(&target).map_err(Error::io("remove", &target))?;
        }
        Ok(if works { Method::Reflink } else { Method::Copy })
    }

    /// Makes the directories above `path`, dressed as the live ones are.
    fn parents(&self, path: &RelativePath) -> Result<(), Error> {
        match path.parent().filter(|parent| !parent.is_root()) {
            Some(parent) => self.directory(&parent),
            None => Ok(()),
        }
    }

    /// Makes a directory, and those above it, dressed as the live ones are.
    fn directory(&self, path: &RelativePath) -> Result<(), Error> {
        // From the top, so that no link on the way is followed.
        self.parents(path)?;
        let to = path.below(&self.path);
        match fs::symlink_metadata(&to) {
            Ok(metadata) if metadata.is_dir() => return Ok(()),
            Ok(_) => {
                return Err(Error::Exists { path: to });
            }
            Err(_) => {}
        }
        DirBuilder::new()
            .mode(0o700)
            .create(&to)
            .map_err(Error::io("create", &to))?;
        let from = path.below(&self.live);
        let metadata = fs::metadata(&from).map_err(Error::io("read", &from))?;
        dress(&to, &tree::Attributes::of(&metadata))
    }
}

/// With links, only what no engine writes to is linked.
fn method_for(method: Method, file: &FileRecord) -> Method {
    match (method, file.kind) {
        (_, Kind::Directory | Kind::Symlink) => Method::Written,
        (Method::Link, Kind::Table | Kind::Blob) => Method::Link,
        (Method::Link, _) => Method::Copy,
        (method, _) => method,
    }
}

fn dress(path: &Path, attributes: &tree::Attributes) -> Result<(), Error> {
    let directory = File::open(path).map_err(Error::io("open", path))?;
    place::dress(&directory, path, Some(attributes))
}

fn sync_directories(path: &Path) -> Result<(), Error> {
    let mut directories = Vec::new();
    walk::walk(path, &|_| false, &Control::unlimited(), &mut |seen| {
        if let Seen::Entry(entry) = seen
            && entry.node == Node::Directory
        {
            directories.push(entry.path);
        }
        Ok(())
    })?;
    for directory in directories.iter().rev() {
        crate::durable::sync_directory(&directory.below(path))?;
    }
    match path.parent() {
        Some(parent) => Ok(crate::durable::sync_directory(parent)?),
        None => Ok(()),
    }
}

/// The directory itself: where `live` is a link to it, the link stays. It may not be there yet.
fn real(live: &Path) -> Result<PathBuf, Error> {
    let error = match fs::canonicalize(live) {
        Ok(real) => return Ok(real),
        Err(error) => error,
    };
    match (fs::symlink_metadata(live), live.parent(), live.file_name()) {
        (Err(missing), Some(parent), Some(name)) if missing.kind() == io::ErrorKind::NotFound => {
            let parent = match parent.as_os_str().is_empty() {
                true => Path::new("."),
                false => parent,
            };
            let parent = fs::canonicalize(parent).map_err(Error::io("find", parent))?;
            Ok(parent.join(name))
        }
        _ => Err(Error::io("find", live)(error)),
    }
}

/// Where a tree is built for a directory that is renamed: beside it. The root has no beside.
fn beside(live: &Path) -> Option<PathBuf> {
    let name = live.file_name()?.to_string_lossy();
    Some(live.parent()?.join(format!("{RESERVED}staged-{name}")))
}

/// The same for one that cannot be, for its mount is as far as renames go: inside it.
fn inside(live: &Path) -> PathBuf {
    live.join(format!("{RESERVED}staged"))
}
