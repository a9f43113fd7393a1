//! What a data directory consists of, and what has to be done with each piece of it.

mod item;
mod tables;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::control::Control;
use super::error::Error;
use super::exclude::Exclude;
use super::lsm::record::End;
use super::lsm::{Engine, FileName, LiveSet, names};
use super::manifest::Kind;
use super::packed::Packed;
use super::path::RelativePath;
use super::place;
use super::sniff::SingleFile;
use super::tree::{Entry, Node};
use super::walk::{self, Listing, Seen};
pub use item::{Item, Task};
use tables::Tables;

/// How often a MANIFEST is looked for that was there when `CURRENT` was read.
const TRIES: u32 = 20;

/// The data of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The data directory.
    pub root: PathBuf,
    /// Capture only these directories; empty captures all.
    pub include: Vec<RelativePath>,
    /// What is never captured.
    pub exclude: Exclude,
}

/// An LSM database as it was found.
#[derive(Debug, Clone)]
pub struct Database {
    /// Its directory.
    pub path: RelativePath,
    /// The MANIFEST's name, as CURRENT has it.
    pub manifest_name: String,
    /// The number in it.
    pub manifest: u64,
    /// What the MANIFEST says.
    pub live: LiveSet,
}

/// The state of the workload during a survey, which decides what is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It runs and the survey prepares: whatever is in flux is left for later.
    Warm,
    /// It has stopped; cleanly or not.
    Cold {
        /// It was not killed.
        clean: bool,
    },
    /// It runs and the cut is now: what is in flux is `Error::Io` with `NotFound`, to be tried again.
    Hot,
}

/// A data directory, understood.
#[derive(Debug, Default)]
pub struct Survey {
    /// The LSM databases in it.
    pub databases: Vec<Database>,
    /// What is to be captured, by path.
    pub items: Packed<Item>,
}

/// A directory that is being gone through.
struct Level {
    path: RelativePath,
    listing: Listing,
    next: usize,
    database: Option<Database>,
    tables: Tables,
}

