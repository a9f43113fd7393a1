//! Going through a directory in the order of its paths, with no more in memory than the names on the way down.

use std::fs::{self, Metadata};
use std::io;
use std::path::Path;

use super::control::Control;
use super::error::Error;
use super::path::RelativePath;
use super::tree::{self, Attributes, Entry, Identity, Node, RESERVED};

/// What a walk comes across.
pub enum Seen {
    /// Data.
    Entry(Entry),
    /// What was left out by the caller's choice, or is Ostler's own.
    Excluded(RelativePath),
    /// A socket, pipe or device: not data.
    Special(RelativePath),
}

/// The names of a directory, sorted. A directory is there twice: as itself, and with a slash at the place where its
/// content belongs, which is not right behind it.
pub(super) struct Listing {
    text: String,
    steps: Vec<(u32, u16)>,
}

/// Goes through `root`: the root first, the others by path. `skip` is asked for every path below it. A name that
/// vanishes meanwhile is not there.
pub fn walk(
    root: &Path,
    skip: &dyn Fn(&RelativePath) -> bool,
    control: &Control,
    see: &mut dyn FnMut(Seen) -> Result<(), Error>,
) -> Result<(), Error> {
    let metadata = fs::metadata(root).map_err(Error::io("read", root))?;
    if !metadata.is_dir() {
        return Err(Error::Place {
            path: root.to_owned(),
            problem: "it is not a directory",
        });
    }
    see(Seen::Entry(entry(
        RelativePath::root(),
        Node::Directory,
        &metadata,
    )))?;
    let mut open = vec![(RelativePath::root(), Listing::read(root, control)?, 0)];
    while let Some((directory, listing, next)) = open.last_mut() {
        let Some(step) = listing.step(*next) else {
            open.pop();
            continue;
        };
        *next += 1;
        let name = step.strip_suffix('/').unwrap_or(step);
        let path = directory.join(name)?;
        let left_out = reserved(name) || skip(&path);
        match (step.len() > name.len(), left_out) {
            (true, true) => {}
            (true, false) => {
                let inside = Listing::below(&path.below(root), control)?;
                open.push((path, inside, 0));
            }
            (false, true) => see(Seen::Excluded(path))?,
            (false, false) => look(root, path)?.map_or(Ok(()), &mut *see)?,
        }
    }
    Ok(())
}

/// Whether a name is Ostler's own.
pub(super) fn reserved(name: &str) -> bool {
    name.starts_with(RESERVED)
}

/// What is there now; nothing where it has vanished.
pub(super) fn look(root: &Path, path: RelativePath) -> Result<Option<Seen>, Error> {
    let on_disk = path.below(root);
    let metadata = match fs::symlink_metadata(&on_disk) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", &on_disk)(error)),
    };
    let kind = metadata.file_type();
    let node = if kind.is_file() {
        Node::File
    } else if kind.is_dir() {
        Node::Directory
    } else if kind.is_symlink() {
        Node::Symlink(tree::target(&on_disk)?)
    } else {
        return Ok(Some(Seen::Special(path)));
    };
    Ok(Some(Seen::Entry(entry(path, node, &metadata))))
}

impl Listing {
    /// Lists a directory.
    pub fn read(directory: &Path, control: &Control) -> Result<Self, Error> {
        control.check()?;
        let listing = fs::read_dir(directory).map_err(Error::io("list", directory))?;
        let mut listed = Self::empty();
        for item in listing {
            let item = item.map_err(Error::io("list", directory))?;
            let name = item.file_name();
            let name = name.to_str().ok_or_else(|| Error::Place {
                path: item.path(),
                problem: "its name is not UTF-8, so a manifest cannot hold it: rename or exclude it",
            })?;
            match item.file_type() {
                Ok(kind) if kind.is_dir() => {
                    listed.add(name, "", directory)?;
                    listed.add(name, "/", directory)?;
                }
                Ok(_) => listed.add(name, "", directory)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("read", &item.path())(error)),
            }
        }
        listed.sort();
        Ok(listed)
    }

    /// The same for a directory in a tree, which may have vanished since it was seen.
    pub fn below(directory: &Path, control: &Control) -> Result<Self, Error> {
        let gone = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
        match Self::read(directory, control) {
            Err(error) if error.kind().is_some_and(|kind| gone.contains(&kind)) => {
                Ok(Self::empty())
            }
            listed => listed,
        }
    }

    /// Adds the name of a file; `sort` has to follow.
    pub fn add_file(&mut self, name: &str, directory: &Path) -> Result<(), Error> {
        self.add(name, "", directory)
    }

    /// Leaves out the names that are not to be kept.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let (text, steps) = (&self.text, &mut self.steps);
        steps.retain(|step| {
            let step = slice(text, *step);
            keep(step.strip_suffix('/').unwrap_or(step))
        });
    }

    /// Brings the names into their order.
    pub fn sort(&mut self) {
        let (text, steps) = (&self.text, &mut self.steps);
        steps.sort_unstable_by_key(|step| slice(text, *step));
    }

    /// The step at a place: a name, or a directory's with a slash behind it.
    pub fn step(&self, at: usize) -> Option<&str> {
        self.steps.get(at).map(|step| slice(&self.text, *step))
    }

    /// Every name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let steps = self.steps.iter().map(|step| slice(&self.text, *step));
        steps.filter(|step| !step.ends_with('/'))
    }

    /// Whether a name is there.
    pub fn has(&self, name: &str) -> bool {
        let found = self
            .steps
            .binary_search_by_key(&name, |step| slice(&self.text, *step));
        found.is_ok()
    }

    fn empty() -> Self {
        Self {
            text: String::new(),
            steps: Vec::new(),
        }
    }

    fn add(&mut self, name: &str, ending: &str, directory: &Path) -> Result<(), Error> {
        let length = u16::try_from(name.len() + ending.len());
        let (Ok(start), Ok(length)) = (u32::try_from(self.text.len()), length) else {
            return Err(Error::Place {
                path: directory.to_owned(),
                problem: "it has more names than this program can list",
            });
        };
        self.text.push_str(name);
        self.text.push_str(ending);
        self.steps.push((start, length));
        Ok(())
    }
}

fn slice(text: &str, (start, length): (u32, u16)) -> &str {
    let start = start as usize;
    text.get(start..start + length as usize).unwrap_or_default()
}

pub(super) fn entry(path: RelativePath, node: Node, metadata: &Metadata) -> Entry {
    use std::os::unix::fs::MetadataExt;

    Entry {
        path,
        node,
        identity: Identity::of(metadata),
        allocated: metadata.blocks().saturating_mul(512),
        links: metadata.nlink(),
        attributes: Attributes::of(metadata),
    }
}
