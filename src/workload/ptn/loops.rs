//! Noticing that something is restarted again and again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::protocol::Part;

/// So many restarts within [`WINDOW`] are a loop: the updater starts the validator anew at most twice in an hour.
const MANY: usize = 3;

/// Longer than PM2 needs to give up: five runs of less than five minutes each.
const WINDOW: Duration = Duration::from_secs(30 * 60);

/// More are not remembered.
const MOST: usize = 16;

/// How long a validator that was started may take to catch up with the others.
const YOUNG: Duration = Duration::from_secs(15 * 60);

/// The restarts of each part, as far as they were seen, and since when none was started anew.
#[derive(Debug, Default)]
pub(super) struct Loops {
    parts: BTreeMap<String, Seen>,
    starts: Vec<Option<String>>,
    started: Option<Instant>,
}

#[derive(Debug, Default)]
struct Seen {
    restarts: u64,
    times: VecDeque<Instant>,
}

impl Loops {
    /// Notes the counts, and says what is restarted too often. What happened before the first look counts for nothing.
    pub(super) fn note(&mut self, parts: &[Part], now: Instant) -> Option<String> {
        let starts: Vec<_> = parts.iter().map(|part| part.started_at.clone()).collect();
        if self.starts != starts {
            // What ran before the first look began nobody knows when.
            self.started = (!self.starts.is_empty()).then_some(now);
            self.starts = starts;
        }
        self.parts
            .retain(|name, _| parts.iter().any(|part| part.name == *name));
        let mut told = Vec::new();
        for part in parts {
            let Some(restarts) = part.restarts else {
                continue;
            };
            let is_new = !self.parts.contains_key(&part.name);
            let seen = self.parts.entry(part.name.clone()).or_default();
            // A count that falls is that of another app of this name.
            let more = match is_new {
                true => 0,
                false => restarts.saturating_sub(seen.restarts),
            };
            seen.restarts = restarts;
            for _ in 0..more.min(MOST as u64) {
                seen.times.push_back(now);
            }
            while seen.times.len() > MOST
                || seen
                    .times
                    .front()
                    .is_some_and(|at| now.duration_since(*at) > WINDOW)
            {
                seen.times.pop_front();
            }
            if seen.times.len() >= MANY {
                told.push(format!(
                    "{} was restarted {} times within {} minutes",
                    part.name,
                    seen.times.len(),
                    WINDOW.as_secs() / 60
                ));
            }
        }
        (!told.is_empty()).then(|| told.join("; "))
    }

    /// Whether one of them was started not long ago: was seen to be, or says so.
    pub(super) fn is_young(&self, now: Instant) -> bool {
        let is_recent = |at: &Option<String>| {
            let started = at.as_deref().and_then(Timestamp::parse);
            let age = started.map(|at| Timestamp::now().unix_seconds() - at.unix_seconds());
            age.and_then(|age| u64::try_from(age).ok())
                .is_some_and(|age| age < YOUNG.as_secs())
        };
        let was_seen = |started| now.duration_since(started) < YOUNG;
        self.started.is_some_and(was_seen) || self.starts.iter().any(is_recent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::RunState;

    fn part(restarts: u64) -> Vec<Part> {
        vec![Part {
            name: "ptn".to_owned(),
            state: RunState::Running,
            reason: None,
            started_at: None,
            restarts: Some(restarts),
            gave_up: false,
        }]
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_young_only_after_a_start_that_was_seen() {
        let mut loops = Loops::default();
        let now = Instant::now();
        loops.note(&part(0), now);
        assert!(!loops.is_young(now), "it may have run for years");
        let mut started = part(0);
        started[0].started_at = Some("2026-01-31T12:00:00Z".to_owned());
        loops.note(&started, now);
        loops.note(&started, now + Duration::from_secs(60));
        assert!(loops.is_young(now + Duration::from_secs(60)));
        assert!(!loops.is_young(now + YOUNG));
        // An agent that has only just come knows by what is said.
        let mut loops = Loops::default();
        started[0].started_at = Some(Timestamp::now().to_string());
        loops.note(&started, now);
        assert!(loops.is_young(now));
    }

    #[tokio::test(start_paused = true)]
    async fn only_restarts_that_follow_each_other_are_a_loop() {
        let mut loops = Loops::default();
        let now = Instant::now();
        assert_eq!(
            loops.note(&part(40), now),
            None,
            "nobody knows when those were"
        );
        assert_eq!(loops.note(&part(42), now), None);
        let told = loops
            .note(&part(43), now + Duration::from_secs(60))
            .unwrap();
        assert_eq!(told, "ptn was restarted 3 times within 30 minutes");
        assert_eq!(
            loops.note(&part(43), now + WINDOW + Duration::from_secs(30)),
            None
        );
        // Made anew, with a new count.
        assert_eq!(loops.note(&part(0), now + WINDOW), None);
        assert_eq!(loops.note(&part(1), now + WINDOW), None);
        assert!(loops.note(&part(u64::MAX), now + WINDOW).is_some());
        assert!(loops.parts["ptn"].times.len() <= MOST);
    }
}
