//! Finding out whether links and reflinks work, by making one in the real place.
//!
//! The device number says nothing: a bind mount refuses links on one and the same device, a container or a systemd
//! sandbox is full of bind mounts, and a filesystem may be too old for reflinks.

use std::fs;
use std::path::Path;

use super::error::Error;
use super::place;
use super::tree::Identity;

/// What works between a data directory and a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abilities {
    /// Hard links; or why not.
    pub link: Result<(), String>,
    /// Reflinks; or why not.
    pub reflink: Result<(), String>,
}

/// Links and reflinks `sample`, a file of the data that never changes, into `directory`, and removes both again.
///
/// # Errors
/// `NotFound` where the sample is gone: a running engine removes tables, and that says nothing about links.
pub fn probe(sample: &Path, directory: &Path) -> Result<Abilities, Error> {
    let metadata = fs::symlink_metadata(sample).map_err(Error::io("read", sample))?;
    let linked = directory.join("probe-link");
    let cloned = directory.join("probe-reflink");
    for leftover in [&linked, &cloned] {
        match fs::remove_file(leftover) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", leftover)(error));
            }
            _ => {}
        }
    }
    let link = place::link(sample, &linked, Identity::of(&metadata)).map(drop);
    let reflink = place::reflink(sample, &cloned, None).map(drop);
    for (made, path) in [(&link, &linked), (&reflink, &cloned)] {
        if made.is_ok() {
            fs::remove_file(path).map_err(Error::io("remove", path))?;
        }
    }
    let now = fs::symlink_metadata(sample).map_err(Error::io("read", sample))?;
    if Identity::of(&now) != Identity::of(&metadata) {
        return Err(Error::io("read", sample)(
            std::io::ErrorKind::NotFound.into(),
        ));
    }
    Ok(Abilities {
        link: link.map_err(|error| reason(&error)),
        reflink: reflink.map_err(|error| reason(&error)),
    })
}

fn reason(error: &Error) -> String {
    match error {
        Error::Io { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}
