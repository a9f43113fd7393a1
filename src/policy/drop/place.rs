//! What is in a drop directory, and the names that it gets.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::DropDirectory;
use crate::durable;
use crate::protocol::OperationId;

/// What a file is called as long as nobody has looked at it.
const ENDINGS: [&str; 2] = [".json", ".json.gz"];

/// A name of 255 bytes, which is the most, has room for `.drop-force-0123456789abcdef.restoring` as well.
const LONGEST: usize = 255 - 38;

/// How the id begins of one that is restored although it is older than what is on disk: what was claimed so stays so, whatever
/// the configuration says later.
const FORCED: &str = "drop-force-";

/// How the other ids begin.
const UNFORCED: &str = "drop-";

const RESTORING: &str = ".restoring";

/// So many files are looked at; nobody drops more checkpoints than a few.
const MOST: usize = 1000;

/// What changes when somebody writes to a file.
pub(super) type Stamp = (u64, u64, i64, i64);

/// What is there.
pub(super) struct Seen {
    /// What was claimed and has not ended.
    pub claimed: Vec<Claimed>,
    /// What may be claimed, by name.
    pub waiting: BTreeMap<String, Stamp>,
    /// What is said against something else that is there.
    pub fault: Option<String>,
}

/// A file that belongs to an operation.
#[derive(Debug)]
pub(super) struct Claimed {
    pub path: PathBuf,
    pub id: OperationId,
}

/// How a restore has ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    Restored,
    Refused,
}

/// Looks at all of it.
pub(super) fn look(place: &DropDirectory) -> Result<Seen, String> {
    let shown = place.path.display();
    let about = fs::symlink_metadata(&place.path);
    let about = about.map_err(|error| format!("the drop directory {shown}: {error}"))?;
    if !about.is_dir() {
        return Err(format!("the drop directory {shown} is no directory"));
    }
    if !is_trusted(place, &about) {
        return Err(format!(
            "the drop directory {shown} may be written by others than the validator's user and root, who could restore what they \
             like: chown it, and chmod 755"
        ));
    }
    let entries = fs::read_dir(&place.path);
    let entries = entries.map_err(|error| format!("the drop directory {shown}: {error}"))?;
    let (mut claimed, mut waiting, mut fault) = (Vec::new(), BTreeMap::new(), None);
    for entry in entries.flatten().take(MOST) {
        let path = entry.path();
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let id = id_of(&name);
        if (id.is_some() || is_offered(&name))
            && let Ok(about) = entry.metadata()
            && about.is_file()
        {
            if is_trusted(place, &about) {
                match id {
                    Some(id) => claimed.push(Claimed { path, id }),
                    None => drop(waiting.insert(name, stamp(&about))),
                }
            } else {
                fault = Some(format!(
                    "{} was put there by somebody else than the validator's user and root, or others may write to it, so it is not \
                     restored: chown it, and chmod 644",
                    path.display()
                ));
            }
        }
    }
    Ok(Seen {
        claimed,
        waiting,
        fault,
    })
}

/// Makes a file that of an operation; `None` where it has gone.
pub(super) fn claim(place: &DropDirectory, name: &str) -> Result<Option<Claimed>, String> {
    let from = place.path.join(name);
    let Ok(about) = fs::symlink_metadata(&from) else {
        return Ok(None);
    };
    let id = id(place, name, &about);
    let path = place.path.join(format!("{name}.{id}{RESTORING}"));
    durable::rename(&from, &path).map_err(|error| {
        format!("{error}: a checkpoint that is dropped is restored once it has got another name")
    })?;
    Ok(Some(Claimed { path, id }))
}

impl Claimed {
    /// Whether it is restored although it is older than what is on disk.
    pub(super) fn is_forced(&self) -> bool {
        self.id.as_str().starts_with(FORCED)
    }

    /// Says by its name how it has ended.
    pub(super) fn end(&self, end: End) -> Result<(), String> {
        let ending = match end {
            End::Restored => "restored",
            End::Refused => "refused",
        };
        let to = self.path.with_extension(ending);
        durable::rename(&self.path, &to).map_err(|error| error.to_string())
    }
}

/// Whether nobody but root, the agent and the validator's user can have made it what it is.
fn is_trusted(place: &DropDirectory, about: &Metadata) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    let is_known = [Some(0), Some(own), place.owner].contains(&Some(about.uid()));
    is_known && about.mode() & 0o022 == 0
}

fn is_offered(name: &str) -> bool {
    !name.starts_with('.')
        && name.len() <= LONGEST
        && ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// The id in the name of what was claimed.
fn id_of(name: &str) -> Option<OperationId> {
    let (_, id) = name.strip_suffix(RESTORING)?.rsplit_once('.')?;
    let digits = id
        .strip_prefix(FORCED)
        .or_else(|| id.strip_prefix(UNFORCED))?;
    let is_ours = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_ours.then(|| OperationId::new(id).ok())?
}

/// Another one for each file, and for one that is put back under its first name: a rename changes the last of these times.
fn id(place: &DropDirectory, name: &str, about: &Metadata) -> OperationId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(place.workload.as_str().as_bytes());
    hasher.update(name.as_bytes());
    let (inode, bytes, seconds, nanoseconds) = stamp(about);
    for number in [inode, bytes] {
        hasher.update(&number.to_le_bytes());
    }
    for number in [seconds, nanoseconds, about.ctime(), about.ctime_nsec()] {
        hasher.update(&number.to_le_bytes());
    }
    let hash = hasher.finalize().to_hex();
    let start = if place.force { FORCED } else { UNFORCED };
    OperationId::new(format!("{start}{}", &hash[..16]))
        .expect("letters, digits and dashes, and short")
}

fn stamp(about: &Metadata) -> Stamp {
    (about.ino(), about.len(), about.mtime(), about.mtime_nsec())
}
