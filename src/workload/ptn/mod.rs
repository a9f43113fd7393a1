//! A validator of Bittensor's subnet 8 (PTN, later Vanta): an updater and the validator that it starts, and a tree of
//! files in which the validator keeps its state.

mod complete;
mod loops;
mod position;
mod survey;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use self::loops::Loops;
use self::survey::{Damage, Size, Survey};
use super::{Finding, Inside, Kind};
use crate::blocking::spawn_blocking;
use crate::clock::{ClockSync, Timestamp};
use crate::protocol::{Health, Part, RunState};

/// So many damaged files are named.
const NAMED: usize = 3;

/// How much of a text about a file is passed on, in characters.
const TEXT: usize = 200;

/// A validator.
pub struct Ptn {
    directory: PathBuf,
    stale_after: Duration,
    clock: ClockSync,
    loops: Mutex<Loops>,
    survey: Arc<Mutex<Survey>>,
}

/// What is known of its state.
#[derive(Clone, Debug, Default, PartialEq)]
struct Known {
    damages: Vec<Damage>,
    sizes: Option<[Size; 2]>,
    /// Seconds since 1970.
    newest_order: Option<i64>,
    /// When the validator last noted an order, in seconds since 1970.
    noted: Option<i64>,
}

impl Ptn {
    /// The validator whose program and state are in this directory, the checkout of its repository. Without an order for
    /// longer than `stale_after` it counts as stale; the clock tells whether that can be told.
    pub fn new(directory: PathBuf, stale_after: Duration, clock: ClockSync) -> Self {
        let survey = Survey::new(directory.clone());
        Self {
            directory,
            stale_after,
            clock,
            loops: Mutex::default(),
            survey: Arc::new(Mutex::new(survey)),
        }
    }

    /// The checkout.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Looks through its tree a little further. A disk that hangs holds up one look, and no other is begun meanwhile.
    async fn known(&self) -> Option<Known> {
        let (survey, directory) = (self.survey.clone(), self.directory.clone());
        let look = spawn_blocking(move || {
            let mut survey = survey.try_lock().ok()?;
            survey.look();
            let noted = std::fs::symlink_metadata(directory.join("validation/timestamp.json"));
            Some(Known {
                damages: survey.damages(),
                sizes: survey.sizes().cloned(),
                newest_order: survey.newest_order().map(|ms| ms.div_euclid(1000)),
                noted: noted
                    .ok()
                    .map(|about| std::os::unix::fs::MetadataExt::mtime(&about)),
            })
        });
        tokio::time::timeout(LOOK, look).await.ok()?.ok()?
    }

    /// What its state says against it.
    fn of_state(&self, known: &Known) -> Option<String> {
        if let Some(told) = damaged(&known.damages) {
            return Some(told);
        }
        if !self.clock.synced() {
            return None;
        }
        let now = Timestamp::now().unix_seconds();
        let newest = known.newest_order.max(known.noted)?;
        let age = u64::try_from(now.saturating_sub(newest)).ok()?;
        (age > self.stale_after.as_secs()).then(|| {
            format!(
                "its newest order is {} hours old: other validators take it for stale",
                age / 3600
            )
        })
    }
}

/// For one look at its tree: some seconds, more on a disk that is busy.
const LOOK: Duration = Duration::from_secs(30);

fn damaged(damages: &[Damage]) -> Option<String> {
    let named: Vec<String> = damages
        .iter()
        .take(NAMED)
        .map(|damage| {
            format!(
                "{} ({})",
                shown(&damage.path.to_string_lossy()),
                shown(&damage.what)
            )
        })
        .collect();
    let more = match damages.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!named.is_empty()).then(|| {
        format!(
            "its next start would fail, for it could not load {}{more}",
            named.join(", ")
        )
    })
}

/// A text without control characters, bounded: names of files may be anything.
fn shown(text: &str) -> String {
    let plain = text.chars().map(|char| match char.is_control() {
        true => '\u{fffd}',
        false => char,
    });
    plain.take(TEXT).collect()
}

