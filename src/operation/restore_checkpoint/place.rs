//! Where the live tree is, where its replacement is made, and where the old one goes.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;

use crate::checkpoint::Owner;
use crate::data::mount::is_mount_point;
use crate::data::{Control, Error, Scope, tree};
use crate::operation::validator::Validator;
use crate::protocol::{Failure, Reason};

/// Where things are.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The real directory of the live tree; it may not be there yet.
    pub live: PathBuf,
    /// Where the new tree is made, on the filesystem of the live one.
    pub staged: PathBuf,
    pub scope: Scope,
    /// `backups/` of the repository.
    backups: PathBuf,
}

/// Where an old tree goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Backup {
    /// Its place, which a rename reaches.
    pub path: PathBuf,
    /// Its name in `backups/`, where that is on another filesystem: a link to the place.
    pub link: Option<PathBuf>,
}

impl Place {
    /// Looks where the tree of `validator` is; `validation` may be a directory, a mount point, a link to a directory,
    /// or not there.
    pub fn find(validator: &Validator) -> Result<Self, Failure> {
        let not_possible = |path: &Path, why: String| {
            let message = format!("{} {why}", path.display());
            Failure::new(Reason::NotPossible, message)
        };
        let directory = fs::canonicalize(&validator.directory).map_err(|error| {
            not_possible(&validator.directory, format!("is not there: {error}"))
        })?;
        let named = directory.join("validation");
        let live = match fs::symlink_metadata(&named) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => named,
            Err(error) => return Err(not_possible(&named, format!("cannot be read: {error}"))),
            Ok(metadata) if metadata.is_dir() => named,
            Ok(metadata) if metadata.is_symlink() => {
                let target = fs::canonicalize(&named).map_err(|error| {
                    not_possible(&named, format!("is a link to nowhere: {error}"))
                })?;
                match target.is_dir() {
                    true => target,
                    false => return Err(not_possible(&named, "leads to no directory".into())),
                }
            }
            Ok(_) => return Err(not_possible(&named, "is no directory".into())),
        };
        let is_mount = live.exists()
            && is_mount_point(&live).map_err(|error| not_possible(&live, error.to_string()))?;
        let (scope, staged) = match (is_mount, live.parent(), live.file_name()) {
            (true, ..) => (Scope::Entries, live.join(".ostler-staged")),
            (false, Some(parent), Some(name)) => {
                let name = format!(".ostler-staged-{}", name.to_string_lossy());
                (Scope::Whole, parent.join(name))
            }
            (false, ..) => return Err(not_possible(&live, "has nothing beside it".into())),
        };
        Ok(Self {
            live,
            staged,
            scope,
            backups: directory.join("backups"),
        })
    }

    /// The live tree, where there is one.
    pub fn existing(&self) -> Option<&Path> {
        self.live.is_dir().then_some(self.live.as_path())
    }

    /// Whom the new tree belongs to: who runs the validator, else who owns what is there.
    pub fn owner(&self, validator: &Validator) -> Result<Owner, Failure> {
        let like = self.existing().unwrap_or(&validator.directory);
        let failed = |error: io::Error| {
            let message = format!("cannot look at {}: {error}", like.display());
            Failure::new(Reason::DataFailed, message)
        };
        let mut owner = Owner::of(like).map_err(failed)?;
        if self.existing().is_none() {
            (owner.directory_mode, owner.file_mode) = (0o755, 0o644);
        }
        // Whoever runs it can get into it, whatever was done to the old one.
        owner.directory_mode |= 0o700;
        owner.file_mode |= 0o600;
        if let Some((uid, gid)) = validator.owner {
            (owner.uid, owner.gid) = (Some(uid), Some(gid));
        }
        let me = nix::unistd::geteuid();
        if !me.is_root() {
            if owner.uid != Some(me.as_raw()) {
                let message = format!(
                    "the tree belongs to user {}, and the agent runs as user {me}: it has to run as that user, or as root",
                    owner.uid.unwrap_or_default()
                );
                return Err(Failure::new(Reason::NotPossible, message));
            }
            owner.uid = None;
        }
        Ok(owner)
    }

    /// Removes what an interrupted restore may have left here, apart from what a journal speaks of.
    pub fn sweep(&self, control: &mut Control) -> Result<(), Error> {
        for probe in [self.staged.with_file_name(PROBE), self.backups.join(PROBE)] {
            remove_probe(&probe)?;
        }
        tree::discard(&self.staged, control)?;
        tree::discard(&self.upstream(), control)
    }

    /// Where the validator's code is copied to, to run its own script.
    pub fn upstream(&self) -> PathBuf {
        self.backups.with_file_name(".ostler-upstream")
    }

    /// Makes `backups/` where it is not there, and finds out where in it, or else beside the tree, the old tree can go
    /// by a rename. Tried with an empty directory in the real place.
    pub fn backup(&self, name: &str, owner: &Owner) -> Result<Backup, Error> {
        make_directory(&self.backups, owner)?;
        let beside = match (&self.scope, self.live.parent()) {
            (Scope::Whole, Some(parent)) => parent.join(".ostler-backups"),
            _ => self.live.join(".ostler-backups"),
        };
        let from = self.staged.with_file_name(PROBE);
        let to = self.backups.join(PROBE);
        for leftover in [&from, &to] {
            remove_probe(leftover)?;
        }
        fs::create_dir(&from).map_err(Error::io("create", &from))?;
        let renamed = fs::rename(&from, &to);
        for leftover in [&from, &to] {
            remove_probe(leftover)?;
        }
        match renamed {
            Ok(()) => Ok(Backup {
                path: free_name(&self.backups, name),
                link: None,
            }),
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                make_directory(&beside, owner)?;
                let path = free_name(&beside, name);
                let link = path.file_name().map(|name| self.backups.join(name));
                Ok(Backup { path, link })
            }
            Err(error) => Err(Error::io("rename a directory to", &self.backups)(error)),
        }
    }
}

/// An empty directory by which it is tried where a rename reaches.
const PROBE: &str = ".ostler-probe";

fn remove_probe(path: &Path) -> Result<(), Error> {
    match fs::remove_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

fn make_directory(path: &Path, owner: &Owner) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {
            return Ok(());
        }
        Err(error) => return Err(Error::io("create", path)(error)),
    }
    let made = fs::OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY).bits())
        .open(path)
        .map_err(Error::io("open", path))?;
    if owner.uid.is_some() {
        fchown(&made, owner.uid, owner.gid).map_err(Error::io("set owner of", path))?;
    }
    // Whoever reads the tree reads the old one.
    made.set_permissions(fs::Permissions::from_mode(owner.directory_mode))
        .map_err(Error::io("set mode of", path))?;
    match path.parent() {
        Some(parent) => Ok(crate::durable::sync_directory(parent)?),
        None => Ok(()),
    }
}

/// A name that nothing has yet: another restore in the same second, or a copy made by hand.
fn free_name(directory: &Path, name: &str) -> PathBuf {
    let taken = |path: &PathBuf| fs::symlink_metadata(path).is_ok();
    let first = directory.join(name);
    let others = (2..).map(|count| directory.join(format!("{name}_{count}")));
    let mut names = std::iter::once(first.clone()).chain(others);
    names.find(|path| !taken(path)).unwrap_or(first)
}
