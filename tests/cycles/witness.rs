//! What was sealed, and whether it still is what it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::chain::Engine;
use super::snapshots::{picture, private_copy};

/// Remembers every byte of what it has seen sealed.
pub struct Witness {
    engine: Engine,
    scratch: PathBuf,
    seen: BTreeMap<PathBuf, BTreeMap<String, String>>,
}

impl Witness {
    /// `scratch` is a path of its own for copies.
    pub fn new(engine: Engine, scratch: PathBuf) -> Self {
        Self {
            engine,
            scratch,
            seen: BTreeMap::new(),
        }
    }

    /// Takes note of a tree as it is now.
    pub fn note(&mut self, tree: &Path) {
        self.seen.insert(tree.to_owned(), picture(tree));
    }

    /// Every tree of which it has taken note and that is still there is what it was; gives how many are.
    pub fn unchanged(&mut self) -> Result<usize, String> {
        self.seen.retain(|tree, _| tree.exists());
        for (tree, before) in &self.seen {
            let now = picture(tree);
            let other = before
                .keys()
                .chain(now.keys())
                .find(|path| before.get(*path) != now.get(*path));
            if let Some(path) = other {
                return Err(format!(
                    "{path} in {}: {:?} became {:?}",
                    tree.display(),
                    before.get(path),
                    now.get(path)
                ));
            }
        }
        Ok(self.seen.len())
    }

    /// Has the engine open a copy of a tree and read all of it, with checksums, chain and total: the head.
    pub fn head(&self, tree: &Path) -> Result<i64, String> {
        self.read(tree, Engine::verify)
    }

    /// The same of a tree in which an engine was at work a moment ago: it may have written half of a record.
    pub fn head_of_running(&self, tree: &Path) -> Result<i64, String> {
        self.read(tree, Engine::verify_hot)
    }

    fn read(
        &self,
        tree: &Path,
        verify: fn(Engine, &Path) -> Result<i64, String>,
    ) -> Result<i64, String> {
        private_copy(tree, &self.scratch);
        let head = verify(self.engine, &self.scratch);
        fs::remove_dir_all(&self.scratch).unwrap();
        head
    }
}
