//! Finding the node where nothing is configured.

use super::manager::Manager;
use super::state::{PROPERTIES, Unit};
use super::{Error, UnitName};

/// The unit that Harmony's own packages and deployment scripts install.
const NAMES: [&str; 1] = ["harmony.service"];

/// A unit that looks like a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub unit: UnitName,
    /// The program that it runs, where its file says so.
    pub program: Option<String>,
}

/// The units that are called `harmony.service`, running or not.
///
/// # Errors
/// Where systemd is not there or does not answer.
pub async fn discover() -> Result<Vec<Found>, Error> {
    let mut found = Vec::new();
    for unit in NAMES.into_iter().flat_map(UnitName::new) {
        let shown = Manager::new(&unit).show(unit.as_str(), PROPERTIES).await?;
        let is_there = shown.text("LoadState") == "loaded";
        if is_there {
            let program = Unit::new(shown).inspection().image;
            found.push(Found { unit, program });
        }
    }
    Ok(found)
}
