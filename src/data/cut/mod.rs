//! Taking a snapshot: prepare, warm pass, stop, cold pass, start, seal.
//!
//! ```text
//! let mut cut = Cut::prepare(source, &store, options, &mut control)?;
//! cut.warm(&mut control)?;               // the workload runs
//! cut.cold(clean, &mut budget)?;         // the workload has stopped; give up when the budget is used up
//! let manifest = cut.seal(facts, &mut throttled)?;  // the workload runs again
//! ```
//!
//! For a cut of a running workload, `hot` stands in for `warm` and `cold`. Until the seal there is only
//! `<name>.partial`; dropping the cut removes it.

mod brought;
mod cold;
mod hot;
mod place;
mod seal;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::protocol::Name;

use super::control::Control;
use super::error::Error;
use super::exchange::Exchange;
use super::files::{FileRecord, Files, Kind};
use super::manifest::{self, Way};
use super::path::RelativePath;
use super::place::{Method, Placed};
use super::probe::probe;
use super::space;
use super::store::{Exclusive, Store};
use super::survey::{Database, Item, Source, State, Survey, Task};
use super::tree::{self, Identity};
use brought::{Brought, Origin};

/// What a cut should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The snapshot's name.
    pub name: Name,
    /// How; `None` is the best stopped way that works: reflink, else link, else copy.
    pub way: Option<Way>,
    /// Bytes that stay free on the store's filesystem.
    pub reserve: u64,
}

/// A snapshot in the making.
#[derive(Debug)]
pub struct Cut {
    source: Source,
    exclusive: Exclusive,
    options: Options,
    way: Way,
    /// What is done with tables; with reflinks, with every file.
    method: Method,
    /// `<store>/<name>.partial`.
    partial: PathBuf,
    /// The device of the data directory.
    home: u64,
    /// Directories that are there.
    made: BTreeSet<RelativePath>,
    /// Tables at their place since the warm pass.
    brought: Brought,
    /// Files at their place in a hot cut, which goes over them in another order again and again.
    placed: BTreeMap<RelativePath, Origin>,
    /// What was captured, after the cold pass; with a hash where the bytes passed through our hands.
    captured: Files,
    databases: Vec<manifest::Database>,
    clean: bool,
    cut_ms: u64,
    sealed: bool,
}

impl Cut {
    /// Checks everything that can be checked before anything is done, and makes the directory to build in.
    pub fn prepare(
        source: Source,
        store: &Store,
        options: Options,
        control: &mut Control,
    ) -> Result<Self, Error> {
        apart(&source.root, store.path())?;
        let exclusive = store.lock(control)?;
        // Half of an old tree and half of a new one are no data of anybody's.
        Exchange::refuse_pending(&store.exchange_journal())?;
        let partial = exclusive.partial(&options.name)?;
        let data = partial.join("data");
        DirBuilder::new()
            .mode(0o700)
            .create(&partial)
            .and_then(|()| DirBuilder::new().mode(0o700).create(&data))
            .map_err(Error::io("create", &data))?;
        let home = fs::metadata(&source.root).map_err(Error::io("read", &source.root))?;
        let home = Identity::of(&home).device;
        let mut cut = Self {
            source,
            exclusive,
            way: options.way.unwrap_or(Way::Copy),
            method: Method::Copy,
            options,
            partial,
            home,
            made: BTreeSet::from([RelativePath::root()]),
            brought: Brought::default(),
            placed: BTreeMap::new(),
            captured: Files::default(),
            databases: Vec::new(),
            clean: false,
            cut_ms: 0,
            sealed: false,
        };
        let survey = cut.source.survey(State::Warm, control)?;
        cut.choose(&survey)?;
        cut.require_space(&survey)?;
        if cut.way == Way::Hot {
            cut.refuse_hot(&survey.databases)?;
        }
        Ok(cut)
    }

    /// The way that was chosen.
    pub fn way(&self) -> Way {
        self.way
    }

    /// Brings over what cannot change, while the workload runs. What is in flux is left for the cold pass.
    pub fn warm(&mut self, control: &mut Control) -> Result<(), Error> {
        let survey = self.source.survey(State::Warm, control)?;
        let items = survey.items;
        self.brought.turn();
        let tables = || items.iter().filter(|item| item.task == Task::Immutable);
        control.expect(tables().map(|item| item.identity.size).sum());
        for item in tables() {
            match self.put(&item, control) {
                // A compaction took it.
                Err(error) if error.kind() == Some(std::io::ErrorKind::NotFound) => {}
                placed => self.brought.note(&item.path, item.identity, &placed?),
            }
        }
        Ok(())
    }

    /// Removes what was built.
    pub fn abandon(mut self, control: &mut Control) -> Result<(), Error> {
        self.sealed = true;
        tree::discard(&self.partial, control)
    }

