//! The cut of a running database: logs first, then MANIFEST, then tables.
//!
//! In this order the copy is what a power cut at the moment of the log copy would have left, or later. In any other
//! order records can be missing from the middle, silently: the MANIFEST may name a log as needed no more whose
//! content is in a table that the copy does not have.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::Instant;

use super::super::control::Control;
use super::super::error::Error;
use super::super::lsm::Engine;
use super::super::manifest::{Kind, Way};
use super::super::path::RelativePath;
use super::super::place::Placed;
use super::super::survey::{Database, Item, State, Survey, Task};
use super::{Cut, describe};

/// Under any load that a node puts on its database, a second try succeeds.
const TRIES: u32 = 20;

impl Cut {
    /// Takes the whole snapshot while the workload runs. It is labelled: the workload must be able to roll back.
    pub fn hot(&mut self, control: &mut Control) -> Result<(), Error> {
        let started = Instant::now();
        if self.way != Way::Hot {
            return Err(Error::Place {
                path: self.source.root.clone(),
                problem: "this cut was not prepared to be hot",
            });
        }
        let mut tries = 0;
        let survey = loop {
            tries += 1;
            match self.attempt(control) {
                Ok(survey) => break survey,
                // A file that the engine removed between two steps: the next MANIFEST no longer names it.
                Err(error) if error.kind() == Some(ErrorKind::NotFound) && tries < TRIES => {}
                Err(error) => return Err(error),
            }
        };
        self.refuse_hot(&survey.databases)?;
        self.databases = survey.databases.into_iter().map(describe).collect();
        for item in &survey.items {
            // All is there, and this says how it came.
            let placed = match &item.task {
                Task::Directory => Placed::written(),
                _ => match self.placed.remove(&item.path) {
                    Some(origin) => origin.placed,
                    None => Placed::linked(item.identity),
                },
            };
            self.capture(item, placed);
        }
        self.clean = false;
        self.cut_ms = started.elapsed().as_millis() as u64;
        Ok(())
    }

    /// RocksDB's column families share their logs but flush one by one: a table may be ahead of the copied logs, and
    /// then RocksDB refuses the copy. Its own Checkpoint can do it, a stop can, this cannot.
    pub(super) fn refuse_hot(&self, databases: &[Database]) -> Result<(), Error> {
        for database in databases {
            let families = database.live.families.len();
            if database.live.engine == Engine::RocksDb && families > 1 {
                return Err(Error::HotRefused {
                    path: database.path.below(&self.source.root),
                    reason: format!("it has {families} column families"),
                });
            }
        }
        Ok(())
    }

    fn attempt(&mut self, control: &mut Control) -> Result<Survey, Error> {
        let logs = self.copy_logs(control)?;
        let mut survey = self.source.survey(State::Hot, control)?;
        for database in &survey.databases {
            self.require_logs(database, &logs)?;
        }
        // Logs that are newer than the copies are not part of this moment.
        let meant = |item: &Item| item.kind != Kind::Log || logs.contains_key(&item.path);
        survey.items = survey.items.iter().filter(meant).collect();
        let order = |task: &Task| match task {
            // The MANIFEST, as far as it was read; it may be removed when the engine starts another.
            Task::Mutable { limit: Some(_) } => 0,
            Task::Immutable => 1,
            _ => 2,
        };
        for turn in 0..3 {
            let items = survey.items.iter().filter(|item| item.kind != Kind::Log);
            for item in items.filter(|item| order(&item.task) == turn) {
                self.bring(&item, control)?;
            }
        }
        Ok(survey)
    }

    /// Copies every log that the MANIFEST of this moment needs; gives their sizes. One that vanishes is not needed.
    fn copy_logs(&mut self, control: &mut Control) -> Result<BTreeMap<RelativePath, u64>, Error> {
        let mut logs = BTreeMap::new();
        let survey = self.source.survey(State::Warm, control)?;
        for item in survey.items.iter().filter(|item| item.kind == Kind::Log) {
            match self.bring(&item, control) {
                Err(error) if error.kind() == Some(ErrorKind::NotFound) => {}
                size => drop(logs.insert(item.path, size?)),
            }
        }
        Ok(logs)
    }

    /// The MANIFEST was read after the logs were copied. Where it already needs a log that was not there yet, the tables
    /// have everything older and the copy is whole without it; but RocksDB does not open without the logs, and the
    /// bytes of them, that it tracks: then it takes another try.
    fn require_logs(
        &self,
        database: &Database,
        logs: &BTreeMap<RelativePath, u64>,
    ) -> Result<(), Error> {
        for (number, needed) in database.live.required_logs(true) {
            let path = database.path.join(&format!("{number:06}.log"))?;
            if logs.get(&path).is_none_or(|size| *size < needed) {
                return Err(Error::io("copy", &path.below(&self.source.root))(
                    ErrorKind::NotFound.into(),
                ));
            }
        }
        Ok(())
    }
}
