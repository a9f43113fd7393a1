//! The tables and blob files of a database: what its MANIFEST names, found on the disk.

use std::fs;
use std::io;

use super::super::error::Error;
use super::super::lsm::live::Immutable;
use super::super::lsm::{Engine, FileName};
use super::super::manifest::Kind;
use super::super::tree::{Attributes, Identity, Node};
use super::{Database, Entries, Item, Source, State, Task, damaged, item};

impl Source {
    /// Adds the live set, each file with the size that the MANIFEST says.
    pub(super) fn immutables(
        &self,
        database: &Database,
        entries: &Entries<'_>,
        state: State,
        items: &mut Vec<Item>,
    ) -> Result<(), Error> {
        let directory = database.path.below(&self.root);
        for file in database.live.immutables() {
            let found = self.immutable(database, entries, file, state)?;
            let Some(mut found) =
                found.filter(|found| state != State::Warm || found.identity.size == file.size)
            else {
                let path = directory.join(format!("{:06}", file.number));
                match state {
                    State::Warm => continue,
                    State::Hot => {
                        return Err(Error::io("open", &path)(io::ErrorKind::NotFound.into()));
                    }
                    State::Cold { .. } => {
                        return Err(damaged(
                            &path,
                            "the MANIFEST names this table or blob file and it is missing",
                        ));
                    }
                }
            };
            if found.identity.size != file.size {
                let detail = format!(
                    "it has {} bytes and the MANIFEST says {}",
                    found.identity.size, file.size
                );
                return Err(damaged(&found.path.below(&self.root), &detail));
            }
            found.kind = if file.blob { Kind::Blob } else { Kind::Table };
            items.push(found);
        }
        if matches!(state, State::Cold { .. }) {
            for number in database.live.required_logs(false).into_keys() {
                let exists = entries
                    .keys()
                    .any(|name| FileName::parse(name) == FileName::Log(number));
                if !exists {
                    let path = directory.join(format!("{number:06}.log"));
                    return Err(damaged(
                        &path,
                        "the MANIFEST names this log and it is missing",
                    ));
                }
            }
        }
        Ok(())
    }

    /// The file of a number: listed, or made since the listing.
    fn immutable(
        &self,
        database: &Database,
        entries: &Entries<'_>,
        file: Immutable,
        state: State,
    ) -> Result<Option<Item>, Error> {
        // Both endings exist in databases that were made by old versions; this is the order in which the engines look.
        let endings: &[&str] = match (file.blob, database.live.engine) {
            (true, _) => &["blob"],
            (false, Engine::LevelDb) => &["ldb", "sst"],
            (false, Engine::RocksDb) => &["sst", "ldb"],
        };
        for ending in endings {
            let name = format!("{:06}.{ending}", file.number);
            // While the engine runs, a table may have been listed half written and named by the MANIFEST since.
            let listed = entries
                .get(name.as_str())
                .filter(|entry| entry.node == Node::File && matches!(state, State::Cold { .. }));
            if let Some(entry) = listed {
                return Ok(Some(item(entry, Kind::Table, Task::Immutable)));
            }
            let path = database.path.join(&name)?;
            match fs::symlink_metadata(path.below(&self.root)) {
                Ok(metadata) if metadata.is_file() => {
                    return Ok(Some(Item {
                        path,
                        kind: Kind::Table,
                        task: Task::Immutable,
                        identity: Identity::of(&metadata),
                        allocated: metadata.len(),
                        attributes: Attributes::of(&metadata),
                    }));
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("read", &path.below(&self.root))(error));
                }
                _ => {}
            }
        }
        Ok(None)
    }
}
