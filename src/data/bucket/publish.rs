//! What is published: the manifests in the bucket, mirrored to the desk and read.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::clock::Timestamp;
use crate::protocol::Name;

use super::super::control::Control;
use super::super::error::Error;
use super::super::manifest::Manifest;
use super::super::path::RelativePath;
use super::desk::{self, Desk};
use super::remote::Remote;

/// The directory of the objects.
pub(super) const OBJECTS: &str = "objects";

/// Where the object of a hash is, below [`OBJECTS`].
pub(super) fn object(hash: &str) -> String {
    format!("{}/{hash}", hash.get(..2).unwrap_or_default())
}

/// Where the manifest of a snapshot is.
pub(super) fn manifest_path(workload: &Name, snapshot: &Name) -> String {
    format!("{workload}/manifests/{snapshot}.json")
}

/// Where the name of the newest snapshot is.
pub(super) fn latest_path(workload: &Name) -> String {
    format!("{workload}/LATEST")
}

/// A content of a snapshot: how long it is, and one file that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub path: RelativePath,
    pub size: u64,
}

/// The snapshot's contents that are objects, by their hashes. Empty files need no object.
pub(super) fn contents(manifest: &Manifest) -> BTreeMap<String, Content> {
    let filled = manifest.files.iter().filter(|file| file.size > 0);
    filled
        .filter_map(|file| {
            let (path, size) = (file.path, file.size);
            Some((file.blake3?.to_hex().to_string(), Content { path, size }))
        })
        .collect()
}

/// The objects of a bucket by their hashes, each with its size; there may be a hundred thousand.
#[derive(Debug, Default)]
pub(super) struct Objects(Vec<([u8; blake3::OUT_LEN], u64)>);

impl Objects {
    /// Those that are there. What has another name is not ours.
    pub fn list(remote: &Remote, control: &mut Control) -> Result<Self, Error> {
        let add = |objects: &mut Self, path: &str, size| {
            let hash = hash_of(path).and_then(|hash| blake3::Hash::from_hex(hash).ok());
            objects.0.extend(hash.map(|hash| (*hash.as_bytes(), size)));
        };
        let mut objects = remote.list_into(OBJECTS, None, control, Self::default(), add)?;
        objects.0.sort_unstable();
        Ok(objects)
    }

    /// The size of an object that is there.
    pub fn size(&self, hash: &blake3::Hash) -> Option<u64> {
        let found = self
            .0
            .binary_search_by_key(hash.as_bytes(), |(hash, _)| *hash);
        found.ok().map(|at| self.0[at].1)
    }

    /// Every one.
    pub fn iter(&self) -> impl Iterator<Item = (blake3::Hash, u64)> + '_ {
        let objects = self.0.iter();
        objects.map(|(hash, size)| (blake3::Hash::from_bytes(*hash), *size))
    }
}

/// The hash of an object by its path; nothing else is one of ours.
fn hash_of(path: &str) -> Option<&str> {
    let (fan, hash) = path.split_once('/')?;
    let lower = hash
        .bytes()
        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    (lower && hash.len() == 64 && hash.get(..2) == Some(fan)).then_some(hash)
}

/// A published snapshot, without its list of files: there may be many, and each list may be long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Whose it is.
    pub workload: Name,
    /// Its name.
    pub name: Name,
    /// When it was cut.
    pub cut_time: Timestamp,
    /// Whether that clock was right.
    pub clock_synced: bool,
    /// Its place among the snapshots of its store.
    sequence: u64,
}

/// The published snapshots of every workload.
#[derive(Debug, Default)]
pub(super) struct Published {
    entries: Vec<Entry>,
    /// Every content that one of them names, in order: it was compared before that one was published.
    named: Vec<[u8; blake3::OUT_LEN]>,
    /// Files that should be manifests and cannot be read, and why.
    pub unreadable: Vec<String>,
}

impl Published {
    /// Reads what the bucket has; what was mirrored before is not fetched again.
    pub fn read(remote: &Remote, desk: &Desk, control: &mut Control) -> Result<Self, Error> {
        let mirror = desk.mirror();
        desk::make(&mirror)?;
        remote.mirror("/*/manifests/*.json", &mirror, control)?;
        let mut published = Self::default();
        for workload in names(&mirror)? {
            let manifests = mirror.join(&workload).join("manifests");
            if !manifests.is_dir() {
                continue;
            }
            for file in names(&manifests)? {
                control.check()?;
                match read(&manifests.join(&file), &workload, &file) {
                    Ok((workload, manifest)) => published.add(workload, manifest),
                    Err(problem) => published
                        .unreadable
                        .push(format!("{workload}/manifests/{file}: {problem}")),
                }
            }
        }
        Ok(published)
    }

    fn add(&mut self, workload: Name, manifest: Manifest) {
        let filled = manifest.files.iter().filter(|file| file.size > 0);
        self.named
            .extend(filled.filter_map(|file| file.blake3.map(|hash| *hash.as_bytes())));
        self.named.sort_unstable();
        self.named.dedup();
        self.entries.push(Entry {
            workload,
            name: manifest.name,
            cut_time: manifest.cut_time,
            clock_synced: manifest.clock_synced,
            sequence: manifest.sequence,
        });
    }

    /// One snapshot.
    pub fn get(&self, workload: &Name, snapshot: &Name) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.workload == *workload && entry.name == *snapshot)
    }

    /// The snapshots of a workload, oldest first.
    pub fn of(&self, workload: &Name) -> Vec<&Entry> {
        let own = self.entries.iter();
        let mut own: Vec<_> = own.filter(|entry| entry.workload == *workload).collect();
        own.sort_by_key(|entry| (entry.cut_time, entry.sequence));
        own
    }

    /// Whether a manifest names this content.
    pub fn names(&self, hash: &blake3::Hash) -> bool {
        self.named.binary_search(hash.as_bytes()).is_ok()
    }
}

fn read(path: &Path, workload: &str, file: &str) -> Result<(Name, Manifest), String> {
    let workload: Name = workload
        .parse()
        .map_err(|error| format!("the workload: {error}"))?;
    let manifest = Manifest::read(path).map_err(|error| error.to_string())?;
    if file.strip_suffix(".json") != Some(manifest.name.as_str()) {
        return Err(format!("it is of snapshot {}", manifest.name));
    }
    Ok((workload, manifest))
}

fn names(directory: &Path) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for item in fs::read_dir(directory).map_err(Error::io("list", directory))? {
        let item = item.map_err(Error::io("list", directory))?;
        names.push(item.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_an_object_of_ours_can_be_removed() {
        let hash = blake3::hash(b"x").to_hex();
        assert_eq!(hash_of(&object(&hash)), Some(hash.as_str()));
        for other in [
            hash.as_str(),
            &format!("00/{hash}"),
            &format!("{}/{}", &hash[..2], &hash[..63]),
            "../x",
            "notes.txt",
        ] {
            assert_eq!(hash_of(other), None, "{other}");
        }
    }
}
