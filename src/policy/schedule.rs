//! Schedules: operations that are asked for by the clock.
//!
//! A run is asked for under an id made of its due time, so that a crash cannot make it run twice. What was missed is
//! made up for once. A clock that is not synchronised makes nothing due.

use std::path::Path;
use std::time::Duration;

use serde_json::Map;
use tokio::sync::watch;
use tokio::time::timeout;

use super::times::{Ran, Times};
use crate::clock::Timestamp;
use crate::config::Cron;
use crate::operation::{Answer, Engine};
use crate::protocol::{Name, Operation, OperationId, Origin, Reason, Request, Scheduled};

/// How often the wall clock is looked at: it may jump, or be synchronised at last.
const LOOK: Duration = Duration::from_secs(20);

/// A last run that lies further ahead comes from a clock that was wrong.
const TOO_FAR_AHEAD: i64 = 24 * 3600;

/// The workload's name is longer than an id has room for.
const LONGEST_NAME: usize = 32;

/// One operation on one workload, by the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// On which workload.
    pub workload: Name,
    /// What is asked, without arguments.
    pub operation: Operation,
    /// When.
    pub cron: Cron,
    /// By how much it is put off at most.
    pub jitter: Duration,
}

/// Asks for what is due.
pub struct Scheduler<Clock> {
    schedules: Vec<Schedule>,
    /// What holds instead from now on, each time that it is changed.
    changed: watch::Receiver<Vec<Schedule>>,
    engine: Engine,
    /// Tells devices apart, so that a fleet does not do everything at one instant.
    device: Name,
    times: Times,
    /// The wall clock; nothing while it is not synchronised.
    clock: Clock,
}

/// What is to be done about a schedule.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It is new, or the clock was wrong: it counts from now.
    Begin,
    /// The run that was due then is to be asked for.
    Due(Timestamp),
    /// Nothing before then; nothing at all where the calendar has no more.
    Wait(Option<Timestamp>),
}

impl<Clock: Fn() -> Option<Timestamp>> Scheduler<Clock> {
    /// Reads when each ran last.
    pub fn new(
        mut schedules: watch::Receiver<Vec<Schedule>>,
        engine: Engine,
        device: Name,
        state_dir: &Path,
        clock: Clock,
    ) -> Self {
        let now = schedules.borrow_and_update().clone();
        Self {
            schedules: now,
            changed: schedules,
            engine,
            device,
            times: Times::open(state_dir),
            clock,
        }
    }

    /// Asks for what is due, for ever.
    pub async fn run(mut self) {
        loop {
            let next = self.look().await;
            self.show();
            let now = (self.clock)();
            let wait = next
                .zip(now)
                .and_then(|(next, now)| {
                    u64::try_from(next.unix_seconds() - now.unix_seconds()).ok()
                })
                .map(|seconds| Duration::from_secs(seconds.max(1)));
            let wait = wait.unwrap_or(LOOK).min(LOOK);
            match timeout(wait, self.changed.changed()).await {
                Ok(Ok(())) => self.change(),
                // Nobody changes them any more.
                Ok(Err(_)) => tokio::time::sleep(wait).await,
                Err(_) => {}
            }
        }
    }

    /// Takes other schedules: one that stays the same goes on, one that is new or different counts from now.
    fn change(&mut self) {
        let new = self.changed.borrow_and_update().clone();
        for old in std::mem::replace(&mut self.schedules, new) {
            // What has none any more shows none.
            if !self
                .schedules
                .iter()
                .any(|new| new.workload == old.workload)
            {
                self.engine.set_scheduled(&old.workload, Vec::new());
            }
        }
    }

    /// Asks for everything that is due now; gives the time of what is due next.
    async fn look(&mut self) -> Option<Timestamp> {
        let mut next = None;
        for schedule in self.schedules.clone() {
            let now = (self.clock)()?;
            match self.judge(&schedule, now) {
                Verdict::Begin => self.dealt_with(&schedule, now).await,
                Verdict::Wait(until) => next = earliest(next, until),
                Verdict::Due(due) => {
                    if self.ask(&schedule, due).await {
                        self.dealt_with(&schedule, due).await;
                    }
                }
            }
        }
        next
    }