/// What is told of it beside its health.
fn details(known: &Known) -> BTreeMap<String, String> {
    const MIB: u64 = 1024 * 1024;
    let mut details = BTreeMap::new();
    let mut tell = |what: &str, fact: Option<String>| {
        if let Some(fact) = fact {
            details.insert(what.to_owned(), fact);
        }
    };
    let time =
        |seconds: Option<i64>| Timestamp::from_unix_seconds(seconds?).map(|at| at.to_string());
    tell("newest order", time(known.newest_order));
    tell("order noted", time(known.noted));
    if let Some([state, backups]) = &known.sizes {
        // Rounded: what changes is told at once, and the size changes with every order.
        let size = |size: &Size| format!("{} MiB", size.bytes.div_ceil(MIB));
        tell("validation", Some(size(state)));
        tell("backups", (backups.files > 0).then(|| size(backups)));
    }
    let damages = known.damages.len();
    tell("damaged files", (damages > 0).then(|| damages.to_string()));
    details
}

#[async_trait]
impl Kind for Ptn {
    fn name(&self) -> &'static str {
        "ptn"
    }

    async fn probe(&self, inside: &dyn Inside) -> Finding {
        let known = self.known().await;
        let parts = inside.parts();
        let mut loops = self.loops.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let looping = loops.note(parts, now);
        let mut finding = match of_apps(parts, looping) {
            (Health::Healthy, _) => match known.as_ref().and_then(|known| self.of_state(known)) {
                // It has just come up, with what it has: now it catches up, if it can.
                Some(told) if loops.is_young(now) => Finding::new(Health::Starting, Some(told)),
                Some(told) => Finding::new(Health::Degraded, Some(told)),
                None => Finding::new(Health::Healthy, None),
            },
            (health, reason) => Finding::new(health, reason),
        };
        finding.details = known.as_ref().map(details).unwrap_or_default();
        finding
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

    fn ptn(is_synced: bool) -> Ptn {
        let clock = ClockSync::default();
        clock.set(is_synced);
        Ptn::new("/nowhere".into(), Duration::from_secs(36_000), clock)
    }

    #[test]
    fn a_validator_without_orders_is_stale_where_the_clock_can_be_believed() {
        let now = Timestamp::now().unix_seconds();
        let known = |age: i64| Known {
            newest_order: Some(now - age - 1_000_000),
            noted: Some(now - age),
            ..Known::default()
        };
        assert_eq!(ptn(true).of_state(&known(35_000)), None);
        assert_eq!(ptn(true).of_state(&known(-5_000)), None);
        assert_eq!(ptn(false).of_state(&known(40_000)), None);
        let told = ptn(true).of_state(&known(40_000)).unwrap();
        assert!(
            told.starts_with("its newest order is 11 hours old"),
            "{told}"
        );
        assert_eq!(ptn(true).of_state(&Known::default()), None, "not known yet");
    }

    #[test]
    fn damaged_files_are_named_without_what_could_hurt() {
        let damage = |path: &str| Damage {
            path: path.into(),
            what: "it is empty".to_owned(),
        };
        let known = Known {
            damages: ["a\u{1b}[2J", "b", "c", "d"].map(damage).to_vec(),
            sizes: Some([Size { files: 3, bytes: 5 }, Size::default()]),
            newest_order: Some(1_762_620_000),
            noted: None,
        };
        assert_eq!(
            ptn(false).of_state(&known).unwrap(),
            "its next start would fail, for it could not load a\u{fffd}[2J (it is empty), b (it is empty), c (it is empty) and 1 more"
        );
        let details = details(&known);
        let told: Vec<_> = details
            .iter()
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        assert_eq!(
            told,
            [
                "damaged files: 4",
                "newest order: 2025-11-08T16:40:00.000Z",
                "validation: 1 MiB"
            ]
        );
    }
}
