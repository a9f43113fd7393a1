//! The backups that restores leave: which of them are the agent's own, and which of those go.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::place::Backup;
use crate::clock::Timestamp;
use crate::data::retention::{self, Candidate};
use crate::data::tree::{self, Tree};
use crate::data::{Control, Error, Exchange, space};
use crate::operation::validator::Validator;
use crate::protocol::{Name, OperationId};

/// A backup that the agent made. It is the agent's as long as its directory is the very one that was kept: one of the
/// same name that somebody else has put there is not. Its inode tells; the number of its disk may be another after a boot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Made {
    path: PathBuf,
    link: Option<PathBuf>,
    inode: u64,
    at: Timestamp,
    clock_synced: bool,
    operation: OperationId,
}

/// Which backups are the agent's. Kept in its own directory, where a validator cannot write.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Index {
    backups: Vec<Made>,
}

/// Whose backup it is.
pub(super) struct Origin {
    pub at: Timestamp,
    pub clock_synced: bool,
    pub operation: OperationId,
}

fn file(validator: &Validator) -> PathBuf {
    validator.state.join("backups.json")
}

impl Index {
    pub fn load(validator: &Validator) -> Result<Self, Error> {
        let path = file(validator);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| Error::Record {
                path,
                detail: error.to_string(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    fn store(&self, validator: &Validator) -> Result<(), Error> {
        let bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        Ok(crate::durable::write(&file(validator), &bytes, 0o600)?)
    }
}

/// Makes the old tree a backup by one rename, and notes first that it is ours. Gives its path; `None` where there was no
/// old tree.
pub(super) fn keep(
    validator: &Validator,
    exchange: Exchange,
    backup: &Backup,
    origin: Origin,
) -> Result<Option<PathBuf>, Error> {
    let mut index = Index::load(validator)?;
    if let Ok(inode) = inode(exchange.staged()) {
        index.backups.retain(|made| made.path != backup.path);
        index.backups.push(Made {
            path: backup.path.clone(),
            link: backup.link.clone(),
            inode,
            at: origin.at,
            clock_synced: origin.clock_synced,
            operation: origin.operation,
        });
        index.store(validator)?;
    }
    if !exchange.keep(&backup.path)? {
        return Ok(None);
    }
    lead_to(backup);
    Ok(Some(backup.path.clone()))
}

/// Makes the link in `backups/`, where people look for it.
pub(super) fn lead_to(backup: &Backup) {
    let Some(link) = &backup.link else { return };
    match std::os::unix::fs::symlink(&backup.path, link) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            tracing::warn!(
                "{} does not lead to {}: {error}",
                link.display(),
                backup.path.display()
            );
        }
        _ => {}
    }
}

/// Removes the backups of the agent that the rules do not keep; with `dry_run` it only tells which they are.
pub(super) fn prune(
    validator: &Validator,
    clock_synced: bool,
    dry_run: bool,
    control: &mut Control,
) -> Result<Vec<Value>, Error> {
    let mut index = Index::load(validator)?;
    let known = index.backups.len();
    for gone in index.backups.extract_if(.., |made| made.is_gone()) {
        if !dry_run {
            // A removal that was interrupted is finished.
            tree::remove(&tree::discard_name(&gone.path), control)?;
        }
    }
    if index.backups.len() != known && !dry_run {
        index.store(validator)?;
    }
    let mut removed = Vec::new();
    loop {
        let candidates = index.candidates(clock_synced, control)?;
        let Some(newest) = index.backups.iter().rfind(|made| made.is_there()) else {
            return Ok(removed);
        };
        let free = space::free(newest.path.parent().unwrap_or(&newest.path))?.bytes;
        let plan = retention::plan(&candidates, &validator.backups, free);
        let told =
            |removal: &retention::Removal| json!({"name": removal.name, "reason": removal.reason});
        if dry_run {
            return Ok(plan.iter().map(told).collect());
        }
        let Some(removal) = plan.first() else {
            return Ok(removed);
        };
        let at = index
            .backups
            .iter()
            .position(|made| made.name() == Some(removal.name.clone()));
        let Some(at) = at else {
            return Ok(removed);
        };
        let made = index.backups[at].clone();
        tree::discard(&made.path, control)?;
        if let Some(link) = made
            .link
            .as_deref()
            .filter(|link| leads_to(link, &made.path))
        {
            fs::remove_file(link).map_err(Error::io("remove", link))?;
        }
        index.backups.remove(at);
        index.store(validator)?;
        removed.push(told(removal));
    }
}

fn inode(path: &Path) -> io::Result<u64> {
    fs::symlink_metadata(path).map(|metadata| metadata.ino())
}

fn leads_to(link: &Path, path: &Path) -> bool {
    fs::read_link(link).is_ok_and(|target| target == path)
}

impl Index {
    /// Oldest first, as they were made.
    fn candidates(&self, clock_synced: bool, control: &Control) -> Result<Vec<Candidate>, Error> {
        let mut candidates = Vec::new();
        for made in self.backups.iter().filter(|made| made.is_there()) {
            let Some(name) = made.name() else { continue };
            let entries = Tree::walk(&made.path, &|_| false, control)?.entries;
            candidates.push(Candidate {
                name,
                age: made.age(clock_synced),
                good: true,
                bytes: entries.iter().map(|entry| entry.allocated).sum(),
            });
        }
        Ok(candidates)
    }
}

impl Made {
    fn is_there(&self) -> bool {
        let is_directory = fs::symlink_metadata(&self.path).is_ok_and(|it| it.is_dir());
        is_directory && inode(&self.path).is_ok_and(|found| found == self.inode)
    }

    /// Whether it is no more, and not only on a disk that is not mounted now.
    fn is_gone(&self) -> bool {
        !self.is_there() && self.path.parent().is_some_and(Path::is_dir)
    }

    fn name(&self) -> Option<Name> {
        Name::new(self.path.file_name()?.to_str()?).ok()
    }

    /// How old it is, where the clock could be believed then and can be now.
    fn age(&self, clock_synced: bool) -> Option<std::time::Duration> {
        let seconds = Timestamp::now().unix_seconds() - self.at.unix_seconds();
        (clock_synced && self.clock_synced)
            .then(|| std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }
}
