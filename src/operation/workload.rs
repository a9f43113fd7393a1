//! A workload as the engine holds it: what runs it, what it is, and how it was seen last.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};

use super::snapshots::Snapshots;
use super::validator::Validator;
use crate::clock::Timestamp;
use crate::protocol::{
    Capability, Health, Name, Operation, OperationId, Part, RunState, Scheduled, WorkloadReport,
};
use crate::runtime::{self, Runtime};
use crate::workload::{Inside, Kind, Said, Unanswered};

/// How long things may take on a workload.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// How long it may take to end by itself before it is killed.
    pub grace: Duration,
    /// How long it may take after a start until its probe answers.
    pub ready: Duration,
    /// How often it is looked at.
    pub interval: Duration,
}

/// One workload of this device.
pub struct Workload {
    pub(super) name: Name,
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) kind: Arc<dyn Kind>,
    times: Mutex<Times>,
    pub(super) snapshots: Option<Snapshots>,
    pub(super) validator: Option<Validator>,
    /// Wakes whoever observes it: something was done to it.
    pub(super) poke: Notify,
    pub(super) report: watch::Sender<WorkloadReport>,
    at_work: Mutex<Option<OperationId>>,
    scheduled: Mutex<Vec<Scheduled>>,
}

impl Workload {
    /// A workload that has not been looked at yet.
    pub fn new(name: Name, runtime: Arc<dyn Runtime>, kind: Arc<dyn Kind>, times: Times) -> Self {
        let report = WorkloadReport {
            name: name.clone(),
            kind: kind.name().to_owned(),
            runtime: runtime.describe(),
            state: RunState::Unknown,
            reason: Some("not looked at yet".to_owned()),
            since: Timestamp::now(),
            health: Health::Unknown,
            health_reason: None,
            height: None,
            gap: None,
            sync: None,
            details: BTreeMap::new(),
            image: None,
            instance: None,
            created_at: None,
            started_at: None,
            restarts: None,
            parts: Vec::new(),
            operation: None,
            scheduled: Vec::new(),
        };
        let report = watch::channel(report).0;
        Self {
            name,
            runtime,
            kind,
            times: Mutex::new(times),
            snapshots: None,
            validator: None,
            poke: Notify::new(),
            report,
            at_work: Mutex::new(None),
            scheduled: Mutex::default(),
        }
    }

    /// The same with data that can be snapshotted.
    pub fn with_snapshots(self, snapshots: Snapshots) -> Self {
        Self {
            snapshots: Some(snapshots),
            ..self
        }
    }

    /// The same with a validator's tree that a checkpoint can be restored to.
    pub fn with_validator(self, validator: Validator) -> Self {
        Self {
            validator: Some(validator),
            ..self
        }
    }

    /// How it was seen last.
    pub fn report(&self) -> WorkloadReport {
        self.report.borrow().clone()
    }

    /// How long things may take on it.
    pub(super) fn times(&self) -> Times {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes how long things may take; what is at work keeps what it began with.
    pub(super) fn set_times(&self, times: Times) {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner) = times;
        self.poke.notify_one();
    }

    /// What it can be asked.
    pub fn capability(&self) -> Capability {
        let can = |operation: &Operation| match operation {
            Operation::Cancel => false,
            Operation::Upload => {
                let snapshots = self.snapshots.as_ref();
                snapshots.is_some_and(|snapshots| snapshots.bucket.is_some())
            }
            Operation::Prune => self.snapshots.is_some() || self.validator.is_some(),
            Operation::Snapshot | Operation::Restore | Operation::Verify => {
                self.snapshots.is_some()
            }
            Operation::Resync => self.snapshots.is_some() && self.kind.has_chain(),
            Operation::RestoreCheckpoint => self.validator.is_some(),
            Operation::Start | Operation::Stop | Operation::Restart | Operation::Logs => true,
            Operation::Reset => {
                let data = self.snapshots.is_some();
                data && self.kind.has_chain() && self.runtime.renewal().is_some()
            }
            Operation::Fastsync => {
                self.snapshots.is_some() && self.kind.chain_snapshots().is_some()
            }
            Operation::Reboot => false,
        };
        let operations = Operation::ALL.into_iter().filter(can).collect();
        let report = self.report.borrow();
        Capability {
            name: self.name.clone(),
            kind: report.kind.clone(),
            runtime: report.runtime.clone(),
            operations,
        }
    }

    pub(super) fn set_at_work(&self, operation: Option<OperationId>) {
        *self.at_work.lock().unwrap_or_else(PoisonError::into_inner) = operation;
        self.poke.notify_one();
    }

    /// Says what is done with it by the clock; it is told where it is news.
    pub(super) fn set_scheduled(&self, scheduled: Vec<Scheduled>) {
        let mut known = self
            .scheduled
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *known != scheduled {
            *known = scheduled;
            self.poke.notify_one();
        }
    }

    pub(super) fn scheduled(&self) -> Vec<Scheduled> {
        self.scheduled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn at_work(&self) -> Option<OperationId> {
        self.at_work
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// The probes' way into a workload: through its runtime, with the parts that it was seen to have.
pub(super) struct Through<'a>(pub &'a dyn Runtime, pub &'a [Part]);

#[async_trait]
impl Inside for Through<'_> {
    async fn ask(&self, command: &[&str], deadline: Duration) -> Result<Said, Unanswered> {
        match self.0.exec(command, deadline).await {
            Ok(output) => Ok(Said {
                status: output.status,
                text: output.stdout,
            }),
            Err(error) => Err(Unanswered {
                late: matches!(error, runtime::Error::Unresponsive { .. }),
                why: error.to_string(),
            }),
        }
    }

    fn parts(&self) -> &[Part] {
        self.1
    }
}
