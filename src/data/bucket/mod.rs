//! The bucket: where a workload's snapshots survive the loss of the disk. Everything goes through the host's `rclone`.
//!
//! With the layout of objects, each file of a snapshot is one object under the name of its BLAKE3, so that a second
//! snapshot sends only what is new:
//!
//! ```text
//! <remote>/objects/<aa>/<blake3>
//! <remote>/objects-unnamed.json              what no manifest names, and since when
//! <remote>/<workload>/manifests/<name>.json
//! <remote>/<workload>/LATEST                 the name of the newest, written last
//! ```
//!
//! With Harmony's layout, each snapshot is a folder as Harmony's own tool writes it: see [`harmony`].
//!
//! An upload that was cut at any point is continued by the next: what is there with its size is not sent again, and
//! what no published manifest vouches for is compared before anything names it.

mod desk;
mod fetch;
pub mod harmony;
mod objects;
mod publish;
mod rclone;
mod remote;
mod report;
mod shipment;
mod tidy;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::protocol::Name;

use super::control::Control;
use super::error::Error;
use super::store::Store;
use desk::Desk;
pub use fetch::Fetched;
use rclone::Rclone;
use remote::Remote;
pub use remote::check as check_place;
pub use tidy::Tidied;

/// How things are named in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// One object per file, by its hash.
    Objects,
    /// A folder per snapshot, as Harmony's own tool names it.
    Harmony(harmony::Identity),
}

/// Where rclone's configuration file is, asked each time that it is used: it may be mended, or mounted later.
#[derive(Clone)]
pub struct ConfigFile(Arc<dyn Fn() -> Result<PathBuf, String> + Send + Sync>);

impl ConfigFile {
    /// `find` gives the file, or says why it cannot be used.
    pub fn new(find: impl Fn() -> Result<PathBuf, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }

    fn find(&self) -> Result<PathBuf, Error> {
        (self.0)().map_err(|detail| Error::ConfigFile { detail })
    }
}

impl fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfigFile(…)")
    }
}

/// A place on a remote of rclone's, and how it is used.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// `remote:path`, or an absolute path on this host.
    pub remote: String,
    /// rclone's configuration file; without it only paths on this host can be used.
    pub config_file: Option<ConfigFile>,
    /// How things are named.
    pub layout: Layout,
    /// Bytes a second; 0 is no limit.
    pub rate: u64,
    /// rclone is given up when nothing moves for so long.
    pub patience: Duration,
    /// How many of the newest published snapshots of a workload stay; 0 is all of them.
    pub keep_last: usize,
    /// How long an object must have been unnamed before it is removed: longer than any upload takes.
    pub grace: Duration,
    /// The program: `rclone`, wherever it is.
    pub program: PathBuf,
}

/// What an upload did, or with a plan would do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Uploaded {
    /// Files that the snapshot consists of, each content once.
    pub objects: usize,
    /// Those that were sent.
    pub sent: usize,
    /// Bytes that were sent.
    pub sent_bytes: u64,
    /// What was compared after: the name of a hash, or `size` where the remote has no hash in common with this host.
    pub compared_by: String,
    /// Whether the bucket had it, all of it, before.
    pub already: bool,
}

impl Bucket {
    /// Sends the snapshot `name`: what is missing, then its manifest, then what says that it is complete.
    ///
    /// `plan` only finds out what would be sent. While it is at work the snapshot is not removed from the store.
    pub fn upload(
        &self,
        store: &Store,
        workload: &Name,
        name: &Name,
        plan: bool,
        control: &mut Control,
    ) -> Result<Uploaded, Error> {
        let manifest = store.get(name)?;
        let _pin = store.pin(name)?;
        let desk = Desk::open(store, control)?;
        let remote = self.remote()?;
        match &self.layout {
            Layout::Objects => {
                let upload = objects::Upload {
                    remote: &remote,
                    desk: &desk,
                    store,
                    workload,
                    manifest: &manifest,
                };
                upload.run(plan, control)
            }
            Layout::Harmony(identity) => {
                let upload = harmony::Upload {
                    remote: &remote,
                    desk: &desk,
                    store,
                    manifest: &manifest,
                    identity,
                };
                upload.run(plan, control)
            }
        }
    }

    fn remote(&self) -> Result<Remote, Error> {
        Remote::new(
            Rclone {
                program: self.program.clone(),
                config_file: self
                    .config_file
                    .as_ref()
                    .map(ConfigFile::find)
                    .transpose()?,
                rate: self.rate,
                patience: self.patience,
            },
            &self.remote,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_file_is_looked_for_each_time_and_its_problem_told() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("rclone.conf");
        let place = file.clone();
        let bucket = Bucket {
            remote: "far:bucket".to_owned(),
            config_file: Some(ConfigFile::new(move || match place.exists() {
                true => Ok(place.clone()),
                false => Err(format!("cannot use {}", place.display())),
            })),
            layout: Layout::Objects,
            rate: 0,
            patience: Duration::from_secs(1),
            keep_last: 0,
            grace: Duration::ZERO,
            program: PathBuf::from("rclone"),
        };
        let error = bucket.remote().err().unwrap().to_string();
        assert!(error.contains("configuration file: cannot use") && error.contains("rclone.conf"));
        crate::durable::write(&file, b"[far]\ntype = memory\n", 0o600).unwrap();
        assert!(bucket.remote().is_ok());
    }
}
