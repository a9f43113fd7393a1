//! What somebody had been told, and how much had reached the disk by then.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::host::Host;

/// What was told of one operation.
#[derive(Debug, Default)]
pub struct Told {
    pub asked: u64,
    /// From here on it must be in the journal.
    pub accepted: Option<u64>,
    /// From here on it has ended, so.
    pub ended: Option<(u64, String)>,
}

/// A snapshot that was told of.
#[derive(Debug)]
pub struct Snapshot {
    /// From here on it must be there …
    pub from: u64,
    /// … until here, where something was asked for that removed it.
    pub until: u64,
}

/// All that was told.
pub struct Promises {
    pub operations: BTreeMap<String, Told>,
    pub snapshots: BTreeMap<String, Snapshot>,
    /// The miner's key.
    pub identity: Vec<u8>,
}

impl Promises {
    pub fn new(host: &Host) -> Self {
        Self {
            operations: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            identity: std::fs::read(host.path("/srv/data/miner/swarm_key")).unwrap(),
        }
    }

    pub fn asked(&mut self, id: &str, position: u64) {
        let told = Told {
            asked: position,
            ..Told::default()
        };
        self.operations.insert(id.to_owned(), told);
    }

    pub fn accepted(&mut self, id: &str, position: u64) {
        self.operations.get_mut(id).unwrap().accepted = Some(position);
    }

    pub fn ended(&mut self, id: &str, position: u64, record: &Value, host: &Host) {
        let told = self.operations.get_mut(id).unwrap();
        told.ended = Some((position, record["state"].as_str().unwrap().to_owned()));
        let asked = told.asked;
        let there = host.snapshots();
        for (name, snapshot) in &mut self.snapshots {
            if !there.contains(name) {
                snapshot.until = snapshot.until.min(asked);
            }
        }
        for name in there {
            self.snapshots.entry(name).or_insert(Snapshot {
                from: position,
                until: u64::MAX,
            });
        }
    }

    /// The snapshots that are there for sure after a cut.
    pub fn snapshots_at(&self, position: u64) -> impl Iterator<Item = &String> {
        let there = move |snapshot: &Snapshot| (snapshot.from..snapshot.until).contains(&position);
        self.snapshots
            .iter()
            .filter(move |(_, snapshot)| there(snapshot))
            .map(|(name, _)| name)
    }
}
