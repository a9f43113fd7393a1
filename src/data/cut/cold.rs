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
        let mut survey = self.source.survey(State::Cold { clean }, control)?;
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
        self.brought.turn();
        while let Some(some) = survey.items.take_some() {
            for item in &some {
                let placed = self.put(&item, control)?;
                self.capture(item, placed);
            }
        }
        self.clean = clean;
        self.cut_ms = started.elapsed().as_millis() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::super::super::{Source, Store};
    use super::super::{Cut, Options};
    use super::*;
    use crate::protocol::Name;

    /// A node that only looked as if it had stopped: its file is there at the survey, and shorter before it is read to its end.
    #[test]
    fn a_file_that_becomes_shorter_while_it_is_cut_gives_no_snapshot() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        fs::create_dir(&data).unwrap();
        let file = data.join("state.bin");
        crate::durable::write(&file, &[7; 4 << 20], 0o600).unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        let options = Options {
            name: Name::new("one").unwrap(),
            way: None,
            reserve: 0,
        };
        let mut control = Control::unlimited();
        let mut cut = Cut::prepare(Source::whole(&data), &store, options, &mut control).unwrap();
        cut.warm(&mut control).unwrap();
        let changed = file.clone();
        let mut during = Control::unlimited().on_progress(move |_| {
            let writer = File::options().write(true).open(&changed).unwrap();
            writer.set_len(1 << 20).unwrap();
        });
        let error = cut.cold(true, &mut during).unwrap_err().to_string();
        assert!(error.contains("state.bin"), "{error}");
        drop(cut);
        assert_eq!(store.list().unwrap().len(), 0);
        assert!(!store.path().join("one.partial").exists());
    }
}
