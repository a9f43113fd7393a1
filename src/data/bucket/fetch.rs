//! Fetching a snapshot from the bucket: into the store, verified, sealed as if it had been taken here.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::protocol::Name;

use super::super::control::Control;
use super::super::error::Error;
use super::super::inspect::inspect;
use super::super::manifest::{self, FileRecord, Kind, Level, Manifest};
use super::super::store::Store;
use super::super::tree::{self, Attributes};
use super::super::walk::{self, Seen};
use super::super::{place, space, verify};
use super::desk::{self, Desk};
use super::objects::latest;
use super::publish::{Content, OBJECTS, contents, latest_path, manifest_path, object};
use super::remote::{Load, Remote};
use super::{Bucket, Layout};

/// What a fetch has to bring.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Fetched {
    /// Files that the snapshot consists of, each content once.
    pub objects: usize,
    /// Those that are fetched: the others came before an interruption.
    pub fetched: usize,
    /// Bytes that are fetched.
    pub fetched_bytes: u64,
    /// Whether the store has the snapshot, and nothing against it.
    pub already: bool,
}

impl Bucket {
    /// Finds out what [`Bucket::fetch`] would bring into `store`, which need not be there yet. Nothing is written.
    ///
    /// # Errors
    /// Where it is not there, or is of another workload than `wanted`, or the store has another snapshot of its name.
    pub fn plan_fetch(
        &self,
        store: Option<&Store>,
        workload: &Name,
        wanted: &manifest::Workload,
        name: Option<&Name>,
        control: &mut Control,
    ) -> Result<(Manifest, Fetched), Error> {
        self.refuse_without_hashes()?;
        let manifest = find(&self.remote()?, workload, name, control)?;
        manifest.refuse_other(wanted)?;
        let already = match store {
            Some(store) => has(store, &manifest)?,
            None => false,
        };
        let contents = contents(&manifest);
        let came = |hash: &str, file: &Content| {
            let at = store.map(|store| desk::fetched(store).join(object(hash)));
            at.and_then(|at| fs::symlink_metadata(at).ok())
                .is_some_and(|there| there.len() == file.size)
        };
        let missing = contents
            .iter()
            .filter(|(hash, file)| !already && !came(hash, file));
        let (fetched, fetched_bytes) = missing.fold((0, 0), |(count, bytes), (_, file)| {
            (count + 1, bytes + file.size)
        });
        let fetched = Fetched {
            objects: contents.len(),
            fetched,
            fetched_bytes,
            already,
        };
        Ok((manifest, fetched))
    }

    fn refuse_without_hashes(&self) -> Result<(), Error> {
        match self.layout {
            Layout::Objects => Ok(()),
            Layout::Harmony(_) => Err(Error::BadBucket {
                place: self.remote.clone(),
                detail: "Harmony's layout has no hashes for all of a workload's files: fetch from a bucket with \
                         `layout = \"objects\"`"
                    .to_owned(),
            }),
        }
    }

    /// Fetches the snapshot `name`, or the one that `LATEST` names, unless the store has it already.
    ///
    /// What the bucket says is believed only as far as hashes bear it out. A fetch that was cut is continued by the
    /// next: what came whole is not fetched again.
    ///
    /// # Errors
    /// Where it is not there, is of another workload than `wanted`, does not fit on the disk with `reserve` bytes
    /// left free, or is damaged: then nothing of it is in the store.
    pub fn fetch(
        &self,
        store: &Store,
        workload: &Name,
        wanted: &manifest::Workload,
        name: Option<&Name>,
        reserve: u64,
        control: &mut Control,
    ) -> Result<Manifest, Error> {
        self.refuse_without_hashes()?;
        let desk = Desk::open(store, control)?;
        let remote = self.remote()?;
        let manifest = find(&remote, workload, name, control)?;
        manifest.refuse_other(wanted)?;
        if has(store, &manifest)? {
            return store.get(&manifest.name);
        }
        let fetch = Fetch {
            remote: &remote,
            desk: &desk,
            manifest: &manifest,
        };
        fetch.objects(store, reserve, control)?;
        fetch.build(store, control)?;
        tree::remove(&desk.fetched(), control)?;
        Ok(manifest)
    }
}