    fn judge(&self, schedule: &Schedule, now: Timestamp) -> Verdict {
        let cron = schedule.cron.as_str();
        let ran = self.times.get(&schedule.workload, schedule.operation);
        let Some(ran) = ran.filter(|ran| ran.cron == cron) else {
            return Verdict::Begin;
        };
        if ran.last - now.unix_seconds() > TOO_FAR_AHEAD {
            return Verdict::Begin;
        }
        let last = schedule.cron.before(now);
        match last.filter(|last| last.unix_seconds() > ran.last) {
            Some(due) if self.put_off(schedule, due) <= now => Verdict::Due(due),
            Some(due) => Verdict::Wait(Some(self.put_off(schedule, due))),
            None => {
                let next = schedule.cron.after(now);
                Verdict::Wait(next.map(|due| self.put_off(schedule, due)))
            }
        }
    }

    /// The due time with its jitter: the same each time it is asked, and never past half of the time to the next.
    fn put_off(&self, schedule: &Schedule, due: Timestamp) -> Timestamp {
        let next = schedule.cron.after(due);
        let gap = next.map_or(i64::MAX, |next| next.unix_seconds() - due.unix_seconds());
        let most = u64::try_from(gap / 2)
            .unwrap_or(0)
            .min(schedule.jitter.as_secs());
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.device.as_str().as_bytes());
        hasher.update(self.id(schedule, due).as_bytes());
        let mut bytes = [0; 8];
        hasher.finalize_xof().fill(&mut bytes);
        let by = u64::from_le_bytes(bytes) % (most + 1);
        let at = due.unix_seconds().saturating_add_unsigned(by);
        Timestamp::from_unix_seconds(at).unwrap_or(due)
    }

    /// Asks for a run; whether that due time is dealt with.
    async fn ask(&self, schedule: &Schedule, due: Timestamp) -> bool {
        let Schedule {
            workload,
            operation,
            ..
        } = schedule;
        let id = match OperationId::new(self.id(schedule, due)) {
            Ok(id) => id,
            Err(error) => {
                tracing::error!("the schedule of {operation} on {workload}: {error}");
                return true;
            }
        };
        // Never two at a time, whoever asked for the first: this one is made up for afterwards.
        let at_work = self.engine.records().into_iter().any(|record| {
            record.id != id
                && record.operation == *operation
                && record.workload.as_ref() == Some(workload)
                && !record.state.is_final()
        });
        if at_work {
            return false;
        }
        let request = Request {
            id,
            operation: *operation,
            workload: Some(workload.clone()),
            args: Map::new(),
            origin: Origin::Schedule,
            expires_at: None,
            dry_run: false,
        };
        match self.engine.submit(request).await {
            Answer::Accepted(_) | Answer::Known(_) => true,
            Answer::Refused(refusal) => {
                let failure = refusal.failure;
                tracing::warn!(
                    "the scheduled {operation} of {workload} is refused: {}",
                    failure.message
                );
                // What may be taken a little later is asked again.
                !matches!(
                    failure.reason,
                    Reason::QueueFull | Reason::ShuttingDown | Reason::JournalFailed
                )
            }
        }
    }

    fn id(&self, schedule: &Schedule, due: Timestamp) -> String {
        let name = schedule.workload.as_str();
        let name = match name.len() <= LONGEST_NAME {
            true => name.to_owned(),
            false => blake3::hash(name.as_bytes()).to_hex()[..LONGEST_NAME].to_owned(),
        };
        let due = due.unix_seconds();
        format!("schedule-{name}-{}-{due}", schedule.operation)
    }

    async fn dealt_with(&mut self, schedule: &Schedule, due: Timestamp) {
        let ran = Ran {
            cron: schedule.cron.to_string(),
            last: due.unix_seconds(),
        };
        self.times
            .set(&schedule.workload, schedule.operation, ran)
            .await;
    }

    /// Shows in the report of each workload what is due next.
    fn show(&self) {
        let now = (self.clock)();
        let shown = |schedule: &Schedule| Scheduled {
            operation: schedule.operation,
            cron: schedule.cron.to_string(),
            next: now.and_then(|now| match self.judge(schedule, now) {
                Verdict::Wait(until) => until,
                Verdict::Due(due) => Some(self.put_off(schedule, due)),
                Verdict::Begin => None,
            }),
        };
        let mut workloads: Vec<_> = self.schedules.iter().map(|one| &one.workload).collect();
        workloads.dedup();
        for workload in workloads {
            let own = self
                .schedules
                .iter()
                .filter(|one| one.workload == *workload);
            self.engine
                .set_scheduled(workload, own.map(shown).collect());
        }
    }
}

fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests;
