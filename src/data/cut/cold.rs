//! The cold pass: what is missing and what changes, while the workload is stopped.

use std::time::Instant;

use super::super::control::Control;
use super::super::error::Error;
use super::super::lsm::lock;
use super::super::manifest::Way;
use super::super::survey::State;
use super::{Cut, describe};

impl Cut {
    /// Completes the snapshot while the workload is stopped. `clean`: it had stopped by itself, it was not killed.
    ///
    /// Nothing here is made durable, hashed again or removed: that waits for the seal, when the workload is back.
    /// Fails with `Interrupted` when the budget in `control` is used up; the caller then starts the workload and drops
    /// the cut.
    pub fn cold(&mut self, clean: bool, control: &mut Control) -> Result<(), Error> {
        let started = Instant::now();
        if self.way == Way::Hot {
            return Err(Error::Place {
                path: self.source.root.clone(),
                problem: "this cut was prepared to be hot, and has no cold pass",
            });
        }
        let survey = self.source.survey(State::Cold { clean }, control)?;
        for database in &survey.databases {
            let directory = database.path.below(&self.source.root);
            if let Some(pid) =
                lock::holder(&directory).map_err(Error::io("look at the lock of", &directory))?
            {
                return Err(Error::InUse {
                    path: directory,
                    pid,
                });
            }
        }
        self.databases = survey.databases.into_iter().map(describe).collect();
        for item in &survey.items {
            let placed = self.put(&item, control)?;
            self.capture(item, placed);
        }
        self.clean = clean;
        self.cut_ms = started.elapsed().as_millis() as u64;
        Ok(())
    }
}
