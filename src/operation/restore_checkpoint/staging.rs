//! The new tree: made beside the live one while the validator runs, brought up to date when it is stopped.

use std::fs::{self, File};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg, OFlag};

use super::judge::failure_of;
use super::place::{Backup, Place};
use crate::checkpoint::{COMPANIONS, Companion, Layout, Owner, Written, settle, settle_companions};
use crate::data::{Carry, Control, Error, Exchange, space, tree};
use crate::operation::labour;
use crate::operation::validator::Validator;
use crate::protocol::{Failure, Reason};

/// The right to change a validator's tree: one at a time, across processes. It ends when this is dropped.
///
/// The lock is on the repository itself, so that nothing is left in it.
#[derive(Debug)]
pub(super) struct Exclusive {
    _lock: Flock<File>,
}

impl Exclusive {
    /// Takes it; `None` where somebody else has it.
    pub fn take(validator: &Validator) -> Result<Option<Self>, Error> {
        let path = &validator.directory;
        let directory = fs::OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_DIRECTORY.bits())
            .open(path)
            .map_err(Error::io("open", path))?;
        match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(Self { _lock: lock })),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(Error::io("lock", path)(errno.into())),
        }
    }

    /// Takes it, or says who is to be waited for.
    pub fn demand(validator: &Validator) -> Result<Self, Failure> {
        let taken = Self::take(validator).map_err(|error| labour::failure_of(&error))?;
        taken.ok_or_else(|| {
            let message = format!(
                "somebody else restores {} now: wait until that has ended",
                validator.directory.display()
            );
            Failure::new(Reason::Busy, message)
        })
    }
}

/// A new tree that is ready to be exchanged for the live one.
#[derive(Debug)]
pub(super) struct Staging {
    pub place: Place,
    pub backup: Backup,
    pub written: Written,
    pub companions: Vec<Companion>,
    /// The release of the code that it was made for.
    version: Option<String>,
    repository: PathBuf,
    owner: Owner,
    carry: Carry,
}

/// What the bytes of a tree come from.
pub(super) enum Maker {
    /// Written here from the checkpoint, in its place.
    Native(Written),
    /// Made by the validator's own script, and checked.
    Script(PathBuf, Written),
}

/// Makes way for a new tree in `place`, and says whom it belongs to.
pub(super) fn make_way(
    validator: &Validator,
    place: &Place,
    control: &mut Control,
) -> Result<Owner, Failure> {
    let told = |error: Error| labour::failure_of(&error);
    Exchange::refuse_pending(&validator.journal()).map_err(told)?;
    tree::discard(&place.staged, control).map_err(told)?;
    place.owner(validator)
}

impl Staging {
    /// Completes the tree, made for the code of that `version`, by what is beside the checkpoint; on any failure nothing of it stays.
    pub fn build(
        validator: &Validator,
        place: Place,
        name: &str,
        (maker, version): (Maker, Option<String>),
        control: &mut Control,
    ) -> Result<Self, Failure> {
        let staged = place.staged.clone();
        let built = Self::build_in(validator, place, name, (maker, version), control);
        if built.is_err() {
            // Best effort: the next build removes what is left.
            let _ = tree::discard(&staged, &mut Control::unlimited());
        }
        built
    }

    fn build_in(
        validator: &Validator,
        place: Place,
        name: &str,
        (maker, version): (Maker, Option<String>),
        control: &mut Control,
    ) -> Result<Self, Failure> {
        let told = |error: Error| labour::failure_of(&error);
        let owner = place.owner(validator)?;
        let backup = place.backup(name, &owner).map_err(told)?;
        let written = match maker {
            Maker::Native(written) => written,
            Maker::Script(made, written) => {
                make_way(validator, &place, control)?;
                tree::rename_or_copy(&made, &place.staged, control).map_err(told)?;
                settle(&place.staged, &owner).map_err(|error| failure_of(&error))?;
                // The rest of the copy has done its work.
                if let Some(copy) = made.parent() {
                    tree::discard(copy, control).map_err(told)?;
                }
                written
            }
        };
        let mut staging = Self {
            carry: carry(&place, &written).map_err(told)?,
            version,
            repository: validator.directory.clone(),
            companions: Vec::new(),
            place,
            backup,
            written,
            owner,
        };
        let needed = staging.carry.measure(control).map_err(told)?;
        let (bytes, files) = (needed.bytes + needed.files * 4096, needed.files);
        space::require(&staging.place.staged, bytes + validator.reserve, files).map_err(told)?;
        staging.bring_over(control)?;
        Ok(staging)
    }