    /// Notes what the final pass has brought over.
    fn capture(&mut self, item: Item, placed: Placed) {
        let target = match item.task {
            Task::Symlink(target) => Some(target),
            _ => None,
        };
        self.captured.push(&FileRecord {
            path: item.path,
            kind: item.kind,
            method: placed.method,
            size: placed.size,
            blake3: placed.hash,
            target,
            attributes: item.attributes,
        });
    }

    fn data(&self) -> PathBuf {
        self.partial.join("data")
    }

    /// Finds out what works between here and there, and holds it against what is wanted.
    fn choose(&mut self, survey: &Survey) -> Result<(), Error> {
        // Only a file that never changes may be linked, even for a moment; any file may be reflinked.
        let mut tables = survey
            .items
            .iter()
            .filter(|item| item.task == Task::Immutable)
            .peekable();
        let table = tables.peek().is_some();
        let files = survey
            .items
            .iter()
            .filter(|item| matches!(item.task, Task::Mutable { .. }));
        let mut samples = tables.chain(files.filter(|_| !table));
        let (mut link, reflink) = loop {
            let Some(sample) = samples.next() else {
                break (Err("there is no file to try it with".to_owned()), Ok(()));
            };
            match probe(&sample.path.below(&self.source.root), &self.partial) {
                // A compaction took it.
                Err(error) if error.kind() == Some(std::io::ErrorKind::NotFound) => {}
                found => break found.map(|found| (found.link, found.reflink))?,
            }
        };
        if !table {
            link = Err("there is no table, and nothing else may be linked".to_owned());
        }
        let best = match (&link, &reflink) {
            (_, Ok(())) => Method::Reflink,
            (Ok(()), _) => Method::Link,
            _ => Method::Copy,
        };
        self.method = match (self.options.way, &link, &reflink) {
            (None | Some(Way::Hot), ..) => best,
            (Some(Way::Copy), ..) => Method::Copy,
            (Some(Way::Link), Ok(()), _) => Method::Link,
            (Some(Way::Reflink), _, Ok(())) => Method::Reflink,
            (Some(way @ Way::Link), Err(reason), _)
            | (Some(way @ Way::Reflink), _, Err(reason)) => {
                return Err(Error::WayRefused {
                    way,
                    data: self.source.root.clone(),
                    store: self.exclusive.store().path().to_owned(),
                    reason: reason.clone(),
                });
            }
        };
        self.way = match (self.options.way, self.method) {
            (Some(way), _) => way,
            (None, Method::Reflink) => Way::Reflink,
            (None, Method::Link) => Way::Link,
            (None, _) => Way::Copy,
        };
        Ok(())
    }

    fn require_space(&self, survey: &Survey) -> Result<(), Error> {
        let mut bytes = self.options.reserve;
        let mut inodes = 16;
        for item in &survey.items {
            let method = self.method_for(&item);
            if method != Method::Link {
                inodes += 1;
            }
            if method == Method::Copy {
                bytes = bytes.saturating_add(item.allocated);
            }
        }
        space::require(self.exclusive.store().path(), bytes, inodes)
    }

    /// How a file comes over: only what never changes is linked, and what is on another filesystem (a mount inside the
    /// data directory) is copied whatever the way.
    fn method_for(&self, item: &Item) -> Method {
        let far = self.home != item.identity.device;
        match (&item.task, self.method) {
            (Task::Write(_) | Task::Directory | Task::Symlink(_), _) => Method::Written,
            _ if far => Method::Copy,
            // A part of a file cannot be reflinked simply, and a MANIFEST is small.
            (Task::Mutable { limit: Some(_) }, _) => Method::Copy,
            (Task::Mutable { .. }, Method::Link) => Method::Copy,
            // What passes through our hands in the stop window is hashed there; logs are small.
            (Task::Mutable { .. }, _) if item.kind == Kind::Log => Method::Copy,
            (_, method) => method,
        }
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        if !self.sealed {
            // Best effort: what is left is swept by the next who gets the lock.
            let _ = tree::discard(&self.partial, &mut Control::unlimited());
        }
    }
}

fn describe(database: Database) -> manifest::Database {
    let live = database.live;
    manifest::Database {
        engine: live.engine,
        comparator: live.comparator().to_owned(),
        manifest: database.manifest,
        log_number: live.oldest_log,
        next_file: live.next_file,
        last_sequence: live.last_sequence,
        families: live
            .families
            .into_values()
            .map(|family| family.name)
            .filter(|name| !name.is_empty())
            .collect(),
        path: database.path,
    }
}

/// The store must not be inside the data, nor the data inside the store: a snapshot would contain itself.
fn apart(data: &Path, store: &Path) -> Result<(), Error> {
    let data = fs::canonicalize(data).map_err(Error::io("find", data))?;
    if store.starts_with(&data) || data.starts_with(store) {
        return Err(Error::Place {
            path: store.to_owned(),
            problem: "the store and the data directory must not contain each other",
        });
    }
    Ok(())
}
