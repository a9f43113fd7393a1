//! The operations of the device: one at a time, and none of a workload beside one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedRwLockWriteGuard;
use tokio::time::sleep;

use super::arguments::Arguments;
use super::context::cancelled;
use super::lane::Runner;
use super::reboot::{Device, Rebooting};
use crate::protocol::{Failure, OperationId, OperationRecord, Reason, State};

/// How long what is at work on the workloads is waited for.
const WAIT: Duration = Duration::from_secs(30 * 60);

/// Held while an operation of the device is at work.
pub(super) type Exclusive = OwnedRwLockWriteGuard<()>;

impl Runner {
    /// Runs an accepted operation of the device to its end, or until the agent cannot wait any longer.
    ///
    /// `exclusive` is there already where it is taken up again: then it comes before everything else.
    pub async fn run_device(
        self: Arc<Self>,
        device: Arc<Device>,
        id: OperationId,
        exclusive: Option<Exclusive>,
    ) {
        let run = self.device(&device, &id, exclusive);
        self.abandon.run_until_cancelled(run).await;
    }

    async fn device(&self, device: &Device, id: &OperationId, exclusive: Option<Exclusive>) {
        let exclusive = match exclusive {
            Some(exclusive) => Ok(Some(exclusive)),
            None => tokio::select! {
                waited = self.wait_for_all(id) => waited,
                // It has not begun: the next start of the agent says so.
                () = self.closing.cancelled() => return,
            },
        };
        match (self.begin(id), exclusive) {
            (None, _) => self.expire(id).await,
            (Some(record), Err(failure)) => self.end(record, Err(failure)).await,
            (Some(mut record), Ok(_held)) => {
                let outcome = Rebooting {
                    device,
                    ledger: &self.ledger,
                    record: &mut record,
                    closing: self.closing.clone(),
                }
                .run()
                .await;
                if let Some(outcome) = outcome {
                    self.end(record, outcome).await;
                }
            }
        }
        self.forget(id);
    }

    /// Until no operation is at work on a workload, and none begins; with `force`, at once.
    async fn wait_for_all(&self, id: &OperationId) -> Result<Option<Exclusive>, Failure> {
        if self.ledger.get(id).is_some_and(|record| is_forced(&record)) {
            return Ok(None);
        }
        tokio::select! {
            exclusive = self.gate.clone().write_owned() => Ok(Some(exclusive)),
            () = self.token(id).cancelled_owned() => Err(cancelled("cancelled while it waited")),
            () = sleep(WAIT) => {
                let records = self.ledger.recent();
                let running = records.iter().filter(|record| record.state == State::Running);
                let ids: Vec<_> = running.map(|record| record.id.as_str()).collect();
                let message = format!(
                    "still at work after {} min: {}; cancel what is not needed, or do not wait for it (force)",
                    WAIT.as_secs() / 60,
                    ids.join(", ")
                );
                Err(Failure::new(Reason::Busy, message))
            }
        }
    }
}

fn is_forced(record: &OperationRecord) -> bool {
    let read = Arguments::read(record.operation, &record.args);
    record.dry_run || matches!(read, Ok(Arguments::Reboot(asked)) if asked.force)
}
