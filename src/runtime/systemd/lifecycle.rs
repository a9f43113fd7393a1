//! Starting and stopping the unit.

use std::time::Duration;

use super::state::{PROPERTIES, Unit};
use super::{Error, Stopped, Systemd, processes};

/// systemd gives a unit 90 s to start, unless its file says otherwise.
const START: Duration = Duration::from_secs(90);
/// Forgetting failures is a write to systemd's memory.
const RESET: Duration = Duration::from_secs(10);
/// Sending a signal.
const KILL: Duration = Duration::from_secs(10);
/// What is left to do once everything was killed: systemd reaps it, and may run an `ExecStopPost=`.
const REAP: Duration = Duration::from_secs(15);

/// A kill ends what runs; an `ExecStopPost=` that is started after it needs another one.
const KILLS: usize = 3;

impl Systemd {
    /// Asks systemd for all it knows of the unit.
    pub(super) async fn look(&self) -> Result<Unit, Error> {
        let unit = self.manager.show(self.unit.as_str(), PROPERTIES).await?;
        let unit = Unit::new(unit);
        if unit.is_missing() {
            return Err(self.manager.missing());
        }
        Ok(unit)
    }

    pub(super) async fn start_unit(&self) -> Result<bool, Error> {
        // A unit in a restart loop is started by systemd itself.
        if self.look().await?.is_up() {
            return Ok(false);
        }
        // The limit to the number of starts is there against loops. This is not one: somebody asks.
        match self.ask("reset-failed", "reset", RESET).await {
            // Refused: a unit that is not in systemd's memory has nothing to reset.
            Ok(()) | Err(Error::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
        let started = self.ask("start", "start", START).await;
        let unit = self.look().await?;
        match started {
            Ok(()) if unit.is_up() => Ok(true),
            // It takes long, and whoever asked waits for its probe anyway.
            Err(Error::Unresponsive { .. }) if unit.is_up() => Ok(true),
            // systemd's own words are only that the job failed.
            Err(Error::Refused { .. }) if unit.result() != "success" => {
                Err(self.not_started(&unit))
            }
            Err(error) => Err(error),
            Ok(()) if unit.result() != "success" => Err(self.not_started(&unit)),
            Ok(()) => {
                let detail = "it is inactive again: a condition of the unit is not met, or its program ended at once";
                Err(self.manager.refused("start", detail))
            }
        }
    }

    fn not_started(&self, unit: &Unit) -> Error {
        let reason = unit.reason().unwrap_or_else(|| unit.place());
        self.manager.refused("start", &reason)
    }

    /// A unit that was stopped stays stopped whatever its `Restart=` says.
    ///
    /// systemd kills the unit after its `TimeoutStopSec=` (90 s, where its file says nothing), even where the grace is longer.
    pub(super) async fn stop_unit(&self, grace: Duration) -> Result<Stopped, Error> {
        let before = self.look().await?;
        if before.is_down() && processes::in_cgroup(before.cgroup()).is_empty() {
            return Ok(Stopped::Already);
        }
        let killed = match self.ask("stop", "stop", grace).await {
            Ok(()) => false,
            Err(Error::Unresponsive { .. }) => {
                self.kill_all().await?;
                true
            }
            Err(error) => return Err(error),
        };

        let mut after = self.after_stop().await?;
        let killed = killed || self.kill_what_is_left(&before, &mut after).await?;
        if !after.is_down() {
            let detail = format!("it is {} even after a stop", after.place());
            return Err(self.manager.refused("stop", &detail));
        }
        Ok(how(&before, &after, killed))
    }

    /// Kills the unit until it is down.
    async fn kill_all(&self) -> Result<(), Error> {
        for _ in 0..KILLS {
            self.kill().await?;
            // Joins the stop that is under way, and so returns when it is done.
            match self.ask("stop", "stop", REAP).await {
                Err(Error::Unresponsive { .. }) => {}
                done => return done,
            }
        }
        let detail = format!(
            "it is {} even after a kill",
            self.after_stop().await?.place()
        );
        Err(self.manager.refused("stop", &detail))
    }

    /// With `KillMode=process` or `none`, systemd leaves processes behind. They would hold the lock of the data.
    async fn kill_what_is_left(&self, before: &Unit, after: &mut Unit) -> Result<bool, Error> {
        let left = || {
            let cgroups = [before.cgroup(), after.cgroup()];
            cgroups.map(processes::in_cgroup).concat()
        };
        if !after.is_down() || left().is_empty() {
            return Ok(false);
        }
        self.kill().await?;
        let until = tokio::time::Instant::now() + REAP;
        while !left().is_empty() {
            if tokio::time::Instant::now() >= until {
                let detail = format!("processes of it are left even after a kill: {:?}", left());
                return Err(self.manager.refused("stop", &detail));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        *after = self.after_stop().await?;
        Ok(true)
    }

    /// Like [`Systemd::look`], but a unit that systemd knows no more is one that is down.
    async fn after_stop(&self) -> Result<Unit, Error> {
        let unit = self.manager.show(self.unit.as_str(), PROPERTIES).await?;
        Ok(Unit::new(unit))
    }

    async fn kill(&self) -> Result<(), Error> {
        let arguments = ["kill", "--signal=KILL", "--", self.unit.as_str()];
        match self.manager.systemctl("kill", &arguments, KILL).await {
            // Refused or missing: nothing is left to be killed, which is looked at next.
            Ok(_) | Err(Error::Refused { .. } | Error::Missing { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn ask(&self, verb: &str, action: &str, deadline: Duration) -> Result<(), Error> {
        let arguments = [verb, "--", self.unit.as_str()];
        self.manager
            .systemctl(action, &arguments, deadline)
            .await
            .map(drop)
    }
}

/// How a stop went, by the result that systemd keeps.
fn how(before: &Unit, after: &Unit, killed: bool) -> Stopped {
    // A unit that ended well is forgotten at once, so no result is a good one, unless bad ones are forgotten too.
    let forgotten = after.invocation() != before.invocation();
    // Between two runs there is nothing to stop: the last run ended before.
    let last = if before.is_restarting() {
        before
    } else {
        after
    };
    match last.result() {
        _ if killed => Stopped::Killed,
        "success" if forgotten && before.forgets_failures() => Stopped::Failed,
        "success" => Stopped::Cleanly,
        "timeout" => Stopped::Killed,
        _ if last.was_killed() => Stopped::Killed,
        _ => Stopped::Failed,
    }
}