    /// Brings over what the checkpoint leaves alone, or of that what has changed since the last time.
    pub fn bring_over(&mut self, control: &mut Control) -> Result<String, Failure> {
        let told = |error: Error| labour::failure_of(&error);
        let carried = self.carry.round(control).map_err(told)?;
        let settled = settle_companions(&self.place.live, &self.place.staged, &self.repository);
        let settled = settled.map_err(|error| failure_of(&error))?;
        let mut companions = Vec::new();
        for (companion, content) in settled {
            let path = self.place.staged.join(companion.file);
            if let Some(content) = content {
                self.put(&path, &content).map_err(told)?;
            }
            companions.push(companion);
        }
        self.companions = companions;
        Ok(format!(
            "{} files of {} bytes beside the checkpoint, {} changes",
            carried.files, carried.bytes, carried.touched
        ))
    }

    /// Fails where the validator's code is no longer the one that the tree was made for.
    pub fn refuse_other_code(&self, validator: &Validator) -> Result<(), Failure> {
        let now = validator.version().ok();
        if now == self.version {
            return Ok(());
        }
        let shown = |version: &Option<String>| version.clone().unwrap_or("unknown".to_owned());
        let message = format!(
            "the validator's code has changed from {} to {} meanwhile: ask again",
            shown(&self.version),
            shown(&now)
        );
        Err(Failure::new(Reason::NotPossible, message))
    }

    /// Plans the exchange; from here on its journal says what to do.
    pub fn exchange(&self, journal: &Path) -> Result<Exchange, Error> {
        let (live, staged) = (&self.place.live, &self.place.staged);
        Exchange::begin(journal, live, staged, &self.place.scope)
    }

    /// Removes the tree, which was not exchanged.
    pub fn discard(&self, control: &mut Control) -> Result<(), Error> {
        tree::discard(&self.place.staged, control)
    }

    /// Writes one file of the tree, durably.
    fn put(&self, path: &Path, content: &[u8]) -> Result<(), Error> {
        if fs::read(path).is_ok_and(|there| there == content) {
            return Ok(());
        }
        crate::durable::write(path, content, self.owner.file_mode)?;
        // Never through a link: the directory is, or will be, somebody else's.
        let file = crate::data::place::open(path)?;
        let dressed = || {
            if self.owner.uid.is_some() {
                fchown(&file, self.owner.uid, self.owner.gid)?;
            }
            file.set_permissions(fs::Permissions::from_mode(self.owner.file_mode))?;
            file.sync_all()
        };
        dressed().map_err(Error::io("set owner of", path))
    }
}

/// What is taken over: all that the new tree does not have itself. Ledgers in the form of another release are not: they
/// are of the old state.
fn carry(place: &Place, written: &Written) -> Result<Carry, Error> {
    let mut own: Vec<String> = Vec::new();
    let staged = &place.staged;
    for entry in fs::read_dir(staged).map_err(Error::io("list", staged))? {
        let name = entry.map_err(Error::io("list", staged))?.file_name();
        own.push(name.to_string_lossy().into_owned());
    }
    own.retain(|name| !written.absent.contains(&name.as_str()));
    own.extend(COMPANIONS.map(str::to_owned));
    own.extend(Layout::ALL.map(|layout| layout.ledgers_file().to_owned()));
    Ok(Carry::new(&place.live, staged, own))
}
