//! Holding a snapshot against its manifest, at any time.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;

use nix::errno::Errno;

use crate::protocol::Name;

use super::control::Control;
use super::error::Error;
use super::files::{FileRecord, Kind};
use super::inspect::inspect;
use super::lsm::live::BadManifest;
use super::lsm::record::End;
use super::lsm::{FileName, LiveSet, names};
use super::manifest::{Database, Level, Manifest, Way};
use super::path::RelativePath;
use super::place;
use super::store::Store;
use super::tree::{Entry, Node};
use super::walk::{self, Seen};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where.
    pub path: RelativePath,
    /// What.
    pub what: String,
}

/// What a verification has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How thorough it was.
    pub level: Level,
    /// Bytes that were read.
    pub bytes: u64,
    /// Table blocks, blobs and log records whose checksum is right.
    pub checked: u64,
    /// Everything that is wrong; empty is a good snapshot.
    pub damages: Vec<Damage>,
}

/// Verifies a snapshot of the store; one that fails is marked bad, durably.
///
/// An error of the system (`Io`) does not mark: a disk that cannot be read now may be readable again.
pub fn verify(
    store: &Store,
    name: &Name,
    level: Level,
    control: &mut Control,
) -> Result<Report, Error> {
    let directory = store.snapshot(name);
    let manifest = match Manifest::load(&directory) {
        Ok(manifest) => manifest,
        Err(error @ Error::Record { .. }) => {
            store.mark_bad(name, &error.to_string())?;
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    let report = check(&directory.join("data"), &manifest, level, control)?;
    if let Some(first) = report.damages.first() {
        let more = report.damages.len() - 1;
        store.mark_bad(
            name,
            &format!("{}: {} ({more} more)", first.path, first.what),
        )?;
    }
    Ok(report)
}

/// Verifies a tree against a manifest.
pub fn check(
    data: &Path,
    manifest: &Manifest,
    level: Level,
    control: &mut Control,
) -> Result<Report, Error> {
    let mut report = Report {
        level,
        bytes: 0,
        checked: 0,
        damages: structure(data, manifest, control)?,
    };
    if level == Level::L1 {
        return Ok(report);
    }
    control.expect(manifest.total_bytes);
    for file in manifest.files.iter().filter(|file| file.blake3.is_some()) {
        let path = file.path.below(data);
        let found = match inspect(
            &path,
            file.kind,
            level == Level::L3,
            manifest.may_be_torn(),
            control,
        ) {
            Ok(found) => found,
            // The structure has said so already.
            Err(Error::Place { .. }) => continue,
            Err(error) if error.kind() == Some(io::ErrorKind::NotFound) => continue,
            Err(error) => return Err(error),
        };
        report.bytes += found.size;
        report.checked += found.checked;
        let mut wrong = |what: String| {
            report.damages.push(Damage {
                path: file.path.clone(),
                what,
            });
        };
        if file.blake3 != Some(found.hash) {
            wrong("its content is not what was captured".to_owned());
        }
        if let Some(what) = found.damage {
            wrong(what);
        }
    }
    Ok(report)
}

/// Level L1: every entry is there, of its kind and size, and nothing else; each database consists of exactly the
/// tables that its MANIFEST names.
pub(super) fn structure(
    data: &Path,
    manifest: &Manifest,
    control: &Control,
) -> Result<Vec<Damage>, Error> {
    let mut damages = Vec::new();
    let damage = |path: RelativePath, what: &str| Damage {
        path,
        what: what.to_owned(),
    };
    let mut added = Vec::new();
    let mut files = manifest.files.iter().peekable();
    walk::walk(data, &|_| false, control, &mut |seen| {
        let entry = match seen {
            Seen::Entry(entry) => entry,
            Seen::Excluded(path) | Seen::Special(path) => {
                added.push(path);
                return Ok(());
            }
        };
        while let Some(file) = files.next_if(|file| file.path.comes_before(&entry.path)) {
            damages.push(damage(file.path, "it is missing"));
        }
        match files.next_if(|file| file.path == entry.path) {
            None => added.push(entry.path),
            Some(file) => {
                let wrong = difference(&entry, &file);
                damages.extend(wrong.map(|what| damage(file.path, &what)));
            }
        }
        Ok(())
    })?;
    damages.extend(files.map(|file| damage(file.path, "it is missing")));
    let added = added.into_iter();
    damages.extend(added.map(|path| damage(path, "it was not captured: someone put it here")));
    for database in &manifest.databases {
        match database_is_whole(data, manifest, database) {
            Ok(()) => {}
            Err(Flaw::Damage(damage)) => damages.push(damage),
            Err(Flaw::System(error)) => return Err(error),
        }
    }
    Ok(damages)
}

/// What an entry is, where it is not what was captured.
fn difference(entry: &Entry, file: &FileRecord) -> Option<String> {
    match (&entry.node, file.kind) {
        (Node::Directory, Kind::Directory) => None,
        (Node::Symlink(target), Kind::Symlink) if Some(target) == file.target.as_ref() => None,
        (Node::File, Kind::Directory | Kind::Symlink) => Some("it is a file".to_owned()),
        (Node::File, _) if entry.identity.size == file.size => None,
        (Node::File, _) => Some(format!(
            "it has {} bytes instead of {}",
            entry.identity.size, file.size
        )),
        _ => Some("it is of another kind or points elsewhere".to_owned()),
    }
}

/// Why a database is not known to be whole.
enum Flaw {
    /// It is not.
    Damage(Damage),
    /// It cannot be read now, and may be good.
    System(Error),
}

impl From<Error> for Flaw {
    fn from(error: Error) -> Self {
        Self::System(error)
    }
}

/// Opens a file that has to be there. One that is missing, or is something else, is damaged; of any other error nothing
/// follows.
fn demand(path: &Path) -> Result<Result<File, String>, Error> {
    // What a link gives, where none is followed, and a file where a directory has to be.
    let other = [Errno::ELOOP, Errno::ENOTDIR, Errno::ENXIO].map(|errno| errno as i32);
    match place::open(path) {
        Ok(file) => Ok(Ok(file)),
        Err(error @ Error::Place { .. }) => Ok(Err(error.to_string())),
        Err(Error::Io { source, .. })
            if source.kind() == io::ErrorKind::NotFound
                || source
                    .raw_os_error()
                    .is_some_and(|raw| other.contains(&raw)) =>
        {
            Ok(Err(source.to_string()))
        }
        Err(error) => Err(error),
    }
}

fn database_is_whole(data: &Path, manifest: &Manifest, database: &Database) -> Result<(), Flaw> {
    let at = |path: &RelativePath, what: String| {
        Flaw::Damage(Damage {
            path: path.clone(),
            what,
        })
    };
    let name = |name: String| {
        database
            .path
            .join(&name)
            .map_err(|error| at(&database.path, error.to_string()))
    };
    let read = |path: &RelativePath| {
        let opened = demand(&path.below(data))?;
        opened.map_err(|what| at(path, what))
    };

    let current = name("CURRENT".to_owned())?;
    let mut content = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(read(&current)?, 1024), &mut content)
        .map_err(Error::io("read", &current.below(data)))?;
    if names::parse_current(&content) != Some(database.manifest) {
        return Err(at(
            &current,
            format!("it does not name MANIFEST {}", database.manifest),
        ));
    }
    let path = name(String::from_utf8_lossy(&content).trim_end().to_owned())?;
    let mut live = LiveSet::read(&mut io::BufReader::new(read(&path)?), database.manifest)
        .map_err(|bad| match bad {
            BadManifest::Read(error) => Error::io("read", &path.below(data))(error).into(),
            bad => at(&path, bad.to_string()),
        })?;
    if live.scan.end != End::Exact {
        return Err(at(
            &path,
            format!(
                "it does not end at a record, after byte {}",
                live.scan.whole
            ),
        ));
    }
    if (live.next_file, live.last_sequence, live.oldest_log)
        != (
            database.next_file,
            database.last_sequence,
            database.log_number,
        )
    {
        return Err(at(
            &path,
            "it is an older or newer one than was captured".to_owned(),
        ));
    }
    live.engine = database.engine;
    captured_as_named(manifest, database, &live).map_err(|what| at(&path, what))?;
    for number in live.required_logs(manifest.way == Way::Hot).into_keys() {
        let log = name(format!("{number:06}.log"))?;
        if manifest.files.find(&log).is_none() {
            return Err(at(
                &log,
                "the MANIFEST names this log and it was not captured".to_owned(),
            ));
        }
    }
    Ok(())
}

/// Each table and blob file that the MANIFEST names was captured once, with that size, and no other was.
///
/// There may be a hundred thousand of them, so nothing is noted of each: the entries come by path, where the two endings of one number follow
/// each other, and then as many as were named are all of them.
fn captured_as_named(
    manifest: &Manifest,
    database: &Database,
    live: &LiveSet,
) -> Result<(), String> {
    let mut blobs: Vec<_> = live.blobs().collect();
    blobs.sort_unstable();
    let named = |file: &FileRecord| {
        let (number, named) = match FileName::parse(file.path.name()) {
            FileName::Table(number) => (number, live.table(number)),
            FileName::Blob(number) => {
                let found = blobs.binary_search_by_key(&number, |blob| blob.number);
                (number, found.ok().map(|found| blobs[found]))
            }
            _ => return None,
        };
        // More zeros before a number are another name, and the engines do not look for it.
        let meant = file.path.name().starts_with(&format!("{number:06}."));
        Some((number, named.filter(|_| meant)))
    };
    let in_it = |file: &FileRecord| file.path.parent().as_ref() == Some(&database.path);
    let (mut count, mut before) = (0, None);
    for file in manifest.files.iter().filter(in_it) {
        let Some((number, named)) = named(&file) else {
            continue;
        };
        match named {
            None => {
                return Err(format!(
                    "it does not name file {number}, which was captured"
                ));
            }
            Some(named) if named.size != file.size => {
                return Err(format!(
                    "it names file {number} with another size than was captured"
                ));
            }
            Some(_) if before == Some(number) => {
                return Err(format!("file {number} was captured twice"));
            }
            Some(_) => {}
        }
        (count, before) = (count + 1, Some(number));
    }
    if count == live.immutables().count() {
        return Ok(());
    }
    let captured: BTreeSet<_> = manifest
        .files
        .iter()
        .filter(in_it)
        .filter_map(|file| named(&file).map(|(number, _)| number))
        .collect();
    let mut numbers = live.immutables().map(|file| file.number);
    let missing = numbers.find(|number| !captured.contains(number));
    Err(format!(
        "it names file {}, which was not captured",
        missing.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_now_is_no_damage() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::os::unix::fs::symlink("elsewhere", at("link")).unwrap();
        File::create(at("file")).unwrap();
        assert!(demand(&at("file")).unwrap().is_ok());
        for name in ["missing", "link", "file/below", "."] {
            assert!(demand(&at(name)).unwrap().is_err(), "{name}");
        }
        // Any error that says nothing of the file will do.
        let error = demand(&at(&"x".repeat(300))).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }
}
