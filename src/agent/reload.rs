//! SIGHUP: the configuration is read again, and what can be applied is; a wrong one changes nothing.

use std::path::Path;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;

use super::watchdog::notify;
use super::workloads;
use crate::config::Config;
use crate::operation::Engine;
use crate::policy::Schedule;

/// What can be changed while the agent runs.
pub struct Live {
    /// Whose workloads' times can be changed.
    pub engine: Engine,
    /// How often the host is sampled.
    pub interval: watch::Sender<Duration>,
    /// What is asked for by the clock.
    pub schedules: watch::Sender<Vec<Schedule>>,
}

impl Live {
    /// Reads the configuration again and applies it to `config` as far as that is possible; says what came of it.
    pub fn reload(&self, config: &mut Config, file: Option<&Path>) {
        let now = NotifyState::monotonic_usec_now();
        notify(&[
            NotifyState::Reloading,
            now.unwrap_or(NotifyState::MonotonicUsec(0)),
        ]);
        match Config::load(file) {
            Ok(new) => self.apply(config, new),
            Err(error) => tracing::error!("the configuration stays as it was: {error}"),
        }
        notify(&[NotifyState::Ready]);
    }

    /// The schedules of what the workloads can do as they are now: a data directory or a bucket comes with a restart.
    fn possible(&self, config: &Config) -> Vec<Schedule> {
        let can = self.engine.capabilities();
        let possible = |schedule: &Schedule| {
            let can = can.iter().any(|workload| {
                workload.name == schedule.workload
                    && workload.operations.contains(&schedule.operation)
            });
            if !can {
                tracing::warn!(
                    "the schedule of {} on {} waits for the restart",
                    schedule.operation,
                    schedule.workload
                );
            }
            can
        };
        let schedules = workloads::schedules(config).into_iter();
        schedules.filter(possible).collect()
    }

    fn apply(&self, config: &mut Config, new: Config) {
        let changes = new.changes(config);
        if changes.is_empty() {
            tracing::info!("the configuration has not changed");
            return;
        }
        if !changes.live.is_empty() {
            tracing::info!("applied: {}", changes.live.join(", "));
        }
        if !changes.restart.is_empty() {
            tracing::warn!(
                "needs a restart of the agent (systemctl restart ostler): {}",
                changes.restart.join(", ")
            );
        }
        config.take_live(new);
        self.interval.send_replace(config.telemetry.interval.into());
        for workload in &config.workload {
            self.engine
                .set_times(&workload.name, workloads::times(workload));
        }
        self.schedules.send_replace(self.possible(config));
    }
}
