//! The seal: everything hashed, looked into, made durable, and then one rename.

use std::fs::{self, File};

use super::super::control::Control;
use super::super::error::Error;
use super::super::files::{FileRecord, Files, Kind};
use super::super::inspect::inspect;
use super::super::manifest::{self, Level, Manifest, Timings, Verification, Way};
use super::super::place;
use super::super::tree::Node;
use super::super::verify;
use super::super::walk::{self, Seen};
use super::Cut;

impl Cut {
    /// Checks the snapshot to level L3, makes it durable and gives it its name. The workload may be running again.
    ///
    /// Fails with `Damaged` when a block or record of the data has a wrong checksum: then the data itself is damaged,
    /// and the last good snapshot is what is wanted.
    pub fn seal(
        mut self,
        facts: manifest::Facts,
        control: &mut Control,
    ) -> Result<Manifest, Error> {
        if self.captured.is_empty() {
            return Err(Error::Place {
                path: self.partial.clone(),
                problem: "nothing was captured yet: the cold pass comes before the seal",
            });
        }
        self.drop_extras(control)?;
        let mut manifest = self.manifest(facts)?;
        self.fill_in(&mut manifest, control)?;
        self.make_durable(&manifest)?;
        if let Some(damage) = verify::structure(&self.data(), &manifest, control)?
            .into_iter()
            .next()
        {
            return Err(Error::Damaged {
                path: damage.path.below(&self.data()),
                detail: damage.what,
            });
        }
        manifest.store(&self.partial)?;
        let sealed = self.exclusive.store().snapshot(&manifest.name);
        crate::durable::rename(&self.partial, &sealed)?;
        self.sealed = true;
        Ok(manifest)
    }

    /// Removes what the warm pass brought and the database no longer consists of.
    fn drop_extras(&self, control: &Control) -> Result<(), Error> {
        let mut wanted = self.captured.iter().peekable();
        let mut extras = Vec::new();
        walk::walk(&self.data(), &|_| false, control, &mut |seen| {
            if let Seen::Entry(entry) = seen {
                while wanted
                    .next_if(|file| file.path.comes_before(&entry.path))
                    .is_some()
                {}
                if wanted.next_if(|file| file.path == entry.path).is_none() {
                    extras.push(entry);
                }
            }
            Ok(())
        })?;
        for entry in extras.iter().rev() {
            let path = entry.path.below(&self.data());
            let removed = match entry.node {
                Node::Directory => fs::remove_dir(&path),
                Node::File | Node::Symlink(_) => fs::remove_file(&path),
            };
            removed.map_err(Error::io("remove", &path))?;
        }
        Ok(())
    }

    fn manifest(&self, facts: manifest::Facts) -> Result<Manifest, Error> {
        let newest = self.exclusive.store().newest()?;
        Ok(Manifest {
            format: manifest::FORMAT,
            name: self.options.name.clone(),
            sequence: newest.as_ref().map_or(1, |(sequence, _)| sequence + 1),
            workload: facts.workload,
            cut_time: facts.cut_time,
            clock_synced: facts.clock_synced,
            height: facts.height,
            clean: self.clean && self.way != Way::Hot,
            way: self.way,
            include: self.source.include.clone(),
            databases: self.databases.clone(),
            files: Files::default(),
            total_bytes: 0,
            verification: Verification {
                level: Level::L3,
                checked: 0,
                opaque: Vec::new(),
            },
            timings: Timings {
                cut_ms: Some(self.cut_ms),
                ..facts.timings
            },
            previous: newest.map(|(_, name)| name),
            digest: String::new(),
        })
    }

    /// Reads every file once: its hash, and its inside.
    fn fill_in(&mut self, manifest: &mut Manifest, control: &mut Control) -> Result<(), Error> {
        control.expect(self.captured.iter().map(|file| file.size).sum());
        while let Some(some) = self.captured.take_some() {
            for file in &some {
                let record = match file.kind {
                    Kind::Directory | Kind::Symlink => file,
                    _ => self.read(file, manifest, control)?,
                };
                manifest.total_bytes += record.size;
                manifest.files.push(&record);
            }
        }
        Ok(())
    }

    fn read(
        &self,
        file: FileRecord,
        manifest: &mut Manifest,
        control: &mut Control,
    ) -> Result<FileRecord, Error> {
        let path = file.path.below(&self.data());
        let damaged = |detail: String| Error::Damaged {
            path: file.path.below(&self.source.root),
            detail,
        };
        let found = inspect(&path, file.kind, true, manifest.may_be_torn(), control)?;
        if let Some(detail) = found.damage {
            return Err(damaged(detail));
        }
        // What was hashed while the workload was stopped must be what is on the disk now.
        if file.blake3.is_some_and(|hash| hash != found.hash) || file.size != found.size {
            return Err(damaged("its copy differs from what was read".to_owned()));
        }
        manifest.verification.checked += found.checked;
        if found.opaque.is_some() {
            manifest.verification.opaque.push(file.path.clone());
        }
        Ok(FileRecord {
            blake3: Some(found.hash),
            ..file
        })
    }

    /// Files first, then the directories that name them, the deepest first; owner, mode and times of directories last
    /// of all, for each new entry changes the times.
    ///
    /// What was written here is synced file by file, since only that reports what the disk did not take. Links are
    /// to tables that the engine synced itself; for an engine that was told not to, the whole filesystem is synced
    /// once, where a call for each of a thousand links would take seconds.
    fn make_durable(&self, manifest: &Manifest) -> Result<(), Error> {
        let data = self.data();
        let root = File::open(&data).map_err(Error::io("open", &data))?;
        nix::unistd::syncfs(&root).map_err(|errno| Error::io("sync", &data)(errno.into()))?;
        let written = manifest
            .files
            .iter()
            .filter(|file| file.blake3.is_some() && file.method != place::Method::Link);
        for file in written {
            let path = file.path.below(&data);
            let opened = place::open(&path)?;
            opened.sync_all().map_err(Error::io("sync", &path))?;
        }
        for file in manifest.files.directories() {
            let path = file.path.below(&data);
            let directory = File::open(&path).map_err(Error::io("open", &path))?;
            place::dress(&directory, &path, Some(&file.attributes))?;
            directory.sync_all().map_err(Error::io("sync", &path))?;
        }
        Ok(crate::durable::sync_directory(&self.partial)?)
    }
}
