//! Whether a snapshot is of another database than the one in its place.

use std::path::Path;

use super::control::Control;
use super::error::Error;
use super::manifest::Manifest;
use super::survey::{Source, State};

/// A database of another engine or order of keys in the same place: the snapshot is not of this workload.
///
/// # Errors
/// Where it is so, or `live` cannot be read. Data that is not there yet is of any engine.
pub fn refuse_other_engine(
    live: &Path,
    manifest: &Manifest,
    control: &Control,
) -> Result<(), Error> {
    if !live.exists() {
        return Ok(());
    }
    let survey = Source::whole(live).survey(State::Warm, control)?;
    for wanted in &survey.databases {
        let Some(found) = manifest
            .databases
            .iter()
            .find(|database| database.path == wanted.path)
        else {
            continue;
        };
        let mismatch = |what: &str, found: String, wanted: String| Error::Mismatch {
            name: manifest.name.to_string(),
            what: what.to_owned(),
            found,
            wanted,
        };
        if found.engine != wanted.live.engine {
            return Err(mismatch(
                "engine",
                found.engine.to_string(),
                wanted.live.engine.to_string(),
            ));
        }
        if found.comparator != wanted.live.comparator() {
            return Err(mismatch(
                "comparator",
                found.comparator.clone(),
                wanted.live.comparator().to_owned(),
            ));
        }
    }
    Ok(())
}
