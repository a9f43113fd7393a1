//! Bringing over to a staged tree what it leaves alone of the live one: once while the workload runs, and what has
//! changed since then once more when it is stopped. So the second time takes as long as the changes, not the files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::control::Control;
use super::error::Error;
use super::path::RelativePath;
use super::place;
use super::tree::{self, Attributes, Entry, Identity, Node, Tree};

/// Entries of a live tree that its replacement takes over as they are.
#[derive(Debug)]
pub struct Carry {
    live: PathBuf,
    staged: PathBuf,
    /// Names at the top that the staged tree has itself, or is to be without.
    own: BTreeSet<String>,
    /// What was brought over, as it was then.
    brought: BTreeMap<RelativePath, Stamp>,
}

/// What tells a file that was written to since from one that was not.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    node: Node,
    identity: Identity,
    attributes: Attributes,
    /// Nobody can set it back.
    changed: (i64, i64),
}

/// What one round did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Files that are in the staged tree now.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Entries that this round wrote or removed.
    pub touched: u64,
}

impl Carry {
    /// Everything at the top of `live` but `own`, into `staged`, which is there. Nothing is brought over yet.
    pub fn new(live: &Path, staged: &Path, own: impl IntoIterator<Item = String>) -> Self {
        Self {
            live: live.to_owned(),
            staged: staged.to_owned(),
            own: own.into_iter().collect(),
            brought: BTreeMap::new(),
        }
    }

    /// How many files and bytes there are to bring over.
    ///
    /// # Errors
    /// Where the live tree cannot be read.
    pub fn measure(&self, control: &Control) -> Result<Carried, Error> {
        let mut carried = Carried::default();
        for entry in &self.entries(control)? {
            carried.count(entry);
        }
        Ok(carried)
    }

    /// Brings over what has changed since the last round, and removes what is gone. What was touched is durable.
    ///
    /// # Errors
    /// Where something cannot be read, or written; the staged tree is then of no use.
    pub fn round(&mut self, control: &mut Control) -> Result<Carried, Error> {
        let mut carried = Carried::default();
        let mut gone: BTreeSet<_> = self.brought.keys().cloned().collect();
        let mut directories = BTreeSet::new();
        let mut attributes = Vec::new();
        let first = self.brought.is_empty();
        for entry in self.entries(control)? {
            control.check()?;
            let Some(stamp) = self.stamp(&entry)? else {
                continue;
            };
            gone.remove(&entry.path);
            carried.count(&entry);
            if entry.node == Node::Directory {
                attributes.push((entry.path.clone(), entry.attributes));
            }
            if self.brought.get(&entry.path) == Some(&stamp) {
                continue;
            }
            // What it is was looked up before it is read: a change in between is seen in the next round.
            if self.bring(&entry, !first, control)? {
                carried.touched += 1;
                directories.extend(entry.path.parent());
                self.brought.insert(entry.path, stamp);
            }
        }
        // The deepest first.
        for path in gone.iter().rev() {
            tree::remove(&path.below(&self.staged), control)?;
            carried.touched += 1;
            directories.extend(path.parent());
            self.brought.remove(path);
        }
        for (path, attributes) in attributes.iter().rev() {
            let path = path.below(&self.staged);
            let directory = File::open(&path).map_err(Error::io("open", &path))?;
            place::dress(&directory, &path, Some(attributes))?;
        }
        // Nothing to sync is the cheapest: one of the filesystem waits for what everybody has written to it.
        if carried.touched > 0 {
            self.make_durable(first, &directories)?;
        }
        Ok(carried)
    }

    /// One sync of the filesystem for the many files of the first round, one for each file after that.
    fn make_durable(&self, first: bool, directories: &BTreeSet<RelativePath>) -> Result<(), Error> {
        if first {
            let root = File::open(&self.staged).map_err(Error::io("open", &self.staged))?;
            return nix::unistd::syncfs(&root)
                .map_err(|errno| Error::io("sync", &self.staged)(errno.into()));
        }
        for directory in directories {
            let path = directory.below(&self.staged);
            if path.exists() {
                crate::durable::sync_directory(&path)?;
            }
        }
        Ok(())
    }

    fn entries(&self, control: &Control) -> Result<Vec<Entry>, Error> {
        if !self.live.exists() {
            return Ok(Vec::new());
        }
        let own = |path: &RelativePath| self.own.contains(path.as_str());
        let mut entries = Tree::walk(&self.live, &own, control)?.entries;
        entries.retain(|entry| !entry.path.is_root());
        Ok(entries)
    }

