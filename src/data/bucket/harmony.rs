//! Harmony's own layout, for whoever restores with Harmony's tools.
//!
//! `<remote>/<type>/<shard>/harmony_db_<shard>.<YY-MM-DD-HH-MM-SS>.<height>/<files>`, as `tools/snapshot/snapshot.py`
//! of harmony-one/experiment-deploy (commit a786aaf) writes it: type `snap`, `archival` or `pruned`, the time in UTC.
//! Time and height are those of the cut. Beyond the original, `COMPLETE` is written last: it holds our manifest.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::protocol::Name;

use super::super::control::Control;
use super::super::error::Error;
use super::super::manifest::{Manifest, Workload};
use super::super::path::RelativePath;
use super::super::store::Store;
use super::Uploaded;
use super::desk::Desk;
use super::remote::Remote;
use super::shipment::{Naming, Shipment};

/// The name of the mark of completeness.
pub(super) const COMPLETE: &str = "COMPLETE";

/// What kind of database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DbType {
    /// Of a node that serves snapshots.
    Snap,
    /// With every state there was.
    Archival,
    /// With the last states.
    Pruned,
}

impl fmt::Display for DbType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DbType::Snap => "snap",
            DbType::Archival => "archival",
            DbType::Pruned => "pruned",
        })
    }
}

/// What the folder's name says beside time and height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The kind of database; where it is not given, what the snapshot says of itself.
    pub db_type: Option<DbType>,
    /// The shard; where it is not given, what the snapshot says of itself.
    pub shard: Option<u32>,
}

impl Identity {
    /// The shard of the snapshot `name`.
    fn shard(&self, name: &Name, workload: &Workload) -> Result<u32, Error> {
        let own = workload.identity.get("shard");
        self.shard
            .or_else(|| own.and_then(|shard| shard.parse().ok()))
            .ok_or_else(|| unknown(name, "shard", "set `shard` in its [workload.bucket]"))
    }

    /// The directory of a shard's snapshots.
    pub(super) fn directory(&self, name: &Name, workload: &Workload) -> Result<String, Error> {
        let archival = workload.identity.get("archival");
        let own = match archival.is_some_and(|archival| archival == "true") {
            true => DbType::Archival,
            false => DbType::Pruned,
        };
        let db_type = self.db_type.unwrap_or(own);
        Ok(format!("{db_type}/{}", self.shard(name, workload)?))
    }
}

/// The folder of a snapshot below the directory of its shard.
pub(super) fn folder(manifest: &Manifest, shard: u32) -> Result<String, Error> {
    let height = manifest
        .height
        .ok_or_else(|| unknown(&manifest.name, "height", "the name needs it"))?;
    // `2026-11-21T03:45:05.000Z` has what is needed at fixed places.
    let time: String = manifest.cut_time.to_string();
    let time: String = time
        .chars()
        .skip(2)
        .take(17)
        .map(|c| if c == 'T' || c == ':' { '-' } else { c })
        .collect();
    Ok(format!("harmony_db_{shard}.{time}.{height}"))
}

fn unknown(name: &Name, what: &str, wanted: &str) -> Error {
    Error::Mismatch {
        name: name.to_string(),
        what: what.to_owned(),
        found: "unknown".to_owned(),
        wanted: wanted.to_owned(),
    }
}

pub(super) struct Upload<'a> {
    pub remote: &'a Remote,
    pub desk: &'a Desk,
    pub store: &'a Store,
    pub manifest: &'a Manifest,
    pub identity: &'a Identity,
}

impl Upload<'_> {
    pub fn run(&self, plan: bool, control: &mut Control) -> Result<Uploaded, Error> {
        let (name, workload) = (&self.manifest.name, &self.manifest.workload);
        let shard = self.identity.shard(name, workload)?;
        let folder = folder(self.manifest, shard)?;
        let to = format!("{}/{folder}", self.identity.directory(name, workload)?);
        let wanted = self.shipment(&self.database(shard)?)?;
        let there = self.remote.list(&to, None, control)?;
        let missing = wanted.select(|_, file| there.get(&wanted.name(file)) != Some(&file.size));
        let mut uploaded = Uploaded {
            objects: wanted.len(),
            sent: missing.len(),
            sent_bytes: missing.load().bytes,
            already: there.contains_key(COMPLETE) && missing.is_empty(),
            ..Uploaded::default()
        };
        if plan || uploaded.already {
            return Ok(uploaded);
        }
        missing.send(self.remote, self.desk, &to, control)?;
        uploaded.compared_by = wanted.settle(self.remote, self.desk, &to, control)?;
        if let Some(reason) = self.store.bad(&self.manifest.name)? {
            return Err(Error::Bad {
                name: self.manifest.name.to_string(),
                reason,
            });
        }
        let mark = self.desk.file_with(|to| self.manifest.write(to))?;
        self.remote
            .publish(&mark, &format!("{to}/{COMPLETE}"), control)?;
        Ok(uploaded)
    }

    /// The directory of the shard's database in the snapshot.
    fn database(&self, shard: u32) -> Result<RelativePath, Error> {
        let wanted = format!("harmony_db_{shard}");
        let databases = || {
            self.manifest
                .databases
                .iter()
                .map(|database| &database.path)
        };
        let named = databases().find(|path| path.name() == wanted);
        let alone = databases().find(|path| path.is_root());
        named.or(alone).cloned().ok_or_else(|| Error::Mismatch {
            name: self.manifest.name.to_string(),
            what: "databases".to_owned(),
            found: databases()
                .map(RelativePath::as_str)
                .collect::<Vec<_>>()
                .join(", "),
            wanted,
        })
    }

    fn shipment(&self, database: &RelativePath) -> Result<Shipment<'_>, Error> {
        let data = self.store.snapshot(&self.manifest.name).join("data");
        let shipment = Shipment::new(self.manifest, data, Naming::Below(database.clone()));
        let mark = shipment
            .files()
            .find(|(_, file)| shipment.name(file) == COMPLETE);
        match mark {
            None => Ok(shipment),
            Some((_, file)) => Err(Error::BadName {
                what: "file of a Harmony database",
                shown: file.path.to_string(),
                problem: "it is the mark of completeness",
            }),
        }
    }
}
