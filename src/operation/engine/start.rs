//! How the engine begins: its journal, what the last run of the agent left unfinished, its lanes.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::host::Host;
use super::super::journal::Quarantined;
use super::super::lane::{Hold, Runner, WAITING};
use super::super::ledger::Ledger;
use super::super::observe;
use super::super::reboot::Device;
use super::{BESIDE, Engine, Inner, Lane, PAY, Parts};
use crate::durable;
use crate::protocol::{Failure, Name, Operation, OperationId, OperationRecord, Reason, State};

impl Engine {
    /// Opens the journal and takes up what was unfinished. Nothing runs before [`Engine::spawn`].
    pub async fn open(parts: Parts) -> Result<(Self, Vec<Quarantined>), durable::Error> {
        Self::open_on(None, parts).await
    }

    /// The same on a device that can be booted anew.
    pub async fn open_on(
        host: Option<Arc<dyn Host>>,
        parts: Parts,
    ) -> Result<(Self, Vec<Quarantined>), durable::Error> {
        let Parts {
            state_dir,
            workloads,
            feed,
            clock,
        } = parts;
        let directory = state_dir.join("operations");
        let (ledger, unfinished, quarantined) =
            Ledger::open(&directory, feed.clone(), clock.clone())?;
        let ledger = Arc::new(ledger);
        let lanes = workloads.into_iter().map(|workload| {
            // What waited before comes first; the bound counts for what is new.
            let (sender, receiver) = mpsc::channel(WAITING + unfinished.len());
            let lane = Lane {
                workload: Arc::new(workload),
                sender,
                receiver: Mutex::new(Some(receiver)),
            };
            (lane.workload.name.clone(), lane)
        });
        let lanes: BTreeMap<Name, Lane> = lanes.collect();
        let device = Arc::new(Device {
            workloads: lanes.values().map(|lane| lane.workload.clone()).collect(),
            host,
        });
        let tasks = TaskTracker::new();
        let closing = CancellationToken::new();
        let engine = Self(Arc::new(Inner {
            lanes,
            device,
            runner: Arc::new(Runner::new(
                ledger.clone(),
                clock.clone(),
                tasks.clone(),
                closing.clone(),
            )),
            ledger,
            feed,
            clock,
            refused: AtomicU64::new(0),
            refusals: Mutex::default(),
            beside: Arc::new(Semaphore::new(BESIDE)),
            door: tokio::sync::Mutex::new(()),
            closing,
            tasks,
            resumed: Mutex::default(),
            rebooted: Mutex::default(),
        }));
        for record in unfinished {
            engine.take_up(record).await;
        }
        Ok((engine, quarantined))
    }

    /// Puts an operation that the last run of the agent left unfinished into its lane again.
    async fn take_up(&self, mut record: OperationRecord) {
        let inner = &self.0;
        let lane = record
            .workload
            .as_ref()
            .and_then(|name| inner.lanes.get(name));
        let waited = record.state == State::Accepted && record.steps.is_empty();
        // One that only waited begins as if nothing had been. A reboot does not: the device may have been booted by now.
        if !waited || record.operation == Operation::Reboot {
            record.recoveries += 1;
        }
        let failure = match lane {
            Some(lane) if record.operation.is_resumable() => {
                let name = lane.workload.name.clone();
                inner.runner.expect(&record.id);
                let mut resumed = inner.resumed.lock().unwrap_or_else(PoisonError::into_inner);
                resumed.push((name, record.id.clone()));
                inner.ledger.keep(record);
                return;
            }
            _ if record.operation == Operation::Cancel => Failure::new(
                Reason::Interrupted,
                "interrupted before it was answered: look at the operation that was to be cancelled, and ask again",
            ),
            Some(_) if record.operation.is_beside_the_lane() => Failure::new(
                Reason::Interrupted,
                "interrupted; it changed nothing that lasts, ask again",
            ),
            Some(lane) => {
                let id = record.id.clone();
                inner.runner.expect(&id);
                // In memory only: the next step writes it.
                inner.ledger.keep(record.clone());
                match lane.sender.try_send(id) {
                    Ok(()) => return,
                    Err(_) => {
                        Failure::new(Reason::QueueFull, "too many operations were unfinished")
                    }
                }
            }
            None if record.operation == Operation::Reboot => {
                inner.runner.expect(&record.id);
                let mut rebooted = inner
                    .rebooted
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                rebooted.push(record.id.clone());
                inner.ledger.keep(record);
                return;
            }
            None => Failure::new(
                Reason::Interrupted,
                "interrupted, and its workload is no longer configured",
            ),
        };
        inner.ledger.end(record, State::Failed, Some(failure)).await;
    }

    /// Begins to run the lanes and to look at the workloads.
    pub fn spawn(&self) {
        let inner = &self.0;
        let mut rebooted = inner
            .rebooted
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // More than one where a reboot was forced over one that was still bringing back what it had stopped.
        for id in rebooted.drain(..) {
            // Before any lane runs, so it is to be had: by the first.
            let exclusive = inner.runner.gate.clone().try_write_owned().ok();
            self.run_device(id, exclusive);
        }
        for lane in inner.lanes.values() {
            let receiver = lane
                .receiver
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
            let Some(receiver) = receiver else { continue };
            let closing = inner.closing.clone();
            let runner = inner.runner.clone();
            let run = runner.run_lane(lane.workload.clone(), receiver);
            inner.tasks.spawn(run.boxed());
            let observe = observe::observe(
                lane.workload.clone(),
                inner.ledger.clone(),
                inner.feed.clone(),
                inner.clock.clone(),
            );
            let observe = closing.run_until_cancelled_owned(observe).map(drop);
            inner.tasks.spawn(observe.boxed());
        }
        let (ledger, closing) = (inner.ledger.clone(), inner.closing.clone());
        let pay = async move {
            loop {
                sleep(PAY).await;
                ledger.pay().await;
            }
        };
        let pay = closing.run_until_cancelled_owned(pay).map(drop);
        inner.tasks.spawn(pay.boxed());
        let mut resumed = inner.resumed.lock().unwrap_or_else(PoisonError::into_inner);
        for (workload, id) in resumed.drain(..) {
            let this = self.clone();
            let resume = async move { this.resume(&workload, id).await };
            inner.tasks.spawn(resume.boxed());
        }
    }

    /// Goes on with what was beside the lanes, as soon as there is a place for it.
    async fn resume(&self, workload: &Name, id: OperationId) {
        let inner = &self.0;
        let place = inner.beside.clone().acquire_owned();
        let place = inner.closing.run_until_cancelled(place).await;
        if let (Some(Ok(place)), Some(lane)) = (place, inner.lanes.get(workload)) {
            let runner = inner.runner.clone();
            let hold = Hold::Place(place);
            runner.run_or_abandon(lane.workload.clone(), id, hold).await;
        }
    }
}
