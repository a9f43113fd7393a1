//! The operation `reboot`: the workloads end cleanly, the device boots anew, and what ran before runs again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::context::{Did, step};
use super::host::{Boot, Host};
use super::ledger::Ledger;
use super::power::begin_run;
use super::workload::Workload;
use crate::protocol::{Failure, Name, OperationRecord, Reason, StepState};

/// How long the system may take to end this program, after it has said that it boots anew.
const GOING_DOWN: Duration = Duration::from_secs(600);

/// How long a runtime that is away or hung is waited for after the boot. Nothing else can be asked of the device meanwhile, so one of many
/// that does not come must not keep the others; what it leaves stopped is said, and can be started.
const STARTS: Duration = Duration::from_secs(600);

/// Who was told of the operation shall have heard it before the network goes.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The device, and all that runs on it.
pub(super) struct Device {
    pub workloads: Vec<Arc<Workload>>,
    /// Nothing where there is none to reboot: in a test.
    pub host: Option<Arc<dyn Host>>,
}

/// One reboot at work.
pub(super) struct Rebooting<'a> {
    pub device: &'a Device,
    pub ledger: &'a Ledger,
    pub record: &'a mut OperationRecord,
    /// Set when this program is told to end.
    pub closing: CancellationToken,
}

impl Device {
    pub fn host(&self) -> Result<&dyn Host, Failure> {
        self.host.as_deref().ok_or_else(|| {
            Failure::new(
                Reason::Unsupported,
                "there is no device here that could be booted",
            )
        })
    }
}

impl Device {
    fn among(&self, names: &BTreeSet<Name>) -> Vec<Arc<Workload>> {
        let workloads = self.workloads.iter();
        let meant = workloads.filter(|workload| names.contains(&workload.name));
        meant.cloned().collect()
    }
}

impl Rebooting<'_> {
    /// Reboots, or after the boot brings it to its end. `None` where this program ends before the operation does: the
    /// next start goes on.
    pub async fn run(&mut self) -> Option<Result<(), Failure>> {
        if self.record.recoveries > 0 {
            return Some(self.recover().await);
        }
        let host = match self.device.host() {
            Ok(host) => host,
            Err(failure) => return Some(Err(failure)),
        };
        let boot = match host.boot().await {
            Ok(boot) => boot,
            Err(why) => return Some(Err(Failure::new(Reason::NotPossible, why))),
        };
        let running = self.running().await;
        self.record.output = Some(json!({
            "boot_id": boot.id,
            "init_began": boot.init,
            "running": running,
        }));
        if self.record.dry_run {
            self.record.changed = Some(false);
            return Some(Ok(()));
        }
        let asked = match self.stop(&running).await {
            Ok(()) => self.boot(host).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = asked {
            return Some(self.start(&running).await.and(Err(failure)));
        }
        tokio::select! {
            () = self.closing.cancelled() => None,
            () = sleep(GOING_DOWN) => {
                let message = format!("the system did not go down within {} s", GOING_DOWN.as_secs());
                let failure = Failure::new(Reason::OutOfTime, message);
                Some(self.start(&running).await.and(Err(failure)))
            }
        }
    }

    /// The workloads that run now. One whose runtime does not answer is taken to run: it is started afterwards.
    async fn running(&self) -> BTreeSet<Name> {
        let looks = self.device.workloads.iter().map(|workload| async {
            let runs = match workload.runtime.inspect().await {
                Ok(inspection) => inspection.state.runs(),
                Err(crate::runtime::Error::Missing { .. }) => false,
                Err(_) => workload.report().state.runs(),
            };
            runs.then(|| workload.name.clone())
        });
        join_all(looks).await.into_iter().flatten().collect()
    }

    /// All at the same time. What cannot be stopped, by an engine that hangs for example, keeps nobody from rebooting: the
    /// system ends it.
    async fn stop(&mut self, running: &BTreeSet<Name>) -> Result<(), Failure> {
        let stops = self
            .device
            .among(running)
            .into_iter()
            .map(|workload| async move {
                let stopped = workload.runtime.stop(workload.times().grace).await;
                stopped.err().map(|error| error.to_string())
            });
        let stops: Vec<_> = stops.collect();
        let stop = async {
            let stubborn: Vec<_> = join_all(stops).await.into_iter().flatten().collect();
            Ok(Did {
                changed: !running.is_empty(),
                detail: (!stubborn.is_empty()).then(|| stubborn.join("; ")),
            })
        };
        step(self.ledger, self.record, "stop", stop).await
    }

    async fn boot(&mut self, host: &dyn Host) -> Result<(), Failure> {
        let reboot = async {
            sleep(LAST_WORDS).await;
            match host.reboot().await {
                Ok(()) => Ok(Did {
                    changed: true,
                    detail: None,
                }),
                Err(why) => Err(Failure::new(Reason::RuntimeFailed, why)),
            }
        };
        step(self.ledger, self.record, "reboot", reboot).await
    }

    /// What ran before runs again, whatever became of the boot.
    async fn start(&mut self, running: &BTreeSet<Name>) -> Result<(), Failure> {
        let starts = self
            .device
            .among(running)
            .into_iter()
            .map(|workload| async move {
                let started = begin_run(&*workload.runtime, STARTS).await;
                started.map_err(|failure| format!("{}: {}", workload.name, failure.message))
            });
        let starts: Vec<_> = starts.collect();
        let start = async {
            let failed: Vec<_> = join_all(starts)
                .await
                .into_iter()
                .filter_map(Result::err)
                .collect();
            match failed.is_empty() {
                true => Ok(Did {
                    changed: !running.is_empty(),
                    detail: None,
                }),
                false => Err(Failure::new(Reason::RuntimeFailed, failed.join("; "))),
            }
        };
        self.record.steps.retain(|step| step.name != "start");
        step(self.ledger, self.record, "start", start).await
    }

    /// After a start of the agent: this boot and that of before tell whether there was one in between.
    async fn recover(&mut self) -> Result<(), Failure> {
        let interrupted = |what: &str| Failure::new(Reason::Interrupted, what);
        let output = self.record.output.clone().unwrap_or_default();
        let text = |key: &str| output[key].as_str().map(str::to_owned);
        let Some(id) = text("boot_id") else {
            return Err(interrupted(
                "the agent was interrupted before it began; ask again",
            ));
        };
        let before = Boot {
            id,
            init: text("init_began"),
        };
        let running = serde_json::from_value(output["running"].clone()).unwrap_or_default();
        let now = self.device.host()?.boot().await.ok();
        let booted = now.as_ref().is_some_and(|now| now.is_another(&before));
        if booted {
            for step in &mut self.record.steps {
                if step.name == "reboot" {
                    step.state = StepState::Done;
                }
            }
            self.record.changed = Some(true);
        }
        self.record.output = Some(json!({
            "boot_id": before.id,
            "init_began": before.init,
            "running": running,
            "boot_id_now": now.as_ref().map(|now| &now.id),
            "init_began_now": now.as_ref().and_then(|now| now.init.as_ref()),
        }));
        self.start(&running).await?;
        match booted {
            true => Ok(()),
            false => Err(interrupted(
                "the agent was interrupted, and the device has not booted: ask again",
            )),
        }
    }
}