impl Source {
    /// The whole of a directory, without what is excluded by default.
    pub fn whole(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            include: Vec::new(),
            exclude: Exclude::default(),
        }
    }

    /// Looks at everything.
    pub fn survey(&self, state: State, control: &Control) -> Result<Survey, Error> {
        let metadata = fs::metadata(&self.root).map_err(Error::io("read", &self.root))?;
        let root = walk::entry(RelativePath::root(), Node::Directory, &metadata);
        let mut survey = Survey::default();
        survey
            .items
            .push(&item(root, Kind::Directory, Task::Directory));
        let mut missing: BTreeSet<_> = self.include.iter().filter(|path| !path.is_root()).collect();
        let listing = Listing::read(&self.root, control)?;
        let mut open = vec![self.enter(RelativePath::root(), listing, state)?];
        while let Some(level) = open.last_mut() {
            let Some(step) = level.listing.step(level.next) else {
                survey
                    .databases
                    .extend(open.pop().and_then(|level| level.database));
                continue;
            };
            level.next += 1;
            if let Some(name) = step.strip_suffix('/') {
                let path = level.path.join(name)?;
                let listing = Listing::below(&path.below(&self.root), control)?;
                open.push(self.enter(path, listing, state)?);
                continue;
            }
            let Some(found) = self.step(level, step, state)? else {
                continue;
            };
            if found.kind == Kind::Directory {
                missing.remove(&found.path);
            }
            survey.items.push(&found);
        }
        if let Some(wanted) = missing.first() {
            return Err(Error::Place {
                path: wanted.below(&self.root),
                problem: "it is to be captured and is not a directory",
            });
        }
        survey.databases.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(survey)
    }

    /// Finds out what a directory is.
    fn enter(
        &self,
        path: RelativePath,
        mut listing: Listing,
        state: State,
    ) -> Result<Level, Error> {
        listing.retain(|name| {
            let captured = |path| !self.skips(&path);
            !walk::reserved(name) && path.join(name).is_ok_and(captured)
        });
        let database = match self.database_in(&path, &listing, state) {
            Err(_) if state == State::Warm => None,
            database => database?,
        };
        let tables = match &database {
            Some(database) => Tables::find(&self.root, database, &mut listing, state)?,
            None => Tables::default(),
        };
        Ok(Level {
            path,
            listing,
            next: 0,
            database,
            tables,
        })
    }

    /// What is to be done with one name of a directory; `None` is left out.
    fn step(&self, level: &Level, name: &str, state: State) -> Result<Option<Item>, Error> {
        let path = level.path.join(name)?;
        let named = |database| level.tables.named(name, database, &level.listing);
        if let Some(file) = level.database.as_ref().and_then(named) {
            return file.item(&self.root, path, state);
        }
        let entry = match walk::look(&self.root, path)? {
            Some(Seen::Entry(entry)) => entry,
            Some(Seen::Excluded(_) | Seen::Special(_)) => return Ok(None),
            None => {
                let database = level.database.as_ref().filter(|_| state == State::Hot);
                // A log that this MANIFEST needs is left out of a moment only with another MANIFEST.
                return match database.is_some_and(|database| database.needs(name)) {
                    true => Err(gone(&self.root.join(level.path.as_str()).join(name))),
                    false => Ok(None),
                };
            }
        };
        match &level.database {
            Some(database) => self.engine_item(entry, database, state),
            None => self.other_item(entry, state).map(Some),
        }
    }

    /// Whether a path is no part of the captured data.
    pub(super) fn skips(&self, path: &RelativePath) -> bool {
        !self.means(path) || self.exclude.matches(path)
    }

    /// Whether a path is in a directory that is captured, or leads to one.
    pub(super) fn means(&self, path: &RelativePath) -> bool {
        self.include.is_empty()
            || self
                .include
                .iter()
                .any(|wanted| path.is_within(wanted) || wanted.is_within(path))
    }

    /// The same as [`Source::database`], tried again where the engine changed to a new MANIFEST in between: what a warm
    /// survey takes for no database decides about the way of the whole cut.
    fn database_in(
        &self,
        directory: &RelativePath,
        listing: &Listing,
        state: State,
    ) -> Result<Option<Database>, Error> {
        let mut tries = 1;
        loop {
            match self.database(directory, listing, state) {
                Err(error)
                    if state == State::Warm
                        && error.kind() == Some(io::ErrorKind::NotFound)
                        && tries < TRIES =>
                {
                    tries += 1;
                }
                read => return read,
            }
        }
    }

    /// Reads CURRENT and MANIFEST, if this is a directory of LevelDB's or RocksDB's.
    fn database(
        &self,
        directory: &RelativePath,
        listing: &Listing,
        state: State,
    ) -> Result<Option<Database>, Error> {
        // Pebble keeps its MANIFEST's name in a marker file and adds to the formats: its directories are taken whole,
        // as files that nobody here understands.
        let on_disk = directory.below(&self.root);
        let has = |wanted: fn(FileName) -> bool| {
            listing.names().any(|name| wanted(FileName::parse(name)))
        };
        let looks_like_one = has(|name| matches!(name, FileName::Manifest(_)))
            && has(|name| matches!(name, FileName::Table(_) | FileName::Log(_)));
        if listing.names().any(|name| name.starts_with("marker.")) {
            return match state == State::Hot && looks_like_one {
                // Copied one after the other, they would be of different moments.
                true => Err(Error::HotRefused {
                    path: on_disk,
                    reason: "it is Pebble's, whose files are not understood".to_owned(),
                }),
                false => Ok(None),
            };
        }
        let current = on_disk.join("CURRENT");
        if !listing.has("CURRENT") {
            return match looks_like_one {
                true => Err(damaged(&current, "it is missing in a database directory")),
                false => Ok(None),
            };
        }
        let content = read_small(&current)?;
        let Some(manifest) = names::parse_current(&content) else {
            return match looks_like_one {
                true => Err(damaged(&current, "it does not name a MANIFEST")),
                false => Ok(None),
            };
        };
        let manifest_name = String::from_utf8_lossy(&content).trim_end().to_owned();
        let path = on_disk.join(&manifest_name);
        let file = match place::open(&path) {
            Err(error)
                if error.kind() == Some(io::ErrorKind::NotFound)
                    && matches!(state, State::Cold { .. }) =>
            {
                return Err(damaged(&path, "CURRENT names it and it is missing"));
            }
            opened => opened?,
        };
        let mut reader = io::BufReader::new(file);
        let mut live =
            LiveSet::read(&mut reader, manifest).map_err(|bad| damaged(&path, &bad.to_string()))?;
        if state == (State::Cold { clean: true }) && live.scan.end != End::Exact {
            let detail = format!(
                "it does not end at a record, after byte {}",
                live.scan.whole
            );
            return Err(damaged(&path, &detail));
        }
        // A new RocksDB's MANIFEST has nothing in it that LevelDB's has not, but RocksDB has files that LevelDB has not.
        if has(|name| matches!(name, FileName::Options(_) | FileName::Identity)) {
            live.engine = Engine::RocksDb;
        }
        Ok(Some(Database {
            path: directory.clone(),
            manifest_name,
            manifest,
            live,
        }))
    }

    /// An entry of a database directory; `None` is left out. Tables are added from the live set instead.
    fn engine_item(
        &self,
        entry: Entry,
        database: &Database,
        state: State,
    ) -> Result<Option<Item>, Error> {
        if entry.node != Node::File {
            return self.other_item(entry, state).map(Some);
        }
        let copied = Task::Mutable { limit: None };
        let (kind, task) = match FileName::parse(entry.path.name()) {
            FileName::Current => {
                let content = format!("{}\n", database.manifest_name).into_bytes();
                (Kind::Current, Task::Write(content))
            }
            FileName::Manifest(_) if entry.path.name() == database.manifest_name => {
                // The engines drop a torn end too; without it every snapshot's MANIFEST ends at a record.
                let limit = Some(database.live.scan.whole);
                (Kind::Manifest, Task::Mutable { limit })
            }
            FileName::Log(number) if database.live.needs_log(number) => (Kind::Log, copied),
            FileName::Options(_) | FileName::Identity => (Kind::Options, copied),
            FileName::Foreign => return self.other_item(entry, state).map(Some),
            // Old MANIFESTs and logs, unfinished tables, locks, information logs.
            _ => return Ok(None),
        };
        Ok(Some(item(entry, kind, task)))
    }

    fn other_item(&self, entry: Entry, state: State) -> Result<Item, Error> {
        let (kind, task) = match &entry.node {
            Node::Directory => (Kind::Directory, Task::Directory),
            Node::Symlink(target) => (Kind::Symlink, Task::Symlink(target.clone())),
            Node::File => {
                let path = entry.path.below(&self.root);
                let single = match place::open(&path) {
                    Ok(file) => SingleFile::of(&file),
                    // It may be gone by now; whoever copies it will know.
                    Err(error) if error.kind() == Some(io::ErrorKind::NotFound) => None,
                    Err(error) => return Err(error),
                };
                if let (State::Hot, Some(engine)) = (state, single) {
                    return Err(Error::HotRefused {
                        path,
                        reason: format!("{engine:?} changes its one file in place"),
                    });
                }
                let kind = if single.is_some() {
                    Kind::SingleFile
                } else {
                    Kind::Other
                };
                (kind, Task::Mutable { limit: None })
            }
        };
        Ok(item(entry, kind, task))
    }
}

