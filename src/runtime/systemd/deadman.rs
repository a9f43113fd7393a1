//! The dead-man: starts the unit again if the agent dies while it is stopped.
//!
//! It is a timer of systemd's own, so it outlives the agent, however that ends. It is not there any more after
//! a reboot, which starts the unit by itself.

use std::time::Duration;

use super::manager::Manager;
use super::properties::Properties;
use super::{Error, UnitName};

/// Making two units in systemd's memory.
const ARM: Duration = Duration::from_secs(15);
/// Removing them; the start that one of them may be busy with is given up.
const DISARM: Duration = Duration::from_secs(30);

/// A start that fails is tried again so often at most, with [`PAUSE`] between.
const TRIES: u64 = 30;
const PAUSE: Duration = Duration::from_secs(5);
/// Longer than all the tries: the start of a unit may take 90 s before it fails.
const INTERVAL: Duration = Duration::from_secs(3600);

const TIMER: &str = "LoadState,ActiveState,SubState";
const SERVICE: &str = "LoadState,ActiveState,ExecStart";

/// The dead-man of a unit.
///
/// There is one for each unit, by its name: `ostler-deadman-UNIT`. So an agent finds what one before it has armed.
pub struct DeadMan {
    unit: UnitName,
    manager: Manager,
}

/// A dead-man that systemd was seen to wait with.
///
/// Dropping this does not disarm it: where nobody does, it starts the unit.
#[must_use = "a dead-man that nobody disarms starts the unit"]
pub struct Armed(DeadMan);

impl DeadMan {
    /// The dead-man of this unit, armed or not.
    pub fn of(unit: &UnitName) -> Self {
        Self {
            unit: unit.clone(),
            manager: Manager::new(unit),
        }
    }

    /// Has the unit started after this time, counted on the monotonic clock. One that is armed already is replaced;
    /// so call this while the unit runs, before it is stopped.
    ///
    /// # Errors
    /// Where systemd does not do it. Then the unit must not be stopped.
    pub async fn arm(unit: &UnitName, after: Duration) -> Result<Armed, Error> {
        let dead_man = Self::of(unit);
        dead_man.disarm().await?;
        match dead_man.make(after).await {
            Ok(()) => Ok(Armed(dead_man)),
            Err(error) => {
                // Half of it may be there.
                let _ = dead_man.disarm().await;
                Err(error)
            }
        }
    }

    /// Whether systemd waits with it. It does not once it has fired.
    ///
    /// # Errors
    /// Where systemd is not there or does not answer.
    pub async fn is_armed(&self) -> Result<bool, Error> {
        let timer = self.manager.show(&self.name("timer"), TIMER).await?;
        Ok(is_waiting(&timer))
    }

    /// Takes it away, and gives up a start that it is busy with; `false` where it was not armed any more.
    ///
    /// # Errors
    /// Where systemd does not do it; then it may start the unit later, which does no harm to one that runs.
    pub async fn disarm(&self) -> Result<bool, Error> {
        let was_armed = self.is_armed().await?;
        let (timer, service) = (self.name("timer"), self.name("service"));
        // One by one: what is not there is an error that hides others.
        for unit in [&timer, &service] {
            self.forgiving(&["stop", "--", unit], DISARM).await?;
            self.forgiving(&["reset-failed", "--", unit], ARM).await?;
        }
        if self.is_armed().await? {
            return Err(self
                .manager
                .refused("disarm the dead-man of", "its timer is still there"));
        }
        Ok(was_armed)
    }

    async fn make(&self, after: Duration) -> Result<(), Error> {
        let action = "arm the dead-man of";
        let ran = self
            .manager
            .run(
                "systemd-run",
                &[
                    "--no-ask-password",
                    "--quiet",
                    "--collect",
                    &format!("--unit={}", self.name("service")),
                    &format!(
                        "--description=Starts {} if Ostler does not come to do it",
                        self.unit
                    ),
                    &format!("--on-active={}ms", after.as_millis()),
                    // Without it systemd is up to a minute late.
                    "--timer-property=AccuracySec=100ms",
                    "--property=Restart=on-failure",
                    &format!("--property=RestartSec={}", PAUSE.as_secs()),
                    &format!("--property=StartLimitBurst={TRIES}"),
                    &format!("--property=StartLimitIntervalSec={}", INTERVAL.as_secs()),
                    "systemctl",
                    "--no-ask-password",
                    "start",
                    "--",
                    self.unit.as_str(),
                ],
                action,
                ARM,
                0,
            )
            .await?;
        self.manager.succeeded(action, ran)?;

        // A stop depends on it, so it is not believed but seen.
        let timer = self.manager.show(&self.name("timer"), TIMER).await?;
        let service = self.manager.show(&self.name("service"), SERVICE).await?;
        let starts_it = service.text("LoadState") == "loaded"
            && service
                .text("ExecStart")
                .contains(&format!("start -- {} ;", self.unit));
        if is_waiting(&timer) && starts_it {
            return Ok(());
        }
        let detail = format!(
            "systemd took it, but its timer is {} ({})",
            timer.text("ActiveState"),
            timer.text("SubState")
        );
        Err(self.manager.refused(action, &detail))
    }

    /// Runs `systemctl` on something that may not be there.
    async fn forgiving(&self, arguments: &[&str], deadline: Duration) -> Result<(), Error> {
        let done = self
            .manager
            .systemctl("disarm the dead-man of", arguments, deadline);
        match done.await {
            Ok(_) | Err(Error::Missing { .. } | Error::Refused { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn name(&self, suffix: &str) -> String {
        format!("ostler-deadman-{}.{suffix}", self.unit.stem())
    }
}

impl Armed {
    /// Takes it away; `false` where it has fired, so that the unit was started behind the agent's back.
    ///
    /// One that fires at this very instant can be taken for one that has not. Whether the unit was started in between
    /// is told for certain by its run ([`super::Inspection::run`]).
    ///
    /// # Errors
    /// As [`DeadMan::disarm`].
    pub async fn disarm(self) -> Result<bool, Error> {
        self.0.disarm().await
    }
}

fn is_waiting(timer: &Properties) -> bool {
    timer.text("ActiveState") == "active" && timer.text("SubState") == "waiting"
}
