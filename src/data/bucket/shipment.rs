//! A shipment: files of a snapshot under the names that they have in the bucket, sent and compared.

use std::collections::HashSet;
use std::path::PathBuf;

use super::super::control::Control;
use super::super::error::Error;
use super::super::files::FileRecord;
use super::super::manifest::Manifest;
use super::super::path::RelativePath;
use super::desk::{self, Desk};
use super::publish::object;
use super::remote::{Load, Remote};

/// How often what differs after the sending is sent again.
const AGAIN: usize = 1;

/// What the files are called in the bucket.
#[derive(Debug, Clone)]
pub(super) enum Naming {
    /// By their hashes; those with one content are one object.
    Objects,
    /// As below this directory of the snapshot.
    Below(RelativePath),
}

/// Some files of a snapshot. Which they are is a mark for each: there may be a hundred thousand.
#[derive(Debug, Clone)]
pub(super) struct Shipment<'a> {
    manifest: &'a Manifest,
    /// The snapshot's `data/`.
    data: PathBuf,
    naming: Naming,
    chosen: Vec<bool>,
}

impl<'a> Shipment<'a> {
    /// Every file that has a name in the bucket. Empty files are no objects.
    pub fn new(manifest: &'a Manifest, data: PathBuf, naming: Naming) -> Self {
        let mut chosen = vec![false; manifest.files.len()];
        let files = manifest.files.iter().enumerate();
        match &naming {
            Naming::Objects => {
                let filled = files.filter(|(_, file)| file.size > 0);
                let mut hashes: Vec<_> = filled
                    .filter_map(|(at, file)| Some((*file.blake3?.as_bytes(), at as u32)))
                    .collect();
                hashes.sort_unstable();
                hashes.dedup_by_key(|(hash, _)| *hash);
                hashes
                    .iter()
                    .for_each(|(_, at)| chosen[*at as usize] = true);
            }
            Naming::Below(directory) => {
                let within =
                    |file: &FileRecord| file.blake3.is_some() && file.path.is_within(directory);
                files.for_each(|(at, file)| chosen[at] = within(&file));
            }
        }
        Self {
            manifest,
            data,
            naming,
            chosen,
        }
    }

    /// Those that are chosen, by their places in the manifest.
    pub fn select(&self, mut choose: impl FnMut(usize, &FileRecord) -> bool) -> Self {
        let mut selected = Self {
            chosen: vec![false; self.chosen.len()],
            data: self.data.clone(),
            naming: self.naming.clone(),
            ..*self
        };
        for (at, file) in self.files() {
            selected.chosen[at] = choose(at, &file);
        }
        selected
    }

    /// Whether the file at this place of the manifest is one of them.
    pub fn has(&self, at: usize) -> bool {
        self.chosen.get(at).copied().unwrap_or(false)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.chosen.iter().filter(|chosen| **chosen).count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The files, with their places in the manifest.
    pub fn files(&self) -> impl Iterator<Item = (usize, FileRecord)> + '_ {
        let files = self.manifest.files.iter().enumerate();
        files.filter(|(at, _)| self.has(*at))
    }

    /// The name of a file in the bucket.
    pub fn name(&self, file: &FileRecord) -> String {
        let path = file.path.as_str();
        match &self.naming {
            Naming::Objects => file
                .blake3
                .map_or_else(String::new, |hash| object(&hash.to_hex())),
            Naming::Below(directory) if directory.is_root() => path.to_owned(),
            Naming::Below(directory) => {
                let below = path.strip_prefix(directory.as_str());
                let below = below.and_then(|rest| rest.strip_prefix('/'));
                below.unwrap_or(path).to_owned()
            }
        }
    }

    /// How much it is.
    pub fn load(&self) -> Load {
        let mut load = Load::default();
        self.files().for_each(|(_, file)| load.add(file.size));
        load
    }

    /// Sends it, whatever is there.
    pub fn send(
        &self,
        remote: &Remote,
        desk: &Desk,
        to: &str,
        control: &mut Control,
    ) -> Result<(), Error> {
        if self.is_empty() {
            return Ok(());
        }
        let load = self.load();
        control.expect(load.bytes);
        let staged = self.stage(desk, control)?;
        remote.send(&staged, to, load, control)
    }

    /// Compares it with what is there, sends again what differs, and says by what was compared.
    pub fn settle(
        &self,
        remote: &Remote,
        desk: &Desk,
        to: &str,
        control: &mut Control,
    ) -> Result<String, Error> {
        let mut left = self.clone();
        let mut by = "nothing new".to_owned();
        let mut rounds = 0;
        while !left.is_empty() {
            let staged = left.stage(desk, control)?;
            let compared = remote.compare(&staged, to, left.load(), control)?;
            by = compared.by;
            let different: HashSet<_> = compared.different.iter().map(String::as_str).collect();
            left = left.select(|_, file| different.contains(left.name(file).as_str()));
            if rounds == AGAIN
                && let Some((_, file)) = left.files().next()
            {
                return Err(Error::Remote {
                    action: "send to",
                    remote: remote.at(to),
                    detail: format!(
                        "{} files are not there as they were sent, {} for one",
                        left.len(),
                        left.name(&file)
                    ),
                });
            }
            left.send(remote, desk, to, control)?;
            rounds += 1;
        }
        Ok(by)
    }

    fn stage(&self, desk: &Desk, control: &mut Control) -> Result<PathBuf, Error> {
        let staged = desk.stage(control)?;
        for (_, file) in self.files() {
            desk::point(&staged, &self.name(&file), &file.path.below(&self.data))?;
        }
        Ok(staged)
    }
}