fn item(entry: Entry, kind: Kind, task: Task) -> Item {
    Item {
        path: entry.path,
        kind,
        task,
        identity: entry.identity,
        allocated: entry.allocated,
        attributes: entry.attributes,
    }
}

impl Database {
    /// Whether a file of this name, beside the tables, is part of the database.
    fn needs(&self, name: &str) -> bool {
        match FileName::parse(name) {
            FileName::Manifest(_) => name == self.manifest_name,
            FileName::Log(number) => self.live.needs_log(number),
            FileName::Current | FileName::Options(_) | FileName::Identity => true,
            FileName::Table(_) | FileName::Blob(_) | FileName::Scratch | FileName::Foreign => false,
        }
    }
}

/// What an engine removed between two steps.
fn gone(path: &Path) -> Error {
    Error::io("open", path)(io::ErrorKind::NotFound.into())
}

fn damaged(path: &Path, detail: &str) -> Error {
    Error::Damaged {
        path: path.to_owned(),
        detail: detail.to_owned(),
    }
}

/// Reads a file that is a line long.
fn read_small(path: &Path) -> Result<Vec<u8>, Error> {
    use std::io::Read;
    let mut content = Vec::new();
    place::open(path)?
        .take(1024)
        .read_to_end(&mut content)
        .map_err(Error::io("read", path))?;
    Ok(content)
}