/// The manifest, checked for whatever a stranger could have written.
fn find(
    remote: &Remote,
    workload: &Name,
    name: Option<&Name>,
    control: &mut Control,
) -> Result<Manifest, Error> {
    let name = match name {
        Some(name) => name.clone(),
        None => latest(remote, workload, control)?.ok_or_else(|| Error::BadBucket {
            place: remote.at(&latest_path(workload)),
            detail: "it is not there, or names no snapshot: say which snapshot is wanted"
                .to_owned(),
        })?,
    };
    let path = manifest_path(workload, &name);
    let refuse = |detail: String| Error::BadBucket {
        place: remote.at(&path),
        detail,
    };
    let content = remote
        .read(&path, control)?
        .ok_or_else(|| refuse("it is not there".to_owned()))?;
    let manifest = Manifest::parse(&content).map_err(&refuse)?;
    match manifest.name == name {
        true => Ok(manifest),
        false => Err(refuse(format!("it is of snapshot {}", manifest.name))),
    }
}

/// Whether the store has this very snapshot, and nothing against it. Another one of its name is not overwritten.
fn has(store: &Store, manifest: &Manifest) -> Result<bool, Error> {
    match store.get(&manifest.name) {
        Ok(have) if have.files == manifest.files => Ok(true),
        Ok(_) => Err(Error::Exists {
            path: store.snapshot(&manifest.name),
        }),
        // It is bad, its manifest cannot be used, or it is not there.
        Err(Error::Bad { .. } | Error::Record { .. }) => Ok(false),
        Err(error) if error.kind() == Some(io::ErrorKind::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

struct Fetch<'a> {
    remote: &'a Remote,
    desk: &'a Desk,
    manifest: &'a Manifest,
}

impl Fetch<'_> {
    /// Brings every content to the desk, whole.
    fn objects(&self, store: &Store, reserve: u64, control: &mut Control) -> Result<(), Error> {
        let contents = contents(self.manifest);
        let wanted = contents
            .iter()
            .map(|(hash, at)| (hash.as_str(), at))
            .collect();
        desk::make(&self.desk.fetched())?;
        self.drop_others(&wanted, control)?;
        let mut missing = self.missing(&wanted, control)?;
        let bytes = missing.values().map(|file| file.size).sum::<u64>();
        let twice = self.copied_bytes();
        let needed = bytes.saturating_add(twice).saturating_add(reserve);
        space::require(store.path(), needed, self.manifest.files.len() as u64)?;
        // A content that came wrong may have been damaged on its way: it gets a second chance.
        for _ in 0..2 {
            if missing.is_empty() {
                return Ok(());
            }
            let (mut load, mut list) = (Load::default(), String::new());
            for (hash, file) in &missing {
                load.add(file.size);
                list.push_str(&format!("{}\n", object(hash)));
            }
            control.expect(load.bytes);
            let list = self.desk.file(list.as_bytes())?;
            self.remote
                .fetch(OBJECTS, &list, &self.desk.fetched(), load, control)?;
            missing = self.missing(&missing, control)?;
        }
        match missing.first_key_value() {
            None => Ok(()),
            Some((hash, file)) => Err(Error::BadBucket {
                place: self.remote.at(&format!("{OBJECTS}/{}", object(hash))),
                detail: format!(
                    "{} of {} is missing or is not what was captured ({} such objects)",
                    file.path,
                    self.manifest.name,
                    missing.len()
                ),
            }),
        }
    }

    /// Those that are not on the desk with their hash; what is there otherwise goes.
    fn missing<'b>(
        &self,
        wanted: &BTreeMap<&'b str, &'b Content>,
        control: &mut Control,
    ) -> Result<BTreeMap<&'b str, &'b Content>, Error> {
        let mut missing = BTreeMap::new();
        for (hash, file) in wanted {
            let path = self.at(hash);
            let whole = match fs::symlink_metadata(&path) {
                Ok(metadata) if metadata.is_file() && metadata.len() == file.size => {
                    let quiet = &mut Control::unlimited();
                    control.check()?;
                    let found = inspect(&path, Kind::Other, false, false, quiet)?;
                    found.hash.to_hex().as_str() == *hash
                }
                _ => false,
            };
            if !whole {
                tree::remove(&path, control)?;
                missing.insert(*hash, *file);
            }
        }
        Ok(missing)
    }

    /// What another fetch left on the desk.
    fn drop_others(
        &self,
        wanted: &BTreeMap<&str, &Content>,
        control: &mut Control,
    ) -> Result<(), Error> {
        let fetched = self.desk.fetched();
        let mut alien = Vec::new();
        walk::walk(&fetched, &|_| false, control, &mut |seen| {
            if let Seen::Entry(entry) = seen
                && entry.node != tree::Node::Directory
                && !wanted.contains_key(entry.path.name())
            {
                alien.push(entry.path);
            }
            Ok(())
        })?;
        for path in alien {
            tree::remove(&path.below(&fetched), control)?;
        }
        Ok(())
    }

    /// Bytes of files whose content another file has too.
    fn copied_bytes(&self) -> u64 {
        let all = self.manifest.files.iter().map(|file| file.size);
        let once = contents(self.manifest);
        all.sum::<u64>()
            .saturating_sub(once.values().map(|file| file.size).sum())
    }

    /// Builds the snapshot as the store's own are built, verifies it, and gives it its name.
    fn build(&self, store: &Store, control: &mut Control) -> Result<(), Error> {
        let exclusive = store.lock(control)?;
        let name = &self.manifest.name;
        if store.snapshot(name).exists() {
            // It is bad, or has no manifest: what is wanted is the good one of the same name.
            exclusive.remove(name, control)?;
        }
        let partial = exclusive.partial(name)?;
        let built = self.fill(&partial, control);
        let sealed = built.and_then(|()| exclusive.seal(&partial, name));
        if sealed.is_err() {
            // Best effort: whoever takes the lock next removes what is left.
            let _ = tree::discard(&partial, &mut Control::unlimited());
        }
        sealed
    }

    fn fill(&self, partial: &Path, control: &mut Control) -> Result<(), Error> {
        let data = partial.join("data");
        directory(partial)?;
        directory(&data)?;
        let mut uses = HashMap::<blake3::Hash, usize>::new();
        for hash in self.manifest.files.iter().filter_map(|file| file.blake3) {
            *uses.entry(hash).or_default() += 1;
        }
        for file in self
            .manifest
            .files
            .iter()
            .filter(|file| !file.path.is_root())
        {
            control.check()?;
            let to = file.path.below(&data);
            match (file.kind, file.blake3) {
                (Kind::Directory, _) => directory(&to)?,
                (Kind::Symlink, _) => {
                    let target = file.target.as_deref().unwrap_or_default();
                    place::symlink(target, &to, &file.attributes)?;
                }
                (_, Some(hash)) => {
                    let left = uses.entry(hash).or_default();
                    *left = left.saturating_sub(1);
                    self.put(&file, &hash.to_hex(), *left == 0, &to, control)?;
                }
                // The manifest was checked: there is no such entry.
                (_, None) => {}
            }
        }
        for file in self.manifest.files.directories() {
            let path = file.path.below(&data);
            let opened = File::open(&path).map_err(Error::io("open", &path))?;
            place::dress(&opened, &path, Some(&file.attributes))?;
            opened.sync_all().map_err(Error::io("sync", &path))?;
        }
        let report = verify::check(&data, self.manifest, Level::L3, control)?;
        if let Some(damage) = report.damages.into_iter().next() {
            return Err(Error::Damaged {
                path: damage.path.below(&data),
                detail: damage.what,
            });
        }
        self.manifest.store_as_it_is(partial)
    }

    /// Puts one file at its place: the last that has a content gets the object itself.
    fn put(
        &self,
        file: &FileRecord,
        hash: &str,
        last: bool,
        to: &Path,
        control: &mut Control,
    ) -> Result<(), Error> {
        // No database needs a set-id bit, and a stranger may have written the manifest.
        let attributes = Attributes {
            mode: file.attributes.mode & 0o777,
            ..file.attributes
        };
        let opened = if file.size == 0 {
            place::create(to)?
        } else if last {
            let from = self.at(hash);
            fs::rename(&from, to).map_err(Error::io("rename", &from))?;
            place::open(to)?
        } else {
            place::copy(&self.at(hash), to, None, None, control)?;
            place::open(to)?
        };
        place::dress(&opened, to, Some(&attributes))?;
        opened.sync_all().map_err(Error::io("sync", to))
    }

    fn at(&self, hash: &str) -> PathBuf {
        self.desk.fetched().join(object(hash))
    }
}

fn directory(path: &Path) -> Result<(), Error> {
    DirBuilder::new()
        .mode(0o700)
        .create(path)
        .map_err(Error::io("create", path))
}
