//! A shipment: files under the names that they have in the bucket, sent and compared.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::control::Control;
use super::super::error::Error;
use super::desk::{self, Desk};
use super::remote::{Load, Remote};

/// How often what differs after the sending is sent again.
const AGAIN: usize = 1;

/// One file of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub path: PathBuf,
    pub size: u64,
}

/// Files by their names below one directory of the bucket.
#[derive(Debug, Clone, Default)]
pub(super) struct Shipment(pub BTreeMap<String, Item>);

impl Shipment {
    /// Those that are chosen.
    pub fn select(&self, choose: impl Fn(&str, &Item) -> bool) -> Self {
        let chosen = self.0.iter().filter(|(name, item)| choose(name, item));
        Self(chosen.map(|(n, item)| (n.clone(), item.clone())).collect())
    }

    /// How much it is.
    pub fn load(&self) -> Load {
        let mut load = Load::default();
        self.0.values().for_each(|item| load.add(item.size));
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
        if self.0.is_empty() {
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
        while !left.0.is_empty() {
            let staged = left.stage(desk, control)?;
            let compared = remote.compare(&staged, to, left.load(), control)?;
            by = compared.by;
            left = left.select(|name, _| compared.different.iter().any(|other| other == name));
            if rounds == AGAIN
                && let Some(name) = left.0.keys().next()
            {
                return Err(Error::Remote {
                    action: "send to",
                    remote: remote.at(to),
                    detail: format!(
                        "{} files are not there as they were sent, {name} for one",
                        left.0.len()
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
        for (name, item) in &self.0 {
            desk::point(&staged, name, &item.path)?;
        }
        Ok(staged)
    }
}
