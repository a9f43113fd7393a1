//! The tables and blob files of a database: what its MANIFEST names, found on the disk.

use std::fs;
use std::path::Path;

use super::super::error::Error;
use super::super::files::Kind;
use super::super::lsm::live::Immutable;
use super::super::lsm::{Engine, FileName};
use super::super::path::RelativePath;
use super::super::tree::Node;
use super::super::walk::{self, Listing, Seen};
use super::{Database, Item, State, Task, damaged, gone, item};

/// The blob files of a database; its tables are in its live set, and a hundred thousand need not be there twice.
#[derive(Default)]
pub(super) struct Tables(Vec<Immutable>);

/// A file that the MANIFEST names.
pub(super) struct Table(Immutable);

impl Tables {
    /// Finds every one: listed, or made since the listing, which it is added to then.
    pub fn find(
        root: &Path,
        database: &Database,
        listing: &mut Listing,
        state: State,
    ) -> Result<Self, Error> {
        let directory = database.path.below(root);
        if state == State::Hot && !listing.has(&database.manifest_name) {
            // The engine changed to a new MANIFEST between the listing and the look at CURRENT.
            return Err(gone(&directory.join(&database.manifest_name)));
        }
        let mut new = Vec::new();
        for file in database.live.immutables() {
            let endings = endings(file.blob, database.live.engine).iter();
            let mut names = endings.map(|ending| name(file.number, ending));
            if names.clone().any(|name| listing.has(&name)) {
                continue;
            }
            let there = |name: &String| fs::symlink_metadata(directory.join(name)).is_ok();
            match names.find(there) {
                Some(name) => new.push(name),
                None => absent(&directory, file.number, state)?,
            }
        }
        for name in &new {
            listing.add_file(name, &directory)?;
        }
        listing.sort();
        if matches!(state, State::Cold { .. }) {
            let numbers = database.live.required_logs(false).into_keys();
            for number in numbers {
                let is_it = |name| FileName::parse(name) == FileName::Log(number);
                if !listing.names().any(is_it) {
                    let path = directory.join(format!("{number:06}.log"));
                    let detail = "the MANIFEST names this log and it is missing";
                    return Err(damaged(&path, detail));
                }
            }
        }
        let mut blobs: Vec<_> = database.live.blobs().collect();
        blobs.sort_unstable();
        Ok(Self(blobs))
    }

    /// The file of this very name, which is listed.
    pub fn named(&self, wanted: &str, database: &Database, listing: &Listing) -> Option<Table> {
        let file = match FileName::parse(wanted) {
            FileName::Table(number) => database.live.table(number)?,
            FileName::Blob(number) => {
                let found = self.0.binary_search_by_key(&number, |blob| blob.number);
                self.0[found.ok()?]
            }
            _ => return None,
        };
        let mut endings = endings(file.blob, database.live.engine).iter();
        let meant = endings.find_map(|ending| {
            let name = name(file.number, ending);
            (name == wanted || listing.has(&name)).then_some(name)
        });
        (meant.as_deref() == Some(wanted)).then_some(Table(file))
    }
}

impl Table {
    /// What is to be done with it. While the engine runs, a table may have been listed half written and named by the
    /// MANIFEST since: what counts is how it is now.
    pub fn item(
        &self,
        root: &Path,
        path: RelativePath,
        state: State,
    ) -> Result<Option<Item>, Error> {
        let Self(file) = self;
        let on_disk = path.below(root);
        let entry = match walk::look(root, path)? {
            Some(Seen::Entry(entry)) if entry.node == Node::File => entry,
            _ => {
                let directory = on_disk.parent().unwrap_or(root);
                return absent(directory, file.number, state).map(|()| None);
            }
        };
        if entry.identity.size != file.size {
            if state == State::Warm {
                return Ok(None);
            }
            let detail = format!(
                "it has {} bytes and the MANIFEST says {}",
                entry.identity.size, file.size
            );
            return Err(damaged(&on_disk, &detail));
        }
        let kind = if file.blob { Kind::Blob } else { Kind::Table };
        Ok(Some(item(entry, kind, Task::Immutable)))
    }
}

/// What it means that a file of the live set is not there.
fn absent(directory: &Path, number: u64, state: State) -> Result<(), Error> {
    let path = directory.join(format!("{number:06}"));
    match state {
        State::Warm => Ok(()),
        State::Hot => Err(gone(&path)),
        State::Cold { .. } => Err(damaged(
            &path,
            "the MANIFEST names this table or blob file and it is missing",
        )),
    }
}

/// Both endings exist in databases that were made by old versions; this is the order in which the engines look.
fn endings(blob: bool, engine: Engine) -> &'static [&'static str] {
    match (blob, engine) {
        (true, _) => &["blob"],
        (false, Engine::LevelDb) => &["ldb", "sst"],
        (false, Engine::RocksDb) => &["sst", "ldb"],
    }
}

fn name(number: u64, ending: &str) -> String {
    format!("{number:06}.{ending}")
}