    /// `None` for what has vanished since it was listed.
    fn stamp(&self, entry: &Entry) -> Result<Option<Stamp>, Error> {
        let path = entry.path.below(&self.live);
        match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(Some(Stamp {
                node: entry.node.clone(),
                identity: Identity {
                    // A directory's size and times change with its entries, which are looked at themselves.
                    size: if metadata.is_dir() { 0 } else { metadata.len() },
                    ..Identity::of(&metadata)
                },
                attributes: Attributes {
                    mtime: if metadata.is_dir() {
                        0
                    } else {
                        metadata.mtime()
                    },
                    mtime_nanos: if metadata.is_dir() {
                        0
                    } else {
                        metadata.mtime_nsec()
                    },
                    ..Attributes::of(&metadata)
                },
                changed: if metadata.is_dir() {
                    (0, 0)
                } else {
                    (metadata.ctime(), metadata.ctime_nsec())
                },
            })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    /// Brings one entry over; `false` where it has vanished meanwhile.
    fn bring(&self, entry: &Entry, sync: bool, control: &mut Control) -> Result<bool, Error> {
        let (from, to) = (entry.path.below(&self.live), entry.path.below(&self.staged));
        let is_directory = |path: &Path| fs::symlink_metadata(path).is_ok_and(|it| it.is_dir());
        match &entry.node {
            Node::Directory if is_directory(&to) => return Ok(true),
            Node::Directory => {
                tree::remove(&to, control)?;
                DirBuilder::new()
                    .mode(0o700)
                    .create(&to)
                    .map_err(Error::io("create", &to))?;
            }
            Node::Symlink(target) => {
                tree::remove(&to, control)?;
                place::symlink(target, &to, &entry.attributes)?;
            }
            Node::File => {
                tree::remove(&to, control)?;
                let placed = match place::reflink(&from, &to, Some(&entry.attributes)) {
                    Ok(placed) => Ok(placed),
                    Err(_) => place::copy(&from, &to, None, Some(&entry.attributes), control),
                };
                match placed {
                    Ok(_) => {}
                    Err(error) if error.kind() == Some(std::io::ErrorKind::NotFound) => {
                        return Ok(false);
                    }
                    Err(error) => return Err(error),
                }
                if sync {
                    let file = place::open(&to)?;
                    file.sync_all().map_err(Error::io("sync", &to))?;
                }
            }
        }
        Ok(true)
    }
}

impl Carried {
    fn count(&mut self, entry: &Entry) {
        if entry.node == Node::File {
            self.files += 1;
            self.bytes += entry.identity.size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(path: &Path, content: &str) {
        crate::durable::write(path, content.as_bytes(), 0o644).unwrap();
    }

    fn setup() -> (tempfile::TempDir, Carry) {
        let directory = tempfile::tempdir().unwrap();
        let (live, staged) = (
            directory.path().join("live"),
            directory.path().join("staged"),
        );
        fs::create_dir_all(live.join("outputs/deep")).unwrap();
        fs::create_dir_all(live.join("miners/hk")).unwrap();
        fs::create_dir_all(staged.join("miners")).unwrap();
        put(&live.join("outputs/deep/a"), "a");
        put(&live.join("timestamp.json"), "1");
        put(&live.join("miners/hk/old"), "old");
        std::os::unix::fs::symlink("nowhere", live.join("link")).unwrap();
        let carry = Carry::new(&live, &staged, ["miners".to_owned()]);
        (directory, carry)
    }

    #[test]
    fn everything_but_its_own_comes_over_and_then_only_what_changes() {
        let (directory, mut carry) = setup();
        let (live, staged) = (
            directory.path().join("live"),
            directory.path().join("staged"),
        );
        let control = &mut Control::unlimited();
        let first = carry.round(control).unwrap();
        assert_eq!((first.files, first.bytes, first.touched), (2, 2, 5));
        assert_eq!(fs::read(staged.join("outputs/deep/a")).unwrap(), b"a");
        assert_eq!(
            fs::read_link(staged.join("link")).unwrap(),
            Path::new("nowhere")
        );
        assert!(!staged.join("miners/hk").exists(), "miners are its own");
        assert_eq!(carry.round(control).unwrap().touched, 0);

        put(&live.join("timestamp.json"), "22");
        put(&live.join("new"), "n");
        fs::remove_dir_all(live.join("outputs")).unwrap();
        let second = carry.round(control).unwrap();
        // The changed one, the new one, and three that are gone.
        assert_eq!((second.files, second.touched), (2, 5));
        assert_eq!(fs::read(staged.join("timestamp.json")).unwrap(), b"22");
        assert!(staged.join("new").exists() && !staged.join("outputs").exists());
    }

    #[test]
    fn a_file_of_the_same_size_and_time_that_was_replaced_is_seen() {
        let (directory, mut carry) = setup();
        let live = directory.path().join("live/timestamp.json");
        let control = &mut Control::unlimited();
        carry.round(control).unwrap();
        let time = fs::metadata(&live).unwrap().modified().unwrap();
        put(&directory.path().join("other"), "2");
        File::options()
            .write(true)
            .open(directory.path().join("other"))
            .unwrap()
            .set_modified(time)
            .unwrap();
        fs::rename(directory.path().join("other"), &live).unwrap();
        assert_eq!(carry.round(control).unwrap().touched, 1);
        let staged = directory.path().join("staged/timestamp.json");
        assert_eq!(fs::read(staged).unwrap(), b"2");
    }
}
