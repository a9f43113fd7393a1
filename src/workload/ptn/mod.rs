//! A validator of Bittensor's subnet 8 (PTN, later Vanta): an updater and the validator that it starts, and a tree of
//! files in which the validator keeps its state.

mod loops;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use tokio::time::Instant;

use self::loops::Loops;
use super::{Finding, Inside, Kind};
use crate::protocol::{Health, Part, RunState};

/// A validator.
pub struct Ptn {
    directory: PathBuf,
    loops: Mutex<Loops>,
}

impl Ptn {
    /// The validator whose program and state are in this directory, the checkout of its repository.
    pub fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            loops: Mutex::default(),
        }
    }

    /// The checkout.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

#[async_trait]
impl Kind for Ptn {
    fn name(&self) -> &'static str {
        "ptn"
    }

    async fn probe(&self, inside: &dyn Inside) -> Finding {
        let parts = inside.parts();
        let mut loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        let looping = loops.note(parts, Instant::now());
        let (health, reason) = of_apps(parts, looping);
        Finding::new(health, reason)
    }
}

/// How its apps are.
fn of_apps(parts: &[Part], looping: Option<String>) -> (Health, Option<String>) {
    let told = |part: &Part| {
        let reason = part.reason.as_deref().unwrap_or("does not run");
        Some(format!("{} {reason}", part.name))
    };
    let find = |what: &dyn Fn(&Part) -> bool| parts.iter().find(|part| what(part));
    if let Some(part) = find(&|part| part.gave_up) {
        return (Health::Failing, told(part));
    }
    if looping.is_some() {
        return (Health::Degraded, looping);
    }
    if let Some(part) = find(&|part| part.state == RunState::Restarting) {
        return (Health::Degraded, told(part));
    }
    // The updater makes the validator some seconds after its own start.
    if let Some(part) = find(&|part| part.state == RunState::Missing) {
        return (Health::Degraded, told(part));
    }
    match find(&|part| part.state != RunState::Running) {
        Some(part) => (Health::Failing, told(part)),
        None => (Health::Healthy, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, state: RunState, gave_up: bool) -> Part {
        Part {
            name: name.to_owned(),
            state,
            reason: None,
            started_at: None,
            restarts: Some(0),
            gave_up,
        }
    }

    #[test]
    fn a_validator_is_as_well_as_the_worst_of_its_apps() {
        let sn8 = || part("sn8", RunState::Running, false);
        for (ptn, health) in [
            (part("ptn", RunState::Running, false), Health::Healthy),
            (part("ptn", RunState::Restarting, false), Health::Degraded),
            (part("ptn", RunState::Missing, false), Health::Degraded),
            (part("ptn", RunState::Stopped, false), Health::Failing),
            (part("ptn", RunState::Stopped, true), Health::Failing),
        ] {
            let found = of_apps(&[sn8(), ptn.clone()], None);
            assert_eq!(found.0, health, "{ptn:?}");
            assert_eq!(found.1.is_none(), health == Health::Healthy);
        }
        let told = Some("ptn was restarted".to_owned());
        assert_eq!(of_apps(&[sn8()], told.clone()), (Health::Degraded, told));
    }
}
