//! A message on its way out.

use serde::Serialize;
use serde_json::Value;

use crate::protocol::{
    Availability, DeviceReport, Event, Name, OperationId, OperationRecord, Refusal, Telemetry,
    Topics, WorkloadReport,
};

/// What a message is, for how it is kept and counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Something as it is now: retained by the broker, asserted again at each connect.
    State,
    /// The record of an operation, which is state.
    Record(OperationId),
    /// Takes the retained record of an operation away.
    Clear(OperationId),
    /// A sample: waits in the outbox.
    Telemetry,
    /// An event, or the answer to a refused command: waits in the outbox.
    Event,
}

/// A topic and a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub kind: Kind,
}

impl Message {
    fn new(kind: Kind, topic: String, content: &impl Serialize) -> Self {
        let payload = serde_json::to_vec(content)
            .expect("the types of the protocol have string keys and no failing serialisers");
        Self {
            topic,
            payload,
            kind,
        }
    }

    pub fn availability(topics: &Topics, availability: &Availability) -> Self {
        Self::new(Kind::State, topics.availability(), availability)
    }

    pub fn device(topics: &Topics, device: &DeviceReport) -> Self {
        Self::new(Kind::State, topics.device(), device)
    }

    pub fn workload(topics: &Topics, report: &WorkloadReport) -> Self {
        Self::new(Kind::State, topics.workload(&report.name), report)
    }

    /// Takes away what is retained of a workload that there is no longer.
    pub fn no_workload(topics: &Topics, name: &Name) -> Self {
        Self {
            topic: topics.workload(name),
            payload: Vec::new(),
            kind: Kind::State,
        }
    }

    pub fn record(topics: &Topics, record: &OperationRecord) -> Self {
        let kind = Kind::Record(record.id.clone());
        Self::new(kind, topics.operation(&record.id), record)
    }

    /// A record that the engine no longer tells by itself, for whoever asked again.
    pub fn old_record(topics: &Topics, record: &OperationRecord) -> Self {
        Self::new(Kind::Event, topics.operation(&record.id), record)
    }

    pub fn clear(topics: &Topics, id: OperationId) -> Self {
        Self {
            topic: topics.operation(&id),
            payload: Vec::new(),
            kind: Kind::Clear(id),
        }
    }

    pub fn refusal(topics: &Topics, id: &OperationId, refusal: &Refusal) -> Self {
        Self::new(Kind::Event, topics.operation(id), refusal)
    }

    pub fn event(topics: &Topics, event: &Event) -> Self {
        Self::new(Kind::Event, topics.event(), event)
    }

    pub fn telemetry(topics: &Topics, telemetry: &Telemetry) -> Self {
        Self::new(Kind::Telemetry, topics.telemetry(), telemetry)
    }

    /// Whether the broker keeps it.
    pub fn retain(&self) -> bool {
        match self.kind {
            Kind::State | Kind::Record(_) | Kind::Clear(_) => true,
            Kind::Telemetry | Kind::Event => false,
        }
    }

    /// Marks a sample that waited while the broker was away.
    pub fn mark_historical(&mut self) {
        if let Ok(mut telemetry) = serde_json::from_slice::<Value>(&self.payload) {
            telemetry["historical"] = true.into();
            *self = Self::new(Kind::Telemetry, std::mem::take(&mut self.topic), &telemetry);
        }
    }

    /// The same record without what was asked for, where that is what makes it too large.
    pub fn without_output(&self) -> Option<Self> {
        let mut record: Value = match self.kind {
            Kind::Record(_) => serde_json::from_slice(&self.payload).ok()?,
            _ => return None,
        };
        *record.get_mut("output")? = "left out: too large for the broker".into();
        Some(Self::new(self.kind.clone(), self.topic.clone(), &record))
    }
}
