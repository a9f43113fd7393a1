//! A workload with a real database, its store, and a bucket that is a directory.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ostler::data::bucket::{Layout, Uploaded};
use ostler::data::{Bucket, Control, Error, Manifest, Source, Store};
use ostler::protocol::Name;

use crate::chain::Engine;
use crate::snapshots::{name, take, workload};

/// Bytes that stay free: the tests need none.
const RESERVE: u64 = 0;

pub struct Inn {
    root: tempfile::TempDir,
    pub data: PathBuf,
    pub store: Store,
}

impl Inn {
    /// A database of so many blocks, in a directory as Harmony has it.
    pub fn new(blocks: u32) -> Self {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        fs::create_dir_all(data.join("harmony_db_0")).unwrap();
        let store = Store::open(&root.path().join("store")).unwrap();
        let inn = Self { root, data, store };
        inn.grow(blocks);
        inn
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn grow(&self, blocks: u32) {
        Engine::LevelDb.fill(&self.data.join("harmony_db_0"), blocks, &[]);
    }

    pub fn take(&self, snapshot: &str) -> Manifest {
        take(&Source::whole(&self.data), &self.store, snapshot, None).unwrap()
    }

    /// The directory that is the bucket.
    pub fn place(&self) -> PathBuf {
        self.path("bucket")
    }

    pub fn bucket(&self) -> Bucket {
        bucket(&self.place())
    }

    pub fn upload(&self, bucket: &Bucket, snapshot: &str) -> Result<Uploaded, Error> {
        let control = &mut Control::unlimited();
        bucket.upload(&self.store, &miner(), &name(snapshot), false, control)
    }

    /// A store on a device that has lost everything.
    pub fn empty_store(&self) -> Store {
        let at = tempfile::tempdir_in(self.root.path()).unwrap();
        Store::open(&at.keep()).unwrap()
    }

    /// Everything in the bucket with its size.
    pub fn listing(&self) -> BTreeMap<String, u64> {
        let mut listing = BTreeMap::new();
        walk(&self.place(), "", &mut listing);
        listing
    }

    /// The objects in the bucket with their sizes.
    pub fn objects(&self) -> BTreeMap<String, u64> {
        let mut listing = self.listing();
        listing.retain(|path, _| path.starts_with("objects/"));
        listing
    }
}

fn walk(directory: &Path, at: &str, listing: &mut BTreeMap<String, u64>) {
    let Ok(items) = fs::read_dir(directory) else {
        return;
    };
    for item in items {
        let item = item.unwrap();
        let path = format!("{at}{}", item.file_name().to_str().unwrap());
        match item.file_type().unwrap().is_dir() {
            true => walk(&item.path(), &format!("{path}/"), listing),
            false => {
                listing.insert(path, item.metadata().unwrap().len());
            }
        }
    }
}

/// Makes a program of a script. Another process writes the file: while this one has it open for writing, a child that
/// another test starts just then would have it open too, and nobody could run it.
pub fn script(at: &Path, text: &str) {
    let source = at.with_extension("txt");
    fs::write(&source, format!("#!/bin/sh\n{text}\n")).unwrap();
    let installed = std::process::Command::new("install")
        .args(["-m", "755"])
        .args([&source, at])
        .status()
        .unwrap();
    assert!(installed.success());
}

pub fn miner() -> Name {
    name("miner")
}

pub fn bucket(place: &Path) -> Bucket {
    Bucket {
        remote: place.to_str().unwrap().to_owned(),
        config_file: None,
        layout: Layout::Objects,
        rate: 0,
        patience: Duration::from_secs(60),
        keep_last: 2,
        grace: Duration::from_secs(3600),
        program: PathBuf::from("rclone"),
    }
}

pub fn fetch(bucket: &Bucket, store: &Store, snapshot: Option<&str>) -> Result<Manifest, Error> {
    let control = &mut Control::unlimited();
    let snapshot = snapshot.map(name);
    let wanted = workload("0");
    bucket.fetch(
        store,
        &miner(),
        &wanted,
        snapshot.as_ref(),
        RESERVE,
        control,
    )
}

/// Where a snapshot's data is.
pub fn data_of(store: &Store, snapshot: &str) -> PathBuf {
    store.snapshot(&name(snapshot)).join("data")
}
