//! Upload as objects: what is missing, compared, then the manifest, then `LATEST`.

use crate::protocol::Name;

use super::super::control::Control;
use super::super::error::Error;
use super::super::manifest::Manifest;
use super::super::store::Store;
use super::Uploaded;
use super::desk::Desk;
use super::publish::{OBJECTS, Objects, Published, latest_path, manifest_path};
use super::remote::Remote;
use super::shipment::{Naming, Shipment};

pub(super) struct Upload<'a> {
    pub remote: &'a Remote,
    pub desk: &'a Desk,
    pub store: &'a Store,
    pub workload: &'a Name,
    pub manifest: &'a Manifest,
}

impl Upload<'_> {
    pub fn run(&self, plan: bool, control: &mut Control) -> Result<Uploaded, Error> {
        let published = Published::read(self.remote, self.desk, control)?;
        let mirrored = self
            .desk
            .mirror()
            .join(manifest_path(self.workload, &self.manifest.name));
        let already = published.get(self.workload, &self.manifest.name).is_some();
        if already && Manifest::read(&mirrored)?.files != self.manifest.files {
            return Err(Error::InBucket {
                name: self.manifest.name.to_string(),
                place: self
                    .remote
                    .at(&manifest_path(self.workload, &self.manifest.name)),
            });
        }
        let wanted = self.shipment();
        let there = Objects::list(self.remote, control)?;
        let missing = wanted.select(|_, file| {
            let there = file.blake3.and_then(|hash| there.size(&hash));
            there != Some(file.size)
        });
        drop(there);
        let mut uploaded = Uploaded {
            objects: wanted.len(),
            sent: missing.len(),
            sent_bytes: missing.load().bytes,
            already: already && missing.is_empty(),
            ..Uploaded::default()
        };
        if plan {
            return Ok(uploaded);
        }
        missing.send(self.remote, self.desk, OBJECTS, control)?;
        // What an interrupted upload left behind has its size, and was never compared.
        let doubtful = wanted.select(|at, file| {
            let named = file.blake3.is_some_and(|hash| published.names(&hash));
            missing.has(at) || !named
        });
        uploaded.compared_by = doubtful.settle(self.remote, self.desk, OBJECTS, control)?;
        self.publish(&published, control)?;
        Ok(uploaded)
    }

    fn shipment(&self) -> Shipment<'_> {
        let data = self.store.snapshot(&self.manifest.name).join("data");
        Shipment::new(self.manifest, data, Naming::Objects)
    }

    /// From here on it can be fetched.
    fn publish(&self, published: &Published, control: &mut Control) -> Result<(), Error> {
        let name = &self.manifest.name;
        // It may have been found damaged while it travelled.
        if let Some(reason) = self.store.bad(name)? {
            return Err(Error::Bad {
                name: name.to_string(),
                reason,
            });
        }
        if published.get(self.workload, name).is_none() {
            let file = self.desk.file_with(|to| self.manifest.write(to))?;
            let path = manifest_path(self.workload, name);
            self.remote.publish(&file, &path, control)?;
        }
        let path = latest_path(self.workload);
        let latest = latest(self.remote, self.workload, control)?;
        // An older one that is sent by hand does not take the place of a newer one.
        let newer = latest
            .as_ref()
            .and_then(|latest| published.get(self.workload, latest))
            .is_some_and(|latest| {
                latest.clock_synced
                    && self.manifest.clock_synced
                    && latest.cut_time > self.manifest.cut_time
            });
        if newer || latest.as_ref() == Some(name) {
            return Ok(());
        }
        let file = self.desk.file(format!("{name}\n").as_bytes())?;
        self.remote.publish(&file, &path, control)
    }
}

/// What `LATEST` names; nothing where it is not there or no name.
pub(super) fn latest(
    remote: &Remote,
    workload: &Name,
    control: &mut Control,
) -> Result<Option<Name>, Error> {
    let content = remote.read(&latest_path(workload), control)?;
    let name = content.and_then(|content| String::from_utf8(content).ok());
    Ok(name.and_then(|name| name.trim_end().parse().ok()))
}
